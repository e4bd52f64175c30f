// The routes of `opencode serve` (1.18.33) and what is special about a few of them. The only module that knows paths of
// that server. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ocgate::opencode {

/// A small number for the route template this target falls under, matched as the server itself matches: decoded,
/// without regard to case, duplicate and trailing slashes ignored, ended by `?` or `;`. Everything unknown is the web
/// UI: `ui_route`.
[[nodiscard]] std::uint16_t route_of(std::string_view method, std::string_view target) noexcept;
inline constexpr std::uint16_t ui_route = 0;

/// `/session/{sessionID}/message`, …, by number; index 0 is `ui`.
[[nodiscard]] std::vector<std::string> const& route_names();

/// The route of files as they lie in a workspace, HTML and SVG as such; `ui_route` in a table that has none.
[[nodiscard]] std::uint16_t file_route() noexcept;

/// Files that browsers fetch without credentials and that the server itself exempts: exact raw target, GET alone.
[[nodiscard]] bool is_public_asset(std::string_view method, std::string_view target) noexcept;

/// The PTY (decoded) whose one-time ticket this request asks for: `POST /pty/{id}/connect-token` and `/api/pty/…`.
[[nodiscard]] std::optional<std::string> ticket_issued_by(std::string_view method, std::string_view target);
/// The PTY (decoded) a connect request is for: `/pty/{id}/connect` and `/api/pty/…`.
[[nodiscard]] std::optional<std::string> pty_connected_by(std::string_view target);
/// The ticket in the answer to an issuing request; nothing for anything else, never throws.
[[nodiscard]] std::optional<std::string> read_ticket(std::string_view body);

/// What a request of a person's does to a session, as far as others have to know of it.
struct Act {
    enum class Kind : std::uint8_t {
        other,       ///< something else that changes something of the session
        abort,       ///< the turn that runs
        permission,  ///< answers `request`
        question,    ///< answers or rejects `request`
    };
    Kind kind = Kind::other;
    std::string session;  ///< decoded; empty: the request alone says nothing of it
    std::string request;  ///< decoded; of answers
};
/// Nothing for a method that is safe, and for whatever concerns no session.
[[nodiscard]] std::optional<Act> act_of(std::string_view method, std::string_view target);

/// Whether this request sets a model to work, so that it costs money: a prompt of either API, a command, a summary, the
/// writing of AGENTS.md, a name for a copy of a project. Not what ends or goes on with work under way (abort, answers),
/// and no shell. Of a method that is not safe everything counts, for what the server makes of `post` is its own affair.
/// Allocates nothing.
[[nodiscard]] bool starts_work(std::string_view method, std::string_view target) noexcept;

/// The query parameter that the server takes credentials from.
inline constexpr std::string_view credential_parameter = "auth_token";

}  // namespace ocgate::opencode
