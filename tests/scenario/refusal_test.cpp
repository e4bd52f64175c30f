// What does not come in: limits, messages that are no HTTP/1.1, and what the gatekeeper says.
#include "messages.hpp"

namespace ocgate::test {
namespace {

std::string content_of(std::string_view code, std::string_view message, std::string_view id) {
    return R"({"error":{"code":")" + std::string(code) + R"(","message":")" + std::string(message) +
           R"(","request_id":")" + std::string(id) + "\"}}\n";
}

/// The answer to one message on a connection of its own, which closes and forwards nothing.
std::string refused(std::string_view message, proxy::Limits limits = {}) {
    Scenario::Options options;
    options.limits = limits;
    Scenario s(options);
    s.client().sends(message);
    EXPECT_TRUE(s.client().saw_end()) << message.substr(0, 80);
    EXPECT_EQ(s.upstreams(), 0u) << message.substr(0, 80);
    s.advance(1s);
    EXPECT_TRUE(s.client().closed());
    return s.client().received();
}

TEST(Refusal, AnswersAMalformedRequestAndForwardsNothing) {
    auto const answer = refused("GET / HTTP/1.1\r\nHost : a\r\n\r\n" + get("/smuggled"));
    auto const id = field(answer, "X-Request-Id");
    auto const content = content_of("malformed", "The request is not well-formed HTTP/1.1.", id);
    EXPECT_EQ(answer,
              "HTTP/1.1 400 Bad Request\r\nDate: Tue, 24 Nov 2026 00:00:00 GMT\r\n"
              "Content-Type: application/json\r\nContent-Length: " +
                  std::to_string(content.size()) +
                  "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Request-Id: " + id +
                  "\r\nX-Ocgate-Error: client request_head malformed\r\nConnection: close\r\n\r\n" + content);
}

TEST(Refusal, IsWrittenDownWithTheIdAndTheStatusThatWereSent) {
    struct Case {
        std::string head;
        unsigned status;
        Reason reason;
    };
    for (auto const& c : {Case{"nonsense\r\n\r\n", 400, Reason::malformed},
                          Case{"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, Reason::unsupported_method},
                          Case{get("/" + std::string(9000, 'a')), 414, Reason::target_too_long},
                          Case{get("/", "X: " + std::string(17'000, 'a') + "\r\n"), 431, Reason::head_too_large},
                          Case{get("/", "Transfer-Encoding: gzip, chunked\r\n"), 501, Reason::unsupported_coding},
                          Case{"GET / HTTP/2.0\r\n\r\n", 505, Reason::unsupported_version}}) {
        Scenario s;
        s.client().sends(c.head);
        ASSERT_EQ(s.notebook().refusals.size(), 1u) << c.status;
        auto const& refused = s.notebook().refusals[0];
        EXPECT_EQ(refused.status, c.status);
        EXPECT_EQ(refused.request_id, field(s.client().received(), "X-Request-Id"));
        EXPECT_EQ(refused.response_bytes, body(s.client().received()).size());
        EXPECT_EQ(refused.method, "");
        EXPECT_EQ(reason_of(refused.failure), c.reason);
        EXPECT_TRUE(s.notebook().failures.empty()) << "it is counted once";
        EXPECT_EQ(s.notebook().started, 0);
    }
}

TEST(Refusal, WithNobodyThereToHearItHasNoStatus) {
    Scenario s;
    s.client().puts("nonsense\r\n\r\n");
    s.client().breaks_for_writing();
    EXPECT_TRUE(s.notebook().refusals.empty());
    ASSERT_EQ(s.notebook().failures.size(), 1u);
    EXPECT_EQ(reason_of(s.notebook().failures[0]), Reason::malformed);
}

TEST(Refusal, SaysWhenItWasMadeByTheCalendar) {
    Scenario s;
    proxy::Refusal refusal{{Side::client, Step::admission, Reason::unauthorized}, {}};
    s.door().refuses = refusal;
    auto const date = [&] {
        s.client().sends(get("/"));
        return field(s.client().take(), "Date");
    };
    EXPECT_EQ(date(), "Tue, 24 Nov 2026 00:00:00 GMT");
    s.advance(999ms);
    EXPECT_EQ(date(), "Tue, 24 Nov 2026 00:00:00 GMT");
    s.advance(1ms);
    EXPECT_EQ(date(), "Tue, 24 Nov 2026 00:00:01 GMT");
    s.calendar() -= 24h;  // somebody has set it right
    EXPECT_EQ(date(), "Mon, 23 Nov 2026 00:00:01 GMT");
}

TEST(Refusal, ClosesWhereFramingIsInDoubt) {
    for (auto const* fields :
         {"Content-Length: 5, 5\r\n", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
          "Content-Length: 3\r\nContent-Length: 3\r\n", "X: a\r\n b\r\n", "Host: b\r\n", "X: a\nY: b\r\n"}) {
        EXPECT_THAT(refused("POST / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\nabc"),
                    StartsWith("HTTP/1.1 400 "))
            << fields;
    }
    EXPECT_THAT(refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
                StartsWith("HTTP/1.1 501 "));
    EXPECT_THAT(refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), StartsWith("HTTP/1.1 505 "));
    EXPECT_THAT(refused("\x16\x03\x01 this is TLS\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
}

TEST(Refusal, RefusesConnectTraceAndTheAsterisk) {
    for (auto const* line : {"CONNECT a:443", "TRACE /", "OPTIONS *"}) {
        auto const answer = refused(std::string(line) + " HTTP/1.1\r\nHost: a\r\n\r\n");
        EXPECT_THAT(answer, StartsWith("HTTP/1.1 405 ")) << line;
        EXPECT_THAT(field(answer, "Allow"), HasSubstr("PATCH"));
    }
}

TEST(Refusal, BoundsTheHeadAndTheTarget) {
    EXPECT_THAT(refused(get("/" + std::string(8 * 1024, 'a'))), StartsWith("HTTP/1.1 414 "));
    EXPECT_THAT(refused(get("/", "X: " + std::string(16 * 1024, 'a') + "\r\n")), StartsWith("HTTP/1.1 431 "));
    EXPECT_THAT(refused("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(20 * 1024, 'a')), StartsWith("HTTP/1.1 431 "));
    std::string many;
    for (int i = 0; i < 130; ++i) many += "X: 1\r\n";
    EXPECT_THAT(refused(get("/", many)), StartsWith("HTTP/1.1 431 "));
}

TEST(Refusal, CarriesAHeadOfExactlyTheLimit) {
    Scenario s;
    // Of no meaning further on, so that what leaves is small again.
    auto const without = get("/", "Keep-Alive: \r\n").size();
    auto const head = get("/", "Keep-Alive: " + std::string(16 * 1024 - without, 'a') + "\r\n");
    ASSERT_EQ(head.size(), 16u * 1024);
    s.client().sends(head);
    EXPECT_THAT(s.upstream().received(), StartsWith("GET / "));
    s.client().ends();
    EXPECT_TRUE(s.upstream().closed()) << "there is room to notice that the client leaves";
}

TEST(Refusal, SendsNoHeadThatOpencodeWouldRefuseForItsLength) {
    Scenario s;
    s.client().sends(get("/", "X: a\r\n"));
    auto const added = s.upstream().take().size() - 1;
    s.upstream().sends(ok("x"));
    s.client().take();
    s.client().sends(get("/", "X: " + std::string(16 * 1024 - added, 'a') + "\r\n"));
    EXPECT_EQ(s.upstream().take().size(), 16u * 1024);
    s.upstream().sends(ok("x"));
    s.client().take();
    s.client().sends(get("/", "X: " + std::string(16 * 1024 - added + 1, 'a') + "\r\n"));
    EXPECT_THAT(s.client().take(), StartsWith("HTTP/1.1 431 "));
    EXPECT_EQ(s.upstream().take(), "");
    EXPECT_EQ(s.shard().load().idle_upstreams, 1u) << "nothing was sent on it";
}

TEST(Refusal, TurnsConnectionsAboveTheLimitAway) {
    Scenario::Options options;
    options.limits.connections = 2;
    Scenario s(options);
    auto& first = s.connects();
    first.sends(get("/1"));
    auto& second = s.connects();
    second.sends(get("/2"));
    auto& third = s.connects();
    third.sends(get("/"));
    EXPECT_THAT(third.received(), StartsWith("HTTP/1.1 503 "));
    EXPECT_EQ(field(third.received(), "Retry-After"), "1");
    EXPECT_TRUE(third.saw_end());
    ASSERT_EQ(s.notebook().refusals.size(), 1u);
    EXPECT_EQ(s.notebook().refusals[0].status, 503u);
    EXPECT_EQ(s.notebook().refusals[0].method, "GET");
    EXPECT_EQ(s.notebook().refusals[0].request_id, field(third.received(), "X-Request-Id"));
    EXPECT_THAT(s.upstream().take(), StartsWith("GET /1 "));
    s.upstream().sends(ok("1"));
    EXPECT_THAT(first.received(), EndsWith("1"));
    first.ends();
    third.ends();
    auto& fourth = s.connects();
    fourth.sends(get("/4"));
    EXPECT_THAT(s.upstream().received(), StartsWith("GET /4 "));
    (void)second;
}

TEST(Refusal, AboveTheLimitGivesHeadNoContentEither) {
    Scenario::Options options;
    options.limits.connections = 0;
    Scenario s(options);
    s.client().sends("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_THAT(s.client().received(), AllOf(StartsWith("HTTP/1.1 503 "), EndsWith("\r\n\r\n")));
    EXPECT_EQ(s.notebook().refusals.at(0).response_bytes, 0u);
}

TEST(Refusal, DoesNotKeepAConnectionAboveTheLimitWaiting) {
    Scenario::Options options;
    options.limits.connections = 2;
    Scenario s(options);
    for (int i = 0; i < 2; ++i) s.connects().sends(get("/busy"));
    auto& slow = s.connects();
    slow.sends("GET / HT");
    s.advance(1s);
    EXPECT_THAT(slow.received(), StartsWith("HTTP/1.1 503 "));
    s.advance(1s);
    EXPECT_TRUE(slow.closed());
}

TEST(Admission, AsksForCredentialsAndKeepsTheConnection) {
    Scenario s;
    proxy::Refusal refusal{{Side::client, Step::admission, Reason::unauthorized}, {}};
    refusal.challenge = true;
    s.door().refuses = refusal;
    s.client().sends(get("/session"));
    auto const answer = s.client().take();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 401 Unauthorized\r\n"));
    EXPECT_EQ(field(answer, "WWW-Authenticate"), R"(Basic realm="opencode", charset="UTF-8")");
    EXPECT_EQ(field(answer, "Cache-Control"), "no-store");
    EXPECT_EQ(field(answer, "Connection"), "");
    EXPECT_EQ(s.upstreams(), 0u);
    EXPECT_EQ(s.notebook().exchanges.at(0).status, 401u);
    EXPECT_EQ(s.notebook().exchanges.at(0).response_bytes, body(answer).size());
    s.door().refuses.reset();
    s.client().sends(get("/session", "Authorization: Basic YTpi\r\n"));
    EXPECT_EQ(field(s.upstream().received(), "Authorization"), "Basic dXA6c3RyZWFt");
}

TEST(Admission, RecordsNoStatusThatDidNotLeave) {
    for (bool broken : {true, false}) {
        Scenario::Options options;
        options.capacity = 50;  // of a whole answer the first bytes leave, and they are no answer
        Scenario s(options);
        s.door().refuses = proxy::Refusal{{Side::client, Step::admission, Reason::forbidden}, {}};
        s.client().stops_reading();
        s.client().puts(get("/"));
        if (broken) s.client().breaks_for_writing();
        s.advance(60s);
        ASSERT_EQ(s.notebook().exchanges.size(), 1u);
        EXPECT_EQ(s.notebook().exchanges[0].status, 0u);
        EXPECT_EQ(s.notebook().exchanges[0].response_bytes, 0u);
        EXPECT_EQ(reason_of(s.notebook().exchanges[0].failure), Reason::forbidden);
    }
}

TEST(Admission, ClosesWhatTheDoorFindsMalformed) {
    Scenario s;
    s.door().refuses = proxy::Refusal{{Side::client, Step::admission, Reason::malformed}, {}};
    s.client().sends(get("/"));
    EXPECT_EQ(field(s.client().received(), "Connection"), "close");
    EXPECT_TRUE(s.client().saw_end());
}

TEST(Admission, KeepsTheUpstreamsCredentialFromThoseNobodyVouchesFor) {
    Scenario s;
    s.door().vouches = false;
    s.client().sends(get("/site.webmanifest", "Authorization: Basic YTpi\r\n"));
    EXPECT_EQ(field(s.upstream().take(), "Authorization"), "");
    s.upstream().sends("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
    EXPECT_THAT(s.client().take(), AllOf(StartsWith("HTTP/1.1 401 "), EndsWith("no"))) << "it is the client's own";
}

TEST(Admission, DoesNotBlameTheClientForTheGatewaysCredential) {
    auto const handshake = get("/pty",
                               "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    for (auto const& request : {get("/"), handshake, post("/", "abc")}) {
        Scenario s;
        s.client().sends(request);
        s.upstream().sends("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno");
        auto const answer = s.client().received();
        EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 502 "), HasSubstr("upstream response_head unauthorized"),
                                  HasSubstr("opencode does not accept the gateway's credentials.")));
        EXPECT_EQ(field(answer, "WWW-Authenticate"), "");
        EXPECT_TRUE(s.upstream().closed());
        EXPECT_EQ(s.notebook().exchanges.at(0).status, 502u);
    }
}

TEST(Admission, ClosesARefusedConnectionWhoseContentIsUnderWay) {
    Scenario s;
    s.door().refuses = proxy::Refusal{{Side::client, Step::admission, Reason::forbidden}, "Not from there."};
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    auto const answer = s.client().received();
    EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 403 "), HasSubstr("Not from there.")));
    EXPECT_EQ(field(answer, "Connection"), "close");
    EXPECT_TRUE(s.client().saw_end());
    s.client().sends("abc" + get("/smuggled"));
    EXPECT_EQ(s.upstreams(), 0u);
    EXPECT_EQ(s.notebook().exchanges.size(), 1u);
}

TEST(Admission, SaysWhenToComeBackAndGivesHeadNoContent) {
    Scenario s;
    proxy::Refusal refusal{{Side::client, Step::admission, Reason::throttled}, {}};
    refusal.retry_after = 300s;
    s.door().refuses = refusal;
    s.client().sends("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    auto answer = s.client().take();
    EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 429 "), EndsWith("\r\n\r\n")));
    EXPECT_EQ(field(answer, "Retry-After"), "300");
    EXPECT_NE(field(answer, "Content-Length"), "0");
    EXPECT_EQ(s.notebook().exchanges.at(0).response_bytes, 0u);
    s.client().sends("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(field(s.client().take(), "Connection"), "keep-alive");
}

TEST(Admission, WaitsForAHash) {
    Scenario s;
    s.door().hashes_first = true;
    s.client().sends(get("/1") + get("/2"));
    EXPECT_THAT(s.upstream().take(), StartsWith("GET /1 "));
    s.upstream().sends(ok("1"));
    EXPECT_THAT(s.upstream().take(), StartsWith("GET /2 "));
}

/// Hashes until the test says that it is done.
class SlowDoor final : public proxy::Gatekeeper {
public:
    bool trusts(std::string_view) override { return false; }
    proxy::Decision consider(proxy::Visit const&) override {
        proxy::Decision decision;
        decision.client_address = "2001:db8::1:2:3:4";
        return decision;
    }
    rt::Task<proxy::Decision> verify(proxy::Visit const& visit) override {
        auto const target = std::string(visit.head.target);
        co_await done.wait();
        EXPECT_EQ(visit.head.target, target) << "the visit lives until the answer";
        proxy::Decision decision;
        decision.kind = proxy::Decision::Kind::admitted;
        decision.user = "alice";
        co_return decision;
    }
    bool watches(proxy::Visit const&) override { return false; }
    void saw_answer(std::string_view, unsigned, std::string_view, std::string_view) override {}
    rt::Signal done;
};

TEST(Admission, ForwardsNothingForAClientThatLeftDuringTheHash) {
    for (bool reset : {false, true}) {
        auto const door = std::make_shared<SlowDoor>();
        Scenario::Options options;
        options.gatekeeper = door;
        Scenario s(options);
        s.client().sends(post("/session", "{}"));
        reset ? s.client().resets() : s.client().ends();
        door->done.notify();
        s.settle();
        EXPECT_EQ(s.upstreams(), 0u);
        ASSERT_EQ(s.notebook().exchanges.size(), 1u);
        EXPECT_EQ(s.notebook().exchanges[0].status, 0u);
        EXPECT_EQ(reason_of(s.notebook().exchanges[0].failure), Reason::gone);
        EXPECT_EQ(s.notebook().exchanges[0].user, "alice") << "the log says who it was all the same";
        EXPECT_EQ(s.notebook().exchanges[0].client_address, "2001:db8::1:2:3:4");
        EXPECT_TRUE(s.client().closed());
    }
}

TEST(Admission, KeepsTheVisitWhileMoreArrivesDuringTheHash) {
    auto const door = std::make_shared<SlowDoor>();
    Scenario::Options options;
    options.gatekeeper = door;
    Scenario s(options);
    s.client().sends(get("/first"));
    for (int i = 0; i < 50; ++i) s.client().sends(get("/" + std::string(1000, 'x')));
    door->done.notify();
    EXPECT_THAT(s.upstream().received(), StartsWith("GET /first "));
    s.client().resets();
}

TEST(Admission, IsForcedWhileItHashes) {
    auto const door = std::make_shared<SlowDoor>();
    Scenario::Options options;
    options.gatekeeper = door;
    Scenario s(options);
    s.client().sends(get("/"));
    s.shard().drain();
    s.shard().insist();
    s.settle();
    door->done.notify();
    s.settle();
    EXPECT_THAT(s.client().received(), StartsWith("HTTP/1.1 503 "));
    EXPECT_TRUE(s.client().closed());
    EXPECT_EQ(s.upstreams(), 0u);
}

TEST(Watched, ReportsTheAnswerAsItWasSent) {
    Scenario s;
    s.door().watched = "/pty/1/connect-token";
    s.client().sends(post("/pty/1/connect-token", "{}"));
    s.upstream().sends(ok(R"({"ticket":"t"})"));
    ASSERT_EQ(s.door().seen.size(), 1u);
    EXPECT_EQ(s.door().seen[0].target, "/pty/1/connect-token");
    EXPECT_EQ(s.door().seen[0].status, 200u);
    EXPECT_EQ(s.door().seen[0].body, R"({"ticket":"t"})");

    s.client().sends(get("/pty/1/connect-token"));
    s.upstream().sends(std::string(chunked_head) + chunk("ab"));
    s.upstream().sends(chunk("cd") + std::string(last_chunk));
    ASSERT_EQ(s.door().seen.size(), 2u);
    EXPECT_EQ(s.door().seen[1].body, "abcd");

    // A coding is not taken off; who wants to read it sees that from the bytes.
    s.client().sends(get("/pty/1/connect-token"));
    s.upstream().sends(ok("\x1f\x8b gzip", "Content-Encoding: gzip\r\n"));
    ASSERT_EQ(s.door().seen.size(), 3u);
    EXPECT_EQ(s.door().seen[2].body, "\x1f\x8b gzip");

    s.client().sends(get("/pty/1/connect-token"));
    s.upstream().sends("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end");
    s.upstream().ends();
    ASSERT_EQ(s.door().seen.size(), 4u);
    EXPECT_EQ(s.door().seen[3].body, "to the end");
}

TEST(Watched, ReportsNothingLongOrUnfinished) {
    Scenario s;
    s.door().watched = "/t";
    s.client().sends(get("/t"));
    s.upstream().sends(ok(std::string(4096, 'x')));
    EXPECT_EQ(s.door().seen.size(), 1u);
    s.client().sends(get("/t"));
    s.upstream().sends(ok(std::string(4097, 'x')));
    s.client().sends(get("/t"));
    s.upstream().sends("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc");
    s.upstream().ends();
    EXPECT_EQ(s.door().seen.size(), 1u);
}

}  // namespace
}  // namespace ocgate::test
