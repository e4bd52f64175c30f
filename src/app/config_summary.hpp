// What a configuration says of notifications, in words and without secrets.
#pragma once

#include <iosfwd>
#include <string>

#include "ocgate/app/config.hpp"

namespace ocgate::app {

/// `ntfy at https://ntfy.example/***, with a token; falls back to team`.
[[nodiscard]] std::string in_words(TargetConfig const& target);
/// `permission, question of project api-*: to phone with priority 4; again after 3m, 10m`.
[[nodiscard]] std::string in_words(notify::Rule const& rule);
/// `$20 a day in Europe/Berlin: told at 80 %, 100 %; prompts are not refused`.
[[nodiscard]] std::string in_words(bridge::Budget const& budget, std::string const& time_zone);

/// Lines for `check-config`, each begins with a name of 16 characters.
void summarize_notifications(Config const& config, std::ostream& out);

}  // namespace ocgate::app
