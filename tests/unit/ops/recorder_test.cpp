#include "recorder.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "pipe_reader.hpp"

namespace ocgate::ops {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

class HandClock final : public rt::Clock {
public:
    [[nodiscard]] rt::Instant now() const noexcept override { return now_; }
    [[nodiscard]] std::unique_ptr<rt::Alarm> alarm(rt::Executor, std::function<void()>) override { return nullptr; }
    void advance(rt::Duration by) { now_ += by; }

private:
    rt::Instant now_{1h};
};

std::uint16_t length_of(std::string_view, std::string_view target) noexcept {
    return static_cast<std::uint16_t>(target.size());
}

struct Kit {
    explicit Kit(LogOptions const& options = {})
        : log(std::in_place, options, pipe.writer()), recorder(counters, routes, clock, *log) {}

    json entry() { return json::parse(pipe.line()); }
    /// All that was logged; the log is over then.
    std::vector<std::string> all() {
        log.reset();
        pipe.close_writer();
        return pipe.rest();
    }

    PipeReader pipe;
    HandClock clock;
    RouteTable routes{&length_of, {"ui", "/session"}};
    ShardCounters counters{2};
    std::optional<Log> log;
    ShardRecorder recorder;
};

proxy::ExchangeRecord full() {
    proxy::ExchangeRecord r;
    r.request_id = "7f3a";
    r.method = "GET";
    r.path = "/session";
    r.user = "alice";
    r.client_address = "192.0.2.1";
    r.user_agent = "curl/8 \"quoted\"";
    r.cf_ray = "8a-FRA";
    r.traceparent = "00-1-2-01";
    r.route = 1;
    r.status = 200;
    r.request_bytes = 5;
    r.response_bytes = 1234;
    r.duration = 12345us;
    r.first_byte = 2ms;
    r.upstream_reused = true;
    return r;
}

TEST(AccessLine, TellsWhatThereIsToTell) {
    Kit kit;
    kit.recorder.finished(full());
    auto entry = kit.entry();
    EXPECT_TRUE(entry.erase("time"));
    EXPECT_EQ(entry, (json{{"level", "info"},
                           {"kind", "access"},
                           {"event", "request"},
                           {"request_id", "7f3a"},
                           {"method", "GET"},
                           {"path", "/session"},
                           {"status", 200},
                           {"user", "alice"},
                           {"client", "192.0.2.1"},
                           {"route", "/session"},
                           {"duration_ms", 12.345},
                           {"first_byte_ms", 2.0},
                           {"request_bytes", 5},
                           {"response_bytes", 1234},
                           {"upstream_reused", true},
                           {"user_agent", "curl/8 \"quoted\""},
                           {"cf_ray", "8a-FRA"},
                           {"traceparent", "00-1-2-01"}}));
}

TEST(AccessLine, LeavesOutWhatThereIsNot) {
    Kit kit;
    proxy::ExchangeRecord r;
    r.method = "GET";
    r.path = "/";
    r.status = 204;
    kit.recorder.finished(r);
    auto const entry = kit.entry();
    for (auto const* absent : {"user", "admission_ms", "dial_ms", "first_byte_ms", "stream", "failure", "user_agent",
                               "cf_ray", "traceparent", "message", "truncated"}) {
        EXPECT_FALSE(entry.contains(absent)) << absent;
    }
}

TEST(AccessLine, TellsTheTimeOfStepsThatTookSome) {
    Kit kit;
    auto r = full();
    r.admission = 51500us;
    r.dial = 250us;
    kit.recorder.finished(r);
    auto const entry = kit.entry();
    EXPECT_EQ(entry["admission_ms"], 51.5);
    EXPECT_EQ(entry["dial_ms"], 0.25);
}

TEST(AccessLine, AllFieldsAtOnceFindRoom) {
    Kit kit;
    auto r = full();
    r.admission = r.dial = 1ms;
    r.stream = r.failed = true;
    r.failure = {Side::client, Step::event_stream, Reason::stalled};
    kit.recorder.finished(r);
    auto const entry = kit.entry();
    EXPECT_EQ(entry.size(), 4u + 19u);  // time, level, kind and event before them
    EXPECT_EQ(entry["traceparent"], "00-1-2-01");
}

TEST(AccessLine, OfOrdinaryRequestsOnlyASampleMayBeWritten) {
    Kit kit({.sample = 0});
    auto const write = [&](unsigned status, bool failed, bool stream, std::string_view id) {
        auto r = full();
        r.request_id = id;
        r.status = status;
        r.failed = failed;
        r.failure = {Side::client, Step::response_body, Reason::gone};
        r.stream = stream;
        kit.recorder.finished(r);
    };
    write(200, false, false, "ordinary");
    write(304, false, false, "ordinary");
    write(400, false, false, "error");
    write(500, false, false, "error");
    write(0, true, false, "left");
    write(200, true, false, "failed");
    write(200, false, true, "stream");
    std::vector<std::string> ids;
    for (auto const& line : kit.all()) ids.push_back(json::parse(line)["request_id"]);
    EXPECT_THAT(ids, testing::ElementsAre("error", "error", "left", "failed", "stream"));
    EXPECT_EQ(kit.counters.sampled_out.value(), 2u);
}

TEST(AccessLine, WhatWouldNotBeWrittenAnywayIsNotSampledOut) {
    Kit off({.access = false, .sample = 0});
    off.recorder.finished(full());
    EXPECT_EQ(off.counters.sampled_out.value(), 0u);
    Kit quiet({.level = LogLevel::warn, .sample = 0});
    quiet.recorder.finished(full());
    EXPECT_EQ(quiet.counters.sampled_out.value(), 0u);
    Kit all;
    all.recorder.finished(full());
    EXPECT_EQ(all.counters.sampled_out.value(), 0u);
}

TEST(AccessLine, FailuresOfOursAreWarnings) {
    struct Case {
        unsigned status;
        Failure failure;
        unsigned written;
        char const* level;
        char const* words;
    };
    for (auto const& c : {
             Case{502,
                  {Side::upstream, Step::response_head, Reason::cut_short},
                  502,
                  "warn",
                  "upstream response_head cut_short"},
             Case{401,
                  {Side::client, Step::admission, Reason::unauthorized},
                  401,
                  "info",
                  "client admission unauthorized"},
             Case{0, {Side::client, Step::response_head, Reason::gone}, 499, "info", "client response_head gone"},
             Case{505,
                  {Side::client, Step::request_head, Reason::unsupported_version},
                  505,
                  "warn",
                  "client request_head unsupported_version"},
         }) {
        Kit kit;
        auto r = full();
        r.status = c.status;
        r.failed = true;
        r.failure = c.failure;
        kit.recorder.finished(r);
        auto const entry = kit.entry();
        EXPECT_EQ(entry["status"], c.written);
        EXPECT_EQ(entry["level"], c.level) << c.words;
        EXPECT_EQ(entry["failure"], c.words);
    }
}

TEST(AccessLine, AnUpstreamsOwn500IsNoWarning) {
    Kit kit;
    auto r = full();
    r.status = 500;
    kit.recorder.finished(r);
    EXPECT_EQ(kit.entry()["level"], "info");
}

TEST(AccessLine, NamesTheKindOfAStream) {
    Kit kit;
    auto r = full();
    r.stream = true;
    r.kind = proxy::StreamKind::websocket;
    kit.recorder.finished(r);
    EXPECT_EQ(kit.entry()["stream"], "websocket");
}

TEST(AccessLine, CanBeTurnedOff) {
    Kit off({.access = false});
    off.recorder.finished(full());
    EXPECT_TRUE(off.all().empty());
    Kit quiet({.level = LogLevel::warn});
    quiet.recorder.finished(full());
    EXPECT_TRUE(quiet.all().empty());
}

TEST(Recorder, HandsTheRouteOfATargetOn) {
    Kit kit;
    EXPECT_EQ(kit.recorder.route_of("GET", "/"), 1);
}

TEST(Recorder, FailuresOutsideExchangesHaveALine) {
    Kit kit;
    kit.recorder.failed({Side::client, Step::request_head, Reason::malformed}, "192.0.2.9");
    auto const entry = kit.entry();
    EXPECT_EQ(entry["event"], "connection_failed");
    EXPECT_EQ(entry["kind"], "app");
    EXPECT_EQ(entry["level"], "info");
    EXPECT_EQ(entry["side"], "client");
    EXPECT_EQ(entry["step"], "request_head");
    EXPECT_EQ(entry["reason"], "malformed");
    EXPECT_EQ(entry["peer"], "192.0.2.9");
}

proxy::RefusedHead refused_head(Failure const& failure, unsigned status) {
    return {failure, "192.0.2.9", "0123456789abcdef", "GET", status, 100};
}

TEST(Recorder, RefusedHeadsCanBeFoundByTheirId) {
    Kit kit;
    kit.recorder.refused(refused_head({Side::client, Step::request_head, Reason::target_too_long}, 414));
    auto entry = kit.entry();
    EXPECT_TRUE(entry.erase("time"));
    EXPECT_EQ(entry, (json{{"level", "info"},
                           {"kind", "app"},
                           {"event", "connection_failed"},
                           {"side", "client"},
                           {"step", "request_head"},
                           {"reason", "target_too_long"},
                           {"peer", "192.0.2.9"},
                           {"request_id", "0123456789abcdef"},
                           {"status", 414}}));
}

TEST(Recorder, EachRefusalHasItsLineWhereEachRequestHas) {
    for (bool access : {true, false}) {
        Kit kit({.access = access});
        auto const head = refused_head({Side::gateway, Step::accept, Reason::too_many}, 503);
        for (int i = 0; i < 10; ++i) kit.recorder.refused(head);
        auto const lines = kit.all();
        EXPECT_EQ(lines.size(), access ? 10u : 1u);
        EXPECT_EQ(json::parse(lines.at(0))["request_id"], "0123456789abcdef");
        EXPECT_EQ(json::parse(lines.at(0))["level"], "warn");
    }
}

TEST(Recorder, AFloodOfFailedAcceptsIsOneLineASecond) {
    Kit kit;
    Failure const full_house{Side::gateway, Step::accept, Reason::too_many};
    for (int i = 0; i < 1000; ++i) kit.recorder.failed(full_house, "192.0.2.9");
    kit.clock.advance(999ms);
    kit.recorder.failed(full_house, "192.0.2.9");
    kit.clock.advance(1ms);
    kit.recorder.failed(full_house, "192.0.2.9");
    kit.clock.advance(1s);
    kit.recorder.failed(full_house, "192.0.2.9");
    auto const lines = kit.all();
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_FALSE(json::parse(lines[0]).contains("suppressed"));
    EXPECT_EQ(json::parse(lines[0])["level"], "warn");
    EXPECT_EQ(json::parse(lines[1])["suppressed"], 1000);
    EXPECT_FALSE(json::parse(lines[2]).contains("suppressed"));
    auto const& errors = kit.counters.errors[static_cast<std::size_t>(Side::gateway)];
    EXPECT_EQ(errors[static_cast<std::size_t>(Step::accept)][static_cast<std::size_t>(Reason::too_many)].value(),
              1003u);
}

}  // namespace
}  // namespace ocgate::ops
