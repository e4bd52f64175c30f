// Small judgements about text that others send.
#pragma once

#include <string_view>

namespace ocgate::auth {

/// Well-formed UTF-8 (RFC 3629: shortest form, no surrogates, at most U+10FFFF) without C0 controls and DEL.
[[nodiscard]] bool is_clean_utf8(std::string_view text) noexcept;

[[nodiscard]] constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
[[nodiscard]] constexpr bool is_alpha(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
[[nodiscard]] constexpr bool is_alnum(char c) noexcept { return is_digit(c) || is_alpha(c); }

}  // namespace ocgate::auth
