// Metrics of a few shards, and what they say when they are scraped.
#pragma once

#include <gmock/gmock.h>

#include "counters.hpp"
#include "ocgate/ops/metrics.hpp"
#include "support/exposition.hpp"

namespace ocgate::ops {

inline std::uint16_t no_route(std::string_view, std::string_view) noexcept { return 0; }

inline MetricsOptions options(unsigned shards = 2) {
    MetricsOptions o;
    o.version = "1.2.3-test\"\\";
    o.shards = shards;
    // Two methods of one path are two routes of one name.
    o.routes = {&no_route, {"ui", "/session", "/session/{id}", "/session"}};
    o.auth_results = {"admitted", "denied"};
    o.throttled = [] { return std::size_t{17}; };
    return o;
}

struct Kit {
    explicit Kit(unsigned shards = 2) : metrics(options(shards)) {}
    [[nodiscard]] test::Scrape scrape() const {
        auto read = test::read_exposition(metrics.exposition(health, log));
        EXPECT_THAT(read.complaints, testing::IsEmpty());
        return read;
    }
    proxy::Recorder& shard(unsigned i) { return metrics.recorder(i, log); }

    Log log{{.level = LogLevel::off}};
    Health health;
    Metrics metrics;
};

inline proxy::ExchangeRecord record(std::string_view method, std::uint16_t route, unsigned status,
                                    rt::Duration took = std::chrono::milliseconds(3)) {
    proxy::ExchangeRecord r;
    r.method = method;
    r.route = route;
    r.status = status;
    r.duration = took;
    r.first_byte = took;
    r.request_bytes = 10;
    r.response_bytes = 100;
    return r;
}

inline void request(proxy::Recorder& recorder, proxy::ExchangeRecord const& r) {
    recorder.request_started();
    recorder.finished(r);
}

}  // namespace ocgate::ops
