#include "ocgate/opencode/event_cutter.hpp"

#include <gmock/gmock.h>

#include <random>
#include <stdexcept>

namespace ocgate::opencode {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// What a cutter told, as `data`, or `data…(bytes)` for the beginning of a longer one.
std::vector<std::string> cut(std::vector<std::string> const& pieces, std::size_t max = 1000, std::size_t kept = 10) {
    std::vector<std::string> told;
    EventCutter cutter(
        [&](EventCutter::Cut const& event) {
            told.emplace_back(event.data);
            if (!event.whole) told.back() += "...(" + std::to_string(event.bytes) + ")";
            EXPECT_TRUE(!event.whole || event.bytes == event.data.size());
        },
        max, kept);
    for (auto const& piece : pieces) {
        // In a buffer of its very own size, so that a sanitizer sees the first byte read beyond it.
        std::vector<char> const exact(piece.begin(), piece.end());
        cutter.feed({exact.data(), exact.size()});
    }
    return told;
}

std::vector<std::string> in_pieces(std::string const& text, std::size_t size) {
    std::vector<std::string> pieces;
    for (std::size_t at = 0; at < text.size(); at += size) pieces.push_back(text.substr(at, size));
    return pieces;
}

TEST(EventCutter, CutsAsOpencodeWrites) {
    EXPECT_THAT(cut({"data: {\"a\":1}\n\ndata: {}\n\n"}), ElementsAre("{\"a\":1}", "{}"));
}

TEST(EventCutter, AnEventIsToldByItsEmptyLineAndNotBefore) {
    EXPECT_THAT(cut({"data: a\n"}), IsEmpty());
    EXPECT_THAT(cut({"data: a\n", "\n"}), ElementsAre("a"));
    EXPECT_THAT(cut({"data: a"}), IsEmpty());
}

struct Stream {
    std::string text;
    std::vector<std::string> events;
};

class EveryStream : public testing::TestWithParam<Stream> {};

TEST_P(EveryStream, GivesTheSameForEverySplit) {
    auto const& [text, events] = GetParam();
    EXPECT_EQ(cut({text}, 20, 5), events);
    for (std::size_t size = 1; size < text.size(); ++size) EXPECT_EQ(cut(in_pieces(text, size), 20, 5), events) << size;
    for (std::size_t at = 0; at <= text.size(); ++at)
        EXPECT_EQ(cut({text.substr(0, at), text.substr(at)}, 20, 5), events) << at;
}

// The rules of WHATWG HTML, "Interpreting an event stream".
INSTANTIATE_TEST_SUITE_P(
    Rules, EveryStream,
    testing::Values(Stream{"data: a\r\n\r\ndata: b\r\rdata: c\n\n", {"a", "b", "c"}},
                    Stream{"data: a\r\n\rdata: b\r\n\ndata: c\n\r\n", {"a", "b", "c"}},
                    Stream{"data: a\ndata: b\n\n", {"a\nb"}}, Stream{"data: a\r\ndata: b\r\n\r\n", {"a\nb"}},
                    Stream{"data:a\ndata:  b\n\n", {"a\n b"}}, Stream{"data\n\ndata\ndata\n\n", {"", "\n"}},
                    Stream{"data:\n\n", {""}}, Stream{": heartbeat\n\n:\n\n", {}},
                    Stream{"event: x\nid: 7\nretry: 5\n\n", {}}, Stream{"event: x\ndata: a\nid: 7\n\n", {"a"}},
                    Stream{"datax: a\ndat: b\ndata : c\n\n", {}}, Stream{"\n\n\r\r\n\n", {}},
                    Stream{"\xef\xbb\xbf"
                           "data: a\n\n",
                           {"a"}},
                    Stream{"\xef\xbb"
                           "data: a\n\ndata: b\n\n",
                           {"b"}},
                    Stream{"data: \xef\xbb\xbf\n\n\xef\xbb\xbf"
                           "data: b\n\n",
                           {"\xef\xbb\xbf"}},
                    Stream{"data: colon: in: it\n\n", {"colon: in: it"}}));

// 20 bytes are allowed and 5 are kept of more.
INSTANTIATE_TEST_SUITE_P(
    Long, EveryStream,
    testing::Values(Stream{"data: 12345678901234567890\n\ndata: 123456789012345678901\n\ndata: a\n\n",
                           {"12345678901234567890", "12345...(21)", "a"}},
                    Stream{"data: 123\ndata: 123\ndata: 12345678901234567\n\n", {"123\n1...(25)"}},
                    Stream{"data: 1234567890\ndata: 123456789\n\ndata: 1234567890\ndata: 1234567890\n\n",
                           {"1234567890\n123456789", "12345...(21)"}}));

TEST(EventCutter, KeepsLittleOfAHugeEvent) {
    std::string head;
    std::uint64_t bytes = 0;
    int events = 0;
    EventCutter cutter([&](EventCutter::Cut const& event) {
        ++events;
        head = event.data;
        bytes = event.bytes;
        EXPECT_FALSE(event.whole);
    });
    cutter.feed("data: {\"type\":\"x\"");
    std::string const piece(64 * 1024, 'x');
    for (int i = 0; i < 400; ++i) cutter.feed(piece);
    cutter.feed("\n\n");
    EXPECT_EQ(events, 1);
    EXPECT_EQ(bytes, 11 + 400U * 64 * 1024);
    EXPECT_EQ(head.size(), EventCutter::usual_kept_of_long);
    EXPECT_EQ(head.substr(0, 12), "{\"type\":\"x\"x");
}

TEST(EventCutter, ANewStreamForgetsHalfAnEvent) {
    std::vector<std::string> told;
    EventCutter cutter([&](EventCutter::Cut const& event) { told.emplace_back(event.data); });
    for (std::string_view half : {"data: half", "data: half\n", "dat", "data: half\r", ": half", "\xef\xbb"}) {
        cutter.feed(half);
        cutter.reset();
        cutter.feed("\ndata: whole\n\n");
    }
    EXPECT_THAT(told, ElementsAre("whole", "whole", "whole", "whole", "whole", "whole"));
}

TEST(EventCutter, AListenerMayThrow) {
    for (bool in_one_piece : {true, false}) {
        int calls = 0;
        EventCutter cutter([&](EventCutter::Cut const& event) {
            if (++calls == 1) throw std::runtime_error("no");
            EXPECT_EQ(event.data, "b");
        });
        if (!in_one_piece) cutter.feed("data: ");
        if (!in_one_piece) cutter.feed("a");
        EXPECT_THROW(cutter.feed(in_one_piece ? "data: a\n\n" : "\n\n"), std::runtime_error);
        cutter.feed("data: b\n\n");
        EXPECT_EQ(calls, 2);
    }
}

}  // namespace
}  // namespace ocgate::opencode
