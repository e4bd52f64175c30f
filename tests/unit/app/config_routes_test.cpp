// Who is told of what, as the file says it.
#include "config_routes.hpp"

#include <gmock/gmock.h>

#include "config_kit.hpp"
#include "config_summary.hpp"

namespace ocgate::app {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr auto two_targets = R"({"notifications": {"targets": {"phone": {"type": "log"}, "team": {"type": "log"}}, )";

World with_routes(std::string const& routes) { return World(two_targets + ("\"routes\": " + routes) + "}}"); }
World with(std::string const& key, std::string const& json) {
    return World(two_targets + ("\"" + key + "\": " + json) + "}}");
}

TEST(ConfigRoutes, AreReadWholeAndInOrder) {
    auto const config = with_routes(R"([
        {"events": ["permission", "question"], "projects": ["api-*"], "directories": ["/workspaces/**"],
         "agents": ["build"], "targets": ["phone"], "priority": 5, "privacy": "summary",
         "hold": "0", "reminders": ["3m", "10m"], "expires": "1d", "escalate": {"to": ["team"], "after": "15m"}},
        {"events": ["complete"], "min_duration": "90s", "targets": ["team", "phone"], "reminders": []},
        {"events": ["complete", "retry"]}, {"targets": ["phone"]}])")
                            .valid();
    EXPECT_THAT(config.warnings, IsEmpty());
    auto const& rules = config.notify.rules.rules;
    ASSERT_THAT(rules, SizeIs(4));
    EXPECT_EQ(rules[0].place, "/notifications/routes/0");
    EXPECT_THAT(rules[0].events, ElementsAre("permission", "question"));
    EXPECT_THAT(rules[0].projects, ElementsAre("api-*"));
    EXPECT_THAT(rules[0].directories, ElementsAre("/workspaces/**"));
    EXPECT_THAT(rules[0].agents, ElementsAre("build"));
    EXPECT_THAT(rules[0].targets, ElementsAre("phone"));
    EXPECT_EQ(rules[0].priority, 5);
    EXPECT_EQ(rules[0].privacy, notify::Privacy::summary);
    EXPECT_EQ(rules[0].hold, rt::Duration(0));
    EXPECT_THAT(*rules[0].reminders, ElementsAre(3min, 10min));
    EXPECT_EQ(rules[0].expires, rt::Duration(24h));
    EXPECT_THAT(rules[0].escalate_to, ElementsAre("team"));
    EXPECT_EQ(rules[0].escalate_after, 15min);
    EXPECT_EQ(rules[1].min_duration, 90s);
    EXPECT_THAT(rules[1].targets, ElementsAre("team", "phone"));
    EXPECT_THAT(*rules[1].reminders, IsEmpty()) << "none, which is not the default";
    EXPECT_THAT(rules[2].targets, IsEmpty()) << "it silences";
    auto const& open = rules[3];
    EXPECT_FALSE(open.priority || open.privacy || open.hold || open.reminders || open.expires);
    EXPECT_EQ(open.min_duration, 20s);
    EXPECT_EQ(rules[2].min_duration, rt::Duration(0)) << "what it silences is silent however short";
    EXPECT_EQ(rules[0].min_duration, rt::Duration(0)) << "it is not about turns";
}

TEST(ConfigRoutes, WithoutThemEverybodyIsToldOfEverything) {
    auto const rules = with("privacy", R"("minimal")").valid().notify.rules;
    EXPECT_EQ(rules.privacy, notify::Privacy::minimal);
    ASSERT_THAT(rules.rules, SizeIs(1));
    EXPECT_THAT(rules.rules[0].targets, ElementsAre("phone", "team"));
    EXPECT_EQ(rules.rules[0].min_duration, 20s);
    EXPECT_FALSE(rules.quiet || rules.presence);
}

struct Wrong {
    std::string route;
    std::string place;
    std::string message;
};

TEST(ConfigRoutes, EveryMistakeIsToldWithItsPlace) {
    Wrong const all[] = {
        {"7", "", "expected an object, got a number"},
        {R"({"event": ["error"]})", "/event", "did you mean \"events\"?"},
        {R"({"events": []})", "/events", "leave it out for all events"},
        {R"({"events": "error"})", "/events", "expected an array of at most 100 events, got a string"},
        {R"({"events": [1, "eror"]})", "/events/0", "expected a text, got a number"},
        {R"({"events": ["error", "eror"]})", "/events/1", "got \"eror\"; did you mean \"error\"?"},
        {R"({"projects": []})", "/projects", "leave it out for all of them"},
        {R"({"directories": [""]})", "/directories/0", "expected a text"},
        {R"({"agents": "build"})", "/agents", "expected an array of at most 100 agents"},
        {R"({"agents": [")" + std::string(1025, 'a') + R"("]})", "/agents/0", "at most 1024 bytes"},
        {R"({"min_duration": 20})", "/min_duration", "with its unit"},
        {R"({"targets": "phone"})", "/targets", "expected an array of at most 32 names of targets"},
        {R"({"targets": ["phne"]})", "/targets/0", "no target has this name; did you mean \"phone\"?"},
        {R"({"targets": ["team", "team"]})", "/targets/1", "named twice"},
        {R"({"targets": ["https://discord.com/api/webhooks/1/hunter2"]})", "/targets/0", "no target has this name"},
        {R"({"priority": 6})", "/priority", "expected an integer from 1 to 5, got 6"},
        {R"({"priority": "high"})", "/priority", "expected an integer from 1 to 5"},
        {R"({"privacy": "none"})", "/privacy", "expected one of minimal, summary, full"},
        {R"({"hold": "2h"})", "/hold", "expected a duration from 0 to 1h"},
        {R"({"expires": "0"})", "/expires", "expected a duration from 1s to 30d"},
        {R"({"reminders": "3m"})", "/reminders", "expected an array of at most 10 durations"},
        {R"({"reminders": ["3m", "x"]})", "/reminders/1", "expected a duration from 100ms to 7d"},
        {R"({"reminders": ["10m", "3m"]})", "/reminders", "expected each to be later"},
        {R"({"reminders": ["3m", "3m"]})", "/reminders", "expected each to be later"},
        {R"({"targets": ["phone"], "escalate": {"to": ["team"]}})", "/escalate", "after is missing"},
        {R"({"targets": ["phone"], "escalate": {"after": "1m"}})", "/escalate", "to is missing"},
        {R"({"targets": ["phone"], "escalate": {"to": [], "after": "1m"}})", "/escalate/to", "at least one target"},
        {R"({"targets": ["phone"], "escalate": {"to": ["teem"], "after": "1m"}})", "/escalate/to/0",
         "did you mean \"team\"?"},
        {R"({"targets": ["phone"], "escalate": {"to": ["team"], "after": "1m", "atfer": 1}})", "/escalate/atfer",
         "did you mean \"after\"?"},
        {R"({"targets": ["phone"], "escalate": "team"})", "/escalate", "expected an object"},
    };
    for (auto const& [route, place, message] : all) {
        SCOPED_TRACE(route);
        EXPECT_THAT(
            with_routes("[" + route + "]").errors(),
            ::testing::Contains(AllOf(StartsWith("/notifications/routes/0" + place + ": "), HasSubstr(message))));
    }
    EXPECT_THAT(with_routes("{}").errors(),
                ElementsAre("/notifications/routes: expected an array of at most 100 routes, got an object"));
    std::string many = "{}";
    for (std::size_t i = 0; i < max_routes; ++i) many += ", {}";
    EXPECT_THAT(with_routes("[" + many + "]").errors(), ElementsAre(HasSubstr("at most 100 routes, got 101")));
}

TEST(ConfigRoutes, NeedTargets) {
    EXPECT_THAT(World(R"({"notifications": {"routes": [{"events": ["error"], "targets": ["phone"]}]}})").errors(),
                ElementsAre(AllOf(StartsWith("/notifications/routes: there are no targets"), HasSubstr("NTFY_TOPIC"))));
    EXPECT_THAT(World(R"({"notifications": {"routes": []}})").valid().warnings, IsEmpty());
    EXPECT_THAT(with_routes("[]").valid().warnings, ElementsAre(HasSubstr("nobody is told of anything")));
    // One that is there with a mistake is there.
    EXPECT_THAT(World(R"({"notifications": {"targets": {"phone": {"type": "x"}}, "routes": [{"targets": ["phone"]}]}})")
                    .errors(),
                ElementsAre(StartsWith("/notifications/targets/phone/type: ")));
    EXPECT_THAT(World(R"({"notifications": {"targets": 7, "routes": [{"targets": ["phone"]}]}})").errors(),
                ElementsAre(StartsWith("/notifications/targets: ")));
}

TEST(ConfigRoutes, OnesThatAreNeverAskedAreDoubted) {
    struct Row {
        std::string routes;
        bool doubted;
    };
    Row const rows[] = {
        {R"([{"targets": ["phone", "team"]}, {"events": ["error"]}])", true},
        {R"([{"events": ["error"]}, {"targets": ["phone", "team"]}])", false},
        {R"([{"targets": ["phone", "team"], "min_duration": "20s"}, {"events": ["error"]}])", true},
        {R"([{"targets": ["phone", "team"]}, {"events": ["complete"], "targets": ["phone"]}])", true},
        {R"([{"targets": ["phone", "team"]}, {"events": ["complete"]}])", false},
        {R"([{"targets": ["phone", "team"], "min_duration": "20s"}, {}])", false},
        {R"([{"events": ["error", "retry"], "targets": ["phone"]}, {"events": ["retry"], "targets": ["team"]}])", true},
        {R"([{"events": ["error"], "targets": ["phone"]}, {"events": ["retry"], "targets": ["team"]}])", false},
        {R"([{"projects": ["a", "b"], "targets": ["phone"]}, {"projects": ["b"], "targets": ["team"]}])", true},
        {R"([{"projects": ["a"], "targets": ["phone"]}, {"targets": ["team"]}])", false},
        {R"([{"projects": ["a"], "targets": ["phone"]}, {"projects": ["a", "b"], "targets": ["team"]}])", false},
        {R"([{"agents": ["a"], "targets": ["phone"]}, {"projects": ["b"], "targets": ["team"]}])", false},
    };
    for (auto const& [routes, doubted] : rows) {
        auto const warnings = with_routes(routes).valid().warnings;
        if (doubted) {
            EXPECT_THAT(warnings, ElementsAre(AllOf(StartsWith("/notifications/routes/1: it is never asked, for "
                                                               "/notifications/routes/0 matches"))))
                << routes;
        } else {
            EXPECT_THAT(warnings, IsEmpty()) << routes;
        }
    }
}

TEST(ConfigRoutes, ShortTurnsThatGoAstrayAreDoubted) {
    struct Row {
        std::string routes;
        bool doubted;
    };
    std::string const longer = R"({"events": ["complete"], "min_duration": "1m", "targets": ["phone"]})";
    std::string const all = R"({"targets": ["phone", "team"]})";
    Row const rows[] = {
        {longer + "," + all, true},
        {longer + R"(, {"events": ["complete"], "targets": []},)" + all, false},
        {longer + R"(, {"events": ["error"], "targets": ["team"]},)" + all, true},
        {longer + R"(, {"events": ["complete"], "min_duration": "30s", "targets": ["team"]})", false},
        {longer + R"(, {"targets": ["phone", "team"], "min_duration": "1m"})", false},
        {R"({"events": ["complete"], "targets": ["phone"]},)" + all, false},
        {R"({"min_duration": "1m", "targets": ["phone"]},)" + all, false},
    };
    for (auto const& [routes, doubted] : rows) {
        auto const warnings = with_routes("[" + routes + "]").valid().warnings;
        if (doubted) {
            EXPECT_THAT(warnings, ElementsAre(StartsWith("/notifications/routes/0: turns shorter than"))) << routes;
        } else {
            EXPECT_THAT(warnings, Not(Contains(HasSubstr("turns shorter than")))) << routes;
        }
    }
}

TEST(ConfigRoutes, WhatIsLikelyNotMeantIsDoubted) {
    auto const doubts = [](std::string const& route) {
        return with_routes("[" + route + R"(, {"targets": ["phone", "team"]}])").valid().warnings;
    };
    EXPECT_THAT(doubts(R"({"events": ["error"], "min_duration": "1m", "targets": ["phone"]})"),
                ElementsAre("/notifications/routes/0/min_duration has no effect: this route is not about complete"));
    EXPECT_THAT(doubts(R"({"agents": ["a"], "escalate": {"to": ["team"], "after": "1m"}})"),
                ElementsAre(HasSubstr("/escalate has no effect")));
    EXPECT_THAT(doubts(R"({"agents": ["a"], "targets": ["phone"], "reminders": ["1h"], "expires": "1h"})"),
                ElementsAre(HasSubstr("/reminders: what comes after expires is not said")));
    EXPECT_THAT(doubts(R"({"agents": ["a"], "targets": ["phone"], "expires": "1h",
                           "escalate": {"to": ["team"], "after": "2h"}})"),
                ElementsAre(HasSubstr("/escalate/after: it is not before expires")));
    for (auto const* directory : {"srv/*", "?/srv", "w", "/srv/"})
        EXPECT_THAT(doubts(R"({"directories": [")" + std::string(directory) + R"("], "targets": ["phone"]})"),
                    ElementsAre(StartsWith("/notifications/routes/0/directories/0: nothing matches it")))
            << directory;
    for (auto const* directory : {"/srv/*", "**/srv", "*/srv", "/", "*"})
        EXPECT_THAT(doubts(R"({"directories": [")" + std::string(directory) + R"("], "targets": ["phone"]})"),
                    IsEmpty())
            << directory;
    EXPECT_THAT(with_routes(R"([{"targets": ["phon"]}])").load().config.warnings, IsEmpty()) << "an error says it all";
    EXPECT_THAT(with_routes(R"([{"targets": ["team"]}])").valid().warnings,
                ElementsAre(StartsWith("the target \"phone\" is never told")));
    EXPECT_THAT(
        with_routes(R"([{"targets": ["team"], "escalate": {"to": ["phone"], "after": "1m"}}])").valid().warnings,
        IsEmpty());
}

TEST(ConfigRoutes, QuietHoursAreTimesOfDaySomewhere) {
    auto const quiet = with("quiet_hours", R"({"time_zone": "Europe/Berlin", "spans": [
        {"from": "22:00", "to": "07:05", "days": ["mon", "sun"]}, {"from": "00:00", "to": "24:00"}]})")
                           .valid()
                           .notify.rules.quiet;
    ASSERT_TRUE(quiet);
    EXPECT_EQ(quiet->time_zone, "Europe/Berlin");
    ASSERT_THAT(quiet->spans, SizeIs(2));
    EXPECT_EQ(quiet->spans[0].from, 22h);
    EXPECT_EQ(quiet->spans[0].to, 7h + 5min);
    EXPECT_EQ(quiet->spans[0].days, 0b1000001U);
    EXPECT_EQ(quiet->spans[1].from, 0min);
    EXPECT_EQ(quiet->spans[1].to, 24h);
    EXPECT_EQ(quiet->spans[1].days, 0x7FU);

    auto const span = [](std::string const& text) { return R"({"time_zone": "UTC", "spans": [)" + text + "]}"; };
    Wrong const all[] = {
        {"[]", "", "expected an object"},
        {R"({"spans": [{"from": "1:00", "to": "02:00"}], "timezone": "UTC"})", "/timezone",
         "did you mean \"time_zone\"?"},
        {R"({"spans": [{"from": "01:00", "to": "02:00"}]})", "", "time_zone is missing"},
        {R"({"time_zone": "UTC"})", "", "spans is missing"},
        {R"({"time_zone": "Europe/Atlantis", "spans": [{"from": "01:00", "to": "02:00"}]})", "/time_zone",
         "got \"Europe/Atlantis\", which this machine does not know"},
        {R"({"time_zone": 1, "spans": [{"from": "01:00", "to": "02:00"}]})", "/time_zone", "got a number"},
        {R"({"time_zone": "UTC", "spans": []})", "/spans", "expected an array of 1 to 50 spans, got 0"},
        {R"({"time_zone": "UTC", "spans": {"from": "01:00"}})", "/spans", "got an object"},
        {span("7"), "/spans/0", "expected an object"},
        {span("{}"), "/spans/0", "from is missing"},
        {span(R"({"from": "22:00"})"), "/spans/0", "to is missing"},
        {span(R"({"from": "22", "to": "07:00"})"), "/spans/0/from", "a time of day from 00:00 to 23:59, got \"22\""},
        {span(R"({"from": "24:00", "to": "07:00"})"), "/spans/0/from", "to 23:59"},
        {span(R"({"from": "22:00", "to": "24:01"})"), "/spans/0/to", "to 24:00"},
        {span(R"({"from": "22:60", "to": "07:00"})"), "/spans/0/from", "a time of day"},
        {span(R"({"from": "-1:00", "to": "07:00"})"), "/spans/0/from", "a time of day"},
        {span(R"({"from": 22, "to": "07:00"})"), "/spans/0/from", "got a number"},
        {span(R"({"from": "07:00", "to": "07:00"})"), "/spans/0", "00:00 to 24:00 is a whole day"},
        {span(R"({"from": "01:00", "to": "02:00", "days": []})"), "/spans/0/days", "leave it out for every day"},
        {span(R"({"from": "01:00", "to": "02:00", "days": ["mon", "Tue"]})"), "/spans/0/days/1", "got \"Tue\""},
        {span(R"({"from": "01:00", "to": "02:00", "day": ["mon"]})"), "/spans/0/day", "did you mean \"days\"?"},
    };
    for (auto const& [json, place, message] : all) {
        SCOPED_TRACE(json);
        EXPECT_THAT(
            with("quiet_hours", json).errors(),
            ::testing::Contains(AllOf(StartsWith("/notifications/quiet_hours" + place + ": "), HasSubstr(message))));
    }
}

TEST(ConfigRoutes, PresenceIsOffUntilItIsNamed) {
    auto const usual = with("presence", "{}").valid().notify.rules.presence;
    ASSERT_TRUE(usual);
    EXPECT_EQ(usual->window, 45s);
    EXPECT_EQ(usual->grace, 30s);
    auto const own = with("presence", R"({"window": "1m", "grace": "5s"})").valid().notify.rules.presence;
    EXPECT_EQ(own->window, 1min);
    EXPECT_EQ(own->grace, 5s);
    EXPECT_THAT(with("presence", "true").errors(), ElementsAre(HasSubstr("expected an object, got a boolean")));
    EXPECT_THAT(with("presence", R"({"window": "0", "grase": "1s"})").errors(),
                ::testing::UnorderedElementsAre(
                    StartsWith("/notifications/presence/window: expected a duration from 100ms to 1h"),
                    "/notifications/presence/grase: unknown key; did you mean \"grace\"?"));
}

TEST(ConfigRoutes, CheckConfigTellsTargetsAndRoutesInWords) {
    World world(R"({"notifications": {
        "public_url": "https://code.example/",
        "targets": {
          "phone": {"type": "ntfy", "topic": "https://ntfy.example/hunter2", "token": {"env": "T"},
                    "fallback": ["team"]},
          "team": {"type": "discord", "url": {"env": "U"}, "mentions": ["1"]},
          "hook": {"type": "webhook", "url": "https://hooks.example/hunter2", "keys": [{"env": "K"}]}},
        "routes": [
          {"events": ["permission"], "projects": ["api-*"], "targets": ["phone"], "priority": 5,
           "reminders": ["3m", "10m"], "escalate": {"to": ["team"], "after": "10m"}},
          {"events": ["retry"]},
          {"targets": ["hook"], "min_duration": "20s"}],
        "quiet_hours": {"time_zone": "UTC", "spans": [{"from": "22:00", "to": "07:05", "days": ["mon", "fri"]}]},
        "presence": {}}})");
    world.variable("T", "tk_hunter2").variable("U", "https://discord.com/api/webhooks/1/hunter2");
    world.variable("K", "whsec_hunter2AAAAAAAAAAAAAAAAAAAAAAAAA").variable("HOME", "/home/me");
    std::ostringstream out, err;
    ASSERT_EQ(check_config(world.flags, world.sources(), out, err), 0) << err.str();
    EXPECT_EQ(err.str(), "");
    EXPECT_THAT(out.str(), HasSubstr(R"(
  state_dir       /home/me/.local/state/ocgate
  budgets         none
  notifications   privacy full, links to https://code.example, the same error once in 10m, retries from attempt 3 on
  targets         hook: webhook at https://hooks.example/***, signed
                  phone: ntfy at https://ntfy.example/***, with a token; while it is down, blocks go to team
                  team: discord at https://discord.com/***, escalations name 1 user
  routes          /notifications/routes/0: permission of project "api-*": to phone; priority 5; )"
                                     R"(again after 3m, 10m; unanswered for 10m, to team
                  /notifications/routes/1: retry: nobody is told
                  /notifications/routes/2: every event (complete from 20s on): to hook
  quiet_hours     UTC: 22:00 to 07:05 mon fri
  presence        seen in the last 45s: told 30s later
  files           /etc/ocgate.json
)"));
    EXPECT_THAT(out.str(), Not(HasSubstr("hunter2")));
}

TEST(ConfigRoutes, CheckConfigSaysThatNobodyIsTold) {
    World const world;
    std::ostringstream out, err;
    ASSERT_EQ(check_config(world.flags, world.sources(), out, err), 0) << err.str();
    EXPECT_THAT(out.str(), HasSubstr("  state_dir       none: what has not been told, and what was spent, is lost with "
                                     "the process\n"
                                     "  budgets         none\n"
                                     "  notifications   no targets: nobody is told\n  files "));
}

}  // namespace
}  // namespace ocgate::app
