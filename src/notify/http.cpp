#include "ocgate/notify/http.hpp"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/system/system_error.hpp>
#include <list>

#include "http_answer.hpp"
#include "http_lookup.hpp"
#include "ocgate/wire/head.hpp"

namespace ocgate::notify {
namespace {

namespace error = boost::asio::error;

/// One request under way, so that it can be ended from outside, whatever it waits for.
struct Flight {
    explicit Flight(rt::Deadlines& deadlines)
        : late(
              deadlines, [](void* self) { static_cast<Flight*>(self)->lookup->over.notify(); }, this) {}
    void stop() {
        stopped = true;
        breaker.trip();  // a dial, now or next
        if (auto const asked = lookup; asked && asked->over.waiting()) return asked->over.notify();
        if (auto const connected = peer) connected->interrupt(error::operation_aborted);
    }
    bool stopped = false;
    std::shared_ptr<Lookups::Waiter> lookup;
    rt::Deadline late;  ///< for the lookup; everything else has deadlines of its own
    rt::DialBreaker breaker;
    rt::PeerPtr peer;
};

HttpFailure failed(HttpStep step, error_code why, bool maybe_received = false, std::string detail = {}) {
    return {step, why, maybe_received, std::move(detail)};
}

bool is_value(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        auto const byte = static_cast<unsigned char>(c);
        return (byte >= ' ' && byte != 0x7f) || byte == '\t';
    });
}

void add_field(std::string& head, std::string_view name, std::string_view value) {
    head += name;
    head += ": ";
    head += value;
    head += "\r\n";
}

/// Nothing when the request is none: a method or field that would become part of another one's line.
std::optional<std::string> head_of(HttpRequest const& request, Url const& url, Url const* proxy,
                                   std::string const& user_agent) {
    if (!wire::is_token(request.method)) return std::nullopt;
    auto head = request.method + ' ';
    if (proxy && !url.tls) head += "http://" + url.authority;  // absolute-form, RFC 9112 §3.2.2
    head += url.target + " HTTP/1.1\r\n";
    add_field(head, "Host", url.authority);
    add_field(head, "Connection", "close");
    add_field(head, "Accept-Encoding", "identity");
    bool named = false;
    bool authorized = false;
    for (auto const& [name, value] : request.fields) {
        if (!wire::is_token(name) || !is_value(value)) return std::nullopt;
        for (std::string_view const ours : {"host", "connection", "content-length", "transfer-encoding"}) {
            if (wire::iequals(name, ours)) return std::nullopt;
        }
        named = named || wire::iequals(name, "user-agent");
        authorized = authorized || wire::iequals(name, "authorization");
        add_field(head, name, value);
    }
    if (!named) add_field(head, "User-Agent", user_agent);
    if (!authorized && !url.authorization.empty()) add_field(head, "Authorization", url.authorization.reveal());
    if (proxy && !url.tls && !proxy->authorization.empty()) {
        add_field(head, "Proxy-Authorization", proxy->authorization.reveal());
    }
    if (!request.body.empty() || (request.method != "GET" && request.method != "DELETE")) {
        add_field(head, "Content-Length", std::to_string(request.body.size()));
    }
    head += "\r\n";
    return head;
}

}  // namespace

struct HttpsClient::Inside {
    Inside(rt::PeerResources const& r, HttpSettings s)
        : resources(r), settings(std::move(s)), lookups(r.executor, settings.resolve, settings.max_lookups) {
        if (!settings.dialer) {
            settings.dialer = [](rt::Address address) -> std::unique_ptr<rt::Dialer> {
                return std::make_unique<rt::SystemDialer>(std::move(address));
            };
        }
    }
    using Addresses = std::vector<std::string>;
    rt::Task<error_code> resolve(Flight& flight, std::string const& host, rt::Instant until, Addresses& found);
    rt::Task<error_code> connect(Flight& flight, Addresses const& hosts, std::uint16_t port, rt::Instant until);
    rt::Task<std::optional<HttpFailure>> open_tunnel(Channel& channel, Url const& url, Url const& proxy,
                                                     rt::Instant until);
    rt::Task<HttpResult> exchange(Flight& flight, HttpRequest request, rt::Instant until);
    static rt::Task<HttpResult> run(std::shared_ptr<Inside> self, HttpRequest request, rt::Instant until);

    rt::PeerResources const resources;
    HttpSettings settings;
    Lookups lookups;
    std::list<std::shared_ptr<Flight>> flights;  ///< bounded by those who send
    bool stopped = false;
};

rt::Task<error_code> HttpsClient::Inside::resolve(Flight& flight, std::string const& host, rt::Instant until,
                                                  Addresses& found) {
    error_code no_address;
    (void)rt::asio::ip::make_address(host, no_address);
    if (!no_address || host == "localhost") {  // the dialer knows that one
        found = {host};
        co_return error_code{};
    }
    auto const waiter = std::make_shared<Lookups::Waiter>();
    if (auto const why = lookups.ask(host, waiter)) co_return why;
    flight.lookup = waiter;
    flight.late.set(until);
    co_await waiter->over.wait();
    flight.late.set(rt::never);
    flight.lookup = nullptr;
    if (flight.stopped) co_return error::operation_aborted;
    if (!waiter->answered) co_return Reason::timed_out;
    found = waiter->found;
    if (!waiter->why && found.empty()) co_return error::host_not_found;
    co_return waiter->why;
}

/// One address after the other; each gets its share of the time, so that a route that swallows everything does not
/// keep the next one from its turn.
rt::Task<error_code> HttpsClient::Inside::connect(Flight& flight, Addresses const& hosts, std::uint16_t port,
                                                  rt::Instant until) {
    error_code why = error::host_not_found;
    auto left = static_cast<int>(hosts.size());
    for (auto const& host : hosts) {
        auto const now = resources.deadlines.now();
        if (now >= until) co_return Reason::timed_out;
        auto const share = now + (until - now) / left--;
        auto const dialer = settings.dialer(rt::Address{host, port, {}});
        auto dialed = co_await dialer->dial(resources, share, flight.breaker);
        if (flight.stopped) {
            if (dialed) (*dialed)->close();
            co_return error::operation_aborted;
        }
        if (dialed) {
            flight.peer = *dialed;
            co_return error_code{};
        }
        why = dialed.error();
    }
    co_return why;
}

rt::Task<std::optional<HttpFailure>> HttpsClient::Inside::open_tunnel(Channel& channel, Url const& url,
                                                                      Url const& proxy, rt::Instant until) {
    bool const v6 = url.host.find(':') != std::string::npos;
    auto const place = (v6 ? "[" + url.host + "]" : url.host) + ":" + std::to_string(url.port);
    auto head = "CONNECT " + place + " HTTP/1.1\r\n";
    add_field(head, "Host", place);
    add_field(head, "User-Agent", settings.user_agent);
    if (!proxy.authorization.empty()) add_field(head, "Proxy-Authorization", proxy.authorization.reveal());
    head += "\r\n";
    unsigned status = 0;
    auto why = co_await channel.write(head, until);
    if (!why) why = co_await receive_connected(channel, status);
    if (why) co_return failed(HttpStep::proxy, why);
    if (status < 300) co_return std::nullopt;
    co_return failed(HttpStep::proxy, status == 407 ? Reason::unauthorized : Reason::refused, false,
                     "the proxy answered " + std::to_string(status));
}

rt::Task<HttpResult> HttpsClient::Inside::exchange(Flight& flight, HttpRequest request, rt::Instant until) {
    std::string problem;
    auto const url = parse_url(request.url, problem);
    if (!url) co_return failed(HttpStep::request, error::invalid_argument, false, "its URL: " + problem);
    if (url->tls && !settings.trust) co_return failed(HttpStep::request, error::operation_not_supported);
    auto const* const proxy = settings.proxies.for_url(*url);
    auto const head = head_of(request, *url, proxy, settings.user_agent);
    if (!head) co_return failed(HttpStep::request, error::invalid_argument, false, "a header field is malformed");

    auto const& first = proxy ? *proxy : *url;
    Addresses addresses;
    auto why = co_await resolve(flight, first.host, until, addresses);
    if (why) co_return failed(HttpStep::resolve, why);
    why = co_await connect(flight, addresses, first.port, until);
    if (why) co_return failed(HttpStep::dial, why);

    Channel channel(flight.peer);
    flight.peer->read_by(until);
    if (proxy && url->tls) {
        if (auto refused = co_await open_tunnel(channel, *url, *proxy, until)) co_return std::move(*refused);
    }
    if (url->tls) {
        std::string detail;
        why = co_await channel.secure(*settings.trust, url->host, detail, until);
        if (why) co_return failed(HttpStep::tls, why, false, std::move(detail));
    }

    auto const before = channel.sent();
    auto const message = *head + request.body;
    auto const unsent = co_await channel.write(message, until);
    bool const maybe_received = channel.sent() > before;
    if (flight.stopped || unsent == Reason::timed_out) {
        co_return failed(HttpStep::send, unsent ? unsent : error_code(error::operation_aborted), maybe_received);
    }
    // A server may answer before it has read everything and then break off: what it said is still worth reading.
    HttpResponse answer;
    why = co_await receive_answer(channel, request.method, settings.max_answer_bytes, answer);
    if (!why) co_return answer;
    // Many a server ends TLS without close_notify where its content has no length: it has done what it was asked for.
    answer.whole = false;
    if (answer.status != 0 && !unsent) co_return answer;
    co_return failed(unsent ? HttpStep::send : HttpStep::answer, unsent ? unsent : why, maybe_received);
}

rt::Task<HttpResult> HttpsClient::Inside::run(std::shared_ptr<Inside> self, HttpRequest request, rt::Instant until) {
    if (self->stopped) co_return failed(HttpStep::request, error::operation_aborted);
    auto const flight = std::make_shared<Flight>(self->resources.deadlines);
    self->flights.push_back(flight);
    struct Landing {
        ~Landing() { all.remove(flight); }
        std::list<std::shared_ptr<Flight>>& all;
        std::shared_ptr<Flight> const& flight;
    } const landing{self->flights, flight};
    auto result = co_await self->exchange(*flight, std::move(request), until);
    co_return result;
}

HttpsClient::HttpsClient(rt::PeerResources const& resources, HttpSettings settings)
    : inside_(std::make_shared<Inside>(resources, std::move(settings))) {}

HttpsClient::~HttpsClient() { HttpsClient::stop(); }

rt::Task<HttpResult> HttpsClient::send(HttpRequest request, rt::Instant until) {
    return Inside::run(inside_, std::move(request), until);
}

void HttpsClient::stop() {
    auto const inside = inside_;  // who is woken may drop this
    inside->stopped = true;
    for (auto const& flight : std::list(inside->flights)) flight->stop();
}

std::string_view to_string(HttpStep step) noexcept {
    switch (step) {
        case HttpStep::request:
            return "request";
        case HttpStep::resolve:
            return "resolve";
        case HttpStep::dial:
            return "dial";
        case HttpStep::proxy:
            return "proxy";
        case HttpStep::tls:
            return "tls";
        case HttpStep::send:
            return "send";
        case HttpStep::answer:
            return "answer";
    }
    return "request";
}

std::string to_string(HttpFailure const& failure) {
    std::string text(to_string(failure.step));
    text += ": " + failure.why.message();
    if (!failure.detail.empty()) text += " (" + failure.detail + ")";
    return text;
}

void throw_exception_from_error(HttpFailure const& failure, boost::source_location const&) {
    throw boost::system::system_error(failure.why, to_string(failure));
}

}  // namespace ocgate::notify
