#include "http_answer.hpp"

#include <boost/asio/error.hpp>

#include "ocgate/wire/chunked.hpp"

namespace ocgate::notify {
namespace {

error_code cut(error_code why) { return why == boost::asio::error::eof ? error_code(Reason::cut_short) : why; }

/// Reads heads until one that is not interim (RFC 9110 §15.2), and at most a few of those.
rt::Task<error_code> receive_head(Channel& channel, std::string_view method, HttpResponse& answer,
                                  wire::Framing& framing) {
    wire::ResponseHead head;
    std::size_t seen = 0;
    for (int interim = 0; interim < 8;) {
        auto const parsed = wire::parse_response_head(channel.in, wire::HeadLimits{}, seen, method, head);
        if (!parsed) co_return parsed.error();
        if (*parsed == wire::Progress::need_more) {
            if (auto const why = co_await channel.read()) co_return cut(why);
            continue;
        }
        if (head.status == 101) co_return Reason::bad_upgrade;  // nobody asked for one
        if (head.status >= 200) {
            answer.status = head.status;
            for (auto const& field : head.fields) {
                std::string name(field.name);
                for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
                answer.fields.emplace_back(std::move(name), field.value);
            }
            framing = head.body;
        }
        channel.in.erase(0, head.bytes);
        if (answer.status != 0) co_return error_code{};
        seen = 0;
        ++interim;
    }
    co_return Reason::malformed;
}

rt::Task<error_code> receive_chunked(Channel& channel, std::size_t most, std::string& content) {
    wire::ChunkedDecoder decoder;
    for (;;) {
        auto const decoded = decoder.decode(channel.in);
        if (!decoded) co_return decoded.error();
        if (content.size() + decoded->content.size() > most) co_return Reason::body_too_large;
        content += decoded->content;
        channel.in.erase(0, decoded->consumed);
        if (decoded->complete) co_return error_code{};
        if (auto const why = co_await channel.read()) co_return cut(why);
    }
}

}  // namespace

rt::Task<error_code> receive_answer(Channel& channel, std::string_view method, std::size_t max_content_bytes,
                                    HttpResponse& answer) {
    wire::Framing framing;
    if (auto const why = co_await receive_head(channel, method, answer, framing)) co_return why;
    if (framing.kind == wire::Framing::Kind::chunked) {
        co_return co_await receive_chunked(channel, max_content_bytes, answer.body);
    }
    if (framing.empty()) co_return error_code{};
    bool const sized = framing.kind == wire::Framing::Kind::length;
    if (sized && framing.length > max_content_bytes) co_return Reason::body_too_large;
    error_code why;
    while (!why && (!sized || channel.in.size() < framing.length)) {
        if (channel.in.size() > max_content_bytes) {
            why = Reason::body_too_large;
        } else {
            why = co_await channel.read();
        }
    }
    answer.body = channel.in.substr(0, sized ? framing.length : max_content_bytes);
    co_return !sized && why == boost::asio::error::eof ? error_code{} : cut(why);
}

rt::Task<error_code> receive_connected(Channel& channel, unsigned& status) {
    HttpResponse answer;
    wire::Framing framing;
    if (auto const why = co_await receive_head(channel, "CONNECT", answer, framing)) co_return why;
    status = answer.status;
    // In TLS the client speaks first: whatever stands here already is nothing we asked for.
    if (status < 300 && !channel.in.empty()) co_return Reason::malformed;
    co_return error_code{};
}

}  // namespace ocgate::notify
