// The end: signals, draining, and what happens when the time is over.
#include <csignal>

#include "gateway_inside.hpp"

namespace ocgate::app {

using ops::LogLevel;

void Gateway::Inside::listen_to_signals() {
    signals_.emplace(io_.get_executor());
    for (int const number : {SIGTERM, SIGINT, SIGHUP}) signals_->add(number);
    struct Wait {
        static void next(Inside& self) {
            self.signals_->async_wait([&self](error_code why, int number) {
                if (why) return;
                next(self);  // first: whatever comes of this one, the next is heard
                self.signalled(number);
            });
        }
    };
    Wait::next(*this);
}

void Gateway::Inside::signalled(int number) {
    if (number == SIGHUP) return reload("SIGHUP", [](bool) {});
    if (std::exchange(stop_asked_, true)) return force("a second signal");
    if (drained_) return finish();
    drain(number == SIGTERM ? "SIGTERM" : "SIGINT", config_.drain_timeout);
}

void Gateway::Inside::drain(std::string_view why, std::chrono::milliseconds within) {
    auto const until = deadlines_.now() + within;
    // Asked twice (a preStop hook, then SIGTERM): whichever time ends first counts.
    if (!insisted_ && until < drain_until_) {
        drain_until_ = until;
        drain_deadline_.set(until);
    }
    if (health_.phase() == ops::Phase::draining) return;
    health_.enter(ops::Phase::draining);
    log_.app(LogLevel::info, "draining", "",
             {{"why", why},
              {"within_ms", std::int64_t{within.count()}},
              {"connections", std::uint64_t{connections_.load(std::memory_order_relaxed)}}});
    auditor_.gateway("drain", {{"why", why}, {"within_ms", std::int64_t{within.count()}}});
    shards_left_ = shards_.size();
    for (auto& shard : shards_) {
        shard.drain([this] { boost::asio::post(io_, [this] { shard_drained(); }); });
    }
}

void Gateway::Inside::shard_drained() {
    if (--shards_left_ == 0) drained();
}

void Gateway::Inside::force(std::string_view why) {
    if (std::exchange(insisted_, true)) return;
    forced_by_ = why;
    drain_deadline_.set(deadlines_.now() + insist_time);
    shards_to_cut_ = shards_.size();
    for (auto& shard : shards_) {
        shard.insist(
            [this](std::size_t connections) { boost::asio::post(io_, [this, connections] { cut(connections); }); });
    }
    hasher_.close();  // who waits for a password to be hashed waits no longer than for the one under way
}

// A shard that had ended all of its own says 0: with no time to drain, and nothing but idle connections, nothing is
// forced. One that cuts says so before it says that it is drained.
void Gateway::Inside::cut(std::size_t connections) {
    cut_ += connections;
    if (cut_ > 0) {
        forced_ = true;
        exit_ = Exit::forced;
    }
    if (--shards_to_cut_ == 0) tell_forced();
}

void Gateway::Inside::tell_forced() {
    if (!forced_ || forced_by_.empty()) return;
    auto const why = std::exchange(forced_by_, {});
    log_.app(LogLevel::warn, "forced", "connections under way were cut",
             {{"why", std::string_view(why)}, {"connections", std::uint64_t{cut_}}});
}

void Gateway::Inside::drained() {
    drained_ = true;
    tell_forced();
    drain_deadline_.set(rt::never);
    log_.app(LogLevel::info, "drained", "", {{"clean", !forced_}});
    for (auto const& told : std::exchange(drain_askers_, {})) told(!forced_);
    // Asked by `ocgate drain`, it stays until the signal that follows: a container that ended by itself during its
    // preStop hook would be taken for one that failed.
    if (stop_asked_) finish();
}

void Gateway::Inside::finish() {
    if (std::exchange(finished_, true)) return;
    for (auto const& told : std::exchange(drain_askers_, {})) told(false);
    drain_deadline_.set(rt::never);
    watcher_->stop();
    if (control_) control_->stop();
    front_desk_->close();
    pages_->stop();
    admin_->stop();
    signals_->cancel();
    insisted_ = true;  // whatever does not stop now is left behind
    drain_deadline_.set(deadlines_.now() + insist_time);
    // Nothing that is left may keep the process: what waits is destroyed with the loop.
    probe_->stop([this] {
        follower_->stop([this] {
            auto task = stop_herald();
            rt::spawn(io_.get_executor(), std::move(task), [this](std::exception_ptr) { io_.stop(); });
        });
    });
}

}  // namespace ocgate::app
