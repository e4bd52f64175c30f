// One client among others: what it may have open, and whose turn it is.
#include "messages.hpp"

namespace ocgate::test {
namespace {

std::string handshake(std::string_view fields = {}) {
    return get("/pty/1/connect",
               "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
                   std::string(fields));
}
constexpr std::string_view switching =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// 429, in the form of all errors here.
void expect_refused(std::string const& answer, std::string_view step) {
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 429 Too Many Requests\r\n"));
    EXPECT_EQ(field(answer, "X-Ocgate-Error"), "client " + std::string(step) + " too_many");
    EXPECT_EQ(field(answer, "Retry-After"), "1");
    EXPECT_THAT(body(answer), AllOf(HasSubstr(R"("code":"too_many")"),
                                    HasSubstr(R"("request_id":")" + field(answer, "X-Request-Id") + '"')));
}

/// An event stream that flows, on the k-th connection to the upstream.
End& stream(Scenario& s, std::size_t k, std::string address = "192.0.2.7", std::string_view fields = {}) {
    auto& client = s.connects(std::move(address));
    client.sends(get("/event", fields));
    s.upstream(k).sends(stream_head);
    EXPECT_THAT(client.take(), StartsWith("HTTP/1.1 200 "));
    return client;
}

proxy::Limits with(std::size_t connections, std::size_t streams) {
    proxy::Limits limits;
    limits.connections_per_client = connections;
    limits.streams_per_client = streams;
    return limits;
}

Scenario::Options bounded(std::size_t connections, std::size_t streams) {
    Scenario::Options options;
    options.limits = with(connections, streams);
    return options;
}

TEST(Clients, OneHasNoMoreConnectionsThanItMay) {
    Scenario s(bounded(2, 0));
    auto& first = s.connects();
    auto& second = s.connects();
    auto& third = s.connects();
    third.sends(get("/"));
    expect_refused(third.received(), "accept");
    EXPECT_TRUE(third.saw_end());
    ASSERT_EQ(s.notebook().refusals.size(), 1u);
    EXPECT_EQ(s.notebook().refusals[0].status, 429u);
    EXPECT_EQ(s.notebook().refusals[0].request_id, field(third.received(), "X-Request-Id"));

    auto& other = s.connects("192.0.2.8");
    other.sends(get("/other"));
    EXPECT_THAT(s.upstream().take(), StartsWith("GET /other ")) << "others are not concerned";
    s.upstream().sends(ok("x"));

    first.ends();
    third.ends();
    auto& fourth = s.connects();
    fourth.sends(get("/4"));
    EXPECT_THAT(s.upstream().received(), StartsWith("GET /4 ")) << "there is room again";
    (void)second;
}

TEST(Clients, WhoHasWaitedLongestMakesRoom) {
    Scenario::Options options;
    options.limits.connections = 2;
    Scenario s(options);
    auto& idle = s.connects("192.0.2.1");
    auto& slow = s.connects("192.0.2.2");
    slow.sends("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    s.advance(500ms);
    auto& third = s.connects();
    EXPECT_TRUE(idle.closed());
    EXPECT_EQ(idle.received(), "");
    ASSERT_EQ(s.notebook().failures.size(), 1u);
    EXPECT_EQ(to_string(s.notebook().failures[0]), "gateway accept: too_many");
    auto& fourth = s.connects();
    EXPECT_TRUE(slow.closed()) << "a head that has begun is a request that has not come yet";
    EXPECT_EQ(slow.received(), "");
    third.sends(get("/3"));
    fourth.sends(get("/4"));
    EXPECT_THAT(s.upstream(0).take(), StartsWith("GET /3 "));
    EXPECT_THAT(s.upstream(1).take(), StartsWith("GET /4 "));

    auto& fifth = s.connects();
    fifth.sends(get("/5"));
    EXPECT_THAT(fifth.received(), StartsWith("HTTP/1.1 503 ")) << "who is at work makes no room";
    fifth.ends();
    s.upstream(0).sends(ok("3"));
    EXPECT_THAT(third.take(), EndsWith("3"));
    s.advance(499ms);
    auto& early = s.connects();
    early.sends(get("/early"));
    EXPECT_THAT(early.received(), StartsWith("HTTP/1.1 503 ")) << "who has just come, or been answered, may ask";
    early.ends();
    s.advance(1ms);
    auto& sixth = s.connects();
    sixth.sends(get("/6"));
    EXPECT_TRUE(third.closed()) << "until its work is done";
    EXPECT_THAT(s.upstream(0).take(), StartsWith("GET /6 "));
    EXPECT_FALSE(fourth.closed());
}

TEST(Clients, OneBeyondItsOwnBoundPushesNobodyOut) {
    Scenario::Options options;
    options.limits.connections = 2;
    options.limits.connections_per_client = 1;
    Scenario s(options);
    auto& quiet = s.connects("192.0.2.1");
    auto& greedy = s.connects("192.0.2.2");
    s.advance(1s);
    auto& again = s.connects("192.0.2.2");
    again.sends(get("/"));
    EXPECT_FALSE(quiet.closed());
    EXPECT_FALSE(greedy.closed());
    EXPECT_TRUE(again.saw_end());
}

TEST(Clients, AnIpv6SubscriberIsOne) {
    Scenario s(bounded(1, 0));
    s.connects("2001:db8::1");
    auto& neighbour = s.connects("2001:db8::2");
    neighbour.sends(get("/"));
    EXPECT_THAT(neighbour.received(), StartsWith("HTTP/1.1 429 "));
    auto& other = s.connects("2001:db8:0:1::1");
    other.sends(get("/"));
    EXPECT_THAT(s.upstream().received(), StartsWith("GET / "));
}

TEST(Clients, ManyMayStandBehindATrustedProxyOrAUnixSocket) {
    for (bool trusted : {true, false}) {
        Scenario s(bounded(1, 1));
        s.door().trusts_peer = trusted;
        for (std::size_t k = 0; k < 4; ++k) stream(s, k, trusted ? "192.0.2.7" : "unix");
        EXPECT_EQ(s.clients_open().connections.clients(), 0u);
        EXPECT_EQ(s.clients_open().streams.clients(), 0u);
    }
}

TEST(Clients, OneHasNoMoreStreamsThanItMay) {
    Scenario s(bounded(0, 2));
    auto& first = stream(s, 0);
    auto& terminal = s.connects();
    terminal.sends(handshake());
    s.upstream(1).sends(switching);
    EXPECT_THAT(terminal.take(), StartsWith("HTTP/1.1 101 "));

    auto& third = s.connects();
    third.sends(get("/event"));
    s.upstream(2).sends(stream_head);
    expect_refused(third.take(), "event_stream");
    EXPECT_TRUE(s.upstream(2).closed()) << "opencode queues nothing for it";
    third.sends(get("/session"));
    EXPECT_THAT(s.upstream(3).take(), StartsWith("GET /session ")) << "what is no stream goes on, on this connection";
    s.upstream(3).sends(ok("x"));
    EXPECT_THAT(third.take(), EndsWith("x"));

    auto& fourth = s.connects();
    fourth.sends(handshake());
    expect_refused(fourth.received(), "tunnel");
    EXPECT_TRUE(fourth.saw_end());
    EXPECT_EQ(s.upstreams(), 4u) << "the upstream is not asked";
    ASSERT_EQ(s.notebook().exchanges.size(), 3u);
    EXPECT_EQ(s.notebook().exchanges[0].status, 429u);
    EXPECT_EQ(s.notebook().exchanges[2].status, 429u);

    s.upstream(0).sends(chunk("data: 1\n\n"));
    EXPECT_EQ(unchunked(first.take()), "data: 1\n\n") << "what was there before goes on";
    stream(s, 3, "192.0.2.8");
    terminal.ends();
    fourth.ends();
    stream(s, 4);
    EXPECT_EQ(s.notebook().streams_open, 3);
}

TEST(Clients, AnAnswerThatIsNoStreamTakesNoPlace) {
    Scenario s(bounded(0, 1));
    for (int i = 0; i < 3; ++i) {
        auto& client = s.connects();
        client.sends(handshake());
        s.upstream(static_cast<std::size_t>(i)).sends("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno");
        EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 404 "));
    }
    EXPECT_EQ(s.clients_open().streams.clients(), 0u);
}

/// Believes 192.0.2.1, and lets everyone in.
class Proxied final : public proxy::Gatekeeper {
public:
    bool trusts(std::string_view peer) override { return peer == "192.0.2.1"; }
    proxy::Decision consider(proxy::Visit const& visit) override {
        proxy::Decision decision;
        decision.kind = proxy::Decision::Kind::admitted;
        decision.peer_trusted = trusts(visit.peer);
        auto const named = visit.head.fields.find("X-Forwarded-For");
        decision.client_address = decision.peer_trusted && named ? *named : visit.peer;
        return decision;
    }
    rt::Task<proxy::Decision> verify(proxy::Visit const& visit) override { co_return consider(visit); }
    bool watches(proxy::Visit const&) override { return false; }
    void saw_answer(std::string_view, unsigned, std::string_view, std::string_view) override {}
};

TEST(Clients, StreamsAreCountedByWhoStandsBehindTheProxy) {
    auto options = bounded(1, 1);
    options.gatekeeper = std::make_shared<Proxied>();
    Scenario s(options);
    stream(s, 0, "192.0.2.1", "X-Forwarded-For: 203.0.113.1\r\n");
    stream(s, 1, "192.0.2.1", "X-Forwarded-For: 203.0.113.2\r\n");
    auto& again = s.connects("192.0.2.1");
    again.sends(handshake("X-Forwarded-For: 203.0.113.1\r\n"));
    expect_refused(again.received(), "tunnel");
    stream(s, 2, "192.0.2.1");  // who cannot be told apart is not counted
    stream(s, 3, "192.0.2.1");
    // Elsewhere nobody's word counts.
    stream(s, 4, "198.51.100.1", "X-Forwarded-For: 203.0.113.3\r\n");
    auto& liar = s.connects("198.51.100.1");
    liar.sends(get("/event", "X-Forwarded-For: 203.0.113.4\r\n"));
    EXPECT_THAT(liar.received(), StartsWith("HTTP/1.1 429 ")) << "and one connection is what it may have";
}

TEST(Clients, AReloadMovesTheBoundsAndEndsNothing) {
    Scenario s(bounded(0, 0));
    auto& first = stream(s, 0);
    auto& second = stream(s, 1);
    s.configure(with(2, 1));
    auto& third = s.connects();
    third.sends(get("/"));
    expect_refused(third.received(), "accept");
    s.upstream(1).sends(chunk("data: 1\n\n"));
    EXPECT_EQ(unchunked(second.take()), "data: 1\n\n") << "counted before there was a bound, and left alone";
    s.configure(with(4, 1));
    auto& fourth = s.connects();
    fourth.sends(handshake());
    expect_refused(fourth.received(), "tunnel");
    s.configure(with(0, 0));
    for (std::size_t k = 2; k < 6; ++k) stream(s, k);
    (void)first;
}

TEST(Clients, WhoSendsManyRequestsAtOnceHasItsTurnWithEverybodyElse) {
    Scenario s;
    s.door().refuses = proxy::Refusal{{Side::client, Step::admission, Reason::unauthorized}, {}};
    auto& greedy = s.connects();
    auto& modest = s.connects("192.0.2.8");
    std::string many;
    for (int i = 0; i < 100; ++i) many += get("/greedy");
    greedy.puts(many);
    modest.puts(get("/modest"));
    s.settle();
    ASSERT_EQ(s.notebook().exchanges.size(), 101u);
    std::size_t at = 0;
    while (s.notebook().exchanges[at].path != "/modest") ++at;
    EXPECT_LE(at, 3u) << "of a hundred";
    (void)greedy;
    (void)modest;
}

TEST(Clients, AHeadThatIsOnItsWayHoldsNoDesk) {
    Scenario s;
    auto& slow = s.connects();
    slow.sends("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    EXPECT_EQ(s.shard().load().desks_lent, 0u);
    for (int i = 0; i < 5; ++i) {
        slow.sends(std::string(1000, 'a'));
        EXPECT_EQ(s.shard().load().desks_lent, 0u);
    }
    slow.sends("\r\n\r\n");
    EXPECT_EQ(s.shard().load().desks_lent, 1u);
    EXPECT_THAT(s.upstream().received(), StartsWith("GET / "));
    s.upstream().sends(ok("x"));
    EXPECT_THAT(slow.take(), EndsWith("x"));
    slow.sends("GET / HTTP/1.1\r\nHo");
    s.advance(10s);
    EXPECT_THAT(slow.received(), StartsWith("HTTP/1.1 408 "));
}

TEST(Clients, ABodyThatTricklesIsNoProgress) {
    for (bool chunked : {false, true}) {
        Scenario s;
        auto& slow = s.client();
        slow.sends(std::string("POST / HTTP/1.1\r\nHost: a\r\n") +
                   (chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "Content-Length: 200000\r\n\r\n"));
        auto const piece = [&](std::string_view content) {
            slow.sends(chunked ? chunk(content) : std::string(content));
        };
        // 16 KiB in a minute are enough, for as long as it takes.
        for (int i = 0; i < 12; ++i) {
            s.advance(20s);
            piece(std::string(9'000, 'x'));
        }
        EXPECT_EQ(slow.received(), "");
        for (int i = 0; i < 3; ++i) {
            EXPECT_EQ(slow.received(), "");
            s.advance(20s);
            if (i < 2) piece("x");
        }
        EXPECT_THAT(slow.received(), StartsWith("HTTP/1.1 408 ")) << "a byte every 20 s is not";
        EXPECT_EQ(field(slow.received(), "X-Ocgate-Error"), "client request_body timed_out");
        EXPECT_TRUE(s.upstream().closed());
    }
}

TEST(Clients, TheUpstreamsSlownessIsNotTheClients) {
    Scenario::Options options;
    options.capacity = 1024;
    Scenario s(options);
    auto& client = s.client();
    client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12000\r\n\r\n" + std::string(8'000, 'x'));
    auto& upstream = s.upstream();
    auto const takes_all = [&] {
        while (!upstream.sip(1024).empty()) {
        }
    };
    s.advance(30s);  // the client's own
    upstream.stops_reading();
    client.sends(std::string(3'000, 'x'));
    s.advance(40s);  // the upstream's
    takes_all();
    s.advance(29s);
    EXPECT_EQ(client.received(), "");
    client.sends(std::string(1'000, 'x'));
    takes_all();
    upstream.sends(ok("x"));
    EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 200 "));
}

TEST(Clients, WithoutDescriptorsTheUpstreamIsNotBlamed) {
    Scenario s;
    s.dialing_fails({EMFILE, boost::system::system_category()});
    s.client().sends(get("/"));
    EXPECT_THAT(s.client().take(), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("gateway dial too_many"),
                                         HasSubstr("This gateway is at its limit.")));
    EXPECT_EQ(s.notebook().live().failed.value(), 0u);
    EXPECT_EQ(s.notebook().exchanges.at(0).failure.side, Side::gateway);
    auto& idle = s.connects();
    s.advance(1s);
    s.client().sends(get("/"));
    EXPECT_THAT(s.client().take(), StartsWith("HTTP/1.1 503 "));
    EXPECT_TRUE(idle.closed()) << "who asks for nothing lends its descriptor";
    s.dialing_fails(boost::asio::error::connection_refused);
    s.client().sends(get("/"));
    EXPECT_THAT(s.client().take(), HasSubstr("upstream dial refused"));
    EXPECT_EQ(s.notebook().live().failed.value(), 1u);
}

}  // namespace
}  // namespace ocgate::test
