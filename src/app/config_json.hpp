// The configuration file's text as a JSON value: comments allowed, everything else strict. Never repeats a value of the
// file in a message, for it may be a secret.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "ocgate/app/config.hpp"

namespace ocgate::app {

inline constexpr std::size_t max_json_depth = 16;  ///< the configuration needs four

struct ReadJson {
    nlohmann::json value;             ///< null when the text is not JSON
    std::vector<ConfigError> errors;  ///< places are `name:line:column`, and JSON pointers for keys given twice
};

/// `name` is what the places of errors begin with.
[[nodiscard]] ReadJson read_json(std::string_view text, std::string const& name);

/// `parent` with one more reference token, escaped (RFC 6901 §3) and cut to a length for people.
[[nodiscard]] std::string pointer_to(std::string const& parent, std::string_view key);

/// `text` in quotes for a message: unprintable bytes escaped, cut to a length for people.
[[nodiscard]] std::string in_quotes(std::string_view text);

}  // namespace ocgate::app
