// The courier when it has to stop, and when its outbox fails.
#include <future>

#include "courier_kit.hpp"
#include "memory_disk.hpp"
#include "outbox_kit.hpp"

namespace ocgate::notify {
namespace {
using namespace std::chrono_literals;
using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

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

TEST_F(CourierTest, WhatItBreaksOffItselfIsNoFailureOfTheTarget) {
    rules.breaker_failures = 1;
    add("a");
    http->script["a"] = [](HttpRequest const&) { return silence(); };
    begin();
    raise("i1", {"a"});
    stop(5s);
    EXPECT_EQ(status("a").circuit, Circuit::closed);
    EXPECT_EQ(status("a").last_failure, "");
    EXPECT_EQ(status("a").counts.failed, (std::array<std::uint64_t, 7>{}));
    EXPECT_EQ(status("a").counts.retried, 0u);
    EXPECT_THAT(said, IsEmpty());
    EXPECT_EQ(state("i1>a"), "queued");
}

// A 2xx that does not say enough because it was cut off: taken, most likely.
TEST_F(CourierTest, WhatWasTakenWithoutTheRestOfTheAnswerMayHaveArrived) {
    add("a");
    begin();
    for (auto const& [key, weight] : {std::pair("block", Weight::block), std::pair("done", Weight::complete)}) {
        bool first = true;
        http->script["a"] = [&](HttpRequest const&) {
            Reply reply{answer(std::exchange(first, false) ? 202 : 200)};
            reply.result->whole = reply.result->status == 200;
            return reply;
        };
        raise(key, {"a"}, weight);
        bench.advance(1s);
    }
    EXPECT_EQ(state("block>a"), "sent");
    EXPECT_EQ(bodies("a").size(), 3u);
    EXPECT_EQ(state("done>a"), "dropped");
    EXPECT_EQ(status("a").counts.ambiguous, 1u);
    EXPECT_EQ(status("a").counts.failed.at(static_cast<std::size_t>(HttpStep::answer)), 2u);
    // Any other status says that it was not taken; and what was delivered has no use for the rest.
    for (unsigned const code : {503u, 200u}) {
        http->script["a"] = [&, n = 0](HttpRequest const&) mutable {
            Reply reply{answer(n++ == 0 ? code : 200)};
            reply.result->whole = n > 1;
            return reply;
        };
        auto const key = std::to_string(code);
        raise(key, {"a"}, Weight::complete);
        bench.advance(1s);
        EXPECT_EQ(state(key + ">a"), "sent");
    }
    EXPECT_EQ(status("a").counts.ambiguous, 1u);
    EXPECT_EQ(bodies("a").size(), 6u);
}

// Five in a row that are cut off are no sign of health.
TEST_F(CourierTest, WhatIsCutOffCountsAgainstTheTarget) {
    add("a");
    begin();
    http->script["a"] = [](HttpRequest const&) {
        Reply reply{answer(202)};
        reply.result->whole = false;
        return reply;
    };
    raise("block", {"a"});
    for (int i = 0; i < 40 && status("a").circuit == Circuit::closed; ++i) bench.advance(1s);
    EXPECT_EQ(status("a").circuit, Circuit::open);
    EXPECT_EQ(bodies("a").size(), 5u);
}

TEST_F(CourierTest, DoesNotSitOutAPauseWhenItStopsNorCutItShort) {
    add("a");
    http->script["a"] = [](HttpRequest const& request) {
        if (!request.body.starts_with("clear")) return Reply{answer(200, "id")};
        return Reply{answer(200, "", {{"wait", "5"}, {"pause", "target"}})};
    };
    begin();
    raise("i1", {"a"});
    further("i1", "a", Action::remind, "again");
    stop();
    EXPECT_THAT(bodies("a"), ElementsAre("publish i1/new", "clear i1/again after id"));
    EXPECT_EQ(state("i1>a:again"), "queued");
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

TEST_F(CourierTest, WhatAPersonSaysLastHoldsWhileATargetIsBeingDisabled) {
    rt::Worker worker(100);
    store = std::make_unique<Store>(worker, std::move(*Outbox::in_memory()));
    add("a", {"b"});
    add("b");
    std::promise<void> go_on;
    test::Result<Kept<bool>> enabled;
    auto const held = std::make_shared<std::optional<Kept<bool>>>();
    http->script["a"] = [&](HttpRequest const&) {
        if (enabled) return Reply{answer(200)};
        // Holds up the outbox, and with it what makes the disabling last.
        auto hold = [&](Outbox&) -> Kept<bool> {
            go_on.get_future().wait();
            return true;
        };
        auto task = test::Bench::keep(store->run(std::move(hold)), held);
        rt::spawn(bench.io.get_executor(), std::move(task), test::Bench::rethrow);
        return Reply{answer(401)};
    };
    begin();
    raise("i1", {"a"});
    ASSERT_TRUE(bench.wait_until([&] { return status("a").disabled == "answered 401"; }));
    enabled = bench.start(courier->enable("a"));
    go_on.set_value();
    ASSERT_TRUE(bench.wait_until([&] { return enabled->has_value(); }));
    EXPECT_TRUE(bench.wait_until([&] { return bodies("a").size() == 2; })) << "it looks enabled, and nothing is sent";
    EXPECT_EQ(status("a").disabled, "");
    ASSERT_TRUE(bench.wait_until([&] { return status("a").in_flight + status("b").in_flight == 0; }));
    auto const stopped = bench.start(courier->stop(bench.clock.now()));
    EXPECT_TRUE(bench.wait_until([&] { return *stopped; }));
    courier.reset();
    worker.stop();
}

TEST_F(CourierTest, WaitsForWhatAPersonAskedOfItWhenItStops) {
    rt::Worker worker(100);
    store = std::make_unique<Store>(worker, std::move(*Outbox::in_memory()));
    add("a");
    begin();
    std::promise<void> go_on;
    auto hold = [&](Outbox&) -> Kept<bool> {
        go_on.get_future().wait();
        return true;
    };
    auto const held = bench.start(store->run(std::move(hold)));
    auto const enabled = bench.start(courier->enable("a"));
    auto const stopped = bench.start(courier->stop(bench.clock.now()));
    EXPECT_FALSE(*stopped);
    EXPECT_EQ((*bench.start(courier->enable("a")))->error().trouble, Trouble::busy);
    go_on.set_value();
    ASSERT_TRUE(bench.wait_until([&] { return *stopped; }));
    courier.reset();
    ASSERT_TRUE(bench.wait_until([&] { return enabled->has_value() && held->has_value(); }));
    EXPECT_FALSE((*enabled)->value());
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
