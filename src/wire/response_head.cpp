#include <limits>

#include "chars.hpp"
#include "head_parts.hpp"

namespace ocgate::wire {
namespace {

/// Reads `HTTP/1.1 200 OK` (RFC 9112 §4). The space before an absent reason may be absent as well: many servers leave
/// it out, and nobody can misread that.
Parsed<> read_status_line(Reading& reading, unsigned& major, ResponseHead& head) noexcept {
    auto const* const end = reading.end;
    auto const version = read_version(reading, major, head.minor);
    if (!version || *version == Progress::need_more) return version;

    auto const* at = reading.at;
    if (at == end) return Progress::need_more;
    if (*at++ != ' ') return Reason::malformed;
    unsigned status = 0;
    for (int i = 0; i < 3; ++i, ++at) {
        if (at == end) return Progress::need_more;
        if (!is_digit(*at)) return Reason::malformed;
        status = status * 10 + static_cast<unsigned>(*at - '0');
    }
    if (status < 100 || status > 599) return Reason::malformed;
    if (at == end) return Progress::need_more;
    if (*at != ' ' && *at != '\r') return Reason::malformed;
    if (*at == ' ') ++at;
    auto const* const stop = end_of_value(at, end);
    if (stop == end) return Progress::need_more;
    if (*stop != '\r') return Reason::malformed;
    if (end - stop < 2) return Progress::need_more;
    if (stop[1] != '\n') return Reason::malformed;
    head.status = status;
    head.reason = {at, static_cast<std::size_t>(stop - at)};
    reading.at = stop + 2;
    return Progress::complete;
}

bool is_event_stream(std::string_view content_type) noexcept {
    return iequals(without_blanks(content_type.substr(0, content_type.find(';'))), "text/event-stream");
}

/// RFC 9112 §6.3. False when the connection's further use is in doubt.
Parsed<> take_framing(Facts const& facts, std::string_view method, ResponseHead& head) noexcept {
    head.keep_alive = facts.stays_open(head.minor);
    if (head.status < 200 || head.status == 204) {
        head.body = {};
        auto const& length = facts.content_length;
        bool const speaks_of_content =
            facts.transfer_encoding.count > 0 || length.count > 1 || (length.count == 1 && length.value != "0");
        if (speaks_of_content) head.keep_alive = false;
        return Progress::complete;
    }
    auto const framing = judge_framing(facts, head.minor);
    if (!framing) return framing.error();
    head.body = *framing;
    if (method == "HEAD" || head.status == 304) {
        head.body = {};
    } else if (framing->kind == Framing::Kind::none) {
        head.body.kind = Framing::Kind::until_close;
        head.keep_alive = false;
    }
    return Progress::complete;
}

}  // namespace

Parsed<> parse_response_head(std::string_view bytes, HeadLimits const& limits, std::size_t& seen,
                             std::string_view method, ResponseHead& head) {
    Growth growth(bytes, limits.head_bytes, std::numeric_limits<std::size_t>::max(), seen);
    if (!growth.worth_parsing()) return growth.more(false);
    auto reading = growth.reading();

    unsigned major = 0;
    auto progress = read_status_line(reading, major, head);
    if (!progress) return progress;
    if (*progress == Progress::need_more) return growth.more(false);
    if (major != 1 || head.minor > 1) return Reason::unsupported_version;

    Facts facts;
    head.fields.clear();
    progress = read_fields(reading, head.fields, facts);
    if (!progress) return progress;
    if (*progress == Progress::need_more) return growth.more(true);

    if (!facts.connection_in_order()) return Reason::malformed;
    progress = take_framing(facts, method, head);
    if (!progress) return progress;
    head.event_stream = is_event_stream(facts.content_type.value);
    head.websocket =
        head.status == 101 && facts.upgrade_websocket && facts.connection_upgrade && facts.websocket_accept.count == 1;
    head.websocket_accept = head.websocket ? facts.websocket_accept.value : std::string_view();
    head.bytes = static_cast<std::size_t>(reading.at - bytes.data());
    return Progress::complete;
}

}  // namespace ocgate::wire
