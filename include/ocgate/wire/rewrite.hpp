// The heads this gateway sends: written anew from what was parsed, never copied through (RFC 9110 §7.6). What belongs
// to one hop or to the gateway alone stays here; each field that says who is asking goes out exactly once.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "ocgate/wire/head.hpp"

namespace ocgate::wire {

/// What a request gets on its way to the upstream. Views live for the call.
struct RequestRewrite {
    std::string_view peer;              ///< address of the TCP peer, added to X-Forwarded-For
    bool peer_trusted = false;          ///< its X-Forwarded-* are continued; otherwise they are replaced
    std::string_view request_id;        ///< becomes X-Request-Id
    std::string_view authorization;     ///< the upstream's own credential as a field value; empty: none is sent
    std::string_view hidden_parameter;  ///< a query parameter that never leaves (compared after decoding); empty: none
    std::string_view default_host;      ///< Host for an HTTP/1.0 client that sent none
};

/// Writes the head into `out`: origin-form target, HTTP/1.1, the client's Host, end-to-end fields in their order and
/// spelling, X-Forwarded-For/-Proto/-Host, Via, X-Request-Id, Authorization, the framing as `head.body` says
/// (Content-Length or `Transfer-Encoding: chunked`), Expect as the client sent it, and for a websocket handshake
/// `Connection: Upgrade` with `Upgrade: websocket`. No Connection field otherwise: keep-alive is the default.
/// Removed: hop-by-hop and Connection-named fields, the client's Authorization and Proxy-Authorization, X-Forwarded-*,
/// Forwarded, X-Real-Ip, X-Request-Id, Content-Length, Transfer-Encoding, TE, Trailer, Upgrade, Via (continued),
/// `hidden_parameter`, and fields that only `_` for `-` tells apart from one with rules of its own. Connection may name
/// no end-to-end field that matters for safety: Host, Authorization, Content-Length and their kin are taken by their
/// own rules whatever it says. Returns the bytes written, or Reason::head_too_large when `out` does not hold them.
boost::system::result<std::size_t, Reason> write_request_head(std::span<char> out, RequestHead const& head,
                                                              RequestRewrite const& rewrite) noexcept;

/// What a response gets on its way to the client.
struct ResponseRewrite {
    std::string_view request_id;
    bool client_1_0 = false;      ///< no chunked coding, no 1xx: a body of unknown length ends with the connection
    bool close = false;           ///< add `Connection: close`
    bool keep_alive_1_0 = false;  ///< add `Connection: keep-alive`, which a 1.0 client needs to hear
    bool inert = false;           ///< add what keeps a browser from running the content as a page of this origin
};

/// Writes the head into `out`, status line with `HTTP/1.1`. A body of unknown length goes out chunked, or bare to the
/// end of the connection for a 1.0 client. Content-Length of HEAD and 304 answers is kept as the upstream sent it.
/// Removed: hop-by-hop and Connection-named fields, X-Request-Id, Transfer-Encoding. Added: X-Request-Id, Via.
/// A 101 keeps `Upgrade: websocket`, `Connection: Upgrade` and Sec-WebSocket-*.
boost::system::result<std::size_t, Reason> write_response_head(std::span<char> out, ResponseHead const& head,
                                                               ResponseRewrite const& rewrite) noexcept;

/// Where a request comes from; a view of the peer or of the head.
struct ClientAddress {
    std::string_view address;  ///< without port and brackets
    /// Somebody forwarded it (X-Forwarded-For, Forwarded), and who asked could not be read from that or is not
    /// believed: `address` is a forwarder's, who speaks for anybody.
    bool hidden = false;
};

/// The rightmost X-Forwarded-For element that `trusted` does not accept, as long as each hop to its right was trusted;
/// the peer itself when it is not. An element is an address, and may have a port: `192.0.2.1:80`, `[2001:db8::1]:80`,
/// `[2001:db8::1]`. Anything else ends the walk.
[[nodiscard]] ClientAddress client_address(RequestHead const& head, std::string_view peer,
                                           bool (*trusted)(void const*, std::string_view), void const* context);

}  // namespace ocgate::wire
