// Which bytes may stand where (RFC 9110 §5.6.2, RFC 3986 §3.2.2), as tables and as scanners over many bytes at once.
// Private to wire.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string_view>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "ocgate/wire/percent.hpp"

namespace ocgate::wire {

using CharClass = std::array<bool, 256>;

constexpr CharClass alnum_and(std::string_view more) noexcept {
    CharClass chars{};
    for (unsigned c = '0'; c <= '9'; ++c) chars[c] = true;
    for (unsigned c = 'a'; c <= 'z'; ++c) chars[c] = chars[c - 'a' + 'A'] = true;
    for (char const c : more) chars[static_cast<unsigned char>(c)] = true;
    return chars;
}

inline constexpr CharClass token_chars = alnum_and("!#$%&'*+-.^_`|~");
/// reg-name without the comma: a Host that looks like a list is one to somebody.
inline constexpr CharClass host_chars = alnum_and("-._~%!$&'()*+;=");
inline constexpr CharClass base64_chars = alnum_and("+/");

constexpr bool is_in(CharClass const& chars, char c) noexcept { return chars[static_cast<unsigned char>(c)]; }
constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

constexpr bool is_value_byte(unsigned char c) noexcept { return (c >= 0x20 && c != 0x7f) || c == '\t'; }
constexpr bool is_target_byte(unsigned char c) noexcept { return c > 0x20 && c != 0x7f && c != '#'; }

/// The first byte of [at, end) that no field value may hold (RFC 9110 §5.5); `end` if there is none.
inline char const* end_of_value(char const* at, char const* end) noexcept {
#if defined(__SSE2__)
    auto const space = _mm_set1_epi8(0x20);
    auto const tab = _mm_set1_epi8('\t');
    auto const del = _mm_set1_epi8(0x7f);
    for (; end - at >= 16; at += 16) {
        auto const bytes = _mm_loadu_si128(reinterpret_cast<__m128i const*>(at));
        auto const printable = _mm_cmpeq_epi8(_mm_max_epu8(bytes, space), bytes);
        auto const good =
            _mm_andnot_si128(_mm_cmpeq_epi8(bytes, del), _mm_or_si128(printable, _mm_cmpeq_epi8(bytes, tab)));
        auto const bad = static_cast<unsigned>(_mm_movemask_epi8(good)) ^ 0xffffU;
        if (bad != 0) return at + std::countr_zero(bad);
    }
#endif
    while (at != end && is_value_byte(static_cast<unsigned char>(*at))) ++at;
    return at;
}

/// The first byte of [at, end) that no request target may hold: white space, a control byte, a fragment's `#`.
inline char const* end_of_target(char const* at, char const* end) noexcept {
#if defined(__SSE2__)
    auto const first = _mm_set1_epi8(0x21);
    auto const hash = _mm_set1_epi8('#');
    auto const del = _mm_set1_epi8(0x7f);
    for (; end - at >= 16; at += 16) {
        auto const bytes = _mm_loadu_si128(reinterpret_cast<__m128i const*>(at));
        auto const visible = _mm_cmpeq_epi8(_mm_max_epu8(bytes, first), bytes);
        auto const never = _mm_or_si128(_mm_cmpeq_epi8(bytes, del), _mm_cmpeq_epi8(bytes, hash));
        auto const bad = static_cast<unsigned>(_mm_movemask_epi8(_mm_andnot_si128(never, visible))) ^ 0xffffU;
        if (bad != 0) return at + std::countr_zero(bad);
    }
#endif
    while (at != end && is_target_byte(static_cast<unsigned char>(*at))) ++at;
    return at;
}

constexpr std::string_view without_blanks(std::string_view text) noexcept {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

}  // namespace ocgate::wire
