// One task waits, anything on the same thread wakes it. No timer, no queue.
#pragma once

#include <memory>
#include <vector>

#include "ocgate/rt/task.hpp"

namespace ocgate::rt {

/// For one waiter at a time, which it owns meanwhile. `notify` with nobody waiting is remembered, once.
class Signal {
public:
    [[nodiscard]] bool waiting() const noexcept { return static_cast<bool>(waiter_); }
    void forget() noexcept { notified_ = false; }

    /// The waiter goes on inside this call.
    void notify() {
        if (!waiter_) {
            notified_ = true;
            return;
        }
        auto waiter = std::move(waiter_);
        waiter.resume();
    }

    class Wait {
    public:
        explicit Wait(Signal& signal) noexcept : signal_(signal) {}
        bool await_ready() const noexcept { return std::exchange(signal_.notified_, false); }
        template <class Promise>
        void await_suspend(std::coroutine_handle<Promise> call) const noexcept {
            signal_.waiter_ = call.promise().running->suspend();
        }
        void await_resume() const noexcept {}

    private:
        Signal& signal_;
    };
    [[nodiscard]] Wait wait() noexcept { return Wait(*this); }

private:
    Suspended waiter_;
    bool notified_ = false;
};

/// Many wait until it opens; afterwards nobody waits. Bounded by the tasks there are: each waits once.
class Gate {
public:
    /// Those who waited go on when the event loop comes to them: whoever opens may be on the way out, and the loop too.
    void open() noexcept {
        open_ = true;
        for (auto& waiter : std::exchange(waiters_, {})) go_on(std::move(waiter));
    }

    class Wait {
    public:
        explicit Wait(Gate& gate) noexcept : gate_(gate) {}
        bool await_ready() const noexcept { return gate_.open_; }
        template <class Promise>
        void await_suspend(std::coroutine_handle<Promise> call) const {
            gate_.waiters_.emplace_back();  // may throw: the task does not wait yet
            gate_.waiters_.back() = call.promise().running->suspend();
        }
        void await_resume() const noexcept {}

    private:
        Gate& gate_;
    };
    [[nodiscard]] Wait wait() noexcept { return Wait(*this); }

private:
    static void go_on(Suspended waiter) noexcept {
        auto const executor = waiter.executor();
        std::shared_ptr<Suspended> task;
        try {
            task = std::make_shared<Suspended>(std::move(waiter));
            asio::post(executor, [task] { task->resume(); });
        } catch (...) {
            (task ? *task : waiter).resume();  // no memory to do it later
        }
    }

    bool open_ = false;
    std::vector<Suspended> waiters_;
};

}  // namespace ocgate::rt
