// Peer over a pipe in memory: what it reads, where it keeps it, who is told of the end.
#include "ocgate/rt/peer.hpp"

#include <gmock/gmock.h>

#include <boost/asio/post.hpp>

#include "support/bench.hpp"

namespace ocgate::rt {
namespace {
using namespace std::chrono_literals;
namespace error = asio::error;

constexpr std::size_t window_bytes = 4096;

std::string numbered(std::size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += std::to_string(text.size()) + ",";
    text.resize(bytes);
    return text;
}

class PeerTest : public testing::Test {
protected:
    explicit PeerTest(test::PipeOptions options = {}) { peer = bench.peer(end, std::move(options)); }
    ~PeerTest() override {
        if (peer) peer->close();
        peer.reset();
        EXPECT_TRUE(bench.nothing_left()) << "a task, window or deadline is left";
        EXPECT_TRUE(end.closed());
    }
    test::Result<error_code> fill() { return bench.start(peer->fill()); }
    error_code filled() {
        auto const result = fill();
        EXPECT_TRUE(result->has_value()) << "still waiting";
        return result->value_or(error_code(Reason::internal));
    }
    void send(std::string_view bytes) {
        end.send(bytes);
        bench.settle();
    }

    test::Bench bench{window_bytes};
    test::PipeEnd end{nullptr};
    PeerPtr peer;
};

TEST_F(PeerTest, FillWaitsForBytesAndConsumeTakesThem) {
    auto const waiting = fill();
    EXPECT_FALSE(*waiting);
    send("hello");
    ASSERT_TRUE(*waiting);
    EXPECT_EQ(**waiting, error_code());
    EXPECT_EQ(peer->text(), "hello");
    peer->consume(2);
    EXPECT_EQ(peer->text(), "llo");
    auto const more = fill();
    EXPECT_FALSE(*more) << "what was there before is no news";
    send("!");
    EXPECT_EQ(peer->text(), "llo!");
    EXPECT_EQ(std::string(peer->buffered().begin(), peer->buffered().end()), "llo!");
    EXPECT_EQ(peer->received(), 6u);
    peer->count_anew();
    EXPECT_EQ(peer->received(), 0u);
    EXPECT_FALSE(peer->holds_window());
}

TEST_F(PeerTest, WhatDoesNotFitABlockGoesToOneWindow) {
    auto const text = numbered(WindowPool::block_bytes - 1);
    end.send(text);
    EXPECT_FALSE(filled());
    EXPECT_EQ(bench.windows.lent(), 0u);
    end.send("ab");
    while (peer->text().size() < text.size() + 2) ASSERT_FALSE(filled());
    EXPECT_EQ(peer->text(), text + "ab");
    EXPECT_EQ(bench.windows.lent(), 1u);
    peer->consume(text.size());
    EXPECT_EQ(peer->text(), "ab");
    EXPECT_TRUE(peer->holds_window());
    peer->consume(2);
    EXPECT_FALSE(peer->holds_window()) << "an empty window is given back";
    EXPECT_EQ(bench.windows.lent(), 0u);
}

TEST_F(PeerTest, AFullWindowIsSaidAndLosesNothing) {
    auto const text = numbered(3 * window_bytes);
    end.send(text);
    while (peer->text().size() < window_bytes) ASSERT_FALSE(filled());
    EXPECT_EQ(filled(), error::no_buffer_space);
    EXPECT_EQ(filled(), error::no_buffer_space);
    std::string seen;
    while (seen.size() < text.size()) {
        auto const n = std::min<std::size_t>(peer->text().size(), 1000);
        seen += peer->text().substr(0, n);
        peer->consume(n);
        if (seen.size() < text.size() && peer->text().size() < 500) {
            ASSERT_FALSE(filled());
        }
        ASSERT_LE(peer->text().size(), window_bytes);
        ASSERT_LE(bench.windows.lent(), 1u);
    }
    EXPECT_EQ(seen, text);
}

TEST_F(PeerTest, TheEndComesAfterTheBytesBeforeIt) {
    end.send("last");
    end.end();
    EXPECT_FALSE(filled());
    EXPECT_EQ(peer->text(), "last");
    EXPECT_EQ(filled(), error::eof);
    EXPECT_EQ(filled(), error::eof);
    EXPECT_EQ(peer->ended(), error::eof);
    EXPECT_EQ(peer->text(), "last");
}

TEST_F(PeerTest, AResetIsNoOrderlyEnd) {
    auto const waiting = fill();
    end.reset();
    bench.settle();
    ASSERT_TRUE(*waiting);
    EXPECT_EQ(**waiting, error::connection_reset);
    EXPECT_EQ(peer->ended(), error::connection_reset);
}

TEST_F(PeerTest, ReadByEndsTheWaitAndLosesNothing) {
    peer->read_by(bench.clock.now() + 5s);
    auto const waiting = fill();
    bench.advance(5s - 1ns);
    EXPECT_FALSE(*waiting);
    bench.advance(1ns);
    ASSERT_TRUE(*waiting);
    EXPECT_EQ(**waiting, Reason::timed_out);
    send("late");
    EXPECT_FALSE(filled());
    EXPECT_EQ(peer->text(), "late");
    auto const free = fill();
    bench.advance(1h);
    EXPECT_FALSE(*free) << "a deadline counts once";
}

TEST_F(PeerTest, ADeadlineThatPassedBeforeIsForgottenByANewOne) {
    peer->read_by(bench.clock.now() + 1s);
    bench.advance(2s);
    peer->read_by(bench.clock.now() + 1s);
    auto const waiting = fill();
    EXPECT_FALSE(*waiting);
    peer->read_by(never);
    bench.advance(1h);
    EXPECT_FALSE(*waiting);
}

TEST_F(PeerTest, BytesThatAreThereWinOverADeadline) {
    peer->read_by(bench.clock.now() + 1s);
    auto const waiting = fill();
    end.send("just in time");
    bench.advance(1s);
    ASSERT_TRUE(*waiting);
    EXPECT_EQ(**waiting, error_code());
}

TEST_F(PeerTest, InterruptEndsThisWaitAndEveryLaterOneWithTheFirstReason) {
    auto const waiting = fill();
    peer->interrupt(Reason::gone);
    peer->interrupt(Reason::draining);
    bench.settle();
    ASSERT_TRUE(*waiting);
    EXPECT_EQ(**waiting, Reason::gone);
    EXPECT_EQ(filled(), Reason::gone);
    EXPECT_EQ(peer->interrupted(), Reason::gone);
    Gather pieces{"x"};
    EXPECT_EQ(peer->write_now(pieces), Reason::gone);
    EXPECT_EQ(**bench.start(peer->write(pieces, 1s)), Reason::gone);
    EXPECT_EQ(end.waiting(), "");
}

TEST_F(PeerTest, WakeWakesOnceWhetherSomeoneWaitsOrWillWait) {
    auto waiting = fill();
    peer->wake();
    bench.settle();
    ASSERT_TRUE(*waiting);
    EXPECT_EQ(**waiting, error::operation_aborted);
    waiting = fill();
    EXPECT_FALSE(*waiting);
    send("x");
    ASSERT_TRUE(*waiting);
    EXPECT_EQ(**waiting, error_code());
    peer->wake();
    EXPECT_EQ(filled(), error::operation_aborted);
    peer->wake();
    peer->forget_wake();
    waiting = fill();
    EXPECT_FALSE(*waiting);
}

TEST_F(PeerTest, ClosingEndsTheWait) {
    auto const waiting = fill();
    peer->close();
    EXPECT_FALSE(peer->open());
    bench.settle();
    ASSERT_TRUE(*waiting);
    EXPECT_EQ(**waiting, error::operation_aborted);
    EXPECT_EQ(filled(), error::operation_aborted);
    Gather pieces{"x"};
    EXPECT_EQ(peer->write_now(pieces), error::operation_aborted);
}

TEST_F(PeerTest, TheLastReferenceMayGoWhileAReadIsPending) {
    int gone = 0;
    peer->listen([&] { ++gone; });
    peer->close();
    peer.reset();
    bench.settle();
    EXPECT_EQ(gone, 0) << "who closes it himself need not be told";
}

TEST_F(PeerTest, ListenTellsOfTheEndOnce) {
    int gone = 0;
    peer->listen([&] { ++gone; });
    bench.settle();
    EXPECT_EQ(gone, 0);
    end.end();
    bench.settle();
    EXPECT_EQ(gone, 1);
    EXPECT_EQ(peer->ended(), error::eof);
    peer->listen([&] { ++gone; });
    EXPECT_EQ(gone, 2) << "told at once when it is over already";
}

TEST_F(PeerTest, ListenTellsNobodyWhenSomeoneWaitsInFillOrStopped) {
    int gone = 0;
    peer->listen([&] { ++gone; });
    auto const waiting = fill();
    end.end();
    bench.settle();
    EXPECT_EQ(gone, 0);
    ASSERT_TRUE(*waiting);
    EXPECT_EQ(**waiting, error::eof);

    test::PipeEnd other{nullptr};
    auto const quiet = bench.peer(other);
    quiet->listen([&] { ++gone; });
    quiet->stop_listening();
    other.reset();
    bench.settle();
    EXPECT_EQ(gone, 0);
    quiet->close();
}

TEST_F(PeerTest, TheEndIsNoticedBehindBytesThatNobodyReads) {
    int gone = 0;
    peer->listen([&] { ++gone; });
    send(numbered(5 * window_bytes));
    EXPECT_EQ(gone, 0);
    end.end();
    bench.settle();
    EXPECT_EQ(gone, 1);
    EXPECT_EQ(peer->ended(), error::eof);
    EXPECT_EQ(peer->text(), "") << "listening reads nothing";
    std::string seen;
    while (!filled()) {
        seen += peer->text();
        peer->consume(peer->text().size());
    }
    EXPECT_EQ(seen, numbered(5 * window_bytes));
    EXPECT_EQ(filled(), error::eof);
}

TEST_F(PeerTest, IsQuietUntilSomethingComes) {
    EXPECT_TRUE(peer->quiet());
    send("what nobody asked for");
    EXPECT_FALSE(peer->quiet());
    EXPECT_FALSE(filled());
    EXPECT_FALSE(peer->quiet());
    peer->consume(peer->text().size());
    EXPECT_TRUE(peer->quiet());
    end.end();
    bench.settle();
    EXPECT_FALSE(peer->quiet());
}

TEST_F(PeerTest, WaitingHoldsNoMemory) {
    end.send(numbered(3000));
    EXPECT_FALSE(filled());
    EXPECT_TRUE(peer->holds_window());
    peer->consume(3000);
    auto const waiting = fill();
    EXPECT_FALSE(*waiting);
    EXPECT_EQ(bench.windows.lent(), 0u);
    send("x");
    EXPECT_TRUE(*waiting);
    EXPECT_EQ(bench.windows.lent(), 0u) << "a block is enough";
    EXPECT_EQ(bench.windows.blocks.lent(), 1u);
}

TEST_F(PeerTest, WhoNeverWaitsLetsOthersHaveTheirTurn) {
    bool other = false;
    auto greedy = [](Peer& from, bool& had_turn) -> Task<int> {
        int reads = 0;
        while (!had_turn && !co_await from.fill()) {
            from.consume(from.text().size());
            ++reads;
        }
        co_return reads;
    };
    end.send(numbered(100 * window_bytes));
    bench.settle();
    asio::post(bench.io, [&] { asio::post(bench.io, [&] { other = true; }); });
    auto const reads = bench.start(greedy(*peer, other));
    ASSERT_TRUE(*reads);
    EXPECT_LT(**reads, 30);
}

Task<error_code> read_all(Peer& peer, std::string& into) {
    for (;;) {
        if (auto const why = co_await peer.fill()) co_return why;
        into += peer.text();
        peer.consume(peer.text().size());
    }
}

TEST(PeerSplits, AnySplitOfTheBytesGivesTheSameBytes) {
    auto const text = numbered(9000);
    for (std::size_t const piece : {1ul, 2ul, 7ul, 1023ul, 1024ul, 1025ul, 4095ul, 4096ul, 4097ul, 100000ul}) {
        test::Bench bench(window_bytes);
        test::PipeEnd end{nullptr};
        auto const peer = bench.peer(end, {.capacity = 65536, .piece = piece, .faults = nullptr});
        std::string seen;
        auto const read = bench.start(read_all(*peer, seen));
        for (std::size_t at = 0; at < text.size(); at += 3000) {
            end.send(std::string_view(text).substr(at, 3000));
            bench.settle();
        }
        end.end();
        bench.settle();
        ASSERT_TRUE(*read) << piece;
        EXPECT_EQ(**read, error::eof);
        EXPECT_EQ(seen, text) << piece;
        EXPECT_EQ(peer->received(), text.size());
        peer->close();
        EXPECT_TRUE(bench.nothing_left());
    }
}

TEST(PeerSplits, WhateverOperationFailsReadingEndsWithIt) {
    auto const text = numbered(3000);
    for (std::uint64_t n = 1;; ++n) {
        test::Bench bench(window_bytes);
        test::PipeEnd end{nullptr};
        auto const faults = std::make_shared<test::Faults>();
        faults->fail_at = n;
        auto const peer = bench.peer(end, {.capacity = 65536, .piece = 400, .faults = faults});
        std::string seen;
        auto const read = bench.start(read_all(*peer, seen));
        end.send(text);
        end.end();
        bench.settle();
        ASSERT_TRUE(*read) << n;
        EXPECT_EQ(seen, text.substr(0, seen.size()));
        bool const struck = faults->operations >= n;
        if (struck) {
            EXPECT_EQ(**read, error::connection_reset) << n;
        } else {
            EXPECT_EQ(**read, error::eof);
            EXPECT_EQ(seen, text);
        }
        peer->close();
        EXPECT_TRUE(bench.nothing_left()) << n;
        if (!struck) {
            EXPECT_GT(n, 8u);
            break;
        }
    }
}

}  // namespace
}  // namespace ocgate::rt
