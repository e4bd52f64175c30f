// When a target may be asked again. No I/O, no clock of its own.
#pragma once

#include <optional>

#include "ocgate/rt/types.hpp"

namespace ocgate::notify {

/// Opens after so many failures in a row; then one request at a time finds out whether it works again. Each that fails
/// doubles the time until the next.
class Breaker {
public:
    struct Rules {
        int failures = 5;
        rt::Duration first = std::chrono::seconds(10);
        rt::Duration longest = std::chrono::minutes(5);
    };
    enum class State : std::uint8_t { closed, open, half_open };

    explicit Breaker(Rules rules) : rules_(rules) {}

    [[nodiscard]] State state(rt::Instant now) const noexcept;
    /// How many requests may be under way now, of `most`.
    [[nodiscard]] std::size_t limit(rt::Instant now, std::size_t most) const noexcept;
    /// When the answer of `limit` may change by itself.
    [[nodiscard]] rt::Instant next_try() const noexcept { return retry_at_; }
    /// Since when it has not worked: the first opening, whatever was tried in between.
    [[nodiscard]] std::optional<rt::Instant> open_since() const noexcept { return open_since_; }

    void succeeded() noexcept;
    /// Whether that opened it.
    bool failed(rt::Instant now) noexcept;
    void reset() noexcept;

private:
    Rules rules_;
    int in_a_row_ = 0;
    rt::Duration pause_{0};
    rt::Instant retry_at_{};
    std::optional<rt::Instant> open_since_;
};

}  // namespace ocgate::notify
