// The end of an incident: answered, over, expired, or of no interest to anybody any more.
#include <algorithm>

#include "center_inside.hpp"

namespace ocgate::notify {
namespace {

bool holds_all(std::vector<std::string> const& names, std::vector<std::string> const& wanted) {
    return std::all_of(wanted.begin(), wanted.end(), [&](std::string const& one) {
        return std::find(names.begin(), names.end(), one) != names.end();
    });
}

}  // namespace

bool speaks_for(Handling const& one, Handling const& other) {
    bool const hands_up = other.escalate_after.count() > 0;
    bool const in_time = one.escalate_after.count() > 0 && one.escalate_after <= other.escalate_after;
    bool const as_loud = other.silent || !one.silent;
    bool const reminds = !one.reminders.empty() || other.reminders.empty();
    return holds_all(one.targets, other.targets) && as_loud && reminds &&
           (!hands_up || (in_time && holds_all(one.escalate_to, other.escalate_to)));
}

void Center::resolve(std::string_view key, std::string_view outcome, std::string_view by) {
    if (stopping_) return;
    auto* const active = find(key);
    if (!active) {
        // Perhaps of an earlier run, and not read yet.
        if (taking_ > 0 && ended_meanwhile_.size() < max_active) {
            Ended ended{std::string(outcome.empty() ? "over" : outcome), std::string(by)};
            ended_meanwhile_.insert_or_assign(std::string(key), std::move(ended));
        }
        return;
    }
    ++(active->open ? counts_.resolved : counts_.never_told);
    if (!active->open && !active->gathered && needs_.never_told) needs_.never_told(active->raised);
    finish(*active, IncidentState::resolved, std::string(outcome), std::string(by));
}

void Center::resolve_where(std::function<bool(Raised const&)> const& matches, std::string_view outcome) {
    std::vector<std::string> keys;
    for (auto const& [key, active] : active_) {
        if (matches(active->raised)) keys.push_back(key);
    }
    for (auto const& key : keys) resolve(key, outcome, {});
}

/// By what its route says of it.
void Center::suppress(Active& active) {
    auto reason = active.handling.suppressed;
    ++counts_.suppressed[reason];
    if (!active.open && needs_.never_told) needs_.never_told(active.raised);
    finish(active, IncidentState::suppressed, std::move(reason), {});
}

void Center::finish(Active& active, IncidentState state, std::string outcome, std::string by) {
    auto const key = active.raised.key;
    bool const led = active.open && active.told;
    active_.erase(key);  // `active` is gone
    if (taking_ > 0 && ended_meanwhile_.size() < max_active) ended_meanwhile_.try_emplace(key);
    write_end({.key = key, .state = state, .outcome = std::move(outcome), .by = std::move(by)});
    if (led) hand_on_soon();
}

void Center::write_end(Ending ending) {
    ending.able = needs_.courier.able();
    then([this, ending = std::move(ending)]() -> rt::Task<Kept<void>> {
        auto const at = now_ms();
        auto job = [ending, at](Outbox& outbox) { return outbox.end(ending, at); };
        auto change = co_await needs_.store.run(std::move(job));
        if (!change) co_return change.error();
        if (needs_.written) needs_.written(*change);
        for (auto const& target : ending.able) needs_.courier.wake(target);
        co_return Kept<void>{};
    });
}

/// Which may have spoken for others. A restart before their time finds them with nobody who speaks for them, and tells.
void Center::hand_on_soon() {
    if (stopping_) return hand_on();
    if (handing_on_.when() == rt::never) handing_on_.set(needs_.deadlines.now() + hand_on_after);
}

/// Whom nobody speaks for any more: the first of a subject speaks for itself now, and for those of the rest that it may
/// speak for; of what is left the first again.
void Center::hand_on() {
    std::vector<Active*> rest;
    for (auto const& [key, other] : active_) {
        if (!other->leader.empty() && !active_.contains(other->leader)) rest.push_back(other.get());
    }
    // As they were opened: a restart chooses in that order as well.
    std::stable_sort(rest.begin(), rest.end(), [](auto const* a, auto const* b) { return a->opened < b->opened; });
    std::vector<Active*> speakers;
    for (auto* const active : rest) {
        auto const found = std::find_if(speakers.begin(), speakers.end(), [&](auto const* speaker) {
            return speaker->raised.subject == active->raised.subject && speaks_for(speaker->handling, active->handling);
        });
        active->leader = found == speakers.end() ? std::string() : (*found)->raised.key;
        if (found == speakers.end()) speakers.push_back(active);
    }
    for (auto* const speaker : speakers) {
        speaker->opened = needs_.deadlines.now();
        publish(*speaker, waiting_with(*speaker), true);
        arm(*speaker);
    }
}

}  // namespace ocgate::notify
