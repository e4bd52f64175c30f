// The heads of HTTP/1.1 messages: parsed strictly, once, in place. What another reader of the same bytes could
// understand differently is refused, never repaired (RFC 9112 §11.2). Knows no sockets, no executors, no clock.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "ocgate/base/failure.hpp"

namespace ocgate::wire {

/// The fields this gateway treats by rules of their own, told apart once, when they are parsed.
enum class FieldKind : std::uint8_t {
    unclassified,  ///< a field that did not come from the parser
    other,         ///< end to end; Connection may name it
    end_to_end,    ///< end to end, and too important for Connection to take it away
    hop_by_hop,    ///< never forwarded, and of no meaning to us
    connection,    ///< hop by hop, as the next three
    upgrade,
    transfer_encoding,
    proxy_credentials,
    content_length,
    content_type,
    host,
    expect,
    cookie,
    authorization,
    via,
    request_id,
    forwarded,  ///< Forwarded, X-Real-Ip and every X-Forwarded-* but these three
    forwarded_for,
    forwarded_proto,
    forwarded_host,
    websocket_key,
    websocket_version,
    websocket_accept,
};

/// A field as it stands in the buffer; `value` has no surrounding white space.
struct Field {
    std::string_view name;
    std::string_view value;
    FieldKind kind = FieldKind::unclassified;
};

/// At most `capacity` fields, in order, held without allocation. opencode itself stops at about 150.
class FieldList {
public:
    static constexpr std::size_t capacity = 128;

    [[nodiscard]] bool add(Field field) noexcept {
        if (count_ == capacity) return false;
        fields_[count_++] = field;
        return true;
    }
    void clear() noexcept { count_ = 0; }
    [[nodiscard]] Field const* begin() const noexcept { return fields_.data(); }
    [[nodiscard]] Field const* end() const noexcept { return fields_.data() + count_; }
    [[nodiscard]] std::size_t size() const noexcept { return count_; }

    /// The first field of that name (any case), or nothing.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept;
    [[nodiscard]] std::size_t count(std::string_view name) const noexcept;

private:
    std::array<Field, capacity> fields_;
    std::size_t count_ = 0;
};

/// How the end of a body is known (RFC 9112 §6.3).
struct Framing {
    enum class Kind : std::uint8_t { none, length, chunked, until_close };
    Kind kind = Kind::none;
    std::uint64_t length = 0;  ///< bytes; with Kind::length only

    [[nodiscard]] bool empty() const noexcept { return kind == Kind::none || (kind == Kind::length && length == 0); }
};

struct HeadLimits {
    std::size_t head_bytes = 16 * 1024;   ///< the whole head with its last empty line
    std::size_t target_bytes = 8 * 1024;  ///< the request target
};

/// Views into the buffer that was parsed: they live as long as its bytes stay where they are.
struct RequestHead {
    std::string_view method;
    std::string_view target;  ///< always origin-form: `/path?query` (the authority of an absolute-form goes to `host`)
    std::string_view host;    ///< the Host field, or the authority of an absolute-form; empty with HTTP/1.0 only
    unsigned minor = 1;       ///< 0 or 1
    FieldList fields;
    Framing body;
    bool keep_alive = true;  ///< what the client asked for (RFC 9112 §9.3)
    bool expects_continue = false;
    bool upgrade = false;    ///< an Upgrade field that Connection names (RFC 9110 §7.8)
    bool websocket = false;  ///< a well-formed RFC 6455 opening handshake; `websocket_key` is its key
    std::string_view websocket_key;
    std::size_t bytes = 0;  ///< length of the head in the buffer, with its last empty line

    [[nodiscard]] std::string_view path() const noexcept { return target.substr(0, target.find('?')); }
    [[nodiscard]] bool is_safe() const noexcept { return method == "GET" || method == "HEAD"; }
    /// RFC 9110 §9.2.2, without those this gateway refuses.
    [[nodiscard]] bool is_idempotent() const noexcept {
        return is_safe() || method == "OPTIONS" || method == "PUT" || method == "DELETE";
    }
};

struct ResponseHead {
    unsigned status = 0;  ///< 100 to 599
    unsigned minor = 1;
    std::string_view reason;  ///< for people; may be empty
    FieldList fields;
    Framing body;  ///< as this response to this request's method is framed
    /// Whether the connection may carry another request after the body. Not when a 204 speaks of content: it may
    /// follow.
    bool keep_alive = true;
    bool event_stream = false;  ///< `Content-Type: text/event-stream`, with any parameters
    bool websocket = false;     ///< a 101 that upgrades to websocket; `websocket_accept` is its proof
    std::string_view websocket_accept;
    std::size_t bytes = 0;
};

/// What parsing a prefix of a stream came to.
enum class Progress : std::uint8_t { need_more, complete };
template <class T = Progress>
using Parsed = boost::system::result<T, Reason>;

/// Parses the head at the front of `bytes`. `seen` is the scanner's memory between calls with a growing `bytes` (start
/// with 0; of no meaning to others), so that the work stays linear. One empty line before the request line is skipped
/// (RFC 9112 §2.2). What is wrong is told as early as a call can know: a bad request line when it ends, a target too
/// long (Reason::target_too_long) or a head too large (also: too many fields) while it is still coming.
/// Refuses: bare CR or LF, NUL and control bytes, obs-fold, white space before the colon, empty or non-token names,
/// no Host or two (RFC 9112 §3.2), userinfo in the authority, Content-Length that is a list, signed, repeated or beside
/// Transfer-Encoding, any coding but one `chunked`, Transfer-Encoding in HTTP/1.0, fields of a protocol we do not speak
/// (CONNECT, TRACE, asterisk-form), a fragment or a control byte in the target, an absolute-form with a query but no
/// path, a method above 32 bytes, more than 32 Connection options.
Parsed<> parse_request_head(std::string_view bytes, HeadLimits const& limits, std::size_t& seen, RequestHead& head);

/// The same for the upstream's side. `method` is the request's: HEAD, 1xx, 204 and 304 have no body (RFC 9110 §6.4.1).
Parsed<> parse_response_head(std::string_view bytes, HeadLimits const& limits, std::size_t& seen,
                             std::string_view method, ResponseHead& head);

/// Equal without regard to ASCII case (field names, schemes, tokens).
[[nodiscard]] bool iequals(std::string_view a, std::string_view b) noexcept;

/// Whether the comma-separated list `value` holds `token`, in any case (RFC 9110 §5.6.1).
[[nodiscard]] bool list_has(std::string_view value, std::string_view token) noexcept;

/// One element after another of a comma-separated list; empty elements are skipped. `rest` is moved on.
[[nodiscard]] std::optional<std::string_view> next_element(std::string_view& rest) noexcept;

[[nodiscard]] bool is_token(std::string_view text) noexcept;

/// Which rules a field of that name (any case) goes by.
[[nodiscard]] FieldKind kind_of(std::string_view name) noexcept;

}  // namespace ocgate::wire
