#include "own_pages.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "durations.hpp"
#include "page_text.hpp"

namespace ocgate::app {
namespace {
using nlohmann::json;
using proxy::PageAnswer;
using proxy::PageRequest;

bool wants_text(PageRequest const& request) noexcept {
    auto const text = request.accept.find("text/plain");
    return text != std::string::npos && text < request.accept.find("json");
}

PageAnswer as_json(json const& document) {
    return {.status = 200, .body = document.dump(2, ' ', true, json::error_handler_t::replace) + "\n"};
}

PageAnswer as_text(std::string text) {
    return {.status = 200, .content_type = "text/plain; charset=utf-8", .body = std::move(text)};
}

PageAnswer refused(PageRequest const& request, unsigned status, std::string_view code, std::string_view message) {
    return proxy::page_error(status, code, message, request.request_id);
}

std::string_view path_of(PageRequest const& request) noexcept {
    std::string_view path = request.target;
    path = path.substr(proxy::Pages::prefix.size());
    path = path.substr(0, path.find('?'));
    while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
    return path;
}

std::string_view status_word(opencode::State state) noexcept {
    switch (state) {
        case opencode::State::idle:
            return "idle";
        case opencode::State::busy:
            return "busy";
        case opencode::State::retry:
            return "retry";
    }
    return "idle";
}

json session_json(opencode::SessionInfo const& info) {
    json session{{"id", info.id}, {"title", info.title}};
    if (!info.parent.empty()) session["parent"] = info.parent;
    return session;
}

/// The content of a request as an object; nothing, with the answer in `wrong`, for anything else. No content is an
/// empty object.
std::optional<json> object_of(PageRequest const& request, PageAnswer& wrong) {
    if (request.body.empty()) return json::object();
    if (!request.content_type.starts_with("application/json")) {
        wrong = refused(request, 415, "unsupported_media_type", "Send JSON, with Content-Type: application/json.");
        return std::nullopt;
    }
    auto document = json::parse(request.body, nullptr, false);
    if (document.is_object()) return document;
    wrong = refused(request, 400, "malformed", "The content is not a JSON object.");
    return std::nullopt;
}

/// A text at `key`: empty where there is none, nothing when it is something else.
std::optional<std::string> text_at(json const& object, char const* key) {
    auto const found = object.find(key);
    if (found == object.end()) return std::string();
    return found->is_string() ? std::optional(found->get<std::string>()) : std::nullopt;
}

std::string what_of(opencode::Permission const& asked) {
    auto what = asked.kind;
    if (!asked.command.empty()) {
        what += ": " + asked.command;
    } else if (!asked.patterns.empty()) {
        what += ": " + asked.patterns.front();
    }
    return what;
}

std::string what_of(opencode::Question const& asked) { return asked.asks.empty() ? "" : asked.asks.front().text; }

}  // namespace

rt::Task<PageAnswer> OwnPages::answer(PageRequest request) {
    auto said = co_await page(request);
    if (changed_ && request.method != "GET" && request.method != "HEAD") changed_(request, said);
    co_return said;
}

rt::Task<PageAnswer> OwnPages::page(PageRequest const& request) {
    auto const path = path_of(request);
    bool const reads = request.method == "GET" || request.method == "HEAD";
    bool const posts = request.method == "POST";
    constexpr std::string_view targets = "/notifications/targets/", enabled = "/enable";
    bool const is_enable =
        path.starts_with(targets) && path.ends_with(enabled) && path.size() > targets.size() + enabled.size();
    bool const is_status = status_ && path == "/status";
    bool const is_page = path == "/pending" || path == "/sessions" || path == "/notifications" || is_status;
    bool const is_action = path == "/notifications/test" || path == "/notifications/mute" || is_enable;
    if (!is_page && !is_action) {
        co_return refused(request, 404, "not_found",
                          "There are /_ocgate/status, /_ocgate/pending, /_ocgate/sessions and "
                          "/_ocgate/notifications.");
    }
    if (is_page ? !reads : !posts) {
        auto wrong = refused(request, 405, "method_not_allowed", "This page takes another method; see Allow.");
        wrong.allow = is_page ? "GET, HEAD" : "POST";
        co_return wrong;
    }
    if (is_status) co_return co_await status_->answer(request);
    if (path == "/pending") co_return pending(request);
    if (path == "/sessions") co_return sessions(request);
    if (path == "/notifications") co_return co_await notifications(request);
    if (path == "/notifications/test") co_return co_await test(request);
    if (path == "/notifications/mute") co_return co_await mute(request);
    std::string name(path.substr(targets.size(), path.size() - targets.size() - enabled.size()));
    co_return co_await enable(std::move(name), request);
}

std::string OwnPages::time_of(rt::Instant when) const {
    using namespace std::chrono;
    auto const then = wall_() - duration_cast<system_clock::duration>(deadlines_.now() - when);
    return utc_text(duration_cast<milliseconds>(then.time_since_epoch()).count());
}

PageAnswer OwnPages::pending(PageRequest const& request) const {
    auto const now = deadlines_.now();
    auto const all = follower_.model().pending();
    bool const connected = follower_.tap().connected;
    auto const waited = [&](auto const& one) {
        return std::chrono::duration_cast<std::chrono::seconds>(now - one.since).count();
    };
    if (wants_text(request)) {
        std::vector<Row> rows{{"ID", "Kind", "Session", "Directory", "Waiting", "What"}};
        for (auto const& one : all) {
            auto const* permission = std::get_if<opencode::Permission>(&one.what);
            auto const* question = std::get_if<opencode::Question>(&one.what);
            rows.push_back({permission ? permission->id : question->id, permission ? "permission" : "question",
                            one.root.title.empty() ? one.root.id : one.root.title, one.directory, ago_text(waited(one)),
                            permission ? what_of(*permission) : what_of(*question)});
        }
        auto text = table_text(rows);
        if (!connected) text += "(not connected to opencode's events: this may be out of date)\n";
        return as_text(std::move(text));
    }
    auto list = json::array();
    for (auto const& one : all) {
        json entry{{"session", session_json(one.root)},
                   {"directory", one.directory},
                   {"since", time_of(one.since)},
                   {"waiting_seconds", waited(one)}};
        if (auto const* permission = std::get_if<opencode::Permission>(&one.what)) {
            entry["kind"] = "permission";
            entry["id"] = permission->id;
            entry["asked_by"] = permission->session;
            entry["permission"] = permission->kind;
            entry["command"] = permission->command;
            entry["patterns"] = permission->patterns;
        } else if (auto const* question = std::get_if<opencode::Question>(&one.what)) {
            entry["kind"] = "question";
            entry["id"] = question->id;
            entry["asked_by"] = question->session;
            auto& asks = entry["questions"] = json::array();
            for (auto const& ask : question->asks) {
                asks.push_back(
                    {{"header", ask.header}, {"text", ask.text}, {"options", ask.options}, {"multiple", ask.multiple}});
            }
        }
        list.push_back(std::move(entry));
    }
    return as_json({{"connected", connected}, {"pending", std::move(list)}});
}

PageAnswer OwnPages::sessions(PageRequest const& request) const {
    auto all = follower_.model().sessions();
    auto const total = all.size();
    if (all.size() > most_sessions) all.resize(most_sessions);
    auto const active_ms = [&](opencode::SessionView const& one) {
        using namespace std::chrono;
        auto const heard = wall_() - duration_cast<system_clock::duration>(deadlines_.now() - one.heard);
        auto const heard_ms = duration_cast<milliseconds>(heard.time_since_epoch()).count();
        // What was only read from a list was active when the list says so.
        return one.status.state == opencode::State::idle && one.info.updated_ms > 0 ? one.info.updated_ms : heard_ms;
    };
    if (wants_text(request)) {
        std::vector<Row> rows{{"ID", "Directory", "Status", "Last Active", "Title"}};
        for (auto const& one : all) {
            std::string status(status_word(one.status.state));
            if (one.pending > 0) status += ", " + std::to_string(one.pending) + " waiting";
            rows.push_back({one.info.id, one.info.directory, std::move(status), utc_text(active_ms(one)),
                            one.info.parent.empty() ? one.info.title : "  " + one.info.title});
        }
        auto text = table_text(rows);
        if (total > all.size()) text += "(and " + std::to_string(total - all.size()) + " more)\n";
        if (!follower_.tap().connected) text += "(not connected to opencode's events: this may be out of date)\n";
        return as_text(std::move(text));
    }
    auto list = json::array();
    for (auto const& one : all) {
        auto entry = session_json(one.info);
        entry["directory"] = one.info.directory;
        entry["status"] = status_word(one.status.state);
        entry["pending"] = one.pending;
        entry["last_active"] = utc_text(active_ms(one));
        if (one.status.state == opencode::State::retry) {
            entry["attempt"] = one.status.attempt;
            entry["message"] = one.status.message;
        }
        list.push_back(std::move(entry));
    }
    return as_json({{"connected", follower_.tap().connected}, {"total", total}, {"sessions", std::move(list)}});
}

rt::Task<PageAnswer> OwnPages::test(PageRequest const& request) {
    PageAnswer wrong;
    auto const content = object_of(request, wrong);
    if (!content) co_return wrong;
    auto const target = text_at(*content, "target");
    if (!target) co_return refused(request, 400, "malformed", "target is the name of one.");
    if (!target->empty() && !herald_.has_target(*target)) {
        co_return refused(request, 404, "not_found", "No target of that name is configured.");
    }
    auto const results = co_await herald_.test(*target);
    if (!results) co_return refused(request, 503, "too_many", "Too many tests are under way. Try again soon.");
    auto list = json::array();
    for (auto const& one : *results) {
        json entry{{"name", one.target}, {"result", one.result}};
        if (one.result != "sent") entry["why"] = one.why;
        list.push_back(std::move(entry));
    }
    co_return as_json({{"targets", std::move(list)}});
}

rt::Task<PageAnswer> OwnPages::enable(std::string name, PageRequest const& request) {
    if (!herald_.has_target(name)) {
        co_return refused(request, 404, "not_found", "No target of that name is configured.");
    }
    auto const was = co_await herald_.enable(name);
    if (!was) co_return refused(request, 503, "busy", was.error().text);
    co_return as_json({{"target", name}, {"was_disabled", *was}});
}

rt::Task<PageAnswer> OwnPages::mute(PageRequest const& request) {
    PageAnswer wrong;
    auto const content = object_of(request, wrong);
    if (!content) co_return wrong;
    auto const how_long = text_at(*content, "for");
    auto const session = text_at(*content, "session");
    auto const time = how_long ? parse_duration(*how_long) : std::nullopt;
    if (!time || *time > longest_mute || !session || session->size() > 128) {
        co_return refused(request, 400, "malformed",
                          "Send {\"for\": \"2h\"}, at most 7d, 0 to end it; with \"session\" for one only.");
    }
    // What is told of a subagent is told of its root.
    auto subject = session->empty() ? std::string() : follower_.model().root_of(*session).id;
    auto const done = co_await herald_.mute(std::move(subject), *time);
    if (!done) co_return refused(request, 503, "too_many", "Too many mutes hold. End one first.");
    auto list = json::array();
    for (auto const& one : herald_.mutes()) {
        auto const until = std::chrono::duration_cast<std::chrono::milliseconds>(one.until.time_since_epoch());
        list.push_back({{"session", one.subject}, {"until", utc_text(until.count())}});
    }
    co_return as_json({{"mutes", std::move(list)}});
}

}  // namespace ocgate::app
