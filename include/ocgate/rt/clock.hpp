// Time as something that is handed in. Knows nothing of what is timed.
#pragma once

#include <functional>
#include <memory>

#include "ocgate/rt/types.hpp"

namespace ocgate::rt {

/// One alarm. Setting it again replaces the time; destroying or clearing it means `ring` is not called any more.
class Alarm {
public:
    virtual ~Alarm() = default;
    virtual void set(Instant when) = 0;
    virtual void clear() noexcept = 0;
};

/// The only source of time. An alarm rings on the thread of the executor it was made for.
class Clock {
public:
    virtual ~Clock() = default;
    [[nodiscard]] virtual Instant now() const noexcept = 0;
    [[nodiscard]] virtual std::unique_ptr<Alarm> alarm(Executor executor, std::function<void()> ring) = 0;
};

/// The machine's monotonic clock. The one place that asks it.
class SystemClock final : public Clock {
public:
    [[nodiscard]] Instant now() const noexcept override;
    [[nodiscard]] std::unique_ptr<Alarm> alarm(Executor executor, std::function<void()> ring) override;
};

}  // namespace ocgate::rt
