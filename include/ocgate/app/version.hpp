#pragma once

#include <string_view>

namespace ocgate::app {

/// `0.1.0`, from CMakeLists.txt.
[[nodiscard]] std::string_view version() noexcept;

}  // namespace ocgate::app
