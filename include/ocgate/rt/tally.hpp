// Figures that one thread keeps while any thread may read them: a relaxed load and store each, no locked instruction.
#pragma once

#include <atomic>
#include <cstdint>

namespace ocgate::rt {

/// Only grows. One writer.
class Tally {
public:
    void add(std::uint64_t n = 1) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

/// Goes up and down. One writer.
class Level {
public:
    void add(std::int64_t n) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    void set(std::int64_t n) noexcept { value_.store(n, std::memory_order_relaxed); }
    [[nodiscard]] std::int64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::int64_t> value_{0};
};

/// What the connections of one side move together, counted as they move it.
struct Traffic {
    Tally received;   ///< bytes
    Tally sent;       ///< bytes
    Tally waited_ns;  ///< for room to write, summed up over the connections
};

}  // namespace ocgate::rt
