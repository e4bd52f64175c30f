// Addresses as settings write them. Resolves nothing.
#pragma once

#include <boost/system/result.hpp>
#include <string>
#include <string_view>

#include "ocgate/rt/dialer.hpp"

namespace ocgate::app {

/// Longest path of a Unix socket: sun_path of sockaddr_un with its final zero.
inline constexpr std::size_t max_socket_path_bytes = 107;

/// An address, or what was expected instead (`problem` is not empty then).
struct ParsedAddress {
    rt::Address address;
    std::string problem;
};

/// `host:port`, `[v6]:port`, `:port` (all IPv4 addresses) or `unix:/path`; the host is an address or `localhost`.
/// Port 0 lets the kernel choose.
[[nodiscard]] ParsedAddress parse_listen(std::string_view text);

/// `http://host:port` or `unix:/path`.
[[nodiscard]] ParsedAddress parse_upstream(std::string_view text);

/// Whether it stays on this machine: 127.0.0.0/8, ::1, `localhost`, a Unix socket.
[[nodiscard]] bool is_loopback(rt::Address const& address);

/// Whether a listener at `listen` would take a connection made to `other` (or two listeners would share a port).
[[nodiscard]] bool covers(rt::Address const& listen, rt::Address const& other);

/// The address by which this machine reaches its own listener: a wildcard becomes loopback.
[[nodiscard]] rt::Address reachable(rt::Address listen);

}  // namespace ocgate::app
