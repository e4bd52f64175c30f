#include "budget_gate.hpp"

#include "ocgate/opencode/routes.hpp"

namespace ocgate::app {

using bridge::Period;
using bridge::Purse;
using proxy::Decision;

void BudgetBlock::set(std::optional<Purse::Blocked> const& blocked) noexcept {
    std::int64_t word = 0;
    if (blocked) {
        using namespace std::chrono;
        auto const until = ceil<milliseconds>(blocked->until.time_since_epoch()).count();
        word = until * 2 + (blocked->period == Period::month ? 1 : 0);
    }
    word_.store(word, std::memory_order_relaxed);
}

std::optional<Purse::Blocked> BudgetBlock::at(Time now) const noexcept {
    auto const word = word_.load(std::memory_order_relaxed);
    Time const until{std::chrono::milliseconds(word / 2)};
    if (word == 0 || now >= until) return std::nullopt;
    return Purse::Blocked{word % 2 == 0 ? Period::day : Period::month, until};
}

Decision BudgetGate::consider(proxy::Visit const& visit) {
    auto decision = keeper_->consider(visit);
    judge(visit, decision);
    return decision;
}

rt::Task<Decision> BudgetGate::verify(proxy::Visit const& visit) {
    auto decision = co_await keeper_->verify(visit);
    judge(visit, decision);
    co_return decision;
}

void BudgetGate::judge(proxy::Visit const& visit, Decision& decision) const {
    if (decision.kind != Decision::Kind::admitted || !block_->set()) return;
    if (!opencode::starts_work(visit.head.method, visit.head.target)) return;
    auto const now = wall_();
    auto const blocked = block_->at(now);
    if (!blocked) return;
    block_->refused();
    decision.kind = Decision::Kind::refused;
    decision.refusal = {{Side::client, Step::admission, Reason::over_budget},
                        blocked->period == Period::day
                            ? "The day's budget is spent. New prompts are refused until the day is over."
                            : "The month's budget is spent. New prompts are refused until the month is over."};
    decision.refusal.retry_after = std::chrono::ceil<std::chrono::seconds>(blocked->until - now);
}

}  // namespace ocgate::app
