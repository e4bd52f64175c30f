#include "ocgate/notify/router.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ocgate::notify {
namespace {
using namespace std::chrono_literals;
using std::chrono::milliseconds;
using Time = std::chrono::system_clock::time_point;

/// What an event gets where its rule is silent.
struct Defaults {
    std::string_view kind;
    milliseconds hold;
    std::chrono::hours expires;
    int priority;
    bool reminded = false;
};

constexpr Defaults defaults[] = {
    {"permission", 1s, 24h, 4, true},
    {"question", 500ms, 24h, 4, true},
    {"complete", 3s, 1h, 3},
    {"error", 1s, 6h, 4},
    {"retry", 1s, 6h, 3},
    {"upstream_down", 60s, 24h, 4},
    {"budget", 0s, 24h, 4},
    {"digest", 0s, 6h, 2},
    {"test", 0s, 1h, 3},
};
constexpr Defaults otherwise{"", 0s, 6h, 3};

Defaults const& defaults_of(std::string_view kind) noexcept {
    auto const found = std::find_if(std::begin(defaults), std::end(defaults),
                                    [kind](Defaults const& each) { return each.kind == kind; });
    return found == std::end(defaults) ? otherwise : *found;
}

/// What rules ask of the facts.
struct About {
    std::string project, directory, agent;
    std::optional<double> turn_ms;  ///< none: unknown, or it had begun before anybody looked
};

std::string text_of(nlohmann::json const& facts, char const* name) {
    auto const found = facts.find(name);
    return found != facts.end() && found->is_string() ? found->get<std::string>() : std::string();
}

About about(std::string const& document) {
    auto const facts = nlohmann::json::parse(document, nullptr, false);
    if (!facts.is_object()) return {};
    About about{text_of(facts, "project"), text_of(facts, "directory"), text_of(facts, "agent"), {}};
    auto const turn = facts.find("turn");
    if (turn == facts.end() || !turn->is_object()) return about;
    auto const at_least = turn->find("at_least");
    auto const duration = turn->find("duration_ms");
    bool const is_least = at_least != turn->end() && at_least->is_boolean() && at_least->get<bool>();
    if (!is_least && duration != turn->end() && duration->is_number()) about.turn_ms = duration->get<double>();
    return about;
}

bool any_matches(std::vector<std::string> const& globs, std::string_view text) {
    if (globs.empty()) return true;
    return std::any_of(globs.begin(), globs.end(), [text](auto const& glob) { return glob_matches(glob, text); });
}

bool names(Rule const& rule, std::string_view kind) {
    return std::find(rule.events.begin(), rule.events.end(), kind) != rule.events.end();
}

bool matches(Rule const& rule, std::string_view kind, About const& about) {
    if (!rule.events.empty() && !names(rule, kind)) return false;
    if (kind == "complete" && about.turn_ms) {
        std::chrono::duration<double, std::milli> const least = rule.min_duration;
        if (*about.turn_ms < least.count()) return false;
    }
    return any_matches(rule.projects, about.project) && any_matches(rule.directories, about.directory) &&
           any_matches(rule.agents, about.agent);
}

/// Before anything that depends on the time.
Handling handling_by(Rule const& rule, Raised const& raised, Privacy privacy) {
    auto const& usual = defaults_of(raised.kind);
    bool const waited_for = raised.weight == Weight::block || names(rule, raised.kind);
    Handling handling{.targets = rule.targets};
    if (waited_for) {
        handling.escalate_to = rule.escalate_to;
        handling.escalate_after = rule.escalate_to.empty() ? rt::Duration(0) : rule.escalate_after;
    }
    if (waited_for && rule.reminders) {
        handling.reminders = *rule.reminders;
    } else if (usual.reminded) {
        handling.reminders = {3min, 10min};
    }
    handling.hold = rule.hold.value_or(usual.hold);
    handling.expires = rule.expires.value_or(usual.expires);
    handling.privacy = rule.privacy.value_or(privacy);
    handling.priority = rule.priority.value_or(usual.priority);
    return handling;
}

Handling suppressed(std::string_view why) {
    Handling handling;
    handling.suppressed = why;
    return handling;
}

/// To see whether targets work, so nothing stands in its way.
Handling test_of(RouterRules const& rules) {
    auto const& usual = defaults_of("test");
    Handling handling;
    for (auto const& rule : rules.rules) {
        for (auto const& target : rule.targets) {
            auto const& known = handling.targets;
            if (std::find(known.begin(), known.end(), target) == known.end()) handling.targets.push_back(target);
        }
    }
    if (handling.targets.empty()) return suppressed("route");
    handling.expires = usual.expires;
    handling.privacy = rules.privacy;
    handling.priority = usual.priority;
    return handling;
}

/// Whether a person can be at it.
bool is_about_a_session(Raised const& raised) noexcept {
    return !raised.subject.empty() && raised.kind != "upstream_down" && raised.kind != "budget" &&
           raised.kind != "digest";
}

void keep_quiet(Handling& handling, Raised const& raised, QuietHours const& hours, Time wall) {
    auto told = wall + std::chrono::duration_cast<Time::duration>(handling.hold);
    // A digest comes at the end of quiet hours, give or take what two clocks differ; only if others follow is it quiet.
    bool const digest = raised.kind == "digest";
    if (digest) told += 1min;
    auto const until = quiet_until(hours, told);
    if (!until) return;
    if (digest || raised.weight == Weight::block) {
        handling.silent = true;
        return;
    }
    handling.digest = true;
    handling.hold = *until - wall;
}

}  // namespace

Router::Router(RouterRules rules, WallClock wall) : wall_(std::move(wall)) { adopt(std::move(rules)); }

void Router::adopt(RouterRules rules) {
    for (auto& rule : rules.rules) {
        if (rule.reminders) std::sort(rule.reminders->begin(), rule.reminders->end());
    }
    rules_ = std::move(rules);
}

Handling Router::route(Raised const& raised, rt::Instant now) {
    if (raised.kind == "test") return test_of(rules_);
    auto const what = about(raised.facts);
    auto const rule = std::find_if(rules_.rules.begin(), rules_.rules.end(),
                                   [&](Rule const& each) { return matches(each, raised.kind, what); });
    if (rule == rules_.rules.end() || rule->targets.empty()) return suppressed("route");
    auto handling = handling_by(*rule, raised, rules_.privacy);

    if (rules_.presence && is_about_a_session(raised)) {
        auto const present = present_.find(raised.subject);
        if (present != present_.end() && now - present->second <= rules_.presence->window) {
            handling.hold += rules_.presence->grace;
        }
    }
    auto const wall = wall_();
    if (auto const until = muted_until(raised.subject, wall)) {
        if (raised.weight != Weight::block && raised.kind != "digest") return suppressed("muted");
        auto const left = std::chrono::duration_cast<rt::Duration>(*until - wall);
        handling.hold = std::max(handling.hold, std::min(left, longest_muted));
    }
    if (rules_.quiet) keep_quiet(handling, raised, *rules_.quiet, wall);
    return handling;
}

bool Router::quiet() const { return rules_.quiet && quiet_until(*rules_.quiet, wall_()); }

void Router::seen(std::string_view subject, rt::Instant now) {
    auto const known = present_.find(subject);
    if (known != present_.end()) {
        known->second = now;
        return;
    }
    if (present_.size() >= max_present) {
        present_.erase(std::min_element(present_.begin(), present_.end(),
                                        [](auto const& a, auto const& b) { return a.second < b.second; }));
    }
    present_.emplace(subject, now);
}

// ---- mutes

std::optional<Time> Router::muted_until(std::string_view subject, Time wall) const {
    auto until = wall;
    for (auto const each : {std::string_view(), subject}) {
        auto const found = mutes_.find(each);
        if (found != mutes_.end()) until = std::max(until, found->second);
    }
    if (until <= wall) return std::nullopt;
    return until;
}

void Router::forget_mutes(Time wall) {
    std::erase_if(mutes_, [wall](auto const& mute) { return mute.second <= wall; });
}

bool Router::mute(std::string_view subject, Time until) {
    forget_mutes(wall_());
    auto const known = mutes_.find(subject);
    if (known != mutes_.end()) {
        known->second = until;
        return true;
    }
    if (mutes_.size() >= max_mutes) return false;
    mutes_.emplace(subject, until);
    return true;
}

bool Router::unmute(std::string_view subject) {
    forget_mutes(wall_());
    auto const found = mutes_.find(subject);
    if (found == mutes_.end()) return false;
    mutes_.erase(found);
    return true;
}

std::vector<Router::Mute> Router::mutes() const {
    std::vector<Mute> holding;
    auto const wall = wall_();
    for (auto const& [subject, until] : mutes_) {
        if (until > wall) holding.push_back({subject, until});
    }
    return holding;
}

std::string Router::mutes_document() const {
    auto list = nlohmann::json::array();
    for (auto const& mute : mutes()) {
        auto const until = std::chrono::ceil<milliseconds>(mute.until.time_since_epoch()).count();
        list.push_back({{"subject", mute.subject}, {"until_ms", until}});
    }
    nlohmann::json const document{{"mutes", std::move(list)}};
    return document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void Router::restore_mutes(std::string_view document) {
    auto const parsed = nlohmann::json::parse(document, nullptr, false);
    if (!parsed.is_object()) return;
    auto const list = parsed.find("mutes");
    if (list == parsed.end() || !list->is_array()) return;
    constexpr auto latest = std::chrono::floor<milliseconds>(Time::max().time_since_epoch());
    for (auto const& each : *list) {
        if (!each.is_object()) continue;
        auto const subject = each.find("subject");
        auto const until_ms = each.find("until_ms");
        if (subject == each.end() || !subject->is_string()) continue;
        if (until_ms == each.end() || !until_ms->is_number_integer()) continue;
        milliseconds const until(until_ms->get<std::int64_t>());
        if (until > latest || until < milliseconds(0)) continue;
        // What was muted since is newer.
        auto const& name = subject->get_ref<std::string const&>();
        if (!mutes_.contains(name)) mute(name, Time(until));
    }
}

}  // namespace ocgate::notify
