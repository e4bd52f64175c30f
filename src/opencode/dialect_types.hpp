// What an event is, told without reading it.
#pragma once

#include <string_view>

namespace ocgate::opencode {

/// A type we know, whose events tell nothing whatever is in them.
[[nodiscard]] bool tells_nothing(std::string_view type) noexcept;

struct PartGlance {
    std::string_view type;    ///< empty: not found
    std::string_view status;  ///< of a tool's call
};
/// Of a `message.part.updated`: what kind of part it tells of. Looks no further than it has to, and decodes nothing.
[[nodiscard]] PartGlance glance_at_part(std::string_view json) noexcept;

}  // namespace ocgate::opencode
