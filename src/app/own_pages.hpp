// What the gateway says of itself under `/_ocgate`: what waits, what runs, who is told. The same pages answer on the
// traffic port and to the subcommands. On the gateway's own loop.
#pragma once

#include "ocgate/bridge/herald.hpp"
#include "ocgate/opencode/follower.hpp"
#include "ocgate/proxy/doors.hpp"

namespace ocgate::app {

class OwnPages {
public:
    static constexpr std::size_t most_sessions = 1000;  ///< listed, last heard first
    static constexpr std::size_t most_rows = 200;       ///< of incidents and of deliveries
    static constexpr std::chrono::hours longest_mute{24 * 7};

    OwnPages(bridge::Herald& herald, opencode::Follower const& follower, rt::Deadlines& deadlines,
             notify::WallClock wall)
        : herald_(herald), follower_(follower), deadlines_(deadlines), wall_(std::move(wall)) {}

    /// `Accept: text/plain` before any mention of JSON gives a table, everything else JSON.
    rt::Task<proxy::PageAnswer> answer(proxy::PageRequest request);

private:
    [[nodiscard]] proxy::PageAnswer pending(proxy::PageRequest const& request) const;
    [[nodiscard]] proxy::PageAnswer sessions(proxy::PageRequest const& request) const;
    rt::Task<proxy::PageAnswer> notifications(proxy::PageRequest const& request);
    rt::Task<proxy::PageAnswer> test(proxy::PageRequest const& request);
    rt::Task<proxy::PageAnswer> enable(std::string name, proxy::PageRequest const& request);
    rt::Task<proxy::PageAnswer> mute(proxy::PageRequest const& request);
    [[nodiscard]] std::string time_of(rt::Instant when) const;

    bridge::Herald& herald_;
    opencode::Follower const& follower_;
    rt::Deadlines& deadlines_;
    notify::WallClock wall_;
};

}  // namespace ocgate::app
