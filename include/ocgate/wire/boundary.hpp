// Where one may cut in or stop without breaking a message apart: between server-sent events, between WebSocket frames.
// Plain scanners over bytes that pass by; they hold no content.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ocgate::wire {

inline constexpr std::size_t no_boundary = std::string_view::npos;

/// Follows an event stream (WHATWG HTML, "Parsing an event stream"; lines end with LF, CR or CRLF) and knows whether
/// its end so far is the end of an event. The start of the stream is a boundary. `feed` looks at no more than the last
/// four bytes: it costs the same for an event of 30 MB.
class EventBoundary {
public:
    void feed(std::string_view bytes) noexcept;
    [[nodiscard]] bool at_boundary() const noexcept;
    /// Of `bytes`, which come next: the offset just behind the first end of an event; `no_boundary` if there is none.
    [[nodiscard]] std::size_t first_boundary(std::string_view bytes) const noexcept;

private:
    std::array<char, 4> last_{'\n', '\n', '\n', '\n'};
};

/// Follows one direction of a WebSocket connection (RFC 6455 §5.2) and knows whether it stands between two frames.
/// Trusts nothing but lengths: reserved bits and opcodes pass as they are.
class FrameBoundary {
public:
    void feed(std::string_view bytes) noexcept;
    [[nodiscard]] bool at_boundary() const noexcept { return payload_left_ == 0 && header_have_ == 0; }
    /// Of `bytes`, which come next: the offset just behind the first end of a frame; `no_boundary` if there is none.
    [[nodiscard]] std::size_t first_boundary(std::string_view bytes) const noexcept;
    /// A Close frame has passed: no frame may follow it.
    [[nodiscard]] bool closed() const noexcept { return closed_; }

private:
    std::size_t take(std::string_view bytes, bool stop_at_boundary) noexcept;

    std::uint64_t payload_left_ = 0;
    std::array<unsigned char, 14> header_{};
    std::uint8_t header_have_ = 0;
    bool closed_ = false;
};

/// An unmasked Close frame, as a server sends it (RFC 6455 §5.5.1). `reason` is UTF-8 of at most 123 bytes.
[[nodiscard]] std::string close_frame(std::uint16_t code, std::string_view reason);

/// The Sec-WebSocket-Accept that answers `key` (RFC 6455 §4.2.2).
[[nodiscard]] std::string websocket_accept(std::string_view key);

}  // namespace ocgate::wire
