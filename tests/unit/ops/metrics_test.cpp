#include "ocgate/ops/metrics.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>

#include <thread>

#include "metrics_kit.hpp"
#include "pipe_reader.hpp"

namespace ocgate::ops {
namespace {

using namespace std::chrono_literals;
using proxy::StreamKind;
using test::read_exposition;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(Metrics, EveryFamilyIsThereFromTheBeginning) {
    Kit kit;
    auto const read = kit.scrape();
    std::map<std::string, std::string> types;
    for (auto const& [name, family] : read.families) types[name] = family.type;
    EXPECT_THAT(types, testing::ElementsAreArray(std::map<std::string, std::string>{
                           {"ocgate_auth_requests_total", "counter"},
                           {"ocgate_auth_throttled", "gauge"},
                           {"ocgate_backpressure_seconds_total", "counter"},
                           {"ocgate_build_info", "gauge"},
                           {"ocgate_bytes_total", "counter"},
                           {"ocgate_config_last_reload_success_timestamp_seconds", "gauge"},
                           {"ocgate_config_last_reload_successful", "gauge"},
                           {"ocgate_config_reloads_total", "counter"},
                           {"ocgate_connections_total", "counter"},
                           {"ocgate_draining", "gauge"},
                           {"ocgate_errors_total", "counter"},
                           {"ocgate_http_request_duration_seconds", "histogram"},
                           {"ocgate_http_request_size_bytes", "histogram"},
                           {"ocgate_http_requests_in_flight", "gauge"},
                           {"ocgate_http_outcomes_total", "counter"},
                           {"ocgate_http_requests_total", "counter"},
                           {"ocgate_http_response_size_bytes", "histogram"},
                           {"ocgate_http_time_to_first_byte_seconds", "histogram"},
                           {"ocgate_log_lines_dropped_total", "counter"},
                           {"ocgate_log_lines_sampled_out_total", "counter"},
                           {"ocgate_open_connections", "gauge"},
                           {"ocgate_stream_bytes_total", "counter"},
                           {"ocgate_stream_closed_total", "counter"},
                           {"ocgate_stream_duration_seconds", "histogram"},
                           {"ocgate_streams_open", "gauge"},
                           {"ocgate_upstream_connections_total", "counter"},
                           {"ocgate_upstream_idle_connections", "gauge"},
                           {"ocgate_upstream_probe_duration_seconds", "histogram"},
                           {"ocgate_upstream_probes_total", "counter"},
                           {"ocgate_upstream_requests_total", "counter"},
                           {"ocgate_upstream_up", "gauge"},
                           {"process_cpu_seconds_total", "counter"},
                           {"process_max_fds", "gauge"},
                           {"process_open_fds", "gauge"},
                           {"process_resident_memory_bytes", "gauge"},
                           {"process_start_time_seconds", "gauge"},
                           {"process_threads", "gauge"},
                           {"process_virtual_memory_bytes", "gauge"},
                       }));
    for (auto const& [name, family] : read.families) EXPECT_FALSE(family.help.empty()) << name;
    EXPECT_EQ(read.total("ocgate_build_info"), 1);
    EXPECT_EQ(read.total("ocgate_http_requests_total"), 0);
}

TEST(Metrics, WhatAlertsLookAtIsThereBeforeItHappens) {
    Kit kit;
    auto const read = kit.scrape();
    for (auto const* series : {
             R"(ocgate_stream_closed_total{kind="event_stream",reason="stalled"})",
             R"(ocgate_stream_closed_total{kind="event_stream",reason="none"})",
             R"(ocgate_stream_closed_total{kind="websocket",reason="none"})",
             R"(ocgate_http_outcomes_total{outcome="served"})",
             R"(ocgate_http_outcomes_total{outcome="unserved"})",
             R"(ocgate_errors_total{side="upstream",step="dial",reason="refused"})",
             R"(ocgate_errors_total{side="upstream",step="dial",reason="timed_out"})",
             R"(ocgate_errors_total{side="upstream",step="response_head",reason="timed_out"})",
             R"(ocgate_errors_total{side="upstream",step="response_head",reason="cut_short"})",
             R"(ocgate_errors_total{side="client",step="event_stream",reason="stalled"})",
             R"(ocgate_errors_total{side="gateway",step="accept",reason="too_many"})",
             R"(ocgate_upstream_requests_total{result="answered"})",
             R"(ocgate_upstream_requests_total{result="failed"})",
             R"(ocgate_upstream_requests_total{result="retried"})",
             R"(ocgate_backpressure_seconds_total{side="client"})",
             R"(ocgate_stream_bytes_total{kind="event_stream",direction="to_client"})",
             R"(ocgate_auth_requests_total{result="denied"})",
             R"(ocgate_upstream_probe_duration_seconds_count)",
             R"(ocgate_log_lines_sampled_out_total)",
         }) {
        EXPECT_EQ(read.value(series), 0) << series;
    }
}

TEST(Metrics, RequestsOfAllShardsAreOneSeries) {
    Kit kit;
    request(kit.shard(0), record("GET", 1, 200));
    request(kit.shard(1), record("GET", 1, 200));
    request(kit.shard(1), record("GET", 3, 200));  // another number, the same template
    request(kit.shard(1), record("POST", 2, 404));
    kit.shard(0).request_started();
    auto const read = kit.scrape();
    EXPECT_EQ(read.value(R"(ocgate_http_requests_total{route="/session",method="GET",code="200"})"), 3);
    EXPECT_EQ(read.value(R"(ocgate_http_requests_total{route="/session/{id}",method="POST",code="404"})"), 1);
    EXPECT_EQ(read.total("ocgate_http_requests_total"), 4);
    EXPECT_EQ(read.value("ocgate_http_requests_in_flight"), 1);
    EXPECT_EQ(read.value("ocgate_http_request_size_bytes_sum"), 40);
    EXPECT_EQ(read.value("ocgate_http_request_size_bytes_count"), 4);
    EXPECT_EQ(read.value("ocgate_http_response_size_bytes_sum"), 400);
    EXPECT_EQ(read.value("ocgate_http_time_to_first_byte_seconds_count"), 4);
    EXPECT_EQ(read.value(R"(ocgate_http_request_duration_seconds_count{route="/session"})"), 3);
}

TEST(Metrics, WhatCouldNotBeServedIsTold) {
    Kit kit;
    for (unsigned const status : {200U, 204U, 401U, 404U, 429U, 500U, 501U})
        request(kit.shard(0), record("GET", 1, status));
    for (unsigned const status : {502U, 503U, 504U}) request(kit.shard(1), record("POST", 2, status));
    auto const read = kit.scrape();
    EXPECT_EQ(read.value(R"(ocgate_http_outcomes_total{outcome="served"})"), 7);
    EXPECT_EQ(read.value(R"(ocgate_http_outcomes_total{outcome="unserved"})"), 3);
}

TEST(Metrics, AClientThatLeftIs499) {
    Kit kit;
    auto left = record("GET", 1, 0);
    left.failed = true;
    left.failure = {Side::client, Step::response_head, Reason::gone};
    request(kit.shard(0), left);
    auto const read = kit.scrape();
    EXPECT_EQ(read.value(R"(ocgate_http_requests_total{route="/session",method="GET",code="499"})"), 1);
    EXPECT_EQ(read.value(R"(ocgate_errors_total{side="client",step="response_head",reason="gone"})"), 1);
}

TEST(Metrics, RefusedHeadsAreRequestsOfNoRoute) {
    Kit kit;
    proxy::RefusedHead head{{Side::client, Step::request_head, Reason::head_too_large}, "a", "id", "", 431, 100};
    kit.shard(0).refused(head);
    kit.shard(1).refused(head);
    head = {{Side::gateway, Step::accept, Reason::too_many}, "a", "id", "GET", 503, 50};
    kit.shard(1).refused(head);
    auto const read = kit.scrape();
    EXPECT_EQ(read.value(R"(ocgate_http_requests_total{route="other",method="other",code="431"})"), 2);
    EXPECT_EQ(read.value(R"(ocgate_http_requests_total{route="other",method="GET",code="503"})"), 1);
    EXPECT_EQ(read.total("ocgate_http_requests_total"), 3);
    EXPECT_EQ(read.total("ocgate_errors_total"), 3);
    EXPECT_EQ(read.value("ocgate_http_requests_in_flight"), 0);
    EXPECT_EQ(read.value("ocgate_http_response_size_bytes_sum"), 250);
    EXPECT_EQ(read.value(R"(ocgate_http_request_size_bytes_bucket{le="0"})"), 3);
    EXPECT_EQ(read.total("ocgate_http_request_duration_seconds_count"), 0);
}

TEST(Metrics, DurationsFallIntoTheirBuckets) {
    Kit kit;
    // A bound belongs to its own bucket.
    for (auto const took : {0ms, 1ms}) request(kit.shard(0), record("GET", 1, 200, took));
    request(kit.shard(1), record("GET", 1, 200, 1ms + 1ns));
    request(kit.shard(1), record("GET", 1, 200, 60s));
    request(kit.shard(1), record("GET", 1, 200, 61s));
    request(kit.shard(1), record("GET", 1, 200, -5ms));
    auto const read = kit.scrape();
    auto const bucket = [&](std::string const& le) {
        return read.value("ocgate_http_request_duration_seconds_bucket{route=\"/session\",le=\"" + le + "\"}");
    };
    EXPECT_EQ(bucket("0.001"), 3);
    EXPECT_EQ(bucket("0.002"), 4);
    EXPECT_EQ(bucket("45"), 4);
    EXPECT_EQ(bucket("60"), 5);
    EXPECT_EQ(bucket("+Inf"), 6);
    EXPECT_NEAR(read.value(R"(ocgate_http_request_duration_seconds_sum{route="/session"})"), 121.002, 1e-6);
}

TEST(Metrics, StreamsHaveTheirOwnHistogram) {
    Kit kit;
    auto& shard = kit.shard(1);
    auto stream = record("GET", 1, 200, 3h);
    stream.stream = true;
    stream.kind = StreamKind::event_stream;
    shard.request_started();
    shard.stream_opened(StreamKind::event_stream);
    shard.stream_opened(StreamKind::websocket);
    EXPECT_EQ(kit.scrape().value(R"(ocgate_streams_open{kind="event_stream"})"), 1);
    EXPECT_EQ(kit.scrape().value("ocgate_http_requests_in_flight"), 1);
    shard.stream_closed(StreamKind::event_stream, Reason::stalled, 3h);
    shard.finished(stream);
    kit.shard(0).stream_opened(StreamKind::event_stream);
    kit.shard(0).stream_closed(StreamKind::event_stream, Reason{}, 2s);
    auto const read = kit.scrape();
    EXPECT_EQ(read.value(R"(ocgate_streams_open{kind="event_stream"})"), 0);
    EXPECT_EQ(read.value(R"(ocgate_streams_open{kind="websocket"})"), 1);
    EXPECT_EQ(read.value(R"(ocgate_stream_closed_total{kind="event_stream",reason="stalled"})"), 1);
    EXPECT_EQ(read.value(R"(ocgate_stream_closed_total{kind="event_stream",reason="none"})"), 1);
    EXPECT_EQ(read.value(R"(ocgate_stream_duration_seconds_bucket{kind="event_stream",le="3600"})"), 1);
    EXPECT_EQ(read.value(R"(ocgate_stream_duration_seconds_bucket{kind="event_stream",le="14400"})"), 2);
    EXPECT_EQ(read.value(R"(ocgate_http_requests_total{route="/session",method="GET",code="200"})"), 1);
    EXPECT_EQ(read.total("ocgate_http_request_duration_seconds_count"), 0);
    EXPECT_EQ(read.value("ocgate_http_time_to_first_byte_seconds_count"), 0);
    EXPECT_EQ(read.value("ocgate_http_request_size_bytes_count"), 0);
    EXPECT_EQ(read.value("ocgate_http_response_size_bytes_count"), 0);
}

TEST(Metrics, SizesFallIntoTheirBuckets) {
    Kit kit;
    for (std::uint64_t const size : {0ull, 1ull, 256ull, 257ull, 1ull << 28, (1ull << 28) + 1}) {
        auto r = record("GET", 1, 200);
        r.request_bytes = 0;
        r.response_bytes = size;
        request(kit.shard(size % 2), r);
    }
    auto const read = kit.scrape();
    auto const bucket = [&](std::string const& le) {
        return read.value("ocgate_http_response_size_bytes_bucket{le=\"" + le + "\"}");
    };
    EXPECT_EQ(bucket("0"), 1);
    EXPECT_EQ(bucket("256"), 3);
    EXPECT_EQ(bucket("1024"), 4);
    EXPECT_EQ(bucket("268435456"), 5);
    EXPECT_EQ(bucket("+Inf"), 6);
    EXPECT_EQ(read.value("ocgate_http_response_size_bytes_sum"), 0 + 1 + 256 + 257 + 2.0 * (1 << 28) + 1);
    EXPECT_EQ(read.value(R"(ocgate_http_request_size_bytes_bucket{le="0"})"), 6);
}

TEST(Metrics, WhatIsCountedInPlaceIsReadWhileItGoesOn) {
    Kit kit;
    for (unsigned i = 0; i < 2; ++i) {
        auto& live = kit.shard(i).live();
        EXPECT_EQ(&live, &kit.shard(i).live());
        live.event_stream.to_client.add(10 + i);
        live.websocket.to_client.add(20 + i);
        live.websocket.to_upstream.add(30 + i);
        live.client.waited_ns.add(1'500'000'000);
        live.upstream.waited_ns.add(250'000'000);
        live.idle_upstreams.set(3 + i);
        live.answered.add(5);
        live.failed.add();
        live.retried.add(2);
    }
    auto const read = kit.scrape();
    EXPECT_EQ(read.value(R"(ocgate_stream_bytes_total{kind="event_stream",direction="to_client"})"), 21);
    EXPECT_EQ(read.value(R"(ocgate_stream_bytes_total{kind="websocket",direction="to_client"})"), 41);
    EXPECT_EQ(read.value(R"(ocgate_stream_bytes_total{kind="websocket",direction="to_upstream"})"), 61);
    EXPECT_EQ(read.value(R"(ocgate_backpressure_seconds_total{side="client"})"), 3);
    EXPECT_EQ(read.value(R"(ocgate_backpressure_seconds_total{side="upstream"})"), 0.5);
    EXPECT_EQ(read.value("ocgate_upstream_idle_connections"), 7);
    EXPECT_EQ(read.value(R"(ocgate_upstream_requests_total{result="answered"})"), 10);
    EXPECT_EQ(read.value(R"(ocgate_upstream_requests_total{result="failed"})"), 2);
    EXPECT_EQ(read.value(R"(ocgate_upstream_requests_total{result="retried"})"), 4);
}

TEST(Metrics, ConnectionsBytesAndDialsOfBothSides) {
    Kit kit;
    kit.shard(0).connection_opened(Side::client);
    kit.shard(0).connection_opened(Side::client);
    kit.shard(0).connection_closed(Side::client);
    kit.shard(1).connection_opened(Side::upstream);
    kit.shard(0).live().client.received.add(5);
    kit.shard(0).live().client.sent.add(7);
    kit.shard(1).live().client.received.add(1);
    kit.shard(1).live().client.sent.add(2);
    kit.shard(1).live().upstream.sent.add(4);
    kit.shard(0).upstream_dialed(true, true);
    kit.shard(0).upstream_dialed(false, true);
    kit.shard(1).upstream_dialed(false, false);
    auto const read = kit.scrape();
    EXPECT_EQ(read.value(R"(ocgate_open_connections{side="client"})"), 1);
    EXPECT_EQ(read.value(R"(ocgate_open_connections{side="upstream"})"), 1);
    EXPECT_EQ(read.value(R"(ocgate_connections_total{side="client"})"), 2);
    EXPECT_EQ(read.value(R"(ocgate_bytes_total{side="client",direction="received"})"), 6);
    EXPECT_EQ(read.value(R"(ocgate_bytes_total{side="client",direction="sent"})"), 9);
    EXPECT_EQ(read.value(R"(ocgate_bytes_total{side="upstream",direction="sent"})"), 4);
    for (auto const* result : {"dialed", "reused", "failed"}) {
        EXPECT_EQ(read.value("ocgate_upstream_connections_total{result=\"" + std::string(result) + "\"}"), 1);
    }
}

TEST(Metrics, WhatTheGatewayTellsOfItself) {
    Kit kit;
    kit.metrics.auth_decided(1);
    kit.metrics.auth_decided(1);
    kit.metrics.auth_decided(17);  // nobody's label
    kit.metrics.probed(true, 1500ms);
    kit.metrics.probed(false, 10s);
    auto read = kit.scrape();
    EXPECT_EQ(read.value(R"(ocgate_auth_requests_total{result="denied"})"), 2);
    EXPECT_EQ(read.value(R"(ocgate_auth_requests_total{result="admitted"})"), 0);
    EXPECT_EQ(read.value("ocgate_upstream_probe_duration_seconds_sum"), 11.5);
    EXPECT_EQ(read.value(R"(ocgate_upstream_probe_duration_seconds_bucket{le="2.5"})"), 1);
    EXPECT_EQ(read.value("ocgate_upstream_probe_duration_seconds_count"), 2);
    EXPECT_EQ(read.value("ocgate_auth_throttled"), 17);
    EXPECT_EQ(read.value(R"(ocgate_upstream_probes_total{result="up"})"), 1);
    EXPECT_EQ(read.value(R"(ocgate_upstream_probes_total{result="down"})"), 1);
    EXPECT_EQ(read.value("ocgate_config_last_reload_successful"), 1);
    EXPECT_EQ(read.value("ocgate_upstream_up"), 0);
    EXPECT_EQ(read.value("ocgate_draining"), 0);
    auto const loaded = read.value("ocgate_config_last_reload_success_timestamp_seconds");
    EXPECT_GT(loaded, 1.7e9);

    kit.metrics.reloaded(false);
    kit.health.set_upstream({.known = true, .up = true, .version = "1", .reason = {}, .took = {}});
    kit.health.enter(Phase::draining);
    read = kit.scrape();
    EXPECT_EQ(read.value("ocgate_config_last_reload_successful"), 0);
    EXPECT_EQ(read.value("ocgate_config_last_reload_success_timestamp_seconds"), loaded);
    EXPECT_EQ(read.value("ocgate_upstream_up"), 1);
    EXPECT_EQ(read.value("ocgate_draining"), 1);
    kit.metrics.reloaded(true);
    read = kit.scrape();
    EXPECT_EQ(read.value("ocgate_config_last_reload_successful"), 1);
    EXPECT_GE(read.value("ocgate_config_last_reload_success_timestamp_seconds"), loaded);
    EXPECT_EQ(read.value(R"(ocgate_config_reloads_total{result="success"})"), 1);
    EXPECT_EQ(read.value(R"(ocgate_config_reloads_total{result="failure"})"), 1);
}

TEST(Metrics, TheProcessIsThisOne) {
    Kit kit;
    auto const before = kit.scrape();
    EXPECT_GT(before.value("process_resident_memory_bytes"), 1e6);
    EXPECT_GE(before.value("process_virtual_memory_bytes"), before.value("process_resident_memory_bytes"));
    EXPECT_GE(before.value("process_threads"), 2);
    auto const now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    EXPECT_NEAR(before.value("process_start_time_seconds"), now, 600);
    EXPECT_GT(before.value("process_max_fds"), before.value("process_open_fds"));
    PipeReader two_more;
    EXPECT_EQ(kit.scrape().value("process_open_fds"), before.value("process_open_fds") + 2);
}

TEST(Metrics, LostLogLinesAreTold) {
    Kit kit;
    PipeReader pipe;
    pipe.close_reader();
    Log log({}, pipe.writer());
    log.app(LogLevel::info, "lost", {});
    auto const until = std::chrono::steady_clock::now() + 10s;
    while (log.dropped() == 0 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    EXPECT_EQ(read_exposition(kit.metrics.exposition(kit.health, log)).value("ocgate_log_lines_dropped_total"), 1);
}

TEST(Metrics, OthersMayAddFamilies) {
    Kit kit;
    auto const more = [](Exposition& out) { out.counter("ocgate_more_total", "More.").value(7.0); };
    auto const read = read_exposition(kit.metrics.exposition(kit.health, kit.log, more));
    EXPECT_THAT(read.complaints, IsEmpty());
    EXPECT_EQ(read.value("ocgate_more_total"), 7);
    EXPECT_EQ(read.families.size(), kit.scrape().families.size() + 1);
}

TEST(Metrics, ShardsCountWhileTheyAreScraped) {
    constexpr unsigned each = 20'000;
    Kit kit;
    std::array<proxy::Recorder*, 2> const recorders{&kit.shard(0), &kit.shard(1)};
    std::vector<std::jthread> shards;
    for (auto* recorder : recorders) {
        shards.emplace_back([recorder] {
            for (unsigned i = 0; i < each; ++i) {
                recorder->connection_opened(Side::client);
                recorder->request_started();
                auto const route = static_cast<std::uint16_t>(i % 4);
                recorder->finished(record(method_labels[i % 8], route, 200 + i % 40, std::chrono::microseconds(i)));
                recorder->connection_closed(Side::client);
            }
        });
    }
    double last = 0;
    for (int i = 0; i < 20; ++i) {
        auto const read = kit.scrape();
        auto const total = read.total("ocgate_http_requests_total");
        EXPECT_GE(total, last);
        EXPECT_GE(read.value("ocgate_http_requests_in_flight"), 0);
        last = total;
    }
    shards.clear();
    auto const read = kit.scrape();
    EXPECT_EQ(read.total("ocgate_http_requests_total"), 2 * each);
    EXPECT_EQ(read.total("ocgate_http_request_duration_seconds_count"), 2 * each);
    EXPECT_EQ(read.value("ocgate_http_requests_in_flight"), 0);
    EXPECT_EQ(read.value(R"(ocgate_connections_total{side="client"})"), 2 * each);
}

}  // namespace
}  // namespace ocgate::ops
