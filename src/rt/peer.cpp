#include "ocgate/rt/peer.hpp"

#include <sys/socket.h>

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <cassert>
#include <cstring>

namespace ocgate::rt {
namespace error = asio::error;

namespace {
/// What a client has to take in its time to count as one that takes something.
constexpr std::uint32_t least_progress = 16 * 1024;
/// A wait that has no end is seen in the traffic's figures while it lasts.
constexpr std::chrono::seconds count_wait_every{5};
}  // namespace

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
              peer.read_on();
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
    plenty_ = n == resources_.windows.window_bytes();
    if (why == error::would_block) {
        readable_ = false;
    } else if (why) {
        failed_ = why;
        if (!ended_ || why != error::eof) ended_ = why;
    }
    if (n == 0) return;
    count_received(n);
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

std::string_view Peer::pass(Peer& to, std::uint64_t limit, error_code& why) {
    if (!worth_passing(limit) || !to.writable_) return {};
    if (!readable_ || !open_ || failed_ || interrupted_) return {};
    auto const bulk = resources_.windows.bulk();
    if (bulk.empty()) {
        plenty_ = false;
        return {};
    }
    auto const most = static_cast<std::size_t>(std::min<std::uint64_t>(limit, bulk.size() - 1));
    error_code unread;
    auto const n = try_peek(bulk.first(most + 1), unread);
    if (n == 0) {
        if (unread == error::would_block) {
            readable_ = false;  // an older edge; there will be another
            return {};
        }
        plenty_ = false;  // `fill` finds the end as well; what else there is, is told once only
        if (unread != error::eof) failed_ = ended_ = unread;
        return {};
    }
    auto const passed = std::min(n, most);
    Gather pieces{std::string_view(bulk.data(), passed)};
    why = to.write_now(pieces);
    auto const taken = passed - pieces.bytes();
    if (taken == 0) return {};
    if (drop(taken) != taken) {
        failed_ = ended_ = error::connection_reset;  // what comes next in the socket is no more what comes next
        return {};
    }
    count_received(taken);
    if (taken == n) readable_ = static_cast<bool>(ended_);
    plenty_ = n >= resources_.windows.window_bytes();
    return {bulk.data(), taken};
}

// A read that was filled to the brim has not seen whether more follows.
bool Peer::quiet() noexcept {
    if (!open_ || begin_ != end_ || ended_) return false;
    if (readable_) {
        char next = 0;
        error_code why;
        if (try_peek({&next, 1}, why) == 0 && why == error::would_block) readable_ = false;
    }
    return !readable_;
}

// ---- waiting for bytes

Peer::Step Peer::read(bool take, error_code& result) {
    auto const done = [&result](error_code why) {
        result = why;
        return Step::done;
    };
    for (;;) {
        if (interrupted_) return done(interrupted_);
        bool const full = window_ && end_ - begin_ == capacity();
        if (readable_ && open_ && !failed_ && !full) {
            if (++streak_ >= longest_streak) {
                streak_ = 0;
                return Step::others_first;
            }
            if (!take) return done({});
            auto const before = received_;
            take_in();
            if (received_ != before) return done({});
            continue;
        }
        if (failed_) return done(failed_);
        if (!open_ || woken_) {
            woken_ = false;
            return done(error::operation_aborted);
        }
        if (read_expired_) {
            read_expired_ = false;
            return done(Reason::timed_out);
        }
        if (full) return done(error::no_buffer_space);
        streak_ = 0;
        return Step::wait;
    }
}

bool Arrival::await_ready() {
    auto const step = peer_->read(take_, result_);
    others_first_ = step == Peer::Step::others_first;
    return step == Peer::Step::done;
}

void Arrival::wait(Suspended task) {
    assert(!peer_->reading_);
    if (others_first_) peer_->read_on_later();  // may throw: the task does not wait yet
    peer_->reading_ = this;
    peer_->reader_ = std::move(task);
}

/// Something has changed: whoever waits goes on if that ends the wait.
void Peer::read_on() {
    if (!reading_) return;
    PeerPtr const alive(this);
    auto step = Step::done;
    try {
        step = read(reading_->take_, reading_->result_);
        if (step == Step::others_first) return read_on_later();
    } catch (...) {
        reading_->thrown_ = std::current_exception();
        step = Step::done;
    }
    if (step == Step::wait) return;
    reading_ = nullptr;
    auto reader = std::move(reader_);
    reader.resume();
}

void Peer::read_on_later() {
    asio::post(resources_.executor, [self = PeerPtr(this)] { self->read_on(); });
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
    if (reading_) {
        read_on();
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

error_code Peer::write_now(Gather& pieces) {
    if (interrupted_) return interrupted_;
    if (!open_) return error::operation_aborted;
    if (!socket_ && !wire_) return error::connection_reset;  // let go of
    while (!pieces.empty()) {
        error_code why;
        auto const wanted = pieces.bytes();
        auto const n = try_write(pieces, why);
        if (why == error::would_block) {
            no_room();
            return expect_writable();
        }
        if (why) return why;
        count_sent(n);
        pieces.consume(n);
        // What a socket did not take it has no room for: trying again would only say so.
        if (n < wanted && !wire_) {
            no_room();
            return expect_writable();
        }
    }
    return {};
}

void Peer::no_room() noexcept {
    if (writable_) blocked_ = resources_.deadlines.now();
    writable_ = false;
}

/// Most connections never find their socket full, so epoll is asked about room at the first time.
error_code Peer::expect_writable() noexcept {
    if (wire_ || told_room_) return {};
    told_room_ = true;
    return resources_.poller.change(socket_.get(), *this, Poller::Interest::both);
}

// Room is told of late, a third of what the kernel holds at a time. A client on a slow line that takes what it can must
// not look like one that takes nothing, so when the time is up, what it has acknowledged counts. One that stops is
// found out within twice `progress`.
Task<error_code> Peer::room(Duration progress, Instant total) {
    PeerPtr const alive(this);
    bool const stepwise = progress != Duration::max();
    auto waiting = stepwise ? in_flight() : 0;
    auto counted = resources_.deadlines.now();
    auto step = stepwise ? counted + progress : never;
    for (;;) {
        write_expired_ = false;
        write_deadline_.set(std::min({step, total, counted + count_wait_every}));
        while (!writable_ && !write_expired_ && !interrupted_ && open_) co_await room_.wait();
        auto const now = resources_.deadlines.now();
        count_wait(now - counted);
        counted = now;
        if (!write_expired_ || writable_ || now >= total) break;
        if (now < step) continue;
        auto const left = in_flight();
        if (left + least_progress > waiting) break;
        waiting = left;
        step = now + progress;
    }
    write_deadline_.set(never);
    if (interrupted_) co_return interrupted_;
    if (!open_) co_return error::operation_aborted;
    co_return write_expired_ ? error_code(Reason::timed_out) : error_code();
}

void Peer::count_wait(Duration time) noexcept {
    if (traffic_) traffic_->waited_ns.add(static_cast<std::uint64_t>(std::chrono::nanoseconds(time).count()));
}

Task<error_code> Peer::write(Gather& pieces, Duration progress, Instant total) {
    PeerPtr const alive(this);
    auto why = write_now(pieces);
    while (!pieces.empty() && !why) {
        why = co_await room(progress, total);
        if (!why) why = write_now(pieces);
    }
    co_return why;
}

// ---- ends

void Peer::interrupt(error_code why) {
    PeerPtr const alive(this);
    if (!interrupted_) interrupted_ = why;
    if (room_.waiting()) room_.notify();
    read_on();
}

void Peer::wake() {
    woken_ = true;
    read_on();
}

void Peer::wake_once_read() {
    readable_ = true;
    wake();
}

void Peer::reset() noexcept {
    if (wire_) {
        wire_->reset();
    } else if (socket_) {
        reset_when_closed(socket_.get());
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
    if (!reading_ && !room_.waiting()) return;
    auto const wake = [self = PeerPtr(this)] {
        if (self->room_.waiting()) self->room_.notify();
        self->read_on();
    };
    try {
        asio::post(resources_.executor, wake);
    } catch (...) {
        wake();  // no memory to do it later
    }
}

}  // namespace ocgate::rt
