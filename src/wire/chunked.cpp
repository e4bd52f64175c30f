#include "ocgate/wire/chunked.hpp"

#include <algorithm>
#include <cstring>

#include "chars.hpp"

namespace ocgate::wire {
namespace {
constexpr std::uint8_t max_size_digits = 16;
constexpr std::uint16_t max_extension_bytes = 256;
constexpr std::uint16_t max_trailer_bytes = 8 * 1024;
}  // namespace

boost::system::result<ChunkedDecoder::Decoded, Reason> ChunkedDecoder::decode(std::span<char> bytes) noexcept {
    auto* at = bytes.data();
    auto* const end = at + bytes.size();
    char* content = at;
    char* content_end = at;
    while (at != end && state_ != State::complete) {
        if (state_ != State::data) {
            if (!step(static_cast<unsigned char>(*at))) {
                state_ = State::refused;
                return Reason::malformed;
            }
            ++at;
            continue;
        }
        auto const n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, static_cast<std::size_t>(end - at)));
        if (content == content_end) {
            content = content_end = at;
        } else {
            std::memmove(content_end, at, n);
        }
        content_end += n;
        at += n;
        left_ -= n;
        if (left_ == 0) state_ = State::data_cr;
    }
    if (state_ == State::refused) return Reason::malformed;
    Decoded decoded;
    decoded.content = {content, static_cast<std::size_t>(content_end - content)};
    decoded.consumed = static_cast<std::size_t>(at - bytes.data());
    decoded.complete = state_ == State::complete;
    return decoded;
}

// One byte of what is not data. False: the message is malformed.
bool ChunkedDecoder::step(unsigned char byte) noexcept {
    char const c = static_cast<char>(byte);
    switch (state_) {
        case State::size_first:
            digits_ = 0;
            left_ = 0;
            extension_bytes_ = 0;
            state_ = State::size;
            [[fallthrough]];
        case State::size: {
            if (auto const digit = hex_value(c); digit >= 0) {
                // Half of the 64 bits stay free, so that sums cannot overflow.
                if (++digits_ > max_size_digits || left_ >> 59U != 0) return false;
                left_ = left_ << 4U | static_cast<std::uint64_t>(digit);
                return true;
            }
            if (digits_ == 0) return false;
            if (c == '\r') {
                state_ = State::size_lf;
                return true;
            }
            state_ = State::extension;
            return c == ';';
        }
        case State::extension:
            if (c == '\r') {
                state_ = State::size_lf;
                return true;
            }
            return ++extension_bytes_ < max_extension_bytes && is_value_byte(byte);
        case State::size_lf:
            state_ = left_ > 0 ? State::data : State::trailer_first;
            return c == '\n';
        case State::data:
            return false;  // never comes here
        case State::data_cr:
            state_ = State::data_lf;
            return c == '\r';
        case State::data_lf:
            state_ = State::size_first;
            return c == '\n';
        case State::trailer_first:
            if (c == '\r') {
                state_ = State::last_lf;
                return true;
            }
            state_ = State::trailer_name;
            return ++trailer_bytes_ <= max_trailer_bytes && is_in(token_chars, c);
        case State::trailer_name:
            if (c == ':') state_ = State::trailer_value;
            return ++trailer_bytes_ <= max_trailer_bytes && (c == ':' || is_in(token_chars, c));
        case State::trailer_value:
            if (c == '\r') state_ = State::trailer_lf;
            return ++trailer_bytes_ <= max_trailer_bytes && (c == '\r' || is_value_byte(byte));
        case State::trailer_lf:
            state_ = State::trailer_first;
            return ++trailer_bytes_ <= max_trailer_bytes && c == '\n';
        case State::last_lf:
            state_ = State::complete;
            return c == '\n';
        case State::complete:
        case State::refused:
            return false;
    }
    return false;
}

ChunkHead::ChunkHead(std::uint64_t size) noexcept : text_{}, begin_(16) {
    text_[16] = '\r';
    text_[17] = '\n';
    do {
        text_[--begin_] = "0123456789abcdef"[size & 0xfU];
        size >>= 4U;
    } while (size != 0);
}

}  // namespace ocgate::wire
