// Deliveries: leased in order, and what became of them.
#include <algorithm>

#include "outbox_inside.hpp"

namespace ocgate::notify {

Kept<Leased> Outbox::lease(std::string_view target, std::size_t most, std::int64_t until_ms, std::int64_t now_ms,
                           std::span<std::string const> under_way) {
    auto& in = *inside_;
    return in.transact("leasing", [&] {
        Leased leased;
        // Of incidents that ended while these were under way, and nobody said what became of them. Those that are under
        // way have a lease, though a clock that was set ahead says that it is over.
        for (auto const& dedupe : under_way) in.renew_lease.run(dedupe, until_ms);
        leased.dropped = Inside::dropped_in(in.drop_overtaken.rows(target, now_ms));
        if (auto row = in.is_disabled.rows(target); row.next()) return leased;
        std::vector<std::int64_t> ids;
        for (auto row = in.find_due.rows(target, now_ms, most + under_way.size()); row.next() && ids.size() < most;) {
            bool const ours = std::find(under_way.begin(), under_way.end(), row.text(1)) != under_way.end();
            if (!ours) ids.push_back(row.integer(0));
        }
        for (auto const id : ids) {
            in.take_lease.run(id, until_ms, now_ms);
            auto row = in.read_due.rows(id);
            if (!row.next()) break;
            leased.due.push_back({.ticket = {.dedupe = row.text(0), .attempt = static_cast<int>(row.integer(1))},
                                  .target = row.text(2),
                                  .action = row.as<Action>(3),
                                  .payload = row.text(4),
                                  .remote_id = row.text(7),
                                  .sent_ms = row.integer(8),
                                  .created_ms = row.integer(5),
                                  .lease_until_ms = row.integer(6),
                                  .incident = Inside::incident_in(row, 9)});
        }
        return leased;
    });
}

Kept<std::optional<std::int64_t>> Outbox::next_due(std::string_view target) {
    auto& in = *inside_;
    return in.look("asking what is due", [&]() -> std::optional<std::int64_t> {
        auto row = in.find_next_due.rows(target);
        if (!row.next() || row.null(0)) return std::nullopt;
        return row.integer(0);
    });
}

Kept<std::size_t> Outbox::release_leases() {
    auto& in = *inside_;
    return in.transact("releasing leases", [&] { return static_cast<std::size_t>(in.end_leases.run()); });
}

Kept<DeliveryState> Outbox::Inside::settle(std::string_view doing, Ticket const& ticket, Settling const& settling,
                                           std::int64_t now_ms) {
    return transact(doing, [&] {
        auto row = find_ticket.rows(ticket.dedupe);
        if (!row.next()) {
            if (database.good()) refuse(Trouble::unknown, "no delivery " + std::string(remark(ticket.dedupe)));
            return DeliveryState::dropped;
        }
        auto const id = row.integer(0);
        auto const state = row.as<DeliveryState>(1);
        bool const still_theirs = state == DeliveryState::leased && row.integer(2) == ticket.attempt;
        bool const moot = row.integer(4) != 0 && row.as<Action>(3) != Action::clear;
        if (state == DeliveryState::sent) return state;
        if (settling.next != DeliveryState::sent && !still_theirs) return state;
        auto const next = settling.next == DeliveryState::queued && moot ? DeliveryState::dropped : settling.next;
        auto const remote_id = settling.remote_id.size() <= TextBounds::name ? settling.remote_id : std::string_view{};
        settle_delivery.run(id, next, remote_id, remark(settling.said), settling.not_before_ms, now_ms);
        return next;
    });
}

Kept<DeliveryState> Outbox::sent(Ticket const& ticket, std::string_view remote_id, std::int64_t now_ms) {
    return inside_->settle("keeping what was sent", ticket, {.next = DeliveryState::sent, .remote_id = remote_id},
                           now_ms);
}

Kept<DeliveryState> Outbox::retry(Ticket const& ticket, std::int64_t not_before_ms, std::string_view error,
                                  std::int64_t now_ms) {
    return inside_->settle("keeping what to try again", ticket,
                           {.next = DeliveryState::queued, .said = error, .not_before_ms = not_before_ms}, now_ms);
}

Kept<DeliveryState> Outbox::dead(Ticket const& ticket, std::string_view error, std::int64_t now_ms) {
    return inside_->settle("keeping what failed for good", ticket, {.next = DeliveryState::dead, .said = error},
                           now_ms);
}

Kept<DeliveryState> Outbox::drop(Ticket const& ticket, std::string_view reason, std::int64_t now_ms) {
    return inside_->settle("keeping what was dropped", ticket, {.next = DeliveryState::dropped, .said = reason},
                           now_ms);
}

Kept<void> Outbox::disable(std::string_view target, std::string_view why, std::string_view mark, std::int64_t now_ms) {
    auto& in = *inside_;
    auto done = in.transact("disabling a target", [&] {
        in.need_name("target", target);
        if (!mark.empty()) in.need_name("mark", mark);
        if (!in.refusal) in.disable_target.run(target, remark(why), mark, now_ms);
        return true;
    });
    if (!done) return done.error();
    return {};
}

Kept<bool> Outbox::enable(std::string_view target, std::int64_t now_ms) {
    auto& in = *inside_;
    return in.transact("enabling a target", [&] {
        in.hurry_target.run(target, now_ms, now_ms);
        return in.enable_target.run(target, now_ms) > 0;
    });
}

Kept<std::size_t> Outbox::hurry(std::string_view target, std::int64_t beyond_ms, std::int64_t now_ms) {
    auto& in = *inside_;
    return in.transact("hurrying a target's deliveries", [&] {
        return static_cast<std::size_t>(in.hurry_target.run(target, now_ms, std::max(beyond_ms, now_ms)));
    });
}

Kept<std::vector<Disabled>> Outbox::disabled() {
    auto& in = *inside_;
    return in.look("reading the disabled targets", [&] {
        std::vector<Disabled> targets;
        for (auto row = in.disabled_targets.rows(); row.next();) {
            targets.push_back(
                {.target = row.text(0), .why = row.text(1), .mark = row.text(2), .at_ms = row.integer(3)});
        }
        return targets;
    });
}

Kept<std::vector<Dropped>> Outbox::abandon(std::string_view target, std::string_view reason, std::int64_t now_ms) {
    auto& in = *inside_;
    return in.transact("abandoning a target", [&] {
        in.enable_target.run(target, now_ms);
        return Inside::dropped_in(in.drop_target.rows(target, remark(reason), now_ms));
    });
}

}  // namespace ocgate::notify
