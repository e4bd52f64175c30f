#include "ocgate/notify/courier.hpp"

#include <algorithm>

#include "courier_inside.hpp"

namespace ocgate::notify {
namespace {

/// What two clocks may drift apart between two looks.
constexpr std::chrono::milliseconds clock_tolerance = std::chrono::seconds(5);

}  // namespace

Courier::Inside::Inside(CourierNeeds n, CourierRules r, std::vector<CourierTarget> targets)
    : needs(std::move(n)), rules(r), tasks(needs.executor, needs.escaped) {
    for (auto& target : targets) lanes.push_back(std::make_unique<Lane>(std::move(target), needs, rules));
}

std::int64_t Courier::Inside::wall_ms(rt::Duration ahead) const {
    using namespace std::chrono;
    return duration_cast<milliseconds>(needs.wall().time_since_epoch()).count() + ceil<milliseconds>(ahead).count();
}

Lane* Courier::Inside::find(std::string_view name) const {
    auto const found = std::find_if(lanes.begin(), lanes.end(), [&](auto const& l) { return l->target.name == name; });
    return found == lanes.end() ? nullptr : found->get();
}

/// Nobody else delivers: what is leased was leased by a process that is gone.
rt::Task<void> Courier::Inside::begin() {
    auto release = [](Outbox& outbox) { return outbox.release_leases(); };
    co_await insist(nullptr, release);
    auto ask = [](Outbox& outbox) { return outbox.disabled(); };
    auto const disabled = co_await insist(nullptr, ask);
    if (!disabled) co_return;  // stopping
    for (auto const& one : *disabled) {
        auto* const lane = find(one.target);
        if (!lane) continue;
        lane->disabled = one.why.empty() ? "disabled" : one.why;
        if (one.mark == lane->target.mark) continue;
        auto enable = [target = one.target, at = wall_ms()](Outbox& outbox) { return outbox.enable(target, at); };
        auto const enabled = co_await insist(nullptr, std::move(enable));
        if (enabled) lane->disabled.clear();
    }
    // A disabled target leases nothing, and that is where what was under way for incidents that ended since is dropped.
    for (auto const& lane : lanes) {
        if (lane->disabled.empty()) continue;
        auto drop = [target = lane->target.name, at = wall_ms()](Outbox& outbox) {
            return outbox.lease(target, 0, at, at, {});
        };
        auto const left = co_await insist(nullptr, drop);
        if (left) lane->counts.ended += left->dropped.size();
    }
    if (stopping) co_return;
    for (auto const& lane : lanes) tasks.spawn(pump(*lane));
}

/// A lane's life: looks what can be done, does it, rests until something may have changed.
rt::Task<void> Courier::Inside::pump(Lane& lane) {
    while (!stopping) {
        auto next = now() + rules.store_pause;
        try {
            next = co_await step(lane);
        } catch (...) {
            if (needs.escaped) needs.escaped(std::current_exception());
        }
        if (stopping) break;
        if (next <= now()) continue;
        lane.alarm.set(next);
        co_await lane.wake.wait();
        lane.alarm.set(rt::never);
    }
}

bool Courier::Inside::down(Lane const& lane, rt::Instant now) const {
    if (!lane.disabled.empty() || lane.paused_until - now > rules.fallback_after) return true;
    auto const since = lane.breaker.open_since();
    return since && now - *since >= rules.fallback_after;
}

/// Who is told in its place: those it names and, where one of these is down as well, those that that one names.
std::vector<std::string> Courier::Inside::stand_ins(Lane const& lane) const {
    auto names = lane.target.fallback;
    for (std::size_t i = 0; i < names.size(); ++i) {
        auto const* const other = find(names[i]);
        if (!other || !down(*other, now())) continue;
        for (auto const& further : other->target.fallback) {
            bool const known =
                further == lane.target.name || std::find(names.begin(), names.end(), further) != names.end();
            if (!known) names.push_back(further);
        }
    }
    return names;
}

rt::Instant Courier::Inside::ready_at(Lane const& lane, rt::Instant now) const {
    auto ready = std::max({now, lane.paused_until, lane.budget.next(now)});
    if (lane.breaker.state(now) == Breaker::State::open) ready = std::max(ready, lane.breaker.next_try());
    return ready;
}

/// One look. Returns when to look again, if nothing wakes the lane before.
rt::Task<rt::Instant> Courier::Inside::step(Lane& lane) {
    if (!lane.disabled.empty()) co_return rt::never;
    bool const diverts = !lane.target.fallback.empty();
    bool const is_down = diverts && down(lane, now());
    if (is_down) co_await divert_failed(lane);
    auto const at = now();
    lane.keep_pace(at);
    auto const ready = ready_at(lane, at);
    auto const limit = lane.breaker.limit(at, lane.target.in_flight);
    auto const free = limit > lane.under_way.size() ? limit - lane.under_way.size() : 0;
    auto const room = ready > at ? 0 : lane.budget.room(at, free);
    if (room == 0) {
        if (is_down) co_await sweep(lane, std::max(ready - at, rules.store_pause));
        // Without a time, the end of what is under way wakes.
        auto const next = ready > at ? ready : rt::never;
        auto const since = lane.breaker.open_since();
        co_return diverts && !is_down && since ? std::min(next, *since + rules.fallback_after) : next;
    }
    co_return co_await take(lane, room);
}

/// What waits for a time of day that was set back since would wait twice. At the start nobody knows by which clock an
/// earlier run put off what it put off: for longer than any pause of ours it was another one, or the target's wish,
/// which it will say again. False: the outbox failed.
rt::Task<bool> Courier::Inside::mind_clock(Lane& lane) {
    using std::chrono::milliseconds;
    auto const at = wall_ms();
    auto const lead = at - std::chrono::duration_cast<milliseconds>(now().time_since_epoch()).count();
    bool const set_back = lane.clock_lead && lead < *lane.clock_lead - clock_tolerance.count();
    if (!lane.clock_lead || set_back) {
        auto const beyond = set_back ? at : wall_ms(rules.longest_pause + clock_tolerance);
        auto hurry = [target = lane.target.name, beyond, at](Outbox& outbox) {
            return outbox.hurry(target, beyond, at);
        };
        auto const hurried = co_await needs.store.run(std::move(hurry));
        if (!hurried) {
            in_trouble(&lane, hurried.error());
            co_return false;
        }
    }
    lane.clock_lead = lead;
    co_return true;
}

rt::Task<rt::Instant> Courier::Inside::take(Lane& lane, std::size_t room) {
    bool const minded = co_await mind_clock(lane);
    if (!minded) co_return now() + rules.store_pause;
    auto const at = wall_ms();
    auto lease = [target = lane.target.name, room, at, until = at + rules.lease.count(), under_way = lane.under_way](
                     Outbox& outbox) { return outbox.lease(target, room, until, at, under_way); };
    auto leased = co_await needs.store.run(std::move(lease));
    if (!leased) {
        in_trouble(&lane, leased.error());
        co_return now() + rules.store_pause;
    }
    lane.counts.ended += leased->dropped.size();
    bool const nothing = leased->due.empty();
    for (auto& due : leased->due) {
        // What is leased while the courier stops, or the target is being disabled, is taken back at the next start.
        if (stopping) co_return rt::never;
        lane.under_way.push_back(due.ticket.dedupe);
        tasks.spawn(deliver(lane, std::move(due)));
    }
    if (!nothing) co_return now();
    auto ask = [target = lane.target.name](Outbox& outbox) { return outbox.next_due(target); };
    auto const next = co_await needs.store.run(std::move(ask));
    if (!next) {
        in_trouble(&lane, next.error());
        co_return now() + rules.store_pause;
    }
    if (!*next) co_return rt::never;
    std::chrono::milliseconds const ahead(std::max<std::int64_t>(**next - wall_ms(), 1));
    co_return now() + std::min<rt::Duration>(ahead, rules.look_again);
}

/// A task of the courier's own, whoever asked: `stop` waits for it.
rt::Task<void> Courier::Inside::enable(Lane& lane, std::shared_ptr<Enabling> asked) {
    Kept<bool> result = OutboxError{Trouble::io, "enabling " + lane.target.name + ": failed"};
    std::exception_ptr escaped;
    try {
        auto job = [target = lane.target.name, at = wall_ms()](Outbox& outbox) { return outbox.enable(target, at); };
        result = co_await needs.store.run(std::move(job));
    } catch (...) {
        escaped = std::current_exception();
    }
    if (result) {
        result = !lane.disabled.empty() || *result;
        lane.disabled.clear();
        lane.breaker.reset();
        lane.paused_until = {};
        lane.last_failure.clear();
        lane.wake.notify();
    }
    asked->result = std::move(result);
    asked->over.notify();
    if (escaped) std::rethrow_exception(escaped);
}

void Courier::Inside::in_trouble(Lane* lane, OutboxError const& error) {
    if (lane) ++lane->counts.store_trouble;
    if (needs.trouble) needs.trouble(error);
}

rt::Task<void> Courier::Inside::nap(rt::Duration time) {
    rt::Signal over;
    rt::Deadline deadline(
        needs.deadlines, [](void* signal) { static_cast<rt::Signal*>(signal)->notify(); }, &over);
    struct Entry {
        ~Entry() { all.remove(one); }
        std::list<rt::Signal*>& all;
        rt::Signal* one;
    } const entry{naps, &over};
    naps.push_back(&over);
    deadline.set(now() + time);
    co_await over.wait();
}

// ---- what others see

Courier::Courier(CourierNeeds needs, CourierRules rules, std::vector<CourierTarget> targets)
    : inside_(std::make_unique<Inside>(std::move(needs), rules, std::move(targets))) {}

Courier::~Courier() = default;

void Courier::start() {
    if (std::exchange(inside_->started, true)) return;
    inside_->tasks.spawn(inside_->begin());
}

void Courier::wake(std::string_view target) {
    if (auto* const lane = inside_->find(target)) lane->wake.notify();
}

void Courier::wake_all() {
    for (auto const& lane : inside_->lanes) lane->wake.notify();
}

rt::Task<Kept<bool>> Courier::enable(std::string target) {
    auto* const lane = inside_->find(target);
    if (!lane) co_return OutboxError{Trouble::unknown, "no target of that name"};
    if (inside_->stopping) co_return OutboxError{Trouble::busy, "the courier stops"};
    auto const asked = std::make_shared<Enabling>();
    inside_->tasks.spawn(inside_->enable(*lane, asked));
    while (!asked->result) co_await asked->over.wait();  // the courier may be gone afterwards
    co_return std::move(*asked->result);
}

std::vector<TargetStatus> Courier::status() const {
    std::vector<TargetStatus> all;
    auto const now = inside_->now();
    for (auto const& lane : inside_->lanes) {
        TargetStatus status;
        status.name = lane->target.name;
        status.type = lane->target.sink->type();
        auto const state = lane->breaker.state(now);
        status.circuit = state == Breaker::State::closed ? Circuit::closed
                         : state == Breaker::State::open ? Circuit::open
                                                         : Circuit::half_open;
        status.disabled = lane->disabled;
        if (lane->paused_until > now) status.paused = lane->paused_until - now;
        status.in_flight = lane->under_way.size();
        status.last_failure = lane->last_failure;
        status.down = inside_->down(*lane, now);
        status.fallback = lane->target.fallback;
        status.counts = lane->counts;
        all.push_back(std::move(status));
    }
    return all;
}

std::vector<std::string> Courier::able() const {
    std::vector<std::string> names;
    for (auto const& lane : inside_->lanes) {
        if (lane->target.sink->capabilities().resolves) names.push_back(lane->target.name);
    }
    return names;
}

std::vector<std::string> Courier::instead_of(std::string_view target) const {
    auto const* const lane = inside_->find(target);
    if (!lane || !inside_->down(*lane, inside_->now())) return {};
    return inside_->stand_ins(*lane);
}

rt::Task<void> Courier::stop(rt::Instant until) {
    auto& inside = *inside_;
    inside.stopping = true;
    for (auto* const nap : std::list(inside.naps)) nap->notify();
    for (auto const& lane : inside.lanes) {
        if (lane->wake.waiting()) lane->wake.notify();
    }
    rt::Deadline insist(
        inside.needs.deadlines,
        [](void* self) {
            std::vector<std::shared_ptr<HttpClient>> clients;  // the last one to end may take the courier with it
            for (auto const& lane : static_cast<Inside*>(self)->lanes) clients.push_back(lane->target.http);
            for (auto const& client : clients) {
                if (client) client->stop();
            }
        },
        &inside);
    insist.set(until);
    co_await inside.tasks.join();
}

std::string_view to_string(Circuit circuit) noexcept {
    switch (circuit) {
        case Circuit::closed:
            return "closed";
        case Circuit::open:
            return "open";
        case Circuit::half_open:
            return "half_open";
    }
    return "closed";
}

std::string_view to_string(Told::What what) noexcept {
    switch (what) {
        case Told::What::sent:
            return "sent";
        case Told::What::retried:
            return "retried";
        case Told::What::rejected:
            return "rejected";
        case Told::What::dead:
            return "dead";
        case Told::What::dropped:
            return "dropped";
        case Told::What::diverted:
            return "diverted";
    }
    return "sent";
}

}  // namespace ocgate::notify
