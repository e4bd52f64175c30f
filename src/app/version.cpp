#include "ocgate/app/version.hpp"

namespace ocgate::app {

std::string_view version() noexcept { return OCGATE_VERSION; }

}  // namespace ocgate::app
