#include <gtest/gtest.h>

#include "address.hpp"
#include "ocgate/auth/settings.hpp"

namespace ocgate::auth {
namespace {

TEST(Network, ReadsBlocks) {
    for (auto const* good : {"10.0.0.0/8", "192.0.2.7", "0.0.0.0/0", "255.255.255.255/32", "fd00::/8", "::/0", "::1",
                             "::1/128", "::ffff:10.0.0.0/104", "2001:DB8::/32", "unix", "10.1.2.3/8"})
        EXPECT_TRUE(Network::parse(good)) << good;
    for (auto const* bad : {"",
                            "/",
                            "/8",
                            "10.0.0.0/",
                            "10.0.0.0/33",
                            "10.0.0.0/-1",
                            "10.0.0.0/+8",
                            "10.0.0.0/08",
                            "10.0.0.0/8x",
                            "10.0.0.0/ 8",
                            "10.0.0.0 /8",
                            " 10.0.0.0/8",
                            "10.0.0.0/8/8",
                            "10.0.0/8",
                            "10",
                            "010.0.0.0/8",
                            "256.0.0.0/8",
                            "0x0a.0.0.0",
                            "fd00::/129",
                            "fd00:::/8",
                            "fe80::1%eth0",
                            "fe80::%eth0/64",
                            "[::1]",
                            "localhost",
                            "Unix",
                            "unix/0",
                            "::1/1000",
                            "10.0.0.0/0008"})
        EXPECT_FALSE(Network::parse(bad)) << bad;
    EXPECT_FALSE(Network::parse(std::string_view("10.0.0.1\0", 9)));
}

TEST(Network, HoldsWhatItSays) {
    struct Row {
        char const *block, *address;
        bool holds;
    };
    Row const rows[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "9.255.255.255", false},
        {"10.9.9.9/8", "10.0.0.1", true},  // bits behind the prefix are ignored
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"10.0.0.0/8", "::ffff:a01:203", true},
        {"10.0.0.0/8", "::10.1.2.3", false},
        {"10.0.0.0/8", "64:ff9b::10.1.2.3", false},
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
        {"::ffff:10.0.0.0/104", "11.1.2.3", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"192.0.2.6/31", "192.0.2.7", true},
        {"192.0.2.6/31", "192.0.2.8", false},
        {"172.16.0.0/12", "172.31.255.255", true},
        {"172.16.0.0/12", "172.32.0.0", false},
        {"0.0.0.0/0", "203.0.113.1", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "203.0.113.1", false},
        {"::/0", "::ffff:203.0.113.1", false},
        {"::ffff:0:0/96", "203.0.113.1", true},
        {"::ffff:0:0/90", "203.0.113.1", false},
        {"fd00::/8", "fdff::1", true},
        {"fd00::/8", "fe00::1", false},
        {"fe80::/10", "fe80::1%eth0", true},
        {"fe80::/10", "febf::1", true},
        {"fe80::/10", "fec0::1", false},
        {"::1", "::1", true},
        {"::1", "0:0:0:0:0:0:0:1", true},
        {"::1", "127.0.0.1", false},
        {"2001:db8::1/128", "2001:db8::2", false},
        {"unix", "unix", true},
        {"unix", "127.0.0.1", false},
        {"unix", "", false},
        {"0.0.0.0/0", "unix", false},
        {"::/0", "unix", false},
        {"0.0.0.0/0", "", false},
        {"0.0.0.0/0", "unknown", false},
        {"0.0.0.0/0", "1.2.3", false},
        {"0.0.0.0/0", "1.2.3.4:80", false},
        {"0.0.0.0/0", "1.2.3.4 ", false},
        {"0.0.0.0/0", "0177.0.0.1", false},
        {"::/0", "[::1]", false},
        {"::/0", "%eth0", false},
        {"::/0", ":", false},
    };
    for (auto const& row : rows) {
        auto const network = Network::parse(row.block);
        ASSERT_TRUE(network) << row.block;
        EXPECT_EQ(network->contains(row.address), row.holds) << row.block << ' ' << row.address;
    }
    EXPECT_FALSE(Network::parse("0.0.0.0/0")->contains(std::string(4096, '1')));
    EXPECT_FALSE(Network::parse("::/0")->contains(std::string(4096, ':')));
}

}  // namespace
}  // namespace ocgate::auth
