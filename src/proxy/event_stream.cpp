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

rt::Task<Next> Exchange::open_event_stream() {
    auto const& head = desk_->response;
    auto& upstream = *connection_.upstream;
    events_chunked_ = !client_1_0_ && head.body.kind != wire::Framing::Kind::length;
    events_coded_ = is_coded(head.fields);
    events_fillable_ = !events_coded_ && head.body.kind != wire::Framing::Kind::length;
    if (client_1_0_ || shard_.draining || !upload_complete_ || upgrade_) keep_client_ = false;
    events_body_.emplace(head.body);

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
    shard_.parts.recorder.stream_opened(StreamKind::event_stream);
    stream_open_ = true;
    // Headers at once: the client may wait for them before it asks for what will cause the first event.
    auto const why = co_await client_->write(bytes, snapshot_->limits.stall_timeout);
    if (why) {
        flowed_ = failure_of(*client_, Side::client, Step::event_stream,
                             why == Reason::timed_out ? make_error_code(Reason::stalled) : why);
        co_return co_await close_event_stream();
    }
    if (upload_complete_) clear_desk();
    connection_.phase = Connection::Phase::stream;
    co_return Next::stream;
}

rt::Task<Next> Exchange::close_event_stream() {
    record_.response_bytes = events_body_->content_bytes();
    co_await stop_upload();
    if (!flowed_) flowed_ = upload_failure_.value_or(flowed_.error());
    stream_over(StreamKind::event_stream, flowed_);
    drop_upstream();  // mid-stream or ended: either way not for the pool
    if (flowed_) co_return keep_client_ ? Next::again : Next::linger;
    // What was sent is still to arrive, the last chunk is not: the client sees a cut and comes back. A client that
    // stalled takes nothing any more; breaking off frees what the kernel holds for it.
    auto const reason = reason_of(flowed_.error());
    if (reason == Reason::draining && !connection_.insisted) co_return Next::linger;
    co_return reason == Reason::stalled || client_1_0_ ? Next::reset : Next::close;
}

rt::Task<> Exchange::relay_events() {
    auto& upstream = *connection_.upstream;
    auto const& limits = snapshot_->limits;
    wire::EventBoundary events;
    BodyWriter writer(events_chunked_);
    enum class Say : std::uint8_t { content, comment, end } say = Say::content;
    for (;;) {
        rt::Gather bytes;
        std::size_t consumed = 0;
        bool complete = false;
        bool drained = false;
        if (say == Say::comment) {
            writer.frame(bytes, heartbeat, false);
        } else if (say == Say::end) {
            complete = true;
            writer.frame(bytes, {}, true);
        } else {
            auto const piece = events_body_->take(upstream.buffered());
            if (!piece) {
                flowed_ = Failure{Side::upstream, Step::event_stream, piece.error()};
                co_return;
            }
            auto content = piece->content;
            consumed = piece->consumed;
            complete = piece->complete;
            if (shard_.draining && !complete && events_coded_) {
                drained = true;  // its events cannot be told apart: what is there leaves, and that is all
            } else if (shard_.draining && !complete) {
                auto const cut = events.at_boundary() ? 0 : events.first_boundary(content);
                if (cut != wire::no_boundary) {
                    content = content.substr(0, cut);
                    drained = true;
                }
            }
            events.feed(content);
            writer.frame(bytes, content, complete);
        }
        if (!bytes.empty()) {
            auto why = client_->write_now(bytes);
            // The whole window has `stall_timeout`: a client that only sips is as harmful as one that stops.
            if (!why && !bytes.empty()) {
                why = co_await client_->write(bytes, rt::Duration::max(), shard_.now() + limits.stall_timeout);
            }
            if (why == Reason::timed_out) why = Reason::stalled;
            if (why) {
                flowed_ = failure_of(*client_, Side::client, Step::event_stream, why);
                co_return;
            }
        }
        upstream.consume(consumed);
        if (complete) co_return;
        // After a whole event, but without the last chunk: opencode's SDK takes a clean end for the end of all events
        // and a cut for a reason to reconnect, which is what a restart is.
        if (drained) {
            flowed_ = Failure{Side::gateway, Step::event_stream, Reason::draining};
            co_return;
        }
        upstream.read_by(limits.heartbeat.count() > 0 ? shard_.now() + limits.heartbeat : rt::never);
        auto const why = co_await upstream.fill();
        say = Say::content;
        if (why == Reason::timed_out && !upstream.interrupted()) {
            if (events.at_boundary() && events_fillable_) say = Say::comment;
        } else if (why == error::operation_aborted && !upstream.interrupted() && upstream.open()) {
            continue;  // drain knocked
        } else if (why == error::eof && events_body_->ends_with_connection()) {
            say = Say::end;
        } else if (why) {
            flowed_ = failure_of(upstream, Side::upstream, Step::event_stream, why);
            co_return;
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
