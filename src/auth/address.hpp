// IP addresses as sixteen bytes. No resolving, no I/O.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ocgate::auth {

struct Address {
    std::array<std::uint8_t, 16> bytes{};  ///< IPv4 as ::ffff:a.b.c.d

    [[nodiscard]] bool is_v4() const noexcept;
    [[nodiscard]] bool is_loopback() const noexcept;
};

/// Dotted IPv4 (four decimal numbers without leading zeros) or IPv6, whose zone is dropped.
[[nodiscard]] std::optional<Address> parse_address(std::string_view text) noexcept;

}  // namespace ocgate::auth
