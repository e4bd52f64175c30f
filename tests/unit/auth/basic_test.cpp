#include "ocgate/auth/basic.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "text.hpp"

namespace ocgate::auth {
namespace {

using namespace std::string_view_literals;

/// Base64 with padding, by the book: the tests must not borrow the reader's own tables.
std::string base64(std::string_view bytes) {
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        std::uint32_t value = 0;
        for (std::size_t i = 0; i < 3; ++i)
            value = value << 8 | (at + i < bytes.size() ? static_cast<std::uint8_t>(bytes[at + i]) : 0U);
        for (std::size_t i = 0; i < 4; ++i) out += at + i > bytes.size() ? '=' : alphabet[value >> (18 - 6 * i) & 0x3F];
    }
    return out;
}

struct Good {
    std::string_view value, user, password;
};

TEST(Basic, ReadsWhatClientsSend) {
    Good const rows[] = {
        {"Basic YTpi", "a", "b"},
        {"basic YTpi", "a", "b"},
        {"BASIC YTpi", "a", "b"},
        {"bAsIc    YTpi", "a", "b"},
        {"Basic Og==", "", ""},
        {"Basic Og", "", ""},
        {"Basic YTo=", "a", ""},
        {"Basic YTo", "a", ""},
        {"Basic OmI=", "", "b"},
        {"Basic YTpiOmM6", "a", "b:c:"},                                   // a password keeps its colons
        {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"},  // RFC 7617 §2
        {"Basic dGVzdDoxMjPCow==", "test", "123\xC2\xA3"},                 // RFC 7617 §2.1
    };
    for (auto const& row : rows) {
        auto const read = parse_basic(row.value);
        ASSERT_TRUE(read) << row.value;
        EXPECT_EQ(read->user, row.user) << row.value;
        EXPECT_EQ(read->password.reveal(), row.password) << row.value;
    }
}

TEST(Basic, RefusesWhatTwoReadersCouldReadDifferently) {
    std::string_view const rows[] = {
        "",
        "Basic",
        "Basic ",
        "Basic    ",
        "BasicYTpi",
        "Basic\tYTpi",
        "Basic \tYTpi",
        " Basic YTpi",
        "Basi YTpi",
        "Basix YTpi",
        "Bearer YTpi",
        "Basic YTpi ",  // the head's reader has taken surrounding space off: this is inside
        "Basic YT pi",
        "Basic YTpi\n",
        "Basic YTpi, Basic YTpi",
        "Basic YTpi,",
        "Basic =",
        "Basic ==",
        "Basic ====",
        "Basic YTpi=",  // padding where none is due
        "Basic YTpi====",
        "Basic YTo==",  // one too many
        "Basic YT=o",   // padding inside
        "Basic Og=",    // half of the padding
        "Basic Oh==",   // spare bits set: also `:`
        "Basic Oj",
        "Basic YTp=",      // spare bits set: also `a:`
        "Basic YTpiO",     // one letter over
        "Basic YTr_-w==",  // the alphabet of URLs
        "Basic YTpi\xC3\xA4",
        "Basic YWI=",  // no colon
        "Basic %59Tpi",
        "Basic \"YTpi\"",
    };
    for (auto const row : rows) EXPECT_FALSE(parse_basic(row)) << row;
    EXPECT_FALSE(parse_basic("Basic YT\0pi"sv));
    EXPECT_FALSE(parse_basic("Basic YTpi\0"sv));
}

TEST(Basic, TakesUtf8AndNoControls) {
    std::string_view const good[] = {
        "a:\xC2\x80",
        "a:\xDF\xBF",
        "a:\xE0\xA0\x80",
        "a:\xED\x9F\xBF",
        "a:\xEE\x80\x80",
        "a:\xEF\xBF\xBF",
        "a:\xF0\x90\x80\x80",
        "a:\xF4\x8F\xBF\xBF",
        "\xC3\xA4:p",
        "a b:c d",
        "a:~",
        "a:\xEF\xBB\xBF"
        "p",
    };
    for (auto const row : good) EXPECT_TRUE(parse_basic("Basic " + base64(row))) << row;

    std::string_view const bad[] = {
        "a:\x80"sv,  // a continuation alone
        "a:\xBF"sv,
        "a:\xC2"sv,  // cut
        "a:\xE2\x82"sv,
        "a:\xF0\x9F\x98"sv,
        "a:\xC2z"sv,
        "a:\xE2z\x82"sv,
        "a:\xE2\x82z"sv,
        "\xC3:\xA4"sv,   // cut by the colon
        "a:\xC0\xAF"sv,  // overlong
        "a:\xC0\x80"sv,
        "a:\xC1\xBF"sv,
        "a:\xE0\x80\xAF"sv,
        "a:\xE0\x9F\xBF"sv,
        "a:\xF0\x80\x80\xAF"sv,
        "a:\xF0\x8F\xBF\xBF"sv,
        "a:\xED\xA0\x80"sv,  // surrogates
        "a:\xED\xBF\xBF"sv,
        "a:\xF4\x90\x80\x80"sv,  // past U+10FFFF
        "a:\xF5\x80\x80\x80"sv,
        "a:\xF8\x88\x80\x80\x80"sv,
        "a:\xFE"sv,
        "a:\xFF"sv,
        "a:\0"sv,
        "a\0:b"sv,
        "a:\x01"sv,
        "a:\t"sv,
        "a:b\r\nc"sv,
        "a:\x1F"sv,
        "a:\x7F"sv,
        "\x1B[2J:b"sv,
    };
    for (auto const row : bad) {
        EXPECT_FALSE(parse_basic("Basic " + base64(row))) << base64(row);
        EXPECT_FALSE(is_clean_utf8(row)) << base64(row);
    }
}

TEST(Basic, EveryByteThatIsNoLetterOfBase64IsRefused) {
    for (int c = 0; c < 256; ++c) {
        auto const letter = static_cast<char>(c);
        bool const fits = is_alnum(letter) || letter == '+' || letter == '/';
        // A letter that fits may still make no UTF-8.
        auto const read = parse_basic(std::string("Basic YTp4") + letter + "Hh4");
        if (!fits) {
            EXPECT_FALSE(read) << c;
        }
        if (letter == 'e') {
            EXPECT_TRUE(read);
        }
    }
}

TEST(Basic, IsBounded) {
    std::string const text = "a:x" + std::string(6137, 'x');
    auto fitting = "Basic " + base64(text.substr(0, 6138));
    ASSERT_EQ(fitting.size(), 6U + 8184U);
    ASSERT_TRUE(parse_basic(fitting));
    EXPECT_EQ(parse_basic(fitting)->password.reveal().size(), 6136U);

    fitting.insert(5, 2, ' ');  // spaces count
    ASSERT_EQ(fitting.size(), max_authorization_bytes);
    EXPECT_TRUE(parse_basic(fitting));
    fitting.insert(5, 1, ' ');
    EXPECT_FALSE(parse_basic(fitting));
    EXPECT_FALSE(parse_basic("Basic " + base64("a:" + std::string(1 << 20, 'x'))));
}

TEST(Basic, AnyTextGivesBackWhatWentIn) {
    for (std::size_t length = 0; length < 200; ++length) {
        std::string password;
        for (std::size_t i = 0; i < length; ++i) password += static_cast<char>(' ' + (i * 31 + length) % 95);
        auto encoded = "Basic " + base64("us:" + password);
        auto const padded = parse_basic(encoded);
        ASSERT_TRUE(padded) << encoded;
        EXPECT_EQ(padded->password.reveal(), password);
        while (encoded.ends_with('=')) encoded.pop_back();
        auto const bare = parse_basic(encoded);
        ASSERT_TRUE(bare) << encoded;
        EXPECT_EQ(bare->user, "us");
        EXPECT_EQ(bare->password.reveal(), password);
    }
}

}  // namespace
}  // namespace ocgate::auth
