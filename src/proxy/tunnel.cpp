// A WebSocket after its handshake: bytes both ways, a window each, true backpressure. Frames are looked at only to know
// where one ends, so that a drain can say goodbye between two. Neither end is ever half-closed: opencode takes that for
// leaving, and browsers do not do it.
#include <boost/asio/error.hpp>

#include "exchange.hpp"

namespace ocgate::proxy {
namespace error = boost::asio::error;

namespace {
constexpr std::uint16_t going_away = 1001;  // RFC 6455 §7.4.1
constexpr std::chrono::milliseconds goodbye_wait{1'000};
}  // namespace

rt::Task<Next> Exchange::open_tunnel() {
    auto& upstream = *connection_.upstream;
    if (wire::websocket_accept(desk_->request.websocket_key) != desk_->response.websocket_accept) {
        drop_upstream();
        co_return co_await fail(Failure{Side::upstream, Step::response_head, Reason::bad_upgrade});
    }
    keep_client_ = false;
    auto const size = write_head(false);
    if (!size) {
        drop_upstream();
        co_return co_await fail(size.error());
    }
    upstream.consume(desk_->response.bytes);
    answered_ = true;
    record_.stream = true;
    record_.kind = StreamKind::websocket;
    shard_.parts.recorder.stream_opened(StreamKind::websocket);
    stream_open_ = true;
    rt::Gather bytes{std::string_view(desk_->out.data(), *size)};
    auto const why = co_await client_->write(bytes, snapshot_->limits.idle_body);
    if (why) {
        flowed_ = failure_of(*client_, Side::client, Step::tunnel, why);
        tunnel_over_ = true;
        co_return co_await close_tunnel();
    }
    clear_desk();  // bytes sent early stay, and go first
    client_->stop_listening();
    connection_.phase = Connection::Phase::stream;
    uploads_.spawn(inbound());
    co_return Next::stream;
}

rt::Task<Next> Exchange::close_tunnel() {
    if (!std::exchange(tunnel_over_, true)) {
        bool const orderly = flowed_ && !client_->ended() && !client_->interrupted();
        if (orderly && shard_.draining && frames_.at_boundary() && !frames_.closed()) {
            auto const goodbye = wire::close_frame(going_away, "gateway restarting");
            rt::Gather last{goodbye};
            (void)co_await client_->write(last, goodbye_wait);
            // The client answers with its own Close, which the other pump still passes on, or is out of time.
            rt::Deadline enough(
                shard_.deadlines, [](void* self) { static_cast<Exchange*>(self)->end_inbound(); }, this);
            enough.set(shard_.now() + goodbye_wait);
            co_await uploads_.join();
        } else {
            end_inbound();
        }
        co_await uploads_.join();
        client_->forget_wake();
        if (upload_failure_ && (flowed_ || flowed_.error().why == error::operation_aborted)) flowed_ = *upload_failure_;
    }
    if (!flowed_ && flowed_.error().why == error::operation_aborted) flowed_ = Outcome<void>{};
    stream_over(StreamKind::websocket, flowed_);
    drop_upstream();
    // Closing at once could destroy the last frames before the client has read them: its own Close is on its way here.
    co_return flowed_ ? Next::linger : Next::close;
}

// Whatever it waits for: the client's next bytes or the upstream's taking them. The client's side stays as it is.
void Exchange::end_inbound() {
    // The story may end inside the first of these calls, and this exchange with it.
    auto const client = client_;
    auto const upstream = connection_.upstream;
    client->wake();
    upstream->interrupt(error::operation_aborted);
}

rt::Task<void> Exchange::inbound() {
    auto const outcome = co_await pump_to_upstream();
    if (tunnel_over_) co_return;
    if (!outcome && outcome.error().side == Side::upstream) {
        // It takes nothing any more, but what it has said is still to arrive: a Close frame above all, which tells a
        // browser whether to come back. Its end ends the tunnel, and so does the client's.
        watch_client();
        co_return;
    }
    if (!outcome && !upload_failure_) upload_failure_ = outcome.error();
    // One direction over, all over: also a write to a client that has left but for its socket.
    auto const upstream = connection_.upstream;
    client_->interrupt(error::operation_aborted);
    upstream->interrupt(error::operation_aborted);
}

// Ends without a failure when the client ends: that is how a terminal is left.
rt::Task<Outcome<void>> Exchange::pump_to_upstream() {
    auto& upstream = *connection_.upstream;
    wire::FrameBoundary frames;
    for (;;) {
        if (auto const content = client_->text(); !content.empty()) {
            frames.feed(content);
            rt::Gather bytes{content};
            auto why = upstream.write_now(bytes);
            if (!why && !bytes.empty()) why = co_await upstream.write(bytes, rt::Duration::max());
            if (why) co_return failure_of(upstream, Side::upstream, Step::tunnel, why);
            record_.request_bytes += content.size();
            client_->consume(content.size());
        }
        if (tunnel_over_ && frames.closed() && frames.at_boundary()) co_return Outcome<void>{};
        tunnel_active_ = shard_.now();
        auto const why = co_await client_->fill();
        if (why == error::eof) co_return Outcome<void>{};
        if (tunnel_over_ && why && !client_->interrupted()) co_return Outcome<void>{};
        if (why) co_return failure_of(*client_, Side::client, Step::tunnel, why);
    }
}

// Ends without a failure when the upstream ends, and at a frame's end when the gateway drains.
rt::Task<> Exchange::pump_to_client() {
    auto& upstream = *connection_.upstream;
    auto const idle = snapshot_->limits.tunnel_idle;
    for (;;) {
        auto content = upstream.text();
        bool last = false;
        if (shard_.draining && !frames_.closed()) {
            auto const cut = frames_.at_boundary() ? 0 : frames_.first_boundary(content);
            if (cut != wire::no_boundary) {
                content = content.substr(0, cut);
                last = true;
            }
        }
        if (!content.empty()) {
            frames_.feed(content);
            rt::Gather bytes{content};
            auto why = client_->write_now(bytes);
            if (!why && !bytes.empty()) {
                why = co_await client_->write(bytes, idle.count() > 0 ? rt::Duration(idle) : rt::Duration::max());
            }
            if (why == Reason::timed_out) {
                flowed_ = Failure{Side::client, Step::tunnel, why};
                co_return;
            }
            if (why) {
                flowed_ = failure_of(*client_, Side::client, Step::tunnel, why);
                co_return;
            }
            record_.response_bytes += content.size();
            tunnel_active_ = shard_.now();
            upstream.consume(content.size());
        }
        if (last) co_return;
        if (idle.count() > 0) upstream.read_by(tunnel_active_ + idle);
        auto const why = co_await upstream.fill();
        if (why == error::eof) co_return;
        if (why == Reason::timed_out && !upstream.interrupted()) {
            if (shard_.now() < tunnel_active_ + idle) continue;  // the client typed meanwhile
            flowed_ = Failure{Side::gateway, Step::tunnel, Reason::timed_out};
            co_return;
        }
        if (why == error::operation_aborted && !upstream.interrupted() && upstream.open()) continue;  // drain knocked
        if (why) {
            flowed_ = failure_of(upstream, Side::upstream, Step::tunnel, why);
            co_return;
        }
    }
}

}  // namespace ocgate::proxy
