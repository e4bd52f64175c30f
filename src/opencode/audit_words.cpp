#include "ocgate/opencode/audit_words.hpp"

#include <algorithm>

#include "ocgate/opencode/routes.hpp"
#include "ocgate/wire/percent.hpp"

namespace ocgate::opencode {
namespace {

constexpr std::size_t max_id_bytes = 128;

struct Meaning {
    std::string_view method;  ///< empty: any
    std::string_view route;   ///< with `*` at its end: all that begin so
    std::string_view word;    ///< empty: not worth a line
    bool lasts = false;
};

/// The first that fits counts.
constexpr Meaning meanings[] = {
    {"POST", "/session/{sessionID}/message", "prompt", true},
    {"POST", "/session/{sessionID}/prompt_async", "prompt", true},
    {"POST", "/api/session/{sessionID}/prompt", "prompt", true},
    {"POST", "/session/{sessionID}/command", "command", true},
    {"POST", "/session/{sessionID}/init", "command", true},
    {"POST", "/session/{sessionID}/shell", "shell", true},
    {"POST", "/session/{sessionID}/summarize", "compaction", true},
    {"POST", "/api/session/{sessionID}/compact", "compaction", true},
    {"POST", "/session/{sessionID}/abort", "abort"},
    {"POST", "/api/session/{sessionID}/interrupt", "abort"},
    {"POST", "/api/session/{sessionID}/wait", ""},

    {"POST", "/permission/{requestID}/reply", "permission_reply"},
    {"POST", "/session/{sessionID}/permissions/{permissionID}", "permission_reply"},
    {"POST", "/api/session/{sessionID}/permission/{requestID}/reply", "permission_reply"},
    {"", "/api/permission/saved*", "permissions_changed"},
    {"POST", "/question/{requestID}/reply", "question_reply"},
    {"POST", "/question/{requestID}/reject", "question_reply"},
    {"POST", "/api/session/{sessionID}/question/{requestID}/reply", "question_reply"},
    {"POST", "/api/session/{sessionID}/question/{requestID}/reject", "question_reply"},

    {"POST", "/session", "session_created"},
    {"POST", "/api/session", "session_created"},
    {"POST", "/session/{sessionID}/fork", "session_forked"},
    {"DELETE", "/session/{sessionID}", "session_deleted"},
    {"DELETE", "/api/session/{sessionID}", "session_deleted"},
    {"POST", "/session/{sessionID}/share", "session_shared"},
    {"DELETE", "/session/{sessionID}/share", "session_unshared"},
    {"POST", "/session/{sessionID}/revert", "session_reverted"},
    {"POST", "/session/{sessionID}/unrevert", "session_unreverted"},
    {"POST", "/api/session/{sessionID}/revert/clear", "session_unreverted"},
    {"POST", "/api/session/{sessionID}/revert*", "session_reverted"},
    {"DELETE", "/session/{sessionID}/message*", "message_deleted"},
    {"", "/session/{sessionID}*", "session_changed"},
    {"", "/api/session/{sessionID}*", "session_changed"},
    {"", "/experimental/session/{sessionID}*", "session_changed"},

    {"POST", "/pty", "terminal_opened"},
    {"POST", "/api/pty", "terminal_opened"},
    {"POST", "/pty/{ptyID}/connect-token", "terminal_ticket"},
    {"POST", "/api/pty/{ptyID}/connect-token", "terminal_ticket"},
    {"DELETE", "/pty/{ptyID}", "terminal_closed"},
    {"DELETE", "/api/pty/{ptyID}", "terminal_closed"},
    {"", "/pty/{ptyID}", ""},
    {"", "/api/pty/{ptyID}", ""},

    {"", "/config*", "config_changed"},
    {"", "/global/config", "config_changed"},
    {"", "/mcp*", "config_changed"},
    {"", "/auth/{providerID}", "credentials_changed"},
    {"", "/provider/{providerID}/oauth*", "credentials_changed"},
    {"", "/api/credential*", "credentials_changed"},
    {"", "/api/integration*", "credentials_changed"},
    {"", "/vcs*", "files_changed"},
    {"", "/project/git/init", "files_changed"},
    {"", "/experimental/worktree*", "files_changed"},
    {"", "/global/upgrade", "upgraded"},
    {"", "/global/dispose", "disposed"},
    {"", "/instance/dispose", "disposed"},
    {"", "/tui*", "tui_control"},
    {"", "/log", ""},
};

bool fits(Meaning const& meaning, std::string_view method, std::string_view route) noexcept {
    if (!meaning.method.empty() && meaning.method != method) return false;
    if (meaning.route.ends_with('*')) return route.starts_with(meaning.route.substr(0, meaning.route.size() - 1));
    return route == meaning.route;
}

/// The next segment of a path that is not empty, taken from its front; empty at the end.
std::string_view next_segment(std::string_view& path) noexcept {
    while (path.starts_with('/')) path.remove_prefix(1);
    auto const segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    return segment;
}

std::string decoded(std::string_view raw) {
    std::string text;
    while (!raw.empty() && text.size() < max_id_bytes) {
        auto const escaped = raw.front() == '%' ? wire::escape_at(raw) : std::nullopt;
        text += escaped ? *escaped : raw.front();
        raw.remove_prefix(escaped ? 3 : 1);
    }
    return text;
}

/// `path` was found to be one of this route.
void name_parts(AuditWord& found, std::string_view path) {
    auto route = found.route;
    for (auto part = next_segment(route); !part.empty(); part = next_segment(route)) {
        auto const segment = next_segment(path);
        if (part == "{sessionID}") {
            found.session = decoded(segment);
        } else if (part == "{requestID}" || part == "{permissionID}") {
            found.request = decoded(segment);
        } else if (part == "{ptyID}") {
            found.terminal = decoded(segment);
        }
    }
}

bool is_safe(std::string_view method) noexcept {
    return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE";
}

}  // namespace

std::optional<AuditWord> audit_word_of(std::string_view method, std::string_view target, bool websocket) {
    AuditWord found;
    found.route = route_names()[route_of(method, target)];
    if (is_safe(method)) {
        bool const connects = found.route == "/pty/{ptyID}/connect" || found.route == "/api/pty/{ptyID}/connect";
        if (!websocket || !connects) return std::nullopt;
        found.word = "terminal_connected";
        found.lasts = true;
    } else {
        auto const meaning = std::find_if(std::begin(meanings), std::end(meanings),
                                          [&](Meaning const& one) { return fits(one, method, found.route); });
        bool const known = meaning != std::end(meanings);
        found.word = known ? meaning->word : std::string_view("change");
        found.lasts = known && meaning->lasts;
        if (found.word.empty()) return std::nullopt;
    }
    name_parts(found, target.substr(0, target.find_first_of("?;")));
    return found;
}

}  // namespace ocgate::opencode
