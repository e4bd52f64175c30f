// What an earlier run left, and what other rules change for what is under way.
#include <algorithm>

#include "center_inside.hpp"

namespace ocgate::notify {

void Center::start() {
    ++taking_;
    then([this]() -> rt::Task<Kept<void>> {
        auto job = [](Outbox& outbox) { return outbox.unended(); };
        auto left = co_await needs_.store.run(std::move(job));
        if (left) take_up_all(*left);
        bool const over = left.has_value() || is_hopeless(left.error());
        if (over && --taking_ == 0) ended_meanwhile_.clear();
        if (!left) co_return left.error();
        co_return Kept<void>{};
    });
}

void Center::take_up_all(std::vector<Incident> const& left) {
    // A digest is written before what it tells of ends: what a crash left in between has been told.
    std::set<std::string> told;
    std::vector<Incident const*> order;
    order.reserve(left.size());
    for (auto const& incident : left) {
        order.push_back(&incident);
        if (incident.kind != "digest") continue;
        for (auto& key : told_in_digest(incident.facts)) told.insert(std::move(key));
    }
    // As they were opened, so that the same ones speak for the same others.
    std::stable_sort(order.begin(), order.end(),
                     [](auto const* a, auto const* b) { return a->opened_ms < b->opened_ms; });
    for (auto const* incident : order) {
        bool const ours = find(incident->key) != nullptr;
        if (incident->state == IncidentState::held && told.contains(incident->key) && !ours) {
            ++counts_.suppressed["digest"];
            write_end({.key = incident->key, .state = IncidentState::suppressed, .outcome = "digest"});
        } else {
            take_up(*incident);
        }
    }
}

void Center::take_up(Incident const& incident) {
    if (auto const ended = ended_meanwhile_.find(incident.key); ended != ended_meanwhile_.end()) {
        auto const& [outcome, by] = ended->second;
        if (outcome.empty()) return;
        ++(incident.state == IncidentState::open ? counts_.resolved : counts_.never_told);
        return write_end({.key = incident.key, .outcome = outcome, .by = by});
    }
    auto* active = find(incident.key);
    bool const open = incident.state == IncidentState::open;
    if (active && (active->open || active->gathered || !open)) return;
    if (!active) {
        if (active_.size() >= max_active) return refuse();  // whatever it holds: an earlier run has taken it
        Raised raised{incident.key, incident.kind, incident.subject, incident.weight, incident.facts};
        auto handling = handling_of(raised);
        active = &add(std::move(raised), std::move(handling));
    }
    if (needs_.taken_up) {
        auto const shared = active->shared;
        needs_.taken_up(*shared);
        active = find(incident.key);  // it may be known to be over
        if (!active) return;
    }
    auto& handling = active->handling;
    if (!handling.suppressed.empty()) return suppress(*active);
    if (open) return wait_on(*active, incident);
    // Quiet hours that ended while nobody ran: one voice in the morning all the same.
    bool const missed = is_marked_for_digest(incident.facts) && !handling.digest;
    if (missed && incident.weight != Weight::block) handling.digest = true;
    arm(*active);
}

void Center::wait_on(Active& active, Incident const& incident) {
    auto const now = needs_.deadlines.now();
    auto const age = std::max<std::int64_t>(0, now_ms() - incident.opened_ms);
    active.open = true;
    active.opened = now - std::chrono::milliseconds(age);
    // Reminders that were due while nobody ran are not made up for: one voice, not a chorus. Who is to hear of it when
    // others do not answer does hear of it: had they been told before, the outbox would know.
    auto const& reminders = active.handling.reminders;
    while (active.reminded < reminders.size() && active.opened + reminders[active.reminded] <= now) ++active.reminded;
    if (active.raised.weight != Weight::block) {
        active.told = true;
    } else if (auto const* const leader = leader_for(active)) {
        active.leader = leader->raised.key;
    } else {
        // Said before, mostly, and then the outbox knows. Not when the one that spoke for it had just ended.
        publish(active, 1, true);
    }
    arm(active);
}

void Center::route_again() {
    if (stopping_) return;
    std::vector<std::string> keys;
    keys.reserve(active_.size());
    for (auto const& [key, active] : active_) keys.push_back(key);
    for (auto const& key : keys) {
        auto* const active = find(key);
        if (active && !active->gathered) route_again(*active);
    }
}

void Center::route_again(Active& active) {
    auto handling = handling_of(active.raised);
    auto const now = needs_.deadlines.now();
    // A hold that lasts until a mute or the night is over is counted from now; one that has not changed goes on.
    if (handling.hold != active.handling.hold) active.held_from = now;
    bool const digest_is_due = !active.open && active.handling.digest && !handling.digest;
    active.handling = std::move(handling);
    if (!active.handling.suppressed.empty()) return suppress(active);
    if (active.open) return arm(active);
    if (digest_is_due) {  // it is not quiet any more, and still one voice is enough
        active.handling.digest = true;
        active.handling.hold = {};
        active.held_from = now;
    }
    begin(active);
}

}  // namespace ocgate::notify
