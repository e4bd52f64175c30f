// A scenario whose shard is watched as the product's are: metrics that can be scraped, and an access log.
#pragma once

#include <nlohmann/json.hpp>

#include "messages.hpp"
#include "ocgate/opencode/routes.hpp"
#include "ocgate/ops/metrics.hpp"
#include "support/exposition.hpp"
#include "unit/ops/pipe_reader.hpp"

namespace ocgate::test {

struct Watched {
    explicit Watched(Scenario::Options given = {}, ops::LogOptions log_options = {})
        : log(std::in_place, log_options, pipe.writer()), s(with(std::move(given))) {}

    Scenario::Options with(Scenario::Options given) {
        given.recorder = &metrics.recorder(0, *log);
        return given;
    }
    [[nodiscard]] Scrape scrape() const {
        auto read = read_exposition(metrics.exposition(health, *log));
        EXPECT_THAT(read.complaints, IsEmpty());
        return read;
    }
    [[nodiscard]] double value(std::string const& series) const { return scrape().value(series); }
    /// All that was logged. Ends scenario and log.
    std::vector<std::string> lines() {
        if (!ended_) s.finish();
        ended_ = true;
        log.reset();
        pipe.close_writer();
        return pipe.rest();
    }
    std::vector<nlohmann::json> entries() {
        std::vector<nlohmann::json> all;
        for (auto const& line : lines()) all.push_back(nlohmann::json::parse(line));
        return all;
    }

    ops::PipeReader pipe;
    ops::Health health;
    ops::Metrics metrics{{.version = "watched",
                          .shards = 1,
                          .routes = {&opencode::route_of, opencode::route_names()},
                          .auth_results = {},
                          .clock = nullptr}};
    std::optional<ops::Log> log;
    Scenario s;

private:
    bool ended_ = false;
};

}  // namespace ocgate::test
