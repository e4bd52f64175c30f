// Many deadlines, one alarm. Moving a deadline away, which is what happens on every read and write, only stores the
// new time; the heap hears of it when the old time comes round.
#pragma once

#include <memory>
#include <vector>

#include "ocgate/rt/clock.hpp"

namespace ocgate::rt {

inline constexpr Instant never = Instant::max();

class Deadlines;

/// A point in time at which `expired` is called once, from the shard's thread, outside every other callback of ours.
/// Lives inside what it watches; destroying it takes it out.
class Deadline {
public:
    using Expired = void (*)(void* owner);
    Deadline(Deadlines& deadlines, Expired expired, void* owner) noexcept
        : deadlines_(deadlines), expired_(expired), owner_(owner) {}
    ~Deadline();
    Deadline(Deadline const&) = delete;
    Deadline& operator=(Deadline const&) = delete;

    /// `never` takes it back.
    void set(Instant when);
    [[nodiscard]] Instant when() const noexcept { return when_; }

private:
    friend class Deadlines;
    static constexpr std::uint32_t not_queued = ~std::uint32_t{0};

    Deadlines& deadlines_;
    Expired expired_;
    void* owner_;
    Instant when_ = never;    ///< what is wanted
    Instant queued_ = never;  ///< what the heap knows: never later than `when_`
    std::uint32_t place_ = not_queued;
};

/// One per shard. Outlives its deadlines.
class Deadlines {
public:
    Deadlines(Executor executor, Clock& clock);
    Deadlines(Deadlines const&) = delete;
    Deadlines& operator=(Deadlines const&) = delete;

    [[nodiscard]] Clock& clock() const noexcept { return clock_; }
    [[nodiscard]] Instant now() const noexcept { return clock_.now(); }
    /// How many are in the heap, for the tests' "nothing is left".
    [[nodiscard]] std::size_t active() const noexcept;

private:
    friend class Deadline;
    void enqueue(Deadline& deadline);
    void remove(Deadline& deadline) noexcept;
    void place(Deadline& deadline, std::uint32_t at) noexcept;
    void sift_up(std::uint32_t at) noexcept;
    void sift_down(std::uint32_t at) noexcept;
    void ring();
    void aim();

    Clock& clock_;
    std::vector<Deadline*> heap_;  ///< bounded by the deadlines alive: a handful per connection
    std::unique_ptr<Alarm> alarm_;
    Instant aimed_ = never;
};

}  // namespace ocgate::rt
