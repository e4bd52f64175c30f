// A template taken apart: words of the operator's, and places for values.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "ocgate/notify/template.hpp"

namespace ocgate::notify {

struct Filter {
    using Apply = nlohmann::json (*)(nlohmann::json const& value, std::string const& argument);
    Apply apply = nullptr;
    std::string argument;
};

/// Either a literal or a placeholder.
struct Piece {
    enum class Around : std::uint8_t { nothing, code, block };  ///< backquotes of the template that are open here
    bool placeholder = false;
    std::string literal;
    std::vector<std::string> path;
    std::vector<Filter> filters;
    Around around = Around::nothing;
};

/// `name` or `name:argument` as it stands in a template; nothing in `apply` and a reason in `why` when it is none.
[[nodiscard]] Filter read_filter(std::string_view name, bool has_argument, std::string argument, std::string& why);

/// A value as text: strings as they are, lists with commas, objects as JSON, null as nothing.
[[nodiscard]] std::string text_of(nlohmann::json const& value);

/// What stands at the path, through the filters.
[[nodiscard]] nlohmann::json value_of(Piece const& piece, nlohmann::json const& values);

}  // namespace ocgate::notify
