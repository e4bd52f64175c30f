#include "ocgate/wire/rewrite.hpp"

#include <vector>

#include "parsing.hpp"

namespace ocgate::wire {
namespace {

using std::string_literals::operator""s;
using testing::HasSubstr;
using testing::Not;

std::string forwarded(std::string_view text, RequestRewrite const& rewrite = {}, std::size_t room = 4096) {
    OwnRequest const own(text);
    EXPECT_EQ(own.result, "complete") << text;
    std::vector<char> out(room);
    auto const size = write_request_head(out, own.head, rewrite);
    return size ? std::string(out.data(), *size) : std::string(to_string(size.error()));
}

std::string returned(std::string_view text, ResponseRewrite const& rewrite = {}, std::string_view method = "GET",
                     std::size_t room = 4096) {
    OwnResponse const own(text, method);
    EXPECT_EQ(own.result, "complete") << text;
    std::vector<char> out(room);
    auto const size = write_response_head(out, own.head, rewrite);
    return size ? std::string(out.data(), *size) : std::string(to_string(size.error()));
}

/// The value of the only field of that name in a request head; `none` or `many` otherwise.
std::string only(std::string_view text, std::string_view name) {
    OwnRequest const own(text);
    EXPECT_EQ(own.result, "complete") << text;
    auto const n = own.head.fields.count(name);
    return n == 1 ? std::string(*own.head.fields.find(name)) : n == 0 ? "none" : "many";
}

TEST(RequestRewrite, WritesWhatTheUpstreamIsToSee) {
    RequestRewrite rewrite;
    rewrite.peer = "10.0.0.7";
    rewrite.request_id = "0123456789abcdef";
    rewrite.authorization = "Basic dTpw";
    rewrite.hidden_parameter = "auth_token";
    EXPECT_EQ(forwarded("POST /session?auth_token=x&a=b HTTP/1.1\r\nhost: code.example\r\naccept-ENCODING: gzip, br\r\n"
                        "Authorization: Basic c2VjcmV0\r\nX-Forwarded-For: 6.6.6.6\r\nCookie: a=1; b=3\r\n"
                        "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\n"
                        "Via: 1.0 fred\r\nX-Request-Id: mine\r\nContent-Length: 007\r\nX-A: b\r\n\r\n",
                        rewrite),
              "POST /session?a=b HTTP/1.1\r\n"
              "Host: code.example\r\n"
              "accept-ENCODING: gzip, br\r\n"
              "Cookie: a=1; b=3\r\n"
              "X-A: b\r\n"
              "X-Forwarded-For: 10.0.0.7\r\n"
              "X-Forwarded-Proto: http\r\n"
              "X-Forwarded-Host: code.example\r\n"
              "Via: 1.0 fred, 1.1 ocgate\r\n"
              "X-Request-Id: 0123456789abcdef\r\n"
              "Authorization: Basic dTpw\r\n"
              "Content-Length: 7\r\n"
              "\r\n");
}

TEST(RequestRewrite, WhatBelongsToOneHopStaysHere) {
    auto const text = forwarded(get_with(
        "Connection: X-Named, Host, Authorization, Content-Type, Cookie, Origin, Sec-Fetch-Site, Via, close\r\n"
        "X-Named: 1\r\nx-NAMED: 2\r\nContent-Type: a/b\r\nCookie: a=b\r\nOrigin: http://a\r\nSec-Fetch-Site: none\r\n"
        "Keep-Alive: 1\r\nProxy-Connection: close\r\nTE: trailers\r\nTrailer: X\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: x\r\nProxy-Authorization: Basic x\r\nProxy-Authenticate: Basic\r\nForwarded: for=b\r\n"
        "X-Real-IP: b\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Anything: 1\r\nAuthorization: Basic x\r\n"));
    EXPECT_EQ(text,
              "GET / HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nCookie: a=b\r\nOrigin: http://a\r\n"
              "Sec-Fetch-Site: none\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\nVia: 1.1 ocgate\r\n\r\n");
}

TEST(RequestRewrite, ANameThatOnlyUnderscoresTellApartStaysHere) {
    auto const text = forwarded(get_with(
        "X_Forwarded_For: b\r\nx-forwarded_proto: https\r\nX_Forwarded_Anything_That_Is_Long_Enough_For_Two: b\r\n"
        "Content_Length: 5\r\nTRANSFER_ENCODING: chunked\r\nProxy_Authorization: b\r\nSec_Fetch_Site: none\r\n"
        "my_own: 1\r\nX_: 2\r\n_: 3\r\n"));
    EXPECT_EQ(text,
              "GET / HTTP/1.1\r\nHost: a\r\nmy_own: 1\r\nX_: 2\r\n_: 3\r\nX-Forwarded-Proto: http\r\n"
              "X-Forwarded-Host: a\r\nVia: 1.1 ocgate\r\n\r\n");
}

TEST(RequestRewrite, ForwardedFieldsAreContinuedForATrustedPeerOnly) {
    auto const text = get_with(
        "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2, 3.3.3.3\r\nX-Forwarded-Proto: https, http\r\n"
        "X-Forwarded-Proto: http\r\nX-Forwarded-Host: public.example\r\nX-Forwarded-Host: b\r\n");
    RequestRewrite rewrite;
    rewrite.peer = "10.0.0.7";
    auto const replaced = forwarded(text, rewrite);
    EXPECT_EQ(only(replaced, "X-Forwarded-For"), "10.0.0.7");
    EXPECT_EQ(only(replaced, "X-Forwarded-Proto"), "http");
    EXPECT_EQ(only(replaced, "X-Forwarded-Host"), "a");
    rewrite.peer_trusted = true;
    auto const continued = forwarded(text, rewrite);
    EXPECT_EQ(only(continued, "X-Forwarded-For"), "1.1.1.1, 2.2.2.2, 3.3.3.3, 10.0.0.7");
    EXPECT_EQ(only(continued, "X-Forwarded-Proto"), "https");
    EXPECT_EQ(only(continued, "X-Forwarded-Host"), "public.example");
    auto const odd = forwarded(get_with("X-Forwarded-Proto: javascript\r\nX-Forwarded-Host: a b\r\n"), rewrite);
    EXPECT_EQ(only(odd, "X-Forwarded-Proto"), "http");
    EXPECT_EQ(only(odd, "X-Forwarded-Host"), "a");
    EXPECT_EQ(only(odd, "X-Forwarded-For"), "10.0.0.7");
}

TEST(RequestRewrite, HidesAParameterAndNothingElse) {
    RequestRewrite rewrite;
    rewrite.hidden_parameter = "auth_token";
    auto const target = [&](std::string_view sent) {
        auto const text = forwarded("GET " + std::string(sent) + " HTTP/1.1\r\nHost: a\r\n\r\n", rewrite);
        return text.substr(4, text.find(" HTTP/1.1") - 4);
    };
    EXPECT_EQ(target("/a"), "/a");
    EXPECT_EQ(target("/a?"), "/a?");
    EXPECT_EQ(target("/a?b=%41+c&&d=e=f&"), "/a?b=%41+c&&d=e=f&");
    EXPECT_EQ(target("/a?auth_token=x"), "/a");
    EXPECT_EQ(target("/a?auth_token"), "/a");
    EXPECT_EQ(target("/a?auth_token=x&b=1"), "/a?b=1");
    EXPECT_EQ(target("/a?b=1&auth_token=x"), "/a?b=1");
    EXPECT_EQ(target("/a?b=1&auth_token=x&c=2&auth_token=y&auth_token"), "/a?b=1&c=2");
    EXPECT_EQ(target("/a?%61uth%5ftoken=x&%61UTH_token=y"), "/a?%61UTH_token=y");
    EXPECT_EQ(target("/a?auth+token=x&auth_token%00=y&auth_token%=z&xauth_token=1&auth_token2=1"),
              "/a?auth+token=x&auth_token%00=y&auth_token%=z&xauth_token=1&auth_token2=1");
    EXPECT_EQ(target("/a?b=?auth_token=x&auth_token=y?z"), "/a?b=?auth_token=x");
    EXPECT_EQ(target("/auth_token=x?c"), "/auth_token=x?c");
    EXPECT_EQ(target("/a?b=1;auth_token=x"), "/a?b=1;auth_token=x") << "`;` separates nothing (WHATWG URL)";
    rewrite.hidden_parameter = "a b";
    EXPECT_EQ(target("/a?a+b=1&a%20b=2&a%2Bb=3"), "/a?a%2Bb=3");
    rewrite.hidden_parameter = "";
    EXPECT_EQ(target("/a?auth_token=x"), "/a?auth_token=x");
}

TEST(RequestRewrite, FramesAsTheHeadSays) {
    EXPECT_THAT(forwarded("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"),
                HasSubstr("\r\nTransfer-Encoding: chunked\r\n"));
    EXPECT_THAT(forwarded("POST / HTTP/1.1\r\nHost: a\r\n\r\n"), Not(HasSubstr("ontent-Length")));
    EXPECT_EQ(only(forwarded("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"), "Content-Length"), "0");
    auto const expecting = forwarded("POST / HTTP/1.1\r\nHost: a\r\nexpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    EXPECT_EQ(only(expecting, "Expect"), "100-continue");
    auto const twice = forwarded(get_with("Expect: 100-continue\r\nExpect: 100-Continue\r\n"));
    EXPECT_EQ(only(twice, "Expect"), "100-continue");
    auto const mixed = forwarded(get_with("Expect: 100-continue\r\nExpect: 200-ok\r\n"));
    EXPECT_THAT(mixed, HasSubstr("Expect: 100-continue\r\nExpect: 200-ok\r\n")) << "not for us to judge";
    EXPECT_EQ(only(forwarded(get_with("Expect: 200-ok\r\n")), "Expect"), "200-ok");
    EXPECT_EQ(
        only(forwarded("POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"), "Expect"),
        "none");
}

TEST(RequestRewrite, AHandshakeIsWrittenAnew) {
    auto const text = get_with(
        "Upgrade: h2c, WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: a\r\n");
    auto const sent = forwarded(text);
    EXPECT_EQ(only(sent, "Upgrade"), "websocket");
    EXPECT_EQ(only(sent, "Connection"), "Upgrade");
    EXPECT_EQ(only(sent, "Sec-WebSocket-Protocol"), "a");
    EXPECT_TRUE(OwnRequest(sent).head.websocket);
    auto const plain = forwarded(get_with("Upgrade: websocket\r\nConnection: Upgrade\r\n"));
    EXPECT_EQ(only(plain, "Upgrade"), "none");
    EXPECT_EQ(only(plain, "Connection"), "none");
}

TEST(RequestRewrite, AnOldClientIsSpokenForInTheNewVersion) {
    RequestRewrite rewrite;
    rewrite.default_host = "127.0.0.1:4096";
    auto const sent = forwarded("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", rewrite);
    EXPECT_THAT(sent, testing::StartsWith("GET / HTTP/1.1\r\nHost: 127.0.0.1:4096\r\n"));
    EXPECT_EQ(only(sent, "Via"), "1.0 ocgate");
    EXPECT_THAT(forwarded("GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n"),
                testing::StartsWith("GET /x HTTP/1.1\r\nHost: b\r\n"));
}

TEST(RequestRewrite, NeverWritesBeyondItsRoom) {
    RequestRewrite rewrite;
    rewrite.peer = "::1";
    auto const text = get_with("X-A: b\r\nCookie: a=b\r\n");
    auto const whole = forwarded(text, rewrite);
    for (std::size_t room = 0; room < whole.size(); ++room)
        EXPECT_EQ(forwarded(text, rewrite, room), "head_too_large") << room;
    EXPECT_EQ(forwarded(text, rewrite, whole.size()), whole);
}

TEST(RequestRewrite, TreatsHeadsNobodyParsedTheSame) {
    RequestHead head;
    head.method = "GET";
    head.target = "/";
    head.host = "a";
    ASSERT_TRUE(head.fields.add({"Authorization", "Basic x"}));
    ASSERT_TRUE(head.fields.add({"X-A", "b"}));
    std::array<char, 512> out{};
    auto const size = write_request_head(out, head, {});
    ASSERT_TRUE(size);
    EXPECT_EQ(std::string_view(out.data(), *size),
              "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n"
              "Via: 1.1 ocgate\r\n\r\n");
}

TEST(ResponseRewrite, WritesWhatTheClientIsToSee) {
    ResponseRewrite rewrite;
    rewrite.request_id = "id";
    EXPECT_EQ(returned("HTTP/1.1 401 Un\xfcorthodox\r\nDate: x\r\nX-Request-Id: y\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
                       "Connection: keep-alive, X-Hop, Content-Type, Set-Cookie\r\nX-Hop: 1\r\nContent-Type: a/b\r\n"
                       "Keep-Alive: 5\r\nTrailer: X\r\nUpgrade: h2\r\nProxy-Authenticate: Basic\r\n"
                       "Via: 1.1 b\r\ncontent-length: 3\r\n\r\n",
                       rewrite),
              "HTTP/1.1 401 Un\xfcorthodox\r\nDate: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Type: a/b\r\n"
              "Via: 1.1 b, 1.1 ocgate\r\nX-Request-Id: id\r\nContent-Length: 3\r\n\r\n");
}

TEST(ResponseRewrite, SaysThatNothingOfItIsToRun) {
    ResponseRewrite rewrite;
    rewrite.inert = true;
    EXPECT_EQ(returned(ok_with("Content-Type: text/html\r\nContent-Security-Policy: script-src *\r\n"
                               "X-Content-Type-Options: no\r\nContent-Length: 2\r\n"),
                       rewrite),
              "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Security-Policy: script-src *\r\n"
              "X-Content-Type-Options: no\r\nVia: 1.1 ocgate\r\nContent-Security-Policy: sandbox\r\n"
              "X-Content-Type-Options: nosniff\r\nContent-Length: 2\r\n\r\n");
}

TEST(ResponseRewrite, FramesForTheClientsVersion) {
    ResponseRewrite old;
    old.client_1_0 = true;
    old.close = true;
    auto const chunked = ok_with("Transfer-Encoding: chunked\r\n");
    EXPECT_EQ(returned(chunked), "HTTP/1.1 200 OK\r\nVia: 1.1 ocgate\r\nTransfer-Encoding: chunked\r\n\r\n");
    EXPECT_EQ(returned(chunked, old), "HTTP/1.1 200 OK\r\nVia: 1.1 ocgate\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(returned("HTTP/1.0 200 OK\r\n\r\n"),
              "HTTP/1.1 200 OK\r\nVia: 1.0 ocgate\r\nTransfer-Encoding: chunked\r\n\r\n");
    EXPECT_EQ(returned(ok_with(""), old), "HTTP/1.1 200 OK\r\nVia: 1.1 ocgate\r\nConnection: close\r\n\r\n");
    old.close = false;
    old.keep_alive_1_0 = true;
    EXPECT_EQ(returned(ok_with("Content-Length: 2\r\n"), old),
              "HTTP/1.1 200 OK\r\nVia: 1.1 ocgate\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n");
}

TEST(ResponseRewrite, WithoutABodyOnlyAHonestLengthIsKept) {
    auto const plain = "HTTP/1.1 200 OK\r\nVia: 1.1 ocgate\r\n\r\n"s;
    EXPECT_EQ(returned(ok_with("Content-Length: 5\r\n"), {}, "HEAD"),
              "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nVia: 1.1 ocgate\r\n\r\n");
    EXPECT_EQ(returned(ok_with("Transfer-Encoding: chunked\r\n"), {}, "HEAD"), plain);
    EXPECT_THAT(returned("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"), HasSubstr("Content-Length: 5\r\n"));
    EXPECT_EQ(returned("HTTP/1.1 204 No\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
              "HTTP/1.1 204 No\r\nVia: 1.1 ocgate\r\n\r\n");
    EXPECT_EQ(returned("HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 5\r\n\r\n"),
              "HTTP/1.1 103 Early Hints\r\nLink: x\r\nVia: 1.1 ocgate\r\n\r\n");
}

TEST(ResponseRewrite, ASwitchKeepsItsHandshake) {
    ResponseRewrite rewrite;
    rewrite.close = true;
    EXPECT_EQ(returned("HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n"
                       "Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: p\r\n\r\n",
                       rewrite),
              "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: p\r\n"
              "Via: 1.1 ocgate\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
}

TEST(ResponseRewrite, NeverWritesBeyondItsRoom) {
    auto const whole = returned(ok_with("Content-Length: 2\r\n"));
    for (std::size_t room = 0; room < whole.size(); ++room)
        EXPECT_EQ(returned(ok_with("Content-Length: 2\r\n"), {}, "GET", room), "head_too_large") << room;
}

TEST(ClientAddress, IsTheNearestHopThatNobodyVouchesFor) {
    auto const seen = [](std::string_view fields, std::string_view peer) {
        OwnRequest const own(get_with(fields));
        auto const ours = [](void const*, std::string_view address) {
            return address.starts_with("10.") || address == "2001:db8::10";
        };
        auto const [address, hidden] = client_address(own.head, peer, ours, nullptr);
        return std::string(address) + (hidden ? " hides somebody" : "");
    };
    auto const behind = [&](std::string_view list) {
        return seen("X-Forwarded-For: " + std::string(list) + "\r\n", "10.0.0.1");
    };
    EXPECT_EQ(seen("", "9.9.9.9"), "9.9.9.9");
    EXPECT_EQ(seen("", "10.0.0.1"), "10.0.0.1");
    EXPECT_EQ(seen("X-Forwarded-For: 1.1.1.1\r\n", "9.9.9.9"), "9.9.9.9 hides somebody");
    EXPECT_EQ(seen("Forwarded: for=1.1.1.1\r\n", "9.9.9.9"), "9.9.9.9 hides somebody");
    EXPECT_EQ(seen("Forwarded: for=1.1.1.1\r\n", "10.0.0.1"), "10.0.0.1 hides somebody");
    for (auto const* both :
         {"Forwarded: for=x\r\nX-Forwarded-For: 1.1.1.1\r\n", "X-Forwarded-For: 1.1.1.1\r\nForwarded: for=x\r\n"})
        EXPECT_EQ(seen(both, "10.0.0.1"), "1.1.1.1");
    EXPECT_EQ(behind("6.6.6.6, 1.1.1.1"), "1.1.1.1");
    EXPECT_EQ(seen("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 2001:db8::1 ,, 10.0.0.2\r\n", "10.0.0.1"),
              "2001:db8::1");
    EXPECT_EQ(behind("10.0.0.3, 10.0.0.2"), "10.0.0.3");
    EXPECT_EQ(behind("1.1.1.1, unknown, 10.0.0.2"), "10.0.0.2 hides somebody");
    EXPECT_EQ(behind("unknown, 1.1.1.1"), "1.1.1.1");
    for (auto const* nobody : {"", ",", " , ", "unknown", "_hidden"})
        EXPECT_EQ(behind(nobody), "10.0.0.1 hides somebody") << nobody;
}

TEST(ClientAddress, MayHaveAPortAndBrackets) {
    auto const seen = [](std::string const& hop) {
        OwnRequest const own(get_with("X-Forwarded-For: " + hop + "\r\n"));
        auto const ours = [](void const*, std::string_view address) { return address == "10.0.0.1"; };
        auto const [address, hidden] = client_address(own.head, "10.0.0.1", ours, nullptr);
        EXPECT_EQ(hidden, address == "10.0.0.1");
        return std::string(address);
    };
    EXPECT_EQ(seen("1.1.1.1:80"), "1.1.1.1");
    EXPECT_EQ(seen("1.1.1.1:65535, 10.0.0.1:1"), "1.1.1.1");
    EXPECT_EQ(seen("[2001:db8::9]"), "2001:db8::9");
    EXPECT_EQ(seen("[2001:db8::9]:1234"), "2001:db8::9");
    EXPECT_EQ(seen("2001:db8::9"), "2001:db8::9");
    for (std::string const none : {"1.1.1.1:",
                                   "1.1.1.1:x",
                                   "1.1.1.1:123456",
                                   "1.1.1.1 :80",
                                   "1.1.1.1:80:80",
                                   "1.1.1.1:-1",
                                   "[1.1.1.1]",
                                   "[1.1.1.1]:80",
                                   "[",
                                   "[]",
                                   "[]:80",
                                   "[2001:db8::9",
                                   "2001:db8::9]:1",
                                   "[2001:db8::9]x",
                                   "[2001:db8::9]:",
                                   "[2001:db8::9]80",
                                   "[[2001:db8::9]]",
                                   ":80",
                                   "1.1.1",
                                   "\"1.1.1.1\"",
                                   "unix"})
        EXPECT_EQ(seen(none), "10.0.0.1") << none;
    EXPECT_EQ(seen(std::string(100, '1')), "10.0.0.1");
}

}  // namespace
}  // namespace ocgate::wire
