// The admin listener on Boost.Beast. Its clients are scrapers, health checks and people: each connection is one
// coroutine that reads a head, answers at once from memory, and waits for the next.
#include "ocgate/ops/admin.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <cstring>
#include <list>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

namespace ocgate::ops {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

/// Whose a connection is: an address as bytes; all zero for a Unix socket's.
using Origin = std::array<std::uint8_t, 16>;

Origin origin_of(sockaddr_storage const& from) noexcept {
    Origin origin{};
    if (from.ss_family == AF_INET) {
        std::memcpy(origin.data(), &reinterpret_cast<sockaddr_in const&>(from).sin_addr, sizeof(in_addr));
    } else if (from.ss_family == AF_INET6) {
        std::memcpy(origin.data(), &reinterpret_cast<sockaddr_in6 const&>(from).sin6_addr, sizeof(in6_addr));
    }
    return origin;
}

using Protocol = asio::generic::stream_protocol;
using Stream = beast::basic_stream<Protocol, rt::Executor>;
using Pause =
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, rt::Executor>;

constexpr std::chrono::milliseconds rest_time{100};
/// What is still read of a request after it was refused, so that the refusal arrives (RFC 9112 §9.6).
constexpr std::size_t linger_bytes = 64 * 1024;
constexpr std::string_view json_type = "application/json";
constexpr std::string_view metrics_type = "text/plain; version=0.0.4; charset=utf-8";
constexpr std::string_view alive = R"({"status":"ok"})";

struct Reply {
    http::status status = http::status::ok;
    std::string body;
    std::string_view type = json_type;
    bool allow = false;  ///< say which methods there are
};

/// 16 hexadecimal digits, as the requests of the traffic port have them.
using RequestId = std::array<char, 16>;

RequestId new_request_id() noexcept {
    std::uint64_t bits = 0;
    // It is there to be found in a log, not to be unguessable: should the kernel have nothing, it is zeros.
    (void)!::getrandom(&bits, sizeof bits, GRND_NONBLOCK);
    RequestId id;
    for (auto& digit : id) {
        digit = "0123456789abcdef"[bits & 15];
        bits >>= 4;
    }
    return id;
}

std::string_view text_of(RequestId const& id) { return {id.data(), id.size()}; }

Reply refusal(http::status status, std::string_view code, std::string_view message, RequestId const& id) {
    nlohmann::json const told = {{"error", {{"code", code}, {"message", message}, {"request_id", text_of(id)}}}};
    return {status, told.dump(), json_type, status == http::status::method_not_allowed};
}

bool only_reads(http::verb method) { return method == http::verb::get || method == http::verb::head; }

std::string_view text_of(beast::string_view text) { return {text.data(), text.size()}; }

bool wants_upstream(std::string_view query) {
    while (!query.empty()) {
        auto const end = std::min(query.find('&'), query.size());
        auto const pair = query.substr(0, end);
        if (pair == "upstream=1" || pair == "upstream=true" || pair == "upstream") return true;
        query.remove_prefix(std::min(end + 1, query.size()));
    }
    return false;
}

Reply answer_to(AdminAnswers const& answers, http::verb method, std::string_view target, RequestId const& id) {
    auto const mark = std::min(target.find('?'), target.size());
    auto const path = target.substr(0, mark);
    auto const query = target.substr(std::min(mark + 1, target.size()));
    bool const known = path == "/livez" || path == "/readyz" || path == "/healthz" || path == "/metrics";
    if (!known)
        return refusal(http::status::not_found, "not_found", "there are /livez, /readyz, /healthz and /metrics", id);
    if (!only_reads(method)) {
        return refusal(http::status::method_not_allowed, "method_not_allowed", "GET and HEAD only", id);
    }
    if (path == "/livez") return {http::status::ok, std::string(alive), json_type};
    if (path == "/healthz") {
        return {http::status::ok, answers.overview ? answers.overview() : std::string(alive), json_type};
    }
    if (path == "/metrics") return {http::status::ok, answers.metrics(), metrics_type};
    auto [ready, body] = answers.readiness(wants_upstream(query));
    return {ready ? http::status::ok : http::status::service_unavailable, std::move(body), json_type};
}

Reply refusal_of(beast::error_code why, RequestId const& id) {
    if (why == http::error::header_limit || why == http::error::buffer_overflow) {
        return refusal(http::status::request_header_fields_too_large, "head_too_large", "the request head is too large",
                       id);
    }
    if (why == http::error::body_limit || why == http::error::unexpected_body) {
        return refusal(http::status::payload_too_large, "body_too_large", "requests have no content here", id);
    }
    return refusal(http::status::bad_request, "malformed", "not an HTTP/1.1 request", id);
}

bool is_parse_error(beast::error_code why) {
    return why.category() == make_error_code(http::error::bad_method).category() && why != http::error::end_of_stream &&
           why != http::error::partial_message;
}

struct Session {
    Session(rt::Executor executor, std::size_t head_bytes) : stream(executor), buffer(2 * head_bytes) {}

    Stream stream;
    beast::flat_buffer buffer;
    Origin origin{};
    std::list<std::shared_ptr<Session>>::iterator place;
    bool listed = false;  ///< `place` is meant
};

using SessionPtr = std::shared_ptr<Session>;

}  // namespace

struct AdminServer::Inside {
    Inside(rt::Executor ex, int descriptor, bool is_tcp, AdminAnswers given, AdminLimits const& bounds)
        : executor(ex), listener(ex, descriptor), pause(ex), tcp(is_tcp), answers(std::move(given)), limits(bounds) {}

    static rt::Awaitable<void> accept_all(std::shared_ptr<Inside> self);
    static rt::Awaitable<void> serve(std::shared_ptr<Inside> self, SessionPtr session);
    [[nodiscard]] bool accept_batch(std::shared_ptr<Inside> const& self);
    void adopt(std::shared_ptr<Inside> const& self, int descriptor, Origin const& origin);
    [[nodiscard]] SessionPtr surplus() const;
    void forget(Session& session);
    rt::Awaitable<bool> send(Session& session, Reply const& reply, RequestId const& id, unsigned version,
                             bool head_only, bool keep_alive);
    rt::Awaitable<void> linger(Session& session);
    [[nodiscard]] Reply answer(http::verb method, std::string_view target, RequestId const& id) const;
    void stop();

    rt::Executor executor;
    asio::posix::basic_stream_descriptor<rt::Executor> listener;
    Pause pause;
    bool const tcp;
    AdminAnswers const answers;
    AdminLimits const limits;
    std::list<SessionPtr> sessions;      ///< the one that has waited longest first
    std::map<Origin, std::size_t> held;  ///< of these, by whom
    bool stopped = false;
};

rt::Awaitable<void> AdminServer::Inside::accept_all(std::shared_ptr<Inside> self) {
    bool tired = false;
    while (!self->stopped) {
        try {
            if (tired) {
                // Out of descriptors or memory: the listener stays readable, trying again at once would only burn the
                // processor.
                self->pause.expires_after(rest_time);
                co_await self->pause.async_wait(rt::nothrow);
                if (self->stopped) co_return;
            }
            auto [why] = co_await self->listener.async_wait(decltype(self->listener)::wait_read, rt::nothrow);
            if (why || self->stopped) co_return;
            tired = !self->accept_batch(self);
        } catch (std::exception const&) {
            tired = true;  // one connection is lost, the next ones are not
        }
    }
}

bool AdminServer::Inside::accept_batch(std::shared_ptr<Inside> const& self) {
    for (std::size_t i = 0; i < limits.connections; ++i) {
        sockaddr_storage from{};
        socklen_t size = sizeof from;
        auto* name = reinterpret_cast<sockaddr*>(&from);
        int const fd = ::accept4(listener.native_handle(), name, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            adopt(self, fd, origin_of(from));
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return true;
        } else if (errno != EINTR && errno != ECONNABORTED && errno != EPROTO) {
            return false;
        }
    }
    return true;
}

/// Who makes room for one more: of the address that holds most, the one that has waited longest for its client. A
/// neighbour that opens one after another closes its own, not the health check's that has just come.
SessionPtr AdminServer::Inside::surplus() const {
    std::size_t most = 0;
    for (auto const& [origin, count] : held) most = std::max(most, count);
    auto const crowded = [&](SessionPtr const& session) { return held.at(session->origin) == most; };
    return *std::find_if(sessions.begin(), sessions.end(), crowded);
}

/// Takes the descriptor, also when it throws.
void AdminServer::Inside::adopt(std::shared_ptr<Inside> const& self, int descriptor, Origin const& origin) {
    auto const close = [](int const* fd) { ::close(*fd); };
    std::unique_ptr<int const, decltype(close)> unowned(&descriptor, close);
    if (tcp) {
        int const on = 1;
        ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    if (sessions.size() >= limits.connections) {
        auto const leaves = surplus();
        forget(*leaves);
        leaves->stream.close();
    }
    auto session = std::make_shared<Session>(executor, limits.head_bytes);
    session->origin = origin;
    beast::error_code why;
    // The family is only told back to us; both kinds of listener serve the same.
    session->stream.socket().assign(Protocol(tcp ? AF_INET : AF_UNIX, tcp ? IPPROTO_TCP : 0), descriptor, why);
    if (why) return;
    (void)unowned.release();
    auto& of_origin = held[origin];
    session->place = sessions.insert(sessions.end(), session);
    session->listed = true;
    ++of_origin;
    try {
        auto serving = serve(self, session);
        asio::co_spawn(executor, std::move(serving), asio::detached);
    } catch (...) {
        forget(*session);
        throw;
    }
}

void AdminServer::Inside::forget(Session& session) {
    if (!std::exchange(session.listed, false)) return;
    if (auto const at = held.find(session.origin); --at->second == 0) held.erase(at);
    sessions.erase(session.place);
}

rt::Awaitable<void> AdminServer::Inside::serve(std::shared_ptr<Inside> self, SessionPtr session) {
    // What Beast throws while it reads (no memory for a field) does not arrive here: it leaves through the event loop,
    // and this frame is destroyed where it waits. The connection ends with it however it ends.
    struct Leaving {
        Inside& inside;
        Session& session;
        ~Leaving() {
            inside.forget(session);
            session.stream.close();
        }
    } const leaving{*self, *session};
    auto& stream = session->stream;
    for (bool going_on = true; going_on;) {
        std::optional<http::request_parser<http::empty_body>> parser(std::in_place);
        parser->header_limit(static_cast<std::uint32_t>(self->limits.head_bytes));
        stream.expires_after(self->limits.patience);
        auto [why, n] = co_await http::async_read(stream, session->buffer, *parser, rt::nothrow);
        // `stop` may have come between the arrival of the bytes and this turn: whoever would answer may be gone.
        if (self->stopped || !session->listed) break;
        if (why && !is_parse_error(why)) break;
        self->sessions.splice(self->sessions.end(), self->sessions, session->place);
        stream.expires_after(self->limits.patience);
        auto const id = new_request_id();
        if (why) {
            // A head that is in order is answered for what it asks, not for the content that came with it.
            auto const& head = parser->get();
            bool const wrong_method = parser->is_header_done() && !only_reads(head.method());
            auto const reply =
                wrong_method ? self->answer(head.method(), text_of(head.target()), id) : refusal_of(why, id);
            (void)co_await self->send(*session, reply, id, 11, false, false);
            co_await self->linger(*session);
            break;
        }
        auto const& request = parser->get();
        auto const reply = self->answer(request.method(), text_of(request.target()), id);
        bool const head_only = request.method() == http::verb::head;
        going_on = co_await self->send(*session, reply, id, request.version(), head_only, request.keep_alive());
    }
}

Reply AdminServer::Inside::answer(http::verb method, std::string_view target, RequestId const& id) const {
    try {
        return answer_to(answers, method, target, id);
    } catch (std::exception const&) {
        return refusal(http::status::internal_server_error, "internal", "the answer could not be made", id);
    }
}

/// Whether the connection goes on.
rt::Awaitable<bool> AdminServer::Inside::send(Session& session, Reply const& reply, RequestId const& id,
                                              unsigned version, bool head_only, bool keep_alive) {
    http::response<http::string_body> response(reply.status, version);
    response.set(http::field::content_type, boost::string_view(reply.type.data(), reply.type.size()));
    response.set(http::field::cache_control, "no-store");
    response.set("X-Content-Type-Options", "nosniff");
    response.set("X-Request-Id", boost::string_view(id.data(), id.size()));
    if (reply.allow) response.set(http::field::allow, "GET, HEAD");
    response.keep_alive(keep_alive);
    response.content_length(reply.body.size());
    if (!head_only) response.body() = reply.body;
    http::response_serializer<http::string_body> serializer(response);
    auto [why, n] = co_await http::async_write(session.stream, serializer, rt::nothrow);
    co_return !why && keep_alive && !stopped;
}

rt::Awaitable<void> AdminServer::Inside::linger(Session& session) {
    beast::error_code ignored;
    session.stream.socket().shutdown(asio::socket_base::shutdown_send, ignored);
    std::array<char, 1024> scratch;
    for (std::size_t read = 0; read < linger_bytes && !stopped;) {
        auto const into = asio::buffer(scratch);
        auto [why, n] = co_await session.stream.async_read_some(into, rt::nothrow);
        if (why) co_return;
        read += n;
    }
}

void AdminServer::Inside::stop() {
    if (std::exchange(stopped, true)) return;
    beast::error_code ignored;
    listener.close(ignored);
    pause.cancel();
    for (auto const& session : sessions) {
        session->listed = false;
        session->stream.close();
    }
    sessions.clear();
    held.clear();
}

AdminServer::AdminServer(rt::Executor executor, int listener, bool tcp, AdminAnswers answers, AdminLimits limits)
    : inside_(std::make_shared<Inside>(executor, listener, tcp, std::move(answers), limits)) {
    auto accepting = Inside::accept_all(inside_);
    asio::co_spawn(executor, std::move(accepting), asio::detached);
}

AdminServer::~AdminServer() { stop(); }

void AdminServer::stop() { inside_->stop(); }

}  // namespace ocgate::ops
