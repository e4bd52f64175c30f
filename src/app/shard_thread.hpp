// One shard with its thread, its event loop and its gatekeeper.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <thread>

#include "budget_gate.hpp"
#include "ocgate/auth/gatekeeper.hpp"
#include "ocgate/proxy/shard.hpp"

namespace ocgate::app {

class ShardThread {
public:
    struct Parts {
        rt::Clock& clock;
        proxy::Recorder& recorder;
        std::atomic<std::size_t>& connections;
        proxy::Clients& clients;
        std::function<void(std::exception_ptr)> escaped;
        std::uint64_t seed;
    };
    /// Everything of a configuration that a shard needs besides its own gatekeeper.
    struct Plan {
        proxy::Snapshot snapshot;  ///< without gatekeeper
        std::shared_ptr<auth::Settings const> admission;
        std::shared_ptr<BudgetBlock> budget{};  ///< none: prompts are never refused
    };

    ShardThread(Parts parts, Plan const& plan, auth::Gatekeeper::Parts admission);
    ~ShardThread() { stop(); }
    ShardThread(ShardThread const&) = delete;
    ShardThread& operator=(ShardThread const&) = delete;

    /// Takes the listening socket over and begins to serve.
    void start(int listener);

    // Any thread; what they hand in is called on the shard's thread.
    /// `done`: with what kept it from taking the plan over, which then stays as it was, or with nothing.
    void configure(Plan plan, std::function<void(std::exception_ptr)> done);
    void drain(std::function<void()> drained);
    /// `told`, before anything ends: how many connections are there to be cut.
    void insist(std::function<void(std::size_t connections)> told);
    void look(std::size_t most, proxy::First first, std::function<void(proxy::ShardView)> told);

    /// Ends the loop and joins, whatever is still under way. Idempotent.
    void stop();

private:
    [[nodiscard]] std::shared_ptr<proxy::Snapshot const> snapshot_of(Plan const& plan) const;
    void run();
    void end_lost();

    boost::asio::io_context io_{1};
    boost::asio::executor_work_guard<rt::Executor> work_{io_.get_executor()};
    std::function<void(std::exception_ptr)> escaped_;
    std::shared_ptr<auth::Gatekeeper> gatekeeper_;
    std::unique_ptr<proxy::Shard> shard_;
    rt::Clock& clock_;
    std::unique_ptr<rt::Alarm> lost_;  ///< the next look for connections to nobody
    std::thread thread_;
};

}  // namespace ocgate::app
