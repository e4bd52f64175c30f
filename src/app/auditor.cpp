#include "auditor.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "ocgate/notify/redact.hpp"
#include "ocgate/opencode/audit_words.hpp"
#include "page_text.hpp"

namespace ocgate::app {
namespace {

constexpr std::size_t max_text_bytes = 1024;

/// The fields of one line, those without a value left out. What it is given outlives it.
class Fields {
public:
    Fields& add(std::string_view name, std::string_view value) noexcept {
        if (!value.empty()) fields_[size_++] = {name, value};
        return *this;
    }
    /// Also when it is empty.
    Fields& text(std::string_view name, std::string_view value) noexcept {
        fields_[size_++] = {name, value};
        return *this;
    }
    Fields& number(std::string_view name, std::uint64_t value) noexcept {
        fields_[size_++] = {name, value};
        return *this;
    }
    Fields& number(std::string_view name, double value) noexcept {
        fields_[size_++] = {name, value};
        return *this;
    }
    [[nodiscard]] std::span<ops::LogField const> span() const noexcept { return {fields_.data(), size_}; }

private:
    std::array<ops::LogField, 16> fields_{};
    std::size_t size_ = 0;
};

void add_request(Fields& fields, proxy::Deed const& deed, opencode::AuditWord const& what) noexcept {
    fields.add("request_id", deed.request_id)
        .add("user", deed.user)
        .add("client", deed.client_address)
        .add("method", deed.method)
        .add("route", what.route)
        .add("path", deed.target.substr(0, deed.target.find('?')))
        .add("session", what.session)
        .add("request", what.request)
        .add("terminal", what.terminal);
}

std::string_view outcome_of(unsigned status) noexcept {
    if (status == 0) return "unanswered";
    return status < 400 ? "done" : status < 500 ? "refused" : "failed";
}

double milliseconds_of(rt::Duration time) noexcept {
    return static_cast<double>(std::chrono::duration_cast<std::chrono::microseconds>(time).count()) / 1000;
}

/// As it may stand in a line: one line, no secrets, not too long.
std::string safe(std::string_view text) {
    auto line = notify::redact(one_line(text));
    if (line.size() <= max_text_bytes) return line;
    auto end = max_text_bytes;
    while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xC0) == 0x80) --end;
    line.resize(end);
    return line + "…";
}

std::string safe(std::vector<std::string> const& texts) {
    std::string all;
    for (auto const& text : texts) {
        if (all.size() > 4 * max_text_bytes) break;
        all += (all.empty() ? "" : ", ") + text;
    }
    return safe(all);
}

std::string text_at(nlohmann::json const& object, char const* key) {
    if (!object.is_object()) return {};
    auto const found = object.find(key);
    return found != object.end() && found->is_string() ? safe(found->get_ref<std::string const&>()) : std::string();
}

bool is_own(std::string_view target) noexcept { return proxy::Pages::cover(target); }

}  // namespace

void Auditor::began(proxy::Deed const& deed) const noexcept {
    if (!audit_.wanted() || is_own(deed.target)) return;
    try {
        auto const what = opencode::audit_word_of(deed.method, deed.target, deed.websocket);
        if (!what || !what->lasts) return;
        Fields fields;
        add_request(fields, deed, *what);
        fields.add("outcome", "begun");
        audit_.write(what->word, fields.span());
    } catch (std::bad_alloc const&) {
        audit_.lost();
    }
}

void Auditor::ended(proxy::Deed const& deed, unsigned status, rt::Duration took) const noexcept {
    if (!audit_.wanted() || is_own(deed.target)) return;
    try {
        auto const what = opencode::audit_word_of(deed.method, deed.target, deed.websocket);
        if (!what) return;
        Fields fields;
        add_request(fields, deed, *what);
        if (status > 0) fields.number("status", std::uint64_t{status});
        fields.add("outcome", outcome_of(status)).number("duration_ms", milliseconds_of(took));
        audit_.write(what->word, fields.span());
    } catch (std::bad_alloc const&) {
        audit_.lost();
    }
}

void Auditor::answering(opencode::Act const& act, Who who) {
    using Kind = opencode::Act::Kind;
    if (act.request.empty() || (act.kind != Kind::permission && act.kind != Kind::question)) return;
    if (answers_.size() >= max_answers) answers_.pop_front();
    answers_.push_back({act.request, std::move(who)});
}

void Auditor::not_taken(std::string const& request_id) {
    std::erase_if(answers_, [&](Answer const& one) { return one.who.request_id == request_id; });
}

void Auditor::remember(std::string const& request, Asked asked) {
    if (asked_.size() >= max_pending && !asked_.contains(request)) return;
    asked_.insert_or_assign(request, std::move(asked));
}

void Auditor::happened(opencode::Happening const& happening) {
    if (auto const* asked = std::get_if<opencode::PermissionPending>(&happening)) {
        auto const& what = asked->permission;
        remember(what.id, {safe(what.kind), safe(what.command), safe(what.patterns), safe(what.always)});
    } else if (auto const* question = std::get_if<opencode::QuestionPending>(&happening)) {
        auto const& asks = question->question.asks;
        remember(question->question.id, {{}, asks.empty() ? std::string() : safe(asks.front().text), {}, {}});
    } else if (auto const* over_now = std::get_if<opencode::PermissionOver>(&happening)) {
        over("permission_answered", over_now->id, over_now->session, over_now->root.id, to_string(over_now->outcome));
    } else if (auto const* answered = std::get_if<opencode::QuestionOver>(&happening)) {
        over("question_answered", answered->id, answered->session, answered->root.id, to_string(answered->outcome));
    }
}

/// Of several answers under way opencode takes the first.
void Auditor::over(std::string_view event, std::string const& request, std::string const& session,
                   std::string const& root, std::string_view reply) {
    auto const known = asked_.extract(request);
    auto const asked = known ? known.mapped() : Asked{};
    auto const by =
        std::find_if(answers_.begin(), answers_.end(), [&](Answer const& one) { return one.request == request; });
    bool const is_permission = event.starts_with("permission");
    auto const who = by == answers_.end() || reply == "gone" ? Who{} : by->who;
    std::erase_if(answers_, [&](Answer const& one) { return one.request == request; });
    Fields fields;
    fields.add("request", request).add("session", session);
    if (root != session) fields.add("root", root);
    fields.add("permission", asked.kind)
        .add(is_permission ? "command" : "question", asked.command)
        .add("patterns", asked.patterns);
    if (reply == "always") fields.add("always", asked.always);
    fields.add("reply", reply).text("by", who.user);
    fields.add("client", who.client_address).add("request_id", who.request_id);
    audit_.write(event, fields.span());
}

void Auditor::page(proxy::PageRequest const& request, proxy::PageAnswer const& answer) const {
    if (answer.status == 404 || answer.status == 405 || !audit_.wanted()) return;
    auto path = std::string_view(request.target).substr(proxy::Pages::prefix.size());
    path = path.substr(0, path.find('?'));
    constexpr std::string_view targets = "/notifications/targets/";
    auto const content = nlohmann::json::parse(request.body, nullptr, false);
    auto target = text_at(content, "target");
    if (path.starts_with(targets)) target = path.substr(targets.size(), path.rfind('/') - targets.size());
    auto const how_long = text_at(content, "for");
    auto const session = text_at(content, "session");
    auto const event = path.starts_with("/notifications/test")   ? "notification_test"
                       : path.starts_with("/notifications/mute") ? "notification_mute"
                       : path.starts_with(targets)               ? "target_enabled"
                                                                 : "page_changed";
    Fields fields;
    fields.add("request_id", request.request_id)
        .add("user", request.user)
        .add("client", request.client_address)
        .add("method", request.method)
        .add("path", std::string_view(request.target).substr(0, request.target.find('?')))
        .add("target", target)
        .add("for", how_long)
        .add("session", session)
        .number("status", std::uint64_t{answer.status})
        .add("outcome", outcome_of(answer.status));
    audit_.write(event, fields.span());
}

}  // namespace ocgate::app
