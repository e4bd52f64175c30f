// Apache's iterated MD5 ($apr1$), the default of htpasswd -m.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ocgate::auth {

/// The 22 letters that stand after the salt; nothing when OpenSSL does no MD5 (a FIPS-only provider).
[[nodiscard]] std::optional<std::string> apr1_digest(std::string_view password, std::string_view salt);

}  // namespace ocgate::auth
