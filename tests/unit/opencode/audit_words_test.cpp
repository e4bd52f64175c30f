#include "ocgate/opencode/audit_words.hpp"

#include <gmock/gmock.h>

#include <set>

#include "ocgate/opencode/routes.hpp"
#include "route_table.hpp"

namespace ocgate::opencode {
namespace {

struct Case {
    char const* method;
    char const* target;
    char const* said;  ///< word, `+` when it lasts, then what is named; empty: no line
    bool websocket = false;
};

std::string said(Case const& one) {
    auto const found = audit_word_of(one.method, one.target, one.websocket);
    if (!found) return {};
    auto text = std::string(found->word) + (found->lasts ? "+" : "");
    for (auto const* part : {&found->session, &found->request, &found->terminal})
        if (!part->empty()) text += " " + *part;
    return text;
}

TEST(AuditWords, SayWhatARequestDoes) {
    for (auto const& one : std::initializer_list<Case>{
             {"POST", "/session/ses_1/message?directory=/a", "prompt+ ses_1"},
             {"POST", "/SESSION//ses_1/prompt%5Fasync/", "prompt+ ses_1"},
             {"POST", "/api/session/ses_1/prompt", "prompt+ ses_1"},
             {"POST", "/session/ses_1/command", "command+ ses_1"},
             {"POST", "/session/ses_1/init", "command+ ses_1"},
             {"POST", "/session/ses_1/shell", "shell+ ses_1"},
             {"POST", "/session/ses_1/summarize", "compaction+ ses_1"},
             {"POST", "/session/ses_1/abort", "abort ses_1"},
             {"POST", "/api/session/ses_1/interrupt", "abort ses_1"},
             {"POST", "/permission/per_1/reply", "permission_reply per_1"},
             {"POST", "/session/ses_1/permissions/per_1", "permission_reply ses_1 per_1"},
             {"POST", "/api/session/ses_1/permission/per_1/reply", "permission_reply ses_1 per_1"},
             {"POST", "/question/que%5f1/reply", "question_reply que_1"},
             {"POST", "/question/que_1/reject", "question_reply que_1"},
             {"POST", "/session", "session_created"},
             {"DELETE", "/session/ses_1", "session_deleted ses_1"},
             {"PATCH", "/session/ses_1", "session_changed ses_1"},
             {"POST", "/session/ses_1/fork", "session_forked ses_1"},
             {"POST", "/session/ses_1/share", "session_shared ses_1"},
             {"DELETE", "/session/ses_1/share", "session_unshared ses_1"},
             {"POST", "/session/ses_1/revert", "session_reverted ses_1"},
             {"POST", "/session/ses_1/unrevert", "session_unreverted ses_1"},
             {"POST", "/api/session/ses_1/revert/stage", "session_reverted ses_1"},
             {"POST", "/api/session/ses_1/revert/clear", "session_unreverted ses_1"},
             {"DELETE", "/session/ses_1/message/msg_1/part/prt_1", "message_deleted ses_1"},
             {"POST", "/pty?cwd=/etc", "terminal_opened"},
             {"DELETE", "/pty/pty_1", "terminal_closed pty_1"},
             {"POST", "/pty/pty_1/connect-token", "terminal_ticket pty_1"},
             {"GET", "/pty/pty_1/connect?ticket=secret", "terminal_connected+ pty_1", true},
             {"GET", "/api/pty/pty_1/connect", "terminal_connected+ pty_1", true},
             {"PATCH", "/config", "config_changed"},
             {"PATCH", "/global/config", "config_changed"},
             {"POST", "/mcp/one/connect", "config_changed"},
             {"PUT", "/auth/anthropic", "credentials_changed"},
             {"DELETE", "/auth/anthropic", "credentials_changed"},
             {"POST", "/provider/x/oauth/callback", "credentials_changed"},
             {"POST", "/vcs/apply", "files_changed"},
             {"POST", "/global/upgrade", "upgraded"},
             {"POST", "/instance/dispose", "disposed"},
             {"POST", "/tui/submit-prompt", "tui_control"},
             {"POST", "/project/prj_1", "change"},
             {"POST", "/no/such/page", "change"},
             {"BREW", "/", "change"},
         })
        EXPECT_EQ(said(one), one.said) << one.method << " " << one.target;
}

TEST(AuditWords, WhatChangesNothingHasNone) {
    for (auto const& one : std::initializer_list<Case>{
             {"GET", "/session/ses_1/message", ""},
             {"HEAD", "/config", ""},
             {"OPTIONS", "/pty", ""},
             {"GET", "/pty/pty_1/connect", ""},
             {"GET", "/event", "", true},
             {"GET", "/", "", true},
             {"POST", "/log", ""},
             {"PUT", "/pty/pty_1", ""},
             {"POST", "/api/session/ses_1/wait", ""},
         })
        EXPECT_EQ(said(one), "") << one.method << " " << one.target;
}

TEST(AuditWords, TheRouteIsTheTemplate) {
    EXPECT_EQ(audit_word_of("POST", "/Session/ses_1/shell", false)->route, "/session/{sessionID}/shell");
    EXPECT_EQ(audit_word_of("POST", "/x", false)->route, "ui");
}

/// A template that a later opencode renames would be told as `change` from then on, and nobody would notice.
TEST(AuditWords, NameOnlyRoutesThatAreThere) {
    std::set<std::string> words;
    for (auto const name : route_table) {
        std::string target;
        for (char const c : name)
            if (c != '{' && c != '}' && c != '*') target += c;
        for (auto const* method : {"POST", "PUT", "PATCH", "DELETE"})
            if (auto const found = audit_word_of(method, target, false)) words.emplace(found->word);
        if (auto const found = audit_word_of("GET", target, true)) words.emplace(found->word);
    }
    EXPECT_THAT(words, testing::ElementsAre("abort", "change", "command", "compaction", "config_changed",
                                            "credentials_changed", "disposed", "files_changed", "message_deleted",
                                            "permission_reply", "permissions_changed", "prompt", "question_reply",
                                            "session_changed", "session_created", "session_deleted", "session_forked",
                                            "session_reverted", "session_shared", "session_unreverted",
                                            "session_unshared", "shell", "terminal_closed", "terminal_connected",
                                            "terminal_opened", "terminal_ticket", "tui_control", "upgraded"));
}

}  // namespace
}  // namespace ocgate::opencode
