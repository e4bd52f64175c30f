#include "body.hpp"

#include <gmock/gmock.h>

namespace ocgate::proxy {
namespace {

using Kind = wire::Framing::Kind;

struct Read {
    std::string content;
    std::string rest;
    bool complete = false;
    std::optional<Reason> refused;
    std::uint64_t counted = 0;
};

/// Feeds `bytes` in pieces of `piece` to a reader, as a window would.
Read read(wire::Framing framing, std::string_view bytes, std::size_t piece, std::uint64_t max = 0) {
    BodyReader reader(framing, max);
    Read result;
    std::string window;
    std::size_t at = 0;
    do {
        auto const n = std::min(piece, bytes.size() - at);
        window.append(bytes.substr(at, n));
        at += n;
        auto const taken = reader.take({window.data(), window.size()});
        if (!taken) {
            result.refused = taken.error();
            break;
        }
        EXPECT_LE(taken->consumed, window.size());
        if (!taken->complete) {
            EXPECT_EQ(taken->consumed, window.size()) << "nothing waits without a reason";
        }
        result.content += taken->content;
        result.complete = taken->complete;
        window.erase(0, taken->consumed);
    } while (at < bytes.size() && !result.complete);
    result.rest = window + std::string(bytes.substr(at));
    result.counted = reader.content_bytes();
    return result;
}

TEST(BodyReader, FindsTheEndWhateverTheSplit) {
    struct Case {
        wire::Framing framing;
        std::string_view bytes, content, rest;
        bool complete;
    };
    Case const cases[] = {
        {{Kind::none, 0}, "GET", "", "GET", true},
        {{Kind::length, 0}, "GET", "", "GET", true},
        {{Kind::length, 5}, "abcdeGET", "abcde", "GET", true},
        {{Kind::length, 5}, "abc", "abc", "", false},
        {{Kind::chunked, 0}, "3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: 1\r\n\r\nGET", "abcde", "GET", true},
        {{Kind::chunked, 0}, "3\r\nabc\r\n", "abc", "", false},
        {{Kind::until_close, 0}, "abc", "abc", "", false},
    };
    for (auto const& c : cases) {
        for (std::size_t piece = 1; piece <= c.bytes.size(); ++piece) {
            auto const got = read(c.framing, c.bytes, piece);
            EXPECT_EQ(got.content, c.content);
            EXPECT_EQ(got.complete, c.complete) << c.bytes << " in " << piece;
            EXPECT_EQ(got.counted, c.content.size());
            if (c.complete) {
                EXPECT_EQ(got.rest, c.rest) << c.bytes << " in " << piece;
            }
        }
    }
}

TEST(BodyReader, CountsContentAndNotItsFraming) {
    for (std::size_t piece = 1; piece < 30; ++piece) {
        EXPECT_FALSE(read({Kind::chunked, 0}, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", piece, 5).refused);
        EXPECT_EQ(read({Kind::chunked, 0}, "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", piece, 5).refused,
                  Reason::body_too_large);
    }
}

TEST(BodyReader, RefusesBrokenChunksForGood) {
    BodyReader reader({Kind::chunked, 0});
    std::string bad = "x\r\n";
    EXPECT_EQ(reader.take({bad.data(), bad.size()}).error(), Reason::malformed);
    std::string good = "0\r\n\r\n";
    EXPECT_FALSE(reader.take({good.data(), good.size()}));
}

TEST(BodyReader, EndsWithTheConnectionOnlyWhereNothingElseEndsIt) {
    EXPECT_TRUE(BodyReader({Kind::until_close, 0}).ends_with_connection());
    EXPECT_FALSE(BodyReader({Kind::length, 5}).ends_with_connection());
    EXPECT_FALSE(BodyReader({Kind::chunked, 0}).ends_with_connection());
}

std::string framed(bool chunked, std::string_view content, bool complete, std::size_t pieces) {
    BodyWriter writer(chunked);
    rt::Gather out{"head"};
    writer.frame(out, content, complete);
    std::string text;
    std::size_t count = 0;
    for (auto const& part : out) {
        text.append(static_cast<char const*>(part.data()), part.size());
        ++count;
    }
    EXPECT_EQ(count, pieces);
    return text;
}

TEST(BodyWriter, FramesAnewAndLeavesRoomForAHead) {
    EXPECT_EQ(framed(false, "abc", true, 2), "headabc");
    EXPECT_EQ(framed(false, "", true, 1), "head");
    EXPECT_EQ(framed(true, "abc", false, 4), "head3\r\nabc\r\n");
    EXPECT_EQ(framed(true, "abc", true, 4), "head3\r\nabc\r\n0\r\n\r\n");
    EXPECT_EQ(framed(true, "", true, 2), "head0\r\n\r\n");
    EXPECT_EQ(framed(true, "", false, 1), "head") << "an empty chunk would be the last one";
    EXPECT_EQ(framed(true, std::string(0x1f0, 'x'), false, 4), "head1f0\r\n" + std::string(0x1f0, 'x') + "\r\n");
}

}  // namespace
}  // namespace ocgate::proxy
