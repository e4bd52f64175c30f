// Reads the answers a load gets: HTTP/1.1 as far as the bench's upstream and the proxies speak it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "net.hpp"

namespace bench {

// The example of RFC 6455 §1.3.
constexpr std::string_view websocket_key = "dGhlIHNhbXBsZSBub25jZQ==",
                           websocket_accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Reads one answer after the other, whatever way the bytes were cut.
class AnswerReader {
public:
    int status() const { return status_; }
    bool at_body() const { return state_ != State::head; }
    bool done() const { return state_ == State::done; }
    bool closes() const { return closes_; }
    bool asks_for_credentials() const { return asks_for_credentials_; }
    void next() { *this = AnswerReader(); }

    /// Takes bytes up to the end of the answer, returns how many. What is beyond a head of 200 without length, or of
    /// 101, is body until the end.
    template <class OnBody>
    std::size_t feed(std::string_view const bytes, OnBody&& on_body) {
        std::string_view rest = bytes;
        while (!rest.empty() && state_ != State::done) {
            switch (state_) {
                case State::head:
                    take_head(rest);
                    break;
                case State::length: {
                    auto const part = take(rest, left_);
                    on_body(part);
                    if ((left_ -= part.size()) == 0) state_ = State::done;
                    break;
                }
                case State::until_end:
                    on_body(take(rest, rest.size()));
                    break;
                case State::chunk_size:
                    take_chunk_size(rest);
                    break;
                case State::chunk: {
                    auto const part = take(rest, left_);
                    on_body(part);
                    if ((left_ -= part.size()) == 0) left_ = 2, state_ = State::chunk_end;
                    break;
                }
                case State::chunk_end:
                    if ((left_ -= take(rest, left_).size()) == 0) state_ = State::chunk_size;
                    break;
                case State::trailer:
                    take_trailer(rest);
                    break;
                case State::done:
                    break;
            }
        }
        return bytes.size() - rest.size();
    }

private:
    enum class State { head, length, until_end, chunk_size, chunk, chunk_end, trailer, done };

    static std::string_view take(std::string_view& from, std::size_t n) {
        auto const part = from.substr(0, n);
        from.remove_prefix(part.size());
        return part;
    }

    void take_head(std::string_view& rest) {
        std::size_t const before = kept_.size();
        if (before > 0) kept_ += rest;
        std::string_view const all = before > 0 ? std::string_view(kept_) : rest;
        auto const end = all.find("\r\n\r\n");
        if (end == std::string_view::npos) {
            if (before == 0) kept_ = rest;
            rest = {};
            return;
        }
        parse_head(all.substr(0, end + 2));
        rest.remove_prefix(end + 4 - before);
        kept_.clear();
    }

    void parse_head(std::string_view head) {
        if (head.size() < 12 || !head.starts_with("HTTP/1.")) throw std::runtime_error("an answer that is not HTTP");
        status_ = static_cast<int>(Arguments::to_number(head.substr(9, 3)));
        state_ = State::until_end;
        bool chunked = false;
        bool accepted = false;
        std::optional<std::size_t> length;
        for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
            auto const end = head.find("\r\n", at);
            auto const line = head.substr(at, end - at);
            at = end + 2;
            if (is(line, "content-length:")) length = static_cast<std::size_t>(Arguments::to_number(value(line)));
            if (is(line, "transfer-encoding:")) chunked = true;
            if (is(line, "connection:") && is(value(line), "close")) closes_ = true;
            if (is(line, "www-authenticate:") && is(value(line), "basic")) asks_for_credentials_ = true;
            if (is(line, "sec-websocket-accept:")) accepted = value(line) == websocket_accept;
        }
        if (status_ == 101 && !accepted) throw std::runtime_error("a WebSocket that was not accepted by its key");
        if (status_ == 101) return;
        if (status_ < 200) {
            state_ = State::head;
        } else if (chunked) {
            state_ = State::chunk_size;
        } else if (length || status_ == 204 || status_ == 304) {
            left_ = length.value_or(0);
            state_ = left_ > 0 ? State::length : State::done;
        }
    }

    static bool is(std::string_view line, std::string_view lower) {
        return line.size() >= lower.size() && std::equal(lower.begin(), lower.end(), line.begin(),
                                                         [](char l, char c) { return (c | 32) == (l | 32); });
    }
    static std::string_view value(std::string_view line) {
        auto const from = line.find_first_not_of(' ', line.find(':') + 1);
        return from == std::string_view::npos ? "" : line.substr(from);
    }

    void take_chunk_size(std::string_view& rest) {
        char const c = rest.front();
        rest.remove_prefix(1);
        if (c == '\n') {
            state_ = left_ > 0 ? State::chunk : State::trailer;
            line_bytes_ = 0;
        } else if (c != '\r') {
            int const digit = c >= '0' && c <= '9'                 ? c - '0'
                              : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                                   : -1;
            if (digit < 0) throw std::runtime_error("a chunk without a size");
            left_ = left_ * 16 + static_cast<std::size_t>(digit);
        }
    }

    void take_trailer(std::string_view& rest) {
        char const c = rest.front();
        rest.remove_prefix(1);
        if (c == '\n' && line_bytes_ == 0) state_ = State::done;
        line_bytes_ = c == '\n' ? 0 : c == '\r' ? line_bytes_ : line_bytes_ + 1;
    }

    State state_ = State::head;
    std::string kept_;
    int status_ = 0;
    bool closes_ = false, asks_for_credentials_ = false;
    std::size_t left_ = 0, line_bytes_ = 0;
};

}  // namespace bench
