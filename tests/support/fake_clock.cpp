#include "support/fake_clock.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>

namespace ocgate::test {

struct FakeClock::Entry {
    rt::Executor executor;
    std::function<void()> ring;
    rt::Instant when = rt::Instant::max();
};

class FakeClock::FakeAlarm final : public rt::Alarm {
public:
    explicit FakeAlarm(std::shared_ptr<Entry> entry) : entry_(std::move(entry)) {}
    void set(rt::Instant when) override { entry_->when = when; }
    void clear() noexcept override { entry_->when = rt::Instant::max(); }

private:
    std::shared_ptr<Entry> entry_;
};

std::unique_ptr<rt::Alarm> FakeClock::alarm(rt::Executor executor, std::function<void()> ring) {
    auto entry = std::make_shared<Entry>(Entry{executor, std::move(ring)});
    entries_.push_back(entry);
    return std::make_unique<FakeAlarm>(std::move(entry));
}

rt::Instant FakeClock::next() const noexcept {
    auto earliest = rt::Instant::max();
    for (auto const& weak : entries_) {
        if (auto const entry = weak.lock()) earliest = std::min(earliest, entry->when);
    }
    return earliest;
}

void FakeClock::move_to(rt::Instant when) {
    now_ = std::max(now_, when);
    std::erase_if(entries_, [](auto const& weak) { return weak.expired(); });
    for (auto const& weak : entries_) {
        auto const entry = weak.lock();
        if (!entry || entry->when > now_) continue;
        entry->when = rt::Instant::max();
        boost::asio::post(entry->executor, [weak] {
            if (auto const alive = weak.lock()) alive->ring();
        });
    }
}

std::size_t FakeClock::alarms_set() const noexcept {
    return static_cast<std::size_t>(std::count_if(entries_.begin(), entries_.end(), [](auto const& weak) {
        auto const entry = weak.lock();
        return entry && entry->when != rt::Instant::max();
    }));
}

}  // namespace ocgate::test
