#include <algorithm>
#include <tuple>

#include "model_inside.hpp"

namespace ocgate::opencode {

bool Model::watched() const noexcept { return !inside_->running.empty() || !inside_->pending.empty(); }

std::vector<std::string> Model::directories() const {
    std::set<std::string> found;
    inside_->places.each([&](std::string const& path, Inside::InPlace const& place) {
        if (!place.running.empty()) found.insert(path);
    });
    for (auto const& [id, entry] : inside_->pending) found.insert(entry.directory);
    found.erase(std::string());
    return {found.begin(), found.end()};
}

SessionInfo Model::root_of(std::string_view session) const { return inside_->root_info(session); }

Status Model::status_of(std::string_view session) const {
    auto const* const found = inside_->find(session);
    return found ? Inside::status_of(*found) : Status{};
}

std::vector<SessionView> Model::sessions() const {
    auto const& m = *inside_;
    std::map<std::string_view, std::size_t> waiting;
    for (auto const& [id, entry] : m.pending) ++waiting[entry.session];
    std::vector<SessionView> found;
    found.reserve(m.sessions.size());
    for (auto const& [id, session] : m.sessions) {
        SessionView view{Inside::info_of(session), Inside::status_of(session), session.known,
                         session.known && session.info.parent.empty()};
        if (auto const n = waiting.find(id); n != waiting.end()) view.pending = n->second;
        if (session.runs()) view.running_since = session.running_since;
        view.heard = session.heard;
        found.push_back(std::move(view));
    }
    // Many are heard of at once when the server lists them.
    std::stable_sort(found.begin(), found.end(), [](auto const& a, auto const& b) {
        return std::tie(a.heard, a.info.updated_ms) > std::tie(b.heard, b.info.updated_ms);
    });
    return found;
}

std::vector<PendingView> Model::pending() const {
    std::vector<Inside::Pending const*> entries;
    for (auto const& [id, entry] : inside_->pending) entries.push_back(&entry);
    std::sort(entries.begin(), entries.end(), [](auto const* a, auto const* b) { return a->serial < b->serial; });
    std::vector<PendingView> found;
    for (auto const* entry : entries)
        found.push_back({entry->what, root_of(entry->session), entry->directory, entry->since});
    return found;
}

bool Model::is_pending(std::string_view id) const { return inside_->pending.contains(id); }

Counts Model::counts() const {
    auto const& m = *inside_;
    Counts counts;
    for (auto const* one : m.running) ++(one->status.state == State::retry ? counts.retry : counts.busy);
    counts.idle = m.sessions.size() - m.running.size();
    auto const older = [](std::optional<rt::Instant>& oldest, rt::Instant since) {
        if (!oldest || since < *oldest) oldest = since;
    };
    for (auto const& [id, entry] : m.pending) {
        if (std::holds_alternative<Permission>(entry.what)) {
            ++counts.permissions;
            older(counts.oldest_permission, entry.since);
        } else {
            ++counts.questions;
            older(counts.oldest_question, entry.since);
        }
    }
    return counts;
}

std::string_view to_string(PermissionOver::Outcome outcome) noexcept {
    using Outcome = PermissionOver::Outcome;
    switch (outcome) {
        case Outcome::once:
            return "once";
        case Outcome::always:
            return "always";
        case Outcome::reject:
            return "reject";
        case Outcome::gone:
            return "gone";
    }
    return "gone";
}

std::string_view to_string(QuestionOver::Outcome outcome) noexcept {
    using Outcome = QuestionOver::Outcome;
    switch (outcome) {
        case Outcome::answered:
            return "answered";
        case Outcome::rejected:
            return "rejected";
        case Outcome::gone:
            return "gone";
    }
    return "gone";
}

}  // namespace ocgate::opencode
