// A request and its answer, byte for byte (RFC 9110 §7.6, RFC 9112 §6).
#include "messages.hpp"

namespace ocgate::test {
namespace {

TEST(Rest, CarriesARequestAndItsAnswerByteForByte) {
    Scenario s;
    s.client().sends(
        "GET /session?auth_token=x&limit=2 HTTP/1.1\r\nHost: box.example:8080\r\nAuthorization: Basic c2VjcmV0\r\n"
        "User-Agent: curl/8\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-Forwarded-For: 10.0.0.1\r\n"
        "X-Request-Id: forged\r\n\r\n");
    auto const request = s.upstream().take();
    auto const id = field(request, "X-Request-Id");
    EXPECT_EQ(id.size(), 16u);
    EXPECT_EQ(request,
              "GET /session?limit=2 HTTP/1.1\r\nHost: box.example:8080\r\nUser-Agent: curl/8\r\n"
              "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: box.example:8080\r\n"
              "Via: 1.1 ocgate\r\nX-Request-Id: " +
                  id + "\r\nAuthorization: Basic dXA6c3RyZWFt\r\n\r\n");
    EXPECT_EQ(s.upstream().writes(), 1u);

    s.upstream().sends(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nKeep-Alive: x\r\n\r\n{}");
    EXPECT_EQ(s.client().received(),
              "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nVia: 1.1 ocgate\r\nX-Request-Id: " + id +
                  "\r\nContent-Length: 2\r\n\r\n{}");
    EXPECT_EQ(s.client().writes(), 1u) << "head and content leave together";
    EXPECT_FALSE(s.client().saw_end());
    ASSERT_EQ(s.notebook().exchanges.size(), 1u);
    auto const& record = s.notebook().exchanges.front();
    EXPECT_EQ(record.status, 200u);
    EXPECT_EQ(record.response_bytes, 2u);
    EXPECT_EQ(record.path, "/session");
    EXPECT_EQ(record.request_id, id);
    EXPECT_FALSE(record.failed);
}

TEST(Rest, KeepsARequestIdOfATrustedPeerOnly) {
    Scenario s;
    s.door().trusts_peer = true;
    s.client().sends(get("/", "X-Request-Id: edge-7f3a\r\nX-Forwarded-For: 203.0.113.9\r\n"));
    auto const request = s.upstream().take();
    EXPECT_EQ(field(request, "X-Request-Id"), "edge-7f3a");
    EXPECT_EQ(field(request, "X-Forwarded-For"), "203.0.113.9, 192.0.2.7");
    s.upstream().sends(ok("1"));
    EXPECT_EQ(field(s.client().take(), "X-Request-Id"), "edge-7f3a");
    s.client().sends(get("/", "X-Request-Id: a\"b\r\n"));
    EXPECT_EQ(field(s.upstream().take(), "X-Request-Id").size(), 16u);
}

TEST(Rest, KeepsBothConnectionsForTheNextRequest) {
    Scenario s;
    for (int i = 0; i < 3; ++i) {
        s.client().sends(get("/session"));
        EXPECT_THAT(s.upstream().take(), StartsWith("GET /session "));
        s.upstream().sends(ok("{}"));
        EXPECT_THAT(s.client().take(), EndsWith("{}"));
        EXPECT_EQ(s.shard().load().idle_upstreams, 1u);
    }
    EXPECT_EQ(s.upstreams(), 1u);
    EXPECT_TRUE(s.notebook().exchanges[2].reused);
    EXPECT_FALSE(s.notebook().exchanges[0].reused);
}

TEST(Rest, ServesPipelinedRequestsInOrderAndNeverPipelinesUpstream) {
    Scenario s;
    s.client().sends(get("/1") + get("/2") + post("/3", "abc") + get("/4"));
    for (int i = 1; i <= 4; ++i) {
        auto const request = s.upstream().take();
        EXPECT_THAT(request, HasSubstr(" /" + std::to_string(i) + " "));
        EXPECT_EQ(body(request), i == 3 ? "abc" : "");
        s.upstream().sends(ok(std::to_string(i)));
    }
    EXPECT_EQ(s.upstreams(), 1u);
    auto const answers = s.client().received();
    EXPECT_LT(answers.find("\r\n\r\n1"), answers.find("\r\n\r\n2"));
    EXPECT_LT(answers.find("\r\n\r\n2"), answers.find("\r\n\r\n3"));
    EXPECT_THAT(answers, EndsWith("\r\n\r\n4"));
    EXPECT_EQ(s.notebook().exchanges.size(), 4u);
}

TEST(Rest, ServesARequestThatComesWhileAnotherIsUnderWay) {
    Scenario s;
    s.client().sends(get("/1"));
    s.client().sends(get("/2").substr(0, 10));
    EXPECT_THAT(s.upstream().take(), StartsWith("GET /1 "));
    s.upstream().sends(ok("one"));
    EXPECT_THAT(s.client().take(), EndsWith("one"));
    EXPECT_EQ(s.upstream().take(), "");
    s.client().sends(get("/2").substr(10));
    EXPECT_THAT(s.upstream().take(), StartsWith("GET /2 "));
    s.upstream().sends(ok("two"));
    EXPECT_THAT(s.client().take(), EndsWith("two"));
}

TEST(Rest, FramesAChunkedAnswerAnew) {
    Scenario s;
    s.client().sends(get("/"));
    s.upstream().sends(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n");
    s.upstream().sends("0\r\nX: 1\r\n\r\n");
    auto const answer = s.client().received();
    EXPECT_EQ(field(answer, "Transfer-Encoding"), "chunked");
    EXPECT_EQ(field(answer, "Trailer"), "");
    EXPECT_EQ(body(answer), "5\r\nabcde\r\n0\r\n\r\n");
    EXPECT_EQ(s.shard().load().idle_upstreams, 1u);
}

TEST(Rest, MakesChunksOfAnAnswerThatEndsWithItsConnection) {
    Scenario s;
    s.client().sends(get("/"));
    s.upstream().sends("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc");
    s.upstream().sends("de");
    s.upstream().ends();
    EXPECT_EQ(body(s.client().take()), "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    EXPECT_FALSE(s.client().saw_end()) << "the client's connection is in order";
    EXPECT_EQ(s.shard().load().idle_upstreams, 0u);
    s.client().sends(get("/again"));
    EXPECT_THAT(s.upstream(1).received(), StartsWith("GET /again "));
}

TEST(Rest, KnowsAnswersWithoutContent) {
    Scenario s;
    s.client().sends("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n");
    s.upstream().sends("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    auto head = s.client().take();
    EXPECT_EQ(field(head, "Content-Length"), "5");
    EXPECT_THAT(head, EndsWith("\r\n\r\n"));
    s.client().sends(get("/"));
    s.upstream().sends("HTTP/1.1 204 No Content\r\n\r\n");
    EXPECT_EQ(field(s.client().take(), "Content-Length"), "");
    s.client().sends(get("/"));
    s.upstream().sends("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 7\r\n\r\n");
    head = s.client().take();
    EXPECT_EQ(field(head, "ETag"), "\"1\"");
    EXPECT_EQ(field(head, "Content-Length"), "7");
    s.client().sends("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    s.upstream().sends(stream_head);
    EXPECT_THAT(s.client().take(), EndsWith("\r\n\r\n"));
    EXPECT_EQ(s.notebook().streams_open, 0);
    EXPECT_EQ(s.upstreams(), 1u) << "all of them left the connection in order";
    EXPECT_EQ(s.notebook().exchanges.size(), 4u);
}

TEST(Rest, AnswersAnOldClientWithoutChunksAndCloses) {
    Scenario s;
    s.client().sends("GET / HTTP/1.0\r\n\r\n");
    EXPECT_EQ(field(s.upstream().take(), "Host"), "127.0.0.1:4096");
    s.upstream().sends(chunked_head);
    s.upstream().sends(chunk("abc") + std::string(last_chunk));
    auto const answer = s.client().received();
    EXPECT_EQ(field(answer, "Transfer-Encoding"), "");
    EXPECT_EQ(field(answer, "Connection"), "close");
    EXPECT_EQ(body(answer), "abc");
    EXPECT_TRUE(s.client().saw_end());
    EXPECT_FALSE(s.client().saw_reset());
    s.client().ends();
    EXPECT_TRUE(s.client().closed());
}

TEST(Rest, KeepsAnOldClientThatAsksForItWhereTheLengthIsKnown) {
    Scenario s;
    for (int i = 0; i < 2; ++i) {
        s.client().sends("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        s.upstream().sends(ok("abc"));
        EXPECT_EQ(field(s.client().take(), "Connection"), "keep-alive");
    }
    s.client().sends("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    s.upstream().sends(chunked_head);
    EXPECT_EQ(field(s.client().take(), "Connection"), "close");
    s.upstream().sends(last_chunk);
    EXPECT_TRUE(s.client().saw_end());
}

TEST(Rest, ClosesWhenTheClientSaysSo) {
    Scenario s;
    s.client().sends(get("/", "Connection: close\r\n"));
    EXPECT_EQ(field(s.upstream().take(), "Connection"), "") << "the upstream's connection is ours to keep";
    s.upstream().sends(ok("x"));
    EXPECT_EQ(field(s.client().received(), "Connection"), "close");
    EXPECT_TRUE(s.client().saw_end());
    EXPECT_EQ(s.shard().load().idle_upstreams, 1u);
    EXPECT_TRUE(s.client().closed()) << "nothing more can come";
}

// Closing over bytes that nobody read makes the kernel break off, and the answer may be lost with it.
TEST(Rest, AwaitsTheLastBytesOfAClientThatSendsOnAfterItsLastRequest) {
    for (bool const at_once : {true, false}) {
        Scenario s;
        std::string const last = get("/", "Connection: close\r\n");
        std::string const more = get("/one-more");
        s.client().sends(at_once ? last + more : last);
        if (!at_once) s.client().sends(more);
        s.upstream().sends(ok("x"));
        EXPECT_THAT(s.client().received(), EndsWith("x"));
        EXPECT_TRUE(s.client().saw_end());
        EXPECT_FALSE(s.client().closed()) << at_once;
        s.advance(1s);
        EXPECT_TRUE(s.client().closed());
        EXPECT_EQ(s.notebook().exchanges.size(), 1u);
    }
}

TEST(Rest, CarriesALargeAnswerToASlowClientUnharmed) {
    for (bool chunked : {false, true}) {
        for (std::size_t capacity : {1000u, 5000u, 40000u}) {
            Scenario::Options options;
            options.capacity = capacity;
            Scenario s(options);
            auto const content = pattern(300'000);
            s.client().stops_reading();
            s.client().puts(get("/provider"));
            s.settle();
            if (chunked) {
                s.upstream().sends(std::string(chunked_head) + chunk(content) + std::string(last_chunk));
            } else {
                s.upstream().sends(ok(content));
            }
            EXPECT_LE(s.shard().load().windows_lent, 2u);
            EXPECT_LE(s.client().in_flight(), capacity);
            std::string got;
            for (int i = 0; i < 2000 && (got.empty() || s.client().in_flight() > 0); ++i) got += s.client().sip(777);
            auto const received = body(got);
            EXPECT_TRUE((chunked ? unchunked(received) : received) == content)
                << "capacity " << capacity << ", chunked " << chunked << ", got " << received.size();
        }
    }
}

TEST(Rest, LeavesTheUpstreamWaitingWhileTheClientIsSlow) {
    Scenario::Options options;
    options.capacity = 4096;
    Scenario s(options);
    s.client().stops_reading();
    s.client().sends(get("/big"));
    s.upstream().sends("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    for (int i = 0; i < 20; ++i) s.upstream().sends(std::string(50'000, 'x'));
    EXPECT_LE(s.client().in_flight(), 4096u);
    EXPECT_LE(s.shard().load().windows_lent, 1u);
    s.advance(59s);
    EXPECT_FALSE(s.client().closed());
    s.advance(1s);
    EXPECT_TRUE(s.client().closed()) << "no progress for idle_body";
    EXPECT_EQ(reason_of(s.notebook().exchanges.at(0).failure), Reason::timed_out);
    EXPECT_EQ(s.notebook().exchanges.at(0).failure.side, Side::client);
}

TEST(Rest, TellsTheUpstreamAtOnceThatTheClientHasLeft) {
    for (bool reset : {false, true}) {
        Scenario s;
        s.client().sends(post("/session/1/message", "{}"));
        EXPECT_EQ(body(s.upstream().received()), "{}");
        s.advance(2h);
        EXPECT_FALSE(s.upstream().closed()) << "held for hours, as it should be";
        reset ? s.client().resets() : s.client().ends();
        EXPECT_TRUE(s.upstream().closed());
        EXPECT_EQ(s.notebook().exchanges.at(0).status, 0u);
        EXPECT_EQ(reason_of(s.notebook().exchanges.at(0).failure), Reason::gone);
    }
}

}  // namespace
}  // namespace ocgate::test
