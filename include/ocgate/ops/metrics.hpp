// What Prometheus is told of the traffic and of this process. Counters are kept per shard without locks and merged at
// scrape. Label sets are closed: route templates, methods, statuses, sides, steps, reasons. Nothing a client or the
// upstream may choose freely becomes a label.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ocgate/ops/exposition.hpp"
#include "ocgate/ops/health.hpp"
#include "ocgate/ops/log.hpp"
#include "ocgate/proxy/doors.hpp"
#include "ocgate/rt/clock.hpp"

namespace ocgate::ops {

/// What the recorder has to know of the upstream's routes, handed in: this module knows no paths.
struct RouteTable {
    std::uint16_t (*route_of)(std::string_view method, std::string_view target) noexcept;
    std::vector<std::string> names;  ///< the label of each number that `route_of` gives
};

/// Series of `ocgate_http_requests_total`, whatever requests come: methods and statuses of all routes would be more.
/// Those that appear first have one each; the rest is counted as route and method `other`, by class of code (six more).
inline constexpr std::size_t max_request_series = 2'000;
/// Everything that `Metrics` writes, with up to 170 routes: the above, a histogram of 20 for each route that was asked
/// for, 540 for all failures there can be, and what is always there. An idle gateway has about 160.
inline constexpr std::size_t max_traffic_series = 6'200;

struct MetricsOptions {
    std::string version;
    unsigned shards = 1;
    RouteTable routes;
    std::vector<std::string> auth_results;  ///< the labels of `ocgate_auth_requests_total`, by number
    rt::Clock const* clock = nullptr;       ///< spaces repeated log lines; the machine's when not given; not owned
    /// How many are locked out now; asked at each scrape, on its thread. None: the metric is left out.
    std::function<std::size_t()> throttled{};
};

class Metrics {
public:
    explicit Metrics(MetricsOptions options);
    ~Metrics();
    Metrics(Metrics const&) = delete;
    Metrics& operator=(Metrics const&) = delete;

    /// The recorder of one shard: used on its thread only; lives as long as the metrics. Writes access lines to `log`,
    /// which outlives it. Asked for again, it is the same one.
    [[nodiscard]] proxy::Recorder& recorder(unsigned shard, Log& log);

    // Any thread.
    void auth_decided(std::size_t result) noexcept;
    void reloaded(bool ok) noexcept;
    /// On one thread, always the same.
    void probed(bool up, std::chrono::steady_clock::duration took) noexcept;

    /// The whole exposition (text format 0.0.4). Any thread. The figures of the process are read here. `more` adds
    /// families of others, inside the call and on its thread.
    [[nodiscard]] std::string exposition(Health const& health, Log const& log,
                                         std::function<void(Exposition&)> const& more = {}) const;

private:
    struct Inside;
    std::unique_ptr<Inside> inside_;
};

}  // namespace ocgate::ops
