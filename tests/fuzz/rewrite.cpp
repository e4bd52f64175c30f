// A head that is written anew is a head again, says the same, and nothing that was to stay here leaves.
#include "ocgate/wire/rewrite.hpp"

#include <algorithm>

#include "ocgate/wire/percent.hpp"
#include "property.hpp"
#include "unit/wire/told.hpp"

using namespace ocgate;

namespace {

// More room and more bytes than the input can make of it: what is refused here for its size is not of interest.
constexpr wire::HeadLimits roomy{64 * 1024, 64 * 1024};
constexpr std::size_t fields_added = 12;
constexpr std::string_view one_hop[] = {"Connection",
                                        "Keep-Alive",
                                        "Proxy-Connection",
                                        "TE",
                                        "Trailer",
                                        "Transfer-Encoding",
                                        "Upgrade",
                                        "HTTP2-Settings",
                                        "Proxy-Authenticate",
                                        "Proxy-Authorization",
                                        "Proxy-Authentication-Info"};

bool has_hidden(std::string_view query, std::string_view hidden) {
    while (!query.empty()) {
        auto const piece = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(query.size(), piece.size() + 1));
        auto written = piece.substr(0, piece.find('='));
        std::string name;
        while (!written.empty()) name += wire::take_form_char(written);
        if (name == hidden) return true;
    }
    return false;
}

/// Never forwarded, whatever Connection says (RFC 9110 §7.6.1).
bool belongs_to_one_hop(std::string_view name) {
    return std::any_of(std::begin(one_hop), std::end(one_hop),
                       [&](std::string_view one) { return wire::iequals(name, one); });
}

void request(fuzz::Input const& input) {
    wire::RequestHead head;
    std::size_t seen = 0;
    auto const parsed = wire::parse_request_head(input.text, {}, seen, head);
    if (!parsed || *parsed != wire::Progress::complete) return;
    if (head.fields.size() + fields_added > wire::FieldList::capacity) return;

    wire::RequestRewrite rewrite;
    rewrite.peer = "192.0.2.1";
    rewrite.peer_trusted = input.how % 2 == 1;
    rewrite.request_id = "id";
    rewrite.authorization = "Basic ours";
    rewrite.hidden_parameter = "auth_token";
    rewrite.default_host = "upstream";
    std::vector<char> out(64 * 1024);
    auto const size = wire::write_request_head(out, head, rewrite);
    MUST(size.has_value());
    out.resize(*size);

    wire::RequestHead again;
    seen = 0;
    auto const reparsed = wire::parse_request_head(fuzz::view(out), roomy, seen, again);
    MUST(reparsed.has_value() && *reparsed == wire::Progress::complete && again.bytes == out.size());
    MUST(again.method == head.method && again.minor == 1 && again.path() == head.path());
    MUST(again.host == (head.host.empty() ? rewrite.default_host : head.host));
    MUST(again.body.kind == head.body.kind && again.body.length == head.body.length);
    MUST(again.websocket == head.websocket && again.websocket_key == head.websocket_key);
    MUST(again.upgrade == head.websocket && again.expects_continue == head.expects_continue && again.keep_alive);

    auto const question = again.target.find('?');
    if (question != std::string_view::npos)
        MUST(!has_hidden(again.target.substr(question + 1), rewrite.hidden_parameter));
    for (auto const& field : again.fields) {
        bool const ours =
            wire::iequals(field.name, "Transfer-Encoding") ||
            (head.websocket && (wire::iequals(field.name, "Connection") || wire::iequals(field.name, "Upgrade")));
        MUST(ours || !belongs_to_one_hop(field.name));
        MUST(!wire::iequals(field.name, "Forwarded") && !wire::iequals(field.name, "X-Real-IP"));
    }
    for (auto const* once :
         {"Host", "Authorization", "X-Request-Id", "Via", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"})
        MUST(again.fields.count(once) == 1);
    MUST(again.fields.find("Authorization") == rewrite.authorization);
    MUST(again.fields.find("X-Forwarded-For")->ends_with(rewrite.peer));
    if (!rewrite.peer_trusted) MUST(again.fields.find("X-Forwarded-For") == rewrite.peer);
    if (!rewrite.peer_trusted) MUST(again.fields.find("X-Forwarded-Host") == again.host);

    auto const room = input.place() % out.size();
    std::vector<char> small(room);
    MUST(!wire::write_request_head(small, head, rewrite).has_value());
}

void response(fuzz::Input const& input) {
    wire::ResponseHead head;
    std::size_t seen = 0;
    auto const* const method = input.how % 3 == 0 ? "HEAD" : "GET";
    auto const parsed = wire::parse_response_head(input.text, {}, seen, method, head);
    if (!parsed || *parsed != wire::Progress::complete) return;
    if (head.fields.size() + fields_added > wire::FieldList::capacity) return;

    wire::ResponseRewrite rewrite;
    rewrite.request_id = "id";
    rewrite.client_1_0 = input.how % 2 == 1;
    rewrite.close = rewrite.client_1_0;
    std::vector<char> out(64 * 1024);
    auto const size = wire::write_response_head(out, head, rewrite);
    MUST(size.has_value());
    out.resize(*size);

    wire::ResponseHead again;
    seen = 0;
    auto const reparsed = wire::parse_response_head(fuzz::view(out), roomy, seen, method, again);
    MUST(reparsed.has_value() && *reparsed == wire::Progress::complete && again.bytes == out.size());
    MUST(again.status == head.status && again.reason == head.reason && again.websocket == head.websocket);
    using Kind = wire::Framing::Kind;
    bool const endless = head.body.kind == Kind::chunked || head.body.kind == Kind::until_close;
    MUST(again.body.kind == (!endless ? head.body.kind : rewrite.client_1_0 ? Kind::until_close : Kind::chunked));
    MUST(again.body.length == head.body.length && again.event_stream == head.event_stream);
    MUST(again.fields.count("X-Request-Id") == 1 && again.fields.count("Via") == 1);
    if (head.status < 200 || head.status == 204) {
        MUST(again.fields.count("Content-Length") == 0 && again.fields.count("Transfer-Encoding") == 0);
    }
    for (auto const* never : {"Keep-Alive", "TE", "Trailer", "Proxy-Connection", "Proxy-Authenticate"})
        MUST(again.fields.count(never) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    fuzz::Input const input(data, size);
    request(input);
    response(input);
    return 0;
}
