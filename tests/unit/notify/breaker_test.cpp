#include "breaker.hpp"

#include <gtest/gtest.h>

#include "budget.hpp"

namespace ocgate::notify {
namespace {
using namespace std::chrono_literals;
using State = Breaker::State;

constexpr rt::Instant start{1000h};

TEST(Breaker, OpensAfterFiveFailuresInARow) {
    Breaker breaker({});
    for (int i = 0; i < 4; ++i) EXPECT_FALSE(breaker.failed(start));
    breaker.succeeded();
    for (int i = 0; i < 4; ++i) EXPECT_FALSE(breaker.failed(start));
    EXPECT_EQ(breaker.state(start), State::closed);
    EXPECT_EQ(breaker.limit(start, 2), 2u);
    EXPECT_TRUE(breaker.failed(start));
    EXPECT_EQ(breaker.state(start), State::open);
    EXPECT_EQ(breaker.limit(start, 2), 0u);
    EXPECT_EQ(breaker.open_since(), start);
}

TEST(Breaker, LetsOneTryAndThenAllOrNone) {
    Breaker breaker({.failures = 1, .first = 10s, .longest = 30s});
    breaker.failed(start);
    EXPECT_EQ(breaker.next_try(), start + 10s);
    EXPECT_EQ(breaker.limit(start + 9999ms, 2), 0u);
    EXPECT_EQ(breaker.state(start + 10s), State::half_open);
    EXPECT_EQ(breaker.limit(start + 10s, 2), 1u);
    EXPECT_FALSE(breaker.failed(start + 10s)) << "it has been open all the time";
    EXPECT_EQ(breaker.next_try(), start + 30s);
    breaker.failed(start + 30s);
    EXPECT_EQ(breaker.next_try(), start + 60s) << "no longer than the longest";
    EXPECT_EQ(breaker.open_since(), start);
    breaker.succeeded();
    EXPECT_EQ(breaker.limit(start + 60s, 2), 2u);
    EXPECT_FALSE(breaker.open_since());
    breaker.failed(start + 70s);
    EXPECT_EQ(breaker.next_try(), start + 80s) << "and it begins anew";
}

TEST(Breaker, WhatFailsLateSaysNothingNew) {
    Breaker breaker({.failures = 1, .first = 10s, .longest = 60s});
    breaker.failed(start);
    breaker.failed(start + 5s);
    EXPECT_EQ(breaker.next_try(), start + 10s);
}

TEST(Budget, GivesABurstAndThenOneAtATime) {
    Budget budget(3, 2s);
    EXPECT_EQ(budget.room(start, 10), 3u);
    EXPECT_EQ(budget.room(start, 2), 2u);
    for (int i = 0; i < 3; ++i) budget.take(start);
    EXPECT_EQ(budget.room(start, 10), 0u);
    EXPECT_EQ(budget.next(start), start + 2s);
    EXPECT_EQ(budget.room(start + 1999ms, 10), 0u);
    EXPECT_EQ(budget.room(start + 2s, 10), 1u);
    EXPECT_EQ(budget.room(start + 100s, 10), 3u);
}

TEST(Budget, WhatIsOverdrawnIsMadeUpFor) {
    Budget budget(1, 2s);
    budget.take(start);
    budget.take(start);
    EXPECT_EQ(budget.next(start), start + 4s);
}

TEST(Budget, ASlowerPaceBeginsWithAnEmptyBucketAtMost) {
    Budget budget(60, 5s);
    for (int i = 0; i < 60; ++i) budget.take(start);
    budget.pace(60, 5s, start);
    EXPECT_EQ(budget.next(start), start + 5s);
    budget.pace(1, 5s, start);
    EXPECT_EQ(budget.room(start, 2), 0u);
    EXPECT_EQ(budget.next(start), start + 5s) << "not after the 300 s in which 60 would come together again";
    EXPECT_EQ(budget.room(start + 5s, 2), 1u);
    budget.take(start + 5s);
    budget.take(start + 5s);
    budget.pace(1, 5s, start + 5s);
    EXPECT_EQ(budget.next(start + 5s), start + 15s) << "the same pace forgives nothing";
}

TEST(Budget, NoBurstIsNoBound) {
    Budget budget(0, 2s);
    for (int i = 0; i < 100; ++i) budget.take(start);
    EXPECT_EQ(budget.room(start, 7), 7u);
    EXPECT_EQ(budget.next(start), start);
}

TEST(BackOff, IsAnythingUpToADoublingLimit) {
    auto const limit = [](int attempt) { return back_off(attempt, 1s, 5min, 0.5); };
    EXPECT_EQ(limit(0), 500ms);
    EXPECT_EQ(limit(1), 500ms);
    EXPECT_EQ(limit(2), 1s);
    EXPECT_EQ(limit(3), 2s);
    EXPECT_EQ(limit(9), 128s);
    EXPECT_EQ(limit(10), 150s);
    EXPECT_EQ(limit(1'000'000), 150s);
    EXPECT_EQ(back_off(5, 1s, 5min, 0.0), 0s);
}

}  // namespace
}  // namespace ocgate::notify
