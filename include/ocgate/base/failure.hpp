// One value for everything that goes wrong on the request path: it gives the status, the JSON code, the log line and
// the metric labels. Knows no HTTP library and does no I/O.
#pragma once

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace ocgate {

using boost::system::error_code;

/// Whose fault it was. A closed set: also a metric label.
enum class Side : std::uint8_t { client, upstream, gateway };

/// What we were doing. A closed set: also a metric label.
enum class Step : std::uint8_t {
    accept,
    request_head,
    admission,
    dial,
    request_body,
    response_head,
    response_body,
    event_stream,
    tunnel,
};

/// Why, where the operating system has no word for it. A closed set: the `reason` of metrics and X-Ocgate-Error.
enum class Reason : std::uint8_t {
    malformed = 1,        ///< the bytes are not the message they claim to be (RFC 9112)
    unsupported_version,  ///< an HTTP version other than 1.0 and 1.1
    unsupported_method,   ///< CONNECT, TRACE or the asterisk form
    unsupported_coding,   ///< a transfer coding other than chunked (RFC 9112 §6.1: 501)
    head_too_large,
    target_too_long,
    body_too_large,
    unauthorized,
    throttled,
    over_budget,  ///< what may be spent in this day or month is spent
    forbidden,
    misdirected,  ///< a Host that `allowed_hosts` does not list (RFC 9110 §15.5.20)
    timed_out,
    cut_short,  ///< the peer ended in the middle of a message
    stalled,    ///< an event-stream client took no bytes for `stall_timeout`
    gone,       ///< the client left before the answer was complete
    refused,    ///< nobody listens at the upstream's address
    too_many,   ///< a bound is reached: of ours (connections, hashing queue, descriptors), or of one client's
    draining,
    bad_upgrade,  ///< the upstream's 101 does not answer the handshake (RFC 6455 §4.1)
    internal,
};

error_code make_error_code(Reason reason) noexcept;

struct Failure {
    Side side;
    Step step;
    error_code why;
};

template <class T>
using Outcome = boost::system::result<T, Failure>;

std::string_view to_string(Side side) noexcept;
std::string_view to_string(Step step) noexcept;
std::string_view to_string(Reason reason) noexcept;

/// The closed word for `why`: ours as it is, the system's folded into refused, timed_out, cut_short or internal.
Reason reason_of(Failure const& failure) noexcept;

/// Whether the machine had no room (descriptors, memory) for what was tried: nobody's answer, and soon over.
[[nodiscard]] bool is_shortage(error_code why) noexcept;

/// The status a client gets when no byte of an answer has been sent yet.
unsigned status_for(Failure const& failure) noexcept;

/// `upstream response_head: timed out`, for people.
std::string to_string(Failure const& failure);

/// boost::system::result asks for this by argument-dependent lookup when `value()` is called on a failure.
[[noreturn]] void throw_exception_from_error(Failure const& failure, boost::source_location const& where);

}  // namespace ocgate

template <>
struct boost::system::is_error_code_enum<ocgate::Reason> : std::true_type {};
