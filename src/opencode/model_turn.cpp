#include <algorithm>
#include <unordered_map>

#include "model_inside.hpp"

namespace ocgate::opencode {
namespace {

/// Subagents of subagents; a longer chain of parents is a circle.
constexpr int max_levels = 32;
constexpr rt::Duration room_pause = std::chrono::seconds(1);

}  // namespace

Model::Inside::Session* Model::Inside::find(std::string_view id) {
    auto const found = sessions.find(id);
    return found == sessions.end() ? nullptr : &found->second;
}

Model::Inside::Session const* Model::Inside::find(std::string_view id) const {
    auto const found = sessions.find(id);
    return found == sessions.end() ? nullptr : &found->second;
}

/// The session, made if it is new. Nothing for a deleted one, and when there is no room.
Model::Inside::Session* Model::Inside::touch(std::string const& id, std::string const& directory, bool heard) {
    if (id.empty() || deleted.find(id)) return nullptr;
    auto* session = find(id);
    bool const fresh = !session;
    if (fresh) {
        if (!make_room()) return nullptr;
        session = &sessions[id];
        session->info.id = id;
    }
    if (session->info.directory.empty()) session->info.directory = directory;
    if (!directory.empty()) session->instance = directory;
    if (fresh || heard) session->heard = now;
    if (fresh) join_trees();
    return session;
}

/// The topmost known ancestor, by the parents as they are known now.
std::string Model::Inside::root_id(std::string_view id) const {
    std::string_view root = id;
    for (int level = 0; level < max_levels; ++level) {
        auto const* session = find(root);
        if (!session || session->info.parent.empty() || !find(session->info.parent)) break;
        root = session->info.parent;
    }
    return std::string(root);
}

SessionInfo Model::Inside::root_info(std::string_view id) const {
    auto const root = root_id(id);
    if (auto const* session = find(root)) return session->info;
    SessionInfo info;
    info.id = root;
    return info;
}

bool Model::Inside::tree_runs(std::string_view root) const {
    return std::any_of(running.begin(), running.end(), [&](auto const& id) { return root_id(id) == root; });
}

void Model::Inside::status_told(Session& session, Status const& status, bool from_start) {
    session.changed = now;
    if (status.state == State::idle) {
        end_pending_of(session.info.id);
        go_idle(session, true);
        return;
    }
    if (!session.runs()) begin_turn(session, from_start);
    session.status = status;
    tell_retry(session);
}

/// Not before the session's info is known: one that was deleted while it was busy has none, and opencode goes on with
/// it for as long as its provider fails.
void Model::Inside::tell_retry(Session& session) {
    auto const& status = session.status;
    if (!session.known || status.state != State::retry || session.told_attempt == status.attempt) return;
    session.told_attempt = status.attempt;
    tell(Retrying{root_info(session.info.id), session.info.id, status.attempt, status.message});
}

void Model::Inside::begin_turn(Session& session, bool from_start) {
    auto& root = *find(root_id(session.info.id));
    if (root.tree && root.tree->over) close_tree(root);  // whatever it came to, it goes on
    if (!root.tree) {
        root.tree = std::make_unique<Tree>();
        root.tree->began = now;
        root.tree->seen_from_start = from_start;
        trees.insert(root.info.id);
    }
    session.running_since = now;
    session.status.state = State::busy;
    session.turn = std::make_unique<Turn>();
    session.turn->before = session.last_step;
    running.insert(session.info.id);
    tell_begin(root);
}

/// Not of a child whose parent is missing: its root will say so.
void Model::Inside::tell_begin(Session& root) {
    if (!root.tree || root.tree->told_begin || !root.info.parent.empty()) return;
    root.tree->told_begin = true;
    tell(TurnBegan{root.info});
}

/// `heard_it`: by an event, as opposed to finding it so.
void Model::Inside::go_idle(Session& session, bool heard_it) {
    if (!session.runs()) return;
    bool const gave_up = session.status.state == State::retry;
    session.status = {};
    running.erase(session.info.id);
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
    if (!root || !root->tree || tree_runs(root_name)) return;
    auto& tree = *root->tree;
    if (!tree.over) tree.over = now;
    if (now - *tree.over > limits.patience) {
        close_tree(*root);
        return;
    }
    auto const verdict = judge(*root);
    if (verdict == Verdict::wait || (verdict != Verdict::nothing && !root->known)) return;
    if (root->info.parent.empty()) {
        if (verdict == Verdict::aborted) tell(TurnAborted{root->info});
        if (verdict == Verdict::failed) {
            Mishap mishap;
            if (root->turn && root->turn->mishap) {
                mishap = *root->turn->mishap;
            } else if (root->turn) {
                mishap = {root_name, root->turn->step->error_name, root->turn->step->error_text, 0};
            } else {
                mishap = *tree.child_mishap;
            }
            tell(TurnFailed{root->info, mishap.session, mishap.name, mishap.text, mishap.status_code});
            root->told_mishap = std::make_unique<std::pair<Mishap, rt::Instant>>(std::move(mishap), now);
        }
        if (verdict == Verdict::completed) {
            tell(TurnCompleted{root->info, *tree.over - tree.began, tree.seen_from_start, tree.usage, tree.steps,
                               root->turn->step->agent, std::move(root->turn->words)});
        }
    }
    close_tree(*root);
}

void Model::Inside::close_tree(Session& root) {
    root.tree.reset();
    trees.erase(root.info.id);
    if (!root.runs()) root.turn.reset();
}

/// A session turned out to have a parent, or its parent turned up: what it began goes to the root it has now.
void Model::Inside::join_trees() {
    auto const names = std::vector<std::string>(trees.begin(), trees.end());
    for (auto const& name : names) {
        auto const root_name = root_id(name);
        if (root_name == name) continue;
        auto& child = *find(name);
        auto& root = *find(root_name);
        auto moved = std::move(child.tree);
        trees.erase(name);
        if (!child.runs() && child.turn) {
            if (child.turn->mishap && !moved->child_mishap) moved->child_mishap = child.turn->mishap;
            child.turn.reset();
        }
        if (!root.tree) {
            root.tree = std::move(moved);
            root.tree->over.reset();
            root.tree->told_begin = false;  // of a subject that nobody had anything to say of
            trees.insert(root_name);
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
}

void Model::Inside::erase(std::string const& id) {
    running.erase(id);
    trees.erase(id);
    sessions.erase(id);
}

/// Makes room for some more at once, so that a flood of sessions does not look through all of them each time.
bool Model::Inside::make_room() {
    if (sessions.size() < limits.max_sessions) return true;
    if (now < no_room_until) return false;
    struct Group {
        rt::Instant heard{};
        bool kept = false;
        std::vector<std::string> members;
    };
    std::set<std::string, std::less<>> waiting;
    for (auto const& [id, entry] : pending) waiting.insert(entry.session);
    std::unordered_map<std::string, Group> groups;
    for (auto const& [id, session] : sessions) {
        auto& group = groups[root_id(id)];
        group.heard = std::max(group.heard, session.heard);
        group.kept = group.kept || session.runs() || waiting.contains(id);
        group.members.push_back(id);
    }
    auto const goal = limits.max_sessions - std::min(limits.max_sessions, 1 + limits.max_sessions / 16);
    using Victims = std::vector<std::pair<rt::Instant, std::vector<std::string>>>;
    auto const remove = [&](Victims victims) {
        std::sort(victims.begin(), victims.end());
        for (auto const& [heard, members] : victims) {
            if (sessions.size() <= goal) break;
            for (auto const& id : members) erase(id);
        }
    };
    Victims whole_trees;
    for (auto& [root, group] : groups) {
        if (!group.kept) whole_trees.emplace_back(group.heard, std::move(group.members));
    }
    remove(std::move(whole_trees));
    if (sessions.size() >= limits.max_sessions) {
        Victims children;
        for (auto const& [id, session] : sessions) {
            if (!session.info.parent.empty() && !session.runs() && !waiting.contains(id))
                children.emplace_back(session.heard, std::vector<std::string>{id});
        }
        remove(std::move(children));
    }
    bool const room = sessions.size() < limits.max_sessions;
    if (!room) no_room_until = now + room_pause;
    return room;
}

}  // namespace ocgate::opencode
