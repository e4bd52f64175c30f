#include "ocgate/notify/keeper.hpp"

#include <algorithm>

#include "ocgate/rt/task_group.hpp"

namespace ocgate::notify {
namespace {

/// What going to the disk came to. The file may have been moved aside and the rest have failed.
struct Arrival {
    std::string moved_aside{};
    std::string corruption{};
    std::optional<OutboxError> failed{};
};

/// On the store's thread: `current` is memory, and stays it unless all of this works.
Arrival go_to_disk(Outbox& current, OutboxOptions const& options, std::int64_t now_ms) {
    auto opened = Outbox::open(options, now_ms);
    if (!opened) return {.failed = opened.error()};
    Arrival arrival{.moved_aside = opened->moved_aside, .corruption = opened->corruption};
    // Of an earlier run, or of this one before the disk failed. Those that are still held memory knows, and brings.
    if (auto const released = opened->outbox.release_leases(); !released) {
        arrival.failed = released.error();
    } else if (auto const adopted = opened->outbox.adopt(current); !adopted) {
        arrival.failed = adopted.error();
    } else {
        current = std::move(opened->outbox);
    }
    return arrival;
}

/// On the store's thread: `current` is the disk's. An error: it still is.
Kept<Outbox::Rescued> go_to_memory(Outbox& current, OutboxLimits const& limits, bool with_less) {
    auto memory = Outbox::in_memory(limits);
    if (!memory) return memory.error();
    Outbox::Rescued taken;
    if (auto const whole = memory->adopt(current)) {
        taken.rows = *whole;
    } else if (!with_less) {
        return whole.error();
    } else {
        auto part = memory->rescue(current);
        if (!part) return part;
        taken = std::move(*part);
    }
    current = std::move(*memory);
    return taken;
}

constexpr rt::Duration pause = std::chrono::seconds(1);  ///< before what did not work is tried again

bool is_the_disks(Trouble trouble) noexcept {
    return trouble == Trouble::disk_full || trouble == Trouble::read_only || trouble == Trouble::io ||
           trouble == Trouble::corrupt;
}

}  // namespace

struct Keeper::Inside {
    Inside(KeeperNeeds n, Keeper& k)
        : needs(std::move(n)),
          keeper(k),
          alarm(
              needs.deadlines, [](void* self) { static_cast<Inside*>(self)->something.notify(); }, this),
          tasks(needs.executor, needs.escaped) {}

    rt::Task<void> keep();
    rt::Task<bool> to_disk(bool patient);
    rt::Task<void> to_memory();
    rt::Task<void> prune();
    void changed() const {
        if (needs.changed) needs.changed(keeper.state_);
    }
    [[nodiscard]] rt::Instant now() const noexcept { return needs.deadlines.now(); }
    [[nodiscard]] std::int64_t now_ms() const {
        using namespace std::chrono;
        return duration_cast<milliseconds>(needs.wall().time_since_epoch()).count();
    }

    KeeperNeeds needs;
    Keeper& keeper;
    std::optional<OutboxError> failed;  ///< the disk, and it has not been left yet
    rt::Instant failed_at{};            ///< with `failed`
    rt::Instant next_leave{};           ///< with `failed`
    rt::Instant next_try = rt::never;   ///< of the disk
    rt::Instant next_prune = rt::never;
    bool started = false;
    bool stopping = false;
    rt::Signal something;
    rt::Gate tried;  ///< the first attempt is over
    rt::Deadline alarm;
    rt::TaskGroup tasks;
};

rt::Task<void> Keeper::Inside::keep() {
    struct Over {
        ~Over() { gate.open(); }
        rt::Gate& gate;
    };
    {
        Over const over{tried};
        auto const until = now() + handover;
        while (needs.options && !stopping) {
            bool const another_has_it = co_await to_disk(now() < until);
            if (!another_has_it) break;
            alarm.set(now() + pause);
            co_await something.wait();
        }
    }
    next_prune = now() + housekeeping;
    while (!stopping) {
        if (failed && now() >= next_leave) {
            co_await to_memory();
        } else if (!failed && now() >= next_try) {
            co_await to_disk(false);
        } else if (!failed && now() >= next_prune) {
            co_await prune();
        } else {
            alarm.set(failed ? next_leave : std::min(next_try, next_prune));
            co_await something.wait();
        }
    }
    alarm.set(rt::never);
}

/// True: another process has the file, and whoever is `patient` tries again soon.
rt::Task<bool> Keeper::Inside::to_disk(bool patient) {
    auto job = [options = *needs.options, at = now_ms()](Outbox& current) -> Kept<Arrival> {
        return go_to_disk(current, options, at);
    };
    auto arrival = co_await needs.store.run(std::move(job));
    auto& state = keeper.state_;
    bool const first = next_try == rt::never;
    if (arrival && !arrival->moved_aside.empty()) {
        ++state.moved_aside;
        if (needs.moved) needs.moved(arrival->moved_aside, arrival->corruption);
    }
    if (arrival && !arrival->failed) {
        state.durable = true;
        state.why.clear();
        next_try = rt::never;
        changed();
        co_return false;
    }
    state.why = arrival ? arrival->failed->text : arrival.error().text;
    if (patient && arrival && arrival->failed->trouble == Trouble::busy) co_return true;
    ++state.failures;
    next_try = now() + come_back;
    if (first) changed();
    co_return false;
}

rt::Task<void> Keeper::Inside::to_memory() {
    co_await rt::pause();  // whoever told us goes on first
    // A disk that stumbles may be read a moment later, damage not.
    bool const with_less = failed->trouble == Trouble::corrupt || now() - failed_at >= patience;
    auto job = [limits = needs.options->limits, with_less](Outbox& current) {
        return go_to_memory(current, limits, with_less);
    };
    auto const taken = co_await needs.store.run(std::move(job));
    auto& state = keeper.state_;
    ++state.failures;
    if (!taken) {
        next_leave = now() + pause;
        co_return;
    }
    state.durable = false;
    state.why = std::exchange(failed, std::nullopt)->text;
    if (taken->missing) state.why += "; and of what was there not all could be read: " + taken->missing->text;
    next_try = now() + come_back;
    changed();
}

rt::Task<void> Keeper::Inside::prune() {
    next_prune = now() + housekeeping;
    while (!stopping && !failed) {
        auto job = [at = now_ms()](Outbox& outbox) { return outbox.prune(at); };
        auto const gone = co_await needs.store.run(std::move(job));
        if (!gone) keeper.trouble(gone.error());
        if (!gone || *gone < Outbox::most_in_one_call) break;
    }
}

Keeper::Keeper(KeeperNeeds needs) : inside_(std::make_unique<Inside>(std::move(needs), *this)) {
    state_.wanted = inside_->needs.options.has_value();
}

Keeper::~Keeper() = default;

rt::Task<void> Keeper::start() {
    auto& inside = *inside_;
    if (!std::exchange(inside.started, true)) inside.tasks.spawn(inside.keep());
    co_await inside.tried.wait();
}

void Keeper::trouble(OutboxError const& error) {
    auto& inside = *inside_;
    if (!state_.durable || inside.failed || !is_the_disks(error.trouble)) return;
    inside.failed = error;
    inside.failed_at = inside.next_leave = inside.now();
    inside.something.notify();
}

rt::Task<void> Keeper::stop() {
    auto& inside = *inside_;
    inside.stopping = true;
    inside.something.notify();
    co_await inside.tasks.join();
    inside.something.forget();
}

}  // namespace ocgate::notify
