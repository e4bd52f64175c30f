#include "cross_site.hpp"

#include <algorithm>
#include <optional>

#include "ocgate/auth/settings.hpp"
#include "text.hpp"

namespace ocgate::auth {
namespace {

using wire::iequals;

struct Authority {
    std::string_view host;  ///< as written; IPv6 with its brackets
    std::string_view port;  ///< empty: the scheme's own
};

struct OriginParts {
    std::string_view scheme;
    Authority authority;
};

std::optional<Authority> parse_authority(std::string_view text) noexcept {
    Authority authority;
    if (text.starts_with('[')) {
        auto const end = text.find(']');
        if (end == std::string_view::npos || end < 3) return std::nullopt;
        authority.host = text.substr(0, end + 1);
        for (char const c : authority.host.substr(1, end - 1))
            if (!is_alnum(c) && c != ':' && c != '.') return std::nullopt;
    } else {
        authority.host = text.substr(0, text.find(':'));
        if (authority.host.empty()) return std::nullopt;
        for (char const c : authority.host)
            if (!is_alnum(c) && c != '-' && c != '.' && c != '_') return std::nullopt;
    }
    auto const rest = text.substr(authority.host.size());
    if (rest.empty()) return authority;
    if (rest.front() != ':' || rest.size() > 6) return std::nullopt;
    authority.port = rest.substr(1);
    if (!std::all_of(authority.port.begin(), authority.port.end(), is_digit)) return std::nullopt;
    return authority;
}

std::optional<OriginParts> parse_origin(std::string_view text) noexcept {
    auto const colon = text.find("://");
    if (colon == std::string_view::npos || colon == 0 || !is_alpha(text.front())) return std::nullopt;
    auto const scheme = text.substr(0, colon);
    for (char const c : scheme)
        if (!is_alnum(c) && c != '+' && c != '-' && c != '.') return std::nullopt;
    auto const authority = parse_authority(text.substr(colon + 3));
    if (!authority) return std::nullopt;
    return OriginParts{scheme, *authority};
}

/// The port in its one spelling: the scheme's own is left out, as a browser does in Origin.
std::string_view plain_port(std::string_view scheme, std::string_view port) noexcept {
    if (iequals(scheme, "http") && port == "80") return {};
    if (iequals(scheme, "https") && port == "443") return {};
    return port;
}

/// Takes `*.` off; whether it was there.
bool take_wildcard(std::string_view& text) noexcept {
    if (!text.starts_with("*.")) return false;
    text.remove_prefix(2);
    return true;
}

bool host_matches(std::string_view host, std::string_view pattern, bool below) noexcept {
    if (!below) return iequals(host, pattern);
    return host.size() > pattern.size() + 1 && host[host.size() - pattern.size() - 1] == '.' &&
           iequals(host.substr(host.size() - pattern.size()), pattern);
}

bool origin_matches(OriginParts const& origin, std::string_view pattern) noexcept {
    auto const colon = pattern.find("://");
    if (colon == std::string_view::npos || !iequals(origin.scheme, pattern.substr(0, colon))) return false;
    pattern.remove_prefix(colon + 3);
    bool const below = take_wildcard(pattern);
    auto const wanted = parse_authority(pattern);
    return wanted && host_matches(origin.authority.host, wanted->host, below) &&
           plain_port(origin.scheme, origin.authority.port) == plain_port(origin.scheme, wanted->port);
}

bool is_allowed(std::string_view origin, std::span<std::string const> allowed_origins) noexcept {
    auto const parts = parse_origin(origin);
    return parts && std::any_of(allowed_origins.begin(), allowed_origins.end(),
                                [&](std::string const& pattern) { return origin_matches(*parts, pattern); });
}

/// Behind a proxy that ends TLS the Host may lack the port or have the one of https: read by the origin's scheme.
bool is_own_host(OriginParts const& origin, std::string_view host_field) noexcept {
    if (!iequals(origin.scheme, "http") && !iequals(origin.scheme, "https")) return false;
    auto const host = parse_authority(host_field);
    return host && iequals(origin.authority.host, host->host) &&
           plain_port(origin.scheme, origin.authority.port) == plain_port(origin.scheme, host->port);
}

/// The value of a field that may stand once; `many` when it stands more often.
struct Once {
    std::optional<std::string_view> value;
    bool many = false;
};

Once find_once(wire::RequestHead const& head, std::string_view name) noexcept {
    Once once;
    for (auto const& field : head.fields) {
        if (!iequals(field.name, name)) continue;
        once.many = once.value.has_value();
        once.value = field.value;
        if (once.many) break;
    }
    return once;
}

}  // namespace

bool is_origin_pattern(std::string_view text) noexcept {
    auto const colon = text.find("://");
    if (colon == std::string_view::npos || colon == 0 || !is_alpha(text.front())) return false;
    for (char const c : text.substr(0, colon))
        if (!is_alnum(c) && c != '+' && c != '-' && c != '.') return false;
    return is_host_pattern(text.substr(colon + 3));
}

bool is_host_pattern(std::string_view text) noexcept {
    take_wildcard(text);
    return parse_authority(text).has_value() && !text.ends_with(':');
}

bool needs_own_page(wire::RequestHead const& head) noexcept { return head.upgrade || !head.is_safe(); }

bool is_foreign(wire::RequestHead const& head, std::span<std::string const> allowed_origins) noexcept {
    auto const origin = find_once(head, "Origin");
    auto const site = find_once(head, "Sec-Fetch-Site");
    if (origin.many || site.many) return true;
    bool const site_is_ours = !site.value || *site.value == "same-origin" || *site.value == "none";
    if (!origin.value) return !site_is_ours;

    if (is_allowed(*origin.value, allowed_origins)) return false;
    auto const parts = parse_origin(*origin.value);
    return !parts || !is_own_host(*parts, head.host) || (!site_is_ours && !head.upgrade);
}

bool is_foreign_read(wire::RequestHead const& head, std::span<std::string const> allowed_origins) noexcept {
    auto const site = find_once(head, "Sec-Fetch-Site");
    if (!site.value || (!site.many && (*site.value == "same-origin" || *site.value == "none"))) return false;
    // Origin stands in what a script asks for and may read; whatever else a page loads tells where it belongs by
    // Referer alone, which holds at least the origin unless the page wants to hide it.
    auto from = find_once(head, "Origin");
    if (!from.value) {
        from = find_once(head, "Referer");
        auto const scheme = from.value ? from.value->find("://") : std::string_view::npos;
        if (scheme != std::string_view::npos) from.value = from.value->substr(0, from.value->find('/', scheme + 3));
    }
    return site.many || !from.value || from.many || !is_allowed(*from.value, allowed_origins);
}

bool opens_window(wire::RequestHead const& head) noexcept {
    auto const mode = find_once(head, "Sec-Fetch-Mode");
    auto const destination = find_once(head, "Sec-Fetch-Dest");
    return !mode.many && mode.value == "navigate" && !destination.many && destination.value == "document";
}

bool host_allowed(std::string_view host_field, std::span<std::string const> allowed_hosts) noexcept {
    if (allowed_hosts.empty()) return true;
    auto const host = parse_authority(host_field);
    if (!host) return false;
    return std::any_of(allowed_hosts.begin(), allowed_hosts.end(), [&](std::string_view pattern) {
        bool const below = take_wildcard(pattern);
        auto const wanted = parse_authority(pattern);
        return wanted && host_matches(host->host, wanted->host, below) &&
               (wanted->port.empty() || wanted->port == host->port);
    });
}

bool is_from_browser(wire::RequestHead const& head) noexcept {
    constexpr std::string_view metadata = "Sec-Fetch-";
    return std::any_of(head.fields.begin(), head.fields.end(), [&](wire::Field const& field) {
        return iequals(field.name, "Origin") || iequals(field.name.substr(0, metadata.size()), metadata);
    });
}

bool is_preflight(wire::RequestHead const& head) noexcept {
    if (head.method != "OPTIONS" || head.upgrade || !head.body.empty()) return false;
    auto const origin = find_once(head, "Origin");
    auto const method = find_once(head, "Access-Control-Request-Method");
    return origin.value && !origin.many && method.value && !method.many && wire::is_token(*method.value);
}

}  // namespace ocgate::auth
