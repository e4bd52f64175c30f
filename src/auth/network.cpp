// Address blocks of trusted proxies.
#include <charconv>

#include "address.hpp"
#include "ocgate/auth/settings.hpp"
#include "text.hpp"

namespace ocgate::auth {

std::optional<Network> Network::parse(std::string_view text) {
    Network network;
    if (text == "unix") {
        network.unix_ = true;
        return network;
    }
    auto const slash = text.find('/');
    auto const host = text.substr(0, slash);
    auto const address = parse_address(host);
    if (!address || host.find('%') != std::string_view::npos) return std::nullopt;
    bool const dotted = host.find(':') == std::string_view::npos;
    network.bits_ = 128;
    if (slash != std::string_view::npos) {
        auto const length = text.substr(slash + 1);
        unsigned bits = 0;
        auto const [end, error] = std::from_chars(length.data(), length.data() + length.size(), bits);
        if (error != std::errc{} || end != length.data() + length.size() || length.size() > 3 ||
            (length.size() > 1 && length.front() == '0') || bits > (dotted ? 32U : 128U))
            return std::nullopt;
        network.bits_ = dotted ? 96 + bits : bits;
    }
    network.prefix_ = address->bytes;
    return network;
}

bool Network::contains(std::string_view text) const noexcept {
    if (unix_ || text == "unix") return unix_ && text == "unix";
    auto const address = parse_address(text);
    if (!address) return false;
    // An IPv6 block that reaches into the IPv4-mapped range (::/0) was not written with IPv4 in mind.
    bool const v4_block = Address{prefix_}.is_v4() && bits_ >= 96;
    if (address->is_v4() != v4_block) return false;
    std::size_t const whole = bits_ / 8;
    for (std::size_t i = 0; i < whole; ++i)
        if (address->bytes[i] != prefix_[i]) return false;
    if (bits_ % 8 == 0) return true;
    unsigned const mask = 0xFFU << (8 - bits_ % 8) & 0xFFU;
    return (address->bytes[whole] & mask) == (prefix_[whole] & mask);
}

bool is_user_name(std::string_view text) noexcept {
    return !text.empty() && text.size() <= 255 && text.find(':') == std::string_view::npos && is_clean_utf8(text);
}

}  // namespace ocgate::auth
