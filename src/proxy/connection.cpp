#include "connection.hpp"

#include <boost/asio/error.hpp>

#include "answer.hpp"
#include "exchange.hpp"

namespace ocgate::proxy {

namespace {
/// Whose bound a connection goes beyond, if any: it counts as one of all from here on.
std::optional<Side> surplus_of(ShardState& shard, std::size_t of_client) noexcept {
    auto const& limits = shard.snapshot->limits;
    if (shard.parts.connections.fetch_add(1, std::memory_order_relaxed) >= limits.connections) return Side::gateway;
    if (limits.connections_per_client > 0 && of_client > limits.connections_per_client) return Side::client;
    return std::nullopt;
}
}  // namespace

Connection::Connection(ShardState& s, rt::PeerPtr c, std::string a, ClientCount::Taken counted)
    : shard(s),
      client(std::move(c)),
      address(std::move(a)),
      surplus_(surplus_of(s, counted.count)),
      place_(std::move(counted.place)) {
    shard.connections.push_back(*this);
    client->count_in(shard.live.client);
    shard.parts.recorder.connection_opened(Side::client);
}

Connection::~Connection() {
    exchange.reset();
    client->close();
    shard.connections.erase(shard.connections.iterator_to(*this));
    shard.parts.connections.fetch_sub(1, std::memory_order_relaxed);
    shard.parts.recorder.connection_closed(Side::client);
    shard.connection_ended();
}

rt::Task<void> Connection::run() {
    for (;; fresh_ = false) {
        auto const linger_time = shard.snapshot->limits.linger;
        if (client->text().empty()) {
            phase = Phase::idle;
            auto const& limits = shard.snapshot->limits;
            client->read_by(shard.now() + (fresh_ ? head_time(limits) : limits.keep_alive));
            if (shard.draining) end_waiting();
            wait_for_request();
            auto const why = co_await client->fill();
            client->forget_wake();
            if (why) co_return;  // the end of an idle connection, by whomever, is nobody's failure
        } else if (!fresh_) {
            co_await rt::pause();  // who sends hundreds at once has its turn with everybody else, one at a time
        }
        phase = Phase::exchange;
        auto next = co_await serve_request();
        if (next == Next::stream) {
            // Here and not further in: a stream may last for days, and what has led to it is out of memory by now.
            std::exception_ptr escaped;
            try {
                co_await exchange->flow();
            } catch (...) {
                escaped = std::current_exception();  // waiting is not possible in here
            }
            next = co_await end_stream(std::move(escaped));
        }
        exchange.reset();
        switch (next) {
            case Next::again:
            case Next::stream:
                break;
            case Next::linger:
                co_await linger(linger_time);
                co_return;
            case Next::close:
                co_return;
            case Next::reset:
                client->reset();
                co_return;
        }
    }
}

rt::Task<Next> Connection::serve_request() {
    auto const snapshot = shard.snapshot;
    ShardState::DeskPtr desk;
    auto const head = co_await receive_request_head(desk, snapshot->limits);
    waits.unlink();
    if (dismissed_) co_return Next::close;
    client->read_by(rt::never);
    if (!desk) desk = shard.lend_desk();
    if (surplus_ && (head || reason_of(head.error()) != Reason::cut_short)) {
        auto const method = head ? desk->request.method : std::string_view();
        co_return co_await refuse_head(*desk, Failure{*surplus_, Step::accept, Reason::too_many}, method, *snapshot);
    }
    if (!head) co_return co_await refuse_head(*desk, head.error(), {}, *snapshot);
    exchange = std::make_unique<Exchange>(*this, shard.snapshot, std::move(desk));  // what holds now
    std::exception_ptr escaped;
    auto next = Next::close;
    try {
        next = co_await exchange->run();
    } catch (...) {
        escaped = std::current_exception();  // waiting is not possible in here
    }
    if (escaped) {
        co_await exchange->abandon();
        std::rethrow_exception(escaped);
    }
    co_return next;
}

rt::Task<Next> Connection::end_stream(std::exception_ptr escaped) {
    if (escaped) {
        co_await exchange->abandon();
        std::rethrow_exception(escaped);
    }
    co_return co_await exchange->close_stream();
}

// Who is turned away anyway does not hold one of the few places beyond the limit for long.
rt::Duration Connection::head_time(Limits const& limits) const {
    return surplus_ ? std::min(limits.linger, limits.request_head) : limits.request_head;
}

// A desk is many times what a head that has begun takes: nobody has one while bytes are waited for.
rt::Task<Outcome<wire::Progress>> Connection::receive_request_head(ShardState::DeskPtr& desk, Limits const& limits) {
    client->read_by(shard.now() + head_time(limits));
    std::size_t seen = 0;
    for (;;) {
        if (!desk) desk = shard.lend_desk();
        auto const parsed = wire::parse_request_head(client->text(), limits.request, seen, desk->request);
        if (!parsed) co_return Failure{Side::client, Step::request_head, parsed.error()};
        if (*parsed == wire::Progress::complete) co_return wire::Progress::complete;
        desk.reset();
        wait_for_request();
        auto const why = co_await client->fill();
        if (why == boost::asio::error::no_buffer_space) {
            co_return Failure{Side::client, Step::request_head, Reason::head_too_large};
        }
        auto const side = client->interrupted() ? Side::gateway : Side::client;
        if (why) co_return Failure{side, Step::request_head, why};
    }
}

// `method`: empty where the head was not read so far.
rt::Task<Next> Connection::refuse_head(Desk& desk, Failure failure, std::string_view method, Snapshot const& snapshot) {
    auto& recorder = shard.parts.recorder;
    auto const reason = reason_of(failure);
    if (reason == Reason::cut_short || reason == Reason::gone || reason == Reason::internal) {
        recorder.failed(failure, address);
        co_return Next::close;
    }
    auto const id = shard.new_request_id();
    Answer answer;
    answer.refusal.failure = failure;
    answer.refusal.message = {};
    if (reason == Reason::too_many) answer.refusal.retry_after = std::chrono::seconds(1);
    answer.request_id = {id.data(), id.size()};
    answer.realm = snapshot.realm;
    answer.date = shard.date();
    answer.head_only = method == "HEAD";
    auto const written = write_answer(desk.out, answer);
    rt::Gather bytes{std::string_view(desk.out.data(), written.bytes)};
    if (co_await client->write(bytes, rt::Duration::max(), shard.now() + snapshot.limits.linger)) {
        recorder.failed(failure, address);
        co_return Next::close;
    }
    RefusedHead const refused{failure, address, answer.request_id, method, status_for(failure), written.content};
    recorder.refused(refused);
    co_return Next::linger;
}

// Closing with unread bytes makes the kernel send RST, which can destroy the answer before the client has read it
// (RFC 9112 §9.6). So we end our side and read what still comes, for a bounded time and volume.
rt::Task<void> Connection::linger(rt::Duration time) {
    phase = Phase::stream;
    client->shutdown_send();
    client->read_by(shard.now() + time);
    if (insisted) client->wake();  // what is there is read, nothing is waited for
    std::size_t left = 1024 * 1024;
    for (;;) {
        auto const n = client->text().size();
        if (n >= left) co_return;
        left -= n;
        client->consume(n);
        if (co_await client->fill()) co_return;
    }
}

void Connection::wait_for_request() {
    if (waits.is_linked()) return;
    waits_since = shard.now();
    shard.waiting.push_back(*this);
}

void Connection::dismiss() {
    waits.unlink();
    dismissed_ = true;
    shard.parts.recorder.failed(Failure{Side::gateway, Step::accept, Reason::too_many}, address);
    client->interrupt(Reason::too_many);  // the story ends inside, and this connection with it
}

/// For the next request, when the gateway drains. One that is here already is answered.
void Connection::end_waiting() {
    if (fresh_) {
        client->read_by(shard.now() + first_request_time);
    } else {
        client->wake_once_read();
    }
}

void Connection::drain() {
    if (phase == Phase::idle) {
        end_waiting();
    } else if (phase == Phase::stream && upstream) {
        upstream->wake();  // the stream's story looks at `draining` and ends at a boundary
    }
}

void Connection::end_lost() {
    if (client->lost()) let_client_go();
    if (upstream && upstream->lost()) upstream->break_off();
}

void Connection::let_client_go() {
    // Where the connection's end is the answer's, a FIN would make what was cut look whole. And who has its answers and
    // waits for nothing needs no telling: the next request is told.
    bool const needless = exchange ? exchange->ends_with_connection() : client->in_flight() == 0;
    if (shard.draining || needless) {
        client->break_off();
    } else {
        shard.departed.keep(client->let_go(Departed::most_bytes), shard.now());
    }
}

void Connection::insist() {
    insisted = true;
    // The story may end inside the first of these calls, and this connection with it.
    auto const ours = client;
    auto const theirs = upstream;
    // Who has heard nothing yet is still told: the story ends with what it waits for, and says so (503).
    bool const unanswered = exchange && !exchange->answered();
    dialing.trip();
    if (!unanswered) ours->interrupt(Reason::draining);
    if (theirs) theirs->interrupt(Reason::draining);
}

}  // namespace ocgate::proxy
