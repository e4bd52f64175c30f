// Happenings in, incidents out.
#include "ocgate/bridge/teller.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

namespace ocgate::bridge {
namespace {
using namespace std::chrono_literals;
using namespace opencode;
using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class TellerTest : public testing::Test {
protected:
    TellerTest()
        : teller(TellerNeeds{.raise = [this](notify::Raised raised) { raises.push_back(std::move(raised)); },
                             .resolve =
                                 [this](std::string_view key, std::string_view outcome, std::string_view) {
                                     ends.push_back(std::string(key) + " " + std::string(outcome));
                                 },
                             .resolve_subject =
                                 [this](std::string_view subject, std::string_view outcome) {
                                     ends.push_back("all of " + std::string(subject) + " " + std::string(outcome));
                                 },
                             .wall = [this] { return std::chrono::system_clock::time_point(wall); }},
                 TellerRules{}) {}
    void happens(Happening const& what) { teller.happened(what, now); }
    json facts() const { return json::parse(raises.back().facts); }
    TurnFailed failure(std::string text) const {
        return {.root = root, .session = "ses_1", .name = "APIError", .text = std::move(text)};
    }

    SessionInfo root{.id = "ses_0", .parent = {}, .title = "Fix it", .directory = "/workspaces/shop", .agent = "build"};
    std::vector<notify::Raised> raises;
    std::vector<std::string> ends;
    std::chrono::milliseconds wall{1'700'000'000'000};
    rt::Instant now{1h};
    Teller teller;
};

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
    happens(SessionDeleted{"ses_0"});
    EXPECT_THAT(ends, ElementsAre("all of ses_0 gone"));
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
