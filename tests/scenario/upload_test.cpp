// Content on its way to the upstream, and what the upstream says meanwhile (RFC 9110 §10.1.1, RFC 9112 §9.3).
#include "messages.hpp"

namespace ocgate::test {
namespace {

TEST(Upload, SendsWhatCameWithTheHeadInOneWrite) {
    Scenario s;
    s.client().sends(post("/session", R"({"a":1})"));
    auto const request = s.upstream().take();
    EXPECT_EQ(field(request, "Content-Length"), "7");
    EXPECT_EQ(body(request), R"({"a":1})");
    EXPECT_EQ(s.upstream().writes(), 1u);
    s.upstream().sends(ok("{}"));
    EXPECT_THAT(s.client().take(), EndsWith("{}"));
    EXPECT_EQ(s.notebook().exchanges.at(0).request_bytes, 7u);
    EXPECT_EQ(s.shard().load().idle_upstreams, 1u);
    s.client().sends(post("/session", "x"));
    EXPECT_EQ(body(s.upstream().take()), "x");
}

TEST(Upload, FramesChunkedContentAnew) {
    Scenario s;
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n");
    auto request = s.upstream().take();
    EXPECT_EQ(field(request, "Transfer-Encoding"), "chunked");
    EXPECT_EQ(body(request), "5\r\nabcde\r\n");
    s.client().sends("1\r\nf\r\n0\r\nTrailer: gone\r\n\r\n");
    EXPECT_EQ(s.upstream().take(), "1\r\nf\r\n0\r\n\r\n");
    s.upstream().sends(ok("{}"));
    EXPECT_THAT(s.client().take(), EndsWith("{}"));
    EXPECT_EQ(s.notebook().exchanges.at(0).request_bytes, 6u);
    EXPECT_EQ(s.shard().load().idle_upstreams, 1u);
}

TEST(Upload, KeepsTheRequestBehindChunkedContent) {
    Scenario s;
    s.client().sends("POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n" +
                     get("/2"));
    EXPECT_EQ(body(s.upstream().take()), "1\r\na\r\n0\r\n\r\n");
    s.upstream().sends(ok("1"));
    EXPECT_THAT(s.upstream().take(), StartsWith("GET /2 "));
    s.upstream().sends(ok("2"));
    EXPECT_THAT(s.client().take(), EndsWith("2"));
}

TEST(Upload, IsHeldBackByAnUpstreamThatDoesNotRead) {
    Scenario::Options options;
    options.capacity = 8192;
    Scenario s(options);
    auto const content = pattern(500'000);
    s.client().sends("PUT /file HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
    s.upstream().take();
    s.upstream().stops_reading();
    s.client().sends(content);
    EXPECT_LE(s.upstream().in_flight(), 8192u);
    EXPECT_LE(s.shard().load().windows_lent, 1u);
    std::string got;
    for (int i = 0; i < 500 && s.upstream().in_flight() > 0; ++i) {
        s.advance(50s);  // slow, but it moves
        got += s.upstream().sip(5000);
    }
    EXPECT_TRUE(got == content);
    s.upstream().sends(ok("done"));
    EXPECT_THAT(s.client().take(), EndsWith("done"));
}

TEST(Upload, GivesUpOnAnUpstreamThatTakesNothing) {
    Scenario::Options options;
    options.capacity = 2048;
    Scenario s(options);
    s.client().sends("PUT /file HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
    s.upstream().stops_reading();
    s.client().sends(std::string(20'000, 'x'));
    s.advance(59s);
    EXPECT_EQ(s.client().received(), "");
    s.advance(1s);
    EXPECT_THAT(s.client().received(), StartsWith("HTTP/1.1 504 "));
    EXPECT_TRUE(s.upstream().closed());
}

TEST(Upload, GivesUpOnAClientThatStopsInTheMiddle) {
    Scenario s;
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    EXPECT_EQ(body(s.upstream().received()), "abc");
    s.advance(59s);
    s.client().sends("d");  // which is no progress
    EXPECT_EQ(s.client().received(), "");
    s.advance(1s);
    EXPECT_THAT(s.client().received(), StartsWith("HTTP/1.1 408 "));
    EXPECT_TRUE(s.upstream().closed());
    EXPECT_TRUE(s.client().saw_end());
    EXPECT_EQ(s.notebook().exchanges.at(0).status, 408u);
}

TEST(Upload, NeverCompletesARequestItsClientCutShort) {
    Scenario s;
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    s.client().ends();
    EXPECT_THAT(s.upstream().received(), Not(EndsWith(last_chunk)));
    EXPECT_TRUE(s.upstream().closed());
    EXPECT_EQ(s.notebook().exchanges.at(0).status, 0u);
}

TEST(Upload, RefusesMalformedChunksWhereverTheyCome) {
    Scenario s;
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX");
    EXPECT_THAT(s.client().received(), StartsWith("HTTP/1.1 400 "));
    EXPECT_TRUE(s.client().saw_end());
    auto& later = s.connects();
    later.sends("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    later.sends("zz\r\n");
    EXPECT_THAT(later.received(), StartsWith("HTTP/1.1 400 "));
    EXPECT_EQ(s.shard().load().idle_upstreams, 0u);
}

TEST(Upload, CountsContentThatDeclaresNoLength) {
    Scenario::Options options;
    options.limits.body_bytes = 10;
    Scenario s(options);
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n");
    EXPECT_EQ(body(s.upstream().received()), "6\r\nabcdef\r\n");
    s.client().sends("5\r\nabcde\r\n");
    EXPECT_THAT(s.client().received(), StartsWith("HTTP/1.1 413 "));
    EXPECT_TRUE(s.upstream().closed());
    EXPECT_THAT(s.upstream().received(), Not(EndsWith(last_chunk)));
}

TEST(Upload, RefusesADeclaredLengthAboveTheLimitAtOnce) {
    Scenario::Options options;
    options.limits.body_bytes = 10;
    Scenario s(options);
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_THAT(s.client().received(), StartsWith("HTTP/1.1 413 "));
    EXPECT_EQ(s.upstreams(), 0u);
    EXPECT_TRUE(s.client().saw_end());
}

TEST(Upload, StopsWhenTheAnswerComesEarly) {
    Scenario s;
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc");
    s.upstream().take();
    s.upstream().sends("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    auto const answer = s.client().received();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 413 "));
    EXPECT_EQ(field(answer, "Connection"), "close");
    EXPECT_THAT(answer, EndsWith("no"));
    EXPECT_TRUE(s.upstream().closed()) << "half a request was sent on it";
    EXPECT_TRUE(s.client().saw_end());
    EXPECT_FALSE(s.client().closed());
    s.client().sends("the rest is read and thrown away");
    s.advance(999ms);
    EXPECT_FALSE(s.client().closed());
    s.advance(1ms);
    EXPECT_TRUE(s.client().closed());
    EXPECT_EQ(s.upstream().received(), "");
}

TEST(Upload, DeliversAnEarlyAnswerAlthoughTheUpstreamStopsReading) {
    Scenario::Options options;
    options.capacity = 2048;
    Scenario s(options);
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc");
    s.upstream().stops_reading();
    s.client().sends(std::string(30'000, 'x'));
    s.upstream().sends("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    EXPECT_THAT(s.client().received(), AllOf(StartsWith("HTTP/1.1 403 "), EndsWith("no")));
    EXPECT_TRUE(s.upstream().closed());
}

TEST(Upload, LeavesTheDecisionToContinueToTheUpstream) {
    Scenario s;
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_EQ(field(s.upstream().take(), "Expect"), "100-continue");
    s.advance(100s);
    EXPECT_EQ(s.client().received(), "") << "the client waits for the upstream, not the other way round";
    s.upstream().sends("HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_THAT(s.client().take(), StartsWith("HTTP/1.1 100 "));
    s.client().sends("abc");
    EXPECT_EQ(s.upstream().take(), "abc");
    s.upstream().sends(ok("{}"));
    EXPECT_THAT(s.client().take(), AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("{}")));
    EXPECT_EQ(s.shard().load().idle_upstreams, 1u);
}

TEST(Upload, KeepsTheConnectionAfterALateContinue) {
    Scenario::Options options;
    options.capacity = 2048;
    Scenario s(options);
    // The client does not wait for the word, and it comes while all of the rest is on its way.
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8000\r\nExpect: 100-continue\r\n\r\n");
    s.upstream().stops_reading();
    s.client().sends(std::string(8000, 'x'));
    s.upstream().sends("HTTP/1.1 100 Continue\r\n\r\n");
    s.upstream().reads_again();
    s.upstream().sends(ok("{}"));
    EXPECT_THAT(s.client().take(), EndsWith("{}"));
    s.client().sends("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_FALSE(s.client().closed());
    s.upstream().sends(ok("again"));
    EXPECT_THAT(s.client().take(), EndsWith("again"));
}

TEST(Upload, WaitsForContinueHoweverOftenItIsAskedFor) {
    Scenario s;
    s.client().sends(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\nExpect: 100-Continue\r\n\r\n");
    auto const request = s.upstream().take();
    EXPECT_EQ(field(request, "Expect"), "100-continue");
    EXPECT_EQ(request.find("Expect:"), request.rfind("Expect:")) << "it is sent once";
    s.advance(100s);
    EXPECT_EQ(s.client().received(), "") << "nobody has told it to go on";
    s.upstream().sends("HTTP/1.1 100 Continue\r\n\r\n");
    s.client().sends("abc");
    EXPECT_EQ(s.upstream().take(), "abc");
}

TEST(Upload, HasADeadlineOnceTheClientWasToldToContinue) {
    Scenario s;
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    s.upstream().sends("HTTP/1.1 100 Continue\r\n\r\n");
    s.client().take();
    s.advance(60s);
    EXPECT_THAT(s.client().received(), StartsWith("HTTP/1.1 408 "));
}

TEST(Upload, DoesNotWaitForeverForSomebodyToContinue) {
    Scenario s;
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    s.advance(119s);
    EXPECT_EQ(s.client().received(), "");
    s.advance(1s);
    EXPECT_THAT(s.client().received(), StartsWith("HTTP/1.1 408 "));
    EXPECT_TRUE(s.upstream().closed());
}

/// Our own bug, as it would leave the story while an upload runs beside it.
class BrokenDoor final : public proxy::Gatekeeper {
public:
    bool trusts(std::string_view) override { return false; }
    proxy::Decision consider(proxy::Visit const&) override {
        proxy::Decision decision;
        decision.kind = proxy::Decision::Kind::admitted;
        return decision;
    }
    rt::Task<proxy::Decision> verify(proxy::Visit const&) override { co_return proxy::Decision{}; }
    bool watches(proxy::Visit const&) override { return true; }
    void saw_answer(std::string_view, unsigned, std::string_view, std::string_view) override {
        throw std::runtime_error("broken");
    }
};

TEST(Upload, EndsBeforeAnExceptionLeavesTheStory) {
    Scenario::Options options;
    options.gatekeeper = std::make_shared<BrokenDoor>();
    Scenario s(options);
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc");
    s.upstream().sends(ok("early"));
    s.client().sends("more");
    EXPECT_TRUE(s.client().closed());
    EXPECT_TRUE(s.upstream().closed());
    EXPECT_EQ(s.take_escaped(), std::vector<std::string>{"broken"});
    EXPECT_EQ(reason_of(s.notebook().exchanges.at(0).failure), Reason::internal);
}

TEST(Upload, PassesAFinalAnswerOnInsteadOfContinue) {
    Scenario s;
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    s.upstream().sends("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    EXPECT_THAT(s.client().received(), StartsWith("HTTP/1.1 403 "));
    EXPECT_EQ(field(s.client().received(), "Connection"), "close");
    EXPECT_TRUE(s.client().saw_end());
    EXPECT_TRUE(s.upstream().closed());
}

TEST(Upload, DoesNotWaitForAClientThatDoesNotWait) {
    Scenario s;
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc");
    EXPECT_EQ(body(s.upstream().take()), "abc");
    s.upstream().sends("HTTP/1.1 100 Continue\r\n\r\n" + ok("{}"));
    EXPECT_THAT(s.client().take(), AllOf(StartsWith("HTTP/1.1 100 "), HasSubstr("HTTP/1.1 200 "), EndsWith("{}")));
    EXPECT_FALSE(s.client().saw_end());
}

TEST(Upload, NoticesThatAClientWhoWaitsHasLeft) {
    Scenario s;
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    s.client().ends();
    EXPECT_TRUE(s.upstream().closed());
}

TEST(Interim, PassesOthersOnAndKeepsThemFromOldClients) {
    Scenario s;
    s.client().sends(get("/"));
    s.upstream().sends("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    EXPECT_THAT(s.client().take(), AllOf(StartsWith("HTTP/1.1 103 "), HasSubstr("Link: </a>\r\n")));
    s.upstream().sends(ok("x"));
    EXPECT_THAT(s.client().take(), StartsWith("HTTP/1.1 200 "));
    auto& old = s.connects();
    old.sends("GET / HTTP/1.0\r\n\r\n");
    s.upstream().sends("HTTP/1.1 103 Early Hints\r\n\r\n" + ok("x"));
    EXPECT_THAT(old.received(), StartsWith("HTTP/1.1 200 "));
}

TEST(Interim, EndsAtSixteen) {
    Scenario s;
    s.client().sends(get("/"));
    for (int i = 0; i < 16; ++i) s.upstream().sends("HTTP/1.1 102 Processing\r\n\r\n");
    EXPECT_FALSE(s.upstream().closed());
    s.upstream().sends("HTTP/1.1 102 Processing\r\n\r\n");
    EXPECT_THAT(s.client().received(), HasSubstr("HTTP/1.1 502 "));
    EXPECT_TRUE(s.upstream().closed());
}

}  // namespace
}  // namespace ocgate::test
