// A WebSocket after its handshake: bytes both ways, at most a window each, true backpressure. Frames are looked at only
// to know where one ends, so that a drain can say goodbye between two. Neither end is ever half-closed: opencode takes
// that for leaving, and browsers do not do it.
#include <algorithm>
#include <boost/asio/error.hpp>

#include "exchange.hpp"

namespace ocgate::proxy {
namespace error = boost::asio::error;

namespace {
constexpr std::uint16_t going_away = 1001;  // RFC 6455 §7.4.1
constexpr std::chrono::milliseconds goodbye_wait{1'000};
constexpr std::size_t no_limit = ~std::size_t{0};
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
    tunnel_active_ = shard_.now();
    uploads_.spawn(inbound());
    co_return Next::stream;
}

rt::Task<Next> Exchange::close_tunnel() {
    if (!std::exchange(tunnel_over_, true)) {
        bool const orderly = flowed_ && !client_->ended() && !client_->interrupted();
        if (orderly && shard_.draining && frames_.at_boundary() && !frames_.closed()) {
            auto const goodbye = wire::close_frame(going_away, "gateway restarting");
            rt::Gather last{goodbye};
            (void)co_await client_->write(last, rt::Duration::max(), shard_.now() + goodbye_wait);
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

// What waits in the rest of this file is kept small: a terminal rests for days, and a coroutine is as large as all it
// ever names. So what needs no waiting is done by plain functions.

/// Moves what is there as far as it goes now: at most `limit` bytes of what was read, or, with no limit, from socket to
/// socket. True: that was much, and others should have a turn.
bool Exchange::move_frames(Way way, wire::FrameBoundary& frames, std::size_t limit, error_code& why) {
    why = {};
    bool const down = way == Way::to_client;
    auto& from = down ? *connection_.upstream : *client_;
    auto& to = down ? *client_ : *connection_.upstream;
    auto const content = from.text().substr(0, limit);
    std::string_view sent;
    bool const passing = content.empty() && limit == no_limit;
    if (passing) {
        sent = from.pass(to, no_limit, why);
    } else if (!content.empty()) {
        rt::Gather bytes{content};
        why = to.write_now(bytes);
        sent = content.substr(0, content.size() - bytes.bytes());
    }
    if (sent.empty()) return false;
    frames.feed(sent);
    auto& live = shard_.live.websocket;
    (down ? record_.response_bytes : record_.request_bytes) += sent.size();
    (down ? live.to_client : live.to_upstream).add(sent.size());
    tunnel_active_ = shard_.now();
    if (!passing) from.consume(sent.size());
    return passing;
}

rt::Task<void> Exchange::inbound() {
    auto& upstream = *connection_.upstream;
    wire::FrameBoundary frames;
    error_code why;
    try {
        for (;;) {
            bool const much = move_frames(Way::to_upstream, frames, no_limit, why);
            if (!why && !upstream.writable()) {
                why = co_await upstream.room(rt::Duration::max());
                if (!why) continue;
            }
            if (why) co_return inbound_over(Side::upstream, why);
            if (tunnel_over_ && frames.closed() && frames.at_boundary()) co_return;
            if (much) {
                co_await rt::pause();
                continue;
            }
            why = co_await client_->fill_unless_passed(no_limit);
            if (why) co_return inbound_over(Side::client, why);
        }
    } catch (...) {
        inbound_failed();  // half a terminal is none
        throw;
    }
}

void Exchange::inbound_failed() {
    auto const client = client_;
    auto const upstream = connection_.upstream;
    client->interrupt(Reason::internal);
    if (upstream) upstream->interrupt(Reason::internal);
}

void Exchange::inbound_over(Side side, error_code why) {
    if (tunnel_over_) return;
    auto const client = client_;
    auto const upstream = connection_.upstream;
    auto const failure = failure_of(side == Side::client ? *client : *upstream, side, Step::tunnel, why);
    if (failure.side == Side::upstream) {
        // It takes nothing any more, but what it has said is still to arrive: a Close frame above all, which tells a
        // browser whether to come back. Its end ends the tunnel, and so does the client's.
        watch_client();
        return;
    }
    // A client that ends is no failure: that is how a terminal is left.
    bool const left = side == Side::client && why == error::eof;
    if (!left && !upload_failure_) upload_failure_ = failure;
    // One direction over, all over: also a write to a client that has left but for its socket.
    client->interrupt(error::operation_aborted);
    upstream->interrupt(error::operation_aborted);
}

// Ends without a failure when the upstream ends, and at a frame's end when the gateway drains.
rt::Task<> Exchange::pump_to_client() {
    auto& upstream = *connection_.upstream;
    error_code why;
    for (;;) {
        auto const limit = outbound_limit();
        bool const much = move_frames(Way::to_client, frames_, limit, why);
        if (!why && !client_->writable()) {
            why = co_await client_->room(tunnel_patience());
            if (!why) continue;
        }
        if (why) co_return client_failed(why);
        if (at_last_frame()) co_return;
        if (much) {
            co_await rt::pause();
            continue;
        }
        if (snapshot_->limits.tunnel_idle.count() > 0) upstream.read_by(tunnel_active_ + tunnel_patience());
        why = co_await upstream.fill_unless_passed(limit);
        if (why && outbound_over(why)) co_return;
    }
}

/// How much of what was read may leave: nothing behind the end of a frame while the gateway drains.
std::size_t Exchange::outbound_limit() const {
    if (!shard_.draining || frames_.closed()) return no_limit;
    auto const waiting = connection_.upstream->text();
    if (frames_.at_boundary()) return 0;
    return std::min(frames_.first_boundary(waiting), waiting.size());
}

bool Exchange::at_last_frame() const { return shard_.draining && !frames_.closed() && frames_.at_boundary(); }

rt::Duration Exchange::tunnel_patience() const {
    auto const idle = snapshot_->limits.tunnel_idle;
    return idle.count() > 0 ? rt::Duration(idle) : rt::Duration::max();
}

void Exchange::client_failed(error_code why) { flowed_ = failure_of(*client_, Side::client, Step::tunnel, why); }

/// What waiting for the upstream came to. False: nothing that ends the tunnel.
bool Exchange::outbound_over(error_code why) {
    auto& upstream = *connection_.upstream;
    if (why == error::eof) return true;
    if (why == Reason::timed_out && !upstream.interrupted()) {
        if (shard_.now() < tunnel_active_ + tunnel_patience()) return false;  // the client typed meanwhile
        flowed_ = Failure{Side::gateway, Step::tunnel, Reason::timed_out};
        return true;
    }
    if (why == error::operation_aborted && !upstream.interrupted() && upstream.open()) return false;  // drain knocked
    flowed_ = failure_of(upstream, Side::upstream, Step::tunnel, why);
    return true;
}

}  // namespace ocgate::proxy
