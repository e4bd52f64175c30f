#include "ocgate/rt/worker.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>

#include "support/bench.hpp"

namespace ocgate::rt {
namespace {

using Answer = std::optional<int>;

/// A job that is under way until it is let go.
struct Gate {
    std::promise<void> began, go;
    std::shared_future<void> opened = go.get_future().share();
    auto job() {
        return [this] {
            began.set_value();
            opened.wait();
            return 1;
        };
    }
    void wait_until_begun() { began.get_future().wait(); }
};

template <class Job>
Task<Answer> ask(Worker& worker, Job job, std::thread::id* resumed_on = nullptr) {
    auto const answer = co_await worker.run(std::move(job));
    if (resumed_on) *resumed_on = std::this_thread::get_id();
    co_return answer;
}

TEST(Worker, WorksOnItsThreadAndAnswersOnTheCallers) {
    test::Bench bench;
    Worker worker(4);
    std::thread::id worked_on, resumed_on;
    auto job = [&] {
        worked_on = std::this_thread::get_id();
        return 42;
    };
    auto const answer = bench.start(ask(worker, job, &resumed_on));
    EXPECT_TRUE(bench.wait_until([&] { return answer->has_value(); }));
    EXPECT_EQ(**answer, Answer(42));
    EXPECT_NE(worked_on, std::this_thread::get_id());
    EXPECT_EQ(resumed_on, std::this_thread::get_id());
}

TEST(Worker, DoesJobsInTheirOrder) {
    test::Bench bench;
    Worker worker(100);
    std::vector<int> order;
    std::vector<test::Result<Answer>> answers;
    for (int i = 0; i < 50; ++i) {
        auto job = [&order, i] {
            order.push_back(i);
            return i;
        };
        answers.push_back(bench.start(ask(worker, job)));
    }
    for (int i = 0; i < 50; ++i) {
        EXPECT_TRUE(bench.wait_until([&] { return answers[static_cast<std::size_t>(i)]->has_value(); }));
        EXPECT_EQ(**answers[static_cast<std::size_t>(i)], Answer(i));
    }
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
    EXPECT_EQ(order.size(), 50u);
}

TEST(Worker, AFullQueueIsAnsweredAtOnce) {
    test::Bench bench;
    Worker worker(2);
    Gate gate;
    auto const under_way = bench.start(ask(worker, gate.job()));
    gate.wait_until_begun();
    auto quick = [] { return 2; };
    auto const first = bench.start(ask(worker, quick));
    auto const second = bench.start(ask(worker, quick));
    EXPECT_EQ(worker.queued(), 2u) << "the one under way does not count";
    auto const third = bench.start(ask(worker, quick));
    ASSERT_TRUE(third->has_value()) << "it must not wait";
    EXPECT_EQ(**third, std::nullopt);
    gate.go.set_value();
    EXPECT_TRUE(bench.wait_until([&] { return second->has_value(); }));
    EXPECT_EQ(**under_way, Answer(1));
    EXPECT_EQ(**first, Answer(2));
    EXPECT_EQ(**second, Answer(2));
}

TEST(Worker, ClosingDropsTheQueueAtOnceAndWaitsForNothing) {
    test::Bench bench;
    Worker worker(4);
    Gate gate;
    auto const under_way = bench.start(ask(worker, gate.job()));
    gate.wait_until_begun();
    auto never_done = [] { return 3; };
    auto const dropped = bench.start(ask(worker, never_done));
    worker.close();
    EXPECT_TRUE(bench.wait_until([&] { return dropped->has_value(); }));
    EXPECT_EQ(**dropped, std::nullopt);
    EXPECT_FALSE(under_way->has_value());
    gate.go.set_value();
    EXPECT_TRUE(bench.wait_until([&] { return under_way->has_value(); }));
    EXPECT_EQ(**under_way, Answer(1));
}

TEST(Worker, StoppingFinishesTheJobUnderWayAndDropsTheRest) {
    test::Bench bench;
    Worker worker(1'000'000);
    Gate gate;
    std::atomic<bool> done{false};
    auto const under_way = bench.start(ask(worker, gate.job()));
    gate.wait_until_begun();
    auto never_done = [&] {
        done = true;
        return 3;
    };
    auto const dropped = bench.start(ask(worker, never_done));
    std::thread stopping([&] { worker.stop(); });
    // Until the worker refuses, it has not heard of the stop; only then may the job under way end.
    auto probe = [] { return 0; };
    for (bool heard = false; !heard;) {
        auto const asked = bench.start(ask(worker, probe));
        heard = asked->has_value() && !**asked;
        std::this_thread::yield();
    }
    gate.go.set_value();
    stopping.join();
    EXPECT_TRUE(bench.wait_until([&] { return dropped->has_value() && under_way->has_value(); }));
    EXPECT_EQ(**under_way, Answer(1));
    EXPECT_EQ(worker.queued(), 0u);
    auto const late = bench.start(ask(worker, probe));
    ASSERT_TRUE(late->has_value());
    EXPECT_EQ(**late, std::nullopt);
    worker.stop();
    EXPECT_EQ(**dropped, std::nullopt);
    EXPECT_FALSE(done);
    EXPECT_TRUE(bench.wait_until([&] { return bench.nothing_left(); })) << "no one waits for ever";
}

TEST(Worker, CarriesWhatCanOnlyBeMoved) {
    test::Bench bench;
    Worker worker(1);
    auto body = [](Worker& w) -> Task<int> {
        auto job = [held = std::make_unique<int>(9)] { return std::make_unique<int>(*held); };
        auto const made = co_await w.run(std::move(job));
        co_return made ? **made : -1;
    };
    auto const answer = bench.start(body(worker));
    EXPECT_TRUE(bench.wait_until([&] { return answer->has_value(); }));
    EXPECT_EQ(**answer, 9);
}

}  // namespace
}  // namespace ocgate::rt
