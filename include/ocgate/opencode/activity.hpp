// What agents do, counted: turns, steps, tokens and what they cost, tools, requests and how long their answers took.
// Made out of the events and happenings that the follower tells; knows no sockets and no clock but the times it is
// handed. Everything counts from the beginning of this process; what was spent before is others' to remember.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "ocgate/opencode/model.hpp"

namespace ocgate::opencode {

/// A histogram over seconds.
template <std::size_t N>
class Spans {
public:
    explicit constexpr Spans(std::array<double, N> const& bounds) noexcept : bounds_(&bounds) {}
    void observe(rt::Duration took) noexcept {
        auto const seconds = std::max(0.0, std::chrono::duration<double>(took).count());
        std::size_t i = 0;
        while (i < N && seconds > (*bounds_)[i]) ++i;
        ++counts_[i];
        sum_ += seconds;
    }
    [[nodiscard]] std::span<double const> bounds() const noexcept { return *bounds_; }
    /// Of each bucket by itself; the last is what lies beyond all bounds.
    [[nodiscard]] std::span<std::uint64_t const> counts() const noexcept { return counts_; }
    [[nodiscard]] double seconds() const noexcept { return sum_; }

private:
    std::array<double, N> const* bounds_;
    std::array<std::uint64_t, N + 1> counts_{};
    double sum_ = 0;
};

/// Of a model's answer: a second to ten minutes.
inline constexpr std::array step_seconds{0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0};
/// Of a turn: a second to four hours.
inline constexpr std::array turn_seconds{1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0, 14400.0};
/// Until a person answers: a second to a day.
inline constexpr std::array answer_seconds{1.0, 5.0, 15.0, 30.0, 60.0, 180.0, 600.0, 900.0, 3600.0, 14400.0, 86400.0};

/// Who did a step. `other` in all three: there was no more room for names. Any of the three may be empty, where
/// opencode did not say.
struct Worker {
    std::string provider, model, agent;
    bool operator==(Worker const&) const = default;
    bool operator<(Worker const& other) const {
        return std::tie(provider, model, agent) < std::tie(other.provider, other.model, other.agent);
    }
};
struct Work {
    std::uint64_t steps = 0;  ///< also those that failed or were aborted; shell commands of the user's are none
    Usage usage;
    /// A step's tools, and whoever has to permit them, are waited for in it.
    Spans<step_seconds.size()> took{step_seconds};
};

enum class ToolOutcome : std::uint8_t { completed, failed };

struct Deeds {
    std::map<Worker, Work> work;
    std::map<std::string, std::array<std::uint64_t, 2>, std::less<>> tools;  ///< by name, by ToolOutcome
    /// That ended a step or a prompt, by opencode's name for them; an abort is one.
    std::map<std::string, std::uint64_t, std::less<>> errors;

    std::array<std::uint64_t, 3> turns{};                 ///< completed, failed, aborted
    Spans<turn_seconds.size()> turns_took{turn_seconds};  ///< of completed ones that were seen from their beginning
    std::uint64_t retries = 0;                            ///< of providers: attempts that failed and are tried again
    std::uint64_t compactions = 0;

    struct Permissions {
        std::uint64_t asked = 0;              ///< or found waiting: by two runs of ours twice
        std::array<std::uint64_t, 4> over{};  ///< by PermissionOver::Outcome
    };
    std::map<std::string, Permissions, std::less<>> permissions;  ///< by what is to be permitted: bash, edit, …
    std::uint64_t questions_asked = 0;
    std::array<std::uint64_t, 3> questions_over{};  ///< by QuestionOver::Outcome
    /// From being asked to a person's answer. Not in it: what went without one, and what was found waiting, nobody
    /// knows for how long.
    Spans<answer_seconds.size()> permissions_took{answer_seconds}, questions_took{answer_seconds};

    std::size_t terminals_open = 0;
    /// Of a turn that runs, a step, a request or a terminal that opens or closes: not of heartbeats and of what follows
    /// an end. Nothing: none since this process began. A tool may run for an hour and say nothing: while the model
    /// counts a session that is not idle, the last activity is now.
    std::optional<rt::Instant> last_active;
};

class Activity {
public:
    /// What a server may name without end; beyond, the rest is counted as `other`, which is one more.
    struct Limits {
        std::size_t max_workers = 64;
        std::size_t max_tools = 64;
        std::size_t max_errors = 32;
        std::size_t max_permissions = 32;
        std::size_t max_name_bytes = 64;     ///< longer, or with control characters: `other`
        std::size_t max_remembered = 4'000;  ///< ids of steps and tool calls that were counted; the oldest go first
        std::size_t max_terminals = 1'000;
    };
    static constexpr std::string_view other = "other";

    Activity();
    explicit Activity(Limits limits);
    ~Activity();
    Activity(Activity&&) noexcept;
    Activity& operator=(Activity&&) noexcept;

    /// A step that ended and had not been counted before: what it cost may be added up.
    [[nodiscard]] std::optional<StepInfo> heard(Event const& event, rt::Instant now);
    void happened(Happening const& happening, rt::Instant now);
    /// A step that was found by asking (FollowerListener::missed). True: it had not been counted before.
    [[nodiscard]] bool count(StepInfo const& step);
    /// Counted by an earlier run: not again.
    void knows(std::string_view message);
    /// opencode's process is gone (FollowerListener::gone), and its terminals with it.
    void lost();

    [[nodiscard]] Deeds const& deeds() const noexcept;

private:
    struct Inside;
    std::unique_ptr<Inside> inside_;
};

}  // namespace ocgate::opencode
