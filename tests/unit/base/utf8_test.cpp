#include "ocgate/base/utf8.hpp"

#include <gtest/gtest.h>

#include <string>

namespace ocgate {
namespace {

/// As RFC 3629 §3 writes it, whether it should be written or not.
std::string encoded(unsigned code, std::size_t length) {
    if (length == 1) return {static_cast<char>(code)};
    std::string text;
    for (std::size_t i = 1; i < length; ++i, code >>= 6)
        text.insert(text.begin(), static_cast<char>(0x80 | (code & 63)));
    static constexpr unsigned leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    text.insert(text.begin(), static_cast<char>(leads[length] | code));
    return text;
}

TEST(Utf8, EveryCodePointInItsShortestFormAndNoOther) {
    std::size_t const first[] = {0, 0, 0x80, 0x800, 0x10000};
    std::size_t const last[] = {0, 0x7F, 0x7FF, 0xFFFF, 0x1FFFFF};
    for (std::size_t length = 1; length <= 4; ++length) {
        for (unsigned code = 0; code <= last[length]; ++code) {
            bool const good = code >= first[length] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
            auto const text = encoded(code, length);
            ASSERT_EQ(utf8_length(text + "x"), good ? length : 0) << std::hex << code;
            ASSERT_EQ(utf8_length(text), good ? length : 0) << std::hex << code;
        }
    }
}

TEST(Utf8, ABrokenSequenceIsNone) {
    EXPECT_EQ(utf8_length(""), 0U);
    for (std::string const whole : {"\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"}) {
        for (std::size_t i = 1; i < whole.size(); ++i) {
            EXPECT_EQ(utf8_length(whole.substr(0, i)), 0U) << "cut after " << i;
            EXPECT_EQ(utf8_length(whole.substr(i)), 0U) << "begun at " << i;
            for (char const other : {'a', '\xC3', '\xFF'}) {
                auto broken = whole;
                broken[i] = other;
                EXPECT_EQ(utf8_length(broken), 0U) << i;
            }
        }
    }
    for (unsigned lead = 0xF5; lead <= 0xFF; ++lead)
        EXPECT_EQ(utf8_length(std::string(1, static_cast<char>(lead)) + "\x80\x80\x80"), 0U);
}

}  // namespace
}  // namespace ocgate
