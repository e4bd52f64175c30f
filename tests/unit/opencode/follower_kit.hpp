// A follower, and an opencode that is played by hand: its stream, and a table of its answers.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "ocgate/opencode/follower.hpp"
#include "support/bench.hpp"

namespace ocgate::opencode {
using namespace std::chrono_literals;
using test::ScriptedDialer;
using testing::HasSubstr;

inline std::string event(std::string_view type, std::string_view properties, std::string_view directory = "/w") {
    return R"({"directory":")" + std::string(directory) + R"(","payload":{"id":"evt_1","type":")" + std::string(type) +
           R"(","properties":)" + std::string(properties) + "}}";
}
inline std::string const connected_event = R"({"payload":{"type":"server.connected","properties":{}}})";
inline std::string const asked = R"({"id":"per_1","sessionID":"ses_1","permission":"bash","patterns":["ls"],)"
                                 R"("metadata":{"command":"ls"},"always":["ls *"]})";

inline std::string session(std::string_view id, std::string_view parent = "") {
    auto const up = parent.empty() ? std::string() : R"("parentID":")" + std::string(parent) + "\",";
    return R"({"id":")" + std::string(id) + R"(",)" + up +
           R"("directory":"/w","title":"Fix it","time":{"created":1,"updated":2}})";
}

inline std::string session_in(std::string_view id, std::string_view directory,
                              std::int64_t updated_ms = 1'699'999'000'000) {
    return R"({"id":")" + std::string(id) + R"(","directory":")" + std::string(directory) +
           R"(","title":"Fix it","time":{"created":1,"updated":)" + std::to_string(updated_ms) + "}}";
}

/// Plays opencode: the first connection made is the stream, the others are answered from a table.
class FollowerTest : public testing::Test {
protected:
    /// `catches_up`: somebody wants to hear of what was missed. Then the wall's clock moves as well.
    explicit FollowerTest(bool catching_up = false) : catches_up(catching_up) { begin(); }
    ~FollowerTest() override {
        stop();
        EXPECT_TRUE(bench.nothing_left()) << "a task, window or deadline is left";
    }

    void begin() {
        follower = std::make_unique<Follower>(bench.resources, settings(), listener(), [] { return 0.0; });
    }
    void stop() {
        bool stopped = false;
        follower->stop([&] { stopped = true; });
        bench.advance(2s);
        EXPECT_TRUE(stopped);
    }
    FollowerListener listener() {
        FollowerListener made{
            .happened = [this](Happening const& one) { happened.push_back(one); },
            .counted = [this](std::string_view type, Taken taken) { counted[std::string(type)].push_back(taken); },
            .connection = [this](bool on, std::string const&) { connections.push_back(on); },
            .looked =
                [this](std::string const& directory) {
                    looked.push_back(directory);
                    pending_then = follower->model().pending().size();
                }};
        if (!catches_up) return made;
        made.heard = [this](Event const& one) {
            heard.push_back(one.type);
            if (auto const* found = std::get_if<TerminalsFound>(&one.what)) terminals[one.directory] = found->ids;
        };
        made.missed = [this](StepInfo const& step) { missed.push_back(step); };
        made.gone = [this] { ++gone; };
        return made;
    }
    FollowerSettings settings() const {
        FollowerSettings made;
        made.tap = {.dialer = dialer, .host = "h", .authorization = Secret("Basic x")};
        made.heard_until = heard_until;
        made.wall = [this] { return wall_now(); };
        return made;
    }
    std::chrono::system_clock::time_point wall_now() const {
        auto const passed = catches_up ? bench.clock.now() - began : rt::Duration{};
        return wall + std::chrono::duration_cast<std::chrono::system_clock::duration>(passed);
    }
    void start() {
        follower->start();
        bench.settle();
        stream = dialer->ends.size() - 1;
        dialer->ends[stream].take();
        dialer->ends[stream].send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        tell(connected_event);
    }
    void tell(std::string_view json) {
        dialer->ends[stream].send("data: " + std::string(json) + "\n\n");
        serve();
    }
    /// While opencode says that it lives.
    void pass(rt::Duration time) {
        for (; time > 0s; time -= 10s) {
            bench.advance(std::min<rt::Duration>(time, 10s));
            tell(R"({"payload":{"type":"server.heartbeat","properties":{}}})");
        }
    }
    void cut_off() {
        dialer->ends[stream].end();
        bench.settle();
    }
    /// The second look, and whatever it asks.
    void second_look() {
        bench.advance(1s);
        serve();
    }
    /// Answers what is asked until nothing is.
    void serve() {
        for (bool busy = true; busy;) {
            busy = false;
            bench.settle();
            for (std::size_t i = 0; i < dialer->ends.size(); ++i) {
                if (i == stream || dialer->ends[i].closed()) continue;
                auto const request = dialer->ends[i].take();
                if (request.empty()) continue;
                EXPECT_THAT(request, HasSubstr("\r\nAuthorization: Basic x\r\n"));
                auto const target = request.substr(4, request.find(' ', 4) - 4);
                requests.push_back(target);
                busy = true;
                if (before_answer) before_answer(target);
                if (silent.contains(target)) continue;
                auto const found = answers.find(target);
                auto const body = found != answers.end() ? found->second : std::string("[]");
                auto const status = body.empty() ? "404 Not Found" : "200 OK";
                auto const bytes = too_large.contains(target) ? 5 * 1024 * 1024 : body.size();
                auto const more = cursors.contains(target) ? "\r\nX-Next-Cursor: " + cursors[target] : std::string();
                dialer->ends[i].send("HTTP/1.1 " + std::string(status) +
                                     "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(bytes) +
                                     more + "\r\n\r\n" + body);
            }
        }
    }
    template <class T>
    std::size_t count() const {
        std::size_t n = 0;
        for (auto const& one : happened) n += std::holds_alternative<T>(one) ? 1 : 0;
        return n;
    }

    bool const catches_up;
    test::Bench bench;
    rt::Instant const began = bench.clock.now();
    std::optional<std::chrono::system_clock::time_point> heard_until;
    std::shared_ptr<ScriptedDialer> dialer = std::make_shared<ScriptedDialer>();
    std::size_t stream = 0;
    std::chrono::system_clock::time_point wall{1'700'000'000s};
    std::map<std::string, std::string> answers;
    std::map<std::string, std::string> cursors;  ///< of the next page
    std::set<std::string> silent, too_large;
    std::function<void(std::string const&)> before_answer;
    std::vector<std::string> requests;
    std::vector<Happening> happened;
    std::map<std::string, std::vector<Taken>> counted;
    std::vector<bool> connections;
    std::vector<std::string> looked;
    std::size_t pending_then = 0;
    std::vector<std::string> heard;
    std::vector<StepInfo> missed;
    std::map<std::string, std::vector<std::string>> terminals;
    int gone = 0;
    std::unique_ptr<Follower> follower;
};

}  // namespace ocgate::opencode
