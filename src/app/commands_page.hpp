// How a subcommand asks the running gateway for a page.
#pragma once

#include "commands.hpp"
#include "ocgate/proxy/doors.hpp"

namespace ocgate::app {

/// Its content. Nothing, with the reason on `err`, when the page cannot be had.
[[nodiscard]] std::optional<std::string> fetch_page(std::string_view command, Flags const& flags,
                                                    Sources const& sources, proxy::PageRequest const& request,
                                                    milliseconds patience, std::ostream& err);

}  // namespace ocgate::app
