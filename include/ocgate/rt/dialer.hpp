// Connections made by us. Knows addresses, not what is spoken over them.
#pragma once

#include <string>

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

/// Connects or fails by `until`: Reason::timed_out, or the system's error.
class Dialer {
public:
    virtual ~Dialer() = default;
    virtual Task<boost::system::result<PeerPtr, error_code>> dial(PeerResources const& resources, Instant until) = 0;
};

/// Dials over the operating system. A name is resolved for each dial, its addresses are tried in order; `localhost`
/// needs no resolver: 127.0.0.1, then ::1.
class SystemDialer final : public Dialer {
public:
    explicit SystemDialer(Address address) : address_(std::move(address)) {}
    Task<boost::system::result<PeerPtr, error_code>> dial(PeerResources const& resources, Instant until) override;

private:
    Address address_;
};

}  // namespace ocgate::rt
