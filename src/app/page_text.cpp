#include "page_text.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace ocgate::app {
namespace {

bool is_continuation(char c) noexcept { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

/// Bytes of the character that begins here. A broken one ends where it breaks: what follows is looked at as well.
std::size_t bytes_at(std::string_view text) noexcept {
    auto const first = static_cast<unsigned char>(text.front());
    std::size_t const wanted = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;
    std::size_t n = 1;
    while (n < std::min(wanted, text.size()) && is_continuation(text[n])) ++n;
    return n;
}

/// Code points stand for columns: good enough for a table, wrong for wide scripts.
std::size_t length(std::string_view text) noexcept {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); }));
}

std::string cell(std::string_view text) {
    auto line = one_line(text);
    if (length(line) <= max_cell) return line;
    std::size_t at = 0;
    for (std::size_t n = 0; n + 1 < max_cell; ++n) at += bytes_at(std::string_view(line).substr(at));
    return line.substr(0, at) + "…";
}

}  // namespace

std::string one_line(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        auto const n = bytes_at(text);
        auto const one = text.substr(0, n);
        auto const c = static_cast<unsigned char>(one[0]);
        bool const c1 = n == 2 && c == 0xC2 && static_cast<unsigned char>(one[1]) < 0xA0;
        // U+200E, U+200F, U+202A … U+202E, U+2066 … U+2069
        bool const turns =
            n == 3 && c == 0xE2 &&
            ((one[1] == '\x80' && (one[2] == '\x8E' || one[2] == '\x8F' || (one[2] >= '\xAA' && one[2] <= '\xAE'))) ||
             (one[1] == '\x81' && one[2] >= '\xA6' && one[2] <= '\xA9'));
        bool const stray = c >= 0x80 && c < 0xA0;  // a C1 where it is not taken for UTF-8
        if (c < 0x20 || c == 0x7F || c1 || stray) {
            if (!out.empty() && out.back() != ' ') out += ' ';
        } else if (!turns) {
            out += one;
        }
        text.remove_prefix(n);
    }
    return out;
}

std::string table_text(std::vector<Row> const& rows) {
    std::vector<std::vector<std::string>> cells;
    std::vector<std::size_t> widths;
    for (auto const& row : rows) {
        auto& line = cells.emplace_back();
        for (std::size_t i = 0; i < row.size(); ++i) {
            line.push_back(cell(row[i]));
            if (widths.size() <= i) widths.push_back(0);
            widths[i] = std::max(widths[i], length(line.back()));
        }
    }
    std::string out;
    for (std::size_t r = 0; r < cells.size(); ++r) {
        std::string line, rule;
        for (std::size_t i = 0; i < cells[r].size(); ++i) {
            auto const& text = cells[r][i];
            bool const last = i + 1 == cells[r].size();
            line += (i > 0 ? " | " : "") + text;
            if (!last) line.append(widths[i] - length(text), ' ');
            rule += (i > 0 ? "-+-" : "") + std::string(widths[i], '-');
        }
        out += line + "\n";
        if (r == 0) out += rule + "\n";
    }
    return out;
}

std::string utc_text(std::int64_t unix_ms) {
    if (unix_ms <= 0) return {};
    using namespace std::chrono;
    auto const when = floor<seconds>(sys_time<milliseconds>(milliseconds(unix_ms)));
    auto const day = floor<days>(when);
    year_month_day const date{day};
    hh_mm_ss const time{when - day};
    char text[32];
    auto const n = std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                                 static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                                 static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                                 static_cast<int>(time.seconds().count()));
    return n > 0 && static_cast<std::size_t>(n) < sizeof text ? std::string(text) : std::string();
}

std::string bytes_text(double bytes) {
    static constexpr std::string_view units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    std::size_t unit = 0;
    // 999.5 is 1000 when it is rounded.
    while (bytes >= 999.5 && unit + 1 < std::size(units)) {
        bytes /= 1000;
        ++unit;
    }
    char text[32];
    auto const n = std::snprintf(text, sizeof text, unit > 0 && bytes < 9.95 ? "%.1f " : "%.0f ", bytes);
    return std::string(text, n > 0 ? static_cast<std::size_t>(n) : 0).append(units[unit]);
}

std::string ago_text(std::int64_t seconds) {
    if (seconds < 120) return std::to_string(std::max<std::int64_t>(seconds, 0)) + " s";
    if (seconds < 120 * 60) return std::to_string(seconds / 60) + " min";
    if (seconds < 48 * 3600) return std::to_string(seconds / 3600) + " h";
    return std::to_string(seconds / 86'400) + " d";
}

}  // namespace ocgate::app
