// What agents did, as a scrape reads it. How it is counted is opencode::Activity's business; here it is made by hand.
#include "agent_metrics.hpp"

#include <gmock/gmock.h>

#include "support/exposition.hpp"

namespace ocgate::app {
namespace {
using namespace std::chrono_literals;
using bridge::Period;
using opencode::Deeds;
using opencode::Worker;
using testing::IsEmpty;

constexpr rt::Instant now{1000s};
constexpr bridge::Purse::Time wall{1'800'000'000s};

test::Scrape read(ops::Exposition const& out) {
    auto scrape = test::read_exposition(out.text());
    EXPECT_THAT(scrape.complaints, IsEmpty());
    return scrape;
}

test::Scrape scrape(Deeds const& deeds) {
    ops::Exposition out;
    write_agent(out, {.deeds = deeds, .now = now, .wall = wall});
    return read(out);
}

TEST(AgentMetrics, EveryFamilyIsThereFromTheBeginning) {
    auto const idle = scrape({});
    std::map<std::string, std::string> types;
    for (auto const& [name, family] : idle.families) {
        types[name] = family.type;
        EXPECT_FALSE(family.help.empty()) << name;
    }
    EXPECT_THAT(types, testing::ElementsAreArray(std::map<std::string, std::string>{
                           {"ocgate_agent_compactions_total", "counter"},
                           {"ocgate_agent_cost_usd_total", "counter"},
                           {"ocgate_agent_errors_total", "counter"},
                           {"ocgate_agent_last_activity_timestamp_seconds", "gauge"},
                           {"ocgate_agent_permission_answer_seconds", "histogram"},
                           {"ocgate_agent_permissions_asked_total", "counter"},
                           {"ocgate_agent_permissions_over_total", "counter"},
                           {"ocgate_agent_provider_retries_total", "counter"},
                           {"ocgate_agent_question_answer_seconds", "histogram"},
                           {"ocgate_agent_questions_asked_total", "counter"},
                           {"ocgate_agent_questions_over_total", "counter"},
                           {"ocgate_agent_step_duration_seconds", "histogram"},
                           {"ocgate_agent_steps_total", "counter"},
                           {"ocgate_agent_terminals_open", "gauge"},
                           {"ocgate_agent_tokens_total", "counter"},
                           {"ocgate_agent_tool_calls_total", "counter"},
                           {"ocgate_agent_turn_duration_seconds", "histogram"},
                           {"ocgate_agent_turns_total", "counter"},
                       }));
    for (auto const* series :
         {R"(ocgate_agent_turns_total{outcome="completed"})", R"(ocgate_agent_turns_total{outcome="failed"})",
          R"(ocgate_agent_turns_total{outcome="aborted"})", "ocgate_agent_turn_duration_seconds_count",
          "ocgate_agent_permission_answer_seconds_count", "ocgate_agent_question_answer_seconds_count",
          "ocgate_agent_provider_retries_total", "ocgate_agent_compactions_total", "ocgate_agent_questions_asked_total",
          R"(ocgate_agent_questions_over_total{answer="gone"})", "ocgate_agent_terminals_open",
          "ocgate_agent_last_activity_timestamp_seconds"})
        EXPECT_EQ(idle.value(series), 0) << series;
}

TEST(AgentMetrics, StepsByWhoDidThem) {
    Deeds deeds;
    auto& build = deeds.work[Worker{"anthropic", "opus", "build"}];
    build.steps = 3;
    build.usage = {.cost = 0.75, .input = 1, .output = 2, .reasoning = 3, .cache_read = 4, .cache_write = 5};
    build.took.observe(3s);
    build.took.observe(1h);
    auto& plan = deeds.work[Worker{"anthropic", "opus", "plan"}];
    plan.steps = 1;
    plan.usage.cost = 0.25;
    plan.took.observe(2s);
    deeds.work[Worker{"openai", "gpt", "build"}].steps = 7;
    auto const is = scrape(deeds);
    EXPECT_EQ(is.value(R"(ocgate_agent_steps_total{provider="anthropic",model="opus",agent="build"})"), 3);
    EXPECT_EQ(is.value(R"(ocgate_agent_steps_total{provider="anthropic",model="opus",agent="plan"})"), 1);
    EXPECT_EQ(is.total("ocgate_agent_steps_total"), 11);
    EXPECT_EQ(is.value(R"(ocgate_agent_cost_usd_total{provider="anthropic",model="opus",agent="build"})"), 0.75);
    EXPECT_EQ(is.total("ocgate_agent_cost_usd_total"), 1);
    int number = 0;
    for (std::string const kind : {"input", "output", "reasoning", "cache_read", "cache_write"}) {
        EXPECT_EQ(is.value("ocgate_agent_tokens_total{provider=\"anthropic\",model=\"opus\",agent=\"build\",kind=\"" +
                           kind + "\"}"),
                  ++number);
    }
    // Durations of all agents together.
    auto const bucket = [&](std::string const& bound) {
        return is.value("ocgate_agent_step_duration_seconds_bucket{provider=\"anthropic\",model=\"opus\",le=\"" +
                        bound + "\"}");
    };
    EXPECT_EQ(bucket("1"), 0);
    EXPECT_EQ(bucket("2.5"), 1);
    EXPECT_EQ(bucket("5"), 2);
    EXPECT_EQ(bucket("600"), 2);
    EXPECT_EQ(bucket("+Inf"), 3);
    EXPECT_EQ(is.value(R"(ocgate_agent_step_duration_seconds_sum{provider="anthropic",model="opus"})"), 3605);
}

TEST(AgentMetrics, TurnsToolsAndRequests) {
    Deeds deeds;
    deeds.turns = {5, 4, 3};
    deeds.turns_took.observe(20s);
    deeds.retries = 6;
    deeds.compactions = 7;
    deeds.tools["bash"] = {8, 9};
    deeds.errors["APIError"] = 10;
    deeds.permissions["bash"] = {.asked = 11, .over = {1, 2, 3, 4}};
    deeds.permissions_took.observe(90s);
    deeds.questions_asked = 12;
    deeds.questions_over = {5, 6, 7};
    deeds.questions_took.observe(2s);
    deeds.terminals_open = 13;
    deeds.last_active = now - 30s;
    auto const is = scrape(deeds);
    EXPECT_EQ(is.value(R"(ocgate_agent_turns_total{outcome="completed"})"), 5);
    EXPECT_EQ(is.value(R"(ocgate_agent_turns_total{outcome="failed"})"), 4);
    EXPECT_EQ(is.value(R"(ocgate_agent_turns_total{outcome="aborted"})"), 3);
    EXPECT_EQ(is.value("ocgate_agent_turn_duration_seconds_sum"), 20);
    EXPECT_EQ(is.value("ocgate_agent_provider_retries_total"), 6);
    EXPECT_EQ(is.value("ocgate_agent_compactions_total"), 7);
    EXPECT_EQ(is.value(R"(ocgate_agent_tool_calls_total{tool="bash",outcome="completed"})"), 8);
    EXPECT_EQ(is.value(R"(ocgate_agent_tool_calls_total{tool="bash",outcome="failed"})"), 9);
    EXPECT_EQ(is.value(R"(ocgate_agent_errors_total{name="APIError"})"), 10);
    EXPECT_EQ(is.value(R"(ocgate_agent_permissions_asked_total{type="bash"})"), 11);
    EXPECT_EQ(is.value(R"(ocgate_agent_permissions_over_total{type="bash",answer="once"})"), 1);
    EXPECT_EQ(is.value(R"(ocgate_agent_permissions_over_total{type="bash",answer="always"})"), 2);
    EXPECT_EQ(is.value(R"(ocgate_agent_permissions_over_total{type="bash",answer="reject"})"), 3);
    EXPECT_EQ(is.value(R"(ocgate_agent_permissions_over_total{type="bash",answer="gone"})"), 4);
    EXPECT_EQ(is.value(R"(ocgate_agent_permission_answer_seconds_bucket{le="60"})"), 0);
    EXPECT_EQ(is.value(R"(ocgate_agent_permission_answer_seconds_bucket{le="180"})"), 1);
    EXPECT_EQ(is.value("ocgate_agent_questions_asked_total"), 12);
    EXPECT_EQ(is.value(R"(ocgate_agent_questions_over_total{answer="answered"})"), 5);
    EXPECT_EQ(is.value(R"(ocgate_agent_questions_over_total{answer="rejected"})"), 6);
    EXPECT_EQ(is.value(R"(ocgate_agent_questions_over_total{answer="gone"})"), 7);
    EXPECT_EQ(is.value("ocgate_agent_question_answer_seconds_sum"), 2);
    EXPECT_EQ(is.value("ocgate_agent_terminals_open"), 13);
    EXPECT_EQ(is.value("ocgate_agent_last_activity_timestamp_seconds"), 1'799'999'970);
    ops::Exposition out;
    write_agent(out, {.deeds = deeds, .now = now, .wall = wall, .busy = true});
    EXPECT_EQ(read(out).value("ocgate_agent_last_activity_timestamp_seconds"), 1'800'000'000);
}

TEST(AgentMetrics, MoneyAndItsLimits) {
    auto const scrape_of = [](bridge::Purse const& purse, bool blocked, std::uint64_t refusals) {
        ops::Exposition out;
        write_money(out, {.purse = purse, .wall = wall, .blocked = blocked, .refusals = refusals});
        return read(out);
    };
    bridge::Purse purse({});
    auto const none = scrape_of(purse, false, 0);
    EXPECT_EQ(none.value(R"(ocgate_spent_usd{period="day"})"), 0);
    EXPECT_EQ(none.value(R"(ocgate_spent_usd{period="month"})"), 0);
    EXPECT_EQ(none.value(R"(ocgate_budget_usd{period="day"})"), -1) << "no budget is not one of 0";
    EXPECT_EQ(none.families.count("ocgate_budget_usd"), 1U);
    EXPECT_EQ(none.value("ocgate_budget_blocked"), 0);
    EXPECT_EQ(none.value("ocgate_budget_refused_total"), 0);
    purse.adopt({.budgets = {{.period = Period::month, .usd = 12.5}}});
    purse.count("msg_1", 2, wall, wall);
    purse.count("msg_2", 3, wall - 24h, wall);
    auto const some = scrape_of(purse, true, 4);
    EXPECT_EQ(some.value(R"(ocgate_spent_usd{period="day"})"), 2);
    EXPECT_EQ(some.value(R"(ocgate_spent_usd{period="month"})"), 5);
    EXPECT_EQ(some.value(R"(ocgate_budget_usd{period="month"})"), 12.5);
    EXPECT_EQ(some.value("ocgate_budget_blocked"), 1);
    EXPECT_EQ(some.value("ocgate_budget_refused_total"), 4);
}

TEST(AgentMetrics, AWedgedOpencodeIsConnectedAndSilentOrDoesNotAnswerAProbe) {
    auto const wedged = [](bool connected, rt::Duration silent, bool probe) {
        ops::Exposition out;
        opencode::TapState tap;
        tap.connected = connected;
        tap.heard = now - silent;
        write_wedged(out, tap, probe, now);
        return read(out).value("ocgate_upstream_wedged");
    };
    EXPECT_EQ(wedged(true, 24s, false), 0);
    EXPECT_EQ(wedged(true, 25s, false), 1);
    EXPECT_EQ(wedged(false, 1h, false), 0) << "that is away, not wedged";
    EXPECT_EQ(wedged(true, 1s, true), 1);
    EXPECT_EQ(wedged(false, 1h, true), 1);
}

}  // namespace
}  // namespace ocgate::app
