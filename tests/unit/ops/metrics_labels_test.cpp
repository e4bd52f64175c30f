#include <set>

#include "metrics_kit.hpp"

namespace ocgate::ops {
namespace {

std::set<std::string> series_of(test::Scrape const& read) {
    std::set<std::string> series;
    for (auto const& [name, value] : read.samples) series.insert(name);
    return series;
}

TEST(MetricsLabels, WhatOthersChooseCannotMakeNewLabels) {
    Kit kit(1);
    for (auto const* method : {"BREW", "get", "PROPFIND", "", "GET\nevil"})
        request(kit.shard(0), record(method, 0, 200));
    request(kit.shard(0), record("GET", 9999, 200));
    for (unsigned status = 0; status < 1200; ++status) request(kit.shard(0), record("GET", 2, status));
    auto const read = kit.scrape();
    EXPECT_EQ(read.value(R"(ocgate_http_requests_total{route="ui",method="other",code="200"})"), 5);
    EXPECT_EQ(read.value(R"(ocgate_http_requests_total{route="ui",method="GET",code="200"})"), 1);
    std::set<std::string> series;
    for (auto const& [name, value] : read.samples) {
        if (name.starts_with("ocgate_http_requests_total{route=\"/session/{id}\"")) series.insert(name);
    }
    EXPECT_LE(series.size(), StatusCounters::slots + StatusCounters::classes.size());
    EXPECT_EQ(read.total("ocgate_http_requests_total"), 1206);
    EXPECT_EQ(read.value(R"(ocgate_http_requests_total{route="/session/{id}",method="GET",code="5xx"})"), 100);
    // 1 to 99 and 600 to 1199; 0 is a client that left.
    EXPECT_EQ(read.value(R"(ocgate_http_requests_total{route="/session/{id}",method="GET",code="other"})"), 699);
}

TEST(MetricsLabels, EachMethodHasItsLabel) {
    Kit kit(1);
    for (auto const method : method_labels) request(kit.shard(0), record(method, 1, 200));
    auto const read = kit.scrape();
    for (auto const method : method_labels) {
        EXPECT_EQ(read.value("ocgate_http_requests_total{route=\"/session\",method=\"" + std::string(method) +
                             "\",code=\"200\"}"),
                  1);
    }
}

TEST(MetricsLabels, AnyFailureHasALabel) {
    Kit kit(1);
    for (std::size_t side = 0; side < sides; ++side) {
        for (std::size_t step = 0; step < steps; ++step) {
            for (std::size_t reason = 1; reason < reasons; ++reason) {
                kit.shard(0).failed({static_cast<Side>(side), static_cast<Step>(step), static_cast<Reason>(reason)},
                                    "");
            }
        }
    }
    auto const read = kit.scrape();
    EXPECT_EQ(read.total("ocgate_errors_total"), sides * steps * (reasons - 1));
    EXPECT_EQ(read.value(R"(ocgate_errors_total{side="upstream",step="tunnel",reason="bad_upgrade"})"), 1);
}

/// As many routes as the bound is stated for.
struct ManyRoutes {
    ManyRoutes() {
        for (int i = 0; i < 168; ++i) given.routes.names.push_back("/route/" + std::to_string(i));
        // Beside them there are `other` for refused heads, and one to spare.
    }
    [[nodiscard]] test::Scrape scrape(Metrics const& metrics) const {
        auto read = test::read_exposition(metrics.exposition(health, log));
        EXPECT_THAT(read.complaints, testing::IsEmpty());
        return read;
    }

    MetricsOptions given = [] {
        auto o = options(1);
        o.routes.names.clear();
        return o;
    }();
    Log log{{.level = LogLevel::off}};
    Health health;
};

TEST(MetricsLabels, EverythingAtOnceStaysWithinTheBound) {
    ManyRoutes many;
    Metrics metrics(many.given);
    auto& shard = metrics.recorder(0, many.log);
    auto const idle = series_of(many.scrape(metrics));
    EXPECT_LE(idle.size(), 200u);
    double requests = 0;
    auto const all = [&](unsigned from, unsigned to) {
        for (std::uint16_t route = 0; route < many.given.routes.names.size(); ++route) {
            for (auto const method : method_labels) {
                for (unsigned status = from; status < to; status += 7, ++requests) {
                    request(shard, record(method, route, status));
                }
            }
        }
    };
    all(200, 400);
    for (auto const kind : {proxy::StreamKind::event_stream, proxy::StreamKind::websocket}) {
        for (std::size_t reason = 0; reason < reasons; ++reason) {
            shard.stream_opened(kind);
            shard.stream_closed(kind, static_cast<Reason>(reason), std::chrono::seconds(1));
        }
    }
    for (std::size_t side = 0; side < sides; ++side) {
        for (std::size_t step = 0; step < steps; ++step) {
            for (std::size_t reason = 1; reason < reasons; ++reason) {
                auto const why = static_cast<Reason>(reason);
                shard.refused({{static_cast<Side>(side), static_cast<Step>(step), why}, "a", "id", "BREW", 431, 1});
                ++requests;
            }
        }
    }
    auto const before = many.scrape(metrics);
    auto const known = series_of(before);
    EXPECT_LE(known.size(), max_traffic_series);
    EXPECT_GT(known.size(), max_traffic_series - 300) << "the bound says little";
    EXPECT_EQ(before.total("ocgate_http_requests_total"), requests) << "none is lost";

    // Whatever else comes is counted in what there is.
    all(300, 1000);
    auto const after = many.scrape(metrics);
    auto fresh = series_of(after);
    for (auto const& name : known) fresh.erase(name);
    EXPECT_LE(fresh.size(), StatusCounters::classes.size());
    for (auto const& name : fresh) EXPECT_THAT(name, testing::HasSubstr(R"({route="other",method="other",code=")"));
    EXPECT_LE(series_of(after).size(), max_traffic_series);
    EXPECT_EQ(after.total("ocgate_http_requests_total"), requests);
    for (auto const& [name, value] : before.samples) {
        if (!name.starts_with("ocgate_http_requests_total")) continue;
        EXPECT_GE(after.value(name), value) << name;
    }
}

TEST(MetricsLabels, WhoeverComesFirstKeepsItsSeries) {
    ManyRoutes many;
    Metrics metrics(many.given);
    auto& shard = metrics.recorder(0, many.log);
    request(shard, record("GET", 5, 200));
    (void)many.scrape(metrics);
    std::size_t made = 1;
    for (std::uint16_t route = 6; made < max_request_series; ++route) {
        for (auto const method : method_labels) {
            for (unsigned status = 200; status < 216 && made < max_request_series; ++status, ++made) {
                request(shard, record(method, route, status));
            }
        }
    }
    auto read = many.scrape(metrics);
    EXPECT_EQ(read.value(R"(ocgate_http_requests_total{route="other",method="other",code="2xx"})"), -1);
    request(shard, record("GET", 1, 200));
    request(shard, record("GET", 1, 404));
    request(shard, record("GET", 2, 0));
    request(shard, record("GET", 5, 200));
    read = many.scrape(metrics);
    EXPECT_EQ(read.value(R"(ocgate_http_requests_total{route="other",method="other",code="2xx"})"), 1);
    EXPECT_EQ(read.value(R"(ocgate_http_requests_total{route="other",method="other",code="4xx"})"), 2);
    EXPECT_EQ(read.value(R"(ocgate_http_requests_total{route="/route/5",method="GET",code="200"})"), 2);
    EXPECT_EQ(read.value(R"(ocgate_http_requests_total{route="/route/1",method="GET",code="200"})"), -1);
}

}  // namespace
}  // namespace ocgate::ops
