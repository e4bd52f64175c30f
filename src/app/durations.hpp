// Numbers with units, as people write them in settings. No I/O.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ocgate::app {

using std::chrono::milliseconds;

/// Longest time a setting may name; far from where the arithmetic of std::chrono overflows.
inline constexpr milliseconds max_duration = std::chrono::hours(24 * 30);

/// Decimal digits and nothing else; nothing when it does not fit.
[[nodiscard]] std::optional<std::uint64_t> parse_integer(std::string_view text) noexcept;

/// `250ms`, `30s`, `5m`, `1h`, `7d`, or `0`. Nothing for anything else, and above `max_duration`.
[[nodiscard]] std::optional<milliseconds> parse_duration(std::string_view text) noexcept;

/// Bytes: `65536`, `512B`, `16KiB`, `256MiB`, `4GiB`, `1TiB`. Nothing for anything else, or when it does not fit.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text) noexcept;

/// The shortest text that the functions above read back as the same.
[[nodiscard]] std::string duration_text(milliseconds duration);
[[nodiscard]] std::string size_text(std::uint64_t bytes);

}  // namespace ocgate::app
