#include "ocgate/notify/words.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "text.hpp"

namespace ocgate::notify {
namespace {

using nlohmann::json;

constexpr std::size_t max_title_bytes = 200;
constexpr std::size_t max_body_bytes = 8 * 1024;

/// Reads what `let_out` let out: types are right, anything may be missing.
class Facts {
public:
    explicit Facts(json const& data) : data_(data) {}

    [[nodiscard]] std::string text(char const* pointer) const {
        auto const* const found = at(pointer);
        return found && found->is_string() ? found->get<std::string>() : std::string();
    }
    [[nodiscard]] double number(char const* pointer) const {
        auto const* const found = at(pointer);
        return found && found->is_number() ? found->get<double>() : 0;
    }
    [[nodiscard]] bool flag(char const* pointer) const {
        auto const* const found = at(pointer);
        return found && found->is_boolean() && found->get<bool>();
    }
    [[nodiscard]] std::vector<std::string> list(char const* pointer) const {
        auto const* const found = at(pointer);
        return found && found->is_array() ? found->get<std::vector<std::string>>() : std::vector<std::string>();
    }
    [[nodiscard]] json const* at(char const* pointer) const {
        json::json_pointer const place(pointer);
        return data_.contains(place) ? &data_.at(place) : nullptr;
    }

private:
    json const& data_;
};

std::string joined(std::vector<std::string> const& texts, std::string_view between) {
    std::string out;
    for (auto const& text : texts) {
        if (!out.empty()) out += between;
        out += text;
    }
    return out;
}

/// Part after part, each on a line of its own.
void add_line(std::string& body, std::string_view line) {
    if (line.empty()) return;
    if (!body.empty()) body += '\n';
    body += line;
}

std::string dollars(double amount) {
    std::array<char, 64> out{};
    auto const bounded = std::clamp(amount, 0.0, 1e9);
    auto const n = std::snprintf(out.data(), out.size(), "$%.2f", bounded);
    return {out.data(), static_cast<std::size_t>(n)};
}

std::string whole(double number) { return std::to_string(static_cast<std::int64_t>(std::clamp(number, 0.0, 1e15))); }

/// `project-1`, or what stands for a project nobody named.
std::string project_of(Facts const& facts) {
    auto name = facts.text("/project");
    return name.empty() ? "opencode" : name;
}

/// How a sentence about the session begins.
std::string session_words(Facts const& facts) {
    auto const title = facts.text("/session/title");
    return title.empty() ? "A session" : "“" + title + "”";
}

void tell_waiting(Facts const& facts, Message& message) {
    auto const waiting = facts.number("/waiting");
    if (waiting < 2) return;
    message.title = message.project + ": " + whole(waiting) + " waiting";
    add_line(message.body, "and " + whole(waiting - 1) + " more");
}

void permission(Facts const& facts, Message& message) {
    auto const kind = facts.text("/request/kind");
    auto const command = facts.text("/request/command");
    auto const patterns = facts.list("/request/patterns");
    message.priority = 4;
    message.title = message.project + " needs permission" + (kind.empty() ? "" : ": " + kind);
    message.body = session_words(facts) + " asks to " + (kind.empty() ? "go on" : "use " + kind);
    if (!command.empty() || !patterns.empty()) message.body += ':';
    add_line(message.body, command.empty() ? joined(patterns, "\n") : command);
    if (!command.empty()) message.fields.push_back({"Command", command, true});
    bool const says_more = patterns.size() > 1 || (patterns.size() == 1 && patterns[0] != command);
    if (says_more) message.fields.push_back({"Patterns", joined(patterns, "\n"), true});
}

void question(Facts const& facts, Message& message) {
    message.priority = 4;
    message.title = message.project + " asks";
    message.body = session_words(facts) + " has a question";
    auto const* const asked = facts.at("/questions");
    if (!asked) return;
    if (auto const header = Facts(asked->front()).text("/header"); !header.empty()) message.title += ": " + header;
    bool const several = asked->size() > 1;
    std::size_t number = 0;
    for (auto const& one : *asked) {
        Facts const ask(one);
        ++number;
        auto text = ask.text("/text");
        auto const options = ask.list("/options");
        if (text.empty()) continue;
        if (number == 1) message.body += ':';
        for (auto const& option : options) add_line(text, "• " + option);
        auto const* const multiple = ask.at("/multiple");
        if (multiple && multiple->get<bool>()) add_line(text, "(several may be chosen)");
        add_line(message.body, text);
        message.fields.push_back({several ? "Question " + std::to_string(number) : "Question", text});
    }
}

void complete(Facts const& facts, Message& message) {
    message.title = message.project + " is done";
    message.body = session_words(facts) + " has finished";
    auto const took = facts.number("/turn/duration_ms");
    if (took >= 1000) {
        auto const* const at_least = facts.at("/turn/at_least");
        auto words = duration_words(static_cast<std::int64_t>(std::min(took, 1e15)));
        if (at_least && at_least->get<bool>()) words = "at least " + words;
        message.body += " after " + words;
        message.fields.push_back({"Took", words});
    }
    if (auto const cost = facts.number("/turn/cost"); cost >= 0.005) {
        message.body += ", " + dollars(cost);
        message.fields.push_back({"Cost", dollars(cost)});
    }
    auto const said = facts.text("/turn/words");
    add_line(message.body, said);
    if (!said.empty()) message.fields.push_back({"Last words", said});
}

void failure(Facts const& facts, Message& message) {
    auto const name = facts.text("/error/name");
    auto const status = facts.number("/error/status");
    auto const text = facts.text("/error/text");
    message.priority = 4;
    message.title = message.project + " failed" + (name.empty() ? "" : ": " + name);
    message.body = session_words(facts) + " ended with an error" + (status > 0 ? " " + whole(status) : "");
    if (!text.empty()) message.body += ':';
    add_line(message.body, text);
    if (!name.empty()) message.fields.push_back({"Error", name + (status > 0 ? " " + whole(status) : "")});
    if (!text.empty()) message.fields.push_back({"Message", text, true});
}

void retry(Facts const& facts, Message& message) {
    auto const attempt = facts.number("/retry/attempt");
    auto const text = facts.text("/retry/message");
    message.title = message.project + " is held up by its provider";
    message.body = session_words(facts) + " tries again";
    if (attempt > 0) message.body += ", attempt " + whole(attempt);
    if (!text.empty()) message.body += ':';
    add_line(message.body, text);
    if (attempt > 0) message.fields.push_back({"Attempt", whole(attempt)});
    if (!text.empty()) message.fields.push_back({"Message", text, true});
}

void upstream_down(Facts const& facts, Message& message) {
    auto const since = facts.number("/upstream/since_ms");
    auto const why = facts.text("/upstream/why");
    message.priority = 5;
    message.title = "opencode does not answer";
    message.body = message.project + " cannot be reached";
    if (since > 0) {
        auto const time = rfc3339(static_cast<std::int64_t>(std::min(since, 1e15)));
        message.body += " since " + time;
        message.fields.push_back({"Since", time});
    }
    if (!why.empty()) message.body += ':';
    add_line(message.body, why);
    if (!why.empty()) message.fields.push_back({"Reason", why});
}

void budget(Facts const& facts, Message& message) {
    auto const spent = facts.number("/budget/spent");
    auto const limit = facts.number("/budget/limit");
    auto const part = facts.number("/budget/part");
    auto const period = facts.text("/budget/period");
    auto const name = facts.text("/budget/name");
    auto const until = facts.text("/budget/until");
    message.priority = 4;
    message.title = "A budget has reached a limit";
    message.body = "What agents cost has reached a limit that was set to it";
    if (spent <= 0 || limit <= 0) return;  // of that nothing is to be told
    auto const of = (period.empty() ? std::string() : period + "'s ") + "budget is spent";
    message.title = (part > 0 && part != 1 ? whole(part * 100 + 0.5) + " % of the " : "The ") + of;
    auto const words = dollars(spent) + " of " + dollars(limit) + " (" + whole(100 * spent / limit) + " %)";
    message.body = words + (name.empty() ? "" : ", " + name);
    message.fields.push_back({"Spent", words});
    if (!name.empty()) message.fields.push_back({"Period", name});
    std::string prompts = "not refused";
    if (facts.flag("/budget/refused")) {
        prompts = "refused until " + (until.empty() ? "it is over" : until);
    } else if (facts.flag("/budget/block")) {
        prompts = "refused once it is spent";
    }
    add_line(message.body, "New prompts are " + prompts + ".");
    message.fields.push_back({"Prompts", prompts});
}

void digest(Facts const& facts, Message& message) {
    auto const items = facts.list("/items");
    auto const count = std::max(static_cast<double>(items.size()), facts.number("/waiting"));
    message.priority = 2;
    message.title = whole(count) + " while it was quiet";
    message.body = joined(items, "\n");
    auto const listed = static_cast<double>(items.size());
    if (!items.empty() && count > listed) add_line(message.body, "and " + whole(count - listed) + " more");
    if (message.body.empty()) message.body = message.title;
}

void test(Facts const&, Message& message) {
    message.title = "Test from ocgate";
    message.body = "Notifications of " + message.project + " reach this place.";
}

void other(Facts const& facts, Message& message) {
    message.title = message.project + ": " + message.event;
    message.body = session_words(facts);
}

struct Event {
    std::string_view name;
    bool blocks;
    void (*tell)(Facts const&, Message&);
};

constexpr Event events[] = {
    {"permission", true, permission}, {"question", true, question}, {"complete", false, complete},
    {"error", false, failure},        {"retry", false, retry},      {"upstream_down", false, upstream_down},
    {"budget", false, budget},        {"digest", false, digest},    {"test", false, test},
};

}  // namespace

Message compose(json const& given, Privacy privacy) {
    auto const data = let_out(given, privacy);
    Facts const facts(data);
    Message message;
    message.incident_key = facts.text("/incident");
    message.event = facts.text("/event");
    message.project = project_of(facts);
    message.session_title = facts.text("/session/title");
    message.session_id = facts.text("/session/id");
    message.directory = facts.text("/directory");
    message.click_url = facts.text("/url");
    message.at_ms = static_cast<std::int64_t>(std::clamp(facts.number("/at_ms"), 0.0, 1e15));
    message.data = data.dump();

    auto const* const found = std::find_if(std::begin(events), std::end(events),
                                           [&](Event const& event) { return event.name == message.event; });
    bool const known = found != std::end(events);
    message.blocks = known && found->blocks;
    (known ? found->tell : other)(facts, message);
    if (message.blocks) tell_waiting(facts, message);
    message.title = cut_bytes(message.title, max_title_bytes);
    message.body = cut_bytes(message.body, max_body_bytes);
    return message;
}

std::string outcome_words(Resolution const& resolution) {
    struct Outcome {
        std::string_view name, words;
    };
    constexpr Outcome outcomes[] = {
        {"once", "allowed once"},
        {"always", "allowed for good"},
        {"reject", "rejected"},
        {"rejected", "dismissed"},
        {"answered", "answered"},
        {"gone", "no longer asked"},
        {"expired", "not answered in time"},
        {"recovered", "back again"},
        {"continued", "it went on"},
        {"digest", "told together with others"},
        {"muted", "muted"},
        {"route", "nobody is to be told any more"},
    };
    auto const* const found = std::find_if(std::begin(outcomes), std::end(outcomes),
                                           [&](Outcome const& one) { return one.name == resolution.outcome; });
    auto words = found == std::end(outcomes) ? clean(resolution.outcome, Lines::join) : std::string(found->words);
    if (words.empty()) words = "over";
    auto const by = clean(resolution.by, Lines::join);
    return by.empty() ? words : words + " by " + by;
}

}  // namespace ocgate::notify
