// What is true in opencode now, and what of it a person may have to hear, made out of its events. Knows no sockets, no
// clock but the time it is handed, and nobody to tell: what happened is what its calls return.
//
// A *session* runs (busy, retry) or is idle. A session of a subagent has a parent; the topmost known one is its *root*.
// A *turn* is the time from the first session of such a tree beginning to run until all of it is idle. It ends in at
// most one TurnCompleted, TurnFailed or TurnAborted; in none when it was a shell command, when a rejection ended it or
// when it was deleted. What the root came to decides: a subagent that failed is its parent's business, unless the root
// itself did not run. Its beginning is told as TurnBegan.
//
// Each question and permission is told once as pending and once as over, and again only when it was told as gone and
// turns out to wait still; each retrying session once per attempt and once as over. Events that come twice, late or not
// at all change that only as far as `reconcile` and `settle` can mend it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ocgate/opencode/event.hpp"
#include "ocgate/rt/types.hpp"

namespace ocgate::opencode {

struct PermissionPending {
    Permission permission;
    SessionInfo root;       ///< only `id` is sure to be there; `parent` is set when the parent is not known
    std::string directory;  ///< of the instance that asked, which an answer has to name
    bool again = false;     ///< it was told as gone before, and waits still
};
struct PermissionOver {
    /// `gone`: nobody answered, and nothing waits for an answer any more; or it was answered while we did not hear it.
    enum class Outcome : std::uint8_t { once, always, reject, gone };
    std::string id, session;
    Outcome outcome;
    SessionInfo root;
};
/// `once`, as the metric, the audit and the messages say it; static storage.
std::string_view to_string(PermissionOver::Outcome outcome) noexcept;
struct QuestionPending {
    Question question;
    SessionInfo root;
    std::string directory;
    bool again = false;
};
struct QuestionOver {
    enum class Outcome : std::uint8_t { answered, rejected, gone };
    std::string id, session;
    Outcome outcome;
    SessionInfo root;
};
std::string_view to_string(QuestionOver::Outcome outcome) noexcept;
/// A tree begins to run, or was found running: what was said of its last turn is the past.
struct TurnBegan {
    SessionInfo root;  ///< only `id` is sure to be there; not known to have a parent, but it may turn out to have one
};
struct TurnCompleted {
    SessionInfo root;
    rt::Duration duration{};
    bool seen_from_start = true;  ///< false: it was running when we first heard of it, and took longer than `duration`
    Usage usage;                  ///< of the whole tree, as far as seen
    std::size_t steps = 0;        ///< answers of models that make it up
    std::string agent;            ///< of the last step: `build`, `compaction`, …
    std::string words;            ///< the last text the model wrote, its beginning
};
struct TurnFailed {
    SessionInfo root;
    std::string session;  ///< the one that failed
    std::string name, text;
    int status_code = 0;
};
struct TurnAborted {
    SessionInfo root;
};
/// Of a session whose info is known: opencode goes on with one that was deleted while it was busy.
struct Retrying {
    SessionInfo root;
    std::string session;
    unsigned attempt;
    std::string message;
};
/// An answer came after all, or nothing is tried any more.
struct RetryOver {
    SessionInfo root;
    std::string session;
    bool recovered;
};
struct SessionDeleted {
    std::string id;
};

using Happening = std::variant<PermissionPending, PermissionOver, QuestionPending, QuestionOver, TurnBegan,
                               TurnCompleted, TurnFailed, TurnAborted, Retrying, RetryOver, SessionDeleted>;
using Happenings = std::vector<Happening>;

/// What the server says of one directory: GET /session/status, /permission and /question with `?directory=`.
struct Answers {
    std::string directory;
    Statuses statuses;
    std::vector<Permission> permissions;
    std::vector<Question> questions;
};

struct SessionView {
    SessionInfo info;
    Status status;
    bool known = false;  ///< false: its info was never heard
    bool root = false;
    std::size_t pending = 0;
    rt::Instant running_since{};  ///< only while it is not idle
    rt::Instant heard{};          ///< the last event about it
};
struct PendingView {
    std::variant<Permission, Question> what;
    SessionInfo root;
    std::string directory;
    rt::Instant since{};
};
struct Counts {
    std::size_t idle = 0, busy = 0, retry = 0;
    std::size_t permissions = 0, questions = 0;
    std::optional<rt::Instant> oldest_permission, oldest_question;
};

/// Not thread-safe. What an event costs does not grow with the number of sessions: they are looked through only when
/// there are too many, once a second at most or once for hundreds of new ones.
///
/// Memory of all sessions together: 64 MiB at the very most. That is 1 to 2 KiB for each, 5 KiB where all names in it
/// are as long as `read_event` lets through, of which there are at most `max_sessions`; and their directories and what
/// their turns have said, each held once, in `max_directory_bytes` and `max_text_bytes`. Beside them: what `read_event`
/// keeps of each pending request, 1 KiB mostly and 50 KiB at the very most, and of these there are at most
/// `max_pending`.
class Model {
public:
    struct Limits {
        /// Beyond: the trees that are idle and have nothing pending go, the longest unheard first; then idle children
        /// of running trees; then nothing, and events of sessions that find no room tell no turn. Where that frees less
        /// than a sixteenth, it is tried again a second later.
        std::size_t max_sessions = 10'000;
        /// Beyond: the oldest is told as gone.
        std::size_t max_pending = 1'000;
        /// Beyond: a directory that no session is in yet is not kept, and what runs there is not asked about.
        std::size_t max_directory_bytes = 4 * 1024 * 1024;
        /// Of what retries, failures and models have said in turns that are not over. Beyond: a text that nobody else
        /// says already is left out.
        std::size_t max_text_bytes = 4 * 1024 * 1024;
        /// Ids remembered after their end, so that they do not come back: of sessions, and of requests.
        std::size_t max_remembered = 4'000;
        /// A turn that is over waits so long for what it lacks: the end of its last step, the info of its root.
        rt::Duration patience = std::chrono::minutes(1);
    };
    Model();
    explicit Model(Limits limits);
    ~Model();
    Model(Model&&) noexcept;
    Model& operator=(Model&&) noexcept;

    /// `now` never goes back.
    Happenings apply(Event const& event, rt::Instant now);

    /// After a (re)connect, and now and then while `watched()`. `asked` is when the first of the three requests was
    /// sent: what events have told since then is newer than the answers and stands.
    ///
    /// opencode 1.18.33 says `server.connected` up to 100 ms before it tells its events: ask again a second later.
    ///
    /// A listed request counts only if its session runs: those of aborted turns stay listed.
    Happenings reconcile(Answers const& answers, rt::Instant asked, rt::Instant now);

    /// Sessions whose turn ended unheard, so that only their last message can tell how: GET
    /// /session/{id}/message?limit=…, then `settle`. Each stays in here until then or until it runs again.
    [[nodiscard]] std::vector<SessionInfo> unsettled() const;
    Happenings settle(std::string_view session, std::optional<StepInfo> const& last_step, rt::Instant now);

    /// Sessions that run, wait or have just ended, and whose info or whose parent's is missing: GET /session/{id}, then
    /// `apply` SessionSeen, or SessionGone when there is no such session.
    [[nodiscard]] std::vector<std::string> wanted() const;

    /// There is something `unsettled` or `wanted`. Costs nothing.
    [[nodiscard]] bool lacks() const noexcept;

    /// The server's process is gone: nothing runs or waits any more. Not for a connection that was merely cut.
    Happenings lost(rt::Instant now);

    /// POST /session/{id}/abort was answered with success.
    Happenings user_aborted(std::string_view session, rt::Instant now);

    /// Something runs or waits: worth a `reconcile` every minute.
    [[nodiscard]] bool watched() const noexcept;
    /// Directories in which something runs or waits.
    [[nodiscard]] std::vector<std::string> directories() const;

    [[nodiscard]] SessionInfo root_of(std::string_view session) const;
    [[nodiscard]] Status status_of(std::string_view session) const;  ///< idle for one that is not known
    [[nodiscard]] std::vector<SessionView> sessions() const;         ///< last heard first
    [[nodiscard]] std::vector<PendingView> pending() const;          ///< oldest first
    [[nodiscard]] bool is_pending(std::string_view id) const;
    [[nodiscard]] Counts counts() const;

private:
    struct Inside;
    std::unique_ptr<Inside> inside_;
};

}  // namespace ocgate::opencode
