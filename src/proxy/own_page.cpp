// A page of the gateway's own: the request is taken whole, Pages says what there is to say, and that leaves as one
// answer. The upstream has no part in it. Whoever waits here is reached through the connection's breaker.
#include <boost/asio/error.hpp>
#include <stdexcept>

#include "answer.hpp"
#include "exchange.hpp"
#include "ocgate/base/utf8.hpp"
#include "sending_time.hpp"

namespace ocgate::proxy {
namespace error = boost::asio::error;

namespace {

constexpr std::size_t longest_value = 256;

bool is_sound(std::string_view value) noexcept {
    if (value.size() > longest_value) return false;
    for (char const c : value) {
        if (c < 0x20 || c > 0x7e) return false;
    }
    return true;
}

/// What cannot be sent as it is comes from a bug of ours.
void check(PageAnswer const& page) {
    if (page.status < 200 || page.status > 599)
        throw std::logic_error("an own page answers with a status that is none");
    if (!is_sound(page.content_type) || !is_sound(page.allow))
        throw std::logic_error("an own page has a field that cannot be sent");
}

/// RFC 8259 §7. Bytes that are no UTF-8 would make the whole document unreadable.
void append_json(std::string& out, std::string_view text) {
    while (!text.empty()) {
        auto const length = utf8_length(text);
        auto const c = static_cast<unsigned char>(text.front());
        if (length == 0) {
            out += "\xEF\xBF\xBD";
        } else if (c < 0x20 || c == 0x7f) {
            out += "\\u00";
            out += "0123456789abcdef"[c >> 4];
            out += "0123456789abcdef"[c & 15];
        } else {
            if (c == '"' || c == '\\') out += '\\';
            out += text.substr(0, length);
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
}

}  // namespace

PageAnswer page_error(unsigned status, std::string_view code, std::string_view message, std::string_view request_id) {
    PageAnswer page;
    page.status = status;
    page.body = R"({"error":{"code":")";
    append_json(page.body, code);
    page.body += R"(","message":")";
    append_json(page.body, message);
    page.body += R"(","request_id":")";
    append_json(page.body, request_id);
    page.body += "\"}}\n";
    return page;
}

rt::Task<Next> Exchange::own_page() {
    if (!vouched_) {  // a preflight, which comes in without a password so that opencode can answer it
        Refusal refusal{{Side::client, Step::admission, Reason::unauthorized}, {}};
        refusal.challenge = true;
        co_return co_await refuse(refusal);
    }
    if (websocket_) {  // other offers may be passed over (RFC 9110 §7.8): h2c is made with every request by some
        Refusal const refusal{{Side::client, Step::request_head, Reason::bad_upgrade},
                              "This page speaks no other protocol."};
        co_return co_await refuse(refusal);
    }
    auto request = page_request();
    auto const received = co_await receive_content(request.body);
    if (!received) {
        Refusal const refusal{received.error(), "The request content is larger than this page takes."};
        if (reason_of(received.error()) == Reason::body_too_large) co_return co_await refuse(refusal);
        co_return co_await fail(received.error());
    }

    client_->listen([this] { connection_.dialing.trip(); });
    if (client_->ended()) co_return co_await fail(client_gone(Step::request_body));
    PageAnswer page;
    std::exception_ptr thrown;
    try {
        auto asked = snapshot_->pages->answer(std::move(request), connection_.dialing);
        auto said = co_await asked;
        check(said);
        page = std::move(said);
    } catch (...) {
        thrown = std::current_exception();  // waiting is not possible in here
    }
    if (thrown && shard_.parts.escaped) shard_.parts.escaped(thrown);
    if (client_->ended()) co_return co_await fail(client_gone(Step::response_head));
    if (connection_.insisted) co_return co_await fail(Failure{Side::gateway, Step::response_head, Reason::draining});
    if (thrown) co_return co_await fail(Failure{Side::gateway, Step::response_head, Reason::internal});
    watch_client();
    co_return co_await send_page(page);
}

PageRequest Exchange::page_request() const {
    auto const& head = desk_->request;
    PageRequest request;
    request.method = head.method;
    request.target = head.target;
    request.accept = head.fields.find("Accept").value_or("");
    request.content_type = head.fields.find("Content-Type").value_or("");
    request.user = user_;
    request.client_address = client_address();
    request.request_id = request_id_;
    return request;
}

rt::Task<Outcome<void>> Exchange::receive_content(std::string& content) {
    auto const framing = desk_->request.body;
    bool expected = desk_->request.expects_continue;
    if (framing.empty()) co_return Outcome<void>{};
    if (framing.length > Pages::max_body_bytes) {
        co_return Failure{Side::client, Step::request_body, Reason::body_too_large};
    }
    keep_record();
    client_->consume(desk_->request.bytes);
    head_consumed_ = true;
    request_body_ = BodyReader(framing, Pages::max_body_bytes);
    auto const wake = [](void* client) { static_cast<rt::Peer*>(client)->wake(); };
    rt::DialBreaker::Watch const watch(connection_.dialing, wake, client_.get());
    SendingTime time(snapshot_->limits.idle_body);
    for (;;) {
        auto const taken = request_body_.take(client_->buffered());
        if (!taken) co_return Failure{Side::client, Step::request_body, taken.error()};
        content.append(taken->content);
        client_->consume(taken->consumed);
        if (taken->complete) break;
        if (connection_.insisted) co_return Failure{Side::gateway, Step::request_body, Reason::draining};
        if (expected && content.empty()) {
            rt::Gather go_on{"HTTP/1.1 100 Continue\r\n\r\n"};
            answered_ = true;  // behind half of it nothing else makes sense
            auto const why = co_await client_->write(go_on, snapshot_->limits.idle_body);
            if (why) co_return failure_of(*client_, Side::client, Step::request_body, why);
            answered_ = false;
        }
        expected = false;
        client_->read_by(time.wait(shard_.now(), client_->received()));
        auto const why = co_await client_->fill();
        time.waited(shard_.now());
        if (why == error::operation_aborted && connection_.insisted) continue;
        if (why) co_return failure_of(*client_, Side::client, Step::request_body, why);
    }
    client_->read_by(rt::never);
    co_return Outcome<void>{};
}

rt::Task<Next> Exchange::send_page(PageAnswer const& page) {
    if (shard_.draining) keep_client_ = false;
    PageFrame frame;
    frame.request_id = request_id_;
    frame.date = shard_.date();
    frame.close = !keep_client_;
    frame.keep_alive_1_0 = client_1_0_ && keep_client_;
    auto const head = write_page_head(desk_->out, page, frame);
    bool const with_content = has_content(page) && record_.method != "HEAD";
    auto const content = with_content ? std::string_view(page.body) : std::string_view();
    record_.first_byte = shard_.now() - started_;

    rt::Gather bytes{std::string_view(desk_->out.data(), head), content};
    answered_ = true;
    auto why = client_->write_now(bytes);
    if (!why && !bytes.empty()) why = co_await client_->write(bytes, snapshot_->limits.idle_body);
    auto const unsent = bytes.bytes();
    if (unsent <= content.size()) {  // its head has left
        record_.status = page.status;
        record_.response_bytes = content.size() - unsent;
    }
    if (why) {
        record_.failed = true;
        record_.failure = failure_of(*client_, Side::client, Step::response_body, why);
        co_return Next::close;
    }
    co_return keep_client_ ? Next::again : Next::linger;
}

}  // namespace ocgate::proxy
