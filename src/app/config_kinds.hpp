// The kinds of values that settings have, and the lists of the file: each is taken, or it is said what is wrong with
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config_settings.hpp"

namespace ocgate::app {

/// A value, or what was expected and what was found instead.
template <class T>
struct Taken {
    std::optional<T> value;
    std::string problem;
};

/// `expected <what>, got <given>`.
[[nodiscard]] std::string unlike(std::string_view what, Given const& given);

/// Text of a flag or variable, or a JSON string.
[[nodiscard]] std::optional<std::string_view> as_string(Given const& given);
/// An unsigned JSON number, or digits from a flag or variable. In the file `"4"` is not 4.
[[nodiscard]] std::optional<std::uint64_t> as_integer(Given const& given);

[[nodiscard]] Taken<std::uint64_t> take_integer(Given const& given, std::uint64_t low, std::uint64_t high);
/// `note` follows the range.
[[nodiscard]] Taken<std::uint64_t> take_size(Given const& given, std::uint64_t low, std::uint64_t high,
                                             std::string_view note = {});

/// From 0 to 1: a JSON number, or one with a decimal point from a flag or variable.
[[nodiscard]] Taken<double> take_share(Given const& given);

struct DurationRange {
    milliseconds low;
    milliseconds high;
    bool or_none = false;  ///< 0 is good, too, and means none
    bool whole_seconds = false;
};
[[nodiscard]] Taken<milliseconds> take_duration(Given const& given, DurationRange const& range);

/// One of `words`: its index.
[[nodiscard]] Taken<std::size_t> take_word(Given const& given, std::span<std::string_view const> words);

/// The path of a file; a relative one in the file begins at the file's folder.
[[nodiscard]] Taken<std::string> take_path(Given const& given);

/// What a value is, without saying it: `a string`, `an array`, `null`.
[[nodiscard]] std::string kind_of(nlohmann::json const& value);

}  // namespace ocgate::app
