// A name with two addresses, of which one cannot even be tried: what is told is the answer of the other.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <cstddef>
#include <thread>

#include "support/bench.hpp"

namespace ocgate::rt {
namespace {
using namespace std::chrono_literals;
using asio::ip::tcp;

/// From now on this thread's system makes no sockets of IPv6, as one that has it switched off.
bool without_ipv6() {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog const filter{.len = std::size(program), .filter = program};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0;
}

Task<error_code> dial(SystemDialer& dialer, PeerResources const& resources, Instant until, DialBreaker& breaker) {
    auto dialed = co_await dialer.dial(resources, until, breaker);
    co_return dialed ? error_code() : dialed.error();
}

TEST(ARefusal, IsToldWhateverKeptTheOtherAddressFromBeingTried) {
    error_code why;
    std::thread([&] {
        ASSERT_TRUE(without_ipv6());
        ASSERT_EQ(::socket(AF_INET6, SOCK_STREAM, 0), -1);
        test::Bench bench{4096};
        std::uint16_t port = 0;
        {
            tcp::acceptor acceptor(bench.io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
            port = acceptor.local_endpoint().port();
        }
        SystemDialer dialer({.host = "localhost", .port = port, .unix_path = {}});
        DialBreaker breaker;
        auto const dialed = bench.start(dial(dialer, bench.resources, bench.clock.now() + 5s, breaker));
        ASSERT_TRUE(bench.wait_until([&] { return dialed->has_value(); }));
        why = **dialed;
    }).join();
    EXPECT_EQ(why, asio::error::connection_refused) << why.message();
}

}  // namespace
}  // namespace ocgate::rt
