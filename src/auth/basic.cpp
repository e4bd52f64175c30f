#include "ocgate/auth/basic.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstdint>

#include "ocgate/wire/head.hpp"
#include "text.hpp"

namespace ocgate::auth {
namespace {

/// The six bits of a base64 letter (RFC 4648 §4); 64 for anything else.
std::uint32_t sextet(char c) noexcept {
    if (c >= 'A' && c <= 'Z') return static_cast<std::uint32_t>(c - 'A');
    if (c >= 'a' && c <= 'z') return static_cast<std::uint32_t>(c - 'a') + 26;
    if (is_digit(c)) return static_cast<std::uint32_t>(c - '0') + 52;
    if (c == '+') return 62;
    if (c == '/') return 63;
    return 64;
}

/// Canonical base64 only: what can be written in two ways would be two logins to a cache and one to a password check.
bool decode_base64(std::string_view text, std::string& out) {
    if (text.ends_with('=')) {
        if (text.size() % 4 != 0) return false;
        text.remove_suffix(text.ends_with("==") ? 2 : 1);
    }
    if (text.size() % 4 == 1) return false;
    out.reserve(text.size() * 3 / 4);
    std::uint32_t bits = 0;
    unsigned held = 0;
    for (char const c : text) {
        auto const six = sextet(c);
        if (six > 63) return false;
        bits = (bits << 6 | six) & 0xFFFFFF;
        held += 6;
        if (held < 8) continue;
        held -= 8;
        out += static_cast<char>(bits >> held & 0xFF);
    }
    return (bits & ((1U << held) - 1)) == 0;
}

}  // namespace

std::optional<Credentials> parse_basic(std::string_view value) {
    constexpr std::string_view scheme = "Basic";
    if (value.size() > max_authorization_bytes || value.size() <= scheme.size() ||
        !wire::iequals(value.substr(0, scheme.size()), scheme) || value[scheme.size()] != ' ')
        return std::nullopt;
    value.remove_prefix(scheme.size());
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));

    std::string pair;
    std::optional<Credentials> credentials;
    if (!value.empty() && decode_base64(value, pair) && is_clean_utf8(pair)) {
        if (auto const colon = pair.find(':'); colon != std::string::npos)
            credentials = Credentials{pair.substr(0, colon), Secret(pair.substr(colon + 1))};
    }
    if (!pair.empty()) OPENSSL_cleanse(pair.data(), pair.size());
    return credentials;
}

}  // namespace ocgate::auth
