#include "dialect_json.hpp"

#include <algorithm>
#include <limits>

namespace ocgate::opencode::dialect {
namespace {

/// Nothing we read lies deeper, and a text of brackets would cost a hundred times its size.
constexpr int max_depth = 10;

/// Texts that may be large and tell us nothing.
bool is_ballast(json const& key) {
    static constexpr std::string_view names[] = {"diff", "diffs", "responseBody", "responseHeaders", "snapshot"};
    auto const* name = key.get_ptr<std::string const*>();
    return name && std::find(std::begin(names), std::end(names), *name) != std::end(names);
}

/// At most `max_bytes` of it, cut between two characters.
std::string cut(std::string_view text, std::size_t max_bytes) {
    if (text.size() <= max_bytes) return std::string(text);
    std::size_t end = max_bytes;
    // The parser has let through well-formed UTF-8 only: a byte 10xxxxxx continues a character.
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    return std::string(text.substr(0, end));
}

}  // namespace

json parse(std::string_view text) {
    auto const keep = [](int depth, json::parse_event_t event, json& value) {
        if (event == json::parse_event_t::key) return !is_ballast(value);
        return depth <= max_depth;
    };
    return json::parse(text.begin(), text.end(), keep, false);
}

json const& member(json const& object, char const* name) {
    static json const nothing;
    if (!object.is_object()) return nothing;
    auto const found = object.find(name);
    return found == object.end() ? nothing : *found;
}

std::string text_of(json const& value, std::size_t max_bytes) {
    auto const* text = value.get_ptr<std::string const*>();
    return text ? cut(*text, max_bytes) : std::string();
}

std::string text(json const& object, char const* name, std::size_t max_bytes) {
    return text_of(member(object, name), max_bytes);
}

std::string id(json const& object, char const* name) {
    auto const* found = member(object, name).get_ptr<std::string const*>();
    return found && found->size() <= max_id_bytes ? *found : std::string();
}

std::string first_id(json const& object, std::initializer_list<char const*> names) {
    for (auto const* name : names) {
        if (auto found = id(object, name); !found.empty()) return found;
    }
    return {};
}

double number(json const& object, char const* name) {
    auto const& value = member(object, name);
    return value.is_number() ? value.get<double>() : 0.0;
}

std::int64_t whole(json const& object, char const* name) {
    auto const& value = member(object, name);
    if (value.is_number_unsigned()) {
        constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
        return static_cast<std::int64_t>(std::min(value.get<std::uint64_t>(), most));
    }
    if (value.is_number_integer()) return value.get<std::int64_t>();
    if (!value.is_number()) return 0;
    constexpr double bound = 9e15;
    return static_cast<std::int64_t>(std::clamp(value.get<double>(), -bound, bound));
}

std::vector<std::string> texts(json const& value, std::size_t max_bytes) {
    std::vector<std::string> found;
    if (value.is_string()) found.push_back(text_of(value, max_bytes));
    if (!value.is_array()) return found;
    for (auto const& entry : value) {
        if (found.size() == max_list_entries) break;
        if (entry.is_string()) found.push_back(text_of(entry, max_bytes));
    }
    return found;
}

}  // namespace ocgate::opencode::dialect
