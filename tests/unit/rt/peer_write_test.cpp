// Peer over a pipe in memory: writing, and what holds it back.
#include <gmock/gmock.h>

#include <deque>

#include "support/bench.hpp"

namespace ocgate::rt {
namespace {
using namespace std::chrono_literals;
namespace error = asio::error;

class PeerWrite : public testing::Test {
protected:
    PeerWrite() { peer = bench.peer(end, {.capacity = 10, .piece = ~std::size_t{0}, .faults = nullptr}); }
    ~PeerWrite() override {
        peer->close();
        peer.reset();
        EXPECT_TRUE(bench.nothing_left());
    }
    test::Result<error_code> write(Gather pieces, Duration progress, Instant total = never) {
        auto& kept = written_.emplace_back(pieces);  // for as long as it waits
        return bench.start(peer->write(kept, progress, total));
    }
    std::string take(std::size_t n) {
        auto taken = end.take(n);
        bench.settle();
        return taken;
    }
    test::Bench bench{4096};
    test::PipeEnd end{nullptr};
    PeerPtr peer;

private:
    std::deque<Gather> written_;
};

TEST_F(PeerWrite, PiecesLeaveInTheirOrderAtOnce) {
    auto const written = write({"ab", "", "cde", "f"}, 1s);
    ASSERT_TRUE(*written);
    EXPECT_EQ(**written, error_code());
    EXPECT_EQ(end.waiting(), "abcdef");
    EXPECT_EQ(peer->sent(), 6u);
    peer->count_anew();
    EXPECT_EQ(peer->sent(), 0u);
    EXPECT_TRUE(*write({}, 1s));
}

TEST_F(PeerWrite, WaitsForRoomAndSendsAllOfIt) {
    auto const written = write({"0123456", "789abcd", "efghijklmnop"}, 1s);
    EXPECT_FALSE(*written);
    std::string seen;
    while (!*written) {
        ASSERT_LE(end.waiting().size(), 10u);
        auto const some = take(3);
        ASSERT_FALSE(some.empty());
        seen += some;
    }
    EXPECT_EQ(**written, error_code());
    EXPECT_EQ(seen + take(100), "0123456789abcdefghijklmnop");
    EXPECT_EQ(bench.deadlines.active(), 0u);
}

TEST_F(PeerWrite, ProgressBoundsTheWaitForEachFurtherPiece) {
    std::string const text(100, 'x');
    auto const written = write({text}, 5s);
    for (int i = 0; i < 5; ++i) {
        bench.advance(5s - 1ns);
        ASSERT_FALSE(*written) << i;
        take(1);
    }
    bench.advance(5s - 1ns);
    EXPECT_FALSE(*written);
    bench.advance(1ns);
    ASSERT_TRUE(*written);
    EXPECT_EQ(**written, Reason::timed_out);
    EXPECT_EQ(peer->sent(), 15u);
}

TEST_F(PeerWrite, IsCountedBesideOthersWhileItWaits) {
    Traffic traffic;
    traffic.sent.add(1000);
    peer->count_in(traffic);
    std::string const text(30, 'x');
    auto const written = write({text}, Duration::max());
    EXPECT_EQ(traffic.sent.value(), 1010u);
    bench.advance(7s);
    EXPECT_EQ(std::chrono::nanoseconds(traffic.waited_ns.value()), 5s) << "every 5 s";
    take(10);
    EXPECT_EQ(std::chrono::nanoseconds(traffic.waited_ns.value()), 7s) << "and when it is over";
    bench.advance(1h);
    EXPECT_FALSE(*written) << "counting ends no wait";
    EXPECT_EQ(std::chrono::nanoseconds(traffic.waited_ns.value()), 1h + 7s);
    take(10);
    ASSERT_TRUE(*written);
    EXPECT_EQ(**written, error_code());
    EXPECT_EQ(traffic.sent.value(), 1030u);
    EXPECT_EQ(peer->sent(), 30u);
}

TEST_F(PeerWrite, TotalBoundsTheWholeEvenWithProgress) {
    std::string const text(100, 'x');
    auto const written = write({text}, 5s, bench.clock.now() + 7s);
    bench.advance(4s);
    take(1);
    bench.advance(3s - 1ns);
    EXPECT_FALSE(*written);
    take(1);
    bench.advance(1ns);
    ASSERT_TRUE(*written);
    EXPECT_EQ(**written, Reason::timed_out);
}

TEST_F(PeerWrite, WithoutALimitItWaitsForEver) {
    std::string const text(11, 'x');
    auto const written = write({text}, Duration::max());
    bench.advance(1000h);
    EXPECT_FALSE(*written);
    take(1);
    EXPECT_TRUE(*written);
}

TEST_F(PeerWrite, WriteNowLeavesTheRest) {
    std::string const text = "0123456789abcdef";
    Gather pieces{std::string_view(text).substr(0, 8), std::string_view(text).substr(8)};
    EXPECT_EQ(peer->write_now(pieces), error_code());
    EXPECT_EQ(pieces.bytes(), 6u);
    EXPECT_EQ(peer->write_now(pieces), error_code());
    EXPECT_EQ(pieces.bytes(), 6u);
    EXPECT_EQ(end.take(), "0123456789");
    EXPECT_EQ(peer->write_now(pieces), error_code());
    EXPECT_TRUE(pieces.empty());
    EXPECT_EQ(end.take(), "abcdef");
}

TEST_F(PeerWrite, InterruptEndsAWaitingWrite) {
    std::string const text(20, 'x');
    auto const written = write({text}, 1h);
    peer->interrupt(Reason::gone);
    bench.settle();
    ASSERT_TRUE(*written);
    EXPECT_EQ(**written, Reason::gone);
}

TEST_F(PeerWrite, CloseEndsAWaitingWrite) {
    std::string const text(20, 'x');
    auto const written = write({text}, 1h);
    peer->close();
    bench.settle();
    ASSERT_TRUE(*written);
    EXPECT_EQ(**written, error::operation_aborted);
}

TEST_F(PeerWrite, AResetEndsAWaitingWrite) {
    std::string const text(20, 'x');
    auto const written = write({text}, 1h);
    end.reset();
    bench.settle();
    ASSERT_TRUE(*written);
    EXPECT_EQ(**written, error::broken_pipe);
}

TEST_F(PeerWrite, AWaitingWriteDoesNotDisturbTheReader) {
    std::string const text(20, 'x');
    auto const read = bench.start(peer->fill());
    auto const written = write({text}, 5s);
    end.send("in between");
    bench.settle();
    ASSERT_TRUE(*read);
    EXPECT_EQ(peer->text(), "in between");
    EXPECT_FALSE(*written);
    auto const again = bench.start(peer->fill());
    bench.advance(5s);
    ASSERT_TRUE(*written);
    EXPECT_EQ(**written, Reason::timed_out);
    EXPECT_FALSE(*again) << "the reader reads on although the writer's deadline cancelled what was pending";
    end.send("!");
    bench.settle();
    EXPECT_TRUE(*again);
}

TEST_F(PeerWrite, AWriteThatTimesOutDoesNotMakeTheListenerDeaf) {
    std::string const text(20, 'x');
    int gone = 0;
    peer->listen([&] { ++gone; });
    auto const written = write({text}, 5s);
    bench.advance(5s);
    ASSERT_TRUE(*written);
    end.end();
    bench.settle();
    EXPECT_EQ(gone, 1);
}

TEST_F(PeerWrite, ShutdownAndResetAreSeenForWhatTheyAre) {
    peer->shutdown_send();
    EXPECT_TRUE(end.saw_end());
    EXPECT_FALSE(end.closed());
    EXPECT_FALSE(end.saw_reset());
    end.send("still readable");
    EXPECT_FALSE(**bench.start(peer->fill()));
    peer->reset();
    EXPECT_TRUE(end.saw_reset());
    EXPECT_TRUE(end.closed());
    EXPECT_FALSE(peer->open());
}

TEST(PeerWriteFaults, WhateverOperationFailsTheWriteEndsWithIt) {
    std::string const text = "the quick brown fox jumps over the lazy dog";
    for (std::uint64_t n = 1;; ++n) {
        test::Bench bench;
        test::PipeEnd end{nullptr};
        auto const faults = std::make_shared<test::Faults>();
        faults->fail_at = n;
        auto const peer = bench.peer(end, {.capacity = 7, .piece = 3, .faults = faults});
        Gather pieces{std::string_view(text).substr(0, 5), std::string_view(text).substr(5)};
        auto const written = bench.start(peer->write(pieces, 1s));
        std::string seen;
        for (int i = 0; i < 20; ++i) {
            seen += end.take(4);
            bench.settle();
        }
        ASSERT_TRUE(*written) << n;
        bool const struck = faults->operations >= n;
        EXPECT_EQ(static_cast<bool>(**written), struck) << n;
        EXPECT_EQ(seen, text.substr(0, seen.size()));
        EXPECT_EQ(peer->sent(), seen.size());
        peer->close();
        EXPECT_TRUE(bench.nothing_left()) << n;
        if (!struck) {
            EXPECT_EQ(seen, text);
            EXPECT_GT(n, 10u);
            break;
        }
    }
}

}  // namespace
}  // namespace ocgate::rt
