#include "notify_metrics.hpp"

#include <gmock/gmock.h>

#include <random>
#include <set>

#include "support/exposition.hpp"

namespace ocgate::app {
namespace {

using namespace std::chrono_literals;
using opencode::Taken;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Key;
using testing::SizeIs;

test::Scrape scrape(NotifyFigures const& figures) {
    ops::Exposition out;
    write_notify(out, figures);
    auto read = test::read_exposition(out.text());
    EXPECT_THAT(read.complaints, IsEmpty());
    return read;
}

notify::TargetStatus target(std::string name) {
    notify::TargetStatus status;
    status.name = std::move(name);
    return status;
}

NotifyFigures figures() {
    NotifyFigures f;
    f.now = rt::Instant(1000s);
    f.wall = std::chrono::system_clock::time_point(1'800'000'000s);
    f.targets = {target("phone"), target("team")};
    return f;
}

TEST(NotifyMetrics, EveryFamilyIsThereFromTheBeginning) {
    auto const read = scrape({});
    std::map<std::string, std::string> types;
    for (auto const& [name, family] : read.families) types[name] = family.type;
    EXPECT_THAT(types, testing::ElementsAreArray(std::map<std::string, std::string>{
                           {"ocgate_notify_accepted_seconds", "histogram"},
                           {"ocgate_notify_breaker", "gauge"},
                           {"ocgate_notify_breaker_opened_total", "counter"},
                           {"ocgate_notify_dead_total", "counter"},
                           {"ocgate_notify_diverted_total", "counter"},
                           {"ocgate_notify_dropped_total", "counter"},
                           {"ocgate_notify_enqueued_total", "counter"},
                           {"ocgate_notify_escalations_total", "counter"},
                           {"ocgate_notify_incidents_total", "counter"},
                           {"ocgate_notify_oldest_queued_seconds", "gauge"},
                           {"ocgate_notify_queued", "gauge"},
                           {"ocgate_notify_rejected_total", "counter"},
                           {"ocgate_notify_reminders_total", "counter"},
                           {"ocgate_notify_request_failures_total", "counter"},
                           {"ocgate_notify_requests_total", "counter"},
                           {"ocgate_notify_retried_total", "counter"},
                           {"ocgate_notify_sent_total", "counter"},
                           {"ocgate_notify_store_durable", "gauge"},
                           {"ocgate_notify_store_failures_total", "counter"},
                           {"ocgate_notify_store_moved_aside_total", "counter"},
                           {"ocgate_notify_suppressed_total", "counter"},
                           {"ocgate_notify_target_disabled", "gauge"},
                           {"ocgate_pending", "gauge"},
                           {"ocgate_pending_oldest_seconds", "gauge"},
                           {"ocgate_sessions", "gauge"},
                           {"ocgate_tap_connected", "gauge"},
                           {"ocgate_tap_connections_total", "counter"},
                           {"ocgate_tap_events_total", "counter"},
                           {"ocgate_tap_failures_total", "counter"},
                           {"ocgate_tap_last_event_timestamp_seconds", "gauge"},
                           {"ocgate_tap_received_bytes_total", "counter"},
                           {"ocgate_tap_silences_total", "counter"},
                       }));
    for (auto const& [name, family] : read.families) EXPECT_FALSE(family.help.empty()) << name;
    EXPECT_EQ(read.value("ocgate_tap_last_event_timestamp_seconds"), 0);
    EXPECT_EQ(read.value("ocgate_notify_accepted_seconds_count"), 0);
    EXPECT_EQ(read.value(R"(ocgate_notify_incidents_total{what="raised"})"), 0);
}

TEST(NotifyMetrics, TheTapAndTheModel) {
    auto f = figures();
    f.tap = {.connected = true, .heard = f.now - 3s, .connections = 4, .failures = 3, .silences = 1, .bytes = 12345};
    f.sessions.idle = 5;
    f.sessions.busy = 2;
    f.sessions.retry = 1;
    f.sessions.permissions = 2;
    f.sessions.questions = 1;
    f.sessions.oldest_permission = f.now - 90s;
    f.events.count("session.idle", Taken::read);
    f.events.count("session.idle", Taken::read);
    f.events.count("message.part.updated", Taken::skipped);
    f.events.count("brand.new", Taken::unknown);
    auto const read = scrape(f);
    EXPECT_EQ(read.value("ocgate_tap_connected"), 1);
    EXPECT_EQ(read.value("ocgate_tap_connections_total"), 4);
    EXPECT_EQ(read.value("ocgate_tap_failures_total"), 3);
    EXPECT_EQ(read.value("ocgate_tap_silences_total"), 1);
    EXPECT_EQ(read.value("ocgate_tap_received_bytes_total"), 12345);
    EXPECT_EQ(read.value("ocgate_tap_last_event_timestamp_seconds"), 1'799'999'997);
    EXPECT_EQ(read.value(R"(ocgate_tap_events_total{type="session.idle",taken="read"})"), 2);
    EXPECT_EQ(read.value(R"(ocgate_tap_events_total{type="message.part.updated",taken="skipped"})"), 1);
    EXPECT_EQ(read.value(R"(ocgate_tap_events_total{type="brand.new",taken="unknown"})"), 1);
    EXPECT_EQ(read.total("ocgate_tap_events_total"), 4);
    EXPECT_EQ(read.value(R"(ocgate_sessions{state="idle"})"), 5);
    EXPECT_EQ(read.value(R"(ocgate_sessions{state="busy"})"), 2);
    EXPECT_EQ(read.value(R"(ocgate_sessions{state="retry"})"), 1);
    EXPECT_EQ(read.value(R"(ocgate_pending{kind="permission"})"), 2);
    EXPECT_EQ(read.value(R"(ocgate_pending{kind="question"})"), 1);
    EXPECT_EQ(read.value(R"(ocgate_pending_oldest_seconds{kind="permission"})"), 90);
    EXPECT_EQ(read.value(R"(ocgate_pending_oldest_seconds{kind="question"})"), 0);
}

TEST(NotifyMetrics, Incidents) {
    auto f = figures();
    f.center = {.raised = 10, .known = 1, .opened = 8, .joined = 2, .never_told = 3, .resolved = 6, .expired = 4};
    f.center.reminders = 11;
    f.center.escalations = 12;
    f.center.refused = 13;
    f.center.suppressed = {{"muted", 5}, {"present", 6}};
    f.accepted.observe(400us);
    f.accepted.observe(1ms);  // on a bound: below it
    f.accepted.observe(40s);
    f.accepted.observe(-1s);  // a clock that was set: no time at all
    auto const read = scrape(f);
    auto const what = [&](std::string const& of) {
        return read.value("ocgate_notify_incidents_total{what=\"" + of + "\"}");
    };
    EXPECT_EQ(what("raised"), 10);
    EXPECT_EQ(what("known"), 1);
    EXPECT_EQ(what("opened"), 8);
    EXPECT_EQ(what("joined"), 2);
    EXPECT_EQ(what("never_told"), 3);
    EXPECT_EQ(what("resolved"), 6);
    EXPECT_EQ(what("expired"), 4);
    EXPECT_EQ(what("refused"), 13);
    EXPECT_EQ(read.value(R"(ocgate_notify_suppressed_total{reason="muted"})"), 5);
    EXPECT_EQ(read.value(R"(ocgate_notify_suppressed_total{reason="present"})"), 6);
    EXPECT_EQ(read.value("ocgate_notify_reminders_total"), 11);
    EXPECT_EQ(read.value("ocgate_notify_escalations_total"), 12);
    EXPECT_EQ(read.value(R"(ocgate_notify_accepted_seconds_bucket{le="0.001"})"), 3);
    EXPECT_EQ(read.value(R"(ocgate_notify_accepted_seconds_bucket{le="30"})"), 3);
    EXPECT_EQ(read.value("ocgate_notify_accepted_seconds_count"), 4);
    EXPECT_NEAR(read.value("ocgate_notify_accepted_seconds_sum"), 40.0014, 1e-9);
}

TEST(NotifyMetrics, Targets) {
    auto f = figures();
    auto& phone = f.targets[0];
    phone.circuit = notify::Circuit::half_open;
    phone.disabled = "answered 401";
    phone.counts.sent = {1, 2, 3, 4};
    phone.counts.failed = {0, 5, 0, 0, 6, 0, 0};
    phone.counts.requests = 7;
    phone.counts.retried = 8;
    phone.counts.rejected = 9;
    phone.counts.dead = 10;
    phone.counts.ambiguous = 11;
    phone.counts.unable = 12;
    phone.counts.ended = 13;
    phone.counts.diverted = 14;
    phone.counts.opened = 15;
    f.no_room = {{"phone", 16}, {"gone", 1}};
    f.enqueued = {{"phone", 17}, {"gone", 1}};
    f.queues = {{.target = "gone", .queued = 99},
                {.target = "phone", .queued = 3, .leased = 1, .sent = 500, .oldest_live_ms = 1'799'999'940'500}};
    f.store = {.durable = true, .wanted = true, .failures = 2, .moved_aside = 1};
    auto const read = scrape(f);
    auto const of_phone = [&](std::string const& name, std::string const& more = {}) {
        return read.value("ocgate_notify_" + name + "{target=\"phone\"" + more + "}");
    };
    EXPECT_EQ(of_phone("sent_total", R"(,action="publish")"), 1);
    EXPECT_EQ(of_phone("sent_total", R"(,action="update")"), 2);
    EXPECT_EQ(of_phone("sent_total", R"(,action="remind")"), 3);
    EXPECT_EQ(of_phone("sent_total", R"(,action="clear")"), 4);
    EXPECT_EQ(of_phone("request_failures_total", R"(,step="resolve")"), 5);
    EXPECT_EQ(of_phone("request_failures_total", R"(,step="tls")"), 6);
    EXPECT_EQ(read.total("ocgate_notify_request_failures_total"), 11);
    EXPECT_EQ(of_phone("enqueued_total"), 17);
    EXPECT_EQ(of_phone("requests_total"), 7);
    EXPECT_EQ(of_phone("retried_total"), 8);
    EXPECT_EQ(of_phone("rejected_total"), 9);
    EXPECT_EQ(of_phone("dead_total"), 10);
    EXPECT_EQ(of_phone("dropped_total", R"(,reason="ambiguous")"), 11);
    EXPECT_EQ(of_phone("dropped_total", R"(,reason="unable")"), 12);
    EXPECT_EQ(of_phone("dropped_total", R"(,reason="ended")"), 13);
    EXPECT_EQ(of_phone("dropped_total", R"(,reason="limit")"), 16);
    EXPECT_EQ(of_phone("diverted_total"), 14);
    EXPECT_EQ(of_phone("breaker_opened_total"), 15);
    EXPECT_EQ(of_phone("queued"), 4);
    EXPECT_EQ(of_phone("oldest_queued_seconds"), 59.5);
    EXPECT_EQ(of_phone("breaker", R"(,state="closed")"), 0);
    EXPECT_EQ(of_phone("breaker", R"(,state="half_open")"), 1);
    EXPECT_EQ(of_phone("target_disabled"), 1);
    EXPECT_EQ(read.value(R"(ocgate_notify_breaker{target="team",state="closed"})"), 1);
    EXPECT_EQ(read.value(R"(ocgate_notify_queued{target="team"})"), 0);
    EXPECT_EQ(read.value("ocgate_notify_store_durable"), 1);
    EXPECT_EQ(read.value("ocgate_notify_store_failures_total"), 2);
    EXPECT_EQ(read.value("ocgate_notify_store_moved_aside_total"), 1);
    for (auto const& [series, value] : read.samples) EXPECT_EQ(series.find("gone"), std::string::npos) << series;
}

TEST(NotifyMetrics, TheSeriesOfATargetAreBounded) {
    auto f = figures();
    for (auto& t : f.targets) {
        t.counts.failed.fill(1);
        t.circuit = notify::Circuit::open;
    }
    auto const two = scrape(f).samples.size();
    f.targets.resize(1);
    auto const one = scrape(f).samples.size();
    RecordProperty("series_of_a_target", static_cast<int>(two - one));
    // Sent, failed requests, dropped; one for each of enqueued, requests, retried, rejected, dead, diverted and the
    // breaker's openings; its queue, its breaker's state, whether it is disabled.
    EXPECT_EQ(two - one, 4 + 7 + 4 + 7 + 2 + 3 + 1U);
}

TEST(EventTally, TenThousandTypesAreACountedFew) {
    EventTally tally;
    std::mt19937 random(4);
    auto const kinds = {Taken::read, Taken::skipped, Taken::unknown};
    tally.count("session.idle", Taken::read);
    for (int i = 0; i < 10'000; ++i) {
        std::string type = "t" + std::to_string(i) + '.' + std::to_string(random() % 1000);
        tally.count(type, *(kinds.begin() + i % 3));
    }
    tally.count("session.idle", Taken::read);
    EXPECT_THAT(tally.types(), SizeIs(EventTally::max_types + 1));
    EXPECT_EQ(tally.types().at("session.idle")[0], 2U);
    std::uint64_t others = 0;
    for (auto const n : tally.types().at("other")) others += n;
    EXPECT_EQ(others, 10'000 - (EventTally::max_types - 1));

    NotifyFigures f;
    f.events = tally;
    auto const read = scrape(f);
    EXPECT_EQ(read.total("ocgate_tap_events_total"), 10'002);
    std::size_t series = 0;
    for (auto const& [name, value] : read.samples) series += name.starts_with("ocgate_tap_events_total") ? 1 : 0;
    EXPECT_LE(series, 3 * (EventTally::max_types + 1));
}

TEST(EventTally, WhatIsNoPlainNameIsOther) {
    EventTally tally;
    for (std::string const type : {"", "a b", "a\"b", "caf\xC3\xA9", "a\n", "{}", "<script>"}) {
        tally.count(type, Taken::unknown);
    }
    tally.count(std::string(65, 'a'), Taken::unknown);
    EXPECT_THAT(tally.types(), ElementsAre(Key("other")));
    EXPECT_EQ(tally.types().at("other")[2], 8U);
    tally.count(std::string(64, 'a'), Taken::unknown);
    tally.count("Aa.9_-", Taken::read);
    tally.count("other", Taken::read);
    EXPECT_THAT(tally.types(), SizeIs(3));
    EXPECT_EQ(tally.types().at("other")[0], 1U);
}

}  // namespace
}  // namespace ocgate::app
