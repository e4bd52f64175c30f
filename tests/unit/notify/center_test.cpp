// The life of an incident by a clock moved by hand: the courier is real, its targets and network are the test's.
#include "ocgate/notify/center.hpp"

#include "courier_kit.hpp"

namespace ocgate::notify {
namespace {
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

class CenterTest : public CourierTest {
protected:
    CenterTest() {
        handling.targets = {"a"};
        handling.hold = 1s;
    }
    ~CenterTest() override { end_center(); }

    void begin_all() {
        if (sinks.empty()) add("a").can.replaces = true;
        for (auto& [name, sink] : sinks) sink->can.resolves = true;
        begin();
        begin_center();
    }
    void begin_center() {
        CenterNeeds needs{bench.io.get_executor(), bench.deadlines, *store, *courier, {}, {}};
        needs.wall = [this] { return std::chrono::system_clock::time_point(wall()); };
        needs.route = [this](Raised const& raised) {
            routed.push_back(raised.key);
            return handling;
        };
        needs.escaped = [](std::exception_ptr const& error) { std::rethrow_exception(error); };
        needs.accepted = [this](rt::Duration took) { accepted.push_back(took); };
        center = std::make_unique<Center>(std::move(needs));
        center->start();
        bench.settle();
    }
    void end_center() {
        if (!center) return;
        auto const stopped = bench.start(center->stop());
        bench.settle();
        EXPECT_TRUE(*stopped);
        center.reset();
    }
    void happens(std::string key, std::string subject = "ses_1", Weight weight = Weight::block) {
        center->raise({.key = std::move(key), .kind = "permission", .subject = std::move(subject), .weight = weight});
        bench.settle();
    }
    void answered(std::string_view key, std::string_view outcome = "once") {
        center->resolve(key, outcome, "alice");
        bench.settle();
    }
    IncidentState incident(std::string const& key) {
        auto job = [key](Outbox& outbox) { return outbox.find(key); };
        auto const found = in_outbox(job);
        EXPECT_TRUE(found.has_value()) << key;
        return found ? found->state : IncidentState::suppressed;
    }
    /// The first words of what `target` was asked.
    std::vector<std::string> said_to(std::string const& target) {
        std::vector<std::string> found;
        for (auto const& body : bodies(target)) found.push_back(body.substr(0, body.find("/{")));
        return found;
    }

    Handling handling;
    std::vector<std::string> routed;
    std::vector<rt::Duration> accepted;
    std::unique_ptr<Center> center;
};

TEST_F(CenterTest, TellsNobodyOfWhatIsAnsweredWithinTheHold) {
    begin_all();
    happens("per_1");
    EXPECT_EQ(incident("per_1"), IncidentState::held) << "accepted means written";
    bench.advance(999ms);
    answered("per_1");
    bench.advance(1h);
    EXPECT_THAT(bodies("a"), IsEmpty());
    EXPECT_EQ(incident("per_1"), IncidentState::resolved);
    EXPECT_EQ(center->counts().never_told, 1u);
}

TEST_F(CenterTest, TellsAfterTheHoldAndWithdrawsWhenItIsAnswered) {
    begin_all();
    happens("per_1");
    bench.advance(1s);
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1"));
    EXPECT_THAT(accepted, ElementsAre(0s)) << "the hold does not count";
    bench.advance(1min);
    answered("per_1", "always");
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1", StartsWith("resolve-always per_1")));
    EXPECT_FALSE(center->active("per_1"));
}

TEST_F(CenterTest, TellsOnceHoweverOftenItIsRaised) {
    begin_all();
    for (int i = 0; i < 5; ++i) {
        happens("per_1");
        bench.advance(700ms);
    }
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1"));
    EXPECT_EQ(center->counts().known, 4u);
    answered("per_1");
    happens("per_1");
    bench.advance(1min);
    EXPECT_THAT(said_to("a"), SizeIs(2)) << "neither after it was answered";
    EXPECT_FALSE(center->active("per_1"));
}

TEST_F(CenterTest, RemindsAndHandsUpAndExpires) {
    add("a").can.replaces = true;
    add("boss");
    handling.reminders = {3min, 10min};
    handling.escalate_to = {"boss"};
    handling.escalate_after = 5min;
    handling.expires = 24h;
    begin_all();
    happens("per_1");
    bench.advance(1s);
    bench.advance(3min - 1ms);
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1"));
    bench.advance(1ms);
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1", "clear per_1", "publish per_1"));
    EXPECT_THAT(bodies("boss"), IsEmpty());
    bench.advance(2min);
    EXPECT_THAT(bodies("boss"), ElementsAre(HasSubstr(R"("escalated":true)")));
    bench.advance(5min);
    EXPECT_THAT(said_to("a"), SizeIs(5));
    bench.advance(23h);
    EXPECT_THAT(said_to("a"), SizeIs(5)) << "no third reminder";
    EXPECT_EQ(incident("per_1"), IncidentState::open);
    bench.advance(1h);
    EXPECT_EQ(incident("per_1"), IncidentState::expired);
    EXPECT_THAT(bodies("a").back(), StartsWith("resolve-expired per_1"));
    EXPECT_THAT(bodies("boss").back(), StartsWith("resolve-expired per_1"));
    EXPECT_EQ(center->counts().reminders, 2u);
    EXPECT_EQ(center->counts().escalations, 1u);
    EXPECT_EQ(center->counts().expired, 1u);
}

TEST_F(CenterTest, BlocksOfOneSubjectThatComeTogetherAreToldTogether) {
    begin_all();
    happens("per_1");
    bench.advance(5s);
    happens("per_2");
    bench.advance(1s);
    happens("per_3", "ses_other");
    bench.advance(1s);
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1", "publish per_1", "publish per_3"));
    EXPECT_THAT(bodies("a")[1], HasSubstr(R"("waiting":2)"));
    EXPECT_EQ(center->counts().joined, 1u);
    answered("per_1");
    bench.settle();
    EXPECT_THAT(said_to("a").back(), StartsWith("publish per_2")) << "it still waits";
    answered("per_2");
    EXPECT_THAT(said_to("a").back(), StartsWith("resolve-once per_2"));
}

TEST_F(CenterTest, ABlockThatComesLaterIsToldByItself) {
    begin_all();
    happens("per_1");
    bench.advance(11s);
    happens("per_2");
    bench.advance(1s);
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1", "publish per_2"));
}

TEST_F(CenterTest, WhatIsSuppressedIsWrittenAndNotTold) {
    handling.suppressed = "muted";
    begin_all();
    happens("per_1");
    bench.advance(1h);
    EXPECT_THAT(bodies("a"), IsEmpty());
    EXPECT_EQ(incident("per_1"), IncidentState::suppressed);
    EXPECT_EQ(center->counts().suppressed, 1u);
}

TEST_F(CenterTest, ARestartTellsNothingTwiceAndForgetsNothing) {
    handling.reminders = {3min, 10min};
    begin_all();
    happens("told");
    bench.advance(2s);
    happens("held", "ses_2");
    ASSERT_THAT(said_to("a"), ElementsAre("publish told"));
    end_center();
    bench.advance(4min);
    begin_center();
    bench.advance(999ms);
    EXPECT_THAT(said_to("a"), SizeIs(1)) << "a reminder that was missed is not made up for";
    bench.advance(1ms);
    EXPECT_THAT(said_to("a"), ElementsAre("publish told", "publish held"));
    happens("told");
    bench.advance(1min);
    EXPECT_THAT(said_to("a"), SizeIs(2));
    answered("told");
    EXPECT_THAT(said_to("a").back(), StartsWith("resolve-once told"));
    bench.advance(1h);
    EXPECT_THAT(said_to("a"), SizeIs(3 + 2 * 2)) << "two reminders of what is left, each a clear and a publication";
}

TEST_F(CenterTest, EndsAllThatMatch) {
    begin_all();
    happens("per_1", "ses_1");
    happens("per_2", "ses_2");
    bench.advance(1s);
    center->resolve_where([](Raised const& raised) { return raised.subject == "ses_2"; }, "gone");
    bench.settle();
    EXPECT_TRUE(center->active("per_1"));
    EXPECT_FALSE(center->active("per_2"));
}

TEST(CenterWords, ALetterIsMadeOfWhatTheOutboxKept) {
    Due due;
    due.incident.key = "permission/per_1";
    due.incident.kind = "permission";
    due.incident.weight = Weight::block;
    due.incident.facts =
        R"({"project":"shop","session":{"id":"ses_1","title":"Fix it"},"request":{"kind":"bash","command":"git push"}})";
    due.payload = R"({"privacy":"full","priority":5,"silent":true,"escalated":true,"waiting":3})";
    auto const letter = Center::compose(due);
    ASSERT_TRUE(letter);
    EXPECT_EQ(letter->message.event, "permission");
    EXPECT_EQ(letter->message.incident_key, "permission/per_1");
    EXPECT_TRUE(letter->message.blocks);
    EXPECT_TRUE(letter->message.silent);
    EXPECT_TRUE(letter->message.escalated);
    EXPECT_EQ(letter->message.priority, 5);
    EXPECT_THAT(letter->message.title, HasSubstr("3 waiting"));
    EXPECT_THAT(letter->message.body, HasSubstr("git push"));
    due.payload = R"({"privacy":"minimal"})";
    EXPECT_THAT(Center::compose(due)->message.body, testing::Not(HasSubstr("git push")));
    due.incident.facts = "{broken";
    EXPECT_FALSE(Center::compose(due));
}

}  // namespace
}  // namespace ocgate::notify
