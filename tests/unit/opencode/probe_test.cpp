#include "ocgate/opencode/probe.hpp"

#include <gmock/gmock.h>

#include <stdexcept>

#include "support/bench.hpp"

namespace ocgate::opencode {
namespace {
using namespace std::chrono_literals;
using test::ScriptedDialer;
using testing::HasSubstr;
using testing::StartsWith;

std::string answer(std::string_view status, std::string_view type, std::string_view body) {
    return "HTTP/1.1 " + std::string(status) + "\r\nContent-Type: " + std::string(type) +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}
std::string const well = answer("200 OK", "application/json", R"({"healthy":true,"version":"1.18.33"})");

class ProbeTest : public testing::Test {
protected:
    ProbeTest() { make(settings()); }
    ~ProbeTest() override {
        bool stopped = false;
        probe->stop([&] { stopped = true; });
        bench.advance(2s);
        EXPECT_TRUE(stopped);
        EXPECT_TRUE(bench.nothing_left()) << "a task, window or deadline is left";
        for (auto const& end : dialer->ends) EXPECT_TRUE(end.closed());
    }

    ProbeSettings settings() const {
        return {.dialer = dialer,
                .host = "127.0.0.1:4096",
                .authorization = Secret("Basic dTpw"),
                .interval = 15s,
                .timeout = 10s};
    }
    void make(ProbeSettings with) {
        probe = std::make_unique<Probe>(bench.resources, std::move(with), [this](ProbeResult const& result) {
            told.push_back(result);
            if (then) then();
        });
    }
    void start() {
        probe->start();
        bench.settle();
    }
    ProbeResult const& tells(std::string_view reply) {
        dialer->greeting = reply;
        start();
        EXPECT_EQ(told.size(), 1u);
        static ProbeResult const none;
        return told.empty() ? none : told.back();
    }

    test::Bench bench;
    std::shared_ptr<ScriptedDialer> dialer = std::make_shared<ScriptedDialer>();
    std::vector<ProbeResult> told;
    std::function<void()> then;
    std::unique_ptr<Probe> probe;
};

TEST_F(ProbeTest, AsksAtOnceWithCredentialsAndTellsTheVersion) {
    start();
    ASSERT_EQ(dialer->ends.size(), 1u);
    auto& end = dialer->ends[0];
    EXPECT_THAT(end.waiting(), StartsWith("GET /global/health HTTP/1.1\r\nHost: 127.0.0.1:4096\r\n"));
    EXPECT_THAT(end.waiting(), HasSubstr("\r\nAuthorization: Basic dTpw\r\n"));
    EXPECT_TRUE(told.empty());
    bench.advance(3s);
    end.send(well);
    bench.settle();
    ASSERT_EQ(told.size(), 1u);
    EXPECT_TRUE(told[0].up);
    EXPECT_EQ(told[0].version, "1.18.33");
    EXPECT_EQ(told[0].reason, "");
    EXPECT_EQ(told[0].took, 3s);
    EXPECT_TRUE(end.closed());
}

TEST_F(ProbeTest, SendsNoAuthorizationWhenThereIsNone) {
    auto without = settings();
    without.authorization = Secret();
    probe->configure(without);
    start();
    ASSERT_EQ(dialer->ends.size(), 1u);
    EXPECT_THAT(dialer->ends[0].waiting(), testing::Not(HasSubstr("Authorization")));
}

TEST_F(ProbeTest, WrongCredentialsAreNamed) {
    auto const& result = tells(
        "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm=\"Secure Area\"\r\n"
        "Content-Length: 0\r\n\r\n");
    EXPECT_FALSE(result.up);
    EXPECT_EQ(result.reason, "401: the upstream's credentials are wrong");
}

TEST_F(ProbeTest, AWebPageIsNotOpencode) {
    auto const& result = tells(answer("200 OK", "text/html;charset=utf-8", "<!doctype html>"));
    EXPECT_FALSE(result.up);
    EXPECT_EQ(result.reason, "answered with a web page: is this opencode?");
}

TEST_F(ProbeTest, AnotherStatusIsTold) { EXPECT_EQ(tells(answer("500 X", "text/plain", "x")).reason, "answered 500"); }

TEST_F(ProbeTest, WhatIsNotJsonIsNotWell) {
    for (auto const* body : {"", "{", "[]", "true", "\"healthy\"", "{\"healthy\":true}x", "\xff"}) {
        told.clear();
        EXPECT_EQ(tells(answer("200 OK", "application/json", body)).reason, "the answer is not a JSON object") << body;
        bool stopped = false;
        probe->stop([&] { stopped = true; });
        bench.settle();
        EXPECT_TRUE(stopped);
    }
}

TEST_F(ProbeTest, OnlyHealthyTrueIsHealthy) {
    for (auto const* body : {"{}", R"({"healthy":false,"version":"2"})", R"({"healthy":"true"})", R"({"healthy":1})",
                             R"({"healthy":null})", R"({"Healthy":true})"}) {
        told.clear();
        auto const& result = tells(answer("200 OK", "application/json", body));
        EXPECT_FALSE(result.up) << body;
        EXPECT_EQ(result.reason, "it does not say that it is healthy");
        probe->stop({});
        bench.settle();
    }
}

TEST_F(ProbeTest, AVersionIsBoundedAndHarmless) {
    std::pair<std::string, std::string> const table[] = {{R"("1.2.3-rc.1+b_7")", "1.2.3-rc.1+b_7"},
                                                         {R"("1\"}\n# evil{x=\"")", "1evilx"},
                                                         {"7", ""},
                                                         {"null", ""},
                                                         {'"' + std::string(100, '9') + '"', std::string(64, '9')}};
    for (auto const& [json, version] : table) {
        told.clear();
        auto const& result = tells(answer("200 OK", "application/json", R"({"healthy":true,"version":)" + json + "}"));
        EXPECT_TRUE(result.up);
        EXPECT_EQ(result.version, version);
        probe->stop({});
        bench.settle();
    }
}

TEST_F(ProbeTest, AnAnswerThatNeverEndsIsBounded) {
    auto const& result = tells("HTTP/1.1 200 OK\r\n\r\n" + std::string(20'000, 'x'));
    EXPECT_FALSE(result.up);
    EXPECT_THAT(result.reason, StartsWith("response_body: "));
}

TEST_F(ProbeTest, ASilentUpstreamIsGivenItsTimeAndNoMore) {
    start();
    bench.advance(10s - 1ns);
    EXPECT_TRUE(told.empty());
    bench.advance(1ns);
    ASSERT_EQ(told.size(), 1u);
    EXPECT_FALSE(told[0].up);
    EXPECT_EQ(told[0].reason, "response_head: timed_out");
    EXPECT_EQ(told[0].took, 10s);
}

TEST_F(ProbeTest, ARefusedDialIsNamed) {
    dialer->mood = ScriptedDialer::Mood::refuse;
    start();
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0].reason, "the dial was refused");
}

TEST_F(ProbeTest, ADialHasTwoSeconds) {
    dialer->mood = ScriptedDialer::Mood::hang;
    start();
    bench.advance(2s - 1ns);
    EXPECT_TRUE(told.empty());
    bench.advance(1ns);
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0].reason, "dial: timed_out");
}

TEST_F(ProbeTest, WhileItIsWellItIsAskedOncePerInterval) {
    dialer->greeting = well;
    start();
    EXPECT_EQ(told.size(), 1u);
    bench.advance(15s - 1ns);
    EXPECT_EQ(told.size(), 1u);
    bench.advance(1ns);
    EXPECT_EQ(told.size(), 2u);
    bench.advance(150s);
    EXPECT_EQ(told.size(), 12u);
}

TEST_F(ProbeTest, AfterAFailureItAsksSoonerThenLessOftenAndNoticesTheReturn) {
    dialer->mood = ScriptedDialer::Mood::refuse;
    start();
    auto at = 0s;
    std::vector<std::chrono::seconds> asked{at};
    while (at < 62s) {
        auto const before = told.size();
        bench.advance(1s);
        at += 1s;
        if (told.size() > before) asked.push_back(at);
    }
    EXPECT_THAT(asked, testing::ElementsAre(0s, 1s, 3s, 7s, 15s, 30s, 45s, 60s));
    dialer->mood = ScriptedDialer::Mood::accept;
    dialer->greeting = well;
    bench.advance(13s);
    EXPECT_TRUE(told.back().up);
    dialer->mood = ScriptedDialer::Mood::refuse;
    bench.advance(15s);
    EXPECT_FALSE(told.back().up);
    dialer->mood = ScriptedDialer::Mood::accept;
    bench.advance(1s);
    EXPECT_TRUE(told.back().up) << "patience starts over after a good answer";
}

TEST_F(ProbeTest, ConfiguringWhileItPausesAsksAnewAtOnce) {
    dialer->greeting = well;
    start();
    auto const other = std::make_shared<ScriptedDialer>();
    other->greeting = answer("200 OK", "application/json", R"({"healthy":true,"version":"2"})");
    auto changed = settings();
    changed.dialer = other;
    probe->configure(changed);
    bench.settle();
    ASSERT_EQ(told.size(), 2u);
    EXPECT_EQ(told[1].version, "2");
    bench.advance(15s);
    EXPECT_EQ(other->dials, 2);
    EXPECT_EQ(dialer->dials, 1);
}

TEST_F(ProbeTest, ConfiguringDuringAProbeGivesItUpUntold) {
    start();
    bench.advance(4s);
    auto const other = std::make_shared<ScriptedDialer>();
    other->greeting = well;
    auto changed = settings();
    changed.dialer = other;
    probe->configure(changed);
    bench.settle();
    ASSERT_EQ(told.size(), 1u);
    EXPECT_TRUE(told[0].up);
    EXPECT_EQ(other->dials, 1);
    EXPECT_TRUE(dialer->ends[0].closed());
}

TEST_F(ProbeTest, ConfiguringDuringADialWaitsForItsEnd) {
    dialer->mood = ScriptedDialer::Mood::hang;
    start();
    auto const other = std::make_shared<ScriptedDialer>();
    other->greeting = well;
    auto changed = settings();
    changed.dialer = other;
    probe->configure(changed);
    bench.advance(2s);
    ASSERT_EQ(told.size(), 1u);
    EXPECT_TRUE(told[0].up);
}

TEST_F(ProbeTest, ConfiguringFromInsideTold) {
    dialer->mood = ScriptedDialer::Mood::refuse;
    auto const other = std::make_shared<ScriptedDialer>();
    other->greeting = well;
    then = [&] {
        then = nullptr;
        auto changed = settings();
        changed.dialer = other;
        probe->configure(changed);
    };
    start();
    ASSERT_EQ(told.size(), 2u);
    EXPECT_TRUE(told[1].up);
}

TEST_F(ProbeTest, StoppingDuringAProbeLeavesNothingAndTellsNothing) {
    start();
    bool stopped = false;
    probe->stop([&] { stopped = true; });
    bench.settle();
    EXPECT_TRUE(stopped);
    EXPECT_TRUE(told.empty());
    EXPECT_TRUE(bench.nothing_left());
}

TEST_F(ProbeTest, StoppingDuringAPauseIsImmediate) {
    dialer->greeting = well;
    start();
    int stopped = 0;
    probe->stop([&] { ++stopped; });
    probe->stop([&] { ++stopped; });
    bench.settle();
    EXPECT_EQ(stopped, 2);
    bench.advance(60s);
    EXPECT_EQ(told.size(), 1u);
}

TEST_F(ProbeTest, StoppingFromInsideTold) {
    dialer->greeting = well;
    int stopped = 0;
    then = [&] { probe->stop([&] { ++stopped; }); };
    start();
    EXPECT_EQ(stopped, 1);
    bench.advance(60s);
    EXPECT_EQ(told.size(), 1u);
}

TEST_F(ProbeTest, StoppingWhatNeverStartedIsOverAtOnce) {
    bool stopped = false;
    probe->stop([&] { stopped = true; });
    EXPECT_TRUE(stopped);
}

TEST_F(ProbeTest, DestroyedInsteadOfStoppedItIsQuiet) {
    start();
    ASSERT_EQ(dialer->ends.size(), 1u);
    make(settings());
    dialer->ends[0].send(well);
    bench.settle();
    EXPECT_TRUE(told.empty());
    EXPECT_TRUE(bench.nothing_left());
}

TEST_F(ProbeTest, StartingTwiceAsksOnce) {
    dialer->greeting = well;
    start();
    start();
    EXPECT_EQ(dialer->dials, 1);
}

TEST_F(ProbeTest, WhateverOperationFailsItRecovers) {
    for (std::uint64_t n = 1;; ++n) {
        auto const faults = std::make_shared<test::Faults>();
        faults->fail_at = n;
        dialer->options.faults = faults;
        dialer->greeting = well;
        told.clear();
        start();
        bool const struck = faults->operations >= n;
        ASSERT_EQ(told.size(), 1u) << n;
        bench.advance(1s);
        EXPECT_TRUE(told.back().up) << n;
        probe->stop({});
        bench.settle();
        if (!struck) {
            EXPECT_GT(n, 2u) << "no operation failed at all";
            break;
        }
    }
}

/// Throws what no dialer should as long as it is `broken`; else dials as the other would.
class BrokenDialer final : public rt::Dialer {
public:
    explicit BrokenDialer(std::shared_ptr<rt::Dialer> other) : other_(std::move(other)) {}
    rt::Task<boost::system::result<rt::PeerPtr, error_code>> dial(rt::PeerResources const& resources, rt::Instant until,
                                                                  rt::DialBreaker& breaker) override {
        ++dials;
        if (broken) throw std::runtime_error("out of luck");
        auto dialed = co_await other_->dial(resources, until, breaker);
        co_return dialed;
    }
    bool broken = true;
    int dials = 0;

private:
    std::shared_ptr<rt::Dialer> other_;
};

struct BrokenProbeTest : ProbeTest {
    BrokenProbeTest() {
        auto with = settings();
        with.dialer = broken;
        make(with);
        dialer->greeting = well;
    }
    std::shared_ptr<BrokenDialer> broken = std::make_shared<BrokenDialer>(dialer);
};

TEST_F(BrokenProbeTest, AnExceptionIsToldAndItGoesOn) {
    start();
    ASSERT_EQ(told.size(), 1u);
    EXPECT_FALSE(told[0].up);
    EXPECT_EQ(told[0].reason, "internal: out of luck");
    bench.advance(3s);
    EXPECT_EQ(told.size(), 4u);
    broken->broken = false;
    bench.advance(1s);
    ASSERT_EQ(told.size(), 5u);
    EXPECT_TRUE(told[4].up);
    bench.advance(15s);
    EXPECT_EQ(told.size(), 6u);
}

TEST_F(BrokenProbeTest, ConfiguredAfterAnExceptionItAsksAtOnce) {
    start();
    probe->configure(settings());
    bench.settle();
    ASSERT_EQ(told.size(), 2u);
    EXPECT_TRUE(told[1].up);
    bench.advance(14s);
    EXPECT_EQ(told.size(), 2u) << "the restart was taken back";
}

TEST_F(BrokenProbeTest, StoppedAfterAnExceptionItIsOverAtOnce) {
    for (bool const inside : {false, true}) {
        auto const before = broken->dials;
        bool stopped = false;
        auto const stop = [&] { probe->stop([&] { stopped = true; }); };
        if (inside) then = stop;
        start();
        if (!inside) stop();
        EXPECT_TRUE(stopped);
        bench.advance(60s);
        EXPECT_EQ(broken->dials, before + 1);
    }
}

TEST_F(ProbeTest, WhoeverIsToldMayThrow) {
    dialer->greeting = well;
    then = [&] {
        then = nullptr;
        throw std::runtime_error("expected");
    };
    start();
    ASSERT_EQ(told.size(), 2u);
    EXPECT_EQ(told[1].reason, "internal: expected");
    bench.advance(1s);
    ASSERT_EQ(told.size(), 3u);
    EXPECT_TRUE(told[2].up);
}

}  // namespace
}  // namespace ocgate::opencode
