// Peer and SystemDialer over the operating system's sockets: what a pipe in memory cannot prove.
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <filesystem>

#include "support/bench.hpp"

namespace ocgate::rt {
namespace {
using namespace std::chrono_literals;
namespace error = asio::error;
using asio::ip::tcp;

class Sockets : public testing::Test {
protected:
    Sockets() {
        std::string pattern = (std::filesystem::temp_directory_path() / "ocgate-XXXXXX").string();
        EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
        folder = pattern;
    }
    ~Sockets() override {
        EXPECT_TRUE(bench.nothing_left());
        std::filesystem::remove_all(folder);
    }

    boost::system::result<PeerPtr, error_code> dial(Address address, Duration patience = 5s) {
        SystemDialer dialer(std::move(address));
        auto const dialed = bench.start(dial_with(dialer, bench.clock.now() + patience));
        EXPECT_TRUE(bench.wait_until([&] { return dialed->has_value(); }));
        if (!*dialed) return error_code(Reason::internal);
        return **dialed;
    }
    Task<boost::system::result<PeerPtr, error_code>> dial_with(SystemDialer& dialer, Instant until) {
        auto dialed = co_await dialer.dial(bench.resources, until, breaker);
        co_return dialed;
    }
    error_code wait(test::Result<error_code> const& result) {
        EXPECT_TRUE(bench.wait_until([&] { return result->has_value(); }));
        return result->value_or(error_code(Reason::internal));
    }
    /// A connected pair over the loopback: the gateway's end, and the raw other one.
    std::pair<PeerPtr, tcp::socket> pair() {
        tcp::acceptor acceptor(bench.io, tcp::v4());
        // Accepted sockets inherit it; with it the system holds less than `held_bytes`, however it is tuned.
        acceptor.set_option(asio::socket_base::receive_buffer_size(64 * 1024));
        acceptor.bind(tcp::endpoint(asio::ip::address_v4::loopback(), 0));
        acceptor.listen();
        auto dialed = dial({.host = "127.0.0.1", .port = acceptor.local_endpoint().port(), .unix_path = {}});
        EXPECT_TRUE(dialed.has_value());
        return {*dialed, acceptor.accept()};
    }

    /// More than a sender's and a receiver's buffers take: tcp_wmem allows 4 MiB.
    static constexpr std::size_t held_bytes = 8'000'000;
    test::Bench bench{4096};
    DialBreaker breaker;
    std::filesystem::path folder;
};

TEST_F(Sockets, AnAddressHasAText) {
    EXPECT_EQ((Address{.host = "127.0.0.1", .port = 4096, .unix_path = {}}.text()), "127.0.0.1:4096");
    EXPECT_EQ((Address{.host = "::1", .port = 4096, .unix_path = {}}.text()), "[::1]:4096");
    EXPECT_EQ((Address{.host = {}, .port = 0, .unix_path = "/run/o.sock"}.text()), "unix:/run/o.sock");
}

TEST_F(Sockets, DialsTcpByAddressByLocalhostAndThroughTheResolver) {
    tcp::acceptor acceptor(bench.io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    auto const port = acceptor.local_endpoint().port();
    // "127.1" is no address to Asio and one to getaddrinfo, which needs no network for it.
    for (auto const* host : {"127.0.0.1", "localhost", "127.1"}) {
        auto const dialed = dial({.host = host, .port = port, .unix_path = {}});
        ASSERT_TRUE(dialed.has_value()) << host << ": " << dialed.error().message();
        auto accepted = acceptor.accept();
        asio::write(accepted, asio::buffer("hi", 2));
        EXPECT_EQ(wait(bench.start((*dialed)->fill())), error_code());
        EXPECT_EQ((*dialed)->text(), "hi");
        (*dialed)->close();
    }
}

TEST_F(Sockets, DialsAUnixSocket) {
    using Local = asio::local::stream_protocol;
    auto const path = (folder / "o.sock").string();
    Local::acceptor acceptor(bench.io, Local::endpoint(path));
    auto const dialed = dial({.host = {}, .port = 0, .unix_path = path});
    ASSERT_TRUE(dialed.has_value()) << dialed.error().message();
    auto accepted = acceptor.accept();
    asio::write(accepted, asio::buffer("hi", 2));
    EXPECT_EQ(wait(bench.start((*dialed)->fill())), error_code());
    (*dialed)->close();
}

TEST_F(Sockets, ARefusedDialSaysSo) {
    std::uint16_t port = 0;
    {
        tcp::acceptor acceptor(bench.io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
        port = acceptor.local_endpoint().port();
    }
    auto const dialed = dial({.host = "127.0.0.1", .port = port, .unix_path = {}});
    ASSERT_FALSE(dialed.has_value());
    EXPECT_EQ(dialed.error(), error::connection_refused);
    EXPECT_EQ(reason_of(Failure{Side::upstream, Step::dial, dialed.error()}), Reason::refused);
}

TEST_F(Sockets, AUnixSocketThatIsNotThereOrHasATooLongPathIsAnErrorNotAnException) {
    auto const missing = dial({.host = {}, .port = 0, .unix_path = (folder / "none").string()});
    ASSERT_FALSE(missing.has_value());
    EXPECT_EQ(missing.error(), boost::system::errc::no_such_file_or_directory);
    auto const endless = dial({.host = {}, .port = 0, .unix_path = "/" + std::string(200, 'x')});
    ASSERT_FALSE(endless.has_value());
    EXPECT_EQ(endless.error(), error::name_too_long);
}

/// A listener with a full backlog: it answers no further connect.
struct Deaf {
    explicit Deaf(asio::io_context& io) : acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {
        EXPECT_EQ(::listen(acceptor.native_handle(), 0), 0);
        auto const place = acceptor.local_endpoint();
        for (int i = 0; i < 4; ++i) {
            waiting.emplace_back(io, tcp::v4());
            waiting.back().native_non_blocking(true);  // Asio's own connect would wait
            (void)::connect(waiting.back().native_handle(), place.data(), static_cast<socklen_t>(place.size()));
        }
    }
    [[nodiscard]] Address address() const {
        return {.host = "127.0.0.1", .port = acceptor.local_endpoint().port(), .unix_path = {}};
    }
    tcp::acceptor acceptor;
    std::vector<tcp::socket> waiting;
};

TEST_F(Sockets, ADialIsBrokenOffFromOutside) {
    Deaf const deaf(bench.io);
    SystemDialer dialer(deaf.address());
    auto const dialed = bench.start(dial_with(dialer, bench.clock.now() + 2s));
    ASSERT_FALSE(*dialed) << "the backlog was not full";
    breaker.trip();
    EXPECT_TRUE(bench.wait_until([&] { return dialed->has_value(); }));
    EXPECT_EQ((*dialed)->error(), error::operation_aborted);
    auto const next = bench.start(dial_with(dialer, bench.clock.now() + 2s));
    EXPECT_TRUE(bench.wait_until([&] { return next->has_value(); }));
    EXPECT_EQ((*next)->error(), error::operation_aborted) << "it stays broken";
}

TEST_F(Sockets, ADialThatIsNotAnsweredEndsAtItsLimit) {
    Deaf const deaf(bench.io);
    SystemDialer dialer(deaf.address());
    auto const dialed = bench.start(dial_with(dialer, bench.clock.now() + 2s));
    bench.advance(2s - 1ns);
    EXPECT_FALSE(*dialed) << "the backlog was not full";
    bench.advance(1ns);
    ASSERT_TRUE(*dialed);
    ASSERT_FALSE((*dialed)->has_value());
    EXPECT_EQ((*dialed)->error(), Reason::timed_out);
}

TEST_F(Sockets, FourPiecesArriveAsOne) {
    auto [peer, other] = pair();
    Gather pieces{"GET ", "/x", " HTTP/1.1\r\n", "\r\n"};
    EXPECT_EQ(wait(bench.start(peer->write(pieces, 1s))), error_code());
    std::string seen(64, '\0');
    seen.resize(other.receive(asio::buffer(seen)));
    EXPECT_EQ(seen, "GET /x HTTP/1.1\r\n\r\n") << "one system call, one segment";
    peer->close();
}

TEST_F(Sockets, MegabytesPassASlowReaderUnchanged) {
    auto [peer, other] = pair();
    std::string text;
    while (text.size() < held_bytes) text += std::to_string(text.size());
    std::string_view const whole = text;
    Gather pieces{whole.substr(0, 1'000'001), whole.substr(1'000'001)};
    auto const written = bench.start(peer->write(pieces, 30s));
    EXPECT_FALSE(*written) << "the system took all of it without a reader";
    other.non_blocking(true);
    std::string seen;
    std::vector<char> some(100'000);
    EXPECT_TRUE(bench.wait_until([&] {
        error_code why;
        auto const n = other.read_some(asio::buffer(some), why);
        seen.append(some.data(), n);
        return seen.size() >= text.size();
    }));
    EXPECT_EQ(wait(written), error_code());
    EXPECT_TRUE(seen == text);
    peer->close();
}

TEST_F(Sockets, AWriteHeldBackEndsAtItsDeadlineAndTheReaderReadsOn) {
    auto [peer, other] = pair();
    std::string const text(held_bytes, 'x');
    auto const read = bench.start(peer->fill());
    Gather pieces{text};
    auto const written = bench.start(peer->write(pieces, 30s));
    EXPECT_FALSE(*written);
    bench.advance(30s);
    EXPECT_EQ(wait(written), Reason::timed_out);
    EXPECT_FALSE(*read);
    asio::write(other, asio::buffer("still", 5));
    EXPECT_EQ(wait(read), error_code());
    EXPECT_EQ(peer->text(), "still");
    peer->close();
}

TEST_F(Sockets, ManyBytesComeInOneReadAndTheEndIsHeardBehindThem) {
    auto [peer, other] = pair();
    std::string const text(3000, 'x');
    asio::write(other, asio::buffer(text));
    EXPECT_EQ(wait(bench.start(peer->fill())), error_code());
    EXPECT_EQ(peer->text().size(), 3000u);
    EXPECT_TRUE(peer->holds_window());
    int gone = 0;
    peer->listen([&] { ++gone; });
    peer->consume(3000);
    EXPECT_EQ(bench.windows.lent(), 0u);
    asio::write(other, asio::buffer(text));
    other.close();
    EXPECT_TRUE(bench.wait_until([&] { return gone == 1; }));
    EXPECT_EQ(wait(bench.start(peer->fill())), error_code());
    EXPECT_EQ(peer->text(), text);
    EXPECT_EQ(wait(bench.start(peer->fill())), error::eof);
    peer->close();
}

// Told in one event with the bytes before it: the read that takes them is short, and yet not the last.
TEST_F(Sockets, AnEndThatComesWithTheLastBytesIsNotMissed) {
    auto [peer, other] = pair();
    asio::write(other, asio::buffer("last", 4));
    other.close();
    EXPECT_EQ(wait(bench.start(peer->fill())), error_code());
    EXPECT_EQ(peer->text(), "last");
    peer->consume(4);
    EXPECT_EQ(wait(bench.start(peer->fill())), error::eof);
    peer->close();
}

TEST_F(Sockets, CloseIsAnEndAndResetIsNone) {
    char byte = 0;
    {
        auto [peer, other] = pair();
        peer->close();
        error_code why;
        other.receive(asio::buffer(&byte, 1), 0, why);
        EXPECT_EQ(why, error::eof);
    }
    {
        auto [peer, other] = pair();
        peer->shutdown_send();
        error_code why;
        other.receive(asio::buffer(&byte, 1), 0, why);
        EXPECT_EQ(why, error::eof);
        asio::write(other, asio::buffer("x", 1));
        EXPECT_EQ(wait(bench.start(peer->fill())), error_code());
        peer->close();
    }
    {
        auto [peer, other] = pair();
        peer->reset();
        error_code why;
        other.receive(asio::buffer(&byte, 1), 0, why);
        EXPECT_EQ(why, error::connection_reset);
    }
}

TEST_F(Sockets, AResetFromTheOtherSideIsNoticedWhileListening) {
    auto [peer, other] = pair();
    int gone = 0;
    peer->listen([&] { ++gone; });
    other.set_option(asio::socket_base::linger(true, 0));
    other.close();
    EXPECT_TRUE(bench.wait_until([&] { return gone == 1; }));
    EXPECT_EQ(peer->ended(), error::connection_reset);
    peer->close();
}

}  // namespace
}  // namespace ocgate::rt
