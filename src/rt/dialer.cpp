#include "ocgate/rt/dialer.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <boost/asio/error.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/basic_resolver.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cerrno>
#include <memory>
#include <optional>

namespace ocgate::rt {
namespace {

using Endpoint = asio::generic::stream_protocol::endpoint;
using Resolver = asio::ip::basic_resolver<asio::ip::tcp, Executor>;

// sun_path with its final NUL (unix(7)); Asio throws on a longer one.
constexpr std::size_t max_unix_path_bytes = sizeof(sockaddr_un::sun_path) - 1;

/// A name being looked up. Asio (1.81) runs getaddrinfo on a thread of its own and cannot interrupt it: who has no more
/// time walks away, and this lives on until the answer comes to nobody.
struct Lookup {
    explicit Lookup(Executor executor) : resolver(executor) {}
    Resolver resolver;
    Signal over;
    error_code why;
    std::vector<Endpoint> found;
};

/// One dial: ends when it is to end, whatever it waits for.
struct Attempt final : Pollable {
    Attempt(PeerResources const& r, DialBreaker& breaker)
        : resources(r),
          deadline(
              r.deadlines, [](void* self) { static_cast<Attempt*>(self)->end(Reason::timed_out); }, this),
          watch(
              breaker, [](void* self) { static_cast<Attempt*>(self)->end(asio::error::operation_aborted); }, this) {
        if (breaker.tripped()) ended = asio::error::operation_aborted;
    }
    void end(error_code why) {
        if (!ended) ended = why;
        auto const asked = lookup;  // outlives the coroutine that goes on inside `notify`
        if (asked && asked->over.waiting()) {
            asked->resolver.cancel();  // where its turn has not come yet it is not looked up any more
            return asked->over.notify();
        }
        if (connected.waiting()) connected.notify();
    }
    void ready(Readiness) override {
        if (connected.waiting()) connected.notify();
    }

    PeerResources const& resources;
    std::shared_ptr<Lookup> lookup;
    Signal connected;
    error_code ended;  ///< why nothing more is to be tried
    Deadline deadline;
    DialBreaker::Watch watch;
};

error_code system_error(int number) { return {number, boost::system::system_category()}; }

/// 0 when connected, EINPROGRESS or EALREADY while on the way.
int connect_now(int socket, Endpoint const& endpoint) noexcept {
    return ::connect(socket, endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0 ? 0 : errno;
}

Task<error_code> connect(Attempt& attempt, int socket, Endpoint const& endpoint) {
    auto outcome = connect_now(socket, endpoint);
    // On loopback the other side has answered by the time the call returns: asking again saves a wait (connect(2)).
    if (outcome == EINPROGRESS) outcome = connect_now(socket, endpoint);
    if (outcome != EINPROGRESS && outcome != EALREADY) co_return outcome == 0 ? error_code() : system_error(outcome);
    auto& poller = attempt.resources.poller;
    if (auto const why = poller.add(socket, attempt, Poller::Interest::writing)) co_return why;
    co_await attempt.connected.wait();
    poller.remove(socket, attempt);
    if (attempt.ended) co_return attempt.ended;
    int failed = 0;
    socklen_t size = sizeof failed;
    if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &failed, &size) != 0) failed = errno;
    co_return failed == 0 ? error_code() : system_error(failed);
}

Task<error_code> look_up(Attempt& attempt, Executor executor, Address const& address, std::vector<Endpoint>& found) {
    auto const lookup = std::make_shared<Lookup>(executor);
    attempt.lookup = lookup;
    lookup->resolver.async_resolve(address.host, std::to_string(address.port),
                                   [lookup](error_code why, Resolver::results_type const& results) {
                                       lookup->why = why;
                                       for (auto const& entry : results) lookup->found.emplace_back(entry.endpoint());
                                       lookup->over.notify();
                                   });
    co_await lookup->over.wait();
    if (attempt.ended) co_return attempt.ended;
    found = std::move(lookup->found);
    co_return lookup->why;
}

}  // namespace

std::string Address::text() const {
    if (is_unix()) return "unix:" + unix_path;
    bool const v6 = host.find(':') != std::string::npos;
    return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Task<boost::system::result<PeerPtr, error_code>> SystemDialer::dial(PeerResources const& resources, Instant until,
                                                                    DialBreaker& breaker) {
    std::vector<Endpoint> endpoints;
    Attempt attempt(resources, breaker);
    if (attempt.ended) co_return attempt.ended;
    attempt.deadline.set(until);
    error_code why;
    auto const literal = asio::ip::make_address(address_.host, why);
    if (address_.is_unix()) {
        if (address_.unix_path.size() > max_unix_path_bytes) co_return asio::error::name_too_long;
        endpoints.emplace_back(asio::local::stream_protocol::endpoint(address_.unix_path));
    } else if (!why) {
        endpoints.emplace_back(asio::ip::tcp::endpoint(literal, address_.port));
    } else if (address_.host == "localhost") {
        endpoints.emplace_back(asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), address_.port));
        endpoints.emplace_back(asio::ip::tcp::endpoint(asio::ip::address_v6::loopback(), address_.port));
    } else {
        if (auto const failed = co_await look_up(attempt, resources.executor, address_, endpoints)) co_return failed;
    }
    why = asio::error::host_not_found;
    bool refused = false;
    for (auto const& endpoint : endpoints) {
        Descriptor socket(::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        why = socket ? error_code() : system_error(errno);
        if (!why) why = co_await connect(attempt, socket.get(), endpoint);
        if (attempt.ended) co_return attempt.ended;
        refused = refused || why == asio::error::connection_refused;
        if (why) continue;
        if (!address_.is_unix()) {  // works without, too
            (void)prepare_tcp(socket.get());
            (void)bound_unsent(socket.get(), usual_unsent);
        }
        try {
            co_return PeerPtr(new Peer(resources, std::move(socket)));
        } catch (boost::system::system_error const& e) {
            why = e.code();
        }
    }
    // One that is reached, and where nobody listens, says more than another that cannot be reached at all.
    co_return refused && !is_shortage(why) ? error_code(asio::error::connection_refused) : why;
}

}  // namespace ocgate::rt
