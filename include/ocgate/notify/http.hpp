// One HTTPS request of our own and its whole answer. Knows no target and no queue. TLS 1.2 or later, the certificate
// and the name in it verified; through the proxies the environment names; no redirects, no reuse of connections.
#pragma once

#include <memory>
#include <optional>

#include "ocgate/base/secret.hpp"
#include "ocgate/notify/sink.hpp"
#include "ocgate/rt/dialer.hpp"

namespace ocgate::notify {

/// What was being done when a request failed. A closed set: also a metric label.
enum class HttpStep : std::uint8_t { request, resolve, dial, proxy, tls, send, answer };
[[nodiscard]] std::string_view to_string(HttpStep step) noexcept;

struct HttpFailure {
    HttpStep step = HttpStep::request;
    error_code why;
    /// The server may have got the request or a part of it, and may have acted upon it. False: surely not.
    bool maybe_received = false;
    std::string detail;  ///< for people, where there is more to say than `why` does; without secrets
};
/// `tls: certificate verify failed (self-signed certificate)`.
[[nodiscard]] std::string to_string(HttpFailure const& failure);
[[noreturn]] void throw_exception_from_error(HttpFailure const& failure, boost::source_location const& where);

using HttpResult = boost::system::result<HttpResponse, HttpFailure>;

class HttpClient {
public:
    virtual ~HttpClient() = default;
    /// Everything by `until`: Reason::timed_out. Once the head of an answer is there, it is an answer whatever becomes
    /// of its content (HttpResponse::whole): the status says what the server did with the request.
    virtual rt::Task<HttpResult> send(HttpRequest request, rt::Instant until) = 0;
    /// Ends what is under way with operation_aborted, and whatever is sent later. For good, idempotent.
    virtual void stop() = 0;
};

/// An absolute http or https URL, taken apart. A fragment is dropped, user information becomes Basic credentials.
struct Url {
    bool tls = false;
    std::string host;  ///< lower case; IPv6 without brackets
    std::uint16_t port = 0;
    std::string target;     ///< path and query: begins with a slash
    Secret authorization;   ///< `Basic …`, or empty
    std::string authority;  ///< the Host field: brackets where needed, the port unless it is the scheme's own
};
/// Nothing, and in `problem` what is wrong (never the URL itself).
[[nodiscard]] std::optional<Url> parse_url(std::string_view text, std::string& problem);

/// HTTPS_PROXY for https, HTTP_PROXY for http, NO_PROXY for neither; each in lower case as well, which goes first.
/// Loopback addresses and `localhost` are never asked for through a proxy.
class Proxies {
public:
    using Variable = std::function<char const*(char const* name)>;  ///< as getenv(3)
    Proxies() = default;
    /// What cannot be read is added to `problems`, one sentence each that begins with the variable's name; such a proxy
    /// must not be ignored: what goes around it may be forbidden.
    Proxies(Variable const& variable, std::vector<std::string>& problems);

    /// The proxy to go through, an http URL whose target is of no meaning; or nullptr.
    [[nodiscard]] Url const* for_url(Url const& url) const;

private:
    [[nodiscard]] bool excepted(Url const& url) const;
    std::optional<Url> https_;
    std::optional<Url> http_;
    std::vector<std::string> except_;  ///< lower case, without a leading dot
};

/// Which certificates are trusted. Reads files: make it once and share it.
class Trust {
public:
    /// The system's certification authorities, or those in `ca_file` (PEM) instead. On failure nothing, and `problem`
    /// says why.
    [[nodiscard]] static std::shared_ptr<Trust const> load(std::string const& ca_file, std::string& problem);
    Trust(Trust const&) = delete;
    Trust& operator=(Trust const&) = delete;
    ~Trust();

    struct Inside;
    [[nodiscard]] Inside& inside() const noexcept { return *inside_; }

private:
    Trust();
    std::unique_ptr<Inside> inside_;
};

struct HttpSettings {
    std::shared_ptr<Trust const> trust;
    Proxies proxies{};
    std::string user_agent = "ocgate";         ///< where the request has none
    std::size_t max_answer_bytes = 64 * 1024;  ///< of content; the rest is not read
    /// Lookups under way, each on a thread of its own; more is Reason::too_many. getaddrinfo(3) cannot be interrupted:
    /// a name that nobody answers for holds a thread for as long as resolv.conf(5) says, and delays no other name.
    std::size_t max_lookups = 32;
    /// What looks a name up, on such a thread: addresses without port, in the order to try. Empty: getaddrinfo.
    std::function<std::vector<std::string>(std::string const& name, error_code& why)> resolve{};
    /// What connects to an address. Empty: rt::SystemDialer.
    std::function<std::unique_ptr<rt::Dialer>(rt::Address)> dialer{};
};

/// On the thread of `resources.executor`, and gone before that is. Requests under way keep what they need.
class HttpsClient final : public HttpClient {
public:
    HttpsClient(rt::PeerResources const& resources, HttpSettings settings);
    ~HttpsClient() override;  ///< stops
    HttpsClient(HttpsClient const&) = delete;
    HttpsClient& operator=(HttpsClient const&) = delete;

    rt::Task<HttpResult> send(HttpRequest request, rt::Instant until) override;
    void stop() override;

private:
    struct Inside;
    std::shared_ptr<Inside> inside_;
};

}  // namespace ocgate::notify
