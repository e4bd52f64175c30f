// How many times a thread has allocated with `new`, and memory that runs out. A program that links `ocgate_heap` has
// its `new` and `delete` from here, with malloc below them: a sanitizer still watches the memory, only not the pairing.
#pragma once

#include <cstddef>

namespace ocgate::test {

/// Of this thread.
[[nodiscard]] std::size_t allocations() noexcept;

/// The n-th allocation of this thread from now on fails, and only that one. 0: none does. Gives whether the one that
/// was asked for before has failed.
bool fail_allocation(std::size_t nth) noexcept;

/// While it lives no thread gets that many bytes or more at once.
class NoMemory {
public:
    explicit NoMemory(std::size_t from_bytes) noexcept;
    ~NoMemory();
    NoMemory(NoMemory const&) = delete;
    NoMemory& operator=(NoMemory const&) = delete;
};

}  // namespace ocgate::test
