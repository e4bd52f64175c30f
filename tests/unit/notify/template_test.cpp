#include "ocgate/notify/template.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "ocgate/base/utf8.hpp"
#include "text.hpp"

namespace ocgate::notify {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json values() {
    return {{"project", "project-1"},
            {"n", 3},
            {"cost", 0.5},
            {"yes", true},
            {"none", nullptr},
            {"session", {{"title", "Fix the login"}}},
            {"list", {"a", "b", "c"}},
            {"asks", {{{"text", "first"}}, {{"text", "second"}}}},
            {"directory", "/workspaces/project-1/"},
            {"took", 200'000},
            {"at", 1787392800000},
            {"lines", " one\ntwo "}};
}

std::string rendered(std::string_view text, Escape escape = Escape::text, json const& with = values()) {
    auto const read = Template::parse(text);
    return read ? read->render(with, escape) : "at " + std::to_string(read.error().at) + ": " + read.error().why;
}

TEST(Template, PutsValuesIn) {
    struct Row {
        std::string_view text, result;
    };
    Row const rows[] = {
        {"", ""},
        {"plain", "plain"},
        {"{{project}}", "project-1"},
        {"a {{ project }} b", "a project-1 b"},
        {"{{session.title}}!", "Fix the login!"},
        {"{{n}} {{cost}} {{yes}}", "3 0.5 true"},
        {"[{{none}}][{{missing}}][{{session.missing.deeper}}][{{n.x}}]", "[][][][]"},
        {"{{list}}", "a, b, c"},
        {"{{list.1}} {{list.9}}", "b "},
        {"{{asks.1.text}}", "second"},
        {"{{session}}", R"({"title":"Fix the login"})"},
        {"{ {project} }}", "{ {project} }}"},
        {"{{project|upper}}{{project|upper|lower}}", "PROJECT-1project-1"},
        {"{{missing|default:none}}", "none"},
        {R"({{missing|default:"a | b }} c"}})", "a | b }} c"},
        {"{{project|default:x}}", "project-1"},
        {"{{session.title|cut:5}}", "Fix …"},
        {"{{session.title|cut:500}}", "Fix the login"},
        {R"({{list|join:" / "}})", "a / b / c"},
        {"{{list|count}} {{session|count}} {{missing|count}}", "3 1 0"},
        {"{{directory|basename}}", "project-1"},
        {"{{took|duration}}", "3 min 20 s"},
        {"{{project|duration}}", ""},
        {"{{at|time}}", "2026-08-22T10:00:00Z"},
        {"{{session.title|url}}", "Fix%20the%20login"},
        {"{{list|json}}", R"(["a","b","c"])"},
        {"[{{lines}}] [{{lines|line}}]", "[one\ntwo] [one two]"},
    };
    for (auto const& row : rows) EXPECT_EQ(rendered(row.text), row.result) << row.text;
}

TEST(Template, SaysWhereItIsWrong) {
    struct Row {
        std::string_view text;
        std::size_t at;
        std::string_view why;
    };
    Row const rows[] = {
        {"{{", 2, "expected a name"},
        {"ab{{}}", 4, "expected a name"},
        {"{{a", 3, "expected }}"},
        {"{{a.}}", 4, "expected a name"},
        {"{{a}", 3, "expected }}"},
        {"{{a|raw}}", 4, "no such filter"},
        {"{{a|cut}}", 4, "wants a colon"},
        {"{{a|cut:x}}", 4, "wants a number"},
        {"{{a|upper:x}}", 4, "takes nothing"},
        {"{{a|default:\"x}}", 13, "not closed"},
        {"{{a b}}", 4, "expected }}"},
        {"{{a|}}", 4, "no such filter"},
    };
    for (auto const& row : rows) {
        auto const read = Template::parse(row.text);
        ASSERT_FALSE(read) << row.text;
        EXPECT_EQ(read.error().at, row.at) << row.text;
        EXPECT_THAT(read.error().why, HasSubstr(row.why)) << row.text;
    }
    EXPECT_FALSE(Template::parse(std::string(max_template_bytes + 1, 'x')));
    std::string many;
    for (int i = 0; i < 201; ++i) many += "{{a}}";
    EXPECT_FALSE(Template::parse(many));
}

TEST(Template, ValuesAreNeverReadAsTemplates) {
    EXPECT_EQ(rendered("{{a}}", Escape::text, {{"a", "{{b}}"}, {"b", "secret"}}), "{{b}}");
    EXPECT_EQ(JsonTemplate::parse(R"({"x":"{{a}} y"})")->render({{"a", "{{b}}"}, {"b", "secret"}})["x"], "{{b}} y");
}

TEST(Template, ControlsAndBidiGoWhereverItGoes) {
    json const with = {{"a",
                        "x\x1B[2Jy\xE2\x80\xAE"
                        "z\xC2\x9B"
                        "!\nq\xF3\xA0\x81\x81"}};
    EXPECT_EQ(rendered("{{a}}", Escape::text, with), "x[2Jyz!\nq");
    EXPECT_EQ(rendered("{{a}}", Escape::line, with), "x[2Jyz! q");
    EXPECT_EQ(rendered("{{a}}", Escape::discord, with), "x\\[2Jyz!\nq");
}

TEST(Template, DiscordsMarkupIsTheOperatorsOnly) {
    auto const discord = [](std::string_view text, std::string const& a) {
        return rendered(text, Escape::discord, {{"a", a}});
    };
    EXPECT_EQ(discord("**{{a}}**", "x** @everyone [l](https://e)"), R"(**x\*\* \@everyone \[l\]\(https\://e\)**)");
    EXPECT_EQ(discord("`{{a}}`", "x` @everyone"), "`xˋ @everyone`");
    EXPECT_EQ(discord("`{{a}}` {{a}}", "*"), "`*` \\*");
    EXPECT_EQ(discord("```\n{{a}}\n```{{a}}", "```*"),
              "```\n`\xE2\x80\x8B`\xE2\x80\x8B`\xE2\x80\x8B*\n```\\`\\`\\`\\*");
    EXPECT_EQ(discord("`{{a}}`", "two\nlines"), "`two lines`");
    EXPECT_EQ(discord("{{a|json}}", "\""), R"("\\"")");  // no filter comes after the escape
}

TEST(Template, JsonStaysTheSameDocument) {
    auto const read = JsonTemplate::parse(
        R"({"a":"{{project}}","b":"{{n}}","c":["{{list}}",1,null,true],"d":"x{{n}}y","e":"{{missing}}","f":{"g":"{{session}}"}})");
    ASSERT_TRUE(read) << read.error().why;
    EXPECT_EQ(read->render(values()), json::parse(R"({"a":"project-1","b":3,"c":[["a","b","c"],1,null,true],"d":"x3y",
        "e":null,"f":{"g":{"title":"Fix the login"}}})"));
    std::string const hostile = "\",\"x\":1}\n\\ \x01 \xE2\x80\xA8";
    EXPECT_EQ(json::parse(JsonTemplate::parse(R"({"a":"{{v}}","b":"-{{v}}-"})")->render({{"v", hostile}}).dump()),
              (json{{"a", hostile}, {"b", "-" + hostile + "-"}}));
}

TEST(Template, JsonThatIsNoneIsRefused) {
    for (std::string_view const bad :
         {"", "{", "{\"a\":}", "{\"a\":\"{{x|no}}\"}", "{\"a\":\"{{\"}", "{{x}}", "1e999", "{\"a\":[-1e999]}"})
        EXPECT_FALSE(JsonTemplate::parse(bad)) << bad;
    std::string deep;
    for (int i = 0; i < 40; ++i) deep += '[';
    for (int i = 0; i < 40; ++i) deep += ']';
    EXPECT_FALSE(JsonTemplate::parse(deep));
}

TEST(Template, WhatItMakesIsBoundedAndWellFormed) {
    json const with = {{"a", std::string(60'000, '*')}, {"b", "\xFF\xC3"}};
    auto const text = rendered("{{a}}{{a}}{{b}}\xFF", Escape::discord, with);
    EXPECT_LE(text.size(), max_rendered_bytes);
    EXPECT_TRUE(text.ends_with("…"));
    EXPECT_EQ(rendered("{{b}}\xFE", Escape::text, with), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(Text, IsCutWhereACharacterEnds) {
    std::string const text = "aä€🔔b";  // 1 + 2 + 3 + 4 + 1 bytes
    EXPECT_EQ(cut_bytes(text, 11), text);
    for (std::size_t most = 0; most < text.size(); ++most) {
        auto const cut = cut_bytes(text, most);
        EXPECT_LE(cut.size(), most);
        for (auto rest = std::string_view(cut); !rest.empty();) {
            ASSERT_GT(utf8_length(rest), 0U) << most;
            rest.remove_prefix(utf8_length(rest));
        }
        EXPECT_EQ(cut.empty(), most < 3) << most;
    }
    EXPECT_EQ(cut_bytes(text, 10), "aä€…");
    EXPECT_EQ(cut_characters("🔔🔔🔔", 2), "🔔…");
    EXPECT_EQ(utf16_units("aä€🔔"), 5U);
    auto const same = [](std::string_view one) { return std::string(one); };
    EXPECT_EQ(fit_utf16("🔔🔔🔔", 6, same), "🔔🔔🔔");
    EXPECT_EQ(fit_utf16("🔔🔔🔔", 5, same), "🔔🔔…");
    EXPECT_EQ(fit_utf16("🔔🔔🔔", 4, same), "🔔…");
    EXPECT_EQ(fit_utf16("***", 5, discord_spelling), "\\*\\*…");  // never half of an escape
    EXPECT_EQ(fit_utf16("***", 4, discord_spelling), "\\*…");
    EXPECT_EQ(fit_utf16("x", 0, same), "");
}

TEST(Text, DurationsSayTheTwoLargestUnits) {
    EXPECT_EQ(duration_words(0), "0 s");
    EXPECT_EQ(duration_words(59'999), "59 s");
    EXPECT_EQ(duration_words(60'000), "1 min");
    EXPECT_EQ(duration_words(3'605'000), "1 h");
    EXPECT_EQ(duration_words(7'380'000), "2 h 3 min");
    EXPECT_EQ(duration_words(90'000'000), "1 d 1 h");
    EXPECT_EQ(duration_words(-5), "0 s");
}

}  // namespace
}  // namespace ocgate::notify
