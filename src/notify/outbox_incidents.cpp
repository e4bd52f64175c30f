// Incidents: raised, opened, ended, and the deliveries that each of these brings.
#include <algorithm>
#include <limits>

#include "outbox_inside.hpp"

namespace ocgate::notify {

Incident Outbox::Inside::incident_in(sqlite::Rows const& row, int column) {
    return {.key = row.text(column),
            .kind = row.text(column + 1),
            .subject = row.text(column + 2),
            .weight = row.as<Weight>(column + 3),
            .state = row.as<IncidentState>(column + 4),
            .outcome = row.text(column + 5),
            .by = row.text(column + 6),
            .facts = row.text(column + 7),
            .raised_ms = row.integer(column + 8),
            .opened_ms = row.integer(column + 9),
            .ended_ms = row.integer(column + 10)};
}

std::vector<Dropped> Outbox::Inside::dropped_in(sqlite::Rows rows) {
    std::vector<Dropped> dropped;
    while (rows.next()) {
        dropped.push_back({.dedupe = rows.text(0),
                           .incident = rows.text(1),
                           .target = rows.text(2),
                           .action = rows.as<Action>(3),
                           .weight = rows.as<Weight>(4),
                           .reason = rows.text(5)});
    }
    return dropped;
}

Outbox::Inside::Known Outbox::Inside::known(std::string_view key) {
    auto row = find_known.rows(key);
    if (row.next()) return {row.integer(0), row.as<Weight>(1), row.as<IncidentState>(2)};
    if (database.good()) refuse(Trouble::unknown, "no incident " + std::string(remark(key)));
    return {};
}

void Outbox::Inside::add(Known const& incident, NewDelivery const& delivery, std::int64_t now_ms, Change& change) {
    need_name("dedupe", delivery.dedupe, TextBounds::dedupe);
    need_name("target", delivery.target);
    need_document("payload", delivery.payload);
    if (refusal) return;
    auto const weight = delivery.action == Action::clear ? std::min(incident.weight, Weight::error) : incident.weight;
    if (insert_delivery.run(incident.id, delivery.target, delivery.action, delivery.dedupe, weight,
                            delivery.not_before_ms, now_ms, delivery.payload) == 0) {
        ++change.known;
        return;
    }
    ++change.enqueued;
    change.targets.push_back(delivery.target);
    make_room(delivery.target, now_ms, change);
}

void Outbox::Inside::make_room(std::string_view target, std::int64_t now_ms, Change& change) {
    std::size_t live = 0;
    if (auto row = count_live.rows(target); row.next()) live = static_cast<std::size_t>(row.integer(0));
    for (; live > limits.live_per_target; --live) {
        auto gone = dropped_in(drop_least.rows(target, now_ms));
        if (gone.empty()) return;  // blocks only, and what is on its way
        change.dropped.push_back(std::move(gone.front()));
    }
}

Kept<Change> Outbox::raise(NewIncident const& incident, std::int64_t now_ms) {
    auto& in = *inside_;
    return in.transact("raising an incident", [&] {
        Change change{.state = IncidentState::held};
        in.need_name("key", incident.key);
        in.need_name("kind", incident.kind);
        in.need_name("subject", incident.subject, TextBounds::subject);
        in.need_document("facts", incident.facts);
        if (in.refusal) return change;
        if (auto row = in.find_known.rows(incident.key); row.next()) {
            change.state = row.as<IncidentState>(2);
            return change;
        }
        if (auto row = in.count_unended.rows();
            row.next() && std::cmp_greater_equal(row.integer(0), in.limits.unended)) {
            in.refuse(Trouble::full, std::to_string(in.limits.unended) + " incidents have not ended");
            return change;
        }
        in.insert_incident.run(incident.key, incident.kind, incident.subject, incident.weight, now_ms, incident.facts);
        change.changed = true;
        return change;
    });
}

Kept<Change> Outbox::open(std::string_view key, std::span<NewDelivery const> deliveries, std::int64_t now_ms) {
    auto& in = *inside_;
    return in.transact("opening an incident", [&] {
        auto const incident = in.known(key);
        Change change{.state = incident.state};
        if (incident.state > IncidentState::open) return change;
        if (incident.state == IncidentState::held) {
            in.open_incident.run(incident.id, now_ms);
            change.state = IncidentState::open;
            change.changed = true;
        }
        for (auto const& delivery : deliveries) in.add(incident, delivery, now_ms, change);
        return change;
    });
}

Kept<Change> Outbox::enqueue(std::string_view key, std::span<NewDelivery const> deliveries,
                             std::optional<std::string_view> facts, std::int64_t now_ms) {
    auto& in = *inside_;
    return in.transact("enqueuing", [&] {
        auto const incident = in.known(key);
        Change change{.state = incident.state};
        if (incident.state != IncidentState::open) return change;
        if (facts) {
            in.need_document("facts", *facts);
            if (!in.refusal) change.changed = in.write_facts.run(incident.id, *facts) > 0;
        }
        for (auto const& delivery : deliveries) in.add(incident, delivery, now_ms, change);
        return change;
    });
}

Kept<Change> Outbox::end(Ending const& ending, std::int64_t now_ms) {
    auto& in = *inside_;
    return in.transact("ending an incident", [&] {
        if (ending.state <= IncidentState::open)
            in.refuse(Trouble::invalid, "an incident does not end as open or held");
        auto const incident = in.known(ending.key);
        Change change{.state = incident.state};
        if (in.refusal || incident.state > IncidentState::open) return change;
        in.end_incident.run(incident.id, ending.state, remark(ending.outcome), remark(ending.by), now_ms);
        change.state = ending.state;
        change.changed = true;
        change.dropped = Inside::dropped_in(in.drop_waiting.rows(incident.id, now_ms));
        for (auto const& place : in.reached(incident.id)) {
            if (place.cleared || std::ranges::find(ending.able, place.target) == ending.able.end()) continue;
            NewDelivery clear{.dedupe = "clear " + place.target + ' ' + ending.key, .target = place.target};
            clear.action = Action::clear;
            in.add(incident, clear, now_ms, change);
        }
        if (++in.ends % ends_between_looks == 0 && in.crowded()) {
            in.remove_ended(std::numeric_limits<std::int64_t>::max(), std::size_t{2} * ends_between_looks);
        }
        return change;
    });
}

Kept<std::optional<Incident>> Outbox::find(std::string_view key) {
    auto& in = *inside_;
    return in.look("looking for an incident", [&]() -> std::optional<Incident> {
        auto row = in.find_incident.rows(key);
        if (!row.next()) return std::nullopt;
        return Inside::incident_in(row, 0);
    });
}

Kept<std::vector<Incident>> Outbox::unended() {
    auto& in = *inside_;
    return in.look("reading the incidents", [&] {
        std::vector<Incident> incidents;
        for (auto row = in.unended_incidents.rows(); row.next();) incidents.push_back(Inside::incident_in(row, 0));
        return incidents;
    });
}

std::vector<Reached> Outbox::Inside::reached(std::int64_t incident) {
    std::vector<Reached> places;
    for (auto row = lane_rows.rows(incident); row.next();) {
        auto const target = row.text(0);
        auto const action = row.as<Action>(1);
        auto const state = row.as<DeliveryState>(2);
        bool const tried = row.integer(3) > 0;
        bool const reached_before = !places.empty() && places.back().target == target;
        if (action == Action::clear) {
            if (reached_before && state <= DeliveryState::sent) places.back().cleared = true;
            continue;
        }
        if (!tried) continue;
        if (!reached_before) places.push_back({.target = target});
        auto& place = places.back();
        if (state == DeliveryState::leased) place.in_flight = true;
        if (state != DeliveryState::sent) continue;
        place.sent = true;
        if (auto remote = row.text(4); !remote.empty()) place.remote_id = std::move(remote);
    }
    return places;
}

Kept<std::vector<Reached>> Outbox::reached(std::string_view key) {
    auto& in = *inside_;
    return in.look("looking where an incident was told of", [&] {
        auto const incident = in.known(key);
        return in.refusal ? std::vector<Reached>{} : in.reached(incident.id);
    });
}

}  // namespace ocgate::notify
