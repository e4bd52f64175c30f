// One thread for what may block: password hashing, later the state database. Its queue is bounded; a full queue is
// answered at once. Knows nothing of the work.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "ocgate/rt/task.hpp"

namespace ocgate::rt {

class Worker {
public:
    explicit Worker(std::size_t max_queued) : max_queued_(max_queued), thread_([this] { work(); }) {}
    ~Worker() { stop(); }
    Worker(Worker const&) = delete;
    Worker& operator=(Worker const&) = delete;

    /// Runs `job` on the worker's thread and returns its result to the caller's executor; nothing when the queue is
    /// full or the worker has stopped. `job` must not throw. Whatever `job` refers to must live until it is over: a
    /// cancelled wait still waits for it.
    template <class Job, class Result = std::invoke_result_t<Job&>>
    Task<std::optional<Result>> run(Job job);

    /// Drops what is queued and takes nothing more; the job under way goes on, and is not waited for. From any thread,
    /// idempotent.
    void close();

    /// `close`, then waits for the job under way. Idempotent.
    void stop();

    /// Jobs waiting, without the one under way.
    [[nodiscard]] std::size_t queued() const;

private:
    /// `run(false)` does the job, `run(true)` tells the one who waits that it never will be done.
    using Queued = std::function<void(bool dropped)>;

    template <class Job, class Result>
    class Doing;
    bool offer(Queued job);
    void work();

    std::size_t const max_queued_;
    mutable std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<Queued> queue_;
    bool closed_ = false;
    std::thread thread_;
};

template <class Job, class Result>
class Worker::Doing {
public:
    Doing(Worker& worker, Job& job) noexcept : worker_(worker), job_(job) {}

    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> call) {
        auto& running = *call.promise().running;
        auto const executor = running.executor();
        // Only ever one of them resumes it, but std::function wants a copyable target.
        auto const task = std::make_shared<Suspended>();
        Queued queued = [this, task, executor](bool dropped) {
            if (!dropped) result_.emplace(job_());
            asio::post(executor, [task] { task->resume(); });
        };
        // Before it is offered: the worker may be done with it before this call returns.
        *task = running.suspend();
        try {
            if (worker_.offer(std::move(queued))) return true;
        } catch (...) {
            Running::go_on(std::move(*task));
            throw;
        }
        Running::go_on(std::move(*task));
        return false;
    }
    std::optional<Result> await_resume() { return std::move(result_); }

private:
    Worker& worker_;
    Job& job_;
    std::optional<Result> result_;
};

template <class Job, class Result>
Task<std::optional<Result>> Worker::run(Job job) {
    Doing<Job, Result> doing(*this, job);
    co_return co_await doing;
}

}  // namespace ocgate::rt
