// The follower over pipes in memory: what it asks after a connection, and how events and answers become happenings.
#include "ocgate/opencode/follower.hpp"

#include <gmock/gmock.h>

#include <map>

#include "support/bench.hpp"

namespace ocgate::opencode {
namespace {
using namespace std::chrono_literals;
using test::ScriptedDialer;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string event(std::string_view type, std::string_view properties, std::string_view directory = "/w") {
    return R"({"directory":")" + std::string(directory) + R"(","payload":{"id":"evt_1","type":")" + std::string(type) +
           R"(","properties":)" + std::string(properties) + "}}";
}
std::string const connected_event = R"({"payload":{"type":"server.connected","properties":{}}})";
std::string const asked = R"({"id":"per_1","sessionID":"ses_1","permission":"bash","patterns":["ls"],)"
                          R"("metadata":{"command":"ls"},"always":["ls *"]})";

std::string session(std::string_view id, std::string_view parent = "") {
    auto const up = parent.empty() ? std::string() : R"("parentID":")" + std::string(parent) + "\",";
    return R"({"id":")" + std::string(id) + R"(",)" + up +
           R"("directory":"/w","title":"Fix it","time":{"created":1,"updated":2}})";
}

/// Plays opencode: the first connection made is the stream, the others are answered from a table.
class FollowerTest : public testing::Test {
protected:
    FollowerTest() {
        follower = std::make_unique<Follower>(
            bench.resources,
            FollowerSettings{.tap = {.dialer = dialer, .host = "h", .authorization = Secret("Basic x")}},
            FollowerListener{
                .happened = [this](Happening const& one) { happened.push_back(one); },
                .counted = [this](std::string_view type, Taken taken) { counted[std::string(type)].push_back(taken); },
                .connection = [this](bool on, std::string const&) { connections.push_back(on); }},
            [] { return 0.0; });
    }
    ~FollowerTest() override {
        bool stopped = false;
        follower->stop([&] { stopped = true; });
        bench.advance(2s);
        EXPECT_TRUE(stopped);
        EXPECT_TRUE(bench.nothing_left()) << "a task, window or deadline is left";
    }

    void start() {
        follower->start();
        bench.settle();
        stream = dialer->ends.size() - 1;
        dialer->ends[stream].take();
        dialer->ends[stream].send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        tell(connected_event);
    }
    void tell(std::string_view json) {
        dialer->ends[stream].send("data: " + std::string(json) + "\n\n");
        serve();
    }
    /// Answers what is asked until nothing is.
    void serve() {
        for (bool busy = true; busy;) {
            busy = false;
            bench.settle();
            for (std::size_t i = 0; i < dialer->ends.size(); ++i) {
                if (i == stream || dialer->ends[i].closed()) continue;
                auto const request = dialer->ends[i].take();
                if (request.empty()) continue;
                EXPECT_THAT(request, HasSubstr("\r\nAuthorization: Basic x\r\n"));
                auto const target = request.substr(4, request.find(' ', 4) - 4);
                requests.push_back(target);
                auto const found = answers.find(target);
                auto const body = found != answers.end() ? found->second : std::string("[]");
                auto const status = body.empty() ? "404 Not Found" : "200 OK";
                dialer->ends[i].send("HTTP/1.1 " + std::string(status) +
                                     "\r\nContent-Type: application/json\r\nContent-Length: " +
                                     std::to_string(body.size()) + "\r\n\r\n" + body);
                busy = true;
            }
        }
    }
    template <class T>
    std::size_t count() const {
        std::size_t n = 0;
        for (auto const& one : happened) n += std::holds_alternative<T>(one) ? 1 : 0;
        return n;
    }

    test::Bench bench;
    std::shared_ptr<ScriptedDialer> dialer = std::make_shared<ScriptedDialer>();
    std::size_t stream = 0;
    std::map<std::string, std::string> answers;
    std::vector<std::string> requests;
    std::vector<Happening> happened;
    std::map<std::string, std::vector<Taken>> counted;
    std::vector<bool> connections;
    std::unique_ptr<Follower> follower;
};

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

TEST_F(FollowerTest, LooksWhereItIsTold) {
    answers["/session/status?directory=/other%20place"] = R"({"ses_9":{"type":"busy"}})";
    answers["/permission?directory=/other%20place"] =
        R"([{"id":"per_9","sessionID":"ses_9","permission":"edit","patterns":[],"metadata":{}}])";
    answers["/session/ses_9"] = session("ses_9");
    start();
    EXPECT_THAT(requests, IsEmpty());
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
