// What agents did in the recordings, counted: bytes → cutter → dialect → model and activity, as the follower does it.
#include <gmock/gmock.h>

#include "ocgate/opencode/activity.hpp"
#include "ocgate/opencode/event_cutter.hpp"
#include "recordings_kit.hpp"

namespace ocgate::opencode {
namespace {

using Words = std::vector<std::string>;

struct Watcher {
    Model model;
    Activity activity;
    std::vector<StepInfo> steps;  ///< what there is to be added up
    rt::Instant now{std::chrono::hours(1)};

    void watch(std::string const& bytes) {
        EventCutter cutter([&](EventCutter::Cut const& cut) {
            auto const event = read_event(cut.data);
            now += std::chrono::milliseconds(1);
            if (auto step = activity.heard(event, now)) steps.push_back(*step);
            for (auto const& happening : model.apply(event, now)) activity.happened(happening, now);
        });
        cutter.feed(bytes);
    }
};

std::string number(std::uint64_t n) { return std::to_string(n); }

/// What is counted by ids or by events that are told once.
Words work_in_words(Deeds const& deeds) {
    Words words;
    for (auto const& [worker, work] : deeds.work) {
        auto const& u = work.usage;
        EXPECT_EQ(worker.provider + " " + worker.model, "fake fake-1");
        EXPECT_EQ(u.reasoning + u.cache_read + u.cache_write, 0);
        std::uint64_t timed = 0;
        for (auto const n : work.took.counts()) timed += n;
        EXPECT_EQ(timed, work.steps);
        words.push_back(worker.agent + " " + number(work.steps) + ": " + std::to_string(u.input) + " in, " +
                        std::to_string(u.output) + " out");
    }
    for (auto const& [tool, by] : deeds.tools)
        words.push_back(tool + ": " + number(by[0]) + " completed, " + number(by[1]) + " failed");
    for (auto const& [name, n] : deeds.errors) words.push_back(name + " " + number(n));
    if (deeds.compactions > 0) words.push_back("compactions " + number(deeds.compactions));
    for (auto const& [kind, by] : deeds.permissions) words.push_back(kind + " asked " + number(by.asked));
    if (deeds.questions_asked > 0) words.push_back("questions asked " + number(deeds.questions_asked));
    if (deeds.terminals_open > 0) words.push_back("terminals " + number(deeds.terminals_open));
    return words;
}

Words in_words(Deeds const& deeds) {
    auto words = work_in_words(deeds);
    static constexpr char const* turns[] = {"turns completed", "turns failed", "turns aborted"};
    for (std::size_t i = 0; i < 3; ++i) {
        if (deeds.turns[i] > 0) words.push_back(turns[i] + (" " + number(deeds.turns[i])));
    }
    if (deeds.retries > 0) words.push_back("retries " + number(deeds.retries));
    static constexpr char const* replies[] = {"once", "always", "reject", "gone"};
    std::uint64_t answered = 0;
    for (auto const& [kind, by] : deeds.permissions) {
        for (std::size_t i = 0; i < 4; ++i) {
            if (by.over[i] > 0) words.push_back(kind + " " + replies[i] + " " + number(by.over[i]));
            if (i < 3) answered += by.over[i];
        }
    }
    std::uint64_t timed = 0;
    for (auto const n : deeds.permissions_took.counts()) timed += n;
    EXPECT_EQ(timed, answered);
    static constexpr char const* answers[] = {"answered", "rejected", "gone"};
    for (std::size_t i = 0; i < 3; ++i) {
        if (deeds.questions_over[i] > 0)
            words.push_back("questions " + (answers[i] + (" " + number(deeds.questions_over[i]))));
    }
    return words;
}

struct Recording {
    std::string scenario;
    Words deeds;
};
void PrintTo(Recording const& recording, std::ostream* out) { *out << recording.scenario; }

class Counted : public testing::TestWithParam<Recording> {};

TEST_P(Counted, OnceEach) {
    auto const& [scenario, deeds] = GetParam();
    auto const bytes = recording_of(scenario);
    ASSERT_GT(bytes.size(), 0U);
    Watcher watcher;
    watcher.watch(bytes);
    EXPECT_EQ(in_words(watcher.activity.deeds()), deeds);
    Usage added_up;
    for (auto const& step : watcher.steps) added_up += step.usage;
    Usage counted;
    std::size_t steps = 0;
    for (auto const& [worker, work] : watcher.activity.deeds().work) {
        counted += work.usage;
        steps += work.steps;
    }
    EXPECT_EQ(added_up, counted) << "whoever adds up what it costs hears of the same";
    EXPECT_EQ(watcher.steps.size(), steps);
}

/// As if a second stream, or the same server again, had told it all once more.
TEST_P(Counted, NotAgainWhenItIsToldAgain) {
    auto const bytes = recording_of(GetParam().scenario);
    Watcher watcher;
    watcher.watch(bytes);
    auto const before = work_in_words(watcher.activity.deeds());
    auto const steps = watcher.steps.size();
    watcher.watch(bytes);
    EXPECT_EQ(work_in_words(watcher.activity.deeds()), before);
    EXPECT_EQ(watcher.steps.size(), steps);
}

/// A run that knows what an earlier one counted.
TEST_P(Counted, NotWhatAnEarlierRunHasCounted) {
    auto const bytes = recording_of(GetParam().scenario);
    Watcher earlier;
    earlier.watch(bytes);
    Watcher later;
    for (auto const& step : earlier.steps) later.activity.knows(step.message);
    later.watch(bytes);
    EXPECT_TRUE(later.steps.empty());
    EXPECT_TRUE(later.activity.deeds().work.empty());
}

INSTANTIATE_TEST_SUITE_P(
    All, Counted,
    testing::Values(
        Recording{"normal", {"build 1: 1000 in, 50 out", "turns completed 1"}},
        Recording{"provider_401", {"build 1: 0 in, 0 out", "APIError 1", "turns failed 1"}},
        Recording{"provider_500", {"build 1: 0 in, 0 out", "MessageAbortedError 1", "turns aborted 1", "retries 2"}},
        Recording{"retry_recovered", {"build 1: 1000 in, 50 out", "turns completed 1", "retries 1"}},
        Recording{"abort_in_retry", {"turns aborted 1", "retries 1"}},
        Recording{"user_abort", {"build 1: 0 in, 0 out", "MessageAbortedError 1", "turns aborted 1"}},
        Recording{"abort_pending",
                  {"build 1: 0 in, 0 out", "bash: 0 completed, 1 failed", "MessageAbortedError 1", "bash asked 1",
                   "turns aborted 1", "bash gone 1"}},
        Recording{"abort_parent",
                  {"build 1: 0 in, 0 out", "general 1: 0 in, 0 out", "task: 0 completed, 1 failed",
                   "MessageAbortedError 2", "turns aborted 1"}},
        Recording{"abort_idle", {}},
        Recording{"permission_once",
                  {"build 2: 2000 in, 100 out", "bash: 1 completed, 0 failed", "bash asked 1", "turns completed 1",
                   "bash once 1"}},
        Recording{"permission_always",
                  {"build 3: 3000 in, 150 out", "bash: 2 completed, 0 failed", "bash asked 1", "turns completed 1",
                   "bash always 1"}},
        Recording{"permission_reject",
                  {"build 1: 1000 in, 50 out", "bash: 0 completed, 1 failed", "bash asked 1", "bash reject 1"}},
        Recording{"permission_reject_with_message",
                  {"build 2: 2000 in, 100 out", "bash: 0 completed, 1 failed", "bash asked 1", "turns completed 1",
                   "bash reject 1"}},
        Recording{"question_reply",
                  {"build 2: 2000 in, 100 out", "question: 1 completed, 0 failed", "questions asked 1",
                   "turns completed 1", "questions answered 1"}},
        Recording{"question_reject",
                  {"build 1: 1000 in, 50 out", "question: 0 completed, 1 failed", "questions asked 1",
                   "questions rejected 1"}},
        Recording{"question_two",
                  {"build 2: 2000 in, 100 out", "question: 1 completed, 0 failed", "questions asked 1",
                   "turns completed 1", "questions answered 1"}},
        Recording{"child_permission",
                  {"build 2: 2000 in, 100 out", "general 2: 2000 in, 100 out", "bash: 1 completed, 0 failed",
                   "task: 1 completed, 0 failed", "bash asked 1", "turns completed 1", "bash once 1"}},
        Recording{"fork",
                  {"build 2: 2000 in, 100 out", "bash: 1 completed, 0 failed", "bash asked 1", "turns completed 1",
                   "bash once 1"}},
        Recording{"terminal", {}}, Recording{"terminal_disposed", {}},
        Recording{"shell", {"bash: 1 completed, 0 failed"}}, Recording{"refused", {"UnknownError 1", "turns failed 1"}},
        Recording{"deleted_busy", {}},
        Recording{"compaction",
                  {"build 1: 1000 in, 50 out", "compaction 1: 1000 in, 50 out", "compactions 1", "turns completed 2"}},
        Recording{"two_turns", {"build 2: 2000 in, 100 out", "turns completed 1"}},
        Recording{"disposed",
                  {"build 1: 0 in, 0 out", "bash: 0 completed, 1 failed", "MessageAbortedError 1", "bash asked 1",
                   "turns aborted 1", "bash gone 1"}}),
    [](auto const& one) { return one.param.scenario; });

}  // namespace
}  // namespace ocgate::opencode
