#include "ocgate/rt/peer.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <cassert>
#include <cerrno>
#include <cstring>

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
        {IPPROTO_TCP, TCP_KEEPINTVL, 10}, {IPPROTO_TCP, TCP_KEEPCNT, 3}, {IPPROTO_TCP, TCP_NOTSENT_LOWAT, 128 * 1024},
    };
    for (auto const& [level, name, value] : options) {
        if (::setsockopt(socket, level, name, &value, sizeof value) != 0) return false;
    }
    return true;
}

void Gather::consume(std::size_t n) noexcept {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < count_; ++i) {
        auto const part = parts_[i];
        auto const gone = std::min(n, part.size());
        n -= gone;
        if (gone < part.size()) parts_[kept++] = part + gone;
    }
    count_ = kept;
}

Peer::Peer(PeerResources const& resources, Descriptor socket)
    : resources_(resources),
      socket_(std::move(socket)),
      read_deadline_(
          resources.deadlines,
          [](void* self) {
              auto& peer = *static_cast<Peer*>(self);
              peer.read_expired_ = true;
              if (peer.arrived_.waiting()) peer.arrived_.notify();
          },
          this),
      write_deadline_(
          resources.deadlines,
          [](void* self) {
              auto& peer = *static_cast<Peer*>(self);
              peer.write_expired_ = true;
              if (peer.room_.waiting()) peer.room_.notify();
          },
          this) {
    assert(resources.windows.window_bytes() > WindowPool::block_bytes);  // it takes over what a block holds, and more
    if (!socket_) return;
    auto const why = resources_.poller.add(socket_.get(), *this, Poller::Interest::reading);
    if (why) throw boost::system::system_error(why, "epoll_ctl");
}

Peer::Peer(PeerResources const& resources, std::unique_ptr<Wire> wire) : Peer(resources, Descriptor()) {
    wire_ = std::move(wire);
    wire_->tell([this](Readiness now) { ready(now); });
}

Peer::~Peer() {
    close();
    release();
}

// ---- what was read

std::size_t Peer::capacity() const noexcept {
    if (window_) return resources_.windows.window_bytes();
    return block_ ? WindowPool::block_bytes : 0;
}

void Peer::release() noexcept {
    if (block_) resources_.windows.blocks.give_back(std::move(block_));
    if (window_) resources_.windows.windows.give_back(std::move(window_));
    data_ = nullptr;
    begin_ = end_ = 0;
}

void Peer::consume(std::size_t n) noexcept {
    begin_ += static_cast<std::uint32_t>(n);
    if (begin_ == end_) release();
}

/// A window for what the block holds, or what the window holds moved to its front.
void Peer::make_room() {
    auto const held = end_ - begin_;
    if (window_) {
        std::memmove(data_, data_ + begin_, held);
    } else {
        auto window = resources_.windows.windows.lend();
        std::memcpy(window.get(), data_ + begin_, held);
        release();
        window_ = std::move(window);
        data_ = window_.get();
    }
    begin_ = 0;
    end_ = held;
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

/// One read. Where nothing is buffered it goes to the window that would be lent next, and only what is large stays
/// there: a small message costs a copy of its bytes instead of a window.
void Peer::take_in() {
    bool const empty = begin_ == end_;
    if (!empty && end_ == capacity()) make_room();
    auto const into = empty ? std::span(resources_.windows.windows.next(), resources_.windows.window_bytes())
                            : std::span(data_ + end_, capacity() - end_);
    error_code why;
    auto const n = try_read(into, why);
    // With less than there was room for it is all that there was, and more will be told (epoll(7)). Not the end,
    // though: it may have been told together with these bytes.
    readable_ = ended_ || n == into.size();
    if (why == error::would_block) {
        readable_ = false;
    } else if (why) {
        failed_ = why;
        if (!ended_ || why != error::eof) ended_ = why;
    }
    if (n == 0) return;
    received_ += n;
    if (empty) {
        if (n <= WindowPool::block_bytes) {
            block_ = resources_.windows.blocks.lend();
            std::memcpy(block_.get(), into.data(), n);
            data_ = block_.get();
        } else {
            window_ = resources_.windows.windows.lend();
            assert(window_.get() == into.data());
            data_ = window_.get();
        }
    }
    end_ += static_cast<std::uint32_t>(n);
}

Task<error_code> Peer::fill() {
    PeerPtr const alive(this);
    for (;;) {
        if (interrupted_) co_return interrupted_;
        bool const full = window_ && end_ - begin_ == capacity();
        if (readable_ && open_ && !failed_ && !full) {
            if (++streak_ >= longest_streak) {
                streak_ = 0;
                co_await pause();
                continue;
            }
            auto const before = received_;
            take_in();
            if (received_ != before) co_return error_code{};
            continue;
        }
        if (failed_) co_return failed_;
        if (!open_ || woken_) {
            woken_ = false;
            co_return error::operation_aborted;
        }
        if (read_expired_) {
            read_expired_ = false;
            co_return Reason::timed_out;
        }
        if (full) co_return error::no_buffer_space;
        streak_ = 0;
        co_await arrived_.wait();
    }
}

void Peer::ready(Readiness now) {
    PeerPtr const alive(this);
    if (now.readable) readable_ = true;
    if (now.ended && !ended_) ended_ = now.broken ? error_code(error::connection_reset) : error_code(error::eof);
    if (now.writable) {
        writable_ = true;
        if (room_.waiting()) room_.notify();
    }
    if (!now.readable || !open_) return;
    if (arrived_.waiting()) {
        arrived_.notify();
    } else if (ended_ && gone_) {
        listen(std::move(gone_));
    }
}

void Peer::listen(std::function<void()> gone) {
    gone_ = nullptr;
    if (ended_) return gone();
    gone_ = std::move(gone);
}

// ---- writing

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

error_code Peer::write_now(Gather& pieces) {
    if (interrupted_) return interrupted_;
    if (!open_) return error::operation_aborted;
    while (!pieces.empty()) {
        error_code why;
        auto const wanted = pieces.bytes();
        auto const n = try_write(pieces, why);
        if (why == error::would_block) {
            writable_ = false;
            return expect_writable();
        }
        if (why) return why;
        sent_ += n;
        pieces.consume(n);
        // What a socket did not take it has no room for: trying again would only say so.
        if (n < wanted && !wire_) {
            writable_ = false;
            return expect_writable();
        }
    }
    return {};
}

/// Most connections never find their socket full, so epoll is asked about room at the first time.
error_code Peer::expect_writable() noexcept {
    if (wire_ || told_room_) return {};
    told_room_ = true;
    return resources_.poller.change(socket_.get(), *this, Poller::Interest::both);
}

Task<error_code> Peer::write(Gather& pieces, Duration progress, Instant total) {
    PeerPtr const alive(this);
    write_expired_ = false;
    auto why = write_now(pieces);
    while (!pieces.empty() && !why) {
        auto const step = progress == Duration::max() ? never : resources_.deadlines.now() + progress;
        write_deadline_.set(std::min(step, total));
        while (!writable_ && !write_expired_ && !interrupted_ && open_) co_await room_.wait();
        why = write_expired_ ? error_code(Reason::timed_out) : write_now(pieces);
    }
    write_deadline_.set(never);
    co_return why;
}

// ---- ends

void Peer::interrupt(error_code why) {
    PeerPtr const alive(this);
    if (!interrupted_) interrupted_ = why;
    if (room_.waiting()) room_.notify();
    if (arrived_.waiting()) arrived_.notify();
}

void Peer::wake() {
    woken_ = true;
    if (arrived_.waiting()) arrived_.notify();
}

void Peer::shutdown_send() noexcept {
    if (wire_) {
        wire_->shutdown_send();
    } else if (socket_) {
        ::shutdown(socket_.get(), SHUT_WR);
    }
}

void Peer::reset() noexcept {
    if (wire_) {
        wire_->reset();
    } else if (socket_) {
        linger const at_once{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    close();
}

void Peer::close() noexcept {
    if (!open_) return;
    open_ = false;
    gone_ = nullptr;
    read_deadline_.set(never);
    if (wire_) {
        wire_->close();
    } else if (socket_) {
        resources_.poller.forget(*this);
        socket_.reset();
    }
    wake_waiters();
}

/// Not from inside `close`: whoever closes does not expect the story that waits to go on, and end, under its hands.
void Peer::wake_waiters() noexcept {
    if (!arrived_.waiting() && !room_.waiting()) return;
    auto const wake = [self = PeerPtr(this)] {
        if (self->room_.waiting()) self->room_.notify();
        if (self->arrived_.waiting()) self->arrived_.notify();
    };
    try {
        asio::post(resources_.executor, wake);
    } catch (...) {
        wake();  // no memory to do it later
    }
}

}  // namespace ocgate::rt
