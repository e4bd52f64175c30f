// One end of a connection, client or upstream: its socket, the bytes that wait in its window, and its deadlines.
// Knows nothing of HTTP. One coroutine reads and one writes at a time; all of it on the shard's thread.
#pragma once

#include <array>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "ocgate/rt/deadline.hpp"
#include "ocgate/rt/signal.hpp"
#include "ocgate/rt/window.hpp"

namespace ocgate::rt {

using Socket = asio::basic_stream_socket<asio::generic::stream_protocol, Executor>;

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

/// What a test puts in the place of a socket. Completions are posted, never called from inside.
class Wire {
public:
    using Done = std::function<void(error_code, std::size_t)>;
    virtual ~Wire() = default;
    /// `would_block` when nothing can be read or written now; `eof` at the end.
    virtual std::size_t try_read(asio::mutable_buffer into, error_code& error) = 0;
    virtual std::size_t try_write(Gather const& from, error_code& error) = 0;
    virtual void read(asio::mutable_buffer into, Done done) = 0;
    virtual void wait_writable(std::function<void(error_code)> done) = 0;
    virtual void cancel() noexcept = 0;
    virtual void shutdown_send() noexcept = 0;
    virtual void close() noexcept = 0;
    virtual void reset() noexcept = 0;
};

/// What the peers of one shard share.
struct PeerResources {
    Executor executor;
    Deadlines& deadlines;
    WindowPool& windows;
};

class Peer;
using PeerPtr = boost::intrusive_ptr<Peer>;

/// Bytes read wait in a small inline store and, when they do not fit, in one lent window; there is no other queue.
/// A read stays pending while others use the connection (`listen`), so the other end's leaving is noticed at once.
/// Never destroyed while an operation of it is pending: pending operations hold a reference.
class Peer final : public boost::intrusive_ref_counter<Peer, boost::thread_unsafe_counter> {
public:
    /// The inline store. Most request heads and most events of an agent fit; an idle connection costs no window.
    static constexpr std::size_t store_bytes = 1024;

    Peer(PeerResources const& resources, Socket socket);
    Peer(PeerResources const& resources, std::unique_ptr<Wire> wire);
    ~Peer();
    Peer(Peer const&) = delete;
    Peer& operator=(Peer const&) = delete;

    /// Bytes that were read and not yet consumed. Views into them hold until they are consumed or `fill` is called;
    /// `listen` does not disturb them (when the store overflows, its bytes are copied to the window and stay besides).
    [[nodiscard]] std::span<char> buffered() const noexcept { return {data_ + begin_, end_ - begin_}; }
    [[nodiscard]] std::string_view text() const noexcept { return {data_ + begin_, end_ - begin_}; }
    void consume(std::size_t n) noexcept;

    /// Waits for bytes it has not reported yet. Errors: eof or the system's; Reason::timed_out at `read_by`, with the
    /// read still pending and nothing lost; what `interrupt` said; `no_buffer_space` when the window is full.
    Task<error_code> fill();
    /// Keeps a read pending so that the end is noticed; `gone` is called once when it comes and nobody waits in `fill`.
    /// Bytes that nobody reads do not hide the end behind them until they fill a window. Goes on after `settle`.
    void listen(std::function<void()> gone);
    void stop_listening() noexcept { gone_ = nullptr; }
    /// Whether the other end has ended its side or broken off, as far as is known.
    [[nodiscard]] error_code ended() const noexcept { return ended_; }

    /// Gives the window back to the pool although a read is pending in it. Only with nothing buffered.
    Task<void> settle();
    [[nodiscard]] bool holds_window() const noexcept { return window_ != nullptr; }

    /// Writes all of it. Succeeds at once where the system takes it. `progress` bounds the wait for each further piece,
    /// `total` the whole; Reason::timed_out when one passes. The reader is not disturbed.
    Task<error_code> write(Gather pieces, Duration progress, Instant total = never);
    /// What can be written without waiting; the rest stays in `pieces`.
    error_code write_now(Gather& pieces);

    void read_by(Instant when) {
        read_expired_ = false;
        read_deadline_.set(when);
    }

    /// Ends what is waited for now and later with `why`. The first reason stays.
    void interrupt(error_code why);
    [[nodiscard]] error_code interrupted() const noexcept { return interrupted_; }
    /// Wakes the one who waits in `fill`, once, with operation_aborted.
    void wake();
    void forget_wake() noexcept { woken_ = false; }

    void shutdown_send() noexcept;
    void close() noexcept;
    /// Breaks off so that the other end sees it was no orderly end (RST).
    void reset() noexcept;
    [[nodiscard]] bool open() const noexcept { return open_; }

    [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
    [[nodiscard]] std::uint64_t sent() const noexcept { return sent_; }
    /// The same, starting over: a pooled connection is counted per exchange.
    [[nodiscard]] std::uint64_t take_received() noexcept { return std::exchange(received_, 0); }
    [[nodiscard]] std::uint64_t take_sent() noexcept { return std::exchange(sent_, 0); }
    [[nodiscard]] Deadlines& deadlines() const noexcept { return resources_.deadlines; }
    [[nodiscard]] WindowPool& windows() const noexcept { return resources_.windows; }

private:
    void start_read();
    void read_done(error_code error, std::size_t n);
    std::size_t try_read(asio::mutable_buffer into, error_code& error);
    Task<error_code> write_rest(Gather pieces, Duration progress, Instant total);
    Task<error_code> writable();
    void adopt_window();
    void release_window() noexcept;
    [[nodiscard]] std::size_t capacity() const noexcept;
    void cancel() noexcept;

    PeerResources const resources_;
    std::optional<Socket> socket_;
    std::unique_ptr<Wire> wire_;

    char* data_;
    std::uint32_t begin_ = 0;
    std::uint32_t end_ = 0;
    std::unique_ptr<char[]> window_;
    bool reading_ = false;
    bool writing_ = false;
    bool open_ = true;
    bool read_expired_ = false;
    bool write_expired_ = false;
    bool woken_ = false;
    bool fresh_ = false;  ///< bytes came since the last `fill` looked
    error_code ended_;
    error_code interrupted_;
    Signal arrived_;
    std::function<void()> gone_;
    Deadline read_deadline_;
    Deadline write_deadline_;
    std::uint64_t received_ = 0;
    std::uint64_t sent_ = 0;
    std::array<char, store_bytes> store_;
};

}  // namespace ocgate::rt
