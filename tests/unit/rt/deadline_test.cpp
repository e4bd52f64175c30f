#include "ocgate/rt/deadline.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>
#include <stdexcept>

#include "support/bench.hpp"

namespace ocgate::rt {
namespace {
using namespace std::chrono_literals;
using testing::ElementsAre;

struct Watched {
    explicit Watched(Deadlines& deadlines, std::function<void()> f = {})
        : call(std::move(f)),
          deadline(
              deadlines,
              [](void* self) {
                  auto& watched = *static_cast<Watched*>(self);
                  ++watched.expired;
                  if (watched.call) watched.call();
              },
              this) {}
    int expired = 0;
    std::function<void()> call;
    Deadline deadline;
};

class DeadlinesTest : public testing::Test {
protected:
    Instant in(Duration time) { return bench.clock.now() + time; }
    test::Bench bench;
};

TEST_F(DeadlinesTest, ExpireOnceInTheOrderOfTheirTimes) {
    std::vector<int> order;
    Watched c(bench.deadlines, [&] { order.push_back(3); });
    Watched a(bench.deadlines, [&] { order.push_back(1); });
    Watched b(bench.deadlines, [&] { order.push_back(2); });
    c.deadline.set(in(3s));
    a.deadline.set(in(1s));
    b.deadline.set(in(2s));
    EXPECT_EQ(bench.deadlines.active(), 3u);
    bench.clock.move_to(in(10s));  // all at once
    bench.settle();
    EXPECT_THAT(order, ElementsAre(1, 2, 3));
    EXPECT_EQ(bench.deadlines.active(), 0u);
    EXPECT_EQ(a.deadline.when(), never);
    bench.advance(1h);
    EXPECT_EQ(a.expired + b.expired + c.expired, 3);
    EXPECT_EQ(bench.clock.alarms_set(), 0u);
}

TEST_F(DeadlinesTest, ExpireNeitherTooSoonNorInsideSet) {
    Watched a(bench.deadlines);
    a.deadline.set(in(1s));
    bench.advance(1s - 1ns);
    EXPECT_EQ(a.expired, 0);
    bench.advance(1ns);
    EXPECT_EQ(a.expired, 1);
    a.deadline.set(bench.clock.now() - 1s);
    EXPECT_EQ(a.expired, 1) << "called from inside set()";
    bench.advance(0s);
    EXPECT_EQ(a.expired, 2);
}

TEST_F(DeadlinesTest, AreMovedAwayAndBack) {
    Watched a(bench.deadlines);
    a.deadline.set(in(1s));
    for (int i = 0; i < 10; ++i) {
        bench.advance(900ms);
        a.deadline.set(in(1s));
    }
    EXPECT_EQ(a.expired, 0);
    a.deadline.set(in(10s));
    a.deadline.set(in(100ms));
    bench.advance(100ms);
    EXPECT_EQ(a.expired, 1);
    bench.advance(20s);
    EXPECT_EQ(a.expired, 1);
}

TEST_F(DeadlinesTest, AreTakenBackByNever) {
    Watched a(bench.deadlines);
    a.deadline.set(in(1s));
    a.deadline.set(never);
    EXPECT_EQ(bench.deadlines.active(), 0u);
    bench.advance(5s);
    EXPECT_EQ(a.expired, 0);
    a.deadline.set(in(1s));
    a.deadline.set(never);
    a.deadline.set(in(2s));  // still in the heap with the old time
    bench.advance(2s - 1ns);
    EXPECT_EQ(a.expired, 0);
    bench.advance(1ns);
    EXPECT_EQ(a.expired, 1);
}

TEST_F(DeadlinesTest, MayDestroySetAndMakeOthersFromInside) {
    auto victim = std::make_unique<Watched>(bench.deadlines);
    std::unique_ptr<Watched> made;
    std::unique_ptr<Watched> itself;
    Watched again(bench.deadlines);
    again.call = [&] {
        if (again.expired < 3) again.deadline.set(in(1s));
    };
    itself = std::make_unique<Watched>(bench.deadlines, [&] {
        victim.reset();
        made = std::make_unique<Watched>(bench.deadlines);
        made->deadline.set(bench.clock.now());
        itself.reset();
    });
    itself->deadline.set(in(1s));
    victim->deadline.set(in(1s));
    again.deadline.set(in(1s));
    bench.advance(10s);
    EXPECT_EQ(victim, nullptr);
    EXPECT_EQ(itself, nullptr);
    ASSERT_NE(made, nullptr);
    EXPECT_EQ(made->expired, 1);
    EXPECT_EQ(again.expired, 3);
    EXPECT_EQ(bench.deadlines.active(), 0u);
}

TEST_F(DeadlinesTest, DestroyedOnesAreNotCalled) {
    auto a = std::make_unique<Watched>(bench.deadlines, [] { FAIL(); });
    a->deadline.set(in(1s));
    a.reset();
    EXPECT_EQ(bench.deadlines.active(), 0u);
    bench.advance(2s);
}

TEST_F(DeadlinesTest, ACallbackThatThrowsDoesNotSilenceTheOthers) {
    Watched bad(bench.deadlines, [] { throw std::runtime_error("expected"); });
    Watched same(bench.deadlines);
    Watched later(bench.deadlines);
    bad.deadline.set(in(1s));
    same.deadline.set(in(1s + 1ns));
    later.deadline.set(in(5s));
    bench.clock.move_to(in(2s));
    EXPECT_THROW(bench.settle(), std::runtime_error);
    bench.advance(0s);
    EXPECT_EQ(same.expired, 1);
    bench.advance(10s);
    EXPECT_EQ(bad.expired, 1);
    EXPECT_EQ(later.expired, 1);
}

TEST_F(DeadlinesTest, ManyDoWhatAPlainListWouldDo) {
    std::mt19937 random(7);
    std::vector<std::unique_ptr<Watched>> all(400);
    std::vector<Instant> wanted(all.size(), never);
    std::vector<int> expected(all.size(), 0);
    for (auto& one : all) one = std::make_unique<Watched>(bench.deadlines);
    for (int step = 0; step < 4000; ++step) {
        auto const i = random() % all.size();
        switch (random() % 6) {
            case 0:
                wanted[i] = never;
                break;
            case 1:
                all[i] = std::make_unique<Watched>(bench.deadlines);
                wanted[i] = never;
                expected[i] = 0;
                break;
            default:
                wanted[i] = in(std::chrono::milliseconds(1 + random() % 500));
        }
        all[i]->deadline.set(wanted[i]);
        if (random() % 4 == 0) {
            bench.clock.move_to(in(std::chrono::milliseconds(random() % 40)));
            bench.settle();
            bench.advance(0s);
            for (std::size_t k = 0; k < all.size(); ++k) {
                if (wanted[k] > bench.clock.now()) continue;
                wanted[k] = never;
                ++expected[k];
            }
        }
        ASSERT_EQ(all[i]->deadline.when(), wanted[i]);
    }
    std::size_t const active =
        static_cast<std::size_t>(std::count_if(wanted.begin(), wanted.end(), [](Instant w) { return w != never; }));
    EXPECT_EQ(bench.deadlines.active(), active);
    for (std::size_t k = 0; k < all.size(); ++k) EXPECT_EQ(all[k]->expired, expected[k]) << k;
}

TEST(SystemClock, RingsOnTheExecutorAndNotAfterItWasClearedOrDestroyed) {
    test::Bench bench;
    SystemClock clock;
    bool rang = false;
    auto const alarm = clock.alarm(bench.io.get_executor(), [&] { rang = true; });
    auto cleared = clock.alarm(bench.io.get_executor(), [] { ADD_FAILURE() << "cleared, and rang"; });
    auto destroyed = clock.alarm(bench.io.get_executor(), [] { ADD_FAILURE() << "destroyed, and rang"; });
    auto const past = clock.now() - 1s;
    cleared->set(past);
    destroyed->set(past);
    alarm->set(clock.now() + 1h);
    alarm->set(past);  // replaces
    cleared->clear();
    destroyed.reset();
    EXPECT_FALSE(rang);
    EXPECT_TRUE(bench.wait_until([&] { return rang; }));
    bench.settle();
}

}  // namespace
}  // namespace ocgate::rt
