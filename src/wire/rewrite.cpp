#include "ocgate/wire/rewrite.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "chars.hpp"
#include "head_parts.hpp"
#include "ocgate/wire/percent.hpp"

namespace ocgate::wire {
namespace {

/// Writes into a span of fixed size and remembers whether everything found room.
class Pen {
public:
    explicit Pen(std::span<char> out) noexcept : begin_(out.data()), at_(begin_), end_(begin_ + out.size()) {}

    void put(std::string_view text) noexcept {
        if (text.size() > static_cast<std::size_t>(end_ - at_)) {
            overflow_ = true;
            end_ = at_;  // nothing shorter may slip in behind what is missing
            return;
        }
        if (text.empty()) return;
        std::memcpy(at_, text.data(), text.size());
        at_ += text.size();
    }
    template <class... Texts>
    void put(std::string_view first, Texts... more) noexcept {
        put(first);
        (put(std::string_view(more)), ...);
    }
    void field(std::string_view name, std::string_view value) noexcept { put(name, ": ", value, "\r\n"); }
    void number(std::uint64_t value) noexcept {
        std::array<char, 20> digits;
        auto const end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
        put(std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
    }

    [[nodiscard]] boost::system::result<std::size_t, Reason> written() const noexcept {
        if (overflow_) return Reason::head_too_large;
        return static_cast<std::size_t>(at_ - begin_);
    }

private:
    char* begin_;
    char* at_;
    char* end_;
    bool overflow_ = false;
};

FieldKind kind(Field const& field) noexcept {
    return field.kind == FieldKind::unclassified ? kind_of(field.name) : field.kind;
}

/// Whether any Connection field speaks of more than this connection's persistence and upgrade.
bool connection_names_fields(FieldList const& fields) noexcept {
    for (auto const& field : fields) {
        if (kind(field) != FieldKind::connection) continue;
        auto rest = field.value;
        while (auto const option = next_element(rest)) {
            if (!iequals(*option, "close") && !iequals(*option, "keep-alive") && !iequals(*option, "upgrade"))
                return true;
        }
    }
    return false;
}

bool is_named_by_connection(FieldList const& fields, std::string_view name) noexcept {
    for (auto const& field : fields)
        if (kind(field) == FieldKind::connection && list_has(field.value, name)) return true;
    return false;
}

/// Whether only `_` tells the name apart from one that goes by rules of its own. To who makes variables of field names,
/// where `_` and `-` are alike (RFC 3875 §4.1.18), a client could say so what it may not say here.
bool is_disguised(std::string_view name) noexcept {
    if (name.find('_') == std::string_view::npos) return false;
    std::array<char, 32> plain;  // longer than every known name; of a family the front decides
    auto const front = name.substr(0, plain.size());
    std::replace_copy(front.begin(), front.end(), plain.begin(), '_', '-');
    return kind_of({plain.data(), front.size()}) != FieldKind::other;
}

/// Compares with `+` as a space and %XX decoded, as every reader of form data does (WHATWG URL, "urlencoded parsing").
bool decodes_to(std::string_view encoded, std::string_view plain) noexcept {
    for (char const c : plain) {
        if (encoded.empty() || take_form_char(encoded) != c) return false;
    }
    return encoded.empty();
}

/// Cuts the next piece off `rest`, up to `separator`; false when there is none left. `rest` is null at the end.
bool next_piece(std::string_view& rest, char separator, std::string_view& piece) noexcept {
    if (rest.data() == nullptr) return false;
    auto const end = rest.find(separator);
    piece = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    return true;
}

void put_target(Pen& pen, std::string_view target, std::string_view hidden_parameter) noexcept {
    auto const question = hidden_parameter.empty() ? std::string_view::npos : target.find('?');
    if (question == std::string_view::npos) return pen.put(target);
    pen.put(target.substr(0, question));
    auto rest = target.substr(question + 1);
    std::string_view piece;
    for (bool first = true; next_piece(rest, '&', piece);) {
        if (decodes_to(piece.substr(0, piece.find('=')), hidden_parameter)) continue;
        pen.put(first ? "?" : "&", piece);
        first = false;
    }
}

/// One field of `name`: the values of all fields of that kind in their order, and `last`. Nothing if there is neither.
void put_continued(Pen& pen, std::string_view name, FieldList const& fields, FieldKind wanted, bool continued,
                   std::string_view last, std::string_view last_more = {}) noexcept {
    bool first = true;
    if (continued) {
        for (auto const& field : fields) {
            if (kind(field) != wanted || field.value.empty()) continue;
            pen.put(first ? name : ",", first ? ": " : " ", field.value);
            first = false;
        }
    }
    if (!last.empty()) {
        pen.put(first ? name : ",", first ? ": " : " ", last, last_more);
        first = false;
    }
    if (!first) pen.put("\r\n");
}

/// The first element of the first field of that kind, if this peer may say such things.
std::string_view first_element(FieldList const& fields, FieldKind wanted, bool trusted) noexcept {
    if (!trusted) return {};
    for (auto const& field : fields) {
        if (kind(field) != wanted) continue;
        auto rest = field.value;
        return next_element(rest).value_or(std::string_view());
    }
    return {};
}

void put_via(Pen& pen, FieldList const& fields, unsigned minor) noexcept {
    put_continued(pen, "Via", fields, FieldKind::via, true, minor == 1 ? "1.1" : "1.0", " ocgate");
}

void put_identity(Pen& pen, RequestHead const& head, RequestRewrite const& rewrite, std::string_view host) noexcept {
    auto const trusted = rewrite.peer_trusted;
    put_continued(pen, "X-Forwarded-For", head.fields, FieldKind::forwarded_for, trusted, rewrite.peer);
    auto const proto = first_element(head.fields, FieldKind::forwarded_proto, trusted);
    bool const known = iequals(proto, "http") || iequals(proto, "https");
    pen.field("X-Forwarded-Proto", known ? proto : "http");
    auto const public_host = first_element(head.fields, FieldKind::forwarded_host, trusted);
    pen.field("X-Forwarded-Host", is_authority(public_host) ? public_host : host);
    put_via(pen, head.fields, head.minor);
    if (!rewrite.request_id.empty()) pen.field("X-Request-Id", rewrite.request_id);
    if (!rewrite.authorization.empty()) pen.field("Authorization", rewrite.authorization);
}

void put_framing(Pen& pen, Framing const& body) noexcept {
    if (body.kind == Framing::Kind::length) {
        pen.put("Content-Length: ");
        pen.number(body.length);
        pen.put("\r\n");
    } else if (body.kind == Framing::Kind::chunked || body.kind == Framing::Kind::until_close) {
        pen.put("Transfer-Encoding: chunked\r\n");
    }
}

constexpr std::string_view websocket_fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n";

}  // namespace

boost::system::result<std::size_t, Reason> write_request_head(std::span<char> out, RequestHead const& head,
                                                              RequestRewrite const& rewrite) noexcept {
    Pen pen(out);
    auto const host = head.host.empty() ? rewrite.default_host : head.host;
    pen.put(head.method, " ");
    put_target(pen, head.target, rewrite.hidden_parameter);
    pen.put(" HTTP/1.1\r\n");
    pen.field("Host", host);

    bool const names_fields = connection_names_fields(head.fields);
    for (auto const& field : head.fields) {
        switch (kind(field)) {
            case FieldKind::expect:
                // One a 1.0 client sent means nothing (RFC 9110 §10.1.1); one that was repeated is sent once.
                if (head.minor == 1 && !head.expects_continue) pen.field(field.name, field.value);
                break;
            case FieldKind::other:
                if (is_disguised(field.name)) break;
                if (names_fields && is_named_by_connection(head.fields, field.name)) break;
                [[fallthrough]];
            case FieldKind::end_to_end:
            case FieldKind::content_type:
            case FieldKind::cookie:
            case FieldKind::websocket_key:
            case FieldKind::websocket_version:
            case FieldKind::websocket_accept:
                pen.field(field.name, field.value);
                break;
            default:
                break;
        }
    }
    put_identity(pen, head, rewrite, host);
    put_framing(pen, head.body);
    if (head.expects_continue) pen.put("Expect: 100-continue\r\n");
    if (head.websocket) pen.put(websocket_fields);
    pen.put("\r\n");
    return pen.written();
}

boost::system::result<std::size_t, Reason> write_response_head(std::span<char> out, ResponseHead const& head,
                                                               ResponseRewrite const& rewrite) noexcept {
    Pen pen(out);
    pen.put("HTTP/1.1 ");
    pen.number(head.status);
    pen.put(" ", head.reason, "\r\n");

    // Without a body, Content-Length says what GET would have got (RFC 9110 §8.6); 1xx and 204 must not have it.
    bool const keeps_length = head.body.kind == Framing::Kind::none && head.status >= 200 && head.status != 204;
    bool const names_fields = connection_names_fields(head.fields);
    for (auto const& field : head.fields) {
        switch (kind(field)) {
            case FieldKind::content_length:
                if (keeps_length) pen.field(field.name, field.value);
                break;
            case FieldKind::other:
                if (names_fields && is_named_by_connection(head.fields, field.name)) break;
                [[fallthrough]];
            case FieldKind::end_to_end:
            case FieldKind::content_type:
            case FieldKind::websocket_key:
            case FieldKind::websocket_version:
            case FieldKind::websocket_accept:
            // In a response these are nobody's identity.
            case FieldKind::host:
            case FieldKind::expect:
            case FieldKind::cookie:
            case FieldKind::authorization:
            case FieldKind::forwarded:
            case FieldKind::forwarded_for:
            case FieldKind::forwarded_proto:
            case FieldKind::forwarded_host:
                pen.field(field.name, field.value);
                break;
            default:
                break;
        }
    }
    put_via(pen, head.fields, head.minor);
    if (!rewrite.request_id.empty()) pen.field("X-Request-Id", rewrite.request_id);
    // Of several policies a browser keeps every one (CSP3 §3.1), whatever the upstream's says.
    if (rewrite.inert) pen.put("Content-Security-Policy: sandbox\r\nX-Content-Type-Options: nosniff\r\n");
    bool const bare = rewrite.client_1_0 && head.body.kind != Framing::Kind::length;
    if (!bare) put_framing(pen, head.body);
    if (head.websocket) {
        pen.put(websocket_fields);
    } else if (rewrite.close) {
        pen.put("Connection: close\r\n");
    } else if (rewrite.keep_alive_1_0) {
        pen.put("Connection: keep-alive\r\n");
    }
    pen.put("\r\n");
    return pen.written();
}

}  // namespace ocgate::wire
