#include <arpa/inet.h>

#include <array>

#include "chars.hpp"
#include "ocgate/wire/rewrite.hpp"

namespace ocgate::wire {
namespace {

bool is_address(std::string_view text) noexcept {
    std::array<char, INET6_ADDRSTRLEN> terminated{};
    if (text.empty() || text.size() >= terminated.size()) return false;
    text.copy(terminated.data(), text.size());
    std::array<unsigned char, sizeof(in6_addr)> address;
    return inet_pton(AF_INET, terminated.data(), address.data()) == 1 ||
           inet_pton(AF_INET6, terminated.data(), address.data()) == 1;
}

}  // namespace

std::string_view client_address(RequestHead const& head, std::string_view peer,
                                bool (*trusted)(void const*, std::string_view), void const* context) {
    auto nearest = peer;
    if (!trusted(context, peer)) return nearest;
    for (auto const* field = head.fields.end(); field != head.fields.begin();) {
        --field;
        if (!iequals(field->name, "X-Forwarded-For")) continue;
        for (auto rest = field->value; !rest.empty();) {
            auto const comma = rest.rfind(',');
            auto const hop = without_blanks(comma == std::string_view::npos ? rest : rest.substr(comma + 1));
            rest = rest.substr(0, comma == std::string_view::npos ? 0 : comma);
            if (hop.empty()) continue;
            if (!is_address(hop)) return nearest;
            nearest = hop;
            if (!trusted(context, hop)) return nearest;
        }
    }
    return nearest;
}

std::string percent_decoded(std::string_view text) {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && text.size() - i > 2) {
            auto const high = hex_value(text[i + 1]);
            auto const low = hex_value(text[i + 2]);
            if (high >= 0 && low >= 0) {
                decoded += static_cast<char>(high << 4 | low);
                i += 2;
                continue;
            }
        }
        decoded += text[i];
    }
    return decoded;
}

}  // namespace ocgate::wire
