// What opencode's agents cost, added up by day and by month, and the limits that people have set to it. A plain
// decision: does no I/O and no waiting, time is handed in. Its note carries it over a restart.
//
// A step counts for the day in which it ended, whenever it is heard of. Sums are whole billionths of a dollar: they
// come out the same in whatever order steps are found.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace ocgate::bridge {

enum class Period : std::uint8_t { day, month };
inline constexpr std::array<std::string_view, 2> period_words{"day", "month"};

struct Budget {
    Period period = Period::day;
    double usd = 0;
    std::vector<double> notify_at{0.8, 1.0};  ///< parts of it, each told once in a period
    bool block = false;                       ///< once it is spent, nothing new is begun
};

struct PurseRules {
    std::vector<Budget> budgets{};  ///< at most one for each period
    std::string time_zone = "UTC";  ///< whose days and months they are; a name of the IANA database
};

/// A part of a budget that is spent, and has not been told in this period.
struct Crossed {
    std::string key;  ///< `budget/day/2026-11-26/0.8/20`: the same in every life of the gateway
    Period period{};
    std::string name;  ///< of the period: 2026-11-26, 2026-11
    double spent = 0, usd = 0, part = 0;
    bool block = false;    ///< as in Budget
    bool refused = false;  ///< new work is refused now
    std::string until;     ///< when the period ends, for people: `2026-11-27 00:00 Europe/Berlin`
};

class Purse {
public:
    using Time = std::chrono::system_clock::time_point;
    static constexpr std::size_t max_steps = 256;  ///< whose ids are remembered
    static constexpr std::size_t max_told = 128;   ///< of the parts that were told; the first go first
    static constexpr std::size_t max_id_bytes = 128;

    explicit Purse(PurseRules rules) : rules_(std::move(rules)) {}
    /// What was spent stays with the dates it was counted for, also in another time zone. A budget of another amount is
    /// another one: its parts are told anew.
    void adopt(PurseRules rules) { rules_ = std::move(rules); }
    [[nodiscard]] PurseRules const& rules() const noexcept { return rules_; }

    /// False: this step was counted before. A step without a time, or from the far future, ended now.
    bool count(std::string_view step, double usd, Time ended, Time now);

    /// What is to be told, each once; of several parts of one budget only the largest.
    [[nodiscard]] std::vector<Crossed> crossed(Time now);

    [[nodiscard]] double spent(Period period, Time now) const;
    struct Blocked {
        Period period;  ///< the one that ends last
        Time until;
        bool operator==(Blocked const&) const = default;
    };
    [[nodiscard]] std::optional<Blocked> blocked(Time now) const;
    /// Then sums begin anew. Every period ends at the end of a day.
    [[nodiscard]] Time end_of_day(Time now) const;

    // Over a restart.

    /// All of it as one document of some kilobytes. `heard_until`: every step that ended before is counted.
    [[nodiscard]] std::string note(std::optional<Time> heard_until) const;
    struct Left {
        std::optional<Time> heard_until;
        std::vector<std::string> steps;  ///< those that were counted last
    };
    /// Adds what a note says to what is here. Nothing, and nothing added: it is no note.
    std::optional<Left> restore(std::string_view note, Time now);

private:
    using Sums = std::map<std::string, std::int64_t, std::less<>>;  ///< billionths, by name of the period

    [[nodiscard]] Sums& sums_of(Period period) { return sums_[static_cast<std::size_t>(period)]; }
    [[nodiscard]] std::int64_t sum(Period period, std::string_view name) const;
    void add(Period period, std::string const& name, std::int64_t amount);
    void remember(std::string_view step);
    /// What is a month away goes.
    void forget(Time now);

    PurseRules rules_;
    std::array<Sums, 2> sums_;
    std::set<std::string, std::less<>> told_;   ///< `day/2026-11-26/0.8/20`
    std::deque<std::string> steps_;             ///< the newest last
    std::set<std::string, std::less<>> known_;  ///< the same
};

}  // namespace ocgate::bridge
