#include "config_budgets.hpp"

#include <algorithm>

#include "config_json.hpp"

namespace ocgate::app {
namespace {
using nlohmann::json;

/// A number in (0, most]; nothing, with the error told, for anything else.
std::optional<double> amount(Loader& loader, json const& given, std::string const& place, std::string_view what,
                             double most) {
    if (given.is_number()) {
        auto const value = given.get<double>();
        if (value > 0 && value <= most) return value;
    }
    loader.complain(place, "expected " + std::string(what) + ", got " + Given{&given}.description());
    return std::nullopt;
}

std::vector<double> read_parts(Loader& loader, Fields& fields, json const& given) {
    std::vector<double> parts;
    auto const place = fields.place("notify_at");
    if (!given.is_array() || given.size() > max_parts) {
        fields.complain(place, "expected an array of at most " + std::to_string(max_parts) + " numbers, got " +
                                   (given.is_array() ? std::to_string(given.size()) : kind_of(given)));
        return parts;
    }
    for (std::size_t i = 0; i < given.size(); ++i) {
        if (auto const part = amount(loader, given[i], below(place, i),
                                     "a part of the budget above 0 and up to 10, such as 0.8", max_part))
            parts.push_back(*part);
    }
    std::sort(parts.begin(), parts.end());
    parts.erase(std::unique(parts.begin(), parts.end()), parts.end());
    return parts;
}

std::optional<bridge::Budget> read_budget(Loader& loader, json const& given, std::string place) {
    Fields fields(loader, given, std::move(place));
    fields.only(budget_keys);
    if (!given.is_object()) return std::nullopt;
    for (auto const* const key : {"period", "usd"})
        if (!fields.find(key)) fields.complain(fields.place(), std::string(key) + " is missing");
    bridge::Budget budget;
    auto const period = fields.word("period", bridge::period_words);
    std::optional<double> usd;
    if (auto const* const value = fields.find("usd"))
        usd = amount(loader, *value, fields.place("usd"), "an amount above 0 and up to 1000000", max_usd);
    if (auto const* const parts = fields.find("notify_at")) budget.notify_at = read_parts(loader, fields, *parts);
    if (auto const* const block = fields.find("block")) {
        if (block->is_boolean()) {
            budget.block = block->get<bool>();
        } else {
            fields.complain(fields.place("block"), "expected true or false, got " + Given{block}.description());
        }
    }
    if (!period || !usd) return std::nullopt;
    budget.period = static_cast<bridge::Period>(*period);
    budget.usd = *usd;
    return budget;
}

}  // namespace

Mistakes apply_budget_time_zone(Given const& given, Config& config) {
    std::string const wanted = "a time zone such as Europe/Berlin or UTC";
    auto const text = as_string(given);
    if (!text || text->empty()) return {{"", unlike(wanted, given)}};
    std::string name(*text);
    if (!notify::is_time_zone(name))
        return {{"", unlike(wanted, given) + ", which this machine does not know (package tzdata)"}};
    config.spending.time_zone = std::move(name);
    return {};
}

std::vector<bridge::Budget> read_budgets(Loader& loader, json const& given) {
    std::vector<bridge::Budget> budgets;
    std::string const at(budgets_pointer);
    constexpr auto most = bridge::period_words.size();
    if (!given.is_array() || given.size() > most) {
        loader.complain(at, "expected an array of at most " + std::to_string(most) + " budgets, got " +
                                (given.is_array() ? std::to_string(given.size()) : kind_of(given)));
        return budgets;
    }
    for (std::size_t i = 0; i < given.size(); ++i) {
        auto const budget = read_budget(loader, given[i], below(at, i));
        if (!budget) continue;
        bool const twice = std::any_of(budgets.begin(), budgets.end(),
                                       [&](auto const& other) { return other.period == budget->period; });
        if (twice)
            loader.complain(below(at, i),
                            "there is a budget for the " +
                                std::string(bridge::period_words[static_cast<std::size_t>(budget->period)]) +
                                " already");
        budgets.push_back(*budget);
    }
    return budgets;
}

void Loader::read_spending() {
    auto& config = loaded_.config;
    if (auto const* const given = other(budgets_pointer)) config.spending.budgets = read_budgets(*this, *given);
    auto const& budgets = config.spending.budgets;
    if (budgets.empty()) return;
    if (config.state_dir.empty())
        warn(std::string(budgets_pointer) +
             ": what is spent is forgotten with the process, because state_dir is none or cannot be guessed");
    for (auto const& budget : budgets) {
        if (budget.block || (!config.notify.targets.empty() && !budget.notify_at.empty())) continue;
        warn(std::string(budgets_pointer) + ": the budget of the " +
             std::string(bridge::period_words[static_cast<std::size_t>(budget.period)]) +
             " has no effect but in the metrics: it blocks nothing, and nobody is told");
    }
}

}  // namespace ocgate::app
