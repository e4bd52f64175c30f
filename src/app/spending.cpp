// What agents do and what it costs: counted from opencode's events, kept over a restart, told and held to its limits.
#include <algorithm>

#include "gateway_inside.hpp"

namespace ocgate::app {

using ops::LogLevel;

void Gateway::Inside::make_treasurer(bool on_disk) {
    treasurer_.emplace(
        bridge::TreasurerNeeds{
            .executor = io_.get_executor(),
            .deadlines = deadlines_,
            .store = store_,
            .wall = &std::chrono::system_clock::now,
            .on_disk = on_disk,
            .heard_until = [this] { return follower_->heard_until(); },
            .ready = [this](bridge::Purse::Left const& left) { listen(left); },
            .crossed = [this](bridge::Crossed const& what) { herald_->crossed(what); },
            .blocked = [this](auto const& blocked) { over_budget(blocked); },
            .trouble = [this](notify::OutboxError const& error) { herald_->in_trouble(error); },
            .escaped =
                [this](std::exception_ptr error) {
                    auto const what = what_of(std::move(error));
                    log_.app(LogLevel::error, "bug", "an exception left the keeping of the purse", {{"what", what}});
                }},
        config_.spending);
}

/// Only once it is known what an earlier run had counted: what has ended since is asked for at the first connection.
void Gateway::Inside::listen(bridge::Purse::Left const& left) {
    if (finished_) return;
    for (auto const& step : left.steps) activity_.knows(step);
    heard_before_ = left.heard_until;
    follower_->configure(follower_settings());
    follower_->start();
}

void Gateway::Inside::heard(opencode::Event const& event) {
    if (auto const step = activity_.heard(event, deadlines_.now())) treasurer_->spent(*step);
    treasurer_->heard();
}

void Gateway::Inside::missed(opencode::StepInfo const& step) {
    if (activity_.count(step)) treasurer_->spent(step);
}

void Gateway::Inside::over_budget(std::optional<bridge::Purse::Blocked> const& blocked) {
    budget_block_->set(blocked);
    audit_budget(blocked);
    if (!blocked) return log_.app(LogLevel::info, "budget_open", "new prompts are let in again");
    auto const until = std::chrono::duration_cast<std::chrono::milliseconds>(blocked->until.time_since_epoch());
    log_.app(LogLevel::warn, "budget_spent", "new prompts are refused until the period is over",
             {{"period", bridge::period_words[static_cast<std::size_t>(blocked->period)]},
              {"until_ms", std::int64_t{until.count()}}});
}

/// Nothing where no budget refuses anything: then no request is looked at for it.
std::shared_ptr<BudgetBlock> Gateway::Inside::budget_block() const {
    auto const& budgets = config_.spending.budgets;
    bool const any = std::any_of(budgets.begin(), budgets.end(), [](auto const& budget) { return budget.block; });
    return any ? budget_block_ : nullptr;
}

void Gateway::Inside::show_spending(ops::Exposition& out) {
    auto const now = deadlines_.now();
    auto const wall = std::chrono::system_clock::now();
    write_wedged(out, follower_->tap(), upstream_silent_, now);
    auto const sessions = follower_->model().counts();
    bool const busy = sessions.busy + sessions.retry > 0;
    write_agent(out, {.deeds = activity_.deeds(), .now = now, .wall = wall, .busy = busy});
    write_money(out, {.purse = treasurer_->purse(),
                      .wall = wall,
                      .blocked = budget_block() && budget_block_->at(wall),
                      .refusals = budget_block_->refusals()});
}

}  // namespace ocgate::app
