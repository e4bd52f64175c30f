// All rows: shown to operators, counted, removed when old. And notes.
#include <algorithm>
#include <limits>

#include "outbox_inside.hpp"

namespace ocgate::notify {

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

Kept<void> Outbox::remember(std::string_view name, std::string_view value) {
    auto& in = *inside_;
    auto done = in.transact("keeping a note", [&] {
        in.need_name("name", name);
        in.need_document("value", value);
        if (in.refusal) return true;
        if (auto row = in.count_other_notes.rows(name);
            row.next() && std::cmp_greater_equal(row.integer(0), most_notes)) {
            in.refuse(Trouble::full, std::to_string(most_notes) + " notes are there");
        }
        if (!in.refusal) in.write_note.run(name, value);
        return true;
    });
    if (!done) return done.error();
    return {};
}

Kept<std::optional<std::string>> Outbox::recall(std::string_view name) {
    auto& in = *inside_;
    return in.look("reading a note", [&]() -> std::optional<std::string> {
        auto row = in.find_note.rows(name);
        if (!row.next()) return std::nullopt;
        return row.text(0);
    });
}

std::size_t Outbox::Inside::ended() {
    auto row = count_ended.rows();
    return row.next() ? static_cast<std::size_t>(row.integer(0)) : 0;
}

bool Outbox::Inside::crowded() {
    if (ended() > 2 * limits.keep_ended) return true;
    auto row = bytes_in_use.rows();
    return row.next() && std::cmp_greater(row.integer(0), limits.keep_bytes);
}

Kept<std::size_t> Outbox::prune(std::int64_t now_ms) {
    auto& in = *inside_;
    return in.transact("pruning", [&] {
        auto const too_old = now_ms - in.limits.keep_ended_ms;
        auto gone = in.remove_ended(too_old, most_in_one_call);
        auto const kept = in.ended();
        if (kept > in.limits.keep_ended && gone < most_in_one_call) {
            auto const too_many = std::min(kept - in.limits.keep_ended, most_in_one_call - gone);
            gone += in.remove_ended(std::numeric_limits<std::int64_t>::max(), too_many);
        }
        return gone;
    });
}

}  // namespace ocgate::notify
