// An answer without an end. What arrives leaves in the same turn. The upstream is never made to wait for longer than
// `stall_timeout` without progress, because opencode queues without bound for a reader that stops: such a client is cut
// off instead.
#include <algorithm>
#include <boost/asio/error.hpp>

#include "exchange.hpp"

namespace ocgate::proxy {
namespace error = boost::asio::error;

namespace {
/// A comment (WHATWG HTML, "Event stream interpretation"): keeps proxies and phones from taking silence for death.
constexpr std::string_view heartbeat = ": \n\n";

/// What has to arrive at a client in `stall_timeout`, and how often it is looked at.
constexpr std::uint64_t least_progress = 16 * 1024;
constexpr std::chrono::seconds progress_look{5};

/// Under a content coding (RFC 9110 §8.4) the bytes are no text in which events end or comments fit.
bool is_coded(wire::FieldList const& fields) noexcept {
    return std::any_of(fields.begin(), fields.end(), [](wire::Field const& field) {
        return wire::iequals(field.name, "Content-Encoding") && !wire::iequals(field.value, "identity");
    });
}
}  // namespace

rt::Task<Next> Exchange::open_event_stream() {
    auto const& head = desk_->response;
    if (!take_stream_place()) {
        co_await stop_upload();
        drop_upstream();
        co_return co_await fail(Failure{Side::client, Step::event_stream, Reason::too_many});
    }
    auto& upstream = *connection_.upstream;
    events_chunked_ = !client_1_0_ && head.body.kind != wire::Framing::Kind::length;
    events_coded_ = is_coded(head.fields);
    events_fillable_ = !events_coded_ && head.body.kind != wire::Framing::Kind::length;
    if (client_1_0_ || shard_.draining || !upload_complete_ || upgrade_) keep_client_ = false;
    answer_body_ = BodyReader(head.body);

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

/// What leaves next. Plain functions around one coroutine: it waits for days, and is as large as all it ever names.
struct Exchange::Events {
    enum class Say : std::uint8_t { content, comment, end };

    explicit Events(bool chunked) noexcept : writer(chunked) {}

    wire::EventBoundary boundary;
    BodyWriter writer;
    rt::Gather bytes;
    std::size_t consumed = 0;
    Say say = Say::content;
    bool complete = false;
    bool drained = false;
};

rt::Task<> Exchange::relay_events() {
    auto& upstream = *connection_.upstream;
    Events events(events_chunked_);
    error_code why;
    for (;;) {
        if (!compose(events)) co_return;
        if (!events.bytes.empty()) why = client_->write_now(events.bytes);
        if (!why && !events.bytes.empty()) why = co_await write_in_time(events.bytes);
        if (why) co_return reader_failed(why);
        upstream.consume(events.consumed);
        if (events.complete) co_return;
        // After a whole event, but without the last chunk: opencode's SDK takes a clean end for the end of all events
        // and a cut for a reason to reconnect, which is what a restart is.
        if (events.drained) co_return reader_drained();
        await_heartbeat();
        why = co_await upstream.fill();
        if (!heard(events, why)) co_return;
        why = {};
    }
}

// A client that only sips is as harmful as one that stops. What counts is what its system has acknowledged: on a slow
// line the kernel tells of room so seldom that a client that takes all the line gives would look like one that stops.
rt::Task<error_code> Exchange::write_in_time(rt::Gather& bytes) {
    auto const time = snapshot_->limits.stall_timeout;
    auto arrived = client_->arrived();
    auto until = shard_.now() + time;
    for (;;) {
        auto const why =
            co_await client_->write(bytes, rt::Duration::max(), std::min(until, shard_.now() + progress_look));
        if (why != Reason::timed_out || client_->interrupted()) co_return why;
        if (auto const now = client_->arrived(); now - arrived >= least_progress) {
            arrived = now;
            until = shard_.now() + time;
        } else if (shard_.now() >= until) {
            co_return why;
        }
    }
}

bool Exchange::compose(Events& events) {
    events.consumed = 0;
    if (events.say == Events::Say::comment) {
        events.writer.frame(events.bytes, heartbeat, false);
        return true;
    }
    if (events.say == Events::Say::end) {
        events.complete = true;
        events.writer.frame(events.bytes, {}, true);
        return true;
    }
    auto const piece = answer_body_.take(connection_.upstream->buffered());
    if (!piece) {
        flowed_ = Failure{Side::upstream, Step::event_stream, piece.error()};
        return false;
    }
    auto content = piece->content;
    events.consumed = piece->consumed;
    events.complete = piece->complete;
    if (shard_.draining && !events.complete && events_coded_) {
        events.drained = true;  // its events cannot be told apart: what is there leaves, and that is all
    } else if (shard_.draining && !events.complete) {
        auto const cut = events.boundary.at_boundary() ? 0 : events.boundary.first_boundary(content);
        if (cut != wire::no_boundary) {
            content = content.substr(0, cut);
            events.drained = true;
        }
    }
    events.boundary.feed(content);
    record_.response_bytes += content.size();
    shard_.live.event_stream.to_client.add(content.size());
    events.writer.frame(events.bytes, content, events.complete);
    return true;
}

/// What waiting for the upstream came to. False: the end.
bool Exchange::heard(Events& events, error_code why) {
    auto& upstream = *connection_.upstream;
    events.say = Events::Say::content;
    if (!why) return true;
    if (why == Reason::timed_out && !upstream.interrupted()) {
        if (events.boundary.at_boundary() && events_fillable_) events.say = Events::Say::comment;
        return true;
    }
    if (why == error::operation_aborted && !upstream.interrupted() && upstream.open()) return true;  // drain knocked
    if (why == error::eof && answer_body_.ends_with_connection()) {
        events.say = Events::Say::end;
        return true;
    }
    flowed_ = failure_of(upstream, Side::upstream, Step::event_stream, why);
    return false;
}

void Exchange::await_heartbeat() {
    auto const every = snapshot_->limits.heartbeat;
    connection_.upstream->read_by(every.count() > 0 ? shard_.now() + every : rt::never);
}

void Exchange::reader_failed(error_code why) {
    if (why == Reason::timed_out) why = Reason::stalled;
    flowed_ = failure_of(*client_, Side::client, Step::event_stream, why);
}

void Exchange::reader_drained() { flowed_ = Failure{Side::gateway, Step::event_stream, Reason::draining}; }

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
