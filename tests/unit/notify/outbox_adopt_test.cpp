// Taking over from another outbox, whole or what can still be read of it; and what is remembered beside incidents.
#include <gmock/gmock.h>

#include <set>

#include "memory_disk.hpp"
#include "outbox_kit.hpp"

namespace ocgate::notify {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

void tell(Outbox& outbox, std::string const& key, Weight weight = Weight::block, std::string facts = "{}") {
    auto incident = an_incident(key, weight);
    incident.facts = std::move(facts);
    kept(outbox.raise(incident, 100));
    std::vector const deliveries{a_delivery(key + "@ntfy", "ntfy")};
    EXPECT_EQ(kept(outbox.open(key, deliveries, 100)).enqueued, 1U);
}

DeliveryRow row_of(Outbox& outbox, std::string const& dedupe) {
    for (auto& row : kept(outbox.list_deliveries(1000))) {
        if (row.dedupe == dedupe) return std::move(row);
    }
    ADD_FAILURE() << dedupe;
    return {};
}

TEST(OutboxAdopting, TheStateFurtherOnStays) {
    auto disk = kept(Outbox::in_memory());
    tell(disk, "a", Weight::block);
    tell(disk, "b", Weight::block);
    tell(disk, "c", Weight::complete);
    ASSERT_TRUE(disk.disable("discord", "404", "m", 100));

    // The disk fails: on in memory.
    auto memory = kept(Outbox::in_memory());
    EXPECT_EQ(kept(memory.adopt(disk)), 7U);
    EXPECT_EQ(contents(memory), contents(disk));
    auto const due = kept(memory.lease("ntfy", 2, 300, 200)).due;
    ASSERT_THAT(dedupes(due), ElementsAre("a@ntfy", "b@ntfy"));
    kept(memory.sent(due[0].ticket, "r1", 201));
    kept(memory.end({.key = "a", .outcome = "once", .able = {"ntfy"}}, 202));
    tell(memory, "d", Weight::block);

    // It is back, and meanwhile nothing happened there.
    EXPECT_GT(kept(disk.adopt(memory)), 0U);
    EXPECT_EQ(contents(disk), contents(memory));
    EXPECT_EQ(kept(disk.find("a"))->outcome, "once");
    // The ticket of the one is good with the other.
    EXPECT_EQ(kept(disk.sent(due[1].ticket, "r2", 210)), DeliveryState::sent);
    auto const rest = kept(disk.lease("ntfy", 10, 400, 300)).due;
    EXPECT_THAT(dedupes(rest), ElementsAre("d@ntfy", "clear ntfy a", "c@ntfy"));
    EXPECT_EQ(rest[1].remote_id, "r1");

    // What was sent here is not queued again by one who does not know.
    EXPECT_GT(kept(disk.adopt(memory)), 0U);
    EXPECT_EQ(kept(disk.lease("ntfy", 10, 400, 300)).due.size(), 0U);
}

/// The disk fails while a message is under way, and is back before that has ended.
TEST(OutboxAdopting, WhatIsUnderWayStaysUnderWay) {
    auto disk = kept(Outbox::in_memory());
    tell(disk, "a");
    auto const due = kept(disk.lease("ntfy", 1, 900, 200)).due;
    auto memory = kept(Outbox::in_memory());
    kept(memory.adopt(disk));

    EXPECT_EQ(kept(disk.release_leases()), 1U);
    kept(disk.adopt(memory));
    EXPECT_THAT(kept(disk.lease("ntfy", 1, 900, 300)).due, IsEmpty()) << "it would be told twice";
    EXPECT_EQ(kept(disk.retry(due[0].ticket, 500, "503", 310)), DeliveryState::queued) << "its ticket is good";
    EXPECT_EQ(kept(disk.next_due("ntfy")), 500);
}

/// The same when an earlier run has tried it more often.
TEST(OutboxAdopting, ALeaseOfNowIsBetterThanManyAttemptsOfBefore) {
    auto disk = kept(Outbox::in_memory());
    tell(disk, "a");
    for (int n = 0; n < 3; ++n) kept(disk.retry(kept(disk.lease("ntfy", 1, 900, 200)).due[0].ticket, 0, "503", 201));
    auto memory = kept(Outbox::in_memory());
    tell(memory, "a");
    auto const due = kept(memory.lease("ntfy", 1, 900, 300)).due;
    kept(disk.adopt(memory));
    EXPECT_THAT(kept(disk.lease("ntfy", 1, 900, 310)).due, IsEmpty());
    EXPECT_EQ(kept(disk.sent(due[0].ticket, "r", 320)), DeliveryState::sent);
}

TEST(OutboxAdopting, AttemptsOfBeforeAreNotForgottenForNone) {
    auto disk = kept(Outbox::in_memory());
    tell(disk, "a");
    kept(disk.retry(kept(disk.lease("ntfy", 1, 900, 200)).due[0].ticket, 700, "503", 201));
    auto memory = kept(Outbox::in_memory());
    tell(memory, "a");
    kept(disk.adopt(memory));
    EXPECT_EQ(row_of(disk, "a@ntfy").attempt, 1);
    EXPECT_EQ(row_of(disk, "a@ntfy").not_before_ms, 700);
}

/// A taking over that returned an error may have happened (a failed sync); memory went on.
TEST(OutboxAdopting, ASecondTimeBringsWhatCameInBetween) {
    auto disk = kept(Outbox::in_memory());
    auto memory = kept(Outbox::in_memory());
    for (std::string const key : {"a", "b", "c"}) tell(memory, key);
    auto const due = kept(memory.lease("ntfy", 3, 900, 200)).due;
    kept(disk.adopt(memory));
    kept(memory.sent(due[0].ticket, "r", 210));
    kept(memory.retry(due[1].ticket, 800, "503", 210));
    EXPECT_EQ(kept(memory.enqueue("c", {}, R"({"waiting":2})", 220)).state, IncidentState::open);
    kept(disk.release_leases());
    kept(disk.adopt(memory));
    EXPECT_EQ(contents(disk), contents(memory));
}

TEST(OutboxAdopting, ATargetIsDisabledOrNotAsWasSaidLast) {
    auto disk = kept(Outbox::in_memory());
    for (std::string const name : {"enabled", "abandoned", "still"}) {
        tell(disk, "to " + name);
        ASSERT_TRUE(disk.disable(name, "401", "m", 100));
    }
    auto memory = kept(Outbox::in_memory());
    kept(memory.adopt(disk));
    EXPECT_TRUE(kept(memory.enable("enabled", 200)));
    EXPECT_FALSE(kept(memory.enable("enabled", 201)));
    kept(memory.abandon("abandoned", "not configured", 200));
    ASSERT_TRUE(memory.disable("since", "404", "m", 200));
    kept(disk.adopt(memory));
    auto const names = [](Outbox& outbox) {
        std::vector<std::string> all;
        for (auto const& one : kept(outbox.disabled())) all.push_back(one.target);
        return all;
    };
    EXPECT_THAT(names(disk), ElementsAre("since", "still"));
    std::vector const more{a_delivery("x", "enabled")};
    kept(disk.open("to enabled", more, 300));
    EXPECT_EQ(kept(disk.next_due("enabled")), 0);
    EXPECT_THAT(kept(disk.lease("enabled", 1, 900, 300)).due, SizeIs(1));

    // And again, the other way round: who fell behind does not have the last word.
    ASSERT_TRUE(disk.disable("enabled", "401", "m", 400));
    kept(disk.adopt(memory));
    EXPECT_THAT(names(disk), ElementsAre("enabled", "since", "still"));
}

TEST(OutboxNotes, AreKeptReplacedAndTakenOver) {
    auto outbox = kept(Outbox::in_memory());
    EXPECT_EQ(kept(outbox.recall("mutes")), std::nullopt);
    ASSERT_TRUE(outbox.remember("mutes", "first"));
    ASSERT_TRUE(outbox.remember("mutes", "second"));
    ASSERT_TRUE(outbox.remember("empty", ""));
    EXPECT_EQ(kept(outbox.recall("mutes")), "second");
    EXPECT_EQ(kept(outbox.recall("empty")), "");

    auto disk = kept(Outbox::in_memory());
    ASSERT_TRUE(disk.remember("mutes", "of an earlier run"));
    ASSERT_TRUE(disk.remember("spend", "12"));
    kept(disk.adopt(outbox));
    EXPECT_EQ(kept(disk.recall("mutes")), "second");
    EXPECT_EQ(kept(disk.recall("spend")), "12");
    EXPECT_EQ(kept(disk.recall("empty")), "");
}

TEST(OutboxNotes, SurviveARestart) {
    Folder folder;
    { ASSERT_TRUE(kept(Outbox::open({.folder = folder.path()}, 1)).outbox.remember("mutes", "[1]")); }
    EXPECT_EQ(kept(kept(Outbox::open({.folder = folder.path()}, 1)).outbox.recall("mutes")), "[1]");
}

TEST(OutboxNotes, AreFewAndSmall) {
    auto outbox = kept(Outbox::in_memory());
    EXPECT_EQ(outbox.remember("", "x").error().trouble, Trouble::invalid);
    EXPECT_EQ(outbox.remember(std::string(TextBounds::name + 1, 'n'), "x").error().trouble, Trouble::invalid);
    EXPECT_EQ(outbox.remember("n", std::string(TextBounds::document + 1, 'x')).error().trouble, Trouble::invalid);
    EXPECT_TRUE(outbox.remember("0", std::string(TextBounds::document, 'x')));
    for (std::size_t n = 1; n < Outbox::most_notes; ++n) ASSERT_TRUE(outbox.remember(std::to_string(n), "x"));
    EXPECT_EQ(outbox.remember("one more", "x").error().trouble, Trouble::full);
    EXPECT_TRUE(outbox.remember("0", "again"));
}

class OutboxRescue : public testing::Test {
protected:
    static constexpr int incidents = 80;

    /// More than SQLite keeps in memory: reading it takes the disk.
    OutboxRescue() {
        auto opened = kept(Outbox::open(options, 1));
        for (int n = 0; n < incidents; ++n) tell(opened.outbox, std::to_string(n), Weight::block, facts);
        EXPECT_TRUE(opened.outbox.disable("discord", "404", "m", 100));
        EXPECT_TRUE(opened.outbox.remember("mutes", "[]"));
    }
    std::string const facts = std::string(60'000, 'x');
    Folder folder;
    MemoryDisk disk;
    OutboxOptions const options{.folder = folder.path(), .vfs = disk.name()};
};

TEST_F(OutboxRescue, GoesOnBehindWhatCannotBeRead) {
    auto opened = kept(Outbox::open(options, 1));
    auto const whole = 2 * incidents + 2U;
    int partial = 0;
    std::size_t least = whole;
    // Two pages in a hundred; the first is the file's own.
    for (std::uint64_t page = 1; page < 1200; page += 100) {
        SCOPED_TRACE(page);
        disk.bad = {page * 4096, (page + 2) * 4096};
        auto memory = kept(Outbox::in_memory());
        auto const all_or_nothing = memory.adopt(opened.outbox);
        auto part = kept(Outbox::in_memory());
        auto const rescued = part.rescue(opened.outbox);
        disk.bad = {0, 0};
        ASSERT_TRUE(rescued) << rescued.error().text;
        EXPECT_EQ(rescued->missing.has_value(), !all_or_nothing);
        if (all_or_nothing) continue;  // SQLite had those pages
        ++partial;
        EXPECT_EQ(all_or_nothing.error().trouble, Trouble::io) << all_or_nothing.error().text;
        EXPECT_EQ(contents(memory), "contents\n");
        EXPECT_EQ(rescued->missing->trouble, Trouble::io);
        least = std::min(least, rescued->rows);
        // What is there is right, and in order.
        auto const due = kept(part.lease("ntfy", 1000, 900, 200)).due;
        int last = -1;
        for (auto const& one : due) {
            EXPECT_EQ(one.incident.facts, facts);
            EXPECT_GT(std::stoi(one.incident.key), last);
            last = std::stoi(one.incident.key);
        }

        // When the disk is back, both together are all of it.
        auto later = kept(Outbox::in_memory());
        kept(later.adopt(opened.outbox));
        kept(later.adopt(part));
        EXPECT_EQ(kept(later.counts()).at(0).leased, due.size());
        EXPECT_EQ(kept(later.list_deliveries(1000)).size(), std::size_t{incidents});
    }
    RecordProperty("partial", partial);
    RecordProperty("least_rows", static_cast<int>(least));
    EXPECT_GT(partial, 5);
    EXPECT_GT(least, whole - 8);
}

TEST_F(OutboxRescue, OfADiskThatIsGoneComesToAnEnd) {
    auto opened = kept(Outbox::open(options, 1));
    auto const before = disk.operations();
    disk.fail(before + 1, 1'000'000'000);
    auto memory = kept(Outbox::in_memory());
    auto const rescued = memory.rescue(opened.outbox);
    ASSERT_TRUE(rescued) << rescued.error().text;
    EXPECT_TRUE(rescued->missing);
    EXPECT_LT(disk.operations() - before, 2000U);
    disk.fail(0, 0);
}

}  // namespace
}  // namespace ocgate::notify
