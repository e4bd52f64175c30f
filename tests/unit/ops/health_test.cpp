#include "ocgate/ops/health.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

namespace ocgate::ops {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

TEST(Health, IsReadyOnlyBetweenStartingAndDraining) {
    Health health;
    EXPECT_FALSE(health.readiness(false).ready);
    EXPECT_EQ(json::parse(health.readiness(false).body)["phase"], "starting");
    health.enter(Phase::ready);
    auto const ready = health.readiness(false);
    EXPECT_TRUE(ready.ready);
    EXPECT_EQ(json::parse(ready.body), (json{{"status", "ready"}, {"phase", "ready"}, {"reasons", json::array()}}));
    health.enter(Phase::draining);
    auto const draining = json::parse(health.readiness(false).body);
    EXPECT_EQ(draining["status"], "not_ready");
    EXPECT_EQ(draining["reasons"], json::array({"the gateway is draining"}));
}

TEST(Health, NeverGoesBack) {
    Health health;
    health.enter(Phase::draining);
    health.enter(Phase::ready);
    EXPECT_EQ(health.phase(), Phase::draining);
}

TEST(Health, AnswersForTheUpstreamOnlyWhenAsked) {
    Health health;
    health.enter(Phase::ready);
    auto const unknown = health.readiness(true);
    EXPECT_FALSE(unknown.ready);
    EXPECT_EQ(json::parse(unknown.body)["upstream"]["status"], "unknown");

    health.set_upstream({.known = true, .up = false, .version = {}, .reason = "connection refused", .took = 2ms});
    EXPECT_TRUE(health.readiness(false).ready);
    EXPECT_FALSE(json::parse(health.readiness(false).body).contains("upstream"));
    auto const down = health.readiness(true);
    EXPECT_FALSE(down.ready);
    EXPECT_THAT(down.body, testing::HasSubstr("the upstream is down: connection refused"));

    health.set_upstream({.known = true, .up = true, .version = "1.2.3", .reason = {}, .took = 2500us});
    auto const up = health.readiness(true);
    EXPECT_TRUE(up.ready);
    EXPECT_EQ(json::parse(up.body)["upstream"], (json{{"status", "up"}, {"version", "1.2.3"}, {"probe_ms", 2.5}}));
}

TEST(Health, WhoAsksForTheUpstreamHearsThatItsEventsAreMissing) {
    Health health;
    health.enter(Phase::ready);
    health.set_upstream({.known = true, .up = true, .version = "1.2.3", .reason = {}, .took = {}});
    EXPECT_TRUE(health.readiness(true).ready) << "nobody listens";
    EXPECT_FALSE(json::parse(health.overview()).contains("events"));
    health.set_events({.known = true, .heard = false, .reason = "nothing came for 35 s"});
    EXPECT_TRUE(health.readiness(false).ready);
    auto const deaf = health.readiness(true);
    EXPECT_FALSE(deaf.ready);
    EXPECT_THAT(deaf.body, testing::HasSubstr("the upstream's events are not heard: nothing came for 35 s"));
    EXPECT_EQ(json::parse(health.overview())["events"]["status"], "not_heard");
    health.set_events({.known = true, .heard = true, .reason = {}});
    EXPECT_TRUE(health.readiness(true).ready);
    EXPECT_EQ(json::parse(health.overview())["events"], (json{{"status", "heard"}}));
}

TEST(Health, TheOverviewIsFineWhateverElseIsWrong) {
    Health health;
    health.enter(Phase::draining);
    health.set_upstream({.known = true, .up = false, .version = "v\xff\"", .reason = "gone", .took = {}});
    auto const told = json::parse(health.overview());
    EXPECT_EQ(told["status"], "ok");
    EXPECT_EQ(told["phase"], "draining");
    EXPECT_EQ(told["upstream"]["status"], "down");
    EXPECT_EQ(told["upstream"]["version"], "v\xEF\xBF\xBD\"");
}

}  // namespace
}  // namespace ocgate::ops
