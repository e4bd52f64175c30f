// The rest of the request's content, carried while the answer may already be coming. It fails into `upload_failure_`
// and interrupts the upstream, so that the one who waits for the answer hears of it.
#include <boost/asio/error.hpp>

#include "bulk_seat.hpp"
#include "exchange.hpp"
#include "sending_time.hpp"

namespace ocgate::proxy {
namespace error = boost::asio::error;

rt::Task<void> Exchange::upload() {
    std::exception_ptr escaped;
    Outcome<void> done{};
    try {
        done = co_await upload_content();
    } catch (...) {
        escaped = std::current_exception();
    }
    if (escaped) {
        // Whoever waits for the answer would wait for good.
        upload_failure_ = Failure{Side::gateway, Step::request_body, Reason::internal};
        auto const upstream = connection_.upstream;
        if (upstream) upstream->interrupt(Reason::internal);
        std::rethrow_exception(escaped);
    }
    auto& upstream = connection_.upstream;
    if (done) {
        upload_complete_ = true;
        if (upstream && record_.status == 0) start_first_byte_clock();  // no answer is being delivered yet
        watch_client();
        co_return;
    }
    auto const& failure = done.error();
    // An upstream that stops reading may have answered early: the answer, or its absence, decides.
    if (failure.side == Side::upstream && reason_of(failure) == Reason::cut_short) co_return;
    if (failure.why == error::operation_aborted) co_return;
    upload_failure_ = failure;
    if (upstream) upstream->interrupt(failure.why);
}

rt::Task<Outcome<void>> Exchange::upload_content() {
    auto const idle = snapshot_->limits.idle_body;
    SendingTime time(idle);
    BodyWriter writer(desk_->request.body.kind == wire::Framing::Kind::chunked);
    BulkSeat seat(request_body_.unframed() > bulk_bytes, shard_, *connection_.upstream);
    for (;;) {
        auto taken = request_body_.take(client_->buffered());
        if (!taken) co_return Failure{Side::client, Step::request_body, taken.error()};
        if (taken->consumed > 0) {
            rt::Gather bytes;
            writer.frame(bytes, taken->content, taken->complete);
            auto& upstream = *connection_.upstream;
            auto why = upstream.write_now(bytes);
            if (!why && !bytes.empty()) why = co_await upstream.write(bytes, idle);
            if (why) co_return failure_of(upstream, Side::upstream, Step::request_body, why);
            client_->consume(taken->consumed);
        }
        if (taken->complete) break;
        if (auto const why = co_await pass_content(*client_, *connection_.upstream, request_body_, seat)) {
            co_return failure_of(*connection_.upstream, Side::upstream, Step::request_body, why);
        }
        if (request_body_.over()) break;
        client_->read_by(time.wait(shard_.now(), client_->received()));
        auto const why = co_await client_->fill_unless_passed(request_body_.unframed());
        time.waited(shard_.now());
        if (why == Reason::timed_out && !continued_ && !client_->interrupted()) {
            continued_ = true;  // nobody will tell it to go on: a client does not wait for that forever, nor do we
            time.anew();
            continue;
        }
        if (why == error::operation_aborted && client_->open() && !stopping_upload_) {  // 100 was passed on
            time.anew();
            continue;
        }
        if (why == error::operation_aborted) co_return Failure{Side::client, Step::request_body, why};
        if (why) co_return failure_of(*client_, Side::client, Step::request_body, why);
    }
    client_->read_by(rt::never);
    co_return Outcome<void>{};
}

rt::Task<void> Exchange::stop_upload() {
    if (uploads_.running() > 0 && !upload_complete_) {
        stopping_upload_ = true;
        client_->wake();
        if (connection_.upstream) connection_.upstream->interrupt(error::operation_aborted);
    }
    if (uploads_.running() > 0) co_await uploads_.join();
    client_->forget_wake();  // it may have ended without looking: a late 100 wakes it, and everything had come by then
}

}  // namespace ocgate::proxy
