#include <openssl/evp.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <charconv>

#include "ocgate/notify/http.hpp"
#include "ocgate/wire/head.hpp"
#include "ocgate/wire/percent.hpp"

namespace ocgate::notify {
namespace {

namespace ip = boost::asio::ip;

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    return result;
}

std::string unescaped(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        auto const byte = wire::escape_at(text);
        result += byte ? *byte : text.front();
        text.remove_prefix(byte ? 3 : 1);
    }
    return result;
}

Secret basic(std::string_view userinfo) {
    auto const colon = userinfo.find(':');
    auto pair = unescaped(userinfo.substr(0, colon)) + ':';
    if (colon != std::string_view::npos) pair += unescaped(userinfo.substr(colon + 1));
    std::string coded(4 * ((pair.size() + 2) / 3) + 1, '\0');  // EVP_EncodeBlock(3) ends it with a NUL
    auto const size =
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(coded.data()),
                        reinterpret_cast<unsigned char const*>(pair.data()), static_cast<int>(pair.size()));
    coded.resize(static_cast<std::size_t>(size));
    return Secret("Basic " + coded);
}

/// A registered name as it can be looked up; names in other scripts have to be given in their ASCII form.
bool is_name(std::string_view host) {
    return !host.empty() && host.front() != '.' && host.size() <= 253 &&
           std::all_of(host.begin(), host.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
           });
}

std::optional<std::uint16_t> port_of(std::string_view text) {
    unsigned port = 0;
    auto const [end, why] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (why != std::errc() || end != text.data() + text.size() || port == 0 || port > 65535) return std::nullopt;
    return static_cast<std::uint16_t>(port);
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`; without a port it stays as it was.
bool read_authority(std::string_view text, std::string& host, std::uint16_t& port, std::string& problem) {
    std::string_view rest;
    if (text.starts_with('[')) {
        auto const close = text.find(']');
        error_code why;
        if (close == std::string_view::npos ||
            (ip::make_address_v6(std::string(text.substr(1, close - 1)), why), why)) {
            problem = "the host is no IPv6 address";
            return false;
        }
        host = lower(text.substr(1, close - 1));
        rest = text.substr(close + 1);
    } else {
        auto const colon = text.find(':');
        host = lower(text.substr(0, colon));
        rest = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
        if (!is_name(host)) {
            problem = "the host is no name or address";
            return false;
        }
    }
    if (rest.empty()) return true;
    auto const given = rest.starts_with(':') ? port_of(rest.substr(1)) : std::nullopt;
    if (!given) {
        problem = "the port is no number from 1 to 65535";
        return false;
    }
    port = *given;
    return true;
}

/// NO_PROXY as curl and Go read it: `*`, names (also for what is below them), addresses, networks; a port may follow.
bool matches(std::string_view pattern, Url const& url, std::optional<ip::address> const& address) {
    if (pattern == "*") return true;
    error_code why;
    if (address && pattern.find('/') != std::string_view::npos) {
        auto const text = std::string(pattern);
        if (address->is_v4()) {
            auto const network = ip::make_network_v4(text, why);
            return !why && network.canonical() == ip::network_v4(address->to_v4(), network.prefix_length()).canonical();
        }
        auto const network = ip::make_network_v6(text, why);
        return !why && network.canonical() == ip::network_v6(address->to_v6(), network.prefix_length()).canonical();
    }
    if (address && ip::make_address(std::string(pattern), why) == *address && !why) return true;
    std::string host;
    std::string ignored;
    std::uint16_t port = url.port;
    if (!read_authority(pattern, host, port, ignored) || port != url.port) return false;
    if (url.host == host) return true;
    return !address && url.host.ends_with(host) && url.host[url.host.size() - host.size() - 1] == '.';
}

char const* first_of(Proxies::Variable const& variable, char const* small, char const* large, char const*& name) {
    for (char const* one : {small, large}) {
        char const* const value = variable(name = one);
        if (value && *value) return value;
    }
    return nullptr;
}

}  // namespace

std::optional<Url> parse_url(std::string_view text, std::string& problem) {
    Url url;
    auto const scheme = lower(text.substr(0, text.find("://")));
    if (scheme.size() == text.size() || (scheme != "http" && scheme != "https")) {
        problem = "it does not begin with https:// or http://";
        return std::nullopt;
    }
    url.tls = scheme == "https";
    std::uint16_t const usual = url.tls ? 443 : 80;
    url.port = usual;
    text.remove_prefix(scheme.size() + 3);
    text = text.substr(0, text.find('#'));
    for (char const c : text) {
        if (static_cast<unsigned char>(c) > ' ' && static_cast<unsigned char>(c) < 0x7f) continue;
        problem = "it holds a space, a control character or one that is not ASCII";
        return std::nullopt;
    }
    auto authority = text.substr(0, text.find_first_of("/?"));
    url.target = text.substr(authority.size());
    if (!url.target.starts_with('/')) url.target.insert(0, "/");
    if (auto const at = authority.rfind('@'); at != std::string_view::npos) {
        url.authorization = basic(authority.substr(0, at));
        authority.remove_prefix(at + 1);
    }
    if (!read_authority(authority, url.host, url.port, problem)) return std::nullopt;
    url.authority = url.host.find(':') == std::string::npos ? url.host : "[" + url.host + "]";
    if (url.port != usual) url.authority += ":" + std::to_string(url.port);
    return url;
}

Proxies::Proxies(Variable const& variable, std::vector<std::string>& problems) {
    auto const read = [&](char const* small, char const* large, std::optional<Url>& into) {
        char const* name = nullptr;
        char const* const value = first_of(variable, small, large, name);
        if (!value) return;
        std::string const text(value);
        std::string problem;
        into = parse_url(text.find("://") == std::string::npos ? "http://" + text : text, problem);
        if (into && into->tls) problem = "a proxy that is itself asked over https is not supported, use http://";
        if (!problem.empty()) problems.push_back(std::string(name) + ": " + problem);
    };
    read("https_proxy", "HTTPS_PROXY", https_);
    read("http_proxy", "HTTP_PROXY", http_);
    char const* name = nullptr;
    char const* const value = first_of(variable, "no_proxy", "NO_PROXY", name);
    auto rest = std::string_view(value ? value : "");
    while (auto const element = wire::next_element(rest)) {
        auto pattern = lower(*element);
        if (pattern.starts_with("*.")) pattern.erase(0, 1);
        if (pattern.starts_with('.')) pattern.erase(0, 1);
        if (!pattern.empty()) except_.push_back(std::move(pattern));
    }
}

bool Proxies::excepted(Url const& url) const {
    error_code why;
    auto const parsed = ip::make_address(url.host, why);
    auto const address = why ? std::nullopt : std::optional(parsed);
    if (url.host == "localhost" || (address && address->is_loopback())) return true;
    return std::any_of(except_.begin(), except_.end(),
                       [&](std::string const& pattern) { return matches(pattern, url, address); });
}

Url const* Proxies::for_url(Url const& url) const {
    auto const& proxy = url.tls ? https_ : http_;
    return proxy && !excepted(url) ? &*proxy : nullptr;
}

}  // namespace ocgate::notify
