// What the status page says, as people at a terminal read it. Made from the page's JSON, which may be another
// version's: what is missing in it is left out.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace ocgate::app {

/// Three lines of what is true of the gateway as a whole, and one for each thing that is wrong.
[[nodiscard]] std::string status_heading(nlohmann::json const& page);
/// The same, and a table of the exchanges.
[[nodiscard]] std::string status_text(nlohmann::json const& page);
/// The same with rates, since `before` (none at first); at most `most_rows` exchanges: those that stall first, then
/// those that move most.
[[nodiscard]] std::string top_text(nlohmann::json const& page, nlohmann::json const* before, std::size_t most_rows);

}  // namespace ocgate::app
