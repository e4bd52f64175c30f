// Where a body ends and how it is framed anew. No I/O.
#pragma once

#include <cassert>

#include "ocgate/rt/peer.hpp"
#include "ocgate/wire/chunked.hpp"

namespace ocgate::proxy {

/// Takes content off the front of what was read, as the message's framing says.
class BodyReader {
public:
    struct Piece {
        std::string_view content;
        std::size_t consumed = 0;
        bool complete = false;
    };

    /// `max_content` bytes at most (Reason::body_too_large); 0: no bound.
    explicit BodyReader(wire::Framing framing, std::uint64_t max_content = 0) noexcept
        : framing_(framing), left_(framing.length), max_content_(max_content) {}

    boost::system::result<Piece, Reason> take(std::span<char> bytes) noexcept {
        Piece piece;
        switch (framing_.kind) {
            case wire::Framing::Kind::none:
                piece.complete = true;
                break;
            case wire::Framing::Kind::length:
                piece.content = {bytes.data(), static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), left_))};
                piece.consumed = piece.content.size();
                left_ -= piece.consumed;
                piece.complete = left_ == 0;
                break;
            case wire::Framing::Kind::chunked: {
                auto const decoded = decoder_.decode(bytes);
                if (!decoded) return decoded.error();
                piece = {decoded->content, decoded->consumed, decoded->complete};
                break;
            }
            case wire::Framing::Kind::until_close:
                piece = {{bytes.data(), bytes.size()}, bytes.size(), false};
                break;
        }
        content_bytes_ += piece.content.size();
        if (max_content_ > 0 && content_bytes_ > max_content_) return Reason::body_too_large;
        return piece;
    }

    /// How many bytes are sure to follow that are content and nothing else: they may be passed on unseen.
    [[nodiscard]] std::uint64_t unframed() const noexcept {
        return framing_.kind == wire::Framing::Kind::length ? left_ : 0;
    }
    /// So many of them were.
    void passed(std::uint64_t bytes) noexcept {
        assert(bytes <= left_);
        left_ -= bytes;
        content_bytes_ += bytes;
    }
    /// Nothing is left of a body with a length.
    [[nodiscard]] bool over() const noexcept { return framing_.kind == wire::Framing::Kind::length && left_ == 0; }

    /// The peer has ended its side: whether that ends this body as it should.
    [[nodiscard]] bool ends_with_connection() const noexcept {
        return framing_.kind == wire::Framing::Kind::until_close;
    }
    [[nodiscard]] std::uint64_t content_bytes() const noexcept { return content_bytes_; }

private:
    wire::Framing framing_;
    std::uint64_t left_;
    std::uint64_t max_content_;
    std::uint64_t content_bytes_ = 0;
    wire::ChunkedDecoder decoder_;
};

/// Puts content into the framing the next hop was promised. One per body: it holds the chunk's size line.
class BodyWriter {
public:
    explicit BodyWriter(bool chunked) noexcept : chunked_(chunked) {}

    /// Adds at most three pieces to `out`.
    void frame(rt::Gather& out, std::string_view content, bool complete) noexcept {
        if (!chunked_) {
            out.add(content);
        } else if (!content.empty()) {
            size_ = wire::ChunkHead(content.size());
            out.add(size_.text());
            out.add(content);
            out.add(complete ? end_and_last : wire::chunk_end);
        } else if (complete) {
            out.add(wire::last_chunk);
        }
    }

private:
    static constexpr std::string_view end_and_last = "\r\n0\r\n\r\n";
    bool chunked_;
    wire::ChunkHead size_{0};
};

}  // namespace ocgate::proxy
