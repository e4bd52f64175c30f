#include "ocgate/rt/task.hpp"

#include <array>
#include <new>

namespace ocgate::rt {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool keep = false;
#else
constexpr bool keep = true;
#endif

constexpr std::size_t step = 64;
constexpr std::size_t largest = 2048;
constexpr unsigned kept_of_a_size = 64;

constexpr std::size_t class_of(std::size_t bytes) noexcept { return (bytes + step - 1) / step; }

/// Chunks given back, by size. Trivially destructible on purpose: a thread's last frames may be freed after it.
struct Lists {
    struct Chunk {
        Chunk* next;
    };
    struct List {
        Chunk* first;
        unsigned count;
    };
    std::array<List, largest / step + 1> of_size;
};

thread_local Lists lists;  // NOLINT: zeroed

/// Gives the memory back when the thread ends.
struct Emptied {
    ~Emptied() {
        for (auto& list : lists.of_size) {
            list.count = kept_of_a_size;  // what is freed from now on goes straight back
            while (list.first) ::operator delete(std::exchange(list.first, list.first->next));
        }
    }
};

}  // namespace

void* allocate_frame(std::size_t bytes) {
    if (!keep || bytes > largest) return ::operator new(bytes);
    auto& list = lists.of_size[class_of(bytes)];
    if (list.first) {
        --list.count;
        return std::exchange(list.first, list.first->next);
    }
    thread_local Emptied const emptied;
    (void)emptied;
    return ::operator new(class_of(bytes) * step);
}

void free_frame(void* frame, std::size_t bytes) noexcept {
    auto const size_class = class_of(bytes);
    if (!keep || bytes > largest || lists.of_size[size_class].count >= kept_of_a_size) return ::operator delete(frame);
    auto& list = lists.of_size[size_class];
    list.first = new (frame) Lists::Chunk{list.first};
    ++list.count;
}

}  // namespace ocgate::rt
