// The types of events that need no reading.
#pragma once

#include <string_view>

namespace ocgate::opencode {

/// A type we know, whose events tell the model nothing whatever is in them.
[[nodiscard]] bool tells_nothing(std::string_view type) noexcept;

}  // namespace ocgate::opencode
