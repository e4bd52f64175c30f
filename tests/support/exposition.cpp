#include "support/exposition.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <sstream>

namespace ocgate::test {
namespace {

using Labels = std::map<std::string, std::string>;

double number(std::string const& text) {
    if (text == "+Inf" || text == "Inf") return std::numeric_limits<double>::infinity();
    std::size_t used = 0;
    auto const value = std::stod(text, &used);
    return used == text.size() ? value : std::nan("");
}

std::optional<std::string> after(std::string const& line, std::string_view start) {
    if (!line.starts_with(start)) return std::nullopt;
    return line.substr(start.size());
}

bool is_name(std::string_view name) {
    auto const fits = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == ':'; };
    return !name.empty() && !std::isdigit(static_cast<unsigned char>(name.front())) &&
           std::all_of(name.begin(), name.end(), fits);
}

/// `{a="b",c="d"}` or nothing; values may hold \\, \" and \n.
std::optional<Labels> read_labels(std::string_view text) {
    Labels labels;
    if (text.empty()) return labels;
    if (text.front() != '{' || text.back() != '}') return std::nullopt;
    text = text.substr(1, text.size() - 2);
    while (!text.empty()) {
        auto const equals = text.find("=\"");
        if (equals == std::string_view::npos || !is_name(text.substr(0, equals))) return std::nullopt;
        std::string const key(text.substr(0, equals));
        text.remove_prefix(equals + 2);
        std::string value;
        std::size_t i = 0;
        for (; i < text.size() && text[i] != '"'; ++i) {
            if (text[i] == '\\') {
                if (++i == text.size() || std::string_view("\\\"n").find(text[i]) == std::string_view::npos) {
                    return std::nullopt;
                }
            }
            value += text[i];
        }
        if (i == text.size() || !labels.emplace(key, value).second) return std::nullopt;
        text.remove_prefix(i + 1);
        if (text.empty()) break;
        if (text.front() != ',' || text.size() == 1) return std::nullopt;
        text.remove_prefix(1);
    }
    return labels;
}

/// One histogram, as its samples come.
struct Buckets {
    double bound = -1;
    double count = 0;
    double total = -1;
};

}  // namespace

double Scrape::total(std::string_view name) const {
    double sum = 0;
    for (auto const& [series, value] : samples) {
        if (series.substr(0, series.find('{')) == name) sum += value;
    }
    return sum;
}

Scrape read_exposition(std::string const& text) {
    Scrape read;
    std::string line;
    auto const complain = [&](std::string const& what) { read.complaints.push_back(what + ": " + line); };
    if (text.empty() || text.back() != '\n') complain("no newline at the end");

    std::string current;
    std::string announced;
    std::set<std::string> seen;
    std::map<std::string, Buckets> buckets;
    std::istringstream in(text);
    while (std::getline(in, line)) {
        if (auto rest = after(line, "# HELP ")) {
            auto const space = rest->find(' ');
            announced = rest->substr(0, space);
            current.clear();
            if (!is_name(announced) || space == std::string::npos) complain("HELP without name or text");
            if (read.families.count(announced)) complain("family twice");
            read.families[announced].help = space == std::string::npos ? "" : rest->substr(space + 1);
            continue;
        }
        if (auto rest = after(line, "# TYPE ")) {
            auto const space = std::min(rest->find(' '), rest->size() - 1);
            auto const type = rest->substr(space + 1);
            current = rest->substr(0, space);
            if (current != announced) complain("TYPE without its HELP before");
            if (type != "counter" && type != "gauge" && type != "histogram") complain("an unknown type");
            if (type == "counter" && !current.ends_with("_total")) complain("a counter without _total");
            read.families[current].type = type;
            continue;
        }
        auto const space = line.rfind(' ');
        if (line.empty() || line.front() == '#' || space == std::string::npos) {
            complain("not a sample");
            continue;
        }
        auto const series = line.substr(0, space);
        auto const brace = std::min(series.find('{'), series.size());
        auto const name = series.substr(0, brace);
        auto const value = number(line.substr(space + 1));
        auto const labels = read_labels(series.substr(brace));
        if (!is_name(name) || !labels) {
            complain("not a sample");
            continue;
        }
        if (current.empty()) {
            complain("a sample before HELP and TYPE");
            continue;
        }
        auto const& type = read.families[current].type;
        auto const suffix = name.starts_with(current) ? name.substr(current.size()) : "?";
        bool const is_bucket = suffix == "_bucket";
        bool const fits = type == "histogram" ? is_bucket || suffix == "_sum" || suffix == "_count" : suffix.empty();
        if (!fits) complain("a sample of another family");
        if (std::isnan(value) || (type != "gauge" && value < 0)) complain("no fit value");

        // Series are told apart by their labels, in whatever order.
        std::string whole = name;
        std::string of_histogram = current;
        for (auto const& [key, v] : *labels) {
            whole += ' ' + key + '=' + v;
            if (key != "le") of_histogram += ' ' + key + '=' + v;
        }
        if (!seen.insert(whole).second) complain("a series twice");
        read.samples[series] = value;

        if (is_bucket) {
            auto& b = buckets[of_histogram];
            auto const le = labels->find("le");
            auto const bound = le == labels->end() ? std::nan("") : number(le->second);
            if (!(bound > b.bound)) complain("buckets out of order");
            if (value < b.count) complain("buckets that shrink");
            b.bound = bound;
            b.count = value;
        } else if (suffix == "_count") {
            buckets[of_histogram].total = value;
        }
    }
    for (auto const& [histogram, b] : buckets) {
        line = histogram;
        if (!std::isinf(b.bound)) complain("a histogram without +Inf");
        if (b.total != b.count) complain("the last bucket is not the count");
    }
    return read;
}

}  // namespace ocgate::test
