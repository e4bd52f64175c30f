// What a peer asks of the operating system, or of what a test has put in its place.
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>

#include "ocgate/rt/peer.hpp"

namespace ocgate::rt {
namespace error = asio::error;

namespace {

constexpr int tcp_rto_max_ms = 44;  ///< TCP_RTO_MAX_MS, which the C library (2.36) does not know yet
constexpr std::uint8_t lost_looks = 3;

error_code last_error() noexcept {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return error::would_block;
    return {errno, boost::system::system_category()};
}

}  // namespace

bool prepare_tcp(int socket, int probes) noexcept {
    struct Option {
        int level, name, value;
    };
    // After 15 s, then every 4 s; not more often while all is well, because a probe wakes a phone's radio.
    Option const options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},   {SOL_SOCKET, SO_KEEPALIVE, 1},      {IPPROTO_TCP, TCP_KEEPIDLE, 15},
        {IPPROTO_TCP, TCP_KEEPINTVL, 4}, {IPPROTO_TCP, TCP_KEEPCNT, probes},
    };
    for (auto const& [level, name, value] : options) {
        if (::setsockopt(socket, level, name, &value, sizeof value) != 0) return false;
    }
    // Linux 6.15 and later; works without, too. What is lost is sent again after 5 s at most instead of 120: a client
    // that comes out of a hole is served at once, and one that vanished behind a closed window is missed soon.
    constexpr int most_ms = 5000;
    (void)::setsockopt(socket, IPPROTO_TCP, tcp_rto_max_ms, &most_ms, sizeof most_ms);
    return true;
}

bool bound_unsent(int socket, int bytes) noexcept {
    return ::setsockopt(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes) == 0;
}

// While nobody is there to answer, TCP_USER_TIMEOUT does what is wanted: it replaces a count of retries, which would
// end after about a minute when they are 5 s apart.
void send_end(int socket, std::chrono::milliseconds longest) noexcept {
    int const none = 0;
    auto const most = static_cast<unsigned>(longest.count());
    (void)::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &none, sizeof none);
    (void)::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &most, sizeof most);
    ::shutdown(socket, SHUT_WR);
}

void reset_when_closed(int socket) noexcept {
    linger const at_once{.l_onoff = 1, .l_linger = 0};
    (void)::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

bool end_arrived(int socket) noexcept {
    tcp_info now{};
    socklen_t size = sizeof now;
    if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &now, &size) != 0) return true;
    return now.tcpi_state != TCP_FIN_WAIT1 && now.tcpi_state != TCP_CLOSING && now.tcpi_state != TCP_LAST_ACK;
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

bool Peer::lost(std::chrono::milliseconds silence) noexcept {
    tcp_info now{};
    socklen_t size = sizeof now;
    // A Unix socket has no such thing as a lost other end.
    bool const known = socket_ && ::getsockopt(socket_.get(), IPPROTO_TCP, TCP_INFO, &now, &size) == 0;
    // Whoever sends is there, whatever becomes of what we send.
    auto const heard = std::min(now.tcpi_last_ack_recv, now.tcpi_last_data_recv);
    // What a full receiver drops is sent again and again as well, more and more seldom, but each time it answers.
    bool const sent_again = now.tcpi_retransmits > 0 && heard > now.tcpi_last_data_sent;
    if (!known || (!sent_again && now.tcpi_probes == 0)) {
        unanswered_ = 0;
        return false;
    }
    if (unanswered_ < lost_looks) ++unanswered_;
    // With nothing on its way it is keep-alive that probes, and the third probe has a second at least for its answer.
    if (in_flight() == 0) silence += lost_look;
    return unanswered_ == lost_looks && std::chrono::milliseconds(heard) >= silence;
}

// connect(2): AF_UNSPEC dissolves the association. What waits is dropped, an RST leaves in case somebody is there after
// all, and epoll tells of an error.
void Peer::break_off() noexcept {
    sockaddr const nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
    if (socket_) (void)::connect(socket_.get(), &nobody, sizeof nobody);
}

Descriptor Peer::let_go(std::uint32_t most) noexcept {
    if (!socket_) return {};
    Readiness const broken{.readable = true, .writable = true, .ended = true, .broken = true};
    try {
        if (in_flight() <= most) {
            asio::post(resources_.executor, [self = PeerPtr(this), broken] { self->ready(broken); });
            resources_.poller.remove(socket_.get(), *this);
            failed_ = ended_ = error::connection_reset;
            return std::move(socket_);
        }
    } catch (...) {  // no memory to tell it
    }
    break_off();
    return {};
}

void Peer::shutdown_send() noexcept {
    if (wire_) {
        wire_->shutdown_send();
    } else if (socket_) {
        ::shutdown(socket_.get(), SHUT_WR);
    }
}

}  // namespace ocgate::rt
