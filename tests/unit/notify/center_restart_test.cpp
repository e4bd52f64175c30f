// What an earlier run left, in each state it can leave something in.
#include "center_kit.hpp"

namespace ocgate::notify {
namespace {

using CenterRestart = CenterTest;

TEST_F(CenterRestart, ARestartTellsNothingTwiceAndForgetsNothing) {
    handling.reminders = {3min, 10min};
    begin_all();
    happens("told");
    bench.advance(2s);
    happens("held", "ses_2");
    ASSERT_THAT(said_to("a"), ElementsAre("publish told"));
    end_center();
    bench.advance(4min);
    begin_center();
    bench.advance(999ms);
    EXPECT_THAT(said_to("a"), SizeIs(1)) << "a reminder that was missed is not made up for";
    bench.advance(1ms);
    EXPECT_THAT(said_to("a"), ElementsAre("publish told", "publish held"));
    happens("told");
    bench.advance(1min);
    EXPECT_THAT(said_to("a"), SizeIs(2));
    answered("told");
    EXPECT_THAT(said_to("a").back(), StartsWith("resolve-once told"));
    bench.advance(1h);
    EXPECT_THAT(said_to("a"), SizeIs(3 + 2 * 2)) << "two reminders of what is left, each a clear and a publication";
}

TEST_F(CenterRestart, WhatIsHeldIsHeldAnew) {
    begin_all();
    happens("per_1");
    bench.advance(500ms);
    crash();
    EXPECT_THAT(taken, ElementsAre("per_1"));
    bench.advance(999ms);
    EXPECT_THAT(bodies("a"), IsEmpty());
    bench.advance(1ms);
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1"));
}

TEST_F(CenterRestart, WhatIsHeldAndOfNoInterestAnyMoreEnds) {
    begin_all();
    happens("per_1");
    handling.suppressed = "route";
    crash();
    EXPECT_EQ(incident("per_1"), IncidentState::suppressed);
    bench.advance(1h);
    EXPECT_THAT(bodies("a"), IsEmpty());
}

TEST_F(CenterRestart, WhatIsOpenIsRemindedOfAndExpiresWhenItWouldHave) {
    handling.reminders = {3min, 10min};
    handling.expires = 1h;
    begin_all();
    happens("per_1");
    bench.advance(1s);
    bench.advance(5min);
    crash();
    EXPECT_THAT(said_to("a"), SizeIs(3)) << "told, and reminded of once";
    bench.advance(5min - 1ms);
    EXPECT_THAT(said_to("a"), SizeIs(3));
    bench.advance(1ms);
    EXPECT_THAT(said_to("a"), SizeIs(5));
    bench.advance(50min);
    EXPECT_EQ(incident("per_1"), IncidentState::expired);
}

TEST_F(CenterRestart, WhoIsToHearWhenOthersDoNotAnswerHears) {
    add("a");
    add("boss");
    handling.escalate_to = {"boss"};
    handling.escalate_after = 5min;
    begin_all();
    happens("missed", "ses_1");
    bench.advance(1s);
    end_center();
    bench.advance(10min);
    begin_center();
    bench.advance(1s);
    EXPECT_THAT(said_to("boss"), ElementsAre("publish missed")) << "due while nobody ran";
    crash();
    bench.advance(1h);
    EXPECT_THAT(said_to("boss"), SizeIs(1)) << "once";
}

TEST_F(CenterRestart, TheSameOneSpeaksForTheSameOthers) {
    begin_all();
    happens("per_2");
    bench.advance(2s);
    happens("per_1");
    bench.advance(1s);
    ASSERT_THAT(said_to("a"), ElementsAre("publish per_2", "publish per_2"));
    crash();
    bench.advance(1min);
    EXPECT_THAT(said_to("a"), SizeIs(2));
    answered("per_2");
    bench.advance(Center::hand_on_after);
    EXPECT_THAT(said_to("a").back(), StartsWith("publish per_1")) << "it still waits";
}

TEST_F(CenterRestart, AStopBeforeTheNextOneSpeaksTellsItOnce) {
    begin_all();
    happens("per_1");
    happens("per_2");
    bench.advance(1s);
    answered("per_1");
    ASSERT_THAT(said_to("a").back(), StartsWith("resolve-once per_1"));
    auto const before = said_to("a").size();
    end_center();
    bench.settle();
    EXPECT_THAT(said_to("a").back(), StartsWith("publish per_2")) << "while there is somebody to tell";
    begin_center();
    bench.advance(1h);
    EXPECT_THAT(said_to("a"), SizeIs(before + 1));
}

TEST_F(CenterRestart, WhoIsLedByOneThatWasOverIsTold) {
    handling.hold = 0s;
    begin_all();
    happens("per_1");
    answered("per_1", "expired");
    crash();
    // Both are listed, and per_1 is opened before the outbox says that it is over.
    for (auto const* key : {"per_1", "per_2"}) {
        center->raise({.key = key, .kind = "permission", .subject = "ses_1", .weight = Weight::block});
    }
    bench.settle();
    bench.advance(1s);
    EXPECT_FALSE(center->active("per_1"));
    EXPECT_EQ(incident("per_2"), IncidentState::open);
    EXPECT_THAT(said_to("a").back(), StartsWith("publish per_2"));
}

TEST_F(CenterRestart, ABlockWhoseSpeakerHadJustEndedIsTold) {
    begin_all();
    happens("per_1");
    bench.advance(2s);
    happens("per_2");
    bench.advance(1s);
    end_center();
    // The end of the one is written, and nothing of the other.
    auto const at = ms();
    in_outbox([at](Outbox& outbox) { return outbox.end({.key = "per_1", .outcome = "once"}, at); });
    begin_center();
    bench.settle();
    EXPECT_THAT(said_to("a").back(), StartsWith("publish per_2"));
    EXPECT_THAT(taken, ElementsAre("per_2"));
}

TEST_F(CenterRestart, WhatIsKnownToBeOverIsResolvedAtOnce) {
    begin_all();
    happens("upstream_down/1");
    bench.advance(1s);
    when_taken = [this](Raised const& raised) { center->resolve(raised.key, "recovered", {}); };
    crash();
    EXPECT_EQ(incident("upstream_down/1"), IncidentState::resolved);
    EXPECT_THAT(bodies("a").back(), StartsWith("resolve-recovered"));
    EXPECT_THAT(center->list(10), IsEmpty());
}

/// The store answers when the test lets it: a job that is under way.
TEST_F(CenterRestart, WhatEndsWhileTheOutboxIsReadStaysOver) {
    begin_all();
    happens("answered", "ses_1");
    happens("held", "ses_2");
    bench.advance(1s);
    happens("late", "ses_3");
    end_center();
    CenterNeeds needs{bench.io.get_executor(), bench.deadlines, *store, *courier, {}, {}};
    needs.wall = [this] { return std::chrono::system_clock::time_point(wall()); };
    needs.route = [this](Raised const&) { return handling; };
    center = std::make_unique<Center>(std::move(needs));
    center->start();
    center->resolve("answered", "once", "bob");  // nothing is read yet
    center->raise({.key = "late", .kind = "permission", .subject = "ses_3"});
    center->raise({.key = "held", .kind = "permission", .subject = "ses_2"});
    bench.settle();
    EXPECT_EQ(incident_of("answered").state, IncidentState::resolved);
    EXPECT_EQ(incident_of("answered").by, "bob");
    EXPECT_FALSE(center->active("answered"));
    auto const views = center->list(10);
    ASSERT_THAT(views, SizeIs(2));
    EXPECT_EQ(views[0].key, "held");
    EXPECT_TRUE(views[0].open) << "it was open before, whoever raises it again";
    EXPECT_FALSE(views[1].open);
    bench.advance(1min);
    EXPECT_THAT(said_to("a"),
                ElementsAre("publish answered", "publish held", StartsWith("resolve-once answered"), "publish late"));
}

TEST_F(CenterRestart, StartsAgainWhenTheOutboxHoldsMore) {
    begin_all();
    happens("known");
    auto const at = ms();
    in_outbox([at](Outbox& outbox) {
        return outbox.raise({.key = "of the disk", .kind = "permission", .subject = "ses_2"}, at);
    });
    center->start();
    bench.settle();
    EXPECT_THAT(taken, ElementsAre("of the disk")) << "and nothing that is known";
    bench.advance(1s);
    EXPECT_THAT(said_to("a"), testing::UnorderedElementsAre("publish known", "publish of the disk"));
    center->resolve("known", "once", {});
    center->start();
    bench.settle();
    EXPECT_FALSE(center->active("known"));
    EXPECT_THAT(taken, SizeIs(1));
}

}  // namespace
}  // namespace ocgate::notify
