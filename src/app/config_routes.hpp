// Who is told of what and when: routes, quiet hours and presence of the file.
#pragma once

#include "config_targets.hpp"

namespace ocgate::app {

// The keys of their objects, for the schema's test.
inline constexpr std::string_view route_keys[] = {"events",       "projects",  "directories", "agents",
                                                  "min_duration", "targets",   "priority",    "privacy",
                                                  "hold",         "reminders", "expires",     "escalate"};
inline constexpr std::string_view escalate_keys[] = {"to", "after"};
inline constexpr std::string_view quiet_hours_keys[] = {"time_zone", "spans"};
inline constexpr std::string_view span_keys[] = {"from", "to", "days"};
inline constexpr std::string_view presence_keys[] = {"window", "grace"};
inline constexpr std::array<std::string_view, 7> day_words{"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

/// Of a completed turn, where a route that tells somebody says nothing.
inline constexpr rt::Duration usual_min_duration = std::chrono::seconds(20);

class RouteReader {
public:
    RouteReader(Loader& loader, TargetNames const& names) : loader_(loader), names_(names) {}

    [[nodiscard]] std::vector<notify::Rule> read_routes(nlohmann::json const& routes);
    /// What holds without routes: everything to everybody, turns that took a while.
    [[nodiscard]] static notify::Rule usual(std::vector<TargetConfig> const& targets);
    [[nodiscard]] notify::QuietHours read_quiet_hours(nlohmann::json const& hours);
    [[nodiscard]] notify::PresenceRules read_presence(nlohmann::json const& presence);

    /// Warns of rules that come too late, of short turns that go astray, and of targets that nobody names.
    void doubt(std::vector<notify::Rule> const& rules, std::vector<TargetConfig> const& targets);

private:
    void doubt_short_turns(std::vector<notify::Rule> const& rules);
    notify::Rule read_route(nlohmann::json const& route, std::string place);
    std::vector<std::string> read_globs(Fields& fields, std::string_view key);
    void read_times(Fields& fields, notify::Rule& rule);
    void read_escalation(Fields& fields, notify::Rule& rule);
    std::optional<notify::QuietHours::Span> read_span(nlohmann::json const& span, std::string const& place);

    Loader& loader_;
    TargetNames const& names_;
};

}  // namespace ocgate::app
