#include <vector>

#include "parsing.hpp"

namespace ocgate::wire {
namespace {

using std::string_literals::operator""s;

constexpr std::string_view key = "dGhlIHNhbXBsZSBub25jZQ==";  // RFC 6455 §1.3

std::string handshake(std::string_view upgrade = "websocket", std::string_view connection = "Upgrade",
                      std::string_view version = "13", std::string_view more = "") {
    return get_with("Upgrade: " + std::string(upgrade) + "\r\nConnection: " + std::string(connection) +
                    "\r\nSec-WebSocket-Key: " + std::string(key) +
                    "\r\nSec-WebSocket-Version: " + std::string(version) + "\r\n" + std::string(more));
}

TEST(RequestHead, IsReadAsItStands) {
    OwnRequest const own(
        "POST /session/x?a=1 HTTP/1.1\r\nhOST: code.example:8443\r\nX-Empty:\r\nX-A: \t b c\t \r\n"
        "Content-Length: 12\r\n\r\n{\"body\":true}");
    ASSERT_EQ(own.result, "complete");
    auto const& head = own.head;
    EXPECT_EQ(head.method, "POST");
    EXPECT_EQ(head.target, "/session/x?a=1");
    EXPECT_EQ(head.path(), "/session/x");
    EXPECT_EQ(head.host, "code.example:8443");
    EXPECT_EQ(head.minor, 1u);
    EXPECT_EQ(head.fields.size(), 4u);
    EXPECT_EQ(head.fields.find("x-a"), "b c");
    EXPECT_EQ(head.fields.find("X-EMPTY"), "");
    EXPECT_EQ(head.fields.find("X-Not"), std::nullopt);
    EXPECT_EQ(head.body.kind, Framing::Kind::length);
    EXPECT_EQ(head.body.length, 12u);
    EXPECT_TRUE(head.keep_alive);
    EXPECT_EQ(head.bytes, own.text.find("{"));
}

TEST(RequestHead, SaysWhyItIsRefused) {
    struct Case {
        std::string text;
        char const* result;
    };
    std::vector<Case> const cases{
        {"", "need_more"},
        {"\r", "need_more"},
        {"\r\n", "need_more"},
        {"GET", "need_more"},
        {"GET / HTTP/1.1\r\nHost: a\r\n\r", "need_more"},
        {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "complete"},
        {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
        {"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
        {"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
        // the request line
        {"GET / HTTP/1.1\nHost: a\r\n\r\n", "malformed"},
        {"GET / HTTP/1.1\rHost: a\r\n\r\n", "malformed"},
        {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
        {"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
        {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "malformed"},
        {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
        {"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
        {"GET /\r\n", "malformed"},
        {"GET / http/1.1\r\n", "malformed"},
        {"GET / HTTP/1.10\r\n", "malformed"},
        {"GET / HTTP/11\r\n", "malformed"},
        {"GET / FOO\r\n", "malformed"},
        {"GET / HTTP/2.0\r\n", "unsupported_version"},
        {"GET / HTTP/1.2\r\n", "unsupported_version"},
        {"GET / HTTP/0.9\r\n", "unsupported_version"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "unsupported_version"},
        {"G{T / HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
        {"\x16\x03\x01\x02", "malformed"},
        {"HELO mark\r\n\r\n", "malformed"},
        {std::string(32, 'A') + " / HTTP/1.1\r\nHost: a\r\n\r\n", "complete"},
        {std::string(33, 'A'), "malformed"},
        {"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", "complete"},
        {"CONNECT a:80 HTTP/1.1\r\n", "unsupported_method"},
        {"TRACE / HTTP/1.1\r\n", "unsupported_method"},
        {"OPTIONS * HTTP/1.1\r\n", "unsupported_method"},
        {"OPTIONS http://a HTTP/1.1\r\n", "unsupported_method"},  // the asterisk again (RFC 9112 §3.2.4)
        {"OPTIONS http://a/a HTTP/1.1\r\nHost: a\r\n\r\n", "complete"},
        // the target
        {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
        {"GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
        {"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
        {"GET /a\x01 HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
        {"GET /a\x7f HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
        {"GET /a\0 HTTP/1.1\r\nHost: a\r\n\r\n"s, "malformed"},
        {"GET /sixteen-bytes-and-more\0 HTTP/1.1\r\nHost: a\r\n\r\n"s, "malformed"},
        {"GET /sixteen-bytes-and-more#x HTTP/1.1\r\nHost: a\r\n\r\n"s, "malformed"},
        {"GET /\xc3\xbc|{}\\ HTTP/1.1\r\nHost: a\r\n\r\n", "complete"},
        {"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
        {"GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
        {"GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
        {"GET http://a?x HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
        {"GET http://a/ HTTP/1.1\r\n\r\n", "malformed"},
        // fields
        {get_with("A : b\r\n"), "malformed"},
        {get_with(": b\r\n"), "malformed"},
        {get_with("A b\r\n"), "malformed"},
        {get_with("A\r\n"), "malformed"},
        {get_with("A(: b\r\n"), "malformed"},
        {get_with("A: b\r\n c\r\n"), "malformed"},
        {get_with("A: b\r\n\tc\r\n"), "malformed"},
        {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", "malformed"},
        {get_with("A: b\nC: d\r\n"), "malformed"},
        {get_with("A: b\rC: d\r\n"), "malformed"},
        {get_with("A: b\r\r\n"), "malformed"},
        {get_with("A: b\0c\r\n"s), "malformed"},
        {get_with("A: a value of more than sixteen bytes\x0b\r\n"s), "malformed"},
        {get_with("A: a value of more than sixteen bytes\x7f\r\n"s), "malformed"},
        {get_with("A: obs-text \xff\x80, a tab\t, \"quotes\" and everything {else}\r\n"), "complete"},
        {"GET / HTTP/1.1\r\nHost: a\r\n\n", "malformed"},
        {"GET / HTTP/1.1\r\nHost: a\n\n", "malformed"},
        // Host
        {"GET / HTTP/1.1\r\n\r\n", "malformed"},
        {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "malformed"},
        {get_with("Host: a\r\n"), "malformed"},
        {get_with("host: b\r\n"), "malformed"},
        {"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "malformed"},
        {"GET / HTTP/1.0\r\n\r\n", "complete"},
        // Connection
        {get_with("Connection: close, \"x\"\r\n"), "malformed"},
        {get_with("Connection: a b\r\n"), "malformed"},
    };
    for (auto const& c : cases) EXPECT_EQ(OwnRequest(c.text).result, c.result) << testing::PrintToString(c.text);
}

TEST(RequestHead, HostIsOneHostWithAtMostAPort) {
    for (auto const* good : {"a", "a.b-c_d~e", "1.2.3.4:80", "[::1]", "[::1]:8080", "[::ffff:1.2.3.4]", "a:", "%41",
                             "a!$&'()*+;=", "a:65535"})
        EXPECT_EQ(OwnRequest("GET / HTTP/1.1\r\nHost: " + std::string(good) + "\r\n\r\n").result, "complete") << good;
    for (auto const* bad : {"a b",     "a,b",      "a/b", "a?b",  "a#b",  "u@a",      "u:p@a",    "a:b",    "a:80:80",
                            "a:65536", "a:123456", ":80", "[::1", "[]",   "[x]",      "[1]",      "[::1]a", "::1",
                            "a\"",     "<a>",      "%4",  "%zz",  "a\\b", "http://a", "\xc3\xbc", "a\tb"})
        EXPECT_EQ(OwnRequest("GET / HTTP/1.1\r\nHost: " + std::string(bad) + "\r\n\r\n").result, "malformed") << bad;
}

TEST(RequestHead, AnAbsoluteFormBecomesAnOriginForm) {
    struct Case {
        char const* target;
        char const* origin_form;
        char const* host;
    };
    for (auto const& c : {Case{"http://b/x?y", "/x?y", "b"}, Case{"http://b", "/", "b"}, Case{"http://b/", "/", "b"},
                          Case{"HTTPS://b:1/?", "/?", "b:1"}, Case{"http://[::1]:8/a", "/a", "[::1]:8"}}) {
        OwnRequest const own("GET " + std::string(c.target) + " HTTP/1.1\r\nHost: a\r\n\r\n");
        ASSERT_EQ(own.result, "complete") << c.target;
        EXPECT_EQ(own.head.target, c.origin_form);
        EXPECT_EQ(own.head.host, c.host) << "the authority counts, not the Host field (RFC 9112 §3.2.2)";
    }
    EXPECT_EQ(OwnRequest("GET http://b/ HTTP/1.0\r\n\r\n").head.host, "b");
    EXPECT_EQ(OwnRequest("GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n").result, "malformed");
}

TEST(RequestHead, TheEndOfTheBodyIsCertainOrRefused) {
    struct Case {
        char const* fields;
        char const* result;
    };
    for (auto const& c : std::vector<Case>{
             {"", "none"},
             {"Content-Length: 0\r\n", "length 0"},
             {"Content-Length: 5\r\n", "length 5"},
             {"Content-Length: 005\r\n", "length 5"},
             {"Content-Length: 9223372036854775807\r\n", "length 9223372036854775807"},
             {"Content-Length: 9223372036854775808\r\n", "malformed"},
             {"Content-Length: 18446744073709551616\r\n", "malformed"},
             {"Content-Length: 18446744073709551621\r\n", "malformed"},
             {"Content-Length: 99999999999999999999999999\r\n", "malformed"},
             {"Content-Length:\r\n", "malformed"},
             {"Content-Length: +5\r\n", "malformed"},
             {"Content-Length: -5\r\n", "malformed"},
             {"Content-Length: 5, 5\r\n", "malformed"},
             {"Content-Length: 5 5\r\n", "malformed"},
             {"Content-Length: 0x5\r\n", "malformed"},
             {"Content-Length: 5.0\r\n", "malformed"},
             {"Content-Length: \"5\"\r\n", "malformed"},
             {"Content-Length: 5\r\nContent-Length: 5\r\n", "malformed"},
             {"Content-Length: 5\r\ncontent-length: 6\r\n", "malformed"},
             {"Transfer-Encoding: chunked\r\n", "chunked"},
             {"transfer-encoding:\tCHUNKED \r\n", "chunked"},
             {"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "malformed"},
             {"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "malformed"},
             {"Content-Length: 5\r\nTransfer-Encoding: gzip\r\n", "malformed"},
             {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "malformed"},
             {"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", "malformed"},
             {"Transfer-Encoding: chunked, chunked\r\n", "malformed"},
             {"Transfer-Encoding: chunked, identity\r\n", "malformed"},
             {"Transfer-Encoding: xchunked\r\n", "malformed"},
             {"Transfer-Encoding: identity\r\n", "malformed"},
             {"Transfer-Encoding: gzip\r\n", "malformed"},
             {"Transfer-Encoding: gzip, chunked\r\n", "unsupported_coding"},
             {"Transfer-Encoding: gzip;q=1, chunked\r\n", "malformed"},
             {"Transfer-Encoding: chunked;q=1\r\n", "malformed"},
             {"Transfer-Encoding: \"chunked\"\r\n", "malformed"},
             {"Transfer-Encoding: ,chunked\r\n", "malformed"},
             {"Transfer-Encoding: chunked,\r\n", "malformed"},
             {"Transfer-Encoding:\r\n", "malformed"},
             {"Transfer-Encoding: \x0b"
              "chunked\r\n",
              "malformed"},
             {"Transfer-Encoding : chunked\r\n", "malformed"},
             {"Transfer-Encoding\r\n: chunked\r\n", "malformed"},
             {"X: y\r\n Transfer-Encoding: chunked\r\n", "malformed"},
         }) {
        OwnRequest const own("POST / HTTP/1.1\r\nHost: a\r\n" + std::string(c.fields) + "\r\n");
        auto result = own.result;
        if (result == "complete") {
            auto const& body = own.head.body;
            result = body.kind == Framing::Kind::none      ? "none"
                     : body.kind == Framing::Kind::chunked ? "chunked"
                                                           : "length " + std::to_string(body.length);
        }
        EXPECT_EQ(result, c.result) << c.fields;
    }
    EXPECT_EQ(OwnRequest("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").result, "malformed");
}

TEST(RequestHead, KeepAliveIsWhatVersionAndConnectionSay) {
    struct Case {
        int minor;
        char const* fields;
        bool stays;
    };
    for (auto const& c : {Case{1, "", true}, Case{1, "Connection: close\r\n", false}, Case{0, "", false},
                          Case{0, "Connection: Keep-Alive\r\n", true}, Case{1, "Connection: keep-alive\r\n", true},
                          Case{1, "Connection: x, CLOSE\r\n", false}, Case{1, "Connection: closed\r\n", true},
                          Case{0, "Connection: keep-alive\r\nConnection: close\r\n", false}}) {
        OwnRequest const own("GET / HTTP/1." + std::to_string(c.minor) + "\r\nHost: a\r\n" + c.fields + "\r\n");
        ASSERT_EQ(own.result, "complete");
        EXPECT_EQ(own.head.keep_alive, c.stays) << c.minor << c.fields;
    }
}

TEST(RequestHead, ExpectMeansSomethingFromOnePointOne) {
    EXPECT_TRUE(OwnRequest(get_with("Expect: 100-Continue\r\n")).head.expects_continue);
    EXPECT_FALSE(OwnRequest(get_with("Expect: 200-ok\r\n")).head.expects_continue);
    EXPECT_FALSE(OwnRequest("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").head.expects_continue);
}

TEST(RequestHead, AnExpectationThatIsRepeatedIsOne) {
    for (auto const* fields : {"Expect: 100-continue\r\nExpect: 100-Continue\r\n",
                               "Expect: 100-continue\r\nX: y\r\nExpect: 100-continue\r\nexpect: 100-continue\r\n",
                               "Expect: 100-continue, 100-continue\r\n", "Expect: , 100-continue,\r\nExpect:\r\n"}) {
        EXPECT_TRUE(OwnRequest(get_with(fields)).head.expects_continue) << fields;
    }
    for (auto const* fields :
         {"Expect: 100-continue\r\nExpect: 200-ok\r\n", "Expect: 200-ok\r\nExpect: 100-continue\r\n",
          "Expect: 100-continue, 200-ok\r\n", "Expect:\r\n", "Expect: 100-continue;q=1\r\n"}) {
        EXPECT_FALSE(OwnRequest(get_with(fields)).head.expects_continue) << fields;
    }
}

TEST(RequestHead, AHandshakeIsWellFormedOrNone) {
    struct Case {
        std::string text;
        bool upgrade;
        bool websocket;
    };
    auto const keyless = [](std::string_view more) {
        return get_with("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
                        std::string(more));
    };
    for (auto const& c : std::vector<Case>{
             {handshake(), true, true},
             {handshake("WebSocket", "keep-alive, upgrade"), true, true},
             {handshake("h2c, websocket"), true, true},
             {handshake("websocket", "Upgrade", "13", "Content-Length: 0\r\n"), true, true},
             {handshake("websocket", "keep-alive"), false, false},
             {handshake("h2c"), true, false},
             {handshake("websockets"), true, false},
             {handshake("websocket", "Upgrade", "8"), true, false},
             {handshake("websocket", "Upgrade", "13", "Sec-WebSocket-Version: 13\r\n"), true, false},
             {handshake("websocket", "Upgrade", "13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"), true, false},
             {handshake("websocket", "Upgrade", "13", "Content-Length: 5\r\n"), true, false},
             {handshake("websocket", "Upgrade", "13", "Transfer-Encoding: chunked\r\n"), true, false},
             {keyless(""), true, false},
             {keyless("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"), true, true},
             {keyless("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=\r\n"), true, false},
             {keyless("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAA===\r\n"), true, false},
             {keyless("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA-_==\r\n"), true, false},
             {keyless("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAA\r\n"), true, false},
             {"POST" + handshake().substr(3), true, false},
             {"GET / HTTP/1.0" + handshake().substr(14), false, false},
         }) {
        OwnRequest const own(c.text);
        ASSERT_EQ(own.result, "complete") << c.text;
        EXPECT_EQ(own.head.upgrade, c.upgrade) << c.text;
        EXPECT_EQ(own.head.websocket, c.websocket) << c.text;
        EXPECT_EQ(own.head.websocket_key.empty(), !c.websocket);
    }
    EXPECT_EQ(OwnRequest(handshake()).head.websocket_key, key);
}

TEST(RequestHead, BoundsAreToldBeforeTheHeadIsComplete) {
    HeadLimits const limits{200, 20};
    auto const target = [](std::size_t bytes) { return "GET /" + std::string(bytes - 1, 'a'); };
    auto const rest = " HTTP/1.1\r\nHost: a\r\n\r\n"s;
    EXPECT_EQ(OwnRequest(target(20) + rest, limits).result, "complete");
    EXPECT_EQ(OwnRequest(target(21) + rest, limits).result, "target_too_long");
    EXPECT_EQ(OwnRequest(target(20), limits).result, "need_more");
    EXPECT_EQ(OwnRequest(target(21), limits).result, "target_too_long");

    auto const head = [](std::size_t bytes) {
        auto text = "GET / HTTP/1.1\r\nHost: a\r\nX: "s;
        return text + std::string(bytes - text.size() - 4, 'x') + "\r\n\r\n";
    };
    EXPECT_EQ(OwnRequest(head(200), limits).result, "complete");
    EXPECT_EQ(OwnRequest(head(201), limits).result, "head_too_large");
    EXPECT_EQ(OwnRequest(head(200) + "the next one", limits).result, "complete");
    EXPECT_EQ(OwnRequest(head(200).substr(0, 199), limits).result, "need_more");
    EXPECT_EQ(OwnRequest(head(201).substr(0, 200), limits).result, "head_too_large");

    std::string fields;
    for (std::size_t i = 0; i < FieldList::capacity - 1; ++i) fields += "a:\r\n";
    EXPECT_EQ(OwnRequest(get_with(fields)).result, "complete");
    EXPECT_EQ(OwnRequest(get_with(fields + "a:\r\n")).result, "head_too_large");

    std::string options = "Connection: a";
    for (int i = 1; i < 32; ++i) options += ",a";
    EXPECT_EQ(OwnRequest(get_with(options + "\r\n")).result, "complete");
    EXPECT_EQ(OwnRequest(get_with(options + "\r\nConnection: b\r\n")).result, "malformed");
}

/// Feeds `text` up to each of `ends` in turn, as a connection would, each time in a buffer of that very size.
std::string fed(std::string const& text, std::vector<std::size_t> const& ends, HeadLimits const& limits) {
    std::size_t seen = 0;
    RequestHead head;
    std::string result = "need_more";
    for (auto const end : ends) {
        std::string const there = text.substr(0, end);
        result = word(parse_request_head(there, limits, seen, head));
        if (result == "complete") return told(head);
        if (result != "need_more") return result;
    }
    return result;
}

TEST(RequestHead, AnySplitTellsTheSame) {
    HeadLimits const limits{160, 24};
    for (auto const& text : std::vector<std::string>{
             "\r\nPOST http://b:80/a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
             "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Long-Name: and a longer value, too\r\n\r\n",
             "GET /0123456789012345678901234567890123456789 HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET /012345678901234567890123#x HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET / HTTP/1.1\nHost: a\n\n",
             "GET / HTTP/1.1\r\nHost: a\r\nA: b\nC: d\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\n\nC: d\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\nC\r\n\r\n",
             "GET / HTTP/3.0\r\nHost: a\r\n\r\n",
             "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(200, 'x') + "\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(100, 'x') + "\1" + std::string(200, 'x') + "\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
             std::string(50, 'G') + " / HTTP/1.1\r\n\r\n",
         }) {
        auto const whole = fed(text, {text.size()}, limits);
        EXPECT_NE(whole, "need_more") << text;
        std::vector<std::size_t> each;
        for (std::size_t i = 0; i <= text.size(); ++i) {
            each.push_back(i);
            EXPECT_EQ(fed(text, {i, text.size()}, limits), whole) << text << " split at " << i;
            for (std::size_t j = i; j <= text.size(); j += 3)
                EXPECT_EQ(fed(text, {i, j, text.size()}, limits), whole) << text << " split at " << i << ", " << j;
        }
        EXPECT_EQ(fed(text, each, limits), whole) << text << " byte by byte";
    }
}

TEST(RequestHead, WhatIsWrongIsToldWhenItsLineHasCome) {
    auto const refused_at = [](std::string const& text) {
        std::size_t seen = 0;
        RequestHead head;
        for (std::size_t i = 0; i <= text.size(); ++i) {
            auto const result = word(parse_request_head(std::string_view(text).substr(0, i), {}, seen, head));
            if (result != "need_more") return i;
        }
        return std::string::npos;
    };
    EXPECT_EQ(refused_at("GET / FOO\r\nHost: a\r\n"), 11u);
    EXPECT_EQ(refused_at("GET / HTTP/2.0\r\nHost: a\r\n"), 16u);
    EXPECT_EQ(refused_at("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n"), 22u);
    EXPECT_EQ(refused_at("GET / HTTP/1.1\r\nA: b\nHost: a\r\n"), 21u) << "a bare LF is told at once";
    EXPECT_LE(refused_at("GET /" + std::string(20'000, 'a')), 8 * 1024u + 64);
    EXPECT_EQ(refused_at("GET / HTTP/1.1\r\nA: " + std::string(20'000, 'a')), 16 * 1024u);
}

TEST(RequestHead, AHeadThatTricklesInCostsNoMoreThanItsLength) {
    // No clock: what a call has looked at is never looked at again, and fields are read again only for a reason.
    std::string text = "GET / HTTP/1.1\r\nHost: a\r\n";
    while (text.size() < 16'000) text += "X-Field: value\r\n";
    text.resize(16'000, 'x');
    std::size_t seen = 0;
    RequestHead head;
    std::size_t constexpr position = ~std::size_t{0} >> 1U;
    for (std::size_t i = 1; i < 2'000; ++i) {
        ASSERT_EQ(word(parse_request_head(std::string_view(text).substr(0, i), {}, seen, head)), "need_more");
        ASSERT_EQ(seen & position, i);
    }
    EXPECT_LE(head.fields.size(), 1u) << "the fields were read again and again";
}

TEST(RequestHead, NothingIsLeftOfTheHeadThatWasThereBefore) {
    RequestHead head;
    std::size_t seen = 0;
    auto const first = handshake();
    ASSERT_EQ(word(parse_request_head(first, {}, seen, head)), "complete");
    seen = 0;
    auto const second = "GET /2 HTTP/1.0\r\n\r\n"s;
    ASSERT_EQ(word(parse_request_head(second, {}, seen, head)), "complete");
    EXPECT_EQ(told(head), told(OwnRequest(second).head));
}

TEST(RequestHead, ARefusalThrowsWhenItsValueIsTaken) {
    std::size_t seen = 0;
    RequestHead head;
    EXPECT_THROW((void)parse_request_head("\n", {}, seen, head).value(), boost::system::system_error);
}

}  // namespace
}  // namespace ocgate::wire
