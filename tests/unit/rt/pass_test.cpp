// Bytes that go from peer to peer without being kept, over pipes in memory.
#include <gmock/gmock.h>

#include "support/bench.hpp"

namespace ocgate::rt {
namespace {
using namespace std::chrono_literals;
namespace error = asio::error;
using testing::StartsWith;

constexpr std::size_t window_bytes = 4096;
constexpr std::size_t bulk_bytes = 8 * window_bytes;
constexpr std::size_t any = ~std::size_t{0};
constexpr std::uint64_t all = ~std::uint64_t{0};

std::string numbered(std::size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += std::to_string(text.size()) + ",";
    text.resize(bytes);
    return text;
}

class Pass : public testing::Test {
protected:
    Pass() { open({}, {}); }
    ~Pass() override {
        close();
        EXPECT_TRUE(bench.nothing_left()) << "a task, window or deadline is left";
    }
    void open(test::PipeOptions of_source, test::PipeOptions of_sink) {
        close();
        from = bench.peer(source, std::move(of_source));
        to = bench.peer(sink, std::move(of_sink));
    }
    void close() {
        for (auto* peer : {&from, &to}) {
            if (*peer) (*peer)->close();
            peer->reset();
        }
    }

    static Task<error_code> fill_task(Peer& peer) {
        auto const why = co_await peer.fill();
        co_return why;
    }
    static Task<error_code> look_task(Peer& peer, std::uint64_t limit) {
        auto const why = co_await peer.fill_unless_passed(limit);
        co_return why;
    }
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
    error_code filled() {
        auto const result = bench.start(fill_task(*from));
        EXPECT_TRUE(result->has_value()) << "still waiting";
        return result->value_or(error_code(Reason::internal));
    }
    std::string pass(std::uint64_t limit) {
        error_code why;
        auto const moved = std::string(from->pass(*to, limit, why));
        EXPECT_EQ(why, error_code());
        return moved;
    }
    /// Sends `bytes` and has a window of it read, as a body begins: then more is worth passing.
    void begin(std::string_view bytes) {
        source.send(bytes);
        bench.settle();
        ASSERT_EQ(filled(), error_code());
        ASSERT_EQ(from->text(), bytes.substr(0, window_bytes));
        from->consume(window_bytes);
        ASSERT_EQ(bench.windows.lent(), 0u);
    }
    void fill_the_sink() {
        std::string const text(sink_capacity + 1, 'x');
        Gather pieces{text};
        ASSERT_EQ(to->write_now(pieces), error_code());
        ASSERT_FALSE(to->writable());
    }

    static constexpr std::size_t sink_capacity = 1000;
    test::Bench bench{window_bytes};
    test::PipeEnd source{nullptr}, sink{nullptr};
    PeerPtr from, to;
    std::string told;
};

TEST_F(Pass, MovesWhatWaitsWithoutKeepingAnyOfIt) {
    auto const text = numbered(window_bytes + 20'000);
    begin(text);
    EXPECT_EQ(pass(all), text.substr(window_bytes));
    EXPECT_EQ(sink.waiting(), text.substr(window_bytes));
    EXPECT_EQ(sink.writes(), 1u) << "in one piece";
    EXPECT_EQ(from->received(), text.size());
    EXPECT_EQ(to->sent(), 20'000u);
    EXPECT_EQ(bench.windows.lent(), 0u);
    EXPECT_EQ(bench.windows.blocks.lent(), 0u);
    EXPECT_TRUE(from->quiet());
    EXPECT_EQ(pass(all), "");
}

TEST_F(Pass, EveryByteArrivesOnceAndInItsPlaceWhateverTheSplit) {
    auto const text = numbered(150'000);
    std::size_t const pieces[] = {any, 1500, 3000, 5001};
    std::size_t const capacities[] = {any, 100'000, 4097, 777};
    std::size_t const arrivals[] = {any, 70'001, 4096, 3000};
    for (auto const piece : pieces) {
        for (auto const capacity : capacities) {
            for (auto const arrival : arrivals) {
                open({.capacity = any, .piece = piece, .faults = nullptr},
                     {.capacity = capacity, .piece = piece, .faults = nullptr});
                told.clear();
                auto const done = bench.start(carry(text.size()));
                std::string seen;
                for (std::size_t at = 0; at < text.size() || !sink.waiting().empty();) {
                    auto const more = std::string_view(text).substr(at, arrival);
                    source.send(more);
                    at += more.size();
                    bench.settle();
                    seen += sink.take(std::max(arrival, capacity) - 1);
                    bench.settle();
                }
                ASSERT_TRUE(*done) << seen.size() << " of " << text.size();
                EXPECT_EQ(**done, error_code());
                ASSERT_TRUE(seen == text) << piece << ' ' << capacity << ' ' << arrival;
                EXPECT_EQ(from->received(), text.size());
                EXPECT_EQ(to->sent(), text.size());
                EXPECT_EQ(bench.windows.lent(), 0u);
                EXPECT_TRUE(from->text().empty());
                if (piece == any && arrival > window_bytes) {
                    EXPECT_GT(told.size(), text.size() / 2);
                }
            }
        }
    }
}

TEST_F(Pass, WhatATakerDoesNotTakeStaysWhereItWas) {
    open({}, {.capacity = sink_capacity, .piece = any, .faults = nullptr});
    auto const text = numbered(window_bytes + 20'000);
    begin(text);
    EXPECT_EQ(pass(all), text.substr(window_bytes, sink_capacity));
    EXPECT_FALSE(to->writable());
    EXPECT_EQ(pass(all), "") << "not before there is room";
    EXPECT_EQ(from->received(), window_bytes + sink_capacity);
    EXPECT_FALSE(from->quiet());
    EXPECT_EQ(bench.windows.lent(), 0u);
    EXPECT_EQ(sink.take(300), text.substr(window_bytes, 300));
    bench.settle();
    EXPECT_EQ(pass(all), text.substr(window_bytes + sink_capacity, 300));
    EXPECT_EQ(filled(), error_code());
    EXPECT_THAT(text.substr(window_bytes + sink_capacity + 300), StartsWith(from->text()));
    EXPECT_EQ(from->text().size(), window_bytes) << "and it can still be read instead";
}

TEST_F(Pass, StopsAtItsLimitAndLeavesWhatFollows) {
    std::string const next = "GET /next HTTP/1.1\r\n\r\n";
    for (auto const limit : {window_bytes + 1, bulk_bytes - 1, bulk_bytes}) {
        for (bool const followed : {false, true}) {
            open({}, {.capacity = any, .piece = any, .faults = nullptr});
            auto const text = numbered(window_bytes + limit);
            begin(followed ? text + next : text);
            EXPECT_TRUE(pass(limit) == text.substr(window_bytes)) << limit;
            EXPECT_TRUE(sink.take() == text.substr(window_bytes)) << limit;
            EXPECT_EQ(from->quiet(), !followed) << limit << ": a connection that may be used again";
            EXPECT_EQ(from->drained(), !followed) << limit;
            if (!followed) continue;
            EXPECT_EQ(filled(), error_code());
            EXPECT_EQ(from->text(), next) << limit;
        }
    }
}

TEST_F(Pass, LeavesAConnectionInOrderBehindABodyOfWhateverLength) {
    std::string const next = "GET /next HTTP/1.1\r\n\r\n";
    for (auto const bulks : {1, 2, 3}) {
        for (auto const more : {0, 1, 2047, 2048, 4095, 4096, 4097}) {
            for (bool const followed : {false, true}) {
                open({}, {.capacity = any, .piece = any, .faults = nullptr});
                auto const text = numbered(window_bytes + static_cast<std::size_t>(bulks) * bulk_bytes +
                                           static_cast<std::size_t>(more));
                begin(followed ? text + next : text);
                told.clear();
                auto const done = bench.start(carry(text.size() - window_bytes));
                ASSERT_TRUE(*done);
                EXPECT_EQ(**done, error_code());
                EXPECT_TRUE(sink.take() == text.substr(window_bytes));
                EXPECT_GE(told.size(), static_cast<std::size_t>(bulks) * bulk_bytes);
                EXPECT_EQ(from->quiet(), !followed) << bulks << " pieces and " << more;
                while (followed && from->text().size() < next.size()) ASSERT_EQ(filled(), error_code());
                EXPECT_EQ(from->text(), followed ? next : "") << bulks << " pieces and " << more;
            }
        }
    }
}

TEST_F(Pass, IsQuietOnlyAsLongAsNothingCame) {
    begin(numbered(window_bytes + bulk_bytes));
    EXPECT_EQ(pass(bulk_bytes).size(), bulk_bytes);
    EXPECT_TRUE(from->quiet());
    source.send("?");
    bench.settle();
    EXPECT_FALSE(from->quiet());
    EXPECT_EQ(filled(), error_code());
    EXPECT_EQ(from->text(), "?");
}

TEST_F(Pass, AnEndBehindTheLastByteIsHeard) {
    begin(numbered(window_bytes + bulk_bytes));
    source.end();
    bench.settle();
    EXPECT_EQ(pass(bulk_bytes).size(), bulk_bytes);
    EXPECT_FALSE(from->quiet());
    EXPECT_EQ(pass(all), "");
    EXPECT_EQ(filled(), error::eof);
}

// Looking costs a system call and the copy of what is seen: it is for bytes of which there are many.
TEST_F(Pass, DoesNotEvenLookWhereItIsNotWorthWhile) {
    auto const faults = std::make_shared<test::Faults>();
    auto const looks = [&](std::uint64_t limit) {
        auto const before = faults->operations;
        EXPECT_EQ(pass(limit), "");
        return faults->operations - before;
    };
    open({.capacity = any, .piece = any, .faults = faults},
         {.capacity = sink_capacity, .piece = any, .faults = nullptr});
    source.send(numbered(window_bytes / 2 - 1));
    bench.settle();
    EXPECT_EQ(looks(all), 0u) << "nothing was read yet";
    EXPECT_EQ(filled(), error_code());
    from->consume(from->text().size());
    source.send("more");
    bench.settle();
    EXPECT_EQ(looks(all), 0u) << "little came last";
    EXPECT_EQ(filled(), error_code());
    from->consume(4);
    source.send(numbered(20'000));
    bench.settle();
    EXPECT_EQ(filled(), error_code());
    EXPECT_EQ(looks(all), 0u) << "what was read goes first";
    from->consume(from->text().size() - 1);
    EXPECT_EQ(looks(all), 0u);
    from->consume(1);
    EXPECT_EQ(looks(window_bytes - 1), 0u) << "a window holds it";
    EXPECT_EQ(looks(0), 0u);
    fill_the_sink();
    EXPECT_EQ(looks(all), 0u) << "no room";
    (void)sink.take();
    bench.settle();
    error_code why;
    EXPECT_EQ(from->pass(*to, all, why).size(), sink_capacity) << "and now it is";
}

TEST_F(Pass, StopsLookingWhenLittleComes) {
    auto const text = numbered(window_bytes + 1000);
    begin(text);
    EXPECT_EQ(pass(all), text.substr(window_bytes)) << "the first look cannot know";
    source.send("little");
    bench.settle();
    EXPECT_EQ(pass(all), "");
    auto const looked = bench.start(look_task(*from, all));
    ASSERT_TRUE(*looked);
    EXPECT_EQ(from->text(), "little") << "read, as anything small is";
}

TEST_F(Pass, WaitingForWhatWillBePassedReadsNothing) {
    source.send(numbered(window_bytes));
    bench.settle();
    EXPECT_EQ(filled(), error_code());
    from->consume(window_bytes);
    EXPECT_EQ(pass(all), "") << "it only might have been more";
    auto const waiting = bench.start(look_task(*from, all));
    ASSERT_FALSE(*waiting);
    auto const more = numbered(10'000);
    source.send(more);
    bench.settle();
    ASSERT_TRUE(*waiting);
    EXPECT_EQ(**waiting, error_code());
    EXPECT_EQ(from->text(), "");
    EXPECT_EQ(bench.windows.lent(), 0u);
    EXPECT_EQ(pass(all), more);
}

TEST_F(Pass, WaitingWhereMuchWaitsReadsNothing) {
    begin(numbered(window_bytes + 10'000));
    auto const looked = bench.start(look_task(*from, window_bytes + 1));
    ASSERT_TRUE(*looked);
    EXPECT_EQ(**looked, error_code());
    EXPECT_EQ(from->text(), "");
    EXPECT_EQ(bench.windows.lent(), 0u);
    EXPECT_EQ(from->received(), window_bytes);
    auto const read = bench.start(look_task(*from, window_bytes - 1));
    ASSERT_TRUE(*read);
    EXPECT_EQ(from->text().size(), window_bytes) << "so little is read";
}

TEST_F(Pass, AFailureOfTheTakerIsSaidAndNothingIsTaken) {
    auto const text = numbered(window_bytes + 10'000);
    begin(text);
    sink.break_for_writing();
    bench.settle();
    error_code why;
    EXPECT_EQ(from->pass(*to, all, why), "");
    EXPECT_EQ(why, error::broken_pipe);
    EXPECT_EQ(from->received(), window_bytes);
    EXPECT_EQ(filled(), error_code());
    EXPECT_EQ(from->text(), text.substr(window_bytes, window_bytes));
}

TEST_F(Pass, ATakerThatIsToStopOrIsClosedTakesNothing) {
    begin(numbered(window_bytes + 10'000));
    to->interrupt(Reason::draining);
    error_code why;
    EXPECT_EQ(from->pass(*to, all, why), "");
    EXPECT_EQ(why, Reason::draining);
    open({}, {});
    begin(numbered(window_bytes + 10'000));
    to->close();
    EXPECT_EQ(from->pass(*to, all, why), "");
    EXPECT_EQ(why, error::operation_aborted);
    EXPECT_EQ(sink.waiting(), "");
}

TEST_F(Pass, ASourceThatIsToStopIsBrokenOrClosedGivesNothing) {
    begin(numbered(window_bytes + 10'000));
    from->interrupt(Reason::draining);
    EXPECT_EQ(pass(all), "");
    EXPECT_EQ(filled(), Reason::draining);

    open({}, {});
    begin(numbered(window_bytes + 10'000));
    source.reset();
    bench.settle();
    EXPECT_EQ(pass(all), "");
    EXPECT_EQ(filled(), error::connection_reset) << "although the look has already heard it";
    EXPECT_EQ(from->ended(), error::connection_reset);

    open({}, {});
    begin(numbered(window_bytes + 10'000));
    from->close();
    EXPECT_EQ(pass(all), "");
    EXPECT_EQ(sink.waiting(), "");
}

TEST_F(Pass, WhateverOperationFailsNothingArrivesTwiceOrOutOfPlace) {
    auto const text = numbered(60'000);
    for (std::size_t const capacity : {std::size_t{9000}, any}) {
        std::uint64_t n = 1;
        for (bool struck = true; struck; ++n) {
            auto const faults = std::make_shared<test::Faults>();
            faults->fail_at = n;
            open({.capacity = any, .piece = any, .faults = faults},
                 {.capacity = capacity, .piece = any, .faults = faults});
            told.clear();
            auto const done = bench.start(carry(text.size()));
            std::string seen;
            for (std::size_t at = 0; at < text.size() || !sink.waiting().empty();) {
                auto const more = std::string_view(text).substr(at, 20'000);
                source.send(more);
                at += more.size();
                bench.settle();
                seen += sink.take();
                bench.settle();
            }
            struck = faults->operations >= n;
            ASSERT_TRUE(*done) << n;
            EXPECT_EQ(static_cast<bool>(**done), struck) << n;
            ASSERT_THAT(text, StartsWith(seen)) << n;
            EXPECT_EQ(to->sent(), seen.size()) << n;
            if (!struck) {
                EXPECT_EQ(seen.size(), text.size());
                EXPECT_GT(told.size(), 0u);
            }
            close();
            ASSERT_TRUE(bench.nothing_left()) << n;
        }
        EXPECT_GT(n, 8u);
    }
}

// What was sent and could not be dropped would be sent once more.
TEST_F(Pass, ASourceThatKeepsWhatItGaveIsNotReadAgain) {
    auto const faults = std::make_shared<test::Faults>();
    open({.capacity = any, .piece = any, .faults = faults}, {});
    begin(numbered(window_bytes + 10'000));
    faults->fail_at = faults->operations + 2;
    EXPECT_EQ(pass(all), "");
    EXPECT_EQ(faults->operations, faults->fail_at) << "the look and the drop";
    EXPECT_EQ(sink.take().size(), 10'000u);
    EXPECT_EQ(pass(all), "");
    EXPECT_EQ(filled(), error::connection_reset);
    EXPECT_FALSE(from->quiet());
    EXPECT_EQ(sink.waiting(), "");
}

}  // namespace
}  // namespace ocgate::rt
