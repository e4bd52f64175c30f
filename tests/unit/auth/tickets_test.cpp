#include "ocgate/auth/tickets.hpp"

#include <gtest/gtest.h>

#include <string>

namespace ocgate::auth {
namespace {

using namespace std::chrono_literals;

constexpr rt::Instant start{24h};
constexpr Key key{7};

TEST(Tickets, AreGoodOnceAndForAMinute) {
    Tickets tickets(key);
    tickets.issued("pty_1", "t1", start);
    EXPECT_TRUE(tickets.redeem("pty_1", "t1", start));
    EXPECT_FALSE(tickets.redeem("pty_1", "t1", start));
    EXPECT_EQ(tickets.size(), 0U);

    tickets.issued("pty_1", "t2", start);
    EXPECT_TRUE(tickets.redeem("pty_1", "t2", start + 60s - 1ns));
    tickets.issued("pty_1", "t3", start);
    EXPECT_FALSE(tickets.redeem("pty_1", "t3", start + 60s));
    EXPECT_FALSE(tickets.redeem("pty_1", "t3", start)) << "found too late, it is gone";
    EXPECT_FALSE(tickets.redeem("pty_1", "never issued", start));
}

TEST(Tickets, OpenTheTerminalTheyWereIssuedFor) {
    Tickets tickets(key);
    tickets.issued("pty_1", "t", start);
    EXPECT_FALSE(tickets.redeem("pty_2", "t", start));
    EXPECT_FALSE(tickets.redeem("pty_1t", "", start));
    EXPECT_FALSE(tickets.redeem("", "pty_1t", start));
    EXPECT_FALSE(tickets.redeem("pty_", "1t", start)) << "the boundary between the two is part of the proof";
    EXPECT_FALSE(tickets.redeem("pty_1", "T", start));
    EXPECT_TRUE(tickets.redeem("pty_1", "t", start)) << "a wrong guess does not use it up";
}

TEST(Tickets, AreBounded) {
    Tickets tickets(key);
    tickets.issued("", "t", start);
    tickets.issued("p", "", start);
    tickets.issued(std::string(257, 'p'), "t", start);
    tickets.issued("p", std::string(257, 't'), start);
    EXPECT_EQ(tickets.size(), 0U);
    EXPECT_FALSE(tickets.redeem("", "t", start));
    EXPECT_FALSE(tickets.redeem("p", "", start));
    tickets.issued(std::string(256, 'p'), std::string(256, 't'), start);
    EXPECT_TRUE(tickets.redeem(std::string(256, 'p'), std::string(256, 't'), start));

    for (std::size_t i = 0; i <= Tickets::capacity; ++i) tickets.issued("p", std::to_string(i), start);
    EXPECT_EQ(tickets.size(), Tickets::capacity);
    EXPECT_FALSE(tickets.redeem("p", "0", start)) << "the oldest made room";
    EXPECT_TRUE(tickets.redeem("p", "1", start));
    EXPECT_TRUE(tickets.redeem("p", std::to_string(Tickets::capacity), start));
    tickets.issued("p", "2", start + 30s);  // seen once more: its time begins anew, and it is still one
    EXPECT_TRUE(tickets.redeem("p", "2", start + 80s));
    EXPECT_FALSE(tickets.redeem("p", "2", start + 80s));
}

TEST(SoleQueryValue, IsWhatEveryReaderWouldRead) {
    struct Row {
        std::string_view target;
        std::optional<std::string> value;
    };
    std::optional<std::string> const none;
    Row const rows[] = {
        {"/p?ticket=x", "x"},
        {"/p?a=b&ticket=x&c", "x"},
        {"/p?ticket=x&", "x"},
        {"/p?&&ticket=x", "x"},
        {"/p?%74icket=x", "x"},
        {"/p?%74%69%63%6b%65%74=x", "x"},
        {"/p?ticket=%78", "x"},
        {"/p?ticket=a+b%2Bc", "a b+c"},
        {"/p?ticket=%2541", "%41"},      // decoded once
        {"/p?ticket=a%zz%4", "a%zz%4"},  // malformed escapes stay
        {"/p?ticket=a=b", "a=b"},
        {"/p?ticket==", "="},
        {"/p?x?ticket=y&ticket=x", "x"},  // the first name is `x?ticket`
        {"/p?Ticket=y&ticket=x", "x"},
        {"/p?ticket[]=y&ticket=x", "x"},
        {"/p?ticket%00=y&ticket=x", "x"},
        {"/p?ticket%20=y&ticket=x", "x"},
        {"/p?%2574icket=y&ticket=x", "x"},
        {"/p?ticket=x;ticket=y", "x;ticket=y"},
        // The trap: the upstream looks at the first, and waives its check when that is empty.
        {"/p?ticket=&ticket=x", none},
        {"/p?ticket&ticket=x", none},
        {"/p?ticket=x&ticket=", none},
        {"/p?ticket=x&ticket", none},
        {"/p?ticket=x&ticket=x", none},
        {"/p?ticket=&%74icket=x", none},
        {"/p?%74icket=&ticket=x", none},
        {"/p?ticket=x&a&tick%65t=y", none},
        {"/p?ticket=&ticket=&ticket=x", none},
        {"/p?ticket=x&ticket=y&ticket=z", none},
        {"/p?ticket=", none},
        {"/p?ticket", none},
        {"/p?", none},
        {"/p", none},
        {"", none},
        {"/p?=x", none},
        {"/p?a=ticket", none},
        {"/ticket=x", none},
        {"/p?ticke=x&tickett=y", none},
    };
    for (auto const& row : rows) EXPECT_EQ(sole_query_value(row.target, "ticket"), row.value) << row.target;
}

}  // namespace
}  // namespace ocgate::auth
