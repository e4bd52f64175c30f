// The follower over pipes in memory: what it asks after a connection, and how events and answers become happenings.
#include "follower_kit.hpp"

namespace ocgate::opencode {
namespace {
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

/// A day back.
std::string const recent = "/experimental/session?limit=100&start=1699913600000";
std::string const of_the_gap = "/experimental/session?limit=100&start=1699999970000";

TEST_F(FollowerTest, TellsAPermissionAndItsAnswer) {
    start();
    EXPECT_THAT(connections, ElementsAre(true));
    tell(event("session.created", R"({"sessionID":"ses_1","info":)" + session("ses_1") + "}"));
    tell(event("session.status", R"({"sessionID":"ses_1","status":{"type":"busy"}})"));
    tell(event("permission.asked", asked));
    ASSERT_EQ(count<PermissionPending>(), 1u);
    EXPECT_EQ(std::get<PermissionPending>(happened.back()).root.title, "Fix it");
    tell(event("permission.replied", R"({"sessionID":"ses_1","requestID":"per_1","reply":"once"})"));
    EXPECT_EQ(count<PermissionOver>(), 1u);
    EXPECT_THAT(counted["permission.asked"], ElementsAre(Taken::read));
    tell(event("brand.new", "{}"));
    EXPECT_THAT(counted["brand.new"], ElementsAre(Taken::unknown));
}

TEST_F(FollowerTest, AsksWhoseChildASessionIs) {
    answers["/session/ses_1"] = session("ses_1", "ses_0");
    answers["/session/ses_0"] = session("ses_0");
    start();
    tell(event("session.status", R"({"sessionID":"ses_1","status":{"type":"busy"}})"));
    tell(event("permission.asked", asked));
    for (int i = 0; i < 4; ++i) {
        bench.advance(1s);
        serve();
    }
    EXPECT_THAT(requests, Contains("/session/ses_1"));
    EXPECT_THAT(requests, Contains("/session/ses_0"));
    EXPECT_EQ(follower->model().root_of("ses_1").id, "ses_0");
}

TEST_F(FollowerTest, FindsOutAfterAGapWhatWasAnsweredMeanwhile) {
    start();
    tell(event("session.created", R"({"sessionID":"ses_1","info":)" + session("ses_1") + "}"));
    tell(event("session.status", R"({"sessionID":"ses_1","status":{"type":"busy"}})"));
    tell(event("permission.asked", asked));
    ASSERT_EQ(count<PermissionPending>(), 1u);
    answers["/session/status?directory=/w"] = R"({"ses_1":{"type":"busy"}})";
    answers["/permission?directory=/w"] = "[]";
    dialer->ends[stream].end();
    bench.settle();
    EXPECT_THAT(connections, ElementsAre(true, false));
    requests.clear();
    bench.advance(250ms);
    start();
    EXPECT_THAT(requests, Contains("/permission?directory=/w"));
    EXPECT_EQ(count<PermissionOver>(), 1u);
    EXPECT_FALSE(follower->model().is_pending("per_1"));
}

TEST_F(FollowerTest, FindsWhatWasAskedInTheGapAndAsksAgainASecondLater) {
    start();
    tell(event("session.created", R"({"sessionID":"ses_1","info":)" + session("ses_1") + "}"));
    tell(event("session.status", R"({"sessionID":"ses_1","status":{"type":"busy"}})"));
    dialer->ends[stream].end();
    bench.advance(250ms);
    answers["/session/status?directory=/w"] = R"({"ses_1":{"type":"busy"}})";
    start();
    EXPECT_EQ(count<PermissionPending>(), 0u);
    answers["/permission?directory=/w"] = "[" + asked + "]";
    bench.advance(1s);
    serve();
    EXPECT_EQ(count<PermissionPending>(), 1u);
    bench.advance(60s);
    serve();
    EXPECT_EQ(count<PermissionPending>(), 1u) << "told once";
}

TEST_F(FollowerTest, HalfAnAnswerIsNone) {
    start();
    tell(event("session.created", R"({"sessionID":"ses_1","info":)" + session("ses_1") + "}"));
    tell(event("session.status", R"({"sessionID":"ses_1","status":{"type":"busy"}})"));
    tell(event("permission.asked", asked));
    answers["/session/status?directory=/w"] = R"({"ses_1":{"type":"busy"}})";
    answers["/permission?directory=/w"] = "<html>bad gateway</html>";
    bench.advance(61s);
    serve();
    EXPECT_TRUE(follower->model().is_pending("per_1"));
}

TEST_F(FollowerTest, WhenNobodyListensThereAnyMoreNothingIsPending) {
    start();
    tell(event("session.created", R"({"sessionID":"ses_1","info":)" + session("ses_1") + "}"));
    tell(event("session.status", R"({"sessionID":"ses_1","status":{"type":"busy"}})"));
    tell(event("permission.asked", asked));
    dialer->mood = ScriptedDialer::Mood::refuse;
    dialer->ends[stream].reset();
    bench.settle();
    EXPECT_TRUE(follower->model().is_pending("per_1")) << "only the connection is gone so far";
    bench.advance(250ms);
    EXPECT_FALSE(follower->model().is_pending("per_1"));
    EXPECT_EQ(count<PermissionOver>(), 1u);
}

TEST_F(FollowerTest, WhatALivingServerListsAgainIsPendingAgain) {
    answers["/session/ses_1"] = session("ses_1");
    answers["/experimental/session?limit=100&start=1699913600000"] = "[" + session_in("ses_1", "/w") + "]";
    answers["/session/status?directory=/w"] = R"({"ses_1":{"type":"busy"}})";
    answers["/permission?directory=/w"] = "[" + asked + "]";
    start();
    ASSERT_TRUE(follower->model().is_pending("per_1"));
    dialer->mood = ScriptedDialer::Mood::refuse;
    dialer->ends[stream].reset();
    bench.advance(250ms);
    ASSERT_EQ(count<PermissionOver>(), 1u);
    dialer->mood = ScriptedDialer::Mood::accept;
    bench.advance(2s);
    stream = dialer->ends.size() - 1;
    dialer->ends[stream].take();
    dialer->ends[stream].send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    tell(connected_event);
    EXPECT_TRUE(follower->model().is_pending("per_1"));
    std::vector<bool> again;
    for (auto const& one : happened) {
        if (auto const* pending = std::get_if<PermissionPending>(&one)) again.push_back(pending->again);
    }
    EXPECT_THAT(again, ElementsAre(false, true));
}

/// There is no way to the server for a while.
class CutOff final : public rt::Dialer {
public:
    explicit CutOff(std::shared_ptr<rt::Dialer> dialer) : real(std::move(dialer)) {}
    rt::Task<boost::system::result<rt::PeerPtr, error_code>> dial(rt::PeerResources const& resources, rt::Instant until,
                                                                  rt::DialBreaker& breaker) override {
        if (why) co_return why;
        auto made = co_await real->dial(resources, until, breaker);
        co_return made;
    }
    std::shared_ptr<rt::Dialer> real;
    error_code why;
};

TEST_F(FollowerTest, ANameThatIsNotFoundForAMomentIsNoServerThatDied) {
    auto const way = std::make_shared<CutOff>(dialer);
    auto made = settings();
    made.tap.dialer = way;
    follower->configure(made);
    answers["/session/ses_1"] = session("ses_1");
    start();
    tell(event("session.status", R"({"sessionID":"ses_1","status":{"type":"busy"}})"));
    tell(event("permission.asked", asked));
    ASSERT_TRUE(follower->model().is_pending("per_1"));
    way->why = boost::asio::error::host_not_found_try_again;
    cut_off();
    bench.advance(5s);
    EXPECT_TRUE(follower->model().is_pending("per_1"));
    EXPECT_EQ(count<PermissionOver>(), 0u);
    way->why = boost::asio::error::connection_refused;
    bench.advance(15s);
    EXPECT_EQ(count<PermissionOver>(), 1u) << "that is one";
}

TEST_F(FollowerTest, LooksWhereItIsTold) {
    answers["/session/status?directory=/other%20place"] = R"({"ses_9":{"type":"busy"}})";
    answers["/permission?directory=/other%20place"] =
        R"([{"id":"per_9","sessionID":"ses_9","permission":"edit","patterns":[],"metadata":{}}])";
    answers["/session/ses_9"] = session("ses_9");
    start();
    EXPECT_THAT(requests, ElementsAre(recent));
    follower->look_at("/other place");
    serve();
    bench.advance(2s);
    serve();
    EXPECT_EQ(count<PermissionPending>(), 1u);
}

TEST_F(FollowerTest, AsksAServerThatDoesNotAnswerOnceASecondHoweverMuchItSays) {
    start();
    dialer->mood = ScriptedDialer::Mood::refuse;
    auto const before = dialer->dials;
    for (int i = 0; i < 100; ++i) {
        tell(event("session.status", R"({"sessionID":"ses_1","status":{"type":"busy"}})"));
        bench.advance(100ms);
    }
    // A round asks for the directory (three lists) and the session.
    EXPECT_LE(dialer->dials - before, 11 * 4);
    EXPECT_GE(dialer->dials - before, 9);
}

// ---- what was asked before we started

TEST_F(FollowerTest, FindsWhatWasAskedWhileNobodyListened) {
    answers[recent] = "[" + session_in("ses_1", "/w") + "]";
    answers["/session/status?directory=/w"] = R"({"ses_1":{"type":"busy"}})";
    answers["/permission?directory=/w"] = "[" + asked + "]";
    start();
    ASSERT_EQ(count<PermissionPending>(), 1u);
    for (auto const& one : happened) {
        if (auto const* pending = std::get_if<PermissionPending>(&one)) {
            EXPECT_EQ(pending->root.title, "Fix it");
        }
    }
    EXPECT_THAT(looked, ElementsAre("/w"));
    pass(1s);
    pass(5min);
    EXPECT_EQ(count<PermissionPending>(), 1u);
}

TEST_F(FollowerTest, LooksTwiceWhereSomethingMayHaveBegunUnheard) {
    answers[recent] = "[" + session_in("ses_1", "/w") + "]";
    answers["/session/status?directory=/w"] = "{}";
    start();
    EXPECT_THAT(looked, ElementsAre("/w"));
    // Asked before opencode tells its events to a new listener.
    answers["/session/status?directory=/w"] = R"({"ses_1":{"type":"busy"}})";
    answers["/permission?directory=/w"] = "[" + asked + "]";
    bench.advance(1s);
    serve();
    EXPECT_EQ(count<PermissionPending>(), 1u);
}

TEST_F(FollowerTest, LooksNowhereElseAfterThat) {
    answers[recent] = "[" + session_in("ses_1", "/w") + "]";
    answers["/session/status?directory=/w"] = "{}";
    start();
    pass(1s);
    pass(5min);
    EXPECT_THAT(looked, ElementsAre("/w", "/w")) << "nothing runs or waits there";
    dialer->ends[stream].end();
    bench.advance(250ms);
    requests.clear();
    start();
    bench.advance(1s);
    serve();
    EXPECT_THAT(requests, ElementsAre(of_the_gap, of_the_gap)) << "and events were heard until the cut";
}

TEST_F(FollowerTest, FindsWhatWasAskedWhileItsEventsWereCutOff) {
    answers[recent] = "[]";
    start();
    pass(1s);
    dialer->ends[stream].end();
    bench.advance(250ms);
    // Elsewhere than anything that runs, and at once.
    answers[of_the_gap] = "[" + session_in("ses_1", "/w") + "]";
    answers["/session/status?directory=/w"] = R"({"ses_1":{"type":"busy"}})";
    answers["/permission?directory=/w"] = "[" + asked + "]";
    start();
    EXPECT_EQ(count<PermissionPending>(), 0u) << "ses_1 has not changed since the cut, so it was heard of";
    answers[of_the_gap] = "[" + session_in("ses_1", "/w", 1'700'000'000'100) + "]";
    bench.advance(1s);
    serve();
    EXPECT_EQ(count<PermissionPending>(), 1u) << "before opencode tells its events to a new listener";
}

TEST_F(FollowerTest, FindsWhatARestartedServerAskedBeforeItWasHeard) {
    start();
    pass(1s);
    EXPECT_EQ(count<PermissionPending>(), 0u);
    dialer->mood = ScriptedDialer::Mood::refuse;
    dialer->ends[stream].reset();
    bench.advance(250ms);
    dialer->mood = ScriptedDialer::Mood::accept;
    answers[recent] = "[" + session_in("ses_1", "/w") + "]";
    answers["/session/status?directory=/w"] = R"({"ses_1":{"type":"busy"}})";
    answers["/permission?directory=/w"] = "[" + asked + "]";
    bench.advance(1s);
    start();
    EXPECT_EQ(count<PermissionPending>(), 1u);
}

TEST_F(FollowerTest, LooksIntoSixteenDirectoriesAndOnlyOfLate) {
    std::string list = "[";
    for (int i = 0; i < 40; ++i) {
        auto const day_before = i == 39 ? std::int64_t{100'000'000} : 0;  // a server that knows no `start`
        list +=
            session_in("ses_" + std::to_string(i), "/w/" + std::to_string(i / 2), 1'699'990'000'000 + i - day_before);
        list += i == 39 ? "]" : ",";
    }
    answers[recent] = list;
    for (int i = 0; i < 20; ++i) answers["/session/status?directory=/w/" + std::to_string(i)] = "{}";
    start();
    EXPECT_EQ(looked.size(), 16u);
    EXPECT_EQ(looked.front(), "/w/19") << "the newest first";
    EXPECT_EQ(looked.back(), "/w/4");
    EXPECT_EQ(follower->model().sessions().size(), 39u);
    EXPECT_EQ(follower->model().sessions().front().info.id, "ses_38");
}

TEST_F(FollowerTest, AVersionWithoutThatListIsFollowedAllTheSame) {
    for (std::string const answer : {"", "<html></html>", "{}", R"({"name":"BadRequest"})", R"([1,null,{"id":2}])"}) {
        SCOPED_TRACE(answer);
        answers[recent] = answer;
        start();
        EXPECT_THAT(looked, IsEmpty());
        EXPECT_THAT(requests, ElementsAre(recent));
        pass(1s);
        pass(5min);
        EXPECT_THAT(requests, ElementsAre(recent)) << "asked once";
        requests.clear();
        stop();
        begin();
    }
}

TEST_F(FollowerTest, AnotherServerIsAskedAsWell) {
    start();
    auto other = settings();
    other.tap.host = "elsewhere";
    follower->configure(other);
    bench.advance(250ms);
    start();
    EXPECT_THAT(requests, Contains(recent).Times(2));
}

TEST_F(FollowerTest, AListThatDoesNotComeIsAskedForAgain) {
    follower->start();
    bench.settle();
    stream = dialer->ends.size() - 1;
    dialer->ends[stream].take();
    dialer->ends[stream].send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    dialer->mood = ScriptedDialer::Mood::refuse;
    tell(connected_event);
    dialer->mood = ScriptedDialer::Mood::accept;
    EXPECT_THAT(requests, IsEmpty());
    answers[recent] = "[" + session_in("ses_1", "/w") + "]";
    answers["/session/status?directory=/w"] = "{}";
    bench.advance(1s);
    serve();
    EXPECT_THAT(looked, ElementsAre("/w"));
}

TEST_F(FollowerTest, SaysWhereItHasLookedAndOnlyWhenItWasAnswered) {
    start();
    answers["/session/status?directory=/w"] = R"({"ses_1":{"type":"busy"}})";
    answers["/question?directory=/w"] = "<html>bad gateway</html>";
    follower->look_at("/w");
    serve();
    EXPECT_THAT(looked, IsEmpty());
    answers["/question?directory=/w"] = "[]";
    answers["/permission?directory=/w"] = "[" + asked + "]";
    follower->look_at("/w");
    serve();
    EXPECT_THAT(looked, ElementsAre("/w"));
    EXPECT_EQ(pending_then, 1u) << "what is there is known by then";
}

TEST_F(FollowerTest, StopsWhileItAsks) {
    start();
    tell(event("session.status", R"({"sessionID":"ses_1","status":{"type":"busy"}})"));
    follower->look_at("/w");
    bench.settle();
    bool stopped = false;
    follower->stop([&] { stopped = true; });
    bench.settle();
    EXPECT_TRUE(stopped);
}

}  // namespace
}  // namespace ocgate::opencode
