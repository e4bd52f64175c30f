#include "ocgate/notify/center.hpp"

#include <nlohmann/json.hpp>

namespace ocgate::notify {
namespace {

std::string_view name_of(Privacy privacy) noexcept {
    switch (privacy) {
        case Privacy::minimal:
            return "minimal";
        case Privacy::summary:
            return "summary";
        case Privacy::full:
            return "full";
    }
    return "minimal";
}

Privacy privacy_of(std::string_view name) noexcept {
    if (name == "full") return Privacy::full;
    return name == "summary" ? Privacy::summary : Privacy::minimal;
}

}  // namespace

/// An incident that has not ended, and what comes next of it.
struct Center::Active {
    Active(Center& center, Raised r, Handling h, rt::Instant now)
        : raised(std::move(r)),
          handling(std::move(h)),
          began(now),
          deadline(
              center.needs_.deadlines,
              [](void* self) {
                  auto& active = *static_cast<Active*>(self);
                  active.home.time_came(active);
              },
              this),
          home(center) {}

    Raised raised;
    Handling handling;
    rt::Instant began;     ///< raised
    rt::Instant opened{};  ///< with `open`
    bool open = false;
    bool told = false;   ///< deliveries of its own were enqueued
    std::string leader;  ///< told together with this one
    std::size_t reminded = 0;
    bool escalated = false;
    rt::Deadline deadline;
    Center& home;
};

Center::Center(CenterNeeds needs)
    : needs_(std::move(needs)),
      pause_(
          needs_.deadlines, [](void* self) { static_cast<Center*>(self)->paused_.notify(); }, this) {}

Center::~Center() = default;

std::int64_t Center::now_ms() const {
    using namespace std::chrono;
    return duration_cast<milliseconds>(needs_.wall().time_since_epoch()).count();
}

// ---- what is written, in order

void Center::then(Step step) {
    steps_.push_back(std::move(step));
    if (std::exchange(working_, true)) return;
    auto task = work(this);
    rt::spawn(needs_.executor, std::move(task), [this](std::exception_ptr const& error) {
        working_ = false;
        if (error && needs_.escaped) needs_.escaped(error);
        if (stopping_) stopped_.notify();
    });
}

rt::Task<void> Center::work(Center* self) {
    co_await rt::pause();  // who has something written goes on first
    while (!self->steps_.empty()) {
        auto const step = std::move(self->steps_.front());
        self->steps_.pop_front();
        for (;;) {
            auto const kept = co_await step();
            if (kept) break;
            auto const trouble = kept.error().trouble;
            ++self->counts_.store_trouble;
            if (self->needs_.trouble) self->needs_.trouble(kept.error());
            // A full table or a text too long does not get better by waiting; a disk does.
            bool const hopeless = trouble == Trouble::invalid || trouble == Trouble::full ||
                                  trouble == Trouble::unknown || trouble == Trouble::newer;
            if (hopeless || self->stopping_) break;
            self->pausing_ = true;
            self->paused_.forget();
            self->pause_.set(self->needs_.deadlines.now() + store_pause);
            co_await self->paused_.wait();
            self->pausing_ = false;
        }
    }
}

rt::Task<void> Center::stop() {
    stopping_ = true;
    for (auto& [key, active] : active_) active->deadline.set(rt::never);
    if (pausing_) paused_.notify();
    while (working_) co_await stopped_.wait();
    pause_.set(rt::never);
}

// ---- beginnings

void Center::start() {
    then([this]() -> rt::Task<Kept<void>> {
        auto job = [](Outbox& outbox) { return outbox.unended(); };
        auto left = co_await needs_.store.run(std::move(job));
        if (!left) co_return left.error();
        for (auto const& incident : *left) take_up(incident);
        co_return Kept<void>{};
    });
}

void Center::take_up(Incident const& incident) {
    if (active_.contains(incident.key)) return;
    Raised raised{incident.key, incident.kind, incident.subject, incident.weight, incident.facts};
    auto const now = needs_.deadlines.now();
    auto* const active = add(std::move(raised), now);
    if (!active) return;
    if (incident.state == IncidentState::open) {
        auto const age = std::max<std::int64_t>(0, now_ms() - incident.opened_ms);
        active->open = active->told = true;
        active->opened = now - std::chrono::milliseconds(age);
        // What was due while nobody ran is not made up for: one voice, not a chorus.
        auto const& reminders = active->handling.reminders;
        while (active->reminded < reminders.size() && active->opened + reminders[active->reminded] <= now) {
            ++active->reminded;
        }
        auto const escalate_after = active->handling.escalate_after;
        active->escalated = escalate_after.count() > 0 && active->opened + escalate_after <= now;
    }
    arm(*active);
}

Center::Active* Center::add(Raised raised, rt::Instant now) {
    if (active_.size() >= max_active) {
        ++counts_.refused;
        return nullptr;
    }
    auto handling = needs_.route(raised);
    auto key = raised.key;
    auto active = std::make_unique<Active>(*this, std::move(raised), std::move(handling), now);
    auto* const added = active.get();
    active_.emplace(std::move(key), std::move(active));
    return added;
}

void Center::raise(Raised raised) {
    if (stopping_) return;
    if (active_.contains(raised.key)) {
        ++counts_.known;
        return;
    }
    auto* const active = add(std::move(raised), needs_.deadlines.now());
    if (!active) return;
    ++counts_.raised;
    auto const& what = active->raised;
    NewIncident incident{what.key, what.kind, what.subject, what.weight, what.facts};
    then([this, incident = std::move(incident)]() -> rt::Task<Kept<void>> {
        auto const at = now_ms();
        auto job = [incident, at](Outbox& outbox) { return outbox.raise(incident, at); };
        auto change = co_await needs_.store.run(std::move(job));
        if (!change) co_return change.error();
        // Told and ended in an earlier life: that was it.
        bool const over = change->state != IncidentState::held && change->state != IncidentState::open;
        if (over) {
            ++counts_.known;
            active_.erase(incident.key);
        }
        co_return Kept<void>{};
    });
    if (!what.key.empty() && !active->handling.suppressed.empty()) {
        ++counts_.suppressed;
        return finish(*active, IncidentState::suppressed, active->handling.suppressed, {});
    }
    if (active->handling.hold.count() <= 0) return open(*active);
    arm(*active);
}

// ---- what comes next

void Center::arm(Active& active) {
    auto const& handling = active.handling;
    if (!active.open) return active.deadline.set(active.began + handling.hold);
    auto next = rt::never;
    auto const at = [&](rt::Duration after) { next = std::min(next, active.opened + after); };
    if (active.told && active.reminded < handling.reminders.size()) at(handling.reminders[active.reminded]);
    if (active.told && !active.escalated && handling.escalate_after.count() > 0) at(handling.escalate_after);
    if (handling.expires.count() > 0) at(handling.expires);
    active.deadline.set(next);
}

void Center::time_came(Active& active) {
    if (stopping_) return;
    if (!active.open) return open(active);
    auto const& handling = active.handling;
    auto const open_for = needs_.deadlines.now() - active.opened;
    if (handling.expires.count() > 0 && open_for >= handling.expires) {
        ++counts_.expired;
        return finish(active, IncidentState::expired, "expired", {});
    }
    if (active.reminded < handling.reminders.size() && open_for >= handling.reminders[active.reminded]) remind(active);
    if (!active.escalated && handling.escalate_after.count() > 0 && open_for >= handling.escalate_after) {
        escalate(active);
    }
    arm(active);
}

std::size_t Center::waiting_with(Active const& leader) const {
    std::size_t waiting = 1;
    for (auto const& [key, other] : active_) waiting += other->leader == leader.raised.key ? 1 : 0;
    return waiting;
}

void Center::open(Active& active) {
    auto const now = needs_.deadlines.now();
    active.open = true;
    active.opened = now;
    ++counts_.opened;
    if (active.raised.weight == Weight::block) {
        for (auto const& [key, other] : active_) {
            bool const leads = other.get() != &active && other->open && other->told &&
                               other->raised.weight == Weight::block &&
                               other->raised.subject == active.raised.subject && now - other->opened < together;
            if (!leads) continue;
            active.leader = key;
            ++counts_.joined;
            publish(*other, waiting_with(*other));
            break;
        }
    }
    publish(active, active.leader.empty() ? 1 : 0);
    arm(active);
}

std::string Center::payload(Active const& active, bool escalated, std::size_t waiting) const {
    nlohmann::json const document{{"privacy", name_of(active.handling.privacy)},
                                  {"priority", active.handling.priority},
                                  {"silent", active.handling.silent},
                                  {"escalated", escalated},
                                  {"waiting", waiting}};
    return document.dump();
}

/// `waiting` 0: it is open, and another one speaks for it. More than one: what was said before is said anew.
void Center::publish(Active& active, std::size_t waiting) {
    std::vector<NewDelivery> deliveries;
    if (waiting > 0) {
        auto const action = active.told ? Action::update : Action::publish;
        std::vector<std::string> targets;
        for (auto const& target : active.handling.targets) {
            targets.push_back(target);
            if (active.raised.weight != Weight::block) continue;
            for (auto& other : needs_.courier.instead_of(target)) targets.push_back(std::move(other));
        }
        for (auto const& target : targets) {
            auto dedupe = active.raised.key + "/" + std::string(to_string(action)) + "/" + target;
            if (action == Action::update) dedupe += "/" + std::to_string(waiting);
            deliveries.push_back({.dedupe = std::move(dedupe),
                                  .target = target,
                                  .action = action,
                                  .payload = payload(active, false, waiting)});
        }
        active.told = true;
    }
    auto const began = std::max(active.began + active.handling.hold, active.began);
    then([this, key = active.raised.key, deliveries = std::move(deliveries), began]() -> rt::Task<Kept<void>> {
        auto const at = now_ms();
        auto job = [key, deliveries, at](Outbox& outbox) { return outbox.open(key, deliveries, at); };
        auto change = co_await needs_.store.run(std::move(job));
        if (!change) co_return change.error();
        if (change->enqueued > 0 && needs_.accepted) needs_.accepted(needs_.deadlines.now() - began);
        for (auto const& delivery : deliveries) needs_.courier.wake(delivery.target);
        co_return Kept<void>{};
    });
}

/// Further deliveries of what is open.
void Center::enqueue(Active const& active, std::vector<NewDelivery> deliveries) {
    then([this, key = active.raised.key, deliveries = std::move(deliveries)]() -> rt::Task<Kept<void>> {
        auto const at = now_ms();
        auto job = [key, deliveries, at](Outbox& outbox) { return outbox.enqueue(key, deliveries, std::nullopt, at); };
        auto change = co_await needs_.store.run(std::move(job));
        if (!change) co_return change.error();
        for (auto const& delivery : deliveries) needs_.courier.wake(delivery.target);
        co_return Kept<void>{};
    });
}

void Center::remind(Active& active) {
    ++active.reminded;
    ++counts_.reminders;
    std::vector<NewDelivery> deliveries;
    for (auto const& target : active.handling.targets) {
        deliveries.push_back({.dedupe = active.raised.key + "/remind/" + target + "/" + std::to_string(active.reminded),
                              .target = target,
                              .action = Action::remind,
                              .payload = payload(active, false, waiting_with(active))});
    }
    enqueue(active, std::move(deliveries));
}

void Center::escalate(Active& active) {
    active.escalated = true;
    ++counts_.escalations;
    std::vector<NewDelivery> deliveries;
    for (auto const& target : active.handling.escalate_to) {
        deliveries.push_back({.dedupe = active.raised.key + "/escalate/" + target,
                              .target = target,
                              .action = Action::publish,
                              .payload = payload(active, true, waiting_with(active))});
    }
    enqueue(active, std::move(deliveries));
}

// ---- endings

bool Center::active(std::string_view key) const { return active_.find(key) != active_.end(); }

std::vector<std::string> Center::subjects_of(std::string_view kind) const {
    std::set<std::string> subjects;
    for (auto const& [key, active] : active_) {
        if (active->raised.kind == kind) subjects.insert(active->raised.subject);
    }
    return {subjects.begin(), subjects.end()};
}

void Center::resolve(std::string_view key, std::string_view outcome, std::string_view by) {
    auto const found = active_.find(key);
    if (found == active_.end() || stopping_) return;
    ++(found->second->open ? counts_.resolved : counts_.never_told);
    finish(*found->second, IncidentState::resolved, std::string(outcome), std::string(by));
}

void Center::resolve_where(std::function<bool(Raised const&)> const& matches, std::string_view outcome) {
    std::vector<std::string> keys;
    for (auto const& [key, active] : active_) {
        if (matches(active->raised)) keys.push_back(key);
    }
    for (auto const& key : keys) resolve(key, outcome, {});
}

void Center::finish(Active& active, IncidentState state, std::string outcome, std::string by) {
    auto const key = active.raised.key;
    bool const led = active.open && active.told;
    active_.erase(key);  // `active` is gone
    Ending ending{.key = key, .state = state, .outcome = std::move(outcome), .by = std::move(by)};
    ending.able = needs_.courier.able();
    then([this, ending = std::move(ending)]() -> rt::Task<Kept<void>> {
        auto const at = now_ms();
        auto job = [ending, at](Outbox& outbox) { return outbox.end(ending, at); };
        auto change = co_await needs_.store.run(std::move(job));
        if (!change) co_return change.error();
        for (auto const& target : ending.able) needs_.courier.wake(target);
        co_return Kept<void>{};
    });
    if (!led) return;
    // It spoke for others: the first of them speaks for itself now, and for the rest.
    Active* next = nullptr;
    for (auto const& [other_key, other] : active_) {
        if (other->leader != key) continue;
        if (!next) {
            next = other.get();
            next->leader.clear();
        } else {
            other->leader = next->raised.key;
        }
    }
    if (!next) return;
    next->opened = needs_.deadlines.now();
    publish(*next, waiting_with(*next));
    arm(*next);
}

// ---- what a delivery says

std::optional<Letter> Center::compose(Due const& due) {
    auto facts = nlohmann::json::parse(due.incident.facts, nullptr, false);
    auto const how = nlohmann::json::parse(due.payload.empty() ? "{}" : due.payload, nullptr, false);
    if (!facts.is_object() || !how.is_object()) return std::nullopt;
    auto const number = [&](char const* name, std::int64_t otherwise) {
        auto const found = how.find(name);
        return found != how.end() && found->is_number_integer() ? found->get<std::int64_t>() : otherwise;
    };
    auto const flag = [&](char const* name) {
        auto const found = how.find(name);
        return found != how.end() && found->is_boolean() && found->get<bool>();
    };
    auto const privacy = how.find("privacy");
    if (auto const waiting = number("waiting", 1); waiting > 1) facts["waiting"] = waiting;
    facts["event"] = due.incident.kind;
    facts["incident"] = due.incident.key;
    if (!facts.contains("at_ms")) facts["at_ms"] = due.incident.raised_ms;

    Letter letter;
    letter.message = notify::compose(facts, privacy != how.end() && privacy->is_string()
                                                ? privacy_of(privacy->get_ref<std::string const&>())
                                                : Privacy::minimal);
    letter.message.incident_key = due.incident.key;
    letter.message.blocks = due.incident.weight == Weight::block;
    letter.message.priority = static_cast<int>(std::clamp<std::int64_t>(number("priority", 3), 1, 5));
    letter.message.silent = flag("silent");
    letter.message.escalated = flag("escalated");
    letter.resolution = {.outcome = due.incident.outcome, .by = due.incident.by, .at_ms = due.incident.ended_ms};
    return letter;
}

}  // namespace ocgate::notify
