#include "ocgate/base/secret.hpp"

#include <gtest/gtest.h>

#include <sstream>

namespace ocgate {
namespace {

TEST(Secret, PrintsAsStars) {
    std::ostringstream out;
    out << Secret("hunter2") << '|' << Secret();
    EXPECT_EQ(out.str(), "***|");
}

TEST(Secret, MovedFromIsEmpty) {
    Secret a("hunter2");
    Secret b = std::move(a);
    EXPECT_EQ(b.reveal(), "hunter2");
    EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): that it is empty is the promise
    Secret c;
    c = b;
    EXPECT_EQ(c.reveal(), b.reveal());
}

TEST(Secret, ComparesWhole) {
    EXPECT_TRUE(same_secret("abc", "abc"));
    EXPECT_TRUE(same_secret("", ""));
    EXPECT_FALSE(same_secret("abc", "abd"));
    EXPECT_FALSE(same_secret("abc", "ab"));
    EXPECT_FALSE(same_secret(std::string_view("a\0b", 3), std::string_view("a\0c", 3)));
}

}  // namespace
}  // namespace ocgate
