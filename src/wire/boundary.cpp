#include "ocgate/wire/boundary.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace ocgate::wire {
namespace {

constexpr bool ends_line(char c) noexcept { return c == '\n' || c == '\r'; }

/// Whether the last of four bytes ends an empty line. A CR does so at once: an LF behind it belongs to the same end,
/// and coming late it is one more empty line, which means nothing.
constexpr bool ends_event(std::array<char, 4> const& last) noexcept {
    if (last[3] == '\r') return ends_line(last[2]);
    if (last[3] != '\n') return false;
    return last[2] == '\n' || (last[2] == '\r' && ends_line(last[1]));
}

constexpr unsigned opcode_close = 0x8;

}  // namespace

void EventBoundary::feed(std::string_view bytes) noexcept {
    if (bytes.size() >= last_.size()) {
        std::copy(bytes.end() - 4, bytes.end(), last_.begin());
        return;
    }
    for (char const c : bytes) last_ = {last_[1], last_[2], last_[3], c};
}

bool EventBoundary::at_boundary() const noexcept { return ends_event(last_); }

std::size_t EventBoundary::first_boundary(std::string_view bytes) const noexcept {
    auto last = last_;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        last = {last[1], last[2], last[3], bytes[i]};
        if (!ends_event(last)) continue;
        bool const rest_of_crlf = bytes[i] == '\r' && i + 1 < bytes.size() && bytes[i + 1] == '\n';
        return i + (rest_of_crlf ? 2 : 1);
    }
    return no_boundary;
}

void FrameBoundary::feed(std::string_view bytes) noexcept { take(bytes, false); }

std::size_t FrameBoundary::first_boundary(std::string_view bytes) const noexcept {
    auto copy = *this;
    return copy.take(bytes, true);
}

std::size_t FrameBoundary::take(std::string_view bytes, bool stop_at_boundary) noexcept {
    std::size_t at = 0;
    while (at < bytes.size()) {
        if (payload_left_ == 0) {
            header_[header_have_++] = static_cast<unsigned char>(bytes[at++]);
            if (header_have_ < 2) continue;
            unsigned const short_length = header_[1] & 0x7fU;
            std::size_t const length_bytes = short_length == 127 ? 8 : short_length == 126 ? 2 : 0;
            std::size_t const mask_bytes = (header_[1] & 0x80U) != 0 ? 4 : 0;
            if (header_have_ < 2 + length_bytes + mask_bytes) continue;
            payload_left_ = length_bytes == 0 ? short_length : 0;
            for (std::size_t i = 0; i < length_bytes; ++i) payload_left_ = payload_left_ << 8U | header_[2 + i];
            header_have_ = 0;
        } else {
            auto const n = std::min<std::uint64_t>(payload_left_, bytes.size() - at);
            payload_left_ -= n;
            at += static_cast<std::size_t>(n);
        }
        if (payload_left_ == 0) {
            if ((header_[0] & 0x0fU) == opcode_close) closed_ = true;
            if (stop_at_boundary) return at;
        }
    }
    return no_boundary;
}

std::string close_frame(std::uint16_t code, std::string_view reason) {
    constexpr std::size_t max_reason_bytes = 123;
    if (reason.size() > max_reason_bytes) {
        std::size_t cut = max_reason_bytes;
        while (cut > 0 && (static_cast<unsigned char>(reason[cut]) & 0xc0U) == 0x80U) --cut;
        reason = reason.substr(0, cut);
    }
    std::string frame;
    frame.reserve(4 + reason.size());
    frame += static_cast<char>(0x80U | opcode_close);
    frame += static_cast<char>(2 + reason.size());
    frame += static_cast<char>(code >> 8U);
    frame += static_cast<char>(code & 0xffU);
    frame += reason;
    return frame;
}

std::string websocket_accept(std::string_view key) {
    std::string text(key);
    text += "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    std::array<unsigned char, 20> digest{};
    unsigned size = 0;
    if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) != 1 || size != digest.size())
        throw std::runtime_error("SHA-1 is not available, and without it no WebSocket");
    std::array<unsigned char, 29> base64{};  // 28 characters and a NUL
    auto const n = EVP_EncodeBlock(base64.data(), digest.data(), static_cast<int>(digest.size()));
    return {base64.begin(), base64.begin() + n};
}

}  // namespace ocgate::wire
