#include "environment.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace ocgate::app {
namespace {

std::string shown_by_the_kernel() {
    std::ifstream file("/proc/self/environ", std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> variables() {
    std::vector<std::string> all;
    for (char** entry = ::environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
    return all;
}

TEST(Environment, IsReadAsBeforeAndNoLongerShown) {
    auto const before = variables();
    ASSERT_FALSE(before.empty());
    ASSERT_NE(shown_by_the_kernel().find(before.front()), std::string::npos) << "it is shown at first";

    hide_environment();
    EXPECT_EQ(variables(), before);
    ::setenv("OCGATE_TEST_LATER", "set", 1);
    EXPECT_STREQ(std::getenv("OCGATE_TEST_LATER"), "set");
    ::unsetenv("OCGATE_TEST_LATER");

    auto const shown = shown_by_the_kernel();
    for (auto const& variable : before) {
        auto const name = variable.substr(0, variable.find('=') + 1);
        EXPECT_NE(shown.find(name), std::string::npos) << "names may be seen: " << name;
        if (variable.size() == name.size()) continue;
        EXPECT_EQ(shown.find(variable), std::string::npos) << name;
    }
}

}  // namespace
}  // namespace ocgate::app
