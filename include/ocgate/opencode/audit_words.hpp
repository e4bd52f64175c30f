// What a request does to opencode, in one word: what an audit says of it. No I/O.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ocgate::opencode {

struct AuditWord {
    std::string_view word;   ///< `prompt`, `terminal_opened`, …: a closed set
    bool lasts = false;      ///< it may be under way for hours: worth a line when it begins, too
    std::string_view route;  ///< the template, or `ui`
    // What the path names, decoded; empty where it names none.
    std::string session, request, terminal;
};

/// Nothing for what changes nothing: safe methods but a terminal's WebSocket, and what only writes opencode's own log
/// or tells it a window's size.
[[nodiscard]] std::optional<AuditWord> audit_word_of(std::string_view method, std::string_view target, bool websocket);

}  // namespace ocgate::opencode
