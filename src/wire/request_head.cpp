#include <algorithm>

#include "chars.hpp"
#include "head_parts.hpp"

namespace ocgate::wire {
namespace {

struct RequestLine {
    std::string_view method;
    std::string_view target;  ///< as it was sent
    unsigned major = 0;
    unsigned minor = 0;
};

/// The verdict on any byte depends on nothing behind it: a line that comes in pieces is refused for the same reason.
Parsed<> read_request_line(Reading& reading, std::size_t target_bytes, RequestLine& line) noexcept {
    auto const* const end = reading.end;
    auto const* at = reading.at;
    if (at != end && *at == '\r') {
        if (end - at < 2) return Progress::need_more;
        if (at[1] != '\n') return Reason::malformed;
        at += 2;
    }

    auto const* const method = at;
    while (at != end && is_in(token_chars, *at)) ++at;
    line.method = {method, static_cast<std::size_t>(at - method)};
    if (line.method.size() > max_method_bytes) return Reason::malformed;
    if (at == end) return Progress::need_more;
    if (*at != ' ' || line.method.empty()) return Reason::malformed;

    auto const* const target = ++at;
    auto const there = static_cast<std::size_t>(end - target);
    bool const bounded = there > target_bytes;
    auto const* const bound = bounded ? target + target_bytes + 1 : end;
    at = end_of_target(target, bound);
    line.target = {target, static_cast<std::size_t>(at - target)};
    if (at == bound) {
        if (bounded) return Reason::target_too_long;
        return Progress::need_more;
    }
    if (*at != ' ' || line.target.empty()) return Reason::malformed;

    reading.at = at + 1;
    auto const version = read_version(reading, line.major, line.minor);
    if (!version || *version == Progress::need_more) return version;
    at = reading.at;
    if (at != end && *at != '\r') return Reason::malformed;
    if (end - at < 2) return Progress::need_more;
    if (at[1] != '\n') return Reason::malformed;
    reading.at = at + 2;
    return Progress::complete;
}

/// Origin-form as it is; absolute-form taken apart (RFC 9112 §3.2.2), its authority into `authority`.
bool take_target(std::string_view target, std::string_view& origin_form, std::string_view& authority) noexcept {
    if (target.front() == '/') {
        origin_form = target;
        return true;
    }
    constexpr std::string_view schemes[] = {"http://", "https://"};
    auto const* const scheme = std::find_if(std::begin(schemes), std::end(schemes),
                                            [&](std::string_view s) { return iequals(target.substr(0, s.size()), s); });
    if (scheme == std::end(schemes)) return false;
    auto const rest = target.substr(scheme->size());
    auto const path = rest.find_first_of("/?");
    authority = rest.substr(0, path);
    if (!is_authority(authority)) return false;
    origin_form = path == std::string_view::npos ? std::string_view("/") : rest.substr(path);
    return origin_form.front() == '/';
}

/// RFC 9112 §3.2: one Host and a good one, even when an absolute-form is what counts.
bool take_host(Facts const& facts, std::string_view authority, RequestHead& head) noexcept {
    head.host = {};
    if (facts.host.count > 1) return false;
    if (head.minor == 1 && facts.host.value.empty()) return false;
    if (!facts.host.value.empty() && !is_authority(facts.host.value)) return false;
    head.host = authority.empty() ? facts.host.value : authority;
    return true;
}

/// Base64 of 16 bytes (RFC 6455 §4.2.1, 5).
bool is_websocket_key(std::string_view key) noexcept {
    return key.size() == 24 && key.ends_with("==") &&
           std::all_of(key.begin(), key.end() - 2, [](char c) { return is_in(base64_chars, c); });
}

/// However often `100-continue` is said, it is one expectation. What else there is beside it goes to the upstream as it
/// came, which alone can judge it.
bool expects_continue(Facts const& facts, FieldList const& fields) noexcept {
    if (facts.expect.count == 0) return false;
    bool found = false;
    for (auto const& field : fields) {
        if (field.kind != FieldKind::expect) continue;
        auto rest = field.value;
        while (auto const expectation = next_element(rest)) {
            if (!iequals(*expectation, "100-continue")) return false;
            found = true;
        }
    }
    return found;
}

/// RFC 9110 §7.6.2: whoever passes it on must count down. Nobody asks that of opencode, so it is not passed on.
bool counts_hops(FieldList const& fields) noexcept {
    return std::any_of(fields.begin(), fields.end(),
                       [](auto const& field) { return iequals(field.name, "max-forwards"); });
}

bool is_handshake(Facts const& facts, RequestHead const& head) noexcept {
    return head.upgrade && facts.upgrade_websocket && head.method == "GET" && head.body.empty() &&
           facts.websocket_key.count == 1 && is_websocket_key(facts.websocket_key.value) &&
           facts.websocket_version.count == 1 && facts.websocket_version.value == "13";
}

}  // namespace

Parsed<> parse_request_head(std::string_view bytes, HeadLimits const& limits, std::size_t& seen, RequestHead& head) {
    // An empty line, method, target, version and CRLF with a space between each.
    auto const first_line_bytes = limits.target_bytes + max_method_bytes + 14;
    Growth growth(bytes, limits.head_bytes, first_line_bytes, seen);
    if (!growth.worth_parsing()) return growth.more(false);
    auto reading = growth.reading();

    RequestLine line;
    auto progress = read_request_line(reading, limits.target_bytes, line);
    if (!progress) return progress;
    if (*progress == Progress::need_more) return growth.more(false);
    if (line.major != 1 || line.minor > 1) return Reason::unsupported_version;
    if (line.method == "CONNECT" || line.method == "TRACE" || line.target == "*") return Reason::unsupported_method;
    std::string_view authority;
    if (!take_target(line.target, head.target, authority)) return Reason::malformed;
    // RFC 9112 §3.2.4: with nothing behind the authority this is the asterisk again.
    bool const whole_server = !authority.empty() && authority.end() == line.target.end();
    if (whole_server && line.method == "OPTIONS") return Reason::unsupported_method;

    Facts facts;
    head.fields.clear();
    progress = read_fields(reading, head.fields, facts);
    if (!progress) return progress;
    if (*progress == Progress::need_more) return growth.more(true);
    if (line.method == "OPTIONS" && counts_hops(head.fields)) return Reason::unsupported_method;

    head.method = line.method;
    head.minor = line.minor;
    if (!take_host(facts, authority, head) || !facts.connection_in_order()) return Reason::malformed;
    auto const framing = judge_framing(facts, line.minor);
    if (!framing) return framing.error();
    head.body = *framing;
    head.keep_alive = facts.stays_open(line.minor);
    // RFC 9110 §7.8, §10.1.1: from a 1.0 client neither means anything.
    head.upgrade = line.minor == 1 && facts.upgrade && facts.connection_upgrade;
    head.expects_continue = line.minor == 1 && expects_continue(facts, head.fields);
    head.websocket = is_handshake(facts, head);
    head.websocket_key = head.websocket ? facts.websocket_key.value : std::string_view();
    head.bytes = static_cast<std::size_t>(reading.at - bytes.data());
    return Progress::complete;
}

}  // namespace ocgate::wire
