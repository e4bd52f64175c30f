// The client through proxies.
#include <map>

#include "http_kit.hpp"

namespace ocgate::notify {
namespace {
using test::Conversation;
using test::Server;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

HttpSettings through(HttpSettings made, std::map<std::string, std::string> const& environment) {
    std::vector<std::string> problems;
    made.proxies = Proxies(
        [&](char const* name) {
            auto const found = environment.find(name);
            return found == environment.end() ? nullptr : found->second.c_str();
        },
        problems);
    EXPECT_THAT(problems, ElementsAre());
    return made;
}

TEST_F(HttpTest, GoesThroughAProxyAndStillVerifiesTheServer) {
    std::string connect, seen;
    Server proxy([&, context = identity->context()](Conversation& c) {
        connect = c.head();
        c.say("HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n");
        if (!c.start_tls(context)) return;
        seen = c.request();
        c.say(ok);
    });
    auto const environment = "http://us%40er:pw@localhost:" + std::to_string(proxy.port()) + "/";
    use(through(settings(), {{"HTTPS_PROXY", environment}}));
    // The name is the proxy's to look up: here nobody knows it.
    auto const unknown = get("https://elsewhere.invalid/t");
    ASSERT_TRUE(unknown.has_error());
    EXPECT_EQ(unknown.error().step, HttpStep::tls);
    EXPECT_THAT(unknown.error().detail, HasSubstr("hostname mismatch"));
    auto const answer = get("https://ntfy.test/t");
    ASSERT_TRUE(answer.has_value()) << to_string(answer.error());
    EXPECT_EQ(connect,
              "CONNECT ntfy.test:443 HTTP/1.1\r\nHost: ntfy.test:443\r\nUser-Agent: ocgate\r\n"
              "Proxy-Authorization: Basic dXNAZXI6cHc=\r\n\r\n");
    EXPECT_THAT(seen, StartsWith("GET /t HTTP/1.1\r\nHost: ntfy.test\r\n"));
    EXPECT_THAT(seen, Not(HasSubstr("Proxy-")));
}

TEST_F(HttpTest, SaysWhatTheProxyAnswered) {
    struct {
        std::string says;
        error_code why;
        std::string detail;
    } const table[] = {
        {"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", Reason::unauthorized, "the proxy answered 407"},
        {"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", Reason::refused, "the proxy answered 503"},
        {"HTTP/1.1 200 OK\r\n\r\nand more", Reason::malformed, ""},
        {"rubbish\r\n\r\n", Reason::malformed, ""},
        {"HTTP/1.1 200 O", Reason::cut_short, ""},
    };
    for (auto const& row : table) {
        Server proxy([&](Conversation& c) {
            c.head();
            c.say(row.says);
        });
        use(through(settings(), {{"https_proxy", "localhost:" + std::to_string(proxy.port())}}));
        auto const answer = get("https://ntfy.test/");
        ASSERT_TRUE(answer.has_error()) << row.says;
        EXPECT_EQ(answer.error().step, HttpStep::proxy) << row.says;
        EXPECT_EQ(answer.error().why, row.why) << row.says;
        EXPECT_EQ(answer.error().detail, row.detail);
        EXPECT_FALSE(answer.error().maybe_received);
    }
}

TEST_F(HttpTest, AsksAProxyForPlainHttpByTheWholeUrl) {
    std::string seen;
    Server proxy([&](Conversation& c) {
        seen = c.request();
        c.say(ok);
    });
    use(through(settings(),
                {{"HTTP_PROXY", "http://u:p@127.0.0.1:" + std::to_string(proxy.port())}, {"NO_PROXY", "direct.test"}}));
    ASSERT_TRUE(get("http://ntfy.svc:8080/t?a=b").has_value());
    EXPECT_THAT(seen, StartsWith("GET http://ntfy.svc:8080/t?a=b HTTP/1.1\r\nHost: ntfy.svc:8080\r\n"));
    EXPECT_THAT(seen, HasSubstr("\r\nProxy-Authorization: Basic dTpw\r\n"));

    Server direct([&](Conversation& c) {
        seen = c.request();
        c.say(ok);
    });
    ASSERT_TRUE(get(url_of(direct, "direct.test", "http")).has_value());
    EXPECT_THAT(seen, StartsWith("GET /t?x=1 HTTP/1.1\r\nHost: direct.test:"));
    EXPECT_THAT(seen, Not(HasSubstr("Proxy-")));
    EXPECT_EQ(proxy.connections(), 1);
}

}  // namespace
}  // namespace ocgate::notify
