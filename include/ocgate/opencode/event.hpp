// What an event of opencode says, whatever the dialect of its version: opencode 1.18.33, the names before it
// (`permission.updated`, `permissionID`, `response`) and the ones after it (`*.v2.*`). Knows JSON, no sockets and no
// state. Nothing in here throws for what is in the text. Texts from it are cut to a length that fits a notification, at
// the end of a character.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace ocgate::opencode {

struct SessionInfo {
    std::string id, parent;  ///< `parent` is empty for a root
    std::string title, directory, agent;
    std::int64_t created_ms = 0, updated_ms = 0;  ///< by the server's clock, since 1970
};

enum class State : std::uint8_t { idle, busy, retry };

struct Status {
    State state = State::idle;
    unsigned attempt = 0;      ///< of `retry`: 1 is the first failure
    std::string message;       ///< of `retry`
    std::int64_t next_ms = 0;  ///< of `retry`: when it is tried again
};

struct Permission {
    std::string id, session;
    std::string message;  ///< the step that waits for it
    std::string kind;     ///< bash, edit, …
    std::vector<std::string> patterns;
    std::string command;  ///< what exactly is to be done: the command, the file, or a title
    std::vector<std::string> always;
    /// Asked by a session of the newer API, which tells no status and stands in none of the lists of `reconcile`.
    bool newer = false;
};

struct Question {
    struct Ask {
        std::string header, text;
        std::vector<std::string> options;
        bool multiple = false;
    };
    std::string id, session, message;
    std::vector<Ask> asks;
    bool newer = false;  ///< as in Permission
};

struct Usage {
    double cost = 0;
    std::int64_t input = 0, output = 0, reasoning = 0, cache_read = 0, cache_write = 0;

    Usage& operator+=(Usage const& more) noexcept;
    bool operator==(Usage const&) const = default;
};

/// A call of a tool that is over.
struct ToolEnded {
    std::string session;
    std::string call;     ///< the same whenever it is told
    std::string tool;     ///< bash, edit, …; empty in the newer API, where ToolCalled has said it
    bool failed = false;  ///< also when it was not permitted, and when it was aborted
    std::int64_t ended_ms = 0;
};

/// One assistant message, which is one answer of the model, together with the tools that it called: from its beginning
/// to its end it also waits for these, and for who permits them. A shell command of the user's is such a message, too,
/// which no model answered.
struct StepInfo {
    std::string message, session;
    std::string agent, provider, model;
    std::string finish;  ///< `stop`, `tool-calls`, …; empty while it runs and when it was cut off
    std::string error_name, error_text;
    bool completed = false;  ///< told exactly once per message
    Usage usage;             ///< nothing in it is negative, or so large that sums of it could overflow
    std::int64_t created_ms = 0, completed_ms = 0;
    std::vector<ToolEnded> calls;  ///< that are over; in what `read_steps` finds only

    /// A model answered, or failed to. Not so: a shell command, and what was given up between two attempts.
    [[nodiscard]] bool of_model() const noexcept {
        return !finish.empty() || !error_name.empty() || !(usage == Usage{});
    }
};

struct Connected {};
struct Heartbeat {};
/// A known type that tells the model nothing, and every `sync` copy.
struct Ignored {};
/// A type nobody here knows, or (type `invalid`) no event at all.
struct Unknown {};
struct SessionSeen {
    SessionInfo info;
    bool created = false;
};
struct SessionGone {
    std::string id;
};
struct StatusChanged {
    std::string session;
    Status status;
};
struct WentIdle {
    std::string session;
};
struct SessionFailed {
    std::string session;  ///< empty when the error belongs to none
    std::string name, text;
    int status_code = 0;  ///< of the provider's answer, 0 if there was none
};
struct PermissionAsked {
    Permission permission;
};
struct PermissionAnswered {
    std::string session, id, reply;
};
struct QuestionAsked {
    Question question;
};
struct QuestionAnswered {
    std::string session, id;
    bool rejected = false;
};
struct StepChanged {
    StepInfo step;
};
/// A text of a message as far as it is written; of the user's messages as well.
struct TextWritten {
    std::string session, message, text;
};
struct InstanceGone {
    std::string directory;
};
struct AllGone {};
/// What was said in a session was summed up, to make room.
struct Compacted {
    std::string session;
};
struct TerminalOpened {
    std::string id;
};
struct TerminalClosed {
    std::string id;
};
/// Not told by opencode: which terminals are open in the event's directory (Follower, after a gap).
struct TerminalsFound {
    std::vector<std::string> ids;
};

// What sessions of the newer API tell about their steps (`session.next.*`), in pieces and with no status. The model
// knows nothing of it.

struct NewerStepBegan {
    StepInfo step;  ///< who does it, and since when
};
struct NewerStepEnded {
    StepInfo step;  ///< what it came to, and when; not who did it
};
struct ToolCalled {
    std::string session, call, tool;
};
struct NewerRetry {
    std::string session;
};

struct Event {
    std::string type;
    std::string id;         ///< `evt_…`; empty when it has none or was not worth reading
    std::string directory;  ///< of the instance that speaks; empty like `id`
    std::variant<Unknown, Ignored, Connected, Heartbeat, SessionSeen, SessionGone, StatusChanged, WentIdle,
                 SessionFailed, PermissionAsked, PermissionAnswered, QuestionAsked, QuestionAnswered, StepChanged,
                 TextWritten, InstanceGone, AllGone, ToolEnded, Compacted, TerminalOpened, TerminalClosed,
                 TerminalsFound, NewerStepBegan, NewerStepEnded, ToolCalled, NewerRetry>
        what;
};

/// The name of the error that an abort gives.
inline constexpr std::string_view aborted_error = "MessageAbortedError";

/// Of `/global/event`, `/event` or `/api/event`. What most events are (pieces of text, copies) is told by the type
/// alone, without reading on.
[[nodiscard]] Event read_event(std::string_view json);

/// Of the first bytes of an event that is too long to read: its type, or nothing when it stands further behind. Only
/// what looks like a type: up to 64 letters, digits and `._-`.
[[nodiscard]] std::string_view type_of_long(std::string_view head) noexcept;

// The answers of opencode's lists. Nothing when it is no such answer at all (an error page, half a text): an empty list
// would say that nothing is pending. Single entries that make no sense are left out.

using Statuses = std::vector<std::pair<std::string, Status>>;
[[nodiscard]] std::optional<Statuses> read_statuses(std::string_view json);                    ///< GET /session/status
[[nodiscard]] std::optional<std::vector<Permission>> read_permissions(std::string_view json);  ///< GET /permission
[[nodiscard]] std::optional<std::vector<Question>> read_questions(std::string_view json);      ///< GET /question
[[nodiscard]] std::optional<SessionInfo> read_session(std::string_view json);                  ///< GET /session/{id}
[[nodiscard]] std::optional<std::vector<SessionInfo>> read_sessions(
    std::string_view json);  ///< GET /experimental/session

/// GET /session/{id}/message?limit=N: the last message of the assistant. The inner one is empty when there is none.
[[nodiscard]] std::optional<std::optional<StepInfo>> read_last_step(std::string_view json);
/// The same answer: all messages of the assistant, with their calls, oldest first.
[[nodiscard]] std::optional<std::vector<StepInfo>> read_steps(std::string_view json);
[[nodiscard]] std::optional<std::vector<std::string>> read_terminals(std::string_view json);  ///< GET /pty: ids

}  // namespace ocgate::opencode
