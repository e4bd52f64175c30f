// Whatever comes, in whatever order: nothing is told twice, and nothing grows without bound.
#include <map>
#include <random>
#include <set>

#include "model_kit.hpp"

namespace ocgate::opencode {
namespace {

/// Nothing is told twice: each pending ends once before it may begin again, each attempt of a retry is told once, and a
/// tree that did not begin to run again has no second outcome.
class Books {
public:
    void enter(Happening const& happening) {
        std::visit([this](auto const& h) { (*this)(h); }, happening);
    }
    void ran() { ++runs_; }

private:
    void operator()(PermissionPending const& h) { EXPECT_TRUE(open_.insert(h.permission.id).second); }
    void operator()(QuestionPending const& h) { EXPECT_TRUE(open_.insert(h.question.id).second); }
    void operator()(PermissionOver const& h) { EXPECT_EQ(open_.erase(h.id), 1U); }
    void operator()(QuestionOver const& h) { EXPECT_EQ(open_.erase(h.id), 1U); }
    void operator()(Retrying const& h) {
        auto const [entry, fresh] = attempts_.try_emplace(h.session, h.attempt);
        EXPECT_TRUE(fresh || entry->second != h.attempt);
        entry->second = h.attempt;
    }
    void operator()(RetryOver const& h) { EXPECT_EQ(attempts_.erase(h.session), 1U); }
    void operator()(TurnBegan const& h) {
        EXPECT_EQ(h.root.parent, "");
        ++began_[h.root.id];
    }
    void operator()(TurnCompleted const& h) { ends(h.root); }
    void operator()(TurnAborted const& h) { ends(h.root); }
    void operator()(TurnFailed const& h) { EXPECT_NE(h.session, ""); }
    void operator()(SessionDeleted const&) {}

    void ends(SessionInfo const& root) {
        EXPECT_EQ(root.parent, "");
        EXPECT_LE(++outcomes_, runs_);
        EXPECT_GE(--began_[root.id], 0) << "nothing ends that did not begin";
    }

    std::set<std::string> open_;
    std::map<std::string, unsigned> attempts_;
    int runs_ = 0;
    std::map<std::string, int> began_;  ///< turns that have not ended, or ended without a word
    int outcomes_ = 0;
};

TEST_F(ModelTest, TellsNothingTwiceInAnyOrderOfEvents) {
    for (unsigned seed = 1; seed <= 300; ++seed) {
        std::mt19937 random(seed);
        auto const below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
        auto const id = [&](char const* kind, unsigned n) { return kind + std::to_string(below(n)); };
        Model::Limits limits;
        limits.max_sessions = 4 + below(6);
        limits.max_pending = 1 + below(5);
        limits.max_remembered = 50;
        model = Model(limits);
        Books books;
        for (int i = 0; i < 300; ++i) {
            now += std::chrono::milliseconds(below(2000));
            auto const name = id("ses_", 8);
            decltype(Event::what) what;
            Happenings told;
            switch (below(16)) {
                case 0:
                case 1: {
                    SessionInfo info;
                    info.id = name;
                    if (below(2)) info.parent = id("ses_", 8);
                    info.updated_ms = below(100);
                    what = SessionSeen{info, below(4) == 0};
                    break;
                }
                case 2:
                case 3:
                    what = StatusChanged{name, {below(3) ? State::busy : State::retry, below(3), {}, 0}};
                    books.ran();
                    break;
                case 4:
                case 5:
                    what = StatusChanged{name, {}};
                    break;
                case 6:
                    what = SessionFailed{name, below(2) ? std::string(aborted_error) : "E", "m", 0};
                    break;
                case 7:
                case 8:
                case 9: {
                    auto info = step_info(name, id("msg_", 10), below(2) ? "stop" : "");
                    if (below(3) == 0) info.error_name = below(2) ? std::string(aborted_error) : "E";
                    info.created_ms = below(50);
                    what = StepChanged{info};
                    break;
                }
                case 10:
                    what = PermissionAsked{permission(id("per_", 10), name, id("msg_", 10))};
                    books.ran();
                    break;
                case 11:
                    what = QuestionAsked{question(id("que_", 10), name)};
                    books.ran();
                    break;
                case 12:
                    what = PermissionAnswered{{}, id("per_", 10), "once"};
                    break;
                case 13:
                    if (below(5) == 0) what = SessionGone{name};
                    if (below(5) == 1) what = AllGone{};
                    break;
                case 14: {
                    Answers answers{directory, {{name, is_busy()}}, {permission(id("per_", 10), name)}, {}};
                    if (below(2)) answers.statuses.clear();
                    books.ran();
                    told = model.reconcile(answers, now - std::chrono::milliseconds(below(2000)), now);
                    break;
                }
                default:
                    if (below(4) == 0) told = model.lost(now);
                    for (auto const& info : model.unsettled()) {
                        auto const more = model.settle(info.id, step_info(info.id, id("msg_", 10), "stop"), now);
                        told.insert(told.end(), more.begin(), more.end());
                    }
                    break;
            }
            for (auto const& happening : told) books.enter(happening);
            for (auto const& happening : model.apply(Event{"t", next_id(), directory, what}, now))
                books.enter(happening);
            ASSERT_LE(model.sessions().size(), limits.max_sessions);
            ASSERT_LE(model.pending().size(), limits.max_pending);
            ASSERT_EQ(model.counts().permissions + model.counts().questions, model.pending().size());
        }
        for (unsigned i = 0; i < 8; ++i)
            model.apply(Event{"t", next_id(), directory, SessionGone{"ses_" + std::to_string(i)}}, now);
        EXPECT_FALSE(model.watched() || model.lacks()) << "what is gone leaves nothing";
        if (HasFailure()) {
            ADD_FAILURE() << "with seed " << seed;
            return;
        }
    }
}

}  // namespace
}  // namespace ocgate::opencode
