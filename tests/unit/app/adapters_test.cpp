#include "adapters.hpp"

#include <gtest/gtest.h>

#include "ocgate/opencode/routes.hpp"

namespace ocgate::app {
namespace {

std::string label(std::string_view target) {
    auto const table = route_table();
    return table.names.at(table.route_of("GET", target));
}

TEST(RouteTable, NamesAllOwnPagesAlike) {
    for (auto const* own : {"/_ocgate", "/_ocgate/", "/_ocgate?a", "/_ocgate/pending", "/_ocgate/sessions?x=/session"})
        EXPECT_EQ(label(own), "/_ocgate/*") << own;
    for (auto const* other : {"/_ocgates", "/_ocgat", "/%5Focgate/pending", "/"})
        EXPECT_EQ(label(other), "ui") << other;
}

TEST(RouteTable, LeavesOpencodesAsTheyAre) {
    auto const table = route_table();
    ASSERT_EQ(table.names.size(), opencode::route_names().size() + 1);
    for (std::size_t i = 0; i < opencode::route_names().size(); ++i)
        EXPECT_EQ(table.names[i], opencode::route_names()[i]);
    for (auto const* target : {"/session/ses_1/message", "/pty", "/event", "/GLOBAL/health/", "/nothing"})
        EXPECT_EQ(table.route_of("POST", target), opencode::route_of("POST", target)) << target;
}

}  // namespace
}  // namespace ocgate::app
