#include <gmock/gmock.h>

#include <vector>

#include "parsing.hpp"

namespace ocgate::wire {
namespace {

using std::string_literals::operator""s;
using testing::AnyOf;

TEST(ResponseHead, IsReadAsItStands) {
    OwnResponse const own(
        "HTTP/1.1 200 All \xfc right\r\nContent-Type: text/event-stream;charset=utf-8\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    ASSERT_EQ(own.result, "complete");
    EXPECT_EQ(own.head.status, 200u);
    EXPECT_EQ(own.head.minor, 1u);
    EXPECT_EQ(own.head.reason, "All \xfc right");
    EXPECT_EQ(own.head.body.kind, Framing::Kind::chunked);
    EXPECT_TRUE(own.head.keep_alive);
    EXPECT_TRUE(own.head.event_stream);
    EXPECT_EQ(own.head.bytes, own.text.size() - 5);
}

TEST(ResponseHead, SaysWhyItIsRefused) {
    struct Case {
        std::string text;
        char const* result;
    };
    for (auto const& c : std::vector<Case>{
             {"", "need_more"},
             {"HTTP/1.1 200 OK\r\n", "need_more"},
             {"HTTP/1.1 200 OK\r\n\r\n", "complete"},
             {"HTTP/1.1 200 \r\n\r\n", "complete"},
             {"HTTP/1.1 200\r\n\r\n", "complete"},
             {"\r\nHTTP/1.1 200 OK\r\n\r\n", "malformed"},
             {"HTTP/1.1  200 OK\r\n\r\n", "malformed"},
             {"HTTP/1.1 20 OK\r\n\r\n", "malformed"},
             {"HTTP/1.1 2000 OK\r\n\r\n", "malformed"},
             {"HTTP/1.1 099 OK\r\n\r\n", "malformed"},
             {"HTTP/1.1 600 OK\r\n\r\n", "malformed"},
             {"HTTP/1.1 2xx OK\r\n\r\n", "malformed"},
             {"http/1.1 200 OK\r\n\r\n", "malformed"},
             {"ICY 200 OK\r\n\r\n", "malformed"},
             {"HTTP/2.0 200 OK\r\n\r\n", "unsupported_version"},
             {"HTTP/1.1 200 OK\n\n", "malformed"},
             {"HTTP/1.1 200 O\rK\r\n\r\n", "malformed"},
             {"HTTP/1.1 200 O\0K\r\n\r\n"s, "malformed"},
             {ok_with("A: b\r\n c\r\n"), "malformed"},
             {ok_with("A : b\r\n"), "malformed"},
             {ok_with("Content-Length: 1\r\nContent-Length: 1\r\n"), "malformed"},
             {ok_with("Content-Length: 1, 1\r\n"), "malformed"},
             {ok_with("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), "malformed"},
             {ok_with("Transfer-Encoding: gzip\r\n"), "malformed"},
             {ok_with("Transfer-Encoding: gzip, chunked\r\n"), "unsupported_coding"},
             {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "malformed"},
         })
        EXPECT_EQ(OwnResponse(c.text).result, c.result) << testing::PrintToString(c.text);
    EXPECT_EQ(OwnResponse(ok_with("X: " + std::string(100, 'x') + "\r\n"), "GET", {64, 0}).result, "head_too_large");
}

TEST(ResponseHead, TheBodyEndsWhereMethodStatusAndFieldsSay) {
    using Kind = Framing::Kind;
    struct Case {
        char const* method;
        std::string text;
        Kind kind;
        bool keep_alive;
    };
    for (auto const& c : std::vector<Case>{
             {"GET", ok_with("Content-Length: 5\r\n"), Kind::length, true},
             {"GET", ok_with("Content-Length: 5\r\nConnection: close\r\n"), Kind::length, false},
             {"GET", ok_with("Transfer-Encoding: chunked\r\n"), Kind::chunked, true},
             {"GET", ok_with(""), Kind::until_close, false},
             {"HEAD", ok_with(""), Kind::none, true},
             {"HEAD", ok_with("Content-Length: 5\r\n"), Kind::none, true},
             {"HEAD", ok_with("Transfer-Encoding: chunked\r\n"), Kind::none, true},
             {"head", ok_with("Content-Length: 5\r\n"), Kind::length, true},
             {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Kind::none, true},
             {"GET", "HTTP/1.1 204 No Content\r\n\r\n", Kind::none, true},
             {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", Kind::none, true},
             {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", Kind::none, false},
             {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n", Kind::none, false},
             {"GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", Kind::none, false},
             {"GET", "HTTP/1.1 100 Continue\r\n\r\n", Kind::none, true},
             {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", Kind::length, false},
             {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", Kind::length, true},
             {"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", Kind::until_close, false},
         }) {
        OwnResponse const own(c.text, c.method);
        ASSERT_EQ(own.result, "complete") << c.text;
        EXPECT_EQ(own.head.body.kind, c.kind) << c.method << " " << c.text;
        EXPECT_EQ(own.head.keep_alive, c.keep_alive) << c.method << " " << c.text;
    }
}

TEST(ResponseHead, KnowsEventStreamsAndWebSockets) {
    EXPECT_TRUE(OwnResponse(ok_with("content-type: Text/Event-Stream\r\n")).head.event_stream);
    EXPECT_TRUE(OwnResponse(ok_with("Content-Type: text/event-stream ; charset=utf-8\r\n")).head.event_stream);
    EXPECT_FALSE(OwnResponse(ok_with("Content-Type: text/event-streams\r\n")).head.event_stream);
    EXPECT_FALSE(OwnResponse(ok_with("")).head.event_stream);

    auto const switching = [](std::string_view fields) {
        return "HTTP/1.1 101 Switching Protocols\r\n" + std::string(fields) + "\r\n";
    };
    auto const good = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n"s;
    EXPECT_TRUE(OwnResponse(switching(good)).head.websocket);
    EXPECT_EQ(OwnResponse(switching(good)).head.websocket_accept, "x");
    EXPECT_FALSE(OwnResponse(ok_with(good)).head.websocket);
    EXPECT_FALSE(OwnResponse(switching(good + "Sec-WebSocket-Accept: x\r\n")).head.websocket);
    EXPECT_FALSE(
        OwnResponse(switching("Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n")).head.websocket);
    EXPECT_FALSE(OwnResponse(switching("Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\n")).head.websocket);
}

TEST(ResponseHead, AnySplitTellsTheSame) {
    for (auto const& text : std::vector<std::string>{
             "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Type: text/event-stream\r\n\r\nabc",
             "HTTP/1.1 200\r\nContent-Length: 3\r\n\r\n",
             "HTTP/1.1 200 OK\nContent-Length: 3\n\n",
             "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
             "HTTP/1.1 200 OK\r\nX: " + std::string(200, 'x') + "\r\n\r\n",
             "HTTP/1.1 200 " + std::string(200, 'x') + "\r\n\r\n",
         }) {
        auto const whole = [&](std::size_t first) {
            std::size_t seen = 0;
            ResponseHead head;
            auto result = word(parse_response_head(text.substr(0, first), {128, 0}, seen, "GET", head));
            if (result == "need_more") result = word(parse_response_head(text, {128, 0}, seen, "GET", head));
            if (result != "complete") return result;
            std::string again = text;
            seen = 0;
            EXPECT_EQ(word(parse_response_head(again, {128, 0}, seen, "GET", head)), "complete");
            return told(head);
        };
        for (std::size_t i = 0; i < text.size(); ++i) EXPECT_EQ(whole(i), whole(text.size())) << text << i;
    }
}

TEST(Fields, ListsAndTokens) {
    EXPECT_TRUE(list_has("a, b ,\tC", "c"));
    EXPECT_FALSE(list_has("ab, cd", "b"));
    EXPECT_FALSE(list_has("", "a"));
    EXPECT_TRUE(is_token("a-b.c!"));
    EXPECT_FALSE(is_token(""));
    EXPECT_FALSE(is_token("a b"));
    EXPECT_TRUE(iequals("Content-LENGTH", "content-length"));
    EXPECT_FALSE(iequals("a@", "a`"));
    std::string_view rest = ", a,, b;c ,";
    EXPECT_EQ(next_element(rest), "a");
    EXPECT_EQ(next_element(rest), "b;c");
    EXPECT_EQ(next_element(rest), std::nullopt);
}

TEST(Fields, KindsGoByNameInAnyCase) {
    EXPECT_EQ(kind_of("hOsT"), FieldKind::host);
    EXPECT_EQ(kind_of("CONTENT-LENGTH"), FieldKind::content_length);
    EXPECT_EQ(kind_of("X-Forwarded-For"), FieldKind::forwarded_for);
    EXPECT_EQ(kind_of("x-forwarded-port"), FieldKind::forwarded);
    EXPECT_EQ(kind_of("Sec-Fetch-Site"), FieldKind::end_to_end);
    EXPECT_EQ(kind_of("Content_Length"), FieldKind::other) << "`_` is not `-` in another case";
    EXPECT_EQ(kind_of("TE"), FieldKind::hop_by_hop);
    EXPECT_EQ(kind_of("X-A"), FieldKind::other);
    EXPECT_EQ(kind_of(""), FieldKind::other);
    for (auto const* name : {"Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding",
                             "Upgrade", "Proxy-Authenticate", "Proxy-Authorization"})
        EXPECT_THAT(kind_of(name), AnyOf(FieldKind::hop_by_hop, FieldKind::connection, FieldKind::upgrade,
                                         FieldKind::transfer_encoding, FieldKind::proxy_credentials))
            << name << " belongs to one hop";
}

}  // namespace
}  // namespace ocgate::wire
