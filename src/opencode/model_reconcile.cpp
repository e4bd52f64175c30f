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
    auto const* const place = places.find(answers.directory);
    if (!place) return;
    for (auto* const session : std::vector<Session*>(place->running.begin(), place->running.end())) {
        if (!session->runs() || listed.contains(session->info.id) || session->changed >= asked_at) continue;
        session->changed = now;
        end_pending_of(session->info.id);
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
    m.look_at_turn(*session);
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
    for (auto* const session : std::vector(m.running.begin(), m.running.end())) {
        m.end_retry(*session, false);
        session->status = {};
        session->retry_words = {};
        session->changed = m.now;
        session->turn.reset();
        m.set_running(*session, false);
    }
    for (auto* const root : std::vector(m.trees.begin(), m.trees.end())) m.close_tree(*root);
    return m.end_call();
}

std::vector<SessionInfo> Model::unsettled() const {
    std::vector<SessionInfo> found;
    for (auto const* root : inside_->open_ended) found.push_back(Inside::info_of(*root));
    return found;
}

std::vector<std::string> Model::wanted() const { return {inside_->wanted.begin(), inside_->wanted.end()}; }

bool Model::lacks() const noexcept { return !inside_->wanted.empty() || !inside_->open_ended.empty(); }

}  // namespace ocgate::opencode
