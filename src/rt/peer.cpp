#include "ocgate/rt/peer.hpp"

#include <boost/asio/error.hpp>
#include <cassert>
#include <cstring>

namespace ocgate::rt {
namespace error = asio::error;

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

Peer::Peer(PeerResources const& resources, Socket socket)
    : resources_(resources),
      socket_(std::move(socket)),
      data_(store_.data()),
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
              peer.cancel();
          },
          this) {
    assert(resources.windows.window_bytes() > store_bytes);  // a window takes over what the store holds, and more
    error_code ignored;
    socket_->non_blocking(true, ignored);
}

Peer::Peer(PeerResources const& resources, std::unique_ptr<Wire> wire) : Peer(resources, Socket(resources.executor)) {
    socket_.reset();
    wire_ = std::move(wire);
}

Peer::~Peer() {
    close();
    release_window();
}

std::size_t Peer::capacity() const noexcept { return window_ ? resources_.windows.window_bytes() : store_bytes; }

void Peer::adopt_window() {
    auto window = resources_.windows.lend();
    std::memcpy(window.get(), data_ + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    window_ = std::move(window);
    data_ = window_.get();
}

void Peer::release_window() noexcept {
    if (!window_) return;
    resources_.windows.give_back(std::move(window_));
    window_ = nullptr;
    data_ = store_.data();
}

void Peer::consume(std::size_t n) noexcept {
    begin_ += static_cast<std::uint32_t>(n);
    if (begin_ != end_) return;
    fresh_ = false;  // nothing is left that `fill` could report
    if (reading_) return;
    begin_ = end_ = 0;
    release_window();
}

std::size_t Peer::try_read(asio::mutable_buffer into, error_code& why) {
    return wire_ ? wire_->try_read(into, why) : socket_->read_some(asio::buffer(into), why);
}

void Peer::start_read() {
    if (begin_ == end_) {
        begin_ = end_ = 0;
        release_window();
    }
    if (end_ == capacity()) {
        if (!window_) {
            adopt_window();
        } else {
            std::memmove(data_, data_ + begin_, end_ - begin_);
            end_ -= begin_;
            begin_ = 0;
        }
    }
    reading_ = true;
    asio::mutable_buffer const into(data_ + end_, capacity() - end_);
    if (wire_) {
        wire_->read(into, [self = PeerPtr(this)](error_code why, std::size_t n) { self->read_done(why, n); });
    } else {
        socket_->async_read_some(asio::buffer(into),
                                 [self = PeerPtr(this)](error_code why, std::size_t n) { self->read_done(why, n); });
    }
}

void Peer::read_done(error_code why, std::size_t n) {
    reading_ = false;
    if (!open_) {
        if (arrived_.waiting()) arrived_.notify();
        return;
    }
    if (why == error::operation_aborted || why == error::would_block) {
        if (arrived_.waiting()) {
            arrived_.notify();  // fill looks again and, if nothing else is wrong, reads again
        } else if (gone_ && !interrupted_) {
            listen(std::move(gone_));
        }
        return;
    }
    received_ += n;
    end_ += static_cast<std::uint32_t>(n);
    if (n > 0) fresh_ = true;
    if (!why && !window_ && end_ == store_bytes) {
        // The store is full, so there is probably more: take it in the same turn.
        adopt_window();
        error_code more;
        auto const m = try_read({data_ + end_, capacity() - end_}, more);
        if (!more) {
            received_ += m;
            end_ += static_cast<std::uint32_t>(m);
        } else if (more != error::would_block) {
            why = more;
        }
    }
    if (why) ended_ = why;
    if (arrived_.waiting()) {
        arrived_.notify();
    } else if (gone_) {
        listen(std::move(gone_));  // the end may still come behind these bytes; `listen` tells it when it is there
    }
}

Task<error_code> Peer::fill() {
    PeerPtr const alive(this);
    for (;;) {
        if (interrupted_) co_return interrupted_;
        if (fresh_) {
            fresh_ = false;
            co_return error_code{};
        }
        if (ended_) co_return ended_;
        if (!open_ || woken_) {
            woken_ = false;
            co_return error::operation_aborted;
        }
        if (read_expired_) {
            read_expired_ = false;
            co_return Reason::timed_out;
        }
        if (!reading_) {
            if (window_ && end_ - begin_ == capacity()) co_return error::no_buffer_space;
            start_read();
        }
        co_await arrived_.wait();
    }
}

void Peer::listen(std::function<void()> gone) {
    gone_ = std::move(gone);
    if (ended_) {
        auto call = std::move(gone_);
        gone_ = nullptr;
        call();
        return;
    }
    // Without room nothing can be noticed; what is buffered then is pipelined requests, which wait their turn.
    if (reading_ || !open_) return;
    if (end_ == store_bytes && !window_) adopt_window();
    if (end_ < capacity()) start_read();
}

Task<void> Peer::settle() {
    PeerPtr const alive(this);
    if (!window_ || begin_ != end_) co_return;
    while (reading_ && open_) {
        cancel();
        co_await arrived_.wait();
    }
    if (begin_ == end_ && !reading_) {
        begin_ = end_ = 0;
        release_window();
    }
    if (gone_) listen(std::move(gone_));  // the read that was to notice the end has just been taken back
}

error_code Peer::write_now(Gather& pieces) {
    if (interrupted_) return interrupted_;
    if (!open_) return error::operation_aborted;
    while (!pieces.empty()) {
        error_code why;
        auto const n = wire_ ? wire_->try_write(pieces, why) : socket_->write_some(pieces, why);
        if (why == error::would_block || why == error::try_again) return {};
        if (why) return why;
        sent_ += n;
        pieces.consume(n);
    }
    return {};
}

Task<error_code> Peer::writable() {
    if (wire_) {
        error_code result;
        Signal done;
        wire_->wait_writable([&](error_code why) {
            result = why;
            done.notify();
        });
        co_await done.wait();
        co_return result;
    }
    auto [why] = co_await socket_->async_wait(Socket::wait_write, nothrow);
    co_return why;
}

Task<error_code> Peer::write(Gather pieces, Duration progress, Instant total) {
    auto const why = write_now(pieces);
    if (why || pieces.empty()) co_return why;
    co_return co_await write_rest(pieces, progress, total);
}

Task<error_code> Peer::write_rest(Gather pieces, Duration progress, Instant total) {
    PeerPtr const alive(this);
    write_expired_ = false;
    error_code why;
    while (!pieces.empty() && !why) {
        auto const step = progress == Duration::max() ? never : resources_.deadlines.now() + progress;
        write_deadline_.set(std::min(step, total));
        writing_ = true;
        auto const waited = co_await writable();
        writing_ = false;
        if (write_expired_) {
            why = Reason::timed_out;
        } else if (waited && waited != error::operation_aborted) {
            why = waited;
        } else {
            why = write_now(pieces);
        }
    }
    write_deadline_.set(never);
    co_return why;
}

void Peer::interrupt(error_code why) {
    if (!interrupted_) interrupted_ = why;
    if (writing_) cancel();
    if (arrived_.waiting()) arrived_.notify();
}

void Peer::wake() {
    woken_ = true;
    if (arrived_.waiting()) arrived_.notify();
}

void Peer::cancel() noexcept {
    error_code ignored;
    if (wire_) {
        wire_->cancel();
    } else if (socket_ && socket_->is_open()) {
        socket_->cancel(ignored);
    }
}

void Peer::shutdown_send() noexcept {
    error_code ignored;
    if (wire_) {
        wire_->shutdown_send();
    } else if (socket_ && socket_->is_open()) {
        socket_->shutdown(Socket::shutdown_send, ignored);
    }
}

void Peer::reset() noexcept {
    error_code ignored;
    if (wire_) {
        wire_->reset();
    } else if (socket_ && socket_->is_open()) {
        socket_->set_option(asio::socket_base::linger(true, 0), ignored);
    }
    close();
}

void Peer::close() noexcept {
    if (!open_) return;
    open_ = false;
    gone_ = nullptr;
    read_deadline_.set(never);
    error_code ignored;
    if (wire_) {
        wire_->close();
    } else if (socket_) {
        socket_->close(ignored);
    }
}

}  // namespace ocgate::rt
