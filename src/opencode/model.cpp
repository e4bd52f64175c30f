#include "ocgate/opencode/model.hpp"

#include <algorithm>
#include <tuple>

#include "model_inside.hpp"

namespace ocgate::opencode {
namespace {

/// The same words again so soon after they were told are the same failure.
constexpr rt::Duration echo = std::chrono::seconds(5);

PermissionOver::Outcome outcome_of(std::string_view reply) {
    if (reply == "always") return PermissionOver::Outcome::always;
    if (reply == "reject" || reply == "deny") return PermissionOver::Outcome::reject;
    return PermissionOver::Outcome::once;
}

}  // namespace

Model::Model() : Model(Limits{}) {}
Model::Model(Limits limits) : inside_(std::make_unique<Inside>(limits)) {}
Model::~Model() = default;
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;

Happenings Model::apply(Event const& event, rt::Instant now) {
    auto& m = *inside_;
    m.begin_call(now);
    struct Take {
        Inside& m;
        Event const& event;
        void operator()(Unknown const&) const {}
        void operator()(Ignored const&) const {}
        void operator()(Connected const&) const {}
        void operator()(Heartbeat const&) const {}
        void operator()(SessionSeen const& e) const { m.seen(e, event.directory); }
        void operator()(SessionGone const& e) const { m.gone(e.id); }
        void operator()(StatusChanged const& e) const {
            if (auto* session = m.touch(e.session, event.directory)) m.status_told(*session, e.status, true);
        }
        void operator()(WentIdle const& e) const {
            if (auto* session = m.touch(e.session, event.directory)) m.status_told(*session, {}, true);
        }
        void operator()(SessionFailed const& e) const { m.failed(e, event); }
        void operator()(PermissionAsked const& e) const { m.asked(e.permission, event.directory); }
        /// One of the newer API stands in no list: when it was asked before our time, this is all that tells of its
        /// end.
        [[nodiscard]] bool is_unheard_end(std::string const& id) const {
            bool const newer = event.type.find(".v2.") != event.type.npos;
            return newer && !m.pending.contains(id) && !m.ended.find(id);
        }
        void operator()(PermissionAnswered const& e) const {
            if (is_unheard_end(e.id))
                m.tell(PermissionOver{e.id, e.session, outcome_of(e.reply), m.root_info(e.session)});
            m.answered(e.id, {outcome_of(e.reply), QuestionOver::Outcome::gone});
        }
        void operator()(QuestionAsked const& e) const { m.asked(e.question, event.directory); }
        void operator()(QuestionAnswered const& e) const {
            auto const outcome = e.rejected ? QuestionOver::Outcome::rejected : QuestionOver::Outcome::answered;
            if (is_unheard_end(e.id)) m.tell(QuestionOver{e.id, e.session, outcome, m.root_info(e.session)});
            m.answered(e.id, {PermissionOver::Outcome::gone, outcome});
        }
        void operator()(StepChanged const& e) const { m.step_changed(e.step, event.directory); }
        void operator()(TextWritten const& e) const { m.text_written(e); }
        void operator()(InstanceGone const& e) const {
            if (!e.directory.empty()) m.instance_gone(&e.directory);
        }
        void operator()(AllGone const&) const { m.instance_gone(nullptr); }
        // How work goes changes nothing that is true here.
        void operator()(ToolEnded const&) const {}
        void operator()(Compacted const&) const {}
        void operator()(TerminalOpened const&) const {}
        void operator()(TerminalClosed const&) const {}
        void operator()(TerminalsFound const&) const {}
        void operator()(NewerStepBegan const&) const {}
        void operator()(NewerStepEnded const&) const {}
        void operator()(ToolCalled const&) const {}
        void operator()(NewerRetry const&) const {}
    };
    std::visit(Take{m, event}, event.what);
    return m.end_call();
}

Happenings Model::user_aborted(std::string_view session, rt::Instant now) {
    auto& m = *inside_;
    m.begin_call(now);
    if (auto* found = m.find(session)) {
        m.abort(*found);
        m.conclude(m.root_id(session));
    }
    return m.end_call();
}

void Model::Inside::seen(SessionSeen const& event, std::string const& directory) {
    auto const& info = event.info;
    if (event.created && deleted.find(info.id)) {  // imported again, say
        deleted.forget(info.id);
        look_whether_wanted(info.id);
    }
    auto* session = touch(info.id, directory);
    if (!session) return;
    auto& known_info = session->info;
    if (session->known && info.updated_ms < known_info.updated_ms) return;  // an answer that events have overtaken
    session->known = true;
    look_whether_wanted(*session->kin);
    known_info.title = info.title;
    known_info.created_ms = info.created_ms;
    known_info.updated_ms = info.updated_ms;
    if (!info.directory.empty()) move_to(*session, session->directory, info.directory);
    if (!info.agent.empty()) known_info.agent = info.agent;
    if (!info.parent.empty() && info.parent != known_info.parent) {
        unlink(*session);
        known_info.parent = info.parent;
        link(*session);
        join_tree(*session);
    }
    tell_retry(*session);
    conclude(root_id(info.id));
}

void Model::Inside::gone(std::string const& id) {
    if (id.empty() || deleted.find(id)) return;
    for (auto entry = pending.begin(); entry != pending.end();)
        entry = entry->second.session == id ? end_pending(entry, {}, End::presumed) : std::next(entry);
    if (auto* session = find(id)) {
        end_retry(*session, false);
        auto const root = root_id(id);
        erase(id);
        conclude(root);
    }
    forbid(id);
    tell(SessionDeleted{id});
}

void Model::Inside::failed(SessionFailed const& event, Event const& envelope) {
    if (event.name == aborted_error) {
        if (auto* session = find(event.session)) {
            abort(*session);
            conclude(root_id(event.session));
        }
        return;
    }
    auto* session = touch(event.session, envelope.directory);  // none: a failure without a session ends no turn
    if (!session) return;
    if (!envelope.id.empty() && session->last_error_event == envelope.id) return;
    session->last_error_event = envelope.id;
    if (!session->turn) {
        refused(*session, event);
        return;
    }
    auto& turn = *session->turn;
    if (!turn.aborted && !turn.mishap) turn.mishap = mishap_of(event);
    conclude(root_id(event.session));
}

Model::Inside::Mishap Model::Inside::mishap_of(SessionFailed const& event) {
    return {event.session, event.name, texts.keep(event.text), event.status_code};
}

/// A failure while nothing runs: a prompt that did not even begin, or the echo of what was told already.
void Model::Inside::refused(Session& session, SessionFailed const& event) {
    auto& root = *find(root_id(session.info.id));
    if (root.tree && root.kin->running > 0) {
        if (!root.tree->child_mishap) root.tree->child_mishap = mishap_of(event);
        return;
    }
    if (!root.known) {  // perhaps a child, or deleted before our time, which opencode may go on with: see what it is
        if (!root.tree) {
            root.tree = std::make_unique<Tree>();
            root.tree->began = now;
            root.tree->over = now;
            has_tree(root);
        }
        if (!root.tree->child_mishap) root.tree->child_mishap = mishap_of(event);
        return;
    }
    auto const print = print_of(event.name, event.text);
    for (auto const* told_to : {&session, &root}) {
        auto const& before = told_to->told_mishap;
        if (before && before->print == print && now - before->when < echo) return;
    }
    tell(TurnFailed{info_of(root), event.session, event.name, event.text, event.status_code});
    session.told_mishap = ToldMishap{print, now};
}

void Model::Inside::step_changed(StepInfo const& step, std::string const& directory) {
    auto* const session = touch(step.session, directory);
    if (!session) return;
    if (step.message == session->last_step) {
        if (session->last_step_completed) return;
    } else {
        auto const before = std::tie(session->last_step_created, session->last_step);
        if (std::tie(step.created_ms, step.message) < before) return;
        for (auto entry = pending.begin(); entry != pending.end();) {
            auto const& p = entry->second;
            bool const left_behind = p.session == step.session && !p.newer && is_older(p.message, step.message);
            entry = left_behind ? end_pending(entry, {}, End::presumed) : std::next(entry);
        }
        session->last_step = step.message;
        session->last_step_created = step.created_ms;
        if (session->turn && session->runs()) {  // whatever seemed to end it did not
            session->turn->aborted = false;
            session->turn->mishap.reset();
        }
    }
    session->last_step_completed = step.completed;
    if (!step.finish.empty()) end_retry(*session, true);
    bool const of_before = session->turn && session->turn->before == step.message;
    if (session->turn && !of_before) {
        session->turn->step = LastStep{
            step.message, step.agent, step.finish, step.error_name, texts.keep(step.error_text), step.completed};
    }
    auto const root_name = root_id(step.session);
    auto& root = *find(root_name);
    if (step.completed && root.tree && !of_before) {
        root.tree->usage += step.usage;
        ++root.tree->steps;
    }
    conclude(root_name);
}

void Model::Inside::text_written(TextWritten const& event) {
    auto* const session = find(event.session);
    if (!session || !session->turn || !session->turn->step) return;
    if (session->turn->step->message != event.message) return;
    auto const begin = event.text.find_first_not_of(" \t\r\n");
    if (begin == std::string::npos) return;
    auto const end = event.text.find_last_not_of(" \t\r\n") + 1;
    session->turn->words = texts.keep(std::string_view(event.text).substr(begin, end - begin));
}

void Model::Inside::asked(std::variant<Permission, Question> what, std::string const& directory) {
    Pending entry;
    std::visit(
        [&](auto const& request) {
            entry.session = request.session;
            entry.message = request.message;
            entry.newer = request.newer;
        },
        what);
    auto const id = id_of(what);
    auto const* const end = ended.find(id);
    if (id.empty() || deleted.find(entry.session) || (end && *end != End::lost)) return;
    if (auto const again = pending.find(id); again != pending.end()) {
        again->second.what = std::move(what);
        return;
    }
    auto* const session = touch(entry.session, directory);
    if (session && !entry.newer) {
        session->changed = now;
        if (!session->runs()) begin_turn(*session, false);  // who asks runs
    }
    entry.what = std::move(what);
    entry.directory = directory.empty() && session ? session->place().text() : directory;
    add_pending(id, std::move(entry));
}

void Model::Inside::add_pending(std::string const& id, Pending entry) {
    while (!pending.empty() && pending.size() >= limits.max_pending) {
        auto const oldest = std::min_element(pending.begin(), pending.end(), [](auto const& a, auto const& b) {
            return a.second.serial < b.second.serial;
        });
        end_pending(oldest, {}, End::presumed);
    }
    entry.since = now;
    entry.serial = next_serial++;
    auto root = root_info(entry.session);
    bool const again = ended.find(id) != nullptr;
    if (auto const* permission = std::get_if<Permission>(&entry.what)) {
        tell(PermissionPending{*permission, std::move(root), entry.directory, again});
    } else {
        tell(QuestionPending{std::get<Question>(entry.what), std::move(root), entry.directory, again});
    }
    if (!entry.session.empty()) count(kin_of(entry.session), 0, 1);
    pending.insert_or_assign(id, std::move(entry));
}

void Model::Inside::answered(std::string const& id, Outcome outcome) {
    auto const entry = pending.find(id);
    if (entry == pending.end()) {
        ended.add(id, End::answered);
    } else {
        end_pending(entry, outcome, End::answered);
    }
}

/// `why` is remembered: whether it may come back.
Model::Inside::PendingMap::iterator Model::Inside::end_pending(PendingMap::iterator entry, Outcome outcome, End why) {
    auto const& [id, p] = *entry;
    ended.add(id, why);
    if (std::holds_alternative<Permission>(p.what)) {
        tell(PermissionOver{id, p.session, outcome.permission, root_info(p.session)});
    } else {
        tell(QuestionOver{id, p.session, outcome.question, root_info(p.session)});
    }
    if (!p.session.empty()) count(kin_of(p.session), 0, -1);
    return pending.erase(entry);
}

/// A session that is idle waits for nobody. One of the newer API tells no status, so its requests stand.
void Model::Inside::end_pending_of(std::string const& session) {
    for (auto entry = pending.begin(); entry != pending.end();) {
        bool const over = entry->second.session == session && !entry->second.newer;
        entry = over ? end_pending(entry, {}, End::presumed) : std::next(entry);
    }
}

/// Its turns were aborted, which events before this one should have said. Of one directory, or of all.
void Model::Inside::instance_gone(std::string const* directory) {
    for (auto entry = pending.begin(); entry != pending.end();) {
        bool const over = !directory || entry->second.directory == *directory;
        entry = over ? end_pending(entry, {}, End::presumed) : std::next(entry);
    }
    auto const* const place = directory ? places.find(*directory) : nullptr;
    if (directory && !place) return;
    auto const& there = directory ? place->running : running;
    for (auto* const session : std::vector<Session*>(there.begin(), there.end())) {
        abort(*session);
        session->changed = now;
        go_idle(*session, true);
    }
}

}  // namespace ocgate::opencode
