#include "discord_embed.hpp"

#include <algorithm>
#include <limits>
#include <string_view>

#include "ocgate/notify/words.hpp"
#include "rules.hpp"
#include "text.hpp"

namespace ocgate::notify {
namespace {

using nlohmann::json;

// Discord's bounds (its API documentation, "Embed Limits").
constexpr std::size_t max_content = 2000;
constexpr std::size_t max_title = 256;
constexpr std::size_t max_description = 4096;
constexpr std::size_t max_fields = 25;
constexpr std::size_t max_field_name = 256;
constexpr std::size_t max_field_value = 1024;
constexpr std::size_t max_footer = 256;  // Discord takes 2048: more than anybody reads there
constexpr std::size_t max_in_all = 6000;
constexpr std::size_t max_link = 512;
constexpr std::size_t least_value = 32;  ///< a field cut to less says nothing

constexpr int colour_resolved = 9807270;

struct Default {
    std::string_view event, content, title, description;
    int colour;
};

constexpr Default defaults[] = {
    {"permission", "🔔 **OpenCode Alert**", "Interaction Required",
     "Session `{{project|default:opencode}}` needs your input", 15844367},
    {"question", "🔔 **OpenCode Alert**", "Question", "Session `{{project|default:opencode}}` waits for your answer",
     3447003},
    {"complete", "✅ **OpenCode Done**", "Session Complete", "Session `{{project|default:opencode}}` has finished",
     3066993},
    {"error", "🚨 **OpenCode Error**", "Session Failed", "Session `{{project|default:opencode}}` ended with an error",
     15158332},
    {"retry", "⏳ **OpenCode Retries**", "Provider Trouble",
     "Session `{{project|default:opencode}}` keeps asking its provider", 15105570},
    {"upstream_down", "🚨 **OpenCode Down**", "OpenCode Unreachable", "`{{project|default:opencode}}` does not answer",
     15158332},
    {"budget", "💰 **OpenCode Budget**", "", "", 15105570},
    {"digest", "🗞️ **OpenCode Digest**", "While It Was Quiet", "", colour_resolved},
    {"test", "🔔 **OpenCode Test**", "Test from ocgate", "", 3447003},
};
constexpr Default any_other{"", "🔔 **OpenCode**", "", "", colour_resolved};

Default const& default_of(std::string_view event) {
    auto const* const found =
        std::find_if(std::begin(defaults), std::end(defaults), [&](Default const& one) { return one.event == event; });
    return found == std::end(defaults) ? any_other : *found;
}

std::string cut_units(std::string_view text, std::size_t most) {
    return fit_utf16(text, most, [](std::string_view one) { return std::string(one); });
}

/// What is left of the sum that Discord allows.
class Room {
public:
    [[nodiscard]] std::size_t left(std::size_t most) const { return std::min(most, left_); }
    std::string take(std::string text) {
        left_ -= std::min(left_, utf16_units(text));
        return text;
    }

private:
    std::size_t left_ = max_in_all;
};

class Fields {
public:
    explicit Fields(Room& room) : room_(room) {}

    void add(std::string_view name, std::string_view text, bool code, bool beside) {
        auto const shown = clean(text, Lines::keep);
        auto title = cut_units(clean(name, Lines::join), max_field_name);
        auto const named = utf16_units(title);
        if (shown.empty() || title.empty() || list_.size() == max_fields) return;
        if (room_.left(named + least_value) < named + least_value) return;
        auto const most = std::min(max_field_value, room_.left(named + max_field_value) - named);
        room_.take(title);
        auto value = room_.take(code ? block(shown, most) : fit_utf16(shown, most, discord_spelling));
        list_.push_back({{"name", std::move(title)}, {"value", std::move(value)}, {"inline", beside}});
    }

    json list() && { return std::move(list_); }

private:
    static std::string block(std::string const& text, std::size_t most) {
        constexpr std::string_view open = "```\n";  // the line end: or the first word would be taken for a language
        constexpr std::string_view close = "\n```";
        auto inside = fit_utf16(text, most - open.size() - close.size(), discord_block_spelling);
        return std::string(open).append(inside).append(close);
    }

    Room& room_;
    json list_ = json::array();
};

}  // namespace

std::string discord_line(std::string_view text, std::size_t most) {
    return fit_utf16(clean(text, Lines::join), most, discord_spelling);
}

DiscordWords discord_words(Message const& message, Words const* own) {
    auto const& usual = default_of(message.event);
    auto const data = data_of(message);
    DiscordWords words;
    words.content = usual.content;
    words.colour = usual.colour;
    if (own && own->title)
        words.title = own->title->render(data, Escape::discord);
    else
        words.title = usual.title.empty() ? discord_line(message.title, max_title) : std::string(usual.title);
    if (own && own->body)
        words.description = own->body->render(data, Escape::discord);
    else if (usual.description.empty())
        words.description = fit_utf16(clean(message.body, Lines::keep), max_description, discord_spelling);
    else
        words.description = Template::parse(usual.description).value().render(data, Escape::discord);
    return words;
}

DiscordWords discord_words(Message const& message, Resolution const& resolution) {
    auto const& usual = default_of(message.event);
    DiscordWords words;
    words.content = usual.content;
    words.title = "No Longer Waiting";
    auto const project = fit_utf16(clean(message.project, Lines::join), max_title, discord_code_spelling);
    words.description = "Session `" + project + "`: " + discord_line(outcome_words(resolution), max_title);
    words.colour = colour_resolved;
    return words;
}

json discord_body(Message const& message, DiscordWords const& words) {
    Room room;
    json embed;
    if (!words.title.empty()) embed["title"] = room.take(cut_units(words.title, max_title));
    // Room for the two fields that always stand there, whatever the operator's template made of the rest.
    embed["description"] = room.take(cut_units(words.description, max_description));
    embed["color"] = words.colour;
    auto footer = clean(message.project, Lines::join);
    auto const data = data_of(message);
    if (auto const request = data.value("/request/id"_json_pointer, json()); request.is_string())
        footer += " · " + request.get<std::string>();
    footer = cut_units(clean(footer, Lines::join), max_footer);
    Fields fields(room);
    fields.add("Event", message.event, false, true);
    fields.add("Session", message.session_id.empty() ? "none" : message.session_id, false, true);
    if (!footer.empty()) embed["footer"] = {{"text", room.take(footer)}};
    if (auto const waiting = number_in(data, "waiting"); waiting > 1)
        fields.add("Waiting", std::to_string(waiting), false, true);
    fields.add("Title", message.session_title, false, false);
    for (auto const& field : message.fields) fields.add(field.name, field.text, field.code, false);
    embed["fields"] = std::move(fields).list();
    if (auto const link = safe_link(message.click_url, max_link); !link.empty()) embed["url"] = link;
    if (message.at_ms > 0) embed["timestamp"] = rfc3339(message.at_ms);
    return {{"content", cut_units(words.content, max_content)},
            {"embeds", json::array({std::move(embed)})},
            {"allowed_mentions", {{"parse", json::array()}}}};
}

}  // namespace ocgate::notify
