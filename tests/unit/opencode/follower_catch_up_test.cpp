// What the follower asks for after a gap: the steps that ended unheard.
#include "follower_kit.hpp"

namespace ocgate::opencode {
namespace {
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using Texts = std::vector<std::string>;

constexpr std::int64_t start_ms = 1'700'000'000'000;  ///< by the wall, when a test begins

class CatchUpTest : public FollowerTest {
protected:
    CatchUpTest() : FollowerTest(true) {}

    [[nodiscard]] std::int64_t wall_ms() const {
        return std::chrono::duration_cast<std::chrono::milliseconds>(wall_now().time_since_epoch()).count();
    }
    static std::string list_since(std::int64_t gap_ms) {
        return "/experimental/session?limit=32&archived=true&start=" + std::to_string(gap_ms - 30'000);
    }
    static std::string page(std::string const& session, std::string const& more = "", int size = 20) {
        return "/session/" + session + "/message?limit=" + std::to_string(size) + more;
    }
    static std::string step(std::string const& message, std::int64_t began_ms, std::int64_t ended_ms,
                            std::string const& parts = "") {
        auto const ended = ended_ms == 0 ? std::string() : R"(,"completed":)" + std::to_string(ended_ms);
        return R"({"info":{"id":")" + message +
               R"(","sessionID":"ses_1","role":"assistant","agent":"build","cost":0.5,)"
               R"("modelID":"m","providerID":"p","tokens":{"input":8,"output":4},"finish":"stop","time":{"created":)" +
               std::to_string(began_ms) + ended + R"(}},"parts":[)" + parts + "]}";
    }
    static std::string const user;
    [[nodiscard]] Texts ids() const {
        Texts found;
        for (auto const& one : missed) found.push_back(one.message);
        return found;
    }
    /// One session, active until now, with these messages.
    void session_has(std::string const& messages) {
        answers_lists = "[" + session_in("ses_1", "/w", wall_ms()) + "]";
        answers[page("ses_1")] = "[" + messages + "]";
        before_answer = [this](std::string const& target) {
            if (target.starts_with("/experimental/session")) answers[target] = answers_lists;
        };
    }
    [[nodiscard]] std::size_t asked_for_lists() const {
        return static_cast<std::size_t>(std::count_if(requests.begin(), requests.end(), [](auto const& target) {
            return target.starts_with("/experimental/session?limit=32&");
        }));
    }

    std::string answers_lists;
};

std::string const CatchUpTest::user =
    R"({"info":{"id":"msg_0","sessionID":"ses_1","role":"user","time":{"created":1}}})";

TEST_F(CatchUpTest, FindsWhatEndedInTheGap) {
    start();
    pass(1min);
    auto const gap = wall_ms();
    cut_off();
    bench.advance(250ms);
    session_has(user + "," + step("msg_1", gap - 60'000, gap - 40'000) + "," + step("msg_2", gap - 20'000, gap + 100) +
                "," + step("msg_3", gap + 100, 0));
    requests.clear();
    start();
    EXPECT_THAT(missed, IsEmpty()) << "opencode tells its events a little later than it says so";
    second_look();
    EXPECT_THAT(requests, Contains(list_since(gap)));
    EXPECT_THAT(ids(), ElementsAre("msg_2"));
    EXPECT_EQ(missed[0].usage.cost, 0.5);
    EXPECT_EQ(missed[0].provider + missed[0].model + missed[0].agent, "pmbuild");
    pass(5min);
    EXPECT_EQ(asked_for_lists(), 1u) << "once for each gap";
}

TEST_F(CatchUpTest, NothingIsOwedAtTheFirstConnectionOfTheFirstRun) {
    session_has(step("msg_1", start_ms, start_ms + 1));
    EXPECT_FALSE(follower->heard_until());
    start();
    second_look();
    pass(2min);
    EXPECT_EQ(asked_for_lists(), 0u);
    EXPECT_THAT(missed, IsEmpty());
    EXPECT_EQ(follower->heard_until(), wall_now());
}

TEST_F(CatchUpTest, FindsWhatEndedWhileWeWereNotThere) {
    stop();
    heard_until = wall - 1h;
    begin();
    auto const gap = start_ms - 3'600'000;
    session_has(step("msg_1", gap - 90'000, gap - 80'000) + "," + step("msg_2", gap + 1000, gap + 2000) + "," +
                step("msg_3", gap + 3000, gap + 4000));
    EXPECT_EQ(follower->heard_until(), heard_until);
    start();
    EXPECT_EQ(follower->heard_until(), heard_until) << "killed now, the next run must look again";
    second_look();
    EXPECT_THAT(requests, Contains(list_since(gap)));
    EXPECT_THAT(ids(), ElementsAre("msg_2", "msg_3"));
    EXPECT_EQ(follower->heard_until(), wall_now() - 1s) << "the last event";
    // The next gap begins where this run has listened to, not where the earlier one had.
    requests.clear();
    cut_off();
    bench.advance(250ms);
    start();
    second_look();
    EXPECT_THAT(requests, Not(Contains(list_since(gap))));
    EXPECT_EQ(asked_for_lists(), 1u);
}

// As after every restart with something that waits: the notifications ask for a look at its place.
TEST_F(CatchUpTest, IsNotPutOffByALookThatCameSooner) {
    stop();
    heard_until = wall - 1h;
    begin();
    auto const gap = start_ms - 3'600'000;
    session_has(step("msg_1", gap + 1000, gap + 2000));
    start();
    follower->look_at("/w");
    serve();
    EXPECT_THAT(ids(), IsEmpty());
    second_look();
    EXPECT_THAT(ids(), ElementsAre("msg_1"));
}

TEST_F(CatchUpTest, GoesBackPageByPageUntilBeforeTheGap) {
    start();
    auto const gap = wall_ms();
    cut_off();
    bench.advance(250ms);
    session_has(step("msg_5", gap + 50, gap + 60));
    cursors[page("ses_1")] = "a=";
    answers[page("ses_1", "&before=a%3D")] = "[" + step("msg_3", gap + 10, gap + 20) + "," + user + "]";
    cursors[page("ses_1", "&before=a%3D")] = "b";
    answers[page("ses_1", "&before=b")] = "[" + step("msg_1", gap - 40'000, gap - 1) + "]";
    cursors[page("ses_1", "&before=b")] = "c";
    start();
    second_look();
    EXPECT_THAT(ids(), ElementsAre("msg_5", "msg_3", "msg_1"));
    EXPECT_THAT(requests, Not(Contains(page("ses_1", "&before=c"))));
}

TEST_F(CatchUpTest, AHistoryWithoutEndIsLeftAfterAWhile) {
    start();
    auto const gap = wall_ms();
    cut_off();
    bench.advance(250ms);
    session_has(step("msg_1", gap + 50, gap + 60));
    cursors[page("ses_1")] = "0";
    for (int i = 0; i < 1000; ++i) {
        auto const target = page("ses_1", "&before=" + std::to_string(i));
        answers[target] = "[" + step("msg_1", gap + 50, gap + 60) + "]";
        cursors[target] = std::to_string(i + 1);
    }
    requests.clear();
    start();
    second_look();
    EXPECT_EQ(std::count_if(requests.begin(), requests.end(),
                            [](auto const& target) { return target.starts_with("/session/ses_1/message"); }),
              200);
    EXPECT_EQ(follower->heard_until(), wall_now() - 1s) << "it is not asked for again";
}

TEST_F(CatchUpTest, APageThatIsTooLargeIsAskedForInPieces) {
    start();
    auto const gap = wall_ms();
    cut_off();
    bench.advance(250ms);
    session_has("");
    too_large = {page("ses_1"), page("ses_1", "", 5), page("ses_1", "&before=b", 1)};
    answers[page("ses_1", "", 1)] = "[" + step("msg_9", gap + 50, gap + 60) + "]";
    cursors[page("ses_1", "", 1)] = "a";
    answers[page("ses_1", "&before=a", 1)] = "[" + step("msg_8", gap + 40, gap + 50) + "]";
    cursors[page("ses_1", "&before=a", 1)] = "b";
    start();
    second_look();
    EXPECT_THAT(ids(), ElementsAre("msg_9", "msg_8"));
    pass(5min);
    EXPECT_EQ(asked_for_lists(), 1u) << "what stands behind one that is too large by itself is lost";
}

TEST_F(CatchUpTest, ASessionThatWasDeletedIsPassedOver) {
    start();
    auto const gap = wall_ms();
    cut_off();
    bench.advance(250ms);
    session_has("");
    answers_lists = "[" + session_in("ses_old", "/w", gap - 31'000) + "," + session_in("ses_0", "/w", gap) + "," +
                    session_in("ses_1", "/w", gap) + "," + session_in("ses_2", "/w", gap) +
                    R"(,{"id":"../global","time":{"updated":1800000000000}}])";
    answers[page("ses_0")] = "";
    answers[page("ses_1")] = "<html></html>";
    answers[page("ses_2")] = "[7,{}," + step("msg_1", gap, gap + 1) + "]";
    start();
    second_look();
    EXPECT_THAT(ids(), ElementsAre("msg_1"));
    for (auto const& target : requests) EXPECT_THAT(target, Not(HasSubstr("global")));
    EXPECT_THAT(requests, Not(Contains(page("ses_old")))) << "this server knows no `start`";
}

TEST_F(CatchUpTest, OnlySessionsThatWereActiveAndNoMoreThanThirtyTwo) {
    start();
    auto const gap = wall_ms();
    cut_off();
    bench.advance(250ms);
    session_has("");
    answers_lists = "[";
    for (int i = 0; i < 40; ++i)
        answers_lists += (i > 0 ? "," : "") + session_in("ses_" + std::to_string(i), "/w", gap + i);
    answers_lists += "]";
    requests.clear();
    start();
    second_look();
    auto const pages = std::count_if(requests.begin(), requests.end(),
                                     [](auto const& target) { return target.find("/message?") != target.npos; });
    EXPECT_EQ(pages, 32);
    EXPECT_THAT(requests, Contains(page("ses_39")));
    EXPECT_THAT(requests, Not(Contains(page("ses_7")))) << "the ones active last";
}

TEST_F(CatchUpTest, AServerThatDoesNotAnswerIsNotAskedOnAndOn) {
    start();
    auto const gap = wall_ms();
    cut_off();
    bench.advance(250ms);
    session_has("");
    answers_lists = "[";
    for (int i = 0; i < 10; ++i) {
        auto const id = "ses_" + std::to_string(i);
        answers_lists += (i > 0 ? "," : "") + session_in(id, "/w", gap + i);
        silent.insert(page(id));
    }
    answers_lists += "]";
    requests.clear();
    start();
    second_look();
    pass(60s);
    EXPECT_EQ(asked_for_lists(), 1u);
    auto const pages = std::count_if(requests.begin(), requests.end(),
                                     [](auto const& target) { return target.find("/message?") != target.npos; });
    EXPECT_EQ(pages, 3) << "and three sessions, of ten";
}

TEST_F(CatchUpTest, WhatIsNotAnsweredIsAskedForAgainAndNothingCountsAsHeardUntilThen) {
    start();
    pass(10s);
    auto const gap = wall_now();
    auto const gap_ms = wall_ms();
    cut_off();
    bench.advance(250ms);
    session_has(step("msg_1", gap_ms, gap_ms + 1));
    silent.insert(page("ses_1"));
    requests.clear();
    start();
    second_look();
    EXPECT_EQ(follower->heard_until(), gap) << "while it is asked for";
    pass(15s);
    EXPECT_THAT(requests, Contains(page("ses_1")).Times(1));
    EXPECT_EQ(follower->heard_until(), gap);
    silent.clear();
    pass(60s);
    EXPECT_THAT(ids(), ElementsAre("msg_1"));
    EXPECT_GT(follower->heard_until(), gap);
}

TEST_F(CatchUpTest, WhatIsNeverAnsweredIsGivenUp) {
    start();
    pass(10s);
    auto const gap = wall_now();
    auto const gap_ms = wall_ms();
    cut_off();
    bench.advance(250ms);
    session_has("");
    silent.insert(page("ses_1"));
    requests.clear();
    start();
    pass(20min);
    EXPECT_THAT(requests, Contains(page("ses_1")).Times(5));
    EXPECT_THAT(requests, Contains(list_since(gap_ms)).Times(5));
    EXPECT_GT(follower->heard_until(), gap);
}

TEST_F(CatchUpTest, AnotherGapBeforeTheFirstIsAskedForMakesItLonger) {
    start();
    auto const gap = wall_ms();
    cut_off();
    bench.advance(250ms);
    session_has("");
    start();
    bench.advance(500ms);
    tell(R"({"payload":{"type":"server.heartbeat","properties":{}}})");
    cut_off();
    bench.advance(1s);
    start();
    second_look();
    EXPECT_THAT(requests, Contains(list_since(gap)));
}

TEST_F(CatchUpTest, AnEventOfAStepThatIsTooLongToReadIsAskedFor) {
    start();
    pass(1min);
    auto const then = wall_ms();
    session_has(step("msg_1", then - 5000, then));
    std::string const huge = event("message.updated", R"({"info":{"x":")" + std::string(2 << 20, 'x') + R"("}})");
    tell(huge);
    EXPECT_THAT(counted["message.updated"], ElementsAre(Taken::skipped));
    second_look();
    EXPECT_THAT(ids(), ElementsAre("msg_1"));
    tell(event("message.part.updated", R"({"part":{"x":")" + std::string(2 << 20, 'x') + R"("}})"));
    pass(2min);
    EXPECT_EQ(asked_for_lists(), 1u) << "other events are nothing to ask for";
}

TEST_F(CatchUpTest, CopiesInAForkAreNoSteps) {
    start();
    auto const gap = wall_ms();
    cut_off();
    bench.advance(1s);
    session_has(step("msg_1", gap + 100, gap + 200) + "," + step("msg_2", gap + 600, gap + 700));
    answers_lists = R"([{"id":"ses_1","directory":"/w","time":{"created":)" + std::to_string(gap + 500) +
                    R"(,"updated":)" + std::to_string(gap + 800) + "}}]";
    start();
    second_look();
    EXPECT_THAT(ids(), ElementsAre("msg_2"));
}

TEST_F(CatchUpTest, CallsOfToolsComeWithTheirStep) {
    start();
    auto const gap = wall_ms();
    cut_off();
    bench.advance(250ms);
    auto const call = [&](std::string const& id, std::string const& status, std::int64_t ended) {
        return R"({"id":")" + id +
               R"(","type":"tool","tool":"bash","callID":"c","sessionID":"ses_1","state":{"status":")" + status +
               R"(","time":{"end":)" + std::to_string(ended) + "}}}";
    };
    session_has(step("msg_1", gap - 50, gap + 500,
                     call("prt_1", "completed", gap - 10) + "," + call("prt_2", "completed", gap + 10) + "," +
                         call("prt_3", "error", gap + 20) + "," + call("prt_4", "running", 0) +
                         R"(,{"id":"prt_5","type":"text","text":"x"})"));
    start();
    second_look();
    ASSERT_EQ(missed.size(), 1u);
    Texts calls;
    for (auto const& one : missed[0].calls) calls.push_back(one.call + (one.failed ? " failed" : "") + " " + one.tool);
    EXPECT_THAT(calls, ElementsAre("prt_2 bash", "prt_3 failed bash")) << "the first had been heard";
}

TEST_F(CatchUpTest, NobodyIsAskedWhenNobodyWantsToKnow) {
    // As FollowerTest has it, and with it every gap of its tests.
    follower->stop({});
    bench.advance(2s);
    follower = std::make_unique<Follower>(bench.resources, settings(), FollowerListener{}, [] { return 0.0; });
    start();
    cut_off();
    bench.advance(250ms);
    requests.clear();
    start();
    second_look();
    EXPECT_EQ(asked_for_lists(), 0u);
}

TEST_F(CatchUpTest, StopsInTheMiddle) {
    start();
    auto const gap = wall_now();
    cut_off();
    bench.advance(250ms);
    session_has("");
    silent.insert(page("ses_1"));
    start();
    second_look();
    EXPECT_THAT(requests, Contains(page("ses_1")));
    bool stopped = false;
    follower->stop([&] { stopped = true; });
    bench.settle();
    EXPECT_TRUE(stopped);
    EXPECT_EQ(follower->heard_until(), gap);
}

}  // namespace
}  // namespace ocgate::opencode
