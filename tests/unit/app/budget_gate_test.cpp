// Who was let in, and has a prompt that nobody wants to pay for any more.
#include "budget_gate.hpp"

#include <gmock/gmock.h>

#include "support/bench.hpp"

namespace ocgate::app {
namespace {
using namespace std::chrono_literals;
using bridge::Period;
using bridge::Purse;
using proxy::Decision;
using Kind = proxy::Decision::Kind;

/// Decides as it is told.
class Doorman final : public proxy::Gatekeeper {
public:
    bool trusts(std::string_view peer) override { return peer == "10.0.0.1"; }
    Decision consider(proxy::Visit const&) override { return decision; }
    rt::Task<Decision> verify(proxy::Visit const&) override {
        auto decided = decision;
        decided.kind = Kind::admitted;
        co_return decided;
    }
    bool watches(proxy::Visit const&) override { return watching; }
    void saw_answer(std::string_view target, unsigned, std::string_view, std::string_view) override { seen = target; }

    Decision decision{.kind = Kind::admitted, .user = "alice", .client_address = "192.0.2.1"};
    bool watching = false;
    std::string seen;
};

class BudgetGateTest : public testing::Test {
protected:
    Decision ask(std::string_view method, std::string_view target) {
        wire::RequestHead head;
        head.method = method;
        head.target = target;
        return gate.consider({.head = head, .peer = "192.0.2.1", .request_id = "7f3a"});
    }
    void close(Period period = Period::day) { block->set(Purse::Blocked{period, until}); }

    BudgetBlock::Time const until = std::chrono::sys_days(2026y / 11 / 27);
    BudgetBlock::Time now = until - 90s;
    std::shared_ptr<Doorman> doorman = std::make_shared<Doorman>();
    std::shared_ptr<BudgetBlock> block = std::make_shared<BudgetBlock>();
    BudgetGate gate{doorman, block, [this] { return now; }};
};

constexpr std::string_view prompt = "/session/ses_1/message";

TEST_F(BudgetGateTest, LetsEverythingInUntilTheBudgetIsSpent) {
    EXPECT_EQ(ask("POST", prompt).kind, Kind::admitted);
    close();
    auto const refused = ask("POST", prompt);
    EXPECT_EQ(refused.kind, Kind::refused);
    EXPECT_EQ(status_for(refused.refusal.failure), 429U);
    EXPECT_EQ(reason_of(refused.refusal.failure), Reason::over_budget);
    EXPECT_EQ(to_string(reason_of(refused.refusal.failure)), "over_budget");
    EXPECT_EQ(refused.refusal.retry_after, 90s);
    EXPECT_THAT(refused.refusal.message, testing::HasSubstr("day's budget"));
    EXPECT_EQ(refused.user, "alice") << "for the log";
    EXPECT_EQ(block->refusals(), 1U);
    close(Period::month);
    EXPECT_THAT(ask("POST", prompt).refusal.message, testing::HasSubstr("month's budget"));
    block->set({});
    EXPECT_EQ(ask("POST", prompt).kind, Kind::admitted);
    EXPECT_EQ(block->refusals(), 2U);
}

TEST_F(BudgetGateTest, OpensByItselfWhenThePeriodIsOver) {
    close();
    now = until - 1ms;
    EXPECT_EQ(ask("POST", prompt).refusal.retry_after, 1s) << "never 0: that would be no time at all";
    now = until;
    EXPECT_EQ(ask("POST", prompt).kind, Kind::admitted);
}

// However it is spelled: what the server takes for a prompt is one (opencode::starts_work has the whole table).
TEST_F(BudgetGateTest, NoSpellingGetsPast) {
    close();
    for (auto const* target :
         {"/session/ses_1/message", "/SESSION/ses_1/Message", "//session//ses_1//message//", "/session/ses_1/message/",
          "/session/ses_1/%6dessage", "/%73ession/ses_1/message", "/session/ses_1/m%65ssag%65?directory=/x",
          "/session/ses_1/prompt_async", "/session/ses_1/PROMPT%5fASYNC", "/session/ses_1/command",
          "/session/ses_1/summarize", "/session/ses_1/init", "/api/session/ses_1/prompt", "/API//session/ses_1/prompt/",
          "/api/session/ses_1/compact"}) {
        EXPECT_EQ(ask("POST", target).kind, Kind::refused) << target;
        EXPECT_EQ(ask("post", target).kind, Kind::refused) << target;
        EXPECT_EQ(ask("GET", target).kind, Kind::admitted) << target;
    }
}

TEST_F(BudgetGateTest, EverythingElsePasses) {
    close();
    for (auto const* target : {"/session", "/session/ses_1/abort", "/session/ses_1/shell", "/permission/per_1/reply",
                               "/session/ses_1/permissions/per_1", "/question/que_1/reply", "/pty", "/_ocgate/pending"})
        EXPECT_EQ(ask("POST", target).kind, Kind::admitted) << target;
    EXPECT_EQ(block->refusals(), 0U);
}

TEST_F(BudgetGateTest, WhoIsNotLetInIsToldThatAndNothingOfMoney) {
    close();
    doorman->decision.kind = Kind::refused;
    doorman->decision.refusal = {{Side::client, Step::admission, Reason::unauthorized}, "log in first"};
    EXPECT_EQ(reason_of(ask("POST", prompt).refusal.failure), Reason::unauthorized);
    doorman->decision.kind = Kind::undecided;
    EXPECT_EQ(ask("POST", prompt).kind, Kind::undecided);
    EXPECT_EQ(block->refusals(), 0U);
}

TEST_F(BudgetGateTest, APasswordThatHadToBeHashedChangesNothing) {
    test::Bench bench;
    wire::RequestHead head;
    head.method = "POST";
    head.target = prompt;
    proxy::Visit const visit{.head = head, .peer = "192.0.2.1", .request_id = "7f3a"};
    auto const open = bench.start(gate.verify(visit));
    EXPECT_EQ((*open)->kind, Kind::admitted);
    close();
    auto const closed = bench.start(gate.verify(visit));
    EXPECT_EQ((*closed)->kind, Kind::refused);
}

TEST_F(BudgetGateTest, TheRestIsTheGatekeepersOwnAffair) {
    EXPECT_TRUE(gate.trusts("10.0.0.1"));
    EXPECT_FALSE(gate.trusts("10.0.0.2"));
    wire::RequestHead head;
    EXPECT_FALSE(gate.watches({head, "192.0.2.1", "r1"}));
    doorman->watching = true;
    EXPECT_TRUE(gate.watches({head, "192.0.2.1", "r1"}));
    gate.saw_answer("/pty/x/connect-token", 200, "{}", "alice");
    EXPECT_EQ(doorman->seen, "/pty/x/connect-token");
}

}  // namespace
}  // namespace ocgate::app
