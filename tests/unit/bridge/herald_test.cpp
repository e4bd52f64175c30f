// The whole way from a happening to a target, on a clock moved by hand: only the network and the targets are the
// test's.
#include "herald_kit.hpp"
#include "link.hpp"

namespace ocgate::bridge {
namespace {
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

TEST_F(HeraldTest, TellsOfAPermissionAfterItsHoldAndWithdrawsItWhenAnswered) {
    begin();
    asks("per_1");
    bench.advance(999ms);
    EXPECT_THAT(said_to("phone"), IsEmpty());
    bench.advance(2ms);
    EXPECT_THAT(said_to("phone"), ElementsAre(StartsWith("publish ")));
    herald->acted({.kind = Act::Kind::permission, .session = {}, .request = "per_1"}, "alice");
    answered("per_1");
    bench.advance(1s);
    EXPECT_THAT(said_to("phone"), ElementsAre(StartsWith("publish "), StartsWith("resolve-once ")));
    EXPECT_EQ(incident("permission/per_1").by, "alice");
    EXPECT_EQ(herald->counts().resolved, 1u);
}

TEST_F(HeraldTest, SaysNothingOfWhatIsAnsweredWithinTheHold) {
    begin();
    asks("per_1");
    bench.advance(500ms);
    answered("per_1");
    bench.advance(1h);
    EXPECT_THAT(said_to("phone"), IsEmpty());
}

TEST_F(HeraldTest, ATestSaysWhatBecameOfItAtEachTarget) {
    names = {"broken", "gone", "phone"};
    script["broken"] = [](auto const&) { return notify::Reply{answer(401)}; };
    script["gone"] = [](auto const&) { return notify::silence(); };
    begin();
    auto const all = bench.start(herald->test(""));
    bench.advance(29s);
    EXPECT_FALSE(all->has_value()) << "one is waited for";
    bench.advance(2s);
    ASSERT_TRUE(all->has_value());
    auto const& results = all->value().value();
    ASSERT_THAT(results, SizeIs(3));
    EXPECT_EQ(results[0].result, "failed");
    EXPECT_THAT(results[0].why, HasSubstr("401"));
    EXPECT_EQ(results[1].result, "waiting");
    EXPECT_EQ(results[2].result, "sent");
    auto const again = bench.start(herald->test("broken"));
    ASSERT_TRUE(again->has_value()) << "it is disabled: nothing is waited for";
    EXPECT_EQ(again->value().value().at(0).result, "failed");
    auto const unknown = bench.start(herald->test("nobody"));
    EXPECT_FALSE(unknown->value());
    script.clear();
    auto const enabled = bench.start(herald->enable("broken"));
    EXPECT_TRUE(enabled->value().value());
}

TEST_F(HeraldTest, ATestUnderWayIsAnsweredWhenEverythingStops) {
    script["phone"] = [](auto const&) { return notify::silence(); };
    begin();
    auto const asked = bench.start(herald->test("phone"));
    EXPECT_FALSE(asked->has_value());
    stop();
    ASSERT_TRUE(asked->has_value());
    EXPECT_EQ(asked->value().value().at(0).result, "waiting");
}

TEST_F(HeraldTest, WithoutTargetsNobodyIsToldAndATestSaysSo) {
    names.clear();
    settings.rules.rules.clear();
    begin();
    asks("per_1");
    bench.advance(1min);
    EXPECT_EQ(incident("permission/per_1").state, notify::IncidentState::suppressed);
    auto const tested = bench.start(herald->test(""));
    EXPECT_THAT(tested->value().value(), IsEmpty());
}

TEST_F(HeraldTest, OtherTargetsTakeOverAndNothingHeardMeanwhileIsLost) {
    script["phone"] = [](auto const&) { return notify::silence(); };
    begin();
    asks("per_1");
    bench.advance(2s);
    EXPECT_THAT(said_to("phone"), SizeIs(1)) << "under way";
    names = {"watch"};
    settings.rules.rules = {{.place = "all", .targets = {"watch"}}};
    herald->configure(made());
    bench.advance(1s);
    EXPECT_THAT(networks, SizeIs(1)) << "the old ones may end what is under way";
    asks("per_2");
    answered("per_1");
    bench.advance(Herald::exchange_patience);
    EXPECT_THAT(networks, SizeIs(2));
    bench.advance(2s);
    EXPECT_THAT(said_to("watch"), ElementsAre(StartsWith("publish ")));
    EXPECT_EQ(incident("permission/per_1").state, notify::IncidentState::resolved);
    EXPECT_FALSE(herald->has_target("phone"));
    EXPECT_TRUE(herald->has_target("watch"));
    EXPECT_EQ(herald->counts().raised, 2u) << "counts go on";
}

TEST_F(HeraldTest, TargetsThatCannotBeMadeAreTriedAgainAndNothingIsLost) {
    may_fail = true;
    begin();
    asks("per_1");
    bench.advance(2s);
    names = {"watch"};
    settings.rules.rules = {{.place = "all", .targets = {"watch"}}};
    auto next = made();
    int times = 2;
    next.targets = [&times, make = next.targets] {
        if (times-- > 0) throw std::bad_alloc();
        return make();
    };
    herald->configure(next);
    bench.settle();
    EXPECT_EQ(failures, 1);
    asks("per_2");
    answered("per_1");
    EXPECT_EQ(herald->counts().raised, 1u) << "what is heard waits; who asks is told what is known";
    bench.advance(Herald::exchange_retry);
    EXPECT_EQ(failures, 2);
    bench.advance(Herald::exchange_retry + 2s);
    EXPECT_EQ(failures, 2);
    EXPECT_THAT(said_to("watch"), ElementsAre(StartsWith("publish ")));
    EXPECT_EQ(incident("permission/per_1").state, notify::IncidentState::resolved);
    EXPECT_FALSE(herald->has_target("phone"));
    EXPECT_EQ(herald->counts().raised, 2u) << "counted once";

    names = {"phone"};
    next = made();
    next.targets = []() -> std::vector<notify::CourierTarget> { throw std::bad_alloc(); };
    herald->configure(next);
    bench.settle();
    EXPECT_EQ(failures, 3);
    herald->configure(made());
    bench.settle();
    EXPECT_TRUE(herald->has_target("phone")) << "whoever asks again need not wait";

    names = {"watch"};
    next = made();
    next.targets = []() -> std::vector<notify::CourierTarget> { throw std::bad_alloc(); };
    herald->configure(next);
    bench.settle();
    stop();  // while it waits
}

TEST_F(HeraldTest, AConfigurationWithoutMemoryIsTakenOverWhenItIsAskedForAgain) {
    may_fail = true;
    begin();
    asks("per_1");
    bench.advance(2s);
    std::size_t broken_off = 0;
    for (std::size_t nth = 1;; ++nth) {
        names = {nth % 2 == 0 ? "phone" : "watch"};
        settings.rules.rules = {{.place = "all", .targets = names}};
        auto next = made();
        auto again = made();
        test::fail_allocation(nth);
        try {
            herald->configure(std::move(next));
        } catch (std::bad_alloc const&) {
        }
        bool const failed = test::fail_allocation(0);
        bench.settle();
        herald->configure(std::move(again));
        bench.advance(Herald::exchange_retry + 1s);
        ASSERT_TRUE(herald->has_target(names[0])) << nth;
        if (!failed) break;
        ASSERT_LT(nth, 2000u);
        broken_off = nth;
    }
    EXPECT_GT(broken_off, 10u);
    EXPECT_EQ(incident("permission/per_1").state, notify::IncidentState::open);
    EXPECT_EQ(herald->counts().raised, 1u);
}

TEST_F(HeraldTest, OtherRulesHoldForWhatIsHeld) {
    begin();
    asks("per_1");
    auto const muted = bench.start(herald->mute("ses_1", 1h));
    EXPECT_TRUE(muted->value());
    bench.advance(59min);
    EXPECT_THAT(said_to("phone"), IsEmpty());
    bench.advance(2min);
    EXPECT_THAT(said_to("phone"), Contains(StartsWith("publish "))) << "it still waits when the mute ends";
}

TEST_F(HeraldTest, AMuteThatIsEndedLetsBlocksThroughAtOnceAndOneSurvivesARestart) {
    begin();
    (void)bench.start(herald->mute("", 1h));
    stop();
    begin();
    ASSERT_THAT(herald->mutes(), SizeIs(1));
    asks("per_1");
    bench.advance(1min);
    EXPECT_THAT(said_to("phone"), IsEmpty());
    (void)bench.start(herald->mute("", 0ms));
    EXPECT_THAT(herald->mutes(), IsEmpty());
    bench.advance(2s);
    EXPECT_THAT(said_to("phone"), SizeIs(1));
}

TEST_F(HeraldTest, WhatAnEarlierRunLeftIsAskedForAndEndsWhenItDoesNotWaitAnyMore) {
    begin();
    asks("per_1");
    asks("per_2");
    bench.advance(2s);
    stop();
    looks.clear();
    begin();
    EXPECT_THAT(looks, Contains("/workspaces/shop"));
    still_pending = "per_2";
    herald->looked("/workspaces/other");
    bench.settle();
    EXPECT_EQ(incident("permission/per_1").state, notify::IncidentState::open);
    herald->looked("/workspaces/shop");
    bench.settle();
    EXPECT_EQ(incident("permission/per_1").outcome, "gone");
    EXPECT_EQ(incident("permission/per_2").state, notify::IncidentState::open);
    asks("per_2");
    bench.advance(10s);
    std::size_t published = 0;
    for (auto const& body : said_to("phone")) published += body.starts_with("publish ") ? 1 : 0;
    EXPECT_EQ(published, 3u) << "the first, that the second joined it, and the second alone when the first was over";
}

TEST_F(HeraldTest, WhoIsThereHearsOfItLater) {
    settings.rules.presence = notify::PresenceRules{};
    begin();
    herald->acted({.kind = Act::Kind::other, .session = "ses_1", .request = {}}, "alice");
    asks("per_1");
    bench.advance(30s);
    EXPECT_THAT(said_to("phone"), IsEmpty());
    bench.advance(2s);
    EXPECT_THAT(said_to("phone"), SizeIs(1));
}

TEST_F(HeraldTest, AnUpstreamThatStaysAwayIsToldAndThatItIsBack) {
    begin();
    herald->upstream(true, {});
    herald->upstream(false, "the dial was refused");
    bench.advance(30s);
    herald->upstream(true, {});
    bench.advance(1h);
    EXPECT_THAT(said_to("phone"), IsEmpty()) << "half a minute is a restart";
    herald->upstream(false, "the dial was refused");
    bench.advance(61s);
    EXPECT_THAT(said_to("phone"), ElementsAre(StartsWith("publish ")));
    herald->upstream(true, {});
    bench.advance(1s);
    EXPECT_THAT(said_to("phone"), ElementsAre(StartsWith("publish "), StartsWith("resolve-recovered ")));
}

TEST_F(HeraldTest, StopsWhileTargetsAreExchanged) {
    script["phone"] = [](auto const&) { return notify::silence(); };
    begin();
    asks("per_1");
    bench.advance(2s);
    names = {"watch"};
    herald->configure(made());
    bench.settle();
    // The end does not wait for as long as the exchange would.
    auto const stopped = bench.start(herald->stop(bench.clock.now() + 1s));
    bench.advance(1s);
    EXPECT_TRUE(*stopped);
    herald.reset();
}

TEST_F(HeraldTest, AMuteThatWasEndedDoesNotComeBackWithAnOlderOutbox) {
    begin();
    (void)bench.start(herald->mute("", 1h));
    std::optional<std::string> older;
    auto const read = bench.start(store->run([](notify::Outbox& outbox) { return outbox.recall("mutes"); }));
    older = (*read)->value();
    ASSERT_TRUE(older);
    (void)bench.start(herald->mute("", 0ms));
    (void)bench.start(store->run([older](notify::Outbox& outbox) { return outbox.remember("mutes", *older); }));
    names = {"watch"};
    herald->configure(made());
    bench.advance(1s);
    ASSERT_TRUE(herald->has_target("watch"));
    EXPECT_THAT(herald->mutes(), IsEmpty());
}

TEST_F(HeraldTest, WhatAnEarlierRunLeftIsAskedForUntilThereIsAnAnswer) {
    begin();
    asks("per_1");
    bench.advance(2s);
    stop();
    looks.clear();
    begin();
    EXPECT_THAT(looks, ElementsAre("/workspaces/shop"));
    bench.advance(Herald::asking_again + 1s);
    EXPECT_THAT(looks, SizeIs(2)) << "opencode did not answer";
    still_pending = "per_1";
    herald->looked("/workspaces/shop");
    bench.advance(10 * Herald::asking_again);
    EXPECT_THAT(looks, SizeIs(2));
}

TEST_F(HeraldTest, WhatFindsNoRoomWhileTargetsAreExchangedIsCounted) {
    script["phone"] = [](auto const&) { return notify::silence(); };
    begin();
    asks("per_1");
    bench.advance(2s);
    names = {"watch"};
    herald->configure(made());
    bench.settle();
    for (std::size_t i = 0; i < Herald::max_waiting + 3; ++i) {
        herald->happened(
            PermissionOver{.id = "per_x", .session = {}, .outcome = PermissionOver::Outcome::once, .root = root});
    }
    EXPECT_EQ(herald->counts().refused, 3u);
}

TEST_F(HeraldTest, RemembersWhoAnsweredForABoundedNumberOfRequests) {
    begin();
    herald->acted({.kind = Act::Kind::permission, .session = {}, .request = "per_1"}, "alice");
    for (std::size_t i = 0; i < Herald::max_answers; ++i) {
        herald->acted({.kind = Act::Kind::permission, .session = {}, .request = "per_x" + std::to_string(i)}, "bob");
    }
    asks("per_1");
    bench.advance(2s);
    answered("per_1");
    bench.advance(1s);
    EXPECT_EQ(incident("permission/per_1").by, "");
}

TEST(Link, NamesTheSessionsPageAsTheWebInterfaceDoes) {
    using nlohmann::json;
    auto const url = [](json const& facts) {
        return json::parse(with_link(facts.dump(), "https://code.example"))["url"].get<std::string>();
    };
    EXPECT_EQ(url({{"directory", "/workspaces/shop"}, {"session", {{"id", "ses_1"}}}}),
              "https://code.example/L3dvcmtzcGFjZXMvc2hvcA/session/ses_1");
    EXPECT_EQ(url({{"directory", "/w"}, {"session", {{"id", "../x"}}}}), "https://code.example");
    EXPECT_EQ(url(json::object()), "https://code.example");
    EXPECT_EQ(with_link("[]", "https://code.example"), "[]");
    EXPECT_EQ(base64url(""), "");
    EXPECT_EQ(base64url("f"), "Zg");
    EXPECT_EQ(base64url("fo"), "Zm8");
    EXPECT_EQ(base64url("foo"), "Zm9v");
    EXPECT_EQ(base64url("\xff\xfe"), "__4");
}

}  // namespace
}  // namespace ocgate::bridge
