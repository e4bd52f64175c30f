#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "chars.hpp"
#include "ocgate/wire/rewrite.hpp"

namespace ocgate::wire {
namespace {

bool is_address(int family, std::string_view text) noexcept {
    std::array<char, INET6_ADDRSTRLEN> terminated{};
    if (text.empty() || text.size() >= terminated.size()) return false;
    text.copy(terminated.data(), text.size());
    std::array<unsigned char, sizeof(in6_addr)> address;
    return inet_pton(family, terminated.data(), address.data()) == 1;
}

/// Nothing, or `:` and a number.
bool is_port_or_nothing(std::string_view text) noexcept {
    if (text.empty()) return true;
    auto const digits = text.substr(1);
    return text.front() == ':' && !digits.empty() && digits.size() <= 5 &&
           std::all_of(digits.begin(), digits.end(), is_digit);
}

/// The address in an element of X-Forwarded-For; empty when it is none. Application gateways of clouds add the port.
std::string_view address_in(std::string_view hop) noexcept {
    if (is_address(AF_INET6, hop)) return hop;
    bool const bracketed = hop.starts_with('[');
    auto const end = std::min(hop.find(bracketed ? ']' : ':'), hop.size());
    auto const address = bracketed ? hop.substr(1, end - 1) : hop.substr(0, end);
    auto const rest = hop.substr(std::min(end + (bracketed ? 1 : 0), hop.size()));
    bool const good = is_address(bracketed ? AF_INET6 : AF_INET, address) && (!bracketed || end < hop.size());
    return good && is_port_or_nothing(rest) ? address : std::string_view();
}

}  // namespace

ClientAddress client_address(RequestHead const& head, std::string_view peer,
                             bool (*trusted)(void const*, std::string_view), void const* context) {
    ClientAddress nearest{peer, false};
    bool const believed = trusted(context, peer);
    bool read = false;
    for (auto const* field = head.fields.end(); field != head.fields.begin();) {
        --field;
        bool const list = iequals(field->name, "X-Forwarded-For");
        if (list || iequals(field->name, "Forwarded")) nearest.hidden = !read;
        if (!list || !believed) continue;
        for (auto rest = field->value; !rest.empty();) {
            auto const comma = rest.rfind(',');
            auto const hop = without_blanks(comma == std::string_view::npos ? rest : rest.substr(comma + 1));
            rest = rest.substr(0, comma == std::string_view::npos ? 0 : comma);
            if (hop.empty()) continue;
            auto const address = address_in(hop);
            if (address.empty()) return {nearest.address, true};
            nearest = {address, false};
            read = true;
            if (!trusted(context, address)) return nearest;
        }
    }
    return nearest;
}

}  // namespace ocgate::wire
