// Waiting for room to write in, over a pipe in memory.
#include <gmock/gmock.h>

#include "support/bench.hpp"

namespace ocgate::rt {
namespace {
using namespace std::chrono_literals;
namespace error = asio::error;

class Room : public testing::Test {
protected:
    Room() { begin(); }
    ~Room() override {
        to->close();
        to.reset();
        EXPECT_TRUE(bench.nothing_left()) << "a task, window or deadline is left";
    }
    /// A peer that can write no more.
    void begin() {
        if (to) to->close();
        to = bench.peer(sink, {.capacity = 1000, .piece = ~std::size_t{0}, .faults = nullptr});
        std::string const text(1001, 'x');
        Gather pieces{text};
        EXPECT_EQ(to->write_now(pieces), error_code());
        EXPECT_FALSE(to->writable());
    }
    static Task<error_code> room_task(Peer& peer, Duration progress, Instant total) {
        auto const why = co_await peer.room(progress, total);
        co_return why;
    }
    test::Result<error_code> room(Duration progress, Instant total = never) {
        return bench.start(room_task(*to, progress, total));
    }

    test::Bench bench{4096};
    test::PipeEnd sink{nullptr};
    PeerPtr to;
};

TEST_F(Room, IsThereAtOnceWhereItIs) {
    (void)sink.take(1);
    bench.settle();
    auto const waited = room(1s);
    ASSERT_TRUE(*waited);
    EXPECT_EQ(**waited, error_code());
    EXPECT_EQ(bench.deadlines.active(), 0u);
}

TEST_F(Room, IsWaitedForAndKeepsNoDeadline) {
    auto const waited = room(1s);
    ASSERT_FALSE(*waited);
    bench.advance(1s - 1ns);
    ASSERT_FALSE(*waited);
    (void)sink.take(1);
    bench.settle();
    ASSERT_TRUE(*waited);
    EXPECT_EQ(**waited, error_code());
    EXPECT_EQ(bench.deadlines.active(), 0u);
}

TEST_F(Room, EndsAtEitherLimit) {
    auto const stepwise = room(5s);
    bench.advance(5s - 1ns);
    ASSERT_FALSE(*stepwise);
    bench.advance(1ns);
    ASSERT_TRUE(*stepwise);
    EXPECT_EQ(**stepwise, Reason::timed_out);
    auto const total = room(5s, bench.clock.now() + 3s);
    bench.advance(3s - 1ns);
    ASSERT_FALSE(*total);
    bench.advance(1ns);
    ASSERT_TRUE(*total);
    EXPECT_EQ(**total, Reason::timed_out);
    auto const unbounded = room(Duration::max());
    bench.advance(1000h);
    ASSERT_FALSE(*unbounded);
    (void)sink.take();
    bench.settle();
    EXPECT_TRUE(*unbounded);
}

TEST_F(Room, EndsWithWhatEndsTheWriter) {
    auto const interrupted = room(1h);
    to->interrupt(Reason::gone);
    bench.settle();
    ASSERT_TRUE(*interrupted);
    EXPECT_EQ(**interrupted, Reason::gone);
    EXPECT_EQ(**room(1h), Reason::gone) << "later, too";

    begin();
    auto const closed = room(1h);
    to->close();
    ASSERT_FALSE(*closed) << "not from inside close";
    bench.settle();
    ASSERT_TRUE(*closed);
    EXPECT_EQ(**closed, error::operation_aborted);

    begin();
    auto const reset = room(1h);
    sink.reset();
    bench.settle();
    ASSERT_TRUE(*reset) << "a write finds out what it is";
    EXPECT_EQ(**reset, error_code());
}

}  // namespace
}  // namespace ocgate::rt
