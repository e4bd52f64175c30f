#include <algorithm>

#include "center_inside.hpp"

namespace ocgate::notify {

Center::Center(CenterNeeds needs)
    : needs_(std::move(needs)),
      pause_(
          needs_.deadlines, [](void* self) { static_cast<Center*>(self)->paused_.notify(); }, this),
      handing_on_(
          needs_.deadlines, [](void* self) { static_cast<Center*>(self)->hand_on(); }, this) {}

Center::~Center() = default;

std::int64_t Center::now_ms() const {
    using namespace std::chrono;
    return duration_cast<milliseconds>(needs_.wall().time_since_epoch()).count();
}

// ---- what is written, in order

void Center::then(Step step, std::size_t bytes) {
    steps_.push_back({std::move(step), Weighed(held_bytes_, apiece + bytes)});
    if (std::exchange(working_, true)) return;
    try {
        auto task = work(this);
        rt::spawn(needs_.executor, std::move(task), [this](std::exception_ptr const& error) {
            working_ = false;
            if (error && needs_.escaped) needs_.escaped(error);
            if (stopping_) stopped_.notify();
        });
    } catch (...) {
        working_ = false;  // the step goes with the next one
        throw;
    }
}

rt::Task<void> Center::work(Center* self) {
    co_await rt::pause();  // who has something written goes on first
    while (!self->steps_.empty()) {
        if (self->stopping_ && self->needs_.deadlines.now() >= self->stop_by_) co_return self->leave();
        auto const next = std::move(self->steps_.front());
        self->steps_.pop_front();
        for (;;) {
            auto const kept = co_await next.step();
            if (kept) break;
            ++self->counts_.store_trouble;
            if (self->needs_.trouble) self->needs_.trouble(kept.error());
            // At the end twice more: memory may be taking over from the disk just now.
            if (is_hopeless(kept.error()) || (self->stopping_ && ++self->last_tries_ > most_last_tries)) break;
            self->pausing_ = true;
            self->paused_.forget();
            self->pause_.set(self->needs_.deadlines.now() + store_pause);
            co_await self->paused_.wait();
            self->pausing_ = false;
        }
    }
    self->refusing_ = false;
}

void Center::leave() {
    auto const left = std::exchange(steps_, {}).size();
    ++counts_.store_trouble;
    if (!needs_.trouble) return;
    needs_.trouble({Trouble::busy, "the time to stop is over: " + std::to_string(left) +
                                       " changes of incidents are not written, the next start asks opencode anew"});
}

rt::Task<void> Center::stop(rt::Instant until) {
    if (handing_on_.when() != rt::never) hand_on();
    handing_on_.set(rt::never);
    stopping_ = true;
    stop_by_ = until;
    for (auto& [key, active] : active_) active->deadline.set(rt::never);
    if (pausing_) paused_.notify();
    while (working_) co_await stopped_.wait();
    pause_.set(rt::never);
}

// ---- beginnings

Center::Active* Center::find(std::string_view key) const {
    auto const found = active_.find(key);
    return found == active_.end() ? nullptr : found->second.get();
}

Handling Center::handling_of(Raised const& raised) const {
    auto handling = needs_.route(raised);
    // A block does not wait for others of its sort, and a digest is put into none.
    if (raised.weight == Weight::block || raised.kind == "digest") handling.digest = false;
    return handling;
}

Center::Active& Center::add(Raised raised, Handling handling) {
    auto shared = std::make_shared<Raised const>(std::move(raised));
    auto active = std::make_unique<Active>(*this, std::move(shared), std::move(handling), needs_.deadlines.now());
    auto const& key = active->raised.key;
    return *active_.emplace(key, std::move(active)).first->second;
}

void Center::refuse() {
    ++counts_.refused;
    if (std::exchange(refusing_, true) || !needs_.trouble) return;
    needs_.trouble({Trouble::full,
                    "too much has happened that has not ended or is not written yet: until it is, nobody is told of "
                    "what happens now"});
}

void Center::raise(Raised raised) {
    if (stopping_) return;
    if (active_.contains(raised.key)) {
        ++counts_.known;
        return;
    }
    if (raised.subject.empty()) raised.subject = raised.kind;  // the outbox wants a name
    if (active_.size() >= max_active) return refuse();
    auto handling = handling_of(raised);
    // Itself, the step that writes it and the one that opens it.
    auto const needed = 3 * (apiece + raised.facts.size()) + 2 * handling.targets.size() * per_target;
    if (held_bytes_ + needed > max_held_bytes) return refuse();
    if (handling.digest) raised.facts = marked_for_digest(raised.facts);
    auto& active = add(std::move(raised), std::move(handling));
    ++counts_.raised;
    auto step = [this, what = active.shared]() -> rt::Task<Kept<void>> {
        auto const at = now_ms();
        auto job = [what, at](Outbox& outbox) { return outbox.raise(incident_of(*what), at); };
        auto change = co_await needs_.store.run(std::move(job));
        if (!change) co_return change.error();
        // Told and ended in an earlier life: that was it.
        bool const over = change->state != IncidentState::held && change->state != IncidentState::open;
        if (over) {
            ++counts_.known;
            auto const* const known = find(what->key);
            bool const led = known && known->open && known->told;
            active_.erase(what->key);
            if (led) hand_on_soon();  // it was opened before this was known, and may speak for others already
        }
        co_return Kept<void>{};
    };
    then(std::move(step), active.raised.facts.size());
    begin(active);
}

void Center::begin(Active& active) {
    if (!active.handling.suppressed.empty()) return suppress(active);
    if (active.handling.hold.count() <= 0 && !active.handling.digest) return open(active);
    arm(active);
}

// ---- what comes next

void Center::arm(Active& active) {
    if (stopping_) return;
    if (active.gathered) return active.deadline.set(rt::never);
    if (!active.open) return active.deadline.set(active.hold_end());
    auto const& handling = active.handling;
    auto next = rt::never;
    if (active.reminds()) next = std::min(next, active.due(handling.reminders[active.reminded]));
    if (active.hands_up()) next = std::min(next, active.due(handling.escalate_after));
    if (handling.expires.count() > 0) next = std::min(next, active.opened + handling.expires);
    active.deadline.set(next);
}

void Center::time_came(Active& active) {
    if (stopping_ || active.gathered) return;
    auto const& handling = active.handling;
    if (!active.open) return handling.digest ? tell_digest(active) : open(active);
    auto const now = needs_.deadlines.now();
    if (handling.expires.count() > 0 && now - active.opened >= handling.expires) {
        ++counts_.expired;
        return finish(active, IncidentState::expired, "expired", {});
    }
    if (active.reminds() && now >= active.due(handling.reminders[active.reminded])) remind(active);
    if (active.hands_up() && now >= active.due(handling.escalate_after)) escalate(active);
    arm(active);
}

std::size_t Center::waiting_with(Active const& leader) const {
    std::size_t waiting = 1;
    for (auto const& [key, other] : active_) waiting += other->leader == leader.raised.key ? 1 : 0;
    return waiting;
}

/// The block that speaks for this one: of the same subject, told a little earlier, and to whoever is to hear of this
/// one.
Center::Active* Center::leader_for(Active const& active) const {
    if (active.raised.weight != Weight::block) return nullptr;
    Active* first = nullptr;  // of several the one that was opened first, as `hand_on` has it
    for (auto const& [key, other] : active_) {
        bool const leads = other.get() != &active && other->open && other->told &&
                           other->raised.weight == Weight::block && other->raised.subject == active.raised.subject &&
                           speaks_for(other->handling, active.handling);
        auto const later = active.opened - other->opened;
        if (!leads || later < rt::Duration::zero() || later >= together) continue;
        if (!first || other->opened < first->opened) first = other.get();
    }
    return first;
}

void Center::open(Active& active) {
    active.open = true;
    active.opened = needs_.deadlines.now();
    ++counts_.opened;
    if (auto* const leader = leader_for(active)) {
        active.leader = leader->raised.key;
        ++counts_.joined;
        publish(*leader, waiting_with(*leader), true);
    }
    publish(active, active.leader.empty() ? 1 : 0, false);
    arm(active);
}

/// Of what is said later than it was routed, the hour decides as well.
bool Center::silent_now(Active const& active) const {
    return active.handling.silent || (needs_.quiet && needs_.quiet());
}

/// `waiting` 0: it is open, and another one speaks for it. More than one: what was said before is said anew. `later`:
/// not for the first time, or not when it was opened.
void Center::publish(Active& active, std::size_t waiting, bool later) {
    std::vector<NewDelivery> deliveries;
    if (waiting > 0) {
        auto const action = active.told ? Action::update : Action::publish;
        bool const silent = later ? silent_now(active) : active.handling.silent;
        for (auto const& target : active.handling.targets) {
            auto dedupe = active.raised.key + "/" + std::string(to_string(action)) + "/" + target;
            // Several may come within a millisecond, and the last one counts all of them.
            if (action == Action::update) {
                dedupe += "/" + std::to_string(now_ms()) + "/" + std::to_string(waiting);
            }
            deliveries.push_back({.dedupe = std::move(dedupe),
                                  .target = target,
                                  .action = action,
                                  .payload = payload(active, false, waiting, silent)});
        }
        active.told = true;
    }
    auto const began = std::max(active.hold_end(), active.began);
    bool const measured = !later;
    auto const weight = active.raised.facts.size() + deliveries.size() * per_target;
    auto step = [this, what = active.shared, wanted = std::move(deliveries), began,
                 measured]() -> rt::Task<Kept<void>> {
        auto const at = now_ms();
        auto const all = with_stand_ins(wanted, what->weight);
        auto job = [what, all, at](Outbox& outbox) -> Kept<Change> {
            // Known already, unless memory had to take over from a disk that could not even be read.
            if (auto raised = outbox.raise(incident_of(*what), at); !raised) return raised;
            return outbox.open(what->key, all, at);
        };
        auto change = co_await needs_.store.run(std::move(job));
        if (!change) co_return change.error();
        if (measured && change->enqueued > 0 && needs_.accepted) needs_.accepted(needs_.deadlines.now() - began);
        if (needs_.written) needs_.written(*change);
        for (auto const& delivery : all) needs_.courier.wake(delivery.target);
        co_return Kept<void>{};
    };
    then(std::move(step), weight);
}

/// And whoever is told of a block in the place of those that are down at this moment, under the name that
/// `diverted_name` gives, so that nobody is told twice.
std::vector<NewDelivery> Center::with_stand_ins(std::vector<NewDelivery> const& wanted, Weight weight) const {
    auto all = wanted;
    if (weight != Weight::block) return all;
    for (auto const& delivery : wanted) {
        for (auto& other : needs_.courier.instead_of(delivery.target)) {
            auto copy = delivery;
            copy.dedupe = diverted_name(delivery.dedupe, delivery.target, other);
            copy.target = std::move(other);
            auto const same = [&](NewDelivery const& one) { return one.dedupe == copy.dedupe; };
            if (std::none_of(all.begin(), all.end(), same)) all.push_back(std::move(copy));
        }
    }
    return all;
}

/// Further deliveries of what is open.
void Center::enqueue(Active const& active, std::vector<NewDelivery> deliveries) {
    auto const weight = deliveries.size() * per_target;
    auto step = [this, key = active.raised.key, deliveries = std::move(deliveries)]() -> rt::Task<Kept<void>> {
        auto const at = now_ms();
        auto job = [key, deliveries, at](Outbox& outbox) { return outbox.enqueue(key, deliveries, std::nullopt, at); };
        auto change = co_await needs_.store.run(std::move(job));
        if (!change) co_return change.error();
        if (needs_.written) needs_.written(*change);
        for (auto const& delivery : deliveries) needs_.courier.wake(delivery.target);
        co_return Kept<void>{};
    };
    then(std::move(step), weight);
}

void Center::remind(Active& active) {
    ++active.reminded;
    ++counts_.reminders;
    std::vector<NewDelivery> deliveries;
    for (auto const& target : active.handling.targets) {
        deliveries.push_back({.dedupe = active.raised.key + "/remind/" + target + "/" + std::to_string(active.reminded),
                              .target = target,
                              .action = Action::remind,
                              .payload = payload(active, false, waiting_with(active), silent_now(active))});
    }
    enqueue(active, std::move(deliveries));
    // What a mute held back is said once, not once for each that was missed.
    auto const& reminders = active.handling.reminders;
    auto const now = needs_.deadlines.now();
    while (active.reminded < reminders.size() && active.due(reminders[active.reminded]) <= now) ++active.reminded;
}

void Center::escalate(Active& active) {
    active.escalated = true;
    ++counts_.escalations;
    std::vector<NewDelivery> deliveries;
    for (auto const& target : active.handling.escalate_to) {
        deliveries.push_back({.dedupe = active.raised.key + "/escalate/" + target,
                              .target = target,
                              .action = Action::publish,
                              .payload = payload(active, true, waiting_with(active), silent_now(active))});
    }
    enqueue(active, std::move(deliveries));
}

// ---- what is read

bool Center::active(std::string_view key) const { return find(key) != nullptr; }

std::vector<std::string> Center::subjects_of(std::string_view kind) const {
    std::set<std::string> subjects;
    for (auto const& [key, active] : active_) {
        if (active->raised.kind == kind) subjects.insert(active->raised.subject);
    }
    return {subjects.begin(), subjects.end()};
}

std::vector<ActiveView> Center::list(std::size_t most) const {
    std::vector<Active const*> all;
    all.reserve(active_.size());
    for (auto const& [key, active] : active_) all.push_back(active.get());
    auto const since = [](Active const& active) { return active.open ? active.opened : active.began; };
    std::stable_sort(all.begin(), all.end(), [&](auto const* a, auto const* b) { return since(*a) < since(*b); });
    all.resize(std::min({all.size(), most, max_listed}));
    std::vector<ActiveView> views;
    views.reserve(all.size());
    for (auto const* active : all) {
        views.push_back({.key = active->raised.key,
                         .kind = active->raised.kind,
                         .subject = active->raised.subject,
                         .targets = active->handling.targets,
                         .open = active->open,
                         .digest = !active->open && active->handling.digest,
                         .leader = active->leader,
                         .since = since(*active),
                         .next = active->deadline.when(),
                         .reminded = active->reminded,
                         .escalated = active->escalated});
    }
    return views;
}

}  // namespace ocgate::notify
