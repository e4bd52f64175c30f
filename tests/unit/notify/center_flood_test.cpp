// Much at once: what ends together, and what comes faster than it can be written.
#include "center_kit.hpp"

namespace ocgate::notify {
namespace {

using CenterFlood = CenterTest;

std::string large_facts() { return R"({"x":")" + std::string(std::size_t{48} * 1024, 'x') + R"("})"; }

TEST_F(CenterFlood, WhatIsOverTogetherIsNotToldOneByOne) {
    begin_all();
    std::vector<std::string> keys;
    for (int n = 0; n < 10; ++n) keys.push_back("per_" + std::to_string(n));
    for (auto const& key : keys) {
        center->raise({.key = key, .kind = "permission", .subject = "ses_1", .weight = Weight::block});
    }
    bench.advance(10s);
    auto const before = bodies("a").size();
    for (auto const& key : keys) {
        answered(key, "rejected");
        bench.advance(50ms);
    }
    bench.advance(1h);
    auto const heard = said_to("a");
    ASSERT_THAT(heard, SizeIs(before + 1)) << heard[before];
    EXPECT_THAT(heard.back(), StartsWith("resolve-rejected per_0"));
}

TEST_F(CenterFlood, OfWhatIsLeftTheFirstSpeaksAMomentLaterAndIsCountedRight) {
    begin_all();
    for (auto const* key : {"per_1", "per_2", "per_3", "per_4", "per_5"}) happens(key);
    bench.advance(10s);
    auto const before = bodies("a").size();
    answered("per_1");
    answered("per_2");
    answered("per_4");
    bench.advance(Center::hand_on_after - 1ms);
    EXPECT_THAT(bodies("a"), SizeIs(before + 1)) << "withdrawn";
    bench.advance(1ms);
    EXPECT_THAT(said_to("a").back(), StartsWith("publish per_3"));
    EXPECT_THAT(bodies("a").back(), HasSubstr(R"("waiting":2)"));
    bench.advance(1h);
    EXPECT_THAT(bodies("a"), SizeIs(before + 2));
    EXPECT_EQ(center->list(10)[0].leader, "per_3");
}

// ---- more than can be written

TEST_F(CenterFlood, MoreThanCanBeWrittenIsRefusedAndWhatWasTakenIsNotLost) {
    begin_all();
    auto const facts = large_facts();
    auto const key = [](std::size_t n) { return "per_" + std::to_string(n); };
    auto const asks = [&](std::size_t n) {
        center->raise({.key = key(n), .kind = "permission", .subject = "ses_1", .facts = facts});
    };
    // Nothing is written before this turn is over, as on a disk that does not keep up.
    constexpr std::size_t many = 2000;
    for (std::size_t n = 0; n < many; ++n) {
        asks(n);
        if (n % 2 == 0) center->resolve(key(n), "once", "alice");
    }
    auto const taken_in = center->counts().raised;
    EXPECT_LT(taken_in * facts.size(), Center::max_held_bytes);
    EXPECT_GT(taken_in * facts.size(), Center::max_held_bytes / 4) << "and not much sooner";
    EXPECT_EQ(center->counts().refused, many - taken_in);
    EXPECT_THAT(center_troubles, ElementsAre(Trouble::full)) << "once";
    for (std::size_t n = 1; n < taken_in; n += 4) center->resolve(key(n), "once", "bob");
    EXPECT_EQ(center->counts().never_told, (taken_in + 1) / 2 + (taken_in + 2) / 4) << "an end is always taken";
    bench.settle();
    for (std::size_t n = 0; n < taken_in; ++n) {
        auto const waits = n % 4 == 3 ? IncidentState::held : IncidentState::resolved;
        ASSERT_EQ(incident(key(n)), waits) << n;
    }
    auto const refused = key(many - 1);
    EXPECT_FALSE(in_outbox([refused](Outbox& outbox) { return outbox.find(refused); }));
    asks(many);
    EXPECT_TRUE(center->active(key(many))) << "there is room again";
    bench.advance(10min);
    EXPECT_THAT(bodies("a").back(), HasSubstr(R"("waiting":)" + std::to_string(taken_in / 4 + 1)));
    EXPECT_THAT(center_troubles, SizeIs(1));
}

TEST_F(CenterFlood, WhatHasEndedAndIsWrittenHoldsNothing) {
    handling.hold = 0s;
    begin_all();
    auto const facts = large_facts();
    for (int n = 0; n < 900; ++n) {
        auto const key = "per_" + std::to_string(n);
        center->raise({.key = key, .kind = "permission", .subject = "ses_1", .facts = facts});
        center->resolve(key, "once", {});
        if (n % 100 == 0) bench.settle();
    }
    EXPECT_EQ(center->counts().refused, 0u);
}

TEST_F(CenterFlood, WhatAnEarlierRunTookIsNotRefusedWhateverItHolds) {
    begin_all();
    constexpr int many = 600;
    auto job = [at = ms()](Outbox& outbox) -> Kept<bool> {
        NewIncident one{.key = {}, .kind = "permission", .subject = "ses_1", .facts = std::string(60'000, 'x')};
        for (int n = 0; n < many; ++n) {
            one.key = "per_" + std::to_string(n);
            if (auto const raised = outbox.raise(one, at); !raised) return raised.error();
        }
        return true;
    };
    in_outbox(job);
    crash();
    EXPECT_THAT(taken, SizeIs(many));
    EXPECT_EQ(center->counts().refused, 0u);
    happens("another");
    EXPECT_EQ(center->counts().refused, 1u);
    answered("per_0");
    EXPECT_EQ(incident("per_0"), IncidentState::resolved);
}

}  // namespace
}  // namespace ocgate::notify
