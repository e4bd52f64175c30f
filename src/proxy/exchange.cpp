// The story of one request, top to bottom: admitted or refused, an upstream connection borrowed, the request written
// anew, the answer received and delivered. What happens beside it (the rest of an upload), after it (streams) and
// instead of it (own pages) has files of its own.
#include "exchange.hpp"

#include <boost/asio/error.hpp>

#include "answer.hpp"

namespace ocgate::proxy {
namespace {

constexpr unsigned max_interim_answers = 16;

/// A request id from a trusted proxy is kept when it cannot be mistaken for anything else in logs and fields.
bool is_sane_id(std::string_view id) noexcept {
    return !id.empty() && id.size() <= 64 && id.find_first_of("\"\\,;()<>@{}[]/?=:%&$") == std::string_view::npos &&
           wire::is_token(id);
}

/// RFC 9110 §9.2.1.
bool is_safe(std::string_view method) noexcept {
    return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE";
}

}  // namespace

Exchange::Exchange(Connection& connection, std::shared_ptr<Snapshot const> snapshot, ShardState::DeskPtr desk)
    : connection_(connection),
      shard_(connection.shard),
      snapshot_(std::move(snapshot)),
      desk_(std::move(desk)),
      client_(connection.client),
      own_id_(shard_.new_request_id()),
      request_id_(own_id_.data(), own_id_.size()),
      started_(shard_.now()),
      uploads_(shard_.parts.executor, shard_.parts.escaped) {
    auto const& head = desk_->request;
    keep_client_ = head.keep_alive;
    client_1_0_ = head.minor == 0;
    upgrade_ = head.upgrade;
    websocket_ = head.websocket;
    record_.method = head.method;
    record_.path = head.path();
    record_.user_agent = head.fields.find("User-Agent").value_or("");
    record_.cf_ray = head.fields.find("CF-Ray").value_or("");
    record_.traceparent = head.fields.find("traceparent").value_or("");
    record_.route = shard_.parts.recorder.route_of(head.method, head.target);
    shard_.parts.recorder.request_started();
}

Exchange::~Exchange() {
    drop_upstream();
    client_->stop_listening();
    record_.request_id = request_id_;
    record_.user = user_;
    record_.client_address = client_address();
    record_.duration = shard_.now() - started_;
    record_.upstream_reused = reused_;
    record_.request_bytes += request_body_.content_bytes();
    shard_.parts.recorder.finished(record_);
    if (witnessed_) snapshot_->witness->ended(deed(record_.path), record_.status, record_.duration);
    shard_.ended.add(record_.request_bytes, record_.response_bytes);
    // Only now: the record's views may point into these bytes.
    if (!head_consumed_) client_->consume(desk_->request.bytes);
}

/// What is needed of it later, and for the record.
void Exchange::take(Decision& decision) {
    if (!decision.user.empty()) user_ = std::move(decision.user);
    if (!decision.client_address.empty()) client_address_ = std::move(decision.client_address);
    vouched_ = decision.vouched;
    if (decision.exempt) {
        exempt_by_ = shard_.now() + exempt_patience;
        keep_client_ = false;  // one for each connection: hundreds of them hold a place no longer than one does
    }
    peer_trusted_ = decision.peer_trusted;
    foreign_content_ = decision.foreign_content;
}

/// False: this client has as many streams as it may have. A proxy whose clients cannot be told apart is many people.
bool Exchange::take_stream_place() {
    auto* const clients = shard_.parts.clients;
    if (!clients || snapshot_->gatekeeper->trusts(client_address())) return true;
    auto taken = clients->streams.take(client_address());
    auto const most = snapshot_->limits.streams_per_client;
    if (most > 0 && taken.count > most) return false;
    stream_place_ = std::move(taken.place);
    return true;
}

rt::Task<Next> Exchange::run() {
    auto const& head = desk_->request;
    if (auto const id = head.fields.find("X-Request-Id");
        id && is_sane_id(*id) && snapshot_->gatekeeper->trusts(connection_.address)) {
        request_id_ = *id;
    }
    Visit const visit{head, connection_.address, request_id_, record_.route};
    auto decision = snapshot_->gatekeeper->consider(visit);
    if (decision.kind == Decision::Kind::undecided) {
        client_->listen([] {});  // so that it is known afterwards whether anybody is still there
        client_address_ = decision.client_address;
        decision = co_await snapshot_->gatekeeper->verify(visit);
        take(decision);
        record_.admission = shard_.now() - started_;
        if (client_->ended()) co_return co_await fail(client_gone(Step::admission));
        if (connection_.insisted) co_return co_await fail(Failure{Side::gateway, Step::admission, Reason::draining});
    }
    take(decision);
    if (decision.kind != Decision::Kind::admitted) co_return co_await refuse(decision.refusal);
    admitted_ = true;
    witnessed_ = snapshot_->witness && (!is_safe(head.method) || websocket_);
    if (witnessed_) snapshot_->witness->began(deed(head.target));
    if (snapshot_->pages && Pages::cover(head.target)) co_return co_await own_page();
    if (websocket_ && !take_stream_place()) {
        co_return co_await fail(Failure{Side::client, Step::tunnel, Reason::too_many});
    }

    auto const limit = snapshot_->limits.body_bytes;
    if (limit > 0 && head.body.kind == wire::Framing::Kind::length && head.body.length > limit) {
        co_return co_await fail(Failure{Side::client, Step::request_body, Reason::body_too_large});
    }
    request_body_ = BodyReader(head.body, limit);
    upload_complete_ = head.body.empty();
    continued_ = !head.expects_continue;
    if (snapshot_->gatekeeper->watches(visit)) {
        watched_ = std::make_unique<Watched>();
        watched_->target = head.target;
    }
    co_return co_await carry();
}

// An exception is on its way out: whatever runs beside the story refers to it and has to end first.
rt::Task<void> Exchange::abandon() {
    auto const client = client_;
    auto const upstream = connection_.upstream;
    tunnel_over_ = true;
    client->interrupt(Reason::internal);
    if (upstream) upstream->interrupt(Reason::internal);
    co_await uploads_.join();
    Failure const failure{Side::gateway, answered_ ? Step::response_body : Step::response_head, Reason::internal};
    record_.failed = true;
    record_.failure = failure;
    if (stream_open_) stream_over(record_.kind, failure);
}

rt::Task<Next> Exchange::carry() {
    Outcome<void> answered{};
    watch_client();
    for (bool fresh = false;; fresh = true) {
        answered = co_await borrow_upstream(fresh);
        if (connection_.insisted) answered = Failure{Side::gateway, Step::dial, Reason::draining};
        if (client_->ended()) answered = client_gone(Step::dial);
        if (answered) answered = co_await send_request();
        if (answered) answered = co_await receive_answer();
        if (answered || fresh || !may_retry(answered.error())) break;
        shard_.live.retried.add();
        drop_upstream();
    }
    if (answered) {
        shard_.live.answered.add();
        co_return co_await deliver();
    }

    co_await stop_upload();
    // The client's own failure explains the upstream's, not the other way round.
    auto const failure = upload_failure_.value_or(answered.error());
    if (failure.side == Side::upstream) shard_.live.failed.add();
    drop_upstream();
    co_return co_await fail(failure);
}

// ---- the upstream connection

rt::Task<Outcome<void>> Exchange::borrow_upstream(bool fresh) {
    auto& recorder = shard_.parts.recorder;
    // A request that began before a reload goes where it was meant to go, with the password meant for that.
    if (!fresh && shard_.snapshot->dialer == snapshot_->dialer) {
        if (auto idle = shard_.upstreams.take()) {
            reused_ = true;
            recorder.upstream_dialed(true, true);
            connection_.upstream = std::move(idle);
            co_return Outcome<void>{};
        }
    }
    reused_ = false;
    auto const began = shard_.now();
    auto const until = began + snapshot_->limits.dial;
    auto dialed = co_await snapshot_->dialer->dial(shard_.resources, until, connection_.dialing);
    if (!dialed && is_shortage(dialed.error()) && shard_.free_descriptor()) {
        dialed = co_await snapshot_->dialer->dial(shard_.resources, until, connection_.dialing);
    }
    record_.dial += shard_.now() - began;
    recorder.upstream_dialed(false, dialed.has_value());
    if (!dialed) {
        // Without descriptors or memory nobody was asked: that says nothing of the upstream.
        auto const side = is_shortage(dialed.error()) ? Side::gateway : Side::upstream;
        co_return Failure{side, Step::dial, dialed.error()};
    }
    recorder.connection_opened(Side::upstream);
    connection_.upstream = std::move(*dialed);
    connection_.upstream->count_in(shard_.live.upstream);
    co_return Outcome<void>{};
}

void Exchange::drop_upstream() {
    if (!connection_.upstream) return;
    auto const upstream = std::move(connection_.upstream);
    connection_.upstream = nullptr;
    upstream->close();
    shard_.parts.recorder.connection_closed(Side::upstream);
}

void Exchange::return_upstream() {
    if (shard_.draining || connection_.upstream->interrupted() || !connection_.upstream->quiet() ||
        shard_.snapshot->dialer != snapshot_->dialer) {
        drop_upstream();
        return;
    }
    auto upstream = std::move(connection_.upstream);
    connection_.upstream = nullptr;
    upstream->read_by(rt::never);
    upstream->count_anew();
    shard_.upstreams.give(std::move(upstream), snapshot_->limits.idle_upstreams, snapshot_->limits.idle_upstream);
}

// RFC 9110 §9.2.2: only what may be repeated, only when the upstream can have done nothing but close an idle
// connection, and only while nothing of the content has been taken.
bool Exchange::may_retry(Failure const& failure) const {
    return reused_ && !head_consumed_ && failure.side == Side::upstream && reason_of(failure) == Reason::cut_short &&
           desk_->request.is_idempotent() && desk_->request.body.empty() && connection_.upstream->received() == 0 &&
           !client_->ended() && !answered_;
}

// ---- the request

rt::Task<Outcome<void>> Exchange::send_request() {
    auto const& head = desk_->request;
    wire::RequestRewrite rewrite;
    rewrite.peer = connection_.address;
    rewrite.peer_trusted = peer_trusted_;
    rewrite.request_id = request_id_;
    if (vouched_) rewrite.authorization = snapshot_->authorization.reveal();
    credential_sent_ = !rewrite.authorization.empty();
    rewrite.hidden_parameter = snapshot_->hidden_parameter;
    rewrite.default_host = snapshot_->upstream_host;
    auto const size = wire::write_request_head(desk_->out, head, rewrite);
    if (!size || *size > upstream_head_bytes) {
        return_upstream();  // nothing was sent on it
        co_return Failure{Side::client, Step::request_head, Reason::head_too_large};
    }

    rt::Gather bytes{std::string_view(desk_->out.data(), *size)};
    BodyWriter writer(head.body.kind == wire::Framing::Kind::chunked);
    BodyReader::Piece first;
    if (!upload_complete_) {
        // What came along with the head leaves along with it.
        auto const taken = request_body_.take(client_->buffered().subspan(head.bytes));
        if (!taken) co_return Failure{Side::client, Step::request_body, taken.error()};
        first = *taken;
        writer.frame(bytes, first.content, first.complete);
    }
    auto& upstream = *connection_.upstream;
    auto why = upstream.write_now(bytes);
    if (!why && !bytes.empty()) why = co_await upstream.write(bytes, snapshot_->limits.idle_body);
    if (why) co_return failure_of(upstream, Side::upstream, Step::request_body, why);

    if (upload_complete_ || first.complete) {
        upload_complete_ = true;
        if (first.consumed > 0) {
            keep_record();
            client_->consume(head.bytes + first.consumed);
            head_consumed_ = true;
        }
        watch_client();
    } else {
        keep_record();
        client_->consume(head.bytes + first.consumed);
        head_consumed_ = true;
        uploads_.spawn(upload());
    }
    co_return Outcome<void>{};
}

// While the upstream thinks, the client may leave. FIN counts: nobody half-closes here, and opencode itself takes it
// for leaving. What is still being written to it is pointless, too.
void Exchange::watch_client() {
    client_->listen([this] {
        // The story may end inside one of these calls, and this exchange with it.
        auto const client = client_;
        auto const upstream = connection_.upstream;
        client->interrupt(Reason::gone);
        if (upstream) upstream->interrupt(Reason::gone);
    });
}

// ---- the answer's head

rt::Task<Outcome<void>> Exchange::receive_answer() {
    auto& upstream = *connection_.upstream;
    auto const& limits = snapshot_->limits;
    std::size_t seen = 0;
    unsigned interim = 0;
    head_by_ = rt::never;
    if (upload_complete_) start_first_byte_clock();
    for (;;) {
        auto& head = desk_->response;
        auto const parsed = wire::parse_response_head(upstream.text(), limits.response, seen, record_.method, head);
        if (!parsed) co_return Failure{Side::upstream, Step::response_head, parsed.error()};
        if (*parsed == wire::Progress::need_more) {
            if (!upstream.text().empty() && head_by_ == rt::never) {
                head_by_ = shard_.now() + limits.idle_body;  // what has begun does not take forever
                upstream.read_by(std::min(first_byte_by_, head_by_));
            }
            auto const why = co_await upstream.fill();
            if (why == boost::asio::error::no_buffer_space) {
                co_return Failure{Side::upstream, Step::response_head, Reason::head_too_large};
            }
            if (why) co_return failure_of(upstream, Side::upstream, Step::response_head, why);
            continue;
        }
        if (head.status == 101) {
            if (!websocket_ || !head.websocket) {
                co_return Failure{Side::upstream, Step::response_head, Reason::bad_upgrade};
            }
            break;
        }
        if (head.status >= 200) break;
        if (++interim > max_interim_answers) {
            co_return Failure{Side::upstream, Step::response_head, Reason::malformed};
        }
        if (head.status == 100) continued_ = true;
        if (!client_1_0_) {
            auto const size = write_head(false);
            if (!size) co_return size.error();
            rt::Gather bytes{std::string_view(desk_->out.data(), *size)};
            answered_ = true;  // behind half of it nothing else makes sense
            auto const why = co_await client_->write(bytes, limits.idle_body);
            if (why) co_return failure_of(*client_, Side::client, Step::response_head, why);
            answered_ = false;
        }
        upstream.consume(head.bytes);
        seen = 0;
        head_by_ = rt::never;
        upstream.read_by(first_byte_by_);
        if (continued_ && !upload_complete_) client_->wake();  // the upload's clock starts now
    }
    upstream.read_by(rt::never);
    record_.first_byte = shard_.now() - started_;
    co_return Outcome<void>{};
}

void Exchange::start_first_byte_clock() {
    auto const limit = snapshot_->limits.first_byte;
    first_byte_by_ = std::min(limit.count() == 0 ? rt::never : shard_.now() + limit, exempt_by_);
    if (first_byte_by_ == rt::never) return;
    connection_.upstream->read_by(std::min(first_byte_by_, head_by_));
}

rt::Task<Next> Exchange::deliver() {
    auto const& head = desk_->response;
    record_.status = head.status;
    if (head.status == 401 && credential_sent_) {
        // It is the gateway's credential that was turned down. A browser that saw the 401 would forget its own.
        co_await stop_upload();
        drop_upstream();
        co_return co_await fail(Failure{Side::upstream, Step::response_head, Reason::unauthorized});
    }
    if (head.status == 101) co_return co_await open_tunnel();
    if (head.event_stream && !head.body.empty()) co_return co_await open_event_stream();
    co_return co_await relay_response();
}

Outcome<std::size_t> Exchange::write_head(bool close) {
    wire::ResponseRewrite rewrite;
    rewrite.request_id = request_id_;
    rewrite.client_1_0 = client_1_0_;
    rewrite.close = close;
    rewrite.keep_alive_1_0 = client_1_0_ && !close;
    rewrite.inert = foreign_content_;
    auto const size = wire::write_response_head(desk_->out, desk_->response, rewrite);
    if (!size) return Failure{Side::upstream, Step::response_head, size.error()};
    return *size;
}

// ---- our own answers

rt::Task<Next> Exchange::refuse(Refusal refusal) {
    auto const& head = desk_->request;
    Answer answer;
    answer.refusal = refusal;
    answer.request_id = request_id_;
    answer.realm = snapshot_->realm;
    answer.target = head.target;
    answer.date = shard_.date();
    record_.failed = true;
    record_.failure = refusal.failure;
    record_.status = 0;  // until it has left
    // Without content under way the connection is in order and may be kept.
    // After a malformed request nobody knows for sure where the next one begins.
    bool const in_doubt = refusal.failure.side == Side::client && reason_of(refusal.failure) == Reason::malformed;
    bool const in_order =
        !in_doubt && !head_consumed_ && head.body.empty() && !head.upgrade && keep_client_ && !shard_.draining;
    answer.close = !in_order;
    answer.head_only = record_.method == "HEAD";
    answer.keep_alive_1_0 = client_1_0_ && in_order;
    auto const written = write_answer(desk_->out, answer);
    rt::Gather bytes{std::string_view(desk_->out.data(), written.bytes)};
    answered_ = true;
    auto why = client_->write_now(bytes);
    if (!why && !bytes.empty()) {
        why = Reason::draining;  // a forced end waits for no room
        // Nor is a stranger waited for who asks and asks and does not read.
        auto const until = admitted_ && exempt_by_ == rt::never ? rt::never : shard_.now() + snapshot_->limits.linger;
        if (!connection_.insisted) why = co_await client_->write(bytes, snapshot_->limits.idle_body, until);
    }
    if (why) co_return Next::close;
    record_.status = status_for(refusal.failure);
    record_.response_bytes = written.content;
    co_return in_order ? Next::again : Next::linger;
}

rt::Task<Next> Exchange::fail(Failure failure) {
    auto const reason = reason_of(failure);
    if (answered_ || reason == Reason::gone || client_->ended() == boost::asio::error::connection_reset) {
        record_.failed = true;
        record_.failure = failure;
        record_.status = 0;
        co_return Next::close;
    }
    Refusal refusal{failure, {}};
    if (status_for(failure) == 503 || reason == Reason::too_many) refusal.retry_after = std::chrono::seconds(1);
    co_return co_await refuse(refusal);
}

// What a peer's error means: interrupted ones say why themselves.
Failure Exchange::failure_of(rt::Peer const& peer, Side side, Step step, error_code why) const {
    if (peer.interrupted() && why == peer.interrupted()) {
        if (why == Reason::gone) return {Side::client, step, Reason::gone};
        bool const asked = step != Step::response_head || upload_complete_;  // or not yet, whole
        return {Side::gateway, asked ? step : Step::request_body, why};
    }
    if (side == Side::client && why != Reason::timed_out &&
        why.category() != make_error_code(Reason::gone).category()) {
        return {Side::client, step, Reason::gone};
    }
    return {side, step, why};
}

}  // namespace ocgate::proxy
