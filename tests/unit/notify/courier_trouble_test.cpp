// The courier when a target stays down, when it has to stop, and when its outbox fails.
#include <future>

#include "courier_kit.hpp"
#include "memory_disk.hpp"
#include "outbox_kit.hpp"

namespace ocgate::notify {
namespace {
using namespace std::chrono_literals;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;
using testing::SizeIs;
using testing::UnorderedElementsAre;

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

TEST_F(FallbackTest, IsToldWhenTheTargetWantsALongPause) {
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
                                            {.dedupe = diverted_name("d", "b"), .target = "b", .payload = "new"}};
        return outbox.open("i", both, at);
    };
    in_outbox(job);
    courier->wake_all();
    bench.advance(5min);
    EXPECT_THAT(told_b(), ElementsAre("publish i/new"));
}

TEST(DivertedName, FitsWhateverItIsMadeOf) {
    EXPECT_EQ(diverted_name("d", "b"), "d@instead:b");
    std::string const first = std::string(200, 'x') + "1" + std::string(55, 'y');
    std::string const second = std::string(200, 'x') + "2" + std::string(55, 'y');
    EXPECT_LE(diverted_name(first, "b").size(), TextBounds::name);
    EXPECT_NE(diverted_name(first, "b"), diverted_name(second, "b"));
    EXPECT_NE(diverted_name(first, "b"), diverted_name(first, "c"));
}

// ---- stopping

TEST_F(CourierTest, StopsWhenWhatIsUnderWayHasEnded) {
    add("a");
    http->script["a"] = [](HttpRequest const&) { return Reply{answer(200), 2s}; };
    begin();
    for (int i = 0; i < 4; ++i) raise("i" + std::to_string(i), {"a"});
    auto const stopped = bench.start(courier->stop(bench.clock.now() + 5s));
    bench.advance(1999ms);
    EXPECT_FALSE(*stopped);
    bench.advance(1ms);
    EXPECT_TRUE(*stopped);
    courier.reset();
    EXPECT_THAT(http->asked, SizeIs(2)) << "nothing new is begun";
    EXPECT_EQ(state("i0>a"), "sent");
    EXPECT_EQ(state("i3>a"), "queued");
}

TEST_F(CourierTest, BreaksOffWhatDoesNotEndInTime) {
    add("a");
    http->script["a"] = [](HttpRequest const&) { return silence(); };
    begin();
    raise("i1", {"a"});
    auto const stopped = bench.start(courier->stop(bench.clock.now() + 5s));
    bench.advance(4999ms);
    EXPECT_FALSE(*stopped);
    bench.advance(1ms);
    EXPECT_TRUE(*stopped);
    courier.reset();
    EXPECT_EQ(state("i1>a"), "queued");
    http = std::make_shared<ScriptedHttp>(bench.deadlines);
    add("a");
    begin();
    EXPECT_EQ(state("i1>a"), "sent");
}

TEST_F(CourierTest, StopsWithoutHavingBegun) {
    add("a");
    begin();
    stop();
    raise("i1", {"a"});
    bench.advance(1h);
    EXPECT_THAT(http->asked, IsEmpty());
}

// ---- the outbox

class FailingOutbox : public CourierTest {
protected:
    void SetUp() override {
        OutboxOptions options;
        options.folder = folder.path();
        options.vfs = disk.name();
        auto opened = Outbox::open(options, ms());
        ASSERT_TRUE(opened.has_value()) << opened.error().text;
        store = std::make_unique<Store>(std::move(opened->outbox));
    }
    ~FailingOutbox() override {
        if (courier) stop();
        courier.reset();
        store.reset();  // before its disk
    }
    void fails() { disk.read_only = true; }
    void works() { disk.read_only = false; }
    Folder folder;
    MemoryDisk disk;
};

TEST_F(FailingOutbox, IsTriedAgainEverySecondAndNothingIsSentTwice) {
    add("a");
    http->script["a"] = [this](HttpRequest const&) {
        fails();  // it cannot be kept that it was sent
        return Reply{answer(200, "id")};
    };
    begin();
    raise("i1", {"a"});
    EXPECT_THAT(http->asked, SizeIs(1));
    auto const before = troubles;
    EXPECT_GE(before, 1);
    bench.advance(10s);
    EXPECT_GE(troubles, before + 9);
    EXPECT_LE(troubles, before + 40) << "no flood";
    bench.advance(2min);  // its lease is over
    works();
    bench.advance(1s);
    EXPECT_EQ(state("i1>a"), "sent");
    bench.advance(2min);
    EXPECT_THAT(http->asked, SizeIs(1));
}

TEST_F(FailingOutbox, HoldsNobodyUpWhoStops) {
    add("a");
    http->script["a"] = [this](HttpRequest const&) {
        fails();
        return Reply{answer(200, "id")};
    };
    begin();
    raise("i1", {"a"});
    stop();
    courier.reset();
    works();
    add("a");
    http->script.clear();
    begin();  // it was never kept, so it is told again: once too often rather than never
    EXPECT_THAT(http->asked, SizeIs(2));
    EXPECT_EQ(state("i1>a"), "sent");
}

TEST_F(FailingOutbox, MayFailBeforeAnythingHasBegun) {
    add("a");
    raise("i1", {"a"});
    auto lease = [at = ms()](Outbox& outbox) { return outbox.lease("a", 2, at + 60'000, at); };
    in_outbox(lease);
    fails();
    begin();
    bench.advance(5s);
    EXPECT_THAT(http->asked, IsEmpty());
    works();
    bench.advance(1s);
    EXPECT_EQ(state("i1>a"), "sent");
}

TEST_F(CourierTest, GoesOnWithAnotherOutbox) {
    add("a");
    begin();
    raise("i1", {"a"});
    auto job = [](Outbox& outbox) -> Kept<bool> {
        auto other = Outbox::in_memory();
        if (!other) return other.error();
        auto const adopted = other->adopt(outbox);
        if (!adopted) return adopted.error();
        outbox = std::move(*other);
        return true;
    };
    in_outbox(job);
    raise("i2", {"a"});
    EXPECT_EQ(state("i1>a"), "sent");
    EXPECT_EQ(state("i2>a"), "sent");
}

TEST_F(CourierTest, WorksWithItsOutboxOnAnotherThread) {
    rt::Worker worker(100);
    store = std::make_unique<Store>(worker, std::move(*Outbox::in_memory()));
    for (auto const* name : {"a", "b", "c"}) add(name);
    begin();
    for (int i = 0; i < 50; ++i) raise("i" + std::to_string(i), {"a", "b", "c"});
    ASSERT_TRUE(bench.wait_until([&] { return http->asked.size() == 150; }));
    auto const all_kept = [&] { return status("a").in_flight + status("b").in_flight + status("c").in_flight == 0; };
    ASSERT_TRUE(bench.wait_until(all_kept));
    for (auto const* name : {"a", "b", "c"}) EXPECT_THAT(states(name), Each(Pair(testing::_, "sent")));
    auto const stopped = bench.start(courier->stop(bench.clock.now()));
    EXPECT_TRUE(bench.wait_until([&] { return *stopped; }));
    courier.reset();
    worker.stop();
}

TEST_F(CourierTest, AWorkerThatHasStoppedIsTrouble) {
    rt::Worker worker(100);
    store = std::make_unique<Store>(worker, std::move(*Outbox::in_memory()));
    worker.stop();
    add("a");
    begin();
    bench.advance(10s);
    EXPECT_GE(troubles, 10);
    stop();
    courier.reset();
}

}  // namespace
}  // namespace ocgate::notify
