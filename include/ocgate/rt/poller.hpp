// Which sockets can go on: one edge-triggered epoll set per event loop, watched by Asio as a single descriptor.
//
// Asio's own sockets try every read before they wait, and half of all reads on a busy proxy are such failed tries; and
// they do not tell that the other end has finished (EPOLLRDHUP), so every one of them needs another read to find out.
// Here a read is made when something is there to read, and the end is known without one.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <memory>

#include "ocgate/rt/descriptor.hpp"
#include "ocgate/rt/types.hpp"

namespace ocgate::rt {

/// What became possible since the last time (epoll(7), edge-triggered).
struct Readiness {
    bool readable = false;
    bool writable = false;
    bool ended = false;   ///< the other end has finished sending; what it sent before may still be unread
    bool broken = false;  ///< and not in order: reset, or given up
};

/// Who wants to hear of it. Called from the event loop; may add and forget pollables, and destroy itself.
class Pollable {
public:
    virtual void ready(Readiness now) = 0;

protected:
    ~Pollable() = default;
};

/// One per event loop, not thread-safe. Outlives its pollables. Does not count as work: who waits does.
class Poller {
public:
    explicit Poller(Executor executor);
    ~Poller();
    Poller(Poller const&) = delete;
    Poller& operator=(Poller const&) = delete;

    enum class Interest : std::uint8_t { reading, writing, both };
    /// Watches `descriptor` for `who` until `forget`. What is possible already is told soon.
    [[nodiscard]] error_code add(int descriptor, Pollable& who, Interest interest) noexcept;
    [[nodiscard]] error_code change(int descriptor, Pollable& who, Interest interest) noexcept;
    /// Before the descriptor is closed. Nothing is told to `who` afterwards.
    void forget(Pollable const& who) noexcept;
    /// The same while the descriptor, or another one of the same socket, stays open.
    void remove(int descriptor, Pollable const& who) noexcept;

private:
    struct Wake;
    void turn();
    void round(int found);

    static constexpr std::size_t batch = 128;  ///< told in one go
    static constexpr int rounds = 8;           ///< of these before everything else in the loop has its turn

    Executor executor_;
    Descriptor set_;
    std::unique_ptr<Wake> wake_;
    std::array<epoll_event, batch> events_;
    int next_ = 0;   ///< of the round under way
    int found_ = 0;  ///< in it
};

}  // namespace ocgate::rt
