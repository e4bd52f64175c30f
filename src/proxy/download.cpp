// An answer that has an end. Nothing is read while a write is pending; what is in between is one window, or, of much
// content with a length, nothing.
#include <algorithm>
#include <boost/asio/error.hpp>

#include "bulk_seat.hpp"
#include "exchange.hpp"

namespace ocgate::proxy {
namespace error = boost::asio::error;

namespace {
constexpr std::chrono::seconds seat_patience{1};
}  // namespace

// Content that needs no looking at goes from socket to socket for as long as both keep up. The error is the taker's.
rt::Task<error_code> Exchange::pass_content(rt::Peer& from, rt::Peer& to, BodyReader& body, BulkSeat& seat) {
    for (;;) {
        if (body.unframed() <= from.windows().bulk_bytes()) seat.leave();
        error_code why;
        auto const moved = from.pass(to, body.unframed(), why);
        body.passed(moved.size());
        if (why || body.over()) co_return why;
        if (!to.writable()) {
            auto const began = shard_.now();
            why = co_await to.room(snapshot_->limits.idle_body, exempt_by_);
            if (why) co_return why;
            if (shard_.now() - began > seat_patience) seat.leave();
        } else if (moved.empty()) {
            co_return why;
        } else {
            co_await rt::pause();
        }
    }
}

rt::Task<Next> Exchange::relay_response() {
    auto const& head = desk_->response;
    auto& upstream = *connection_.upstream;
    auto const idle = snapshot_->limits.idle_body;
    // After a refused upgrade opencode (1.18.33) closes the connection without having said so.
    bool const reusable = head.keep_alive && !upgrade_;
    auto& body = answer_body_;  // here, where `look` finds it
    body = BodyReader(head.body);
    bool const bare_to_the_end = client_1_0_ && (head.body.kind == wire::Framing::Kind::chunked ||
                                                 head.body.kind == wire::Framing::Kind::until_close);
    BodyWriter writer(!client_1_0_ && (head.body.kind == wire::Framing::Kind::chunked ||
                                       head.body.kind == wire::Framing::Kind::until_close));
    // A refused upgrade leaves bytes that the client meant for another protocol (RFC 9110 §7.8).
    if (shard_.draining || !upload_complete_ || upgrade_ || bare_to_the_end) keep_client_ = false;

    auto const size = write_head(!keep_client_);
    if (!size) {
        co_await stop_upload();
        co_return co_await fail(size.error());
    }
    upstream.consume(head.bytes);
    rt::Gather bytes{std::string_view(desk_->out.data(), *size)};
    answered_ = true;
    Outcome<void> relayed{};
    BulkSeat seat(head.body.kind == wire::Framing::Kind::length && head.body.length > bulk_bytes, shard_, *client_);
    for (;;) {
        auto const piece = body.take(upstream.buffered());
        if (!piece) {
            relayed = Failure{Side::upstream, Step::response_body, piece.error()};
        } else {
            writer.frame(bytes, piece->content, piece->complete);
            if (watched_) collect(piece->content, piece->complete);
        }
        // The head leaves even when what follows it turned out to be broken.
        auto why = client_->write_now(bytes);
        if (!why && !bytes.empty()) why = co_await client_->write(bytes, idle, exempt_by_);
        if (why && relayed) relayed = failure_of(*client_, Side::client, Step::response_body, why);
        if (!relayed) break;
        upstream.consume(piece->consumed);
        if (piece->complete) break;
        if (!watched_) {
            why = co_await pass_content(upstream, *client_, body, seat);
            if (why) {
                relayed = failure_of(*client_, Side::client, Step::response_body, why);
                break;
            }
            if (body.over()) break;
        }
        upstream.read_by(std::min(shard_.now() + idle, exempt_by_));
        auto const filled = co_await upstream.fill_unless_passed(watched_ ? 0 : body.unframed());
        if (filled == error::eof && body.ends_with_connection()) {
            if (watched_) collect({}, true);
            writer.frame(bytes, {}, true);
            why = co_await client_->write(bytes, idle, exempt_by_);
            if (why) relayed = failure_of(*client_, Side::client, Step::response_body, why);
            break;
        }
        if (filled) {
            relayed = failure_of(upstream, Side::upstream, Step::response_body, filled);
            break;
        }
    }
    record_.response_bytes = body.content_bytes();
    bool const upload_was_complete = upload_complete_;
    co_await stop_upload();
    if (!relayed) {
        record_.failed = true;
        record_.failure = upload_failure_.value_or(relayed.error());
        drop_upstream();
        // With a length or chunks the missing end shows; a bare body needs the connection broken off to look cut.
        co_return bare_to_the_end ? Next::reset : Next::close;
    }
    if (reusable && upload_was_complete && !body.ends_with_connection()) {
        return_upstream();
    } else {
        drop_upstream();
    }
    if (keep_client_) co_return Next::again;
    // Who asked for the end, has sent all of its request and nothing since will send nothing more: lingering would only
    // cost three system calls.
    bool const sent_all = !desk_->request.keep_alive && upload_was_complete && !upgrade_;
    auto const unread = client_->text().size() - (head_consumed_ ? 0 : desk_->request.bytes);
    if (sent_all && unread == 0 && client_->drained()) co_return Next::close;
    co_return Next::linger;
}

}  // namespace ocgate::proxy
