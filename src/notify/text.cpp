#include "text.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "ocgate/base/utf8.hpp"

namespace ocgate::notify {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";

/// Of a well-formed sequence.
char32_t code_point(std::string_view sequence) noexcept {
    auto const byte = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(sequence[i])); };
    switch (sequence.size()) {
        case 1:
            return byte(0);
        case 2:
            return (byte(0) & 0x1F) << 6 | (byte(1) & 0x3F);
        case 3:
            return (byte(0) & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
        default:
            return (byte(0) & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
    }
}

struct Range {
    char32_t first, last;
};

// Shows nothing, yet changes what is shown, or hides words from people that machines still read.
constexpr Range unseen[] = {
    {0x00AD, 0x00AD},    // soft hyphen
    {0x061C, 0x061C},    // Arabic letter mark
    {0x180E, 0x180E},    // Mongolian vowel separator
    {0x200E, 0x200F},    // left-to-right, right-to-left mark
    {0x202A, 0x202E},    // embeddings and overrides of direction
    {0x2060, 0x206F},    // word joiner, invisible operators, isolates, deprecated controls
    {0xFEFF, 0xFEFF},    // byte order mark
    {0xFFF9, 0xFFFB},    // interlinear annotation
    {0xE0000, 0xE007F},  // tags
};

bool is_unseen(char32_t c) noexcept {
    return std::any_of(std::begin(unseen), std::end(unseen), [c](Range r) { return c >= r.first && c <= r.last; });
}

/// White space (Unicode's White_Space) of what `clean` leaves: targets trim it, and what is nothing else is empty to
/// them.
bool is_space(char32_t c) noexcept {
    return c == ' ' || c == '\n' || c == 0x00A0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

template <class Measure>
std::string cut(std::string_view text, std::size_t most, std::size_t ellipsis_measure, Measure measure) {
    std::size_t measured = 0;
    std::size_t keep = 0;  // what still leaves room for the ellipsis
    for (auto rest = text; !rest.empty();) {
        auto const one = front_character(rest);
        measured += measure(one);
        if (measured > most) {
            if (ellipsis_measure > most) return {};
            return std::string(text.substr(0, keep)).append(ellipsis);
        }
        rest.remove_prefix(one.size());
        if (measured + ellipsis_measure <= most) keep = text.size() - rest.size();
    }
    return std::string(text);
}

}  // namespace

std::string_view front_character(std::string_view text) noexcept {
    return text.substr(0, std::max<std::size_t>(1, utf8_length(text)));
}

std::string clean(std::string_view text, Lines lines) {
    std::string out;
    out.reserve(text.size());
    std::size_t end = 0;  // of what is not white space
    auto const line_end = lines == Lines::keep ? '\n' : ' ';
    while (!text.empty()) {
        auto const length = utf8_length(text);
        if (length == 0) {
            out += replacement;
            end = out.size();
            text.remove_prefix(1);
            continue;
        }
        auto const sequence = text.substr(0, length);
        auto const c = code_point(sequence);
        text.remove_prefix(length);
        if (c == '\r') {
            if (!text.starts_with('\n') && end > 0) out += line_end;
        } else if (c == '\n' || c == 0x2028 || c == 0x2029) {
            if (end > 0) out += line_end;
        } else if (c == '\t') {
            if (end > 0) out += ' ';
        } else if (is_space(c)) {
            if (end > 0) out += sequence;
        } else if (c >= 0x20 && (c < 0x7F || c > 0x9F) && !is_unseen(c)) {
            out += sequence;
            end = out.size();
        }
    }
    out.resize(end);
    return out;
}

std::size_t utf16_units(std::string_view text) noexcept {
    std::size_t units = 0;
    while (!text.empty()) {
        auto const one = front_character(text);
        units += one.size() == 4 ? 2 : 1;
        text.remove_prefix(one.size());
    }
    return units;
}

std::string cut_bytes(std::string_view text, std::size_t most) {
    return cut(text, most, ellipsis.size(), [](std::string_view one) { return one.size(); });
}

std::string cut_characters(std::string_view text, std::size_t most) {
    return cut(text, most, 1, [](std::string_view) { return std::size_t{1}; });
}

std::string fit_utf16(std::string_view text, std::size_t most, Spell const& spell) {
    std::string out;
    std::size_t units = 0;
    std::size_t keep = 0;
    while (!text.empty()) {
        auto const one = front_character(text);
        text.remove_prefix(one.size());
        auto const spelt = spell(one);
        units += utf16_units(spelt);
        if (units > most) {
            out.resize(keep);
            return most == 0 ? std::string() : out.append(ellipsis);
        }
        out += spelt;
        if (units + 1 <= most) keep = out.size();
    }
    return out;
}

std::string break_encoded_words(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        out += text[i];
        if (text[i] == '=' && i + 1 < text.size() && text[i + 1] == '?') out += zero_width_space;
    }
    return out;
}

std::string discord_spelling(std::string_view character) {
    constexpr std::string_view markup = R"(\*_~|>#-[]()<@:`)";
    if (character.size() == 1 && markup.find(character[0]) != std::string_view::npos)
        return std::string("\\").append(character);
    return std::string(character);
}

std::string discord_code_spelling(std::string_view character) {
    return character == "`" ? "\xCB\x8B" : std::string(character);  // U+02CB, modifier letter grave accent
}

std::string discord_block_spelling(std::string_view character) {
    return character == "`" ? std::string("`").append(zero_width_space) : std::string(character);
}

std::string duration_words(std::int64_t milliseconds) {
    struct Unit {
        std::int64_t seconds;
        char const* name;
    };
    constexpr Unit units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    auto seconds = std::max<std::int64_t>(0, milliseconds / 1000);
    std::string out;
    int told = 0;
    for (auto const& unit : units) {
        auto const n = seconds / unit.seconds;
        if (told == 2 || (n == 0 && (told > 0 || unit.seconds > 1))) {
            if (told > 0) break;  // `2 h`, not `2 h 5 s`
            continue;
        }
        seconds %= unit.seconds;
        if (!out.empty()) out += ' ';
        out += std::to_string(n) + ' ' + unit.name;
        ++told;
    }
    return out;
}

std::string rfc3339(std::int64_t unix_milliseconds) {
    // Years 1970 to 9999: anything else is no time that an event had.
    auto const seconds = std::clamp<std::int64_t>(unix_milliseconds / 1000, 0, 253402300799);
    auto const time = static_cast<std::time_t>(seconds);
    std::tm parts{};
    gmtime_r(&time, &parts);
    std::array<char, 32> out{};
    auto const n = std::strftime(out.data(), out.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return {out.data(), n};
}

}  // namespace ocgate::notify
