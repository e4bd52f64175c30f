// Pages of the gateway's own over the control socket: the actions are scripted, the socket is a real one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>

#include "control_kit.hpp"
#include "support/fake_clock.hpp"

namespace ocgate::app {
namespace {

using namespace std::chrono_literals;
using proxy::PageAnswer;
using proxy::PageRequest;
using testing::EndsWith;
using testing::HasSubstr;

PageRequest get(std::string target) {
    PageRequest request;
    request.method = "GET";
    request.target = std::move(target);
    return request;
}

std::string code_of(std::string const& body) { return nlohmann::json::parse(body).at("error").at("code"); }

/// Answers as told, but `/held` when told to, and `/dropped` never.
class ControlPage : public testing::Test {
protected:
    void TearDown() override {
        // Late answers, when everybody has been sent away.
        socket_.end([this] { answer_held(); });
    }
    void page(PageRequest request, std::function<void(PageAnswer)> done) {
        auto const target = request.target;
        {
            std::lock_guard const lock(mutex_);
            requests_.push_back(std::move(request));
        }
        if (target == "/_ocgate/dropped") return;
        if (target != "/_ocgate/held") return done(answer());
        held_.push_back(std::move(done));
        ++holding_;
    }
    void answer_held() {
        for (auto const& done : std::exchange(held_, {})) done(PageAnswer{.body = "late"});
    }
    void wait_for_held(std::size_t count) const {
        while (holding_ < count) std::this_thread::yield();
    }
    std::optional<PageAnswer> ask(PageRequest const& request) {
        return ask_page(socket_.path(), request, 20s, problem_);
    }
    void answers(PageAnswer answer) {
        std::lock_guard const lock(mutex_);
        answer_ = std::move(answer);
    }
    PageAnswer answer() {
        std::lock_guard const lock(mutex_);
        return answer_;
    }
    std::size_t asked() {
        std::lock_guard const lock(mutex_);
        return requests_.size();
    }
    PageRequest last() {
        std::lock_guard const lock(mutex_);
        return requests_.back();
    }

    std::string problem_;
    PageAnswer answer_{.body = "{}"};
    std::mutex mutex_;
    std::vector<PageRequest> requests_;
    std::vector<std::function<void(PageAnswer)>> held_;  ///< the loop's
    std::atomic<std::size_t> holding_{0};
    ControlThread socket_{ControlActions{
        .drain = [](std::chrono::milliseconds, std::function<void(bool)> const& done) { done(true); },
        .reload = [](std::function<void(bool)> const& done) { done(true); },
        .page = [this](PageRequest request,
                       std::function<void(PageAnswer)> done) { page(std::move(request), std::move(done)); }}};
};

TEST_F(ControlPage, TheRequestArrivesWholeAndTheAnswerComesBack) {
    PageAnswer const given{.status = 404, .content_type = "text/plain; charset=utf-8", .body = "no\nsuch \"page\"\n"};
    answers(given);
    PageRequest const request{.method = "POST",
                              .target = "/_ocgate/x?y=\"z\"",
                              .accept = "application/json",
                              .content_type = "text/x",
                              .body = std::string("line\n\"ü\"\0end", 14),
                              .user = "root",
                              .client_address = "elsewhere",
                              .request_id = "x"};
    auto const answer = ask(request);
    ASSERT_TRUE(answer) << problem_;
    EXPECT_EQ(answer->status, 404U);
    EXPECT_EQ(answer->content_type, given.content_type);
    EXPECT_EQ(answer->body, given.body);
    auto const seen = last();
    EXPECT_EQ(seen.method, request.method);
    EXPECT_EQ(seen.target, request.target);
    EXPECT_EQ(seen.accept, request.accept);
    EXPECT_EQ(seen.content_type, request.content_type);
    EXPECT_EQ(seen.body, request.body);
    EXPECT_EQ(seen.user, "control socket") << "who asks is not for the asker to say";
    EXPECT_EQ(seen.client_address, "unix");
}

TEST_F(ControlPage, WhatIsEmptyStaysEmpty) {
    answers({.content_type = "", .body = ""});
    auto const answer = ask(get("/_ocgate"));
    ASSERT_TRUE(answer) << problem_;
    EXPECT_EQ(answer->body, "");
    EXPECT_EQ(answer->content_type, "");
    auto const seen = last();
    EXPECT_EQ(seen.accept + seen.content_type + seen.body, "");
}

TEST_F(ControlPage, AnySplitOfTheLineIsTheSameQuestion) {
    std::string const line = R"(page {"method":"GET","target":"/_ocgate/a","accept":"ü","later":[1,{"x":null}]})"
                             "\n";
    for (std::size_t at = 1; at < line.size(); ++at) {
        Asker asker(socket_.path());
        asker.send_alone(line.substr(0, at));
        asker.send(line.substr(at));
        EXPECT_EQ(asker.read_to_end(), "{\"bytes\":2,\"content_type\":\"application/json\",\"status\":200}\n{}") << at;
        EXPECT_EQ(last().accept, "ü");
    }
    Asker asker(socket_.path());
    for (char const byte : line) asker.send_alone({&byte, 1});
    EXPECT_THAT(asker.read_to_end(), EndsWith("\n{}"));
    EXPECT_EQ(asked(), line.size());
}

TEST_F(ControlPage, WhatFollowsTheLineIsNotRead) {
    Asker asker(socket_.path());
    asker.send(
        "page {\"method\":\"GET\",\"target\":\"/_ocgate/a\"}\npage {\"method\":\"GET\",\"target\":\"/_ocgate/b\"}\n");
    EXPECT_THAT(asker.read_to_end(), EndsWith("\n{}"));
    EXPECT_EQ(last().target, "/_ocgate/a");
}

TEST_F(ControlPage, WhatAsksForNoPageIsToldSo) {
    for (auto const* json : {"", "{", "[]", "\"GET\"", "null", "{}", R"({"method":"GET"})", R"({"target":"/_ocgate/"})",
                             R"({"method":"GET","target":7})", R"({"method":null,"target":"/_ocgate/"})",
                             R"({"method":"GET","target":"/_ocgate/","body":{}})",
                             R"({"method":"GET","target":"/_ocgate/"} x)", R"({"method":"GET","target":"/"})",
                             R"({"method":"GET","target":"/_ocgates"})", R"({"method":"GET","target":"_ocgate/"})",
                             R"({"method":"GET","target":""})", "{\"method\":\"GET\",\"target\":\"/_ocgate/\xFF\"}"}) {
        Asker asker(socket_.path());
        asker.send("page " + std::string(json) + "\n");
        auto const answer = asker.read_to_end();
        EXPECT_THAT(answer, HasSubstr(R"("status":400})")) << json;
        EXPECT_EQ(code_of(answer.substr(answer.find('\n'))), "malformed") << json;
    }
    for (auto const* line : {"page\n", "page{\"method\":\"GET\",\"target\":\"/_ocgate/\"}\n", " page {}\n"}) {
        Asker asker(socket_.path());
        asker.send(line);
        EXPECT_EQ(asker.read_to_end(), "unknown command\n") << line;
    }
    std::string const deep(8000, '[');
    Asker asker(socket_.path());
    asker.send("page " + deep + "\n");
    EXPECT_THAT(asker.read_to_end(), HasSubstr(R"("status":400})"));
    EXPECT_EQ(asked(), 0U);
}

TEST_F(ControlPage, ALineOfUpTo8KiBIsTaken) {
    std::string const front = R"(page {"method":"GET","target":"/_ocgate/","body":")";
    auto const line = [&](std::size_t bytes) {
        std::string const end = "\"}\n";
        return front + std::string(bytes - front.size() - end.size(), 'x') + end;
    };
    Asker longest(socket_.path());
    longest.send(line(max_control_line_bytes));
    EXPECT_THAT(longest.read_to_end(), EndsWith("\n{}"));
    Asker too_long(socket_.path());
    too_long.send(line(max_control_line_bytes + 1));
    EXPECT_EQ(too_long.read_to_end(), "");
    EXPECT_EQ(asked(), 1U);

    // The asker does not even try.
    auto request = get("/_ocgate/");
    request.body = std::string(max_control_line_bytes, 'x');
    EXPECT_FALSE(ask(request));
    EXPECT_THAT(problem_, HasSubstr("longer than the control socket takes"));
    EXPECT_EQ(asked(), 1U);
}

TEST_F(ControlPage, LargeAnswersComeWholeAndTooLargeOnesAsAnError) {
    for (auto const bytes : {std::size_t{1} << 20, max_control_page_bytes, max_control_page_bytes + 1}) {
        std::string body(bytes, '\n');
        for (std::size_t i = 0; i < bytes; i += 1000) body[i] = static_cast<char>(i);
        answers({.content_type = "text/plain", .body = body});
        auto const answer = ask(get("/_ocgate/"));
        ASSERT_TRUE(answer) << problem_;
        if (bytes <= max_control_page_bytes) {
            EXPECT_EQ(answer->status, 200U);
            EXPECT_TRUE(answer->body == body) << answer->body.size();
        } else {
            EXPECT_EQ(answer->status, 500U);
            EXPECT_EQ(code_of(answer->body), "internal");
        }
    }
}

TEST_F(ControlPage, WhoWaitsHoldsNobodyUp) {
    std::optional<PageAnswer> late;
    std::thread waiting([&] {
        std::string problem;
        late = ask_page(socket_.path(), get("/_ocgate/held"), 20s, problem);
    });
    wait_for_held(1);
    auto const prompt = ask(get("/_ocgate/prompt"));
    ASSERT_TRUE(prompt) << problem_;
    EXPECT_EQ(prompt->body, "{}");
    EXPECT_EQ(ask_gateway(socket_.path(), "reload", 20s, problem_), "reloaded");
    socket_.post([this] { answer_held(); });
    waiting.join();
    ASSERT_TRUE(late);
    EXPECT_EQ(late->body, "late");
}

TEST_F(ControlPage, PagesLeaveRoomForADrain) {
    std::deque<Asker> waiting;
    for (std::size_t i = 0; i < ControlServer::max_pages; ++i)
        waiting.emplace_back(socket_.path()).send("page {\"method\":\"GET\",\"target\":\"/_ocgate/held\"}\n");
    wait_for_held(ControlServer::max_pages);
    auto const one_more = ask(get("/_ocgate/"));
    ASSERT_TRUE(one_more) << problem_;
    EXPECT_EQ(one_more->status, 503U);
    EXPECT_EQ(code_of(one_more->body), "too_many");
    EXPECT_EQ(ask_gateway(socket_.path(), "drain 0", 20s, problem_), "drained");
    socket_.post([this] { answer_held(); });
    for (auto& asker : waiting) EXPECT_THAT(asker.read_to_end(), EndsWith("\nlate"));
}

TEST_F(ControlPage, WhoLeavesMakesRoom) {
    std::deque<Asker> leaving;
    for (std::size_t i = 0; i < ControlServer::max_pages; ++i)
        leaving.emplace_back(socket_.path()).send("page {\"method\":\"GET\",\"target\":\"/_ocgate/held\"}\n");
    wait_for_held(ControlServer::max_pages);
    for (auto& asker : leaving) asker.hang_up();
    // That they are gone is heard in one turn of the loop with the next asker, or before it.
    auto const until = std::chrono::steady_clock::now() + 20s;
    unsigned status = 503;
    while (status == 503 && std::chrono::steady_clock::now() < until) {
        auto const page = ask(get("/_ocgate/"));
        status = page ? page->status : 0;
    }
    EXPECT_EQ(status, 200U);
    socket_.post([this] { answer_held(); });
    EXPECT_TRUE(ask(get("/_ocgate/"))) << "answers that nobody waits for harm nobody: " << problem_;
}

TEST_F(ControlPage, WhoHasOnlyEndedItsOwnSideGetsItsAnswer) {
    Asker asker(socket_.path());
    asker.send("page {\"method\":\"GET\",\"target\":\"/_ocgate/held\"}\n");
    asker.end_own_side();
    wait_for_held(1);
    EXPECT_TRUE(ask(get("/_ocgate/"))) << problem_;
    socket_.post([this] { answer_held(); });
    EXPECT_THAT(asker.read_to_end(), EndsWith("\nlate"));
}

TEST_F(ControlPage, AnAnswerThatWillNeverComeIsNotWaitedFor) {
    EXPECT_FALSE(ask(get("/_ocgate/dropped")));
    EXPECT_THAT(problem_, HasSubstr("ended before it answered"));
}

TEST_F(ControlPage, OnlyTheFirstAnswerCounts) {
    Asker asker(socket_.path());
    asker.send("page {\"method\":\"GET\",\"target\":\"/_ocgate/held\"}\n");
    wait_for_held(1);
    socket_.post([this] {
        held_.front()({.body = "first"});
        held_.front()({.body = "second"});
    });
    EXPECT_THAT(asker.read_to_end(), EndsWith("\nfirst"));
}

TEST_F(ControlPage, AGatewayThatStopsSendsTheWaitingAway) {
    std::thread waiting([this] {
        EXPECT_FALSE(ask(get("/_ocgate/held")));
        EXPECT_THAT(problem_, HasSubstr("ended before it answered"));
    });
    wait_for_held(1);
    socket_.stop();
    waiting.join();
    // The answer that comes nevertheless is given by TearDown.
}

/// Everything in one thread, and time moved by hand.
class ControlInTime : public testing::Test {
protected:
    void turn() {
        io_.restart();
        io_.poll();
    }
    void wait(rt::Duration time) {
        clock_.move_to(clock_.now() + time);
        turn();
    }
    void TearDown() override {
        server_.stop();
        turn();
        EXPECT_EQ(deadlines_.active(), 0U);
    }

    SocketPlace place_;
    boost::asio::io_context io_{1};
    test::FakeClock clock_;
    rt::Deadlines deadlines_{io_.get_executor(), clock_};
    std::function<void(PageAnswer)> held_;
    ControlServer server_{
        io_.get_executor(), deadlines_, place_.listen(),
        ControlActions{
            .drain = {}, .reload = {}, .page = [this](PageRequest const&, std::function<void(PageAnswer)> done) {
                held_ = std::move(done);
            }}};
};

TEST_F(ControlInTime, AnAskerHasTenSecondsForItsLine) {
    Asker asker(place_.path());
    asker.send("page ");
    turn();
    wait(9'999ms);
    asker.send("{\"method\":");
    turn();
    wait(1ms);
    EXPECT_EQ(asker.read_to_end(), "");
    EXPECT_FALSE(held_);
}

TEST_F(ControlInTime, ItWaitsForItsPageAsLongAsThePageTakes) {
    Asker asker(place_.path());
    asker.send("page {\"method\":\"GET\",\"target\":\"/_ocgate/\"}\n");
    turn();
    wait(1h);
    ASSERT_TRUE(held_);
    held_({.body = "late"});
    turn();
    EXPECT_THAT(asker.read_to_end(), EndsWith("\nlate"));
}

TEST_F(ControlInTime, AStopWaitsForNoPage) {
    Asker asker(place_.path());
    asker.send("page {\"method\":\"GET\",\"target\":\"/_ocgate/\"}\n");
    turn();
    ASSERT_TRUE(held_);
    server_.stop();
    turn();
    EXPECT_EQ(asker.read_to_end(), "");
    EXPECT_EQ(deadlines_.active(), 0U) << "nobody is kept until an answer comes";
}

TEST_F(ControlInTime, AnswersThatNobodyTakesAreKeptForTenSeconds) {
    Asker asker(place_.path());
    asker.send("page {\"method\":\"GET\",\"target\":\"/_ocgate/\"}\n");
    turn();
    held_({.body = std::string(max_control_page_bytes, 'x')});
    turn();
    wait(10s);
    auto const came = asker.read_to_end();
    EXPECT_THAT(came.substr(0, 80), HasSubstr("\"bytes\":16777216"));
    EXPECT_LT(came.size(), max_control_page_bytes / 2) << "what the socket itself keeps";
}

}  // namespace
}  // namespace ocgate::app
