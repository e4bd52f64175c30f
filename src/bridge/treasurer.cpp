#include "ocgate/bridge/treasurer.hpp"

#include <algorithm>

namespace ocgate::bridge {
namespace {

constexpr std::string_view note_name = "purse";
/// Between two looks at the calendar: the wall's clock may be set.
constexpr rt::Duration longest_look = std::chrono::hours(1);

}  // namespace

Treasurer::Treasurer(TreasurerNeeds needs, PurseRules rules)
    : needs_(std::move(needs)),
      purse_(std::move(rules)),
      tasks_(needs_.executor, needs_.escaped),
      note_alarm_(
          needs_.deadlines, [](void* self) { static_cast<Treasurer*>(self)->write(); }, this),
      read_alarm_(
          needs_.deadlines, [](void* self) { static_cast<Treasurer*>(self)->read(); }, this),
      day_alarm_(
          needs_.deadlines, [](void* self) { static_cast<Treasurer*>(self)->look(); }, this) {}

Treasurer::~Treasurer() = default;

void Treasurer::start() {
    if (!needs_.on_disk) {
        known_ = true;
        settle({});
    }
    look();
}

void Treasurer::configure(PurseRules rules) {
    purse_.adopt(std::move(rules));
    look();
}

// ---- the note

void Treasurer::kept(notify::KeeperState const& state) {
    if (known_ || stopping_) return;
    if (state.durable) {
        was_on_disk_ = true;
        read();
    } else if (!was_on_disk_) {
        settle({});  // it may come yet: what is counted until then is added to it
    }
}

void Treasurer::read() {
    if (!known_ && !stopping_) tasks_.spawn(recall());
}

rt::Task<void> Treasurer::recall() {
    auto job = [](notify::Outbox& outbox) { return outbox.recall(note_name); };
    auto const note = co_await needs_.store.run(std::move(job));
    if (known_ || stopping_) co_return;
    if (!note) {
        if (needs_.trouble) needs_.trouble(note.error());
        read_alarm_.set(needs_.deadlines.now() + pace);
        co_return settle({});
    }
    known_ = true;
    Purse::Left left;
    auto const wall = needs_.wall();
    if (*note) left = purse_.restore(**note, wall).value_or(Purse::Left{});
    // The clock was set back since, and nobody knows how long we were away: what was counted is known by its name.
    if (left.heard_until && *left.heard_until > wall) left.heard_until = wall - longest_look;
    noted_until_ = left.heard_until;
    settle(left);
    if (dirty_) changed();
}

void Treasurer::settle(Purse::Left const& left) {
    look();
    if (std::exchange(ready_, true)) return;
    if (needs_.ready) needs_.ready(left);
}

/// Written a second later: what is told of it is in the outbox before it is noted as told.
void Treasurer::changed() {
    if (!std::exchange(dirty_, true)) dirty_since_ = needs_.deadlines.now();
    bool const waits = note_alarm_.when() != rt::never;
    if (needs_.on_disk && known_ && !stopping_ && !writing_ && !waits) note_alarm_.set(needs_.deadlines.now() + pace);
}

/// Whether steps come that ended before what was heard last, and more of them may come.
bool Treasurer::is_behind(std::optional<Purse::Time> heard_until) const {
    if (!counted_ || needs_.deadlines.now() - dirty_since_ >= patience) return false;
    if (noted_until_ && *noted_until_ > needs_.wall() + progress) return false;  // the clock was set back
    return !heard_until || (noted_until_ && *heard_until < *noted_until_ + progress);
}

void Treasurer::write() {
    if (stopping_ || writing_) return;
    if (is_behind(needs_.heard_until())) {
        note_alarm_.set(needs_.deadlines.now() + pace);
    } else {
        tasks_.spawn(remember());
    }
}

rt::Task<void> Treasurer::remember() {
    writing_ = true;
    dirty_ = false;
    bool const counted = std::exchange(counted_, false);
    auto const heard = needs_.heard_until();
    auto const until = heard ? heard : noted_until_;
    auto job = [note = purse_.note(until)](notify::Outbox& outbox) { return outbox.remember(note_name, note); };
    auto const kept = co_await needs_.store.run(std::move(job));
    writing_ = false;
    if (kept) {
        noted_until_ = until;
        noted_ = needs_.deadlines.now();
    } else {
        counted_ |= counted;
        if (needs_.trouble) needs_.trouble(kept.error());
    }
    if (!kept || dirty_) changed();
}

rt::Task<void> Treasurer::stop() {
    stopping_ = true;
    note_alarm_.set(rt::never);
    read_alarm_.set(rt::never);
    day_alarm_.set(rt::never);
    co_await tasks_.join();
    if (dirty_ && needs_.on_disk && known_ && !is_behind(needs_.heard_until())) co_await remember();
}

// ---- what is heard

void Treasurer::heard() {
    if (noted_ == rt::Instant::min() || needs_.deadlines.now() - noted_ >= freshness) changed();
}

void Treasurer::spent(opencode::StepInfo const& step) {
    Purse::Time const ended{std::chrono::milliseconds(step.completed_ms)};
    if (!purse_.count(step.message, step.usage.cost, ended, needs_.wall())) return;
    counted_ = true;
    look();
    changed();
}

/// What the sums come to now.
void Treasurer::look() {
    auto const wall = needs_.wall();
    for (auto const& crossed : purse_.crossed(wall)) {
        if (needs_.crossed) needs_.crossed(crossed);
        changed();
    }
    if (auto blocked = purse_.blocked(wall); blocked != blocked_) {
        blocked_ = blocked;
        if (needs_.blocked) needs_.blocked(blocked_);
    }
    if (stopping_) return;
    auto const left = std::chrono::duration_cast<rt::Duration>(purse_.end_of_day(wall) - wall);
    day_alarm_.set(needs_.deadlines.now() + std::clamp<rt::Duration>(left, pace, longest_look));
}

}  // namespace ocgate::bridge
