// What a peer asks of the operating system, or of what a test has put in its place.
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <boost/asio/error.hpp>
#include <cerrno>

#include "ocgate/rt/peer.hpp"

namespace ocgate::rt {
namespace error = asio::error;

namespace {

error_code last_error() noexcept {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return error::would_block;
    return {errno, boost::system::system_category()};
}

}  // namespace

bool prepare_tcp(int socket) noexcept {
    struct Option {
        int level, name, value;
    };
    constexpr Option options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},    {SOL_SOCKET, SO_KEEPALIVE, 1}, {IPPROTO_TCP, TCP_KEEPIDLE, 30},
        {IPPROTO_TCP, TCP_KEEPINTVL, 10}, {IPPROTO_TCP, TCP_KEEPCNT, 3},
    };
    for (auto const& [level, name, value] : options) {
        if (::setsockopt(socket, level, name, &value, sizeof value) != 0) return false;
    }
    return true;
}

bool bound_unsent(int socket, int bytes) noexcept {
    return ::setsockopt(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes) == 0;
}

std::size_t Peer::try_read(std::span<char> into, error_code& why) noexcept {
    if (wire_) return wire_->try_read(into, why);
    ssize_t n = 0;
    do {
        n = ::recv(socket_.get(), into.data(), into.size(), 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0) return static_cast<std::size_t>(n);
    why = n == 0 ? error_code(error::eof) : last_error();
    return 0;
}

std::size_t Peer::try_peek(std::span<char> into, error_code& why) noexcept {
    if (wire_) return wire_->try_peek(into, why);
    ssize_t n = 0;
    do {
        n = ::recv(socket_.get(), into.data(), into.size(), MSG_PEEK);
    } while (n < 0 && errno == EINTR);
    if (n > 0) return static_cast<std::size_t>(n);
    why = n == 0 ? error_code(error::eof) : last_error();
    return 0;
}

/// Of what was just seen; the bulk buffer holds it still. TCP drops without copying (tcp(7), MSG_TRUNC); a Unix socket
/// puts the same bytes there once more.
std::size_t Peer::drop(std::size_t n) noexcept {
    if (wire_) return wire_->drop(n);
    ssize_t dropped = 0;
    do {
        dropped = ::recv(socket_.get(), resources_.windows.bulk().data(), n, MSG_TRUNC);
    } while (dropped < 0 && errno == EINTR);
    return dropped > 0 ? static_cast<std::size_t>(dropped) : 0;
}

std::size_t Peer::try_write(Gather const& from, error_code& why) noexcept {
    if (wire_) return wire_->try_write(from, why);
    std::array<iovec, 4> parts;
    std::size_t count = 0;
    for (auto const& part : from) parts[count++] = {const_cast<void*>(part.data()), part.size()};
    ssize_t n = 0;
    do {
        if (count == 1) {
            n = ::send(socket_.get(), parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL);
        } else {
            msghdr message{};
            message.msg_iov = parts.data();
            message.msg_iovlen = count;
            n = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
        }
    } while (n < 0 && errno == EINTR);
    if (n >= 0) return static_cast<std::size_t>(n);
    why = last_error();
    return 0;
}

std::uint32_t Peer::in_flight() const noexcept {
    int bytes = 0;
    return socket_ && ::ioctl(socket_.get(), SIOCOUTQ, &bytes) == 0 ? static_cast<std::uint32_t>(bytes) : 0;
}

void Peer::shutdown_send() noexcept {
    if (wire_) {
        wire_->shutdown_send();
    } else if (socket_) {
        ::shutdown(socket_.get(), SHUT_WR);
    }
}

}  // namespace ocgate::rt
