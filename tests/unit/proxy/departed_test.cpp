// Sockets kept for clients that have vanished, over the system's TCP: bounded, and gone once the client knows.
#include "departed.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstdio>
#include <deque>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace ocgate::proxy {
namespace {
using namespace std::chrono_literals;
using boost::asio::ip::tcp;

class DepartedClients : public testing::Test {
protected:
    /// Keeps our end of a new connection; nothing arrives at the other, which stands last in `clients`.
    int keep_one() {
        tcp::acceptor acceptor(io, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
        tcp::socket ours(io);
        ours.connect(acceptor.local_endpoint());
        auto& client = clients.emplace_back(acceptor.accept());
        sock_filter drop{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0};
        sock_fprog const program{.len = 1, .filter = &drop};
        EXPECT_EQ(::setsockopt(client.native_handle(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
        ends.push_back({ours.local_endpoint().port(), ours.remote_endpoint().port()});
        int const descriptor = ours.release();
        departed.keep(rt::Descriptor(descriptor), now);
        return descriptor;
    }
    void come_back(tcp::socket& client) {
        int const unused = 0;
        ASSERT_EQ(::setsockopt(client.native_handle(), SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused), 0);
    }
    struct Ends {
        std::uint16_t ours, theirs;
    };
    /// Whether the kernel has a socket with these ends yet, whoever holds it. proc_net_tcp(5): slot, ours, theirs,
    /// state.
    static bool is_held(Ends const& ends) {
        std::ifstream table("/proc/net/tcp");
        std::array<char, 64> wanted{};
        std::snprintf(wanted.data(), wanted.size(), ": 0100007F:%04X 0100007F:%04X ", ends.ours, ends.theirs);
        for (std::string line; std::getline(table, line);) {
            if (line.find(wanted.data()) != line.npos) return true;
        }
        return false;
    }
    static bool is_open(int descriptor) { return ::fcntl(descriptor, F_GETFD) >= 0; }

    boost::asio::io_context io;
    std::deque<tcp::socket> clients;
    std::vector<Ends> ends;
    Departed departed;
    rt::Instant now = rt::Instant{} + 1h;
};

TEST_F(DepartedClients, AreBoundedAndTheOldestGoesFirst) {
    auto const first = keep_one();
    auto const second = keep_one();
    while (departed.size() < Departed::most) keep_one();
    EXPECT_TRUE(is_open(first));
    EXPECT_TRUE(is_held(ends[0]));
    departed.keep(rt::Descriptor(::dup(second)), now);  // beside the others: what is closed has no new owner meanwhile
    EXPECT_EQ(departed.size(), Departed::most);
    EXPECT_FALSE(is_open(first));
    EXPECT_FALSE(is_held(ends[0])) << "the kernel goes on sending it an end";
    EXPECT_TRUE(is_open(second));
    EXPECT_TRUE(departed.give_up_one());
    EXPECT_FALSE(is_open(second));
    departed.clear();
    EXPECT_EQ(departed.size(), 0u);
    EXPECT_FALSE(departed.give_up_one());
}

TEST_F(DepartedClients, AreKeptForAQuarterOfAnHour) {
    keep_one();
    now += 1s;
    keep_one();
    departed.look(now + Departed::longest - 1s - 1ns);
    EXPECT_EQ(departed.size(), 2u);
    departed.look(now + Departed::longest - 1s);
    EXPECT_EQ(departed.size(), 1u);
    EXPECT_FALSE(is_held(ends[0]));
    EXPECT_TRUE(is_held(ends[1]));
}

TEST_F(DepartedClients, AreGoneOnceTheyKnowThatTheyAreCut) {
    keep_one();
    auto const there = keep_one();
    departed.look(now);
    EXPECT_EQ(departed.size(), 2u);
    come_back(clients.back());
    char none = 0;
    boost::system::error_code why;
    EXPECT_EQ(clients.back().read_some(boost::asio::buffer(&none, 1), why), 0u);  // waits
    EXPECT_EQ(why, boost::asio::error::eof);
    auto const patience = std::chrono::steady_clock::now() + 20s;
    while (departed.size() == 2 && std::chrono::steady_clock::now() < patience) {
        std::this_thread::yield();
        departed.look(now);
    }
    EXPECT_EQ(departed.size(), 1u);
    EXPECT_FALSE(is_open(there));
}

TEST_F(DepartedClients, NothingIsKeptOfNothing) {
    departed.keep({}, now);
    EXPECT_EQ(departed.size(), 0u);
}

}  // namespace
}  // namespace ocgate::proxy
