// A fingerprint of a target, to see that it has changed.
#pragma once

#include <string>
#include <string_view>

#include "ocgate/app/notify_config.hpp"

namespace ocgate::app {

/// TargetConfig::mark, of everything else in it. `words` and `body` are its templates as they were written.
[[nodiscard]] std::string mark_of_target(TargetConfig const& target, std::string_view words, std::string_view body);

}  // namespace ocgate::app
