// What the unit tests of `rt` and of what stands on it share: an event loop that is turned by hand, a clock that stands
// still, and a dialer that does what the test says. The whole request path is in scenario.hpp.
#pragma once

#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <deque>
#include <memory>
#include <optional>

#include "ocgate/rt/dialer.hpp"
#include "ocgate/rt/task_group.hpp"
#include "support/fake_clock.hpp"
#include "support/pipe.hpp"

namespace ocgate::test {

/// What a task that was started came to, when it has ended.
template <class T>
using Result = std::shared_ptr<std::optional<T>>;

class Bench {
public:
    explicit Bench(std::size_t window_bytes = 16 * 1024) : windows(window_bytes) {}

    boost::asio::io_context io{1};
    FakeClock clock;
    rt::Deadlines deadlines{io.get_executor(), clock};
    rt::WindowPool windows;
    rt::Poller poller{io.get_executor()};
    rt::PeerResources resources{io.get_executor(), deadlines, windows, poller};

    /// Runs until nothing more happens at this moment; real sockets may have more later.
    void settle() {
        do {
            io.restart();
        } while (io.poll() > 0);
    }
    /// Moves the clock, alarm by alarm.
    void advance(rt::Duration time) {
        auto const target = clock.now() + time;
        settle();
        while (clock.next() <= target) {
            clock.move_to(clock.next());
            settle();
        }
        clock.move_to(target);
        settle();
    }

    /// Starts `task` and runs until it waits for something. Awaiting its body directly keeps g++ 12.2 out of trouble.
    template <class T>
    Result<T> start(rt::Task<T> task) {
        auto result = std::make_shared<std::optional<T>>();
        rt::spawn(io.get_executor(), keep(std::move(task), result), rethrow);
        settle();
        return result;
    }
    Result<error_code> start(rt::Arrival arrival) { return start(await(std::move(arrival))); }
    std::shared_ptr<bool> start(rt::Task<void> task) {
        auto ended = std::make_shared<bool>(false);
        rt::spawn(io.get_executor(), std::move(task), [ended](std::exception_ptr const& error) {
            rethrow(error);
            *ended = true;
        });
        settle();
        return ended;
    }
    static void rethrow(std::exception_ptr const& error) {
        if (error) std::rethrow_exception(error);
    }
    static rt::Task<error_code> await(rt::Arrival arrival) { co_return co_await arrival; }
    template <class T>
    static rt::Task<> keep(rt::Task<T> task, Result<T> into) {
        auto value = co_await task;
        into->emplace(std::move(value));
    }

    /// With real sockets or threads: waits for the event loop, at most `patience` of real time.
    template <class Condition>
    bool wait_until(Condition condition, std::chrono::seconds patience = std::chrono::seconds(20)) {
        auto const until = std::chrono::steady_clock::now() + patience;
        while (!condition() && std::chrono::steady_clock::now() < until) {
            io.restart();
            auto const work = boost::asio::make_work_guard(io);  // who only listens does not count as such
            io.run_one_for(std::chrono::milliseconds(20));
        }
        return condition();
    }

    rt::PeerPtr peer(PipeEnd& end, PipeOptions options = {}) {
        auto [wire, other] = make_pipe(io.get_executor(), std::move(options));
        end = other;
        return rt::PeerPtr(new rt::Peer(resources, std::move(wire)));
    }

    /// No window lent, no deadline wanted, no task waiting.
    [[nodiscard]] bool nothing_left() {
        settle();
        io.restart();
        io.poll();
        return windows.lent() == 0 && windows.blocks.lent() == 0 && deadlines.active() == 0 && io.stopped();
    }
};

/// Makes pipes instead of connections.
class ScriptedDialer final : public rt::Dialer {
public:
    enum class Mood { accept, refuse, hang };
    Mood mood = Mood::accept;
    PipeOptions options;
    std::deque<PipeEnd> ends;  ///< the upstream's end of every connection made
    int dials = 0;
    std::vector<rt::Instant> limits;  ///< the `until` of every dial
    std::string greeting;             ///< what every new connection finds already sent
    bool says_no_more = false;        ///< and that it ends after it

    rt::Task<boost::system::result<rt::PeerPtr, error_code>> dial(rt::PeerResources const& resources, rt::Instant until,
                                                                  rt::DialBreaker& breaker) override {
        ++dials;
        limits.push_back(until);
        if (mood == Mood::hang) {
            rt::Signal late;
            auto const notify = [](void* signal) { static_cast<rt::Signal*>(signal)->notify(); };
            rt::Deadline deadline(resources.deadlines, notify, &late);
            deadline.set(until);
            rt::DialBreaker::Watch const watch(breaker, notify, &late);
            co_await late.wait();
            if (breaker.tripped()) co_return boost::asio::error::operation_aborted;
            co_return Reason::timed_out;
        }
        if (mood == Mood::refuse || (options.faults && options.faults->strikes())) {
            co_return boost::asio::error::connection_refused;
        }
        auto [wire, end] = make_pipe(resources.executor, options);
        if (!greeting.empty()) end.send(greeting);
        if (says_no_more) end.end();
        ends.push_back(std::move(end));
        co_return rt::PeerPtr(new rt::Peer(resources, std::move(wire)));
    }
};

}  // namespace ocgate::test
