// Connections made by us. Knows addresses, not what is spoken over them.
#pragma once

#include <string>
#include <utility>

#include "ocgate/rt/peer.hpp"

namespace ocgate::rt {

/// Where to connect: a host name or address with a port, or the path of a Unix socket.
struct Address {
    std::string host;  ///< name, IPv4, or IPv6 without brackets; empty for a Unix socket
    std::uint16_t port = 0;
    std::string unix_path;  ///< empty for TCP

    [[nodiscard]] bool is_unix() const noexcept { return !unix_path.empty(); }
    /// `127.0.0.1:4096`, `[::1]:4096`, `unix:/run/opencode.sock`.
    [[nodiscard]] std::string text() const;
};

/// Ends a dial from outside: the one under way, or the next. For one dial at a time, on its own thread.
class DialBreaker {
public:
    void trip() noexcept {
        if (!std::exchange(tripped_, true) && action_) action_(dial_);
    }
    [[nodiscard]] bool tripped() const noexcept { return tripped_; }

    /// For dialers: `action` is called when the breaker trips while this lives.
    class Watch {
    public:
        using Action = void (*)(void* dial);
        Watch(DialBreaker& breaker, Action action, void* dial) noexcept : breaker_(breaker) {
            breaker.action_ = action;
            breaker.dial_ = dial;
        }
        ~Watch() { breaker_.action_ = nullptr; }
        Watch(Watch const&) = delete;
        Watch& operator=(Watch const&) = delete;

    private:
        DialBreaker& breaker_;
    };

private:
    bool tripped_ = false;
    void (*action_)(void* dial) = nullptr;
    void* dial_ = nullptr;
};

/// Connects or fails by `until`: Reason::timed_out, operation_aborted when the breaker trips, or the system's error.
/// The breaker outlives the dial.
class Dialer {
public:
    virtual ~Dialer() = default;
    virtual Task<boost::system::result<PeerPtr, error_code>> dial(PeerResources const& resources, Instant until,
                                                                  DialBreaker& breaker) = 0;
};

/// Dials over the operating system. A name is resolved for each dial, its addresses are tried in order; `localhost`
/// needs no resolver: 127.0.0.1, then ::1.
class SystemDialer final : public Dialer {
public:
    explicit SystemDialer(Address address) : address_(std::move(address)) {}
    Task<boost::system::result<PeerPtr, error_code>> dial(PeerResources const& resources, Instant until,
                                                          DialBreaker& breaker) override;

private:
    Address address_;
};

}  // namespace ocgate::rt
