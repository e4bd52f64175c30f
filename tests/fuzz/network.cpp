// A block of addresses holds what its first bits say, bit by bit; a wider block of the same holds all of it, too.
// Parts: the block, an address.
#include <arpa/inet.h>

#include <algorithm>
#include <optional>

#include "ocgate/auth/settings.hpp"
#include "property.hpp"

using namespace ocgate;

namespace {

struct Bits {
    std::string bits;  ///< a character each
    bool v4 = false;
};

std::optional<Bits> bits_of(std::string_view text, bool zone_allowed) {
    bool const v6 = text.find(':') != text.npos;
    if (v6 && zone_allowed) text = text.substr(0, text.find('%'));
    std::string const terminated(text);
    if (terminated.find('\0') != terminated.npos) return std::nullopt;
    unsigned char bytes[16] = {};
    if (::inet_pton(v6 ? AF_INET6 : AF_INET, terminated.c_str(), bytes) != 1) return std::nullopt;
    Bits made;
    std::size_t first = 0;
    if (v6) {
        static constexpr unsigned char mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
        made.v4 = std::equal(std::begin(mapped), std::end(mapped), bytes);
        if (made.v4) first = 12;
    } else {
        made.v4 = true;
    }
    for (std::size_t i = first; i < (v6 ? 16U : 4U); ++i)
        for (unsigned bit = 0x80; bit != 0; bit >>= 1) made.bits += (bytes[i] & bit) != 0 ? '1' : '0';
    return made;
}

/// Nothing: it is none.
struct Block {
    Bits base;
    long prefix = -1;
    bool whole_v6 = false;  ///< wider than the IPv4-mapped range: no IPv4 address is in it
};
std::optional<Block> block_of(std::string_view text) {
    auto const slash = text.find('/');
    auto const host = text.substr(0, slash);
    auto base = bits_of(host, false);
    if (!base) return std::nullopt;
    bool const dotted = host.find(':') == host.npos;
    long prefix = dotted ? 32 : 128;
    if (slash != text.npos) {
        auto const digits = text.substr(slash + 1);
        if (digits.empty() || digits.size() > 3 || digits.find_first_not_of("0123456789") != digits.npos)
            return std::nullopt;
        if (digits.size() > 1 && digits.front() == '0') return std::nullopt;
        auto const given = std::stol(std::string(digits));
        if (given > prefix) return std::nullopt;
        prefix = given;
    }
    bool whole = false;
    if (!dotted && base->v4) {  // as the IPv4 block that it is, if it is one
        whole = prefix < 96;
        if (whole) {
            base->v4 = false;
            base->bits = std::string(80, '0') + std::string(16, '1') + base->bits;
        } else {
            prefix -= 96;
        }
    }
    return Block{*base, prefix, whole};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto const part = fuzz::parts(fuzz::as_text(data, size), 2, 2);
    auto const text = fuzz::exactly(part[0]);
    auto const address = fuzz::exactly(part[1]);
    auto const network = auth::Network::parse(fuzz::view(text));
    auto const block = block_of(fuzz::view(text));
    bool const local = fuzz::view(text) == "unix";
    MUST(network.has_value() == (local || block.has_value()));
    if (!network) return 0;
    bool const holds = network->contains(fuzz::view(address));
    if (local || fuzz::view(address) == "unix") {
        MUST(holds == (local && fuzz::view(address) == "unix"));
        return 0;
    }
    auto const bits = bits_of(fuzz::view(address), true);
    bool const inside = bits && bits->v4 == block->base.v4 &&
                        bits->bits.compare(0, static_cast<std::size_t>(block->prefix), block->base.bits, 0,
                                           static_cast<std::size_t>(block->prefix)) == 0;
    MUST(holds == inside);

    auto const host = fuzz::view(text).substr(0, fuzz::view(text).find('/'));
    if (!block->whole_v6) MUST(network->contains(host));
    auto const mapped_edge = host.find(':') != host.npos && block->base.v4 && block->prefix == 0;
    if (block->prefix > 0 && !mapped_edge) {
        auto const given = host.find(':') != host.npos && block->base.v4 ? block->prefix + 96 : block->prefix;
        auto const wider = auth::Network::parse(std::string(host) + "/" + std::to_string(given - 1));
        MUST(wider.has_value() && (!holds || wider->contains(fuzz::view(address))));
    }
    return 0;
}
