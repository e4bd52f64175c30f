// Happenings in words, one line each, so that a test is a table and a failure can be read.
#pragma once

#include <string>
#include <vector>

#include "ocgate/opencode/model.hpp"

namespace ocgate::opencode {

inline std::string of_root(std::string const& session, SessionInfo const& root) {
    return session == root.id ? session : session + " of " + root.id;
}

struct InWords {
    std::string operator()(PermissionPending const& h) const {
        auto const& p = h.permission;
        return p.id + " pending: " + p.kind + " " + p.command + ", " + of_root(p.session, h.root);
    }
    std::string operator()(PermissionOver const& h) const {
        static constexpr char const* names[] = {"once", "always", "reject", "gone"};
        return h.id + " over: " + names[static_cast<int>(h.outcome)];
    }
    std::string operator()(QuestionPending const& h) const {
        std::string words = h.question.id + " pending:";
        for (auto const& ask : h.question.asks) words += " " + ask.header;
        return words + ", " + of_root(h.question.session, h.root);
    }
    std::string operator()(QuestionOver const& h) const {
        static constexpr char const* names[] = {"answered", "rejected", "gone"};
        return h.id + " over: " + names[static_cast<int>(h.outcome)];
    }
    std::string operator()(TurnBegan const& h) const { return h.root.id + " began"; }
    std::string operator()(TurnCompleted const& h) const {
        return h.root.id + " completed, " + std::to_string(h.steps) + " steps by " + h.agent + ": " + h.words;
    }
    std::string operator()(TurnFailed const& h) const {
        std::string words = of_root(h.session, h.root) + " failed: " + h.name;
        if (h.status_code != 0) words += " " + std::to_string(h.status_code);
        return words;
    }
    std::string operator()(TurnAborted const& h) const { return h.root.id + " aborted"; }
    std::string operator()(Retrying const& h) const {
        return of_root(h.session, h.root) + " retrying: " + std::to_string(h.attempt);
    }
    std::string operator()(RetryOver const& h) const {
        return of_root(h.session, h.root) + " retry over" + (h.recovered ? ", recovered" : "");
    }
    std::string operator()(SessionDeleted const& h) const { return h.id + " deleted"; }
};

inline std::vector<std::string> in_words(Happenings const& happenings) {
    std::vector<std::string> words;
    for (auto const& happening : happenings) words.push_back(std::visit(InWords{}, happening));
    return words;
}

}  // namespace ocgate::opencode
