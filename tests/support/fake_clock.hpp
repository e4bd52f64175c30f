// A clock that stands still until a test moves it.
#pragma once

#include <memory>
#include <vector>

#include "ocgate/rt/clock.hpp"

namespace ocgate::test {

class FakeClock final : public rt::Clock {
public:
    [[nodiscard]] rt::Instant now() const noexcept override { return now_; }
    [[nodiscard]] std::unique_ptr<rt::Alarm> alarm(rt::Executor executor, std::function<void()> ring) override;

    /// The earliest alarm that is set, or rt::Instant::max().
    [[nodiscard]] rt::Instant next() const noexcept;
    /// Moves to `when` and posts every alarm that is due.
    void move_to(rt::Instant when);
    [[nodiscard]] std::size_t alarms_set() const noexcept;

private:
    struct Entry;
    class FakeAlarm;
    rt::Instant now_{std::chrono::hours(24)};
    std::vector<std::weak_ptr<Entry>> entries_;
};

}  // namespace ocgate::test
