#include <algorithm>

#include "dialect_read.hpp"
#include "dialect_types.hpp"

namespace ocgate::opencode {
using namespace dialect;
namespace {

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
    if (type == "session.compacted") return Compacted{std::move(session)};
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
    if (auto ended = ended_call(part)) return std::move(*ended);
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

/// `session.next.*`, which sessions of the newer API tell.
What read_newer_event(std::string_view type, json const& properties) {
    auto session = id(properties, "sessionID");
    if (session.empty()) return Unknown{};
    auto const name = type.substr(std::string_view("session.next.").size());
    if (name == "retried") return NewerRetry{std::move(session)};
    if (name == "compaction.ended") return Compacted{std::move(session)};
    auto const message = id(properties, "assistantMessageID");
    auto const when = when_ms(properties, "timestamp");
    if (name.starts_with("tool.")) {
        auto call = newer_call(message, id(properties, "callID"));
        if (call.empty()) return Unknown{};
        auto tool = text(properties, "tool", max_name_bytes);
        if (name == "tool.called") return ToolCalled{std::move(session), std::move(call), std::move(tool)};
        if (name != "tool.success" && name != "tool.failed") return Unknown{};
        return ToolEnded{std::move(session), std::move(call), std::move(tool), name == "tool.failed", when};
    }
    if (message.empty()) return Unknown{};
    StepInfo step;
    step.message = message;
    step.session = std::move(session);
    if (name == "step.started") {
        auto const& model = member(properties, "model");
        step.agent = text(properties, "agent", max_name_bytes);
        step.provider = text(model, "providerID", max_name_bytes);
        step.model = text(model, "id", max_name_bytes);
        step.created_ms = when;
        return NewerStepBegan{std::move(step)};
    }
    if (name != "step.ended" && name != "step.failed") return Unknown{};
    step.usage = usage_of(properties);
    step.completed = true;
    step.completed_ms = when;
    step.finish = text(properties, "finish", max_name_bytes);
    if (name == "step.failed") {
        step.error_text = text(member(properties, "error"), "message", max_text_bytes);
        step.error_name = "UnknownError";  // the only kind there is: `unknown`
    }
    return NewerStepEnded{std::move(step)};
}

/// A terminal of the server's: `pty.created`, `pty.exited`, `pty.deleted`.
What read_terminal_event(std::string_view type, json const& properties) {
    bool const opened = type == "pty.created";
    auto terminal = id(opened ? member(properties, "info") : properties, "id");
    if (terminal.empty()) return Unknown{};
    if (opened) return TerminalOpened{std::move(terminal)};
    return TerminalClosed{std::move(terminal)};
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
    if (type.starts_with("session.next.")) return read_newer_event(type, properties);
    if (type.starts_with("session.")) return read_session_event(type, properties);
    if (type == "pty.created" || type == "pty.exited" || type == "pty.deleted")
        return read_terminal_event(type, properties);
    return Unknown{};
}

/// Whether its type, and of a part also what kind of part it is, tell that there is nothing for us in it. Only the text
/// of a message and the end of a tool's call are worth reading; a call that runs may say so, with all that it has put
/// out, many times a second.
bool need_not_be_read(std::string_view type, std::string_view json_text) {
    if (tells_nothing(type)) return true;
    if (type != "message.part.updated") return false;
    auto const part = glance_at_part(json_text);
    if (part.type == "text") return false;
    if (part.type == "tool") return part.status != "completed" && part.status != "error";
    // Nothing was found: it is laid out in some other way, or broken. The words stand between quotes either way.
    return !part.type.empty() ||
           (json_text.find("\"text\"") == json_text.npos && json_text.find("\"tool\"") == json_text.npos);
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

}  // namespace ocgate::opencode
