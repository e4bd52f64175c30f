// The life of an incident and of its deliveries, as the courier sees it.
#include "ocgate/notify/outbox.hpp"

#include <gmock/gmock.h>

#include "outbox_kit.hpp"

namespace ocgate::notify {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

class OutboxLife : public testing::Test {
protected:
    /// An incident that is open, with one publish to each target.
    void tell(std::string const& key, std::vector<std::string> const& targets, Weight weight = Weight::block) {
        EXPECT_TRUE(kept(outbox.raise(an_incident(key, weight), 100)).changed);
        std::vector<NewDelivery> deliveries;
        for (auto const& target : targets) deliveries.push_back(a_delivery(key + '@' + target, target));
        EXPECT_TRUE(kept(outbox.open(key, deliveries, 100)).changed);
    }
    std::vector<Due> lease(std::string_view target, std::int64_t now, std::size_t most = 10) {
        return kept(outbox.lease(target, most, now + 60, now)).due;
    }
    Kept<Change> enqueue(std::string_view key, NewDelivery delivery, std::int64_t now = 100) {
        std::vector const one{std::move(delivery)};
        return outbox.enqueue(key, one, std::nullopt, now);
    }
    DeliveryRow row(std::string_view dedupe) {
        for (auto const& row : kept(outbox.list_deliveries(1000))) {
            if (row.dedupe == dedupe) return row;
        }
        ADD_FAILURE() << "no delivery " << dedupe;
        return {};
    }

    Outbox outbox = kept(Outbox::in_memory());
};

TEST_F(OutboxLife, AnIncidentIsHeldUntilItIsOpened) {
    auto incident = an_incident("a", Weight::error);
    incident.facts = R"({"title":"x"})";
    EXPECT_TRUE(kept(outbox.raise(incident, 5)).changed);
    auto const held = kept(outbox.find("a"));
    ASSERT_TRUE(held);
    EXPECT_EQ(held->state, IncidentState::held);
    EXPECT_EQ(held->weight, Weight::error);
    EXPECT_EQ(held->facts, R"({"title":"x"})");
    EXPECT_EQ(held->raised_ms, 5);
    EXPECT_EQ(held->opened_ms, 0);

    EXPECT_EQ(kept(enqueue("a", a_delivery("early", "ntfy"))).enqueued, 0U);
    EXPECT_TRUE(kept(outbox.open("a", {}, 7)).changed);
    EXPECT_EQ(kept(outbox.find("a"))->opened_ms, 7);
    EXPECT_FALSE(kept(outbox.find("b")));
}

TEST_F(OutboxLife, TheSameKeyIsTheSameIncident) {
    tell("a", {"ntfy"});
    auto const again = kept(outbox.raise(an_incident("a"), 200));
    EXPECT_FALSE(again.changed);
    EXPECT_EQ(again.state, IncidentState::open);
    kept(outbox.end({.key = "a"}, 300));
    EXPECT_EQ(kept(outbox.raise(an_incident("a"), 400)).state, IncidentState::resolved);
    EXPECT_EQ(kept(outbox.list_incidents(10)).size(), 1U);
}

TEST_F(OutboxLife, TheSameDedupeIsTheSameDelivery) {
    tell("a", {"ntfy"});
    std::vector const again{a_delivery("a@ntfy", "ntfy"), a_delivery("a@discord", "discord")};
    auto const change = kept(outbox.open("a", again, 200));
    EXPECT_FALSE(change.changed);
    EXPECT_EQ(change.known, 1U);
    EXPECT_EQ(change.enqueued, 1U);
    EXPECT_EQ(lease("ntfy", 300).size(), 1U);
    EXPECT_EQ(kept(enqueue("a", a_delivery("a@ntfy", "ntfy"))).known, 1U);
    EXPECT_THAT(lease("ntfy", 300), IsEmpty());
}

TEST_F(OutboxLife, ALeaseGivesAllThatIsNeeded) {
    tell("a", {"ntfy"});
    auto const due = lease("ntfy", 200);
    ASSERT_EQ(due.size(), 1U);
    EXPECT_EQ(due[0].ticket.dedupe, "a@ntfy");
    EXPECT_EQ(due[0].ticket.attempt, 1);
    EXPECT_EQ(due[0].action, Action::publish);
    EXPECT_EQ(due[0].payload, R"({"for":"a@ntfy"})");
    EXPECT_EQ(due[0].incident.key, "a");
    EXPECT_EQ(due[0].incident.state, IncidentState::open);
    EXPECT_EQ(due[0].lease_until_ms, 260);
    EXPECT_EQ(due[0].created_ms, 100);
    EXPECT_EQ(due[0].sent_ms, 0);
    EXPECT_EQ(due[0].remote_id, "");
}

TEST_F(OutboxLife, OneAfterTheOtherWithinAnIncident) {
    tell("a", {"ntfy"});
    kept(enqueue("a", a_delivery("a-2", "ntfy", Action::update)));
    tell("b", {"ntfy"});
    auto const first = lease("ntfy", 200);
    EXPECT_THAT(dedupes(first), ElementsAre("a@ntfy", "b@ntfy"));
    EXPECT_THAT(lease("ntfy", 201), IsEmpty());

    // Tried again later: what follows waits for it.
    EXPECT_EQ(kept(outbox.retry(first[0].ticket, 500, "503", 210)), DeliveryState::queued);
    EXPECT_THAT(lease("ntfy", 259), IsEmpty());
    EXPECT_THAT(kept(outbox.next_due("ntfy")), Optional(260));  // b's lease
    EXPECT_EQ(kept(outbox.sent(first[1].ticket, "", 211)), DeliveryState::sent);
    EXPECT_THAT(kept(outbox.next_due("ntfy")), Optional(500));
    EXPECT_THAT(lease("ntfy", 499), IsEmpty());
    auto const second = lease("ntfy", 500);
    ASSERT_THAT(dedupes(second), ElementsAre("a@ntfy"));
    EXPECT_EQ(second[0].ticket.attempt, 2);
    EXPECT_EQ(kept(outbox.sent(second[0].ticket, "r1", 510)), DeliveryState::sent);
    auto const third = lease("ntfy", 510);
    ASSERT_THAT(dedupes(third), ElementsAre("a-2"));
    EXPECT_EQ(third[0].remote_id, "r1");
    EXPECT_EQ(third[0].sent_ms, 510);
}

TEST_F(OutboxLife, TargetsDoNotWaitForEachOther) {
    tell("a", {"ntfy", "discord"});
    EXPECT_EQ(lease("ntfy", 200).size(), 1U);
    EXPECT_EQ(lease("discord", 200).size(), 1U);
    EXPECT_THAT(lease("log", 200), IsEmpty());
}

TEST_F(OutboxLife, BlocksFirstThenErrorsThenCompletes) {
    tell("done", {"ntfy"}, Weight::complete);
    tell("failed", {"ntfy"}, Weight::error);
    tell("asked", {"ntfy"}, Weight::block);
    tell("asked-too", {"ntfy"}, Weight::block);
    EXPECT_THAT(dedupes(lease("ntfy", 200, 3)), ElementsAre("asked@ntfy", "asked-too@ntfy", "failed@ntfy"));
}

TEST_F(OutboxLife, NothingBeforeItsTime) {
    tell("a", {});
    kept(enqueue("a", a_delivery("later", "ntfy", Action::remind, 1000)));
    EXPECT_THAT(lease("ntfy", 999), IsEmpty());
    EXPECT_THAT(kept(outbox.next_due("ntfy")), Optional(1000));
    EXPECT_EQ(lease("ntfy", 1000).size(), 1U);
    EXPECT_EQ(kept(outbox.next_due("nobody")), std::nullopt);
}

TEST_F(OutboxLife, AnExpiredLeaseIsGivenAgainAndTheFirstTicketIsVoid) {
    tell("a", {"ntfy"});
    auto const first = lease("ntfy", 200);
    EXPECT_THAT(lease("ntfy", 259), IsEmpty());
    auto const second = lease("ntfy", 260);
    ASSERT_EQ(second.size(), 1U);
    EXPECT_EQ(second[0].ticket.attempt, 2);
    EXPECT_EQ(kept(outbox.retry(first[0].ticket, 900, "late", 261)), DeliveryState::leased);
    EXPECT_EQ(kept(outbox.dead(first[0].ticket, "late", 261)), DeliveryState::leased);
    EXPECT_EQ(row("a@ntfy").attempt, 2);
    // It did arrive, whoever says so.
    EXPECT_EQ(kept(outbox.sent(first[0].ticket, "r", 262)), DeliveryState::sent);
    EXPECT_EQ(kept(outbox.retry(second[0].ticket, 900, "cut", 263)), DeliveryState::sent);
}

TEST_F(OutboxLife, AStartTakesBackTheLeases) {
    tell("a", {"ntfy", "discord"});
    lease("ntfy", 200);
    EXPECT_EQ(kept(outbox.release_leases()), 1U);
    EXPECT_EQ(kept(outbox.release_leases()), 0U);
    EXPECT_EQ(lease("ntfy", 201).at(0).ticket.attempt, 2);
}

TEST_F(OutboxLife, DeadAndDroppedAreNotTriedAgain) {
    tell("a", {"ntfy", "discord"});
    EXPECT_EQ(kept(outbox.dead(lease("ntfy", 200)[0].ticket, "400", 201)), DeliveryState::dead);
    EXPECT_EQ(kept(outbox.drop(lease("discord", 200)[0].ticket, "ambiguous", 201)), DeliveryState::dropped);
    EXPECT_THAT(lease("ntfy", 5000), IsEmpty());
    EXPECT_THAT(lease("discord", 5000), IsEmpty());
    EXPECT_EQ(row("a@ntfy").last_error, "400");
    EXPECT_EQ(row("a@discord").last_error, "ambiguous");
}

TEST_F(OutboxLife, EndedBeforeAnythingLeftNothingIsSent) {
    tell("a", {"ntfy"});
    auto const change = kept(outbox.end({.key = "a", .outcome = "once", .by = "tui", .able = {"ntfy"}}, 200));
    EXPECT_TRUE(change.changed);
    EXPECT_EQ(change.enqueued, 0U);
    ASSERT_THAT(dedupes(change.dropped), ElementsAre("a@ntfy"));
    EXPECT_EQ(change.dropped[0].incident, "a");
    EXPECT_EQ(change.dropped[0].reason, "ended");
    EXPECT_THAT(lease("ntfy", 300), IsEmpty());
    auto const incident = kept(outbox.find("a"));
    EXPECT_EQ(incident->state, IncidentState::resolved);
    EXPECT_EQ(incident->outcome, "once");
    EXPECT_EQ(incident->by, "tui");
    EXPECT_EQ(incident->ended_ms, 200);
    EXPECT_FALSE(kept(outbox.end({.key = "a", .state = IncidentState::expired}, 400)).changed);
    EXPECT_EQ(kept(outbox.find("a"))->state, IncidentState::resolved);
}

TEST_F(OutboxLife, EndedLaterItIsClearedWhereItWasTold) {
    tell("a", {"ntfy", "discord", "log"});
    kept(enqueue("a", a_delivery("a-reminder", "ntfy", Action::remind, 900)));
    kept(outbox.sent(lease("ntfy", 200)[0].ticket, "r1", 201));
    kept(outbox.sent(lease("log", 200)[0].ticket, "", 201));
    auto const on_its_way = lease("discord", 200);
    auto const reached = kept(outbox.reached("a"));
    ASSERT_EQ(reached.size(), 3U);
    EXPECT_EQ(reached[0].target, "discord");
    EXPECT_TRUE(reached[0].in_flight);
    EXPECT_FALSE(reached[0].sent);
    EXPECT_EQ(reached[2].target, "ntfy");
    EXPECT_TRUE(reached[2].sent);
    EXPECT_EQ(reached[2].remote_id, "r1");

    auto const change = kept(outbox.end({.key = "a", .able = {"ntfy", "discord"}}, 210));
    EXPECT_THAT(dedupes(change.dropped), ElementsAre("a-reminder"));
    EXPECT_EQ(change.enqueued, 2U);
    EXPECT_TRUE(kept(outbox.reached("a"))[0].cleared);
    auto const clear = lease("ntfy", 210);
    ASSERT_EQ(clear.size(), 1U);
    EXPECT_EQ(clear[0].action, Action::clear);
    EXPECT_EQ(clear[0].remote_id, "r1");
    EXPECT_EQ(clear[0].incident.state, IncidentState::resolved);
    // The clear waits for what is on its way, and gets its id.
    EXPECT_THAT(lease("discord", 210), IsEmpty());
    kept(outbox.sent(on_its_way[0].ticket, "m7", 211));
    EXPECT_EQ(lease("discord", 211).at(0).remote_id, "m7");
    EXPECT_THAT(lease("log", 211), IsEmpty());
}

TEST_F(OutboxLife, WhatFailsAfterTheEndIsNotTriedAgainButTheClearIs) {
    tell("a", {"ntfy"});
    auto const publish = lease("ntfy", 200);
    kept(outbox.end({.key = "a", .able = {"ntfy"}}, 210));
    EXPECT_EQ(kept(outbox.retry(publish[0].ticket, 300, "cut", 211)), DeliveryState::dropped);
    auto const clear = lease("ntfy", 211);
    ASSERT_EQ(clear.size(), 1U);
    EXPECT_EQ(clear[0].sent_ms, 0);
    EXPECT_EQ(kept(outbox.retry(clear[0].ticket, 300, "503", 212)), DeliveryState::queued);
    EXPECT_EQ(lease("ntfy", 300).size(), 1U);
}

TEST_F(OutboxLife, ALeaseThatExpiredAfterTheEndDoesNotRingAgain) {
    tell("a", {"ntfy"});
    lease("ntfy", 200);
    kept(outbox.end({.key = "a", .able = {"ntfy"}}, 210));
    auto const leased = kept(outbox.lease("ntfy", 10, 400, 300));
    EXPECT_THAT(dedupes(leased.dropped), ElementsAre("a@ntfy"));
    ASSERT_EQ(leased.due.size(), 1U);
    EXPECT_EQ(leased.due[0].action, Action::clear);
}

TEST_F(OutboxLife, ADisabledTargetWaitsUntilItIsEnabled) {
    tell("a", {"discord"});
    tell("b", {"discord"});
    auto const due = lease("discord", 200);
    kept(outbox.retry(due[0].ticket, 100'000, "401", 201));
    kept(outbox.retry(due[1].ticket, 100'000, "401", 201));
    ASSERT_TRUE(outbox.disable("discord", "401", "settings 1", 202));
    auto const disabled = kept(outbox.disabled());
    ASSERT_EQ(disabled.size(), 1U);
    EXPECT_EQ(disabled[0].why, "401");
    EXPECT_EQ(disabled[0].mark, "settings 1");
    EXPECT_EQ(disabled[0].at_ms, 202);
    EXPECT_THAT(lease("discord", 200'000), IsEmpty());
    EXPECT_EQ(kept(outbox.next_due("discord")), std::nullopt);

    EXPECT_TRUE(kept(outbox.enable("discord", 300)));
    EXPECT_FALSE(kept(outbox.enable("discord", 300)));
    EXPECT_EQ(lease("discord", 300).size(), 2U);
}

TEST_F(OutboxLife, AnAbandonedTargetKeepsNothingLive) {
    tell("a", {"old", "ntfy"});
    ASSERT_TRUE(outbox.disable("old", "404", "", 150));
    auto const dropped = kept(outbox.abandon("old", "not configured", 200));
    EXPECT_THAT(dedupes(dropped), ElementsAre("a@old"));
    EXPECT_EQ(dropped[0].reason, "not configured");
    EXPECT_THAT(kept(outbox.disabled()), IsEmpty());
    EXPECT_EQ(lease("ntfy", 200).size(), 1U);
}

TEST_F(OutboxLife, CountsWhatEachTargetHas) {
    tell("a", {"ntfy", "discord"});
    tell("b", {"ntfy"});
    kept(outbox.sent(lease("ntfy", 200, 1)[0].ticket, "", 201));
    auto const counts = kept(outbox.counts());
    ASSERT_EQ(counts.size(), 2U);
    EXPECT_EQ(counts[0].target, "discord");
    EXPECT_EQ(counts[0].queued, 1U);
    EXPECT_EQ(counts[1].queued, 1U);
    EXPECT_EQ(counts[1].sent, 1U);
    EXPECT_EQ(counts[1].oldest_live_ms, 100);
}

TEST_F(OutboxLife, NewFactsOfAnOpenIncident) {
    tell("a", {"ntfy"});
    std::vector const update{a_delivery("a-update", "ntfy", Action::update)};
    EXPECT_EQ(kept(outbox.enqueue("a", update, R"({"waiting":3})", 200)).enqueued, 1U);
    EXPECT_EQ(lease("ntfy", 200).at(0).incident.facts, R"({"waiting":3})");
    kept(outbox.end({.key = "a"}, 300));
    EXPECT_FALSE(kept(outbox.enqueue("a", {}, "{}", 400)).changed);
    EXPECT_EQ(kept(outbox.find("a"))->facts, R"({"waiting":3})");
}

TEST_F(OutboxLife, WhatNobodyKnowsIsSaid) {
    EXPECT_EQ(outbox.open("x", {}, 1).error().trouble, Trouble::unknown);
    EXPECT_EQ(outbox.end({.key = "x"}, 1).error().trouble, Trouble::unknown);
    EXPECT_EQ(outbox.reached("x").error().trouble, Trouble::unknown);
    EXPECT_EQ(outbox.sent({.dedupe = "x", .attempt = 1}, "", 1).error().trouble, Trouble::unknown);
}

}  // namespace
}  // namespace ocgate::notify
