// Happenings in, incidents out.
#include "teller_kit.hpp"

namespace ocgate::bridge {
namespace {
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

TEST_F(TellerTest, APermissionOfASubagentIsToldUnderItsRoot) {
    PermissionPending pending;
    pending.permission.id = "per_1";
    pending.permission.session = "ses_child";
    pending.permission.kind = "bash";
    pending.permission.command = "git push";
    pending.permission.patterns = {"git push"};
    pending.root = root;
    happens(pending);
    ASSERT_THAT(raises, SizeIs(1));
    EXPECT_EQ(raises[0].key, "permission/per_1");
    EXPECT_EQ(raises[0].kind, "permission");
    EXPECT_EQ(raises[0].subject, "ses_0");
    EXPECT_EQ(raises[0].weight, notify::Weight::block);
    EXPECT_EQ(facts()["project"], "shop");
    EXPECT_EQ(facts()["session"]["title"], "Fix it");
    EXPECT_EQ(facts()["request"]["command"], "git push");
    EXPECT_EQ(facts()["at_ms"], 1'700'000'000'000);
    happens(PermissionOver{
        .id = "per_1", .session = "ses_child", .outcome = PermissionOver::Outcome::always, .root = root});
    EXPECT_THAT(ends, ElementsAre("permission/per_1 always"));
}

TEST_F(TellerTest, AQuestionSaysWhatIsAsked) {
    QuestionPending pending;
    pending.question.id = "que_1";
    pending.question.asks = {{.header = "Colour", .text = "Which?", .options = {"Red", "Blue"}, .multiple = false}};
    pending.root = root;
    pending.directory = "/elsewhere/api/";
    happens(pending);
    EXPECT_EQ(raises.at(0).key, "question/que_1");
    EXPECT_EQ(facts()["project"], "api");
    EXPECT_EQ(facts()["questions"][0]["options"][1], "Blue");
    happens(QuestionOver{.id = "que_1", .session = "ses_0", .outcome = QuestionOver::Outcome::rejected, .root = root});
    EXPECT_THAT(ends, ElementsAre("question/que_1 rejected"));
}

TEST_F(TellerTest, ABudgetIsToldUnderItsOwnKeyAndIsAboutNoSession) {
    teller.crossed({.key = "budget/day/2026-11-26/1/20",
                    .period = Period::day,
                    .name = "2026-11-26",
                    .spent = 20.5,
                    .usd = 20,
                    .part = 1,
                    .block = true,
                    .refused = true,
                    .until = "2026-11-27 00:00 UTC"});
    ASSERT_THAT(raises, SizeIs(1));
    EXPECT_EQ(raises[0].key, "budget/day/2026-11-26/1/20");
    EXPECT_EQ(raises[0].kind, "budget");
    EXPECT_EQ(raises[0].subject, "budget");
    EXPECT_EQ(raises[0].weight, notify::Weight::error);
    EXPECT_EQ(facts()["at_ms"], 1'700'000'000'000);
    EXPECT_FALSE(facts().contains("project"));
    json const budget{{"period", "day"}, {"name", "2026-11-26"}, {"spent", 20.5},   {"limit", 20.0},
                      {"part", 1.0},     {"block", true},        {"refused", true}, {"until", "2026-11-27 00:00 UTC"}};
    EXPECT_EQ(facts()["budget"], budget);
    EXPECT_THAT(ends, IsEmpty());
}

TEST_F(TellerTest, ACompletionIsToldWhenItTookLong) {
    TurnCompleted turn;
    turn.root = root;
    turn.duration = 19s;
    happens(turn);
    EXPECT_THAT(raises, IsEmpty());
    turn.duration = 20s;
    turn.usage.cost = 0.5;
    turn.words = "Done.";
    happens(turn);
    ASSERT_THAT(raises, SizeIs(1));
    EXPECT_EQ(raises[0].weight, notify::Weight::complete);
    EXPECT_EQ(facts()["turn"]["duration_ms"], 20'000);
    EXPECT_EQ(facts()["turn"]["words"], "Done.");
    wall += 1min;
    happens(turn);
    ASSERT_THAT(raises, SizeIs(2));
    EXPECT_NE(raises[0].key, raises[1].key) << "each turn is one";
}

TEST_F(TellerTest, ATurnThatWasRunningBeforeIsToldHoweverShortItSeemed) {
    TurnCompleted turn;
    turn.root = root;
    turn.duration = 1s;
    turn.seen_from_start = false;
    happens(turn);
    EXPECT_THAT(raises, SizeIs(1));
}

TEST_F(TellerTest, AnAbortIsNeitherAnErrorNorACompletion) {
    happens(TurnAborted{root});
    EXPECT_THAT(raises, IsEmpty());
    EXPECT_THAT(ends, IsEmpty());
}

TEST_F(TellerTest, TheSameErrorIsToldOnceInTenMinutes) {
    happens(failure("quota exceeded, retry in 31 s, request 8812"));
    now += 9min + 59s;
    happens(failure("quota exceeded, retry in 7 s, request 99"));
    EXPECT_THAT(raises, SizeIs(1));
    happens(failure("another one"));
    EXPECT_THAT(raises, SizeIs(2));
    now += 1s;
    wall += 10min;
    happens(failure("quota exceeded, retry in 1 s, request 1"));
    EXPECT_THAT(raises, SizeIs(3));
}

TEST_F(TellerTest, RemembersABoundedNumberOfErrors) {
    happens(failure("first"));
    for (std::size_t i = 0; i < Teller::max_errors; ++i) {
        now += 1ms;
        happens(failure(std::string(i % 26 + 1, static_cast<char>('a' + i / 26 % 26)) + std::string(i / 676, '!')));
    }
    auto const before = raises.size();
    happens(failure("first"));
    EXPECT_EQ(raises.size(), before + 1) << "forgotten, the oldest first";
}

TEST_F(TellerTest, AProviderThatFailsAgainAndAgainIsToldOnceAndItsEndAsWell) {
    for (unsigned attempt = 1; attempt <= 6; ++attempt) {
        happens(Retrying{.root = root, .session = "ses_1", .attempt = attempt, .message = "overloaded"});
    }
    ASSERT_THAT(raises, SizeIs(1));
    EXPECT_EQ(raises[0].kind, "retry");
    EXPECT_EQ(facts()["retry"]["attempt"], 3);
    happens(RetryOver{.root = root, .session = "ses_1", .recovered = true});
    happens(RetryOver{.root = root, .session = "ses_1", .recovered = true});
    EXPECT_THAT(ends, ElementsAre(raises[0].key + " recovered"));
}

TEST_F(TellerTest, ADeletedSessionTakesWhatIsAboutItAlong) {
    happens(failure("one"));
    root.id = "ses_other";
    happens(failure("two"));
    happens(Retrying{.root = root, .session = "ses_1", .attempt = 3, .message = "overloaded"});
    happens(SessionDeleted{"ses_0"});
    EXPECT_THAT(ends, ElementsAre(raises[0].key + " gone"));
    happens(SessionDeleted{"ses_1"});
    EXPECT_THAT(ends, ElementsAre(raises[0].key + " gone", raises[2].key + " gone"))
        << "a subagent, of a root that lives";
}

TEST_F(TellerTest, SaysWhoAnswered) {
    answered_by = {{"per_1", "alice"}, {"que_1", "bob"}, {"per_2", "carol"}};
    happens(PermissionOver{.id = "per_1", .session = "ses_0", .outcome = PermissionOver::Outcome::once, .root = root});
    happens(QuestionOver{.id = "que_1", .session = "ses_0", .outcome = QuestionOver::Outcome::answered, .root = root});
    happens(PermissionOver{.id = "per_2", .session = "ses_0", .outcome = PermissionOver::Outcome::gone, .root = root});
    happens(
        PermissionOver{.id = "per_3", .session = "ses_0", .outcome = PermissionOver::Outcome::reject, .root = root});
    EXPECT_THAT(ends, ElementsAre("permission/per_1 once by alice", "question/que_1 answered by bob",
                                  "permission/per_2 gone", "permission/per_3 reject"))
        << "whoever tried, nobody answered what is gone";
}

TEST_F(TellerTest, ATurnThatBeginsEndsWhatWasSaidOfTheLastOne) {
    TurnCompleted turn;
    turn.root = root;
    turn.duration = 1min;
    happens(turn);
    happens(failure("it broke"));
    PermissionPending pending;
    pending.permission.id = "per_1";
    pending.root = root;
    happens(pending);
    happens(Retrying{.root = root, .session = "ses_0", .attempt = 3, .message = "overloaded"});
    auto const root_0 = root;
    root.id = "ses_other";
    turn.root = root;
    happens(turn);
    happens(TurnBegan{root_0});
    EXPECT_THAT(ends, ElementsAre(raises[0].key + " continued", raises[1].key + " continued"));
}

TEST_F(TellerTest, ATurnWhoseBeginningWasNotHeardTookAtLeastSoLong) {
    TurnCompleted turn;
    turn.root = root;
    turn.duration = 1min;
    happens(turn);
    EXPECT_FALSE(facts()["turn"].contains("at_least"));
    turn.seen_from_start = false;
    happens(turn);
    EXPECT_EQ(facts()["turn"]["at_least"], true);
}

TEST_F(TellerTest, ASummaryAloneIsNoWorkThatIsDone) {
    TurnCompleted turn;
    turn.root = root;
    turn.duration = 1min;
    turn.agent = "compaction";
    turn.words = "The conversation so far";
    turn.steps = 1;
    happens(turn);
    EXPECT_THAT(raises, IsEmpty());
    turn.steps = 3;
    happens(turn);
    ASSERT_THAT(raises, SizeIs(1)) << "one that came when the work was done";
    EXPECT_FALSE(facts()["turn"].contains("words")) << "what it wrote is not for people";
    EXPECT_EQ(facts()["agent"], "build");
}

// ---- opencode itself

TEST_F(TellerTest, TellsOnceThatOpencodeIsDownAndThatItIsBack) {
    teller.upstream(true, {}, now);
    EXPECT_THAT(raises, IsEmpty());
    teller.upstream(false, "connection refused", now);
    teller.upstream(false, "timed out", now);
    ASSERT_THAT(raises, SizeIs(1));
    EXPECT_EQ(raises[0].key, "upstream_down/1700000000000");
    EXPECT_EQ(raises[0].kind, "upstream_down");
    EXPECT_EQ(raises[0].subject, "upstream");
    EXPECT_EQ(raises[0].weight, notify::Weight::block);
    EXPECT_EQ(facts()["upstream"]["why"], "connection refused");
    EXPECT_EQ(facts()["upstream"]["since_ms"], 1'700'000'000'000);
    wall += 1min;
    teller.upstream(true, {}, now);
    teller.upstream(true, {}, now);
    EXPECT_THAT(ends, ElementsAre("upstream_down/1700000000000 recovered"));
    teller.upstream(false, "connection refused", now);
    ASSERT_THAT(raises, SizeIs(2));
    EXPECT_EQ(raises[1].key, "upstream_down/1700000060000");
}

TEST_F(TellerTest, IsDownFromTheFirst) {
    teller.upstream(false, "connection refused", now);
    EXPECT_THAT(raises, SizeIs(1));
}

// ---- an error nobody heard of

TEST_F(TellerTest, AnErrorThatNobodyHeardOfIsNewsStill) {
    happens(failure("it broke"));
    teller.never_told(raises[0]);
    wall += 1s;
    happens(failure("it broke"));
    EXPECT_THAT(raises, SizeIs(2));
    teller.never_told(raises[0]);
    happens(failure("it broke"));
    EXPECT_THAT(raises, SizeIs(2)) << "the second one may have been told";
}

TEST_F(TellerTest, TextThatIsNoUtf8IsNoReasonToSayNothing) {
    root.title = "bad \xff title";
    happens(failure("\xc3"));
    EXPECT_TRUE(json::accept(raises.at(0).facts));
}

TEST(TellerNames, AProjectIsCalledByTheLastPartOfItsPath) {
    EXPECT_EQ(Teller::project_of("/workspaces/shop"), "shop");
    EXPECT_EQ(Teller::project_of("/workspaces/shop/"), "shop");
    EXPECT_EQ(Teller::project_of("/"), "/");
    EXPECT_EQ(Teller::project_of(""), "");
}

}  // namespace
}  // namespace ocgate::bridge
