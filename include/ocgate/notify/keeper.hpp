// Keeps the outbox on the disk for as long as the disk can be had, and in memory otherwise: whoever uses the Store sees
// no difference but what `state` says. Also its housekeeping. On one event loop, the work on the store's thread.
//
// What the change of outboxes may cost: nothing that was accepted while this process lives, as long as what the failing
// file holds can be read (a full disk can). What cannot is missing in memory (Trouble::unknown) until the file is back,
// and may then be told again if it was under way.
#pragma once

#include <optional>

#include "ocgate/notify/message.hpp"
#include "ocgate/notify/store.hpp"
#include "ocgate/rt/deadline.hpp"

namespace ocgate::notify {

struct KeeperState {
    bool durable = false;           ///< what is accepted now survives a crash
    bool wanted = false;            ///< a folder is configured
    std::string why{};              ///< not durable though wanted: for people
    std::uint64_t failures = 0;     ///< of the disk, each attempt to come back included
    std::uint64_t moved_aside = 0;  ///< corrupt files that had to make room
};

struct KeeperNeeds {
    rt::Executor executor;
    rt::Deadlines& deadlines;
    Store& store;  ///< begins in memory
    WallClock wall;
    std::optional<OutboxOptions> options;  ///< none: memory is what is wanted
    /// Durable or not has changed, or the first attempt has failed. With `durable`, what an earlier run left may be in
    /// the outbox, targets it had disabled included. Not called from inside `trouble`.
    std::function<void(KeeperState const&)> changed{};
    /// A corrupt file was moved aside: its new path, and what was wrong. To be told loudly.
    std::function<void(std::string const& path, std::string const& what)> moved{};
    std::function<void(std::exception_ptr)> escaped{};  ///< our bug
};

class Keeper {
public:
    static constexpr rt::Duration come_back = std::chrono::seconds(30);  ///< to a disk that failed
    /// So long a file that another process has is waited for at the start: one that is being replaced mostly ends
    /// within this, and whoever goes on in memory meanwhile tells everything that waits a second time. Whoever stops
    /// before `start` has returned waits as long, so it is less than what a gateway has for its last words.
    static constexpr rt::Duration handover = std::chrono::seconds(3);
    /// The outbox stays a failing file for so long when not all of it can be read.
    static constexpr rt::Duration patience = std::chrono::seconds(5);
    static constexpr rt::Duration housekeeping = std::chrono::minutes(10);

    explicit Keeper(KeeperNeeds needs);
    ~Keeper();  ///< after `stop`
    Keeper(Keeper const&) = delete;
    Keeper& operator=(Keeper const&) = delete;

    /// Goes to the disk. Returns when it is there, or when the first attempt has failed, `handover` included (then
    /// memory holds, and it is tried again every `come_back`). What memory held meanwhile is taken along, leases held
    /// now included.
    rt::Task<void> start();

    /// The outbox failed for whoever used it. When the disk is to blame (disk_full, read_only, io, corrupt) everything
    /// that can be read goes on in memory. Idempotent while that is under way.
    void trouble(OutboxError const& error);

    [[nodiscard]] KeeperState const& state() const noexcept { return state_; }

    /// Returns when no task of it runs any more: what the disk is doing is waited for.
    rt::Task<void> stop();

private:
    struct Inside;
    KeeperState state_;
    std::unique_ptr<Inside> inside_;
};

}  // namespace ocgate::notify
