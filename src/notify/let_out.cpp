#include <cmath>
#include <nlohmann/json.hpp>

#include "ocgate/notify/redact.hpp"
#include "ocgate/notify/words.hpp"
#include "text.hpp"

namespace ocgate::notify {
namespace {

using nlohmann::json;

constexpr std::size_t max_text_bytes = 8 * 1024;
constexpr std::size_t max_items = 50;
constexpr std::size_t max_item_bytes = 2 * 1024;
constexpr std::size_t max_options = 20;

enum class As : std::uint8_t {
    line,    ///< text on one line
    text,    ///< text of several lines
    number,  ///< finite
    flag,
    lines,  ///< a list of texts
};

/// What may leave, from which privacy on. Anything that is not listed stays here.
struct Key {
    std::string_view name;
    As as;
    Privacy from;
};

constexpr Key top[] = {
    {"event", As::line, Privacy::minimal},     {"incident", As::line, Privacy::minimal},
    {"project", As::line, Privacy::minimal},   {"at_ms", As::number, Privacy::minimal},
    {"waiting", As::number, Privacy::minimal}, {"url", As::line, Privacy::minimal},
    {"agent", As::line, Privacy::summary},     {"directory", As::line, Privacy::full},
    {"items", As::lines, Privacy::full},
};
constexpr Key session[] = {{"id", As::line, Privacy::minimal}, {"title", As::line, Privacy::summary}};
constexpr Key request[] = {{"id", As::line, Privacy::minimal},
                           {"kind", As::line, Privacy::summary},
                           {"command", As::text, Privacy::full},
                           {"patterns", As::lines, Privacy::full},
                           {"always", As::lines, Privacy::full}};
constexpr Key question[] = {{"header", As::line, Privacy::summary},
                            {"text", As::text, Privacy::full},
                            {"options", As::lines, Privacy::full},
                            {"multiple", As::flag, Privacy::full}};
constexpr Key turn[] = {{"duration_ms", As::number, Privacy::summary},
                        {"at_least", As::flag, Privacy::summary},
                        {"cost", As::number, Privacy::summary},
                        {"words", As::text, Privacy::full}};
constexpr Key tokens[] = {{"input", As::number, Privacy::summary},
                          {"output", As::number, Privacy::summary},
                          {"reasoning", As::number, Privacy::summary}};
constexpr Key error[] = {
    {"name", As::line, Privacy::summary}, {"status", As::number, Privacy::summary}, {"text", As::text, Privacy::full}};
constexpr Key retry[] = {{"attempt", As::number, Privacy::summary},
                         {"next_ms", As::number, Privacy::summary},
                         {"message", As::text, Privacy::full}};
constexpr Key upstream[] = {{"since_ms", As::number, Privacy::minimal}, {"why", As::text, Privacy::full}};
constexpr Key budget[] = {{"period", As::line, Privacy::summary},  {"name", As::line, Privacy::summary},
                          {"spent", As::number, Privacy::summary}, {"limit", As::number, Privacy::summary},
                          {"part", As::number, Privacy::summary},  {"block", As::flag, Privacy::summary},
                          {"refused", As::flag, Privacy::summary}, {"until", As::line, Privacy::summary}};

/// Secrets are looked for in text without control characters, which would hide their shape, and before anything is cut.
std::string safe(json const& text, Lines lines, std::size_t most = max_text_bytes) {
    auto const& whole = text.get_ref<std::string const&>();
    // More than is shown, so that what is hidden does not shorten it, and no more than it costs to look at.
    auto const head = std::string_view(whole).substr(0, 2 * max_text_bytes);
    return cut_bytes(redact(clean(head, lines)), most);
}

json value(json const& given, As as) {
    switch (as) {
        case As::line:
            return given.is_string() ? json(safe(given, Lines::join)) : json();
        case As::text:
            return given.is_string() ? json(safe(given, Lines::keep)) : json();
        case As::number:
            return given.is_number() && std::isfinite(given.get<double>()) ? given : json();
        case As::flag:
            return given.is_boolean() ? given : json();
        case As::lines:
            break;
    }
    if (!given.is_array()) return {};
    auto made = json::array();
    for (auto const& one : given) {
        if (made.size() == max_items) break;
        if (one.is_string()) made.push_back(safe(one, Lines::join, max_item_bytes));
    }
    return made;
}

template <std::size_t N>
json chosen(json const& given, Key const (&keys)[N], Privacy privacy) {
    auto made = json::object();
    if (!given.is_object()) return made;
    for (auto const& key : keys) {
        auto const found = given.find(key.name);
        if (found == given.end() || privacy < key.from) continue;
        auto kept = value(*found, key.as);
        if (!kept.is_null()) made[std::string(key.name)] = std::move(kept);
    }
    return made;
}

json part(json const& facts, char const* name) {
    auto const found = facts.find(name);
    return found == facts.end() ? json() : *found;
}

}  // namespace

json let_out(json const& facts, Privacy privacy) {
    auto made = chosen(facts, top, privacy);
    if (!facts.is_object()) return made;
    auto const add = [&](char const* name, json kept) {
        if (!kept.empty()) made[name] = std::move(kept);
    };
    add("session", chosen(part(facts, "session"), session, privacy));
    add("request", chosen(part(facts, "request"), request, privacy));
    auto const done = part(facts, "turn");
    auto told = chosen(done, turn, privacy);
    if (done.is_object())
        if (auto counted = chosen(part(done, "tokens"), tokens, privacy); !counted.empty()) told["tokens"] = counted;
    add("turn", std::move(told));
    add("error", chosen(part(facts, "error"), error, privacy));
    add("retry", chosen(part(facts, "retry"), retry, privacy));
    add("upstream", chosen(part(facts, "upstream"), upstream, privacy));
    add("budget", chosen(part(facts, "budget"), budget, privacy));
    auto const asked = part(facts, "questions");
    auto questions = json::array();
    if (asked.is_array()) {
        for (auto const& one : asked) {
            if (questions.size() == max_options) break;
            if (auto kept = chosen(one, question, privacy); !kept.empty()) questions.push_back(std::move(kept));
        }
    }
    add("questions", std::move(questions));
    return made;
}

}  // namespace ocgate::notify
