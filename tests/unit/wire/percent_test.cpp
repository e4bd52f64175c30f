#include "ocgate/wire/percent.hpp"

#include <gtest/gtest.h>

#include <string>

namespace ocgate::wire {
namespace {

using namespace std::string_literals;

TEST(Percent, HexDigitsAndNothingElse) {
    for (int c = 0; c < 256; ++c) {
        auto const at = std::string_view("0123456789abcdefABCDEF").find(static_cast<char>(c));
        int const wanted = at == std::string_view::npos ? -1 : static_cast<int>(at < 16 ? at : at - 6);
        EXPECT_EQ(hex_value(static_cast<char>(c)), wanted) << c;
    }
}

TEST(Percent, AnEscapeIsThreeCharacters) {
    EXPECT_EQ(escape_at("%2Fx"), '/');
    EXPECT_EQ(escape_at("%2f"), '/');
    EXPECT_EQ(escape_at("%00"), '\0');
    EXPECT_EQ(escape_at("%ff"), '\xff');
    for (auto const* none : {"", "%", "%2", "%2g", "%g2", "a%2F", "2F", "%%2F"})
        EXPECT_EQ(escape_at(none), std::nullopt) << none;
}

std::string form(std::string_view text) {
    std::string decoded;
    while (!text.empty()) decoded += take_form_char(text);
    return decoded;
}

TEST(Percent, FormDataIsDecodedOnceAndNeverRefused) {
    EXPECT_EQ(form("a%2Fb%2fc+d"), "a/b/c d");
    EXPECT_EQ(form("%2541%2B"), "%41+");
    EXPECT_EQ(form("%"), "%");
    EXPECT_EQ(form("%4"), "%4");
    EXPECT_EQ(form("%zz%4g%%41"), "%zz%4g%A");
    EXPECT_EQ(form("%00"), "\0"s);
}

}  // namespace
}  // namespace ocgate::wire
