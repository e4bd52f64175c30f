// Keeps the purse: has its note read before anything is counted twice, written once a second at most, and says when a
// limit is reached and while new work is refused. On one event loop; the note lies in the outbox.
//
// Each step is counted once, whenever the process is killed. A note is a snapshot: what was counted, the moment up to
// which everything was heard, and the steps counted last. What ended after that moment is found by asking opencode and
// counted on top of the snapshot; what ended before it is in it, and what may be either is known by its id. So while
// that moment stands still and steps come all the same (they are being asked for after a gap) no note is written: they
// may be more than are known by their ids.
#pragma once

#include <functional>

#include "ocgate/bridge/purse.hpp"
#include "ocgate/notify/keeper.hpp"
#include "ocgate/opencode/event.hpp"
#include "ocgate/rt/task_group.hpp"

namespace ocgate::bridge {

struct TreasurerNeeds {
    rt::Executor executor;
    rt::Deadlines& deadlines;
    notify::Store& store;
    notify::WallClock wall;
    bool on_disk = false;  ///< a note may lie on the disk, and is waited for; otherwise none is written
    /// Every step that ended before was told (Follower::heard_until).
    std::function<std::optional<Purse::Time>()> heard_until;
    /// Once: what an earlier run left is known, or that it cannot be had for now. Events may be listened to.
    std::function<void(Purse::Left const&)> ready{};
    std::function<void(Crossed const&)> crossed{};
    std::function<void(std::optional<Purse::Blocked> const&)> blocked{};  ///< when that changes
    std::function<void(notify::OutboxError const&)> trouble{};
    std::function<void(std::exception_ptr)> escaped{};  ///< our bug
};

class Treasurer {
public:
    static constexpr rt::Duration pace = std::chrono::seconds(1);  ///< of notes
    /// The moment up to which all was heard moves on in the note at least so often while events come.
    static constexpr rt::Duration freshness = std::chrono::minutes(1);
    /// With a moment that does not move on; then a note is written all the same.
    static constexpr rt::Duration patience = std::chrono::minutes(5);
    static constexpr std::chrono::milliseconds progress{100};  ///< less is the clock's own trembling

    Treasurer(TreasurerNeeds needs, PurseRules rules);
    ~Treasurer();  ///< after `stop`
    Treasurer(Treasurer const&) = delete;
    Treasurer& operator=(Treasurer const&) = delete;

    void start();
    void configure(PurseRules rules);
    /// What the keeper of the outbox says.
    void kept(notify::KeeperState const& state);
    /// Writes what is not written. Returns when no task runs any more.
    rt::Task<void> stop();

    void heard();                                ///< something of opencode
    void spent(opencode::StepInfo const& step);  ///< that is new

    [[nodiscard]] Purse const& purse() const noexcept { return purse_; }

private:
    void read();
    rt::Task<void> recall();
    rt::Task<void> remember();
    void settle(Purse::Left const& left);
    void changed();
    void look();
    void write();
    [[nodiscard]] bool is_behind(std::optional<Purse::Time> heard_until) const;

    TreasurerNeeds needs_;
    Purse purse_;
    std::optional<Purse::Blocked> blocked_;
    std::optional<Purse::Time> noted_until_;  ///< what the note says, or the earlier run's
    rt::Instant noted_ = rt::Instant::min();
    rt::Instant dirty_since_ = rt::Instant::min();  ///< with `dirty_`
    bool known_ = false;                            ///< what an earlier run left is in the purse, or there is nothing
    bool was_on_disk_ = false;
    bool ready_ = false;
    bool counted_ = false;  ///< steps that are not in the note
    bool dirty_ = false;
    bool writing_ = false;
    bool stopping_ = false;
    rt::TaskGroup tasks_;
    rt::Deadline note_alarm_, read_alarm_, day_alarm_;
};

}  // namespace ocgate::bridge
