#include "router_kit.hpp"

namespace ocgate::notify {
namespace {
using namespace router_kit;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(RouterTest, WhatAnEventGetsWhereItsRuleIsSilent) {
    struct Row {
        char const* kind;
        rt::Duration hold, expires;
        int priority;
        std::vector<rt::Duration> reminders;
    };
    Row const rows[] = {
        {"permission", 1s, 24h, 4, {3min, 10min}},
        {"question", 500ms, 24h, 4, {3min, 10min}},
        {"complete", 3s, 1h, 3, {}},
        {"error", 1s, 6h, 4, {}},
        {"retry", 1s, 6h, 3, {}},
        {"upstream_down", 60s, 24h, 4, {}},
        {"budget", 0s, 24h, 4, {}},
        {"digest", 0s, 6h, 2, {}},
    };
    ASSERT_EQ(std::size(rows), all_events.size());
    for (auto const& row : rows) {
        auto const handling = route(raised(row.kind));
        EXPECT_THAT(handling.targets, ElementsAre("phone")) << row.kind;
        EXPECT_EQ(handling.hold, row.hold) << row.kind;
        EXPECT_EQ(handling.expires, row.expires) << row.kind;
        EXPECT_EQ(handling.priority, row.priority) << row.kind;
        EXPECT_EQ(handling.reminders, row.reminders) << row.kind;
        EXPECT_EQ(handling.privacy, Privacy::full) << row.kind;
        EXPECT_THAT(handling.escalate_to, IsEmpty()) << row.kind;
        EXPECT_EQ(handling.escalate_after, 0s) << row.kind;
        EXPECT_FALSE(handling.silent) << row.kind;
        EXPECT_FALSE(handling.digest) << row.kind;
        EXPECT_EQ(handling.suppressed, "") << row.kind;
    }
}

TEST_F(RouterTest, ARuleSaysOtherwise) {
    auto& rule = rules.rules[0];
    rule.targets = {"phone", "team"};
    rule.priority = 5;
    rule.privacy = Privacy::minimal;
    rule.hold = 0s;
    rule.reminders = {{10min, 1min}};
    rule.expires = 2h;
    rule.escalate_to = {"boss"};
    rule.escalate_after = 5min;
    auto const handling = route(raised("permission"));
    EXPECT_THAT(handling.targets, ElementsAre("phone", "team"));
    EXPECT_EQ(handling.priority, 5);
    EXPECT_EQ(handling.privacy, Privacy::minimal);
    EXPECT_EQ(handling.hold, 0s);
    EXPECT_THAT(handling.reminders, ElementsAre(1min, 10min)) << "in the order of time";
    EXPECT_EQ(handling.expires, 2h);
    EXPECT_THAT(handling.escalate_to, ElementsAre("boss"));
    EXPECT_EQ(handling.escalate_after, 5min);

    rule.reminders = std::vector<rt::Duration>{};
    rule.expires = 0s;
    EXPECT_THAT(route(raised("permission")).reminders, IsEmpty());
    EXPECT_EQ(route(raised("permission")).expires, 0s) << "never";
}

TEST_F(RouterTest, PrivacyOfAllRulesIsOneSetting) {
    rules.privacy = Privacy::summary;
    EXPECT_EQ(route(raised("error")).privacy, Privacy::summary);
    EXPECT_EQ(route(raised("test")).privacy, Privacy::summary);
}

TEST_F(RouterTest, ARuleForEverythingRemindsOnlyOfWhatWaits) {
    auto& rule = rules.rules[0];
    rule.reminders = {{1min}};
    rule.escalate_to = {"boss"};
    rule.escalate_after = 5min;
    EXPECT_THAT(route(raised("question")).reminders, ElementsAre(1min));
    EXPECT_THAT(route(raised("complete")).reminders, IsEmpty());
    EXPECT_THAT(route(raised("complete")).escalate_to, IsEmpty());
    EXPECT_EQ(route(raised("complete")).escalate_after, 0s);
    rule.events = {"complete", "error"};
    EXPECT_THAT(route(raised("complete")).reminders, ElementsAre(1min));
    EXPECT_THAT(route(raised("error")).escalate_to, ElementsAre("boss"));
}

TEST_F(RouterTest, TheFirstRuleThatMatchesDecides) {
    rules.rules = {to("a"), to("b"), to("c")};
    rules.rules[0].events = {"permission"};
    rules.rules[1].events = {"permission", "question"};
    EXPECT_EQ(to_whom(raised("permission")), "a");
    EXPECT_EQ(to_whom(raised("question")), "b");
    EXPECT_EQ(to_whom(raised("error")), "c");
    std::swap(rules.rules[0], rules.rules[1]);
    EXPECT_EQ(to_whom(raised("permission")), "b");
    std::swap(rules.rules[0], rules.rules[2]);
    EXPECT_EQ(to_whom(raised("permission")), "c");
}

TEST_F(RouterTest, NobodyIsToldWithoutARule) {
    rules.rules[0].events = {"permission"};
    EXPECT_EQ(to_whom(raised("question")), "suppressed: route");
    rules.rules[0].targets.clear();
    EXPECT_EQ(to_whom(raised("permission")), "suppressed: route");
    EXPECT_THAT(route(raised("permission")).targets, IsEmpty());
    rules.rules.clear();
    EXPECT_EQ(to_whom(raised("permission")), "suppressed: route");
}

TEST_F(RouterTest, ARuleWithoutTargetsKeepsOthersFromHearing) {
    rules.rules = {to("x"), to("rest")};
    rules.rules[0].events = {"complete"};
    rules.rules[0].targets.clear();
    EXPECT_EQ(to_whom(raised("complete")), "suppressed: route");
    EXPECT_EQ(to_whom(raised("error")), "rest");
}

TEST_F(RouterTest, ByProjectDirectoryAndAgent) {
    struct Row {
        std::vector<std::string> projects, directories, agents;
        char const* to;
    };
    Row const rows[] = {
        {{"api-*"}, {}, {}, "first"},
        {{"web", "api-*"}, {}, {}, "first"},
        {{"web"}, {}, {}, "rest"},
        {{"API-*"}, {}, {}, "rest"},
        {{"api"}, {}, {}, "rest"},
        {{}, {"/workspaces/**"}, {}, "first"},
        {{}, {"/workspaces/*"}, {}, "first"},
        {{}, {"/work*"}, {}, "rest"},
        {{}, {"/home/**", "/work**"}, {}, "first"},
        {{}, {}, {"build"}, "first"},
        {{}, {}, {"plan", "bu?ld"}, "first"},
        {{}, {}, {"plan"}, "rest"},
        {{"api-*"}, {"/workspaces/**"}, {"build"}, "first"},
        {{"api-*"}, {"/workspaces/**"}, {"plan"}, "rest"},
        {{"api-*"}, {"/home/**"}, {"build"}, "rest"},
        {{"web"}, {"/workspaces/**"}, {"build"}, "rest"},
    };
    for (auto const& row : rows) {
        Rule rule;
        rule.projects = row.projects;
        rule.directories = row.directories;
        rule.agents = row.agents;
        first(rule);
        EXPECT_EQ(to_whom(raised("permission")), row.to) << &row - rows;
    }
}

TEST_F(RouterTest, FactsThatAreMissingAreEmpty) {
    Rule rule;
    rule.agents = {"build"};
    first(rule);
    EXPECT_EQ(to_whom(raised("error", json::object())), "rest");
    EXPECT_EQ(to_whom(raised("error", {{"agent", 7}})), "rest");
    EXPECT_EQ(to_whom(raised("error", json::array())), "rest");
    rule.agents = {"*"};
    first(rule);
    EXPECT_EQ(to_whom(raised("error", json::object())), "first");
    auto broken = raised("error");
    broken.facts = "{\"agent\": ";
    EXPECT_EQ(to_whom(broken), "first");
    broken.facts.clear();
    EXPECT_EQ(to_whom(broken), "first");
}

TEST_F(RouterTest, AShortTurnIsForTheNextRule) {
    struct Row {
        char const* kind;
        json turn;
        char const* to;
    };
    Row const rows[] = {
        {"complete", {{"duration_ms", 19'999}}, "rest"},
        {"complete", {{"duration_ms", 20'000}}, "first"},
        {"complete", {{"duration_ms", 0}}, "rest"},
        {"complete", {{"duration_ms", 19'999.5}}, "rest"},
        {"complete", {{"duration_ms", 18'446'744'073'709'551'615U}}, "first"},
        {"complete", {{"duration_ms", 5}, {"at_least", true}}, "first"},
        {"complete", {{"duration_ms", 5}, {"at_least", false}}, "rest"},
        {"complete", {{"duration_ms", 5}, {"at_least", "true"}}, "rest"},
        {"complete", {{"duration_ms", "5"}}, "first"},
        {"complete", json::object(), "first"},
        {"complete", nullptr, "first"},
        {"error", {{"duration_ms", 5}}, "first"},
    };
    Rule rule;
    rule.min_duration = 20s;
    first(rule);
    for (auto const& row : rows) {
        EXPECT_EQ(to_whom(raised(row.kind, {{"turn", row.turn}})), row.to) << row.kind << row.turn;
    }
}

TEST_F(RouterTest, ATestGoesToEveryTargetAtOnce) {
    rules.rules = {to("phone"), to("team"), to("phone")};
    rules.rules[1].events = {"error"};
    rules.rules[1].hold = 1h;
    rules.quiet = QuietHours{"UTC", {{0h, 24h}}};
    rules.presence = PresenceRules{};
    auto all = router();
    all.mute("", noon + 1h);
    all.seen("ses_1", now);
    auto const handling = all.route(raised("test"), now);
    EXPECT_EQ(said(handling), "phone,team");
    EXPECT_EQ(handling.hold, 0s);
    EXPECT_EQ(handling.expires, 1h);
    EXPECT_FALSE(handling.silent);
    EXPECT_FALSE(handling.digest);
    EXPECT_THAT(handling.reminders, IsEmpty());
    rules.rules.clear();
    EXPECT_EQ(to_whom(raised("test")), "suppressed: route");
}

TEST_F(RouterTest, NewRulesHoldFromTheNextOn) {
    auto router = this->router();
    router.mute("ses_2", noon + 1h);
    rules.rules = {to("team")};
    rules.rules[0].reminders = {{9min, 3min}};
    router.adopt(rules);
    EXPECT_EQ(said(router.route(raised("permission"), now)), "team");
    EXPECT_THAT(router.route(raised("permission"), now).reminders, ElementsAre(3min, 9min));
    EXPECT_EQ(router.mutes().size(), 1U) << "mutes are not rules";
}

}  // namespace
}  // namespace ocgate::notify
