// A URL of a target is taken apart so that what is put together of it again is read the same, and nothing of it can
// become a line of its own in a request; what is wrong with one is told without the URL. Proxies: loopback is never
// asked for through one. Parts: the URL, http_proxy, https_proxy, no_proxy.
#include <algorithm>

#include "ocgate/notify/http.hpp"
#include "property.hpp"

using namespace ocgate;

namespace {

bool is_visible(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

void check(notify::Url const& url) {
    MUST(url.port != 0 && !url.host.empty());
    MUST(url.target.starts_with('/') && is_visible(url.target) && url.target.find('#') == url.target.npos);
    for (char const c : url.host) MUST(!(c >= 'A' && c <= 'Z'));
    MUST(is_visible(url.host) && url.host.find_first_of("/@?#[]\\") == url.host.npos);
    MUST(is_visible(url.authority) && url.authority.find_first_of("/@?#\\") == url.authority.npos);
    auto const authorization = url.authorization.reveal();
    MUST(authorization.empty() || (authorization.starts_with("Basic ") && is_visible(authorization.substr(6))));

    std::string problem;
    auto const again = notify::parse_url((url.tls ? "https://" : "http://") + url.authority + url.target, problem);
    MUST(again && problem.empty() && again->authorization.empty());
    MUST(again->tls == url.tls && again->host == url.host && again->port == url.port);
    MUST(again->target == url.target && again->authority == url.authority);
}

bool is_this_machine(std::string_view host) {
    return host == "localhost" || host == "::1" || host == "127.0.0.1" || host == "127.8.8.8";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto const part = fuzz::parts(fuzz::as_text(data, size), 4, 4);
    auto const bytes = fuzz::exactly(part[0]);
    std::string problem;
    auto const url = notify::parse_url(fuzz::view(bytes), problem);
    MUST(url.has_value() == problem.empty());
    // Of a URL that is not taken nothing is told: it may hold a secret anywhere.
    static constexpr std::string_view words[] = {"",
                                                 "it does not begin with https:// or http://",
                                                 "it holds a space, a control character or one that is not ASCII",
                                                 "the host is no IPv6 address",
                                                 "the host is no name or address",
                                                 "the port is no number from 1 to 65535"};
    MUST(std::find(std::begin(words), std::end(words), problem) != std::end(words));
    if (url) check(*url);

    std::string const http(part[1]), https(part[2]), none(part[3]);
    std::vector<std::string> problems;
    notify::Proxies const proxies(
        [&](char const* name) -> char const* {
            std::string_view const asked(name);
            if (asked == "http_proxy") return http.c_str();
            if (asked == "https_proxy") return https.c_str();
            return asked == "NO_PROXY" ? none.c_str() : nullptr;
        },
        problems);
    for (auto const& one : problems) MUST(one.starts_with("http_proxy: ") || one.starts_with("https_proxy: "));
    if (!url) return 0;
    auto const* const proxy = proxies.for_url(*url);
    if (is_this_machine(url->host)) MUST(proxy == nullptr);
    if (proxy != nullptr) {
        check(*proxy);
        MUST(!problems.empty() || !proxy->tls);
    }
    // What is itself excepted is never asked for through a proxy, however else the list goes on.
    std::string const own = none + "," + (url->host.find(':') == url->host.npos ? url->host : url->authority);
    std::vector<std::string> ignored;
    notify::Proxies const excepting(
        [&](char const* name) -> char const* {
            std::string_view const asked(name);
            if (asked == "http_proxy" || asked == "https_proxy") return "http://proxy.test:3128";
            return asked == "no_proxy" ? own.c_str() : nullptr;
        },
        ignored);
    bool const cut = none.find('\0') != none.npos;
    if (!cut) MUST(ignored.empty() && excepting.for_url(*url) == nullptr);
    return 0;
}
