// Percent-encoding (RFC 3986 §2.1), one character at a time: who reads a path and who reads form data disagree on
// everything but the escape itself.
#pragma once

#include <optional>
#include <string_view>

namespace ocgate::wire {

/// 0 to 15, or -1.
[[nodiscard]] constexpr int hex_value(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    auto const lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// The byte that a `%XX` at the front of `text` stands for; nothing where there is none.
[[nodiscard]] constexpr std::optional<char> escape_at(std::string_view text) noexcept {
    if (text.size() < 3 || text[0] != '%') return std::nullopt;
    int const high = hex_value(text[1]);
    int const low = hex_value(text[2]);
    if (high < 0 || low < 0) return std::nullopt;
    return static_cast<char>(high * 16 + low);
}

/// The next character of form data (WHATWG URL, "application/x-www-form-urlencoded parsing"), taken off the front of
/// `text`, which is not empty: `+` is a space, an escape its byte, a broken escape stays as it is.
[[nodiscard]] constexpr char take_form_char(std::string_view& text) noexcept {
    auto const escaped = escape_at(text);
    char const c = escaped ? *escaped : text.front() == '+' ? ' ' : text.front();
    text.remove_prefix(escaped ? 3 : 1);
    return c;
}

}  // namespace ocgate::wire
