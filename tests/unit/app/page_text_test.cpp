#include "page_text.hpp"

#include <gmock/gmock.h>

#include <limits>

namespace ocgate::app {
namespace {

TEST(PageText, IsATableWithAHeadingAndALineBelowIt) {
    EXPECT_EQ(table_text({{"ID", "Status"}, {"ses_1", "busy"}, {"s", "idle"}}),
              "ID    | Status\n------+-------\nses_1 | busy\ns     | idle\n");
    EXPECT_EQ(table_text({{"ID"}}), "ID\n--\n");
}

TEST(PageText, CountsCharactersAndCutsLongOnesBetweenThem) {
    EXPECT_EQ(table_text({{"ä", "b"}, {"xy", "z"}}), "ä  | b\n---+--\nxy | z\n");
    std::string umlauts;
    for (std::size_t i = 0; i < max_cell + 5; ++i) umlauts += "ü";
    auto const text = table_text({{"T"}, {umlauts}});
    auto const last = text.substr(text.rfind('\n', text.size() - 2) + 1);
    std::string cut;
    for (std::size_t i = 0; i + 1 < max_cell; ++i) cut += "ü";
    EXPECT_EQ(last, cut + "…\n");
}

TEST(PageText, HandsATerminalNoCommands) {
    EXPECT_EQ(one_line("a\x1b[31mred\r\nb\tc\x7f"), "a [31mred b c ");
    EXPECT_EQ(one_line("x\xc2\x9b"
                       "5ny"),
              "x 5ny")
        << "CSI as one character";
    EXPECT_EQ(one_line("a\xe2\x80\xae"
                       "b\xe2\x81\xa6"
                       "c"),
              "abc")
        << "what turns the direction of writing";
    EXPECT_EQ(one_line("größe €"), "größe €");
    for (std::string const first : {"\xc3", "\xe2", "\xe2\x80", "\xf0", "\xf0\x9f\x98"}) {
        EXPECT_EQ(one_line(first + "\x1b[31m").find('\x1b'), std::string::npos) << "a command behind half a character";
    }
    EXPECT_EQ(one_line("x\x9b"
                       "5ny"),
              "x 5ny")
        << "CSI as one byte";
    EXPECT_EQ(one_line("half \xe2\x80"), "half \xe2\x80") << "broken text stays short of its end";
}

TEST(PageText, SaysTimes) {
    EXPECT_EQ(utc_text(1'764'115'953'123), "2025-11-26T00:12:33Z");
    EXPECT_EQ(utc_text(0), "");
    EXPECT_EQ(utc_text(-5), "");
    EXPECT_LE(utc_text(std::numeric_limits<std::int64_t>::max()).size(), 31u) << "whatever opencode says";
    EXPECT_EQ(ago_text(-1), "0 s");
    EXPECT_EQ(ago_text(119), "119 s");
    EXPECT_EQ(ago_text(120), "2 min");
    EXPECT_EQ(ago_text(7199), "119 min");
    EXPECT_EQ(ago_text(7200), "2 h");
    EXPECT_EQ(ago_text(48 * 3600), "2 d");
}

}  // namespace
}  // namespace ocgate::app
