#include "line.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "ocgate/base/utf8.hpp"

namespace ocgate::ops {
namespace {

constexpr std::string_view ellipsis = "\xE2\x80\xA6";
constexpr std::string_view replacement = "\xEF\xBF\xBD";
constexpr std::string_view truncated_mark = ",\"truncated\":true";
// Kept free for what ends a line: the mark, the brace, a colour's end and the newline.
constexpr std::size_t tail_bytes = 32;
// More than any number, with name, quotes and separators around it.
constexpr std::size_t field_bytes = 64;

// Bytes that stand for themselves inside a quoted string of either format.
constexpr auto plain_bytes = [] {
    std::array<bool, 256> plain{};
    for (std::size_t c = 0x20; c < 0x7f; ++c) plain[c] = c != '"' && c != '\\';
    return plain;
}();

bool is_plain(char c) noexcept { return plain_bytes[static_cast<unsigned char>(c)]; }

/// How many plain bytes `text` begins with. Nearly all of nearly every line is plain, so eight are asked at a time.
std::size_t plain_run(std::string_view text) noexcept {
    constexpr std::uint64_t ones = 0x0101010101010101;
    constexpr std::uint64_t tops = ones * 0x80;
    // The top bit of a byte that is smaller than `n`, if none has its own top bit set and n <= 0x80.
    auto const below = [](std::uint64_t bytes, std::uint64_t n) { return (bytes - ones * n) & ~bytes; };
    std::size_t run = 0;
    for (; run + 8 <= text.size(); run += 8) {
        std::uint64_t bytes = 0;
        std::memcpy(&bytes, text.data() + run, 8);
        auto const quote = below(bytes ^ (ones * '"'), 1);
        auto const backslash = below(bytes ^ (ones * '\\'), 1);
        auto const control = below(bytes, 0x20) | (bytes + ones);  // 0x7f carries into its top bit
        if (((bytes | control | quote | backslash) & tops) != 0) break;
    }
    while (run < text.size() && is_plain(text[run])) ++run;
    return run;
}

std::string_view colour_of(LogLevel level) noexcept {
    switch (level) {
        case LogLevel::debug:
            return "\x1b[2m";
        case LogLevel::info:
            return "\x1b[32m";
        case LogLevel::warn:
            return "\x1b[33m";
        default:
            return "\x1b[31m";
    }
}

std::string_view padded(LogLevel level) noexcept {
    switch (level) {
        case LogLevel::debug:
            return "DEBUG";
        case LogLevel::info:
            return "INFO ";
        case LogLevel::warn:
            return "WARN ";
        default:
            return "ERROR";
    }
}

}  // namespace

std::string_view to_string(LogLevel level) noexcept {
    switch (level) {
        case LogLevel::debug:
            return "debug";
        case LogLevel::info:
            return "info";
        case LogLevel::warn:
            return "warn";
        case LogLevel::error:
            return "error";
        case LogLevel::off:
            return "off";
    }
    return "error";
}

std::string_view to_string(LogKind kind) noexcept {
    switch (kind) {
        case LogKind::app:
            return "app";
        case LogKind::access:
            return "access";
        case LogKind::auth:
            return "auth";
        case LogKind::notify:
            return "notify";
        case LogKind::audit:
            return "audit";
    }
    return "app";
}

std::size_t Line::room() const noexcept {
    auto const end = max_bytes - tail_bytes;
    return size_ < end ? end - size_ : 0;
}

// 2026-11-24T09:12:33.123Z (RFC 3339, UTC).
void Line::put_time(std::chrono::system_clock::time_point now) noexcept {
    using namespace std::chrono;
    auto const day = floor<days>(now);
    year_month_day const date{day};
    hh_mm_ss const time{floor<milliseconds>(now - day)};
    auto const digits = [this](unsigned value, unsigned count) {
        for (unsigned i = count; i-- > 0; value /= 10) buffer_[size_ + i] = static_cast<char>('0' + value % 10);
        size_ += count;
    };
    digits(static_cast<unsigned>(static_cast<int>(date.year())), 4);
    put('-');
    digits(static_cast<unsigned>(date.month()), 2);
    put('-');
    digits(static_cast<unsigned>(date.day()), 2);
    put('T');
    digits(static_cast<unsigned>(time.hours().count()), 2);
    put(':');
    digits(static_cast<unsigned>(time.minutes().count()), 2);
    put(':');
    digits(static_cast<unsigned>(time.seconds().count()), 2);
    put('.');
    digits(static_cast<unsigned>(time.subseconds().count()), 3);
    put('Z');
}

// What is no plain byte is escaped as in JSON (RFC 8259 §7), control characters beyond ASCII included, so that a value
// can neither end a line nor drive a terminal. Writes at most `limit` bytes.
void Line::put_escaped(std::string_view text, bool quoted, std::size_t limit) noexcept {
    limit = std::min({limit, room(), max_value_bytes});
    if (limit < ellipsis.size()) {
        truncated_ = truncated_ || !text.empty();
        return;
    }
    auto const end = size_ + limit - ellipsis.size();
    while (!text.empty()) {
        auto const run = plain_run(text);
        if (run > 0) {
            auto const fits = std::min(run, end - size_);
            put(text.substr(0, fits));
            text.remove_prefix(fits);
            if (fits < run) break;
            continue;
        }
        auto const c = static_cast<unsigned char>(text.front());
        std::array<char, 6> unit{'\\', 'u', '0', '0', 0, 0};
        std::string_view written(unit.data(), 2);
        std::size_t taken = 1;
        auto const numbered = [&](unsigned value) {
            constexpr std::string_view hex = "0123456789abcdef";
            unit[4] = hex[value >> 4 & 0xF];
            unit[5] = hex[value & 0xF];
            written = {unit.data(), unit.size()};
        };
        if (c >= 0x80) {
            taken = utf8_length(text);
            if (taken == 2 && c == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0) {
                numbered(static_cast<unsigned char>(text[1]));  // C1 controls
            } else {
                written = taken == 0 ? replacement : text.substr(0, taken);
            }
            taken = std::max<std::size_t>(taken, 1);
        } else if (c == '"' || c == '\\') {
            if (quoted) {
                unit[1] = text.front();
            } else {
                written = text.substr(0, 1);
            }
        } else if (c == '\n') {
            unit[1] = 'n';
        } else if (c == '\t') {
            unit[1] = 't';
        } else if (c == '\r') {
            unit[1] = 'r';
        } else {
            numbered(c);
        }
        if (written.size() > end - size_) break;
        put(written);
        text.remove_prefix(taken);
    }
    if (!text.empty()) put(ellipsis);
}

void Line::put_quoted(std::string_view text) noexcept {
    put('"');
    auto const left = room();
    put_escaped(text, true, left > 0 ? left - 1 : 0);
    put('"');
}

void Line::put_json_field(std::string_view name, std::string_view value) noexcept {
    put(",\"");
    put(name);
    put("\":");
    put_quoted(value);
}

void Line::put_number(LogField const& field) noexcept {
    auto* const begin = buffer_.data() + size_;
    auto* const end = begin + 32;  // room for the longest 64-bit number and for the shortest form of any double
    auto const write = [&](auto value) {
        if constexpr (std::is_same_v<decltype(value), bool>) {
            put(value ? "true" : "false");
        } else if constexpr (std::is_same_v<decltype(value), double>) {
            // Milliseconds with three decimals are every line's: to_chars takes ten times as long to find them.
            auto const thousandths = value >= 0 && value < 1e12 ? static_cast<std::uint64_t>(value * 1000 + 0.5) : 0;
            if (thousandths > 0 && static_cast<double>(thousandths) / 1000 == value) {
                auto* at = std::to_chars(begin, end, thousandths / 1000).ptr;
                if (auto rest = thousandths % 1000; rest > 0) {
                    *at++ = '.';
                    for (unsigned unit = 100; rest > 0; unit /= 10) {
                        *at++ = static_cast<char>('0' + rest / unit);
                        rest %= unit;
                    }
                }
                size_ = static_cast<std::size_t>(at - buffer_.data());
            } else if (std::isfinite(value)) {
                size_ = static_cast<std::size_t>(std::to_chars(begin, end, value).ptr - buffer_.data());
            } else {
                put("null");
            }
        } else if constexpr (std::is_integral_v<decltype(value)>) {
            size_ = static_cast<std::size_t>(std::to_chars(begin, end, value).ptr - buffer_.data());
        }
    };
    std::visit(write, field.value);
}

std::string_view Line::build(LineStyle style, std::chrono::system_clock::time_point now, LogLevel level, LogKind kind,
                             std::string_view event, std::string_view message,
                             std::span<LogField const> fields) noexcept {
    bool const json = style.format == LogFormat::json;
    size_ = 0;
    truncated_ = false;
    event = event.substr(0, 64);
    if (json) {
        put("{\"time\":\"");
        put_time(now);
        put('"');
        put_json_field("level", to_string(level));
        put_json_field("kind", to_string(kind));
        put_json_field("event", event);
        if (!message.empty()) put_json_field("message", message);
    } else {
        put_time(now);
        put(' ');
        if (style.colour) put(colour_of(level));
        put(padded(level));
        if (style.colour) put("\x1b[0m");
        put(' ');
        put(to_string(kind));
        put(' ');
        put_escaped(event, false, room());
        if (!message.empty()) {
            put(": ");
            put_escaped(message, false, room());
        }
    }
    for (auto const& field : fields) {
        auto const name = field.name.substr(0, 64);
        if (room() < name.size() + field_bytes) {
            truncated_ = true;
            break;
        }
        auto const* text = std::get_if<std::string_view>(&field.value);
        if (json) {
            put(",\"");
            put(name);
            put("\":");
            text ? put_quoted(*text) : put_number(field);
        } else {
            put(' ');
            put(name);
            put('=');
            auto const bare = [](char c) { return is_plain(c) && c != ' ' && c != '='; };
            if (!text) {
                put_number(field);
            } else if (!text->empty() && text->size() < field_bytes - 8 &&
                       std::all_of(text->begin(), text->end(), bare)) {
                put(*text);
            } else {
                put_quoted(*text);
            }
        }
    }
    if (truncated_) put(json ? truncated_mark : " truncated=true");
    if (json) put('}');
    put('\n');
    return {buffer_.data(), size_};
}

}  // namespace ocgate::ops
