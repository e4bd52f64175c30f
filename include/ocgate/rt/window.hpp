// The memory bytes pass through: windows of one size, lent while bytes are there and given back when they are gone.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace ocgate::rt {

/// One per shard, not thread-safe. Keeps at most `kept` unused windows; how many are lent is bounded by the
/// connections (two windows each).
class WindowPool {
public:
    explicit WindowPool(std::size_t window_bytes, std::size_t kept = 64) : window_bytes_(window_bytes), kept_(kept) {
        free_.reserve(kept);
    }

    [[nodiscard]] std::size_t window_bytes() const noexcept { return window_bytes_; }
    [[nodiscard]] std::size_t lent() const noexcept { return lent_; }

    [[nodiscard]] std::unique_ptr<char[]> lend() {
        if (free_.empty()) {
            std::unique_ptr<char[]> window(new char[window_bytes_]);
            ++lent_;
            return window;
        }
        ++lent_;
        auto window = std::move(free_.back());
        free_.pop_back();
        return window;
    }
    void give_back(std::unique_ptr<char[]> window) noexcept {
        --lent_;
        if (free_.size() < kept_) free_.push_back(std::move(window));
    }

private:
    std::size_t window_bytes_;
    std::size_t kept_;
    std::size_t lent_ = 0;
    std::vector<std::unique_ptr<char[]>> free_;
};

}  // namespace ocgate::rt
