// A request goes to the main loop and its answer comes back, whoever ends first. Two event loops that are turned by
// hand stand for the two threads; at the end real ones.
#include "front_desk.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "support/bench.hpp"

namespace ocgate::app {
namespace {

using proxy::PageAnswer;
using proxy::PageRequest;
using test::Bench;
using test::Result;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

PageRequest request(std::string target = "/_ocgate/pending") {
    PageRequest made;
    made.target = std::move(target);
    made.request_id = "7f3a";
    return made;
}

/// What answers on the main loop: it thinks until it is let go, and says what it was asked.
struct Office {
    FrontDesk::Answering answering() {
        return [this](PageRequest asked) { return answer(std::move(asked)); };
    }
    rt::Task<PageAnswer> answer(PageRequest asked) {
        begun.push_back(asked.target);
        if (thinks) co_await go->wait();
        if (throws) throw std::runtime_error("torn");
        co_return PageAnswer{200, "text/plain", asked.target};
    }
    std::function<void(std::exception_ptr)> escaped() {
        return [this](std::exception_ptr const& error) {
            try {
                std::rethrow_exception(error);
            } catch (std::exception const& e) {
                bugs.emplace_back(e.what());
            }
        };
    }
    bool thinks = false, throws = false;
    std::optional<rt::Gate> go{std::in_place};
    std::vector<std::string> begun, bugs;
};

struct House {
    Result<PageAnswer> ask(std::string target = "/_ocgate/pending") {
        return shard->start(desk->answer(request(std::move(target)), breaker));
    }
    void turn() {
        for (int i = 0; i < 3; ++i) {
            main->settle();
            if (shard) shard->settle();
        }
    }
    Office office;  // before the loop: its tasks are destroyed with what they wait for
    std::unique_ptr<Bench> main = std::make_unique<Bench>();
    std::shared_ptr<FrontDesk> desk =
        std::make_shared<FrontDesk>(main->io.get_executor(), office.answering(), office.escaped());
    rt::DialBreaker breaker;
    std::unique_ptr<Bench> shard = std::make_unique<Bench>();
};

void expect_503(Result<PageAnswer> const& answer, std::string_view code) {
    ASSERT_TRUE(answer->has_value()) << "it waits";
    EXPECT_EQ((*answer)->status, 503u);
    EXPECT_EQ((*answer)->content_type, "application/json");
    EXPECT_THAT((*answer)->body, HasSubstr("{\"error\":{\"code\":\"" + std::string(code) + "\""));
    EXPECT_THAT((*answer)->body, HasSubstr(R"("request_id":"7f3a")"));
}

TEST(FrontDesk, GoesOverAndComesBack) {
    House h;
    auto const answer = h.ask("/_ocgate/sessions");
    h.shard->settle();
    EXPECT_THAT(h.office.begun, IsEmpty()) << "not on the shard's loop";
    h.main->settle();
    EXPECT_THAT(h.office.begun, ElementsAre("/_ocgate/sessions"));
    EXPECT_FALSE(answer->has_value()) << "not on the main loop";
    h.shard->settle();
    ASSERT_TRUE(answer->has_value());
    EXPECT_EQ((*answer)->status, 200u);
    EXPECT_EQ((*answer)->body, "/_ocgate/sessions");
    EXPECT_EQ(h.desk->under_way(), 0u);
    EXPECT_TRUE(h.shard->nothing_left());
    EXPECT_TRUE(h.main->nothing_left());
}

TEST(FrontDesk, HasSoManyPlacesAndNoQueue) {
    House h;
    h.office.thinks = true;
    std::vector<Result<PageAnswer>> waiting;
    for (std::size_t i = 0; i < FrontDesk::most_under_way; ++i) waiting.push_back(h.ask());
    expect_503(h.ask(), "too_many");
    h.turn();
    expect_503(h.ask(), "too_many");
    EXPECT_EQ(h.office.begun.size(), FrontDesk::most_under_way);
    h.office.go->open();
    h.turn();
    for (auto const& answer : waiting) EXPECT_EQ((*answer)->status, 200u);
    auto const after = h.ask();
    h.turn();
    EXPECT_EQ((*after)->status, 200u);
}

TEST(FrontDesk, KeepsThePlaceOfWhoHasLeftWhileTheMainLoopWorks) {
    House h;
    h.office.thinks = true;
    std::deque<rt::DialBreaker> breakers(FrontDesk::most_under_way);
    std::vector<Result<PageAnswer>> answers;
    for (auto& breaker : breakers) answers.push_back(h.shard->start(h.desk->answer(request(), breaker)));
    h.turn();
    for (auto& breaker : breakers) breaker.trip();
    for (auto const& answer : answers) EXPECT_TRUE(answer->has_value()) << "nobody is kept waiting";
    expect_503(h.ask(), "too_many");
    h.office.go->open();
    h.turn();
    EXPECT_EQ(h.desk->under_way(), 0u);
}

TEST(FrontDesk, BeginsNothingForWhoHasLeft) {
    House h;
    auto const answer = h.ask();
    h.breaker.trip();
    EXPECT_TRUE(answer->has_value());
    auto const late = h.ask();
    EXPECT_TRUE(late->has_value()) << "the breaker had tripped before";
    h.turn();
    EXPECT_THAT(h.office.begun, IsEmpty());
    EXPECT_EQ(h.desk->under_way(), 0u);
}

TEST(FrontDesk, AnswersOnceWhereTheAnswerAndTheLeavingCross) {
    House h;
    auto const answer = h.ask();
    h.main->settle();
    EXPECT_FALSE(answer->has_value());
    h.breaker.trip();
    ASSERT_TRUE(answer->has_value());
    h.turn();
    EXPECT_TRUE(h.shard->nothing_left());
}

TEST(FrontDesk, NeverTouchesAShardThatHasGone) {
    House h;
    h.office.thinks = true;
    auto const answer = h.ask();
    h.main->settle();
    h.breaker.trip();  // as `insist` does
    h.shard.reset();
    h.office.go->open();
    h.turn();
    EXPECT_EQ(h.office.begun.size(), 1u);
    EXPECT_TRUE(answer->has_value());
    EXPECT_EQ(h.desk->under_way(), 0u);
}

TEST(FrontDesk, ClosesForThoseWhoWaitAndThoseWhoCome) {
    House h;
    h.office.thinks = true;
    auto const begun = h.ask("/begun");
    h.turn();
    auto const queued = h.ask("/queued");
    h.desk->close();
    h.shard->settle();
    expect_503(begun, "draining");
    expect_503(queued, "draining");
    expect_503(h.ask("/late"), "draining");
    h.office.go->open();
    h.turn();
    EXPECT_THAT(h.office.begun, ElementsAre("/begun")) << "the main loop's own things may be gone by now";
    EXPECT_EQ(h.desk->under_way(), 0u);
    h.desk->close();
    EXPECT_TRUE(h.shard->nothing_left());
}

TEST(FrontDesk, AnswersThoseWhoWaitWhenTheMainLoopIsDestroyed) {
    for (bool closed : {false, true}) {
        House h;
        h.office.thinks = true;
        auto const begun = h.ask("/begun");
        h.main->settle();
        rt::DialBreaker other;
        auto const queued = h.shard->start(h.desk->answer(request("/queued"), other));
        if (closed) h.desk->close();
        h.office.go.reset();  // with the main loop's things goes who waits for them
        h.main.reset();
        h.shard->settle();
        expect_503(begun, "draining");
        expect_503(queued, "draining");
        EXPECT_EQ(h.desk->under_way(), 0u);
        EXPECT_TRUE(h.shard->nothing_left());
    }
}

TEST(FrontDesk, MayGoWhileTheMainLoopWorks) {
    House h;
    h.office.thinks = true;
    auto const held = std::make_shared<int>(7);
    FrontDesk::Answering answering = [held, &office = h.office](PageRequest asked) {
        return office.answer(std::move(asked));
    };
    h.desk = std::make_shared<FrontDesk>(h.main->io.get_executor(), std::move(answering), nullptr);
    answering = nullptr;
    auto const answer = h.ask();
    h.main->settle();
    h.breaker.trip();
    h.desk.reset();
    EXPECT_GT(held.use_count(), 1) << "what answers is kept while it works";
    h.office.go->open();
    h.turn();
    EXPECT_EQ(h.office.begun.size(), 1u);
    EXPECT_EQ(held.use_count(), 1);
}

TEST(FrontDesk, BringsExceptionsBackOrTellsThem) {
    House h;
    h.office.throws = true;
    std::exception_ptr thrown;
    auto ask = [](FrontDesk& desk, rt::DialBreaker& breaker, std::exception_ptr& into) -> rt::Task<> {
        try {
            auto const said = co_await desk.answer(request(), breaker);
        } catch (...) {
            into = std::current_exception();
        }
    };
    h.shard->start(ask(*h.desk, h.breaker, thrown));
    h.turn();
    ASSERT_TRUE(thrown);
    EXPECT_THROW(std::rethrow_exception(thrown), std::runtime_error);
    EXPECT_THAT(h.office.bugs, IsEmpty()) << "the proxy tells it";
    EXPECT_EQ(h.desk->under_way(), 0u);

    h.office.thinks = true;
    auto const answer = h.ask();
    h.turn();
    h.breaker.trip();
    h.office.go->open();
    h.turn();
    EXPECT_THAT(h.office.bugs, ElementsAre("torn"));
}

TEST(FrontDesk, ServesManyShardsAtOnce) {
    constexpr int shards = 3, rounds = 300;
    boost::asio::io_context main{1};
    auto work = boost::asio::make_work_guard(main);
    std::atomic<int> begun{0};
    std::thread::id const here = std::this_thread::get_id();
    std::atomic<bool> elsewhere{true};
    auto answering = [&](PageRequest asked) -> rt::Task<PageAnswer> {
        ++begun;
        if (std::this_thread::get_id() == here) elsewhere = false;
        auto const target = std::move(asked.target);
        co_await rt::pause();
        co_return PageAnswer{200, "text/plain", target};
    };
    auto const desk = std::make_shared<FrontDesk>(main.get_executor(), answering, nullptr);
    std::thread loop([&] { main.run(); });

    std::atomic<int> answered{0}, wrong{0};
    auto const serve = [&](int shard) {
        Bench bench;
        for (int i = 0; i < rounds; ++i) {
            auto const target = "/" + std::to_string(shard) + "/" + std::to_string(i);
            rt::DialBreaker stays, leaves;
            auto const one = bench.start(desk->answer(request(target), stays));
            auto const other = bench.start(desk->answer(request(target), leaves));
            leaves.trip();
            if (!bench.wait_until([&] { return one->has_value() && other->has_value(); })) ++wrong;
            if (!one->has_value() || (*one)->status != 200 || (*one)->body != target) ++wrong;
            ++answered;
        }
        if (!bench.nothing_left()) ++wrong;
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < shards; ++i) threads.emplace_back(serve, i);
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(answered, shards * rounds);
    EXPECT_EQ(wrong, 0);
    EXPECT_GE(begun, shards * rounds);
    EXPECT_TRUE(elsewhere);
    work.reset();
    loop.join();
    EXPECT_EQ(desk->under_way(), 0u);
}

TEST(FrontDesk, ClosesWhileShardsAsk) {
    for (int round = 0; round < 30; ++round) {
        auto main = std::make_unique<boost::asio::io_context>(1);
        auto answering = [](PageRequest) -> rt::Task<PageAnswer> {
            co_await rt::pause();
            co_return PageAnswer{};
        };
        auto const desk = std::make_shared<FrontDesk>(main->get_executor(), answering, nullptr);
        std::atomic<int> unanswered{0}, asking{0};
        auto const serve = [&] {
            Bench bench;
            for (;;) {
                rt::DialBreaker breaker;
                auto const answer = bench.start(desk->answer(request(), breaker));
                ++asking;
                if (!bench.wait_until([&] { return answer->has_value(); })) {
                    ++unanswered;
                    return;
                }
                if ((*answer)->status == 503 && (*answer)->body.find("draining") != std::string::npos) return;
            }
        };
        std::thread one(serve), two(serve);
        while (asking < 20) {
            main->restart();
            main->poll();
        }
        desk->close();
        one.join();
        two.join();
        main.reset();
        EXPECT_EQ(unanswered, 0);
        EXPECT_EQ(desk->under_way(), 0u);
    }
}

}  // namespace
}  // namespace ocgate::app
