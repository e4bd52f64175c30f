// What an operator reads in the metrics is what happened, to the byte, and while it happens.
#include <random>
#include <set>

#include "watched.hpp"

namespace ocgate::test {
namespace {

std::string bytes(std::string_view side, std::string_view direction) {
    return "ocgate_bytes_total{side=\"" + std::string(side) + "\",direction=\"" + std::string(direction) + "\"}";
}
std::string stream_bytes(std::string_view kind, std::string_view direction) {
    return "ocgate_stream_bytes_total{kind=\"" + std::string(kind) + "\",direction=\"" + std::string(direction) + "\"}";
}
std::string requests(std::string_view result) {
    return "ocgate_upstream_requests_total{result=\"" + std::string(result) + "\"}";
}
constexpr auto events = "event_stream";
constexpr auto websocket = "websocket";
constexpr auto client_pressure = R"(ocgate_backpressure_seconds_total{side="client"})";
constexpr auto upstream_pressure = R"(ocgate_backpressure_seconds_total{side="upstream"})";

/// What the test itself has sent and received, to be compared with what was counted.
struct Ledger {
    explicit Ledger(Watched& watched) : w(watched) {}
    void client_sends(std::string const& text) {
        received += static_cast<double>(text.size());
        w.s.client().sends(text);
    }
    void upstream_sends(std::string const& text) {
        upstream_received += static_cast<double>(text.size());
        w.s.upstream().sends(text);
    }
    void check() {
        sent += static_cast<double>(w.s.client().take().size());
        if (w.s.upstreams() > 0) upstream_sent += static_cast<double>(w.s.upstream().take().size());
        auto const read = w.scrape();
        EXPECT_EQ(read.value(bytes("client", "received")), received);
        EXPECT_EQ(read.value(bytes("client", "sent")), sent);
        EXPECT_EQ(read.value(bytes("upstream", "received")), upstream_received);
        EXPECT_EQ(read.value(bytes("upstream", "sent")), upstream_sent);
    }
    Watched& w;
    double received = 0, sent = 0, upstream_received = 0, upstream_sent = 0;
};

TEST(MetricsOfTraffic, BytesAreCountedWhileConnectionsAreKeptAlive) {
    Watched w;
    Ledger ledger(w);
    ledger.check();
    for (int i = 0; i < 3; ++i) {
        ledger.client_sends(post("/session", pattern(1000)));
        ledger.check();
        ledger.upstream_sends(ok(pattern(5000)));
        ledger.check();
        EXPECT_EQ(w.value(R"(ocgate_open_connections{side="client"})"), 1);
        EXPECT_EQ(w.value(R"(ocgate_open_connections{side="upstream"})"), 1);
    }
    EXPECT_GT(ledger.upstream_sent, 3000);
    ledger.client_sends("GET ");  // a head that is not whole yet
    ledger.check();
    w.s.client().ends();
    ledger.check();
    EXPECT_EQ(w.value(R"(ocgate_connections_total{side="client"})"), 1);
}

TEST(MetricsOfTraffic, LargeContentIsCountedOnceHoweverItPasses) {
    Scenario::Options options;
    options.capacity = ~std::size_t{0};
    Watched w(options);
    Ledger ledger(w);
    ledger.client_sends(post("/file", pattern(700'000)));
    ledger.upstream_sends(ok(pattern(3'000'000)));
    ledger.check();
    EXPECT_EQ(w.value("ocgate_http_request_size_bytes_sum"), 700'000);
    EXPECT_EQ(w.value("ocgate_http_response_size_bytes_sum"), 3'000'000);
    EXPECT_EQ(w.value(R"(ocgate_http_response_size_bytes_bucket{le="1048576"})"), 0);
    EXPECT_EQ(w.value(R"(ocgate_http_response_size_bytes_bucket{le="4194304"})"), 1);
}

TEST(MetricsOfTraffic, AnOpenEventStreamIsCountedAsItFlows) {
    Watched w;
    Ledger ledger(w);
    ledger.client_sends(get("/global/event"));
    ledger.upstream_sends(std::string(stream_head));
    ledger.check();
    EXPECT_EQ(w.value(stream_bytes(events, "to_client")), 0);
    double content = 0;
    for (int i = 1; i <= 5; ++i) {
        auto const event = "data: " + std::string(static_cast<std::size_t>(i) * 100, 'x') + "\n\n";
        ledger.upstream_sends(chunk(event));
        content += static_cast<double>(event.size());
        EXPECT_EQ(w.value(stream_bytes(events, "to_client")), content);
        ledger.check();
    }
    w.s.advance(15s);  // the gateway's own comment is on the wire, and no content
    ledger.check();
    auto read = w.scrape();
    EXPECT_EQ(read.value(stream_bytes(events, "to_client")), content);
    EXPECT_EQ(read.value(R"(ocgate_streams_open{kind="event_stream"})"), 1);
    EXPECT_EQ(read.value("ocgate_http_requests_in_flight"), 1);
    EXPECT_EQ(read.value(requests("answered")), 1) << "told with the head, not with the end";
    EXPECT_EQ(read.total("ocgate_http_requests_total"), 0);
    ledger.upstream_sends(std::string(last_chunk));
    ledger.check();
    read = w.scrape();
    EXPECT_EQ(read.value(R"(ocgate_stream_closed_total{kind="event_stream",reason="none"})"), 1);
    EXPECT_EQ(read.value(R"(ocgate_stream_duration_seconds_sum{kind="event_stream"})"), 15);
    EXPECT_EQ(read.value("ocgate_http_response_size_bytes_count"), 0) << "streams have figures of their own";
    EXPECT_EQ(read.value(R"(ocgate_http_requests_total{route="/global/event",method="GET",code="200"})"), 1);
    EXPECT_EQ(static_cast<double>(w.s.notebook().exchanges.at(0).response_bytes), content);
}

constexpr std::string_view handshake_fields =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
constexpr std::string_view switching =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

TEST(MetricsOfTraffic, AnOpenTerminalIsCountedBothWays) {
    Watched w;
    Ledger ledger(w);
    ledger.client_sends(get("/pty/pty_1/connect", handshake_fields));
    ledger.upstream_sends(std::string(switching));
    ledger.client_sends("\x81\x02ls");
    ledger.upstream_sends(
        "\x81\x05"
        "a.txt");
    ledger.client_sends("\x81\x03xyz");
    ledger.check();
    auto const read = w.scrape();
    EXPECT_EQ(read.value(stream_bytes(websocket, "to_upstream")), 9);
    EXPECT_EQ(read.value(stream_bytes(websocket, "to_client")), 7);
    EXPECT_EQ(read.value(R"(ocgate_streams_open{kind="websocket"})"), 1);
    w.s.client().ends();
    EXPECT_EQ(w.value(R"(ocgate_stream_closed_total{kind="websocket",reason="none"})"), 1);
    EXPECT_EQ(w.value("ocgate_http_request_size_bytes_count"), 0);
}

TEST(MetricsOfTraffic, AStalledReaderPressesUntilItIsCut) {
    Scenario::Options options;
    options.capacity = 4096;
    Watched w(options);
    w.s.client().sends(get("/event"));
    w.s.upstream().sends(stream_head);
    w.s.client().take();
    w.s.client().stops_reading();
    w.s.upstream().sends(chunk("data: " + std::string(20'000, 'x') + "\n\n"));
    EXPECT_EQ(w.value(client_pressure), 0);
    w.s.advance(4'999ms);
    EXPECT_EQ(w.value(client_pressure), 0);
    w.s.advance(1ms);
    EXPECT_EQ(w.value(client_pressure), 5) << "seen while it lasts";
    w.s.advance(14s);
    EXPECT_EQ(w.value(client_pressure), 15);
    w.s.advance(1h);
    auto const read = w.scrape();
    EXPECT_EQ(read.value(client_pressure), 30);
    EXPECT_EQ(read.value(upstream_pressure), 0);
    EXPECT_EQ(read.value(R"(ocgate_stream_closed_total{kind="event_stream",reason="stalled"})"), 1);
    EXPECT_EQ(read.value(R"(ocgate_errors_total{side="client",step="event_stream",reason="stalled"})"), 1);
}

TEST(MetricsOfTraffic, ATerminalThatIsHeldBackPressesForAsLongAsItIs) {
    Scenario::Options options;
    options.capacity = 4096;
    Watched w(options);
    w.s.client().sends(get("/pty/pty_1/connect", handshake_fields));
    w.s.upstream().sends(switching);
    w.s.client().take();
    w.s.client().stops_reading();
    w.s.upstream().sends(pattern(20'000));
    w.s.advance(1h);
    EXPECT_EQ(w.value(client_pressure), 3600);
    auto const before = w.value(stream_bytes(websocket, "to_client"));
    EXPECT_EQ(before, 4096);
    w.s.client().sip(4096);
    EXPECT_EQ(w.value(stream_bytes(websocket, "to_client")), 2 * before);
    w.s.advance(2s);
    w.s.client().sip(4096);
    EXPECT_EQ(w.value(client_pressure), 3602) << "to the moment, once there is room";
}

TEST(MetricsOfTraffic, AnUpstreamThatDoesNotReadPressesOnItsSide) {
    Scenario::Options options;
    options.capacity = 4096;
    Watched w(options);
    w.s.client().sends("PUT /file HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n");
    w.s.upstream().take();
    w.s.upstream().stops_reading();
    w.s.client().sends(pattern(20'000));
    w.s.advance(12s);
    EXPECT_EQ(w.value(upstream_pressure), 10);
    w.s.advance(1h);
    EXPECT_EQ(w.value(upstream_pressure), 60) << "idle_body ends it";
    EXPECT_EQ(w.value(client_pressure), 0);
}

TEST(MetricsOfTraffic, TellsWhatBecameOfRequestsForTheUpstream) {
    Watched w;
    w.s.client().sends(get("/1"));
    EXPECT_EQ(w.value(requests("answered")), 0);
    w.s.upstream(0).sends(ok("1"));
    EXPECT_EQ(w.value(requests("answered")), 1);
    w.s.client().sends(get("/2"));
    w.s.upstream(0).ends();  // the pooled connection was dead: another one
    w.s.upstream(1).sends(ok("2"));
    auto read = w.scrape();
    EXPECT_EQ(read.value(requests("answered")), 2);
    EXPECT_EQ(read.value(requests("retried")), 1);
    EXPECT_EQ(read.value(requests("failed")), 0);
    w.s.client().sends(get("/3"));
    w.s.upstream(1).sends("HTTP/1.1 2");
    w.s.upstream(1).ends();
    EXPECT_EQ(w.value(requests("failed")), 1);
    w.s.upstream_refuses();
    auto& second = w.s.connects();
    second.sends(get("/4"));
    EXPECT_EQ(w.value(requests("failed")), 2) << "who cannot be dialed does not answer either";
    w.s.upstream_accepts();
    auto& third = w.s.connects();
    third.sends(get("/5"));
    third.ends();
    read = w.scrape();
    EXPECT_EQ(read.value(requests("answered")), 2);
    EXPECT_EQ(read.value(requests("failed")), 2) << "who leaves is not the upstream's failure";
    EXPECT_EQ(read.value(requests("retried")), 1);
    EXPECT_EQ(read.value(R"(ocgate_upstream_connections_total{result="dialed"})"), 3);
    EXPECT_EQ(read.value(R"(ocgate_upstream_connections_total{result="reused"})"), 2);
    EXPECT_EQ(read.value(R"(ocgate_upstream_connections_total{result="failed"})"), 1);
    EXPECT_EQ(read.value(R"(ocgate_http_requests_total{route="ui",method="GET",code="499"})"), 1);
}

TEST(MetricsOfTraffic, TellsHowManyConnectionsWaitInThePool) {
    Watched w;
    constexpr auto idle = "ocgate_upstream_idle_connections";
    EXPECT_EQ(w.value(idle), 0);
    w.s.client().sends(get("/1"));
    EXPECT_EQ(w.value(idle), 0);
    auto& second = w.s.connects();
    second.sends(get("/2"));
    w.s.upstream(0).sends(ok("1"));
    EXPECT_EQ(w.value(idle), 1);
    w.s.upstream(1).sends(ok("2"));
    EXPECT_EQ(w.value(idle), 2);
    second.sends(get("/3"));
    EXPECT_EQ(w.value(idle), 1);
    w.s.upstream(1).sends(ok("3"));
    EXPECT_EQ(w.value(idle), 2);
    w.s.upstream(0).ends();
    EXPECT_EQ(w.value(idle), 1) << "one that has left is gone at once";
    w.s.advance(60s);
    EXPECT_EQ(w.value(idle), 0) << "and so is one that waited too long";
}

/// Lets everyone in, each time as somebody else.
class Crowd final : public proxy::Gatekeeper {
public:
    bool trusts(std::string_view) override { return true; }
    proxy::Decision consider(proxy::Visit const&) override {
        proxy::Decision decision;
        decision.kind = proxy::Decision::Kind::admitted;
        decision.user = "user-" + std::to_string(++count_);
        decision.client_address = "2001:db8::" + std::to_string(count_);
        return decision;
    }
    rt::Task<proxy::Decision> verify(proxy::Visit const& visit) override { co_return consider(visit); }
    bool watches(proxy::Visit const&) override { return false; }
    void saw_answer(std::string_view, unsigned, std::string_view, std::string_view) override {}

private:
    unsigned count_ = 0;
};

class Chance {
public:
    std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(dice_); }
    std::string word(std::size_t longest, std::string_view letters) {
        std::string text(1 + below(longest), ' ');
        for (auto& c : text) c = letters[below(letters.size())];
        return text;
    }

private:
    std::mt19937 dice_{17};
};

constexpr std::string_view path_letters = "abcXYZ019-._~!$&'()*+,;=:@/";

/// A path of opencode's with other ids in it, or any path at all.
std::string some_path(Chance& chance) {
    auto const& names = opencode::route_names();
    if (chance.below(2) == 0) {
        std::string path = "/";
        for (auto rest = chance.below(5); rest > 0; --rest) path += chance.word(12, path_letters) + "/";
        return path + "?model=" + chance.word(10, "abc/-019");
    }
    auto const& name = names[1 + chance.below(names.size() - 1)];
    std::string path;
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (name[i] == '{') {
            path += chance.word(20, "abcXYZ019_");
            i = name.find('}', i);
        } else {
            path += name[i] == '*' ? 'x' : name[i];
        }
    }
    return path;
}

TEST(MetricsOfTraffic, TenThousandOfEverythingStayWithinTheBound) {
    ASSERT_LE(opencode::route_names().size() + 2, 170u) << "the bound is stated for so many";
    Scenario::Options options;
    options.gatekeeper = std::make_shared<Crowd>();
    Watched w(options, {.level = ops::LogLevel::off});
    Chance chance;
    auto const series = [&] {
        std::set<std::string> names;
        for (auto const& [name, value] : w.scrape().samples) names.insert(name);
        return names;
    };
    auto const idle = series().size();
    constexpr double asked = 10'000;
    for (int i = 0; i < asked; ++i) {
        auto const known = chance.below(2) == 0;
        auto const method = known ? std::string(std::array{"GET", "POST", "PUT", "PATCH", "DELETE"}[chance.below(5)])
                                  : chance.word(8, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        auto const target = some_path(chance);
        w.s.client().sends(method + " " + target + " HTTP/1.1\r\nHost: " + chance.word(9, "abc.019") +
                           "\r\nUser-Agent: " + chance.word(30, "abc/.019") +
                           "\r\nX-Request-Id: " + chance.word(30, "abc019") + "\r\n\r\n");
        w.s.upstream().take();
        auto const status = 200 + chance.below(400);
        w.s.upstream().sends("HTTP/1.1 " + std::to_string(status == 401 ? 402 : status) +  // 401: our own credential's
                             " X\r\nContent-Length: 0\r\n\r\n");
        ASSERT_THAT(w.s.client().take(), StartsWith("HTTP/1.1 ")) << method << ' ' << target;
        ASSERT_EQ(w.s.upstreams(), 1u) << method << ' ' << target;
    }
    auto const all = series();
    EXPECT_LE(all.size(), ops::max_traffic_series);
    EXPECT_EQ(w.scrape().total("ocgate_http_requests_total"), asked);
    for (auto const& name : all) {
        EXPECT_THAT(name, Not(HasSubstr("user-"))) << "a user";
        EXPECT_THAT(name, Not(HasSubstr("2001:db8"))) << "an address";
    }
    RecordProperty("idle_series", static_cast<int>(idle));
    RecordProperty("busy_series", static_cast<int>(all.size()));
    std::printf("%zu series idle, %zu after 10,000 random requests\n", idle, all.size());
}

}  // namespace
}  // namespace ocgate::test
