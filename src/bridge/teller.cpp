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

/// What `dumped` made, read again; anything may be missing.
std::string text_in(json const& facts, char const* pointer) {
    json::json_pointer const place(pointer);
    if (!facts.is_object() || !facts.contains(place)) return {};
    auto const& found = facts.at(place);
    return found.is_string() ? found.get<std::string>() : std::string();
}

constexpr std::string_view upstream_kind = "upstream_down";
constexpr std::string_view retry_prefix = "retry/";
/// An agent of opencode's own that a person or a full context calls; what it writes is for the next step (1.18.33).
constexpr std::string_view compaction = "compaction";

constexpr std::string_view permission_kind = "permission";
constexpr std::string_view question_kind = "question";
constexpr char const* request_place = "request_id";
constexpr char const* newer_mark = "newer";

std::string usual_key(std::string_view kind, std::string_view request) {
    return std::string(kind) + "/" + std::string(request);
}

// The outbox takes documents of 64 KiB, and links, marks and what is said later have to find room in them as well.
constexpr std::size_t max_facts_bytes = 48 * 1024;
constexpr std::size_t longest_text = 2048;

/// What is for people to read, none of it longer than this.
void shorten(json& value, std::size_t most) {
    if (value.is_structured()) {
        for (auto& part : value) shorten(part, most);
    } else if (auto* const text = value.get_ptr<std::string*>(); text && text->size() > most) {
        auto end = most;
        // A byte 10xxxxxx continues a character.
        while (end > 0 && (static_cast<unsigned char>((*text)[end]) & 0xC0U) == 0x80U) --end;
        text->resize(end);
    }
}

/// As `dumped`, and small enough to be kept whatever an agent asks: JSON writes one byte as up to six. The longest
/// texts lose their ends first, and never what tells where it is asked and what it is called.
std::string dumped_to_fit(json facts) {
    auto text = dumped(facts);
    for (auto most = longest_text; text.size() > max_facts_bytes && most > 0; most /= 2) {
        for (auto const* part : {"project", "request", "questions", "turn", "error", "retry"}) {
            if (facts.contains(part)) shorten(facts[part], most);
        }
        text = dumped(facts);
    }
    return text;
}

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

std::string Teller::who(std::string_view request) const { return needs_.who ? needs_.who(request) : std::string(); }

void Teller::happened(opencode::Happening const& happening, rt::Instant now) {
    now_ = now;
    std::visit([this](auto const& what) { tell(what); }, happening);
}

std::string Teller::request_of(notify::Raised const& raised) {
    auto request = text_in(json::parse(raised.facts, nullptr, false), "/request_id");
    // Earlier versions did not write it, and told of none twice.
    if (request.empty()) request = raised.key.substr(raised.key.find('/') + 1);
    return request;
}

bool Teller::stands_in_a_list(notify::Raised const& raised) {
    auto const facts = json::parse(raised.facts, nullptr, false);
    return !facts.is_object() || !facts.contains(newer_mark);
}

/// One incident for all times has one key, and what was said of it stands. So what was told as gone and waits still is
/// another one, with the time in its key.
std::string Teller::key_of(std::string_view kind, std::string const& request, bool again) {
    auto const usual = usual_key(kind, request);
    if (again) again_[usual] = usual + "/" + std::to_string(now_ms());
    auto const found = again_.find(usual);
    return found == again_.end() ? usual : found->second;
}

std::string Teller::last_key_of(std::string_view kind, std::string const& request) {
    auto usual = usual_key(kind, request);
    auto found = again_.extract(usual);
    return found ? std::move(found.mapped()) : usual;
}

void Teller::waits_no_more(std::string const& key) {
    std::erase_if(again_, [&](auto const& one) { return one.second == key; });
    needs_.resolve(key, "gone", {});
}

void Teller::tell(opencode::PermissionPending const& what) {
    auto facts = facts_of(what.root, what.directory);
    auto const& asked = what.permission;
    facts["at_ms"] = now_ms();
    facts[request_place] = asked.id;
    if (asked.newer) facts[newer_mark] = true;
    facts["request"] = {{"id", asked.id},
                        {"kind", asked.kind},
                        {"command", asked.command},
                        {"patterns", asked.patterns},
                        {"always", asked.always}};
    needs_.raise({.key = key_of(permission_kind, asked.id, what.again),
                  .kind = std::string(permission_kind),
                  .subject = what.root.id,
                  .weight = notify::Weight::block,
                  .facts = dumped_to_fit(std::move(facts))});
}

void Teller::tell(opencode::PermissionOver const& what) {
    bool const answered = what.outcome != opencode::PermissionOver::Outcome::gone;
    needs_.resolve(last_key_of(permission_kind, what.id), to_string(what.outcome),
                   answered ? who(what.id) : std::string());
}

void Teller::tell(opencode::QuestionPending const& what) {
    auto facts = facts_of(what.root, what.directory);
    facts["at_ms"] = now_ms();
    facts[request_place] = what.question.id;
    if (what.question.newer) facts[newer_mark] = true;
    auto& questions = facts["questions"] = json::array();
    for (auto const& ask : what.question.asks) {
        questions.push_back(
            {{"header", ask.header}, {"text", ask.text}, {"options", ask.options}, {"multiple", ask.multiple}});
    }
    needs_.raise({.key = key_of(question_kind, what.question.id, what.again),
                  .kind = std::string(question_kind),
                  .subject = what.root.id,
                  .weight = notify::Weight::block,
                  .facts = dumped_to_fit(std::move(facts))});
}

void Teller::tell(opencode::QuestionOver const& what) {
    bool const answered = what.outcome != opencode::QuestionOver::Outcome::gone;
    needs_.resolve(last_key_of(question_kind, what.id), to_string(what.outcome),
                   answered ? who(what.id) : std::string());
}

/// Somebody has seen what its last turn came to, and went on.
void Teller::tell(opencode::TurnBegan const& what) {
    auto matches = [root = what.root.id](notify::Raised const& raised) {
        return raised.subject == root && (raised.kind == "complete" || raised.kind == "error");
    };
    needs_.resolve_where(std::move(matches), "continued");
}

void Teller::tell(opencode::TurnCompleted const& what) {
    end_left_retries(what.root.id, "recovered");
    if (what.duration < rules_.shortest_turn && what.seen_from_start) return;
    // Somebody had the session summed up, and nothing else was done.
    if (what.agent == compaction && what.steps <= 1) return;
    auto facts = facts_of(what.root, {});
    auto const at = now_ms();
    facts["at_ms"] = at;
    auto& turn = facts["turn"];
    turn = {
        {"duration_ms", std::chrono::duration_cast<std::chrono::milliseconds>(what.duration).count()},
        {"cost", what.usage.cost},
        {"tokens", {{"input", what.usage.input}, {"output", what.usage.output}, {"reasoning", what.usage.reasoning}}}};
    if (!what.seen_from_start) turn["at_least"] = true;
    if (what.agent != compaction) {
        turn["words"] = what.words;
        if (!what.agent.empty()) facts["agent"] = what.agent;
    }
    needs_.raise({.key = "complete/" + what.root.id + "/" + std::to_string(at),
                  .kind = "complete",
                  .subject = what.root.id,
                  .weight = notify::Weight::complete,
                  .facts = dumped_to_fit(std::move(facts))});
}

void Teller::remember_error(std::string print, std::string key, rt::Instant when) {
    if (errors_.size() >= max_errors && !errors_.contains(print)) {
        auto const older = [](auto const& a, auto const& b) { return a.second.told < b.second.told; };
        errors_.erase(std::min_element(errors_.begin(), errors_.end(), older));
    }
    errors_.insert_or_assign(std::move(print), Error{std::move(key), when});
}

void Teller::tell(opencode::TurnFailed const& what) {
    end_left_retries(what.root.id, "given up");
    auto facts = facts_of(what.root, {});
    auto print = fingerprint(facts["project"].get_ref<std::string const&>(), what.name, what.text);
    auto const told = errors_.find(print);
    if (told != errors_.end() && now_ - told->second.told < rules_.same_error) return;
    auto const at = now_ms();
    auto const key = "error/" + what.root.id + "/" + std::to_string(at);
    remember_error(std::move(print), key, now_);
    facts["at_ms"] = at;
    facts["error"] = {{"name", what.name}, {"text", what.text}, {"status", what.status_code}};
    needs_.raise({.key = key,
                  .kind = "error",
                  .subject = what.root.id,
                  .weight = notify::Weight::error,
                  .facts = dumped_to_fit(std::move(facts))});
}

// A person did that: neither an error nor a completion, and they know.
void Teller::tell(opencode::TurnAborted const& what) { end_left_retries(what.root.id, "given up"); }

void Teller::tell(opencode::Retrying const& what) {
    if (auto const known = retrying_.find(what.session); known != retrying_.end()) {
        known->second.left = false;  // and its end will be told
        return;
    }
    if (what.attempt < rules_.retries) return;
    auto facts = facts_of(what.root, {});
    auto const at = now_ms();
    facts["at_ms"] = at;
    facts["retry"] = {{"attempt", what.attempt}, {"message", what.message}};
    auto key = std::string(retry_prefix) + what.session + "/" + std::to_string(at);
    retrying_[what.session] = {.key = key};
    needs_.raise({.key = std::move(key),
                  .kind = "retry",
                  .subject = what.root.id,
                  .weight = notify::Weight::error,
                  .facts = dumped_to_fit(std::move(facts))});
}

void Teller::tell(opencode::RetryOver const& what) {
    auto const found = retrying_.find(what.session);
    if (found == retrying_.end()) return;
    auto const key = std::move(found->second.key);
    retrying_.erase(found);
    needs_.resolve(key, what.recovered ? "recovered" : "given up", {});
}

void Teller::tell(opencode::SessionDeleted const& what) {
    if (auto const found = retrying_.find(what.id); found != retrying_.end()) {
        auto const key = std::move(found->second.key);
        retrying_.erase(found);
        needs_.resolve(key, "gone", {});  // of a subagent: the subject is its root, which lives on
    }
    needs_.resolve_where([id = what.id](notify::Raised const& raised) { return raised.subject == id; }, "gone");
}

void Teller::upstream(bool up, std::string_view why, rt::Instant now) {
    now_ = now;
    if (up_ == up) return;
    bool const told = up_ == false;
    up_ = up;
    if (up) {
        down_key_.clear();
        if (!told) return;
        auto matches = [](notify::Raised const& raised) { return raised.kind == upstream_kind; };
        return needs_.resolve_where(std::move(matches), "recovered");
    }
    auto const at = now_ms();
    json const facts{{"at_ms", at}, {"upstream", {{"since_ms", at}, {"why", why}}}};
    down_key_ = std::string(upstream_kind) + "/" + std::to_string(at);
    needs_.raise({.key = down_key_,
                  .kind = std::string(upstream_kind),
                  .subject = "upstream",
                  .weight = notify::Weight::block,
                  .facts = dumped(facts)});
}

void Teller::crossed(Crossed const& what) {
    json const facts{{"at_ms", now_ms()},
                     {"budget",
                      {{"period", period_words[static_cast<std::size_t>(what.period)]},
                       {"name", what.name},
                       {"spent", what.spent},
                       {"limit", what.usd},
                       {"part", what.part},
                       {"block", what.block},
                       {"refused", what.refused},
                       {"until", what.until}}}};
    needs_.raise({.key = what.key,
                  .kind = "budget",
                  .subject = "budget",
                  .weight = notify::Weight::error,
                  .facts = dumped(facts)});
}

// ---- over a restart

void Teller::knows(notify::Raised const& raised, rt::Instant now) {
    now_ = now;
    auto const facts = json::parse(raised.facts, nullptr, false);
    if (raised.kind == upstream_kind) {
        if (up_ == true) return needs_.resolve(raised.key, "recovered", {});
        up_ = false;
        if (down_key_.empty()) down_key_ = raised.key;
        if (down_key_ == raised.key) return;
        // The health probe was answered before this was read: the earlier one stands, and the other is told to nobody.
        // (Keys end in milliseconds, of as many digits for the next centuries.)
        auto const later = std::max(down_key_, raised.key);
        down_key_ = std::min(down_key_, raised.key);
        needs_.resolve(later, "gone", {});
    } else if (raised.kind == permission_kind || raised.kind == question_kind) {
        auto usual = usual_key(raised.kind, request_of(raised));
        if (raised.key != usual) again_.insert_or_assign(std::move(usual), raised.key);
    } else if (raised.kind == "retry" && raised.key.starts_with(retry_prefix)) {
        auto session = raised.key.substr(retry_prefix.size());
        session.resize(std::min(session.size(), session.find('/')));
        Retry left{.key = raised.key, .root = raised.subject, .directory = text_in(facts, "/directory"), .left = true};
        auto const [known, is_new] = retrying_.try_emplace(std::move(session), left);
        if (is_new || known->second.key == raised.key) return;
        // It was heard of before this was read: the earlier one stands, and the other is told to nobody.
        auto const twice = std::exchange(known->second.key, raised.key);
        needs_.resolve(twice, "gone", {});
    } else if (raised.kind == "error") {
        auto const at = facts.is_object() ? facts.value("at_ms", json()) : json();
        if (!at.is_number_integer()) return;
        auto const age = std::chrono::milliseconds(std::max<std::int64_t>(0, now_ms() - at.get<std::int64_t>()));
        auto print =
            fingerprint(text_in(facts, "/project"), text_in(facts, "/error/name"), text_in(facts, "/error/text"));
        if (age < rules_.same_error && !errors_.contains(print))
            remember_error(std::move(print), raised.key, now - age);
    }
}

void Teller::looked(std::string_view directory, std::function<bool(std::string_view session)> const& retries) {
    std::vector<std::string> over;
    for (auto const& [session, retry] : retrying_) {
        if (retry.left && retry.directory == directory && !retries(session)) over.push_back(session);
    }
    for (auto const& session : over) {
        auto const key = std::move(retrying_.at(session).key);
        retrying_.erase(session);
        needs_.resolve(key, "over", {});
    }
}

/// Of this root, whose turn has ended: nobody saw how the provider came round.
void Teller::end_left_retries(std::string_view root, std::string_view outcome) {
    std::vector<std::string> over;
    for (auto const& [session, retry] : retrying_) {
        if (retry.left && retry.root == root) over.push_back(session);
    }
    for (auto const& session : over) {
        auto const key = std::move(retrying_.at(session).key);
        retrying_.erase(session);
        needs_.resolve(key, outcome, {});
    }
}

void Teller::never_told(notify::Raised const& raised) {
    if (raised.kind != "error") return;
    std::erase_if(errors_, [&](auto const& error) { return error.second.key == raised.key; });
}

}  // namespace ocgate::bridge
