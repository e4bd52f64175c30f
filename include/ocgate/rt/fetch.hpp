// One request of our own and its whole answer, for probes and later for notifications. Not the proxy path: an answer is
// held in memory, bounded. No redirects, no reuse of connections.
#pragma once

#include <string>
#include <string_view>

#include "ocgate/rt/dialer.hpp"
#include "ocgate/wire/head.hpp"

namespace ocgate::rt {

struct FetchRequest {
    std::string method = "GET";
    std::string target = "/";
    std::string host;                          ///< the Host field
    std::string fields;                        ///< further header lines, each with CRLF
    std::string body;                          ///< sent with Content-Length unless empty with GET
    std::size_t max_answer_bytes = 64 * 1024;  ///< head and content; more is Reason::body_too_large
    std::string keep{};                        ///< the name, in lower case, of one more field of the answer's head
};

struct Fetched {
    unsigned status = 0;
    std::string content_type;
    std::string kept;  ///< the value of that field
    std::string body;
};

/// Dials, sends, reads to the end, closes; all of it by `until`. Failures: Side::upstream with the step that failed.
Task<Outcome<Fetched>> fetch(PeerResources const& resources, Dialer& dialer, FetchRequest request, Instant until);

}  // namespace ocgate::rt
