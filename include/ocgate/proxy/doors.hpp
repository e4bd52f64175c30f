// What the story of one request needs from outside itself, as interfaces: who may come in, what its route is called,
// who writes down what happened, and who answers for the gateway's own pages. Others fill them; proxy knows no JSON, no
// Prometheus, no opencode. Every call comes from the shard's own thread; a door shared by shards does its own locking.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "ocgate/base/failure.hpp"
#include "ocgate/base/secret.hpp"
#include "ocgate/rt/dialer.hpp"
#include "ocgate/rt/tally.hpp"
#include "ocgate/wire/head.hpp"

namespace ocgate::proxy {

/// One request as the doors see it: framed strictly, nothing of it sent anywhere yet. Views live for the call.
struct Visit {
    wire::RequestHead const& head;
    std::string_view peer;  ///< the address of the TCP peer, without port; "unix" for a local socket
    std::string_view request_id;
    std::uint16_t route = 0;  ///< what Recorder::route_of said
};

/// Why a request does not come in, and what the answer carries besides the status.
struct Refusal {
    Failure failure;
    std::string_view message;             ///< for people; a literal
    bool challenge = false;               ///< add WWW-Authenticate (a 401)
    std::chrono::seconds retry_after{0};  ///< 0: no Retry-After
    /// A browser shows the answer to a person, who may go on: it is a page with a link to the same target.
    bool offers_link = false;
};

struct Decision {
    enum class Kind : std::uint8_t { admitted, refused, undecided };
    Kind kind = Kind::undecided;
    std::string user;              ///< empty where no credentials were needed
    std::string client_address;    ///< behind trusted proxies; what logs and throttles speak of
    bool vouched = true;           ///< the client's credentials were judged right: the upstream's own is sent along
    bool exempt = false;           ///< admitted without anybody's login or ticket
    bool peer_trusted = false;     ///< what `trusts` says of the peer
    bool foreign_content = false;  ///< the answer may be anybody's: a browser is told to run nothing of it
    Refusal refusal{{Side::gateway, Step::admission, Reason::internal}, {}};
};

/// Decides who may come in. The client's credentials are read here and nowhere else.
class Gatekeeper {
public:
    virtual ~Gatekeeper() = default;

    /// Whether this peer's X-Forwarded-* and X-Request-Id are believed.
    virtual bool trusts(std::string_view peer) = 0;

    /// Decides from what is in memory; `undecided` means that a password has to be hashed: call `verify`.
    virtual Decision consider(Visit const& visit) = 0;

    /// Hashes on the worker thread, then decides for good (never `undecided`). `visit` must live until it returns.
    virtual rt::Task<Decision> verify(Visit const& visit) = 0;

    /// Whether `saw_answer` wants the body of the answer to this request (a ticket is being issued).
    virtual bool watches(Visit const& visit) = 0;
    /// At most `watched_bytes` of the answer's content, exactly as sent, and who asked. A longer answer is not
    /// reported.
    static constexpr std::size_t watched_bytes = 4096;
    virtual void saw_answer(std::string_view target, unsigned status, std::string_view body, std::string_view user) = 0;
};

enum class StreamKind : std::uint8_t { event_stream, websocket };

/// Everything worth writing down about one exchange, when it is over.
struct ExchangeRecord {
    std::string_view request_id;
    std::string_view method;
    std::string_view path;  ///< without query
    std::string_view user;
    std::string_view client_address;
    std::string_view user_agent;
    std::string_view cf_ray;
    std::string_view traceparent;
    std::uint16_t route = 0;
    unsigned status = 0;              ///< of the answer that was sent; 0: none could be
    std::uint64_t request_bytes = 0;  ///< content, as framed on the client's side
    std::uint64_t response_bytes = 0;
    rt::Duration duration{};
    rt::Duration admission{};   ///< until a password was hashed; 0: none had to be
    rt::Duration dial{};        ///< spent on connecting to the upstream; 0: a pooled connection was good
    rt::Duration first_byte{};  ///< until the answer's head was there; 0: it never was
    bool upstream_reused = false;
    bool stream = false;  ///< `kind` is meant: kept out of the latency histogram
    StreamKind kind = StreamKind::event_stream;
    bool failed = false;  ///< `failure` is meant
    Failure failure{Side::gateway, Step::accept, {}};
};

/// A request that was answered before it became an exchange: its head could not be read, or there is no room for it.
struct RefusedHead {
    Failure failure;
    std::string_view peer;
    std::string_view request_id;  ///< as the answer has it
    std::string_view method;      ///< empty: not known
    unsigned status = 0;
    std::uint64_t response_bytes = 0;  ///< content
};

/// What changes too often for a call each, or is read while it goes on: the shard's thread counts in place, any thread
/// reads.
struct Live {
    /// Content that was passed on.
    struct Stream {
        rt::Tally to_client;    ///< bytes
        rt::Tally to_upstream;  ///< bytes
    };

    rt::Traffic client, upstream;    ///< all bytes on their connections
    Stream event_stream, websocket;  ///< an event stream has nothing for the upstream
    rt::Level idle_upstreams;        ///< connections in the pool
    // What became of requests that were for the upstream. A client that leaves, or a drain that insists, is none of it.
    rt::Tally answered;  ///< an answer's head came
    rt::Tally failed;    ///< none did, by the upstream's fault
    rt::Tally retried;   ///< a pooled connection was dead: once more on a new one
};

/// Writes down what happens: metrics and the access log. Must not block and must not throw.
class Recorder {
public:
    virtual ~Recorder() = default;

    /// The same one each time. Outlives every connection of the shard.
    virtual Live& live() noexcept = 0;

    /// A small number for the route template of this target, from a closed set; the recorder itself knows its name.
    virtual std::uint16_t route_of(std::string_view method, std::string_view target) noexcept = 0;
    virtual void connection_opened(Side side) noexcept = 0;
    virtual void connection_closed(Side side) noexcept = 0;
    virtual void request_started() noexcept = 0;
    virtual void stream_opened(StreamKind kind) noexcept = 0;
    /// `reason`: gone (the client left), cut_short (the upstream ended it without an end), stalled, draining, …;
    /// nullptr-like `Reason{}` for a clean end.
    virtual void stream_closed(StreamKind kind, Reason reason, rt::Duration lasted) noexcept = 0;
    /// A failure outside any exchange that nobody is told of (an accept that failed, a client that left inside a head).
    virtual void failed(Failure const& failure, std::string_view peer) noexcept = 0;
    /// One that the client was told of.
    virtual void refused(RefusedHead const& head) noexcept = 0;
    virtual void upstream_dialed(bool reused, bool ok) noexcept = 0;
    virtual void finished(ExchangeRecord const& record) noexcept = 0;
};

/// A request for a page of the gateway's own, whole.
struct PageRequest {
    std::string method;
    std::string target;        ///< as sent: path and query
    std::string accept;        ///< the Accept field; empty: none
    std::string content_type;  ///< empty: none
    std::string body;          ///< at most Pages::max_body_bytes
    std::string user;          ///< who asks
    std::string client_address;
    std::string request_id;
};

struct PageAnswer {
    unsigned status = 200;  ///< 200 to 599
    std::string content_type = "application/json";
    std::string body;
    std::string allow{};  ///< of a 405: the methods there are
};

/// What goes wrong on such a page, in the shape of all errors here: `{"error":{"code","message","request_id"}}`. Any
/// text may stand in it; what is no UTF-8 becomes U+FFFD.
[[nodiscard]] PageAnswer page_error(unsigned status, std::string_view code, std::string_view message,
                                    std::string_view request_id);

/// What is said under `/_ocgate`, to whoever has logged in. Such a request never travels upstream. Date,
/// Content-Length, Cache-Control, X-Request-Id and what becomes of the connection are the proxy's business; so is
/// leaving out the content where it was HEAD.
class Pages {
public:
    static constexpr std::string_view prefix = "/_ocgate";  ///< itself, and whatever follows it behind `/` or `?`
    static constexpr std::size_t max_body_bytes = 64 * 1024;
    [[nodiscard]] static constexpr bool cover(std::string_view target) noexcept {
        return target.starts_with(prefix) &&
               (target.size() == prefix.size() || target[prefix.size()] == '/' || target[prefix.size()] == '?');
    }
    virtual ~Pages() = default;

    /// On the shard's thread; may take its time. Errors are answers, too; what it throws becomes a 500. When the
    /// breaker trips nobody waits for the answer any more (the client has left, the shard insists): it returns soon,
    /// whatever. The breaker outlives the call.
    virtual rt::Task<PageAnswer> answer(PageRequest request, rt::DialBreaker& breaker) = 0;
};

/// What somebody does. Views live for the call.
struct Deed {
    std::string_view method;
    std::string_view target;  ///< as sent; once it is over, its path alone
    std::string_view user;    ///< empty where no credentials were needed
    std::string_view client_address;
    std::string_view request_id;
    bool websocket = false;  ///< asks for one, in the right form
};

/// Hears of what people change: requests of a method that is not safe (RFC 9110 §9.2.1) and those for a WebSocket, once
/// they were admitted, and again when they are over, each once. On the shard's thread; must not block and must not
/// throw.
class Witness {
public:
    virtual ~Witness() = default;
    virtual void began(Deed const& deed) noexcept = 0;
    /// `status` of the answer that was sent, 0: none could be. `took`: all of it, a WebSocket's whole life.
    virtual void ended(Deed const& deed, unsigned status, rt::Duration took) noexcept = 0;
};

}  // namespace ocgate::proxy
