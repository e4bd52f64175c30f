// Where a character of UTF-8 ends. What becomes of bytes that are none is the caller's business.
#pragma once

#include <cstddef>
#include <string_view>

namespace ocgate {

/// The length of the well-formed sequence at the front of `text`, 1 to 4 bytes (RFC 3629 §4: the shortest form, no
/// surrogates, at most U+10FFFF); 0 when there is none, or nothing at all.
[[nodiscard]] std::size_t utf8_length(std::string_view text) noexcept;

}  // namespace ocgate
