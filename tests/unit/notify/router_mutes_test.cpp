#include "router_kit.hpp"

namespace ocgate::notify {
namespace {
using namespace router_kit;
using ::testing::IsEmpty;

using MutedRouter = RouterTest;

TEST_F(MutedRouter, AMutedBlockWaitsAndTheRestIsDropped) {
    for (std::string const subject : {"ses_1", ""}) {
        auto router = this->router();
        ASSERT_TRUE(router.mute(subject, noon + 2h));
        EXPECT_EQ(router.route(raised("permission"), now).hold, 2h);
        EXPECT_EQ(said(router.route(raised("question"), now)), "phone");
        EXPECT_EQ(said(router.route(raised("complete"), now)), "suppressed: muted");
        EXPECT_EQ(said(router.route(raised("error"), now)), "suppressed: muted");
        EXPECT_EQ(said(router.route(raised("budget"), now)), subject.empty() ? "suppressed: muted" : "phone");
        EXPECT_EQ(router.route(raised("digest"), now).hold, subject.empty() ? 2h : 0h) << "of what came before";
        wall = noon + 2h - 100ms;
        EXPECT_EQ(router.route(raised("permission"), now).hold, 1s) << "its own hold is longer";
        wall = noon + 2h;
        EXPECT_EQ(said(router.route(raised("complete"), now)), "phone");
        wall = noon;
    }
}

TEST_F(MutedRouter, AnotherSessionIsNotMuted) {
    auto router = this->router();
    router.mute("ses_2", noon + 2h);
    EXPECT_EQ(said(router.route(raised("complete"), now)), "phone");
    EXPECT_EQ(router.route(raised("permission"), now).hold, 1s);
}

TEST_F(MutedRouter, OfTwoMutesTheLongerHolds) {
    auto router = this->router();
    router.mute("", noon + 1h);
    router.mute("ses_1", noon + 2h);
    EXPECT_EQ(router.route(raised("permission"), now).hold, 2h);
    router.mute("", noon + 3h);
    EXPECT_EQ(router.route(raised("permission"), now).hold, 3h);
}

TEST_F(MutedRouter, ABlockIsHeldForADayAtMost) {
    auto router = this->router();
    router.mute("ses_1", noon + 240h);
    EXPECT_EQ(router.route(raised("permission"), now).hold, 24h);
    router.mute("ses_1", Time::max());
    EXPECT_EQ(router.route(raised("permission"), now).hold, 24h);
    EXPECT_EQ(said(router.route(raised("error"), now)), "suppressed: muted");
}

TEST_F(MutedRouter, WhatNoRuleWantsIsNotMuted) {
    rules.rules.clear();
    auto router = this->router();
    router.mute("", noon + 1h);
    EXPECT_EQ(said(router.route(raised("error"), now)), "suppressed: route");
}

TEST_F(MutedRouter, MutesComeAndGo) {
    auto router = this->router();
    EXPECT_FALSE(router.unmute("ses_1"));
    EXPECT_TRUE(router.mute("ses_1", noon + 1h));
    EXPECT_TRUE(router.mute("", noon + 2h));
    EXPECT_TRUE(router.mute("ses_1", noon + 3h)) << "the later word holds";
    auto const mutes = router.mutes();
    ASSERT_EQ(mutes.size(), 2U);
    EXPECT_EQ(mutes[0].subject, "");
    EXPECT_EQ(mutes[0].until, noon + 2h);
    EXPECT_EQ(mutes[1].subject, "ses_1");
    EXPECT_EQ(mutes[1].until, noon + 3h);

    EXPECT_TRUE(router.unmute("ses_1"));
    EXPECT_FALSE(router.unmute("ses_1"));
    EXPECT_EQ(router.mutes().size(), 1U);
    wall = noon + 2h;
    EXPECT_THAT(router.mutes(), IsEmpty());
    EXPECT_FALSE(router.unmute("")) << "it was over";
}

TEST_F(MutedRouter, TooManyMutes) {
    auto router = this->router();
    for (std::size_t i = 0; i < Router::max_mutes; ++i) {
        ASSERT_TRUE(router.mute("ses_" + std::to_string(i), noon + 1h + minutes(i)));
    }
    EXPECT_FALSE(router.mute("one more", noon + 2h));
    EXPECT_TRUE(router.mute("ses_7", noon + 9h)) << "it is there already";
    EXPECT_EQ(router.mutes().size(), Router::max_mutes);
    wall = noon + 1h;  // the first is over and makes room
    EXPECT_TRUE(router.mute("one more", noon + 2h));
    EXPECT_FALSE(router.mute("and another", noon + 2h));
}

TEST_F(MutedRouter, MutesSurviveARestart) {
    auto earlier = router();
    earlier.mute("", noon + 2h);
    earlier.mute("ses_1", noon + 1h + 1ns);
    earlier.mute("over", noon + 1min);
    earlier.mute("\"\xff\u00e4", noon + 3h);
    wall = noon + 2min;
    auto const document = earlier.mutes_document();

    auto later = router();
    later.restore_mutes(document);
    auto const mutes = later.mutes();
    ASSERT_EQ(mutes.size(), 3U) << document;
    EXPECT_EQ(mutes[0].subject, "");
    EXPECT_EQ(mutes[0].until, noon + 2h);
    EXPECT_EQ(mutes[1].subject, "\"\ufffd\u00e4") << "what is no UTF-8 is no subject either";
    EXPECT_EQ(mutes[2].subject, "ses_1");
    EXPECT_EQ(mutes[2].until, noon + 1h + 1ms) << "not shorter than it was";
    EXPECT_EQ(later.mutes_document(), document);

    EXPECT_EQ(router().mutes_document(), R"({"mutes":[]})");
}

TEST_F(MutedRouter, WhatIsBrokenInTheDocumentIsLeftOut) {
    auto const ms = duration_cast<milliseconds>((noon + 1h).time_since_epoch()).count();
    json const good{{"subject", "ses_1"}, {"until_ms", ms}};
    json const broken[] = {
        nullptr,
        7,
        "ses_2",
        json::array(),
        json::object(),
        {{"subject", "ses_2"}},
        {{"until_ms", ms}},
        {{"subject", 7}, {"until_ms", ms}},
        {{"subject", "ses_2"}, {"until_ms", std::to_string(ms)}},
        {{"subject", "ses_2"}, {"until_ms", 1e300}},
        {{"subject", "ses_2"}, {"until_ms", 0}},
        {{"subject", "ses_2"}, {"until_ms", -1}},
        {{"subject", "ses_2"}, {"until_ms", std::numeric_limits<std::int64_t>::min()}},
        {{"subject", "ses_2"}, {"until_ms", std::numeric_limits<std::int64_t>::max()}},
        {{"subject", "ses_2"}, {"until_ms", std::numeric_limits<std::uint64_t>::max()}},
        {{"subject", "ses_2"}, {"until_ms", duration_cast<milliseconds>(noon.time_since_epoch()).count()}},
    };
    for (auto const& each : broken) {
        auto router = this->router();
        router.restore_mutes(json{{"mutes", {each, good}}}.dump());
        ASSERT_EQ(router.mutes().size(), 1U) << each;
        EXPECT_EQ(router.mutes()[0].subject, "ses_1") << each;
    }
    for (std::string const document :
         {"", "{", "null", "[]", "7", "{\"mutes\":7}", "{\"mutes\":{\"a\":1}}", "{}", "{\"mutes\":[", "\xff"}) {
        auto router = this->router();
        router.mute("ses_1", noon + 1h);
        router.restore_mutes(document);
        EXPECT_EQ(router.mutes().size(), 1U) << document;
    }
}

TEST_F(MutedRouter, WhatWasMutedSinceIsNewerThanTheDocument) {
    auto earlier = router();
    earlier.mute("ses_1", noon + 9h);
    auto later = router();
    later.mute("ses_1", noon + 1h);
    later.restore_mutes(earlier.mutes_document());
    ASSERT_EQ(later.mutes().size(), 1U);
    EXPECT_EQ(later.mutes()[0].until, noon + 1h);
}

TEST_F(MutedRouter, ADocumentBringsNoMoreThanThereMayBe) {
    auto list = json::array();
    for (std::size_t i = 0; i < 2 * Router::max_mutes; ++i) {
        list.push_back({{"subject", std::to_string(i)},
                        {"until_ms", duration_cast<milliseconds>((noon + 1h).time_since_epoch()).count()}});
    }
    auto router = this->router();
    router.restore_mutes(json{{"mutes", list}}.dump());
    EXPECT_EQ(router.mutes().size(), Router::max_mutes);
}

}  // namespace
}  // namespace ocgate::notify
