#include "budget.hpp"

#include <algorithm>

namespace ocgate::notify {

std::size_t Budget::room(rt::Instant now, std::size_t most) const noexcept {
    if (burst_ == 0) return most;
    auto const owed = full_at_ <= now ? rt::Duration::zero() : full_at_ - now;
    auto const free = burst_ * every_ - owed;
    return free < every_ ? 0 : std::min(most, static_cast<std::size_t>(free / every_));
}

rt::Instant Budget::next(rt::Instant now) const noexcept {
    return room(now, 1) > 0 ? now : full_at_ - (burst_ - 1) * every_;
}

void Budget::pace(unsigned burst, rt::Duration every, rt::Instant now) noexcept {
    Budget const other(burst, every, full_at_);
    if (other.burst_ == burst_ && other.every_ == every_) return;
    *this = other;
    full_at_ = std::min(full_at_, now + burst_ * every_);
}

void Budget::take(rt::Instant now) noexcept {
    if (burst_ > 0) full_at_ = std::max(full_at_, now) + every_;
}

rt::Duration back_off(int attempt, rt::Duration first, rt::Duration longest, double random) noexcept {
    auto limit = first;
    for (int n = 1; n < attempt && limit < longest; ++n) limit *= 2;
    limit = std::min(limit, longest);
    auto const part = std::clamp(random, 0.0, 1.0) * static_cast<double>(limit.count());
    return rt::Duration(static_cast<rt::Duration::rep>(part));
}

}  // namespace ocgate::notify
