#include "ocgate/rt/worker.hpp"

#include "ocgate/rt/priority.hpp"

namespace ocgate::rt {

bool Worker::offer(Queued job) {
    {
        std::lock_guard lock(mutex_);
        if (closed_ || queue_.size() >= max_queued_) return false;
        queue_.push_back(std::move(job));
    }
    arrived_.notify_one();
    return true;
}

void Worker::work() {
    give_way_to_traffic();
    std::unique_lock lock(mutex_);
    for (;;) {
        arrived_.wait(lock, [this] { return closed_ || !queue_.empty(); });
        if (closed_) return;
        auto job = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        job(false);
        job = nullptr;
        lock.lock();
    }
}

void Worker::close() {
    std::deque<Queued> dropped;
    {
        std::lock_guard lock(mutex_);
        closed_ = true;
        dropped.swap(queue_);
    }
    arrived_.notify_all();
    for (auto& job : dropped) job(true);
}

void Worker::stop() {
    close();
    if (thread_.joinable()) thread_.join();
}

std::size_t Worker::queued() const {
    std::lock_guard lock(mutex_);
    return queue_.size();
}

}  // namespace ocgate::rt
