// The control socket over a real Unix socket in a folder of its own; time moved by hand where time matters.
#include "control.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <thread>

#include "ocgate/proxy/shard.hpp"

namespace ocgate::app {
namespace {

using namespace std::chrono_literals;

class Control : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "ocgate-control-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
        rt::Address bound;
        auto const fd = proxy::open_listener({{}, 0, path()}, false, bound);
        ASSERT_TRUE(fd) << fd.error().message();
        server_.emplace(io_.get_executor(), deadlines_, *fd,
                        ControlActions{.drain =
                                           [this](std::chrono::milliseconds within, std::function<void(bool)> done) {
                                               drained_within_ = within;
                                               if (holds_) {
                                                   held_ = std::move(done);
                                               } else {
                                                   done(clean_);
                                               }
                                           },
                                       .reload = [this](std::function<void(bool)> done) { done(clean_); }});
        thread_ = std::thread([this] { io_.run(); });
    }
    void TearDown() override {
        if (server_) {
            boost::asio::post(io_, [this] {
                server_->stop();
                if (held_) std::exchange(held_, nullptr)(false);
                io_.stop();
            });
            thread_.join();
            io_.restart();
            io_.poll();
            server_.reset();
        }
        std::filesystem::remove_all(folder_);
    }

    [[nodiscard]] std::string path() const { return folder_ + "/control.sock"; }
    std::string ask(std::string const& line) { return ask_gateway(path(), line, 20s, problem_); }

    std::string folder_, problem_;
    boost::asio::io_context io_{1};
    rt::SystemClock clock_;
    rt::Deadlines deadlines_{io_.get_executor(), clock_};
    std::optional<ControlServer> server_;
    std::thread thread_;
    std::atomic<std::chrono::milliseconds> drained_within_{0ms};
    std::atomic<bool> clean_{true}, holds_{false};
    std::function<void(bool)> held_;
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
                             "drain 2592000001", "RELOAD", "reload "}) {
        EXPECT_EQ(ask(line), "unknown command") << '"' << line << '"';
    }
}

TEST_F(Control, ALineThatIsTooLongIsNotAnswered) {
    EXPECT_EQ(ask(std::string(200, 'x')), "");
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
                int const fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
                sockaddr_un name{};
                name.sun_family = AF_UNIX;
                path().copy(name.sun_path, sizeof name.sun_path - 1);
                EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
                EXPECT_EQ(::send(fd, "re", 2, MSG_NOSIGNAL), 2);
                ::shutdown(fd, SHUT_WR);
                char byte;
                EXPECT_EQ(::recv(fd, &byte, 1, 0), 0) << "ended without an answer";
                ::close(fd);
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
    boost::asio::post(io_, [this] { server_->stop(); });
    asker.join();
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
