// What waits still, whatever was said of it before: of an earlier run, told as gone, asked by the newer API.
#include "herald_kit.hpp"

namespace ocgate::bridge {
namespace {
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

TEST_F(HeraldTest, WhatIsListedAgainByALivingServerIsToldAgain) {
    begin();
    asks("per_1");
    bench.advance(2s);
    answered("per_1", PermissionOver::Outcome::gone);
    bench.advance(1s);
    auto const key = "permission/per_1/" + std::to_string(wall().count());
    asks("per_1", true);
    bench.advance(2s);
    EXPECT_THAT(said_to("phone"),
                ElementsAre(StartsWith("publish "), StartsWith("resolve-gone "), StartsWith("publish ")));
    EXPECT_EQ(incident("permission/per_1").outcome, "gone");
    stop();
    begin();
    still_pending = "per_1";
    herald->looked("/workspaces/shop");
    bench.settle();
    EXPECT_EQ(incident(key).state, notify::IncidentState::open);
    asks("per_1");  // as this run hears of it
    bench.advance(2s);
    answered("per_1");
    bench.advance(1s);
    EXPECT_THAT(said_to("phone"), SizeIs(4)) << "nothing was told twice";
    EXPECT_THAT(said_to("phone").back(), StartsWith("resolve-once "));
    EXPECT_EQ(incident(key).outcome, "once");
}

TEST_F(HeraldTest, TheSecondIncidentOfARequestIsGoneWhenItWaitsNoMore) {
    begin();
    asks("per_1", true);
    bench.advance(2s);
    auto const told = said_to("phone");
    ASSERT_THAT(told, SizeIs(1));
    stop();
    begin();
    herald->looked("/workspaces/shop");
    bench.advance(1s);
    EXPECT_THAT(said_to("phone").back(), StartsWith("resolve-gone "));
}

TEST_F(HeraldTest, WhatTheNewerApiAsksStandsUntilItsEndIsHeard) {
    begin();
    asks("per_1", false, true);
    bench.advance(2s);
    stop();
    looks.clear();
    begin();
    EXPECT_THAT(looks, IsEmpty()) << "no list has it";
    herald->looked("/workspaces/shop");
    bench.advance(1min);
    EXPECT_EQ(incident("permission/per_1").state, notify::IncidentState::open);
    answered("per_1");
    bench.advance(1s);
    EXPECT_EQ(incident("permission/per_1").outcome, "once");
}

TEST_F(HeraldTest, AnOutageThatIsOlderThanThisRunIsToldOnce) {
    begin();
    herald->upstream(false, "the dial was refused");
    bench.advance(61s);
    ASSERT_THAT(said_to("phone"), SizeIs(1));
    stop();
    bench.advance(1min);
    at_start = [this] { herald->upstream(false, "the dial was refused"); };  // before the outbox is read
    begin();
    bench.advance(10min);
    EXPECT_THAT(said_to("phone"), SizeIs(1)) << "no second message of it";
    herald->upstream(true, {});
    bench.advance(1s);
    EXPECT_THAT(said_to("phone"), ElementsAre(StartsWith("publish "), StartsWith("resolve-recovered ")));
}

}  // namespace
}  // namespace ocgate::bridge
