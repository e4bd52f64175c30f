// The page that says who is told of what, and what became of it.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "own_pages.hpp"
#include "page_text.hpp"

namespace ocgate::app {
namespace {
using nlohmann::json;
using proxy::PageAnswer;
using proxy::PageRequest;

std::string project_of(notify::Incident const& incident) {
    auto const facts = json::parse(incident.facts, nullptr, false);
    if (!facts.is_object()) return {};
    auto const found = facts.find("project");
    return found != facts.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// All 0 for one that nothing was ever enqueued for.
notify::TargetCount count_of(notify::TargetStatus const& target, std::vector<notify::TargetCount> const& counts) {
    auto const found =
        std::find_if(counts.begin(), counts.end(), [&](auto const& one) { return one.target == target.name; });
    return found == counts.end() ? notify::TargetCount{} : *found;
}

json target_json(notify::TargetStatus const& target, std::vector<notify::TargetCount> const& counts) {
    json entry{{"name", target.name},
               {"type", target.type},
               {"breaker", to_string(target.circuit)},
               {"disabled", target.disabled.empty() ? json(nullptr) : json(target.disabled)},
               {"paused_seconds", std::chrono::duration_cast<std::chrono::seconds>(target.paused).count()},
               {"in_flight", target.in_flight},
               {"fallback", target.fallback},
               {"retried", target.counts.retried},
               {"last_failure", target.last_failure.empty() ? json(nullptr) : json(target.last_failure)}};
    auto const count = count_of(target, counts);
    entry["queued"] = count.queued + count.leased;
    entry["sent"] = count.sent;
    entry["dead"] = count.dead;
    entry["dropped"] = count.dropped;
    return entry;
}

json incident_json(notify::Incident const& incident) {
    json entry{
        {"key", incident.key},         {"event", incident.kind},          {"state", to_string(incident.state)},
        {"subject", incident.subject}, {"project", project_of(incident)}, {"raised", utc_text(incident.raised_ms)}};
    if (incident.opened_ms > 0) entry["opened"] = utc_text(incident.opened_ms);
    if (incident.ended_ms > 0) entry["ended"] = utc_text(incident.ended_ms);
    if (!incident.outcome.empty()) entry["outcome"] = incident.outcome;
    if (!incident.by.empty()) entry["by"] = incident.by;
    return entry;
}

json delivery_json(notify::DeliveryRow const& delivery) {
    json entry{{"incident", delivery.incident},
               {"target", delivery.target},
               {"action", to_string(delivery.action)},
               {"state", to_string(delivery.state)},
               {"attempts", delivery.attempt},
               {"created", utc_text(delivery.created_ms)},
               {"updated", utc_text(delivery.updated_ms)}};
    if (!delivery.last_error.empty()) entry["error"] = delivery.last_error;
    return entry;
}

std::string as_tables(std::vector<notify::TargetStatus> const& targets, bridge::Ledger const& ledger) {
    std::vector<Row> rows{{"Target", "Type", "Breaker", "Queued", "Sent", "Dead", "State"}};
    for (auto const& target : targets) {
        auto const count = count_of(target, ledger.counts);
        auto const state = !target.disabled.empty()       ? "disabled: " + target.disabled
                           : !target.last_failure.empty() ? "failing: " + target.last_failure
                                                          : std::string("works");
        rows.push_back({target.name, std::string(target.type), std::string(to_string(target.circuit)),
                        std::to_string(count.queued + count.leased), std::to_string(count.sent),
                        std::to_string(count.dead), state});
    }
    auto text = table_text(rows) + "\n";
    rows.assign(1, {"Raised", "Event", "Project", "State", "Outcome", "Incident"});
    for (auto const& incident : ledger.incidents) {
        auto outcome = incident.outcome;
        if (!incident.by.empty()) outcome += " by " + incident.by;
        rows.push_back({utc_text(incident.raised_ms), incident.kind, project_of(incident),
                        std::string(to_string(incident.state)), outcome, incident.key});
    }
    return text + table_text(rows);
}

}  // namespace

rt::Task<PageAnswer> OwnPages::notifications(PageRequest const& request) {
    auto const ledger = co_await herald_.ledger(most_rows);
    if (!ledger) co_return proxy::page_error(503, "busy", ledger.error().text, request.request_id);
    auto const targets = herald_.targets();
    auto const text = request.accept.find("text/plain");
    if (text != std::string::npos && text < request.accept.find("json")) {
        co_return PageAnswer{
            .status = 200, .content_type = "text/plain; charset=utf-8", .body = as_tables(targets, *ledger)};
    }
    auto const& kept = herald_.kept();
    json page{{"store", {{"durable", kept.durable}}}};
    if (!kept.why.empty()) page["store"]["why"] = kept.why;
    auto& list = page["targets"] = json::array();
    for (auto const& target : targets) list.push_back(target_json(target, ledger->counts));
    auto& mutes = page["mutes"] = json::array();
    for (auto const& one : herald_.mutes()) {
        auto const until = std::chrono::duration_cast<std::chrono::milliseconds>(one.until.time_since_epoch());
        mutes.push_back({{"session", one.subject}, {"until", utc_text(until.count())}});
    }
    auto& incidents = page["incidents"] = json::array();
    for (auto const& incident : ledger->incidents) incidents.push_back(incident_json(incident));
    auto& deliveries = page["deliveries"] = json::array();
    for (auto const& delivery : ledger->deliveries) deliveries.push_back(delivery_json(delivery));
    co_return PageAnswer{.status = 200, .body = page.dump(2, ' ', true, json::error_handler_t::replace) + "\n"};
}

}  // namespace ocgate::app
