#include "heap.hpp"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

namespace ocgate::test {
namespace {

thread_local std::size_t count = 0;
thread_local std::size_t until_failure = 0;
thread_local bool failed = false;
std::atomic<std::size_t> most{SIZE_MAX};

void* allocate(std::size_t size) noexcept {
    ++count;
    if (until_failure > 0 && --until_failure == 0) {
        failed = true;
        return nullptr;
    }
    return size >= most ? nullptr : std::malloc(size == 0 ? 1 : size);
}

void* allocate_or_throw(std::size_t size) {
    if (void* memory = allocate(size)) return memory;
    throw std::bad_alloc();
}

}  // namespace

std::size_t allocations() noexcept { return count; }

bool fail_allocation(std::size_t nth) noexcept {
    until_failure = nth;
    return std::exchange(failed, false);
}

NoMemory::NoMemory(std::size_t from_bytes) noexcept { most = from_bytes; }
NoMemory::~NoMemory() { most = SIZE_MAX; }

}  // namespace ocgate::test

// All forms without an alignment. AddressSanitizer brings each form with an allocator of its own, so one that were left
// to it would not be counted, and `free` would be called for its memory.
void* operator new(std::size_t size) { return ocgate::test::allocate_or_throw(size); }
void* operator new[](std::size_t size) { return ocgate::test::allocate_or_throw(size); }
void* operator new(std::size_t size, std::nothrow_t const&) noexcept { return ocgate::test::allocate(size); }
void* operator new[](std::size_t size, std::nothrow_t const&) noexcept { return ocgate::test::allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::nothrow_t const&) noexcept { std::free(memory); }
void operator delete[](void* memory, std::nothrow_t const&) noexcept { std::free(memory); }
