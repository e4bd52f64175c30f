// One end of a connection, client or upstream: its socket, the bytes that wait in its window, and its deadlines.
// Knows nothing of HTTP. One coroutine reads and one writes at a time; all of it on the shard's thread.
#pragma once

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "ocgate/rt/deadline.hpp"
#include "ocgate/rt/poller.hpp"
#include "ocgate/rt/signal.hpp"
#include "ocgate/rt/tally.hpp"
#include "ocgate/rt/window.hpp"

namespace ocgate::rt {

/// Up to four pieces that leave in one system call.
class Gather {
public:
    Gather() = default;
    Gather(std::initializer_list<std::string_view> parts) {
        for (auto part : parts) add(part);
    }
    void add(std::string_view part) {
        if (!part.empty()) parts_[count_++] = asio::buffer(part.data(), part.size());
    }
    void consume(std::size_t n) noexcept;
    [[nodiscard]] asio::const_buffer const* begin() const noexcept { return parts_.data(); }
    [[nodiscard]] asio::const_buffer const* end() const noexcept { return parts_.data() + count_; }
    [[nodiscard]] std::size_t bytes() const noexcept { return asio::buffer_size(*this); }
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }

private:
    std::array<asio::const_buffer, 4> parts_;
    std::size_t count_ = 0;
};

/// What a test puts in the place of a socket. Tells what epoll would, posted, never from inside.
class Wire {
public:
    virtual ~Wire() = default;
    virtual void tell(std::function<void(Readiness)> told) = 0;
    /// `would_block` when nothing can be read or written now; `eof` at the end. Fewer bytes than there is room for mean
    /// that there are no more until the next readiness, as with a socket (epoll(7)).
    virtual std::size_t try_read(std::span<char> into, error_code& error) = 0;
    /// The same, but they stay, until `drop` takes some of them away.
    virtual std::size_t try_peek(std::span<char> into, error_code& error) = 0;
    virtual std::size_t drop(std::size_t n) noexcept = 0;
    virtual std::size_t try_write(Gather const& from, error_code& error) = 0;
    virtual void shutdown_send() noexcept = 0;
    virtual void close() noexcept = 0;
    virtual void reset() noexcept = 0;
};

/// What the peers of one shard share. Outlives them.
struct PeerResources {
    Executor executor;
    Deadlines& deadlines;
    WindowPool& windows;
    Poller& poller;
};

/// What every TCP connection of ours is given, accepted or dialed: it sends small messages at once, and a host that
/// vanished without a word is found out within half a minute: by keep-alive probes while nothing is on its way to it,
/// by `Peer::lost` while something is. No TCP_USER_TIMEOUT: Linux applies it to the probes of a closed window too, even
/// when they are answered, and a client that merely does not read would be taken for dead. `probes`: how many may stay
/// unanswered, one every 4 s, before the kernel itself breaks off, after which nothing reaches the other end any more.
[[nodiscard]] bool prepare_tcp(int socket, int probes = 3) noexcept;
constexpr int client_probes = 10;  ///< so that `Peer::lost` finds out first, and `Peer::let_go` has a socket to give

/// How often `Peer::lost` wants to be asked, and for how long nothing at all has to be heard. With a heartbeat every 15
/// s, whoever vanishes behind one is found within 15 + 3 * 4 s; a hole in the network of 8 s ends nothing.
constexpr std::chrono::seconds lost_look{4};
constexpr std::chrono::seconds lost_silence{20};

/// Bounds what may wait in the kernel for its turn to be sent to a client (TCP_NOTSENT_LOWAT, tcp(7)). What waits there
/// grows stale, is memory all the same, and up to 4 MiB would (tcp_wmem): room would be told of only after a third of
/// them had left.
bool bound_unsent(int socket, int bytes) noexcept;

/// Queues the end (FIN) behind what is on its way. Until it arrives the kernel sends all of it again and again, every 5
/// s at least where Linux is 6.15 or later, else less and less often (every 2 minutes); for `longest` at most.
void send_end(int socket, std::chrono::milliseconds longest) noexcept;
/// Closing it frees all it holds at once, and sends a reset. Else the kernel goes on sending an end for its `longest`.
void reset_when_closed(int socket) noexcept;
/// Whether the other end has it, or cannot have it any more.
[[nodiscard]] bool end_arrived(int socket) noexcept;

constexpr int usual_unsent = 128 * 1024;
constexpr int any_unsent = 1 << 30;  ///< as much as the kernel likes

class Peer;
using PeerPtr = boost::intrusive_ptr<Peer>;

/// What waiting for bytes is: `co_await peer.fill()`. No coroutine, because half of what a resting stream is made of
/// would be its frames.
class [[nodiscard]] Arrival {
public:
    Arrival(Peer& peer, bool take) noexcept;
    bool await_ready();
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> call) {
        wait(call.promise().running->suspend());
    }
    error_code await_resume() const {
        if (thrown_) std::rethrow_exception(thrown_);
        return result_;
    }

private:
    friend class Peer;
    void wait(Suspended task);

    PeerPtr const peer_;
    bool const take_;
    bool others_first_ = false;
    error_code result_;
    std::exception_ptr thrown_;
};

/// Bytes read wait in one lent block or, when there are many, in one lent window; there is no other queue, and no
/// buffer at all while nothing waits. Nothing is read but in `fill` and `pass`; that the other end leaves is known
/// without reading.
class Peer final : public boost::intrusive_ref_counter<Peer, boost::thread_unsafe_counter>, private Pollable {
public:
    /// Takes the socket (non-blocking) over, also when it throws (no memory; epoll(7) refused).
    Peer(PeerResources const& resources, Descriptor socket);
    Peer(PeerResources const& resources, std::unique_ptr<Wire> wire);
    ~Peer();
    Peer(Peer const&) = delete;
    Peer& operator=(Peer const&) = delete;

    /// Bytes that were read and not yet consumed. Views into them hold until they are consumed or `fill` is called.
    [[nodiscard]] std::span<char> buffered() const noexcept { return {data_ + begin_, end_ - begin_}; }
    [[nodiscard]] std::string_view text() const noexcept { return {data_ + begin_, end_ - begin_}; }
    void consume(std::size_t n) noexcept;

    /// Waits for bytes beyond those that are buffered. Errors: eof or the system's; Reason::timed_out at `read_by`,
    /// with nothing lost; what `interrupt` said; `no_buffer_space` when the window is full.
    Arrival fill() noexcept { return {*this, true}; }
    /// The same, but where up to `limit` of them are better passed on, they are not read.
    Arrival fill_unless_passed(std::uint64_t limit) noexcept { return {*this, !worth_passing(limit)}; }
    /// `gone` is called once, when the other end has ended its side or broken off and nobody waits in `fill`; at once
    /// if that is known. What it sent before need not have been read.
    void listen(std::function<void()> gone);
    void stop_listening() noexcept { gone_ = nullptr; }
    /// Whether the other end has ended its side or broken off, as far as is known.
    [[nodiscard]] error_code ended() const noexcept { return ended_; }
    /// Nothing is known to be waiting beyond what is buffered.
    [[nodiscard]] bool drained() const noexcept { return !readable_; }
    /// Nothing buffered, nothing waiting, not ended: an idle connection that may be used again.
    [[nodiscard]] bool quiet() noexcept;

    [[nodiscard]] bool holds_window() const noexcept { return window_ != nullptr; }

    /// Writes all of it. Succeeds at once where the system takes it. `progress` bounds the time in which less than 16
    /// KiB arrive at the other end (asked when it is over, so a stop is found within twice that), `total` the whole;
    /// Reason::timed_out when one passes. The reader is not disturbed.
    /// What has not left stays in `pieces`, which must live as long.
    Task<error_code> write(Gather& pieces, Duration progress, Instant total = never);
    /// What can be written without waiting; the rest stays in `pieces`.
    error_code write_now(Gather& pieces);
    /// Waits until a write may find room. Errors and bounds as with `write`.
    Task<error_code> room(Duration progress, Instant total = never);
    [[nodiscard]] bool writable() const noexcept { return writable_; }
    /// Since when nothing could be written any more; `never` while there is room.
    [[nodiscard]] Instant blocked_since() const noexcept { return writable_ ? never : blocked_; }
    /// Another bound for what is written next. Nothing where there is no TCP.
    void bound_unsent(int bytes) noexcept {
        if (socket_) (void)rt::bound_unsent(socket_.get(), bytes);
    }

    /// Moves at most `limit` of the bytes that wait straight to `to`, in larger pieces than a window is and without
    /// keeping any: they are looked at, written, and dropped from the socket as far as they were taken. Never waits.
    /// Returns what `to` took, which holds until the next pass on this shard; nothing where that is not possible or not
    /// worth while, and then `fill` and `write` do it or say why not. `why`: writing failed. It is so much that others
    /// should have a turn after it.
    std::string_view pass(Peer& to, std::uint64_t limit, error_code& why);

    void read_by(Instant when) {
        read_expired_ = false;
        read_deadline_.set(when);
    }

    /// Ends what is waited for now and later with `why`. The first reason stays.
    void interrupt(error_code why);
    [[nodiscard]] error_code interrupted() const noexcept { return interrupted_; }
    /// Wakes the one who waits in `fill`, once, with operation_aborted.
    void wake();
    /// The same, but bytes that are there by now come first, whether or not epoll has told of them.
    void wake_once_read();
    void forget_wake() noexcept { woken_ = false; }

    /// Whether the other end's system seems to have vanished: three looks in a row found it sent again, or a closed
    /// window or a quiet connection probed, without an answer, and nothing at all was heard for `silence`, on a quiet
    /// one for a look more. A client that takes nothing but whose system answers is there. Without it TCP would try for
    /// a quarter of an hour (tcp_retries2), and until then a terminal or an event stream would go on for nobody.
    [[nodiscard]] bool lost(std::chrono::milliseconds silence = lost_silence) noexcept;
    /// Makes of the connection what an RST of the other end's would have made of it; told by epoll, never from inside.
    void break_off() noexcept;
    /// The same, but the socket is not broken off and goes to the caller; nothing, where more than `most` bytes have
    /// not arrived yet or there is no socket. What is waited for ends with connection_reset, never from inside.
    [[nodiscard]] Descriptor let_go(std::uint32_t most) noexcept;

    void shutdown_send() noexcept;
    void close() noexcept;
    /// Breaks off so that the other end sees it was no orderly end (RST).
    void reset() noexcept;
    [[nodiscard]] bool open() const noexcept { return open_; }

    [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
    [[nodiscard]] std::uint64_t sent() const noexcept { return sent_; }
    /// Bytes written that the other end's system has not acknowledged yet; the kernel may not have sent them at all.
    [[nodiscard]] std::uint32_t in_flight() const noexcept;
    /// Of what was sent, what the other end's system has acknowledged.
    [[nodiscard]] std::uint64_t arrived() const noexcept { return sent_ - std::min<std::uint64_t>(sent_, in_flight()); }
    /// Starts over: a pooled connection is counted per exchange.
    void count_anew() noexcept { received_ = sent_ = 0; }
    /// From now on also counted there, as it happens. `traffic` outlives the peer.
    void count_in(Traffic& traffic) noexcept { traffic_ = &traffic; }
    [[nodiscard]] Deadlines& deadlines() const noexcept { return resources_.deadlines; }
    [[nodiscard]] WindowPool& windows() const noexcept { return resources_.windows; }

private:
    void ready(Readiness now) override;
    friend class Arrival;
    enum class Step : std::uint8_t { done, wait, others_first };
    Step read(bool take, error_code& result);
    void read_on();
    void read_on_later();
    [[nodiscard]] bool worth_passing(std::uint64_t limit) const noexcept {
        return plenty_ && begin_ == end_ && limit >= resources_.windows.window_bytes();
    }
    void take_in();
    void make_room();
    std::size_t try_read(std::span<char> into, error_code& error) noexcept;
    std::size_t try_peek(std::span<char> into, error_code& error) noexcept;
    std::size_t drop(std::size_t n) noexcept;
    std::size_t try_write(Gather const& from, error_code& error) noexcept;
    error_code expect_writable() noexcept;
    void no_room() noexcept;
    void release() noexcept;
    void wake_waiters() noexcept;
    void count_received(std::size_t n) noexcept {
        received_ += n;
        if (traffic_) traffic_->received.add(n);
    }
    void count_wait(Duration time) noexcept;
    void count_sent(std::size_t n) noexcept {
        sent_ += n;
        if (traffic_) traffic_->sent.add(n);
    }
    [[nodiscard]] std::size_t capacity() const noexcept;

    /// Reads that need no wait, one after another, before everybody else has a turn.
    static constexpr std::uint8_t longest_streak = 8;

    PeerResources const& resources_;
    Descriptor socket_;
    std::unique_ptr<Wire> wire_;

    char* data_ = nullptr;
    std::uint32_t begin_ = 0;
    std::uint32_t end_ = 0;
    std::unique_ptr<char[]> block_;   ///< WindowPool::block_bytes; or
    std::unique_ptr<char[]> window_;  ///< WindowPool::window_bytes; or neither
    bool open_ = true;
    bool readable_ = false;   ///< a read may find something
    bool plenty_ = false;     ///< the last one found much
    bool writable_ = true;    ///< a write may find room
    bool told_room_ = false;  ///< epoll tells when there is room again
    bool read_expired_ = false;
    bool write_expired_ = false;
    bool woken_ = false;
    std::uint8_t streak_ = 0;
    std::uint8_t unanswered_ = 0;  ///< looks of `lost` in a row
    error_code ended_;             ///< known of the other end; bytes from before may still be unread
    error_code failed_;            ///< what reading came to
    error_code interrupted_;
    Arrival* reading_ = nullptr;  ///< who waits in it is `reader_`
    Suspended reader_;
    Signal room_;
    std::function<void()> gone_;
    Deadline read_deadline_;
    Deadline write_deadline_;
    Instant blocked_ = never;  ///< only while not `writable_`
    std::uint64_t received_ = 0;
    std::uint64_t sent_ = 0;
    Traffic* traffic_ = nullptr;
};

inline Arrival::Arrival(Peer& peer, bool take) noexcept : peer_(&peer), take_(take) {}

}  // namespace ocgate::rt
