// The gate that stays closed to new prompts once a budget is spent. Stands in front of the gatekeeper's decision, for
// whoever was let in; everything but what sets a model to work passes.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "ocgate/bridge/purse.hpp"
#include "ocgate/proxy/doors.hpp"

namespace ocgate::app {

/// Until when prompts are refused: written by the gateway's own loop, read by every shard.
class BudgetBlock {
public:
    using Time = std::chrono::system_clock::time_point;

    void set(std::optional<bridge::Purse::Blocked> const& blocked) noexcept;
    /// Nothing: prompts may come in. It ends by itself when its time has come.
    [[nodiscard]] std::optional<bridge::Purse::Blocked> at(Time now) const noexcept;
    /// Without looking at the time.
    [[nodiscard]] bool set() const noexcept { return word_.load(std::memory_order_relaxed) != 0; }

    void refused() noexcept { refused_.fetch_add(1, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t refusals() const noexcept { return refused_.load(std::memory_order_relaxed); }

private:
    /// Milliseconds since 1970, and the period in the last bit; 0: not blocked.
    std::atomic<std::int64_t> word_{0};
    std::atomic<std::uint64_t> refused_{0};
};

class BudgetGate final : public proxy::Gatekeeper {
public:
    using Wall = std::function<BudgetBlock::Time()>;
    BudgetGate(std::shared_ptr<proxy::Gatekeeper> keeper, std::shared_ptr<BudgetBlock> block,
               Wall wall = &std::chrono::system_clock::now)
        : keeper_(std::move(keeper)), block_(std::move(block)), wall_(std::move(wall)) {}

    bool trusts(std::string_view peer) override { return keeper_->trusts(peer); }
    proxy::Decision consider(proxy::Visit const& visit) override;
    rt::Task<proxy::Decision> verify(proxy::Visit const& visit) override;
    bool watches(proxy::Visit const& visit) override { return keeper_->watches(visit); }
    void saw_answer(std::string_view target, unsigned status, std::string_view body, std::string_view user) override {
        keeper_->saw_answer(target, status, body, user);
    }

private:
    void judge(proxy::Visit const& visit, proxy::Decision& decision) const;

    std::shared_ptr<proxy::Gatekeeper> keeper_;
    std::shared_ptr<BudgetBlock> block_;
    Wall wall_;
};

}  // namespace ocgate::app
