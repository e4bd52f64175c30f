// What the model remembers, and the steps its calls are made of. model.cpp has what events do, model_family.cpp whose
// child a session is and what is counted by it, model_turn.cpp how turns begin and end, model_reconcile.cpp what the
// server's answers do, model_views.cpp what is read.
#pragma once

#include <map>
#include <set>

#include "ocgate/opencode/model.hpp"
#include "pool.hpp"
#include "remembered.hpp"

namespace ocgate::opencode {

struct Model::Inside {
    struct Session;
    struct ById {
        bool operator()(Session const* a, Session const* b) const noexcept;
    };
    /// In the order of their ids.
    using SessionSet = std::set<Session*, ById>;
    struct InPlace {
        SessionSet running;
    };
    struct Nothing {};
    using Places = Pool<InPlace>;
    using Texts = Pool<Nothing>;

    /// What went wrong, and in which session.
    struct Mishap {
        std::string session, name;
        Texts::Text text;
        int status_code = 0;
    };
    /// Of a StepInfo what matters when the turn is over.
    struct LastStep {
        std::string message, agent, finish, error_name;
        Texts::Text error_text;
        bool completed = false;
    };
    /// One session's part in a turn: from its beginning to run until what it came to is known.
    struct Turn {
        std::string before;  ///< the step that was the last when it began; what comes of it is no part of this
        std::optional<LastStep> step;
        std::optional<Mishap> mishap;
        bool aborted = false;
        bool unsettled = false;  ///< it ended unheard
        Texts::Text words;
    };
    /// The turn of a whole tree, kept at its root.
    struct Tree {
        rt::Instant began{};
        bool seen_from_start = true;
        bool told_begin = false;
        std::optional<rt::Instant> over;  ///< all of it is idle; what is left is to say what it came to
        Usage usage;
        std::size_t steps = 0;
        std::optional<Mishap> child_mishap;  ///< the first
    };
    /// Where a session stands in its family, with what is counted there, so that no event has to walk through it. Also
    /// of one that is not there, while sessions name it as their parent or a request names it. No line of parents is
    /// longer than `max_levels`, so none is a circle; who is not known has no parent.
    struct Kin {
        std::string const* id = nullptr;
        Session* session = nullptr;
        Kin* parent = nullptr;
        std::size_t children = 0;
        int height = 0;           ///< levels there have been below it
        std::size_t running = 0;  ///< it and all below
        std::size_t live = 0;     ///< it and all below: who runs, who has a Tree, requests that are pending
        SessionSet trees;         ///< its children that have a Tree, which is so only while it is not there
        bool wanted = false;
    };
    struct ToldMishap {
        std::size_t print = 0;  ///< of its name and text
        rt::Instant when{};
    };
    struct Session {
        SessionInfo info;                          ///< `directory` is empty in here
        Places::Text directory;                    ///< and stands here
        bool known = false;                        ///< `info` is more than an id
        Places::Text instance;                     ///< the directory whose instance spoke of it last
        Status status;                             ///< `message` is empty in here
        Texts::Text retry_words;                   ///< and stands here
        rt::Instant changed = rt::Instant::min();  ///< when an event last told, or proved, its status
        rt::Instant running_since{};
        rt::Instant heard{};
        std::optional<unsigned> told_attempt;  ///< a Retrying that is not over
        std::string last_step;
        std::int64_t last_step_created = 0;
        bool last_step_completed = false;
        std::string last_error_event;
        Kin* kin = nullptr;
        std::unique_ptr<Turn> turn;
        std::unique_ptr<Tree> tree;
        std::optional<ToldMishap> told_mishap;

        [[nodiscard]] bool runs() const noexcept { return status.state != State::idle; }
        [[nodiscard]] Places::Text const& place() const noexcept { return instance.empty() ? directory : instance; }
    };
    struct Pending {
        std::variant<Permission, Question> what;
        std::string session, message, directory;
        bool newer = false;
        rt::Instant since{};
        std::uint64_t serial = 0;
    };
    /// `presumed`: nobody said so, the session went idle or it was missing from a list. `lost`: the server seemed gone.
    enum class End : std::uint8_t { answered, presumed, lost };
    struct Outcome {
        PermissionOver::Outcome permission = PermissionOver::Outcome::gone;
        QuestionOver::Outcome question = QuestionOver::Outcome::gone;
    };
    enum class Verdict : std::uint8_t { wait, nothing, completed, failed, aborted };

    using Sessions = std::map<std::string, Session, std::less<>>;
    using PendingMap = std::map<std::string, Pending, std::less<>>;

    explicit Inside(Limits l)
        : limits(l),
          places(l.max_directory_bytes),
          texts(l.max_text_bytes),
          ended(l.max_remembered),
          deleted(l.max_remembered) {}

    /// Each public call is one of these around the rest.
    void begin_call(rt::Instant given) { now = std::max(now, given); }
    Happenings end_call() { return std::exchange(told, {}); }

    // model.cpp
    void seen(SessionSeen const& event, std::string const& directory);
    void gone(std::string const& id);
    void failed(SessionFailed const& event, Event const& envelope);
    Mishap mishap_of(SessionFailed const& event);
    void refused(Session& session, SessionFailed const& event);
    void step_changed(StepInfo const& step, std::string const& directory);
    void text_written(TextWritten const& event);
    void asked(std::variant<Permission, Question> what, std::string const& directory);
    void answered(std::string const& id, Outcome outcome);
    void instance_gone(std::string const* directory);
    void add_pending(std::string const& id, Pending entry);
    PendingMap::iterator end_pending(PendingMap::iterator entry, Outcome outcome, End why);
    void end_pending_of(std::string const& session);

    // model_family.cpp
    Session* find(std::string_view id);
    [[nodiscard]] Session const* find(std::string_view id) const;
    Session* touch(std::string const& id, std::string const& directory, bool heard = true);
    [[nodiscard]] std::string root_id(std::string_view id) const;
    [[nodiscard]] SessionInfo root_info(std::string_view id) const;
    [[nodiscard]] static SessionInfo info_of(Session const& session);
    [[nodiscard]] static Status status_of(Session const& session);
    void move_to(Session& session, Places::Text& which, std::string const& directory);
    void set_running(Session& session, bool runs);
    void has_tree(Session& session);
    void look_at_turn(Session& session);
    Kin& kin_of(std::string const& id);
    void count(Kin& of, std::ptrdiff_t running_more, std::ptrdiff_t live_more);
    void look_whether_wanted(Kin& kin);
    void look_whether_wanted(std::string const& id);
    void drop_if_unused(Kin& kin);
    void link(Session& session);
    void unlink(Session& session);
    bool make_room();
    void erase(std::string const& id);
    void forbid(std::string const& id);

    // model_turn.cpp
    void status_told(Session& session, Status const& status, bool from_start);
    void begin_turn(Session& session, bool from_start);
    void tell_begin(Session& root);
    void tell_retry(Session& session);
    void go_idle(Session& session, bool heard_it);
    void end_retry(Session& session, bool recovered);
    void abort(Session& session);
    [[nodiscard]] static Verdict judge(Session const& root);
    void conclude(std::string const& root);
    void close_tree(Session& root);
    void join_tree(Session& child);

    // model_reconcile.cpp
    void take_statuses(Answers const& answers, rt::Instant asked_at);
    void take_request(std::variant<Permission, Question> what, std::string const& directory);
    void end_unlisted(Answers const& answers, rt::Instant asked_at);

    template <class T>
    void tell(T happening) {
        told.emplace_back(std::move(happening));
    }

    Limits limits;
    rt::Instant now = rt::Instant::min();
    rt::Instant no_room_until = rt::Instant::min();
    std::uint64_t next_serial = 0;
    Places places;  ///< before the sessions, which hold some
    Texts texts;
    Sessions sessions;
    std::map<std::string, Kin, std::less<>> family;
    SessionSet running;                 ///< sessions that are not idle
    SessionSet trees;                   ///< sessions that have a Tree
    SessionSet open_ended;              ///< of these: whose turn is `unsettled`
    std::set<std::string_view> wanted;  ///< keys of `family`
    PendingMap pending;
    Remembered<End> ended;     ///< requests
    Remembered<bool> deleted;  ///< sessions
    Happenings told;
};

inline bool Model::Inside::ById::operator()(Session const* a, Session const* b) const noexcept {
    return a->info.id < b->info.id;
}

/// opencode's ids of messages grow with time. Ids of another make are never older.
inline bool is_older(std::string_view message, std::string_view than) noexcept {
    return message.starts_with("msg_") && message.size() == than.size() && message < than;
}

/// Same words, same print.
inline std::size_t print_of(std::string const& name, std::string const& text) {
    return std::hash<std::string>()(name + '\n' + text);
}

inline std::string const& id_of(std::variant<Permission, Question> const& what) {
    return std::visit([](auto const& request) -> std::string const& { return request.id; }, what);
}

}  // namespace ocgate::opencode
