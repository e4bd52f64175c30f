// What really happened, told by the real opencode (tests/recordings says how): bytes → cutter → dialect → model.
#include <gmock/gmock.h>

#include <cctype>
#include <map>
#include <random>
#include <set>

#include "happenings.hpp"
#include "ocgate/opencode/event_cutter.hpp"
#include "recordings_kit.hpp"

namespace ocgate::opencode {
namespace {

using Words = std::vector<std::string>;

/// S1, S2, … for sessions in the order in which they are told of first; likewise P and Q for what is asked.
class Aliases {
public:
    std::string operator()(std::string_view text) {
        std::string out;
        while (!text.empty()) {
            auto const kind = text.substr(0, 4);
            bool const id = kind == "ses_" || kind == "per_" || kind == "que_";
            std::size_t end = id ? 4 : 1;
            while (id && end < text.size() && std::isalnum(static_cast<unsigned char>(text[end]))) ++end;
            out += id ? alias(std::string(text.substr(0, end)), text[0]) : std::string(1, text[0]);
            text.remove_prefix(end);
        }
        return out;
    }

private:
    std::string const& alias(std::string const& id, char kind) {
        auto& found = known_[id];
        if (found.empty())
            found = std::string(1, kind == 's' ? 'S' : kind == 'p' ? 'P' : 'Q') + std::to_string(++counts_[kind]);
        return found;
    }

    std::map<std::string, std::string> known_;
    std::map<char, int> counts_;
};

/// All that happens while the bytes come in pieces whose sizes `next_size` says.
Words replay(std::string const& bytes, std::function<std::size_t()> const& next_size, Model& model) {
    Words told;
    Aliases aliases;
    rt::Instant now{std::chrono::hours(1)};
    EventCutter cutter([&](EventCutter::Cut const& cut) {
        EXPECT_TRUE(cut.whole);
        auto const event = read_event(cut.data);
        EXPECT_FALSE(std::holds_alternative<Unknown>(event.what)) << event.type;
        if (auto const* seen = std::get_if<SessionSeen>(&event.what)) aliases(seen->info.id);
        now += std::chrono::milliseconds(1);
        for (auto const& words : in_words(model.apply(event, now))) told.push_back(aliases(words));
    });
    std::string_view rest = bytes;
    while (!rest.empty()) {
        auto const piece = rest.substr(0, next_size());
        cutter.feed(piece);
        rest.remove_prefix(piece.size());
    }
    return told;
}

struct Recording {
    std::string scenario;
    Words happenings;
};

void PrintTo(Recording const& recording, std::ostream* out) { *out << recording.scenario; }

class Recordings : public testing::TestWithParam<Recording> {};

TEST_P(Recordings, TellWhatHappenedWhateverTheSplit) {
    auto const& [scenario, happenings] = GetParam();
    auto const bytes = recording_of(scenario);
    ASSERT_GT(bytes.size(), 0U) << "no recording of " << scenario << "; tests/recordings/record " << scenario;
    auto const fixed = [](std::size_t size) { return [size] { return size; }; };
    for (std::size_t size : {bytes.size(), std::size_t{1}, std::size_t{7}, std::size_t{1000}}) {
        Model model;
        EXPECT_EQ(replay(bytes, fixed(size), model), happenings) << "in pieces of " << size;
        EXPECT_FALSE(model.watched()) << "nothing runs or waits in the end";
    }
    std::mt19937 random(1);
    for (int i = 0; i < 5; ++i) {
        Model model;
        EXPECT_EQ(replay(
                      bytes, [&] { return 1 + random() % 4000; }, model),
                  happenings);
    }
}

/// Twice in a row is as if a second stream had told the same: ids that are over do not come back.
TEST_P(Recordings, AskNothingTwice) {
    auto const bytes = recording_of(GetParam().scenario);
    Model model;
    replay(
        bytes, [] { return std::size_t{4096}; }, model);
    for (auto const& words : replay(
             bytes, [] { return std::size_t{4096}; }, model))
        EXPECT_EQ(words.find("pending"), words.npos) << words;
}

INSTANTIATE_TEST_SUITE_P(
    All, Recordings,
    testing::Values(
        Recording{"normal", {"S1 began", "S1 completed, 1 steps by build: All done"}},
        Recording{"provider_401", {"S1 began", "S1 failed: APIError 401"}},
        Recording{"provider_500", {"S1 began", "S1 retrying: 1", "S1 retrying: 2", "S1 retry over", "S1 aborted"}},
        Recording{
            "retry_recovered",
            {"S1 began", "S1 retrying: 1", "S1 retry over, recovered", "S1 completed, 1 steps by build: Back again"}},
        Recording{"abort_in_retry", {"S1 began", "S1 retrying: 1", "S1 retry over", "S1 aborted"}},
        Recording{"user_abort", {"S1 began", "S1 aborted"}},
        Recording{"abort_pending", {"S1 began", "P1 pending: bash echo never, S1", "P1 over: gone", "S1 aborted"}},
        Recording{"abort_parent", {"S1 began", "S1 aborted"}}, Recording{"abort_idle", {}},
        Recording{
            "permission_once",
            {"S1 began", "P1 pending: bash echo once, S1", "P1 over: once", "S1 completed, 2 steps by build: Ran it"}},
        Recording{"permission_always",
                  {"S1 began", "P1 pending: bash uname -s, S1", "P1 over: always",
                   "S1 completed, 3 steps by build: Ran both"}},
        Recording{"permission_reject", {"S1 began", "P1 pending: bash echo no, S1", "P1 over: reject"}},
        Recording{"permission_reject_with_message",
                  {"S1 began", "P1 pending: bash echo no, S1", "P1 over: reject",
                   "S1 completed, 2 steps by build: Then not"}},
        Recording{
            "question_reply",
            {"S1 began", "Q1 pending: Colour, S1", "Q1 over: answered", "S1 completed, 2 steps by build: Blue it is"}},
        Recording{"question_reject", {"S1 began", "Q1 pending: Colour, S1", "Q1 over: rejected"}},
        Recording{"question_two",
                  {"S1 began", "Q1 pending: Colour Size, S1", "Q1 over: answered",
                   "S1 completed, 2 steps by build: Blue in both"}},
        Recording{"child_permission",
                  {"S1 began", "P1 pending: bash echo from-child, S2 of S1", "P1 over: once",
                   "S1 completed, 4 steps by build: Parent done"}},
        Recording{
            "fork",
            {"S1 began", "P1 pending: bash echo once, S1", "P1 over: once", "S1 completed, 2 steps by build: Ran it"}},
        Recording{"terminal", {}}, Recording{"terminal_disposed", {}}, Recording{"shell", {"S1 began"}},
        Recording{"refused", {"S1 failed: UnknownError"}}, Recording{"deleted_busy", {"S1 began", "S1 deleted"}},
        Recording{"compaction",
                  {"S1 began", "S1 completed, 1 steps by build: All done", "S1 began",
                   "S1 completed, 1 steps by compaction: A title"}},
        Recording{"two_turns", {"S1 began", "S1 completed, 2 steps by build: Second"}},
        Recording{"disposed", {"S1 began", "P1 pending: bash echo never, S1", "P1 over: gone", "S1 aborted"}}),
    [](auto const& recording) { return recording.param.scenario; });

TEST(RecordingsFolder, IsAllInTheTable) {
    std::set<std::string> names;
    for (auto const& entry : std::filesystem::directory_iterator(recordings_folder())) {
        auto const name = entry.path().filename().string();
        if (name.ends_with(".global.sse")) names.insert(name.substr(0, name.find('.')));
    }
    EXPECT_EQ(names.size(), 26U);
}

}  // namespace
}  // namespace ocgate::opencode
