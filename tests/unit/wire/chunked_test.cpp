#include "ocgate/wire/chunked.hpp"

#include <gmock/gmock.h>

#include <limits>
#include <string>
#include <vector>

namespace ocgate::wire {
namespace {

using std::string_literals::operator""s;

struct Outcome {
    std::string content;
    std::string rest;  ///< what the decoder left alone
    std::string result;
    bool operator==(Outcome const&) const = default;
};

void PrintTo(Outcome const& o, std::ostream* out) { *out << o.result << " '" << o.content << "' '" << o.rest << "'"; }

/// Decodes `text` in pieces that end at `ends`, each in a buffer of its own size.
Outcome decoded(std::string const& text, std::vector<std::size_t> const& ends) {
    ChunkedDecoder decoder;
    Outcome outcome;
    std::size_t begin = 0;
    for (auto const end : ends) {
        std::vector<char> piece(text.begin() + static_cast<std::ptrdiff_t>(begin),
                                text.begin() + static_cast<std::ptrdiff_t>(end));
        begin = end;
        auto const result = decoder.decode(piece);
        if (!result) {
            outcome.result = to_string(result.error());
            EXPECT_FALSE(decoder.decode(piece).has_value()) << "a refusal is for good";
            return {"", "", outcome.result};
        }
        outcome.content += result->content;
        outcome.rest += std::string(piece.begin() + static_cast<std::ptrdiff_t>(result->consumed), piece.end());
        EXPECT_EQ(result->complete, decoder.complete());
        EXPECT_TRUE(result->complete || result->consumed == piece.size());
    }
    outcome.result = decoder.complete() ? "complete" : "more";
    return outcome;
}

Outcome decoded(std::string const& text) { return decoded(text, {text.size()}); }

TEST(ChunkedDecoder, TakesTheCodingOff) {
    EXPECT_EQ(decoded("5\r\nhello\r\n6;a=\"b\tc\"\r\n world\r\n0\r\nA: b\r\nC:\r\n\r\nGET /"),
              (Outcome{"hello world", "GET /", "complete"}));
    EXPECT_EQ(decoded("0\r\n\r\n"), (Outcome{"", "", "complete"}));
    EXPECT_EQ(decoded("00\r\n\r\n"), (Outcome{"", "", "complete"}));
    EXPECT_EQ(decoded("A\r\n0123456789\r\na;\r\n0123456789\r\n0;x\r\n\r\n").content.size(), 20u);
    EXPECT_EQ(decoded("000000000000000A\r\n0123456789\r\n"), (Outcome{"0123456789", "", "more"}));
}

TEST(ChunkedDecoder, RefusesWhatIsNotExactlyTheGrammar) {
    for (auto const& text : std::vector<std::string>{
             "\r\n",
             ";x\r\n",
             "+5\r\nhello\r\n",
             "-5\r\n",
             "0x5\r\n",
             " 5\r\n",
             "5 \r\n",
             "5\t;a\r\n",
             "5 ;a\r\n",
             "g\r\n",
             "5\nhello\r\n",
             "5\rhello\r\n",
             "5;a\nhello\r\n",
             "5;a\r\r\n",
             "5;a\0b\r\n"s,
             "5;\x7f\r\n",
             "5,5\r\n",
             "5\r\nhelloX",
             "5\r\nhello\n",
             "5\r\nhello\rX",
             "5\r\nhello\r\n\r\n",
             "00000000000000001\r\n",
             "8000000000000000\r\n",
             "FFFFFFFFFFFFFFFF\r\n",
             "10000000000000005\r\nhello\r\n",
             "5;" + std::string(256, 'a'),
             "0\n\r\n",
             "0\r\n\n",
             "0\r\n\rX",
             "0\r\nA\r\n\r\n",
             "0\r\n: b\r\n\r\n",
             "0\r\nA : b\r\n\r\n",
             "0\r\n A: b\r\n\r\n",
             "0\r\nA: b\r\n c\r\n\r\n",
             "0\r\nA: b\n\r\n",
             "0\r\nA: \0\r\n\r\n"s,
             "0\r\nA: b\rc\r\n\r\n",
             "0\r\nA: " + std::string(8 * 1024, 'a'),
         }) {
        EXPECT_EQ(decoded(text).result, "malformed") << testing::PrintToString(text.substr(0, 60));
        std::vector<std::size_t> each;
        for (std::size_t i = 1; i <= text.size(); ++i) each.push_back(i);
        EXPECT_EQ(decoded(text, each).result, "malformed") << testing::PrintToString(text.substr(0, 60));
    }
}

TEST(ChunkedDecoder, StandsItsBounds) {
    auto const extension = "5;" + std::string(254, 'a') + "\r\nhello\r\n0\r\n\r\n";
    EXPECT_EQ(decoded(extension).content, "hello");
    auto const trailer = "0\r\nA:" + std::string(8 * 1024 - 4, 'a') + "\r\n\r\n";
    EXPECT_EQ(decoded(trailer).result, "complete");
    auto const longer = "0\r\nA:" + std::string(8 * 1024 - 3, 'a') + "\r\n\r\n";
    EXPECT_EQ(decoded(longer).result, "malformed");
    std::string many;
    for (int i = 0; i < 3'000; ++i) many += "1;ext\r\nx\r\n";
    EXPECT_EQ(decoded(many).content, std::string(3'000, 'x')) << "the bound is one extension's";
    EXPECT_EQ(decoded("7fffffffffffffff\r\nabc"), (Outcome{"abc", "", "more"}));
}

TEST(ChunkedDecoder, AnySplitGivesTheSameContent) {
    for (auto const& text : std::vector<std::string>{
             "5\r\nhello\r\n1;a=b\r\n \r\n5\r\nworld\r\n0\r\nA: b\r\n\r\nrest",
             "3\r\nabc\r\n2\r\nde\r\n",
             "3\r\nabc\r\n2\r\nde\n",
             "3\r\n\r\n\r\r\n2\r\n0\r\r\n0\r\n\r\n",
         }) {
        auto const whole = decoded(text);
        for (std::size_t i = 0; i <= text.size(); ++i)
            for (std::size_t j = i; j <= text.size(); ++j)
                EXPECT_EQ(decoded(text, {i, j, text.size()}), whole) << text << " at " << i << ", " << j;
    }
}

TEST(ChunkHead, IsLowerCaseHexWithoutLeadingZeros) {
    EXPECT_EQ(ChunkHead(0).text(), "0\r\n");
    EXPECT_EQ(ChunkHead(15).text(), "f\r\n");
    EXPECT_EQ(ChunkHead(4096).text(), "1000\r\n");
    EXPECT_EQ(ChunkHead(std::numeric_limits<std::uint64_t>::max()).text(), "ffffffffffffffff\r\n");
    auto const copied = [] {
        ChunkHead const original(26);
        return original;
    }();
    EXPECT_EQ(copied.text(), "1a\r\n");
}

}  // namespace
}  // namespace ocgate::wire
