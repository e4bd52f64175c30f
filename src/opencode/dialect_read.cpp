#include "dialect_read.hpp"

#include <algorithm>

namespace ocgate::opencode::dialect {

SessionInfo session_info(json const& info) {
    auto const& time = member(info, "time");
    return {id(info, "id"),
            id(info, "parentID"),
            text(info, "title", max_name_bytes),
            text(info, "directory", max_path_bytes),
            text(info, "agent", max_name_bytes),
            when_ms(time, "created"),
            when_ms(time, "updated")};
}

Status status_of(json const& status) {
    auto const name = status.is_string() ? text_of(status, max_name_bytes) : text(status, "type", max_name_bytes);
    Status found;
    // A state that nobody knows yet is not idle.
    found.state = name == "idle" || name.empty() ? State::idle : name == "retry" ? State::retry : State::busy;
    if (found.state == State::retry) {
        found.attempt = static_cast<unsigned>(std::clamp<std::int64_t>(whole(status, "attempt"), 0, 1'000'000));
        found.message = text(status, "message", max_text_bytes);
        found.next_ms = when_ms(status, "next");
    }
    return found;
}

namespace {
std::string message_of(json const& asked) {
    for (auto const* place : {"tool", "source"}) {
        if (auto found = id(member(asked, place), "messageID"); !found.empty()) return found;
    }
    return id(asked, "messageID");
}
}  // namespace

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

Usage usage_of(json const& info) {
    // What is added up for months must neither go down nor overflow, whatever somebody says.
    constexpr double most_cost = 1e6;
    static constexpr std::int64_t most_tokens = 1'000'000'000'000;
    auto const count = [](json const& object, char const* name) {
        return std::clamp<std::int64_t>(whole(object, name), 0, most_tokens);
    };
    auto const& tokens = member(info, "tokens");
    auto const& cache = member(tokens, "cache");
    return {std::clamp(number(info, "cost"), 0.0, most_cost),
            count(tokens, "input"),
            count(tokens, "output"),
            count(tokens, "reasoning"),
            count(cache, "read"),
            count(cache, "write")};
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
    step.usage = usage_of(info);
    auto const& time = member(info, "time");
    step.created_ms = when_ms(time, "created");
    step.completed_ms = when_ms(time, "completed");
    step.completed = member(time, "completed").is_number();
    return step;
}

std::optional<ToolEnded> ended_call(json const& part) {
    auto const& state = member(part, "state");
    auto const status = text(state, "status", max_name_bytes);
    if (text(part, "type", max_name_bytes) != "tool" || (status != "completed" && status != "error")) return {};
    auto const& time = member(state, "time");
    // Told again when its output is thrown away to make room, long after it ended.
    if (member(time, "compacted").is_number()) return {};
    ToolEnded ended{id(part, "sessionID"), id(part, "id"), text(part, "tool", max_name_bytes), status == "error",
                    when_ms(time, "end")};
    // A provider may number its calls from one in every answer.
    if (ended.call.empty()) ended.call = newer_call(id(part, "messageID"), id(part, "callID"));
    if (ended.call.empty()) return {};
    return ended;
}

std::string newer_call(std::string const& message, std::string const& call) {
    return call.empty() ? std::string() : message + "/" + call;
}

}  // namespace ocgate::opencode::dialect
