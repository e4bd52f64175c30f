// The courier when a target stays down: who is told of blocks in its place.
#include <algorithm>

#include "courier_kit.hpp"

namespace ocgate::notify {
namespace {
using namespace std::chrono_literals;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

class FallbackTest : public CourierTest {
protected:
    /// `a` is down from now on; its breaker is open.
    void break_a() {
        answers("a", answer(503));
        for (int i = 0; i < 5; ++i) raise("down" + std::to_string(i), {"a"}, Weight::error);
        ASSERT_EQ(status("a").circuit, Circuit::open);
    }
    std::vector<std::string> told_b() {
        auto found = bodies("b");
        std::sort(found.begin(), found.end());
        return found;
    }
};

TEST_F(FallbackTest, IsToldOfBlocksWhenTheBreakerHasBeenOpenFor20Seconds) {
    add("a", {"b"});
    add("b");
    answers("a", answer(503));
    begin();
    raise("tried", {"a"});  // fails, and backs off
    break_a();
    raise("waiting", {"a"});  // never tried
    raise("news", {"a"}, Weight::complete);
    bench.advance(19999ms);
    EXPECT_THAT(told_b(), IsEmpty());
    EXPECT_FALSE(status("a").down);
    bench.advance(1ms);
    EXPECT_TRUE(status("a").down);
    EXPECT_THAT(told_b(), ElementsAre("publish tried/new", "publish waiting/new"));
    raise("later", {"a"});  // at once
    EXPECT_THAT(told_b(), Contains("publish later/new"));
    EXPECT_THAT(courier->instead_of("a"), ElementsAre("b"));
    EXPECT_THAT(courier->instead_of("b"), IsEmpty());
    bench.advance(10min);
    EXPECT_THAT(told_b(), SizeIs(3)) << "each only once";
    EXPECT_EQ(status("a").counts.diverted, 3u);

    answers("a", answer(200));  // and it is told as well, when it is back
    bench.advance(10min);
    EXPECT_THAT(states("a"), Each(Pair(testing::_, "sent")));
    EXPECT_FALSE(status("a").down);
    EXPECT_THAT(courier->instead_of("a"), IsEmpty());
}

TEST_F(FallbackTest, IsToldOfWhatHangsInTheOneRequestThatIsTried) {
    add("a", {"b"});
    add("b");
    begin();
    break_a();
    http->script["a"] = [](HttpRequest const&) { return silence(); };
    raise("block", {"a"});
    bench.advance(19999ms);  // since 10 s it has been under way
    EXPECT_THAT(told_b(), IsEmpty());
    bench.advance(1ms);
    EXPECT_THAT(told_b(), ElementsAre("publish block/new"));
    raise("another", {"a"});
    EXPECT_THAT(told_b(), ElementsAre("publish another/new", "publish block/new"));
    bench.advance(30s);
    EXPECT_THAT(told_b(), ElementsAre("publish another/new", "publish block/new"));
}

TEST_F(FallbackTest, IsToldAtOnceWhenTheTargetIsDisabled) {
    add("a", {"b"});
    add("b");
    sinks["a"]->can.burst = 1;
    sinks["a"]->can.every = 1s;
    answers("a", answer(401));
    raise("one", {"a"});
    raise("two", {"a"});
    raise("news", {"a"}, Weight::complete);
    begin();
    EXPECT_THAT(bodies("a"), SizeIs(1));
    EXPECT_THAT(told_b(), ElementsAre("publish one/new", "publish two/new"));
    EXPECT_THAT(courier->instead_of("a"), ElementsAre("b"));
}

TEST_F(FallbackTest, IsToldOfWhatWasLeasedJustBeforeTheTargetWasDisabled) {
    add("a", {"b"});
    add("b");
    answers("a", answer(401));
    raise("one", {"a"});
    raise("two", {"a"});
    begin();
    EXPECT_THAT(bodies("a"), SizeIs(1));
    EXPECT_THAT(told_b(), ElementsAre("publish one/new", "publish two/new"));
    bench.advance(10min);
    EXPECT_THAT(told_b(), SizeIs(2));
}

TEST_F(FallbackTest, IsToldOfABlockThatTheTargetWillNeverTake) {
    add("a", {"b"});
    add("b");
    answers("a", answer(400));
    begin();
    raise("block", {"a"});
    raise("news", {"a"}, Weight::complete);
    EXPECT_THAT(states("a"), Each(Pair(testing::_, "dead")));
    EXPECT_THAT(told_b(), ElementsAre("publish block/new"));
    EXPECT_EQ(status("a").counts.diverted, 1u);
}

TEST_F(FallbackTest, WhoseOwnFallbackIsToldWhenItIsDownItself) {
    add("a", {"b"});
    add("b", {"a", "c"});
    add("c");
    answers("a", answer(401));
    answers("b", answer(401));
    begin();
    raise("news", {"b"}, Weight::error);
    EXPECT_THAT(bodies("c"), IsEmpty());
    raise("block", {"a"});
    EXPECT_THAT(bodies("c"), ElementsAre("publish block/new"));
    EXPECT_THAT(courier->instead_of("a"), ElementsAre("b", "c"));
    EXPECT_THAT(courier->instead_of("b"), ElementsAre("a", "c"));
}

TEST_F(FallbackTest, WhoIsToldAnywayIsNotToldTwice) {
    add("a", {"b"});
    add("b");
    answers("a", answer(401));
    begin();
    publish("permission/1", {"a", "b"});
    EXPECT_THAT(told_b(), ElementsAre("publish permission/1/new"));
    publish("permission/2", {"a", "b"});
    publish("permission/3", {"a"});  // whoever enqueued it did not know yet that it is down
    bench.advance(1h);
    EXPECT_THAT(told_b(), SizeIs(2));
}

TEST_F(FallbackTest, IsToldWhenTheTargetWantsALongPause) {
    random = 0;
    add("a", {"b"});
    add("b");
    answers("a", answer(429, "", {{"wait", "3600"}, {"pause", "target"}}));
    begin();
    raise("one", {"a"});
    EXPECT_THAT(told_b(), ElementsAre("publish one/new"));
    raise("two", {"a"});
    EXPECT_THAT(told_b(), ElementsAre("publish one/new", "publish two/new"));
    EXPECT_THAT(bodies("a"), SizeIs(1));
    answers("a", answer(200));
    bench.advance(1h);
    EXPECT_THAT(states("a"), Each(Pair(testing::_, "sent")));
}

TEST_F(FallbackTest, TwoThatStandInForEachOtherDoNotGoOnForEver) {
    add("a", {"b"});
    add("b", {"a"});
    answers("a", answer(401));
    answers("b", answer(401));
    begin();
    raise("one", {"a", "b"});
    bench.advance(1h);
    EXPECT_THAT(http->asked, SizeIs(2));
    EXPECT_THAT(states("a"), SizeIs(2));
    EXPECT_THAT(states("b"), SizeIs(2));
}

TEST_F(FallbackTest, TwoThatAreBothDownDoNotHandItToAndFro) {
    add("a", {"b"});
    add("b", {"a"});
    answers("a", answer(503));
    answers("b", answer(503));
    begin();
    for (int i = 0; i < 5; ++i) raise("down" + std::to_string(i), {"a", "b"}, Weight::error);
    raise("one", {"a"});
    bench.advance(1h);
    EXPECT_THAT(states("a"), SizeIs(6));
    EXPECT_THAT(states("b"), SizeIs(6));
}

TEST_F(FallbackTest, SomebodyElseMayHaveEnqueuedItFirst) {
    add("a", {"b"});
    add("b");
    begin();
    break_a();
    bench.advance(20s);
    auto job = [at = ms()](Outbox& outbox) {
        (void)outbox.raise({.key = "i", .kind = "k", .subject = "s"}, at);
        std::vector<NewDelivery> const both{{.dedupe = "d", .target = "a", .payload = "new"},
                                            {.dedupe = diverted_name("d", "a", "b"), .target = "b", .payload = "new"}};
        return outbox.open("i", both, at);
    };
    in_outbox(job);
    courier->wake_all();
    bench.advance(5min);
    EXPECT_THAT(told_b(), ElementsAre("publish i/new"));
}

TEST(DivertedName, FitsWhateverItIsMadeOf) {
    EXPECT_EQ(diverted_name("d", "a", "b"), "d@instead:b");
    std::string const first = std::string(200, 'x') + "1" + std::string(55, 'y');
    std::string const second = std::string(200, 'x') + "2" + std::string(55, 'y');
    EXPECT_LE(diverted_name(first, "a", "b").size(), TextBounds::name);
    EXPECT_NE(diverted_name(first, "a", "b"), diverted_name(second, "a", "b"));
    EXPECT_NE(diverted_name(first, "a", "b"), diverted_name(first, "a", "c"));
    auto const longest = std::string(TextBounds::dedupe - 2, 'x') + "/a";
    EXPECT_LE(diverted_name(longest, "a", "phone").size(), TextBounds::dedupe);
}

TEST(DivertedName, IsThatOfWhatTellsTheOtherAnyway) {
    EXPECT_EQ(diverted_name("permission/1/publish/a", "a", "b"), "permission/1/publish/b");
    EXPECT_EQ(diverted_name("permission/1/remind/a/2", "a", "b"), "permission/1/remind/b/2");
    EXPECT_EQ(diverted_name("a/1/publish/a", "a", "b"), "a/1/publish/b");
    EXPECT_EQ(diverted_name("k/update/phone/3", "phone", "b"), "k/update/b/3");
    EXPECT_EQ(diverted_name("k/phone/update/phones", "phone", "b"), "k/b/update/phones");
    EXPECT_EQ(diverted_name("k/publish/phones", "phone", "b"), "k/publish/phones@instead:b");
    EXPECT_EQ(diverted_name("phone", "phone", "b"), "phone@instead:b");
}

}  // namespace
}  // namespace ocgate::notify
