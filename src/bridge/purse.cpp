#include "ocgate/bridge/purse.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "calendar.hpp"

namespace ocgate::bridge {
namespace {
using nlohmann::json;
using Time = Purse::Time;
using std::chrono::milliseconds;

constexpr double billion = 1e9;
constexpr double most_usd = 1e9;  ///< of one step or budget: beyond, it is no price
constexpr std::int64_t version = 1;
constexpr std::array periods{Period::day, Period::month};

std::int64_t billionths(double usd) noexcept {
    return std::isfinite(usd) ? std::llround(std::clamp(usd, 0.0, most_usd) * billion) : 0;
}

/// The shortest digits that are this number.
std::string digits(double number) {
    std::array<char, 32> out{};
    auto const end = std::to_chars(out.data(), out.data() + out.size(), number).ptr;
    return {out.data(), end};
}

std::string_view word_of(Period period) noexcept { return period_words[static_cast<std::size_t>(period)]; }

/// Periods, by their names, that are still of interest: a clock that is wrong by days for a while must not make the
/// right day forgotten.
struct Memory {
    Memory(Period period, std::string const& zone, Time now)
        : first(term_at(period, zone, now - reach).name), last(term_at(period, zone, now + reach).name) {}
    [[nodiscard]] bool holds(std::string_view name) const noexcept { return name >= first && name <= last; }

    static constexpr std::chrono::hours reach{31 * 24};
    std::string first, last;
};

std::int64_t ms_of(Time time) { return std::chrono::duration_cast<milliseconds>(time.time_since_epoch()).count(); }

/// A time that a document names; nothing for what is none.
std::optional<Time> time_in(json const& note, char const* name) {
    auto const found = note.find(name);
    if (found == note.end() || !found->is_number_integer()) return std::nullopt;
    milliseconds const since(found->get<std::int64_t>());
    constexpr auto latest = std::chrono::floor<milliseconds>(Time::max().time_since_epoch());
    if (since < milliseconds(0) || since > latest) return std::nullopt;
    return Time(since);
}

/// An id as it is remembered. Whatever JSON writes longer than it is would make the note larger than the outbox takes,
/// and the day's sum would be forgotten; opencode's own ids hold nothing of the kind.
std::string plain(std::string_view step) {
    std::string id(step.substr(0, Purse::max_id_bytes));
    std::replace_if(
        id.begin(), id.end(), [](char c) { return c <= ' ' || c >= 0x7F || c == '"' || c == '\\'; }, '_');
    return id;
}

std::vector<std::string> texts_in(json const& note, char const* name, std::size_t most) {
    std::vector<std::string> texts;
    auto const found = note.find(name);
    if (found == note.end() || !found->is_array()) return texts;
    for (auto const& one : *found) {
        if (texts.size() == most) break;
        if (one.is_string()) texts.push_back(one.get<std::string>());
    }
    return texts;
}

}  // namespace

// ---- what is spent

std::int64_t Purse::sum(Period period, std::string_view name) const {
    auto const& sums = sums_[static_cast<std::size_t>(period)];
    auto const found = sums.find(name);
    return found == sums.end() ? 0 : found->second;
}

void Purse::add(Period period, std::string const& name, std::int64_t amount) {
    auto& sum = sums_of(period)[name];
    sum += std::min(amount, std::numeric_limits<std::int64_t>::max() - sum);
}

void Purse::remember(std::string_view step) {
    if (!known_.emplace(step).second) return;
    steps_.emplace_back(step);
    if (steps_.size() <= max_steps) return;
    known_.erase(steps_.front());
    steps_.pop_front();
}

bool Purse::count(std::string_view step, double usd, Time ended, Time now) {
    auto const id = plain(step);
    if (known_.contains(id)) return false;
    remember(id);
    if (ended <= Time() || ended > now + std::chrono::hours(24)) ended = now;
    if (auto const amount = billionths(usd); amount > 0) {
        for (auto const period : periods) add(period, term_at(period, rules_.time_zone, ended).name, amount);
    }
    forget(now);
    return true;
}

double Purse::spent(Period period, Time now) const {
    return static_cast<double>(sum(period, term_at(period, rules_.time_zone, now).name)) / billion;
}

void Purse::forget(Time now) {
    for (auto const period : periods) {
        Memory const memory(period, rules_.time_zone, now);
        std::erase_if(sums_of(period), [&](auto const& one) { return !memory.holds(one.first); });
        auto const prefix = std::string(word_of(period)) + "/";
        std::erase_if(told_, [&](std::string_view told) {
            if (!told.starts_with(prefix)) return false;
            told.remove_prefix(prefix.size());
            return !memory.holds(told.substr(0, told.find('/')));
        });
    }
    while (told_.size() > max_told) told_.erase(told_.begin());
}

// ---- what it comes to

std::vector<Crossed> Purse::crossed(Time now) {
    std::vector<Crossed> news;
    for (auto const& budget : rules_.budgets) {
        auto const limit = billionths(budget.usd);
        if (limit == 0) continue;
        auto const term = term_at(budget.period, rules_.time_zone, now);
        auto const spent = sum(budget.period, term.name);
        auto const prefix = std::string(word_of(budget.period)) + "/" + term.name + "/";
        std::optional<double> largest;
        bool is_new = false;
        for (auto const part : budget.notify_at) {
            if (spent < billionths(part * budget.usd)) continue;
            bool const untold = told_.insert(prefix + digits(part) + "/" + digits(budget.usd)).second;
            if (largest && part <= *largest) continue;
            largest = part;
            is_new = untold;
        }
        if (!is_new) continue;
        news.push_back({.key = "budget/" + prefix + digits(*largest) + "/" + digits(budget.usd),
                        .period = budget.period,
                        .name = term.name,
                        .spent = static_cast<double>(spent) / billion,
                        .usd = budget.usd,
                        .part = *largest,
                        .block = budget.block,
                        .refused = budget.block && spent >= limit,
                        .until = local_time(rules_.time_zone, term.end)});
    }
    return news;
}

std::optional<Purse::Blocked> Purse::blocked(Time now) const {
    std::optional<Blocked> longest;
    for (auto const& budget : rules_.budgets) {
        auto const limit = billionths(budget.usd);
        if (!budget.block || limit == 0) continue;
        auto const term = term_at(budget.period, rules_.time_zone, now);
        if (sum(budget.period, term.name) < limit) continue;
        if (!longest || term.end > longest->until) longest = Blocked{budget.period, term.end};
    }
    return longest;
}

Time Purse::end_of_day(Time now) const { return term_at(Period::day, rules_.time_zone, now).end; }

// ---- over a restart

std::string Purse::note(std::optional<Time> heard_until) const {
    json note{{"version", version}, {"told", told_}, {"steps", steps_}};
    for (auto const period : periods) note[std::string(word_of(period))] = sums_[static_cast<std::size_t>(period)];
    if (heard_until) note["heard_until_ms"] = ms_of(*heard_until);
    return note.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<Purse::Left> Purse::restore(std::string_view text, Time now) {
    auto const note = json::parse(text, nullptr, false);
    if (!note.is_object() || note.value("version", json()) != version) return std::nullopt;
    for (auto const period : periods) {
        auto const sums = note.find(word_of(period));
        if (sums == note.end() || !sums->is_object()) continue;
        for (auto const& [name, amount] : sums->items()) {
            auto const whole = amount.is_number_integer() ? amount.get<std::int64_t>() : 0;
            if (whole > 0) add(period, name, whole);
        }
    }
    for (auto& told : texts_in(note, "told", max_told)) told_.insert(std::move(told));
    forget(now);
    Left left{time_in(note, "heard_until_ms"), texts_in(note, "steps", max_steps)};
    auto const own = std::exchange(steps_, {});
    known_.clear();
    for (auto const& step : left.steps) remember(plain(step));
    for (auto const& step : own) remember(step);
    return left;
}

}  // namespace ocgate::bridge
