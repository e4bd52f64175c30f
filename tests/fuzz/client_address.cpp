// Who asks, behind proxies: the same as told over one plain list of hops, and nothing that somebody beyond the first
// untrusted hop writes changes it. Parts: trusted networks with commas, the peer, field lines.
#include <algorithm>

#include "ocgate/auth/settings.hpp"
#include "ocgate/wire/rewrite.hpp"
#include "property.hpp"

using namespace ocgate;

namespace {

using Networks = std::vector<auth::Network>;

bool trusted(void const* networks, std::string_view address) {
    auto const& all = *static_cast<Networks const*>(networks);
    return std::any_of(all.begin(), all.end(), [&](auth::Network const& one) { return one.contains(address); });
}

bool is_plain_address(std::string_view text, bool v6) {
    // A network of one address: what can be written as one is an address.
    auto const network = auth::Network::parse(text);
    return network && text != "unix" && text.find('/') == text.npos && (text.find(':') != text.npos) == v6;
}

std::string_view address_of(std::string_view hop) {
    if (is_plain_address(hop, true)) return hop;
    auto const open = hop.starts_with('[');
    auto const end = open ? hop.find(']') : hop.find(':');
    if (open && end == hop.npos) return {};
    auto const address = open ? hop.substr(1, end - 1) : hop.substr(0, end);
    auto const port = end == hop.npos ? std::string_view() : hop.substr(end + (open ? 1 : 0));
    auto const digits = port.substr(port.empty() ? 0 : 1);
    bool const port_good = port.empty() || (port.front() == ':' && !digits.empty() && digits.size() <= 5 &&
                                            digits.find_first_not_of("0123456789") == digits.npos);
    return port_good && is_plain_address(address, open) ? address : std::string_view();
}

wire::ClientAddress expected(wire::RequestHead const& head, std::string_view peer, Networks const& networks) {
    std::vector<std::string_view> hops;  // the nearest last
    bool forwarded = false;
    for (auto const& field : head.fields) {
        bool const list = wire::iequals(field.name, "X-Forwarded-For");
        forwarded = forwarded || list || wire::iequals(field.name, "Forwarded");
        for (auto rest = field.value; list;) {
            auto const hop = wire::next_element(rest);
            if (!hop) break;
            hops.push_back(*hop);
        }
    }
    if (!trusted(&networks, peer)) return {peer, forwarded};
    auto nearest = peer;
    for (; !hops.empty(); hops.pop_back()) {
        auto const address = address_of(hops.back());
        if (address.empty()) return {nearest, true};
        nearest = address;
        forwarded = false;
        if (!trusted(&networks, address)) break;
    }
    return {nearest, forwarded};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto const part = fuzz::parts(fuzz::as_text(data, size), 3, 3);
    Networks networks;
    for (auto rest = part[0]; auto const one = wire::next_element(rest);) {
        if (auto const network = auth::Network::parse(*one)) networks.push_back(*network);
    }
    auto const peer = fuzz::exactly(part[1]);

    auto const told = [&](std::string const& text, bool& untrusted_end) -> std::string {
        auto const bytes = fuzz::exactly(text);
        wire::RequestHead head;
        std::size_t seen = 0;
        auto const parsed = wire::parse_request_head(fuzz::view(bytes), {}, seen, head);
        if (!parsed || *parsed != wire::Progress::complete) return "?";
        auto const found = wire::client_address(head, fuzz::view(peer), trusted, &networks);
        auto const wanted = expected(head, fuzz::view(peer), networks);
        MUST(found.address == wanted.address && found.hidden == wanted.hidden);
        MUST(found.address == fuzz::view(peer) || auth::Network::parse(found.address));
        untrusted_end = !found.hidden && !trusted(&networks, found.address);
        return std::string(found.address) + (found.hidden ? " hidden" : "");
    };

    std::string const first = "GET / HTTP/1.1\r\nHost: a\r\n";
    auto const rest = std::string(part[2]) + "\r\n\r\n";
    bool sure = false;
    bool ignored = false;
    auto const address = told(first + rest, sure);
    if (address == "?" || !sure) return 0;
    auto const claimed = told(first + "X-Forwarded-For: 6.6.6.6, nobody\r\n" + rest, ignored);
    // Somebody whom nobody forwards for, and who now claims to forward, is told apart, but is still that peer.
    MUST(claimed == "?" || claimed == address || claimed == address + " hidden");
    return 0;
}
