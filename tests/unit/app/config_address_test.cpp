#include "config_address.hpp"

#include <gmock/gmock.h>

namespace ocgate::app {
namespace {

using ::testing::HasSubstr;

TEST(Addresses, ToListenAt) {
    std::pair<std::string_view, std::string_view> const good[] = {
        {"0.0.0.0:8080", "0.0.0.0:8080"},
        {"127.0.0.1:0", "127.0.0.1:0"},
        {":8080", "0.0.0.0:8080"},
        {"localhost:80", "localhost:80"},
        {"LocalHost:80", "localhost:80"},
        {"[::]:8080", "[::]:8080"},
        {"[::1]:65535", "[::1]:65535"},
        {"unix:/run/ocgate.sock", "unix:/run/ocgate.sock"},
        {"unix:///run/ocgate.sock", "unix:/run/ocgate.sock"},
    };
    for (auto const& [text, wanted] : good) {
        auto const parsed = parse_listen(text);
        EXPECT_EQ(parsed.problem, "") << text;
        EXPECT_EQ(parsed.address.text(), wanted) << text;
    }
    std::string const bad[] = {"",        "8080",          "127.0.0.1",      "127.0.0.1:",      "127.0.0.1:65536",
                               "host:80", "127.1:80",      "256.0.0.1:80",   "::1:80",          "[::1]",
                               "[::1:80", "[127.0.0.1]:1", "[fe80::1%lo]:1", "unix:",           "unix:run",
                               "unix:/",  "http://[::]:1", "127.0.0.1:-1",   "127.0.0.1: 80",   "127.0.0.1:0080x",
                               "a b:1",   "[]:1",          "127.0.0.1:1:2",  "127.0.0.1:000080"};
    for (auto const& text : bad) EXPECT_NE(parse_listen(text).problem, "") << text;
    EXPECT_THAT(parse_listen("::1:80").problem, HasSubstr("brackets"));
    EXPECT_THAT(parse_listen("http://0.0.0.0:80").problem, HasSubstr("scheme"));
    EXPECT_EQ(parse_listen("unix:/" + std::string(106, 'a')).problem, "");
    EXPECT_NE(parse_listen("unix:/" + std::string(107, 'a')).problem, "");
    EXPECT_NE(parse_listen(std::string("unix:/a\0b", 9)).problem, "");
}

TEST(Addresses, OfTheUpstream) {
    std::pair<std::string_view, std::string_view> const good[] = {
        {"http://127.0.0.1:4096", "127.0.0.1:4096"},     {"http://127.0.0.1:4096/", "127.0.0.1:4096"},
        {"http://LOCALHOST:1", "localhost:1"},           {"http://[::1]:4096", "[::1]:4096"},
        {"http://open_code.dev:80", "open_code.dev:80"}, {"unix:/run/opencode.sock", "unix:/run/opencode.sock"},
    };
    for (auto const& [text, wanted] : good) {
        auto const parsed = parse_upstream(text);
        EXPECT_EQ(parsed.problem, "") << text;
        EXPECT_EQ(parsed.address.text(), wanted) << text;
    }
    std::pair<std::string_view, std::string_view> const bad[] = {
        {"https://127.0.0.1:4096", "https is not spoken"},
        {"HTTPS://127.0.0.1:4096", "https is not spoken"},
        {"127.0.0.1:4096", "put http:// in front"},
        {"http://127.0.0.1", "with the port"},
        {"http://127.0.0.1:0", "from 1 to 65535"},
        {"http://a:b@127.0.0.1:4096", "OCGATE_UPSTREAM_PASSWORD"},
        {"http://127.0.0.1:4096/api", "without path"},
        {"http://127.0.0.1:4096?x=1", "without path"},
        {"http://127.0.0.1:4096#x", "without path"},
        {"http://:4096", "a name or an address"},
        {"http://127.1:4096", "a name or an address"},
        {"http://0x7f.1:4096", "a name or an address"},
        {"http://300.1.1.1:4096", "a name or an address"},
        {"http://2130706433:4096", "a name or an address"},
        {"http://a..b:1", "a name or an address"},
        {"http://a b:1", "a name or an address"},
        {"http://a\r\nb:1", "a name or an address"},
        {"http://[::1:4096", "with the port"},
        {"http://", "with the port"},
        {"unix:relative", "absolute path"},
        {"ftp://x:1", "expected http://host:port"},
        {"", "expected http://host:port"},
    };
    for (auto const& [text, problem] : bad)
        EXPECT_THAT(parse_upstream(text).problem, HasSubstr(std::string(problem))) << text;
}

TEST(Addresses, ThatStayOnThisMachine) {
    for (auto const* host : {"127.0.0.1", "127.255.1.2", "::1", "localhost", "::ffff:127.0.0.1"})
        EXPECT_TRUE(is_loopback({host, 1, {}})) << host;
    for (auto const* host :
         {"0.0.0.0", "128.0.0.1", "::", "10.0.0.1", "localhost.example", "127.0.0.1.example", "opencode"})
        EXPECT_FALSE(is_loopback({host, 1, {}})) << host;
    EXPECT_TRUE(is_loopback({"", 0, "/run/x"}));
}

TEST(Addresses, ThatMeet) {
    struct Row {
        rt::Address a, b;
        bool meet;
    };
    Row const rows[] = {
        {{"0.0.0.0", 80, {}}, {"127.0.0.1", 80, {}}, true},
        {{"127.0.0.1", 80, {}}, {"0.0.0.0", 80, {}}, true},
        {{"0.0.0.0", 80, {}}, {"0.0.0.0", 80, {}}, true},
        {{"::", 80, {}}, {"localhost", 80, {}}, true},
        {{"127.0.0.1", 80, {}}, {"localhost", 80, {}}, true},
        {{"127.0.0.1", 80, {}}, {"127.0.0.2", 80, {}}, false},
        {{"127.0.0.1", 0, {}}, {"127.0.0.1", 0, {}}, false},
        {{"0.0.0.0", 80, {}}, {"127.0.0.1", 81, {}}, false},
        {{"0.0.0.0", 80, {}}, {"10.0.0.1", 80, {}}, false},
        {{"", 0, "/a"}, {"", 0, "/a"}, true},
        {{"", 0, "/a"}, {"", 0, "/b"}, false},
        {{"", 0, "/a"}, {"127.0.0.1", 80, {}}, false},
    };
    for (auto const& row : rows) EXPECT_EQ(covers(row.a, row.b), row.meet) << row.a.text() << " " << row.b.text();
}

TEST(Addresses, AreReachedByLoopback) {
    EXPECT_EQ(reachable({"0.0.0.0", 9, {}}).text(), "127.0.0.1:9");
    EXPECT_EQ(reachable({"::", 9, {}}).text(), "[::1]:9");
    EXPECT_EQ(reachable({"10.0.0.1", 9, {}}).text(), "10.0.0.1:9");
    EXPECT_EQ(reachable({"", 0, "/run/x"}).text(), "unix:/run/x");
}

}  // namespace
}  // namespace ocgate::app
