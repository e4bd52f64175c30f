#include "dialect_read.hpp"

namespace ocgate::opencode {
using namespace dialect;
namespace {

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

std::optional<std::vector<StepInfo>> steps_of(std::string_view text_of_messages, bool with_calls) {
    auto const messages = parse(text_of_messages);
    if (!messages.is_array()) return std::nullopt;
    std::vector<StepInfo> found;
    for (auto const& entry : messages) {
        auto const& info = member(entry, "info");
        if (text(info, "role", max_name_bytes) != "assistant") continue;
        auto step = step_of(info);
        if (step.message.empty() || step.session.empty()) continue;
        auto const& parts = member(entry, "parts");
        if (with_calls && parts.is_array()) {
            for (auto const& part : parts) {
                if (auto ended = ended_call(part)) step.calls.push_back(std::move(*ended));
            }
        }
        found.push_back(std::move(step));
    }
    return found;
}

}  // namespace

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
    auto steps = steps_of(text_of_messages, false);
    if (!steps) return std::nullopt;
    std::optional<StepInfo> last;
    if (!steps->empty()) last = std::move(steps->back());
    return std::optional<std::optional<StepInfo>>(std::move(last));
}

std::optional<std::vector<StepInfo>> read_steps(std::string_view text_of_messages) {
    return steps_of(text_of_messages, true);
}

std::optional<std::vector<std::string>> read_terminals(std::string_view text) {
    auto const list = parse(text);
    if (!list.is_array()) return std::nullopt;
    std::vector<std::string> found;
    for (auto const& entry : list) {
        if (auto terminal = id(entry, "id"); !terminal.empty()) found.push_back(std::move(terminal));
    }
    return found;
}

}  // namespace ocgate::opencode
