#include "heap.hpp"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace ocgate::test {
namespace {

thread_local std::size_t count = 0;
std::atomic<std::size_t> most{SIZE_MAX};

}  // namespace

std::size_t allocations() noexcept { return count; }

bool too_much(std::size_t size) noexcept { return size >= most; }

NoMemory::NoMemory(std::size_t from_bytes) noexcept { most = from_bytes; }
NoMemory::~NoMemory() { most = SIZE_MAX; }

}  // namespace ocgate::test

// The other forms end in these two.
void* operator new(std::size_t size) {
    ++ocgate::test::count;
    if (ocgate::test::too_much(size)) throw std::bad_alloc();
    if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
