#include "shard_thread.hpp"

#include <pthread.h>

namespace ocgate::app {

ShardThread::ShardThread(Parts parts, Plan const& plan, auth::Gatekeeper::Parts admission)
    : escaped_(parts.escaped),
      gatekeeper_(std::make_shared<auth::Gatekeeper>(plan.admission, std::move(admission))),
      shard_(std::make_unique<proxy::Shard>(proxy::ShardParts{.executor = io_.get_executor(),
                                                              .clock = parts.clock,
                                                              .recorder = parts.recorder,
                                                              .connections = parts.connections,
                                                              .seed = parts.seed,
                                                              .escaped = parts.escaped,
                                                              .clients = &parts.clients},
                                            snapshot_of(plan))),
      clock_(parts.clock),
      lost_(clock_.alarm(io_.get_executor(), [this] { end_lost(); })) {}

std::shared_ptr<proxy::Snapshot const> ShardThread::snapshot_of(Plan const& plan) const {
    auto snapshot = std::make_shared<proxy::Snapshot>(plan.snapshot);
    snapshot->gatekeeper = gatekeeper_;
    if (plan.budget) snapshot->gatekeeper = std::make_shared<BudgetGate>(gatekeeper_, plan.budget);
    return snapshot;
}

void ShardThread::start(int listener) {
    shard_->accept_from(listener);
    lost_->set(clock_.now() + rt::lost_look);
    thread_ = std::thread([this] { run(); });
}

void ShardThread::run() {
    ::pthread_setname_np(::pthread_self(), "ocgate-shard");  // another's name is a file in /proc: not in the sandbox
    for (;;) {
        try {
            io_.run();
            return;
        } catch (...) {
            // A completion handler threw: our bug, told, and the other connections of this shard go on.
            escaped_(std::current_exception());
        }
    }
}

void ShardThread::end_lost() {
    lost_->set(clock_.now() + rt::lost_look);
    shard_->end_lost();
}

void ShardThread::configure(Plan plan, std::function<void(std::exception_ptr)> done) {
    boost::asio::post(io_, [this, plan = std::move(plan), done = std::move(done)] {
        std::exception_ptr failed;
        try {
            auto snapshot = snapshot_of(plan);
            gatekeeper_->adopt(plan.admission);
            shard_->configure(std::move(snapshot));
        } catch (...) {
            failed = std::current_exception();
        }
        done(std::move(failed));
    });
}

void ShardThread::drain(std::function<void()> drained) {
    boost::asio::post(io_, [this, drained = std::move(drained)]() mutable {
        shard_->stop_accepting();
        shard_->drain();
        shard_->when_drained(std::move(drained));
    });
}

void ShardThread::insist(std::function<void(std::size_t)> told) {
    boost::asio::post(io_, [this, told = std::move(told)] {
        told(shard_->load().connections);
        shard_->insist();
    });
}

void ShardThread::look(std::size_t most, proxy::First first, std::function<void(proxy::ShardView)> told) {
    boost::asio::post(io_, [this, most, first, told = std::move(told)] { told(shard_->look(most, first)); });
}

void ShardThread::stop() {
    if (!thread_.joinable()) return;
    boost::asio::post(io_, [this] {
        shard_->stop_accepting();
        lost_->clear();
        work_.reset();
        io_.stop();
    });
    thread_.join();
    // Completions that were on their way refer to the shard: they are let through while it is still here.
    io_.restart();
    io_.poll();
}

}  // namespace ocgate::app
