#include "config_address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <optional>

#include "durations.hpp"
#include "ocgate/auth/settings.hpp"

namespace ocgate::app {
namespace {

constexpr std::string_view listen_forms =
    "expected host:port, [IPv6 address]:port, :port or unix:/path, the host an address or localhost";
constexpr std::string_view upstream_forms = "expected http://host:port or unix:/path";

/// To the C library a text ends at a NUL: what stands behind one would not be looked at.
bool is_address(int family, std::string const& host) {
    in6_addr address{};  // has room for either
    return host.find('\0') == std::string::npos && ::inet_pton(family, host.c_str(), &address) == 1;
}

bool is_v4(std::string const& host) { return is_address(AF_INET, host); }

bool is_v6(std::string const& host) { return is_address(AF_INET6, host); }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// A name of letters, digits, `-`, `_` and dots (RFC 1123 §2.1; the underscore is what compose files use). A last label
/// that starts with a digit would be read as an address by some and as a name by others.
bool is_host_name(std::string_view host) {
    if (host.empty() || host.size() > 253 || host.front() == '.' || host.front() == '-') return false;
    for (char const c : host)
        if (!is_digit(c) && (lower(c) < 'a' || lower(c) > 'z') && c != '-' && c != '.' && c != '_') return false;
    auto const end = host.back() == '.' ? host.size() - 1 : host.size();
    auto const dot = host.substr(0, end).rfind('.');
    return host.find("..") == std::string_view::npos && !is_digit(host[dot == std::string_view::npos ? 0 : dot + 1]);
}

/// Splits `host:port`; the brackets of an IPv6 address are taken off.
struct Authority {
    std::string host;
    bool bracketed = false;
    std::uint16_t port = 0;
};
std::optional<Authority> split(std::string_view text) {
    auto const colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    auto const digits = text.substr(colon + 1);
    auto const port = parse_integer(digits);
    if (!port || *port > 65535 || digits.size() > 5) return std::nullopt;
    auto host = text.substr(0, colon);
    Authority authority{{}, host.starts_with('[') && host.ends_with(']'), static_cast<std::uint16_t>(*port)};
    if (authority.bracketed) host = host.substr(1, host.size() - 2);
    authority.host.assign(host);
    std::transform(authority.host.begin(), authority.host.end(), authority.host.begin(), lower);
    if (authority.bracketed ? !is_v6(authority.host) : authority.host.find(':') != std::string::npos)
        return std::nullopt;
    return authority;
}

ParsedAddress socket_path(std::string_view path) {
    while (path.starts_with("//")) path.remove_prefix(1);
    if (!path.starts_with('/') || path.size() < 2) return {{}, "expected an absolute path after unix:"};
    if (path.size() > max_socket_path_bytes || path.find('\0') != std::string_view::npos)
        return {{}, "expected a path of at most " + std::to_string(max_socket_path_bytes) + " bytes after unix:"};
    return {{{}, 0, std::string(path)}, {}};
}

bool is_wildcard(std::string_view host) { return host.empty() || host == "0.0.0.0" || host == "::"; }

}  // namespace

ParsedAddress parse_listen(std::string_view text) {
    if (text.starts_with("unix:")) return socket_path(text.substr(5));
    if (text.find("://") != std::string_view::npos)
        return {{}, std::string(listen_forms) + "; leave the scheme out, a listener speaks plain HTTP"};
    auto authority = split(text);
    if (!authority) {
        if (is_v6(std::string(text)) || std::count(text.begin(), text.end(), ':') > 1)
            return {{}, std::string(listen_forms) + "; an IPv6 address stands in brackets, [::]:8080"};
        return {{}, std::string(listen_forms)};
    }
    if (authority->host.empty()) authority->host = "0.0.0.0";
    if (!authority->bracketed && !is_v4(authority->host) && authority->host != "localhost")
        return {{}, std::string(listen_forms)};
    return {{std::move(authority->host), authority->port, {}}, {}};
}

ParsedAddress parse_upstream(std::string_view text) {
    if (text.starts_with("unix:")) return socket_path(text.substr(5));
    std::string const scheme = "http://";
    std::string head(text.substr(0, scheme.size() + 1));
    std::transform(head.begin(), head.end(), head.begin(), lower);
    if (head.starts_with("https://"))
        return {{},
                std::string(upstream_forms) +
                    "; https is not spoken to the upstream, opencode serves plain HTTP: "
                    "run the gateway beside it, or a TLS tunnel between them"};
    if (!head.starts_with(scheme)) {
        auto const bare = split(text);
        bool const forgot = bare && (bare->bracketed || is_v4(bare->host) || is_host_name(bare->host));
        return {{}, std::string(upstream_forms) + (forgot ? "; put http:// in front" : "")};
    }
    auto rest = text.substr(scheme.size());
    if (rest.find('@') != std::string_view::npos)
        return {{},
                std::string(upstream_forms) +
                    " without credentials; give them as OCGATE_UPSTREAM_USERNAME and "
                    "OCGATE_UPSTREAM_PASSWORD, or as /upstream/username and "
                    "/upstream/password"};
    if (rest.ends_with('/')) rest.remove_suffix(1);
    if (rest.find_first_of("/?#") != std::string_view::npos)
        return {{}, std::string(upstream_forms) + " without path and query; requests keep the path they came with"};
    auto authority = split(rest);
    if (!authority) return {{}, std::string(upstream_forms) + ", with the port"};
    if (authority->port == 0) return {{}, std::string(upstream_forms) + ", the port from 1 to 65535"};
    if (!authority->bracketed && !is_v4(authority->host) && !is_host_name(authority->host))
        return {{}, std::string(upstream_forms) + ", the host a name or an address"};
    return {{std::move(authority->host), authority->port, {}}, {}};
}

bool is_loopback(rt::Address const& address) {
    if (address.is_unix() || address.host == "localhost") return true;
    return auth::Network::parse("127.0.0.0/8")->contains(address.host) ||
           auth::Network::parse("::1")->contains(address.host);
}

bool covers(rt::Address const& listen, rt::Address const& other) {
    if (listen.is_unix() || other.is_unix()) return listen.unix_path == other.unix_path;
    if (listen.port != other.port || listen.port == 0) return false;
    auto const same_place = [](std::string const& host) { return host == "localhost" ? "127.0.0.1" : host; };
    if (same_place(listen.host) == same_place(other.host)) return true;
    return (is_wildcard(listen.host) && (is_wildcard(other.host) || is_loopback(other))) ||
           (is_wildcard(other.host) && is_loopback(listen));
}

rt::Address reachable(rt::Address listen) {
    if (listen.is_unix()) return listen;
    if (listen.host.empty() || listen.host == "0.0.0.0") listen.host = "127.0.0.1";
    if (listen.host == "::") listen.host = "::1";
    return listen;
}

}  // namespace ocgate::app
