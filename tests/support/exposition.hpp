// A strict reader of Prometheus' text format 0.0.4: more than Prometheus itself insists on, so that what passes here is
// understood everywhere.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ocgate::test {

struct Scrape {
    struct Family {
        std::string type;
        std::string help;
    };
    std::map<std::string, Family> families;
    std::map<std::string, double> samples;  ///< by series as written, `name{a="b"}`
    std::vector<std::string> complaints;

    [[nodiscard]] double value(std::string const& series) const {
        auto const found = samples.find(series);
        return found == samples.end() ? -1 : found->second;
    }
    /// The sum of all series of a metric.
    [[nodiscard]] double total(std::string_view name) const;
};

Scrape read_exposition(std::string const& text);

}  // namespace ocgate::test
