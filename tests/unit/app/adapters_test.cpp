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

TEST(Knowledge, KnowsWhereFilesAreServedAsTheyAre) {
    Knowledge const knowledge;
    for (auto const* file : {"/api/fs/read/a.html", "/API//fs/%72ead/a/b.svg;x", "/api/fs/read/x?location=/y"})
        EXPECT_TRUE(knowledge.serves_files(route_table().route_of("GET", file))) << file;
    for (auto const* other : {"/", "/api/fs/list", "/file/content", "/_ocgate/status", "/api/fs/read"})
        EXPECT_FALSE(knowledge.serves_files(route_table().route_of("GET", other))) << other;
}

TEST(Knowledge, CallsTheWebInterfaceAloneAPageToLinkTo) {
    Knowledge const knowledge;
    EXPECT_EQ(knowledge.linking("/"), auth::Linking::open);
    for (auto const* page : {"/L3dvcms/session/ses_1", "/L3dvcms", "/assets/index.js", "/?directory=/x", "//"})
        EXPECT_EQ(knowledge.linking(page), auth::Linking::by_hand) << "opencode loads the folder: " << page;
    for (auto const* other : {"/path?directory=/x", "/PATH;x", "//path/", "/%70ath", "/session", "/event",
                              "/_ocgate/status", "/_ocgate", "/api/fs/read/x"})
        EXPECT_EQ(knowledge.linking(other), auth::Linking::refused) << other;
}

}  // namespace
}  // namespace ocgate::app
