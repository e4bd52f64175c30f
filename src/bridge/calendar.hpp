// Days and months of a place. Private to bridge. cctz reads the machine's tzdata; a zone that it does not know is UTC
// (the configuration was checked).
#pragma once

#include <chrono>
#include <string>

#include "ocgate/bridge/purse.hpp"

namespace ocgate::bridge {

struct Term {
    std::string name;            ///< 2026-11-26, 2026-11: in the order of time
    Purse::Time begin{}, end{};  ///< where midnight is skipped, the skip itself; where it comes twice, the first
};

[[nodiscard]] Term term_at(Period period, std::string const& zone, Purse::Time when);

/// `2026-11-27 00:00 Europe/Berlin`
[[nodiscard]] std::string local_time(std::string const& zone, Purse::Time when);

}  // namespace ocgate::bridge
