#include "router_kit.hpp"

namespace ocgate::notify {
namespace {
using namespace router_kit;

class QuietRouter : public RouterTest {
protected:
    QuietRouter() { rules.quiet = QuietHours{"Europe/Berlin", {{22h, 7h}}}; }
    Time const evening = noon + 10h;      // 23:00 in Berlin
    Time const morning = noon + 18h;      // 07:00
    Time const before = morning - 500ms;  // what is held for longer is told when it is quiet no more
};

TEST_F(QuietRouter, BlocksAreSilentAndTheRestWaitsForOneDigest) {
    for (auto const kind : all_events) {
        wall = evening;
        auto const event = raised(std::string(kind));
        auto const plain = [&] {
            auto without = rules;
            without.quiet.reset();
            return Router(without, [this] { return wall; }).route(event, now);
        }();
        auto const handling = route(event);
        bool const block = event.weight == Weight::block;
        bool const waits = !block && kind != "digest";
        EXPECT_EQ(handling.silent, !waits) << kind;
        EXPECT_EQ(handling.digest, waits) << kind;
        EXPECT_EQ(handling.hold, waits ? rt::Duration(morning - wall) : plain.hold) << kind;
        EXPECT_EQ(said(handling), "phone") << kind;
        EXPECT_EQ(handling.reminders, plain.reminders) << kind;

        wall = noon;
        EXPECT_FALSE(route(event).silent) << kind;
        EXPECT_FALSE(route(event).digest) << kind;
        EXPECT_EQ(route(event).hold, plain.hold) << kind;
    }
}

TEST_F(QuietRouter, WhatCountsIsWhenItWouldBeTold) {
    auto const begins = noon + 9h;
    wall = begins - 2s;
    EXPECT_TRUE(route(raised("complete")).digest) << "told 3 s later, it would be quiet";
    EXPECT_EQ(route(raised("complete")).hold, morning - wall);
    EXPECT_FALSE(route(raised("permission")).silent) << "told 1 s later";
    wall = begins - 1s;
    EXPECT_TRUE(route(raised("permission")).silent);

    wall = before;
    EXPECT_FALSE(route(raised("complete")).digest);
    EXPECT_EQ(route(raised("complete")).hold, 3s);
    EXPECT_FALSE(route(raised("permission")).silent);
    wall = morning - 1min;
    EXPECT_TRUE(route(raised("complete")).digest);
}

TEST_F(QuietRouter, AskedAgainItIsTheSameEnd) {
    wall = evening;
    auto const end = wall + route(raised("error")).hold;
    wall = evening + 5h;
    EXPECT_EQ(wall + route(raised("error")).hold, end);
    wall = evening - 1h;
    EXPECT_EQ(wall + route(raised("error")).hold, end);
}

TEST_F(QuietRouter, TheDigestItselfIsHeard) {
    for (auto const early : {0ms, 20ms, 59'000ms}) {
        wall = morning - early;
        auto const handling = route(raised("digest"));
        EXPECT_FALSE(handling.silent) << early.count();
        EXPECT_FALSE(handling.digest) << early.count();
        EXPECT_EQ(handling.hold, 0s) << early.count();
    }
    rules.quiet->spans.push_back({7h, 9h});
    wall = morning - 20ms;
    EXPECT_TRUE(route(raised("digest")).silent) << "quiet goes on";
    EXPECT_FALSE(route(raised("digest")).digest);
}

TEST_F(QuietRouter, IsQuiet) {
    auto const router = this->router();
    EXPECT_FALSE(router.quiet());
    wall = evening;
    EXPECT_TRUE(router.quiet());
    rules.quiet.reset();
    EXPECT_FALSE(this->router().quiet());
}

TEST_F(QuietRouter, AnUnknownZoneSilencesNobody) {
    rules.quiet->time_zone = "Europe/Nowhere";
    wall = evening;
    EXPECT_FALSE(router().quiet());
    EXPECT_FALSE(route(raised("complete")).digest);
    EXPECT_FALSE(route(raised("permission")).silent);
}

TEST_F(QuietRouter, AMutedBlockIsSilentWhenItIsQuietAtTheEndOfTheMute) {
    auto router = this->router();
    router.mute("", evening);
    EXPECT_TRUE(router.route(raised("permission"), now).silent);
    EXPECT_EQ(router.route(raised("permission"), now).hold, 10h);
    wall = morning - 2h;
    router.mute("", morning + 1h);
    EXPECT_FALSE(router.route(raised("permission"), now).silent);
    EXPECT_EQ(said(router.route(raised("error"), now)), "suppressed: muted");
}

// ---- presence

class PresentRouter : public RouterTest {
protected:
    PresentRouter() { rules.presence = PresenceRules{.window = 45s, .grace = 30s}; }
};

TEST_F(PresentRouter, WhoIsAtItHearsLater) {
    auto router = this->router();
    EXPECT_EQ(router.route(raised("permission"), now).hold, 1s);
    router.seen("ses_1", now);
    EXPECT_EQ(router.route(raised("permission"), now).hold, 31s);
    EXPECT_EQ(router.route(raised("permission"), now + 45s).hold, 31s);
    EXPECT_EQ(router.route(raised("permission"), now + 45s + 1ns).hold, 1s);
    router.seen("ses_1", now + 46s);
    EXPECT_EQ(router.route(raised("complete"), now + 90s).hold, 33s);
    EXPECT_EQ(router.route(raised("error"), now + 90s).hold, 31s);
    auto other = raised("permission");
    other.subject = "ses_2";
    EXPECT_EQ(router.route(other, now + 46s).hold, 1s);
}

TEST_F(PresentRouter, OnlyOfTheirSession) {
    auto router = this->router();
    router.seen("ses_1", now);
    router.seen("", now);
    for (auto const& [kind, hold] :
         {std::pair<char const*, rt::Duration>{"upstream_down", 60s}, {"budget", 0s}, {"digest", 0s}}) {
        auto event = raised(kind);
        EXPECT_EQ(router.route(event, now).hold, hold) << kind;
        event.subject = "ses_1";
        EXPECT_EQ(router.route(event, now).hold, hold) << kind;
    }
    auto nobodys = raised("error");
    nobodys.subject.clear();
    EXPECT_EQ(router.route(nobodys, now).hold, 1s);
}

TEST_F(PresentRouter, OffUnlessAskedFor) {
    rules.presence.reset();
    auto router = this->router();
    router.seen("ses_1", now);
    EXPECT_EQ(router.route(raised("permission"), now).hold, 1s);
}

TEST_F(PresentRouter, TheOneLongestNotSeenIsForgotten) {
    rules.presence->window = 1h;
    auto router = this->router();
    auto const hold = [&](std::size_t i) {
        auto event = raised("permission");
        event.subject = "ses_" + std::to_string(i);
        return router.route(event, now).hold;
    };
    auto const seen = [&](std::size_t i) {
        now += 1ms;
        router.seen("ses_" + std::to_string(i), now);
    };
    for (std::size_t i = 0; i < Router::max_present; ++i) seen(i);
    EXPECT_EQ(hold(0), 31s);
    seen(0);  // again: now it is 1 that was not seen for longest
    EXPECT_EQ(hold(1), 31s);
    seen(Router::max_present);
    EXPECT_EQ(hold(0), 31s);
    EXPECT_EQ(hold(1), 1s);
    EXPECT_EQ(hold(2), 31s);
    EXPECT_EQ(hold(Router::max_present), 31s);
}

}  // namespace
}  // namespace ocgate::notify
