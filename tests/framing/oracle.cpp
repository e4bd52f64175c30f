#include "oracle.hpp"

#include <algorithm>
#include <optional>

namespace ocgate::framing {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lowered(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), lower);
    return out;
}

bool is_token_char(char c) {
    bool const alnum = (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
    return alnum || (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

bool is_name(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char); }

bool is_text(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        auto const byte = static_cast<unsigned char>(c);
        return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
    });
}

/// Cuts a line off, without its CRLF; nothing while there is no LF. A CR or LF that is not the end's stays in it, and
/// is no text.
std::optional<std::string_view> line_of(std::string_view& bytes) {
    auto const lf = bytes.find('\n');
    if (lf == std::string_view::npos) return std::nullopt;
    auto line = bytes.substr(0, lf + 1);
    bytes.remove_prefix(lf + 1);
    if (line.ends_with("\r\n")) line.remove_suffix(2);
    return line;
}

enum class Got { more, whole, wrong };

/// The lines behind the first one.
Got read_fields(std::string_view& bytes, Fields& fields) {
    for (;;) {
        auto const line = line_of(bytes);
        if (!line) return Got::more;
        if (line->empty()) return Got::whole;
        auto const colon = line->find(": ");
        if (colon == std::string_view::npos || !is_name(line->substr(0, colon))) return Got::wrong;
        auto const value = line->substr(colon + 2);
        bool const padded = value.starts_with(' ') || value.ends_with(' ') || value.starts_with('\t');
        if (!is_text(value) || padded || value.ends_with('\t')) return Got::wrong;
        fields.emplace_back(line->substr(0, colon), value);
    }
}

std::optional<std::size_t> number(std::string_view text, unsigned base) {
    if (text.empty() || text.size() > 19 || (text.size() > 1 && text.front() == '0')) return std::nullopt;
    std::size_t n = 0;
    for (char const c : text) {
        auto const digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
        if (static_cast<unsigned>(digit) >= base) return std::nullopt;
        n = n * base + static_cast<std::size_t>(digit);
    }
    return n;
}

Got read_chunks(std::string_view& bytes, std::string& content) {
    for (;;) {
        auto const line = line_of(bytes);
        if (!line) return Got::more;
        auto const size = line->size() < 9 ? number(*line, 16) : std::nullopt;
        if (!size) return Got::wrong;
        content += bytes.substr(0, *size);
        if (bytes.size() < *size + 2) return Got::more;
        if (bytes.substr(*size, 2) != "\r\n") return Got::wrong;  // no trailers either
        bytes.remove_prefix(*size + 2);
        if (*size == 0) return Got::whole;
    }
}

Got read_content(std::string_view& bytes, Message& message, bool may_end_with_connection, bool ended) {
    auto const codings = message.values("Transfer-Encoding");
    auto const lengths = message.values("Content-Length");
    if (codings.size() + lengths.size() > 1) return Got::wrong;
    if (!codings.empty()) {
        if (codings.front() != "chunked") return Got::wrong;
        return read_chunks(bytes, message.content);
    }
    if (!lengths.empty()) {
        auto const length = number(lengths.front(), 10);
        if (!length) return Got::wrong;
        message.content = bytes.substr(0, *length);
        bytes.remove_prefix(message.content.size());
        return message.content.size() == *length ? Got::whole : Got::more;
    }
    if (!may_end_with_connection) return Got::whole;
    message.to_the_end = true;
    message.content = bytes;
    bytes = {};
    return ended ? Got::whole : Got::more;
}

std::string shown(std::string_view bytes) {
    std::string out;
    for (char const c : bytes.substr(0, 200)) {
        if (c == '\r' || c == '\n') {
            out += c == '\r' ? "\\r" : "\\n";
        } else {
            out += c;
        }
    }
    return out;
}

bool is_websocket(Message const& message) { return lowered(message.value("Upgrade")) == "websocket"; }

std::string fault_of_fields(Message const& message) {
    for (auto const* name : {"Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "TE",
                             "Trailer", "HTTP2-Settings"}) {
        if (!message.values(name).empty()) return std::string(name) + " belongs to one hop";
    }
    for (auto const* name : {"Via", "X-Request-Id", "Connection", "Upgrade"}) {
        if (message.values(name).size() > 1) return std::string(name) + " is there twice";
    }
    return {};
}

}  // namespace

std::vector<std::string> Message::values(std::string_view name) const {
    std::vector<std::string> found;
    for (auto const& [n, value] : fields)
        if (lowered(n) == lowered(name)) found.push_back(value);
    return found;
}

std::string Message::value(std::string_view name) const {
    auto const found = values(name);
    return found.size() == 1 ? found.front() : "";
}

Read read_requests(std::string_view bytes) {
    Read read;
    while (!bytes.empty()) {
        Message message;
        auto const begin = bytes;
        auto const line = line_of(bytes);
        auto got = line ? Got::whole : Got::more;
        if (line) {
            auto const first = line->find(' ');
            auto const last = line->rfind(' ');
            bool const good = first != std::string_view::npos && first < last && line->substr(last) == " HTTP/1.1";
            message.method = line->substr(0, first);
            if (good) message.target = line->substr(first + 1, last - first - 1);
            if (!good || !is_name(message.method) || !message.target.starts_with('/') ||
                message.target.find_first_of(" \t#") != std::string::npos || !is_text(message.target)) {
                got = Got::wrong;
            }
        }
        if (got == Got::whole) got = read_fields(bytes, message.fields);
        if (got == Got::whole && !is_websocket(message)) got = read_content(bytes, message, false, false);
        if (got == Got::wrong) {
            read.complaint = "no request as the gateway writes them: " + shown(begin);
            return read;
        }
        message.whole = got == Got::whole;
        read.messages.push_back(message);
        if (!message.whole) return read;
        if (is_websocket(message)) {
            read.rest = bytes;
            return read;
        }
    }
    return read;
}

Read read_answers(std::string_view bytes, std::vector<std::string> const& methods, bool ended) {
    Read read;
    std::size_t finals = 0;
    while (!bytes.empty()) {
        Message message;
        auto const begin = bytes;
        auto const line = line_of(bytes);
        auto got = line ? Got::whole : Got::more;
        if (line) {
            auto const status = line->starts_with("HTTP/1.1 ") ? number(line->substr(9, 3), 10) : std::nullopt;
            bool const good = status && *status >= 100 && line->size() > 12 && (*line)[12] == ' ' && is_text(*line);
            if (good) message.status = static_cast<unsigned>(*status);
            got = good ? Got::whole : Got::wrong;
        }
        if (got == Got::whole) got = read_fields(bytes, message.fields);
        if (got == Got::whole) {
            auto const status = message.status;
            auto const method = finals < methods.size() ? methods[finals] : "GET";
            bool const bodiless = status < 200 || status == 204 || status == 304 || method == "HEAD";
            if (!bodiless) got = read_content(bytes, message, true, ended);
            if (status >= 200) ++finals;
        }
        if (got == Got::wrong) {
            read.complaint = "no answer as the gateway writes them: " + shown(begin);
            return read;
        }
        message.whole = got == Got::whole;
        read.messages.push_back(message);
        if (!message.whole) return read;
        if (message.status == 101) {
            read.rest = bytes;
            return read;
        }
    }
    return read;
}

std::string fault_of_request(Message const& request, std::string_view credential, std::string_view client_address) {
    if (auto fault = fault_of_fields(request); !fault.empty()) return fault;
    for (auto const* name :
         {"Host", "Via", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Request-Id", "Authorization"}) {
        if (request.values(name).size() != 1) return std::string(name) + " is not there exactly once";
    }
    if (request.value("Authorization") != credential) return "the credential is not the gateway's";
    if (request.value("X-Forwarded-For") != client_address) return "X-Forwarded-For is not the client's address";
    if (request.value("X-Forwarded-Host") != request.value("Host")) return "X-Forwarded-Host is not the client's Host";
    for (auto const& [name, value] : request.fields) {
        auto plain = lowered(name);
        std::replace(plain.begin(), plain.end(), '_', '-');
        bool const ours = plain == "x-forwarded-for" || plain == "x-forwarded-proto" || plain == "x-forwarded-host";
        if (plain == "forwarded" || plain == "x-real-ip" || (plain.starts_with("x-forwarded-") && !ours))
            return name + " is the client's word about itself";
        // Who builds variables of field names reads `_` and `-` alike (RFC 3875 §4.1.18).
        if (plain != lowered(name) && (ours || plain == "host" || plain == "authorization" || plain == "cookie" ||
                                       plain == "content-length" || plain == "transfer-encoding"))
            return name + " says once more what the gateway says";
    }
    if (is_websocket(request)) return request.value("Connection") == "Upgrade" ? "" : "a handshake without Connection";
    if (!request.values("Connection").empty() || !request.values("Upgrade").empty()) return "Connection or Upgrade";
    return {};
}

std::string fault_of_answer(Message const& answer) {
    if (auto fault = fault_of_fields(answer); !fault.empty()) return fault;
    bool const bodiless = answer.status < 200 || answer.status == 204;
    if (bodiless && !(answer.values("Content-Length").empty() && answer.values("Transfer-Encoding").empty()))
        return "an answer without content speaks of its length";
    if (answer.status >= 200 && answer.values("X-Request-Id").size() != 1) return "X-Request-Id is missing";
    auto const connection = answer.value("Connection");
    if (answer.status == 101) return connection == "Upgrade" && is_websocket(answer) ? "" : "101 to what?";
    if (!answer.values("Upgrade").empty()) return "Upgrade belongs to one hop";
    if (!connection.empty() && connection != "close" && connection != "keep-alive") return "Connection: " + connection;
    return {};
}

}  // namespace ocgate::framing
