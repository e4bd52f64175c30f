#include "cross_site.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ocgate/auth/settings.hpp"
#include "requests.hpp"

namespace ocgate::auth {
namespace {

using test::Request;
using test::websocket;

std::string field(std::string_view name, std::string_view value) {
    return std::string(name) + ": " + std::string(value);
}

bool foreign_origin(std::string_view origin, std::string_view host, std::vector<std::string> const& allowed = {},
                    std::string_view site = {}) {
    auto const origin_field = field("Origin", origin);
    auto const host_field = field("Host", host);
    auto const site_field = field("Sec-Fetch-Site", site);
    if (site.empty()) return is_foreign(Request("POST /session", {host_field, origin_field}).head(), allowed);
    return is_foreign(Request("POST /session", {host_field, origin_field, site_field}).head(), allowed);
}

TEST(CrossSite, LooksAtEverythingButPlainReading) {
    for (auto const* method : {"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get", "Get", "QUERY"})
        EXPECT_TRUE(needs_own_page(Request(std::string(method) + " /").head())) << method;
    EXPECT_FALSE(needs_own_page(Request("GET /").head()));
    EXPECT_FALSE(needs_own_page(Request("HEAD /").head()));
    EXPECT_TRUE(needs_own_page(Request("GET /", {websocket}).head()));
    EXPECT_TRUE(needs_own_page(Request("GET /", {"Connection: upgrade", "Upgrade: h2c"}).head()));
}

TEST(CrossSite, KnowsItsOwnHost) {
    struct Row {
        char const *origin, *host;
        bool foreign;
    };
    Row const rows[] = {
        {"https://code.example", "code.example", false},
        {"http://code.example", "code.example", false},
        {"HTTPS://CODE.Example", "code.example", false},
        {"https://code.example", "CODE.EXAMPLE", false},
        {"https://code.example:443", "code.example", false},
        {"https://code.example", "code.example:443", false},
        {"http://code.example", "code.example:80", false},
        {"http://code.example:80", "code.example", false},
        {"https://code.example", "code.example:80", true},
        {"http://code.example", "code.example:443", true},
        {"http://localhost:8080", "localhost:8080", false},
        {"http://localhost:8081", "localhost:8080", true},
        {"http://localhost", "localhost:8080", true},
        {"http://localhost:8080", "localhost", true},
        {"http://127.0.0.1:8080", "localhost:8080", true},
        {"http://[::1]:8080", "[::1]:8080", false},
        {"http://[::1]", "[::1]", false},
        {"http://[::1]:80", "[::1]", false},
        {"http://[::2]:8080", "[::1]:8080", true},
        {"http://[FD00::A]:8080", "[fd00::a]:8080", false},
        {"https://evil.example", "code.example", true},
        {"https://code.example.evil.example", "code.example", true},
        {"https://evilcode.example", "code.example", true},
        {"https://sub.code.example", "code.example", true},
        {"https://example", "code.example", true},
        {"https://code.example.", "code.example", true},
        {"null", "code.example", true},
        {"null", "null", true},
        {"", "code.example", true},
        {"code.example", "code.example", true},
        {"//code.example", "code.example", true},
        {"://code.example", "code.example", true},
        {"https:code.example", "code.example", true},
        {"https:/code.example", "code.example", true},
        {"https://code.example/", "code.example", true},
        {"https://code.example/x", "code.example", true},
        {"https://code.example?x", "code.example", true},
        {"https://code.example#x", "code.example", true},
        {"https://user@code.example", "code.example", true},
        {"https://evil.example@code.example", "code.example", true},
        {"https://code.example:443x", "code.example", true},
        {"https://code.example:", "code.example", false},  // no browser writes it; it names no other host
        {"https://code.example:0443", "code.example", true},
        {"https://code.example:000443", "code.example", true},
        {"https://code.example https://evil.example", "code.example", true},
        {"https://code.example, https://evil.example", "code.example", true},
        {"https://code.example,https://code.example", "code.example", true},
        {"file://code.example", "code.example", true},
        {"chrome-extension://code.example", "code.example", true},
        {"ws://code.example", "code.example", true},
        {"1http://code.example", "code.example", true},
        {"https://[::1", "[::1]", true},
        {"https://[]", "[::1]", true},
        {"https://%63ode.example", "code.example", true},
    };
    for (auto const& row : rows)
        EXPECT_EQ(foreign_origin(row.origin, row.host), row.foreign) << row.origin << ' ' << row.host;
}

TEST(CrossSite, PassesAllowedOrigins) {
    struct Row {
        std::string pattern;
        char const* origin;
        bool foreign;
    };
    Row const rows[] = {
        {"https://app.example", "https://app.example", false},
        {"HTTPS://App.Example", "https://app.example", false},
        {"https://app.example", "https://app.example:443", false},
        {"https://app.example:443", "https://app.example", false},
        {"https://app.example", "http://app.example", true},
        {"https://app.example", "https://app.example:8443", true},
        {"https://app.example:8443", "https://app.example:8443", false},
        {"https://app.example", "https://x.app.example", true},
        {"https://*.example.org", "https://a.example.org", false},
        {"https://*.example.org", "https://a.b.example.org", false},
        {"https://*.example.org", "https://A.EXAMPLE.ORG", false},
        {"https://*.example.org", "https://example.org", true},
        {"https://*.example.org", "https://.example.org", true},
        {"https://*.example.org", "https://aexample.org", true},
        {"https://*.example.org", "https://evil-example.org", true},
        {"https://*.example.org", "https://a.example.org.evil.example", true},
        {"https://*.example.org", "https://a.example.org:8443", true},
        {"https://*.example.org:8443", "https://a.example.org:8443", false},
        {"https://*.example.org", "http://a.example.org", true},
        {"https://*.example.org", "https://evil.example/.example.org", true},
        {"https://*.example.org", "https://evil.example?.example.org", true},
        {"https://*.example.org", "https://evil.example#.example.org", true},
        {"https://*.example.org", "https://evil.example\\.example.org", true},
        {"https://*.example.org", "https://user:x@a.example.org", true},
        {"tauri://localhost", "tauri://localhost", false},
        {"tauri://localhost", "tauri://localhosts", true},
        {"tauri://localhost", "http://localhost", true},
        {"http://[::1]:3000", "http://[::1]:3000", false},
        {"null", "null", true},
    };
    for (auto const& row : rows) {
        EXPECT_EQ(foreign_origin(row.origin, "code.example", {row.pattern}), row.foreign)
            << row.pattern << ' ' << row.origin;
        // What the browser thinks of the distance does not matter to whom the operator has named.
        EXPECT_EQ(foreign_origin(row.origin, "code.example", {row.pattern}, "cross-site"), row.foreign) << row.pattern;
    }
    EXPECT_FALSE(foreign_origin("https://b.example", "code.example", {"https://a.example", "https://b.example"}));
}

TEST(CrossSite, WeighsOriginAgainstFetchMetadata) {
    std::string const own = "https://code.example", alien = "https://evil.example", absent = "-";
    struct Row {
        std::string origin, site;
        bool foreign, upgrade_foreign;
    };
    Row const rows[] = {
        {absent, absent, false, false},  // a program
        {absent, "none", false, false},
        {absent, "same-origin", false, false},
        {absent, "same-site", true, true},
        {absent, "cross-site", true, true},
        {absent, "", true, true},
        {absent, "Same-Origin", true, true},
        {absent, "new-word", true, true},
        {own, absent, false, false},
        {own, "same-origin", false, false},
        {own, "none", false, false},
        {own, "same-site", true, false},  // the page came over another scheme; an upgrade goes by Origin alone
        {own, "cross-site", true, false},
        {alien, absent, true, true},
        {alien, "same-origin", true, true},
        {alien, "none", true, true},
        {alien, "cross-site", true, true},
        {"null", absent, true, true},
        {"null", "same-origin", true, true},
    };
    for (auto const& row : rows) {
        auto const origin = row.origin == absent ? std::string("X-A: a") : field("Origin", row.origin);
        auto const site = row.site == absent ? std::string("X-B: b") : field("Sec-Fetch-Site", row.site);
        for (auto const* line : {"POST /s", "PUT /s", "PATCH /s", "DELETE /s", "OPTIONS /s"})
            EXPECT_EQ(is_foreign(Request(line, {origin, site}).head(), {}), row.foreign) << line << origin << site;
        EXPECT_EQ(is_foreign(Request("GET /s", {websocket, origin, site}).head(), {}), row.upgrade_foreign)
            << origin << site;
    }
    std::vector<std::string> const allowed{own};
    for (auto const* line : {"POST /s", "DELETE /s"}) {
        EXPECT_TRUE(is_foreign(Request(line, {"Origin: https://code.example", "Origin: https://code.example"}).head(),
                               allowed));
        EXPECT_TRUE(
            is_foreign(Request(line, {"origin: https://code.example", "ORIGIN: https://evil.example"}).head(), {}));
        EXPECT_TRUE(is_foreign(Request(line, {"Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"}).head(), {}));
        EXPECT_TRUE(is_foreign(Request(line, {"Sec-Fetch-Site: none", "Sec-Fetch-Site: none"}).head(), allowed));
    }
}

TEST(CrossSite, LetsNoPageElsewhereMakeABrowserRead) {
    std::string const absent = "X-A: a";
    struct Row {
        std::string site, from;
        bool foreign, foreign_though_allowed;
    };
    Row const rows[] = {
        {absent, absent, false, false},  // a program, or a browser that does not say
        {absent, "Origin: https://evil.example", false, false},
        {"Sec-Fetch-Site: none", absent, false, false},  // typed
        {"Sec-Fetch-Site: same-origin", absent, false, false},
        {"Sec-Fetch-Site: same-origin", "Referer: https://code.example/x", false, false},
        {"Sec-Fetch-Site: same-site", absent, true, true},
        {"Sec-Fetch-Site: cross-site", absent, true, true},
        {"Sec-Fetch-Site:", absent, true, true},
        {"Sec-Fetch-Site: Same-Origin", absent, true, true},
        {"Sec-Fetch-Site: new-word", absent, true, true},
        {"Sec-Fetch-Site: cross-site", "Origin: https://evil.example", true, true},
        {"Sec-Fetch-Site: cross-site", "Origin: null", true, true},
        {"Sec-Fetch-Site: cross-site", "Origin: https://app.example", true, false},
        {"Sec-Fetch-Site: same-site", "Origin: https://app.example", true, false},
        {"Sec-Fetch-Site: cross-site", "Referer: https://app.example", true, false},
        {"Sec-Fetch-Site: cross-site", "Referer: https://app.example/", true, false},
        {"Sec-Fetch-Site: cross-site", "Referer: https://app.example/a?b=https://evil.example/", true, false},
        {"Sec-Fetch-Site: cross-site", "Referer: https://evil.example/https://app.example/", true, true},
        {"Sec-Fetch-Site: cross-site", "Referer: https://app.example.evil.example/", true, true},
        {"Sec-Fetch-Site: cross-site", "Referer: https://app.example@evil.example/", true, true},
        {"Sec-Fetch-Site: cross-site", "Referer: https://evil.example?https://app.example/", true, true},
        {"Sec-Fetch-Site: cross-site", "Referer: /https://app.example/", true, true},
        {"Sec-Fetch-Site: cross-site", "Referer:", true, true},
        {"Sec-Fetch-Site: cross-site", "Referer: about:blank", true, true},
    };
    std::vector<std::string> const allowed{"https://app.example"};
    for (auto const& row : rows) {
        for (auto const* line : {"GET /s", "HEAD /s"}) {
            auto const head = Request(line, {row.site, row.from});
            EXPECT_EQ(is_foreign_read(head.head(), {}), row.foreign) << line << ' ' << row.site << ' ' << row.from;
            EXPECT_EQ(is_foreign_read(head.head(), allowed), row.foreign_though_allowed) << row.site << row.from;
        }
    }
    constexpr std::string_view far = "Sec-Fetch-Site: cross-site", app = "Origin: https://app.example";
    EXPECT_TRUE(is_foreign_read(Request("GET /", {far, app, app}).head(), allowed));
    EXPECT_TRUE(is_foreign_read(Request("GET /", {far, far, app}).head(), allowed));
    EXPECT_TRUE(is_foreign_read(Request("GET /", {"Sec-Fetch-Site: none", "Sec-Fetch-Site: none"}).head(), allowed));
    EXPECT_TRUE(is_foreign_read(
        Request("GET /", {far, "Origin: https://evil.example", "Referer: https://app.example/"}).head(), allowed))
        << "Origin is what counts";
}

TEST(CrossSite, ServesTheHostsItIsToldTo) {
    struct Row {
        std::string pattern;
        std::string_view host;
        bool allowed;
    };
    Row const rows[] = {
        {"code.example", "code.example", true},
        {"code.example", "CODE.example:1", true},
        {"code.example", "code.example:8443", true},
        {"code.example", "code.example.", false},
        {"code.example", "xcode.example", false},
        {"code.example", "code.example.evil", false},
        {"code.example", "", false},
        {"code.example", "code.example:x", false},
        {"code.example", "code.example:1:2", false},
        {"code.example:8443", "code.example:8443", true},
        {"code.example:8443", "code.example", false},
        {"code.example:8443", "code.example:8444", false},
        {"*.example.org", "a.example.org", true},
        {"*.example.org", "a.b.example.org:80", true},
        {"*.example.org", "example.org", false},
        {"*.example.org", ".example.org", false},
        {"*.example.org", "aexample.org", false},
        {"*.example.org:80", "a.example.org", false},
        {"[::1]", "[::1]:8080", true},
        {"[::1]", "[::2]", false},
        {"127.0.0.1", "127.0.0.1:8080", true},
    };
    for (auto const& row : rows) {
        std::vector<std::string> const patterns{"other.example", row.pattern};
        EXPECT_EQ(host_allowed(row.host, patterns), row.allowed) << row.pattern << ' ' << row.host;
    }
    EXPECT_TRUE(host_allowed("anything", {}));
    EXPECT_TRUE(host_allowed("", {}));
}

TEST(CrossSite, KnowsPatterns) {
    for (auto const* good : {"https://code.example", "https://code.example:8443", "https://*.example.org",
                             "tauri://localhost", "http://[::1]:80", "http://10.0.0.1", "vscode-webview://abc"})
        EXPECT_TRUE(is_origin_pattern(good)) << good;
    for (auto const* bad :
         {"", "null", "*", "code.example", "https://", "https://*", "https://*.", "https://a.*.example",
          "https://*.*.example", "https://code.example/", "https://code.example:", "https://u@code.example",
          "https://code.example:123456", "https://code example", "://a", "1a://b", "https://a,https://b",
          "https://[::1", "https://a?b"})
        EXPECT_FALSE(is_origin_pattern(bad)) << bad;
    for (auto const* good : {"code.example", "code.example:8443", "*.example.org", "[::1]", "[::1]:80", "localhost"})
        EXPECT_TRUE(is_host_pattern(good)) << good;
    for (auto const* bad :
         {"", "*", "*.", "https://code.example", "code.example:", "code.example/", "a b", "a:b", ":80", "[]"})
        EXPECT_FALSE(is_host_pattern(bad)) << bad;
}

TEST(CrossSite, TellsBrowsersFromPrograms) {
    EXPECT_FALSE(is_from_browser(Request("GET /").head()));
    EXPECT_FALSE(is_from_browser(Request("GET /", {"User-Agent: Mozilla/5.0"}).head()));
    EXPECT_FALSE(is_from_browser(Request("GET /", {"Sec-Fetc: x", "Sec: y"}).head()));
    EXPECT_TRUE(is_from_browser(Request("GET /", {"origin: null"}).head()));
    EXPECT_TRUE(is_from_browser(Request("GET /", {"sec-fetch-mode: websocket"}).head()));
}

TEST(CrossSite, APreflightIsNothingElseBeside) {
    constexpr std::string_view origin = "Origin: https://code.example", asks = "Access-Control-Request-Method: POST";
    EXPECT_TRUE(is_preflight(Request("OPTIONS /session", {origin, asks}).head()));
    EXPECT_TRUE(is_preflight(Request("OPTIONS /session", {origin, asks, "Content-Length: 0"}).head()));
    EXPECT_FALSE(is_preflight(Request("GET /session", {origin, asks}).head()));
    EXPECT_FALSE(is_preflight(Request("POST /session", {origin, asks}).head()));
    EXPECT_FALSE(is_preflight(Request("options /session", {origin, asks}).head()));
    EXPECT_FALSE(is_preflight(Request("OPTIONS /session", {origin}).head()));
    EXPECT_FALSE(is_preflight(Request("OPTIONS /session", {asks}).head()));
    EXPECT_FALSE(is_preflight(Request("OPTIONS /session", {origin, origin, asks}).head()));
    EXPECT_FALSE(is_preflight(Request("OPTIONS /session", {origin, asks, asks}).head()));
    EXPECT_FALSE(is_preflight(Request("OPTIONS /session", {origin, "Access-Control-Request-Method:"}).head()));
    EXPECT_FALSE(is_preflight(Request("OPTIONS /session", {origin, "Access-Control-Request-Method: a b"}).head()));
    EXPECT_FALSE(is_preflight(Request("OPTIONS /session", {origin, asks, "Content-Length: 1"}).head()));
    EXPECT_FALSE(is_preflight(Request("OPTIONS /session", {origin, asks, "Transfer-Encoding: chunked"}).head()));
    EXPECT_FALSE(is_preflight(Request("OPTIONS /session", {origin, asks, websocket}).head()));
}

}  // namespace
}  // namespace ocgate::auth
