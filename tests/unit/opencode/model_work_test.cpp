// What an event costs does not depend on how many sessions run. No clock in here: were it otherwise, each of these
// would take minutes, and the runner ends it. And what sessions hold is bounded, whatever is said of them.
#include "follower_kit.hpp"
#include "model_kit.hpp"

namespace ocgate::opencode {
namespace {
using testing::IsEmpty;
using testing::SizeIs;

constexpr int many = 10'000;
constexpr int flood = 100'000;

std::string numbered(char const* kind, int n) { return kind + std::to_string(n); }

TEST_F(ModelTest, AnEventCostsTheSameHoweverManySessionsRun) {
    for (int i = 0; i < many; ++i) {
        directory = numbered("/workspaces/", i % 100);
        // Every other one is a subagent's.
        session(numbered("ses_", i), i % 2 ? numbered("ses_", i - 1) : std::string());
        busy(numbered("ses_", i));
    }
    EXPECT_EQ(model.counts().busy, std::size_t{many});
    for (int i = 0; i < flood / 4; ++i) {
        auto const id = numbered("ses_", i % many);
        step(id, numbered("msg_", i));
        session(id, i % 2 ? numbered("ses_", i % many - 1) : std::string());
        EXPECT_THAT(apply(TextWritten{id, numbered("msg_", i), "So."}), IsEmpty());
        EXPECT_THAT(apply(InstanceGone{"/elsewhere"}), IsEmpty());
        ASSERT_FALSE(model.lacks());
    }
    EXPECT_THAT(began, SizeIs(many / 2));
    for (int i = many - 1; i >= 0; --i) {
        step(numbered("ses_", i), numbered("msg_x", i), "stop");
        EXPECT_THAT(apply(WentIdle{numbered("ses_", i)}), SizeIs(i % 2 ? 0 : 1)) << i;
    }
}

TEST_F(ModelTest, OneThatIsAsChildOfManyCostsNoMoreThanAnother) {
    session("ses_a");
    session("ses_b");
    session("ses_c");
    for (int i = 0; i < many / 2; ++i) {
        session(numbered("ses_", i), "ses_c");
        busy(numbered("ses_", i));
    }
    for (int i = 0; i < flood / 4; ++i) session("ses_c", i % 2 ? "ses_a" : "ses_b");
    EXPECT_EQ(model.root_of("ses_7").id, "ses_a");
    EXPECT_THAT(model.unsettled(), IsEmpty());
}

TEST_F(ModelTest, AmongTooManyThatRunTheOthersAreLookedForOnceASecond) {
    for (int i = 0; i < many - 10; ++i) busy(numbered("ses_", i));
    for (int i = 0; i < many; ++i) {
        SessionInfo info;
        info.id = numbered("ses_idle", i);
        now += 100us;
        model.apply(Event{"type", next_id(), directory, SessionSeen{info, true}}, now);
    }
    EXPECT_EQ(model.counts().busy, std::size_t{many - 10});
    EXPECT_EQ(model.sessions().size(), std::size_t{many});
    EXPECT_EQ(model.status_of("ses_7").state, State::busy);
    now += 1s;
    session("ses_later");
    EXPECT_EQ(model.sessions().front().info.id, "ses_later") << "an idle one makes room, as always";
}

TEST_F(FollowerTest, WhatTellsNothingCostsTheSameHoweverManySessionsRun) {
    start();
    std::string bytes;
    auto const say = [&](std::string const& json, bool now) {
        bytes += "data: " + json + "\n\n";
        if (bytes.size() < 8'000 && !now) return;
        dialer->ends[stream].send(bytes);
        bytes.clear();
        bench.settle();
    };
    for (int i = 0; i < many; ++i) {
        auto const id = numbered("ses_", i);
        say(event("session.created", R"({"sessionID":")" + id + R"(","info":)" + session(id) + "}"), false);
        say(event("session.status", R"({"sessionID":")" + id + R"(","status":{"type":"busy"}})"), i == many - 1);
    }
    serve();
    EXPECT_EQ(follower->model().counts().busy, std::size_t{many});
    auto const asked_then = requests.size();
    for (int i = 0; i < flood; ++i)
        say(event("message.part.delta", R"({"sessionID":"ses_1","delta":"so"})"), i == flood - 1);
    serve();
    EXPECT_THAT(counted["message.part.delta"], SizeIs(flood));
    EXPECT_EQ(requests.size(), asked_then);
}

// ---- the family

TEST_F(ModelTest, ACircleOfParentsIsNobodysChild) {
    session("ses_1", "ses_3");
    session("ses_2", "ses_1");
    session("ses_3", "ses_2");
    session("ses_4", "ses_4");
    for (auto const* id : {"ses_1", "ses_2", "ses_3", "ses_4"}) EXPECT_THAT(busy(id), IsEmpty());
    EXPECT_THAT(began, IsEmpty());
    for (auto const* id : {"ses_4", "ses_2", "ses_3", "ses_1"}) {
        step(id, "msg_1", "stop");
        EXPECT_THAT(idle(id), IsEmpty());
    }
    EXPECT_FALSE(model.watched());
    EXPECT_FALSE(model.lacks());
}

TEST_F(ModelTest, ALineOfParentsHasAnEnd) {
    for (int i = 0; i < 200; ++i) session(numbered("ses_", i), numbered("ses_", i + 1));
    busy("ses_0");
    busy("ses_199");
    EXPECT_EQ(model.wanted(), Words{"ses_200"}) << "of the longest line that is followed, and of no other";
    for (int i = 199; i >= 0; i -= 3) apply(SessionGone{numbered("ses_", i)});
    EXPECT_EQ(model.counts().busy, 1U);
    apply(SessionGone{"ses_0"});
    for (int i = 0; i < 200; ++i) apply(SessionGone{numbered("ses_", i)});
    EXPECT_FALSE(model.lacks());
    EXPECT_EQ(model.counts().idle + model.counts().busy, 0U);
}

TEST_F(ModelTest, AParentThatComesAndGoesTakesItsChildrensTurnsOnce) {
    session("ses_1", "ses_0");
    session("ses_2", "ses_0");
    busy("ses_1");
    busy("ses_2");
    EXPECT_EQ(model.wanted(), Words{"ses_0"});
    EXPECT_THAT(began, IsEmpty());
    session("ses_0");
    EXPECT_EQ(began, Words{"ses_0 began"});
    EXPECT_FALSE(model.lacks());
    apply(SessionGone{"ses_0"});
    EXPECT_FALSE(model.lacks()) << "it was deleted";
    for (auto const* id : {"ses_1", "ses_2"}) {
        step(id, "msg_1", "stop");
        EXPECT_THAT(idle(id), IsEmpty());
    }
    EXPECT_FALSE(model.watched());
}

// ---- what they hold

TEST_F(ModelTest, ADirectoryForWhichThereIsNoRoomIsLeftOut) {
    Model::Limits limits;
    limits.max_directory_bytes = 3'000;
    model = Model(limits);
    directory = "/a" + std::string(2'000, 'a');
    auto const first = directory;
    a_running_root("ses_1");
    a_running_root("ses_2");  // there as well: it is held once
    EXPECT_EQ(model.root_of("ses_2").directory, first);
    directory = "/b" + std::string(2'000, 'b');
    session("ses_3");
    EXPECT_EQ(busy("ses_3"), Words{});
    EXPECT_EQ(began.back(), "ses_3 began") << "all else is known";
    EXPECT_EQ(model.root_of("ses_3").directory, "");
    EXPECT_EQ(model.directories(), Words{first});
    apply(SessionGone{"ses_1"});
    apply(SessionGone{"ses_2"});
    session("ses_3");
    EXPECT_EQ(model.root_of("ses_3").directory, directory) << "there is room again";
    EXPECT_EQ(model.directories(), Words{directory});
}

TEST_F(ModelTest, ATextForWhichThereIsNoRoomIsLeftOut) {
    Model::Limits limits;
    limits.max_text_bytes = 3'000;
    model = Model(limits);
    auto const text = [&](Happening const& one) { return std::get<TurnFailed>(one).text; };
    auto const fails = [&](std::string const& id, std::string const& words) {
        a_running_root(id);
        apply(SessionFailed{id, "APIError", words, 500});
    };
    fails("ses_1", std::string(2'000, 'a'));
    fails("ses_2", std::string(2'000, 'a'));
    fails("ses_3", std::string(2'000, 'b'));
    auto const ends = [&](std::string const& id) {
        now += 1ms;
        auto told = model.apply(Event{"type", next_id(), directory, WentIdle{id}}, now);
        EXPECT_THAT(told, SizeIs(1));
        return text(told.back());
    };
    EXPECT_EQ(ends("ses_3"), "") << "but it is told";
    EXPECT_EQ(ends("ses_1").size(), 2'000U);
    EXPECT_EQ(ends("ses_2").size(), 2'000U);
    fails("ses_4", std::string(2'000, 'c'));
    EXPECT_EQ(ends("ses_4").size(), 2'000U) << "what was told makes room";
}

}  // namespace
}  // namespace ocgate::opencode
