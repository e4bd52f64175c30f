// The outbox as the event loop reaches it: one job at a time on the worker's thread, because it blocks on the disk.
// Which outbox that is may change between two jobs: a job may assign another to it (memory, while the disk fails).
#pragma once

#include <exception>

#include "ocgate/notify/outbox.hpp"
#include "ocgate/rt/worker.hpp"

namespace ocgate::notify {

/// For one thread, like everything on the event loop. Outlives the jobs it was given.
class Store {
public:
    Store(rt::Worker& worker, Outbox outbox) : worker_(&worker), outbox_(std::move(outbox)) {}
    /// Without a worker: jobs are done at once, and block. For tests and tools.
    explicit Store(Outbox outbox) : outbox_(std::move(outbox)) {}
    Store(Store const&) = delete;
    Store& operator=(Store const&) = delete;

    /// `job(Outbox&)` gives a Kept<…>. It must own what it needs: it runs on another thread. Trouble::busy when the
    /// worker's queue is full or it has stopped: the job was not done.
    template <class Job, class Result = std::invoke_result_t<Job&, Outbox&>>
    rt::Task<Result> run(Job job) {
        auto work = [this, job = std::move(job)]() mutable { return guarded(job); };
        return done<Result>(std::move(work));
    }

private:
    template <class Job>
    auto guarded(Job& job) noexcept -> std::invoke_result_t<Job&, Outbox&> {
        try {
            return job(outbox_);
        } catch (std::exception const& e) {  // no memory
            return OutboxError{Trouble::io, e.what()};
        }
    }
    template <class Result, class Work>
    rt::Task<Result> done(Work work) {
        if (!worker_) co_return work();
        auto result = co_await worker_->run(std::move(work));
        if (result) co_return std::move(*result);
        co_return OutboxError{Trouble::busy, "the outbox's thread takes no more work"};
    }

    rt::Worker* worker_ = nullptr;
    Outbox outbox_;  ///< the worker's thread only
};

}  // namespace ocgate::notify
