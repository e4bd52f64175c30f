#include "ocgate/rt/fetch.hpp"

#include <gmock/gmock.h>

#include "support/bench.hpp"

namespace ocgate::rt {
namespace {
using namespace std::chrono_literals;
namespace error = asio::error;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class FetchTest : public testing::Test {
protected:
    ~FetchTest() override {
        EXPECT_TRUE(bench.nothing_left()) << "a task, window or deadline is left";
        for (auto const& end : dialer.ends) EXPECT_TRUE(end.closed());
    }
    test::Result<Outcome<Fetched>> start(FetchRequest request = {}) {
        request.host = "h:1";
        return bench.start(fetch(bench.resources, dialer, std::move(request), bench.clock.now() + 10s));
    }
    /// The whole answer to one request that finds `reply` already there.
    Outcome<Fetched> answered(std::string_view reply, bool then_ends = false, FetchRequest request = {}) {
        dialer.greeting = reply;
        dialer.says_no_more = then_ends;
        auto const result = start(std::move(request));
        if (!*result) {
            ADD_FAILURE() << "still waiting after: " << reply;
            bench.advance(10s);
        }
        return result->value();
    }
    Failure failed(std::string_view reply, bool then_ends = false, FetchRequest request = {}) {
        auto const outcome = answered(reply, then_ends, std::move(request));
        EXPECT_TRUE(outcome.has_error()) << reply;
        if (!outcome.has_error()) return {Side::gateway, Step::accept, {}};
        EXPECT_EQ(outcome.error().side, Side::upstream);
        return outcome.error();
    }

    test::Bench bench;
    test::ScriptedDialer dialer;
};

TEST_F(FetchTest, SendsAGetWithoutContentLength) {
    auto const result = start({.target = "/global/health?x=1", .host = {}, .fields = "A: b\r\nC: d\r\n", .body = {}});
    ASSERT_EQ(dialer.ends.size(), 1u);
    EXPECT_EQ(dialer.ends[0].waiting(),
              "GET /global/health?x=1 HTTP/1.1\r\nHost: h:1\r\nConnection: close\r\nA: b\r\nC: d\r\n\r\n");
    EXPECT_EQ(dialer.limits.at(0), bench.clock.now() + 10s);
    EXPECT_FALSE(*result);
    bench.advance(10s);
    EXPECT_TRUE(*result);
}

TEST_F(FetchTest, SendsABodyWithItsLength) {
    start({.method = "POST", .target = "/t", .host = {}, .fields = {}, .body = "hello"});
    EXPECT_THAT(dialer.ends.at(0).waiting(), HasSubstr("\r\nContent-Length: 5\r\n"));
    EXPECT_THAT(dialer.ends.at(0).waiting(), EndsWith("\r\n\r\nhello"));
    start({.method = "POST", .target = "/t", .host = {}, .fields = {}, .body = {}});
    EXPECT_THAT(dialer.ends.at(1).waiting(), HasSubstr("\r\nContent-Length: 0\r\n"));
    bench.advance(10s);
}

struct Framed {
    std::string_view reply, body;
    bool ends = false;
    unsigned status = 200;
    std::string_view method = "GET";
};

std::vector<Framed> const framings{
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more", "hello"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: v\r\n\r\n", "hello"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ""},
    {"HTTP/1.1 200 OK\r\n\r\nhello", "hello", true},
    {"HTTP/1.0 200 OK\r\n\r\nhello", "hello", true},
    {"HTTP/1.1 200 OK\r\n\r\n", "", true},
    {"HTTP/1.1 204 No Content\r\n\r\n", "", false, 204},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", false, 304},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "", false, 200, "HEAD"},
    {"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", "no", false, 500},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
     "\r\nok",
     "ok"},
};

TEST_F(FetchTest, ReadsEveryFraming) {
    for (auto const& [reply, body, ends, status, method] : framings) {
        auto const outcome =
            answered(reply, ends, {.method = std::string(method), .host = {}, .fields = {}, .body = {}});
        ASSERT_TRUE(outcome.has_value()) << reply << to_string(outcome.error());
        EXPECT_EQ(outcome->status, status);
        EXPECT_EQ(outcome->body, body);
    }
}

TEST_F(FetchTest, ReadsEveryFramingHoweverItIsSplit) {
    for (auto const& [reply, body, ends, status, method] : framings) {
        for (std::size_t cut = 0; cut <= reply.size(); ++cut) {
            dialer.greeting.clear();
            dialer.says_no_more = false;
            auto const result = start({.method = std::string(method), .host = {}, .fields = {}, .body = {}});
            auto& end = dialer.ends.back();
            end.send(reply.substr(0, cut));
            bench.settle();
            end.send(reply.substr(cut));
            if (ends) end.end();
            bench.settle();
            ASSERT_TRUE(*result) << reply << " cut at " << cut;
            ASSERT_TRUE((*result)->has_value()) << reply << " cut at " << cut << to_string((*result)->error());
            EXPECT_EQ((**result)->body, body);
            EXPECT_EQ((**result)->status, status);
        }
    }
    dialer.options.piece = 1;
    for (auto const& [reply, body, ends, status, method] : framings) {
        auto const outcome =
            answered(reply, ends, {.method = std::string(method), .host = {}, .fields = {}, .body = {}});
        ASSERT_TRUE(outcome.has_value()) << reply;
        EXPECT_EQ(outcome->body, body);
    }
}

TEST_F(FetchTest, TellsTheContentType) {
    EXPECT_EQ(answered("HTTP/1.1 200 OK\r\ncontent-TYPE:  text/html; a=b \r\nContent-Length: 0\r\n\r\n")->content_type,
              "text/html; a=b");
    EXPECT_EQ(answered("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")->content_type, "");
}

TEST_F(FetchTest, ABodyOfManyWindowsArrivesWhole) {
    std::string body;
    while (body.size() < 60'000) body += std::to_string(body.size()) + " ";
    auto const head = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
    EXPECT_EQ(answered(head + body)->body, body);
    EXPECT_EQ(answered("HTTP/1.1 200 OK\r\n\r\n" + body, true)->body, body);
    std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (std::size_t at = 0; at < body.size(); at += 1000) {
        auto const part = body.substr(at, 1000);
        char size[16];
        std::snprintf(size, sizeof size, "%zx\r\n", part.size());
        chunked += size + part + "\r\n";
    }
    EXPECT_EQ(answered(chunked + "0\r\n\r\n")->body, body);
}

TEST_F(FetchTest, MoreThanWasAllowedIsRefusedWhateverTheFraming) {
    FetchRequest const small{.host = {}, .fields = {}, .body = {}, .max_answer_bytes = 100};
    std::string const body(101, 'x');
    for (auto const& reply : {"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
                              "HTTP/1.1 200 OK\r\nContent-Length: 999999999999999\r\n\r\n"}) {
        auto const failure = failed(reply, false, small);
        EXPECT_EQ(failure.step, Step::response_body) << "refused before a byte of it came";
        EXPECT_EQ(failure.why, Reason::body_too_large);
    }
    EXPECT_EQ(failed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + body, false, small).why,
              Reason::body_too_large);
    EXPECT_EQ(failed("HTTP/1.1 200 OK\r\n\r\n" + body, false, small).why, Reason::body_too_large);
    EXPECT_EQ(failed("HTTP/1.1 200 OK\r\nX: " + body + "\r\n\r\n", false, small).why, Reason::body_too_large);
    std::string interim;
    for (int i = 0; i < 5; ++i) interim += "HTTP/1.1 103 Early Hints\r\n\r\n";
    EXPECT_EQ(failed(interim, false, small).why, Reason::body_too_large) << "interim heads for ever";
    auto const exact = answered("HTTP/1.1 200 OK\r\n\r\n" + std::string(81, 'x'), true, small);
    ASSERT_TRUE(exact.has_value());
    EXPECT_EQ(exact->body.size(), 81u);
}

TEST_F(FetchTest, AHeadThatIsTooLargeIsSo) {
    EXPECT_EQ(failed("HTTP/1.1 200 OK\r\nX: " + std::string(17'000, 'x') + "\r\n\r\n").why, Reason::head_too_large);
}

TEST_F(FetchTest, AnAnswerThatEndsTooSoonIsCutShort) {
    std::pair<std::string_view, Step> const table[] = {
        {"", Step::response_head},
        {"HTTP/1.1 200", Step::response_head},
        {"HTTP/1.1 100 Continue\r\n\r\n", Step::response_head},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", Step::response_body},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", Step::response_body},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", Step::response_body},
    };
    for (auto const& [reply, step] : table) {
        auto const failure = failed(reply, true);
        EXPECT_EQ(failure.step, step) << reply;
        EXPECT_EQ(failure.why, Reason::cut_short) << reply;
    }
}

TEST_F(FetchTest, AResetIsNoEndOfABodyThatEndsWithTheConnection) {
    auto const result = start();
    dialer.ends[0].send("HTTP/1.1 200 OK\r\n\r\nhalf");
    bench.settle();
    dialer.ends[0].reset();
    bench.settle();
    ASSERT_TRUE(*result);
    ASSERT_TRUE((*result)->has_error());
    EXPECT_EQ((*result)->error().why, error::connection_reset);
    EXPECT_EQ((*result)->error().step, Step::response_body);
}

TEST_F(FetchTest, WhatIsNoHttpIsMalformed) {
    for (auto const* reply : {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
                              "HTTP/1.1 2x0 OK\r\n\r\n"}) {
        auto const failure = failed(reply, true);
        EXPECT_EQ(failure.step, Step::response_head) << reply;
        EXPECT_EQ(reason_of(failure), Reason::malformed) << reply;
    }
    auto const failure = failed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    EXPECT_EQ(failure.step, Step::response_body);
    EXPECT_EQ(failure.why, Reason::malformed);
}

TEST_F(FetchTest, A101NobodyAskedForIsRefused) {
    auto const failure =
        failed("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    EXPECT_EQ(failure.step, Step::response_head);
}

TEST_F(FetchTest, EveryWaitEndsAtTheLimit) {
    std::pair<std::string_view, Step> const table[] = {
        {"", Step::response_head},
        {"HTTP/1.1 100 Continue\r\n\r\n", Step::response_head},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", Step::response_body},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", Step::response_body},
        {"HTTP/1.1 200 OK\r\n\r\nx", Step::response_body},
    };
    for (auto const& [reply, step] : table) {
        dialer.greeting = reply;
        auto const result = start();
        bench.advance(10s - 1ns);
        EXPECT_FALSE(*result) << reply;
        bench.advance(1ns);
        ASSERT_TRUE(*result) << reply;
        ASSERT_TRUE((*result)->has_error());
        EXPECT_EQ((*result)->error().step, step) << reply;
        EXPECT_EQ((*result)->error().why, Reason::timed_out) << reply;
    }
}

TEST_F(FetchTest, ATrickleDoesNotMoveTheLimit) {
    auto const result = start();
    dialer.ends[0].send("HTTP/1.1 200 OK\r\n\r\n");
    for (int i = 0; i < 9; ++i) {
        bench.advance(1s);
        dialer.ends[0].send("x");
    }
    bench.advance(1s - 1ns);
    EXPECT_FALSE(*result);
    bench.advance(1ns);
    EXPECT_TRUE(*result);
}

TEST_F(FetchTest, ARequestThatIsNotTakenEndsAtTheLimit) {
    dialer.options.capacity = 16;
    auto const result = start({.method = "POST", .host = {}, .fields = {}, .body = std::string(1000, 'x')});
    bench.advance(10s - 1ns);
    EXPECT_FALSE(*result);
    bench.advance(1ns);
    ASSERT_TRUE(*result);
    EXPECT_EQ((*result)->error().step, Step::request_body);
    EXPECT_EQ((*result)->error().why, Reason::timed_out);
}

TEST_F(FetchTest, ADialThatFailsIsNamed) {
    dialer.mood = test::ScriptedDialer::Mood::refuse;
    auto const refused = start();
    ASSERT_TRUE(*refused);
    EXPECT_EQ((*refused)->error().step, Step::dial);
    EXPECT_EQ((*refused)->error().why, error::connection_refused);
    dialer.mood = test::ScriptedDialer::Mood::hang;
    auto const hung = start();
    bench.advance(10s);
    ASSERT_TRUE(*hung);
    EXPECT_EQ((*hung)->error().step, Step::dial);
    EXPECT_EQ((*hung)->error().why, Reason::timed_out);
}

TEST_F(FetchTest, WhateverOperationFailsItSaysWhereAndLeavesNothing) {
    for (std::uint64_t n = 1;; ++n) {
        dialer.options.faults = std::make_shared<test::Faults>();
        dialer.options.faults->fail_at = n;
        dialer.options.piece = 20;
        auto const outcome = answered("HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + std::string(40, 'x'), false,
                                      {.method = "PUT", .host = {}, .fields = {}, .body = "abc"});
        bool const struck = dialer.options.faults->operations >= n;
        EXPECT_TRUE(bench.nothing_left()) << n;
        if (!struck) {
            EXPECT_TRUE(outcome.has_value());
            EXPECT_GT(n, 5u);
            break;
        }
        // A request that could not be sent whole may have been answered all the same.
        if (outcome.has_error()) {
            EXPECT_EQ(outcome.error().side, Side::upstream) << n;
        } else {
            EXPECT_EQ(outcome->status, 200u) << n;
        }
    }
}

TEST_F(FetchTest, AnAnswerBeforeTheRequestWasTakenIsReadAllTheSame) {
    dialer.options.faults = std::make_shared<test::Faults>();
    dialer.options.faults->fail_at = 2;  // the dial is the first, writing the request the second
    auto const outcome = answered("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", true,
                                  {.method = "POST", .host = {}, .fields = {}, .body = "abc"});
    ASSERT_TRUE(outcome.has_value()) << to_string(outcome.error());
    EXPECT_EQ(outcome->status, 413u);
    dialer.options.faults = std::make_shared<test::Faults>();
    dialer.options.faults->fail_at = 2;
    auto const failure = failed("", true, {.method = "POST", .host = {}, .fields = {}, .body = "abc"});
    EXPECT_EQ(failure.step, Step::request_body);
    EXPECT_EQ(failure.why, error::broken_pipe);
}

}  // namespace
}  // namespace ocgate::rt
