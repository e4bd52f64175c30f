// Who hears of what people change.
#include "own_page.hpp"

namespace ocgate::test {
namespace {

using ::testing::ElementsAre;

TEST(Witness, HearsOfWhatIsChangedAndOfNothingElse) {
    Reader r;
    for (auto const* line : {"GET /session", "HEAD /session", "OPTIONS /session"}) {
        r.s.client().sends(std::string(line) + " HTTP/1.1\r\nHost: a\r\n\r\n");
        r.s.upstream().take();
        r.s.upstream().sends("HTTP/1.1 204 No Content\r\n\r\n");
        EXPECT_THAT(r.s.client().take(), StartsWith("HTTP/1.1 204 "));
    }
    r.asks(get("/_ocgate/pending"));
    EXPECT_TRUE(r.ear->heard.empty());
    for (auto const* method : {"POST", "PUT", "PATCH", "DELETE"}) {
        r.ear->heard.clear();
        auto const name = std::string(method);
        r.s.client().sends(name + " /session/1?directory=/a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
        EXPECT_THAT(r.ear->heard, ElementsAre("> " + name + " /session/1?directory=/a "))
            << "before the upstream has answered, or content is there";
        r.s.client().sends("{}");
        r.s.upstream().take();
        r.s.upstream().sends(ok("x"));
        EXPECT_THAT(r.ear->heard,
                    ElementsAre("> " + name + " /session/1?directory=/a ", "< " + name + " /session/1  200"));
        EXPECT_THAT(r.s.client().take(), EndsWith("x"));
    }
}

TEST(Witness, HearsOfOwnPagesToo) {
    Reader r;
    r.book->thinks = true;
    r.s.client().sends(post("/_ocgate/notifications/mute?x", "{}"));
    EXPECT_THAT(r.ear->heard, ElementsAre("> POST /_ocgate/notifications/mute?x "));
    r.book->says = proxy::page_error(404, "c", "m", "i");
    r.book->done.notify();
    EXPECT_THAT(r.ear->heard,
                ElementsAre("> POST /_ocgate/notifications/mute?x ", "< POST /_ocgate/notifications/mute  404"));
}

TEST(Witness, HearsOfTheEndHoweverItComes) {
    Reader r;
    r.s.client().sends(post("/session/1/abort", ""));
    r.s.client().resets();
    EXPECT_THAT(r.ear->heard, ElementsAre("> POST /session/1/abort ", "< POST /session/1/abort  0"));
    r.ear->heard.clear();
    r.s.upstream_refuses();
    r.s.connects().sends(post("/a", ""));
    EXPECT_THAT(r.ear->heard, ElementsAre("> POST /a ", "< POST /a  503"));
    r.ear->heard.clear();
    r.s.door().refuses = proxy::Refusal{{Side::client, Step::admission, Reason::forbidden}, {}};
    r.s.connects().sends(post("/a", ""));
    EXPECT_TRUE(r.ear->heard.empty()) << "it was not admitted";
}

TEST(Witness, HearsOfATerminalAndOfNoOtherUpgrade) {
    Reader r;
    auto const upgrade = [](std::string_view protocol) {
        return "Connection: Upgrade\r\nUpgrade: " + std::string(protocol) +
               "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    };
    r.s.client().sends(get("/pty/1/connect?ticket=x", upgrade("websocket")));
    EXPECT_THAT(r.ear->heard, ElementsAre("> WS GET /pty/1/connect?ticket=x "));
    r.s.upstream().sends(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    r.s.advance(3600s);
    ASSERT_EQ(r.ear->heard.size(), 1u) << "it is open";
    r.s.client().ends();
    EXPECT_EQ(r.ear->heard.back(), "< WS GET /pty/1/connect  101");
    EXPECT_GE(r.ear->took, 3600s);
    r.ear->heard.clear();
    r.s.connects().sends(get("/session", upgrade("h2c")));
    EXPECT_TRUE(r.ear->heard.empty());
}

TEST(Witness, IsToldWhoItWas) {
    class Named final : public proxy::Gatekeeper {
    public:
        bool trusts(std::string_view) override { return false; }
        proxy::Decision consider(proxy::Visit const&) override {
            proxy::Decision decision;
            decision.kind = proxy::Decision::Kind::admitted;
            decision.user = "alice";
            return decision;
        }
        rt::Task<proxy::Decision> verify(proxy::Visit const&) override { co_return proxy::Decision{}; }
        bool watches(proxy::Visit const&) override { return false; }
        void saw_answer(std::string_view, unsigned, std::string_view, std::string_view) override {}
    };
    Scenario::Options options;
    options.gatekeeper = std::make_shared<Named>();
    Reader r(options);
    r.s.client().sends(post("/a", std::string(50'000, 'x')));
    r.s.upstream().sends(ok("x"));
    EXPECT_THAT(r.ear->heard, ElementsAre("> POST /a alice", "< POST /a alice 200"));
    auto const from = "192.0.2.7 " + r.last().request_id;
    EXPECT_THAT(r.ear->from, ElementsAre(from, from));
    r.asks(post("/_ocgate/mute", "{}"));
    EXPECT_EQ(r.book->asked.at(0).user, "alice");
    EXPECT_EQ(r.book->asked.at(0).client_address, "192.0.2.7") << "the connection's, where the door says none";
}

}  // namespace
}  // namespace ocgate::test
