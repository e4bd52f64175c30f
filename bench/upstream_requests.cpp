#include "upstream_requests.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <span>

#include "net.hpp"

namespace bench {
namespace {

/// SHA-1 (FIPS 180-4) of a text short enough for one handshake; nothing here depends on its strength.
std::array<unsigned char, 20> sha1(std::string text) {
    std::uint64_t const bits = text.size() * 8;
    text += '\x80';
    while (text.size() % 64 != 56) text += '\0';
    for (int shift = 56; shift >= 0; shift -= 8) text += static_cast<char>((bits >> shift) & 0xff);
    std::array<std::uint32_t, 5> h{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    for (std::size_t block = 0; block < text.size(); block += 64) {
        std::array<std::uint32_t, 80> w{};
        for (std::size_t i = 0; i < 64; ++i) w[i / 4] = w[i / 4] << 8 | static_cast<unsigned char>(text[block + i]);
        for (std::size_t i = 16; i < 80; ++i) w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        auto [a, b, c, d, e] = h;
        for (std::size_t i = 0; i < 80; ++i) {
            std::uint32_t f = b ^ c ^ d, k = i < 40 ? 0x6ed9eba1 : 0xca62c1d6;
            if (i < 20) f = (b & c) | (~b & d), k = 0x5a827999;
            if (i >= 40 && i < 60) f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
            std::uint32_t const next = std::rotl(a, 5) + f + e + k + w[i];
            e = d, d = c, c = std::rotl(b, 30), b = a, a = next;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    std::array<unsigned char, 20> digest{};
    for (std::size_t i = 0; i < 20; ++i) digest[i] = static_cast<unsigned char>(h[i / 4] >> (24 - 8 * (i % 4)));
    return digest;
}

std::string base64(std::span<unsigned char const> bytes) {
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::size_t const have = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t group = 0;
        for (std::size_t k = 0; k < 3; ++k) group = group << 8 | (k < have ? bytes[i + k] : 0U);
        for (std::size_t k = 0; k < 4; ++k) text += k <= have ? alphabet[group >> (18 - 6 * k) & 63] : '=';
    }
    return text;
}

}  // namespace

bool same_but_case(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return (x | 32) == (y | 32); });
}

std::string_view field(std::string_view head, std::string_view name) {
    for (auto at = head.find("\r\n"); at != std::string_view::npos && at + 2 < head.size();) {
        auto const end = head.find("\r\n", at + 2);
        std::string_view const line = head.substr(at + 2, end - at - 2);
        if (line.size() > name.size() && line[name.size()] == ':' && same_but_case(line.substr(0, name.size()), name)) {
            auto const from = line.find_first_not_of(' ', name.size() + 1);
            return from == std::string_view::npos ? "" : line.substr(from);
        }
        at = end;
    }
    return "";
}

std::int64_t parameter(std::string_view target, std::string_view name) {
    auto const question = target.find('?');
    if (question == std::string_view::npos) return 0;
    for (std::string_view rest = target.substr(question + 1); !rest.empty();) {
        std::string_view const pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
        auto const equals = pair.find('=');
        if (pair.substr(0, equals) == name) return Arguments::to_number(pair.substr(equals + 1));
    }
    return 0;
}

std::string accept_of(std::string const& key) { return base64(sha1(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")); }

}  // namespace bench
