// How fast a target may be asked, and how long to wait after a failure. No I/O, no clock and no randomness of its own.
#pragma once

#include "ocgate/rt/types.hpp"

namespace ocgate::notify {

/// A token bucket: `burst` requests at once, then one per `every`. A burst of 0 bounds nothing.
class Budget {
public:
    Budget(unsigned burst, rt::Duration every) noexcept
        : burst_(every > rt::Duration::zero() ? burst : 0), every_(every) {}

    /// Another pace from now on. What was taken at the earlier one leaves at most an empty bucket: 60 that went at once
    /// must not become five minutes of silence when the burst is 1 from now on.
    void pace(unsigned burst, rt::Duration every, rt::Instant now) noexcept;

    /// How many may begin now, of `most`.
    [[nodiscard]] std::size_t room(rt::Instant now, std::size_t most) const noexcept;
    /// When there is room for one.
    [[nodiscard]] rt::Instant next(rt::Instant now) const noexcept;
    /// One has begun. More than there was room for is made up for later.
    void take(rt::Instant now) noexcept;

private:
    Budget(unsigned burst, rt::Duration every, rt::Instant full_at) noexcept : Budget(burst, every) {
        full_at_ = full_at;
    }
    unsigned burst_;
    rt::Duration every_;
    /// When the bucket is full again: each token taken moves it on by `every` (GCRA, ITU-T I.371).
    rt::Instant full_at_{};
};

/// Full jitter: anything from nothing to `first` doubled with each attempt, at most `longest`. `random` is in [0, 1).
[[nodiscard]] rt::Duration back_off(int attempt, rt::Duration first, rt::Duration longest, double random) noexcept;

}  // namespace ocgate::notify
