// The courier's pace: what a target asks for, and what it is known to bear.
#include "courier_kit.hpp"

namespace ocgate::notify {
namespace {
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

TEST_F(CourierTest, WhatTheTargetAsksForHoldsForAllOfIt) {
    random = 0;
    add("a");
    answers("a", answer(429, "", {{"wait", "30"}, {"pause", "target"}}));
    begin();
    raise("i1", {"a"});
    raise("i2", {"a"});  // while it is to be left alone
    answers("a", answer(200));
    EXPECT_EQ(status("a").paused, 30s);
    bench.advance(29999ms);
    EXPECT_THAT(http->asked, SizeIs(1));
    bench.advance(1ms);
    EXPECT_THAT(times("a"), UnorderedElementsAre(0s, 30s, 30s));
    EXPECT_EQ(status("a").circuit, Circuit::closed) << "who says 'too often' is well";
}

TEST_F(CourierTest, APauseOfADeliveryHoldsNoOtherBack) {
    add("a");
    answers("a", answer(503, "", {{"wait", "30"}}));
    begin();
    raise("i1", {"a"});
    answers("a", answer(200));
    raise("i2", {"a"});
    bench.advance(1min);
    EXPECT_THAT(times("a"), ElementsAre(0s, 0s, 30s));
}

TEST_F(CourierTest, AllWhoWereToldToWaitDoNotComeBackTogether) {
    struct {
        char const* wait;
        rt::Duration paused;
    } const table[] = {{"100", 110s}, {"3600", 3630s}};
    random = 1;
    add("a");
    begin();
    for (auto const& row : table) {
        answers("a", answer(429, "", {{"wait", row.wait}, {"pause", "target"}}));
        raise(row.wait, {"a"});
        EXPECT_EQ(status("a").paused, row.paused);
        bench.advance(row.paused - 1ms);
        auto const asked = http->asked.size();
        answers("a", answer(200));
        bench.advance(1ms);
        EXPECT_GT(http->asked.size(), asked);
    }
}

TEST_F(CourierTest, ANarrowerPaceDoesNotChargeForTheWiderOne) {
    auto& sink = add("a");
    sink.can.burst = 60;
    sink.can.every = 5s;
    begin();
    for (int i = 0; i < 60; ++i) raise("i" + std::to_string(i), {"a"});
    EXPECT_THAT(http->asked, SizeIs(60));
    sink.can.burst = 1;
    raise("block", {"a"});
    bench.advance(4999ms);
    EXPECT_THAT(http->asked, SizeIs(60));
    bench.advance(1ms);
    EXPECT_THAT(http->asked, SizeIs(61));
}

TEST_F(CourierTest, APauseOfATypeHoldsForItsOtherTargets) {
    random = 0;
    add("a", {}, "discord");
    add("b", {}, "discord");
    add("c", {}, "ntfy");
    answers("a", answer(429, "", {{"wait", "60"}, {"pause", "type"}}));
    begin();
    raise("i1", {"a"});
    answers("a", answer(200));
    raise("i2", {"b", "c"});
    bench.advance(59s);
    EXPECT_THAT(times("b"), IsEmpty());
    EXPECT_THAT(times("c"), ElementsAre(0s));
    bench.advance(1s);
    EXPECT_THAT(times("b"), ElementsAre(60s));
}

TEST_F(CourierTest, AnAnswerMayAskForAPauseAfterASuccess) {
    add("a");
    answers("a", answer(200, "x", {{"wait", "2"}, {"pause", "target"}}));
    begin();
    raise("i1", {"a"});
    raise("i2", {"a"});
    bench.advance(3s);
    EXPECT_THAT(times("a"), ElementsAre(0s, 2s));
}

TEST_F(CourierTest, APauseHoldsWithinAnAttempt) {
    add("a");
    auto wait = std::make_shared<std::string>("2");
    http->script["a"] = [=](HttpRequest const& request) {
        if (!request.body.starts_with("clear")) return Reply{answer(200, "id")};
        return Reply{answer(200, "", {{"wait", *wait}, {"pause", "target"}})};
    };
    begin();
    raise("i1", {"a"});
    further("i1", "a", Action::remind, "short");
    bench.advance(10s);
    EXPECT_THAT(times("a"), ElementsAre(0s, 0s, 2s));
    *wait = "60";
    further("i1", "a", Action::remind, "long");
    EXPECT_EQ(state("i1>a:long"), "queued");
    *wait = "0";
    bench.advance(1min);
    EXPECT_THAT(times("a"), ElementsAre(0s, 0s, 2s, 10s, 70s, 70s));
    EXPECT_EQ(state("i1>a:long"), "sent");
}

TEST_F(CourierTest, NothingMoreOfAnAttemptIsSentToWhoWantsNothingMore) {
    add("a");
    answers("a", answer(200, "id"));
    begin();
    raise("i1", {"a"});
    http->script["a"] = [](HttpRequest const& request) {
        return request.body.starts_with("clear") ? Reply{answer(200), 2s} : Reply{answer(401)};
    };
    further("i1", "a", Action::remind, "again");  // its first request is under way
    raise("i2", {"a"});
    EXPECT_EQ(status("a").disabled, "answered 401");
    bench.advance(1h);
    EXPECT_THAT(bodies("a"), ElementsAre("publish i1/new", "clear i1/again after id", "publish i2/new"));
    EXPECT_EQ(state("i1>a:again"), "queued");
}

TEST_F(CourierTest, KeepsThePaceOfItsTarget) {
    auto& sink = add("a");
    sink.can.burst = 3;
    sink.can.every = 2s;
    for (int i = 0; i < 6; ++i) raise("i" + std::to_string(i), {"a"});
    begin();
    bench.advance(10s);
    EXPECT_THAT(times("a"), ElementsAre(0s, 0s, 0s, 2s, 4s, 6s));
}

}  // namespace
}  // namespace ocgate::notify
