// Where opencode's web interface shows a session. Private to bridge.
#pragma once

#include <string>
#include <string_view>

namespace ocgate::bridge {

/// `facts` with `url`: the page of its session where that and its directory are known, else the entrance.
[[nodiscard]] std::string with_link(std::string_view facts, std::string_view public_url);

/// base64url without padding (RFC 4648 §5): how opencode's web interface names a directory in its paths (1.18.33).
[[nodiscard]] std::string base64url(std::string_view bytes);

}  // namespace ocgate::bridge
