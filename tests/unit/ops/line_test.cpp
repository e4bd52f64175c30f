#include "line.hpp"

#include <gmock/gmock.h>

#include <limits>
#include <nlohmann/json.hpp>

namespace ocgate::ops {
namespace {

using nlohmann::json;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

// 2026-11-24T09:12:33.123Z
auto const instant = std::chrono::system_clock::time_point(std::chrono::milliseconds(1795511553123));

std::string line(LineStyle style, std::string_view message, std::initializer_list<LogField> fields = {}) {
    Line buffer;
    return std::string(buffer.build(style, instant, LogLevel::info, LogKind::app, "listening", message,
                                    {fields.begin(), fields.size()}));
}

std::string json_line(std::string_view message, std::initializer_list<LogField> fields = {}) {
    return line({}, message, fields);
}

std::string written_value(std::string_view value) {
    auto const text = json_line({}, {{"v", value}});
    auto const at = text.find("\"v\":") + 4;
    return text.substr(at, text.size() - at - 2);
}

TEST(Line, IsOneJsonObjectWithTheFieldsInOrder) {
    EXPECT_EQ(json_line("hello", {{"text", "a b"},
                                  {"negative", std::int64_t{-5}},
                                  {"large", std::numeric_limits<std::uint64_t>::max()},
                                  {"ms", 12.345},
                                  {"yes", true}}),
              "{\"time\":\"2026-11-24T09:12:33.123Z\",\"level\":\"info\",\"kind\":\"app\",\"event\":\"listening\","
              "\"message\":\"hello\",\"text\":\"a b\",\"negative\":-5,\"large\":18446744073709551615,\"ms\":12.345,"
              "\"yes\":true}\n");
    EXPECT_THAT(json_line({}), testing::Not(HasSubstr("message")));
}

TEST(Line, TimesAreUtcToTheMillisecond) {
    struct Case {
        std::int64_t ms;
        char const* text;
    };
    for (auto const& [ms, text] : {Case{0, "1970-01-01T00:00:00.000Z"}, Case{951782400007, "2000-02-29T00:00:00.007Z"},
                                   Case{4102444799999, "2099-12-31T23:59:59.999Z"}}) {
        Line buffer;
        auto const when = std::chrono::system_clock::time_point(std::chrono::milliseconds(ms));
        EXPECT_THAT(std::string(buffer.build({}, when, LogLevel::info, LogKind::app, "e", {}, {})), HasSubstr(text));
    }
}

TEST(Line, EscapesWhatCouldEndALineOrAValue) {
    struct Case {
        std::string_view value, written;
    };
    using namespace std::string_view_literals;
    for (auto const& [value, written] : {
             Case{"", R"("")"},
             Case{"plain ~ text", R"("plain ~ text")"},
             Case{"quote\" back\\slash", R"("quote\" back\\slash")"},
             Case{"a\nb\tc\rd", R"("a\nb\tc\rd")"},
             Case{"\0\x01\x1f\x7f"sv, R"("\u0000\u0001\u001f\u007f")"},
             Case{"\x1b[31m", R"("\u001b[31m")"},
             Case{"\xC2\x85|\xC2\x9B|\xC2\xA0", "\"\\u0085|\\u009b|\xC2\xA0\""},
             Case{"gr\xC3\xBC\xC3\x9F \xE6\x97\xA5 \xF0\x9F\x98\x80",
                  "\"gr\xC3\xBC\xC3\x9F \xE6\x97\xA5 \xF0\x9F\x98\x80\""},
             Case{"\xff", "\"\xEF\xBF\xBD\""},
             Case{"a\x80z", "\"a\xEF\xBF\xBDz\""},
             Case{"\xC3", "\"\xEF\xBF\xBD\""},
             Case{"\xC0\xAF", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},                                  // overlong
             Case{"\xED\xA0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},                  // a surrogate
             Case{"\xF4\x90\x80\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},  // beyond U+10FFFF
             Case{"\xE6\x97", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
         }) {
        EXPECT_EQ(written_value(value), written);
        EXPECT_TRUE(json::accept(written_value(value))) << written;
    }
}

TEST(Line, AnyBytesGiveOneLineOfValidJson) {
    // Every pair of bytes, in one value after the other: the parser checks the UTF-8 as well.
    for (unsigned a = 0; a < 256; ++a) {
        std::string value;
        for (unsigned b = 0; b < 256; ++b) {
            value += static_cast<char>(a);
            value += static_cast<char>(b);
        }
        auto const text = json_line(value, {{"v", value}});
        EXPECT_EQ(text.find('\n'), text.size() - 1);
        EXPECT_TRUE(json::accept(text)) << text;
    }
}

TEST(Line, NumbersThatJsonDoesNotKnowAreNull) {
    EXPECT_THAT(json_line({}, {{"a", std::numeric_limits<double>::infinity()},
                               {"b", std::numeric_limits<double>::quiet_NaN()},
                               {"c", std::numeric_limits<double>::denorm_min()},
                               {"d", -std::numeric_limits<double>::max()}}),
                HasSubstr("\"a\":null,\"b\":null,\"c\":5e-324,\"d\":-1.7976931348623157e+308}"));
}

// As short as they can be written, whichever way they were written.
TEST(Line, WritesMillisecondsWithTheirDecimals) {
    std::pair<double, std::string> const cases[] = {
        {0.0, "0"},         {0.001, "0.001"}, {0.01, "0.01"},         {1.5, "1.5"},
        {12.0, "12"},       {0.12, "0.12"},   {1385.937, "1385.937"}, {86400000.001, "86400000.001"},
        {0.1005, "0.1005"}, {-1.5, "-1.5"},   {1e-7, "1e-07"},        {2e15, "2e+15"},
    };
    for (auto const& [value, text] : cases) {
        EXPECT_THAT(json_line({}, {{"v", value}}), HasSubstr("\"v\":" + text + "}")) << text;
    }
    for (std::uint64_t us = 1; us < 3'000'000; us += 997) {
        auto const value = static_cast<double>(us) / 1000.0;
        auto const line = json_line({}, {{"v", value}});
        EXPECT_EQ(nlohmann::json::parse(line)["v"].get<double>(), value);
    }
}

TEST(Line, LongValuesAreCutAndFollowedByTheOthers) {
    for (auto const* unit : {"x", "\"", "\x01", "\xE6\x97\xA5", "\xff", "\xF0\x9F\x98\x80"}) {
        std::string value;
        while (value.size() < 20'000) value += unit;
        auto const text = json_line({}, {{"v", value}, {"after", std::int64_t{1}}});
        EXPECT_LE(text.size(), Line::max_bytes);
        auto const parsed = json::parse(text);
        EXPECT_THAT(parsed["v"].get<std::string>(), EndsWith("\xE2\x80\xA6"));
        EXPECT_EQ(parsed["after"], 1);
        EXPECT_GT(text.size(), Line::max_value_bytes);
        EXPECT_LE(text.size(), Line::max_value_bytes + 200);
    }
}

TEST(Line, IsBoundedWhateverItIsGiven) {
    // Each length of the first value moves the place where room runs out.
    std::string const long_value(5000, 'x');
    std::string const quotes(5000, '"');
    for (std::size_t n = 0; n < 600; ++n) {
        for (auto const format : {LogFormat::json, LogFormat::text}) {
            std::string const shifting(n, 'y');
            auto const text = line(
                {format, true}, long_value,
                {{"shift", shifting}, {"v", long_value}, {"w", quotes}, {"n", 1.5}, {"m", true}, {"o", long_value}});
            ASSERT_LE(text.size(), Line::max_bytes);
            ASSERT_EQ(text.find('\n'), text.size() - 1);
            if (format == LogFormat::text) continue;
            auto const parsed = json::parse(text);
            ASSERT_TRUE(parsed["truncated"].get<bool>());
        }
    }
}

TEST(Line, ManyFieldsThatFindNoRoomAreLeftOut) {
    std::vector<LogField> const fields(2000, LogField{"number", std::uint64_t{1234567890123}});
    Line buffer;
    auto const text = std::string(buffer.build({}, instant, LogLevel::warn, LogKind::auth, "e", {}, fields));
    EXPECT_LE(text.size(), Line::max_bytes);
    EXPECT_THAT(text, EndsWith(",\"truncated\":true}\n"));
    EXPECT_GT(text.size(), Line::max_bytes - 200);
}

TEST(Line, SaysItsKind) {
    EXPECT_EQ(to_string(LogKind::app), "app");
    EXPECT_EQ(to_string(LogKind::access), "access");
    EXPECT_EQ(to_string(LogKind::auth), "auth");
    EXPECT_EQ(to_string(LogKind::notify), "notify");
    Line buffer;
    EXPECT_THAT(std::string(buffer.build({}, instant, LogLevel::info, LogKind::notify, "sent", {}, {})),
                HasSubstr("\"kind\":\"notify\",\"event\":\"sent\""));
}

TEST(Line, TextIsForATerminal) {
    auto const fields = {LogField{"bare", "a/b"}, LogField{"quoted", "a b"},     LogField{"equals", "a=b"},
                         LogField{"empty", ""},   LogField{"evil", "\x1b[2J\n"}, LogField{"n", std::int64_t{7}},
                         LogField{"truth", false}};
    EXPECT_EQ(line({LogFormat::text, false}, "say \"hi\"\n", fields),
              "2026-11-24T09:12:33.123Z INFO  app listening: say \"hi\"\\n bare=a/b quoted=\"a b\" equals=\"a=b\" "
              "empty=\"\" evil=\"\\u001b[2J\\n\" n=7 truth=false\n");
    EXPECT_THAT(line({LogFormat::text, true}, {}), StartsWith("2026-11-24T09:12:33.123Z \x1b[32mINFO \x1b[0m app"));
}

}  // namespace
}  // namespace ocgate::ops
