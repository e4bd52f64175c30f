// What waits for a target that is down, and a person waits for it: told by another target as well.
#include <algorithm>

#include "courier_inside.hpp"

namespace ocgate::notify {
namespace {

constexpr std::string_view mark = "@instead:";
constexpr std::size_t batch = 50;
constexpr std::size_t most_swept = 2000;  // a queue is bounded, but blocks may exceed that
constexpr std::size_t most_remembered = 100;

/// Not a second time under a name made longer each time: two targets that are each other's fallback would never end.
bool is_diverted(std::string_view dedupe) { return dedupe.find(mark) != std::string_view::npos; }

bool worth_diverting(Due const& due) {
    return due.incident.weight == Weight::block && due.action != Action::clear && !is_diverted(due.ticket.dedupe);
}

}  // namespace

std::string diverted_name(std::string_view dedupe, std::string_view target, std::string_view fallback) {
    auto const part = '/' + std::string(target);
    for (auto end = dedupe.size(); end > 0;) {
        auto const at = dedupe.substr(0, end).rfind(part);
        if (at == std::string_view::npos) break;
        auto const rest = dedupe.substr(at + part.size());
        if (rest.empty() || rest.front() == '/') {
            auto replaced = std::string(dedupe.substr(0, at + 1)).append(fallback).append(rest);
            if (replaced.size() <= TextBounds::dedupe) return replaced;
            break;
        }
        end = at + part.size() - 1;  // `/phones` is no `/phone`
    }
    auto name = std::string(dedupe) + std::string(mark) + std::string(fallback);
    // Too long: the end of the name tells deliveries of one incident apart, its beginning incidents; both stay.
    if (name.size() > TextBounds::name) {
        auto const kept = TextBounds::name - std::min(TextBounds::name / 2, mark.size() + fallback.size());
        auto const half = kept / 2;
        name = std::string(dedupe.substr(0, half)) + std::string(dedupe.substr(dedupe.size() - (kept - half))) +
               std::string(mark) + std::string(fallback);
    }
    return name.substr(0, TextBounds::name);
}

/// What tells of it elsewhere; nothing where that is not needed or nobody stands in.
std::vector<NewDelivery> Courier::Inside::instead(Lane const& lane, Due const& due) const {
    std::vector<NewDelivery> deliveries;
    if (!worth_diverting(due)) return deliveries;
    for (auto const& other : stand_ins(lane)) {
        NewDelivery delivery;
        delivery.dedupe = diverted_name(due.ticket.dedupe, lane.target.name, other);
        delivery.target = other;
        delivery.action = due.action;
        delivery.payload = due.payload;
        deliveries.push_back(std::move(delivery));
    }
    return deliveries;
}

void Courier::Inside::diverted(Lane& lane, Due const& due, unsigned enqueued) {
    if (enqueued == 0) return;
    lane.counts.diverted += enqueued;
    tell(lane, Told::What::diverted, due, lane.disabled.empty() ? lane.last_failure : lane.disabled);
    for (auto const& other : stand_ins(lane)) {
        if (auto* const one = find(other)) one->wake.notify();
    }
}

/// True when it is told elsewhere, or does not have to be.
rt::Task<bool> Courier::Inside::divert(Lane& lane, Due const& due) {
    auto deliveries = instead(lane, due);
    if (deliveries.empty()) co_return true;
    auto job = [key = due.incident.key, deliveries = std::move(deliveries), at = wall_ms()](Outbox& outbox) {
        return outbox.enqueue(key, deliveries, std::nullopt, at);
    };
    auto const change = co_await needs.store.run(std::move(job));
    if (!change) {
        in_trouble(&lane, change.error());
        co_return false;
    }
    diverted(lane, due, change->enqueued);
    co_return true;
}

rt::Task<void> Courier::Inside::divert_failed(Lane& lane) {
    for (auto waiting = std::exchange(lane.failed_blocks, {}); !waiting.empty(); waiting.pop_front()) {
        auto const& due = waiting.front();
        bool const told = co_await divert(lane, due);
        if (!told) remember(lane, due);
    }
}

/// Goes through what is due: blocks are told elsewhere, everything waits on for its target.
rt::Task<void> Courier::Inside::sweep(Lane& lane, rt::Duration delay) {
    auto const why = lane.disabled.empty() ? "held back: the target is down" : lane.disabled;
    bool blocks = !lane.target.fallback.empty();
    for (std::size_t seen = 0; blocks && seen < most_swept && !stopping;) {
        blocks = false;
        auto const at = wall_ms();
        auto lease = [target = lane.target.name, at, until = at + rules.lease.count(), under_way = lane.under_way](
                         Outbox& outbox) { return outbox.lease(target, batch, until, at, under_way); };
        auto const leased = co_await needs.store.run(std::move(lease));
        if (!leased) co_return in_trouble(&lane, leased.error());
        lane.counts.ended += leased->dropped.size();
        seen += leased->due.size();
        for (auto const& due : leased->due) {  // the blocks come first
            blocks = blocks || due.incident.weight == Weight::block;
            bool const told = co_await divert(lane, due);
            if (!told) remember(lane, due);
            co_await put_back(lane, due, delay, why);
        }
    }
}

void Courier::Inside::remember(Lane& lane, Due const& due) {
    if (lane.target.fallback.empty() || !worth_diverting(due)) return;
    forget(lane, due);
    lane.failed_blocks.push_back(due);
    if (lane.failed_blocks.size() > most_remembered) lane.failed_blocks.pop_front();
}

void Courier::Inside::forget(Lane& lane, Due const& due) {
    std::erase_if(lane.failed_blocks, [&](Due const& one) { return one.ticket.dedupe == due.ticket.dedupe; });
}

}  // namespace ocgate::notify
