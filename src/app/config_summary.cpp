#include "config_summary.hpp"

#include <algorithm>
#include <iomanip>
#include <ostream>
#include <sstream>

#include "config_json.hpp"
#include "config_routes.hpp"
#include "durations.hpp"
#include "ocgate/notify/http.hpp"

namespace ocgate::app {
namespace {

/// Scheme and host only: paths of webhooks and names of topics are secrets.
std::string shown(std::string_view url) {
    std::string problem;
    auto const parsed = notify::parse_url(url, problem);
    return parsed ? (parsed->tls ? "https://" : "http://") + parsed->authority + "/***" : "***";
}

std::string duration_words(rt::Duration time) { return duration_text(std::chrono::duration_cast<milliseconds>(time)); }

template <class T, class Words>
std::string joined(std::vector<T> const& all, Words words) {
    std::string text;
    for (auto const& one : all) text.append(text.empty() ? "" : ", ").append(words(one));
    return text;
}

std::string joined(std::vector<std::string> const& all) {
    return joined(all, [](std::string const& one) { return one; });
}

/// What the file may hold is made visible: it goes to a terminal.
std::string quoted(std::vector<std::string> const& all) {
    return joined(all, [](std::string const& one) { return in_quotes(one); });
}

std::string of(LogTarget const&) { return "log"; }

std::string of(notify::NtfySettings const& settings) {
    return "ntfy at " + shown(settings.server) +
           (!settings.token.empty()  ? ", with a token"
            : !settings.user.empty() ? ", with a password"
                                     : ", without a login");
}

std::string of(notify::DiscordSettings const& settings) {
    auto const count = settings.mentions.size();
    return "discord at " + shown(settings.url.reveal()) +
           (count == 0 ? "" : ", escalations name " + std::to_string(count) + (count == 1 ? " user" : " users"));
}

std::string of(notify::WebhookSettings const& settings) {
    return "webhook at " + shown(settings.url.reveal()) + (settings.keys.empty() ? ", not signed" : ", signed") +
           (settings.body ? ", with a body of its own" : "");
}

std::string time_of_day(std::chrono::minutes time) {
    auto const two = [](auto number) { return (number < 10 ? "0" : "") + std::to_string(number); };
    return two(time.count() / 60) + ":" + two(time.count() % 60);
}

std::string of(notify::QuietHours const& hours) {
    auto text = hours.time_zone + ":";
    for (auto const& span : hours.spans) {
        text += (&span == hours.spans.data() ? " " : ", ") + time_of_day(span.from) + " to " + time_of_day(span.to);
        if (span.days == notify::QuietHours::Span{}.days) continue;
        for (std::size_t i = 0; i < day_words.size(); ++i)
            if ((span.days >> i & 1U) != 0) text.append(" ").append(day_words[i]);
    }
    return text;
}

}  // namespace

std::string in_words(TargetConfig const& target) {
    auto text = std::visit([](auto const& settings) { return of(settings); }, target.what);
    if (!target.fallback.empty()) text += "; while it is down, blocks go to " + joined(target.fallback);
    if (target.burst != 0)
        text += "; " + std::to_string(target.burst) + " at once, then one every " + duration_text(target.every);
    return text;
}

std::string in_words(notify::Rule const& rule) {
    auto text = rule.events.empty() ? std::string("every event") : joined(rule.events);
    if (!rule.projects.empty()) text += " of project " + quoted(rule.projects);
    if (!rule.directories.empty()) text += " in directory " + quoted(rule.directories);
    if (!rule.agents.empty()) text += " by agent " + quoted(rule.agents);
    if (rule.min_duration > rt::Duration(0)) text += " (complete from " + duration_words(rule.min_duration) + " on)";
    if (rule.targets.empty()) return text + ": nobody is told";
    text += ": to " + joined(rule.targets);
    if (rule.priority) text += "; priority " + std::to_string(*rule.priority);
    if (rule.privacy) text.append("; privacy ").append(privacy_words[static_cast<std::size_t>(*rule.privacy)]);
    if (rule.hold) text += "; held for " + duration_words(*rule.hold);
    if (rule.reminders)
        text += rule.reminders->empty() ? "; no reminders" : "; again after " + joined(*rule.reminders, duration_words);
    if (rule.expires) text += "; over after " + duration_words(*rule.expires);
    if (!rule.escalate_to.empty())
        text += "; unanswered for " + duration_words(rule.escalate_after) + ", to " + joined(rule.escalate_to);
    return text;
}

std::string in_words(bridge::Budget const& budget, std::string const& time_zone) {
    auto const money = [](double usd) {
        std::ostringstream text;
        text << std::setprecision(10) << usd;
        return text.str();
    };
    auto text = "$" + money(budget.usd) + " a ";
    text.append(bridge::period_words[static_cast<std::size_t>(budget.period)]).append(" in ").append(time_zone);
    auto const percent = [&](double part) { return money(part * 100) + " %"; };
    text += budget.notify_at.empty() ? ": nobody is told" : ": told at " + joined(budget.notify_at, percent);
    return text + (budget.block ? "; prompts are refused once it is spent" : "; prompts are not refused");
}

void summarize_notifications(Config const& config, std::ostream& out) {
    auto const line = [&](std::string_view name, std::string const& text) {
        out << "  " << std::left << std::setw(16) << name << text << '\n';
    };
    auto const& notify = config.notify;
    line("state_dir", config.state_dir.empty()
                          ? "none: what has not been told, and what was spent, is lost with the process"
                          : config.state_dir);
    auto heading = std::string("budgets");
    for (auto const& budget : config.spending.budgets)
        line(std::exchange(heading, {}), in_words(budget, config.spending.time_zone));
    if (config.spending.budgets.empty()) line(heading, "none");
    if (notify.targets.empty()) return line("notifications", "no targets: nobody is told");
    line("notifications", "privacy " + std::string(privacy_words[static_cast<std::size_t>(notify.rules.privacy)]) +
                              ", " + (notify.public_url.empty() ? "no links" : "links to " + notify.public_url) +
                              ", the same error once in " + duration_text(notify.same_error) +
                              ", retries from attempt " + std::to_string(notify.retries) + " on");
    auto name = std::string("targets");
    for (auto const& target : notify.targets) line(std::exchange(name, {}), target.name + ": " + in_words(target));
    name = "routes";
    for (auto const& rule : notify.rules.rules) line(std::exchange(name, {}), rule.place + ": " + in_words(rule));
    if (notify.rules.rules.empty()) line(name, "none: nobody is told");
    line("quiet_hours", notify.rules.quiet ? of(*notify.rules.quiet) : "none");
    auto const& presence = notify.rules.presence;
    line("presence", presence ? "seen in the last " + duration_words(presence->window) + ": told " +
                                    duration_words(presence->grace) + " later"
                              : "off");
}

}  // namespace ocgate::app
