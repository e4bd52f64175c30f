#include <algorithm>

#include "model_inside.hpp"

namespace ocgate::opencode {

Happenings Model::reconcile(Answers const& answers, rt::Instant asked, rt::Instant now) {
    auto& m = *inside_;
    m.begin_call(now);
    m.take_statuses(answers, asked);
    for (auto const& permission : answers.permissions) m.take_request(permission, answers.directory);
    for (auto const& question : answers.questions) m.take_request(question, answers.directory);
    m.end_unlisted(answers, asked);
    return m.end_call();
}

void Model::Inside::take_statuses(Answers const& answers, rt::Instant asked_at) {
    std::set<std::string_view> listed;
    for (auto const& [id, status] : answers.statuses) {
        if (status.state == State::idle) continue;
        listed.insert(id);
        auto* const session = touch(id, answers.directory, false);
        if (session && session->changed < asked_at) status_told(*session, status, false);
    }
    auto const names = std::vector<std::string>(running.begin(), running.end());
    for (auto const& name : names) {
        auto* const session = find(name);
        if (!session || !session->runs() || session->place() != answers.directory) continue;
        if (listed.contains(name) || session->changed >= asked_at) continue;
        session->changed = now;
        end_pending_of(name);
        go_idle(*session, false);
    }
}

/// A request from a list. Those that were answered in the meantime, and those of turns that are over, are none.
void Model::Inside::take_request(std::variant<Permission, Question> what, std::string const& directory) {
    auto const& id = id_of(what);
    Pending entry;
    std::visit(
        [&](auto const& request) {
            entry.session = request.session;
            entry.message = request.message;
        },
        what);
    if (id.empty() || pending.contains(id)) return;
    auto const* const session = find(entry.session);
    if (!session || !session->runs() || is_older(entry.message, session->last_step)) return;
    auto const* const end = ended.find(id);
    // There is room for it when others are over: among too many, two would drive each other out with every list.
    if (end && pending.size() >= limits.max_pending) return;
    if (end && *end != End::lost) {
        // What was only taken for over waits still if the very step it belongs to has not ended.
        bool const in_last_step = !entry.message.empty() && entry.message == session->last_step;
        if (*end == End::answered || !in_last_step || session->last_step_completed) return;
    }
    auto const name = id;
    entry.what = std::move(what);
    entry.directory = directory;
    add_pending(name, std::move(entry));
}

void Model::Inside::end_unlisted(Answers const& answers, rt::Instant asked_at) {
    std::set<std::string_view> listed;
    for (auto const& permission : answers.permissions) listed.insert(permission.id);
    for (auto const& question : answers.questions) listed.insert(question.id);
    std::set<std::string_view> busy;
    for (auto const& [id, status] : answers.statuses) {
        if (status.state != State::idle) busy.insert(id);
    }
    for (auto entry = pending.begin(); entry != pending.end();) {
        auto const& [id, p] = *entry;
        bool const ours = p.directory == answers.directory && !p.newer && p.since < asked_at;
        auto const* const session = find(p.session);
        bool const runs = session ? session->runs() : busy.contains(p.session);
        entry = ours && !(listed.contains(id) && runs) ? end_pending(entry, {}, End::presumed) : std::next(entry);
    }
}

Happenings Model::settle(std::string_view id, std::optional<StepInfo> const& last_step, rt::Instant now) {
    auto& m = *inside_;
    m.begin_call(now);
    auto* const session = m.find(id);
    if (!session || !session->turn || !session->turn->unsettled) return {};
    auto& turn = *session->turn;
    turn.unsettled = false;
    bool const of_this_turn = last_step && last_step->session == id && last_step->message != turn.before;
    if (of_this_turn) {
        m.step_changed(*last_step, {});
    } else {
        session->turn.reset();  // it brought no answer
    }
    m.conclude(m.root_id(id));
    return m.end_call();
}

/// Should the server live after all, what it lists waits still, and is told anew. (Not known any more when the gateway
/// is restarted in between: then it is told to nobody.)
Happenings Model::lost(rt::Instant now) {
    auto& m = *inside_;
    m.begin_call(now);
    for (auto entry = m.pending.begin(); entry != m.pending.end();) entry = m.end_pending(entry, {}, Inside::End::lost);
    for (auto const& name : m.running) {
        auto& session = *m.find(name);
        m.end_retry(session, false);
        session.status = {};
        session.changed = m.now;
        session.turn.reset();
    }
    m.running.clear();
    auto const names = std::vector<std::string>(m.trees.begin(), m.trees.end());
    for (auto const& name : names) m.close_tree(*m.find(name));
    return m.end_call();
}

std::vector<SessionInfo> Model::unsettled() const {
    std::vector<SessionInfo> found;
    for (auto const& name : inside_->trees) {
        auto const* const session = inside_->find(name);
        if (session->turn && session->turn->unsettled) found.push_back(session->info);
    }
    return found;
}

std::vector<std::string> Model::wanted() const {
    auto const& m = *inside_;
    std::set<std::string> found;
    auto const want_line_of = [&](std::string const& id) {
        std::string_view at = id;
        for (int level = 0; level < 32; ++level) {
            auto const* const session = m.find(at);
            if (!session || !session->known) {
                if (!at.empty() && !m.deleted.find(at)) found.emplace(at);
                return;
            }
            if (session->info.parent.empty()) return;
            at = session->info.parent;
        }
    };
    for (auto const& id : m.running) want_line_of(id);
    for (auto const& id : m.trees) want_line_of(id);
    for (auto const& [id, entry] : m.pending) want_line_of(entry.session);
    return {found.begin(), found.end()};
}

}  // namespace ocgate::opencode
