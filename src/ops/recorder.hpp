// Fills the proxy's Recorder for one shard: counts, and writes the access line.
#pragma once

#include <vector>

#include "counters.hpp"
#include "ocgate/ops/log.hpp"
#include "ocgate/ops/metrics.hpp"
#include "ocgate/rt/clock.hpp"

namespace ocgate::ops {

class ShardRecorder final : public proxy::Recorder {
public:
    /// All of them outlive it.
    ShardRecorder(ShardCounters& counters, RouteTable const& routes, rt::Clock const& clock, Log& log)
        : counters_(counters), routes_(routes), clock_(clock), log_(log) {}

    proxy::Live& live() noexcept override { return counters_.live; }
    std::uint16_t route_of(std::string_view method, std::string_view target) noexcept override;
    void connection_opened(Side side) noexcept override;
    void connection_closed(Side side) noexcept override;
    void request_started() noexcept override;
    void stream_opened(proxy::StreamKind kind) noexcept override;
    void stream_closed(proxy::StreamKind kind, Reason reason, rt::Duration lasted) noexcept override;
    void failed(Failure const& failure, std::string_view peer) noexcept override;
    void refused(proxy::RefusedHead const& head) noexcept override;
    void upstream_dialed(bool reused, bool ok) noexcept override;
    void finished(proxy::ExchangeRecord const& record) noexcept override;

private:
    void count_error(Failure const& failure) noexcept;
    void write_failure_line(Failure const& failure, std::string_view peer, proxy::RefusedHead const* told) noexcept;
    void write_access_line(proxy::ExchangeRecord const& record, unsigned status) noexcept;

    ShardCounters& counters_;
    RouteTable const& routes_;
    rt::Clock const& clock_;
    Log& log_;
    rt::Instant accept_told_ = rt::Instant::min();  ///< when the last line about a failed accept was written
    std::uint64_t accept_untold_ = 0;               ///< since then
};

/// The label of a route's number; numbers beyond the table have the first one's.
[[nodiscard]] std::string_view route_label(RouteTable const& routes, std::size_t route) noexcept;
/// "none" for `Reason{}`.
[[nodiscard]] std::string_view reason_label(std::size_t reason) noexcept;
[[nodiscard]] std::string_view kind_label(proxy::StreamKind kind) noexcept;

}  // namespace ocgate::ops
