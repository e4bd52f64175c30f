// The Authorization field of HTTP Basic (RFC 7617), read strictly. No I/O, no state.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "ocgate/base/secret.hpp"

namespace ocgate::auth {

struct Credentials {
    std::string user;
    Secret password;
};

inline constexpr std::size_t max_authorization_bytes = 8 * 1024;

/// Reads a field value without surrounding white space: `Basic` in any case, one or more spaces, base64 of
/// `user:password`, split at the first colon. Nothing when it is longer than `max_authorization_bytes`, of another
/// scheme, not canonical base64 (standard alphabet, zero spare bits, padding whole or left out), without a colon,
/// not UTF-8, or with control characters (RFC 7617 §2).
[[nodiscard]] std::optional<Credentials> parse_basic(std::string_view value);

}  // namespace ocgate::auth
