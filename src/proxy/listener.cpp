#include "listener.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <cstring>

namespace ocgate::proxy {
namespace {

namespace asio = boost::asio;

constexpr int batch = 64;  ///< accepted in one turn, so that the connections already there get theirs
constexpr int backlog = 1024;
constexpr std::chrono::milliseconds rest_time{100};
constexpr std::size_t extra_connections = 64;  ///< beyond the limit, still told 503; further ones are just closed
constexpr std::size_t extra_of_client = 8;     ///< beyond the limit of one client, told 429, in the same way

std::string address_of(sockaddr_storage const& from) {
    char text[INET6_ADDRSTRLEN] = "";
    if (from.ss_family == AF_INET) {
        sockaddr_in v4;
        std::memcpy(&v4, &from, sizeof v4);
        ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    } else if (from.ss_family == AF_INET6) {
        sockaddr_in6 v6;
        std::memcpy(&v6, &from, sizeof v6);
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
            ::inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof text);
        } else {
            ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
        }
    } else {
        return "unix";
    }
    return text;
}

error_code last_error() noexcept { return {errno, boost::system::system_category()}; }

bool turn_on(int socket, int level, int option, int value) noexcept {
    return ::setsockopt(socket, level, option, &value, sizeof value) == 0;
}

/// Whether something answers at this path; a file nobody listens on may be replaced.
bool is_live(sockaddr_un const& name) noexcept {
    // Who has no time to accept lives as well (EAGAIN): nobody waits for that.
    int const probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0) return true;
    sockaddr const* generic = reinterpret_cast<sockaddr const*>(&name);
    bool const live = ::connect(probe, generic, sizeof name) == 0 || errno != ECONNREFUSED;
    ::close(probe);
    return live;
}

}  // namespace

Listener::Listener(ShardState& shard, int socket, Adopt adopt)
    : shard_(shard),
      socket_(socket),
      adopt_(std::move(adopt)),
      rest_(
          shard.deadlines, [](void* self) { static_cast<Listener*>(self)->ready({}); }, this) {
    auto const why = shard.poller.add(socket, *this, rt::Poller::Interest::reading);
    if (why) throw boost::system::system_error(why, "epoll_ctl");
}

rt::Task<void> Listener::run() {
    while (!stopped_) {
        switch (accept_batch()) {
            case Batch::all:
                co_await go_on_.wait();
                break;
            case Batch::more:  // the connections already there get their turn first
                co_await rt::pause();
                break;
            case Batch::failed:
                // Out of descriptors or memory: trying again at once would only burn the processor.
                rest_.set(shard_.now() + rest_time);
                while (rest_.when() != rt::never && !stopped_) co_await go_on_.wait();
                break;
        }
    }
}

void Listener::ready(rt::Readiness) { go_on_.notify(); }

Listener::Batch Listener::accept_batch() {
    bool made_room = false;
    for (int i = 0; i < batch; ++i) {
        if (stopped_) return Batch::all;
        sockaddr_storage from{};
        socklen_t size = sizeof from;
        auto* name = reinterpret_cast<sockaddr*>(&from);
        int const fd = ::accept4(socket_.get(), name, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK) return Batch::all;
            if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) continue;
            auto const why = last_error();
            if (is_shortage(why) && !std::exchange(made_room, true) && shard_.free_descriptor()) continue;
            shard_.parts.recorder.failed(Failure{Side::gateway, Step::accept, why}, "");
            return Batch::failed;
        }
        made_room = false;
        if (!take_in(fd, from)) return Batch::failed;
    }
    return Batch::more;
}

// Whatever goes wrong for one connection ends that one alone, and its descriptor does not stay behind.
bool Listener::take_in(int fd, sockaddr_storage const& from) noexcept {
    rt::Descriptor socket(fd);
    try {
        auto const& limits = shard_.snapshot->limits;
        auto& recorder = shard_.parts.recorder;
        auto address = address_of(from);
        if (shard_.parts.connections.load(std::memory_order_relaxed) >= limits.connections + extra_connections) {
            recorder.failed(Failure{Side::gateway, Step::accept, Reason::too_many}, address);
            return true;
        }
        auto counted = shard_.count_connection(address);
        auto const each = limits.connections_per_client;
        if (each > 0 && counted.count > each + extra_of_client) {
            recorder.failed(Failure{Side::client, Step::accept, Reason::too_many}, address);
            return true;
        }
        adopt_(rt::PeerPtr(new rt::Peer(shard_.resources, std::move(socket))), std::move(address), std::move(counted));
        return true;
    } catch (...) {  // out of memory: told like any other bound that is reached
    }
    shard_.parts.recorder.failed(Failure{Side::gateway, Step::accept, Reason::too_many}, "");
    return false;
}

void Listener::stop() noexcept {
    // As many as can have been waiting: who comes in meanwhile does not keep it open.
    for (int batches = 0; !stopped_ && batches <= backlog / batch && accept_batch() == Batch::more;) ++batches;
    close();
}

void Listener::close() noexcept {
    if (stopped_) return;
    stopped_ = true;
    shard_.poller.remove(socket_.get(), *this);
    socket_.reset();
    if (go_on_.waiting()) go_on_.notify();
}

boost::system::result<int, error_code> open_listener(rt::Address const& address, bool shared, rt::Address& bound) {
    bound = address;
    if (address.is_unix()) {
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        if (address.unix_path.size() >= sizeof name.sun_path)
            return error_code(ENAMETOOLONG, boost::system::system_category());
        std::memcpy(name.sun_path, address.unix_path.c_str(), address.unix_path.size());
        struct stat there {};
        if (::lstat(address.unix_path.c_str(), &there) == 0 && S_ISSOCK(there.st_mode) && !is_live(name)) {
            ::unlink(address.unix_path.c_str());
        }
        int const fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) return last_error();
        auto const* generic = reinterpret_cast<sockaddr const*>(&name);
        if (::bind(fd, generic, sizeof name) != 0 || ::listen(fd, backlog) != 0) {
            auto const why = last_error();
            ::close(fd);
            return why;
        }
        return fd;
    }
    error_code why;
    auto const ip = asio::ip::make_address(address.host == "localhost" ? "127.0.0.1" : address.host, why);
    if (why) return why;
    asio::ip::tcp::endpoint const endpoint(ip, address.port);
    int const fd = ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return last_error();
    // Accepted sockets inherit what is set here.
    bool const set = turn_on(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
                     (!shared || turn_on(fd, SOL_SOCKET, SO_REUSEPORT, 1)) && rt::prepare_tcp(fd, rt::client_probes) &&
                     rt::bound_unsent(fd, rt::usual_unsent);
    auto const* name = static_cast<sockaddr const*>(endpoint.data());
    if (!set || ::bind(fd, name, static_cast<socklen_t>(endpoint.size())) != 0 || ::listen(fd, backlog) != 0) {
        why = last_error();
        ::close(fd);
        return why;
    }
    asio::ip::tcp::endpoint actual(ip, 0);
    auto size = static_cast<socklen_t>(actual.capacity());
    if (::getsockname(fd, static_cast<sockaddr*>(actual.data()), &size) == 0) bound.port = actual.port();
    return fd;
}

}  // namespace ocgate::proxy
