#include "ocgate/rt/fetch.hpp"

#include <algorithm>
#include <boost/asio/error.hpp>

#include "ocgate/wire/chunked.hpp"

namespace ocgate::rt {
namespace {

/// However the fetch ends, its connection is closed and the read that may still be pending lets go of it.
struct Closing {
    explicit Closing(PeerPtr p) : peer(std::move(p)) {}
    ~Closing() { peer->close(); }
    Closing(Closing const&) = delete;
    Closing& operator=(Closing const&) = delete;
    PeerPtr peer;
};

/// What the reading half carries along.
struct Answer {
    Peer& peer;
    std::string const& method;
    std::string const& keep;
    std::size_t left;  ///< bytes of head and content that may still come
    Fetched fetched;
    wire::Framing framing;
};

std::string head_of(FetchRequest const& request) {
    std::string head = request.method + " " + request.target + " HTTP/1.1\r\nHost: " + request.host +
                       "\r\nConnection: close\r\n" + request.fields;
    if (!request.body.empty() || request.method != "GET") {
        head += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
    }
    head += "\r\n";
    return head;
}

error_code plain(error_code why) { return why == asio::error::eof ? error_code(Reason::cut_short) : why; }

/// Reads heads until one that is not interim (RFC 9110 §15.2).
Task<error_code> receive_head(Answer& answer) {
    std::size_t seen = 0;
    wire::ResponseHead head;
    for (;;) {
        bool const scarce = answer.left < wire::HeadLimits{}.head_bytes;
        wire::HeadLimits limits;
        if (scarce) limits.head_bytes = answer.left;
        auto const parsed = wire::parse_response_head(answer.peer.text(), limits, seen, answer.method, head);
        if (!parsed) {
            co_return scarce&& parsed.error() == Reason::head_too_large ? Reason::body_too_large : parsed.error();
        }
        if (*parsed == wire::Progress::need_more) {
            auto const why = co_await answer.peer.fill();
            if (why == asio::error::no_buffer_space) co_return Reason::head_too_large;
            if (why) co_return plain(why);
            continue;
        }
        if (head.status == 101) co_return Reason::bad_upgrade;  // nobody asked for one
        answer.left -= std::min(answer.left, head.bytes);
        bool const interim = head.status < 200;
        if (!interim) {
            answer.fetched.status = head.status;
            answer.fetched.content_type = head.fields.find("content-type").value_or("");
            if (!answer.keep.empty()) answer.fetched.kept = head.fields.find(answer.keep).value_or("");
            answer.framing = head.body;
        }
        answer.peer.consume(head.bytes);
        if (!interim) co_return error_code{};
        seen = 0;
    }
}

/// Takes `content` in. False when it is more than was allowed.
bool keep(Answer& answer, std::string_view content) {
    if (content.size() > answer.left) return false;
    answer.left -= content.size();
    answer.fetched.body += content;
    return true;
}

Task<error_code> receive_sized(Answer& answer) {
    auto wanted = answer.framing.length;
    if (wanted > answer.left) co_return Reason::body_too_large;
    while (wanted > 0) {
        auto const content = answer.peer.text().substr(0, wanted);
        wanted -= content.size();
        keep(answer, content);
        answer.peer.consume(content.size());
        if (wanted == 0) break;
        if (auto const why = co_await answer.peer.fill()) co_return plain(why);
    }
    co_return error_code{};
}

Task<error_code> receive_chunked(Answer& answer) {
    wire::ChunkedDecoder decoder;
    for (;;) {
        auto const decoded = decoder.decode(answer.peer.buffered());
        if (!decoded) co_return decoded.error();
        if (!keep(answer, decoded->content)) co_return Reason::body_too_large;
        answer.peer.consume(decoded->consumed);
        if (decoded->complete) co_return error_code{};
        if (auto const why = co_await answer.peer.fill()) co_return plain(why);
    }
}

Task<error_code> receive_to_the_end(Answer& answer) {
    for (;;) {
        auto const content = answer.peer.text();
        if (!keep(answer, content)) co_return Reason::body_too_large;
        answer.peer.consume(content.size());
        auto const why = co_await answer.peer.fill();
        if (why == asio::error::eof) co_return error_code{};
        if (why) co_return why;
    }
}

}  // namespace

Task<Outcome<Fetched>> fetch(PeerResources const& resources, Dialer& dialer, FetchRequest request, Instant until) {
    DialBreaker unbroken;
    auto dialed = co_await dialer.dial(resources, until, unbroken);
    if (!dialed) co_return Failure{Side::upstream, Step::dial, dialed.error()};
    Closing const closing(std::move(*dialed));
    auto& peer = *closing.peer;
    peer.read_by(until);

    auto const head = head_of(request);
    Gather pieces{head, request.body};
    auto const unsent = co_await peer.write(pieces, Duration::max(), until);
    if (unsent == Reason::timed_out) co_return Failure{Side::upstream, Step::request_body, unsent};

    // A server may answer before it has read everything and then break off: what it said is still worth reading.
    Answer answer{peer, request.method, request.keep, request.max_answer_bytes, {}, {}};
    auto why = co_await receive_head(answer);
    if (why) {
        if (unsent) co_return Failure{Side::upstream, Step::request_body, plain(unsent)};
        co_return Failure{Side::upstream, Step::response_head, why};
    }
    switch (answer.framing.kind) {
        case wire::Framing::Kind::none:
            break;
        case wire::Framing::Kind::length:
            why = co_await receive_sized(answer);
            break;
        case wire::Framing::Kind::chunked:
            why = co_await receive_chunked(answer);
            break;
        case wire::Framing::Kind::until_close:
            why = co_await receive_to_the_end(answer);
            break;
    }
    if (why) co_return Failure{Side::upstream, Step::response_body, why};
    co_return std::move(answer.fetched);
}

}  // namespace ocgate::rt
