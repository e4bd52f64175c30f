// What everything here reads JSON with. Nothing throws. What is missing, or something else than was asked for, is
// nothing; a text that is too long is cut between two characters.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace ocgate::opencode::dialect {

using nlohmann::json;

// What is kept of the texts; a longer id is no id.
inline constexpr std::size_t max_id_bytes = 200;
inline constexpr std::size_t max_name_bytes = 200;
inline constexpr std::size_t max_path_bytes = 4096;
inline constexpr std::size_t max_text_bytes = 2000;
inline constexpr std::size_t max_command_bytes = 4000;
inline constexpr std::size_t max_pattern_bytes = 500;
inline constexpr std::size_t max_list_entries = 16;
inline constexpr std::size_t max_asks = 8;

/// What is read of it anywhere here, and no more: bounded in depth and number, in time that grows with the text alone.
/// Discarded when it is not JSON.
[[nodiscard]] json parse(std::string_view text);
[[nodiscard]] json const& member(json const& object, char const* name);
[[nodiscard]] std::string text_of(json const& value, std::size_t max_bytes);
[[nodiscard]] std::string text(json const& object, char const* name, std::size_t max_bytes);
/// A list of texts; a single text is a list of one.
[[nodiscard]] std::vector<std::string> texts(json const& value, std::size_t max_bytes);
/// Whole or none: cut, two ids could become one.
[[nodiscard]] std::string id(json const& object, char const* name);
[[nodiscard]] std::string first_id(json const& object, std::initializer_list<char const*> names);
[[nodiscard]] double number(json const& object, char const* name);
/// Anything else than a whole number of 64 bits comes as near to one as it can.
[[nodiscard]] std::int64_t whole(json const& object, char const* name);
/// Milliseconds since 1970, as near as a clock of 64 bits that counts nanoseconds comes.
[[nodiscard]] std::int64_t when_ms(json const& object, char const* name);

}  // namespace ocgate::opencode::dialect
