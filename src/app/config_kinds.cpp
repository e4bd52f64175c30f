#include "config_kinds.hpp"

#include <charconv>

#include "durations.hpp"

namespace ocgate::app {

using namespace std::chrono_literals;

std::string unlike(std::string_view what, Given const& given) {
    return "expected " + std::string(what) + ", got " + given.description();
}

std::optional<std::string_view> as_string(Given const& given) {
    if (given.is_text()) return given.text();
    if (given.json().is_string()) return given.json().get_ref<std::string const&>();
    return std::nullopt;
}

std::optional<std::uint64_t> as_integer(Given const& given) {
    if (given.is_text()) return parse_integer(given.text());
    if (given.json().is_number_unsigned()) return given.json().get<std::uint64_t>();
    return std::nullopt;
}

Taken<std::uint64_t> take_integer(Given const& given, std::uint64_t low, std::uint64_t high) {
    auto const value = as_integer(given);
    if (value && *value >= low && *value <= high) return {value, {}};
    return {{}, unlike("an integer from " + std::to_string(low) + " to " + std::to_string(high), given)};
}

Taken<std::uint64_t> take_size(Given const& given, std::uint64_t low, std::uint64_t high, std::string_view note) {
    auto value = as_integer(given);
    if (auto const text = as_string(given); !value && text) value = parse_size(*text);
    if (value && *value >= low && *value <= high) return {value, {}};
    return {{},
            unlike("a size from " + size_text(low) + " to " + size_text(high) + std::string(note) +
                       ", as bytes or with KiB, MiB or GiB",
                   given)};
}

Taken<double> take_share(Given const& given) {
    double value = -1;
    if (given.is_text()) {
        auto const text = given.text();
        auto const end = text.data() + text.size();
        auto const read = std::from_chars(text.data(), end, value, std::chars_format::fixed);
        if (read.ec != std::errc() || read.ptr != end) value = -1;
    } else if (given.json().is_number()) {
        value = given.json().get<double>();
    }
    if (value >= 0 && value <= 1) return {value, {}};  // what is no number is not
    return {{}, unlike("a number from 0 to 1", given)};
}

Taken<milliseconds> take_duration(Given const& given, DurationRange const& range) {
    std::optional<milliseconds> value;
    if (auto const text = as_string(given)) value = parse_duration(*text);
    // 0 is the one number that needs no unit.
    if (!value && !given.is_text() && as_integer(given) == 0) value = 0ms;
    bool const off = range.or_none && value == 0ms;
    bool const fits =
        value && (off || (*value >= range.low && *value <= range.high)) && (!range.whole_seconds || *value % 1s == 0ms);
    if (fits) return {value, {}};
    return {{},
            unlike((range.whole_seconds ? "a duration in whole seconds from " : "a duration from ") +
                       duration_text(range.low) + " to " + duration_text(range.high) +
                       (range.or_none ? ", or 0 for none" : "") + ", with its unit (250ms, 30s, 5m, 1h)",
                   given)};
}

Taken<std::size_t> take_word(Given const& given, std::span<std::string_view const> words) {
    std::string known;
    auto const text = as_string(given);
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (text == words[i]) return {i, {}};
        known.append(known.empty() ? "" : ", ").append(words[i]);
    }
    return {{}, unlike("one of " + known, given)};
}

Taken<std::string> take_path(Given const& given) {
    auto const text = as_string(given);
    if (!text || text->empty() || text->find('\0') != std::string_view::npos) return {{}, unlike("a path", given)};
    return {resolve_path(*text, given.folder), {}};
}

std::string kind_of(nlohmann::json const& value) {
    if (value.is_null()) return "null";
    return (value.is_array() || value.is_object() ? "an " : "a ") + std::string(value.type_name());
}

}  // namespace ocgate::app
