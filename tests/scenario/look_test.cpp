// Where every exchange stands, asked while it stands there.
#include "own_page.hpp"

namespace ocgate::test {
namespace {
using proxy::First;
using proxy::Stage;
using ::testing::ElementsAre;

proxy::ExchangeView only(Scenario& s) {
    s.settle();
    auto const view = s.shard().look(10);
    std::size_t counted = 0;
    for (auto const n : view.at) counted += n;
    EXPECT_EQ(counted, 1u);
    if (view.exchanges.size() != 1) {
        ADD_FAILURE() << view.exchanges.size() << " exchanges";
        return {};
    }
    auto const& one = view.exchanges[0];
    EXPECT_EQ(view.at[static_cast<std::size_t>(one.stage)], 1u);
    return one;
}

/// Hashes until the test lets it.
class SlowDoor final : public proxy::Gatekeeper {
public:
    bool trusts(std::string_view) override { return false; }
    proxy::Decision consider(proxy::Visit const& visit) override {
        proxy::Decision decision;
        decision.client_address = visit.peer;
        return decision;
    }
    rt::Task<proxy::Decision> verify(proxy::Visit const&) override {
        co_await hashed.wait();
        proxy::Decision decision;
        decision.kind = proxy::Decision::Kind::admitted;
        decision.user = "alice";
        co_return decision;
    }
    bool watches(proxy::Visit const&) override { return false; }
    void saw_answer(std::string_view, unsigned, std::string_view, std::string_view) override {}
    rt::Signal hashed;
};

TEST(Look, SeesAPasswordBeingHashedThenTheWaitAndWhoItIs) {
    Scenario::Options options;
    auto const door = std::make_shared<SlowDoor>();
    options.gatekeeper = door;
    Scenario s(options);
    s.client().sends(get("/session?directory=/secret"));
    s.advance(3s);
    auto one = only(s);
    EXPECT_EQ(one.stage, Stage::admission);
    EXPECT_EQ(one.awaited, Side::gateway);
    EXPECT_EQ(one.age, 3s);
    EXPECT_EQ(one.user, "");
    door->hashed.notify();
    one = only(s);
    EXPECT_EQ(one.stage, Stage::waiting);
    EXPECT_EQ(one.awaited, Side::upstream);
    EXPECT_EQ(one.method, "GET");
    EXPECT_EQ(one.path, "/session") << "without query";
    EXPECT_EQ(one.user, "alice");
    EXPECT_EQ(one.client_address, "192.0.2.7");
    EXPECT_EQ(one.request_id, field(s.upstream().take(), "X-Request-Id"));
    s.upstream().sends(ok("x"));
    EXPECT_TRUE(s.shard().look(10).exchanges.empty());
}

TEST(Look, SeesADial) {
    Scenario s;
    s.upstream_hangs();
    s.client().sends(get("/session"));
    s.advance(1s);
    auto const one = only(s);
    EXPECT_EQ(one.stage, Stage::dial);
    EXPECT_EQ(one.awaited, Side::upstream);
    EXPECT_EQ(one.age, 1s);
    EXPECT_EQ(s.shard().look(10).upstreams_in_use, 0u);
}

TEST(Look, SeesAnUploadAndWhoHoldsItUp) {
    Scenario::Options options;
    options.capacity = 1024;
    Scenario s(options);
    s.client().sends("POST /session/1/message HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\nabc");
    auto one = only(s);
    EXPECT_EQ(one.stage, Stage::request_body);
    EXPECT_EQ(one.awaited, Side::client);
    EXPECT_EQ(one.request_bytes, 3u);
    EXPECT_EQ(one.stalled, std::nullopt);
    s.upstream().stops_reading();
    for (int i = 0; i < 10; ++i) s.client().sends(std::string(1000, 'x'));
    s.advance(7s);
    one = only(s);
    EXPECT_EQ(one.stage, Stage::request_body);
    EXPECT_EQ(one.awaited, Side::upstream);
    EXPECT_EQ(one.stalled, 7s);
    auto const stuck_at = one.request_bytes;
    s.upstream().sip(500);
    EXPECT_GE(only(s).request_bytes, stuck_at);
    s.advance(1s);
    EXPECT_EQ(only(s).stalled, 1s) << "it took something a second ago";
}

TEST(Look, SeesAnAnswerAndAClientThatDoesNotTakeIt) {
    Scenario::Options options;
    options.capacity = 1024;
    Scenario s(options);
    s.client().sends(get("/file"));
    s.upstream().sends(std::string(chunked_head) + chunk("abc"));
    auto one = only(s);
    EXPECT_EQ(one.stage, Stage::response);
    EXPECT_EQ(one.awaited, Side::upstream);
    EXPECT_EQ(one.response_bytes, 3u);
    s.client().stops_reading();
    for (int i = 0; i < 6; ++i) s.upstream().sends(chunk(std::string(500, 'x')));
    s.advance(2s);
    one = only(s);
    EXPECT_EQ(one.stage, Stage::response);
    EXPECT_EQ(one.awaited, Side::client);
    EXPECT_EQ(one.stalled, 2s);
    EXPECT_GE(one.response_bytes, 503u);
}

TEST(Look, SeesAnEventStreamForAsLongAsItFlows) {
    Scenario::Options options;
    options.capacity = 1024;
    Scenario s(options);
    s.client().sends(get("/event"));
    s.upstream().sends(std::string(stream_head) + chunk("data: 1\n\n"));
    s.advance(3600s);
    auto one = only(s);
    EXPECT_EQ(one.stage, Stage::event_stream);
    EXPECT_EQ(one.awaited, Side::upstream);
    EXPECT_EQ(one.age, 3600s);
    EXPECT_EQ(one.response_bytes, 9u) << "without our own comments";
    EXPECT_EQ(one.path, "/event");
    EXPECT_EQ(s.shard().look(0).at[static_cast<std::size_t>(Stage::event_stream)], 1u) << "also when none is listed";
    s.client().stops_reading();
    for (int i = 0; i < 4; ++i) s.upstream().sends(chunk("data: " + std::string(500, 'x') + "\n\n"));
    s.advance(10s);
    one = only(s);
    EXPECT_EQ(one.awaited, Side::client);
    EXPECT_EQ(one.stalled, 10s);
}

TEST(Look, SeesATunnel) {
    Scenario s;
    s.client().sends(get("/pty/1/connect",
                         "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
    EXPECT_EQ(only(s).stage, Stage::waiting);
    s.upstream().sends(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    auto one = only(s);
    EXPECT_EQ(one.stage, Stage::tunnel);
    EXPECT_EQ(one.awaited, std::nullopt) << "either may speak";
    s.client().sends("\x81\x83xyzabc");
    s.upstream().sends("\x81\x05hello");
    one = only(s);
    EXPECT_EQ(one.request_bytes, 8u);
    EXPECT_EQ(one.response_bytes, 7u);
    EXPECT_EQ(one.path, "/pty/1/connect");
}

TEST(Look, SeesAnOwnPage) {
    Reader r;
    r.book->thinks = true;
    r.s.client().sends(get("/_ocgate/status"));
    auto const one = only(r.s);
    EXPECT_EQ(one.stage, Stage::page);
    EXPECT_EQ(one.awaited, Side::gateway);
    r.book->done.notify();
}

TEST(Look, CountsConnectionsAndListsTheOldestOrTheNewest) {
    Scenario s;
    s.client().sends(get("/first"));
    s.advance(1s);
    s.connects().sends(get("/second"));
    s.advance(1s);
    s.connects().sends(get("/third"));
    auto& idle = s.connects();
    idle.sends(get("/gone"));
    s.upstream(3).sends(ok("12345"));
    s.connects();
    auto const paths = [&](std::size_t most, First first) {
        std::vector<std::string> found;
        for (auto const& one : s.shard().look(most, first).exchanges) found.push_back(one.path);
        return found;
    };
    EXPECT_THAT(paths(2, First::oldest), ElementsAre("/first", "/second"));
    EXPECT_THAT(paths(2, First::newest), ElementsAre("/third", "/second"));
    EXPECT_THAT(paths(100, First::oldest), ElementsAre("/first", "/second", "/third"));
    auto const view = s.shard().look(0);
    EXPECT_EQ(view.connections, 5u);
    EXPECT_EQ(view.idle, 2u);
    EXPECT_EQ(view.at[static_cast<std::size_t>(Stage::waiting)], 3u);
    EXPECT_EQ(view.upstreams_in_use, 3u);
    EXPECT_EQ(view.upstreams_idle, 1u);
    EXPECT_EQ(view.requests, 4u);
    EXPECT_EQ(view.response_bytes, 5u);
}

TEST(Look, AddsUpWhatHasPassed) {
    Scenario s;
    s.client().sends(post("/a", "12345678"));
    s.upstream().take();
    s.upstream().sends(ok("abc"));
    s.client().sends("POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n1234");
    auto const view = s.shard().look(10);
    EXPECT_EQ(view.requests, 2u);
    EXPECT_EQ(view.request_bytes, 12u);
    EXPECT_EQ(view.response_bytes, 3u);
}

}  // namespace
}  // namespace ocgate::test
