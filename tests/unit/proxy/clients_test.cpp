#include "ocgate/proxy/clients.hpp"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace ocgate::proxy {
namespace {

TEST(Clients, AnAddressIsOneClientHoweverItIsWritten) {
    EXPECT_EQ(client_key("192.0.2.1"), client_key("::ffff:192.0.2.1"));
    EXPECT_EQ(client_key("2001:db8::1"), client_key("2001:0db8:0:0:0::1"));
    EXPECT_EQ(client_key("fe80::1%eth0"), client_key("fe80::1"));
    EXPECT_NE(client_key("192.0.2.1"), client_key("192.0.2.2"));
}

TEST(Clients, AnIpv6SubscriberIsOneClient) {
    EXPECT_EQ(client_key("2001:db8:1:2::1"), client_key("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    EXPECT_NE(client_key("2001:db8:1:2::1"), client_key("2001:db8:1:3::1"));
    EXPECT_NE(client_key("::1"), client_key("0.0.0.0"));
}

TEST(Clients, WhatIsNoAddressIsNobody) {
    for (std::string const text : {"", "unix", "localhost", "1.2.3", "1.2.3.4.5", "::g", "%", ":", "192.0.2.1:80",
                                   "[::1]", "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"}) {
        EXPECT_FALSE(client_key(text)) << text;
        ClientCount count;
        auto const taken = count.take(text);
        EXPECT_EQ(taken.count, 0u);
        EXPECT_FALSE(taken.place.taken());
        EXPECT_EQ(count.clients(), 0u);
    }
}

TEST(Clients, CountsForAsLongAsAPlaceIsHeld) {
    ClientCount count;
    auto first = count.take("192.0.2.1");
    EXPECT_EQ(first.count, 1u);
    auto other = count.take("192.0.2.2");
    EXPECT_EQ(other.count, 1u);
    {
        auto second = count.take("192.0.2.1");
        EXPECT_EQ(second.count, 2u);
        auto moved = std::move(second.place);
        EXPECT_FALSE(second.place.taken());
        EXPECT_EQ(count.take("192.0.2.1").count, 3u) << "and that one is given back at once";
    }
    EXPECT_EQ(count.take("192.0.2.1").count, 2u);
    first.place = std::move(other.place);
    EXPECT_EQ(count.clients(), 1u) << "who has nothing open has no entry";
    first.place.leave();
    first.place.leave();
    EXPECT_EQ(count.clients(), 0u);
}

TEST(Clients, CountRightlyFromSeveralThreads) {
    ClientCount count;
    constexpr int rounds = 20'000;
    std::vector<std::thread> shards;
    for (int shard = 0; shard < 4; ++shard) {
        shards.emplace_back([&count, shard] {
            std::vector<ClientCount::Place> held(16);
            for (int i = 0; i < rounds; ++i) {
                auto const address = "192.0.2." + std::to_string((i + shard) % 5);
                auto taken = count.take(address);
                EXPECT_GE(taken.count, 1u);
                EXPECT_LE(taken.count, 4u * 17u);
                held[static_cast<std::size_t>(i) % held.size()] = std::move(taken.place);
            }
        });
    }
    for (auto& shard : shards) shard.join();
    EXPECT_EQ(count.clients(), 0u);
}

}  // namespace
}  // namespace ocgate::proxy
