#include "ocgate/opencode/activity.hpp"

#include <gmock/gmock.h>

namespace ocgate::opencode {
namespace {
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::Pair;
using testing::UnorderedElementsAre;

template <std::size_t N>
std::uint64_t observed(Spans<N> const& spans) {
    std::uint64_t n = 0;
    for (auto const one : spans.counts()) n += one;
    return n;
}

class ActivityTest : public testing::Test {
protected:
    std::optional<StepInfo> hear(decltype(Event::what) what, std::string type = "type", std::string id = "") {
        now += 1s;
        return activity.heard(Event{std::move(type), std::move(id), directory, std::move(what)}, now);
    }
    void happen(Happening const& happening) { activity.happened(happening, now); }

    static StepInfo step(std::string const& message, std::string const& model = "m") {
        StepInfo made;
        made.message = message;
        made.session = "ses_1";
        made.provider = "p";
        made.model = model;
        made.agent = "build";
        made.finish = "stop";
        made.completed = true;
        made.created_ms = 10'000;
        made.completed_ms = 14'000;
        made.usage = {0.25, 800, 40, 10, 200, 3};
        return made;
    }
    static StepInfo failed(std::string const& message, std::string const& error) {
        auto made = step(message);
        made.finish.clear();
        made.usage = {};
        made.error_name = error;
        return made;
    }
    static ToolEnded call(std::string const& id, std::string const& tool, bool failed = false) {
        return {"ses_1", id, tool, failed, 12'000};
    }
    Work const& only_work() const {
        EXPECT_EQ(deeds().work.size(), 1u);
        return deeds().work.begin()->second;
    }
    void ask(std::string const& id, std::string const& kind, bool heard = true) {
        Permission asked;
        asked.id = id;
        asked.session = "ses_1";
        asked.kind = kind;
        if (heard) hear(PermissionAsked{asked});
        happen(PermissionPending{asked, {}, "/w"});
    }
    void over(std::string const& id, PermissionOver::Outcome outcome) {
        happen(PermissionOver{id, "ses_1", outcome, {}});
    }
    Deeds const& deeds() const { return activity.deeds(); }

    Activity activity;
    rt::Instant now{1h};
    std::string directory = "/w";
};

// ---- steps

TEST_F(ActivityTest, AStepCountsOnceWhoeverTellsOfIt) {
    auto running = step("msg_1");
    running.completed = false;
    EXPECT_FALSE(hear(StepChanged{running}));
    EXPECT_TRUE(deeds().work.empty());
    auto const counted = hear(StepChanged{step("msg_1")});
    ASSERT_TRUE(counted);
    EXPECT_EQ(counted->message, "msg_1");
    EXPECT_EQ(counted->usage.cost, 0.25);
    EXPECT_FALSE(hear(StepChanged{step("msg_1")}));
    EXPECT_FALSE(activity.count(step("msg_1"))) << "found by asking as well";
    EXPECT_TRUE(activity.count(step("msg_2")));
    EXPECT_FALSE(activity.count(step("msg_2")));
    EXPECT_FALSE(hear(StepChanged{step("msg_2")}));
    activity.knows("msg_3");
    EXPECT_FALSE(hear(StepChanged{step("msg_3")}));
    EXPECT_FALSE(activity.count(running)) << "runs still";

    auto const& work = only_work();
    EXPECT_EQ(deeds().work.begin()->first, (Worker{"p", "m", "build"}));
    EXPECT_EQ(work.steps, 2u);
    EXPECT_EQ(work.usage, (Usage{0.5, 1600, 80, 20, 400, 6}));
    EXPECT_EQ(observed(work.took), 2u);
    EXPECT_EQ(work.took.seconds(), 8.0);
    EXPECT_THAT(work.took.bounds()[3], 5.0);
    EXPECT_EQ(work.took.counts()[3], 2u) << "more than 2.5 s, and no more than 5";
}

TEST_F(ActivityTest, WorkersAreToldApart) {
    auto other_agent = step("msg_2");
    other_agent.agent = "plan";
    hear(StepChanged{step("msg_1")});
    hear(StepChanged{other_agent});
    hear(StepChanged{step("msg_3", "n")});
    EXPECT_EQ(deeds().work.size(), 3u);
    EXPECT_EQ(deeds().work.at({"p", "m", "plan"}).steps, 1u);
    EXPECT_EQ(deeds().work.at({"p", "n", "build"}).steps, 1u);
}

TEST_F(ActivityTest, WhatNoModelAnsweredIsNoStep) {
    auto shell = step("msg_1");
    shell.finish.clear();
    shell.usage = {};
    EXPECT_FALSE(hear(StepChanged{shell}));
    EXPECT_TRUE(deeds().work.empty());
    EXPECT_TRUE(hear(StepChanged{failed("msg_2", "APIError")})) << "one that failed is";
}

TEST_F(ActivityTest, CopiesInAForkAreNotCounted) {
    SessionInfo fork;
    fork.id = "ses_1";
    fork.created_ms = 20'000;
    hear(SessionSeen{fork, true});
    EXPECT_FALSE(hear(StepChanged{step("msg_1")}));
    EXPECT_FALSE(activity.count(step("msg_1")));
    hear(ToolEnded{call("prt_1", "bash")});
    EXPECT_TRUE(deeds().tools.empty());
    EXPECT_FALSE(deeds().last_active);
    auto own = step("msg_2");
    own.created_ms = 20'000;
    own.completed_ms = 21'000;
    EXPECT_TRUE(hear(StepChanged{own}));
}

TEST_F(ActivityTest, TimesThatMakeNoSenseAreNotMeasured) {
    auto backwards = step("msg_1");
    backwards.completed_ms = 1;
    hear(StepChanged{backwards});
    auto without = step("msg_2");
    without.created_ms = 0;
    hear(StepChanged{without});
    auto forever = step("msg_3");
    forever.created_ms = 1;
    forever.completed_ms = std::numeric_limits<std::int64_t>::max();
    hear(StepChanged{forever});
    auto before = step("msg_4");
    before.created_ms = std::numeric_limits<std::int64_t>::min();
    hear(StepChanged{before});
    EXPECT_EQ(only_work().steps, 4u);
    EXPECT_EQ(observed(only_work().took), 2u);
    EXPECT_EQ(only_work().took.counts().front(), 1u) << "no time at all";
    EXPECT_EQ(only_work().took.counts().back(), 1u);
}

TEST_F(ActivityTest, NewerSessionsTellTheirStepsInPieces) {
    StepInfo begun;
    begun.message = "msg_1";
    begun.session = "ses_1";
    begun.provider = "p";
    begun.model = "m";
    begun.agent = "build";
    begun.created_ms = 1000;
    hear(NewerStepBegan{begun});
    StepInfo ended;
    ended.message = "msg_1";
    ended.session = "ses_1";
    ended.completed = true;
    ended.completed_ms = 3000;
    ended.finish = "stop";
    ended.usage.input = 7;
    auto const counted = hear(NewerStepEnded{ended});
    ASSERT_TRUE(counted);
    EXPECT_EQ(counted->model, "m");
    EXPECT_FALSE(hear(NewerStepEnded{ended}));
    EXPECT_EQ(deeds().work.at({"p", "m", "build"}).usage.input, 7);
    EXPECT_EQ(only_work().took.seconds(), 2.0);

    ended.message = "msg_2";
    EXPECT_TRUE(hear(NewerStepEnded{ended}));
    EXPECT_EQ(deeds().work.at({"", "", ""}).steps, 1u) << "its beginning was not heard";
    EXPECT_EQ(observed(deeds().work.at({"", "", ""}).took), 0u);

    hear(ToolCalled{"ses_1", "msg_1/c", "bash"});
    hear(ToolEnded{"ses_1", "msg_1/c", "", true, 5});
    hear(ToolEnded{"ses_1", "msg_1/d", "", false, 5});
    EXPECT_THAT(deeds().tools,
                UnorderedElementsAre(Pair("bash", ElementsAre(0u, 1u)), Pair("other", ElementsAre(1u, 0u))));
    hear(NewerRetry{"ses_1"}, "t", "evt_1");
    hear(NewerRetry{"ses_1"}, "t", "evt_1");
    hear(NewerRetry{"ses_1"}, "t", "evt_2");
    EXPECT_EQ(deeds().retries, 2u);
}

// ---- tools, errors, compactions

TEST_F(ActivityTest, ACallCountsOnceWhoeverTellsOfIt) {
    hear(ToolEnded{call("prt_1", "bash")});
    hear(ToolEnded{call("prt_1", "bash")});
    hear(ToolEnded{call("prt_2", "bash", true)});
    auto found = step("msg_1");
    found.calls = {call("prt_2", "bash", true), call("prt_3", "edit")};
    EXPECT_TRUE(activity.count(found));
    EXPECT_FALSE(activity.count(found));
    EXPECT_THAT(deeds().tools,
                UnorderedElementsAre(Pair("bash", ElementsAre(1u, 1u)), Pair("edit", ElementsAre(1u, 0u))));
}

TEST_F(ActivityTest, AFailureIsOneErrorHoweverOftenItIsTold) {
    hear(SessionFailed{"ses_1", "APIError", "no", 401}, "t", "evt_1");
    hear(StepChanged{failed("msg_1", "APIError")});
    EXPECT_THAT(deeds().errors, ElementsAre(Pair("APIError", 1u)));
    hear(StepChanged{failed("msg_2", "APIError")});  // the other way round
    hear(SessionFailed{"ses_1", "APIError", "no", 401}, "t", "evt_2");
    EXPECT_THAT(deeds().errors, ElementsAre(Pair("APIError", 2u)));
    hear(SessionFailed{"ses_1", "APIError", "no", 401}, "t", "evt_2");
    EXPECT_THAT(deeds().errors, ElementsAre(Pair("APIError", 2u))) << "the very same event";
    hear(SessionFailed{"ses_1", "APIError", "no", 401}, "t", "evt_3");
    hear(SessionFailed{"ses_1", "APIError", "no", 401}, "t", "evt_4");
    EXPECT_THAT(deeds().errors, ElementsAre(Pair("APIError", 4u))) << "two prompts were refused";
}

TEST_F(ActivityTest, DifferentFailuresAreDifferentErrors) {
    hear(SessionFailed{"ses_1", "UnknownError", "no", 0});
    hear(StepChanged{failed("msg_1", "APIError")});
    hear(SessionFailed{"ses_2", "APIError", "no", 0});
    hear(SessionFailed{"", "APIError", "of none", 0});
    hear(SessionFailed{"", "", "of none", 0});
    hear(SessionFailed{"ses_3", "APIError", "no", 0});
    now += 1min;
    auto late = failed("msg_2", "APIError");
    late.session = "ses_3";
    hear(StepChanged{late});
    EXPECT_THAT(deeds().errors,
                UnorderedElementsAre(Pair("UnknownError", 1u), Pair("APIError", 5u), Pair("other", 1u)));
    EXPECT_TRUE(activity.count(failed("msg_9", "AbortedError")));
    EXPECT_EQ(deeds().errors.at("AbortedError"), 1u);
}

TEST_F(ActivityTest, CompactionsAndRetries) {
    hear(Compacted{"ses_1"}, "t", "evt_1");
    hear(Compacted{"ses_1"}, "t", "evt_1");
    hear(Compacted{"ses_1"}, "t", "evt_2");
    EXPECT_EQ(deeds().compactions, 2u);
    happen(Retrying{{}, "ses_1", 1, ""});
    happen(Retrying{{}, "ses_1", 2, ""});
    happen(RetryOver{{}, "ses_1", true});
    EXPECT_EQ(deeds().retries, 2u);
}

// ---- turns and requests

TEST_F(ActivityTest, Turns) {
    TurnCompleted completed;
    completed.duration = 20s;
    happen(completed);
    completed.seen_from_start = false;
    happen(completed);
    happen(TurnFailed{});
    happen(TurnAborted{});
    happen(TurnAborted{});
    EXPECT_THAT(deeds().turns, ElementsAre(2u, 1u, 2u));
    EXPECT_EQ(observed(deeds().turns_took), 1u) << "how long the other one took is not known";
    EXPECT_EQ(deeds().turns_took.seconds(), 20.0);
}

TEST_F(ActivityTest, HowLongAPersonTookToAnswer) {
    using Outcome = PermissionOver::Outcome;
    ask("per_1", "bash");
    now += 40s;
    ask("per_2", "edit");  // a second later
    now += 10s;
    over("per_1", Outcome::once);
    over("per_2", Outcome::reject);
    ask("per_3", "bash");
    over("per_3", Outcome::gone);
    ask("per_4", "bash", false);  // found waiting
    over("per_4", Outcome::always);
    auto const& bash = deeds().permissions.at("bash");
    EXPECT_EQ(bash.asked, 3u);
    EXPECT_THAT(bash.over, ElementsAre(1u, 1u, 0u, 1u));
    EXPECT_THAT(deeds().permissions.at("edit").over, ElementsAre(0u, 0u, 1u, 0u));
    EXPECT_EQ(observed(deeds().permissions_took), 2u);
    EXPECT_EQ(deeds().permissions_took.seconds(), 51.0 + 10.0);
    over("per_unknown", Outcome::once);
    EXPECT_THAT(deeds().permissions.at("other").over, ElementsAre(1u, 0u, 0u, 0u));
    EXPECT_EQ(observed(deeds().permissions_took), 2u);
}

TEST_F(ActivityTest, WhatComesBackIsAskedAgainSinceItWasAskedFirst) {
    ask("per_1", "bash");
    over("per_1", PermissionOver::Outcome::gone);  // it was only missing from a list
    now += 1min;
    ask("per_1", "bash", false);
    over("per_1", PermissionOver::Outcome::once);
    EXPECT_EQ(deeds().permissions.at("bash").asked, 2u) << "as often as it is over: gone, once";
    EXPECT_EQ(deeds().permissions_took.seconds(), 60.0) << "since it was asked";
}

TEST_F(ActivityTest, Questions) {
    using Outcome = QuestionOver::Outcome;
    for (auto const outcome : {Outcome::answered, Outcome::rejected, Outcome::gone}) {
        Question asked;
        asked.id = "que_" + std::to_string(static_cast<int>(outcome));
        hear(QuestionAsked{asked});
        happen(QuestionPending{asked, {}, "/w"});
        now += 2s;
        happen(QuestionOver{asked.id, "ses_1", outcome, {}});
    }
    EXPECT_EQ(deeds().questions_asked, 3u);
    EXPECT_THAT(deeds().questions_over, ElementsAre(1u, 1u, 1u));
    EXPECT_EQ(observed(deeds().questions_took), 2u) << "a rejection is an answer";
    EXPECT_EQ(deeds().questions_took.seconds(), 4.0);
}

// ---- terminals

TEST_F(ActivityTest, Terminals) {
    hear(TerminalOpened{"pty_1"});
    hear(TerminalOpened{"pty_1"});
    hear(TerminalOpened{"pty_2"});
    directory = "/other";
    hear(TerminalOpened{"pty_3"});
    EXPECT_EQ(deeds().terminals_open, 3u);
    hear(TerminalClosed{"pty_2"});
    hear(TerminalClosed{"pty_2"});
    EXPECT_EQ(deeds().terminals_open, 2u);
    hear(TerminalsFound{{"pty_3", "pty_4"}});  // of /other
    EXPECT_EQ(deeds().terminals_open, 3u);
    hear(TerminalsFound{});
    EXPECT_EQ(deeds().terminals_open, 1u);
    hear(InstanceGone{"/elsewhere"});
    EXPECT_EQ(deeds().terminals_open, 1u);
    hear(InstanceGone{"/w"});
    EXPECT_EQ(deeds().terminals_open, 0u);
    hear(TerminalOpened{"pty_5"});
    hear(AllGone{});
    EXPECT_EQ(deeds().terminals_open, 0u);
    hear(TerminalOpened{"pty_6"});
    activity.lost();
    EXPECT_EQ(deeds().terminals_open, 0u);
}

// ---- bounds

TEST_F(ActivityTest, NamesWithoutEndAreCountedTogether) {
    Activity::Limits limits;
    activity = Activity(limits);
    for (int i = 0; i < 10'000; ++i) {
        auto const n = std::to_string(i);
        hear(StepChanged{step("msg_" + n, "model-" + n)});
        hear(ToolEnded{call("prt_" + n, "tool-" + n, i % 2 == 0)});
        hear(SessionFailed{"ses_" + n, "Error" + n, "", 0});
        ask("per_" + n, "kind-" + n);
        over("per_" + n, PermissionOver::Outcome::once);
        hear(TerminalOpened{"pty_" + n});
    }
    EXPECT_EQ(deeds().work.size(), limits.max_workers + 1);
    EXPECT_EQ(deeds().tools.size(), limits.max_tools + 1);
    EXPECT_EQ(deeds().errors.size(), limits.max_errors + 1);
    EXPECT_EQ(deeds().permissions.size(), limits.max_permissions + 1);
    EXPECT_EQ(deeds().terminals_open, limits.max_terminals);
    EXPECT_EQ(deeds().work.at({"other", "other", "other"}).steps, 10'000 - limits.max_workers);
    auto const& others = deeds().tools.at("other");
    EXPECT_EQ(others[0] + others[1], 10'000 - limits.max_tools);
    EXPECT_EQ(deeds().errors.at("other"), 10'000 - limits.max_errors);
    EXPECT_EQ(deeds().permissions.at("other").asked, 10'000 - limits.max_permissions);
    // Who had a name before keeps it.
    hear(StepChanged{step("msg_last", "model-0")});
    EXPECT_EQ(deeds().work.at({"p", "model-0", "build"}).steps, 2u);
}

TEST_F(ActivityTest, NamesThatAreNoneAreOther) {
    for (std::string const& name :
         {std::string(65, 'x'), std::string("a\nb"), std::string("a\x7f"), std::string("a\0b", 3)}) {
        hear(ToolEnded{call("prt_" + std::to_string(name.size()) + name.substr(0, 2), name)});
        hear(StepChanged{step("msg_" + std::to_string(name.size()) + name.substr(0, 2), name)});
    }
    hear(ToolEnded{call("prt_x", std::string(64, 'x'))});
    EXPECT_EQ(deeds().tools.size(), 2u);
    ASSERT_TRUE(deeds().tools.contains("other"));
    EXPECT_EQ(deeds().work.at({"p", "other", "build"}).steps, 4u);
}

TEST_F(ActivityTest, TheLastThousandsAreRemembered) {
    Activity::Limits limits;
    limits.max_remembered = 100;
    activity = Activity(limits);
    for (int i = 0; i < 150; ++i) hear(StepChanged{step("msg_" + std::to_string(i))});
    for (int i = 50; i < 150; ++i) EXPECT_FALSE(hear(StepChanged{step("msg_" + std::to_string(i))})) << i;
    EXPECT_EQ(only_work().steps, 150u);
}

// ---- the last activity

TEST_F(ActivityTest, IsWhatATurnARequestOrATerminalDoes) {
    EXPECT_FALSE(deeds().last_active);
    auto const moves = [&](auto what, std::string const& type = "type") {
        auto const before = deeds().last_active;
        hear(std::move(what), type);
        return deeds().last_active != before;
    };
    SessionInfo info;
    info.id = "ses_9";
    EXPECT_FALSE(moves(Connected{}));
    EXPECT_FALSE(moves(Heartbeat{}));
    EXPECT_FALSE(moves(Unknown{}));
    EXPECT_FALSE(moves(Ignored{}, "session.diff"));
    EXPECT_FALSE(moves(Ignored{}, "sync"));
    EXPECT_FALSE(moves(SessionSeen{info, true}));
    EXPECT_FALSE(moves(StatusChanged{"ses_1", {}}));
    EXPECT_FALSE(moves(WentIdle{"ses_1"}));
    EXPECT_FALSE(moves(TerminalsFound{{"pty_9"}}));
    EXPECT_FALSE(moves(InstanceGone{"/w"}));
    EXPECT_FALSE(moves(TerminalClosed{"pty_unknown"}));
    EXPECT_FALSE(deeds().last_active);

    EXPECT_TRUE(moves(Ignored{}, "message.part.delta"));
    EXPECT_EQ(deeds().last_active, now);
    EXPECT_TRUE(moves(StatusChanged{"ses_1", {State::busy, 0, {}, 0}}));
    EXPECT_TRUE(moves(StepChanged{step("msg_1")}));
    EXPECT_FALSE(moves(StepChanged{step("msg_1")})) << "told after its end";
    EXPECT_TRUE(moves(ToolEnded{call("prt_1", "bash")}));
    EXPECT_FALSE(moves(ToolEnded{call("prt_1", "bash")}));
    EXPECT_TRUE(moves(TerminalOpened{"pty_1"}));
    EXPECT_TRUE(moves(TerminalClosed{"pty_1"}));

    now += 1s;
    happen(TurnBegan{});
    EXPECT_EQ(deeds().last_active, now);
    now += 1s;
    ask("per_1", "bash", false);
    EXPECT_EQ(deeds().last_active, now);
    auto const before = now;
    now += 1s;
    over("per_1", PermissionOver::Outcome::gone);
    EXPECT_EQ(deeds().last_active, before) << "nobody did anything";
    happen(SessionDeleted{"ses_1"});
    EXPECT_EQ(deeds().last_active, before);
    happen(TurnFailed{});
    EXPECT_EQ(deeds().last_active, now);
}

}  // namespace
}  // namespace ocgate::opencode
