#include "ocgate/rt/dialer.hpp"

#include <sys/un.h>

#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/basic_resolver.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
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

/// Closes the socket when it is to end; the connect under way then ends with an error.
struct Attempt {
    Attempt(PeerResources const& resources, DialBreaker& breaker)
        : socket(resources.executor),
          deadline(
              resources.deadlines, [](void* self) { static_cast<Attempt*>(self)->end(Reason::timed_out); }, this),
          watch(
              breaker, [](void* self) { static_cast<Attempt*>(self)->end(asio::error::operation_aborted); }, this) {
        if (breaker.tripped()) ended = asio::error::operation_aborted;
    }
    void end(error_code why) {
        if (!ended) ended = why;
        error_code ignored;
        socket.close(ignored);
        auto const asked = lookup;  // outlives the coroutine that goes on inside `notify`
        if (asked && asked->over.waiting()) asked->over.notify();
    }
    Socket socket;
    std::shared_ptr<Lookup> lookup;
    error_code ended;  ///< why nothing more is to be tried
    Deadline deadline;
    DialBreaker::Watch watch;
};

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
    for (auto const& endpoint : endpoints) {
        error_code ignored;
        attempt.socket.close(ignored);
        if (attempt.socket.open(endpoint.protocol(), why); why) continue;
        auto [failed] = co_await attempt.socket.async_connect(endpoint, nothrow);
        if (attempt.ended) co_return attempt.ended;
        why = failed;
        if (why) continue;
        if (!address_.is_unix()) attempt.socket.set_option(asio::ip::tcp::no_delay(true), ignored);
        attempt.deadline.set(never);
        co_return PeerPtr(new Peer(resources, std::move(attempt.socket)));
    }
    co_return why;
}

}  // namespace ocgate::rt
