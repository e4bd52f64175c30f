#include "address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace ocgate::auth {
namespace {

constexpr std::array<std::uint8_t, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

}  // namespace

bool Address::is_v4() const noexcept { return std::equal(mapped_prefix.begin(), mapped_prefix.end(), bytes.begin()); }

bool Address::is_loopback() const noexcept {
    if (is_v4()) return bytes[12] == 127;
    static constexpr std::array<std::uint8_t, 16> v6_loopback{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    return bytes == v6_loopback;
}

std::optional<Address> parse_address(std::string_view text) noexcept {
    bool const v6 = text.find(':') != std::string_view::npos;
    if (v6) text = text.substr(0, text.find('%'));
    char buffer[INET6_ADDRSTRLEN];
    if (text.empty() || text.size() >= sizeof buffer || text.find('\0') != std::string_view::npos) return std::nullopt;
    std::memcpy(buffer, text.data(), text.size());
    buffer[text.size()] = '\0';
    Address address;
    if (v6) {
        if (::inet_pton(AF_INET6, buffer, address.bytes.data()) != 1) return std::nullopt;
        return address;
    }
    std::copy(mapped_prefix.begin(), mapped_prefix.end(), address.bytes.begin());
    if (::inet_pton(AF_INET, buffer, address.bytes.data() + mapped_prefix.size()) != 1) return std::nullopt;
    return address;
}

}  // namespace ocgate::auth
