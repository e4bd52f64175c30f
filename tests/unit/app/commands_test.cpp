#include "commands.hpp"

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "config_kit.hpp"
#include "ocgate/auth/htpasswd.hpp"

namespace ocgate::app {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

struct Ran {
    int code;
    std::string out, err;
};

Ran check(World const& world) {
    std::ostringstream out, err;
    auto const code = check_config(world.flags, world.sources(), out, err);
    return {code, out.str(), err.str()};
}

TEST(CheckConfig, ShowsWhatHoldsWithoutSecrets) {
    World world(R"({"htpasswd_file": "/users", "limits": {"body_bytes": 0}})");
    world.files["/users"] = "a:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=\n";
    auto const ran = check(world.variable("OCGATE_LISEN", "x"));
    EXPECT_EQ(ran.code, 0);
    EXPECT_THAT(ran.out,
                AllOf(StartsWith("configuration is valid\n"), HasSubstr("127.0.0.1:4096, as opencode"),
                      HasSubstr("opencode (OPENCODE_SERVER_PASSWORD), 1 from /users"), HasSubstr("body unbounded"),
                      HasSubstr("first_byte none"), Not(HasSubstr("hunter2")), Not(HasSubstr("{SHA}"))));
    EXPECT_THAT(ran.err, StartsWith("warning: the variable \"OCGATE_LISEN\""));
}

TEST(CheckConfig, TellsEveryErrorOnALineOfItsOwn) {
    auto const ran = check(World("{\n  // two mistakes\n  \"threads\": \"many\",\n  \"no_such_key\": 1\n}\n"));
    EXPECT_EQ(ran.code, 1);
    EXPECT_EQ(ran.out, "");
    EXPECT_EQ(ran.err,
              "/no_such_key: unknown key\n/threads: expected an integer from 1 to 64, got \"many\"\n"
              "the configuration has 2 errors\n");
}

Ran hash(std::string const& input, std::optional<std::string> const& user = {}) {
    std::istringstream in(input);
    std::ostringstream out, err;
    auto const code = hash_password(user, 4, in, out, err);
    return {code, out.str(), err.str()};
}

TEST(HashPassword, PrintsAHashThatVerifies) {
    for (auto const* input : {"hunter2\n", "hunter2", "hunter2\r\n", "hunter2\nmore\n"}) {
        auto const ran = hash(input);
        ASSERT_EQ(ran.code, 0) << ran.err;
        ASSERT_TRUE(ran.out.ends_with('\n'));
        auto const made = ran.out.substr(0, ran.out.size() - 1);
        EXPECT_EQ(auth::hash_problem(made), "");
        EXPECT_TRUE(auth::verify_hash(made, "hunter2"));
        EXPECT_FALSE(auth::verify_hash(made, "hunter3"));
        EXPECT_EQ(ran.err, "");
    }
    EXPECT_NE(hash("hunter2\n").out, hash("hunter2\n").out) << "a salt of its own each time";
}

TEST(HashPassword, PrintsAWholeLineForAnHtpasswdFile) {
    auto const parsed = auth::parse_htpasswd(hash("hunter2\n", "alice").out);
    ASSERT_EQ(parsed.errors.size(), 0U);
    EXPECT_EQ(parsed.accounts.at(0).name, "alice");
}

TEST(HashPassword, RefusesWhatNoClientCouldSend) {
    for (auto const& input : {std::string(), std::string("\n"), std::string("\r\n"), std::string("a\tb\n"),
                              std::string("a\xFF\n"), std::string(73, 'x') + "\n", std::string(100'000, 'x')}) {
        auto const ran = hash(input);
        EXPECT_EQ(ran.code, 1);
        EXPECT_EQ(ran.out, "");
        EXPECT_THAT(ran.err, StartsWith("ocgate: "));
        EXPECT_THAT(ran.err, Not(HasSubstr("xxx")));
    }
}

/// Answers one connection on loopback with `answer` (nothing: stays silent) and remembers the request.
class OneAnswer {
public:
    explicit OneAnswer(std::string answer) : answer_(std::move(answer)) {
        listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* const generic = reinterpret_cast<sockaddr*>(&address);
        EXPECT_EQ(::bind(listener_, generic, size), 0);
        EXPECT_EQ(::listen(listener_, 1), 0);
        EXPECT_EQ(::getsockname(listener_, generic, &size), 0);
        port = ntohs(address.sin_port);
        thread_ = std::thread([this] { serve(); });
    }
    ~OneAnswer() {
        join();
        ::close(listener_);
    }
    std::string request() {
        join();
        return request_;
    }
    int port = 0;

private:
    void serve() {
        int const connection = ::accept(listener_, nullptr, nullptr);
        char piece[1024];
        while (request_.find("\r\n\r\n") == std::string::npos) {
            auto const n = ::recv(connection, piece, sizeof piece, 0);
            if (n <= 0) break;
            request_.append(piece, static_cast<std::size_t>(n));
        }
        // The silent one holds the connection until the client gives up.
        if (answer_.empty()) {
            while (::recv(connection, piece, sizeof piece, 0) > 0) {
            }
        } else {
            ::send(connection, answer_.data(), answer_.size(), MSG_NOSIGNAL);
        }
        ::close(connection);
    }
    void join() {
        if (!thread_.joinable()) return;
        ::shutdown(listener_, SHUT_RDWR);  // nobody may have come
        thread_.join();
    }

    std::string answer_, request_;
    int listener_;
    std::thread thread_;
};

Ran healthy(World const& world, bool with_upstream = false, milliseconds timeout = 60s) {
    std::ostringstream out, err;
    auto const code = healthcheck(world.flags, world.sources(), with_upstream, timeout, out, err);
    return {code, out.str(), err.str()};
}

std::string http(std::string const& status, std::string const& body) {
    return "HTTP/1.1 " + status +
           "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\nConnection: close\r\n\r\n" + body;
}

TEST(Healthcheck, AsksTheAdminListenerThatTheSettingsName) {
    OneAnswer ready(http("200 OK", R"({"status":"ready"})"));
    auto const began = std::chrono::steady_clock::now();
    // A wildcard is asked over loopback; that nobody could log in is of no interest here.
    auto const ran = healthy(World()
                                 .without("OPENCODE_SERVER_PASSWORD")
                                 .variable("OCGATE_ADMIN_LISTEN", "0.0.0.0:" + std::to_string(ready.port)));
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.out, "ready\n");
    EXPECT_LT(std::chrono::steady_clock::now() - began, 30s) << "it waits for the answer, not for the deadline";
    EXPECT_THAT(ready.request(), StartsWith("GET /readyz HTTP/1.1\r\n"));
}

TEST(Healthcheck, TellsWhyItIsNotReady) {
    OneAnswer draining(http("503 Service Unavailable", R"({"status":"not_ready","reasons":["draining","upstream"]})"));
    auto const ran = healthy(World().flag("admin_listen", "127.0.0.1:" + std::to_string(draining.port)), true);
    EXPECT_EQ(ran.code, 1);
    EXPECT_EQ(ran.out, "");
    EXPECT_THAT(ran.err, HasSubstr("not ready, status 503: draining, upstream"));
    EXPECT_THAT(draining.request(), StartsWith("GET /readyz?upstream=1 HTTP/1.1\r\n"));
}

TEST(Healthcheck, IsNotFooledByOtherAnswers) {
    for (auto const& answer : {http("500 Internal Server Error", "<html>"), http("404 Not Found", "[]"),
                               http("503 X", R"({"reasons":7})"), std::string("garbage\r\n\r\n")}) {
        OneAnswer other(answer);
        auto const ran = healthy(World().flag("admin_listen", "127.0.0.1:" + std::to_string(other.port)));
        EXPECT_EQ(ran.code, 1) << answer;
        EXPECT_THAT(ran.err, StartsWith("ocgate: 127.0.0.1:")) << answer;
    }
}

TEST(Healthcheck, GivesUpInTime) {
    OneAnswer silent("");
    auto const ran = healthy(World().flag("admin_listen", "127.0.0.1:" + std::to_string(silent.port)), false, 50ms);
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.err, HasSubstr("timed_out"));
}

TEST(Healthcheck, SaysThatNobodyListens) {
    int port = 0;
    { port = OneAnswer("x").port; }  // closed again
    auto const ran = healthy(World().flag("admin_listen", "127.0.0.1:" + std::to_string(port)));
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.err, HasSubstr("127.0.0.1:" + std::to_string(port)));
}

TEST(Healthcheck, AFileBrokenAfterTheStartKillsNoGateway) {
    OneAnswer ready(http("200 OK", "{}"));
    auto const ran = healthy(World("{ not json").flag("admin_listen", "127.0.0.1:" + std::to_string(ready.port)));
    EXPECT_EQ(ran.code, 0);
    EXPECT_THAT(ran.err, HasSubstr("not JSON"));
}

TEST(Healthcheck, AFileThatTellsNothingIsNoReasonToAskAnotherGateway) {
    for (auto const* text : {"{ not json", R"({"admin_lisen": "127.0.0.1:1"})", R"({"admin_listen": 9090})"}) {
        auto const ran = healthy(World(text), false, 50ms);
        EXPECT_EQ(ran.code, 1) << text;
        EXPECT_THAT(ran.err, Not(HasSubstr("9090: "))) << "nobody was asked";
        OneAnswer ready(http("200 OK", "{}"));
        auto const at = "127.0.0.1:" + std::to_string(ready.port);
        EXPECT_EQ(healthy(World(text).variable("OCGATE_ADMIN_LISTEN", at)).code, 0) << text;
    }
    EXPECT_THAT(healthy(World().flag("config", "/no/such"), false, 50ms).err,
                AllOf(HasSubstr("cannot be read"), HasSubstr("--admin-listen or OCGATE_ADMIN_LISTEN")));
}

TEST(Healthcheck, WhatElseTheBrokenFileSaysIsNotGuessed) {
    // The flag's port is the default of `listen`, which stands in the file.
    auto const ran = healthy(World("{ not json").flag("admin_listen", "127.0.0.1:8080"), false, 50ms);
    EXPECT_THAT(ran.err, Not(HasSubstr("another port")));
}

TEST(Healthcheck, WantsToKnowWhere) {
    EXPECT_THAT(healthy(World().flag("admin_listen", "127.0.0.1:0")).err, HasSubstr("--admin-listen"));
    EXPECT_EQ(healthy(World().flag("admin_listen", "127.0.0.1:0")).code, 1);
    auto const wrong = healthy(World().flag("admin_listen", "9090"));
    EXPECT_EQ(wrong.code, 1);
    EXPECT_THAT(wrong.err, HasSubstr("--admin-listen: expected host:port"));
}

}  // namespace
}  // namespace ocgate::app
