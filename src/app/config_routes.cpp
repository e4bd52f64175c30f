#include "config_routes.hpp"

#include <algorithm>

#include "config_json.hpp"
#include "durations.hpp"

namespace ocgate::app {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using notify::Rule;

constexpr std::size_t max_globs = 100;
constexpr std::size_t max_glob_bytes = 1024;
constexpr std::size_t max_reminders = 10;
constexpr std::size_t max_spans = 50;
constexpr milliseconds week = 24h * 7;

/// Minutes since midnight of `HH:MM`; with `end` also 24:00.
std::optional<std::chrono::minutes> time_of_day(std::string_view text, bool end) {
    if (text.size() != 5 || text[2] != ':') return std::nullopt;
    auto const hours = parse_integer(text.substr(0, 2));
    auto const minutes = parse_integer(text.substr(3));
    if (!hours || !minutes || *minutes > 59) return std::nullopt;
    if (*hours > 23 && !(end && *hours == 24 && *minutes == 0)) return std::nullopt;
    return std::chrono::minutes(*hours * 60 + *minutes);
}

/// Whether every text of `narrow` is in `wide`, where an empty list stands for all there is.
bool within(std::vector<std::string> const& narrow, std::vector<std::string> const& wide) {
    if (wide.empty()) return true;
    return !narrow.empty() && std::all_of(narrow.begin(), narrow.end(), [&](std::string const& one) {
        return std::find(wide.begin(), wide.end(), one) != wide.end();
    });
}

bool names(Rule const& rule, std::string_view event) {
    return rule.events.empty() || std::find(rule.events.begin(), rule.events.end(), event) != rule.events.end();
}

/// Whether `first` takes all that `later` could; not every such case is seen: globs are compared as they are written.
bool covers(Rule const& first, Rule const& later) {
    bool const events = std::all_of(notify::all_events.begin(), notify::all_events.end(), [&](std::string_view event) {
        return names(first, event) || !names(later, event);
    });
    return events && within(later.projects, first.projects) && within(later.directories, first.directories) &&
           within(later.agents, first.agents) &&
           (first.min_duration <= later.min_duration || !names(later, "complete"));
}

}  // namespace

Rule RouteReader::usual(std::vector<TargetConfig> const& targets) {
    Rule rule;
    rule.place = "the usual rule";
    rule.min_duration = usual_min_duration;
    for (auto const& target : targets) rule.targets.push_back(target.name);
    return rule;
}

std::vector<Rule> RouteReader::read_routes(json const& routes) {
    std::string const at(routes_pointer);
    std::vector<Rule> rules;
    if (!routes.is_array() || routes.size() > max_routes) {
        loader_.complain(at, "expected an array of at most " + std::to_string(max_routes) + " routes, got " +
                                 (routes.is_array() ? std::to_string(routes.size()) : kind_of(routes)));
        return rules;
    }
    if (routes.empty() && !names_.empty())
        loader_.warn(at + ": nobody is told of anything; without this key, everybody is told of everything");
    if (!routes.empty() && names_.empty())
        loader_.complain(at, "there are no targets: name them in " + std::string(targets_pointer) +
                                 ", or set NTFY_TOPIC or DISCORD_WEBHOOK_URL");
    for (std::size_t i = 0; i < routes.size(); ++i) rules.push_back(read_route(routes[i], below(at, i)));
    return rules;
}

Rule RouteReader::read_route(json const& route, std::string place) {
    Fields fields(loader_, route, place);
    fields.only(route_keys);
    Rule rule;
    rule.place = std::move(place);
    if (auto events = fields.words("events", "events", notify::all_events)) {
        if (events->empty()) fields.complain(fields.place("events"), "nothing is in it; leave it out for all events");
        rule.events = std::move(*events);
    }
    rule.projects = read_globs(fields, "projects");
    rule.directories = read_globs(fields, "directories");
    rule.agents = read_globs(fields, "agents");
    for (std::size_t i = 0; i < rule.directories.size(); ++i) {
        auto const& one = rule.directories[i];
        bool const absolute = one.starts_with('/') || one.starts_with('*');
        if (one.empty() || (absolute && (one.size() == 1 || !one.ends_with('/')))) continue;
        loader_.warn(below(fields.place("directories"), i) +
                     ": nothing matches it; directories are absolute and have no slash at their end");
    }
    if (auto targets = fields.texts("targets", "names of targets", max_targets)) {
        if (!names_.empty()) names_.check(fields, "targets", *targets);
        rule.targets = std::move(*targets);
    }
    if (auto const priority = fields.integer("priority", 1, 5)) rule.priority = static_cast<int>(*priority);
    if (auto const privacy = fields.word("privacy", privacy_words))
        rule.privacy = static_cast<notify::Privacy>(*privacy);
    read_times(fields, rule);
    read_escalation(fields, rule);
    return rule;
}

std::vector<std::string> RouteReader::read_globs(Fields& fields, std::string_view key) {
    auto globs = fields.texts(key, key, max_globs);
    if (!globs) return {};
    auto const place = fields.place(key);
    if (globs->empty()) fields.complain(place, "nothing is in it; leave it out for all of them");
    for (std::size_t i = 0; i < globs->size(); ++i)
        if ((*globs)[i].size() > max_glob_bytes)
            fields.complain(below(place, i), "expected at most " + std::to_string(max_glob_bytes) + " bytes");
    return std::move(*globs);
}

void RouteReader::read_times(Fields& fields, Rule& rule) {
    // One that silences takes every turn: a short one must not go on to be told by a later route.
    if (names(rule, "complete") && !rule.targets.empty()) rule.min_duration = usual_min_duration;
    if (auto const time = fields.duration("min_duration", 0ms, max_duration)) {
        rule.min_duration = *time;
        if (!names(rule, "complete"))
            loader_.warn(fields.place("min_duration") + " has no effect: this route is not about complete");
    }
    if (auto const time = fields.duration("hold", 0ms, 1h)) rule.hold = *time;
    if (auto const time = fields.duration("expires", 1s, max_duration)) rule.expires = *time;
    if (auto const times = fields.durations("reminders", max_reminders, 100ms, week)) {
        if (std::adjacent_find(times->begin(), times->end(), std::greater_equal<>()) != times->end())
            fields.complain(fields.place("reminders"),
                            "expected each to be later than the one before it: all of them "
                            "count from the first message");
        rule.reminders.emplace(times->begin(), times->end());
        if (rule.expires && !times->empty() && times->back() >= *rule.expires)
            loader_.warn(fields.place("reminders") + ": what comes after expires is not said");
    }
}

void RouteReader::read_escalation(Fields& fields, Rule& rule) {
    auto const* const given = fields.find("escalate");
    if (!given) return;
    Fields escalate(loader_, *given, fields.place("escalate"));
    escalate.only(escalate_keys);
    if (!given->is_object()) return;
    for (auto const key : escalate_keys)
        if (!escalate.find(key)) escalate.complain(escalate.place(), std::string(key) + " is missing");
    if (auto to = escalate.texts("to", "names of targets", max_targets)) {
        if (to->empty()) escalate.complain(escalate.place("to"), "expected at least one target");
        if (!names_.empty()) names_.check(escalate, "to", *to);
        rule.escalate_to = std::move(*to);
    }
    if (auto const after = escalate.duration("after", 100ms, week)) {
        rule.escalate_after = *after;
        if (rule.expires && *after >= *rule.expires)
            loader_.warn(escalate.place("after") + ": it is not before expires, so nobody is told");
    }
    if (rule.targets.empty())
        loader_.warn(escalate.place() + " has no effect: this route names no targets, so there is nothing to hand up");
}

notify::QuietHours RouteReader::read_quiet_hours(json const& hours) {
    notify::QuietHours quiet;
    Fields fields(loader_, hours, std::string(quiet_hours_pointer));
    fields.only(quiet_hours_keys);
    if (!hours.is_object()) return quiet;
    for (auto const key : quiet_hours_keys)
        if (!fields.find(key)) fields.complain(fields.place(), std::string(key) + " is missing");
    constexpr std::string_view zone_form = "a time zone such as Europe/Berlin or UTC";
    if (auto zone = fields.text("time_zone", zone_form, 64)) {
        if (!notify::is_time_zone(*zone))
            fields.complain(fields.place("time_zone"), "expected " + std::string(zone_form) + ", got " +
                                                           in_quotes(*zone) +
                                                           ", which this machine does not know (package tzdata)");
        quiet.time_zone = std::move(*zone);
    }
    auto const* const spans = fields.find("spans");
    if (!spans) return quiet;
    auto const place = fields.place("spans");
    if (!spans->is_array() || spans->empty() || spans->size() > max_spans) {
        fields.complain(place, "expected an array of 1 to " + std::to_string(max_spans) + " spans, got " +
                                   (spans->is_array() ? std::to_string(spans->size()) : kind_of(*spans)));
        return quiet;
    }
    for (std::size_t i = 0; i < spans->size(); ++i)
        if (auto const span = read_span((*spans)[i], below(place, i))) quiet.spans.push_back(*span);
    return quiet;
}

std::optional<notify::QuietHours::Span> RouteReader::read_span(json const& given, std::string const& place) {
    Fields fields(loader_, given, place);
    fields.only(span_keys);
    if (!given.is_object()) return std::nullopt;
    auto const read = [&](std::string_view key) -> std::optional<std::chrono::minutes> {
        bool const end = key == "to";
        auto const form = std::string("a time of day from 00:00 to ") + (end ? "24:00" : "23:59");
        if (!fields.find(key)) fields.complain(place, std::string(key) + " is missing");
        auto const text = fields.text(key, form, 64);
        auto const time = text ? time_of_day(*text, end) : std::nullopt;
        if (text && !time) fields.complain(fields.place(key), "expected " + form + ", got " + in_quotes(*text));
        return time;
    };
    auto const from = read("from");
    auto const to = read("to");
    notify::QuietHours::Span span;
    if (auto const days = fields.words("days", "days", day_words)) {
        if (days->empty()) fields.complain(fields.place("days"), "nothing is in it; leave it out for every day");
        span.days = 0;
        for (std::size_t i = 0; i < day_words.size(); ++i)
            if (std::find(days->begin(), days->end(), day_words[i]) != days->end()) span.days |= 1U << i;
    }
    if (!from || !to) return std::nullopt;
    if (*from == *to) {
        fields.complain(place, "expected it to end at another time than it begins; 00:00 to 24:00 is a whole day");
        return std::nullopt;
    }
    span.from = *from;
    span.to = *to;
    return span;
}

notify::PresenceRules RouteReader::read_presence(json const& given) {
    notify::PresenceRules presence;
    Fields fields(loader_, given, std::string(presence_pointer));
    fields.only(presence_keys);
    if (auto const window = fields.duration("window", 100ms, 1h)) presence.window = *window;
    if (auto const grace = fields.duration("grace", 100ms, 1h)) presence.grace = *grace;
    return presence;
}

/// A route asks for turns that took long, and one for everything behind it takes those that did not.
void RouteReader::doubt_short_turns(std::vector<Rule> const& rules) {
    for (auto rule = rules.begin(); rule != rules.end(); ++rule) {
        if (rule->events.empty() || !names(*rule, "complete")) continue;
        auto const next = std::find_if(std::next(rule), rules.end(), [&](Rule const& later) {
            return names(later, "complete") && later.min_duration < rule->min_duration;
        });
        if (next == rules.end() || !next->events.empty() || next->targets.empty()) continue;
        loader_.warn(rule->place + ": turns shorter than its min_duration go to " + next->place +
                     ", which takes every event; so that nobody is told of them, put {\"events\": [\"complete\"], "
                     "\"targets\": []} behind it");
    }
}

void RouteReader::doubt(std::vector<Rule> const& rules, std::vector<TargetConfig> const& targets) {
    doubt_short_turns(rules);
    for (std::size_t later = 1; later < rules.size(); ++later) {
        auto const end = rules.begin() + static_cast<std::ptrdiff_t>(later);
        auto const first =
            std::find_if(rules.begin(), end, [&](Rule const& rule) { return covers(rule, rules[later]); });
        if (first != end)
            loader_.warn(rules[later].place + ": it is never asked, for " + first->place +
                         " matches all that it could; the first route that matches decides");
    }
    for (auto const& target : targets) {
        auto const named_in = [&](std::vector<std::string> const& list) {
            return std::find(list.begin(), list.end(), target.name) != list.end();
        };
        bool const named =
            std::any_of(rules.begin(), rules.end(),
                        [&](Rule const& rule) { return named_in(rule.targets) || named_in(rule.escalate_to); }) ||
            std::any_of(targets.begin(), targets.end(),
                        [&](TargetConfig const& other) { return named_in(other.fallback); });
        if (!named && !rules.empty())
            loader_.warn("the target " + in_quotes(target.name) +
                         " is never told: no route, escalation or fallback "
                         "names it");
    }
}

}  // namespace ocgate::app
