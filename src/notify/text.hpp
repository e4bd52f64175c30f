// Text that others wrote, made fit to be shown: well-formed, without what is invisible, and cut where a character ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace ocgate::notify {

inline constexpr std::string_view ellipsis = "…";
/// U+200B, put between two characters that mean something only side by side.
inline constexpr std::string_view zero_width_space = "\xE2\x80\x8B";

enum class Lines : std::uint8_t { keep, join };

/// Well-formed UTF-8 without controls (C0, C1, DEL) and without characters that show nothing but change what is shown:
/// those that turn the direction of writing, invisible operators, tags, byte order marks. Line ends become `\n`, or
/// spaces where lines are joined; tabs become spaces; bytes that are no UTF-8 become U+FFFD. Outer white space goes.
[[nodiscard]] std::string clean(std::string_view text, Lines lines);

/// UTF-16 code units, which is what Discord counts.
[[nodiscard]] std::size_t utf16_units(std::string_view text) noexcept;

/// The one character at the front of `text`, as its bytes; a byte that begins none is taken alone. `text` is not empty.
[[nodiscard]] std::string_view front_character(std::string_view text) noexcept;

/// `text` when it measures at most `most` bytes; otherwise its beginning and an ellipsis. No room even for that: empty.
[[nodiscard]] std::string cut_bytes(std::string_view text, std::size_t most);

/// The same by characters.
[[nodiscard]] std::string cut_characters(std::string_view text, std::size_t most);

using Spell = std::function<std::string(std::string_view character)>;

/// Each character as `spell` writes it, as long as the whole measures at most `most` UTF-16 units; then an ellipsis.
/// What one character became is never cut in two.
[[nodiscard]] std::string fit_utf16(std::string_view text, std::size_t most, Spell const& spell);

/// `=?`, with which an encoded word of RFC 2047 begins, taken apart.
[[nodiscard]] std::string break_encoded_words(std::string_view text);

/// Discord's markdown: a backslash before everything that it may read as markup, so that a name stays a name and
/// nothing links, mentions or quotes.
[[nodiscard]] std::string discord_spelling(std::string_view character);
/// Within one pair of backquotes, where a backslash would be shown: another backquote looks alike and closes nothing.
[[nodiscard]] std::string discord_code_spelling(std::string_view character);
/// Within a block of code: three backquotes in a row cannot come about.
[[nodiscard]] std::string discord_block_spelling(std::string_view character);

/// `3 min 20 s`; the two largest units.
[[nodiscard]] std::string duration_words(std::int64_t milliseconds);
/// RFC 3339 in UTC, whole seconds.
[[nodiscard]] std::string rfc3339(std::int64_t unix_milliseconds);

}  // namespace ocgate::notify
