// Field names and lists: told apart and taken apart.
#include <cstring>

#include "chars.hpp"
#include "ocgate/wire/head.hpp"

namespace ocgate::wire {
namespace {

struct Known {
    std::string_view name;  ///< in lower case: letters, digits and `-` only
    FieldKind kind = FieldKind::other;
};

constexpr Known known[] = {
    {"te", FieldKind::hop_by_hop},
    {"trailer", FieldKind::hop_by_hop},
    {"keep-alive", FieldKind::hop_by_hop},
    {"proxy-connection", FieldKind::hop_by_hop},
    {"http2-settings", FieldKind::hop_by_hop},
    {"connection", FieldKind::connection},
    {"upgrade", FieldKind::upgrade},
    {"transfer-encoding", FieldKind::transfer_encoding},
    {"proxy-authenticate", FieldKind::proxy_credentials},
    {"proxy-authorization", FieldKind::proxy_credentials},
    {"proxy-authentication-info", FieldKind::proxy_credentials},
    {"content-length", FieldKind::content_length},
    {"content-type", FieldKind::content_type},
    {"host", FieldKind::host},
    {"expect", FieldKind::expect},
    {"cookie", FieldKind::cookie},
    {"authorization", FieldKind::authorization},
    {"via", FieldKind::via},
    {"x-request-id", FieldKind::request_id},
    {"forwarded", FieldKind::forwarded},
    {"x-real-ip", FieldKind::forwarded},
    {"x-forwarded-for", FieldKind::forwarded_for},
    {"x-forwarded-proto", FieldKind::forwarded_proto},
    {"x-forwarded-host", FieldKind::forwarded_host},
    {"sec-websocket-key", FieldKind::websocket_key},
    {"sec-websocket-version", FieldKind::websocket_version},
    {"sec-websocket-accept", FieldKind::websocket_accept},
    {"origin", FieldKind::end_to_end},
    {"set-cookie", FieldKind::end_to_end},
    {"www-authenticate", FieldKind::end_to_end},
    {"cache-control", FieldKind::end_to_end},
    {"vary", FieldKind::end_to_end},
    {"location", FieldKind::end_to_end},
    {"x-frame-options", FieldKind::end_to_end},
    {"x-content-type-options", FieldKind::end_to_end},
    {"strict-transport-security", FieldKind::end_to_end},
};

/// Families whose members all go by one rule.
constexpr Known families[] = {
    {"x-forwarded-", FieldKind::forwarded},
    {"sec-", FieldKind::end_to_end},
    {"content-", FieldKind::end_to_end},
    {"access-control-", FieldKind::end_to_end},
};

constexpr std::size_t slots = 256;
constexpr std::size_t longest = 25;

constexpr std::size_t slot_of(char const* name, std::size_t size, unsigned factor) noexcept {
    auto const first = static_cast<unsigned>(static_cast<unsigned char>(name[0]) | 0x20U);
    auto const last = static_cast<unsigned>(static_cast<unsigned char>(name[size - 1]) | 0x20U);
    auto const middle = static_cast<unsigned>(static_cast<unsigned char>(name[size / 2]) | 0x20U);
    return ((static_cast<unsigned>(size) * 37U + first * 5U + middle * 11U + last) * factor >> 6U) % slots;
}

/// A factor under which no two known names share a slot; 0 if there were none.
constexpr unsigned find_factor() noexcept {
    for (unsigned factor = 1; factor < 8'000; factor += 2) {
        std::array<bool, slots> taken{};
        bool free = true;
        for (auto const& entry : known) {
            auto const slot = slot_of(entry.name.data(), entry.name.size(), factor);
            free = free && !taken[slot];
            taken[slot] = true;
        }
        if (free) return factor;
    }
    return 0;
}

constexpr unsigned spread = find_factor();
static_assert(spread != 0, "two field names collide: change the shape of slot_of");

constexpr auto table = [] {
    std::array<Known, slots> entries{};
    for (auto const& entry : known) entries[slot_of(entry.name.data(), entry.name.size(), spread)] = entry;
    return entries;
}();

/// `name` is made of token characters, `lower` of lower-case letters, digits and `-`: among those, bit 5 is case alone.
bool same_name(char const* name, char const* lower, std::size_t size) noexcept {
    constexpr std::uint64_t case_bits = 0x2020202020202020U;
    std::uint64_t a = 0;
    std::uint64_t b = 0;
    for (; size >= 8; name += 8, lower += 8, size -= 8) {
        std::memcpy(&a, name, 8);
        std::memcpy(&b, lower, 8);
        if ((a | case_bits) != b) return false;
    }
    for (; size > 0; --size)
        if ((*name++ | 0x20) != *lower++) return false;
    return true;
}

constexpr char lower_case(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

}  // namespace

FieldKind kind_of(std::string_view name) noexcept {
    if (name.empty()) return FieldKind::other;
    if (name.size() <= longest) {
        auto const& entry = table[slot_of(name.data(), name.size(), spread)];
        if (entry.name.size() == name.size() && same_name(name.data(), entry.name.data(), name.size()))
            return entry.kind;
    }
    char const first = static_cast<char>(name.front() | 0x20);
    for (auto const& family : families) {
        if (first == family.name.front() && name.size() > family.name.size() &&
            same_name(name.data(), family.name.data(), family.name.size()))
            return family.kind;
    }
    return FieldKind::other;
}

bool iequals(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (a[i] != b[i] && lower_case(a[i]) != lower_case(b[i])) return false;
    return true;
}

std::optional<std::string_view> next_element(std::string_view& rest) noexcept {
    while (!rest.empty()) {
        auto const comma = rest.find(',');
        auto const element = without_blanks(rest.substr(0, comma));
        rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
        if (!element.empty()) return element;
    }
    return std::nullopt;
}

bool list_has(std::string_view value, std::string_view token) noexcept {
    while (auto const element = next_element(value))
        if (iequals(*element, token)) return true;
    return false;
}

bool is_token(std::string_view text) noexcept {
    for (char const c : text)
        if (!is_in(token_chars, c)) return false;
    return !text.empty();
}

std::optional<std::string_view> FieldList::find(std::string_view name) const noexcept {
    for (auto const& field : *this)
        if (iequals(field.name, name)) return field.value;
    return std::nullopt;
}

std::size_t FieldList::count(std::string_view name) const noexcept {
    std::size_t n = 0;
    for (auto const& field : *this) n += iequals(field.name, name) ? 1 : 0;
    return n;
}

}  // namespace ocgate::wire
