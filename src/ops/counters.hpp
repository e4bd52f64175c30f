// What one shard counts. Written by the shard's thread alone, read by any: a relaxed load and store each, no locked
// instruction on the request path. Routes get their tables when they are first seen; after that nothing is allocated.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>

#include "ocgate/proxy/doors.hpp"
#include "ocgate/rt/tally.hpp"

namespace ocgate::ops {

using Counter = rt::Tally;
using Gauge = rt::Level;

/// Upper bounds of a histogram's buckets, in what is observed; +Inf comes after the last.
template <std::size_t N>
struct Scale {
    std::array<std::uint64_t, N> bounds;
    double unit;  ///< so many of what is observed are one of what is shown
};

/// Nanoseconds are observed, seconds are shown.
template <std::size_t N>
constexpr Scale<N> scale_of_milliseconds(std::array<std::uint64_t, N> bounds) {
    for (auto& bound : bounds) bound *= 1'000'000;
    return {bounds, 1e9};
}

inline constexpr auto request_times = scale_of_milliseconds(std::array<std::uint64_t, 17>{
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 15000, 30000, 45000, 60000});
/// A second to a day.
inline constexpr auto stream_times = scale_of_milliseconds(
    std::array<std::uint64_t, 9>{1000, 5000, 15000, 60000, 300000, 900000, 3600000, 14400000, 86400000});
/// Bytes of content: none, then 256 B to 256 MiB in steps of four.
inline constexpr Scale<12> content_sizes{
    {0, 1 << 8, 1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26, 1 << 28}, 1};

template <std::size_t N>
class Histogram {
public:
    void observe(Scale<N> const& scale, std::uint64_t value) noexcept {
        std::size_t i = 0;
        while (i < N && value > scale.bounds[i]) ++i;
        buckets_[i].add();
        sum_.add(value);
    }
    void observe(Scale<N> const& scale, rt::Duration took) noexcept {
        auto const ns = std::chrono::nanoseconds(took).count();
        observe(scale, ns < 0 ? std::uint64_t{0} : static_cast<std::uint64_t>(ns));
    }
    /// Not cumulative; the last is what lies beyond all bounds.
    [[nodiscard]] std::uint64_t bucket(std::size_t i) const noexcept { return buckets_[i].value(); }
    [[nodiscard]] std::uint64_t sum() const noexcept { return sum_.value(); }

private:
    std::array<Counter, N + 1> buckets_;
    Counter sum_;  ///< of nanoseconds it holds centuries
};
using Times = Histogram<request_times.bounds.size()>;
using StreamTimes = Histogram<stream_times.bounds.size()>;
using Sizes = Histogram<content_sizes.bounds.size()>;

inline constexpr std::array<std::string_view, 8> method_labels{"GET",   "HEAD",   "POST",    "PUT",
                                                               "PATCH", "DELETE", "OPTIONS", "other"};
[[nodiscard]] std::size_t method_index(std::string_view method) noexcept;

/// Requests by status of one route and method. A status is the upstream's choice, so the table is bounded: what finds
/// no slot is counted under its class.
class StatusCounters {
public:
    static constexpr std::size_t slots = 16;
    static constexpr std::array<std::string_view, 6> classes{"1xx", "2xx", "3xx", "4xx", "5xx", "other"};

    struct Slot {
        std::atomic<std::uint16_t> status{0};  ///< 0: free, and so are all that follow
        Counter count;
    };

    void count(unsigned status) noexcept;
    [[nodiscard]] std::array<Slot, slots> const& table() const noexcept { return table_; }
    [[nodiscard]] std::uint64_t beyond(std::size_t status_class) const noexcept {
        return beyond_[status_class].value();
    }

private:
    std::array<Slot, slots> table_;
    std::array<Counter, classes.size()> beyond_;
};

struct RouteCounters {
    std::array<std::atomic<StatusCounters*>, method_labels.size()> methods{};
    Times duration;

    RouteCounters() = default;
    ~RouteCounters() {
        for (auto& method : methods) delete method.load(std::memory_order_relaxed);
    }
    RouteCounters(RouteCounters const&) = delete;
    RouteCounters& operator=(RouteCounters const&) = delete;
};

inline constexpr std::size_t sides = 3;
inline constexpr std::size_t steps = static_cast<std::size_t>(Step::tunnel) + 1;
inline constexpr std::size_t reasons = static_cast<std::size_t>(Reason::internal) + 1;  ///< with 0: none
inline constexpr std::size_t stream_kinds = 2;

/// 64: the line size of the machines this runs on (std::hardware_destructive_interference_size warns in headers).
struct alignas(64) ShardCounters {
    explicit ShardCounters(std::size_t n)
        : routes(std::make_unique<std::atomic<RouteCounters*>[]>(n)), route_count(n) {}
    ~ShardCounters() {
        for (std::size_t i = 0; i < route_count; ++i) delete routes[i].load(std::memory_order_relaxed);
    }
    ShardCounters(ShardCounters const&) = delete;
    ShardCounters& operator=(ShardCounters const&) = delete;

    /// nullptr only when there is no memory: the request is then counted in no route.
    [[nodiscard]] RouteCounters* route(std::size_t index) noexcept { return made(routes[index]); }

    /// Made by the shard's thread on first use; a reader sees it whole or not at all.
    template <class T>
    [[nodiscard]] static T* made(std::atomic<T*>& place) noexcept {
        auto* there = place.load(std::memory_order_relaxed);
        if (!there) {
            there = new (std::nothrow) T;
            place.store(there, std::memory_order_release);
        }
        return there;
    }

    struct Stream {
        Gauge open;
        std::array<Counter, reasons> closed;
        StreamTimes duration;
    };
    struct Connections {
        Gauge open;
        Counter total;
    };

    std::unique_ptr<std::atomic<RouteCounters*>[]> routes;
    std::size_t route_count;
    RouteCounters refused_heads;  ///< requests that never came to have a route
    Gauge in_flight;
    Times first_byte;
    Sizes request_size;
    Sizes response_size;
    proxy::Live live;
    std::array<Connections, sides> connections;
    std::array<Stream, stream_kinds> streams;
    std::array<std::array<std::array<Counter, reasons>, steps>, sides> errors;
    Counter dialed;
    Counter reused;
    Counter dial_failed;
    Counter sampled_out;  ///< access lines
};

}  // namespace ocgate::ops
