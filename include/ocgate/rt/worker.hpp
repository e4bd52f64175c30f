// One thread for what may block: password hashing, later the state database. Its queue is bounded; a full queue is
// answered at once. Knows nothing of the work.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "ocgate/rt/types.hpp"

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
Task<std::optional<Result>> Worker::run(Job job) {
    auto initiate = [this, &job](auto handler) {
        using Handler = decltype(handler);
        auto executor = asio::get_associated_executor(handler);
        // The handler is only ever moved, but std::function wants a copyable target.
        auto shared = std::make_shared<Handler>(std::move(handler));
        auto guard = asio::make_work_guard(executor);
        auto queued = [&job, shared, guard, executor](bool dropped) {
            std::optional<Result> result;
            if (!dropped) result.emplace(job());
            asio::post(executor,
                       [shared, result = std::move(result)]() mutable { std::move (*shared)(std::move(result)); });
        };
        if (!offer(queued)) queued(true);
    };
    using Signature = void(std::optional<Result>);
    co_return co_await asio::async_initiate<asio::use_awaitable_t<Executor> const, Signature>(
        std::move(initiate), asio::use_awaitable_t<Executor>{});
}

}  // namespace ocgate::rt
