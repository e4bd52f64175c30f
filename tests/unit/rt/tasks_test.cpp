// Task, Signal, Gate, TaskGroup, ChunkPool: what coroutines are and where they meet.
#include <gmock/gmock.h>

#include "ocgate/rt/task_group.hpp"
#include "support/bench.hpp"

namespace ocgate::rt {
namespace {

Task<void> wait_for(Signal& signal, int& passed) {
    co_await signal.wait();
    ++passed;
}

Task<int> add(int a, int b) { co_return a + b; }

Task<int> sum_to(int n) {
    int sum = 0;
    for (int i = 1; i <= n; ++i) sum = co_await add(sum, i % 2);
    co_return sum;
}

// Each call returns without having waited: under a sanitizer a stack that grew with them would be used up.
TEST(Task, AMillionCallsDoNotGrowTheStack) {
    test::Bench bench;
    EXPECT_EQ(**bench.start(sum_to(1'000'000)), 500'000);
}

Task<int> fails(int depth, Signal& signal) {
    if (depth == 0) {
        co_await signal.wait();
        throw std::runtime_error("deep down");
    }
    co_return co_await fails(depth - 1, signal);
}

TEST(Task, AnExceptionComesOutOfEveryCallItIsIn) {
    test::Bench bench;
    Signal signal;
    auto catches = [](Signal& s) -> Task<std::string> {
        std::string text;
        try {
            (void)co_await fails(20, s);
        } catch (std::runtime_error const& e) {
            text = e.what();
        }
        co_return text;
    };
    auto const caught = bench.start(catches(signal));
    EXPECT_FALSE(*caught);
    signal.notify();
    ASSERT_TRUE(*caught);
    EXPECT_EQ(**caught, "deep down");
}

TEST(Task, ThatHasNotBegunIsDestroyedWithWhatItWasGiven) {
    auto const held = std::make_shared<int>(1);
    auto body = [](std::shared_ptr<int> h) -> Task<int> { co_return *h; };
    {
        auto const task = body(held);
        EXPECT_EQ(held.use_count(), 2);
    }
    EXPECT_EQ(held.use_count(), 1);
}

TEST(Task, PausingLetsTheOthersHaveTheirTurn) {
    test::Bench bench;
    std::string order;
    auto body = [](std::string& said, char name) -> Task<> {
        for (int i = 0; i < 3; ++i) {
            said += name;
            co_await pause();
        }
    };
    TaskGroup group(bench.io.get_executor());
    group.spawn(body(order, 'a'));
    group.spawn(body(order, 'b'));
    bench.settle();
    EXPECT_EQ(order, "ababab");
    EXPECT_EQ(group.running(), 0u);
    EXPECT_TRUE(bench.nothing_left());
}

TEST(Gate, LetsAllInWhoWaitAndWhoComeLater) {
    test::Bench bench;
    Gate gate;
    int passed = 0;
    auto body = [](Gate& g, int& p) -> Task<> {
        co_await g.wait();
        ++p;
    };
    TaskGroup group(bench.io.get_executor());
    for (int i = 0; i < 5; ++i) group.spawn(body(gate, passed));
    EXPECT_EQ(passed, 0);
    gate.open();
    bench.settle();
    EXPECT_EQ(passed, 5);
    group.spawn(body(gate, passed));
    EXPECT_EQ(passed, 6);
}

TEST(Gate, DestroyedItTakesItsWaitersAlong) {
    test::Bench bench;
    auto const held = std::make_shared<int>(1);
    auto body = [](Gate& g, std::shared_ptr<int>) -> Task<> { co_await g.wait(); };
    {
        Gate gate;
        for (int i = 0; i < 3; ++i) {
            spawn(bench.io.get_executor(), body(gate, held), [](std::exception_ptr const&) { ADD_FAILURE(); });
        }
        EXPECT_EQ(held.use_count(), 4);
    }
    EXPECT_EQ(held.use_count(), 1);
    EXPECT_TRUE(bench.nothing_left());
}

TEST(Signal, TheWaiterGoesOnWhenItIsNotified) {
    test::Bench bench;
    Signal signal;
    int passed = 0;
    auto const ended = bench.start(wait_for(signal, passed));
    EXPECT_TRUE(signal.waiting());
    EXPECT_EQ(passed, 0);
    EXPECT_FALSE(bench.io.stopped()) << "a waiter counts as work";
    signal.notify();
    bench.settle();
    EXPECT_EQ(passed, 1);
    EXPECT_TRUE(*ended);
    EXPECT_FALSE(signal.waiting());
    EXPECT_TRUE(bench.nothing_left());
}

TEST(Signal, GoesOnInsideTheCallWhenItComesFromTheSameThread) {
    test::Bench bench;
    Signal signal;
    int passed = 0;
    bench.start(wait_for(signal, passed));
    int seen = -1;
    asio::post(bench.io, [&] {
        signal.notify();
        seen = passed;
    });
    bench.settle();
    EXPECT_EQ(seen, 1);
}

TEST(Signal, IsRememberedOnceAndCanBeForgotten) {
    test::Bench bench;
    Signal signal;
    int passed = 0;
    signal.notify();
    signal.notify();
    bench.start(wait_for(signal, passed));
    EXPECT_EQ(passed, 1);
    bench.start(wait_for(signal, passed));
    EXPECT_EQ(passed, 1) << "remembered twice";
    signal.notify();
    bench.settle();
    EXPECT_EQ(passed, 2);
    signal.notify();
    signal.forget();
    bench.start(wait_for(signal, passed));
    EXPECT_EQ(passed, 2);
    signal.notify();
    bench.settle();
}

TEST(Signal, DestroyedItTakesItsWaiterAlong) {
    test::Bench bench;
    auto token = std::make_shared<int>();
    {
        Signal signal;
        auto body = [](Signal& s, std::shared_ptr<int>) -> Task<void> { co_await s.wait(); };
        bench.start(body(signal, token));
        EXPECT_EQ(token.use_count(), 2);
    }
    bench.settle();
    EXPECT_EQ(token.use_count(), 1);
    EXPECT_TRUE(bench.nothing_left());
}

TEST(TaskGroup, JoinWaitsForEveryTask) {
    test::Bench bench;
    Signal a, b;
    int passed = 0;
    TaskGroup group(bench.io.get_executor());
    group.spawn(wait_for(a, passed));
    group.spawn(wait_for(b, passed));
    bench.settle();
    EXPECT_EQ(group.running(), 2u);
    auto const joined = bench.start(group.join());
    a.notify();
    bench.settle();
    EXPECT_FALSE(*joined);
    EXPECT_EQ(group.running(), 1u);
    b.notify();
    bench.settle();
    EXPECT_TRUE(*joined);
    EXPECT_EQ(passed, 2);
    EXPECT_TRUE(bench.nothing_left());
}

TEST(TaskGroup, JoinIsImmediateWithNothingRunningAndWorksAgainAfterwards) {
    test::Bench bench;
    Signal signal;
    int passed = 0;
    TaskGroup group(bench.io.get_executor());
    EXPECT_TRUE(*bench.start(group.join()));
    for (int i = 1; i <= 3; ++i) {
        group.spawn(wait_for(signal, passed));
        bench.settle();
        auto const joined = bench.start(group.join());
        EXPECT_FALSE(*joined);
        signal.notify();
        bench.settle();
        EXPECT_TRUE(*joined);
        EXPECT_EQ(passed, i);
    }
}

TEST(TaskGroup, ATaskThatEndedBeforeTheJoinDoesNotEndALaterOneEarly) {
    test::Bench bench;
    Signal signal;
    int passed = 0;
    TaskGroup group(bench.io.get_executor());
    signal.notify();
    group.spawn(wait_for(signal, passed));
    bench.settle();
    group.spawn(wait_for(signal, passed));
    bench.settle();
    auto const joined = bench.start(group.join());
    EXPECT_FALSE(*joined);
    signal.notify();
    bench.settle();
    EXPECT_TRUE(*joined);
}

TEST(TaskGroup, TellsOfAnExceptionThatEscapes) {
    test::Bench bench;
    std::string told;
    TaskGroup group(bench.io.get_executor(), [&](std::exception_ptr error) {
        try {
            std::rethrow_exception(error);
        } catch (std::exception const& e) {
            told = e.what();
        }
    });
    auto body = []() -> Task<void> {
        throw std::runtime_error("our bug");
        co_return;
    };
    group.spawn(body());
    auto const joined = bench.start(group.join());
    EXPECT_TRUE(*joined);
    EXPECT_EQ(told, "our bug");
}

TEST(ChunkPool, LendsCountsAndKeepsABoundedNumber) {
    ChunkPool pool(2048, 2);
    EXPECT_EQ(pool.bytes(), 2048u);
    std::vector<std::unique_ptr<char[]>> lent;
    std::vector<char*> addresses;
    for (int i = 0; i < 4; ++i) {
        lent.push_back(pool.lend());
        lent.back()[2047] = 'x';  // all of it is there
        addresses.push_back(lent.back().get());
    }
    EXPECT_EQ(pool.lent(), 4u);
    for (auto& chunk : lent) pool.give_back(std::move(chunk));
    EXPECT_EQ(pool.lent(), 0u);
    EXPECT_EQ(pool.next(), addresses[1]) << "what will be lent next";
    auto const a = pool.lend();
    auto const b = pool.lend();
    EXPECT_EQ(a.get(), addresses[1]);
    EXPECT_EQ(b.get(), addresses[0]);
    EXPECT_EQ(pool.lent(), 2u);
}

TEST(Gather, IsConsumedAcrossItsPieces) {
    std::string const text = "abcdefghij";
    std::string_view const whole = text;
    for (std::size_t n = 0; n <= text.size() + 3; ++n) {
        Gather pieces{whole.substr(0, 3), "", whole.substr(3, 1), whole.substr(4)};
        EXPECT_EQ(pieces.end() - pieces.begin(), 3) << "an empty piece is none";
        pieces.consume(n);
        std::string left;
        for (auto const& piece : pieces) left.append(static_cast<char const*>(piece.data()), piece.size());
        EXPECT_EQ(left, text.substr(std::min(n, text.size())));
        EXPECT_EQ(pieces.bytes(), left.size());
        EXPECT_EQ(pieces.empty(), left.empty());
    }
    Gather pieces{"ab", "cd", "ef"};
    for (int i = 0; i < 6; ++i) pieces.consume(1);
    EXPECT_TRUE(pieces.empty());
    pieces.add("gh");
    EXPECT_EQ(pieces.bytes(), 2u);
}

}  // namespace
}  // namespace ocgate::rt
