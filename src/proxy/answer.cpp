#include "answer.hpp"

#include <cstring>
#include <string>

namespace ocgate::proxy {
namespace {

std::string_view phrase(unsigned status) noexcept {
    switch (status) {
        case 200:
            return "OK";
        case 202:
            return "Accepted";
        case 204:
            return "No Content";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 406:
            return "Not Acceptable";
        case 408:
            return "Request Timeout";
        case 409:
            return "Conflict";
        case 413:
            return "Content Too Large";
        case 414:
            return "URI Too Long";
        case 415:
            return "Unsupported Media Type";
        case 421:
            return "Misdirected Request";
        case 422:
            return "Unprocessable Content";
        case 429:
            return "Too Many Requests";
        case 431:
            return "Request Header Fields Too Large";
        case 500:
            return "Internal Server Error";
        case 501:
            return "Not Implemented";
        case 502:
            return "Bad Gateway";
        case 503:
            return "Service Unavailable";
        case 504:
            return "Gateway Timeout";
        case 505:
            return "HTTP Version Not Supported";
        default:
            return status < 400 ? "Done" : "Error";
    }
}

/// Cuts off what does not fit; the sizes of `answer_bytes` and of what goes in are known, so nothing ever is.
class Text {
public:
    explicit Text(std::span<char> out) noexcept : out_(out) {}
    Text& operator<<(std::string_view text) noexcept {
        auto const n = std::min(text.size(), out_.size() - used_);
        std::memcpy(out_.data() + used_, text.data(), n);
        used_ += n;
        return *this;
    }
    Text& operator<<(std::uint64_t number) noexcept {
        char digits[20];
        std::size_t at = sizeof digits;
        do {
            digits[--at] = static_cast<char>('0' + number % 10);
            number /= 10;
        } while (number > 0);
        return *this << std::string_view(digits + at, sizeof digits - at);
    }
    [[nodiscard]] std::size_t size() const noexcept { return used_; }

private:
    std::span<char> out_;
    std::size_t used_ = 0;
};

void say_when(Text& text, std::string_view date) noexcept {
    if (!date.empty()) text << "Date: " << date << "\r\n";
}

void end_head(Text& text, bool close, bool keep_alive_1_0) noexcept {
    if (close) {
        text << "Connection: close\r\n";
    } else if (keep_alive_1_0) {
        text << "Connection: keep-alive\r\n";
    }
    text << "\r\n";
}

}  // namespace

std::string_view message_for(Failure const& failure) noexcept {
    bool const client = failure.side == Side::client;
    switch (reason_of(failure)) {
        case Reason::malformed:
            return client ? "The request is not well-formed HTTP/1.1."
                          : "opencode's answer is not well-formed HTTP/1.1.";
        case Reason::unsupported_version:
            return client ? "Only HTTP/1.1 and HTTP/1.0 are spoken here."
                          : "opencode's answer is of another version than HTTP/1.1 and HTTP/1.0.";
        case Reason::unsupported_method:
            return "This method is not served here.";
        case Reason::unsupported_coding:
            return client ? "No transfer coding but chunked is understood here."
                          : "opencode's answer has a transfer coding other than chunked.";
        case Reason::head_too_large:
            return client ? "The request line and header fields together are too large."
                          : "The status line and header fields of opencode's answer together are too large.";
        case Reason::target_too_long:
            return "The request target is too long.";
        case Reason::body_too_large:
            return "The request content is larger than this gateway passes on.";
        case Reason::unauthorized:
            return failure.side == Side::upstream ? "opencode does not accept the gateway's credentials."
                                                  : "Credentials are needed: HTTP Basic authentication.";
        case Reason::throttled:
            return "Too many failed logins. Wait, then try again.";
        case Reason::over_budget:
            return "The budget is spent. New prompts are refused until its day or month is over.";
        case Reason::forbidden:
            return "This request comes from another site.";
        case Reason::misdirected:
            return "This host name is not served here.";
        case Reason::timed_out:
            if (client) return "The request did not arrive in time.";
            return failure.step == Step::dial ? "opencode cannot be reached." : "opencode did not answer in time.";
        case Reason::cut_short:
            return client ? "The request ended in the middle."
                          : "opencode ended the connection before its answer was complete.";
        case Reason::refused:
            return "opencode cannot be reached.";
        case Reason::too_many:
            if (!client) return "This gateway is at its limit. Try again soon.";
            return failure.step == Step::accept ? "Too many connections from this address are open."
                                                : "Too many event streams and terminals from this address are open.";
        case Reason::draining:
            return "This gateway is shutting down.";
        case Reason::bad_upgrade:
            return "opencode's answer to the WebSocket handshake is not valid.";
        default:
            return "Something went wrong in the gateway.";
    }
}

std::array<char, 29> http_date(std::chrono::sys_seconds when) noexcept {
    using namespace std::chrono;
    constexpr std::string_view days_of_week = "SunMonTueWedThuFriSat";
    constexpr std::string_view months_of_year = "JanFebMarAprMayJunJulAugSepOctNovDec";
    auto const day = floor<days>(when);
    year_month_day const date{day};
    hh_mm_ss const time{when - day};
    std::array<char, 29> text;
    std::size_t at = 0;
    auto const put = [&](std::string_view part) {
        std::memcpy(text.data() + at, part.data(), part.size());
        at += part.size();
    };
    auto const digits = [&](unsigned value, unsigned count) {
        for (unsigned i = count; i-- > 0; value /= 10) text[at + i] = static_cast<char>('0' + value % 10);
        at += count;
    };
    put(days_of_week.substr(weekday{day}.c_encoding() * 3, 3));
    put(", ");
    digits(static_cast<unsigned>(date.day()), 2);
    put(" ");
    put(months_of_year.substr((static_cast<unsigned>(date.month()) - 1) * 3, 3));
    put(" ");
    digits(static_cast<unsigned>(static_cast<int>(date.year())), 4);
    put(" ");
    digits(static_cast<unsigned>(time.hours().count()), 2);
    put(":");
    digits(static_cast<unsigned>(time.minutes().count()), 2);
    put(":");
    digits(static_cast<unsigned>(time.seconds().count()), 2);
    put(" GMT");
    return text;
}

namespace {

constexpr std::size_t content_bytes = offer_bytes - 1024;
/// A longer target is not offered. It stands there twice, and each of its bytes may take six.
constexpr std::size_t offered_target_bytes = 500;

void write_escaped(Text& text, std::string_view raw) noexcept {
    for (char const& c : raw) {
        switch (c) {
            case '&':
                text << "&amp;";
                break;
            case '<':
                text << "&lt;";
                break;
            case '>':
                text << "&gt;";
                break;
            case '"':
                text << "&quot;";
                break;
            case '\'':
                text << "&#39;";
                break;
            default:
                text << std::string_view(&c, 1);
        }
    }
}

/// Two slashes in front, or what browsers take for them, lead to another host.
bool may_be_offered(std::string_view target) noexcept {
    return target.size() <= offered_target_bytes && target.starts_with('/') && target.find_first_of("/\\", 1) != 1;
}

/// The link rests for a second: a click that was meant for the page before this one does not follow it.
void write_offer(Text& text, Answer const& answer) noexcept {
    text << "<!doctype html><meta charset=utf-8><meta name=viewport content=width=device-width><title>opencode</title>"
            "<style>body{font:1em/1.5 sans-serif;margin:3em auto;max-width:36em;padding:0 1em;overflow-wrap:anywhere}"
            "a{pointer-events:none;animation:go 0s 1s forwards}@keyframes go{to{pointer-events:auto}}</style>"
            "<h1>A link from another site</h1><p>It opens a folder here, and opencode starts the programs that the "
            "folder's configuration names. Follow it if you meant to:<p><a href=\"";
    write_escaped(text, answer.target);
    text << "\">";
    write_escaped(text, answer.target);
    text << "</a><p><a href=\"/\">Leave it, and open the start page</a><p><small>" << answer.request_id << "</small>\n";
}

void write_error(Text& text, Answer const& answer) noexcept {
    auto const& failure = answer.refusal.failure;
    auto const message = answer.refusal.message.empty() ? message_for(failure) : answer.refusal.message;
    text << R"({"error":{"code":")" << to_string(reason_of(failure)) << R"(","message":")" << message
         << R"(","request_id":")" << answer.request_id << "\"}}\n";
}

}  // namespace

Written write_answer(std::span<char> out, Answer const& answer) noexcept {
    auto const& failure = answer.refusal.failure;
    auto const status = status_for(failure);
    bool const offer = answer.refusal.offers_link && out.size() >= offer_bytes && may_be_offered(answer.target);

    char content_store[content_bytes];
    Text content{std::span<char>(content_store, offer ? content_bytes : 512)};
    if (offer) {
        write_offer(content, answer);
    } else {
        write_error(content, answer);
    }

    Text text(out);
    text << "HTTP/1.1 " << status << " " << phrase(status) << "\r\n";
    say_when(text, answer.date);
    text << "Content-Type: " << (offer ? "text/html; charset=utf-8" : "application/json")
         << "\r\nContent-Length: " << content.size()
         << "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Request-Id: " << answer.request_id
         << "\r\nX-Ocgate-Error: " << to_string(failure.side) << " " << to_string(failure.step) << " "
         << to_string(reason_of(failure)) << "\r\n";
    if (offer) {
        text << "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action "
                "'none'; frame-ancestors 'none'\r\n";
    }
    if (answer.refusal.challenge) {
        text << R"(WWW-Authenticate: Basic realm=")" << answer.realm << "\", charset=\"UTF-8\"\r\n";
    }
    if (status == 405) text << "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n";
    if (answer.refusal.retry_after.count() > 0) {
        text << "Retry-After: " << static_cast<std::uint64_t>(answer.refusal.retry_after.count()) << "\r\n";
    }
    end_head(text, answer.close, answer.keep_alive_1_0);
    if (answer.head_only) return {text.size(), 0};
    text << std::string_view(content_store, content.size());
    return {text.size(), content.size()};
}

bool has_content(PageAnswer const& page) noexcept { return page.status != 204 && page.status != 304; }

std::size_t write_page_head(std::span<char> out, PageAnswer const& page, PageFrame const& frame) noexcept {
    Text text(out);
    text << "HTTP/1.1 " << page.status << " " << phrase(page.status) << "\r\n";
    say_when(text, frame.date);
    if (has_content(page)) {
        text << "Content-Type: " << page.content_type << "\r\nContent-Length: " << page.body.size() << "\r\n";
    }
    text << "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Request-Id: " << frame.request_id
         << "\r\n";
    if (!page.allow.empty()) text << "Allow: " << page.allow << "\r\n";
    if (page.status == 503) text << "Retry-After: 1\r\n";
    end_head(text, frame.close, frame.keep_alive_1_0);
    return text.size();
}

}  // namespace ocgate::proxy
