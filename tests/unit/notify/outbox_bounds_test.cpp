// What the outbox does not let grow.
#include <gmock/gmock.h>

#include "outbox_kit.hpp"

namespace ocgate::notify {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

void tell(Outbox& outbox, std::string const& key, Weight weight, std::vector<Dropped>* dropped = nullptr,
          std::int64_t now = 100) {
    kept(outbox.raise(an_incident(key, weight), now));
    std::vector const deliveries{a_delivery(key + "@ntfy", "ntfy")};
    auto change = kept(outbox.open(key, deliveries, now));
    EXPECT_EQ(change.enqueued, 1U);
    if (dropped != nullptr) *dropped = std::move(change.dropped);
}

TEST(OutboxBounds, WhenTooManyWaitCompletesGoThenErrorsNeverBlocks) {
    auto outbox = kept(Outbox::in_memory({.live_per_target = 3}));
    std::vector<Dropped> dropped;
    tell(outbox, "done1", Weight::complete);
    tell(outbox, "failed", Weight::error);
    tell(outbox, "done2", Weight::complete, &dropped);
    EXPECT_THAT(dropped, IsEmpty());
    tell(outbox, "block1", Weight::block, &dropped);
    ASSERT_THAT(dedupes(dropped), ElementsAre("done1@ntfy"));
    EXPECT_EQ(dropped[0].reason, "limit");
    EXPECT_EQ(dropped[0].weight, Weight::complete);
    tell(outbox, "block2", Weight::block, &dropped);
    EXPECT_THAT(dedupes(dropped), ElementsAre("done2@ntfy"));
    tell(outbox, "block3", Weight::block, &dropped);
    EXPECT_THAT(dedupes(dropped), ElementsAre("failed@ntfy"));
    tell(outbox, "block4", Weight::block, &dropped);
    EXPECT_THAT(dropped, IsEmpty());
    // No room at all for the new one: it goes itself.
    tell(outbox, "done3", Weight::complete, &dropped);
    EXPECT_THAT(dedupes(dropped), ElementsAre("done3@ntfy"));
    EXPECT_THAT(dedupes(kept(outbox.lease("ntfy", 10, 300, 200)).due),
                ElementsAre("block1@ntfy", "block2@ntfy", "block3@ntfy", "block4@ntfy"));
    auto const counts = kept(outbox.counts());
    EXPECT_EQ(counts[0].leased, 4U);
    EXPECT_EQ(counts[0].dropped, 4U);
}

TEST(OutboxBounds, WhatIsOnItsWayIsNotDroppedForRoom) {
    auto outbox = kept(Outbox::in_memory({.live_per_target = 1}));
    tell(outbox, "done1", Weight::complete);
    auto const due = kept(outbox.lease("ntfy", 1, 300, 200)).due;
    std::vector<Dropped> dropped;
    tell(outbox, "done2", Weight::complete, &dropped);
    EXPECT_THAT(dedupes(dropped), ElementsAre("done2@ntfy"));
    EXPECT_EQ(kept(outbox.sent(due[0].ticket, "", 201)), DeliveryState::sent);
}

TEST(OutboxBounds, AClearMakesRoomForABlock) {
    auto outbox = kept(Outbox::in_memory({.live_per_target = 1}));
    tell(outbox, "block1", Weight::block);
    kept(outbox.sent(kept(outbox.lease("ntfy", 1, 300, 200)).due[0].ticket, "", 201));
    kept(outbox.end({.key = "block1", .able = {"ntfy"}}, 202));
    std::vector<Dropped> dropped;
    tell(outbox, "block2", Weight::block, &dropped);
    ASSERT_THAT(dropped, SizeIs(1));
    EXPECT_EQ(dropped[0].action, Action::clear);
}

TEST(OutboxBounds, AThousandPerTargetUnlessSaidOtherwise) {
    auto outbox = kept(Outbox::in_memory());
    kept(outbox.raise(an_incident("a", Weight::complete), 1));
    kept(outbox.open("a", {}, 1));
    std::vector<NewDelivery> deliveries;
    for (int n = 0; n < 1003; ++n) deliveries.push_back(a_delivery("d" + std::to_string(n), "ntfy"));
    auto const change = kept(outbox.enqueue("a", deliveries, std::nullopt, 2));
    EXPECT_EQ(change.enqueued, 1003U);
    EXPECT_THAT(dedupes(change.dropped), ElementsAre("d0", "d1", "d2"));
    EXPECT_EQ(kept(outbox.counts())[0].queued, 1000U);
}

TEST(OutboxBounds, TooManyIncidentsAreRefused) {
    auto outbox = kept(Outbox::in_memory({.unended = 2}));
    tell(outbox, "a", Weight::block);
    tell(outbox, "b", Weight::block);
    EXPECT_EQ(outbox.raise(an_incident("c"), 1).error().trouble, Trouble::full);
    EXPECT_EQ(kept(outbox.raise(an_incident("a"), 1)).state, IncidentState::open);
    kept(outbox.end({.key = "a"}, 1));
    EXPECT_TRUE(kept(outbox.raise(an_incident("c"), 1)).changed);
}

TEST(OutboxBounds, TextsTooLongAreRefusedWholeAndRemarksAreCut) {
    auto outbox = kept(Outbox::in_memory());
    auto const refused = [&](NewIncident const& incident) {
        auto const answer = outbox.raise(incident, 1);
        return !answer && answer.error().trouble == Trouble::invalid;
    };
    EXPECT_TRUE(refused(an_incident("")));
    EXPECT_TRUE(refused(an_incident(std::string(257, 'k'))));
    auto facts = an_incident("f");
    facts.facts = std::string(64 * 1024 + 1, 'x');
    EXPECT_TRUE(refused(facts));
    EXPECT_THAT(kept(outbox.list_incidents(10)), IsEmpty());
    facts.facts.pop_back();
    EXPECT_FALSE(refused(facts));

    // One bad delivery: nothing of the call happens.
    std::vector const deliveries{a_delivery("good", "ntfy"), a_delivery("bad", "")};
    EXPECT_EQ(outbox.open("f", deliveries, 2).error().trouble, Trouble::invalid);
    EXPECT_EQ(kept(outbox.find("f"))->state, IncidentState::held);
    EXPECT_THAT(kept(outbox.list_deliveries(10)), IsEmpty());

    // The longest names there may be.
    auto const key = std::string(256, 'k');
    auto const target = std::string(256, 't');
    kept(outbox.raise(an_incident(key), 1));
    std::vector const longest{a_delivery(std::string(576, 'd'), target)};
    kept(outbox.open(key, longest, 2));
    auto const due = kept(outbox.lease(target, 1, 9, 3)).due;
    ASSERT_THAT(due, SizeIs(1));
    std::string const error = std::string(511, 'e') + "\xc3\xa9tat";
    EXPECT_EQ(kept(outbox.retry(due[0].ticket, 4, error, 4)), DeliveryState::queued);
    EXPECT_EQ(kept(outbox.list_deliveries(1))[0].last_error, std::string(511, 'e'));
    auto const again = kept(outbox.lease(target, 1, 9, 4)).due;
    EXPECT_EQ(kept(outbox.sent(again[0].ticket, std::string(257, 'r'), 5)), DeliveryState::sent);
    EXPECT_EQ(kept(outbox.end({.key = key, .able = {target}}, 6)).enqueued, 1U);
    EXPECT_EQ(kept(outbox.lease(target, 1, 9, 7)).due.at(0).remote_id, "");
}

TEST(OutboxBounds, EndedOnesGoWhenTheyAreOld) {
    auto outbox = kept(Outbox::in_memory({.keep_ended_ms = 1000}));
    tell(outbox, "old", Weight::block);
    kept(outbox.sent(kept(outbox.lease("ntfy", 1, 300, 200)).due[0].ticket, "", 201));
    kept(outbox.end({.key = "old"}, 300));
    tell(outbox, "open", Weight::block);
    EXPECT_EQ(kept(outbox.prune(1300)), 0U);
    EXPECT_EQ(kept(outbox.prune(1301)), 1U);
    EXPECT_FALSE(kept(outbox.find("old")));
    // Its deliveries went with it.
    auto const counts = kept(outbox.counts());
    ASSERT_THAT(counts, SizeIs(1));
    EXPECT_EQ(counts[0].sent, 0U);
    EXPECT_EQ(counts[0].queued, 1U);
}

TEST(OutboxBounds, EndedOnesGoWhenTheyAreManyButNotWhatIsLive) {
    auto outbox = kept(Outbox::in_memory({.keep_ended = 2}));
    tell(outbox, "cleared-later", Weight::block);
    kept(outbox.sent(kept(outbox.lease("ntfy", 1, 300, 200)).due[0].ticket, "", 201));
    kept(outbox.end({.key = "cleared-later", .able = {"ntfy"}}, 202));
    for (int n = 0; n < 4; ++n) {
        auto const key = "a" + std::to_string(n);
        tell(outbox, key, Weight::block);
        kept(outbox.end({.key = key}, 300 + n));
    }
    EXPECT_EQ(kept(outbox.prune(1000)), 3U);
    EXPECT_TRUE(kept(outbox.find("cleared-later")));
    EXPECT_TRUE(kept(outbox.find("a3")));
    EXPECT_EQ(kept(outbox.prune(1000)), 0U);
}

TEST(OutboxBounds, FarTooManyGoWithoutBeingPruned) {
    auto outbox = kept(Outbox::in_memory({.keep_ended = 100}));
    tell(outbox, "live", Weight::block);
    for (int n = 0; n < 1000; ++n) {
        auto const key = std::to_string(n);
        kept(outbox.raise(an_incident(key), n));
        kept(outbox.end({.key = key, .state = IncidentState::suppressed}, n));
        ASSERT_LE(kept(outbox.list_incidents(1000)).size(), 2U * 100 + Outbox::ends_between_looks + 1);
    }
    EXPECT_GE(kept(outbox.list_incidents(1000)).size(), 100U) << "only far too many";
    EXPECT_TRUE(kept(outbox.find("live")));
    EXPECT_TRUE(kept(outbox.find("999"))) << "the oldest go first";
}

TEST(OutboxBounds, LargeOnesThatHaveEndedGoSooner) {
    constexpr std::size_t most = 4 * 1024 * 1024;
    auto outbox = kept(Outbox::in_memory({.keep_bytes = most}));
    auto large = an_incident("waits");
    large.facts = std::string(60'000, 'x');
    kept(outbox.raise(large, 1));
    for (int n = 0; n < 500; ++n) {
        large.key = std::to_string(n);
        kept(outbox.raise(large, n));
        kept(outbox.end({.key = large.key}, n));
    }
    auto const left = kept(outbox.list_incidents(1000)).size();
    EXPECT_LE(left, most / 60'000 + Outbox::ends_between_looks);
    EXPECT_TRUE(kept(outbox.find("waits")));
    EXPECT_TRUE(kept(outbox.find("499")));
}

TEST(OutboxBounds, AtMostAThousandGoInOneCall) {
    auto outbox = kept(Outbox::in_memory({.keep_ended_ms = 10}));
    for (int n = 0; n < 1200; ++n) {
        auto const key = std::to_string(n);
        kept(outbox.raise(an_incident(key), 1));
        kept(outbox.end({.key = key, .state = IncidentState::suppressed}, 2));
    }
    EXPECT_EQ(kept(outbox.prune(1000)), 1000U);
    EXPECT_EQ(kept(outbox.prune(1000)), 200U);
}

TEST(OutboxNames, OfClosedSets) {
    EXPECT_EQ(to_string(Trouble::disk_full), "disk_full");
    EXPECT_EQ(to_string(Weight::complete), "complete");
    EXPECT_EQ(to_string(IncidentState::suppressed), "suppressed");
    EXPECT_EQ(to_string(Action::remind), "remind");
    EXPECT_EQ(to_string(DeliveryState::dropped), "dropped");
    auto outbox = kept(Outbox::in_memory());
    EXPECT_THAT(outbox.open("x", {}, 1).error().text, HasSubstr("no incident x"));
}

}  // namespace
}  // namespace ocgate::notify
