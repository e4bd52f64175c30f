#include <gmock/gmock.h>

#include <map>

#include "ocgate/notify/http.hpp"

namespace ocgate::notify {
namespace {
using testing::ElementsAre;
using testing::SizeIs;

TEST(HttpUrl, IsTakenApart) {
    struct {
        char const* text;
        bool tls;
        char const* host;
        int port;
        char const* target;
        char const* authority;
    } const table[] = {
        {"https://ntfy.sh", true, "ntfy.sh", 443, "/", "ntfy.sh"},
        {"HTTPS://Ntfy.SH:443/a/b?c=d#e", true, "ntfy.sh", 443, "/a/b?c=d", "ntfy.sh"},
        {"http://ntfy", false, "ntfy", 80, "/", "ntfy"},
        {"http://ntfy:8080?x=1", false, "ntfy", 8080, "/?x=1", "ntfy:8080"},
        {"http://my_host.svc.cluster.local./x", false, "my_host.svc.cluster.local.", 80, "/x",
         "my_host.svc.cluster.local."},
        {"https://[2001:DB8::1]:8443/", true, "2001:db8::1", 8443, "/", "[2001:db8::1]:8443"},
        {"https://[::1]/", true, "::1", 443, "/", "[::1]"},
        {"https://u:p@h/", true, "h", 443, "/", "h"},
        {"https://h/a@b:c", true, "h", 443, "/a@b:c", "h"},
    };
    for (auto const& row : table) {
        std::string problem;
        auto const url = parse_url(row.text, problem);
        ASSERT_TRUE(url) << row.text << problem;
        EXPECT_EQ(url->tls, row.tls) << row.text;
        EXPECT_EQ(url->host, row.host) << row.text;
        EXPECT_EQ(url->port, row.port) << row.text;
        EXPECT_EQ(url->target, row.target) << row.text;
        EXPECT_EQ(url->authority, row.authority) << row.text;
    }
}

TEST(HttpUrl, SaysWhatIsWrongWithoutShowingIt) {
    for (auto const* text : {"",
                             "ntfy.sh",
                             "://h",
                             "ftp://h/",
                             "https:/h",
                             "https://",
                             "https:///x",
                             "https://h:0/",
                             "https://h:65536/",
                             "https://h:/",
                             "https://h:8x/",
                             "https://[::1/",
                             "https://[::g]/",
                             "https://[::1]x/",
                             "https://a b/",
                             "https://h/\n",
                             "https://h/\xc3\xa4",
                             "https://h\xc3\xa4/",
                             "https://a,b/",
                             "https://u@/",
                             "https://h%20/"}) {
        std::string problem;
        EXPECT_FALSE(parse_url(text, problem)) << text;
        EXPECT_FALSE(problem.empty()) << text;
    }
    std::string problem;
    EXPECT_FALSE(parse_url("https://me:secret@h:port/token", problem));
    EXPECT_EQ(problem.find("secret"), std::string::npos);
    EXPECT_EQ(problem.find("token"), std::string::npos);
}

class ProxyTest : public testing::Test {
protected:
    Proxies read() {
        return Proxies(
            [this](char const* name) {
                auto const found = environment.find(name);
                return found == environment.end() ? nullptr : found->second.c_str();
            },
            problems);
    }
    /// Where a request for `text` goes first.
    std::string via(std::string const& text) {
        std::string problem;
        auto const url = parse_url(text, problem);
        EXPECT_TRUE(url) << text;
        auto const proxies = read();
        auto const* const proxy = proxies.for_url(*url);
        return proxy ? proxy->authority : "";
    }
    std::map<std::string, std::string> environment;
    std::vector<std::string> problems;
};

TEST_F(ProxyTest, IsChosenByTheScheme) {
    EXPECT_EQ(via("https://ntfy.sh/"), "");
    environment = {{"HTTPS_PROXY", "http://s:3128"}, {"HTTP_PROXY", "p:8080"}};
    EXPECT_EQ(via("https://ntfy.sh/"), "s:3128");
    EXPECT_EQ(via("http://ntfy.sh/"), "p:8080");
    environment["https_proxy"] = "small";
    environment["http_proxy"] = "";  // as good as none
    EXPECT_EQ(via("https://ntfy.sh/"), "small");
    EXPECT_EQ(via("http://ntfy.sh/"), "p:8080");
}

TEST_F(ProxyTest, IsNotForWhatIsExcepted) {
    struct {
        char const* except;
        char const* url;
        bool direct;
    } const table[] = {
        {"", "https://ntfy.sh/", false},
        {"*", "https://ntfy.sh/", true},
        {"ntfy.sh", "https://ntfy.sh/", true},
        {"NTFY.sh", "https://Ntfy.SH/", true},
        {"ntfy.sh", "https://a.ntfy.sh/", true},
        {".ntfy.sh", "https://a.ntfy.sh/", true},
        {"*.ntfy.sh", "https://a.ntfy.sh/", true},
        {"ntfy.sh", "https://notntfy.sh/", false},
        {"ntfy.sh", "https://ntfy.sh.evil.example/", false},
        {"a.example, svc.cluster.local ,b", "http://ntfy.ns.svc.cluster.local/", true},
        {"ntfy.sh:443", "https://ntfy.sh/", true},
        {"ntfy.sh:8443", "https://ntfy.sh/", false},
        {"10.0.0.0/8", "http://10.1.2.3/", true},
        {"10.0.0.0/8", "http://11.1.2.3/", false},
        {"10.0.0.0/8", "http://ten.example/", false},
        {"10.1.2.3", "http://10.1.2.3/", true},
        {"10.1.2.3", "http://110.1.2.3/", false},
        {"fd00::/8", "http://[fd00::1]/", true},
        {"fd00::/8", "http://[fe00::1]/", false},
        {"fd00::1", "http://[fd00::1]/", true},
        {"0.0.0", "http://10.0.0.0/", false},
        {"", "http://localhost:8080/", true},
        {"", "http://127.0.0.5/", true},
        {"", "http://[::1]/", true},
    };
    for (auto const& row : table) {
        environment = {{"HTTPS_PROXY", "http://s"}, {"HTTP_PROXY", "http://s"}, {"NO_PROXY", row.except}};
        EXPECT_EQ(via(row.url) == "", row.direct) << row.except << " " << row.url;
    }
    EXPECT_THAT(problems, SizeIs(0));
}

TEST_F(ProxyTest, ThatCannotBeUsedIsAProblem) {
    environment = {{"HTTPS_PROXY", "https://s"}, {"http_proxy", "socks5://u:secret@p"}};
    (void)read();
    EXPECT_THAT(problems,
                ElementsAre("HTTPS_PROXY: a proxy that is itself asked over https is not supported, use http://",
                            "http_proxy: it does not begin with https:// or http://"));
}

}  // namespace
}  // namespace ocgate::notify
