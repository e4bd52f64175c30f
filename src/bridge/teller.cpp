#include "ocgate/bridge/teller.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ocgate::bridge {
namespace {
using nlohmann::json;

/// Whatever bytes came from opencode: facts are text, and text is UTF-8.
std::string dumped(json const& facts) { return facts.dump(-1, ' ', false, json::error_handler_t::replace); }

json facts_of(opencode::SessionInfo const& root, std::string_view directory) {
    auto const& where = directory.empty() ? std::string_view(root.directory) : directory;
    json facts{{"project", Teller::project_of(where)},
               {"directory", where},
               {"session", {{"id", root.id}, {"title", root.title}}}};
    if (!root.agent.empty()) facts["agent"] = root.agent;
    return facts;
}

std::string_view word_for(opencode::PermissionOver::Outcome outcome) noexcept {
    using Outcome = opencode::PermissionOver::Outcome;
    switch (outcome) {
        case Outcome::once:
            return "once";
        case Outcome::always:
            return "always";
        case Outcome::reject:
            return "reject";
        case Outcome::gone:
            return "gone";
    }
    return "gone";
}

std::string_view word_for(opencode::QuestionOver::Outcome outcome) noexcept {
    using Outcome = opencode::QuestionOver::Outcome;
    switch (outcome) {
        case Outcome::answered:
            return "answered";
        case Outcome::rejected:
            return "rejected";
        case Outcome::gone:
            return "gone";
    }
    return "gone";
}

std::string permission_key(std::string_view id) { return "permission/" + std::string(id); }
std::string question_key(std::string_view id) { return "question/" + std::string(id); }

}  // namespace

std::string Teller::project_of(std::string_view directory) {
    while (directory.size() > 1 && directory.back() == '/') directory.remove_suffix(1);
    auto const slash = directory.rfind('/');
    if (slash == std::string_view::npos || directory.size() == 1) return std::string(directory);
    return std::string(directory.substr(slash + 1));
}

std::string Teller::fingerprint(std::string_view project, std::string_view name, std::string_view text) {
    std::string print = std::string(project) + "|" + std::string(name) + "|";
    bool in_number = false;
    for (char const c : text.substr(0, 512)) {
        bool const digit = c >= '0' && c <= '9';
        if (!digit) print += c;
        if (digit && !in_number) print += '#';
        in_number = digit;
    }
    return print;
}

std::int64_t Teller::now_ms() const {
    using namespace std::chrono;
    return duration_cast<milliseconds>(needs_.wall().time_since_epoch()).count();
}

void Teller::happened(opencode::Happening const& happening, rt::Instant now) {
    now_ = now;
    std::visit([this](auto const& what) { tell(what); }, happening);
}

void Teller::tell(opencode::PermissionPending const& what) {
    auto facts = facts_of(what.root, what.directory);
    auto const& asked = what.permission;
    facts["at_ms"] = now_ms();
    facts["request"] = {{"id", asked.id},
                        {"kind", asked.kind},
                        {"command", asked.command},
                        {"patterns", asked.patterns},
                        {"always", asked.always}};
    needs_.raise({.key = permission_key(asked.id),
                  .kind = "permission",
                  .subject = what.root.id,
                  .weight = notify::Weight::block,
                  .facts = dumped(facts)});
}

void Teller::tell(opencode::PermissionOver const& what) {
    needs_.resolve(permission_key(what.id), word_for(what.outcome), {});
}

void Teller::tell(opencode::QuestionPending const& what) {
    auto facts = facts_of(what.root, what.directory);
    facts["at_ms"] = now_ms();
    auto& questions = facts["questions"] = json::array();
    for (auto const& ask : what.question.asks) {
        questions.push_back(
            {{"header", ask.header}, {"text", ask.text}, {"options", ask.options}, {"multiple", ask.multiple}});
    }
    needs_.raise({.key = question_key(what.question.id),
                  .kind = "question",
                  .subject = what.root.id,
                  .weight = notify::Weight::block,
                  .facts = dumped(facts)});
}

void Teller::tell(opencode::QuestionOver const& what) {
    needs_.resolve(question_key(what.id), word_for(what.outcome), {});
}

void Teller::tell(opencode::TurnCompleted const& what) {
    if (what.duration < rules_.shortest_turn && what.seen_from_start) return;
    auto facts = facts_of(what.root, {});
    auto const at = now_ms();
    facts["at_ms"] = at;
    facts["turn"] = {
        {"duration_ms", std::chrono::duration_cast<std::chrono::milliseconds>(what.duration).count()},
        {"cost", what.usage.cost},
        {"tokens", {{"input", what.usage.input}, {"output", what.usage.output}, {"reasoning", what.usage.reasoning}}},
        {"words", what.words}};
    if (!what.agent.empty()) facts["agent"] = what.agent;
    needs_.raise({.key = "complete/" + what.root.id + "/" + std::to_string(at),
                  .kind = "complete",
                  .subject = what.root.id,
                  .weight = notify::Weight::complete,
                  .facts = dumped(facts)});
}

void Teller::tell(opencode::TurnFailed const& what) {
    auto facts = facts_of(what.root, {});
    auto const print = fingerprint(facts["project"].get_ref<std::string const&>(), what.name, what.text);
    auto const told = errors_.find(print);
    if (told != errors_.end() && now_ - told->second < rules_.same_error) return;
    if (told == errors_.end() && errors_.size() >= max_errors) {
        auto const older = [](auto const& a, auto const& b) { return a.second < b.second; };
        errors_.erase(std::min_element(errors_.begin(), errors_.end(), older));
    }
    errors_.insert_or_assign(print, now_);
    auto const at = now_ms();
    facts["at_ms"] = at;
    facts["error"] = {{"name", what.name}, {"text", what.text}, {"status", what.status_code}};
    needs_.raise({.key = "error/" + what.root.id + "/" + std::to_string(at),
                  .kind = "error",
                  .subject = what.root.id,
                  .weight = notify::Weight::error,
                  .facts = dumped(facts)});
}

// A person did that: neither an error nor a completion, and they know.
void Teller::tell(opencode::TurnAborted const&) {}

void Teller::tell(opencode::Retrying const& what) {
    if (what.attempt < rules_.retries || retrying_.contains(what.session)) return;
    auto facts = facts_of(what.root, {});
    auto const at = now_ms();
    facts["at_ms"] = at;
    facts["retry"] = {{"attempt", what.attempt}, {"message", what.message}};
    auto key = "retry/" + what.session + "/" + std::to_string(at);
    retrying_[what.session] = key;
    needs_.raise({.key = std::move(key),
                  .kind = "retry",
                  .subject = what.root.id,
                  .weight = notify::Weight::error,
                  .facts = dumped(facts)});
}

void Teller::tell(opencode::RetryOver const& what) {
    auto const found = retrying_.find(what.session);
    if (found == retrying_.end()) return;
    auto const key = std::move(found->second);
    retrying_.erase(found);
    needs_.resolve(key, what.recovered ? "recovered" : "given up", {});
}

void Teller::tell(opencode::SessionDeleted const& what) {
    retrying_.erase(what.id);
    needs_.resolve_subject(what.id, "gone");
}

}  // namespace ocgate::bridge
