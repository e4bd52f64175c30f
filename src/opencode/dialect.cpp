#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "dialect_types.hpp"
#include "ocgate/opencode/event.hpp"

namespace ocgate::opencode {
namespace {

using nlohmann::json;

// What is kept of the texts; a longer id is no id.
constexpr std::size_t max_id_bytes = 200;
constexpr std::size_t max_name_bytes = 200;
constexpr std::size_t max_path_bytes = 4096;
constexpr std::size_t max_text_bytes = 2000;
constexpr std::size_t max_command_bytes = 4000;
constexpr std::size_t max_pattern_bytes = 500;
constexpr std::size_t max_list_entries = 16;
constexpr std::size_t max_asks = 8;
/// Nothing we read lies deeper, and a text of brackets would cost a hundred times its size.
constexpr int max_depth = 10;

/// Texts that may be large and tell us nothing.
bool is_ballast(json const& key) {
    static constexpr std::string_view names[] = {"diff", "diffs", "responseBody", "responseHeaders", "snapshot"};
    auto const* name = key.get_ptr<std::string const*>();
    return name && std::find(std::begin(names), std::end(names), *name) != std::end(names);
}

/// Discarded when it is not JSON.
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

/// At most `max_bytes` of it, cut between two characters.
std::string cut(std::string_view text, std::size_t max_bytes) {
    if (text.size() <= max_bytes) return std::string(text);
    std::size_t end = max_bytes;
    // The parser has let through well-formed UTF-8 only: a byte 10xxxxxx continues a character.
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    return std::string(text.substr(0, end));
}

std::string text_of(json const& value, std::size_t max_bytes) {
    auto const* text = value.get_ptr<std::string const*>();
    return text ? cut(*text, max_bytes) : std::string();
}

std::string text(json const& object, char const* name, std::size_t max_bytes) {
    return text_of(member(object, name), max_bytes);
}

/// Cut, two ids could become one.
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

/// Anything else than a whole number of 64 bits comes as near to one as it can.
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

/// A list of texts; a single text is a list of one.
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

SessionInfo session_info(json const& info) {
    auto const& time = member(info, "time");
    return {id(info, "id"),
            id(info, "parentID"),
            text(info, "title", max_name_bytes),
            text(info, "directory", max_path_bytes),
            text(info, "agent", max_name_bytes),
            whole(time, "created"),
            whole(time, "updated")};
}

Status status_of(json const& status) {
    auto const name = status.is_string() ? text_of(status, max_name_bytes) : text(status, "type", max_name_bytes);
    Status found;
    // A state that nobody knows yet is not idle.
    found.state = name == "idle" || name.empty() ? State::idle : name == "retry" ? State::retry : State::busy;
    if (found.state == State::retry) {
        found.attempt = static_cast<unsigned>(std::clamp<std::int64_t>(whole(status, "attempt"), 0, 1'000'000));
        found.message = text(status, "message", max_text_bytes);
        found.next_ms = whole(status, "next");
    }
    return found;
}

std::string message_of(json const& asked) {
    for (auto const* place : {"tool", "source"}) {
        if (auto found = id(member(asked, place), "messageID"); !found.empty()) return found;
    }
    return id(asked, "messageID");
}

Permission permission_of(json const& asked, bool newer) {
    Permission found;
    found.id = id(asked, "id");
    found.session = id(asked, "sessionID");
    found.message = message_of(asked);
    found.newer = newer;
    for (auto const* name : {"permission", "action", "type"}) {  // 1.18, v2, and what `permission.updated` had
        if (found.kind.empty()) found.kind = text(asked, name, max_name_bytes);
    }
    for (auto const* name : {"patterns", "resources", "pattern"}) {
        if (found.patterns.empty()) found.patterns = texts(member(asked, name), max_pattern_bytes);
    }
    for (auto const* name : {"always", "save"}) {
        if (found.always.empty()) found.always = texts(member(asked, name), max_pattern_bytes);
    }
    auto const& metadata = member(asked, "metadata");
    for (auto const* name : {"command", "filepath", "filePath", "url", "title"}) {
        if (found.command.empty()) found.command = text(metadata, name, max_command_bytes);
    }
    if (found.command.empty()) found.command = text(asked, "title", max_command_bytes);
    return found;
}

Question question_of(json const& asked, bool newer) {
    Question found{id(asked, "id"), id(asked, "sessionID"), message_of(asked), {}, newer};
    auto const& questions = member(asked, "questions");
    if (!questions.is_array()) return found;
    for (auto const& entry : questions) {
        if (found.asks.size() == max_asks) break;
        if (!entry.is_object()) continue;
        Question::Ask ask;
        ask.header = text(entry, "header", max_name_bytes);
        ask.text = text(entry, "question", max_text_bytes);
        auto const& multiple = member(entry, "multiple");
        ask.multiple = multiple.is_boolean() && multiple.get<bool>();
        auto const& options = member(entry, "options");
        if (options.is_array()) {
            for (auto const& option : options) {
                if (ask.options.size() == max_list_entries) break;
                ask.options.push_back(option.is_string() ? text_of(option, max_name_bytes)
                                                         : text(option, "label", max_name_bytes));
            }
        }
        found.asks.push_back(std::move(ask));
    }
    return found;
}

void read_error(json const& error, std::string& name, std::string& words) {
    name = text(error, "name", max_name_bytes);
    words = text(member(error, "data"), "message", max_text_bytes);
    if (words.empty()) words = text(error, "message", max_text_bytes);
    words.erase(std::min(words.size(), words.find("\n    at ")));  // where in opencode it happened is for its log
}

StepInfo step_of(json const& info) {
    StepInfo step;
    step.message = id(info, "id");
    step.session = id(info, "sessionID");
    step.agent = text(info, "agent", max_name_bytes);
    if (step.agent.empty()) step.agent = text(info, "mode", max_name_bytes);
    step.provider = text(info, "providerID", max_name_bytes);
    step.model = text(info, "modelID", max_name_bytes);
    step.finish = text(info, "finish", max_name_bytes);
    auto const& error = member(info, "error");
    if (error.is_object()) {
        read_error(error, step.error_name, step.error_text);
        if (step.error_name.empty()) step.error_name = "UnknownError";
    }
    auto const& tokens = member(info, "tokens");
    auto const& cache = member(tokens, "cache");
    step.usage = {number(info, "cost"),       whole(tokens, "input"), whole(tokens, "output"),
                  whole(tokens, "reasoning"), whole(cache, "read"),   whole(cache, "write")};
    auto const& time = member(info, "time");
    step.created_ms = whole(time, "created");
    step.completed_ms = whole(time, "completed");
    step.completed = member(time, "completed").is_number();
    return step;
}

using What = decltype(Event::what);

What read_session_event(std::string_view type, json const& properties) {
    auto const& info = member(properties, "info");
    if (type == "session.created" || type == "session.updated") {
        auto seen = session_info(info);
        if (seen.id.empty()) return Unknown{};
        return SessionSeen{std::move(seen), type == "session.created"};
    }
    auto session = id(properties, "sessionID");
    if (type == "session.deleted") {
        if (session.empty()) session = id(info, "id");
        if (session.empty()) return Unknown{};
        return SessionGone{std::move(session)};
    }
    if (type == "session.error") {
        SessionFailed failed;
        auto const& error = member(properties, "error");
        read_error(error, failed.name, failed.text);
        failed.session = std::move(session);
        failed.status_code =
            static_cast<int>(std::clamp<std::int64_t>(whole(member(error, "data"), "statusCode"), 0, 999));
        return failed;
    }
    if (session.empty()) return Unknown{};
    if (type == "session.status") return StatusChanged{std::move(session), status_of(member(properties, "status"))};
    if (type == "session.idle") return WentIdle{std::move(session)};
    return Unknown{};
}

What read_message_event(std::string_view type, json const& properties) {
    if (type == "message.updated") {
        auto const& info = member(properties, "info");
        if (text(info, "role", max_name_bytes) != "assistant") return Ignored{};
        auto step = step_of(info);
        if (step.session.empty()) step.session = id(properties, "sessionID");
        if (step.message.empty() || step.session.empty()) return Unknown{};
        return StepChanged{std::move(step)};
    }
    auto const& part = member(properties, "part");
    if (text(part, "type", max_name_bytes) != "text") return Ignored{};
    return TextWritten{id(part, "sessionID"), id(part, "messageID"), text(part, "text", max_text_bytes)};
}

What read_request_event(std::string_view type, json const& properties) {
    bool const newer = type.find(".v2.") != type.npos;
    bool const question = type.starts_with("question.");
    auto const verb = type.substr(type.rfind('.') + 1);
    if (verb == "asked" || (verb == "updated" && !question)) {
        if (question) {
            auto asked = question_of(properties, newer);
            if (asked.id.empty() || asked.session.empty()) return Unknown{};
            return QuestionAsked{std::move(asked)};
        }
        auto asked = permission_of(properties, newer);
        if (asked.id.empty() || asked.session.empty()) return Unknown{};
        return PermissionAsked{std::move(asked)};
    }
    if (verb != "replied" && !(verb == "rejected" && question)) return Unknown{};
    auto session = id(properties, "sessionID");
    auto request = first_id(properties, {"requestID", "permissionID", "questionID"});
    if (request.empty()) return Unknown{};
    if (question) return QuestionAnswered{std::move(session), std::move(request), verb == "rejected"};
    auto reply = text(properties, "reply", max_name_bytes);
    if (reply.empty()) reply = text(properties, "response", max_name_bytes);
    return PermissionAnswered{std::move(session), std::move(request), std::move(reply)};
}

What read_what(std::string_view type, std::string const& directory, json const& properties) {
    if (type == "server.connected") return Connected{};
    if (type == "server.heartbeat") return Heartbeat{};
    if (type == "server.instance.disposed") {
        auto gone = text(properties, "directory", max_path_bytes);
        if (gone.empty()) gone = directory;
        return InstanceGone{std::move(gone)};
    }
    if (type == "global.disposed") return AllGone{};
    if (type.starts_with("permission.") || type.starts_with("question.")) return read_request_event(type, properties);
    if (type == "message.updated" || type == "message.part.updated") return read_message_event(type, properties);
    if (type.starts_with("session.")) return read_session_event(type, properties);
    return Unknown{};
}

/// Whether its type and a look for one word tell that there is nothing for us in it. opencode writes no spaces into its
/// JSON, and where another version does, no part of text is missed: the word stands between quotes either way.
bool need_not_be_read(std::string_view type, std::string_view json_text) {
    if (tells_nothing(type)) return true;
    return type == "message.part.updated" && json_text.find("\"text\"") == json_text.npos;
}

/// All entries of a list that have what makes them one.
template <class T, class Read>
std::optional<std::vector<T>> read_list(std::string_view text, Read read) {
    auto const list = parse(text);
    if (!list.is_array()) return std::nullopt;
    std::vector<T> found;
    for (auto const& entry : list) {
        T one = read(entry, false);
        if (!one.id.empty() && !one.session.empty()) found.push_back(std::move(one));
    }
    return found;
}

}  // namespace

Usage& Usage::operator+=(Usage const& more) noexcept {
    cost += more.cost;
    // Sums of hostile numbers may wrap round; they must not be undefined.
    auto const add = [](std::int64_t& to, std::int64_t n) {
        to = static_cast<std::int64_t>(static_cast<std::uint64_t>(to) + static_cast<std::uint64_t>(n));
    };
    add(input, more.input);
    add(output, more.output);
    add(reasoning, more.reasoning);
    add(cache_read, more.cache_read);
    add(cache_write, more.cache_write);
    return *this;
}

Event read_event(std::string_view text_of_event) {
    Event event;
    auto const quick = type_of_long(text_of_event.substr(0, 4096));
    if (need_not_be_read(quick, text_of_event)) {
        event.type = quick;
        event.what = Ignored{};
        return event;
    }
    auto const whole_event = parse(text_of_event);
    auto const& payload = member(whole_event, "payload");
    auto const& inner = payload.is_object() ? payload : whole_event;
    event.type = text(inner, "type", max_name_bytes);
    if (event.type.empty()) {
        event.type = "invalid";
        return event;
    }
    event.id = id(inner, "id");
    event.directory = text(whole_event, "directory", max_path_bytes);
    if (event.directory.empty()) event.directory = text(member(inner, "location"), "directory", max_path_bytes);
    if (need_not_be_read(event.type, text_of_event)) {
        event.what = Ignored{};
        return event;
    }
    auto const& properties = member(inner, "properties");
    event.what = read_what(event.type, event.directory, properties.is_object() ? properties : member(inner, "data"));
    return event;
}

std::optional<Statuses> read_statuses(std::string_view text) {
    auto const map = parse(text);
    if (!map.is_object()) return std::nullopt;
    Statuses found;
    for (auto const& [session, status] : map.items()) {
        // An object that tells of an error has other things in it.
        if (!status.is_string() && !member(status, "type").is_string()) return std::nullopt;
        if (!session.starts_with("ses")) return std::nullopt;
        if (session.size() <= max_id_bytes) found.emplace_back(session, status_of(status));
    }
    return found;
}

std::optional<std::vector<Permission>> read_permissions(std::string_view text) {
    return read_list<Permission>(text, permission_of);
}

std::optional<std::vector<Question>> read_questions(std::string_view text) {
    return read_list<Question>(text, question_of);
}

std::optional<SessionInfo> read_session(std::string_view text) {
    auto info = session_info(parse(text));
    if (info.id.empty()) return std::nullopt;
    return info;
}

std::optional<std::vector<SessionInfo>> read_sessions(std::string_view text) {
    auto const list = parse(text);
    if (!list.is_array()) return std::nullopt;
    std::vector<SessionInfo> found;
    for (auto const& entry : list) {
        if (auto info = session_info(entry); !info.id.empty()) found.push_back(std::move(info));
    }
    return found;
}

std::optional<std::optional<StepInfo>> read_last_step(std::string_view text_of_messages) {
    auto const messages = parse(text_of_messages);
    if (!messages.is_array()) return std::nullopt;
    std::optional<StepInfo> last;
    for (auto const& entry : messages) {
        auto const& info = member(entry, "info");
        if (text(info, "role", max_name_bytes) != "assistant") continue;
        auto step = step_of(info);
        if (!step.message.empty() && !step.session.empty()) last = std::move(step);
    }
    return std::optional<std::optional<StepInfo>>(std::move(last));
}

}  // namespace ocgate::opencode
