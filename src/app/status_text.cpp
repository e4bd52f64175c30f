// The status page as a table, for `ocgate status` and, with what changed since, for `ocgate top`. Made from the page's
// JSON alone: `top` has nothing else.
#include "status_text.hpp"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "page_text.hpp"

namespace ocgate::app {
namespace {
using nlohmann::json;

json const none;

/// A member, however deep; null where there is none: the page may be another version's.
json const& at(json const& object, std::initializer_list<char const*> path) {
    auto const* here = &object;
    for (auto const* key : path) {
        if (!here->is_object()) return none;
        auto const found = here->find(key);
        if (found == here->end()) return none;
        here = &*found;
    }
    return *here;
}

std::string text(json const& value) { return value.is_string() ? value.get<std::string>() : std::string(); }
double number(json const& value) { return value.is_number() ? value.get<double>() : 0; }
std::string count(json const& value) {
    return std::to_string(static_cast<std::uint64_t>(std::max(number(value), 0.0)));
}
bool yes(json const& value) { return value.is_boolean() && value.get<bool>(); }

std::string usd(json const& value) {
    char digits[64];
    auto const n = std::snprintf(digits, sizeof digits, "%.2f", number(value));
    return std::string(digits, n > 0 && static_cast<std::size_t>(n) < sizeof digits ? static_cast<std::size_t>(n) : 0);
}

std::string ago(json const& seconds) {
    return seconds.is_number() ? ago_text(static_cast<std::int64_t>(number(seconds))) : std::string();
}

std::string upstream_words(json const& page) {
    auto const& up = at(page, {"upstream", "up"});
    auto words = text(at(page, {"upstream", "address"}));
    if (!up.is_boolean()) return words + " not asked yet";
    if (!yes(up)) return words + " does not answer: " + text(at(page, {"upstream", "reason"}));
    return words + " answers, opencode " + text(at(page, {"upstream", "version"}));
}

std::string events_words(json const& page) {
    if (!yes(at(page, {"events", "connected"}))) return "events not heard";
    auto const& heard = at(page, {"events", "heard_seconds_ago"});
    return "events heard " + ago(heard) + " ago";
}

std::string stage_words(json const& page) {
    std::string words;
    auto const& all = at(page, {"totals", "stages"});
    if (!all.is_object()) return words;
    for (auto const& [stage, n] : all.items())
        if (number(n) > 0) words += (words.empty() ? ": " : ", ") + count(n) + " " + stage;
    return words;
}

/// `spent 1.20 USD of 20.00 this day, 14.00 USD this month`
std::string spending_words(json const& page) {
    std::string words;
    auto const& periods = at(page, {"spending", "periods"});
    for (auto const& one : periods.is_array() ? periods : json::array()) {
        auto const& budget = at(one, {"budget_usd"});
        words += (words.empty() ? "spent " : ", ") + usd(at(one, {"spent_usd"})) + " USD" +
                 (budget.is_number() ? " of " + usd(budget) : "") + " this " + text(at(one, {"period"}));
    }
    return words;
}

/// What is wrong, each in words.
std::string trouble(json const& page) {
    std::string lines;
    auto const& silent = at(page, {"silent_shards"});
    if (silent.is_array() && !silent.empty()) {
        lines += "no answer from thread";
        for (auto const& shard : silent) lines += " " + count(shard);
        lines += ": what it carries is missing here\n";
    }
    auto const& targets = at(page, {"targets"});
    for (auto const& target : targets.is_array() ? targets : json::array()) {
        auto const disabled = text(at(target, {"disabled"}));
        auto const breaker = text(at(target, {"breaker"}));
        if (!disabled.empty()) {
            lines += "target " + text(at(target, {"name"})) + " is disabled: " + one_line(disabled) + "\n";
        } else if (breaker == "open" || breaker == "half_open") {
            lines += "target " + text(at(target, {"name"})) +
                     " fails: " + one_line(text(at(target, {"last_failure"}))) + "\n";
        }
    }
    if (auto const until = text(at(page, {"spending", "blocked_until"})); !until.empty())
        lines += "the budget is spent: new prompts are refused until " + one_line(until) + "\n";
    if (yes(at(page, {"outbox", "wanted"})) && !yes(at(page, {"outbox", "durable"})))
        lines += "the outbox is in memory only\n";
    if (number(at(page, {"audit", "dropped"})) > 0)
        lines += count(at(page, {"audit", "dropped"})) + " lines of the audit were lost\n";
    return lines;
}

Row row_of(json const& one) {
    auto const& stalled = at(one, {"stalled_seconds"});
    return {ago(at(one, {"age_seconds"})),
            text(at(one, {"stage"})),
            text(at(one, {"waits_for"})),
            bytes_text(number(at(one, {"request_bytes"}))),
            bytes_text(number(at(one, {"response_bytes"}))),
            stalled.is_number() ? ago(stalled) : std::string(),
            text(at(one, {"user"})),
            text(at(one, {"client"})),
            text(at(one, {"request_id"})),
            text(at(one, {"method"})) + " " + text(at(one, {"path"}))};
}

json const& exchanges_of(json const& page) {
    static json const empty = json::array();
    auto const& all = at(page, {"exchanges"});
    return all.is_array() ? all : empty;
}

std::string left_out(json const& page, std::size_t shown) {
    auto const total = static_cast<std::size_t>(std::max(number(at(page, {"totals", "exchanges"})), 0.0));
    return total > shown ? "(and " + std::to_string(total - shown) + " more)\n" : std::string();
}

}  // namespace

std::string status_heading(json const& page) {
    auto const spending = spending_words(page);
    auto lines = "ocgate " + text(at(page, {"version"})) + ", " + text(at(page, {"phase"})) + ", up " +
                 ago(at(page, {"uptime_seconds"})) + "; " + upstream_words(page) + "; " + events_words(page);
    lines = one_line(lines) + "\n";
    lines += count(at(page, {"totals", "connections"})) + " connections, " + count(at(page, {"totals", "idle"})) +
             " of them idle; " + count(at(page, {"totals", "exchanges"})) + " exchanges" + stage_words(page) +
             "; upstream: " + count(at(page, {"totals", "upstreams_in_use"})) + " in use, " +
             count(at(page, {"totals", "upstreams_idle"})) + " idle\n";
    lines += count(at(page, {"sessions", "busy"})) + " sessions busy, " + count(at(page, {"sessions", "retry"})) +
             " retrying; waiting for an answer: " + count(at(page, {"pending", "permissions"})) + " permissions, " +
             count(at(page, {"pending", "questions"})) + " questions" + (spending.empty() ? "" : "; " + spending) +
             "\n";
    return lines + trouble(page);
}

std::string status_text(json const& page) {
    auto lines = status_heading(page);
    auto const& all = exchanges_of(page);
    if (all.empty()) return lines;
    std::vector<Row> rows{
        {"Age", "Stage", "Waits For", "Up", "Down", "Stalled", "User", "Client", "Request ID", "Request"}};
    for (auto const& one : all) rows.push_back(row_of(one));
    return lines + "\n" + table_text(rows) + left_out(page, all.size());
}

std::string top_text(json const& page, json const* before, std::size_t most_rows) {
    auto const ms = number(at(page, {"time_ms"})) - (before ? number(at(*before, {"time_ms"})) : 0);
    auto const per_second = before && ms > 0 ? 1000 / ms : 0;
    auto lines = status_heading(page);
    struct Moving {
        json const* one;
        double up, down;  ///< bytes per second
    };
    if (per_second > 0) {
        auto const rate = [&](char const* key) {
            return std::max(0.0, number(at(page, {"totals", key})) - number(at(*before, {"totals", key}))) * per_second;
        };
        char requests[32];
        (void)std::snprintf(requests, sizeof requests, "%.1f", rate("requests"));
        lines += std::string(requests) + " requests/s; " + bytes_text(rate("request_bytes")) + "/s up, " +
                 bytes_text(rate("response_bytes")) + "/s down\n";
    }
    std::unordered_map<std::string, json const*> earlier;
    if (per_second > 0)
        for (auto const& one : exchanges_of(*before)) earlier.emplace(text(at(one, {"request_id"})), &one);
    std::vector<Moving> all;
    for (auto const& one : exchanges_of(page)) {
        auto const known = earlier.find(text(at(one, {"request_id"})));
        auto const rate = [&](char const* key) {
            auto const was = known == earlier.end() ? 0 : number(at(*known->second, {key}));
            return std::max(0.0, number(at(one, {key})) - was) * per_second;
        };
        all.push_back({&one, rate("request_bytes"), rate("response_bytes")});
    }
    // What somebody may have to look at first: who takes nothing, then who moves most; then in the page's order.
    std::stable_sort(all.begin(), all.end(), [](Moving const& a, Moving const& b) {
        auto const stalled = [](Moving const& m) { return number(at(*m.one, {"stalled_seconds"})); };
        if ((stalled(a) >= 1) != (stalled(b) >= 1)) return stalled(a) >= 1;
        return a.up + a.down > b.up + b.down;
    });
    auto const shown = std::min(all.size(), most_rows);
    if (shown == 0) return lines + (all.empty() ? "" : left_out(page, 0));
    std::vector<Row> rows{
        {"Age", "Stage", "Waits For", "Up/s", "Down/s", "Up", "Down", "Stalled", "User", "Client", "Request"}};
    for (std::size_t i = 0; i < shown; ++i) {
        auto row = row_of(*all[i].one);
        row.erase(row.begin() + 8);  // the request id is for a log
        row.insert(row.begin() + 3, {bytes_text(all[i].up), bytes_text(all[i].down)});
        rows.push_back(std::move(row));
    }
    return lines + "\n" + table_text(rows) + left_out(page, shown);
}

}  // namespace ocgate::app
