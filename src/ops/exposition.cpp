#include "ocgate/ops/exposition.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <sstream>
#include <vector>

namespace ocgate::ops {

using prometheus::ClientMetric;
using prometheus::MetricType;

struct Exposition::Inside {
    void begin(MetricType type, char const* name, char const* help) { families.push_back({name, help, type, {}}); }
    ClientMetric& add(Labels labels) {
        auto& metric = families.back().metric.emplace_back();
        for (auto const& label : labels) metric.label.push_back({std::string(label.name), std::string(label.value)});
        return metric;
    }

    std::vector<prometheus::MetricFamily> families;
};

Exposition::Exposition() : inside_(std::make_unique<Inside>()) {}
Exposition::~Exposition() = default;

Exposition& Exposition::counter(char const* name, char const* help) {
    inside_->begin(MetricType::Counter, name, help);
    return *this;
}

Exposition& Exposition::gauge(char const* name, char const* help) {
    inside_->begin(MetricType::Gauge, name, help);
    return *this;
}

Exposition& Exposition::histogram(char const* name, char const* help) {
    inside_->begin(MetricType::Histogram, name, help);
    return *this;
}

Exposition& Exposition::value(double value, Labels labels) {
    bool const counts = inside_->families.back().type == MetricType::Counter;
    auto& metric = inside_->add(labels);
    (counts ? metric.counter.value : metric.gauge.value) = value;
    return *this;
}

Exposition& Exposition::buckets(std::span<std::uint64_t const> counts, std::span<double const> bounds, double sum,
                                Labels labels) {
    auto& histogram = inside_->add(labels).histogram;
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        below += counts[i];
        auto const bound = i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity();
        histogram.bucket.push_back({below, bound});
    }
    histogram.sample_count = below;  // of the buckets, so that the two always agree
    histogram.sample_sum = sum;
    return *this;
}

std::string Exposition::text() const {
    std::ostringstream out;
    prometheus::TextSerializer{}.Serialize(out, inside_->families);
    return std::move(out).str();
}

}  // namespace ocgate::ops
