// What the shards have counted, merged and written out.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "counters.hpp"
#include "ocgate/ops/exposition.hpp"
#include "ocgate/ops/metrics.hpp"

namespace ocgate::ops {

using Shards = std::vector<std::unique_ptr<ShardCounters>>;

/// Which series `ocgate_http_requests_total` has. Statuses are the upstream's choice, methods and paths the clients':
/// the first `max_request_series` that appear have a series each, and keep it; what comes later is added up by class.
class RequestSeries {
public:
    using Key = std::tuple<std::string_view, std::size_t, std::string>;  ///< route, method, code

    /// What has no series of its own is moved to those of the overflow.
    void settle(std::map<Key, std::uint64_t>& counts);

private:
    std::set<Key> known_;
};

/// The route and method of requests beyond the bound.
inline constexpr std::string_view overflow_label = "other";

void write_traffic(Exposition& out, Shards const& shards, RouteTable const& routes, RequestSeries& known);

/// A histogram in the unit it is shown in.
template <std::size_t N>
void write_histogram(Exposition& out, Scale<N> const& scale, std::array<std::uint64_t, N + 1> const& buckets,
                     std::uint64_t sum, Exposition::Labels labels = {}) {
    std::array<double, N> bounds{};
    for (std::size_t i = 0; i < N; ++i) bounds[i] = static_cast<double>(scale.bounds[i]) / scale.unit;
    out.buckets(buckets, bounds, static_cast<double>(sum) / scale.unit, labels);
}

/// One histogram, summed up over the shards. Its count is that of its buckets, so the two always agree.
template <std::size_t N>
struct Merged {
    std::array<std::uint64_t, N + 1> buckets{};
    std::uint64_t sum = 0;

    void add(Histogram<N> const& part) {
        for (std::size_t i = 0; i <= N; ++i) buckets[i] += part.bucket(i);
        sum += part.sum();
    }
    [[nodiscard]] bool empty() const { return buckets == std::array<std::uint64_t, N + 1>{}; }
    void write(Exposition& out, Scale<N> const& scale, Exposition::Labels labels = {}) const {
        write_histogram(out, scale, buckets, sum, labels);
    }
};

}  // namespace ocgate::ops
