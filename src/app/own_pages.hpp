// What the gateway says of itself under `/_ocgate`: what waits, what runs, who is told. The same pages answer on the
// traffic port and to the subcommands. On the gateway's own loop.
#pragma once

#include "ocgate/bridge/herald.hpp"
#include "ocgate/opencode/follower.hpp"
#include "ocgate/proxy/doors.hpp"
#include "status_page.hpp"

namespace ocgate::app {

class OwnPages {
public:
    static constexpr std::size_t most_sessions = 1000;  ///< listed, last heard first
    static constexpr std::size_t most_rows = 200;       ///< of incidents and of deliveries
    static constexpr std::chrono::hours longest_mute{24 * 7};

    /// `status`: none, and there is no such page. `changed` hears of every request that was to change something, once
    /// it was answered.
    OwnPages(bridge::Herald& herald, opencode::Follower const& follower, rt::Deadlines& deadlines,
             notify::WallClock wall, std::optional<StatusNeeds> status = {},
             std::function<void(proxy::PageRequest const&, proxy::PageAnswer const&)> changed = {})
        : herald_(herald),
          follower_(follower),
          deadlines_(deadlines),
          wall_(std::move(wall)),
          changed_(std::move(changed)) {
        if (status) status_.emplace(std::move(*status));
    }

    /// `Accept: text/plain` before any mention of JSON gives a table, everything else JSON.
    rt::Task<proxy::PageAnswer> answer(proxy::PageRequest request);
    /// The gateway ends: who waits for a shard waits no longer.
    void stop() {
        if (status_) status_->stop();
    }

private:
    rt::Task<proxy::PageAnswer> page(proxy::PageRequest const& request);
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
    std::function<void(proxy::PageRequest const&, proxy::PageAnswer const&)> changed_;
    std::optional<StatusPage> status_;
};

}  // namespace ocgate::app
