// Passing and waiting for room over the operating system's sockets: MSG_PEEK, MSG_TRUNC, SIOCOUTQ, edges.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>

#include "support/bench.hpp"

namespace ocgate::rt {
namespace {
using namespace std::chrono_literals;
namespace error = asio::error;
using asio::ip::tcp;

constexpr std::size_t window_bytes = 32 * 1024;
constexpr std::size_t bulk_bytes = 8 * window_bytes;

std::string numbered(std::size_t bytes) {
    std::string text;
    text.reserve(bytes + 8);
    while (text.size() < bytes) text += std::to_string(text.size()) + ",";
    text.resize(bytes);
    return text;
}

/// The test's end of a connection: never waits.
class Raw {
public:
    explicit Raw(int descriptor = -1) : descriptor_(descriptor) {}
    std::size_t send(std::string_view bytes) const {
        auto const n = ::send(descriptor_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        return n > 0 ? static_cast<std::size_t>(n) : 0;
    }
    std::string take(std::size_t max) const {
        std::string some(max, '\0');
        auto const n = ::recv(descriptor_.get(), some.data(), max, MSG_DONTWAIT);
        some.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
        return some;
    }
    void reset() {
        linger const at_once{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(descriptor_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        descriptor_.reset();
    }
    void end() { descriptor_.reset(); }

private:
    Descriptor descriptor_;
};

enum class Family { tcp, local };
void PrintTo(Family family, std::ostream* out) { *out << (family == Family::tcp ? "tcp" : "local"); }

class PassOverSockets : public testing::TestWithParam<Family> {
protected:
    void SetUp() override {
        from = connect(GetParam(), source);
        to = connect(GetParam(), sink);
    }
    ~PassOverSockets() override {
        for (auto* peer : {&from, &to}) {
            if (*peer) (*peer)->close();
            peer->reset();
        }
        EXPECT_TRUE(bench.nothing_left());
    }
    PeerPtr connect(Family family, Raw& other, int* ours = nullptr) {
        int ends[2] = {-1, -1};
        if (family == Family::local) {
            EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
        } else {
            tcp::acceptor acceptor(bench.io, tcp::v4());
            // Accepted sockets inherit it: what the system holds for a reader is bounded, however it is tuned.
            acceptor.set_option(asio::socket_base::receive_buffer_size(64 * 1024));
            acceptor.bind(tcp::endpoint(asio::ip::address_v4::loopback(), 0));
            acceptor.listen();
            tcp::socket dialing(bench.io);
            dialing.connect(acceptor.local_endpoint());
            ends[1] = acceptor.accept().release();
            ends[0] = dialing.release();
            EXPECT_TRUE(prepare_tcp(ends[0]));
            EXPECT_EQ(::fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
        }
        other = Raw(ends[1]);
        if (ours) *ours = ends[0];
        return {new Peer(bench.resources, Descriptor(ends[0]))};
    }

    static Task<error_code> fill_task(Peer& peer) {
        auto const why = co_await peer.fill();
        co_return why;
    }
    static Task<error_code> room_task(Peer& peer, Duration progress) {
        auto const why = co_await peer.room(progress);
        co_return why;
    }
    /// Turns the loop until then. Unlike `wait_until` it does not rest: what is waited for is what the test itself
    /// does.
    template <class Condition>
    bool until(Condition condition) {
        auto const patience = std::chrono::steady_clock::now() + 20s;
        auto const work = asio::make_work_guard(bench.io);  // who only listens does not count as such
        while (!condition() && std::chrono::steady_clock::now() < patience) bench.settle();
        return condition();
    }
    error_code wait(test::Result<error_code> const& result) {
        EXPECT_TRUE(bench.wait_until([&] { return result->has_value(); }));
        return result->value_or(error_code(Reason::internal));
    }
    error_code filled() { return wait(bench.start(fill_task(*from))); }

    /// What the proxy does with content of that length. Counts what was passed.
    Task<error_code> carry(std::uint64_t left) {
        for (;;) {
            error_code why;
            auto const moved = from->pass(*to, left, why);
            told += moved;
            left -= moved.size();
            if (why || left == 0) co_return why;
            if (!to->writable()) {
                why = co_await to->room(60s);
                if (why) co_return why;
                continue;
            }
            if (!moved.empty()) {
                co_await pause();
                continue;
            }
            why = co_await from->fill_unless_passed(left);
            if (why) co_return why;
            auto const content = from->text().substr(0, left);
            Gather bytes{content};
            why = co_await to->write(bytes, 60s);
            if (why) co_return why;
            left -= content.size();
            from->consume(content.size());
        }
    }
    /// Sends as fast as it goes and takes `sip` bytes a turn until `done` has ended and nothing more is to come.
    std::string stream(std::string_view text, std::size_t sip, test::Result<error_code> const& done,
                       std::uint64_t seen_before) {
        std::string seen;
        EXPECT_TRUE(until([&] {
            text.remove_prefix(source.send(text));
            seen += sink.take(sip);
            return done->has_value() && text.empty() && seen_before + seen.size() >= to->sent();
        })) << seen.size()
            << " came, " << text.size() << " are left";
        return seen;
    }

    test::Bench bench{window_bytes};
    Raw source, sink;
    PeerPtr from, to;
    std::string told;
};

INSTANTIATE_TEST_SUITE_P(Both, PassOverSockets, testing::Values(Family::tcp, Family::local),
                         [](auto const& named) { return named.param == Family::tcp ? "tcp" : "local"; });

TEST_P(PassOverSockets, MegabytesArriveUnchangedHoweverTheyAreTaken) {
    auto const text = numbered(6'000'000);
    std::uint64_t sent = 0;
    for (std::size_t const sip : {1'000'000, 70'001, 9'999}) {
        told.clear();
        auto const length = sip > 10'000 ? text.size() : text.size() / 4;
        auto const done = bench.start(carry(length));
        auto const seen = stream(std::string_view(text).substr(0, length), sip, done, sent);
        ASSERT_TRUE(*done);
        EXPECT_EQ(**done, error_code());
        EXPECT_EQ(seen.size(), length);
        EXPECT_TRUE(seen == std::string_view(text).substr(0, length)) << sip;
        sent += length;
        EXPECT_EQ(from->received(), sent);
        EXPECT_EQ(to->sent(), sent);
        EXPECT_GT(told.size(), length / 2) << "most of it is passed";
        EXPECT_TRUE(seen.find(told.substr(0, 100'000)) != std::string::npos) << "what it says it passed is what it was";
        EXPECT_TRUE(bench.wait_until([&] { return from->quiet(); })) << "the connection may be used again";
    }
}

TEST_P(PassOverSockets, KeepsNothingWhileItsTakerDoesNotRead) {
    auto const text = numbered(12'000'000);
    auto const done = bench.start(carry(text.size()));
    std::string_view left = text;
    // Until neither side has moved for many turns: both systems are full.
    auto sent = to->sent();
    int still = 0;
    EXPECT_TRUE(until([&] {
        auto const n = source.send(left);
        left.remove_prefix(n);
        still = n == 0 && sent == to->sent() ? still + 1 : 0;
        sent = to->sent();
        return still > 500;
    }));
    ASSERT_FALSE(*done);
    ASSERT_FALSE(left.empty());
    // What was read rather than passed, because little of it had come, is in a window until it has left.
    std::string seen;
    EXPECT_TRUE(until([&] {
        if (bench.windows.lent() == 0 && !to->writable()) return true;
        left.remove_prefix(source.send(left));
        seen += sink.take(10'000);
        return false;
    }));
    EXPECT_EQ(bench.windows.blocks.lent(), 0u);
    EXPECT_LT(seen.size(), 3'000'000u);
    seen += stream(left, 500'000, done, seen.size());
    EXPECT_TRUE(seen == text);
    EXPECT_EQ(wait(done), error_code());
}

TEST_P(PassOverSockets, StopsAtItsLimitAndIsQuietOnlyWhereNothingFollows) {
    std::string const next = "GET /next HTTP/1.1\r\n\r\n";
    for (auto const length : {window_bytes, 2 * window_bytes + 1, bulk_bytes, 2 * bulk_bytes,
                              2 * bulk_bytes + window_bytes, 2 * bulk_bytes + 1}) {
        for (bool const followed : {false, true}) {
            told.clear();
            auto const text = numbered(window_bytes / 2 + length);
            ASSERT_EQ(source.send(std::string_view(text).substr(0, window_bytes / 2)), window_bytes / 2);
            ASSERT_EQ(filled(), error_code());
            while (from->text().size() < window_bytes / 2) ASSERT_EQ(filled(), error_code());
            from->consume(window_bytes / 2);
            auto const before = to->sent();
            auto const done = bench.start(carry(length));
            auto const content = text.substr(window_bytes / 2);
            auto const seen = stream(followed ? content + next : content, 1'000'000, done, before);
            EXPECT_TRUE(seen == content) << length;
            ASSERT_EQ(wait(done), error_code());
            if (followed) {
                while (from->text().size() < next.size()) ASSERT_EQ(filled(), error_code());
                EXPECT_EQ(from->text(), next) << length;
                from->consume(next.size());
            }
            EXPECT_TRUE(from->quiet()) << length;
        }
    }
}

// The bytes are there before anybody looks, all of them: what follows is known at once, not when it is told.
TEST_P(PassOverSockets, KnowsWhetherMoreFollowsWhatItPassed) {
    auto const first = window_bytes;
    auto const text = numbered(first + window_bytes + 1);
    for (bool const followed : {false, true}) {
        ASSERT_EQ(source.send(std::string_view(text).substr(0, first)), first);
        ASSERT_EQ(filled(), error_code());
        from->consume(from->text().size());
        auto const rest = text.substr(first) + (followed ? "more" : "");
        ASSERT_EQ(source.send(rest), rest.size());
        EXPECT_TRUE(bench.wait_until([&] { return !from->drained(); }));
        error_code why;
        std::string moved;
        EXPECT_TRUE(until([&] {
            moved += from->pass(*to, window_bytes + 1 - moved.size(), why);
            return moved.size() > 0;
        }));
        if (moved.size() < window_bytes + 1) continue;  // it came in two parts
        EXPECT_EQ(from->quiet(), !followed);
        if (!followed) continue;
        ASSERT_EQ(filled(), error_code());
        EXPECT_EQ(from->text(), "more");
        from->consume(4);
    }
}

TEST_P(PassOverSockets, HearsTheEndOfTheSourceBehindItsLastByte) {
    auto const text = numbered(100'000);
    auto const done = bench.start(carry(1'000'000));
    std::string_view left = text;
    std::string seen;
    EXPECT_TRUE(until([&] {
        left.remove_prefix(source.send(left));
        if (left.empty()) source.end();
        seen += sink.take(1'000'000);
        return done->has_value() && seen.size() == text.size();
    }));
    EXPECT_TRUE(seen == text);
    EXPECT_EQ(wait(done), error::eof);
    EXPECT_FALSE(from->quiet());
}

// The system tells it once: to the one who looks, and to him who reads then, it is an end like any other.
TEST_P(PassOverSockets, ASourceThatBreaksOffIsNotTakenForOneThatEnds) {
    auto const text = numbered(window_bytes - 1);
    ASSERT_EQ(source.send(text), text.size());
    EXPECT_TRUE(until([&] { return !from->drained(); }));
    ASSERT_EQ(filled(), error_code());
    while (from->text().size() < text.size()) ASSERT_EQ(filled(), error_code());
    from->consume(text.size());
    auto const done = bench.start(carry(1'000'000));
    ASSERT_FALSE(*done);
    Gather unread{"x"};
    ASSERT_EQ(from->write_now(unread), error_code());  // a Unix socket breaks off when it has not read all
    source.reset();
    EXPECT_EQ(wait(done), error::connection_reset);
    EXPECT_EQ(from->ended(), error::connection_reset);
}

TEST_P(PassOverSockets, ATakerThatLeavesEndsIt) {
    auto const text = numbered(12'000'000);
    auto const done = bench.start(carry(text.size()));
    std::string_view left = text;
    EXPECT_TRUE(until([&] {
        left.remove_prefix(source.send(left));
        return !to->writable();
    }));
    ASSERT_FALSE(*done);
    sink.reset();
    auto const why = wait(done);
    EXPECT_TRUE(why == error::connection_reset || why == error::broken_pipe) << why.message();
}

class RoomOverTcp : public PassOverSockets {
protected:
    void SetUp() override {
        to = connect(Family::tcp, sink, &descriptor);
        // A small share of the sender's buffer is as much as the receiver's takes at once, so that room is told late.
        int const bytes = 1 << 20;
        ASSERT_EQ(::setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
        std::string const text(8'000'000, 'x');
        Gather pieces{text};
        // Until it stays full: what is on its way to the receiver's buffer still arrives.
        for (int still = 0; still < 50 && !pieces.empty();) {
            auto const before = std::pair(pieces.bytes(), in_flight());
            ASSERT_EQ(to->write_now(pieces), error_code());
            bench.settle();
            still = std::pair(pieces.bytes(), in_flight()) == before ? still + 1 : 0;
        }
        ASSERT_FALSE(pieces.empty()) << "the system took all of it";
        ASSERT_FALSE(to->writable());
    }
    [[nodiscard]] int in_flight() const {
        int bytes = -1;
        EXPECT_EQ(::ioctl(descriptor, SIOCOUTQ, &bytes), 0);
        return bytes;
    }
    /// Reads until the sender has been told of it.
    void take_a_little() {
        auto const before = in_flight();
        EXPECT_TRUE(until([&] {
            (void)sink.take(1000);
            return in_flight() < before;
        }));
    }
    int descriptor = -1;
};

INSTANTIATE_TEST_SUITE_P(Tcp, RoomOverTcp, testing::Values(Family::tcp), [](auto const&) { return "tcp"; });

TEST_P(RoomOverTcp, AReaderThatTakesSteadilyIsNotCut) {
    auto const waited = bench.start(room_task(*to, 30s));
    ASSERT_FALSE(*waited);
    int steps = 0;
    for (; steps < 3 && !to->writable(); ++steps) {
        bench.advance(29s);
        ASSERT_FALSE(*waited && **waited) << "step " << steps;
        take_a_little();
        bench.advance(1s);
        ASSERT_FALSE(*waited && **waited) << "step " << steps << ": it has taken some within 30 s";
    }
    EXPECT_EQ(steps, 3) << "room was told too early for this test to say anything";
    ASSERT_FALSE(*waited) << "there is no room yet";
    bench.advance(30s - 1ns);
    ASSERT_FALSE(*waited);
    bench.advance(1ns);
    ASSERT_TRUE(*waited) << "it has stopped";
    EXPECT_EQ(**waited, Reason::timed_out);
    EXPECT_EQ(bench.deadlines.active(), 0u);
}

TEST_P(RoomOverTcp, AReaderThatTakesNothingIsCut) {
    auto const waited = bench.start(room_task(*to, 30s));
    bench.advance(30s - 1ns);
    ASSERT_FALSE(*waited);
    bench.advance(1ns);
    ASSERT_TRUE(*waited);
    EXPECT_EQ(**waited, Reason::timed_out);
}

TEST_P(RoomOverTcp, ComesWhenEnoughWasTaken) {
    auto const waited = bench.start(room_task(*to, 30s));
    ASSERT_FALSE(*waited);
    EXPECT_TRUE(until([&] {
        (void)sink.take(100'000);
        return waited->has_value();
    }));
    EXPECT_EQ(wait(waited), error_code());
    EXPECT_TRUE(to->writable());
    EXPECT_EQ(bench.deadlines.active(), 0u);
}

TEST_P(RoomOverTcp, EndsWhenTheWriterIsToStopOrCloses) {
    auto const interrupted = bench.start(room_task(*to, 30s));
    ASSERT_FALSE(*interrupted);
    to->interrupt(Reason::gone);
    EXPECT_EQ(wait(interrupted), Reason::gone);
    EXPECT_EQ(bench.deadlines.active(), 0u);
}

TEST_P(RoomOverTcp, EndsWhenTheSocketIsClosed) {
    auto const closed = bench.start(room_task(*to, 30s));
    ASSERT_FALSE(*closed);
    to->close();
    EXPECT_EQ(wait(closed), error::operation_aborted);
    EXPECT_EQ(bench.deadlines.active(), 0u);
}

}  // namespace
}  // namespace ocgate::rt
