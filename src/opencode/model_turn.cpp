#include <algorithm>

#include "model_inside.hpp"

namespace ocgate::opencode {
void Model::Inside::status_told(Session& session, Status const& status, bool from_start) {
    session.changed = now;
    if (status.state == State::idle) {
        end_pending_of(session.info.id);
        go_idle(session, true);
        return;
    }
    if (!session.runs()) begin_turn(session, from_start);
    session.retry_words = texts.keep(status.message);
    session.status = status;
    session.status.message.clear();
    session.status.message.shrink_to_fit();
    tell_retry(session);
}

/// Not before the session's info is known: one that was deleted while it was busy has none, and opencode goes on with
/// it for as long as its provider fails.
void Model::Inside::tell_retry(Session& session) {
    auto const& status = session.status;
    if (!session.known || status.state != State::retry || session.told_attempt == status.attempt) return;
    session.told_attempt = status.attempt;
    tell(Retrying{root_info(session.info.id), session.info.id, status.attempt, session.retry_words.text()});
}

void Model::Inside::begin_turn(Session& session, bool from_start) {
    auto& root = *find(root_id(session.info.id));
    if (root.tree && root.tree->over) close_tree(root);  // whatever it came to, it goes on
    if (!root.tree) {
        root.tree = std::make_unique<Tree>();
        root.tree->began = now;
        root.tree->seen_from_start = from_start;
        has_tree(root);
    }
    session.running_since = now;
    session.status.state = State::busy;
    session.turn = std::make_unique<Turn>();
    session.turn->before = session.last_step;
    look_at_turn(session);
    set_running(session, true);
    tell_begin(root);
}

/// Not of a child whose parent is missing: its root will say so.
void Model::Inside::tell_begin(Session& root) {
    if (!root.tree || root.tree->told_begin || !root.info.parent.empty()) return;
    root.tree->told_begin = true;
    tell(TurnBegan{info_of(root)});
}

/// `heard_it`: by an event, as opposed to finding it so.
void Model::Inside::go_idle(Session& session, bool heard_it) {
    if (!session.runs()) return;
    bool const gave_up = session.status.state == State::retry;
    session.status = {};
    session.retry_words = {};
    set_running(session, false);
    end_retry(session, false);
    auto const root = root_id(session.info.id);
    if (session.turn) {
        auto& turn = *session.turn;
        // An abort between two attempts leaves no error anywhere. A provider's last word does.
        if (heard_it && gave_up && !turn.mishap && !(turn.step && !turn.step->error_name.empty())) turn.aborted = true;
        if (root == session.info.id) {
            auto const verdict = judge(session);
            turn.unsettled = !heard_it && (verdict == Verdict::wait || verdict == Verdict::nothing);
        } else {
            auto* top = find(root);
            if (turn.mishap && top && top->tree && !top->tree->child_mishap) top->tree->child_mishap = turn.mishap;
            session.turn.reset();
        }
        look_at_turn(session);
    }
    conclude(root);
}

void Model::Inside::end_retry(Session& session, bool recovered) {
    if (!session.told_attempt) return;
    session.told_attempt.reset();
    tell(RetryOver{root_info(session.info.id), session.info.id, recovered});
}

/// The first reason counts: what an abort makes fail is no failure, and a failed turn is not aborted any more.
void Model::Inside::abort(Session& session) {
    if (session.turn && !session.turn->mishap) session.turn->aborted = true;
}

/// What the turn of a root that is idle came to.
Model::Inside::Verdict Model::Inside::judge(Session const& root) {
    if (!root.turn) return root.tree && root.tree->child_mishap ? Verdict::failed : Verdict::nothing;
    auto const& turn = *root.turn;
    if (turn.unsettled) return Verdict::wait;
    if (turn.aborted) return Verdict::aborted;
    if (turn.mishap) return Verdict::failed;
    if (!turn.step) return Verdict::wait;
    auto const& step = *turn.step;
    if (step.error_name == aborted_error) return Verdict::aborted;
    if (!step.error_name.empty()) return Verdict::failed;
    if (step.finish == "tool-calls") return Verdict::nothing;  // a rejection ended it
    if (!step.finish.empty()) return Verdict::completed;
    return step.completed ? Verdict::nothing : Verdict::wait;  // a shell command has no finish
}

/// Says what the turn of this tree came to, if it is over and can be said.
void Model::Inside::conclude(std::string const& root_name) {
    auto* const root = find(root_name);
    if (!root || !root->tree || root->kin->running > 0) return;
    auto& tree = *root->tree;
    if (!tree.over) tree.over = now;
    if (now - *tree.over > limits.patience) {
        close_tree(*root);
        return;
    }
    auto const verdict = judge(*root);
    if (verdict == Verdict::wait || (verdict != Verdict::nothing && !root->known)) return;
    if (root->info.parent.empty()) {
        if (verdict == Verdict::aborted) tell(TurnAborted{info_of(*root)});
        if (verdict == Verdict::failed) {
            Mishap mishap;
            if (root->turn && root->turn->mishap) {
                mishap = *root->turn->mishap;
            } else if (root->turn) {
                mishap = {root_name, root->turn->step->error_name, root->turn->step->error_text, 0};
            } else {
                mishap = *tree.child_mishap;
            }
            auto const& text = mishap.text.text();
            tell(TurnFailed{info_of(*root), mishap.session, mishap.name, text, mishap.status_code});
            root->told_mishap = ToldMishap{print_of(mishap.name, text), now};
        }
        if (verdict == Verdict::completed) {
            tell(TurnCompleted{info_of(*root), *tree.over - tree.began, tree.seen_from_start, tree.usage, tree.steps,
                               root->turn->step->agent, root->turn->words.text()});
        }
    }
    close_tree(*root);
}

void Model::Inside::close_tree(Session& root) {
    root.tree.reset();
    has_tree(root);
    if (!root.runs()) root.turn.reset();
}

/// A session turned out to have a parent, or its parent turned up: what it began goes to the root it has now.
void Model::Inside::join_tree(Session& child) {
    auto const root_name = root_id(child.info.id);
    if (!child.tree || root_name == child.info.id) return;
    auto& root = *find(root_name);
    auto moved = std::move(child.tree);
    if (!child.runs() && child.turn) {
        if (child.turn->mishap && !moved->child_mishap) moved->child_mishap = child.turn->mishap;
        child.turn.reset();
    }
    has_tree(child);
    if (!root.tree) {
        root.tree = std::move(moved);
        root.tree->over.reset();
        root.tree->told_begin = false;  // of a subject that nobody had anything to say of
        has_tree(root);
    } else {
        root.tree->began = std::min(root.tree->began, moved->began);
        root.tree->seen_from_start = root.tree->seen_from_start && moved->seen_from_start;
        root.tree->usage += moved->usage;
        root.tree->steps += moved->steps;
        if (!root.tree->child_mishap) root.tree->child_mishap = std::move(moved->child_mishap);
        if (child.runs()) root.tree->over.reset();
    }
    if (child.runs()) tell_begin(root);
    conclude(root_name);
}

}  // namespace ocgate::opencode
