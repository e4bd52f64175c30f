// A message as Discord shows it: one embed within all of Discord's bounds, which count UTF-16 units.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "ocgate/notify/message.hpp"
#include "ocgate/notify/sinks.hpp"

namespace ocgate::notify {

struct DiscordWords {
    std::string content;      ///< markdown, ours
    std::string title;        ///< markdown, rendered
    std::string description;  ///< markdown, rendered
    int colour = 0;
};

/// The words for the message, the operator's own first.
[[nodiscard]] DiscordWords discord_words(Message const& message, Words const* own);
/// The words for its end.
[[nodiscard]] DiscordWords discord_words(Message const& message, Resolution const& resolution);

/// The body of a request without what depends on how it is sent: content, embed, allowed mentions.
[[nodiscard]] nlohmann::json discord_body(Message const& message, DiscordWords const& words);

/// Text as one line of markdown, within `most` units.
[[nodiscard]] std::string discord_line(std::string_view text, std::size_t most);

}  // namespace ocgate::notify
