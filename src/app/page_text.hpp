// Tables and times for people at a terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ocgate::app {

using Row = std::vector<std::string>;

/// Columns with `|` between, the first row the heading, a line below it. Each cell is one line of at most
/// `max_cell` characters; what a terminal would take for a command is taken out.
inline constexpr std::size_t max_cell = 60;
[[nodiscard]] std::string table_text(std::vector<Row> const& rows);

/// `text` without control characters (C0, DEL, C1) and what turns the direction of writing.
[[nodiscard]] std::string one_line(std::string_view text);

/// `2026-11-25T09:12:33Z` of Unix milliseconds; empty for 0.
[[nodiscard]] std::string utc_text(std::int64_t unix_ms);

/// `312 B`, `4.2 kB`, `17 MB`: thousands, not 1024.
[[nodiscard]] std::string bytes_text(double bytes);

/// `3 s`, `12 min`, `5 h`, `2 d`: how long something has been so.
[[nodiscard]] std::string ago_text(std::int64_t seconds);

}  // namespace ocgate::app
