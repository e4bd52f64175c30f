// The access log: one line for each request, with where its time went, and never what is not to be read by others.
#include "own_page.hpp"
#include "watched.hpp"

namespace ocgate::test {
namespace {

using nlohmann::json;

constexpr std::string_view traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(AccessLog, FollowsARequestThroughItsTrace) {
    Watched w;
    w.s.client().sends(
        get("/session", "traceparent: " + std::string(traceparent) + "\r\ntracestate: rojo=1\r\nCF-Ray: 8a1-FRA\r\n"));
    auto const forwarded = w.s.upstream().take();
    EXPECT_EQ(field(forwarded, "traceparent"), traceparent);
    EXPECT_EQ(field(forwarded, "tracestate"), "rojo=1");
    EXPECT_EQ(field(forwarded, "CF-Ray"), "8a1-FRA");
    w.s.upstream().sends(ok("[]"));
    auto const answer = w.s.client().take();
    auto entries = w.entries();
    ASSERT_EQ(entries.size(), 1u);
    EXPECT_EQ(entries[0]["traceparent"], traceparent);
    EXPECT_EQ(entries[0]["cf_ray"], "8a1-FRA");
    EXPECT_EQ(entries[0]["request_id"], field(answer, "X-Request-Id"));
    EXPECT_EQ(entries[0]["route"], "/session");
    EXPECT_EQ(entries[0]["upstream_reused"], false);
}

TEST(AccessLog, ATraceOutlivesItsHead) {
    Watched w;  // the line of a stream is written when its head is long gone
    w.s.client().sends(get("/event", "traceparent: " + std::string(traceparent) + "\r\nCF-Ray: 8a1-FRA\r\n"));
    w.s.upstream().sends(stream_head);
    w.s.client().sends(pattern(3000));
    w.s.advance(1h);
    w.s.client().ends();
    auto entries = w.entries();
    ASSERT_EQ(entries.size(), 1u);
    EXPECT_EQ(entries[0]["traceparent"], traceparent);
    EXPECT_EQ(entries[0]["cf_ray"], "8a1-FRA");
    EXPECT_EQ(entries[0]["stream"], "event_stream");
}

/// Takes 50 ms to hash a password.
class SlowDoor final : public proxy::Gatekeeper {
public:
    explicit SlowDoor(FakeClock*& clock) : clock_(clock) {}
    bool trusts(std::string_view) override { return false; }
    proxy::Decision consider(proxy::Visit const&) override { return {}; }
    rt::Task<proxy::Decision> verify(proxy::Visit const&) override {
        co_await rt::pause();
        clock_->move_to(clock_->now() + 50ms);
        proxy::Decision decision;
        decision.kind = proxy::Decision::Kind::admitted;
        co_return decision;
    }
    bool watches(proxy::Visit const&) override { return false; }
    void saw_answer(std::string_view, unsigned, std::string_view, std::string_view) override {}

private:
    FakeClock*& clock_;
};

TEST(AccessLog, TellsWhereTheTimeWent) {
    FakeClock* clock = nullptr;
    Scenario::Options options;
    options.gatekeeper = std::make_shared<SlowDoor>(clock);
    Watched w(options);
    clock = &w.s.clock();
    w.s.client().sends(get("/hashed"));
    w.s.advance(200ms);
    w.s.upstream().sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    w.s.advance(30ms);
    w.s.upstream().sends("[]");
    auto entries = w.entries();
    ASSERT_EQ(entries.size(), 1u);
    EXPECT_EQ(entries[0]["admission_ms"], 50);
    EXPECT_EQ(entries[0]["first_byte_ms"], 250);
    EXPECT_EQ(entries[0]["duration_ms"], 280);
    EXPECT_FALSE(entries[0].contains("dial_ms")) << "which took no time here";
}

TEST(AccessLog, TellsTheTimeOfADialThatWasMade) {
    Watched w;
    w.s.upstream_hangs();
    w.s.client().sends(get("/1"));
    w.s.advance(2s);
    w.s.upstream_accepts();
    w.s.client().sends(get("/2"));
    w.s.upstream().sends(ok(""));
    w.s.client().sends(get("/3"));
    w.s.upstream().sends(ok(""));
    auto entries = w.entries();
    ASSERT_EQ(entries.size(), 3u);
    EXPECT_EQ(entries[0]["dial_ms"], 2000);
    EXPECT_EQ(entries[0]["failure"], "upstream dial timed_out");
    EXPECT_EQ(entries[0]["status"], 503);
    EXPECT_EQ(entries[1]["upstream_reused"], false);
    EXPECT_FALSE(entries[2].contains("dial_ms"));
    EXPECT_EQ(entries[2]["upstream_reused"], true);
    for (auto const& entry : entries) EXPECT_FALSE(entry.contains("admission_ms")) << "nothing was hashed";
}

TEST(AccessLog, OfOrdinaryRequestsASampleIsEnough) {
    Watched w({}, {.sample = 0.25});
    constexpr int asked = 400;
    for (int i = 0; i < asked; ++i) {
        w.s.client().sends(get("/session"));
        w.s.upstream().sends(ok("[]"));
        w.s.client().take();
    }
    w.s.client().sends(get("/missing"));
    w.s.upstream().sends("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    w.s.client().sends(get("/event"));
    w.s.upstream().sends(stream_head);
    w.s.client().ends();
    auto const left_out = w.value("ocgate_log_lines_sampled_out_total");
    int ordinary = 0, others = 0;
    for (auto const& entry : w.entries()) ++(entry["path"] == "/session" ? ordinary : others);
    EXPECT_EQ(others, 2);
    EXPECT_EQ(ordinary + left_out, asked);
    EXPECT_NEAR(ordinary, 100, 35);  // four times the deviation
}

TEST(AccessLog, HoldsNothingThatOpensADoor) {
    auto const secret = [](std::string_view where) { return "s3cret-" + std::string(where); };
    auto const fields = [&](std::string_view of) {
        return "Authorization: Basic " + secret(of) + "\r\nCookie: session=" + secret(of) +
               "\r\nProxy-Authorization: Basic " + secret(of) + "\r\nReferer: http://a/?auth_token=" + secret(of) +
               "\r\nOrigin: http://" + secret(of) + "\r\nX-Api-Key: " + secret(of) + "\r\nX-Request-Id: " + secret(of) +
               "\r\nX-Forwarded-For: " + secret(of) + "\r\nSec-WebSocket-Protocol: " + secret(of) + "\r\n";
    };
    auto const target = [&](std::string_view path, std::string_view of) {
        return std::string(path) + "?auth_token=" + secret(of) + "&ticket=" + secret(of);
    };
    auto const book = std::make_shared<Book>();
    Scenario::Options options;
    options.pages = book;
    options.limits.request.target_bytes = 512;
    Watched w(options, {.level = ops::LogLevel::debug});
    auto& s = w.s;
    // What is answered, with a cookie for the client.
    s.client().sends(get(target("/session", "rest"), fields("rest")));
    s.upstream().sends(ok(secret("answer"), "Set-Cookie: session=" + secret("cookie") +
                                                "\r\nLocation: /?t=" + secret("location") + "\r\n"));
    // Content.
    s.client().sends(post(target("/session/ses_1/message", "upload"), secret("content"), fields("upload")));
    s.upstream().sends("HTTP/1.1 500 " + secret("reason") + "\r\nContent-Length: 0\r\n\r\n");
    // A page of the gateway's own.
    s.client().sends(get(target("/_ocgate/pending", "page"), fields("page")));
    // An upstream that goes wrong.
    s.client().sends(get(target("/bad", "bad"), fields("bad")));
    s.upstream().sends("HTTP/9.9 " + secret("version") + "\r\n\r\n");
    // Who is not let in.
    s.door().refuses = proxy::Refusal{{Side::client, Step::admission, Reason::unauthorized}, "no", true};
    s.connects().sends(get(target("/pty/pty_1/connect", "refused"), fields("refused")));
    s.door().refuses.reset();
    // Heads that are none: whole, and broken off.
    s.connects().sends("GET " + target("/", "malformed") + " HTTP/1.1\r\nHost: a\r\nHost: b\r\n" + fields("malformed") +
                       "\r\n");
    s.connects().sends(get("/" + secret("long") + std::string(600, 'x'), fields("long")));
    auto& broken = s.connects();
    broken.sends("GET " + target("/", "broken") + " HTTP/1.1\r\n" + fields("broken"));
    broken.ends();
    // Streams.
    auto& events = s.connects();
    events.sends(get(target("/event", "events"), fields("events")));
    s.upstream(s.upstreams() - 1).sends(std::string(stream_head) + chunk("data: " + secret("event") + "\n\n"));
    auto& terminal = s.connects();
    terminal.sends(get(target("/pty/pty_1/connect", "terminal"),
                       "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
                           fields("terminal")));
    s.upstream(s.upstreams() - 1)
        .sends(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    EXPECT_EQ(s.notebook().streams_open, 2);
    terminal.sends("\x81\x85" + secret("typed"));
    terminal.ends();
    events.ends();
    auto const exposition = w.metrics.exposition(w.health, *w.log);
    EXPECT_THAT(exposition, Not(HasSubstr("s3cret")));

    auto const lines = w.lines();
    EXPECT_EQ(lines.size(), 10u);
    for (auto const& line : lines) {
        EXPECT_THAT(line, Not(HasSubstr("s3cret")));
        EXPECT_THAT(line, Not(HasSubstr("?")));
        EXPECT_THAT(line, Not(HasSubstr("ticket=")));
        EXPECT_THAT(line, Not(HasSubstr("dGhlIHNhbXBsZSBub25jZQ")));
        EXPECT_THAT(line, Not(HasSubstr("dXA6c3RyZWFt"))) << "the upstream's own credential";
    }
}

}  // namespace
}  // namespace ocgate::test
