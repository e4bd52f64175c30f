// The content of an HTTP/1.1 message, read whatever way the bytes were cut, and written. As strict as a test can be:
// the gateway writes no chunk extensions and no trailers, so there are none here.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "net.hpp"
#include "upstream_requests.hpp"

namespace soak {

class Content {
public:
    /// By the fields of a head. `to_the_end`: what an answer has that says nothing.
    static Content of(std::string_view head, bool to_the_end) {
        Content made;
        auto const length = bench::field(head, "Content-Length");
        bool const chunked = bench::same_but_case(bench::field(head, "Transfer-Encoding"), "chunked");
        if (chunked && !length.empty()) throw std::runtime_error("a length and chunks");
        if (chunked) {
            made.state_ = State::size;
        } else if (!length.empty()) {
            made.left_ = static_cast<std::uint64_t>(bench::Arguments::to_number(length));
            made.state_ = made.left_ > 0 ? State::plain : State::done;
        } else {
            made.state_ = to_the_end ? State::until_end : State::done;
        }
        return made;
    }

    bool done() const { return state_ == State::done; }

    /// How many bytes it took; what is beyond the end is left.
    template <class OnContent>
    std::size_t feed(std::string_view const bytes, OnContent&& on_content) {
        auto rest = bytes;
        while (!rest.empty() && state_ != State::done) {
            if (state_ == State::plain || state_ == State::chunk || state_ == State::until_end) {
                auto const part = state_ == State::until_end ? rest : rest.substr(0, left_);
                rest.remove_prefix(part.size());
                if (state_ != State::until_end && (left_ -= part.size()) == 0) {
                    state_ = state_ == State::plain ? State::done : State::chunk_end;
                }
                on_content(part);
            } else {
                take_line(rest.front());
                rest.remove_prefix(1);
            }
        }
        return bytes.size() - rest.size();
    }

private:
    enum class State { done, plain, until_end, size, chunk, chunk_end, last };

    void take_line(char c) {
        line_ += c;
        if (!line_.ends_with("\r\n")) {
            if (line_.size() > 20) throw std::runtime_error("a chunk without a size");
            return;
        }
        line_.resize(line_.size() - 2);
        if (state_ == State::size) {
            auto const [end, error] = std::from_chars(line_.data(), line_.data() + line_.size(), left_, 16);
            if (error != std::errc{} || end != line_.data() + line_.size() || line_.empty())
                throw std::runtime_error("a chunk without a size");
            state_ = left_ > 0 ? State::chunk : State::last;
        } else {
            if (!line_.empty()) throw std::runtime_error("bytes where a chunk should end");
            state_ = state_ == State::last ? State::done : State::size;
        }
        line_.clear();
    }

    State state_ = State::done;
    std::uint64_t left_ = 0;
    std::string line_;
};

inline std::string chunk_of(std::string_view bytes) {
    std::array<char, 16> digits{};
    auto const end = std::to_chars(digits.data(), digits.data() + digits.size(), bytes.size(), 16).ptr;
    std::string text(digits.data(), end);
    return text.append("\r\n").append(bytes).append("\r\n");
}

/// Closing it sends a reset: what was on its way is lost.
inline void will_reset(int fd) {
    linger const at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

}  // namespace soak
