// Whose child a session is, and what is counted along that line.
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
        session->kin = &kin_of(id);
        session->kin->session = session;
    }
    if (session->directory.empty()) move_to(*session, session->directory, directory);
    if (!directory.empty()) move_to(*session, session->instance, directory);
    if (fresh || heard) session->heard = now;
    if (fresh) {
        auto const children = std::vector<Session*>(session->kin->trees.begin(), session->kin->trees.end());
        for (auto* const child : children) join_tree(*child);
    }
    return session;
}

/// The topmost known ancestor, by the parents as they are known now.
std::string Model::Inside::root_id(std::string_view id) const {
    auto const* const session = find(id);
    if (!session) return std::string(id);
    auto const* top = session->kin;
    while (top->parent && top->parent->session) top = top->parent;
    return *top->id;
}

SessionInfo Model::Inside::root_info(std::string_view id) const {
    auto const root = root_id(id);
    if (auto const* session = find(root)) return info_of(*session);
    SessionInfo info;
    info.id = root;
    return info;
}

SessionInfo Model::Inside::info_of(Session const& session) {
    auto info = session.info;
    info.directory = session.directory.text();
    return info;
}

Status Model::Inside::status_of(Session const& session) {
    auto status = session.status;
    status.message = session.retry_words.text();
    return status;
}

/// `which`: one of the two directories of the session.
void Model::Inside::move_to(Session& session, Places::Text& which, std::string const& directory) {
    if (which.text() == directory) return;
    bool const listed = running.contains(&session);
    if (auto* const before = session.place().about(); before && listed) before->running.erase(&session);
    which = places.keep(directory);
    if (auto* const after = session.place().about(); after && listed) after->running.insert(&session);
}

void Model::Inside::set_running(Session& session, bool runs) {
    if (running.contains(&session) == runs) return;
    auto* const place = session.place().about();
    if (runs) {
        running.insert(&session);
        if (place) place->running.insert(&session);
    } else {
        running.erase(&session);
        if (place) place->running.erase(&session);
    }
    auto const more = runs ? 1 : -1;
    count(*session.kin, more, more);
}

/// To be called when it has got a Tree, or has lost it.
void Model::Inside::has_tree(Session& session) {
    bool const has = session.tree != nullptr;
    if (trees.contains(&session) != has) {
        auto* const parent = session.kin->parent;
        if (has) {
            trees.insert(&session);
            if (parent) parent->trees.insert(&session);
        } else {
            trees.erase(&session);
            if (parent) parent->trees.erase(&session);
        }
        count(*session.kin, 0, has ? 1 : -1);
    }
    look_at_turn(session);
}

/// To be called when its turn has begun, ended or become settled.
void Model::Inside::look_at_turn(Session& session) {
    if (session.tree && session.turn && session.turn->unsettled) {
        open_ended.insert(&session);
    } else {
        open_ended.erase(&session);
    }
}

// ---- the family

Model::Inside::Kin& Model::Inside::kin_of(std::string const& id) {
    auto const [entry, fresh] = family.try_emplace(id);
    if (fresh) entry->second.id = &entry->first;
    return entry->second;
}

/// Along the line up to its top, of which there are few levels.
void Model::Inside::count(Kin& of, std::ptrdiff_t running_more, std::ptrdiff_t live_more) {
    auto* at = &of;
    for (;; at = at->parent) {
        at->running += static_cast<std::size_t>(running_more);
        at->live += static_cast<std::size_t>(live_more);
        if (!at->parent) break;
    }
    look_whether_wanted(*at);
    drop_if_unused(*at);
}

/// Its info is missing, and somebody needs it: itself, or one below.
void Model::Inside::look_whether_wanted(Kin& kin) {
    bool const known = kin.session && kin.session->known;
    bool const now_wanted = kin.live > 0 && !known && !deleted.find(*kin.id);
    if (now_wanted == kin.wanted) return;
    kin.wanted = now_wanted;
    if (now_wanted) {
        wanted.insert(*kin.id);
    } else {
        wanted.erase(*kin.id);
    }
}

void Model::Inside::look_whether_wanted(std::string const& id) {
    if (auto const found = family.find(id); found != family.end()) look_whether_wanted(found->second);
}

void Model::Inside::drop_if_unused(Kin& kin) {
    if (kin.session || kin.children > 0 || kin.live > 0) return;
    family.erase(family.find(*kin.id));
}

/// To the parent that its info names. Not into a circle, nor below too many: then it is taken for a child of a
/// stranger.
void Model::Inside::link(Session& session) {
    auto& kin = *session.kin;
    auto& parent = kin_of(session.info.parent);
    int levels = kin.height;
    bool circle = false;
    for (auto const* at = &parent; at; at = at->parent) {
        ++levels;
        circle = circle || at == &kin;
    }
    if (circle || levels > max_levels) return drop_if_unused(parent);
    kin.parent = &parent;
    ++parent.children;
    int height = kin.height + 1;
    for (auto* at = &parent; at; at = at->parent, ++height) at->height = std::max(at->height, height);
    if (session.tree) parent.trees.insert(&session);
    count(parent, static_cast<std::ptrdiff_t>(kin.running), static_cast<std::ptrdiff_t>(kin.live));
}

void Model::Inside::unlink(Session& session) {
    auto& kin = *session.kin;
    auto* const parent = std::exchange(kin.parent, nullptr);
    if (!parent) return;
    --parent->children;
    parent->trees.erase(&session);
    count(*parent, -static_cast<std::ptrdiff_t>(kin.running), -static_cast<std::ptrdiff_t>(kin.live));
}

void Model::Inside::erase(std::string const& id) {
    auto* const session = find(id);
    if (!session) return;
    set_running(*session, false);
    session->tree.reset();
    has_tree(*session);
    unlink(*session);
    auto& kin = *session->kin;
    kin.session = nullptr;
    look_whether_wanted(kin);
    drop_if_unused(kin);
    sessions.erase(sessions.find(id));
}

/// It is deleted, and does not come back.
void Model::Inside::forbid(std::string const& id) {
    auto const forgotten = deleted.add(id, true);
    look_whether_wanted(id);
    if (forgotten) look_whether_wanted(*forgotten);
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
    // Where too few could go, the next one would look through all of them again.
    if (sessions.size() > goal) no_room_until = now + room_pause;
    return sessions.size() < limits.max_sessions;
}

}  // namespace ocgate::opencode
