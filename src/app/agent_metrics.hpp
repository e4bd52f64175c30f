// What agents do and what it costs, as figures for a scrape. How many series there can be is bounded by what
// opencode::Activity lets stand (Activity::Limits); everything else is a closed set.
#pragma once

#include "ocgate/bridge/purse.hpp"
#include "ocgate/opencode/activity.hpp"
#include "ocgate/opencode/tap.hpp"
#include "ocgate/ops/exposition.hpp"

namespace ocgate::app {

/// opencode is connected and says nothing, not even its heartbeat of every 10 s: one may be late.
inline constexpr rt::Duration wedged_after = std::chrono::seconds(25);

struct AgentFigures {
    opencode::Deeds const& deeds;
    rt::Instant now{};           ///< by the clock of the events
    bridge::Purse::Time wall{};  ///< the same moment
    bool busy = false;           ///< something runs: a tool may be silent for an hour
};
void write_agent(ops::Exposition& out, AgentFigures const& figures);

struct MoneyFigures {
    bridge::Purse const& purse;
    bridge::Purse::Time wall{};
    bool blocked = false;        ///< prompts are refused now
    std::uint64_t refusals = 0;  ///< prompts that were
};
void write_money(ops::Exposition& out, MoneyFigures const& figures);

/// `probe`: the last one was accepted and not answered in its time.
void write_wedged(ops::Exposition& out, opencode::TapState const& tap, bool probe, rt::Instant now);

}  // namespace ocgate::app
