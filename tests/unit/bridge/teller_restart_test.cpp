// A restart: another teller, the same incidents. And what was told as gone and waits still.
#include "ocgate/notify/outbox.hpp"
#include "teller_kit.hpp"

namespace ocgate::bridge {
namespace {
using Outcome = PermissionOver::Outcome;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class TellerRestart : public TellerTest {
protected:
    /// What the outbox kept of all that was raised so far.
    void restart() {
        left = std::exchange(raises, {});
        ends.clear();
        teller = Teller(needs(), TellerRules{});
    }
    void takes_up() {
        for (auto const& raised : left) teller.knows(raised, now);
    }
    void looks(std::set<std::string> const& retrying) {
        teller.looked("/workspaces/shop",
                      [&](std::string_view session) { return retrying.contains(std::string(session)); });
    }
    Retrying retrying(unsigned attempt) const {
        return {.root = root, .session = "ses_1", .attempt = attempt, .message = "overloaded"};
    }
    std::vector<notify::Raised> left;
};

TEST_F(TellerRestart, AnErrorIsNotToldAgainTooSoon) {
    happens(failure("quota exceeded, retry in 31 s"));
    restart();
    now += 4min;
    wall += 4min;
    takes_up();
    happens(failure("quota exceeded, retry in 7 s"));
    now += 5min + 59s;
    happens(failure("quota exceeded, retry in 7 s"));
    EXPECT_THAT(raises, IsEmpty());
    now += 1s;
    happens(failure("quota exceeded, retry in 7 s"));
    EXPECT_THAT(raises, SizeIs(1));
}

TEST_F(TellerRestart, OpencodeThatIsDownStillIsNotToldAgain) {
    teller.upstream(false, "connection refused", now);
    restart();
    takes_up();
    teller.upstream(false, "connection refused", now);
    EXPECT_THAT(raises, IsEmpty());
    raises = left;
    teller.upstream(true, {}, now);
    EXPECT_THAT(ends, ElementsAre(left[0].key + " recovered"));
}

TEST_F(TellerRestart, OpencodeThatWasFoundUpIsBack) {
    teller.upstream(false, "connection refused", now);
    restart();
    teller.upstream(true, {}, now);
    takes_up();
    EXPECT_THAT(ends, ElementsAre(left[0].key + " recovered"));
    teller.upstream(false, "connection refused", now);
    EXPECT_THAT(raises, SizeIs(1)) << "down once more";
}

TEST_F(TellerRestart, AProviderThatFailsStillIsNotToldAgain) {
    happens(retrying(3));
    restart();
    takes_up();
    happens(TurnBegan{root});
    happens(retrying(7));
    looks({"ses_1"});
    EXPECT_THAT(raises, IsEmpty());
    EXPECT_THAT(ends, IsEmpty());
    happens(RetryOver{.root = root, .session = "ses_1", .recovered = true});
    EXPECT_THAT(ends, ElementsAre(left[0].key + " recovered"));
}

TEST_F(TellerRestart, AProviderThatFailsNoMoreIsOverWhenSomebodyLooks) {
    happens(retrying(3));
    restart();
    takes_up();
    teller.looked("/elsewhere", [](std::string_view) { return false; });
    EXPECT_THAT(ends, IsEmpty());
    looks({});
    looks({});
    EXPECT_THAT(ends, ElementsAre(left[0].key + " over"));
    happens(retrying(3));
    EXPECT_THAT(raises, SizeIs(1)) << "another time";
    looks({});
    EXPECT_THAT(ends, SizeIs(1)) << "its end will be told";
}

TEST_F(TellerRestart, AProviderThatFailsNoMoreIsOverWithTheTurn) {
    happens(retrying(3));
    restart();
    for (auto const& [happening, outcome] : std::vector<std::pair<Happening, std::string>>{
             {TurnCompleted{.root = root, .usage = {}, .agent = {}, .words = {}}, " recovered"},
             {failure("gave up"), " given up"},
             {TurnAborted{root}, " given up"}}) {
        ends.clear();
        takes_up();
        happens(happening);
        EXPECT_THAT(ends, ElementsAre(left[0].key + outcome));
    }
}

TEST_F(TellerRestart, AFailingProviderThatWasHeardOfFirstIsToldOnce) {
    happens(retrying(3));
    restart();
    wall += 1s;
    happens(retrying(4));
    ASSERT_THAT(raises, SizeIs(1));
    takes_up();
    EXPECT_THAT(ends, ElementsAre(raises[0].key + " gone")) << "held, and told to nobody";
    happens(RetryOver{.root = root, .session = "ses_1", .recovered = true});
    EXPECT_THAT(ends.back(), left[0].key + " recovered");
}

TEST_F(TellerRestart, BearsWhateverItIsGiven) {
    for (auto const* facts : {"", "{", "[]", "null", R"({"at_ms":"x","error":1,"project":[]})"}) {
        for (auto const* kind : {"error", "retry", "upstream_down", "complete", "new"}) {
            teller.knows({.key = std::string(kind) + "/", .kind = kind, .subject = "", .facts = facts}, now);
        }
    }
    EXPECT_THAT(raises, IsEmpty());
}

TEST_F(TellerRestart, AnOutageThatIsProbedFirstIsToldOnce) {
    teller.upstream(false, "connection refused", now);
    auto const first = raises[0].key;
    restart();
    wall += 5min;
    teller.upstream(false, "connection refused", now);  // before the outbox was read
    ASSERT_THAT(raises, SizeIs(1));
    auto const second = raises[0].key;
    takes_up();
    EXPECT_THAT(ends, ElementsAre(second + " gone")) << "held, and told to nobody";
    takes_up();
    EXPECT_THAT(ends, SizeIs(1)) << "read once more";
    raises = left;
    teller.upstream(true, {}, now);
    EXPECT_THAT(ends.back(), first + " recovered");
    wall += 1min;
    teller.upstream(false, "connection refused", now);
    EXPECT_THAT(ends, SizeIs(2)) << "another outage";
    EXPECT_EQ(raises.back().key, "upstream_down/1700000360000");
}

TEST_F(TellerRestart, OfTwoThatTellOfOneOutageTheEarlierStays) {
    teller.upstream(false, "connection refused", now);
    left = {raises[0], raises[0]};
    left[0].key = "upstream_down/1700000060000";  // as earlier versions left them
    raises.clear();
    teller = Teller(needs(), TellerRules{});
    takes_up();
    EXPECT_THAT(ends, ElementsAre("upstream_down/1700000060000 gone"));
}

// ---- told as gone, and waiting still

TEST_F(TellerTest, WhatIsPendingAgainIsANewIncident) {
    asks("per_1");
    is_over("per_1", Outcome::gone);
    asks("per_1", true);
    EXPECT_EQ(facts()["request_id"], "per_1");
    is_over("per_1", Outcome::gone);
    wall += 1s;
    asks("per_1", true);
    is_over("per_1", Outcome::once);
    EXPECT_THAT(keys(),
                ElementsAre("permission/per_1", "permission/per_1/1700000000000", "permission/per_1/1700000001000"));
    EXPECT_THAT(ends, ElementsAre("permission/per_1 gone", "permission/per_1/1700000000000 gone",
                                  "permission/per_1/1700000001000 once"));
}

TEST_F(TellerTest, AQuestionThatIsPendingAgainIsANewIncident) {
    QuestionPending pending;
    pending.question.id = "que_1";
    pending.root = root;
    pending.again = true;
    happens(pending);
    happens(QuestionOver{.id = "que_1", .session = "ses_0", .outcome = QuestionOver::Outcome::answered, .root = root});
    EXPECT_THAT(keys(), ElementsAre("question/que_1/1700000000000"));
    EXPECT_THAT(ends, ElementsAre("question/que_1/1700000000000 answered"));
}

TEST_F(TellerRestart, TheSecondIncidentOfARequestIsKnownAndEnds) {
    asks("per_1", true);
    restart();
    takes_up();
    wall += 1min;
    asks("per_1");
    EXPECT_THAT(keys(), ElementsAre(left[0].key)) << "known to whoever has taken it up";
    is_over("per_1", Outcome::once);
    EXPECT_THAT(ends, ElementsAre(left[0].key + " once"));
}

TEST_F(TellerRestart, WhatWaitsNoMoreIsForgotten) {
    asks("per_1", true);
    restart();
    takes_up();
    EXPECT_EQ(Teller::request_of(left[0]), "per_1");
    teller.waits_no_more(left[0].key);
    EXPECT_THAT(ends, ElementsAre(left[0].key + " gone"));
    asks("per_1");
    EXPECT_THAT(keys(), ElementsAre("permission/per_1"));
    EXPECT_EQ(Teller::request_of({.key = "permission/per_1", .kind = "permission", .subject = "ses_0", .facts = "{}"}),
              "per_1")
        << "as earlier versions wrote it";
}

TEST_F(TellerTest, SaysOfWhatTheNewerApiAsksThatItStandsInNoList) {
    PermissionPending pending;
    pending.permission.id = "per_1";
    pending.root = root;
    happens(pending);
    EXPECT_TRUE(Teller::stands_in_a_list(raises.back()));
    pending.permission.newer = true;
    happens(pending);
    EXPECT_FALSE(Teller::stands_in_a_list(raises.back()));
}

// ---- as much as the outbox takes

TEST_F(TellerTest, WhateverIsAskedTheOutboxTakesIt) {
    auto const kept = [&] {
        auto outbox = std::move(*notify::Outbox::in_memory());
        auto const& one = raises.back();
        auto const taken = outbox.raise(
            {.key = one.key, .kind = one.kind, .subject = one.subject, .weight = one.weight, .facts = one.facts}, 1);
        EXPECT_TRUE(taken.has_value()) << one.facts.size() << " bytes";
        EXPECT_LE(one.facts.size(), 48u * 1024);
    };
    // As much as the dialect keeps, of what JSON writes longest, and of what may be cut in the middle of a character.
    for (std::string const text : {"\x01", "\"", "\xc3\xa9"}) {
        auto const texts = [&](std::size_t bytes) {
            std::string made;
            while (made.size() + text.size() <= bytes) made += text;
            return made;
        };
        root.title = texts(200);
        PermissionPending pending;
        pending.permission.id = "per_1";
        pending.permission.command = texts(4000);
        pending.permission.patterns.assign(16, texts(500));
        pending.permission.always = pending.permission.patterns;
        pending.root = root;
        pending.directory = "/" + texts(4000);
        happens(pending);
        kept();
        EXPECT_EQ(facts()["directory"], pending.directory) << "an answer has to name it";
        EXPECT_EQ(facts()["request"]["patterns"].size(), 16u);
        EXPECT_FALSE(facts()["request"]["command"].get<std::string>().empty());
        QuestionPending questions;
        questions.question.id = "que_1";
        Question::Ask const ask{texts(200), texts(2000), std::vector<std::string>(16, texts(200)), false};
        questions.question.asks.assign(8, ask);
        questions.root = root;
        questions.directory = pending.directory;
        happens(questions);
        kept();
        EXPECT_EQ(facts()["questions"].size(), 8u);
        EXPECT_EQ(facts().dump().find("\xef\xbf\xbd"), std::string::npos) << "cut within a character";
    }
}

TEST_F(TellerTest, WhatFitsIsKeptAsItIs) {
    PermissionPending pending;
    pending.permission.id = "per_1";
    pending.permission.command = std::string(4000, 'x');
    pending.root = root;
    happens(pending);
    EXPECT_EQ(facts()["request"]["command"], pending.permission.command);
}

}  // namespace
}  // namespace ocgate::bridge
