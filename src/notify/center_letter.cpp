// What a delivery says: how it is to be said goes into its payload, and comes out of it again.
#include <nlohmann/json.hpp>

#include "center_inside.hpp"

namespace ocgate::notify {
namespace {

std::string_view name_of(Privacy privacy) noexcept {
    switch (privacy) {
        case Privacy::minimal:
            return "minimal";
        case Privacy::summary:
            return "summary";
        case Privacy::full:
            return "full";
    }
    return "minimal";
}

Privacy privacy_of(std::string_view name) noexcept {
    if (name == "full") return Privacy::full;
    return name == "summary" ? Privacy::summary : Privacy::minimal;
}

}  // namespace

std::string Center::payload(Active const& active, bool escalated, std::size_t waiting, bool silent) const {
    nlohmann::json const document{{"privacy", name_of(active.handling.privacy)},
                                  {"priority", active.handling.priority},
                                  {"silent", silent},
                                  {"escalated", escalated},
                                  {"waiting", waiting}};
    return document.dump();
}

std::optional<Letter> Center::compose(Due const& due) {
    auto facts = nlohmann::json::parse(due.incident.facts, nullptr, false);
    auto const how = nlohmann::json::parse(due.payload.empty() ? "{}" : due.payload, nullptr, false);
    if (!facts.is_object() || !how.is_object()) return std::nullopt;
    auto const number = [&](char const* name, std::int64_t otherwise) {
        auto const found = how.find(name);
        return found != how.end() && found->is_number_integer() ? found->get<std::int64_t>() : otherwise;
    };
    auto const flag = [&](char const* name) {
        auto const found = how.find(name);
        return found != how.end() && found->is_boolean() && found->get<bool>();
    };
    auto const privacy = how.find("privacy");
    if (auto const waiting = number("waiting", 1); waiting > 1) facts["waiting"] = waiting;
    facts["event"] = due.incident.kind;
    facts["incident"] = due.incident.key;
    if (!facts.contains("at_ms")) facts["at_ms"] = due.incident.raised_ms;

    Letter letter;
    letter.message = notify::compose(facts, privacy != how.end() && privacy->is_string()
                                                ? privacy_of(privacy->get_ref<std::string const&>())
                                                : Privacy::minimal);
    letter.message.incident_key = due.incident.key;
    letter.message.blocks = due.incident.weight == Weight::block;
    letter.message.priority = static_cast<int>(std::clamp<std::int64_t>(number("priority", 3), 1, 5));
    letter.message.silent = flag("silent");
    letter.message.escalated = flag("escalated");
    letter.resolution = {.outcome = due.incident.outcome, .by = due.incident.by, .at_ms = due.incident.ended_ms};
    return letter;
}

}  // namespace ocgate::notify
