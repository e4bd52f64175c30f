// The memory bytes pass through: windows for many, blocks for few, lent while bytes are there and given back when they
// are gone.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <vector>

namespace ocgate::rt {

/// Chunks of one size. Keeps at most `kept` unused ones.
class ChunkPool {
public:
    ChunkPool(std::size_t bytes, std::size_t kept) : bytes_(bytes), kept_(kept) { free_.reserve(kept); }

    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    [[nodiscard]] std::size_t lent() const noexcept { return lent_; }

    [[nodiscard]] std::unique_ptr<char[]> lend() {
        std::unique_ptr<char[]> chunk;
        if (free_.empty()) {
            chunk.reset(new char[bytes_]);
        } else {
            chunk = std::move(free_.back());
            free_.pop_back();
        }
        ++lent_;
        return chunk;
    }
    void give_back(std::unique_ptr<char[]> chunk) noexcept {
        --lent_;
        if (free_.size() < kept_) free_.push_back(std::move(chunk));
    }
    /// The one that will be lent next, for reading into before it is known whether it is needed.
    [[nodiscard]] char* next() {
        if (free_.empty()) free_.emplace_back(new char[bytes_]);
        return free_.back().get();
    }

private:
    std::size_t bytes_;
    std::size_t kept_;
    std::size_t lent_ = 0;
    std::vector<std::unique_ptr<char[]>> free_;
};

/// One per shard, not thread-safe. How many are lent is bounded by the connections: a block or a window each side.
struct WindowPool {
    /// Most heads and most events fit: a thousand requests that wait for their answers cost little.
    static constexpr std::size_t block_bytes = 2048;

    explicit WindowPool(std::size_t window_bytes, std::size_t kept = 64) : windows(window_bytes, kept) {}

    [[nodiscard]] std::size_t window_bytes() const noexcept { return windows.bytes(); }
    [[nodiscard]] std::size_t lent() const noexcept { return windows.lent(); }

    /// What is passed on without being kept goes through here: one for all connections, made when first used. What a
    /// byte costs is mostly the number of reads, writes and acknowledgements. One byte more than is passed at once, so
    /// that a look shows whether more follows.
    /// Empty where there is no memory for it: then nothing is passed.
    [[nodiscard]] std::span<char> bulk() noexcept {
        if (!bulk_) bulk_.reset(new (std::nothrow) char[bulk_bytes() + 1]);
        return bulk_ ? std::span(bulk_.get(), bulk_bytes() + 1) : std::span<char>();
    }
    [[nodiscard]] std::size_t bulk_bytes() const noexcept { return 8 * window_bytes(); }

    ChunkPool windows;
    ChunkPool blocks{block_bytes, 64};

private:
    std::unique_ptr<char[]> bulk_;
};

}  // namespace ocgate::rt
