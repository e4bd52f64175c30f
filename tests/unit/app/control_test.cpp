// The control socket over a real Unix socket in a folder of its own; time moved by hand where time matters.
#include "control.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <thread>

#include "control_kit.hpp"

namespace ocgate::app {
namespace {

using namespace std::chrono_literals;

class Control : public testing::Test {
protected:
    void TearDown() override {
        socket_.end([this] {
            for (auto const& done : std::exchange(held_, {})) done(false);
        });
    }

    [[nodiscard]] std::string path() const { return socket_.path(); }
    std::string ask(std::string const& line) { return ask_gateway(path(), line, 20s, problem_); }

    std::string problem_;
    std::atomic<std::chrono::milliseconds> drained_within_{0ms};
    std::atomic<bool> clean_{true}, holds_{false};
    std::vector<std::function<void(bool)>> held_;  ///< the loop's
    ControlThread socket_{ControlActions{.drain =
                                             [this](std::chrono::milliseconds within, std::function<void(bool)> done) {
                                                 drained_within_ = within;
                                                 if (holds_) {
                                                     held_.push_back(std::move(done));
                                                 } else {
                                                     done(clean_);
                                                 }
                                             },
                                         .reload = [this](std::function<void(bool)> done) { done(clean_); }}};
};

TEST_F(Control, DrainTellsHowLongAndHowItWent) {
    EXPECT_EQ(ask("drain 20000"), "drained");
    EXPECT_EQ(drained_within_.load(), 20s);
    clean_ = false;
    EXPECT_EQ(ask("drain 0"), "forced");
    EXPECT_EQ(drained_within_.load(), 0ms);
}

TEST_F(Control, ReloadTellsHowItWent) {
    EXPECT_EQ(ask("reload"), "reloaded");
    clean_ = false;
    EXPECT_EQ(ask("reload"), "failed");
}

TEST_F(Control, WhatItDoesNotKnowItSaysSo) {
    for (auto const* line : {"", "drain", "drain ", "drain -1", "drain 1s", "drain 99999999999999999999", "drain 1 ",
                             "drain 2592000001", "RELOAD", "reload ", "page {}"}) {
        EXPECT_EQ(ask(line), "unknown command") << '"' << line << '"';
    }
}

TEST_F(Control, ALineThatIsTooLongIsNotAnswered) {
    EXPECT_EQ(ask(std::string(max_control_line_bytes - 1, 'x')), "unknown command");
    EXPECT_EQ(ask(std::string(max_control_line_bytes, 'x')), "");
    EXPECT_THAT(problem_, testing::HasSubstr(path()));
    EXPECT_EQ(ask("reload"), "reloaded") << "and the next one is";
}

TEST_F(Control, MoreAskersThanItHoldsWaitTheirTurn) {
    holds_ = true;
    std::vector<std::thread> askers;
    std::atomic<int> answered{0};
    for (std::size_t i = 0; i < ControlServer::max_connections + 4; ++i) {
        askers.emplace_back([&, i] {
            std::string problem;
            // The first ones are held by a peer that never sends a line's end until it leaves.
            if (i < ControlServer::max_connections) {
                Asker asker(path());
                asker.send("re");
                asker.end_own_side();
                EXPECT_EQ(asker.read_to_end(), "") << "ended without an answer";
            } else if (ask_gateway(path(), "reload", 20s, problem) == "reloaded") {
                ++answered;
            }
        });
    }
    for (auto& asker : askers) asker.join();
    EXPECT_EQ(answered.load(), 4);
}

TEST_F(Control, AGatewayThatStopsIsNoAnswer) {
    holds_ = true;
    std::thread asker([this] {
        EXPECT_EQ(ask("drain 1000"), "");
        EXPECT_THAT(problem_, testing::HasSubstr("ended before it answered"));
    });
    // The asker has been heard once the action was called.
    while (drained_within_.load() == 0ms) std::this_thread::yield();
    socket_.stop();
    asker.join();
}

TEST_F(Control, WhoLeavesMakesRoomAndTheDrainGoesOn) {
    std::deque<Asker> askers;
    holds_ = true;
    for (std::size_t i = 0; i < ControlServer::max_connections; ++i) {
        drained_within_ = 0ms;
        askers.emplace_back(path()).send("drain 1000\n");
        while (drained_within_.load() == 0ms) std::this_thread::yield();
    }
    for (auto& asker : askers) asker.hang_up();
    EXPECT_EQ(ask("reload"), "reloaded");
}

TEST(ControlClient, SaysWhereItFoundNobody) {
    std::string problem;
    EXPECT_EQ(ask_gateway("/nonexistent/nobody.sock", "reload", 1s, problem), "");
    EXPECT_THAT(problem, testing::StartsWith("/nonexistent/nobody.sock: no gateway answers there"));
    EXPECT_EQ(ask_gateway(std::string(200, 'p'), "reload", 1s, problem), "");
    EXPECT_THAT(problem, testing::HasSubstr("cannot be a socket's path"));
}

}  // namespace
}  // namespace ocgate::app
