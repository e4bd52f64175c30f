// The courier's lanes: what a lane knows in memory, and the tasks that work on it.
#pragma once

#include <algorithm>
#include <deque>
#include <list>

#include "breaker.hpp"
#include "budget.hpp"
#include "ocgate/notify/courier.hpp"
#include "ocgate/rt/task_group.hpp"

namespace ocgate::notify {

/// What one attempt came to.
struct Attempt {
    Verdict verdict;
    bool answered = false;        ///< there is a verdict of the sink's, not a failure of the network
    bool maybe_received = false;  ///< no answer says that it was not taken
    bool broken_off = false;      ///< by us: it says nothing about the target
    bool nothing = false;         ///< there is no request for it: the target cannot do that
};

struct Lane {
    Lane(CourierTarget t, CourierNeeds const& needs, CourierRules const& rules)
        : target(std::move(t)),
          breaker({rules.breaker_failures, rules.breaker_first, rules.breaker_longest}),
          alarm(
              needs.deadlines, [](void* self) { static_cast<Lane*>(self)->wake.notify(); }, this) {}

    /// The operator's pace, or what the target is known to bear: that may change with what it says.
    void keep_pace(rt::Instant now) {
        auto const able = target.sink->capabilities();
        target.burst > 0 ? budget.pace(target.burst, target.every, now) : budget.pace(able.burst, able.every, now);
    }

    CourierTarget target;
    Breaker breaker;
    Budget budget{0, {}};
    rt::Instant paused_until{};          ///< what it asked for
    std::string disabled;                ///< why
    std::vector<std::string> under_way;  ///< deliveries, by dedupe
    std::string last_failure;
    std::optional<std::int64_t> clock_lead;  ///< of the time of day before the clock that waits go by, in milliseconds
    CourierCounts counts;
    /// Blocks that failed here and wait for their next attempt: they are told elsewhere when the target stays down.
    /// Bounded: the oldest go.
    std::deque<Due> failed_blocks;
    rt::Signal wake;
    rt::Deadline alarm;
};

/// What a person who enables a target waits for.
struct Enabling {
    rt::Signal over;
    std::optional<Kept<bool>> result;
};

struct Courier::Inside {
    Inside(CourierNeeds n, CourierRules r, std::vector<CourierTarget> targets);

    using Lanes = std::vector<std::unique_ptr<Lane>>;

    // courier.cpp: what is taken when
    rt::Task<void> begin();
    rt::Task<void> pump(Lane& lane);
    rt::Task<rt::Instant> step(Lane& lane);
    rt::Task<rt::Instant> take(Lane& lane, std::size_t room);
    rt::Task<bool> mind_clock(Lane& lane);
    rt::Task<void> enable(Lane& lane, std::shared_ptr<Enabling> asked);
    [[nodiscard]] rt::Instant ready_at(Lane const& lane, rt::Instant now) const;
    [[nodiscard]] bool down(Lane const& lane, rt::Instant now) const;
    [[nodiscard]] Lane* find(std::string_view name) const;
    [[nodiscard]] std::vector<std::string> stand_ins(Lane const& lane) const;

    // courier_delivery.cpp: one delivery. Views, because g++ 12.2 destroys a text made within a co_await twice.
    rt::Task<void> deliver(Lane& lane, Due due);
    rt::Task<void> carry(Lane& lane, Due const& due);
    rt::Task<void> attempt(Lane& lane, Due const& due, Letter const& letter, Attempt& attempt);
    rt::Task<void> ask(Lane& lane, HttpRequest request, Attempt& attempt);
    rt::Task<void> settle(Lane& lane, Due const& due, Attempt const& attempt);
    rt::Task<void> keep_sent(Lane& lane, Due const& due, std::string_view remote_id);
    rt::Task<void> keep_retry(Lane& lane, Due const& due, rt::Duration delay, std::string_view why);
    rt::Task<bool> put_back(Lane& lane, Due const& due, rt::Duration delay, std::string_view why);
    rt::Task<void> keep_dead(Lane& lane, Due const& due, std::string_view why);
    rt::Task<void> keep_dropped(Lane& lane, Due const& due, std::uint64_t& counter, std::string_view why);
    rt::Task<void> disable(Lane& lane, Due const& due, std::string_view why);
    void pause(Lane& lane, Verdict const& verdict);

    // courier_divert.cpp: blocks of a target that is down
    [[nodiscard]] std::vector<NewDelivery> instead(Lane const& lane, Due const& due) const;
    void diverted(Lane& lane, Due const& due, unsigned enqueued);
    rt::Task<bool> divert(Lane& lane, Due const& due);
    rt::Task<void> divert_failed(Lane& lane);
    rt::Task<void> sweep(Lane& lane, rt::Duration delay);
    void remember(Lane& lane, Due const& due);
    static void forget(Lane& lane, Due const& due);

    /// Does `job` in the outbox until it is done, the courier stops, or the outbox says it never will be. Nothing then.
    template <class Job>
    rt::Task<std::optional<typename std::invoke_result_t<Job&, Outbox&>::value_type>> insist(Lane* lane, Job job);
    void in_trouble(Lane* lane, OutboxError const& error);
    /// Ends early when the courier stops.
    rt::Task<void> nap(rt::Duration time);

    void tell(Lane const& lane, Told::What what, Due const& due, std::string_view why) const {
        if (needs.told) needs.told({what, lane.target.name, due, why});
    }
    [[nodiscard]] rt::Instant now() const noexcept { return needs.deadlines.now(); }
    /// Unix milliseconds, `ahead` of now.
    [[nodiscard]] std::int64_t wall_ms(rt::Duration ahead = {}) const;

    CourierNeeds needs;
    CourierRules rules;
    Lanes lanes;
    std::list<rt::Signal*> naps;
    bool started = false;
    bool stopping = false;
    rt::TaskGroup tasks;
};

template <class Job>
rt::Task<std::optional<typename std::invoke_result_t<Job&, Outbox&>::value_type>> Courier::Inside::insist(Lane* lane,
                                                                                                          Job job) {
    for (;;) {
        auto once = job;
        auto result = co_await needs.store.run(std::move(once));
        if (result) co_return std::move(*result);
        in_trouble(lane, result.error());
        auto const trouble = result.error().trouble;
        if (trouble == Trouble::unknown || trouble == Trouble::invalid || stopping) co_return std::nullopt;
        co_await nap(rules.store_pause);
    }
}

}  // namespace ocgate::notify
