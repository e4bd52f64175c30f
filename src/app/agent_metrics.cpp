#include "agent_metrics.hpp"

#include <array>
#include <map>

namespace ocgate::app {
namespace {

using opencode::Deeds;
using ops::Exposition;

constexpr std::array<std::string_view, 3> turn_outcomes{"completed", "failed", "aborted"};
constexpr std::array<std::string_view, 2> tool_outcomes{"completed", "failed"};
constexpr std::array<std::string_view, 4> permission_answers{"once", "always", "reject", "gone"};
constexpr std::array<std::string_view, 3> question_answers{"answered", "rejected", "gone"};
static_assert(turn_outcomes.size() == std::tuple_size_v<decltype(Deeds::turns)>);
static_assert(permission_answers.size() == std::tuple_size_v<decltype(Deeds::Permissions::over)>);
static_assert(question_answers.size() == std::tuple_size_v<decltype(Deeds::questions_over)>);

template <std::size_t N>
void put(Exposition& out, opencode::Spans<N> const& spans, Exposition::Labels labels = {}) {
    out.buckets(spans.counts(), spans.bounds(), spans.seconds(), labels);
}

void write_turns(Exposition& out, Deeds const& deeds) {
    out.counter("ocgate_agent_turns_total",
                "Turns of root sessions with all their subagents that ended, by how, since the gateway started; "
                "one that began and ended while no events were heard is not among them.");
    for (std::size_t i = 0; i < turn_outcomes.size(); ++i) out.value(deeds.turns[i], {{"outcome", turn_outcomes[i]}});
    out.histogram("ocgate_agent_turn_duration_seconds",
                  "Duration of turns that completed, in seconds; those that were running when the gateway began to "
                  "listen are not in it.");
    put(out, deeds.turns_took);
}

/// Durations by provider and model, those of all agents together.
void write_step_durations(Exposition& out, Deeds const& deeds) {
    struct Sum {
        std::array<std::uint64_t, opencode::step_seconds.size() + 1> counts{};
        double seconds = 0;
    };
    std::map<std::pair<std::string_view, std::string_view>, Sum> sums;
    for (auto const& [worker, work] : deeds.work) {
        auto& sum = sums[{worker.provider, worker.model}];
        auto const counts = work.took.counts();
        for (std::size_t i = 0; i < counts.size(); ++i) sum.counts[i] += counts[i];
        sum.seconds += work.took.seconds();
    }
    out.histogram("ocgate_agent_step_duration_seconds", "Duration of a model's answer, tools included, in seconds.");
    for (auto const& [who, sum] : sums) {
        out.buckets(sum.counts, opencode::step_seconds, sum.seconds, {{"provider", who.first}, {"model", who.second}});
    }
}

void write_steps(Exposition& out, Deeds const& deeds) {
    out.counter("ocgate_agent_steps_total",
                "Answers of models, each counted once, those found after an interruption included, since the gateway "
                "started.");
    for (auto const& [who, work] : deeds.work)
        out.value(work.steps, {{"provider", who.provider}, {"model", who.model}, {"agent", who.agent}});
    write_step_durations(out, deeds);
    out.counter("ocgate_agent_tokens_total",
                "Tokens of those answers, by kind; input is without what came from the cache.");
    for (auto const& [who, work] : deeds.work) {
        auto const& usage = work.usage;
        std::array const kinds{std::pair(std::string_view("input"), usage.input),
                               std::pair(std::string_view("output"), usage.output),
                               std::pair(std::string_view("reasoning"), usage.reasoning),
                               std::pair(std::string_view("cache_read"), usage.cache_read),
                               std::pair(std::string_view("cache_write"), usage.cache_write)};
        for (auto const& [kind, tokens] : kinds) {
            out.value(static_cast<double>(tokens),
                      {{"provider", who.provider}, {"model", who.model}, {"agent", who.agent}, {"kind", kind}});
        }
    }
    out.counter("ocgate_agent_cost_usd_total",
                "What those answers cost in US dollars, as opencode reckons it, since the gateway started; titles of "
                "sessions, which appear in no event, are not in it.");
    for (auto const& [who, work] : deeds.work)
        out.value(work.usage.cost, {{"provider", who.provider}, {"model", who.model}, {"agent", who.agent}});
}

void write_tools(Exposition& out, Deeds const& deeds) {
    out.counter(
        "ocgate_agent_tool_calls_total",
        "Calls of tools that ended, by tool and outcome, as far as they were heard, since the gateway started.");
    for (auto const& [tool, counts] : deeds.tools) {
        for (std::size_t i = 0; i < counts.size(); ++i)
            out.value(counts[i], {{"tool", tool}, {"outcome", tool_outcomes[i]}});
    }
    out.counter("ocgate_agent_provider_retries_total",
                "Attempts of models' providers that failed and are made again, since the gateway started, as far "
                "as events were heard.")
        .value(deeds.retries);
    out.counter("ocgate_agent_errors_total",
                "Errors that ended a turn or an answer, by their name, since the gateway started; an abort is one "
                "(MessageAbortedError).");
    for (auto const& [name, count] : deeds.errors) out.value(count, {{"name", name}});
    out.counter("ocgate_agent_compactions_total",
                "Times a session was summed up because its context was full or somebody asked for it, since the "
                "gateway started, as far as events were heard.")
        .value(deeds.compactions);
}

void write_requests(Exposition& out, Deeds const& deeds) {
    out.counter("ocgate_agent_permissions_asked_total",
                "Permissions that agents asked for, by what they were for, since the gateway started; those that were "
                "found waiting then, and those that were taken for gone and came back, are counted again.");
    for (auto const& [type, permissions] : deeds.permissions) out.value(permissions.asked, {{"type", type}});
    out.counter("ocgate_agent_permissions_over_total",
                "Permissions that are not asked for any more, by what they were for and by the answer; gone: nobody "
                "answered, or nobody heard it.");
    for (auto const& [type, permissions] : deeds.permissions) {
        for (std::size_t i = 0; i < permission_answers.size(); ++i)
            out.value(permissions.over[i], {{"type", type}, {"answer", permission_answers[i]}});
    }
    out.histogram(
        "ocgate_agent_permission_answer_seconds",
        "From a permission's being asked for until a person's answer, in seconds; those that were found waiting "
        "are not in it.");
    put(out, deeds.permissions_took);
    out.counter("ocgate_agent_questions_asked_total",
                "Questions that agents asked, since the gateway started; counted as permissions are.")
        .value(deeds.questions_asked);
    out.counter("ocgate_agent_questions_over_total",
                "Questions that are not asked any more, by the answer; gone: nobody answered, or nobody heard it.");
    for (std::size_t i = 0; i < question_answers.size(); ++i)
        out.value(deeds.questions_over[i], {{"answer", question_answers[i]}});
    out.histogram(
        "ocgate_agent_question_answer_seconds",
        "From a question's being asked until a person's answer, in seconds; those that were found waiting are "
        "not in it.");
    put(out, deeds.questions_took);
}

}  // namespace

void write_agent(Exposition& out, AgentFigures const& figures) {
    auto const& deeds = figures.deeds;
    write_turns(out, deeds);
    write_steps(out, deeds);
    write_tools(out, deeds);
    write_requests(out, deeds);
    out.gauge("ocgate_agent_terminals_open", "Terminals (PTYs) of opencode that are open, as far as events told.")
        .value(std::uint64_t{deeds.terminals_open});
    out.gauge("ocgate_agent_last_activity_timestamp_seconds",
              "When a turn, an answer, a request or a terminal was last heard of, in Unix time; now, while a session "
              "runs; 0: "
              "not since the gateway started. Heartbeats are none.");
    using Seconds = std::chrono::duration<double>;
    auto const wall = Seconds(figures.wall.time_since_epoch()).count();
    auto const last = figures.busy ? std::optional(figures.now) : deeds.last_active;
    out.value(last ? wall - Seconds(figures.now - *last).count() : 0.0);
}

void write_money(Exposition& out, MoneyFigures const& figures) {
    auto const& [purse, wall, blocked, refusals] = figures;
    out.gauge("ocgate_spent_usd",
              "What agents have cost in the present day or month of budget_time_zone, in US dollars, titles of "
              "sessions not included; kept in state_dir, so a restart loses nothing of it where there is one.");
    for (auto const period : {bridge::Period::day, bridge::Period::month})
        out.value(purse.spent(period, wall), {{"period", bridge::period_words[static_cast<std::size_t>(period)]}});
    out.gauge("ocgate_budget_usd", "What may be spent in a day or month, in US dollars, where a budget is configured.");
    for (auto const& budget : purse.rules().budgets)
        out.value(budget.usd, {{"period", bridge::period_words[static_cast<std::size_t>(budget.period)]}});
    out.gauge("ocgate_budget_blocked", "1 while new prompts are refused because a budget is spent.")
        .value(blocked ? 1.0 : 0.0);
    out.counter("ocgate_budget_refused_total", "Prompts that were refused for that, since the gateway started.")
        .value(refusals);
}

void write_wedged(Exposition& out, opencode::TapState const& tap, bool probe, rt::Instant now) {
    bool const silent = tap.connected && now - tap.heard >= wedged_after;
    out.gauge("ocgate_upstream_wedged",
              "1 while opencode is connected but silent: neither an event nor a heartbeat (one is due every 10 s) came "
              "for 25 s, or it took the last health probe and did not answer in time.")
        .value(silent || probe ? 1.0 : 0.0);
}

}  // namespace ocgate::app
