// The oracle can complain. The corpus is judged by it, and a judge that finds everything right would be noticed by none
// of its cases: here it is shown what a gateway at fault would write.
#include "oracle.hpp"

#include <gtest/gtest.h>

namespace ocgate::framing {
namespace {

using std::string_view_literals::operator""sv;

Read answers(std::string_view bytes) { return read_answers(bytes, {"GET", "GET"}, true); }

/// A message of this first line.
std::string with(std::string_view first, std::string_view lines, std::string_view content = {}) {
    return std::string(first) + "\r\n" + std::string(lines) + "\r\n" + std::string(content);
}

std::string posted(std::string_view lines, std::string_view content = {}) {
    return with("POST /x HTTP/1.1", lines, content);
}

std::string answered(std::string_view lines, std::string_view content = {}) {
    return with("HTTP/1.1 200 OK", lines, content);
}

/// How a message's lines may be wrong, whether it goes up or down.
std::vector<std::pair<std::string, std::string>> wrong_lines() {
    return {
        {"a bare LF", "A: b\n"},
        {"a bare CR", "A: b\rc\r\n"},
        {"NUL", std::string("A: b\0c\r\n"sv)},
        {"a folded line", "A: b\r\n c\r\n"},
        {"a folded line that looks like a field", "A: b\r\n C: d\r\n"},
        {"a line without a colon", "A\r\n"},
        {"no name", ": a\r\n"},
        {"a space before the colon", "Content-Length : 0\r\n"},
        {"no space behind the colon", "A:b\r\n"},
        {"a name with a space", "A B: c\r\n"},
        {"a padded value", "A:  b\r\n"},
        {"a value that ends with a tab", "A: b\t\r\n"},
        {"two lengths", "Content-Length: 0\r\nContent-Length: 0\r\n"},
        {"two lengths in one", "Content-Length: 0, 0\r\n"},
        {"a length and a coding", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"},
        {"two codings", "Transfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n"},
        {"another coding", "Transfer-Encoding: gzip, chunked\r\n"},
        {"a length with a sign", "Content-Length: +0\r\n"},
        {"a length in two ways", "Content-Length: 00\r\n"},
        {"a length that is none", "Content-Length: 0x0\r\n"},
        {"a length beyond all bounds", "Content-Length: 99999999999999999999\r\n"},
    };
}

std::vector<std::pair<std::string, std::string>> wrong_chunks() {
    return {
        {"a size in upper case", "A\r\n0123456789\r\n0\r\n\r\n"},
        {"a size with a zero before it", "01\r\na\r\n0\r\n\r\n"},
        {"a size with an extension", "1;a=b\r\na\r\n0\r\n\r\n"},
        {"a size with a space", "1 \r\na\r\n0\r\n\r\n"},
        {"a size behind a bare LF", "1\na\r\n0\r\n\r\n"},
        {"no size", "\r\na\r\n0\r\n\r\n"},
        {"a chunk that is longer than it says", "1\r\nab\r\n0\r\n\r\n"},
        {"a chunk that ends with a bare LF", "1\r\na\n0\r\n\r\n"},
        {"a chunk behind which two other bytes stand", "1\r\naXX0\r\n\r\n"},
        {"trailers", "1\r\na\r\n0\r\nA: b\r\n\r\n"},
        {"a size beyond all bounds", "fffffffff\r\na"},
    };
}

TEST(Oracle, TakesWhatAGatewayMayWrite) {
    auto const two = posted("Content-Length: 2\r\n", "hi") +
                     posted("Transfer-Encoding: chunked\r\n", "a\r\n0123456789\r\n0\r\n\r\n");
    auto const read = read_requests(two);
    EXPECT_EQ(read.complaint, "");
    ASSERT_EQ(read.messages.size(), 2u);
    EXPECT_EQ(read.messages[0].content + read.messages[1].content, "hi0123456789");
    EXPECT_TRUE(read.messages[1].whole);
    auto const told = answers(answered("Content-Length: 0\r\n") + answered("A: b\r\n", "to the end"));
    EXPECT_EQ(told.complaint, "");
    ASSERT_EQ(told.messages.size(), 2u);
    EXPECT_TRUE(told.messages[1].whole && told.messages[1].to_the_end);
}

TEST(Oracle, ComplainsOfAFirstLineThatIsNone) {
    for (auto const line :
         {"GET /x HTTP/1.0"sv, "GET /x HTTP/1.1 "sv, "GET /x http/1.1"sv, "GET  /x HTTP/1.1"sv, "GET /x y HTTP/1.1"sv,
          "GET\t/x HTTP/1.1"sv, " GET /x HTTP/1.1"sv, "GET http://a/x HTTP/1.1"sv, "GET * HTTP/1.1"sv, "GET /x"sv,
          "GET /x#y HTTP/1.1"sv, "GET /\x7f HTTP/1.1"sv, "GET /\0 HTTP/1.1"sv, "GET /\r HTTP/1.1"sv,
          "G@T /x HTTP/1.1"sv, ""sv, "hello"sv}) {
        EXPECT_NE(read_requests(with(line, "A: b\r\n")).complaint, "") << line;
    }
    EXPECT_NE(read_requests("GET /x HTTP/1.1\nA: b\r\n\r\n").complaint, "");
    for (auto const line : {"HTTP/1.0 200 OK"sv, "HTTP/1.1  200 OK"sv, "HTTP/1.1 20 OK"sv, "HTTP/1.1 099 OK"sv,
                            "HTTP/1.1 2000 OK"sv, "HTTP/1.1 200OK"sv, "HTTP/1.1 200"sv, "HTTP/1.1 200 O\0K"sv,
                            "HTTP/1.1 200 O\rK"sv, "HTTP/2 200 OK"sv, ""sv, "hello"sv}) {
        EXPECT_NE(answers(with(line, "A: b\r\n")).complaint, "") << line;
    }
    EXPECT_NE(answers("HTTP/1.1 200 OK\nA: b\r\n\r\n").complaint, "");
}

TEST(Oracle, ComplainsOfLinesAndChunksInBothDirections) {
    for (auto const& [what, lines] : wrong_lines()) {
        EXPECT_NE(read_requests(posted(lines)).complaint, "") << what;
        EXPECT_NE(answers(answered(lines)).complaint, "") << what;
    }
    auto const chunked = "Transfer-Encoding: chunked\r\n"sv;
    for (auto const& [what, content] : wrong_chunks()) {
        EXPECT_NE(read_requests(posted(chunked, content)).complaint, "") << what;
        EXPECT_NE(answers(answered(chunked, content)).complaint, "") << what;
    }
}

TEST(Oracle, ComplainsOfWhatComesBehindAWholeMessage) {
    EXPECT_NE(read_requests(posted("Content-Length: 1\r\n", "ab\r\n")).complaint, "");
    EXPECT_NE(read_requests(with("GET /x HTTP/1.1", "A: b\r\n", "hello\r\n")).complaint, "")
        << "content without a length";
    EXPECT_NE(answers(answered("Content-Length: 1\r\n", "ab\r\n")).complaint, "");
    EXPECT_NE(answers(with("HTTP/1.1 204 No Content", "A: b\r\n", "hello\r\n")).complaint, "");
    EXPECT_NE(answers(with("HTTP/1.1 304 Not Modified", "Content-Length: 5\r\n", "hello\r\n")).complaint, "");
    EXPECT_NE(answers(with("HTTP/1.1 100 Continue", "A: b\r\n", "hello\r\n")).complaint, "");
    EXPECT_NE(read_answers(answered("Content-Length: 7\r\n", "hello\r\n"), {"HEAD"}, true).complaint, "");
}

TEST(Oracle, SeesThatAMessageIsNotWhole) {
    for (auto const& bytes :
         {std::string("GET /x HT"), std::string("GET /x HTTP/1.1\r\nA: b\r\n"), posted("Content-Length: 3\r\n", "ab"),
          posted("Transfer-Encoding: chunked\r\n", "2\r\nab\r\n0\r\n"),
          posted("Transfer-Encoding: chunked\r\n", "2\r\na")}) {
        auto const read = read_requests(bytes);
        ASSERT_EQ(read.messages.size(), 1u) << bytes;
        EXPECT_FALSE(read.messages.front().whole) << bytes;
    }
    EXPECT_FALSE(read_answers(answered("A: b\r\n", "more to come"), {}, false).messages.at(0).whole);
    EXPECT_FALSE(answers(answered("Content-Length: 3\r\n", "ab")).messages.at(0).whole);
}

constexpr auto own = "Basic b3du"sv;
constexpr auto address = "192.0.2.7"sv;

Message sound_request() {
    Message message;
    message.method = "GET";
    message.target = "/x";
    message.fields = {{"Host", "a"},
                      {"Accept", "*/*"},
                      {"Authorization", std::string(own)},
                      {"X-Forwarded-For", std::string(address)},
                      {"X-Forwarded-Host", "a"},
                      {"X-Forwarded-Proto", "http"},
                      {"X-Request-Id", "1"},
                      {"Via", "1.1 ocgate"}};
    return message;
}

std::string fault(Message const& message) { return fault_of_request(message, own, address); }

TEST(Oracle, FindsWhatARequestMustNotHave) {
    EXPECT_EQ(fault(sound_request()), "");
    for (auto const* name : {"Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "TE", "Trailer", "HTTP2-Settings",
                             "Connection", "Upgrade", "Forwarded", "X-Real-IP", "X-Forwarded-Port", "X_Forwarded_For",
                             "X-Forwarded_Host", "Content_Length", "Transfer_Encoding", "Cookie_", "_Cookie"}) {
        auto message = sound_request();
        message.fields.emplace_back(name, "close");
        bool const harmless = std::string_view(name).find("ookie") != std::string_view::npos;
        EXPECT_EQ(fault(message).empty(), harmless) << name;
    }
    for (std::size_t n = 0; n < sound_request().fields.size(); ++n) {
        auto twice = sound_request(), without = sound_request(), another = sound_request();
        auto const name = twice.fields[n].first;
        if (name == "Accept") continue;
        twice.fields.push_back(twice.fields[n]);
        EXPECT_NE(fault(twice), "") << name << " twice";
        without.fields.erase(without.fields.begin() + static_cast<std::ptrdiff_t>(n));
        EXPECT_NE(fault(without), "") << "without " << name;
        another.fields[n].second += "1";
        bool const judged = name == "Authorization" || name == "X-Forwarded-For" || name.ends_with("Host");
        EXPECT_EQ(fault(another).empty(), !judged) << name << " of somebody else's";
    }
    auto handshake = sound_request();
    handshake.fields.emplace_back("Upgrade", "websocket");
    EXPECT_NE(fault(handshake), "") << "no Connection";
    handshake.fields.emplace_back("Connection", "Upgrade");
    EXPECT_EQ(fault(handshake), "");
    handshake.fields.back().second = "Upgrade, X-A";
    EXPECT_NE(fault(handshake), "");
}

TEST(Oracle, FindsWhatAnAnswerMustNotHave) {
    auto const of = [](unsigned status, Fields fields) {
        Message message;
        message.status = status;
        message.fields = std::move(fields);
        return fault_of_answer(message);
    };
    std::pair<std::string, std::string> const id{"X-Request-Id", "1"};
    EXPECT_EQ(of(200, {id, {"Connection", "close"}}), "");
    EXPECT_EQ(of(204, {id}), "");
    EXPECT_EQ(of(101, {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}}), "");
    EXPECT_NE(of(200, {}), "") << "no X-Request-Id";
    EXPECT_NE(of(200, {id, id}), "");
    EXPECT_NE(of(200, {id, {"Via", "a"}, {"Via", "b"}}), "");
    EXPECT_NE(of(200, {id, {"Keep-Alive", "timeout=5"}}), "");
    EXPECT_NE(of(200, {id, {"Proxy-Authenticate", "Basic"}}), "");
    EXPECT_NE(of(200, {id, {"Trailer", "A"}}), "");
    EXPECT_NE(of(200, {id, {"Upgrade", "h2c"}}), "");
    EXPECT_NE(of(200, {id, {"Connection", "X-A"}}), "") << "Connection that is passed on";
    EXPECT_NE(of(200, {id, {"Connection", "close"}, {"Connection", "close"}}), "");
    EXPECT_NE(of(204, {id, {"Content-Length", "0"}}), "");
    EXPECT_NE(of(204, {id, {"Transfer-Encoding", "chunked"}}), "");
    EXPECT_NE(of(100, {{"Content-Length", "0"}}), "");
    EXPECT_NE(of(101, {{"Upgrade", "websocket"}}), "");
    EXPECT_NE(of(101, {{"Connection", "Upgrade"}, {"Upgrade", "h2c"}}), "");
}

}  // namespace
}  // namespace ocgate::framing
