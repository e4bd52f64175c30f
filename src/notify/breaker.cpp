#include "breaker.hpp"

#include <algorithm>

namespace ocgate::notify {

Breaker::State Breaker::state(rt::Instant now) const noexcept {
    if (!open_since_) return State::closed;
    return now < retry_at_ ? State::open : State::half_open;
}

std::size_t Breaker::limit(rt::Instant now, std::size_t most) const noexcept {
    switch (state(now)) {
        case State::closed:
            return most;
        case State::half_open:
            return std::min<std::size_t>(most, 1);
        case State::open:
            break;
    }
    return 0;
}

void Breaker::succeeded() noexcept { reset(); }

bool Breaker::failed(rt::Instant now) noexcept {
    ++in_a_row_;
    // What began before it opened and fails afterwards says nothing new.
    if (state(now) == State::open || (!open_since_ && in_a_row_ < rules_.failures)) return false;
    bool const opens = !open_since_;
    pause_ = opens ? rules_.first : std::min(2 * pause_, rules_.longest);
    if (opens) open_since_ = now;
    retry_at_ = now + pause_;
    return opens;
}

void Breaker::reset() noexcept {
    in_a_row_ = 0;
    pause_ = {};
    open_since_.reset();
}

}  // namespace ocgate::notify
