#include "ocgate/auth/throttle.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace ocgate::auth {
namespace {

using namespace std::chrono_literals;

constexpr rt::Instant start{24h};
constexpr Key key{1, 2, 3};

struct ThrottleTest : testing::Test {
    ThrottleSettings settings{.failures = 3, .failures_per_address = 5, .window = 300s, .entries = 8};

    /// With a password that nobody has tried.
    static std::chrono::seconds fail(Throttle& throttle, std::string_view address, std::string_view user,
                                     rt::Instant now) {
        static std::atomic<unsigned> tried{0};
        return throttle.attempt(address, user, "guess " + std::to_string(tried++), now).wait;
    }
};

TEST_F(ThrottleTest, TheSamePasswordAgainIsNoFurtherGuess) {
    Throttle throttle(settings, key);
    auto const attempt = [&](std::string_view address, std::string_view password, rt::Instant now) {
        return throttle.attempt(address, "ann", password, now);
    };
    EXPECT_TRUE(attempt("192.0.2.1", "old", start).counted);
    for (int i = 0; i < 30; ++i) {
        auto const again = attempt("192.0.2.1", "old", start + 1s);
        EXPECT_EQ(again.wait, 0s);
        EXPECT_TRUE(again.repeated);
        EXPECT_FALSE(again.counted);
    }
    EXPECT_TRUE(attempt("192.0.2.1", "new", start + 2s).counted);
    EXPECT_FALSE(attempt("192.0.2.2", "old", start + 2s).repeated) << "elsewhere it is new";
    EXPECT_TRUE(attempt("192.0.2.1", "third", start + 3s).counted);
    // Beyond the limit none is judged, be it an old one.
    EXPECT_EQ(attempt("192.0.2.1", "old", start + 4s).wait, 296s);
    // It counts from when it was tried first, and is counted once more after that.
    auto const later = attempt("192.0.2.1", "old", start + 300s);
    EXPECT_EQ(later.wait, 0s);
    EXPECT_TRUE(later.counted);
    // What was right after all, or was not judged, is a new one again.
    throttle.withdrawn("192.0.2.1", "ann", later);
    EXPECT_TRUE(attempt("192.0.2.1", "old", start + 300s).counted);
}

/// By whichever shard; a reload's accounts judge anew, and count nothing anew.
TEST_F(ThrottleTest, WhatWasJudgedWrongIsKnownWhileTheAccountsHold) {
    Throttle throttle(settings, key);
    auto const attempt = [&](std::uint64_t accounts) {
        return throttle.attempt("2001:db8::1", "ann", "old", start, accounts);
    };
    auto const first = attempt(1);
    EXPECT_TRUE(first.counted && !first.wrong);
    EXPECT_FALSE(attempt(1).wrong) << "another shard, while it is being judged";
    throttle.wrong("2001:db8::1", "ann", "old", first, 1);
    for (auto const* from : {"2001:db8::1", "2001:db8::2"}) {
        auto const again = throttle.attempt(from, "ann", "old", start, 1);
        EXPECT_TRUE(again.wrong && again.repeated && !again.counted) << from;
    }
    auto const later = attempt(2);
    EXPECT_TRUE(!later.wrong && later.repeated && !later.counted);
    throttle.wrong("2001:db8::1", "ann", "old", later, 2);
    EXPECT_TRUE(attempt(2).wrong);
    EXPECT_FALSE(attempt(1).wrong);
}

/// Of two shards with the same password one could not judge it: the other's word counts.
TEST_F(ThrottleTest, WhatIsJudgedWrongCountsWhoeverBeganIt) {
    Throttle throttle(settings, key);
    auto const first = throttle.attempt("192.0.2.1", "ann", "old", start);
    auto const second = throttle.attempt("192.0.2.1", "ann", "old", start);
    throttle.withdrawn("192.0.2.1", "ann", first);
    EXPECT_EQ(throttle.sizes().pairs, 0U);
    throttle.wrong("192.0.2.1", "ann", "old", second, 1);
    EXPECT_EQ(throttle.sizes().pairs, 1U);
    EXPECT_TRUE(throttle.attempt("192.0.2.1", "ann", "old", start).wrong);
    throttle.wrong("127.0.0.1", "ann", "old", {}, 1);
    EXPECT_EQ(throttle.sizes().pairs, 1U) << "loopback is never counted";
}

TEST_F(ThrottleTest, WhatWasRightAndIsWrongNowIsLetThroughNoMore) {
    Throttle throttle(settings, key);
    throttle.passed("192.0.2.1", "ann", "old", throttle.attempt("192.0.2.1", "ann", "old", start));
    for (int i = 0; i < 3; ++i) EXPECT_EQ(fail(throttle, "192.0.2.1", "ann", start), 0s);
    auto const attempt = throttle.attempt("192.0.2.1", "ann", "old", start, 2);
    EXPECT_EQ(attempt.wait, 0s);
    throttle.wrong("192.0.2.1", "ann", "old", attempt, 2);
    EXPECT_EQ(throttle.blocked("192.0.2.1", "ann", "old", start), 300s);
    EXPECT_EQ(throttle.sizes().passes, 0U);
}

TEST_F(ThrottleTest, SlidesItsWindow) {
    Throttle throttle(settings, key);
    EXPECT_EQ(fail(throttle, "192.0.2.1", "ann", start), 0s);
    EXPECT_EQ(fail(throttle, "192.0.2.1", "ann", start + 100s), 0s);
    EXPECT_EQ(throttle.blocked("192.0.2.1", "ann", "guess", start + 150s), 0s);
    EXPECT_EQ(fail(throttle, "192.0.2.1", "ann", start + 200s), 0s);
    EXPECT_EQ(throttle.blocked("192.0.2.1", "ann", "guess", start + 200s), 100s);
    EXPECT_EQ(fail(throttle, "192.0.2.1", "ann", start + 200s), 100s);
    // What was answered without being judged does not prolong the wait.
    EXPECT_EQ(throttle.blocked("192.0.2.1", "ann", "guess", start + 299s), 1s);
    EXPECT_EQ(throttle.blocked("192.0.2.1", "ann", "guess", start + 300s - 1ns), 1s) << "rounded up, never 0";
    EXPECT_EQ(fail(throttle, "192.0.2.1", "ann", start + 300s), 0s);
    // The next place is free when the second failure is 300 s old.
    EXPECT_EQ(throttle.blocked("192.0.2.1", "ann", "guess", start + 300s), 100s);
    EXPECT_EQ(fail(throttle, "192.0.2.1", "ann", start + 400s), 0s);
    EXPECT_EQ(throttle.blocked("192.0.2.1", "ann", "guess", start + 2000s), 0s);
}

TEST_F(ThrottleTest, CountsPerAddressAndUser) {
    Throttle throttle(settings, key);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(fail(throttle, "192.0.2.1", "ann", start), 0s);
    EXPECT_EQ(throttle.blocked("192.0.2.1", "ann", "right", start), 300s);
    EXPECT_EQ(throttle.blocked("192.0.2.1", "bob", "right", start), 0s);
    EXPECT_EQ(throttle.blocked("192.0.2.2", "ann", "right", start), 0s) << "a valid login elsewhere is not locked out";
    // A boundary between address and user that could be moved would let one guesser count as another.
    EXPECT_EQ(throttle.blocked("192.0.2.1a", "nn", "right", start), 0s);
}

TEST_F(ThrottleTest, TellsHowManyAreLockedNow) {
    Throttle throttle(settings, key);
    EXPECT_EQ(throttle.locked(start), 0u);
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(throttle.locked(start), 0u) << "two failures are not three";
        (void)fail(throttle, "192.0.2.1", "ann", start);
    }
    EXPECT_EQ(throttle.locked(start), 1u) << "the pair";
    for (auto const* user : {"bob", "eve"}) (void)fail(throttle, "192.0.2.1", user, start + 10s);
    EXPECT_EQ(throttle.locked(start + 10s), 2u) << "and the address, with its five";
    EXPECT_EQ(throttle.locked(start + 300s - 1ns), 2u);
    EXPECT_EQ(throttle.locked(start + 300s), 0u);
    settings.failures = 0;
    throttle.adopt(settings);
    EXPECT_EQ(throttle.locked(start + 10s), 0u) << "nobody is, without a throttle";
}

TEST_F(ThrottleTest, LooksAtABoundedNumberForThat) {
    settings = {.failures = 1, .failures_per_address = 0, .window = 300s, .entries = 2 * Throttle::most_looked_at};
    Throttle throttle(settings, key);
    for (std::size_t i = 0; i < settings.entries; ++i) (void)fail(throttle, "192.0.2.1", std::to_string(i), start);
    EXPECT_EQ(throttle.locked(start), Throttle::most_looked_at);
}

TEST_F(ThrottleTest, CountsPerAddressOverAllUsers) {
    Throttle throttle(settings, key);
    for (auto const* user : {"a", "b", "c", "d", "e"}) EXPECT_EQ(fail(throttle, "192.0.2.1", user, start), 0s);
    EXPECT_EQ(throttle.blocked("192.0.2.1", "f", "guess", start + 10s), 290s);
    EXPECT_EQ(throttle.blocked("192.0.2.2", "f", "guess", start), 0s);

    settings.failures_per_address = 0;
    Throttle lax(settings, key);
    for (auto const* user : {"a", "b", "c", "d", "e", "f"}) EXPECT_EQ(fail(lax, "192.0.2.1", user, start), 0s);
    EXPECT_EQ(lax.sizes().addresses, 0U);

    settings.failures = 0;
    Throttle off(settings, key);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(fail(off, "192.0.2.1", "ann", start), 0s);
    EXPECT_EQ(off.sizes().pairs, 0U);
}

TEST_F(ThrottleTest, OneSubscriberIsOneGuesserHoweverWritten) {
    struct Row {
        char const *one, *other;
        bool same;
    };
    Row const rows[] = {
        {"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
        {"2001:db8:1:2::1", "2001:0DB8:1:2:0:0:0:1", true},
        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
        {"fe80::1%eth0", "fe80::2%eth1", true},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"192.0.2.1", "::ffff:c000:201", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},  // not one /64
        {"no address", "no address", true},
        {"no address", "no addres", false},
    };
    for (auto const& row : rows) {
        Throttle throttle(settings, key);
        for (int i = 0; i < 3; ++i) EXPECT_EQ(fail(throttle, row.one, "ann", start), 0s);
        EXPECT_EQ(throttle.blocked(row.other, "ann", "guess", start) > 0s, row.same) << row.one << ' ' << row.other;
    }
}

TEST_F(ThrottleTest, LeavesLoopbackAlone) {
    Throttle throttle(settings, key);
    for (auto const* address : {"127.0.0.1", "127.8.9.10", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "unix"}) {
        for (int i = 0; i < 20; ++i) EXPECT_EQ(fail(throttle, address, "ann", start), 0s) << address;
        EXPECT_EQ(throttle.blocked(address, "ann", "guess", start), 0s) << address;
        throttle.passed(address, "ann", "right", {});
    }
    EXPECT_EQ(throttle.sizes().pairs + throttle.sizes().addresses + throttle.sizes().passes, 0U);
    for (auto const* address : {"128.0.0.1", "::2", "unix2", "UNIX", "", "127.0.0.1 ", "127.1", "0.0.0.0", "::"}) {
        Throttle fresh(settings, key);
        for (int i = 0; i < 3; ++i) EXPECT_EQ(fail(fresh, address, "ann", start), 0s) << address;
        EXPECT_GT(fail(fresh, address, "ann", start), 0s) << address;
    }
}

TEST_F(ThrottleTest, TakesBackWhatWasRightOrNeverJudged) {
    Throttle throttle(settings, key);
    for (int i = 0; i < 10; ++i) {
        auto const attempt = throttle.attempt("192.0.2.1", "ann", "right", start);
        ASSERT_EQ(attempt.wait, 0s);
        EXPECT_TRUE(attempt.counted);
        throttle.passed("192.0.2.1", "ann", "right", attempt);
    }
    for (int i = 0; i < 10; ++i) {
        auto const attempt = throttle.attempt("192.0.2.1", "ann", "other", start);
        ASSERT_EQ(attempt.wait, 0s);
        throttle.withdrawn("192.0.2.1", "ann", attempt);
    }
    EXPECT_EQ(throttle.sizes().pairs, 0U) << "an entry without failures would push out one with";
    EXPECT_EQ(throttle.sizes().addresses, 0U);
    EXPECT_EQ(throttle.sizes().passes, 1U);

    // Two at once: each takes back its own and leaves the other's.
    auto const one = throttle.attempt("192.0.2.1", "ann", "x", start);
    auto const two = throttle.attempt("192.0.2.1", "ann", "y", start + 1s);
    throttle.withdrawn("192.0.2.1", "ann", one);
    throttle.withdrawn("192.0.2.1", "ann", one);  // once more does no harm
    EXPECT_EQ(throttle.sizes().pairs, 1U);
    EXPECT_EQ(fail(throttle, "192.0.2.1", "ann", start + 2s), 0s);
    EXPECT_EQ(fail(throttle, "192.0.2.1", "ann", start + 2s), 0s);
    EXPECT_EQ(throttle.blocked("192.0.2.1", "ann", "z", start + 2s), 299s);
    throttle.withdrawn("192.0.2.1", "ann", two);
    EXPECT_EQ(throttle.blocked("192.0.2.1", "ann", "z", start + 2s), 0s);
}

TEST_F(ThrottleTest, WhoWasRightBeforeIsJudgedWhateverOthersDo) {
    Throttle throttle(settings, key);
    throttle.passed("192.0.2.1", "ann", "right", throttle.attempt("192.0.2.1", "ann", "right", start));
    for (int i = 0; i < 3; ++i) EXPECT_EQ(fail(throttle, "192.0.2.1", "ann", start), 0s);
    EXPECT_EQ(throttle.blocked("192.0.2.1", "ann", "guess", start), 300s);
    EXPECT_EQ(throttle.blocked("192.0.2.1", "ann", "right", start), 0s);
    auto const attempt = throttle.attempt("192.0.2.1", "ann", "right", start);
    EXPECT_EQ(attempt.wait, 0s);
    EXPECT_FALSE(attempt.counted);
    throttle.passed("192.0.2.1", "ann", "right", attempt);
    EXPECT_EQ(throttle.blocked("192.0.2.1", "ann", "guess", start), 300s) << "a right login forgives no wrong ones";
    EXPECT_EQ(throttle.blocked("192.0.2.1", "bob", "right", start), 0s);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(fail(throttle, "192.0.2.9", "ann", start), 0s);
    EXPECT_EQ(throttle.blocked("192.0.2.9", "ann", "right", start), 300s) << "it was right from elsewhere only";
}

TEST_F(ThrottleTest, TablesForgetTheLeastRecentlyUsed) {
    settings.entries = 3;
    Throttle throttle(settings, key);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(fail(throttle, "192.0.2.1", "ann", start), 0s);
    for (int i = 0; i < 100; ++i) {
        auto const other = "198.51.100." + std::to_string(i);
        (void)fail(throttle, other, "ann", start);
        throttle.passed(other, "bob", "right", {});
        // Who keeps guessing keeps his own entry fresh: others cannot wash it out.
        EXPECT_GT(throttle.blocked("192.0.2.1", "ann", "guess", start), 0s) << i;
        EXPECT_LE(throttle.sizes().pairs, 3U);
        EXPECT_LE(throttle.sizes().addresses, 3U);
        EXPECT_LE(throttle.sizes().passes, 3U);
    }
    for (int i = 0; i < 3; ++i) (void)fail(throttle, "203.0.113." + std::to_string(i), "ann", start);
    EXPECT_EQ(throttle.blocked("192.0.2.1", "ann", "guess", start), 0s);
}

// A guesser whose attempts are never judged (the hashing queue is full) must not wash real failures out of the table.
TEST_F(ThrottleTest, WithdrawnAttemptsLeaveNothingBehind) {
    settings.entries = 3;
    Throttle throttle(settings, key);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(fail(throttle, "192.0.2.1", "ann", start), 0s);
    for (int i = 0; i < 50; ++i) {
        auto const user = "u" + std::to_string(i);
        throttle.withdrawn("192.0.2.1", user, throttle.attempt("192.0.2.1", user, "x", start));
    }
    EXPECT_EQ(throttle.sizes().pairs, 1U);
    EXPECT_EQ(throttle.blocked("192.0.2.1", "ann", "guess", start), 300s);
}

TEST_F(ThrottleTest, AdoptsNewLimits) {
    Throttle throttle(settings, key);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(fail(throttle, "192.0.2.1", "ann", start + i * 10s), 0s);
    auto wider = settings;
    wider.failures = 4;
    throttle.adopt(wider);
    EXPECT_EQ(fail(throttle, "192.0.2.1", "ann", start + 30s), 0s);
    EXPECT_GT(fail(throttle, "192.0.2.1", "ann", start + 30s), 0s);
    auto tighter = settings;
    tighter.failures = 1;
    throttle.adopt(tighter);
    EXPECT_EQ(throttle.blocked("192.0.2.1", "ann", "x", start + 30s), 300s) << "until the newest of the four is old";
    tighter.window = 10s;
    throttle.adopt(tighter);
    EXPECT_EQ(throttle.blocked("192.0.2.1", "ann", "x", start + 35s), 5s);
    tighter.entries = 0;
    throttle.adopt(tighter);
    (void)fail(throttle, "192.0.2.7", "ann", start + 35s);
    EXPECT_LE(throttle.sizes().pairs, 1U);
    tighter.failures = 0;
    throttle.adopt(tighter);
    EXPECT_EQ(throttle.blocked("192.0.2.7", "ann", "x", start + 35s), 0s);
}

TEST_F(ThrottleTest, ParallelGuessesCannotOutrunTheCount) {
    settings = {.failures = 10, .failures_per_address = 100, .window = 300s, .entries = 64};
    Throttle throttle(settings, key);
    std::vector<int> let_through(4);
    {
        std::vector<std::jthread> shards;
        for (auto& count : let_through)
            shards.emplace_back([&throttle, &count] {
                for (int i = 0; i < 50; ++i)
                    if (fail(throttle, "192.0.2.1", "ann", start) == 0s) ++count;
            });
    }
    EXPECT_EQ(let_through[0] + let_through[1] + let_through[2] + let_through[3], 10);
}

// A tunnel beside us speaks for the whole internet from 127.0.0.1.
TEST(Throttle, LoopbackThatRelaysIsCounted) {
    ThrottleSettings settings;
    settings.failures = 3;
    for (auto const* address : {"127.0.0.1", "::1", "::ffff:127.0.0.1", "unix"}) {
        Throttle throttle(settings, Key{});
        rt::Instant const now{std::chrono::hours(1)};
        Throttle::Source const relayed(address, true);
        auto const right = throttle.attempt(relayed, "ann", "right", now);
        EXPECT_TRUE(right.counted);
        throttle.passed(relayed, "ann", "right", right);
        for (int i = 0; i < 3; ++i) EXPECT_TRUE(throttle.attempt(relayed, "ann", std::to_string(i), now).counted);
        EXPECT_GT(throttle.blocked(relayed, "ann", "3", now).count(), 0) << address;
        EXPECT_GT(throttle.attempt(relayed, "ann", "3", now).wait.count(), 0) << address;
        EXPECT_EQ(throttle.attempt(relayed, "ann", "right", now).wait.count(), 0) << "seen to be right from there";
        EXPECT_EQ(throttle.blocked(address, "ann", "3", now).count(), 0) << "a local program";
        EXPECT_FALSE(throttle.attempt(address, "ann", "3", now).counted);
    }
}

}  // namespace
}  // namespace ocgate::auth
