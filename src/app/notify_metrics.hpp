// What becomes of opencode's events, as figures for a scrape: the tap, the model, the center, the targets, the outbox.
// How many series there can be is bounded: targets are configured ones (32 at most), types of events are
// `EventTally::max_types` and `other`, all else is a closed set.
#pragma once

#include <array>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ocgate/notify/center.hpp"
#include "ocgate/notify/keeper.hpp"
#include "ocgate/opencode/follower.hpp"
#include "ocgate/ops/exposition.hpp"

namespace ocgate::app {

/// opencode's events by type and by how they were taken. A type is whatever stands in an event: what is no plain name
/// (up to 64 of A-Z a-z 0-9 . _ -), and the types that come when there are `max_types`, count as `other`.
class EventTally {
public:
    static constexpr std::size_t max_types = 128;
    static constexpr std::size_t max_type_bytes = 64;
    using Counts = std::array<std::uint64_t, 3>;  ///< by opencode::Taken

    void count(std::string_view type, opencode::Taken taken);
    /// With `other`, once there is any: up to `max_types` and that.
    [[nodiscard]] std::map<std::string, Counts, std::less<>> const& types() const noexcept { return types_; }

private:
    std::map<std::string, Counts, std::less<>> types_;
};

/// From an event to its deliveries being in the outbox.
class AcceptedTimes {
public:
    static constexpr std::array bounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                       0.25,  0.5,    1.0,   2.5,  5.0,   10.0, 30.0};

    void observe(rt::Duration took) noexcept;
    /// Of each bucket by itself; the last is what lies beyond all bounds.
    [[nodiscard]] std::span<std::uint64_t const> counts() const noexcept { return counts_; }
    [[nodiscard]] double seconds() const noexcept { return seconds_; }

private:
    std::array<std::uint64_t, bounds.size() + 1> counts_{};
    double seconds_ = 0;
};

/// As they are at `now`. Those that only grow have to go on growing when a reload replaces who counts them.
struct NotifyFigures {
    rt::Instant now{};                             ///< by the clock of `tap` and `sessions`
    std::chrono::system_clock::time_point wall{};  ///< the same moment
    opencode::TapState tap{};
    opencode::Counts sessions{};
    EventTally events{};
    AcceptedTimes accepted{};
    notify::CenterCounts center{};
    std::vector<notify::TargetStatus> targets{};  ///< those that are configured, each once
    std::vector<notify::TargetCount> queues{};    ///< as last sampled; rows of other targets are not shown
    /// Deliveries that had to make room for others (Dropped::reason `limit`), by target.
    std::map<std::string, std::uint64_t, std::less<>> no_room{};
    std::map<std::string, std::uint64_t, std::less<>> enqueued{};  ///< deliveries accepted, by target
    notify::KeeperState store{};
};

void write_notify(ops::Exposition& out, NotifyFigures const& figures);

}  // namespace ocgate::app
