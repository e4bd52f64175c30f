// What waits for an answer; what is true after a gap; what is forgotten when there is too much.
#include <algorithm>

#include "model_kit.hpp"

namespace ocgate::opencode {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(ModelTest, APermissionIsToldOnceAndItsAnswerOnce) {
    a_running_root();
    EXPECT_EQ(asks("per_1", "ses_1"), Words{"per_1 pending: bash ls, ses_1"});
    EXPECT_THAT(asks("per_1", "ses_1"), IsEmpty());
    EXPECT_TRUE(model.is_pending("per_1"));
    EXPECT_EQ(replied("per_1", "once"), Words{"per_1 over: once"});
    EXPECT_THAT(replied("per_1", "once"), IsEmpty());
    EXPECT_THAT(asks("per_1", "ses_1"), IsEmpty()) << "late";
    EXPECT_FALSE(model.is_pending("per_1"));
    for (std::string const reply : {"always", "reject"}) {
        asks("per_" + reply, "ses_1");
        EXPECT_EQ(replied("per_" + reply, reply), Words{"per_" + reply + " over: " + reply});
    }
    EXPECT_THAT(replied("per_9", "once"), IsEmpty()) << "answered before it was asked";
    EXPECT_THAT(asks("per_9", "ses_1"), IsEmpty());
}

TEST_F(ModelTest, AQuestionLikewise) {
    a_running_root();
    EXPECT_EQ(asks(question("que_1", "ses_1")), Words{"que_1 pending: Colour, ses_1"});
    EXPECT_THAT(asks(question("que_1", "ses_1")), IsEmpty());
    EXPECT_EQ(apply(QuestionAnswered{"ses_1", "que_1", false}), Words{"que_1 over: answered"});
    EXPECT_THAT(apply(QuestionAnswered{"ses_1", "que_1", true}), IsEmpty());
    asks(question("que_2", "ses_1"));
    EXPECT_EQ(apply(QuestionAnswered{"ses_1", "que_2", true}), Words{"que_2 over: rejected"});
}

TEST_F(ModelTest, AnAskAtAnyDepthNamesTheRoot) {
    a_running_root();
    session("ses_2", "ses_1");
    session("ses_3", "ses_2");
    busy("ses_3");
    auto const told = model.apply(Event{"t", "e", directory, PermissionAsked{permission("per_1", "ses_3")}}, now);
    auto const& pending = std::get<PermissionPending>(told.at(0));
    EXPECT_EQ(pending.root.title, "title of ses_1");
    EXPECT_EQ(pending.directory, "/work");
    EXPECT_EQ(pending.permission.session, "ses_3");
    // Of a session nobody has heard of: its id is all there is, and its info is wanted.
    EXPECT_EQ(asks("per_2", "ses_9"), Words{"per_2 pending: bash ls, ses_9"});
    EXPECT_THAT(model.wanted(), ElementsAre("ses_9"));
}

TEST_F(ModelTest, NothingIsPendingInASessionThatIsIdle) {
    a_running_root();
    step("ses_1", "msg_1");
    asks("per_1", "ses_1");
    asks(question("que_1", "ses_1"));
    aborted("ses_1");
    EXPECT_EQ(idle("ses_1"), (Words{"per_1 over: gone", "que_1 over: gone", "ses_1 aborted"}));
    EXPECT_THAT(replied("per_1", "reject"), IsEmpty()) << "opencode takes an answer for what is over";
}

TEST_F(ModelTest, WhoAsksRuns) {
    session("ses_1");
    asks("per_1", "ses_1");
    EXPECT_EQ(model.counts().busy, 1U);
    replied("per_1", "once");
    step("ses_1", "msg_1", "stop");
    EXPECT_EQ(idle("ses_1"), Words{"ses_1 completed, 1 steps by build: "});
}

TEST_F(ModelTest, WhatAnEarlierStepAskedIsOver) {
    a_running_root();
    step("ses_1", "msg_1");
    asks(permission("per_1", "ses_1", "msg_1"));
    EXPECT_THAT(step("ses_1", "msg_1", "tool-calls"), IsEmpty());
    EXPECT_EQ(step("ses_1", "msg_2"), Words{"per_1 over: gone"});
    asks(permission("per_3", "ses_1", "msg_3"));
    EXPECT_THAT(step("ses_1", "msg_1", "tool-calls"), IsEmpty()) << "a step from before";
    EXPECT_TRUE(model.is_pending("per_3"));
}

TEST_F(ModelTest, TheNewerApiTellsNoStatusAndStandsInNoList) {
    auto newer = permission("per_1", "ses_1");
    newer.newer = true;
    session("ses_1");
    EXPECT_EQ(asks(newer).size(), 1U);
    EXPECT_EQ(model.counts().busy, 0U);
    EXPECT_THAT(idle("ses_1"), IsEmpty());
    EXPECT_THAT(reconcile({}), IsEmpty());
    EXPECT_EQ(replied("per_1", "once"), Words{"per_1 over: once"});
    newer.id = "per_2";
    asks(newer);
    EXPECT_EQ(apply(SessionGone{"ses_1"}), (Words{"per_2 over: gone", "ses_1 deleted"}));
}

TEST_F(ModelTest, TheEndOfWhatTheNewerApiAskedBeforeOurTimeIsTold) {
    auto const hear = [&](char const* type, decltype(Event::what) what) {
        return in_words(model.apply(Event{type, next_id(), directory, std::move(what)}, now));
    };
    EXPECT_EQ(hear("permission.v2.replied", PermissionAnswered{"ses_1", "per_1", "reject"}),
              Words{"per_1 over: reject"});
    EXPECT_THAT(hear("permission.v2.replied", PermissionAnswered{"ses_1", "per_1", "reject"}), IsEmpty()) << "once";
    EXPECT_EQ(hear("question.v2.replied", QuestionAnswered{"ses_1", "que_1", false}), Words{"que_1 over: answered"});
    EXPECT_THAT(hear("permission.replied", PermissionAnswered{"ses_1", "per_2", "once"}), IsEmpty())
        << "the lists told of that";
}

// ---- after a gap

/// The first permission that is told was told as gone before.
bool is_again(Happenings const& happenings) {
    for (auto const& one : happenings) {
        if (auto const* pending = std::get_if<PermissionPending>(&one)) return pending->again;
    }
    return false;
}

TEST_F(ModelTest, ReconcilesWhatItNeverHeard) {
    auto const told = model.reconcile(
        {directory, {{"ses_1", is_busy()}}, {permission("per_1", "ses_1")}, {question("que_1", "ses_1")}}, now, now);
    EXPECT_EQ(words_of(told), (Words{"per_1 pending: bash ls, ses_1", "que_1 pending: Colour, ses_1"}));
    EXPECT_FALSE(is_again(told));
    EXPECT_THAT(reconcile({{"ses_1", is_busy()}}, {permission("per_1", "ses_1")}, {question("que_1", "ses_1")}),
                IsEmpty());
    EXPECT_EQ(reconcile({{"ses_1", is_busy()}}, {permission("per_1", "ses_1")}), Words{"que_1 over: gone"});
    EXPECT_EQ(replied("per_1", "once"), Words{"per_1 over: once"});
    session("ses_1");
    now += 10s;
    step("ses_1", "msg_1", "stop");
    auto const ended = model.apply(Event{"t", "e", directory, WentIdle{"ses_1"}}, now);
    EXPECT_FALSE(std::get<TurnCompleted>(ended.at(0)).seen_from_start);
}

TEST_F(ModelTest, AStaleRequestIsNotPending) {
    EXPECT_THAT(reconcile({}, {permission("per_1", "ses_1")}, {question("que_1", "ses_1")}), IsEmpty());
    session("ses_1");
    EXPECT_THAT(reconcile({}, {permission("per_1", "ses_1")}, {question("que_1", "ses_1")}), IsEmpty());
    // Seen ending, listed still while the session's next turn runs.
    a_running_root();
    step("ses_1", "msg_1");
    asks(permission("per_2", "ses_1", "msg_1"));
    aborted("ses_1");
    idle("ses_1");
    cut_off("ses_1", "msg_1", std::string(aborted_error));
    busy("ses_1");
    EXPECT_THAT(reconcile({{"ses_1", is_busy()}}, {permission("per_2", "ses_1", "msg_1")}), IsEmpty());
    step("ses_1", "msg_2");
    EXPECT_THAT(reconcile({{"ses_1", is_busy()}}, {permission("per_2", "ses_1", "msg_1")}), IsEmpty());
}

TEST_F(ModelTest, AStaleRequestOfBeforeOurTimeIsKnownByItsStep) {
    a_running_root();
    step("ses_1", "msg_2");
    EXPECT_THAT(reconcile({{"ses_1", is_busy()}}, {permission("per_1", "ses_1", "msg_1")}), IsEmpty());
    EXPECT_EQ(reconcile({{"ses_1", is_busy()}}, {permission("per_2", "ses_1", "msg_2")}).size(), 1U);
}

TEST_F(ModelTest, WhatWasOnlyTakenForOverComesBack) {
    a_running_root();
    step("ses_1", "msg_1");
    asks(permission("per_1", "ses_1", "msg_1"));
    idle("ses_1");  // of an aborted turn, late
    now += 1ms;
    auto const told =
        model.reconcile({directory, {{"ses_1", is_busy()}}, {permission("per_1", "ses_1", "msg_1")}, {}}, now, now);
    EXPECT_EQ(words_of(told), Words{"per_1 pending: bash ls, ses_1"});
    EXPECT_TRUE(is_again(told)) << "it was told as gone";
}

TEST_F(ModelTest, AmongTooManyNoneComesBack) {
    Model::Limits limits;
    limits.max_pending = 2;
    model = Model(limits);
    std::vector<Permission> all;
    Statuses statuses;
    for (auto const* n : {"1", "2", "3"}) {
        auto const id = std::string("ses_") + n;
        a_running_root(id);
        step(id, "msg_1");
        all.push_back(permission(std::string("per_") + n, id, "msg_1"));
        statuses.emplace_back(id, is_busy());
        asks(all.back());
    }
    EXPECT_THAT(reconcile(statuses, all), IsEmpty()) << "or each list would tell of all of them";
    replied("per_3", "once");
    all.pop_back();
    EXPECT_EQ(reconcile(statuses, all), Words{"per_1 pending: bash ls, ses_1"}) << "there is room";
}

TEST_F(ModelTest, EventsAreNewerThanAnswersToWhatWasAskedBefore) {
    a_running_root();
    asks("per_1", "ses_1");
    now += 1ms;
    auto const asked = now;
    asks("per_2", "ses_1");
    replied("per_1", "once");
    // The lists were made before both.
    Answers answers{directory, {{"ses_1", is_busy()}}, {permission("per_1", "ses_1")}, {}};
    EXPECT_THAT(in_words(model.reconcile(answers, asked, now)), IsEmpty());
    EXPECT_TRUE(model.is_pending("per_2"));

    step("ses_1", "msg_1", "stop");
    idle("ses_1");
    EXPECT_THAT(in_words(model.reconcile(answers, asked, now)), IsEmpty());
    EXPECT_FALSE(model.watched()) << "idle since";

    now += 1ms;
    auto const again = now;
    busy("ses_1");
    answers = {directory, {}, {}, {}};
    EXPECT_THAT(in_words(model.reconcile(answers, again, now)), IsEmpty());
    EXPECT_TRUE(model.watched()) << "busy since";

    session("ses_2");
    now += 1ms;
    auto const before_the_ask = now;
    asks("per_3", "ses_2");
    EXPECT_THAT(in_words(model.reconcile(answers, before_the_ask, now)), IsEmpty());
    EXPECT_TRUE(model.is_pending("per_3")) << "who asks runs";
}

TEST_F(ModelTest, OtherDirectoriesAreLeftAlone) {
    a_running_root();
    asks("per_1", "ses_1");
    directory = "/other";
    EXPECT_THAT(reconcile({}), IsEmpty());
    EXPECT_TRUE(model.is_pending("per_1"));
    EXPECT_THAT(model.directories(), ElementsAre("/work"));
    directory = "/work";
    EXPECT_EQ(reconcile({}), Words{"per_1 over: gone"});
    EXPECT_THAT(model.directories(), IsEmpty());
}

TEST_F(ModelTest, ATurnThatEndedUnheardIsSettledByItsLastMessage) {
    struct Case {
        StepInfo last;
        Words told;
    };
    server_ms = 1000;
    auto failed = step_info("ses_1", "msg_2");
    failed.completed = true;
    failed.error_name = "APIError";
    auto stopped = failed;
    stopped.error_name = aborted_error;
    auto shell = step_info("ses_1", "msg_2");
    shell.completed = true;
    for (auto const& [last, wanted] :
         {Case{step_info("ses_1", "msg_2", "stop"), {"ses_1 completed, 1 steps by build: "}},
          Case{step_info("ses_1", "msg_2", "tool-calls"), {}}, Case{failed, {"ses_1 failed: APIError"}},
          Case{stopped, {"ses_1 aborted"}}, Case{shell, {}}, Case{step_info("ses_1", "msg_0", "stop"), {}}}) {
        model = Model();
        server_ms = 0;  // before all of them
        session("ses_1");
        step("ses_1", "msg_0", "stop");
        busy("ses_1");
        EXPECT_THAT(reconcile({}), IsEmpty());
        ASSERT_EQ(model.unsettled().size(), 1U);
        EXPECT_EQ(model.unsettled()[0].directory, "/work");
        EXPECT_FALSE(model.watched());
        EXPECT_EQ(settle("ses_1", last), wanted);
        EXPECT_THAT(model.unsettled(), IsEmpty());
        EXPECT_THAT(settle("ses_1", last), IsEmpty());
    }
}

TEST_F(ModelTest, ATurnThatEndedUnheardButIsKnownNeedsNoSettling) {
    a_running_root();
    step("ses_1", "msg_1", "stop");
    EXPECT_EQ(reconcile({}), Words{"ses_1 completed, 1 steps by build: "});
    EXPECT_THAT(model.unsettled(), IsEmpty());
    busy("ses_1");
    reconcile({});
    EXPECT_EQ(model.unsettled().size(), 1U);
    busy("ses_1");
    EXPECT_THAT(model.unsettled(), IsEmpty()) << "it runs again";
    step("ses_1", "msg_2", "stop");
    EXPECT_EQ(idle("ses_1").size(), 1U);
}

TEST_F(ModelTest, AChildThatEndedUnheardNeedsNoSettling) {
    a_running_root();
    session("ses_2", "ses_1");
    busy("ses_2");
    EXPECT_THAT(reconcile({{"ses_1", is_busy()}}), IsEmpty());
    EXPECT_THAT(model.unsettled(), IsEmpty());
    step("ses_1", "msg_1", "stop");
    EXPECT_EQ(idle("ses_1").size(), 1U);
}

TEST_F(ModelTest, ALostServerHasNothingPendingAndNoTurns) {
    a_running_root();
    asks("per_1", "ses_1");
    retry("ses_1", 1);
    EXPECT_EQ(in_words(model.lost(now)), (Words{"per_1 over: gone", "ses_1 retry over"}));
    EXPECT_THAT(in_words(model.lost(now)), IsEmpty());
    EXPECT_FALSE(model.watched());
    EXPECT_EQ(model.sessions().size(), 1U);
    // It was not lost after all.
    now += 1ms;
    auto const told =
        model.reconcile({directory, {{"ses_1", is_busy()}}, {permission("per_1", "ses_1")}, {}}, now, now);
    EXPECT_EQ(words_of(told), Words{"per_1 pending: bash ls, ses_1"});
    EXPECT_TRUE(is_again(told));
    model.lost(now);
    auto const event = model.apply(Event{"t", "e", directory, PermissionAsked{permission("per_1", "ses_1")}}, now);
    EXPECT_TRUE(is_again(event)) << "as often as it was told as gone";
    model.lost(now);
    replied("per_1", "once");
    EXPECT_THAT(reconcile({{"ses_1", is_busy()}}, {permission("per_1", "ses_1")}), IsEmpty()) << "answered meanwhile";
}

// ---- bounds

TEST_F(ModelTest, ForgetsTheTreesThatAreIdleLongest) {
    Model::Limits limits;
    limits.max_sessions = 32;
    model = Model(limits);
    session("ses_waiting");
    asks("per_1", "ses_waiting");
    a_running_root("ses_running");
    session("ses_root");
    session("ses_child", "ses_root");
    for (int i = 0; i < 1000; ++i) {
        session("ses_" + std::to_string(i));
        if (i % 5 == 0) session("ses_child", "ses_root");
        EXPECT_LE(model.sessions().size(), 32U);
    }
    auto const left = model.sessions();
    auto const has = [&](std::string const& id) {
        return std::any_of(left.begin(), left.end(), [&](auto const& view) { return view.info.id == id; });
    };
    EXPECT_TRUE(has("ses_waiting"));
    EXPECT_TRUE(has("ses_running"));
    EXPECT_TRUE(has("ses_root")) << "its child was heard";
    EXPECT_TRUE(has("ses_999"));
    EXPECT_FALSE(has("ses_0"));
}

TEST_F(ModelTest, ForgetsIdleChildrenOfARunningTreeAndThenHearsNoMore) {
    Model::Limits limits;
    limits.max_sessions = 16;
    model = Model(limits);
    a_running_root();
    for (int i = 0; i < 100; ++i) {
        session("ses_c" + std::to_string(i), "ses_1");
        EXPECT_LE(model.sessions().size(), 16U);
    }
    for (int i = 0; i < 100; ++i) {
        busy("ses_d" + std::to_string(i));
        EXPECT_LE(model.sessions().size(), 16U);
    }
    EXPECT_EQ(model.counts().busy, 16U);
    EXPECT_EQ(asks("per_1", "ses_d99"), Words{"per_1 pending: bash ls, ses_d99"}) << "told all the same";
    EXPECT_THAT(reconcile({{"ses_d99", is_busy()}}, {permission("per_1", "ses_d99")}).size(), 0U);
    EXPECT_TRUE(model.is_pending("per_1"));
}

TEST_F(ModelTest, TheOldestRequestMakesRoom) {
    Model::Limits limits;
    limits.max_pending = 3;
    model = Model(limits);
    a_running_root();
    for (auto const* id : {"per_4", "per_3", "per_2"}) asks(id, "ses_1");
    EXPECT_EQ(asks("per_1", "ses_1"), (Words{"per_4 over: gone", "per_1 pending: bash ls, ses_1"}));
    EXPECT_EQ(model.pending().size(), 3U);
}

TEST_F(ModelTest, RemembersOnlySoManyEnds) {
    Model::Limits limits;
    limits.max_remembered = 10;
    model = Model(limits);
    a_running_root();
    for (int i = 0; i < 11; ++i) {
        asks("per_" + std::to_string(i), "ses_1");
        replied("per_" + std::to_string(i), "once");
    }
    EXPECT_THAT(asks("per_10", "ses_1"), IsEmpty());
    EXPECT_EQ(asks("per_0", "ses_1").size(), 1U);
}

TEST_F(ModelTest, CanBeLookedAt) {
    a_running_root();
    session("ses_2", "ses_1");
    retry("ses_2", 3);
    now += 1s;
    asks("per_1", "ses_2");
    auto const since = now;
    asks(question("que_1", "ses_2"));
    session("ses_3");
    auto const counts = model.counts();
    EXPECT_EQ(counts.idle, 1U);
    EXPECT_EQ(counts.busy, 1U);
    EXPECT_EQ(counts.retry, 1U);
    EXPECT_EQ(counts.permissions, 1U);
    EXPECT_EQ(counts.questions, 1U);
    EXPECT_EQ(counts.oldest_permission, since);
    auto const sessions = model.sessions();
    ASSERT_EQ(sessions.size(), 3U);
    EXPECT_EQ(sessions[0].info.id, "ses_3");
    EXPECT_TRUE(sessions[0].root);
    EXPECT_EQ(sessions[1].info.id, "ses_2");
    EXPECT_FALSE(sessions[1].root);
    EXPECT_EQ(sessions[1].pending, 2U);
    EXPECT_EQ(sessions[1].status.attempt, 3U);
    auto const pending = model.pending();
    ASSERT_EQ(pending.size(), 2U);
    EXPECT_EQ(std::get<Permission>(pending[0].what).id, "per_1");
    EXPECT_EQ(pending[1].root.id, "ses_1");
}

}  // namespace
}  // namespace ocgate::opencode
