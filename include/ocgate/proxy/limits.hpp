// The bounds of the request path: bytes, counts and waits. Plain values; `config` fills them, a reload replaces them
// for exchanges that begin after it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "ocgate/wire/head.hpp"

namespace ocgate::proxy {

using std::chrono::milliseconds;

/// What opencode reads as a request head, in all. A request that does not fit with the fields this gateway adds is
/// answered here: 431.
inline constexpr std::size_t upstream_head_bytes = 16 * 1024;

struct Limits {
    wire::HeadLimits request;                         ///< 431 and 414
    wire::HeadLimits response{16 * 1024, 0};          ///< 502; `target_bytes` has no meaning here
    std::uint64_t body_bytes = 256ull * 1024 * 1024;  ///< request content; 413. 0: no bound
    std::size_t connections = 4096;  ///< client connections of all shards; then who waits makes room, or 503
    // By client (ocgate/proxy/clients.hpp), over all shards; then 429. 0: no bound. Who stands behind a trusted proxy
    // or a Unix socket has no connections of its own, and a trusted proxy no streams.
    std::size_t connections_per_client = 1024;
    std::size_t streams_per_client = 256;  ///< event streams and WebSockets
    std::size_t idle_upstreams = 32;       ///< idle upstream connections kept by a shard

    milliseconds request_head{10'000};  ///< from the first byte of a head to its end; 408
    milliseconds keep_alive{75'000};    ///< idle client connection; closed without a word
    milliseconds dial{2'000};           ///< 503
    milliseconds first_byte{0};      ///< from the request's end to the answer's head; 504. 0: no bound on its beginning
    milliseconds idle_body{60'000};  ///< without progress while a body is under way; 408 or a cut answer. Also from
                                     ///< the first to the last byte of an answer's head (504), and the wait for 100
    milliseconds tunnel_idle{0};     ///< without a byte in either direction of a WebSocket. 0: no bound
    milliseconds stall_timeout{30'000};  ///< an event-stream client that takes no bytes is cut off
    milliseconds heartbeat{15'000};      ///< silence between events filled with a comment. 0: none
    milliseconds idle_upstream{60'000};  ///< how long an idle upstream connection is kept
    milliseconds linger{1'000};          ///< how long a client we refuse may still send before the connection goes
};

}  // namespace ocgate::proxy
