// The table behind routes.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace ocgate::opencode {

inline constexpr std::size_t route_count = 163;

/// In the order of their numbers. `{name}` stands for any one segment, a last `*` for one or more.
extern std::array<std::string_view, route_count> const route_table;

}  // namespace ocgate::opencode
