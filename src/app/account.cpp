// What the gateway says of itself, and what the audit says of its own doings.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "gateway_inside.hpp"
#include "page_text.hpp"

namespace ocgate::app {

using ops::LogLevel;

namespace {

std::string time_text(std::chrono::system_clock::time_point when) {
    return utc_text(std::chrono::duration_cast<std::chrono::milliseconds>(when.time_since_epoch()).count());
}

}  // namespace

StatusNeeds Gateway::Inside::status_needs() {
    return {.executor = io_.get_executor(),
            .deadlines = deadlines_,
            .wall = &std::chrono::system_clock::now,
            .health = health_,
            .log = log_,
            .audit = audit_,
            .herald = *herald_,
            .follower = *follower_,
            .shards = shards_.size(),
            .look =
                [this](std::size_t shard, std::size_t most, proxy::First first,
                       std::function<void(proxy::ShardView)> told) {
                    std::next(shards_.begin(), static_cast<std::ptrdiff_t>(shard))->look(most, first, std::move(told));
                },
            .route_name = [names = route_table().names](
                              std::uint16_t route) { return route < names.size() ? names[route] : names.front(); },
            .upstream = [this] { return config_.upstream.text(); },
            .more =
                [this](nlohmann::json& page) {
                    page["spending"] = spending();
                    page["sandbox"] = {{"files", files_text(confinement_)}, {"calls", calls_text(confinement_)}};
                },
            .started = began_};
}

nlohmann::json Gateway::Inside::spending() const {
    auto const now = std::chrono::system_clock::now();
    auto const& purse = treasurer_->purse();
    auto const& rules = purse.rules();
    auto periods = nlohmann::json::array();
    for (auto const period : {bridge::Period::day, bridge::Period::month}) {
        auto const budget = std::find_if(rules.budgets.begin(), rules.budgets.end(),
                                         [&](bridge::Budget const& one) { return one.period == period; });
        bool const any = budget != rules.budgets.end();
        periods.push_back({{"period", bridge::period_words[static_cast<std::size_t>(period)]},
                           {"spent_usd", purse.spent(period, now)},
                           {"budget_usd", any ? nlohmann::json(budget->usd) : nlohmann::json(nullptr)},
                           {"block", any && budget->block}});
    }
    auto const blocked = budget_block() ? budget_block_->at(now) : std::nullopt;
    return {{"time_zone", rules.time_zone},
            {"periods", std::move(periods)},
            {"refused", budget_block_->refusals()},
            {"blocked_until", blocked ? nlohmann::json(time_text(blocked->until)) : nlohmann::json(nullptr)}};
}

void Gateway::Inside::audit_budget(std::optional<bridge::Purse::Blocked> const& blocked) {
    if (!blocked) return auditor_.gateway("budget_open", {});
    auto const until = time_text(blocked->until);
    auditor_.gateway("budget_blocked", {{"period", bridge::period_words[static_cast<std::size_t>(blocked->period)]},
                                        {"until", std::string_view(until)}});
}

/// A place that was asked for and cannot be had is a reason not to start: nobody would notice that nothing is written.
bool Gateway::Inside::open_audit() {
    std::string problem;
    auto file = ops::Audit::open(config_.audit, problem);
    if (problem.empty()) {
        audit_.adopt(config_.audit, std::move(file));
        return true;
    }
    log_.app(LogLevel::error, "no_audit", problem,
             {{"setting", std::string_view("audit")}, {"path", std::string_view(config_.audit.path)}});
    return false;
}

/// A reload that failed changes nothing, but whoever moved the audit's file away (logrotate) gets it back all the same.
void Gateway::Inside::reloaded(std::string_view why, bool ok) {
    std::string problem;
    if (!ok && !audit_.reopen(problem)) {
        log_.app(LogLevel::error, "no_audit", problem + "; the file that was open is written on",
                 {{"path", std::string_view(audit_.place().path)}});
    }
    auditor_.gateway("config_reloaded", {{"why", why}, {"outcome", std::string_view(ok ? "done" : "failed")}});
}

void Gateway::Inside::show_audit(ops::Exposition& out) const {
    out.counter("ocgate_audit_lines_total", "Lines of the audit, since the gateway started.").value(audit_.lines());
    out.counter(
           "ocgate_audit_lines_dropped_total",
           "Lines of the audit that its file did not take, since the gateway started; those in the log are counted "
           "with the log's.")
        .value(audit_.dropped());
}

}  // namespace ocgate::app
