#include "ocgate/rt/clock.hpp"

#include <boost/asio/basic_waitable_timer.hpp>

namespace ocgate::rt {
namespace {

class TimerAlarm final : public Alarm, public std::enable_shared_from_this<TimerAlarm> {
public:
    TimerAlarm(Executor executor, std::function<void()> ring) : timer_(executor), ring_(std::move(ring)) {}

    void set(Instant when) override {
        auto const round = ++round_;
        timer_.expires_at(when);
        timer_.async_wait([weak = weak_from_this(), round](error_code error) {
            auto self = weak.lock();
            if (!error && self && self->round_ == round) self->ring_();
        });
    }
    void clear() noexcept override {
        ++round_;
        timer_.cancel();
    }

private:
    using Timer =
        asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;
    Timer timer_;
    std::function<void()> ring_;
    std::uint64_t round_ = 0;
};

/// What the caller owns. A wait whose completion is already queued finds the alarm gone and does nothing.
class OwnedAlarm final : public Alarm {
public:
    explicit OwnedAlarm(std::shared_ptr<TimerAlarm> alarm) : alarm_(std::move(alarm)) {}
    ~OwnedAlarm() override { alarm_->clear(); }
    OwnedAlarm(OwnedAlarm const&) = delete;
    OwnedAlarm& operator=(OwnedAlarm const&) = delete;
    void set(Instant when) override { alarm_->set(when); }
    void clear() noexcept override { alarm_->clear(); }

private:
    std::shared_ptr<TimerAlarm> alarm_;
};

}  // namespace

Instant SystemClock::now() const noexcept { return std::chrono::steady_clock::now(); }

std::unique_ptr<Alarm> SystemClock::alarm(Executor executor, std::function<void()> ring) {
    return std::make_unique<OwnedAlarm>(std::make_shared<TimerAlarm>(executor, std::move(ring)));
}

}  // namespace ocgate::rt
