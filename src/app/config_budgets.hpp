// What may be spent in a day or a month, as the file says it.
#pragma once

#include "config_fields.hpp"

namespace ocgate::app {

// The keys of their objects, for the schema's test.
inline constexpr std::string_view budget_keys[] = {"period", "usd", "notify_at", "block"};

inline constexpr std::size_t max_parts = 10;
inline constexpr double max_part = 10;
inline constexpr double max_usd = 1'000'000;

/// Of the table of settings.
[[nodiscard]] Mistakes apply_budget_time_zone(Given const& given, Config& config);
/// With every mistake told; what is wrong is left out.
[[nodiscard]] std::vector<bridge::Budget> read_budgets(Loader& loader, nlohmann::json const& given);

}  // namespace ocgate::app
