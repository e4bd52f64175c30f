#include "ocgate/wire/boundary.hpp"

#include <gmock/gmock.h>

#include <vector>

namespace ocgate::wire {
namespace {

using std::string_literals::operator""s;

/// Whether `text` ends at the end of an event, as a reader of lines sees it: with an empty line, or with nothing at
/// all.
bool ends_with_an_event(std::string_view text) {
    bool at_line_start = true;
    bool boundary = true;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\n' && i > 0 && text[i - 1] == '\r') continue;  // the second half of a line's end
        bool const line_ends = text[i] == '\n' || text[i] == '\r';
        boundary = line_ends && at_line_start;
        at_line_start = line_ends;
    }
    return boundary;
}

TEST(EventBoundary, StandsBetweenEvents) {
    for (auto const* yes : {"", "data: x\n\n", "data: x\r\r", "data: x\r\n\r\n", "data: x\n\r\n", "data: x\r\n\n",
                            ": \n\n", "data: x\n\n\n", "\n", "\r\n", "data: x\r\n\r"}) {
        EventBoundary events;
        events.feed(yes);
        EXPECT_TRUE(events.at_boundary()) << testing::PrintToString(yes);
    }
    for (auto const* no : {"d", "data: x", "data: x\n", "data: x\r", "data: x\r\n", "data: x\n\ndata: y", "a\n\nb\n"}) {
        EventBoundary events;
        events.feed(no);
        EXPECT_FALSE(events.at_boundary()) << testing::PrintToString(no);
    }
}

TEST(EventBoundary, AgreesWithAReaderOfLinesOnEveryShortStreamAndSplit) {
    constexpr std::string_view letters = "x\r\n";
    for (int code = 0; code < 3 * 3 * 3 * 3 * 3 * 3 * 3; ++code) {
        std::string text;
        for (int i = 0, rest = code; i < 7; ++i, rest /= 3) text += letters[static_cast<std::size_t>(rest % 3)];
        for (std::size_t i = 0; i <= text.size(); ++i) {
            EventBoundary events;
            std::string_view const first(text.data(), i);
            auto const second = std::string_view(text).substr(i);
            events.feed(first);
            ASSERT_EQ(events.at_boundary(), ends_with_an_event(first)) << testing::PrintToString(first);
            auto const cut = events.first_boundary(second);
            if (cut != no_boundary) {
                ASSERT_TRUE(ends_with_an_event(text.substr(0, i + cut))) << testing::PrintToString(text) << i;
                EXPECT_FALSE(cut < second.size() && second[cut] == '\n' && second[cut - 1] == '\r') << "inside a CRLF";
            }
            for (std::size_t n = 1; n < std::min(cut, second.size() + 1); ++n) {
                bool const earlier = ends_with_an_event(text.substr(0, i + n));
                bool const same_end = n + 1 == cut && second[n - 1] == '\r' && second[n] == '\n';
                ASSERT_TRUE(!earlier || same_end) << testing::PrintToString(text) << i;
            }
            events.feed(second);
            ASSERT_EQ(events.at_boundary(), ends_with_an_event(text)) << testing::PrintToString(text) << i;
        }
    }
}

std::string frame(unsigned first, std::size_t size, bool masked) {
    std::string text(1, static_cast<char>(first));
    unsigned const mask = masked ? 0x80 : 0;
    if (size < 126) {
        text += static_cast<char>(mask | size);
    } else if (size < 65'536) {
        text += static_cast<char>(mask | 126);
        text += static_cast<char>(size >> 8U);
        text += static_cast<char>(size & 0xffU);
    } else {
        text += static_cast<char>(mask | 127);
        for (int shift = 56; shift >= 0; shift -= 8) text += static_cast<char>(size >> static_cast<unsigned>(shift));
    }
    if (masked) text += "\x88\x88\x88\x88";
    return text + std::string(size, '\x88');
}

TEST(FrameBoundary, StandsBetweenFramesWhateverTheSplit) {
    for (bool const masked : {false, true}) {
        std::vector<std::string> const frames{frame(0x81, 0, masked), frame(0x02, 1, masked), frame(0xf9, 125, masked),
                                              frame(0x81, 126, masked), frame(0x80, 300, masked)};
        std::string text;
        std::vector<bool> boundary{true};
        for (auto const& f : frames) {
            text += f;
            boundary.resize(text.size(), false);
            boundary.push_back(true);
        }
        for (std::size_t i = 0; i <= text.size(); ++i) {
            FrameBoundary split;
            split.feed(std::string_view(text).substr(0, i));
            ASSERT_EQ(split.at_boundary(), boundary[i]) << i;
            auto const rest = std::string_view(text).substr(i);
            std::size_t expected = 1;
            while (i + expected < boundary.size() && !boundary[i + expected]) ++expected;
            ASSERT_EQ(split.first_boundary(rest), rest.empty() ? no_boundary : expected) << i;
            split.feed(rest);
            ASSERT_TRUE(split.at_boundary());
            ASSERT_FALSE(split.closed());
        }
    }
}

TEST(FrameBoundary, CountsLongFramesWithoutHoldingThem) {
    FrameBoundary frames;
    frames.feed(frame(0x82, 70'000, false).substr(0, 69'000));
    EXPECT_FALSE(frames.at_boundary());
    EXPECT_EQ(frames.first_boundary(std::string(2'000, 'x')), 1'010u);
    frames.feed(std::string(1'009, 'x'));
    EXPECT_FALSE(frames.at_boundary());
    frames.feed("x");
    EXPECT_TRUE(frames.at_boundary());
    frames.feed("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff");
    EXPECT_FALSE(frames.at_boundary());
    EXPECT_EQ(frames.first_boundary("abc"), no_boundary);
}

TEST(FrameBoundary, KnowsThatACloseFrameHasPassed) {
    FrameBoundary frames;
    auto const goodbye = close_frame(1001, "bye");
    frames.feed(std::string_view(goodbye).substr(0, goodbye.size() - 1));
    EXPECT_FALSE(frames.closed());
    frames.feed(std::string_view(goodbye).substr(goodbye.size() - 1));
    EXPECT_TRUE(frames.closed());
    FrameBoundary bare;
    bare.feed("\x88\0"s);
    EXPECT_TRUE(bare.closed());
}

TEST(CloseFrame, IsUnmaskedWithCodeAndReason) {
    EXPECT_EQ(close_frame(1001, "bye"),
              "\x88\x05\x03\xe9"
              "bye");
    EXPECT_EQ(close_frame(1000, ""), "\x88\x02\x03\xe8");
    EXPECT_EQ(close_frame(1000, std::string(200, 'x')).size(), 127u) << "a control frame holds 125 bytes";
    auto const cut = close_frame(1000, std::string(122, 'x') + "\xc3\xbc");
    EXPECT_EQ(cut.size(), 126u) << "not inside a character";
    EXPECT_EQ(cut[1], static_cast<char>(124));
}

TEST(WebSocketAccept, IsTheOneOfTheStandard) {
    EXPECT_EQ(websocket_accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");  // RFC 6455 §1.3
}

}  // namespace
}  // namespace ocgate::wire
