// How many times this thread has allocated with `new`, and memory that runs out.
#pragma once

#include <cstddef>

namespace ocgate::test {

[[nodiscard]] std::size_t allocations() noexcept;
[[nodiscard]] bool too_much(std::size_t size) noexcept;

/// While it lives no thread gets that many bytes or more at once.
class NoMemory {
public:
    explicit NoMemory(std::size_t from_bytes) noexcept;
    ~NoMemory();
    NoMemory(NoMemory const&) = delete;
    NoMemory& operator=(NoMemory const&) = delete;
};

}  // namespace ocgate::test
