#include "dialect_json.hpp"

#include <algorithm>
#include <cassert>
#include <limits>

namespace ocgate::opencode::dialect {
namespace {

/// Nothing we read lies deeper, and a text of brackets would cost a hundred times its size.
constexpr std::size_t max_depth = 10;
/// Of one text; no list goes on behind them. Six thousand sessions, which is what 4 MiB hold, have a third of that.
constexpr std::size_t max_values = 128 * 1024;

/// All names that are read anywhere, in order. What has another is not kept: a tool's input, output and findings are of
/// any shape and size, and a model or a stranger's server wrote them.
constexpr std::string_view names[] = {"action",     "agent",      "always",     "assistantMessageID",
                                      "attempt",    "cache",      "callID",     "command",
                                      "compacted",  "completed",  "cost",       "created",
                                      "data",       "directory",  "end",        "error",
                                      "filePath",   "filepath",   "finish",     "header",
                                      "id",         "info",       "input",      "label",
                                      "location",   "message",    "messageID",  "metadata",
                                      "mode",       "model",      "modelID",    "multiple",
                                      "name",       "next",       "options",    "output",
                                      "parentID",   "part",       "parts",      "pattern",
                                      "patterns",   "payload",    "permission", "permissionID",
                                      "properties", "providerID", "question",   "questionID",
                                      "questions",  "read",       "reasoning",  "reply",
                                      "requestID",  "resources",  "response",   "role",
                                      "save",       "sessionID",  "source",     "state",
                                      "status",     "statusCode", "text",       "time",
                                      "timestamp",  "title",      "tokens",     "tool",
                                      "type",       "updated",    "url",        "write"};
static_assert(std::is_sorted(std::begin(names), std::end(names)));

bool is_read(std::string_view name) noexcept { return std::binary_search(std::begin(names), std::end(names), name); }

/// Builds what may be read, in time that grows with the text alone. (The library's own filter looks through the whole
/// list or object again at the end of each thing in it.)
class Builder final : public nlohmann::json_sax<json> {
public:
    bool null() override { return add(nullptr); }
    bool boolean(bool value) override { return add(value); }
    bool number_integer(json::number_integer_t value) override { return add(value); }
    bool number_unsigned(json::number_unsigned_t value) override { return add(value); }
    bool number_float(json::number_float_t value, json::string_t const&) override { return add(value); }
    bool string(json::string_t& value) override { return add(std::move(value)); }
    bool binary(json::binary_t&) override { return false; }
    bool start_object(std::size_t) override { return open(json::object()); }
    bool start_array(std::size_t) override { return open(json::array()); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }
    bool key(json::string_t& key) override {
        if (skipped_ > 0) return true;
        auto& level = levels_.back();
        // The outermost may be a map: of sessions.
        level.wanted = level.of_state ? key == "status" || key == "time" : levels_.size() == 1 || is_read(key);
        if (level.wanted) level.key = std::move(key);
        return true;
    }
    bool parse_error(std::size_t, std::string const&, json::exception const&) override { return false; }

    json take() { return std::move(result_); }

private:
    struct Level {
        json* container;
        bool of_state;       ///< of a part: `{"type":"tool","state":{…}}`
        bool wanted = true;  ///< what comes next
        std::string key;     ///< and its name, in an object
    };

    /// Where it is now; null where it is not wanted.
    json* place(json value) {
        if (levels_.empty()) return &(result_ = std::move(value));
        auto& level = levels_.back();
        bool const listed = level.container->is_array();
        // What is open may still be told its names: one does not hide behind a long list.
        bool const room = values_ < max_values || (!listed && !value.is_structured() && is_read(level.key));
        if (!level.wanted || !room) return nullptr;
        ++values_;
        if (!listed) return &((*level.container)[level.key] = std::move(value));
        level.container->push_back(std::move(value));
        return &level.container->back();
    }

    bool add(json value) {
        if (skipped_ == 0) place(std::move(value));
        return true;
    }

    bool open(json container) {
        bool const of_state =
            !levels_.empty() && levels_.back().container->is_object() && levels_.back().key == "state";
        auto* const placed = skipped_ > 0 || levels_.size() == max_depth ? nullptr : place(std::move(container));
        if (placed) {
            levels_.push_back({placed, of_state, true, {}});
        } else {
            ++skipped_;
        }
        return true;
    }

    bool close() {
        if (skipped_ > 0) {
            --skipped_;
        } else {
            levels_.pop_back();
        }
        return true;
    }

    json result_;
    std::vector<Level> levels_;
    std::size_t skipped_ = 0;  ///< levels of what is not wanted, around what is read now
    std::size_t values_ = 0;
};

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
    Builder builder;
    bool const whole = json::sax_parse(text.begin(), text.end(), &builder);
    return whole ? builder.take() : json(json::value_t::discarded);
}

json const& member(json const& object, char const* name) {
    assert(is_read(name));
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

std::int64_t when_ms(json const& object, char const* name) {
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / 1'000'000;
    return std::clamp(whole(object, name), -most, most);
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
