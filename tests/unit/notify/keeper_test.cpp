#include "ocgate/notify/keeper.hpp"

#include <fstream>
#include <latch>

#include "keeper_kit.hpp"

namespace ocgate::notify {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class KeeperTest : public testing::Test {
protected:
    Kept<Outbox::Opened> open() { return Outbox::open(options, 1); }

    Folder folder;
    MemoryDisk disk;
    OutboxOptions options{.folder = folder.path(), .vfs = disk.name()};
};

TEST_F(KeeperTest, GoesToTheDiskWithWhatMemoryHeld) {
    {
        auto earlier = kept(open());
        kept(earlier.outbox.raise(an_incident("of an earlier run"), 1));
    }
    std::string before;
    {
        KeeperKit kit(options);
        EXPECT_TRUE(kit.state().wanted);
        EXPECT_FALSE(kit.state().durable);
        kit.tell("a", {"ntfy"});
        auto const due = kit.lease("ntfy");
        kit.start();
        EXPECT_TRUE(kit.state().durable);
        EXPECT_EQ(kit.state().failures, 0U);
        EXPECT_THAT(kit.changes, ElementsAre("disk"));
        EXPECT_THAT(kit.keys(), ElementsAre("of an earlier run", "a"));
        EXPECT_THAT(kit.lease("ntfy"), IsEmpty()) << "it is under way";
        EXPECT_EQ(kit.sent(due.at(0).ticket), DeliveryState::sent);
        before = kit.all();
    }
    auto later = kept(open());
    EXPECT_EQ(contents(later.outbox), before);
}

TEST_F(KeeperTest, LeasesOfAnEarlierRunAreOver) {
    {
        auto earlier = kept(open());
        kept(earlier.outbox.raise(an_incident("a"), 1));
        std::vector const deliveries{a_delivery("d", "ntfy")};
        kept(earlier.outbox.open("a", deliveries, 1));
        EXPECT_THAT(kept(earlier.outbox.lease("ntfy", 1, std::numeric_limits<std::int64_t>::max(), 1)).due, SizeIs(1));
    }
    KeeperKit kit(options);
    kit.start();
    EXPECT_THAT(dedupes(kit.lease("ntfy")), ElementsAre("d"));
}

TEST_F(KeeperTest, WithoutAFolderMemoryIsWhatIsWanted) {
    KeeperKit kit(std::nullopt);
    kit.start();
    kit.tell("a", {"ntfy"});
    kit.keeper->trouble({Trouble::io, "impossible"});
    kit.bench.advance(60s);
    EXPECT_FALSE(kit.state().wanted);
    EXPECT_FALSE(kit.state().durable);
    EXPECT_EQ(kit.state().failures, 0U);
    EXPECT_THAT(kit.changes, IsEmpty());
    EXPECT_THAT(kit.keys(), ElementsAre("a"));
}

TEST_F(KeeperTest, WhileAnotherHasTheFileMemoryHolds) {
    auto other = std::make_unique<Outbox::Opened>(kept(open()));
    KeeperKit kit(options);
    auto const started = kit.bench.start(kit.keeper->start());
    kit.bench.advance(Keeper::handover - 1s);
    EXPECT_FALSE(*started) << "it may be about to end";
    EXPECT_THAT(kit.changes, IsEmpty());
    kit.bench.advance(1s);
    EXPECT_TRUE(*started);
    EXPECT_FALSE(kit.state().durable);
    EXPECT_THAT(kit.state().why, HasSubstr("another process uses it"));
    EXPECT_THAT(kit.changes, ElementsAre("memory"));
    kit.tell("a", {"ntfy"});
    kit.bench.advance(30s);
    EXPECT_EQ(kit.state().failures, 2U);
    EXPECT_THAT(kit.changes, ElementsAre("memory")) << "once is enough";
    other.reset();
    kit.bench.advance(29s);
    EXPECT_FALSE(kit.state().durable);
    kit.bench.advance(1s);
    EXPECT_TRUE(kit.state().durable);
    EXPECT_EQ(kit.state().why, "");
    EXPECT_THAT(kit.changes, ElementsAre("memory", "disk"));
    EXPECT_THAT(kit.keys(), ElementsAre("a"));
}

// One gateway replaces another: for a moment there are two.
TEST_F(KeeperTest, WhoeverIsAboutToEndIsWaitedFor) {
    auto other = std::make_unique<Outbox::Opened>(kept(open()));
    kept(other->outbox.raise(an_incident("of the other"), 1));
    KeeperKit kit(options);
    auto const started = kit.bench.start(kit.keeper->start());
    kit.tell("a", {"ntfy"});
    kit.bench.advance(1s);
    EXPECT_FALSE(*started);
    EXPECT_THAT(kit.state().why, HasSubstr("another process uses it"));
    other.reset();
    kit.bench.advance(1s);
    EXPECT_TRUE(*started);
    EXPECT_TRUE(kit.state().durable);
    EXPECT_EQ(kit.state().why, "");
    EXPECT_EQ(kit.state().failures, 0U);
    EXPECT_THAT(kit.changes, ElementsAre("disk")) << "never in memory, as far as anybody was told";
    EXPECT_THAT(kit.keys(), ElementsAre("of the other", "a"));
}

TEST_F(KeeperTest, WhoStopsWaitsForNoOther) {
    auto other = std::make_unique<Outbox::Opened>(kept(open()));
    KeeperKit kit(options);
    auto const started = kit.bench.start(kit.keeper->start());
    EXPECT_FALSE(*started);
    auto const stopped = kit.bench.start(kit.keeper->stop());
    kit.bench.settle();
    EXPECT_TRUE(*stopped);
    EXPECT_TRUE(*started);
    EXPECT_THAT(kit.changes, IsEmpty());
}

TEST_F(KeeperTest, AFullDiskIsLeftAndComeBackTo) {
    std::string before;
    {
        KeeperKit kit(options);
        kit.start();
        kit.tell("a", {"ntfy"});
        auto const due = kit.lease("ntfy");
        disk.size = 100'000;
        kit.tell("b", {"ntfy"}, std::string(60'000, 'x'));
        kit.tell("c", {"ntfy"}, std::string(60'000, 'x'));
        EXPECT_FALSE(kit.state().durable);
        EXPECT_EQ(kit.state().failures, 1U);
        EXPECT_THAT(kit.state().why, HasSubstr("full"));
        EXPECT_THAT(kit.changes, ElementsAre("disk", "memory"));
        EXPECT_THAT(kit.keys(), ElementsAre("a", "b", "c"));
        kit.bench.advance(31s);
        EXPECT_FALSE(kit.state().durable);
        EXPECT_EQ(kit.state().failures, 2U);
        disk.size = std::numeric_limits<std::uint64_t>::max();
        kit.bench.advance(31s);
        EXPECT_TRUE(kit.state().durable);
        EXPECT_THAT(kit.changes, ElementsAre("disk", "memory", "disk"));
        EXPECT_THAT(dedupes(kit.lease("ntfy")), ElementsAre("b@ntfy", "c@ntfy"));
        EXPECT_EQ(kit.sent(due.at(0).ticket), DeliveryState::sent);
        before = kit.all();
    }
    auto later = kept(open());
    EXPECT_EQ(contents(later.outbox), before);
}

TEST_F(KeeperTest, ADiskThatTakesNoWritesTheSame) {
    KeeperKit kit(options);
    kit.start();
    disk.read_only = true;
    kit.tell("a", {"ntfy"});
    EXPECT_FALSE(kit.state().durable);
    kit.bench.advance(31s);
    EXPECT_THAT(kit.state().why, HasSubstr("may not be written"));
    disk.read_only = false;
    kit.bench.advance(31s);
    EXPECT_TRUE(kit.state().durable);
    EXPECT_THAT(kit.keys(), ElementsAre("a"));
}

/// On a real file, damaged while it is open.
TEST_F(KeeperTest, ADamagedFileIsMovedAsideAndWhatWasInItStays) {
    options.vfs = nullptr;
    KeeperKit kit(options);
    kit.start();
    kit.tell("a", {"ntfy"});
    kit.insist([](Outbox& outbox) -> Kept<bool> {
        auto const done = outbox.remember("mutes", "[]");
        if (!done) return done.error();
        return true;
    });
    for (std::string const name : {"outbox.db", "outbox.db-wal"}) {
        std::ofstream(folder.path() / name, std::ios::binary) << std::string(20'000, '\x7f');
    }
    kit.keeper->trouble({Trouble::corrupt, "database disk image is malformed"});
    kit.bench.settle();
    EXPECT_FALSE(kit.state().durable);
    EXPECT_THAT(kit.state().why, HasSubstr("malformed"));
    EXPECT_THAT(kit.keys(), ElementsAre("a"));
    kit.bench.advance(31s);
    EXPECT_TRUE(kit.state().durable);
    EXPECT_EQ(kit.state().moved_aside, 1U);
    ASSERT_THAT(kit.moved, SizeIs(1));
    EXPECT_THAT(kit.moved[0], HasSubstr("outbox.db.corrupt-"));
    EXPECT_THAT(kit.keys(), ElementsAre("a"));
    EXPECT_THAT(dedupes(kit.lease("ntfy")), ElementsAre("a@ntfy"));
    EXPECT_EQ(kept(kit.run([](Outbox& outbox) { return outbox.recall("mutes"); })), "[]");
}

TEST_F(KeeperTest, ADamagedFileAtTheStartIsTold) {
    { std::ofstream(folder.file()) << std::string(5000, 'x'); }
    options.vfs = nullptr;
    KeeperKit kit(options);
    kit.start();
    EXPECT_TRUE(kit.state().durable);
    EXPECT_EQ(kit.state().moved_aside, 1U);
    ASSERT_THAT(kit.moved, SizeIs(1));
    EXPECT_THAT(kit.moved[0], HasSubstr("not a database"));
}

TEST_F(KeeperTest, ADiskThatCannotBeReadForAMomentIsWaitedFor) {
    KeeperKit kit(options);
    kit.start();
    // More than SQLite keeps in memory.
    for (int n = 0; n < 80; ++n) kit.tell(std::to_string(n), {"ntfy"}, std::string(60'000, 'x'));
    disk.bad = {100 * 4096, 1'000'000'000};
    kit.keeper->trouble({Trouble::io, "a read failed"});
    kit.bench.advance(3s);
    EXPECT_TRUE(kit.state().durable);
    disk.bad = {0, 0};
    kit.bench.advance(1s);
    EXPECT_FALSE(kit.state().durable);
    EXPECT_EQ(kit.state().why, "a read failed");
    EXPECT_THAT(kit.keys(), SizeIs(80));
}

TEST_F(KeeperTest, WhatCannotBeReadIsSaid) {
    KeeperKit kit(options);
    kit.start();
    for (int n = 0; n < 80; ++n) kit.tell(std::to_string(n), {"ntfy"}, std::string(60'000, 'x'));
    disk.bad = {100 * 4096, 110 * 4096};
    kit.keeper->trouble({Trouble::io, "a read failed"});
    kit.bench.advance(5s);
    EXPECT_FALSE(kit.state().durable);
    EXPECT_THAT(kit.state().why, HasSubstr("a read failed; and of what was there not all could be read: "));
    auto const some = kit.keys().size();
    EXPECT_LT(some, 80U);
    EXPECT_GT(some, 70U);
    kit.tell("80", {"ntfy"});
    disk.bad = {0, 0};
    kit.bench.advance(31s);
    EXPECT_TRUE(kit.state().durable);
    EXPECT_THAT(kit.keys(), SizeIs(81));
}

TEST_F(KeeperTest, DamageIsNotWaitedFor) {
    KeeperKit kit(options);
    kit.start();
    for (int n = 0; n < 80; ++n) kit.tell(std::to_string(n), {"ntfy"}, std::string(60'000, 'x'));
    disk.bad = {100 * 4096, 110 * 4096};
    kit.keeper->trouble({Trouble::corrupt, "damaged"});
    kit.bench.settle();
    EXPECT_FALSE(kit.state().durable);
    disk.bad = {0, 0};
}

/// Nothing of it can be read: what comes now is kept, what was there waits for it.
TEST_F(KeeperTest, WhenTheDiskIsGoneItGoesOnWithNothing) {
    KeeperKit kit(options);
    kit.start();
    kit.tell("before", {"ntfy"});
    disk.fail(disk.operations() + 1, 1'000'000'000);
    kit.tell("meanwhile", {"ntfy"});
    EXPECT_FALSE(kit.state().durable);
    EXPECT_THAT(kit.state().why, HasSubstr("not all could be read"));
    EXPECT_THAT(kit.keys(), ElementsAre("meanwhile"));
    kit.bench.advance(31s);
    EXPECT_FALSE(kit.state().durable);
    disk.fail(0, 0);
    kit.bench.advance(31s);
    EXPECT_TRUE(kit.state().durable);
    EXPECT_THAT(kit.keys(), ElementsAre("before", "meanwhile"));
    EXPECT_THAT(dedupes(kit.lease("ntfy")), ElementsAre("before@ntfy", "meanwhile@ntfy"));
}

TEST_F(KeeperTest, OnlyTheDisksTroubleMovesIt) {
    KeeperKit kit(options);
    kit.start();
    for (auto const trouble : {Trouble::busy, Trouble::newer, Trouble::full, Trouble::invalid, Trouble::unknown}) {
        kit.keeper->trouble({trouble, "somebody's own"});
        kit.bench.settle();
        EXPECT_TRUE(kit.state().durable) << to_string(trouble);
    }
    EXPECT_EQ(kit.state().failures, 0U);
    EXPECT_THAT(kit.changes, ElementsAre("disk"));
}

TEST_F(KeeperTest, OldOnesGoEveryTenMinutesAllOfThem) {
    options.limits.keep_ended_ms = 1000;
    KeeperKit kit(options);
    kit.start();
    auto const ended = [&](std::string const& key) {
        kit.insist([=, at = kit.ms()](Outbox& outbox) { return outbox.raise(an_incident(key), at); });
        Ending const ending{.key = key};
        kit.insist([=, at = kit.ms()](Outbox& outbox) { return outbox.end(ending, at); });
    };
    for (int n = 0; n < 2500; ++n) ended(std::to_string(n));
    auto const count = [&] { return kept(kit.run([](Outbox& outbox) { return outbox.list_incidents(1); })).size(); };
    kit.bench.advance(599s);
    EXPECT_EQ(count(), 1U);
    kit.bench.advance(1s);
    EXPECT_EQ(count(), 0U);
    ended("later");
    kit.bench.advance(600s);
    EXPECT_EQ(count(), 0U);
}

// ---- with the thread that the gateway has

TEST_F(KeeperTest, ManyWhoFailMoveItOnce) {
    rt::Worker worker(16);
    KeeperKit kit(options, &worker);
    kit.start();
    kit.tell("a", {"ntfy"});
    disk.read_only = true;
    for (int n = 0; n < 5; ++n) kit.keeper->trouble({Trouble::read_only, "one of many"});
    EXPECT_TRUE(kit.bench.wait_until([&] { return !kit.state().durable; }));
    for (int n = 0; n < 5; ++n) kit.keeper->trouble({Trouble::read_only, "one that comes late"});
    kit.bench.settle();
    EXPECT_EQ(kit.state().failures, 1U);
    EXPECT_THAT(kit.changes, ElementsAre("disk", "memory"));
    EXPECT_THAT(kit.keys(), ElementsAre("a"));
    disk.read_only = false;
    kit.bench.advance(31s);
    EXPECT_TRUE(kit.bench.wait_until([&] { return kit.state().durable; }));
}

TEST_F(KeeperTest, WithoutRoomInTheThreadsQueueItComesLater) {
    rt::Worker worker(1);
    KeeperKit kit(options, &worker);
    kit.start();
    std::latch go(1);
    std::latch begun(1);
    auto blocking = [&](Outbox&) -> Kept<bool> {
        begun.count_down();
        go.wait();
        return true;
    };
    auto waiting = [](Outbox&) -> Kept<bool> { return true; };
    auto const first = kit.bench.start(kit.store->run(std::move(blocking)));
    begun.wait();
    auto const second = kit.bench.start(kit.store->run(std::move(waiting)));
    kit.keeper->trouble({Trouble::io, "no room"});
    kit.bench.settle();
    EXPECT_TRUE(kit.state().durable);
    go.count_down();
    EXPECT_TRUE(kit.bench.wait_until([&] { return first->has_value() && second->has_value(); }));
    kit.bench.advance(1s);
    EXPECT_TRUE(kit.bench.wait_until([&] { return !kit.state().durable; }));
    EXPECT_EQ(kit.state().why, "no room");
}

TEST_F(KeeperTest, StopsWhileItIsOnItsWay) {
    rt::Worker worker(16);
    auto kit = std::make_unique<KeeperKit>(options, &worker);
    auto const started = kit->bench.start(kit->keeper->start());
    auto const stopped = kit->bench.start(kit->keeper->stop());
    EXPECT_TRUE(kit->bench.wait_until([&] { return *started && *stopped; }));
    kit.reset();
}

TEST_F(KeeperTest, OneThatNeverBeganStopsToo) {
    KeeperKit kit(options);
    kit.bench.advance(60s);
    EXPECT_THAT(kit.changes, IsEmpty());
}

}  // namespace
}  // namespace ocgate::notify
