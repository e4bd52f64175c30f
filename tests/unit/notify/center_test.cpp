// The life of an incident.
#include "center_inside.hpp"
#include "center_kit.hpp"

namespace ocgate::notify {
namespace {

TEST_F(CenterTest, TellsNobodyOfWhatIsAnsweredWithinTheHold) {
    begin_all();
    happens("per_1");
    EXPECT_EQ(incident("per_1"), IncidentState::held) << "accepted means written";
    bench.advance(999ms);
    answered("per_1");
    bench.advance(1h);
    EXPECT_THAT(bodies("a"), IsEmpty());
    EXPECT_EQ(incident("per_1"), IncidentState::resolved);
    EXPECT_EQ(center->counts().never_told, 1u);
}

TEST_F(CenterTest, TellsAfterTheHoldAndWithdrawsWhenItIsAnswered) {
    begin_all();
    happens("per_1");
    bench.advance(1s);
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1"));
    EXPECT_THAT(accepted, ElementsAre(0s)) << "the hold does not count";
    bench.advance(1min);
    answered("per_1", "always");
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1", StartsWith("resolve-always per_1")));
    EXPECT_FALSE(center->active("per_1"));
}

TEST_F(CenterTest, TellsOnceHoweverOftenItIsRaised) {
    begin_all();
    for (int i = 0; i < 5; ++i) {
        happens("per_1");
        bench.advance(700ms);
    }
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1"));
    EXPECT_EQ(center->counts().known, 4u);
    answered("per_1");
    happens("per_1");
    bench.advance(1min);
    EXPECT_THAT(said_to("a"), SizeIs(2)) << "neither after it was answered";
    EXPECT_FALSE(center->active("per_1"));
}

TEST_F(CenterTest, WritesWhatItHasTakenBeforeItStopsButNotForever) {
    begin_all();
    happens("per_1");
    center->raise({.key = "per_2", .kind = "permission", .subject = "ses_1", .weight = Weight::block});
    center->resolve("per_1", "once", "alice");
    auto const stopped = bench.start(center->stop());
    bench.settle();
    EXPECT_TRUE(*stopped);
    EXPECT_EQ(incident("per_1"), IncidentState::resolved);
    EXPECT_EQ(incident("per_2"), IncidentState::held);
    EXPECT_THAT(center_troubles, IsEmpty());

    begin_center();
    center->resolve("per_2", "once", "alice");
    auto const at_once = bench.start(center->stop(bench.deadlines.now()));
    bench.settle();
    EXPECT_TRUE(*at_once);
    EXPECT_EQ(incident("per_2"), IncidentState::held) << "the next start asks opencode whether it still waits";
    EXPECT_THAT(center_troubles, ElementsAre(Trouble::busy));
}

TEST_F(CenterTest, RemindsAndHandsUpAndExpires) {
    add("a").can.replaces = true;
    add("boss");
    handling.reminders = {3min, 10min};
    handling.escalate_to = {"boss"};
    handling.escalate_after = 5min;
    handling.expires = 24h;
    begin_all();
    happens("per_1");
    bench.advance(1s);
    bench.advance(3min - 1ms);
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1"));
    bench.advance(1ms);
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1", "clear per_1", "publish per_1"));
    EXPECT_THAT(bodies("boss"), IsEmpty());
    bench.advance(2min);
    EXPECT_THAT(bodies("boss"), ElementsAre(HasSubstr(R"("escalated":true)")));
    bench.advance(5min);
    EXPECT_THAT(said_to("a"), SizeIs(5));
    bench.advance(23h);
    EXPECT_THAT(said_to("a"), SizeIs(5)) << "no third reminder";
    EXPECT_EQ(incident("per_1"), IncidentState::open);
    bench.advance(1h);
    EXPECT_EQ(incident("per_1"), IncidentState::expired);
    EXPECT_THAT(bodies("a").back(), StartsWith("resolve-expired per_1"));
    EXPECT_THAT(bodies("boss").back(), StartsWith("resolve-expired per_1"));
    EXPECT_EQ(center->counts().reminders, 2u);
    EXPECT_EQ(center->counts().escalations, 1u);
    EXPECT_EQ(center->counts().expired, 1u);
}

TEST_F(CenterTest, BlocksOfOneSubjectThatComeTogetherAreToldTogether) {
    begin_all();
    happens("per_1");
    bench.advance(5s);
    happens("per_2");
    bench.advance(1s);
    happens("per_3", "ses_other");
    bench.advance(1s);
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1", "publish per_1", "publish per_3"));
    EXPECT_THAT(bodies("a")[1], HasSubstr(R"("waiting":2)"));
    EXPECT_THAT(accepted, ElementsAre(0s, 0s)) << "an update is no new incident";
    EXPECT_EQ(center->counts().joined, 1u);
    answered("per_1");
    bench.advance(Center::hand_on_after);
    EXPECT_THAT(said_to("a").back(), StartsWith("publish per_2")) << "it still waits";
    answered("per_2");
    EXPECT_THAT(said_to("a").back(), StartsWith("resolve-once per_2"));
}

TEST_F(CenterTest, BlocksOfOneMomentAreCountedAll) {
    begin_all();
    for (auto const* key : {"per_1", "per_2", "per_3"}) {
        center->raise({.key = key, .kind = "permission", .subject = "ses_1", .weight = Weight::block});
    }
    bench.settle();
    bench.advance(10s);
    EXPECT_THAT(bodies("a").back(), HasSubstr(R"("waiting":3)"));
}

class CenterRoutedElsewhere : public CenterTest {
protected:
    CenterRoutedElsewhere() {
        for (auto const* target : {"a", "b"}) add(target).can.replaces = true;
        of_kind["question"] = handling;
        of_kind["question"].targets = {"b"};
    }
    void is_asked(std::string key, std::string kind = "question") {
        center->raise({.key = std::move(key), .kind = std::move(kind), .subject = "ses_1", .weight = Weight::block});
        bench.settle();
        bench.advance(1s);
    }
};

TEST_F(CenterRoutedElsewhere, IsToldThere) {
    begin_all();
    is_asked("per_1", "permission");
    is_asked("que_1");
    is_asked("per_2", "permission");
    is_asked("que_2");
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1", "publish per_1"));
    EXPECT_THAT(said_to("b"), ElementsAre("publish que_1", "publish que_1"));
    EXPECT_EQ(center->counts().joined, 2u) << "each by the one that is told to the same";
    crash();
    bench.advance(1s);
    EXPECT_THAT(said_to("a"), SizeIs(2));
    EXPECT_THAT(said_to("b"), SizeIs(2));
    answered("per_1");
    bench.advance(Center::hand_on_after);
    EXPECT_THAT(said_to("a").back(), StartsWith("publish per_2"));
    EXPECT_THAT(said_to("b"), SizeIs(2));
}

TEST_F(CenterRoutedElsewhere, IsToldByOneThatIsToldToMore) {
    handling.targets = {"a", "b"};
    begin_all();
    is_asked("per_1", "permission");
    is_asked("que_1");
    EXPECT_THAT(said_to("b"), ElementsAre("publish per_1", "publish per_1"));
    EXPECT_EQ(center->counts().joined, 1u);
}

TEST_F(CenterRoutedElsewhere, EachIsToldWhereItBelongsWhenTheOneThatSpokeForAllIsOver) {
    handling.targets = {"a", "b"};
    of_kind["edit"] = handling;
    of_kind["edit"].targets = {"a"};
    begin_all();
    is_asked("per_1", "permission");
    is_asked("que_1");
    is_asked("per_2", "edit");
    is_asked("que_2");
    ASSERT_EQ(center->counts().joined, 3u);
    answered("per_1");
    bench.advance(1s);
    EXPECT_THAT(said_to("a").back(), StartsWith("publish per_2"));
    EXPECT_THAT(said_to("b").back(), StartsWith("publish que_1"));
    EXPECT_THAT(bodies("b").back(), HasSubstr(R"("waiting":2)"));
    auto const a = said_to("a").size(), b = said_to("b").size();
    crash();
    bench.advance(1s);
    EXPECT_EQ(said_to("a").size(), a) << "the same ones speak for the same others";
    EXPECT_EQ(said_to("b").size(), b);
    answered("que_1");
    bench.advance(Center::hand_on_after);
    EXPECT_THAT(said_to("b").back(), StartsWith("publish que_2"));
}

TEST(SpeaksFor, WhoeverIsToldHearsNoLess) {
    Handling one;
    one.targets = {"a"};
    auto other = one;
    EXPECT_TRUE(speaks_for(one, other));
    one.silent = true;
    EXPECT_FALSE(speaks_for(one, other)) << "nobody would hear it";
    other.silent = true;
    EXPECT_TRUE(speaks_for(one, other));
    other.reminders = {1h};
    EXPECT_FALSE(speaks_for(one, other));
    one.reminders = {2h};
    EXPECT_TRUE(speaks_for(one, other));
    other.escalate_to = {"boss"};
    EXPECT_TRUE(speaks_for(one, other)) << "never";
    other.escalate_after = 1h;
    EXPECT_FALSE(speaks_for(one, other));
    one.escalate_to = {"boss"};
    one.escalate_after = 2h;
    EXPECT_FALSE(speaks_for(one, other)) << "too late";
    one.escalate_after = 1h;
    EXPECT_TRUE(speaks_for(one, other));
}

TEST_F(CenterTest, ABlockThatComesLaterIsToldByItself) {
    begin_all();
    happens("per_1");
    bench.advance(11s);
    happens("per_2");
    bench.advance(1s);
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1", "publish per_2"));
}

TEST_F(CenterTest, WhatIsSuppressedIsWrittenAndNotTold) {
    handling.suppressed = "muted";
    begin_all();
    happens("per_1");
    bench.advance(1h);
    EXPECT_THAT(bodies("a"), IsEmpty());
    EXPECT_EQ(incident("per_1"), IncidentState::suppressed);
    EXPECT_EQ(center->counts().suppressed.at("muted"), 1u);
    EXPECT_THAT(never_told, ElementsAre("per_1"));
}

TEST_F(CenterTest, EndsAllThatMatch) {
    begin_all();
    happens("per_1", "ses_1");
    happens("per_2", "ses_2");
    bench.advance(1s);
    center->resolve_where([](Raised const& raised) { return raised.subject == "ses_2"; }, "gone");
    bench.settle();
    EXPECT_TRUE(center->active("per_1"));
    EXPECT_FALSE(center->active("per_2"));
}

TEST_F(CenterTest, SaysWhoWasNeverHeardOf) {
    begin_all();
    happens("held", "ses_1", Weight::error);
    answered("held", "continued");
    happens("told", "ses_1", Weight::error);
    bench.advance(1s);
    answered("told", "continued");
    EXPECT_THAT(never_told, ElementsAre("held"));
}

TEST_F(CenterTest, AnIncidentAboutNobodyIsToldAsWell) {
    begin_all();
    happens("test", "", Weight::error);
    bench.advance(1s);
    EXPECT_THAT(said_to("a"), ElementsAre("publish test"));
    EXPECT_THAT(center_troubles, IsEmpty());
}

TEST_F(CenterTest, WhatIsSaidLaterIsSilentWhenItIsQuietByThen) {
    add("a").can.replaces = true;
    add("boss");
    handling.reminders = {3min, 30min};
    handling.escalate_to = {"boss"};
    handling.escalate_after = 5min;
    begin_all();
    happens("per_1");
    bench.advance(1s);
    EXPECT_THAT(bodies("a").back(), HasSubstr(R"("silent":false)"));
    quiet = true;
    happens("per_2");
    bench.advance(1s);
    EXPECT_THAT(bodies("a").back(), HasSubstr(R"("silent":true,"waiting":2)")) << "an update";
    bench.advance(3min);
    EXPECT_THAT(bodies("a").back(), HasSubstr(R"("silent":true)")) << "a reminder";
    bench.advance(2min);
    EXPECT_THAT(bodies("boss").back(), HasSubstr(R"("silent":true)")) << "handed up";
    quiet = false;
    bench.advance(25min);
    EXPECT_THAT(bodies("a").back(), HasSubstr(R"("silent":false)"));
    handling.silent = true;
    quiet = true;
    happens("per_3", "ses_3");
    bench.advance(1s);
    quiet = false;
    bench.advance(3min);
    EXPECT_THAT(bodies("a").back(), HasSubstr(R"("silent":true)")) << "as it was routed";
}

TEST_F(CenterTest, IsSilentAtFirstOnlyAsItWasRouted) {
    begin_all();
    quiet = true;
    happens("per_1");
    bench.advance(1s);
    EXPECT_THAT(bodies("a").back(), HasSubstr(R"("silent":false)")) << "the route knows the hour";
}

TEST_F(CenterTest, OperatorsSeeWhatIsUnderWayAndWhatIsNext) {
    handling.reminders = {3min};
    handling.expires = 1h;
    begin_all();
    auto const start = bench.clock.now();
    happens("per_1");
    bench.advance(1s);
    happens("per_2", "ses_2");
    auto const views = center->list(10);
    ASSERT_THAT(views, SizeIs(2));
    EXPECT_EQ(views[0].key, "per_1");
    EXPECT_TRUE(views[0].open);
    EXPECT_EQ(views[0].since, start + 1s);
    EXPECT_EQ(views[0].next, start + 1s + 3min);
    EXPECT_THAT(views[0].targets, ElementsAre("a"));
    EXPECT_EQ(views[1].subject, "ses_2");
    EXPECT_FALSE(views[1].open);
    EXPECT_EQ(views[1].next, start + 2s);
    EXPECT_THAT(center->list(1), SizeIs(1));
}

// ---- other rules while it is under way

TEST_F(CenterTest, AMutedBlockIsToldWhenTheMuteIsOverOrTakenBack) {
    for (bool taken_back : {false, true}) {
        SCOPED_TRACE(taken_back);
        handling.hold = 2h;
        if (!center) begin_all();
        auto const before = bodies("a").size();
        auto const key = taken_back ? "per_1" : "per_2";
        happens(key, key);
        bench.advance(1h);
        EXPECT_THAT(bodies("a"), SizeIs(before));
        handling.hold = taken_back ? 1s : 2h;
        center->route_again();
        bench.advance(taken_back ? rt::Duration(1s) : rt::Duration(1h));
        EXPECT_THAT(bodies("a"), SizeIs(before + 1));
    }
}

TEST_F(CenterTest, AMuteHoldsFromNowOn) {
    begin_all();
    happens("per_1");
    bench.advance(900ms);
    handling.hold = 2h;
    center->route_again();
    bench.advance(2h - 1ms);
    EXPECT_THAT(bodies("a"), IsEmpty());
    bench.advance(1ms);
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1"));
}

TEST_F(CenterTest, AHoldThatHasNotChangedGoesOn) {
    begin_all();
    happens("per_1");
    bench.advance(900ms);
    center->route_again();
    bench.advance(100ms);
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1"));
}

TEST_F(CenterTest, AMuteKeepsRemindersBackAndThenSaysOne) {
    handling.reminders = {3min, 10min, 1h};
    begin_all();
    happens("per_1");
    bench.advance(1s);
    handling.hold = 30min;
    center->route_again();
    bench.advance(30min - 1ms);
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1"));
    bench.advance(1ms);
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1", "clear per_1", "publish per_1")) << "one for two";
    bench.advance(30min);
    EXPECT_THAT(said_to("a"), SizeIs(5)) << "the third when it is due";
}

TEST_F(CenterTest, OtherRulesKeepWhatWasDone) {
    handling.reminders = {3min, 10min};
    begin_all();
    happens("per_1");
    bench.advance(1s);
    bench.advance(3min);
    EXPECT_EQ(center->counts().reminders, 1u);
    handling.reminders = {3min, 20min};
    handling.targets = {"a", "b"};
    center->route_again();
    bench.advance(17min - 1ms);
    EXPECT_EQ(center->counts().reminders, 1u);
    bench.advance(1ms);
    EXPECT_EQ(center->counts().reminders, 2u);
}

TEST_F(CenterTest, WhatNobodyIsToldOfAnyMoreEnds) {
    begin_all();
    happens("open", "ses_1");
    bench.advance(1s);
    happens("held", "ses_2");
    handling.suppressed = "route";
    center->route_again();
    bench.settle();
    EXPECT_EQ(incident("open"), IncidentState::suppressed);
    EXPECT_EQ(incident("held"), IncidentState::suppressed);
    EXPECT_THAT(bodies("a").back(), StartsWith("resolve-route open")) << "withdrawn";
    EXPECT_EQ(center->counts().suppressed.at("route"), 2u);
    EXPECT_THAT(center->list(10), IsEmpty());
    EXPECT_THAT(never_told, ElementsAre("held"));
}

TEST(CenterWords, ALetterIsMadeOfWhatTheOutboxKept) {
    Due due;
    due.incident.key = "permission/per_1";
    due.incident.kind = "permission";
    due.incident.weight = Weight::block;
    due.incident.facts =
        R"({"project":"shop","session":{"id":"ses_1","title":"Fix it"},"request":{"kind":"bash","command":"git push"}})";
    due.payload = R"({"privacy":"full","priority":5,"silent":true,"escalated":true,"waiting":3})";
    auto const letter = Center::compose(due);
    ASSERT_TRUE(letter);
    EXPECT_EQ(letter->message.event, "permission");
    EXPECT_EQ(letter->message.incident_key, "permission/per_1");
    EXPECT_TRUE(letter->message.blocks);
    EXPECT_TRUE(letter->message.silent);
    EXPECT_TRUE(letter->message.escalated);
    EXPECT_EQ(letter->message.priority, 5);
    EXPECT_THAT(letter->message.title, HasSubstr("3 waiting"));
    EXPECT_THAT(letter->message.body, HasSubstr("git push"));
    due.payload = R"({"privacy":"minimal"})";
    EXPECT_THAT(Center::compose(due)->message.body, Not(HasSubstr("git push")));
    due.incident.facts = "{broken";
    EXPECT_FALSE(Center::compose(due));
}

}  // namespace
}  // namespace ocgate::notify
