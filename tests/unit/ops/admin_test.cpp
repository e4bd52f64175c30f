#include "ocgate/ops/admin.hpp"

#include <gmock/gmock.h>

#include <set>
#include <vector>

#include "admin_kit.hpp"
#include "support/heap.hpp"

namespace ocgate::ops {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(Admin, AnswersEachRoute) {
    Running server;
    struct Case {
        char const* target;
        int status;
        char const* type;
        char const* body;
    };
    for (auto const& c : {
             Case{"/livez", 200, "application/json", "{\"status\":\"ok\"}"},
             Case{"/livez?verbose", 200, "application/json", "{\"status\":\"ok\"}"},
             Case{"/healthz", 200, "application/json", "{\"status\":\"ok\",\"phase\":\"ready\"}"},
             Case{"/readyz", 200, "application/json", "{\"u\":0}"},
             Case{"/readyz?upstream=0", 200, "application/json", "{\"u\":0}"},
             Case{"/readyz?noupstream=1", 200, "application/json", "{\"u\":0}"},
             Case{"/readyz?upstream=1", 503, "application/json", "{\"u\":1}"},
             Case{"/readyz?a=b&upstream=true&c", 503, "application/json", "{\"u\":1}"},
             Case{"/metrics", 200, "text/plain; version=0.0.4; charset=utf-8", "# metrics\n"},
         }) {
        auto const answer = server.get(c.target);
        EXPECT_EQ(answer.status, c.status) << c.target;
        EXPECT_EQ(answer.body, c.body) << c.target;
        EXPECT_THAT(answer.head, HasSubstr("Content-Type: " + std::string(c.type) + "\r\n"));
        EXPECT_THAT(answer.head, HasSubstr("Cache-Control: no-store\r\n"));
        EXPECT_THAT(answer.head, HasSubstr("X-Content-Type-Options: nosniff\r\n"));
    }
}

TEST(Admin, HeadHasTheLengthAndNoBody) {
    Running server;
    auto client = server.connect();
    auto const head = client.get("/metrics", "HEAD").answer(true);
    EXPECT_EQ(head.status, 200);
    EXPECT_THAT(head.head, HasSubstr("Content-Length: 10\r\n"));
    // Had there been a body, this would not be an answer.
    EXPECT_EQ(client.get("/livez").answer().body, "{\"status\":\"ok\"}");
}

TEST(Admin, WhatIsNotThereIs404AndWhatIsNotAllowedIs405) {
    Running server;
    for (auto const* target : {"/", "/session", "/metrics/", "/Livez", "//livez", "/_ocgate/", "*", "http://a/livez"}) {
        auto const answer = server.get(target);
        EXPECT_EQ(answer.status, 404) << target;
        EXPECT_EQ(answer.error()["code"], "not_found");
        EXPECT_THAT(answer.head, HasSubstr("Content-Type: application/json\r\n"));
    }
    for (auto const* method : {"POST", "PUT", "DELETE", "OPTIONS", "BREW"}) {
        auto const answer = server.get("/readyz", method);
        EXPECT_EQ(answer.status, 405) << method;
        EXPECT_EQ(answer.error()["code"], "method_not_allowed");
        EXPECT_THAT(answer.head, HasSubstr("Allow: GET, HEAD\r\n"));
    }
    EXPECT_EQ(server.get("/nowhere", "POST").status, 404);
    EXPECT_EQ(server.get("/nowhere", "HEAD").status, 404);
}

// One shape for all errors of the gateway, on both ports.
TEST(Admin, EveryAnswerHasItsRequestId) {
    Running server;
    std::set<std::string> ids;
    auto const look = [&](Client::Answer const& answer, bool error) {
        auto const id = answer.field("X-Request-Id");
        EXPECT_THAT(id, testing::MatchesRegex("[0-9a-f]{16}")) << answer.head;
        EXPECT_TRUE(ids.insert(id).second) << "twice";
        if (!error) return;
        EXPECT_EQ(answer.error().at("request_id"), id);
        EXPECT_EQ(answer.error().size(), 3u);
        EXPECT_EQ(json::parse(answer.body).size(), 1u);
    };
    auto client = server.connect();
    look(client.get("/livez").answer(), false);
    look(client.get("/metrics").answer(), false);
    look(client.get("/metrics", "HEAD").answer(true), false);
    look(client.get("/readyz?upstream=1").answer(), false);
    look(client.get("/nowhere").answer(), true);
    look(client.get("/livez", "POST").answer(), true);
    look(server.connect().say("nonsense\r\n\r\n").answer(), true);
    look(server.connect().say("GET / HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n").answer(), true);
    look(server.connect().say("GET /livez HTTP/1.1\r\nContent-Length: 1\r\n\r\nx").answer(), true);
}

TEST(Admin, ContentIsNotTaken) {
    Running server;
    auto client = server.connect();
    client.say("POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    EXPECT_EQ(client.answer().status, 405);
    EXPECT_TRUE(client.ended());
    auto other = server.connect();
    other.say("GET /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    EXPECT_EQ(other.answer().status, 413);
    EXPECT_TRUE(other.ended());
}

TEST(Admin, AHeadThatIsTooLargeIs431) {
    Running server;
    auto client = server.connect();
    client.say("GET /livez HTTP/1.1\r\nHost: a\r\nX-Long: " + std::string(9000, 'x') + "\r\n\r\n");
    auto const answer = client.answer();
    EXPECT_EQ(answer.status, 431);
    EXPECT_EQ(answer.error()["code"], "head_too_large");
    EXPECT_THAT(answer.head, HasSubstr("Connection: close\r\n"));
    EXPECT_TRUE(client.ended());
    // Just below the bound is fine.
    auto other = server.connect();
    other.say("GET /livez HTTP/1.1\r\nHost: a\r\nX-Long: " + std::string(8000, 'x') + "\r\n\r\n");
    EXPECT_EQ(other.answer().status, 200);
}

TEST(Admin, NonsenseIs400) {
    Running server;
    for (auto const* text : {"hello\r\n\r\n", "GET  /livez HTTP/1.1\r\n\r\n", "GET /livez HTTP/9.9\r\n\r\n",
                             "GET /livez HTTP/1.1\r\nBroken\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"}) {
        auto client = server.connect();
        auto const answer = client.say(text).answer();
        EXPECT_EQ(answer.status, 400) << text;
        EXPECT_EQ(answer.error()["code"], "malformed");
        EXPECT_TRUE(client.ended());
    }
}

TEST(Admin, KeepsConnectionsAsHttpSays) {
    Running server;
    auto client = server.connect();
    client.get("/livez").get("/readyz").get("/metrics");  // pipelined
    EXPECT_EQ(client.answer().body, "{\"status\":\"ok\"}");
    EXPECT_EQ(client.answer().body, "{\"u\":0}");
    EXPECT_EQ(client.answer().body, "# metrics\n");
    client.say("GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(client.answer().head, HasSubstr("Connection: close\r\n"));
    EXPECT_TRUE(client.ended());

    auto old = server.connect();
    EXPECT_EQ(old.say("GET /livez HTTP/1.0\r\n\r\n").answer().status, 200);
    EXPECT_TRUE(old.ended());
}

TEST(Admin, AHeadMayComeByteByByte) {
    Running server;
    auto client = server.connect();
    for (char const c : std::string("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")) client.say({&c, 1});
    EXPECT_EQ(client.answer().status, 200);
}

TEST(Admin, WhoeverHoldsAllConnectionsCannotKeepTheNextOneOut) {
    Running server({.connections = 3});
    auto first = server.connect();
    auto second = server.connect();
    auto third = server.connect();
    EXPECT_EQ(second.get("/livez").answer().status, 200);
    EXPECT_EQ(third.get("/livez").answer().status, 200);
    EXPECT_EQ(first.get("/livez").answer().status, 200);  // now the second has waited longest
    auto fourth = server.connect();
    EXPECT_EQ(fourth.get("/livez").answer().status, 200);
    EXPECT_TRUE(second.ended());
    EXPECT_EQ(first.get("/livez").answer().status, 200);
    EXPECT_EQ(third.get("/livez").answer().status, 200);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(server.get("/livez").status, 200);
}

TEST(Admin, ANeighbourThatOpensManyClosesItsOwn) {
    Running server({.connections = 4});
    auto quiet = server.connect();
    EXPECT_EQ(quiet.get("/livez").answer().status, 200);  // and from now on it has waited longest
    std::vector<Client> many;
    for (int i = 0; i < 20; ++i) {
        many.push_back(server.connect_from("127.0.0.2"));
        EXPECT_EQ(many.back().get("/livez").answer().status, 200);
    }
    EXPECT_TRUE(many.front().ended());
    EXPECT_EQ(many.back().get("/livez").answer().status, 200);
    EXPECT_EQ(quiet.get("/livez").answer().status, 200) << "who has one keeps it";
    auto third = server.connect_from("127.0.0.3");
    EXPECT_EQ(third.get("/livez").answer().status, 200);
    EXPECT_EQ(quiet.get("/livez").answer().status, 200);
}

TEST(Admin, AClientThatIsSlowIsCutOff) {
    Running server({.patience = 100ms});
    auto silent = server.connect();
    auto slow = server.connect();
    slow.say("GET /livez HTTP/1.1\r\nHo");
    EXPECT_TRUE(silent.ended());
    EXPECT_TRUE(slow.ended());
    EXPECT_EQ(server.get("/livez").status, 200);
}

TEST(Admin, AClientThatDoesNotReadIsCutOff) {
    auto answers = Running::usual();
    constexpr std::size_t size = 64 * 1024 * 1024;
    answers.metrics = [] { return std::string(size, '#'); };
    Running server({.connections = 1, .patience = 200ms}, answers);
    auto client = server.connect(4096);
    client.get("/metrics");
    // The next one is answered although the only connection there may be is stuck in a write.
    EXPECT_EQ(server.get("/livez").status, 200);
    EXPECT_LT(client.read_all(), size);
}

TEST(Admin, AnAnswerThatCannotBeMadeIs500) {
    auto answers = Running::usual();
    answers.metrics = []() -> std::string { throw std::runtime_error("secret"); };
    Running server({}, answers);
    auto const answer = server.get("/metrics");
    EXPECT_EQ(answer.status, 500);
    EXPECT_EQ(answer.error()["request_id"], answer.field("X-Request-Id"));
    EXPECT_THAT(answer.body, Not(HasSubstr("secret")));
    EXPECT_EQ(server.get("/livez").status, 200);
}

TEST(Admin, WhereverMemoryRunsOutOneConnectionEndsAndTheNextIsServed) {
    int lost = 0;
    std::size_t nth = 0;
    for (bool failed = true; failed;) {
        ASSERT_LT(++nth, 1000u);
        Running server;  // a new one each time: Asio keeps memory for reuse
        server.on_its_thread([nth] { test::fail_allocation(nth); });
        auto client = server.connect();
        if (client.get("/livez").answer().status != 200) {
            ++lost;
            EXPECT_TRUE(client.ended()) << "left open without anybody to serve it: allocation " << nth;
        }
        server.on_its_thread([&failed] { failed = test::fail_allocation(0); });
        ASSERT_EQ(server.get("/livez").status, 200) << "after allocation " << nth << " failed";
    }
    EXPECT_GT(lost, 0);
    RecordProperty("allocations", std::to_string(nth - 1));
    RecordProperty("lost", lost);
}

TEST(Admin, WithoutAnOverviewHealthzIsLivez) {
    auto answers = Running::usual();
    answers.overview = nullptr;
    Running server({}, answers);
    EXPECT_EQ(server.get("/healthz").body, "{\"status\":\"ok\"}");
}

TEST(Admin, ServesALocalSocket) {
    Running server({}, Running::usual(), false);
    auto client = server.connect();
    EXPECT_EQ(client.get("/livez").answer().status, 200);
    EXPECT_EQ(client.get("/metrics").answer().body, "# metrics\n");
}

TEST(Admin, StoppingClosesEverything) {
    Running server;
    auto idle = server.connect();
    EXPECT_EQ(idle.get("/livez").answer().status, 200);
    auto half = server.connect();
    half.say("GET /li");
    EXPECT_EQ(server.get("/livez").status, 200);
    server.stop();
    EXPECT_TRUE(idle.ended());
    EXPECT_TRUE(half.ended());
    EXPECT_THROW((void)server.connect(), std::runtime_error);
}

TEST(Admin, CanBeDestroyedWithoutHavingRun) {
    boost::asio::io_context io{1};
    int const listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ASSERT_EQ(::listen(listener, 1), 0);
    AdminServer server(io.get_executor(), listener, true, Running::usual());
}

}  // namespace
}  // namespace ocgate::ops
