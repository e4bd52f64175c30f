// When a turn begins, and what does not end it.
#include "model_kit.hpp"

namespace ocgate::opencode {
namespace {

using testing::IsEmpty;

using ModelTurn = ModelTest;

TEST_F(ModelTurn, BeginsOnceForTheWholeTree) {
    session("ses_1");
    EXPECT_THAT(began, IsEmpty());
    busy("ses_1");
    busy("ses_1");
    step("ses_1", "msg_1");
    session("ses_2", "ses_1");
    busy("ses_2");
    retry("ses_2", 1);
    idle("ses_2");
    busy("ses_2");
    idle("ses_2");
    step("ses_1", "msg_1", "stop");
    EXPECT_EQ(began, Words{"ses_1 began"});
    EXPECT_EQ(idle("ses_1").size(), 1U);
    busy("ses_1");
    EXPECT_EQ(began, (Words{"ses_1 began", "ses_1 began"})) << "the next one";
}

TEST_F(ModelTurn, ThatASubagentBeginsIsItsRootsBeginning) {
    session("ses_1");
    session("ses_2", "ses_1");
    busy("ses_2");
    EXPECT_EQ(began, Words{"ses_1 began"});
    busy("ses_1");
    EXPECT_EQ(began.size(), 1U);
}

TEST_F(ModelTurn, BeginsWhateverShowsThatItRuns) {
    reconcile({{"ses_1", is_busy()}});
    EXPECT_EQ(began, Words{"ses_1 began"});
    reconcile({{"ses_1", is_busy()}});
    EXPECT_EQ(began.size(), 1U);
    session("ses_2");
    asks("per_1", "ses_2");
    EXPECT_EQ(began, (Words{"ses_1 began", "ses_2 began"}));
    session("ses_3");
    error("ses_3", "UnknownError");
    EXPECT_EQ(began.size(), 2U) << "refused before it began";
}

TEST_F(ModelTurn, OfAChildBeginsWhenItsRootIsKnown) {
    session("ses_2", "ses_1");
    busy("ses_2");
    EXPECT_THAT(began, IsEmpty());
    session("ses_1");
    EXPECT_EQ(began, Words{"ses_1 began"});
    model = Model();
    began.clear();
    busy("ses_2");
    EXPECT_EQ(began, Words{"ses_2 began"}) << "for all that is known";
    session("ses_1");
    session("ses_2", "ses_1");
    EXPECT_EQ(began, (Words{"ses_2 began", "ses_1 began"}));
}

TEST_F(ModelTurn, ThatGoesOnAfterItSeemedOverBeginsAnew) {
    a_running_root();
    idle("ses_1");  // and its last step is not known
    busy("ses_1");
    EXPECT_EQ(began.size(), 2U);
}

TEST_F(ModelTurn, AConnectionThatWasCutBeginsNothing) {
    a_running_root();
    reconcile({{"ses_1", is_busy()}});
    EXPECT_EQ(began.size(), 1U);
    model.lost(now);
    reconcile({{"ses_1", is_busy()}});
    EXPECT_EQ(began.size(), 2U) << "a server that was gone does";
}

/// opencode 1.18.33, when the context is full: the steps of `tests/recordings` and of its source in one run.
TEST_F(ModelTurn, ASummaryInTheMiddleEndsNothing) {
    a_running_root();
    step("ses_1", "msg_1", "tool-calls");
    busy("ses_1");
    auto summary = step_info("ses_1", "msg_2", "stop");
    summary.agent = "compaction";
    EXPECT_THAT(apply(StepChanged{summary}), IsEmpty());
    EXPECT_THAT(busy("ses_1"), IsEmpty());
    step("ses_1", "msg_3");
    EXPECT_THAT(busy("ses_1"), IsEmpty());
    step("ses_1", "msg_3", "stop");
    EXPECT_EQ(idle("ses_1"), Words{"ses_1 completed, 3 steps by build: "});
    EXPECT_EQ(began.size(), 1U);
}

TEST_F(ModelTurn, RetryingIsToldWhenItsSessionIsKnown) {
    EXPECT_THAT(reconcile({{"ses_1", {State::retry, 4, "m", 0}}}), IsEmpty());
    EXPECT_EQ(model.status_of("ses_1").attempt, 4U);
    EXPECT_EQ(model.wanted(), Words{"ses_1"});
    EXPECT_EQ(session("ses_1"), Words{"ses_1 retrying: 4"});
    EXPECT_THAT(session("ses_1"), IsEmpty());
    EXPECT_EQ(idle("ses_1"), (Words{"ses_1 retry over", "ses_1 aborted"}));
    EXPECT_EQ(model.status_of("ses_1").state, State::idle);
    EXPECT_EQ(model.status_of("ses_nobody").state, State::idle);
}

TEST_F(ModelTurn, ASessionThatWasDeletedWhileItWasBusyDoesNotRetry) {
    // Found after a restart: opencode goes on with it, and does not know it any more.
    EXPECT_THAT(reconcile({{"ses_1", {State::retry, 4, "m", 0}}}), IsEmpty());
    EXPECT_THAT(retry("ses_1", 5), IsEmpty());
    EXPECT_EQ(apply(SessionGone{"ses_1"}), Words{"ses_1 deleted"});
    EXPECT_THAT(retry("ses_1", 6), IsEmpty());
}

}  // namespace
}  // namespace ocgate::opencode
