// When a turn is complete, failed or aborted, and when nobody needs to hear of it.
#include "model_kit.hpp"

namespace ocgate::opencode {
namespace {

using testing::IsEmpty;

using ModelTurn = ModelTest;

TEST_F(ModelTurn, IsCompleteWhenItsLastStepIsFinished) {
    session("ses_1");
    EXPECT_THAT(busy("ses_1"), IsEmpty());
    EXPECT_THAT(step("ses_1", "msg_1"), IsEmpty());
    EXPECT_THAT(busy("ses_1"), IsEmpty());
    EXPECT_THAT(step("ses_1", "msg_1", "tool-calls"), IsEmpty());
    EXPECT_THAT(step("ses_1", "msg_2"), IsEmpty());
    EXPECT_THAT(apply(TextWritten{"ses_1", "msg_0", "the question"}), IsEmpty());
    EXPECT_THAT(apply(TextWritten{"ses_1", "msg_2", "All done"}), IsEmpty());
    EXPECT_THAT(step("ses_1", "msg_2", "stop"), IsEmpty());
    EXPECT_EQ(idle("ses_1"), Words{"ses_1 completed, 2 steps by build: All done"});
    EXPECT_THAT(session("ses_1"), IsEmpty());
    EXPECT_THAT(idle("ses_1"), IsEmpty());
    EXPECT_THAT(model.wanted(), IsEmpty());
}

TEST_F(ModelTurn, SaysHowLongAndHowMuch) {
    session("ses_1");
    busy("ses_1");
    now += 90s;
    step("ses_1", "msg_1", "stop");
    step("ses_1", "msg_1", "stop");  // told twice, counted once
    auto const told = model.apply(Event{"t", "e", directory, WentIdle{"ses_1"}}, now);
    auto const& completed = std::get<TurnCompleted>(told.at(0));
    EXPECT_EQ(completed.duration, 90s + 2ms);
    EXPECT_TRUE(completed.seen_from_start);
    EXPECT_EQ(completed.usage.cost, 0.5);
    EXPECT_EQ(completed.usage.output, 10);
    EXPECT_EQ(completed.root.title, "title of ses_1");
}

TEST_F(ModelTurn, OneAfterTheOther) {
    a_running_root();
    step("ses_1", "msg_1", "stop");
    EXPECT_EQ(idle("ses_1").size(), 1U);
    busy("ses_1");
    step("ses_1", "msg_2", "stop");
    EXPECT_EQ(idle("ses_1"), Words{"ses_1 completed, 1 steps by build: "});
    // Nothing was said in between: the old step does not complete a third.
    busy("ses_1");
    step("ses_1", "msg_2", "stop");
    EXPECT_THAT(idle("ses_1"), IsEmpty());
}

TEST_F(ModelTurn, IdleWithoutHavingRunIsNothing) {
    session("ses_1");
    step("ses_1", "msg_1", "stop");
    EXPECT_THAT(idle("ses_1"), IsEmpty());
    EXPECT_THAT(idle("ses_unknown"), IsEmpty());
}

TEST_F(ModelTurn, AShellCommandIsNothing) {
    a_running_root();
    auto info = step_info("ses_1", "msg_1");
    info.completed = true;
    EXPECT_THAT(apply(StepChanged{info}), IsEmpty());
    EXPECT_THAT(idle("ses_1"), IsEmpty());
}

TEST_F(ModelTurn, FailsOnceWithTheErrorOfItsSession) {
    a_running_root();
    step("ses_1", "msg_1");
    EXPECT_THAT(error("ses_1", "APIError"), IsEmpty());
    EXPECT_EQ(idle("ses_1"), Words{"ses_1 failed: APIError"});
    EXPECT_THAT(cut_off("ses_1", "msg_1", "APIError"), IsEmpty());
    EXPECT_THAT(idle("ses_1"), IsEmpty());
    EXPECT_THAT(error("ses_1", "APIError"), IsEmpty()) << "an echo";
}

TEST_F(ModelTurn, FailsWithTheErrorOfItsLastStep) {
    a_running_root();
    step("ses_1", "msg_1");
    EXPECT_THAT(idle("ses_1"), IsEmpty()) << "not known yet";
    EXPECT_EQ(cut_off("ses_1", "msg_1", "APIError"), Words{"ses_1 failed: APIError"});
    EXPECT_THAT(idle("ses_1"), IsEmpty());
}

TEST_F(ModelTurn, AnErrorItGotOverIsNone) {
    a_running_root();
    step("ses_1", "msg_1");
    error("ses_1", "ContextOverflowError");
    cut_off("ses_1", "msg_1", "ContextOverflowError");
    step("ses_1", "msg_2", "stop");
    EXPECT_EQ(idle("ses_1"), Words{"ses_1 completed, 2 steps by build: "});
}

TEST_F(ModelTurn, APromptThatWasRefusedFailsAtOnce) {
    session("ses_1");
    EXPECT_EQ(error("ses_1", "UnknownError"), Words{"ses_1 failed: UnknownError"});
    EXPECT_THAT(error("ses_1", "UnknownError"), IsEmpty()) << "an echo";
    now += 6s;
    EXPECT_EQ(error("ses_1", "UnknownError"), Words{"ses_1 failed: UnknownError"}) << "and again";
    now += 6s;
    Event const event{"session.error", "evt_same", directory, SessionFailed{"ses_1", "E", "m", 0}};
    EXPECT_EQ(model.apply(event, now).size(), 1U);
    EXPECT_EQ(model.apply(event, now + 1min).size(), 0U) << "the very same event";
    EXPECT_THAT(error("", "UnknownError"), IsEmpty()) << "of no session";
}

TEST_F(ModelTurn, ARefusalOfAnUnknownSessionWaitsForItsInfo) {
    EXPECT_THAT(error("ses_1", "UnknownError"), IsEmpty());
    EXPECT_EQ(model.wanted(), Words{"ses_1"});
    EXPECT_EQ(session("ses_1"), Words{"ses_1 failed: UnknownError"});
    EXPECT_THAT(session("ses_1"), IsEmpty());
    // opencode goes on with a session that was deleted while it was busy.
    EXPECT_THAT(error("ses_2", "UnknownError"), IsEmpty());
    EXPECT_EQ(apply(SessionGone{"ses_2"}), Words{"ses_2 deleted"});
    EXPECT_THAT(error("ses_2", "UnknownError"), IsEmpty());
    EXPECT_THAT(model.wanted(), IsEmpty());
}

TEST_F(ModelTurn, IsAbortedOnceHoweverOftenItIsSaid) {
    a_running_root();
    step("ses_1", "msg_1");
    EXPECT_THAT(aborted("ses_1"), IsEmpty());
    EXPECT_EQ(idle("ses_1"), Words{"ses_1 aborted"});
    EXPECT_THAT(cut_off("ses_1", "msg_1", std::string(aborted_error)), IsEmpty());
    EXPECT_THAT(idle("ses_1"), IsEmpty());
    EXPECT_THAT(aborted("ses_1"), IsEmpty());
}

TEST_F(ModelTurn, IsAbortedWhenOnlyItsLastStepSaysSo) {
    a_running_root();
    step("ses_1", "msg_1");
    EXPECT_THAT(idle("ses_1"), IsEmpty());
    EXPECT_EQ(cut_off("ses_1", "msg_1", std::string(aborted_error)), Words{"ses_1 aborted"});
}

TEST_F(ModelTurn, IsAbortedBetweenTwoAttemptsWithoutAnyError) {
    a_running_root();
    step("ses_1", "msg_1");
    EXPECT_EQ(retry("ses_1", 1), Words{"ses_1 retrying: 1"});
    auto info = step_info("ses_1", "msg_1");
    info.completed = true;
    EXPECT_THAT(apply(StepChanged{info}), IsEmpty());
    EXPECT_EQ(idle("ses_1"), (Words{"ses_1 retry over", "ses_1 aborted"}));
}

TEST_F(ModelTurn, IsAbortedByARequestTheProxySaw) {
    a_running_root();
    step("ses_1", "msg_1", "stop");
    EXPECT_THAT(words_of(model.user_aborted("ses_1", now)), IsEmpty());
    EXPECT_EQ(idle("ses_1"), Words{"ses_1 aborted"});
    // It says nothing of the next one, nor does one that comes while nothing runs.
    EXPECT_THAT(words_of(model.user_aborted("ses_1", now)), IsEmpty());
    EXPECT_THAT(words_of(model.user_aborted("ses_nobody", now)), IsEmpty());
    busy("ses_1");
    step("ses_1", "msg_2", "stop");
    EXPECT_EQ(idle("ses_1").size(), 1U);
}

TEST_F(ModelTurn, TheFirstReasonCounts) {
    a_running_root();
    error("ses_1", "APIError");
    aborted("ses_1");
    EXPECT_EQ(idle("ses_1"), Words{"ses_1 failed: APIError"});
    busy("ses_1");
    aborted("ses_1");
    error("ses_1", "UnknownError");
    EXPECT_EQ(idle("ses_1"), Words{"ses_1 aborted"});
}

TEST_F(ModelTurn, AnAbortThatCameTooLateOrWasNoneChangesNothing) {
    a_running_root();
    step("ses_1", "msg_1");
    model.user_aborted("ses_1", now);
    step("ses_1", "msg_1", "tool-calls");
    step("ses_1", "msg_2", "stop");
    EXPECT_EQ(idle("ses_1"), Words{"ses_1 completed, 2 steps by build: "});
}

TEST_F(ModelTurn, TheEndOfAnAbortedTurnDoesNotTouchTheNext) {
    a_running_root();
    step("ses_1", "msg_1");
    aborted("ses_1");
    idle("ses_1");
    busy("ses_1");
    EXPECT_THAT(cut_off("ses_1", "msg_1", std::string(aborted_error)), IsEmpty());
    step("ses_1", "msg_2", "stop");
    EXPECT_EQ(idle("ses_1"), Words{"ses_1 completed, 1 steps by build: "});
}

TEST_F(ModelTurn, EndedByARejectionIsNothing) {
    a_running_root();
    step("ses_1", "msg_1");
    asks("per_1", "ses_1");
    EXPECT_EQ(replied("per_1", "reject"), Words{"per_1 over: reject"});
    step("ses_1", "msg_1", "tool-calls");
    EXPECT_THAT(idle("ses_1"), IsEmpty());
}

TEST_F(ModelTurn, OfAWholeTreeIsOneHoweverManyChildrenRan) {
    a_running_root();
    step("ses_1", "msg_1");
    for (int i = 0; i < 40; ++i) {
        session("ses_c" + std::to_string(i), "ses_1");
        EXPECT_THAT(busy("ses_c" + std::to_string(i)), IsEmpty());
    }
    for (int i = 0; i < 40; ++i) {
        step("ses_c" + std::to_string(i), "msg_c" + std::to_string(i), "stop");
        EXPECT_THAT(idle("ses_c" + std::to_string(i)), IsEmpty());
    }
    step("ses_1", "msg_1", "tool-calls");
    step("ses_1", "msg_2", "stop");
    EXPECT_EQ(idle("ses_1"), Words{"ses_1 completed, 42 steps by build: "});
}

TEST_F(ModelTurn, WaitsForChildrenThatOutliveTheirParent) {
    a_running_root();
    session("ses_2", "ses_1");
    session("ses_3", "ses_2");
    busy("ses_3");
    step("ses_1", "msg_1", "stop");
    EXPECT_THAT(idle("ses_1"), IsEmpty());
    step("ses_3", "msg_2", "stop");
    EXPECT_EQ(idle("ses_3"), Words{"ses_1 completed, 2 steps by build: "});
}

TEST_F(ModelTurn, AChildsFailureIsItsParentsBusiness) {
    a_running_root();
    session("ses_2", "ses_1");
    busy("ses_2");
    EXPECT_THAT(error("ses_2", "APIError"), IsEmpty());
    EXPECT_THAT(idle("ses_2"), IsEmpty());
    EXPECT_THAT(cut_off("ses_2", "msg_2", "APIError"), IsEmpty());
    step("ses_1", "msg_1", "stop");
    EXPECT_EQ(idle("ses_1"), Words{"ses_1 completed, 2 steps by build: "});
}

TEST_F(ModelTurn, AChildThatFailsOnItsOwnIsTold) {
    session("ses_1");
    session("ses_2", "ses_1");
    busy("ses_2");
    error("ses_2", "APIError");
    EXPECT_EQ(idle("ses_2"), Words{"ses_2 of ses_1 failed: APIError"});
    EXPECT_THAT(idle("ses_2"), IsEmpty());
    // And one that ends well is not: nobody waits for a subagent.
    busy("ses_2");
    step("ses_2", "msg_2", "stop");
    EXPECT_THAT(idle("ses_2"), IsEmpty());
}

TEST_F(ModelTurn, AbortOfAParentIsOneAbort) {
    for (bool parent_says_so : {true, false}) {
        model = Model();
        a_running_root();
        step("ses_1", "msg_1");
        session("ses_2", "ses_1");
        busy("ses_2");
        step("ses_2", "msg_2");
        EXPECT_THAT(aborted("ses_2"), IsEmpty());
        EXPECT_THAT(idle("ses_2"), IsEmpty());
        EXPECT_THAT(cut_off("ses_2", "msg_2", std::string(aborted_error)), IsEmpty());
        Words told;
        auto const add = [&](Words more) { told.insert(told.end(), more.begin(), more.end()); };
        if (parent_says_so) add(aborted("ses_1"));
        add(idle("ses_1"));
        add(cut_off("ses_1", "msg_1", std::string(aborted_error)));
        add(idle("ses_1"));
        EXPECT_EQ(told, Words{"ses_1 aborted"});
    }
}

TEST_F(ModelTurn, OfADeletedSessionIsNothing) {
    a_running_root();
    step("ses_1", "msg_1", "stop");
    asks("per_1", "ses_1");
    retry("ses_1", 1);
    EXPECT_EQ(apply(SessionGone{"ses_1"}), (Words{"per_1 over: gone", "ses_1 retry over", "ses_1 deleted"}));
    EXPECT_THAT(apply(SessionGone{"ses_1"}), IsEmpty());
    // What comes afterwards does not bring it back.
    EXPECT_THAT(session("ses_1"), IsEmpty());
    EXPECT_THAT(busy("ses_1"), IsEmpty());
    EXPECT_THAT(asks("per_2", "ses_1"), IsEmpty());
    EXPECT_THAT(idle("ses_1"), IsEmpty());
    EXPECT_THAT(reconcile({{"ses_1", is_busy()}}), IsEmpty());
    EXPECT_THAT(model.sessions(), IsEmpty());
    EXPECT_FALSE(model.watched());
    SessionInfo info;
    info.id = "ses_1";
    apply(SessionSeen{info, true});
    EXPECT_EQ(model.sessions().size(), 1U) << "made anew under its old id";
}

TEST_F(ModelTurn, OfAnUnknownSessionWaitsForItsInfo) {
    busy("ses_1");
    EXPECT_EQ(model.wanted(), Words{"ses_1"});
    step("ses_1", "msg_1", "stop");
    EXPECT_THAT(idle("ses_1"), IsEmpty());
    EXPECT_EQ(model.wanted(), Words{"ses_1"});
    EXPECT_EQ(session("ses_1"), Words{"ses_1 completed, 1 steps by build: "});
    EXPECT_THAT(session("ses_1"), IsEmpty());
    // But not for ever.
    busy("ses_2");
    step("ses_2", "msg_1", "stop");
    idle("ses_2");
    now += 2min;
    EXPECT_THAT(session("ses_2"), IsEmpty());
    EXPECT_THAT(model.wanted(), IsEmpty());
}

TEST_F(ModelTurn, OfASessionWhoseParentIsUnknownIsNothing) {
    session("ses_2", "ses_1");
    busy("ses_2");
    EXPECT_EQ(model.wanted(), Words{"ses_1"});
    step("ses_2", "msg_1", "stop");
    EXPECT_THAT(idle("ses_2"), IsEmpty());
}

TEST_F(ModelTurn, BelongsToAParentThatTurnsUpLate) {
    busy("ses_2");
    step("ses_2", "msg_2", "stop");
    busy("ses_1");
    step("ses_1", "msg_1", "stop");
    session("ses_2", "ses_1");
    EXPECT_THAT(session("ses_1"), IsEmpty());
    EXPECT_THAT(idle("ses_1"), IsEmpty()) << "the child still runs";
    EXPECT_EQ(idle("ses_2"), Words{"ses_1 completed, 2 steps by build: "});
}

TEST_F(ModelTurn, ParentsInACircleEndNowhere) {
    session("ses_1", "ses_2");
    session("ses_2", "ses_1");
    session("ses_3", "ses_3");
    for (auto const* id : {"ses_1", "ses_2", "ses_3"}) {
        busy(id);
        step(id, std::string("msg_") + id, "stop");
        EXPECT_THAT(idle(id), IsEmpty());
    }
    EXPECT_THAT(model.wanted(), IsEmpty());
}

TEST_F(ModelTurn, RetryingIsToldOncePerAttemptAndOnceAsOver) {
    a_running_root();
    session("ses_2", "ses_1");
    busy("ses_2");
    EXPECT_EQ(retry("ses_2", 1), Words{"ses_2 of ses_1 retrying: 1"});
    EXPECT_THAT(retry("ses_2", 1), IsEmpty());
    EXPECT_THAT(busy("ses_2"), IsEmpty());
    EXPECT_EQ(retry("ses_2", 2), Words{"ses_2 of ses_1 retrying: 2"});
    EXPECT_THAT(reconcile({{"ses_1", is_busy()}, {"ses_2", {State::retry, 2, {}, 0}}}), IsEmpty());
    EXPECT_THAT(busy("ses_2"), IsEmpty());
    EXPECT_EQ(step("ses_2", "msg_2", "stop"), Words{"ses_2 of ses_1 retry over, recovered"});
    EXPECT_THAT(idle("ses_2"), IsEmpty());
}

TEST_F(ModelTurn, AProviderThatGivesUpAfterRetriesFails) {
    a_running_root();
    step("ses_1", "msg_1");
    retry("ses_1", 1);
    error("ses_1", "APIError");
    EXPECT_EQ(idle("ses_1"), (Words{"ses_1 retry over", "ses_1 failed: APIError"}));
}

TEST_F(ModelTurn, EndsAbortedWithItsInstance) {
    a_running_root();
    session("ses_2", "ses_1");
    busy("ses_2");
    asks("per_1", "ses_2");
    directory = "/other";
    a_running_root("ses_3");
    EXPECT_EQ(apply(InstanceGone{"/work"}), (Words{"per_1 over: gone", "ses_1 aborted"}));
    EXPECT_EQ(model.counts().busy, 1U);
    EXPECT_EQ(apply(AllGone{}), Words{"ses_3 aborted"});
    EXPECT_FALSE(model.watched());
}

}  // namespace
}  // namespace ocgate::opencode
