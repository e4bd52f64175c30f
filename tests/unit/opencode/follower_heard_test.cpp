// What the follower hands on as it hears it, and which terminals it finds open after a gap.
#include "follower_kit.hpp"

namespace ocgate::opencode {
namespace {
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;
using testing::StartsWith;
using testing::UnorderedElementsAre;
using Texts = std::vector<std::string>;

class HeardTest : public FollowerTest {
protected:
    HeardTest() : FollowerTest(true) {}
};

TEST_F(HeardTest, HearsEachEventBeforeWhatItMakesHappen) {
    start();
    EXPECT_THAT(heard, ElementsAre("server.connected"));
    tell(event("session.created", R"({"sessionID":"ses_1","info":)" + session("ses_1") + "}"));
    tell(event("message.part.delta", R"({"sessionID":"ses_1","field":"text","delta":"x"})"));
    tell(event("session.status", R"({"sessionID":"ses_1","status":{"type":"busy"}})"));
    EXPECT_THAT(heard, ElementsAre("server.connected", "session.created", "message.part.delta", "session.status"));
}

TEST_F(HeardTest, AsksWhichTerminalsAreOpenAfterAGap) {
    start();
    tell(event("pty.created", R"({"info":{"id":"pty_1"}})", "/a b"));
    tell(event("pty.created", R"({"info":{"id":"pty_2"}})", "/a b"));
    cut_off();
    bench.advance(250ms);
    answers["/pty?directory=/a%20b"] = R"([{"id":"pty_2","status":"running"}])";
    start();
    second_look();
    EXPECT_THAT(terminals, UnorderedElementsAre(Pair("/a b", Texts{"pty_2"})));
    terminals.clear();
    requests.clear();
    pass(5min);
    EXPECT_THAT(requests, Not(Contains(StartsWith("/pty")))) << "events tell the rest";
}

TEST_F(HeardTest, AsksForTerminalsWhereItLooksAtFirst) {
    answers["/experimental/session?limit=100&start=1699913600000"] = "[" + session_in("ses_1", "/w") + "]";
    answers["/session/status?directory=/w"] = "{}";
    answers["/pty?directory=/w"] = R"([{"id":"pty_1"},{"id":"pty_2"},7,{}])";
    start();
    EXPECT_THAT(requests, Not(Contains(StartsWith("/pty"))));
    second_look();
    EXPECT_THAT(terminals, UnorderedElementsAre(Pair("/w", Texts{"pty_1", "pty_2"})));
}

TEST_F(HeardTest, ATerminalThatOpensMeanwhileIsAskedForAgain) {
    start();
    tell(event("pty.created", R"({"info":{"id":"pty_1"}})"));
    cut_off();
    bench.advance(250ms);
    int asked_for = 0;
    before_answer = [&](std::string const& target) {
        if (!target.starts_with("/pty") || ++asked_for > 1) return;
        dialer->ends[stream].send("data: " + event("pty.exited", R"({"id":"pty_1","exitCode":0})") + "\n\n");
        bench.settle();
    };
    answers["/pty?directory=/w"] = R"([{"id":"pty_1"}])";
    start();
    bench.advance(1s);
    serve();
    EXPECT_EQ(asked_for, 2);
    EXPECT_EQ(terminals.size(), 1u);
}

TEST_F(HeardTest, WhereNobodyAnswersWhatIsOpenNothingIsSaid) {
    start();
    tell(event("pty.created", R"({"info":{"id":"pty_1"}})"));
    cut_off();
    bench.advance(250ms);
    for (std::string const answer : {"", "<html></html>", "{}"}) {
        answers["/pty?directory=/w"] = answer;
        start();
        second_look();
        EXPECT_THAT(terminals, IsEmpty()) << answer;
        cut_off();
        bench.advance(1s);
    }
    start();
}

TEST_F(HeardTest, SaysWhenTheProcessIsGone) {
    start();
    tell(event("pty.created", R"({"info":{"id":"pty_1"}})"));
    cut_off();
    EXPECT_EQ(gone, 0);
    dialer->mood = ScriptedDialer::Mood::refuse;
    bench.advance(250ms);
    EXPECT_EQ(gone, 1);
    dialer->mood = ScriptedDialer::Mood::accept;
    bench.advance(1s);
    requests.clear();
    start();
    second_look();
    EXPECT_THAT(requests, Not(Contains(StartsWith("/pty")))) << "what was open there is not";
}

}  // namespace
}  // namespace ocgate::opencode
