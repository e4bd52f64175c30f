#include "ocgate/wire/head.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "chars.hpp"
#include "head_parts.hpp"

namespace ocgate::wire {
namespace {

/// RFC 9110 §8.6: digits and nothing else. Half of the 64 bits are kept free, so that sums cannot overflow.
std::optional<std::uint64_t> content_length_of(std::string_view value) noexcept {
    constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
    if (value.empty()) return std::nullopt;
    std::uint64_t length = 0;
    for (char const c : value) {
        if (!is_digit(c)) return std::nullopt;
        auto const digit = static_cast<std::uint64_t>(c - '0');
        if (length > (most - digit) / 10) return std::nullopt;
        length = length * 10 + digit;
    }
    return length;
}

/// Why codings other than one `chunked` are refused. Other codings under one final `chunked` are merely not spoken here
/// (RFC 9112 §6.1: 501); anything else leaves the end of the body open to interpretation (§6.3: 400).
Reason reason_against(std::string_view codings) noexcept {
    for (;;) {
        auto const comma = codings.find(',');
        auto const coding = without_blanks(codings.substr(0, comma));
        bool const chunked = iequals(coding, "chunked");
        if (comma == std::string_view::npos) return chunked ? Reason::unsupported_coding : Reason::malformed;
        if (chunked || !is_token(coding)) return Reason::malformed;
        codings.remove_prefix(comma + 1);
    }
}

}  // namespace

void Facts::note(Field const& field) noexcept {
    switch (field.kind) {
        case FieldKind::host:
            host.note(field.value);
            break;
        case FieldKind::content_length:
            content_length.note(field.value);
            break;
        case FieldKind::transfer_encoding:
            transfer_encoding.note(field.value);
            break;
        case FieldKind::content_type:
            content_type.note(field.value);
            break;
        case FieldKind::expect:
            expect.note(field.value);
            break;
        case FieldKind::websocket_key:
            websocket_key.note(field.value);
            break;
        case FieldKind::websocket_version:
            websocket_version.note(field.value);
            break;
        case FieldKind::websocket_accept:
            websocket_accept.note(field.value);
            break;
        case FieldKind::upgrade:
            upgrade = true;
            upgrade_websocket = upgrade_websocket || list_has(field.value, "websocket");
            break;
        case FieldKind::connection:
            note_connection(field.value);
            break;
        default:
            break;
    }
}

void Facts::note_connection(std::string_view value) noexcept {
    while (auto const option = next_element(value)) {
        ++connection_options;
        if (iequals(*option, "keep-alive")) {
            keep_alive = true;
        } else if (iequals(*option, "close")) {
            close = true;
        } else if (iequals(*option, "upgrade")) {
            connection_upgrade = true;
        } else if (!is_token(*option)) {
            connection_malformed = true;
        }
    }
}

Parsed<> read_fields(Reading& reading, FieldList& fields, Facts& facts) noexcept {
    auto const* const end = reading.end;
    for (;;) {
        auto const* const line = reading.at;
        if (line == end) return Progress::need_more;
        if (*line == '\r') {
            if (end - line < 2) return Progress::need_more;
            if (line[1] != '\n') return Reason::malformed;
            reading.at = line + 2;
            return Progress::complete;
        }
        // A blank in front (obs-fold) or before the colon is no token character: refused here (RFC 9112 §5.1, §5.2).
        auto const* colon = line;
        while (colon != end && is_in(token_chars, *colon)) ++colon;
        if (colon == end) return Progress::need_more;
        if (*colon != ':' || colon == line) return Reason::malformed;

        auto const* value = colon + 1;
        while (value != end && is_blank(*value)) ++value;
        auto const* const stop = end_of_value(value, end);
        if (stop == end) return Progress::need_more;
        if (*stop != '\r') return Reason::malformed;
        if (end - stop < 2) return Progress::need_more;
        if (stop[1] != '\n') return Reason::malformed;
        auto const* last = stop;
        while (last != value && is_blank(last[-1])) --last;

        std::string_view const name(line, static_cast<std::size_t>(colon - line));
        Field const field{name, {value, static_cast<std::size_t>(last - value)}, kind_of(name)};
        if (!fields.add(field)) return Reason::head_too_large;
        facts.note(field);
        reading.at = stop + 2;
    }
}

Parsed<> read_version(Reading& reading, unsigned& major, unsigned& minor) noexcept {
    constexpr std::string_view shape = "HTTP/d.d";
    auto const there = std::min(shape.size(), static_cast<std::size_t>(reading.end - reading.at));
    for (std::size_t i = 0; i < there; ++i) {
        char const c = reading.at[i];
        if (shape[i] == 'd' ? !is_digit(c) : c != shape[i]) return Reason::malformed;
    }
    if (there < shape.size()) return Progress::need_more;
    major = static_cast<unsigned>(reading.at[5] - '0');
    minor = static_cast<unsigned>(reading.at[7] - '0');
    reading.at += shape.size();
    return Progress::complete;
}

Parsed<Framing> judge_framing(Facts const& facts, unsigned minor) noexcept {
    if (facts.transfer_encoding.count > 0) {
        // RFC 9112 §6.1: with Content-Length beside it or in HTTP/1.0 somebody on the way may have read it otherwise.
        if (facts.content_length.count > 0 || facts.transfer_encoding.count > 1 || minor == 0) return Reason::malformed;
        auto const codings = facts.transfer_encoding.value;
        if (!iequals(codings, "chunked")) return reason_against(codings);
        return Framing{Framing::Kind::chunked, 0};
    }
    if (facts.content_length.count > 1) return Reason::malformed;
    if (facts.content_length.count == 1) {
        auto const length = content_length_of(facts.content_length.value);
        if (!length) return Reason::malformed;
        return Framing{Framing::Kind::length, *length};
    }
    return Framing{};
}

bool is_authority(std::string_view text) noexcept {
    std::size_t i = 0;
    if (text.starts_with('[')) {
        bool colon = false;
        for (i = 1; i < text.size() && text[i] != ']'; ++i) {
            if (hex_value(text[i]) < 0 && text[i] != ':' && text[i] != '.') return false;
            colon = colon || text[i] == ':';
        }
        if (i == text.size() || !colon) return false;
        ++i;
    } else {
        for (; i < text.size() && is_in(host_chars, text[i]); ++i) {
            if (text[i] == '%' && (text.size() - i < 3 || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0))
                return false;
        }
        if (i == 0) return false;
    }
    if (i == text.size()) return true;
    if (text[i] != ':' || text.size() - i > 6) return false;
    unsigned port = 0;
    for (++i; i < text.size(); ++i) {
        if (!is_digit(text[i])) return false;
        port = port * 10 + static_cast<unsigned>(text[i] - '0');
    }
    return port <= 65'535;
}

Growth::Growth(std::string_view bytes, std::size_t head_bytes, std::size_t first_line_bytes, std::size_t& seen) noexcept
    : text_(bytes.substr(0, head_bytes)),
      first_line_bytes_(first_line_bytes),
      seen_(seen),
      full_(bytes.size() >= head_bytes) {}

bool Growth::worth_parsing() const noexcept {
    auto const from = seen_ & ~first_line_known;
    if (from == 0 || full_) return true;
    bool const first_line_read = (seen_ & first_line_known) != 0;
    if (!first_line_read && text_.size() > first_line_bytes_) return true;
    for (auto at = from; at < text_.size(); ++at) {
        auto const* const lf = static_cast<char const*>(std::memchr(text_.data() + at, '\n', text_.size() - at));
        if (lf == nullptr) break;
        at = static_cast<std::size_t>(lf - text_.data());
        bool const bare = at == 0 || text_[at - 1] != '\r';
        bool const empty_line = at >= 2 && text_[at - 2] == '\n';
        if (bare || empty_line || !first_line_read) return true;
    }
    return false;
}

Parsed<> Growth::more(bool first_line_read) noexcept {
    if (full_) return Reason::head_too_large;
    seen_ = text_.size() | (first_line_read ? first_line_known : seen_ & first_line_known);
    return Progress::need_more;
}

}  // namespace ocgate::wire
