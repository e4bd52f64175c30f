#include "durations.hpp"

#include <array>
#include <charconv>
#include <limits>

namespace ocgate::app {
namespace {

struct Unit {
    std::string_view name;
    std::uint64_t factor;
};

// Largest first: the first that divides a value is the one it is written with.
constexpr std::array<Unit, 5> times{{{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};
constexpr std::array<Unit, 5> sizes{
    {{"TiB", 1ULL << 40}, {"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"B", 1}}};

template <std::size_t N>
std::optional<std::uint64_t> parse_with_unit(std::string_view text, std::array<Unit, N> const& units) noexcept {
    auto const digits = std::min(text.find_first_not_of("0123456789"), text.size());
    auto const count = parse_integer(text.substr(0, digits));
    if (!count) return std::nullopt;
    for (auto const& unit : units) {
        if (text.substr(digits) != unit.name) continue;
        if (*count > std::numeric_limits<std::uint64_t>::max() / unit.factor) return std::nullopt;
        return *count * unit.factor;
    }
    return std::nullopt;
}

template <std::size_t N>
std::string with_unit(std::uint64_t value, std::array<Unit, N> const& units) {
    for (auto const& unit : units)
        if (value != 0 && value % unit.factor == 0) return std::to_string(value / unit.factor) + std::string(unit.name);
    return "0";
}

}  // namespace

std::optional<std::uint64_t> parse_integer(std::string_view text) noexcept {
    std::uint64_t value = 0;
    auto const* const end = text.data() + text.size();
    auto const [rest, error] = std::from_chars(text.data(), end, value);
    if (text.empty() || error != std::errc{} || rest != end) return std::nullopt;
    return value;
}

std::optional<milliseconds> parse_duration(std::string_view text) noexcept {
    if (text == "0") return milliseconds(0);
    auto const value = parse_with_unit(text, times);
    if (!value || *value > static_cast<std::uint64_t>(max_duration.count())) return std::nullopt;
    return milliseconds(static_cast<milliseconds::rep>(*value));
}

std::optional<std::uint64_t> parse_size(std::string_view text) noexcept {
    if (auto const plain = parse_integer(text)) return plain;
    return parse_with_unit(text, sizes);
}

std::string duration_text(milliseconds duration) {
    return with_unit(duration.count() > 0 ? static_cast<std::uint64_t>(duration.count()) : 0, times);
}

std::string size_text(std::uint64_t bytes) { return with_unit(bytes, sizes); }

}  // namespace ocgate::app
