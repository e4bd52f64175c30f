// Peer::lost over the system's sockets: an end that vanished and one that merely does not read look alike to a writer,
// and must not be treated alike.
#include <gmock/gmock.h>
#include <linux/filter.h>
#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>

#include "support/bench.hpp"

namespace ocgate::rt {
namespace {
using namespace std::chrono_literals;
using namespace std::string_literals;
namespace error = asio::error;
using asio::ip::tcp;

/// From now on the system drops whatever arrives for this socket, acknowledgements and resets included: nobody is
/// there. Takes no privilege (socket(7), SO_ATTACH_FILTER).
void vanish(tcp::socket& socket) {
    sock_filter drop{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0};
    sock_fprog const program{.len = 1, .filter = &drop};
    ASSERT_EQ(::setsockopt(socket.native_handle(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
}

void come_back(tcp::socket& socket) {
    int const unused = 0;
    ASSERT_EQ(::setsockopt(socket.native_handle(), SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused), 0);
}

class Lost : public testing::Test {
protected:
    Lost() {
        tcp::acceptor acceptor(bench.io, tcp::v4());
        acceptor.set_option(asio::socket_base::receive_buffer_size(16 * 1024));
        acceptor.bind(tcp::endpoint(asio::ip::address_v4::loopback(), 0));
        acceptor.listen();
        SystemDialer dialer({.host = "127.0.0.1", .port = acceptor.local_endpoint().port(), .unix_path = {}});
        auto const dialed = bench.start(dial(dialer));
        EXPECT_TRUE(bench.wait_until([&] { return dialed->has_value(); }));
        peer = ***dialed;
        other.emplace(acceptor.accept());
    }
    ~Lost() override {
        peer = nullptr;
        EXPECT_TRUE(bench.nothing_left());
    }
    Task<boost::system::result<PeerPtr, error_code>> dial(SystemDialer& dialer) {
        auto dialed = co_await dialer.dial(bench.resources, never, breaker);
        co_return dialed;
    }
    void say(std::string_view words) {
        Gather bytes{words};
        EXPECT_EQ(peer->write_now(bytes), error_code());
    }
    /// Asked again and again for so long. Two seconds of silence are none of a full receiver's: it answers at most
    /// twice a second (tcp_invalid_ratelimit).
    bool ever_lost(std::chrono::seconds time) {
        bool found = false;
        (void)bench.wait_until([&] { return found = found || peer->lost(2s); }, time);
        return found;
    }

    /// What it still gets to read, and how that ends.
    std::pair<std::string, error_code> read_on() {
        std::string seen;
        error_code why;
        other->non_blocking(true);
        std::array<char, 4096> some;
        EXPECT_TRUE(bench.wait_until([&] {
            auto const n = other->read_some(asio::buffer(some), why);
            seen.append(some.data(), n);
            return why && why != error::would_block;
        }));
        return {seen, why};
    }

    test::Bench bench{4096};
    DialBreaker breaker;
    PeerPtr peer;
    std::optional<tcp::socket> other;
};

TEST_F(Lost, WhoeverVanishesWithSomethingOnItsWayToIt) {
    vanish(*other);
    say("hello?");
    EXPECT_TRUE(ever_lost(20s));
}

TEST_F(Lost, WhoeverVanishesBehindAClosedWindow) {
    std::string const flood(8'000'000, 'x');
    say(flood);
    EXPECT_FALSE(peer->writable());
    vanish(*other);
    EXPECT_TRUE(ever_lost(20s));
}

TEST_F(Lost, NotWhoeverTakesNothing) {
    std::string const flood(8'000'000, 'x');
    say(flood);
    EXPECT_FALSE(peer->writable());
    EXPECT_FALSE(ever_lost(5s));
}

TEST_F(Lost, NotWhoeverIsSilentWithNothingOnItsWay) { EXPECT_FALSE(ever_lost(3s)); }

// What was on its way and the end behind it arrive when packets pass again, although nobody here knows of it any more.
TEST_F(Lost, WhoWasLetGoOfHearsOfTheEndWhenItIsBack) {
    vanish(*other);
    say("hello?");
    bool gone = false;
    peer->listen([&] { gone = true; });
    auto const kept = peer->let_go(6);
    ASSERT_TRUE(kept);
    EXPECT_FALSE(gone) << "never from inside";
    EXPECT_TRUE(bench.wait_until([&] { return gone; }));
    EXPECT_EQ(peer->ended(), error::connection_reset);
    auto const read = bench.start(peer->fill());
    ASSERT_TRUE(read->has_value());
    EXPECT_EQ(**read, error::connection_reset);
    Gather bytes{std::string_view("hello?")};
    EXPECT_EQ(peer->write_now(bytes), error::connection_reset);
    EXPECT_FALSE(peer->lost(0s));
    EXPECT_FALSE(peer->let_go(6)) << "it has gone already";
    peer->reset();
    send_end(kept.get(), 15min);
    EXPECT_FALSE(end_arrived(kept.get()));
    come_back(*other);
    EXPECT_EQ(read_on(), std::pair("hello?"s, error_code(error::eof)));
    EXPECT_TRUE(bench.wait_until([&] { return end_arrived(kept.get()); }));
}

TEST_F(Lost, WhoeverWaitsForOneThatIsLetGoOfIsTold) {
    std::string const flood(8'000'000, 'x');
    Gather bytes{flood};
    auto const read = bench.start(peer->fill());
    auto const written = bench.start(peer->write(bytes, 1h));
    ASSERT_FALSE(*written);
    ASSERT_TRUE(peer->let_go(~std::uint32_t{0}));
    bench.settle();
    ASSERT_TRUE(*read);
    EXPECT_EQ(**read, error::connection_reset);
    ASSERT_TRUE(*written);
    EXPECT_EQ(**written, error::connection_reset);
}

TEST_F(Lost, NobodyKeepsWhatIsTooMuch) {
    vanish(*other);
    say("hello?");
    EXPECT_FALSE(peer->let_go(5));
    EXPECT_TRUE(bench.wait_until([&] { return peer->ended() == error::connection_reset; })) << "broken off instead";
}

TEST_F(Lost, CountsWhatHasArrived) {
    say("hello");
    EXPECT_TRUE(bench.wait_until([&] { return peer->arrived() == 5; }));
    vanish(*other);
    say("hello?");
    EXPECT_EQ(peer->sent(), 11u);
    EXPECT_EQ(peer->arrived(), 5u);
}

TEST_F(Lost, BreakingOffEndsWhateverIsWaitedFor) {
    vanish(*other);
    bool gone = false;
    peer->listen([&] { gone = true; });
    peer->break_off();
    EXPECT_TRUE(bench.wait_until([&] { return gone; }));
    EXPECT_EQ(peer->ended(), error::connection_reset);
    auto const read = bench.start(peer->fill());
    ASSERT_TRUE(read->has_value());
    EXPECT_EQ(**read, error::connection_reset);
    Gather bytes{std::string_view("hello?")};
    EXPECT_TRUE(peer->write_now(bytes));
}

}  // namespace
}  // namespace ocgate::rt
