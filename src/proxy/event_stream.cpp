// An answer without an end. What arrives leaves in the same turn. The upstream is never made to wait for longer than
// `stall_timeout`, because opencode queues without bound for a reader that stops: such a client is cut off instead.
#include <algorithm>
#include <boost/asio/error.hpp>

#include "exchange.hpp"

namespace ocgate::proxy {
namespace error = boost::asio::error;

namespace {
/// A comment (WHATWG HTML, "Event stream interpretation"): keeps proxies and phones from taking silence for death.
constexpr std::string_view heartbeat = ": \n\n";

/// Under a content coding (RFC 9110 §8.4) the bytes are no text in which events end or comments fit.
bool is_coded(wire::FieldList const& fields) noexcept {
    return std::any_of(fields.begin(), fields.end(), [](wire::Field const& field) {
        return wire::iequals(field.name, "Content-Encoding") && !wire::iequals(field.value, "identity");
    });
}
}  // namespace

rt::Task<Next> Exchange::relay_event_stream() {
    auto& recorder = shard_.parts.recorder;
    auto const& head = desk_->response;
    auto& upstream = *connection_.upstream;
    bool const chunked = !client_1_0_ && head.body.kind != wire::Framing::Kind::length;
    bool const coded = is_coded(head.fields);
    bool const fillable = !coded && head.body.kind != wire::Framing::Kind::length;
    if (client_1_0_ || shard_.draining || !upload_complete_ || upgrade_) keep_client_ = false;
    BodyReader body(head.body);

    auto const size = write_head(!keep_client_);
    if (!size) {
        co_await stop_upload();
        co_return co_await fail(size.error());
    }
    upstream.consume(head.bytes);
    rt::Gather bytes{std::string_view(desk_->out.data(), *size)};
    answered_ = true;
    record_.stream = true;
    record_.kind = StreamKind::event_stream;
    recorder.stream_opened(StreamKind::event_stream);
    stream_open_ = true;
    // Headers at once: the client may wait for them before it asks for what will cause the first event.
    auto const why = co_await client_->write(bytes, snapshot_->limits.stall_timeout);
    Outcome<void> relayed{};
    if (why) {
        relayed = failure_of(*client_, Side::client, Step::event_stream,
                             why == Reason::timed_out ? make_error_code(Reason::stalled) : why);
    } else {
        if (upload_complete_) clear_desk();
        connection_.phase = Connection::Phase::stream;
        relayed = co_await relay_events(body, chunked, fillable, coded);
    }
    record_.response_bytes = body.content_bytes();
    co_await stop_upload();
    stream_over(StreamKind::event_stream, relayed);
    drop_upstream();  // mid-stream or ended: either way not for the pool
    if (relayed) co_return keep_client_ ? Next::again : Next::linger;
    // What was sent is still to arrive, the last chunk is not: the client sees a cut and comes back. A client that
    // stalled takes nothing any more; breaking off frees what the kernel holds for it.
    auto const reason = reason_of(relayed.error());
    if (reason == Reason::draining && !connection_.insisted) co_return Next::linger;
    co_return reason == Reason::stalled || client_1_0_ ? Next::reset : Next::close;
}

rt::Task<Outcome<void>> Exchange::relay_events(BodyReader& body, bool chunked, bool fillable, bool coded) {
    auto& upstream = *connection_.upstream;
    auto const& limits = snapshot_->limits;
    wire::EventBoundary events;
    BodyWriter writer(chunked);
    for (;;) {
        rt::Gather bytes;
        auto const piece = body.take(upstream.buffered());
        if (!piece) co_return Failure{Side::upstream, Step::event_stream, piece.error()};
        auto content = piece->content;
        bool drained = false;
        if (shard_.draining && !piece->complete && coded) {
            drained = true;  // its events cannot be told apart: what is there leaves, and that is all
        } else if (shard_.draining && !piece->complete) {
            auto const cut = events.at_boundary() ? 0 : events.first_boundary(content);
            if (cut != wire::no_boundary) {
                content = content.substr(0, cut);
                drained = true;
            }
        }
        events.feed(content);
        writer.frame(bytes, content, piece->complete);
        if (!bytes.empty()) {
            auto why = client_->write_now(bytes);
            // The whole window has `stall_timeout`: a client that only sips is as harmful as one that stops.
            if (!why && !bytes.empty()) {
                why = co_await client_->write(bytes, rt::Duration::max(), shard_.now() + limits.stall_timeout);
            }
            if (why == Reason::timed_out) co_return Failure{Side::client, Step::event_stream, Reason::stalled};
            if (why) co_return failure_of(*client_, Side::client, Step::event_stream, why);
        }
        upstream.consume(piece->consumed);
        if (piece->complete) co_return Outcome<void>{};
        // After a whole event, but without the last chunk: opencode's SDK takes a clean end for the end of all events
        // and a cut for a reason to reconnect, which is what a restart is.
        if (drained) co_return Failure{Side::gateway, Step::event_stream, Reason::draining};

        upstream.read_by(limits.heartbeat.count() > 0 ? shard_.now() + limits.heartbeat : rt::never);
        auto const why = co_await upstream.fill();
        if (why == Reason::timed_out && !upstream.interrupted()) {
            if (!events.at_boundary() || !fillable) continue;
            rt::Gather comment;
            writer.frame(comment, heartbeat, false);
            auto const sent =
                co_await client_->write(comment, rt::Duration::max(), shard_.now() + limits.stall_timeout);
            if (sent == Reason::timed_out) co_return Failure{Side::client, Step::event_stream, Reason::stalled};
            if (sent) co_return failure_of(*client_, Side::client, Step::event_stream, sent);
        } else if (why == error::operation_aborted && !upstream.interrupted() && upstream.open()) {
            continue;  // drain knocked
        } else if (why == error::eof && body.ends_with_connection()) {
            rt::Gather end;
            writer.frame(end, {}, true);
            auto const sent = co_await client_->write(end, limits.stall_timeout);
            if (sent) co_return failure_of(*client_, Side::client, Step::event_stream, sent);
            co_return Outcome<void>{};
        } else if (why) {
            co_return failure_of(upstream, Side::upstream, Step::event_stream, why);
        }
    }
}

void Exchange::stream_over(StreamKind kind, Outcome<void> const& outcome) {
    stream_open_ = false;
    if (!outcome) {
        record_.failed = true;
        record_.failure = outcome.error();
    }
    auto const reason = outcome ? (shard_.draining ? Reason::draining : Reason{}) : reason_of(outcome.error());
    shard_.parts.recorder.stream_closed(kind, reason, shard_.now() - started_);
}

}  // namespace ocgate::proxy
