// The text that a scrape answers (Prometheus' text format 0.0.4), family by family. Knows the format, and nobody's
// figures. prometheus-cpp writes it out; its types stay inside.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace ocgate::ops {

/// Families come out in the order they are begun, and samples belong to the last one begun. What is the caller's to
/// keep: a name is begun once, a series stands once in its family, and the values of a label are a bounded set. Names
/// and helps are literals; the values of labels are copied and may be any text.
class Exposition {
public:
    struct Label {
        std::string_view name, value;
    };
    using Labels = std::initializer_list<Label>;

    Exposition();
    ~Exposition();
    Exposition(Exposition const&) = delete;
    Exposition& operator=(Exposition const&) = delete;

    /// By convention its name ends in `_total`.
    Exposition& counter(char const* name, char const* help);
    Exposition& gauge(char const* name, char const* help);
    Exposition& histogram(char const* name, char const* help);

    /// One sample of a counter or gauge.
    Exposition& value(double value, Labels labels = {});
    Exposition& value(std::uint64_t count, Labels labels = {}) { return value(static_cast<double>(count), labels); }
    /// One histogram. `counts` are of each bucket by itself, the last of them beyond all `bounds`: one more than those.
    Exposition& buckets(std::span<std::uint64_t const> counts, std::span<double const> bounds, double sum,
                        Labels labels = {});

    [[nodiscard]] std::string text() const;

private:
    struct Inside;
    std::unique_ptr<Inside> inside_;
};

}  // namespace ocgate::ops
