// The chunked transfer coding (RFC 9112 §7.1), decoded strictly and in place. Knows no sockets.
#pragma once

#include <cstdint>
#include <span>

#include "ocgate/wire/head.hpp"

namespace ocgate::wire {

/// Takes the coding off, whatever way the bytes are split. Chunk extensions and trailers are checked and dropped.
/// Refuses: an empty size or one above 16 digits or 2^63 - 1, signs, white space around it, bare CR or LF anywhere, a
/// chunk extension line above 256 bytes, trailers above 8 KiB, data not followed by CRLF. Holds no bytes, only its
/// place.
class ChunkedDecoder {
public:
    struct Decoded {
        std::string_view content;  ///< a view into `bytes`
        std::size_t consumed = 0;  ///< of `bytes`; less than all of them only when `complete`
        bool complete = false;     ///< the last chunk and the trailers are over
    };

    /// Decodes what is there. The content of several chunks is moved together within `bytes`.
    boost::system::result<Decoded, Reason> decode(std::span<char> bytes) noexcept;

    [[nodiscard]] bool complete() const noexcept { return state_ == State::complete; }

private:
    enum class State : std::uint8_t {
        size_first,
        size,
        extension,
        size_lf,
        data,
        data_cr,
        data_lf,
        trailer_first,
        trailer_name,
        trailer_value,
        trailer_lf,
        last_lf,
        complete,
        refused,  ///< for good
    };
    bool step(unsigned char byte) noexcept;

    State state_ = State::size_first;
    std::uint8_t digits_ = 0;
    std::uint16_t extension_bytes_ = 0;
    std::uint16_t trailer_bytes_ = 0;
    std::uint64_t left_ = 0;  ///< of this chunk's data
};

/// The size line that goes before `size` bytes of chunk data: lower-case hex and CRLF.
struct ChunkHead {
    explicit ChunkHead(std::uint64_t size) noexcept;
    [[nodiscard]] std::string_view text() const noexcept { return {text_.data() + begin_, text_.size() - begin_}; }

private:
    std::array<char, 18> text_;
    std::uint8_t begin_;
};

inline constexpr std::string_view chunk_end = "\r\n";
inline constexpr std::string_view last_chunk = "0\r\n\r\n";

}  // namespace ocgate::wire
