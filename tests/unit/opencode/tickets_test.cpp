#include <gtest/gtest.h>

#include "ocgate/opencode/routes.hpp"

namespace ocgate::opencode {
namespace {
using std::optional;
using std::string;

TEST(Tickets, AreIssuedByAPostToOneOfTwoRoutes) {
    EXPECT_EQ(ticket_issued_by("POST", "/pty/pty_1/connect-token"), "pty_1");
    EXPECT_EQ(ticket_issued_by("POST", "/api/pty/pty_1/connect-token"), "pty_1");
    EXPECT_EQ(ticket_issued_by("POST", "/PTY//pty_1/Connect%2dToken/?directory=/x"), "pty_1");
    EXPECT_EQ(ticket_issued_by("POST", "/pty/pty%5fA/connect-token"), "pty_A") << "decoded; the case of ids counts";
    for (auto const* method : {"GET", "HEAD", "post", "PUT", "OPTIONS", ""}) {
        EXPECT_EQ(ticket_issued_by(method, "/pty/pty_1/connect-token"), std::nullopt) << method;
    }
}

TEST(Tickets, AreUsedOnOneOfTwoRoutes) {
    EXPECT_EQ(pty_connected_by("/pty/pty_1/connect?ticket=t"), "pty_1");
    EXPECT_EQ(pty_connected_by("/api/pty/pty_1/connect"), "pty_1");
    EXPECT_EQ(pty_connected_by("//pty/%70ty_1/CONNECT/"), "pty_1");
    EXPECT_EQ(pty_connected_by("/pty/shells/connect"), "shells");
    EXPECT_EQ(pty_connected_by("/pty/pty_1/connect?ticket=t;x"), "pty_1") << "no matter in a query";
}

TEST(Tickets, WhatIsNotClearlyAPtyIsNone) {
    for (string const middle : {"", "a%2fb", "..", ".", "a.b", "a%00", "a%", "a%zz", "a b", "a%20b", "a;b", "a%3fb",
                                "%2e%2e", "a%25", "\xc3\xa9", "%c3%a9", "a\\b"}) {
        EXPECT_EQ(pty_connected_by("/pty/" + middle + "/connect"), std::nullopt) << middle;
        EXPECT_EQ(ticket_issued_by("POST", "/pty/" + middle + "/connect-token"), std::nullopt) << middle;
        EXPECT_EQ(pty_connected_by("/api/pty/" + middle + "/connect"), std::nullopt) << middle;
    }
    for (string const target :
         {"/pty/p", "/pty/p/connect/x", "/x/pty/p/connect", "/api/api/pty/p/connect", "", "/", "/pty/p/connect-token",
          "/pty/p%2fconnect", "/pty/p/x/../connect", "pty/p/connect", "/?/pty/p/connect", "/pty/p/connec%74%",
          "/pty/p/connect;", "/pty/p/connect;?ticket=t", "/pty/p/connect/;x"}) {
        EXPECT_EQ(pty_connected_by(target), std::nullopt) << target;
    }
    EXPECT_EQ(pty_connected_by("/pty/" + string(128, 'x') + "/connect"), string(128, 'x'));
    EXPECT_EQ(pty_connected_by("/pty/" + string(129, 'x') + "/connect"), std::nullopt);
}

struct Answer {
    string body;
    optional<string> ticket;
};

TEST(Tickets, AreReadFromTheAnswerAndFromNothingElse) {
    string const longest(128, 'a');
    Answer const table[] = {
        {R"({"ticket":"6f1c-22","expires_in":60})", "6f1c-22"},
        {R"( { "expires_in" : 60 , "ticket" : "t" } )", "t"},
        {R"({"ticket":"%})", std::nullopt},
        {R"({"ticket":""})", std::nullopt},
        {R"({"ticket":null})", std::nullopt},
        {R"({"ticket":1})", std::nullopt},
        {R"({"ticket":["t"]})", std::nullopt},
        {R"({"ticket":"a b"})", std::nullopt},
        {R"({"ticket":"a\u0000"})", std::nullopt},
        {R"({"ticket":"a\r\nX: y"})", std::nullopt},
        {R"({"ticket":"\u00e9"})", std::nullopt},
        {R"({"tickets":"t"})", std::nullopt},
        {R"(["ticket"])", std::nullopt},
        {R"("ticket")", std::nullopt},
        {"", std::nullopt},
        {"\xff\xfe", std::nullopt},
        {"{\"ticket\":\"\xff\"}", std::nullopt},
        {"<html>", std::nullopt},
        {R"({"ticket":"t"} x)", std::nullopt},
        {R"({"ticket":")" + longest + "\"}", longest},
        {R"({"ticket":")" + longest + "a\"}", std::nullopt},
        {R"({"ticket":"t","pad":")" + string(4096, 'x') + "\"}", std::nullopt},
        {string(4000, '['), std::nullopt},
    };
    for (auto const& [body, ticket] : table) EXPECT_EQ(read_ticket(body), ticket) << body;
}

}  // namespace
}  // namespace ocgate::opencode
