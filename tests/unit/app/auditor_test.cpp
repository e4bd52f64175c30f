// Who did what, as the audit words it.
#include "auditor.hpp"

#include <gmock/gmock.h>

#include "audit_kit.hpp"

namespace ocgate::app {
namespace {
using namespace std::chrono_literals;
using nlohmann::json;
using opencode::PermissionOver;
using opencode::QuestionOver;
using testing::HasSubstr;
using testing::Not;

proxy::Deed deed(std::string_view method, std::string_view target, bool websocket = false) {
    return {.method = method,
            .target = target,
            .user = "alice",
            .client_address = "192.0.2.7",
            .request_id = "7f3a",
            .websocket = websocket};
}

opencode::Happening asks(std::string id, std::string command = "git push") {
    opencode::PermissionPending pending;
    pending.permission.id = std::move(id);
    pending.permission.session = "ses_2";
    pending.permission.kind = "bash";
    pending.permission.command = std::move(command);
    pending.permission.patterns = {"git push *", "git *"};
    pending.permission.always = {"git *"};
    pending.root.id = "ses_1";
    return pending;
}
opencode::Happening over(std::string id, PermissionOver::Outcome outcome) {
    return PermissionOver{
        std::move(id), "ses_2", outcome, {.id = "ses_1", .parent = {}, .title = {}, .directory = {}, .agent = {}}};
}
opencode::Act reply(std::string request) { return {opencode::Act::Kind::permission, {}, std::move(request)}; }
Who who(std::string user, std::string id) { return {std::move(user), "192.0.2.9", std::move(id)}; }

TEST(Auditor, ARequestHasALineWithoutItsQuery) {
    AuditFile file;
    file.auditor().began(deed("DELETE", "/session/ses_1?directory=/secret"));
    file.auditor().ended(deed("DELETE", "/session/ses_1"), 200, 12ms);
    auto const lines = file.lines();
    ASSERT_EQ(lines.size(), 1u) << "it does not last";
    auto entry = lines[0];
    entry.erase("time");
    EXPECT_EQ(entry, json::parse(R"({"level":"info","kind":"audit","event":"session_deleted","request_id":"7f3a",
        "user":"alice","client":"192.0.2.7","method":"DELETE","route":"/session/{sessionID}","path":"/session/ses_1",
        "session":"ses_1","status":200,"outcome":"done","duration_ms":12})"));
}

TEST(Auditor, WhatLastsHasOneWhenItBeginsToo) {
    AuditFile file;
    auto const connect = deed("GET", "/pty/pty_1/connect?ticket=s3cret", true);
    file.auditor().began(connect);
    file.auditor().ended(deed("GET", "/pty/pty_1/connect", true), 101, 2h);
    file.auditor().began(deed("POST", "/session/ses_1/message?directory=/d"));
    file.auditor().ended(deed("POST", "/session/ses_1/message"), 0, 1s);
    auto const lines = file.lines();
    ASSERT_EQ(lines.size(), 4u);
    EXPECT_EQ(lines[0]["event"], "terminal_connected");
    EXPECT_EQ(lines[0]["outcome"], "begun");
    EXPECT_EQ(lines[0]["path"], "/pty/pty_1/connect");
    EXPECT_EQ(lines[0]["terminal"], "pty_1");
    EXPECT_FALSE(lines[0].contains("status"));
    EXPECT_EQ(lines[1]["status"], 101);
    EXPECT_EQ(lines[1]["outcome"], "done");
    EXPECT_EQ(lines[1]["duration_ms"], 7'200'000);
    EXPECT_EQ(lines[3]["outcome"], "unanswered");
    for (auto const& line : lines)
        EXPECT_THAT(line.dump(), Not(testing::AnyOf(HasSubstr("s3cret"), HasSubstr("directory"))));
}

TEST(Auditor, SaysHowItEnded) {
    AuditFile file;
    for (unsigned const status : {204u, 302u, 404u, 429u, 502u})
        file.auditor().ended(deed("POST", "/session"), status, 1ms);
    std::vector<std::string> outcomes;
    for (auto const& line : file.lines()) outcomes.push_back(line["outcome"]);
    EXPECT_THAT(outcomes, testing::ElementsAre("done", "done", "refused", "refused", "failed"));
}

TEST(Auditor, OwnPagesAreToldWithWhatTheyWereAsked) {
    AuditFile file;
    file.auditor().began(deed("POST", "/_ocgate/notifications/mute"));
    file.auditor().ended(deed("POST", "/_ocgate/notifications/mute"), 200, 1ms);
    proxy::PageRequest request;
    request.method = "POST";
    request.user = "control socket";
    request.client_address = "unix";
    auto const asked = [&](std::string target, std::string body, unsigned status = 200) {
        request.target = "/_ocgate" + std::move(target);
        request.body = std::move(body);
        file.auditor().page(request, {.status = status, .body = {}});
    };
    asked("/notifications/mute?x=y", R"({"for":"2h","session":"ses_1"})");
    asked("/notifications/test", R"({"target":"phone"})");
    asked("/notifications/targets/pager/enable", "");
    asked("/notifications/mute", "[1", 400);
    asked("/nowhere", "", 404);
    auto const lines = file.lines();
    ASSERT_EQ(lines.size(), 4u);
    EXPECT_EQ(lines[0]["event"], "notification_mute");
    EXPECT_EQ(lines[0]["for"], "2h");
    EXPECT_EQ(lines[0]["session"], "ses_1");
    EXPECT_EQ(lines[0]["user"], "control socket");
    EXPECT_EQ(lines[0]["path"], "/_ocgate/notifications/mute");
    EXPECT_EQ(lines[1]["event"], "notification_test");
    EXPECT_EQ(lines[1]["target"], "phone");
    EXPECT_EQ(lines[2]["event"], "target_enabled");
    EXPECT_EQ(lines[2]["target"], "pager");
    EXPECT_EQ(lines[3]["outcome"], "refused");
}

TEST(Auditor, APermissionIsToldWithItsAnswerAndWhoGaveIt) {
    AuditFile file;
    auto& auditor = file.auditor();
    auditor.happened(
        asks("per_1", "curl -H 'Authorization: Bearer sk-ant-api03-abcdefghijklmnopqrstuvwxyz'\n https://x"));
    auditor.answering(reply("per_1"), who("alice", "r1"));
    auditor.happened(over("per_1", PermissionOver::Outcome::always));
    auto const lines = file.lines();
    ASSERT_EQ(lines.size(), 1u);
    auto const& line = lines[0];
    EXPECT_EQ(line["event"], "permission_answered");
    EXPECT_EQ(line["request"], "per_1");
    EXPECT_EQ(line["session"], "ses_2");
    EXPECT_EQ(line["root"], "ses_1");
    EXPECT_EQ(line["permission"], "bash");
    EXPECT_THAT(line["command"].get<std::string>(), testing::StartsWith("curl "));
    EXPECT_THAT(line.dump(), Not(HasSubstr("abcdefghij"))) << "a key";
    EXPECT_EQ(line["patterns"], "git push *, git *");
    EXPECT_EQ(line["always"], "git *");
    EXPECT_EQ(line["reply"], "always");
    EXPECT_EQ(line.value("by", "nobody"), "alice");
    EXPECT_EQ(line.value("client", ""), "192.0.2.9");
    EXPECT_EQ(line.value("request_id", ""), "r1");
}

TEST(Auditor, OfSeveralAnswersTheFirstThatWasTakenCounts) {
    AuditFile file;
    auto& auditor = file.auditor();
    auditor.happened(asks("per_1"));
    auditor.answering(reply("per_1"), who("mallory", "r1"));
    auditor.answering(reply("per_1"), who("alice", "r2"));
    auditor.answering(reply("per_1"), who("bob", "r3"));
    auditor.not_taken("r1");
    auditor.happened(over("per_1", PermissionOver::Outcome::once));
    auditor.happened(asks("per_1"));
    auditor.happened(over("per_1", PermissionOver::Outcome::reject));
    auto const lines = file.lines();
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0]["by"], "alice");
    EXPECT_EQ(lines[1]["by"], "") << "an answer counts once";
    EXPECT_FALSE(lines[1].contains("request_id"));
}

TEST(Auditor, AnAnswerThatNobodyGaveHereIsNobodys) {
    AuditFile file;
    auto& auditor = file.auditor();
    auditor.happened(over("per_0", PermissionOver::Outcome::once));
    auditor.happened(asks("per_1"));
    auditor.answering(reply("per_1"), who("alice", "r1"));
    auditor.happened(over("per_1", PermissionOver::Outcome::gone));
    auditor.answering({opencode::Act::Kind::other, "ses_1", {}}, who("bob", "r2"));
    auto const lines = file.lines();
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0]["by"], "");
    EXPECT_FALSE(lines[0].contains("permission")) << "not known";
    EXPECT_EQ(lines[1]["by"], "") << "it went without an answer";
    EXPECT_EQ(lines[1]["reply"], "gone");
}

TEST(Auditor, QuestionsToo) {
    AuditFile file;
    opencode::QuestionPending pending;
    pending.question.id = "que_1";
    pending.question.asks = {{"Colour", "Which\x1b[31m colour?", {"Red"}, false}};
    file.auditor().happened(pending);
    file.auditor().answering({opencode::Act::Kind::question, {}, "que_1"}, who("bob", "r1"));
    file.auditor().happened(QuestionOver{"que_1", "ses_1", QuestionOver::Outcome::rejected, {}});
    auto const lines = file.lines();
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0]["event"], "question_answered");
    EXPECT_EQ(lines[0]["question"], "Which [31m colour?");
    EXPECT_EQ(lines[0]["reply"], "rejected");
    EXPECT_EQ(lines[0]["by"], "bob");
}

TEST(Auditor, RemembersABoundedNumber) {
    AuditFile file;
    auto& auditor = file.auditor();
    for (std::size_t i = 0; i < 2 * Auditor::max_pending; ++i)
        auditor.happened(asks("per_" + std::to_string(i), std::string(5'000, 'x')));
    for (std::size_t i = 0; i < 2 * Auditor::max_answers; ++i)
        auditor.answering(reply("per_" + std::to_string(i)), who("u" + std::to_string(i), "r"));
    for (std::size_t i : {std::size_t{0}, 2 * Auditor::max_answers - 1, 2 * Auditor::max_pending - 1})
        auditor.happened(over("per_" + std::to_string(i), PermissionOver::Outcome::once));
    auto const lines = file.lines();
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_EQ(lines[0]["by"], "");
    EXPECT_LT(lines[0].dump().size(), 2'500u);
    EXPECT_EQ(lines[1]["by"], "u511");
    EXPECT_FALSE(lines[2].contains("permission"));
}

}  // namespace
}  // namespace ocgate::app
