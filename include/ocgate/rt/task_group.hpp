// Every task has a parent: a group counts the tasks it started and can be waited for. How a task is stopped is the
// business of who made it (it interrupts what the task waits for).
#pragma once

#include <cassert>
#include <exception>
#include <functional>

#include "ocgate/rt/signal.hpp"

namespace ocgate::rt {

/// Tasks of one thread. Destroying a group with running tasks is a bug; `join` first.
class TaskGroup {
public:
    /// `escaped` hears of an exception that left a task: always our bug.
    explicit TaskGroup(Executor executor, std::function<void(std::exception_ptr)> escaped = {})
        : executor_(executor), escaped_(std::move(escaped)) {}
    ~TaskGroup() { assert(running_ == 0); }
    TaskGroup(TaskGroup const&) = delete;
    TaskGroup& operator=(TaskGroup const&) = delete;

    void spawn(Task<void> task) {
        auto ended = [this](std::exception_ptr error) {
            if (error && escaped_) escaped_(error);
            if (--running_ == 0) ended_.notify();
        };
        ++running_;
        try {
            rt::spawn(executor_, std::move(task), std::move(ended));
        } catch (...) {
            --running_;  // it never began
            throw;
        }
    }

    [[nodiscard]] std::size_t running() const noexcept { return running_; }

    /// Returns when no task runs any more.
    Task<void> join() {
        while (running_ > 0) co_await ended_.wait();
        ended_.forget();
    }

private:
    Executor executor_;
    std::function<void(std::exception_ptr)> escaped_;
    std::size_t running_ = 0;
    Signal ended_;
};

}  // namespace ocgate::rt
