#include <gtest/gtest.h>

#include <random>

#include "ocgate/notify/router.hpp"

namespace ocgate::notify {
namespace {

TEST(Glob, SaysWhatPeopleExpect) {
    struct Row {
        std::string_view pattern, text;
        bool matches;
    };
    Row const rows[] = {
        {"", "", true},
        {"", "a", false},
        {"api", "api", true},
        {"api", "API", false},
        {"api", "api2", false},
        {"pi", "api", false},
        {"api-*", "api-gateway", true},
        {"api-*", "api-", true},
        {"api-*", "api", false},
        {"*-api", "my-api", true},
        {"*", "", true},
        {"*", "anything at all", true},
        {"*", "a/b", false},
        {"**", "a/b/c", true},
        {"**", "", true},
        {"***", "a/b", true},
        {"/workspaces/*", "/workspaces/api", true},
        {"/workspaces/*", "/workspaces/api/src", false},
        {"/workspaces/**", "/workspaces/api/src", true},
        {"/workspaces/**", "/workspaces", false},
        {"/workspaces/**/src", "/workspaces/a/b/src", true},
        {"/workspaces/**/src", "/workspaces/src", false},
        {"/workspaces/**src", "/workspaces/src", true},
        {"**/test-*", "/a/b/test-1", true},
        {"**/test-*", "/a/test-1/b", false},
        {"/a/*/c", "/a/b/c", true},
        {"/a/*/c", "/a/b/b/c", false},
        {"v?", "v1", true},
        {"v?", "v", false},
        {"v?", "v12", false},
        {"a?b", "a/b", false},
        {"*?", "", false},
        {"*?*", "x", true},
        {"h?ns", "h\u00e4ns", true},
        {"h??ns", "h\u00e4ns", false},
        {"?", "\u20ac", true},
        {"*\u20ac", "1 \u20ac", true},
        {"[ab]", "a", false},
        {"[ab]", "[ab]", true},
        {"a\\*", "a\\b", true},
    };
    for (auto const& row : rows) {
        EXPECT_EQ(glob_matches(row.pattern, row.text), row.matches) << row.pattern << " on " << row.text;
    }
}

/// The same rules, by trying everything.
bool tried(std::string_view pattern, std::string_view text) {
    if (pattern.empty()) return text.empty();
    if (pattern.front() == '*') {
        auto const stars = std::min(pattern.find_first_not_of('*'), pattern.size());
        auto const rest = pattern.substr(stars);
        for (std::size_t i = 0; i <= text.size(); ++i) {
            if (tried(rest, text.substr(i))) return true;
            if (stars == 1 && i < text.size() && text[i] == '/') return false;
        }
        return false;
    }
    if (text.empty()) return false;
    std::size_t taken = 1;
    if (pattern.front() == '?') {
        auto const continues = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
        if (text.front() == '/' || continues(text.front())) return false;
        while (taken < text.size() && continues(text[taken])) ++taken;
    } else if (pattern.front() != text.front()) {
        return false;
    }
    return tried(pattern.substr(1), text.substr(taken));
}

/// Every text of up to `longest` of these letters.
std::vector<std::string> all_of(std::string_view letters, std::size_t longest) {
    std::vector<std::string> all{""};
    for (std::size_t begin = 0, length = 1; length <= longest; ++length) {
        auto const end = all.size();
        for (; begin < end; ++begin) {
            for (char const letter : letters) all.push_back(all[begin] + letter);
        }
    }
    return all;
}

TEST(Glob, AgreesWithTryingEverythingOnAllShortOnes) {
    auto const texts = all_of("ab/", 5);
    std::size_t matched = 0;
    for (auto const& pattern : all_of("a/?*", 5)) {
        for (auto const& text : texts) {
            bool const matches = glob_matches(pattern, text);
            ASSERT_EQ(matches, tried(pattern, text)) << pattern << " on " << text;
            matched += matches ? 1 : 0;
        }
    }
    EXPECT_GT(matched, 10'000U);
}

TEST(Glob, AgreesWithTryingEverythingOnLongerOnes) {
    std::mt19937 random(1);
    auto const made_of = [&random](std::vector<std::string> const& pieces, std::size_t longest) {
        std::string text;
        for (auto left = random() % (longest + 1); left > 0; --left) text += pieces[random() % pieces.size()];
        return text;
    };
    std::size_t matched = 0;
    for (int i = 0; i < 30'000; ++i) {
        auto const pattern = made_of({"a", "b", "/", "\u00e4", "?", "*", "**", "**/"}, 8);
        auto const text = made_of({"a", "b", "/", "\u00e4", "\u20ac"}, 12);
        bool const matches = glob_matches(pattern, text);
        ASSERT_EQ(matches, tried(pattern, text)) << pattern << " on " << text;
        matched += matches ? 1 : 0;
    }
    EXPECT_GT(matched, 1'000U);
}

// Whoever tries everything does not come back from this before the test's time limit.
TEST(Glob, EndsSoonWhateverThePattern) {
    for (std::string const piece : {"*a", "**a", "?*", "**/", "*a**"}) {
        std::string pattern;
        for (int i = 0; i < 100; ++i) pattern += piece;
        pattern += "!";
        EXPECT_FALSE(glob_matches(pattern, std::string(10'000, 'a'))) << piece;
        EXPECT_FALSE(glob_matches(pattern, std::string(10'000, '/'))) << piece;
    }
}

}  // namespace
}  // namespace ocgate::notify
