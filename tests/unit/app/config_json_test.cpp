#include "config_json.hpp"

#include <gmock/gmock.h>

namespace ocgate::app {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

std::vector<std::string> errors(std::string_view text) {
    std::vector<std::string> all;
    for (auto const& error : read_json(text, "c.json").errors) all.push_back(error.text());
    return all;
}

TEST(ConfigJson, TakesComments) {
    auto const read = read_json("// one\n{ /* two */ \"a\": [1, {\"b\": null}] } // three\n", "c.json");
    EXPECT_THAT(read.errors, IsEmpty());
    EXPECT_EQ(read.value, nlohmann::json::parse(R"({"a":[1,{"b":null}]})"));
    EXPECT_THAT(errors("\xEF\xBB\xBF{}"), IsEmpty());
}

TEST(ConfigJson, TellsLineAndColumn) {
    EXPECT_THAT(errors("{ not json"), ElementsAre(HasSubstr("c.json:1:4: not JSON")));
    EXPECT_THAT(errors("{\n  \"a\": 1,\n}"), ElementsAre(AllOf(HasSubstr("c.json:3:1:"), HasSubstr("no comma"))));
    EXPECT_THAT(errors("{\"a\": 1} x"), ElementsAre(HasSubstr("c.json:1:10:")));
    EXPECT_THAT(errors("{\"a\": 1"), ElementsAre(HasSubstr("end of input")));
    EXPECT_THAT(errors("{\n\"a\": 1 \"b\": 2}"), ElementsAre(HasSubstr("c.json:2:")));
}

TEST(ConfigJson, IsAnObject) {
    for (auto const* text : {"", " \n", "[]", "1", "\"x\"", "null", "// nothing"}) {
        auto const read = read_json(text, "c.json");
        EXPECT_THAT(read.errors, SizeIs(1)) << text;
        EXPECT_TRUE(read.value.is_null()) << text;
    }
}

TEST(ConfigJson, RefusesKeysGivenTwice) {
    EXPECT_THAT(
        errors(R"({"a":1,"b":{"c":1,"c":2},"a":{"x":1,"x":2},"d/e~":[{"f":1,"f":1}],"d/e~":2})"),
        ElementsAre(HasSubstr("/b/c: given twice"), HasSubstr("/a: given twice"), HasSubstr("/a/x: given twice"),
                    HasSubstr("/d~1e~0/0/f: given twice"), HasSubstr("/d~1e~0: given twice")));
    EXPECT_EQ(read_json(R"({"a":1,"a":2})", "c").value["a"], 1);
}

TEST(ConfigJson, SurvivesHostileText) {
    EXPECT_THAT(errors("{\"a\":" + std::string(400'000, '[')), ElementsAre(HasSubstr("nested deeper than 16")));
    std::string objects;
    for (int i = 0; i < 50'000; ++i) objects += "{\"a\":";
    EXPECT_THAT(errors(objects), ElementsAre(HasSubstr("nested deeper than 16")));
    EXPECT_THAT(errors("{\"a\": 1e999}"), ElementsAre(HasSubstr("too large")));
    EXPECT_THAT(errors("{\"a\": NaN}"), SizeIs(1));
    EXPECT_THAT(errors("{\"a\": -Infinity}"), SizeIs(1));
    EXPECT_THAT(errors("{\"a\": \"\xFF\xFE\"}"), ElementsAre(HasSubstr("UTF-8")));
    EXPECT_THAT(errors("{\"a\": \"\xC0\xAF\"}"), SizeIs(1));
    EXPECT_THAT(errors("{\"a\": \"\\ud800\"}"), SizeIs(1));
    EXPECT_THAT(errors(std::string("{\"a\": 1}\0{", 10)), ElementsAre(HasSubstr("c.json:1:9: not JSON: a NUL byte")));
    EXPECT_THAT(errors("/* never closed"), SizeIs(1));
    EXPECT_EQ(read_json("{\"a\": 123456789012345678901234567890}", "c").value["a"].type(),
              nlohmann::json::value_t::number_float);
    std::string many = "{";
    for (int i = 0; i < 5'000; ++i) many += "\"k\":1,";
    EXPECT_LE(errors(many + "\"z\":1}").size(), max_config_errors + 1);
}

TEST(ConfigJson, AnyPrefixIsAnErrorAndNothingElse) {
    std::string const whole = R"({"users":[{"name":"a","password":{"env":"X"}}],"n":[1,2.5,true,null,"é\u00e9"]})";
    for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_THAT(errors(whole.substr(0, n)), SizeIs(1)) << n;
    EXPECT_THAT(errors(whole), IsEmpty());
}

TEST(ConfigJson, NeverRepeatsWhatStandsInTheFile) {
    for (auto const* text : {"{\"password\": \"hunter2", "{\"password\": \"hunter2\n\"}", "{\"password\": hunter2}",
                             "{\"a\": \"hunter2' ; expected\\q\"}", "hunter2", "{\"a\" \"hunter2\"}",
                             "{\"a\": \"hunter2\xFF\"}", "{hunter2: 1}"})
        EXPECT_THAT(errors(text), ElementsAre(Not(HasSubstr("hunter2")))) << text;
}

TEST(ConfigJson, WritesPointersAndTextForPeople) {
    EXPECT_EQ(pointer_to("/a", "b/c~d"), "/a/b~1c~0d");
    EXPECT_EQ(pointer_to("", "a\nb"), "/a\\x0ab");
    EXPECT_LT(pointer_to("", std::string(100'000, 'x')).size(), 100U);
    EXPECT_EQ(in_quotes("a\x1b[0m\xC3"), "\"a\\x1b[0m\\xc3\"");
    EXPECT_LT(in_quotes(std::string(100'000, 'x')).size(), 100U);
}

}  // namespace
}  // namespace ocgate::app
