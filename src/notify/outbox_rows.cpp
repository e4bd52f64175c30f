// All rows: shown to operators, counted, removed when old, taken over from another outbox.
#include <algorithm>
#include <limits>

#include "outbox_inside.hpp"

namespace ocgate::notify {
namespace {

constexpr std::size_t most_in_one_call = 1000;

}  // namespace

Kept<std::vector<Incident>> Outbox::list_incidents(std::size_t most) {
    auto& in = *inside_;
    return in.look("listing incidents", [&] {
        std::vector<Incident> incidents;
        for (auto row = in.newest_incidents.rows(std::min(most, most_in_one_call)); row.next();) {
            incidents.push_back(Inside::incident_in(row, 0));
        }
        return incidents;
    });
}

Kept<std::vector<DeliveryRow>> Outbox::list_deliveries(std::size_t most) {
    auto& in = *inside_;
    return in.look("listing deliveries", [&] {
        std::vector<DeliveryRow> deliveries;
        for (auto row = in.newest_deliveries.rows(std::min(most, most_in_one_call)); row.next();) {
            deliveries.push_back({.dedupe = row.text(0),
                                  .incident = row.text(1),
                                  .target = row.text(2),
                                  .action = row.as<Action>(3),
                                  .state = row.as<DeliveryState>(4),
                                  .attempt = static_cast<int>(row.integer(5)),
                                  .not_before_ms = row.integer(6),
                                  .lease_until_ms = row.integer(7),
                                  .remote_id = row.text(8),
                                  .last_error = row.text(9),
                                  .created_ms = row.integer(10),
                                  .updated_ms = row.integer(11)});
        }
        return deliveries;
    });
}

Kept<std::vector<TargetCount>> Outbox::counts() {
    auto& in = *inside_;
    return in.look("counting", [&] {
        std::vector<TargetCount> targets;
        for (auto row = in.count_targets.rows(); row.next();) {
            auto target = row.text(0);
            if (targets.empty() || targets.back().target != target) targets.push_back({.target = std::move(target)});
            auto& count = targets.back();
            auto const rows = static_cast<std::uint64_t>(row.integer(2));
            auto const state = row.as<DeliveryState>(1);
            if (state == DeliveryState::queued) count.queued = rows;
            if (state == DeliveryState::leased) count.leased = rows;
            if (state == DeliveryState::sent) count.sent = rows;
            if (state == DeliveryState::dead) count.dead = rows;
            if (state == DeliveryState::dropped) count.dropped = rows;
            if (state > DeliveryState::leased) continue;
            auto const oldest = row.integer(3);
            if (count.oldest_live_ms == 0 || oldest < count.oldest_live_ms) count.oldest_live_ms = oldest;
        }
        return targets;
    });
}

Kept<std::size_t> Outbox::prune(std::int64_t now_ms) {
    auto& in = *inside_;
    return in.transact("pruning", [&] {
        auto const too_old = now_ms - in.limits.keep_ended_ms;
        auto gone = static_cast<std::size_t>(in.delete_ended.run(too_old, most_in_one_call));
        std::size_t kept = 0;
        if (auto row = in.count_ended.rows(); row.next()) kept = static_cast<std::size_t>(row.integer(0));
        if (kept > in.limits.keep_ended && gone < most_in_one_call) {
            auto const too_many = std::min(kept - in.limits.keep_ended, most_in_one_call - gone);
            gone += static_cast<std::size_t>(in.delete_ended.run(std::numeric_limits<std::int64_t>::max(), too_many));
        }
        return gone;
    });
}

Kept<std::size_t> Outbox::adopt(Outbox& other) {
    auto& in = *inside_;
    auto& from = other.inside_->database;
    from.forget_failure();
    std::size_t rows = 0;
    auto taken = in.transact("taking over", [&] {
        // Once in a long while: these are not kept ready.
        sqlite::Statement read_incidents(from, R"sql(
            SELECT key, kind, subject, weight, state, outcome, ended_by, raised, opened, ended, facts
            FROM incidents ORDER BY id)sql");
        sqlite::Statement take_incident(in.database, R"sql(
            INSERT INTO incidents (key, kind, subject, weight, state, outcome, ended_by, raised, opened, ended, facts)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
            ON CONFLICT (key) DO UPDATE SET state = ?5, outcome = ?6, ended_by = ?7, opened = ?9, ended = ?10,
                facts = ?11 WHERE incidents.state < 2 AND ?5 > incidents.state)sql");
        for (auto row = read_incidents.rows(); row.next(); ++rows) {
            take_incident.run(row.text(0), row.text(1), row.text(2), row.integer(3), row.integer(4), row.text(5),
                              row.text(6), row.integer(7), row.integer(8), row.integer(9), row.text(10));
        }
        sqlite::Statement read_deliveries(from, R"sql(
            SELECT i.key, d.target, d.action, d.dedupe, d.state, d.weight, d.attempt, d.not_before, d.lease_until,
                d.remote_id, d.last_error, d.created, d.updated, d.payload
            FROM deliveries AS d JOIN incidents AS i ON i.id = d.incident ORDER BY d.id)sql");
        // What was sent was sent; else the one that went on after the other stood still.
        sqlite::Statement take_delivery(in.database, R"sql(
            INSERT INTO deliveries (incident, target, action, dedupe, state, weight, attempt, not_before, lease_until,
                remote_id, last_error, created, updated, payload)
            VALUES ((SELECT id FROM incidents WHERE key = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
            ON CONFLICT (dedupe) DO UPDATE SET state = ?5, attempt = ?7, not_before = ?8, lease_until = ?9,
                remote_id = ?10, last_error = ?11, updated = ?13
            WHERE (deliveries.state < 2 AND (?5 >= 2 OR ?7 > deliveries.attempt))
                OR (deliveries.state > 2 AND ?5 = 2))sql");
        for (auto row = read_deliveries.rows(); row.next(); ++rows) {
            take_delivery.run(row.text(0), row.text(1), row.integer(2), row.text(3), row.integer(4), row.integer(5),
                              row.integer(6), row.integer(7), row.integer(8), row.text(9), row.text(10),
                              row.integer(11), row.integer(12), row.text(13));
        }
        sqlite::Statement read_disabled(from, "SELECT target, why, mark, at FROM disabled");
        for (auto row = read_disabled.rows(); row.next(); ++rows) {
            in.disable_target.run(row.text(0), row.text(1), row.text(2), row.integer(3));
        }
        // Half of it would look like all.
        if (auto failure = from.take_failure()) {
            auto error = error_of(*failure, "reading what to take over", other.inside_->path);
            in.refuse(error.trouble, std::move(error.text));
        }
        return rows;
    });
    return taken;
}

}  // namespace ocgate::notify
