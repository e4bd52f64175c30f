#include "ocgate/notify/courier.hpp"

#include "courier_kit.hpp"

namespace ocgate::notify {
namespace {
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

TEST_F(CourierTest, DeliversWhatIsDueAndKeepsWhatItWasCalled) {
    add("a");
    answers("a", answer(200, "id7"));
    begin();
    raise("i1", {"a"});
    EXPECT_THAT(bodies("a"), ElementsAre("publish i1/new"));
    EXPECT_EQ(state("i1>a"), "sent");
    EXPECT_THAT(said, ElementsAre("sent i1>a"));
    further("i1", "a", Action::remind, "again");
    EXPECT_THAT(bodies("a"), ElementsAre("publish i1/new", "clear i1/again after id7", "publish i1/again after id7"));
    resolve("i1", {"a"});
    EXPECT_EQ(bodies("a").back(), "resolve-once i1/ after id7");
    EXPECT_EQ(status("a").counts.sent, (std::array<std::uint64_t, 4>{1, 0, 1, 1}));
    EXPECT_EQ(status("a").counts.requests, 4u);
}

TEST_F(CourierTest, DeliversWhatWasThereBeforeItBegan) {
    add("a");
    raise("i1", {"a"});
    auto const lease = [at = ms()](Outbox& outbox) { return outbox.lease("a", 2, at + 60'000, at); };
    EXPECT_THAT(in_outbox(lease).due, SizeIs(1));  // by a process that was killed
    begin();
    EXPECT_EQ(state("i1>a"), "sent");
}

TEST_F(CourierTest, WaitsForWhatIsDueLater) {
    add("a");
    begin();
    auto job = [at = ms()](Outbox& outbox) {
        (void)outbox.raise({.key = "i", .kind = "k", .subject = "s"}, at);
        std::vector<NewDelivery> const one{
            {.dedupe = "late", .target = "a", .payload = "p", .not_before_ms = at + 90'000}};
        return outbox.open("i", one, at);
    };
    in_outbox(job);
    courier->wake("a");
    bench.advance(89999ms);
    EXPECT_THAT(http->asked, IsEmpty());
    bench.advance(1ms);
    EXPECT_THAT(times("a"), ElementsAre(90s));
}

TEST_F(CourierTest, TellsOfOneIncidentInOrderAndOfTwoAtATime) {
    add("a");
    http->script["a"] = [](HttpRequest const&) { return Reply{answer(200), 1s}; };
    sinks["a"]->can.replaces = true;
    raise("i1", {"a"});
    further("i1", "a", Action::update, "two");
    further("i1", "a", Action::update, "three");
    for (auto const* key : {"i2", "i3", "i4"}) raise(key, {"a"});
    begin();
    EXPECT_THAT(bodies("a"), ElementsAre("publish i1/new", "publish i2/new"));
    bench.advance(1s);
    bench.advance(10s);
    EXPECT_EQ(http->most_under_way["a"], 2);
    std::vector<std::string> first;
    for (auto const& body : bodies("a")) {
        if (body.find("i1") != std::string::npos) first.push_back(body);
    }
    EXPECT_THAT(first, ElementsAre("publish i1/new", "publish i1/two", "publish i1/three"));
    EXPECT_THAT(states("a"), testing::Each(Pair(testing::_, "sent")));
}

TEST_F(CourierTest, NamesADeliveryTheSameOnEachAttemptAndAnIncidentAlways) {
    add("a");
    int n = 0;
    http->script["a"] = [&](HttpRequest const&) { return Reply{answer(++n == 1 ? 503 : 200)}; };
    begin();
    raise("per_01", {"a"});
    bench.advance(1s);
    further("per_01", "a", Action::remind, "again");
    raise("error:x y", {"a"});
    ASSERT_THAT(http->asked, SizeIs(5));
    auto const& all = http->asked;
    EXPECT_EQ(all[0].fields.at("id"), all[1].fields.at("id"));
    EXPECT_NE(all[0].fields.at("id"), all[2].fields.at("id"));
    for (int i = 0; i < 4; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)].fields.at("sequence"), "per_01");
    EXPECT_THAT(all[4].fields.at("sequence"), testing::MatchesRegex("[0-9a-f]{32}"));
    for (auto const& one : all) EXPECT_THAT(one.fields.at("id"), testing::MatchesRegex("[0-9a-f]{32}"));
}

TEST_F(CourierTest, ABlackHoleDelaysNobodyElse) {
    // The same 60 incidents, with and without a target that swallows everything.
    auto const run = [](bool with_hole) {
        struct Run : CourierTest {
            void TestBody() override {}
            std::vector<rt::Duration> times_of_b(bool hole) {
                add("b");
                add("hole");
                http->script["b"] = [](HttpRequest const&) { return Reply{answer(200), 40ms}; };
                if (hole) http->script["hole"] = [](HttpRequest const&) { return silence(); };
                begin();
                for (int i = 0; i < 60; ++i) {
                    raise("i" + std::to_string(i), {"hole", "b"});
                    bench.advance(500ms);
                }
                EXPECT_THAT(states("b"), testing::Each(Pair(testing::_, "sent")));
                EXPECT_EQ(states("hole").at("i0>hole") == "sent", !hole);
                return times("b");
            }
        } one;
        return one.times_of_b(with_hole);
    };
    auto const without = run(false);
    EXPECT_THAT(without, SizeIs(60));
    EXPECT_EQ(run(true), without);
}

// ---- failures

TEST_F(CourierTest, BacksOffWithJitterUpToItsLongest) {
    add("a");
    rules.breaker_failures = 1000;
    answers("a", answer(503));
    random = 0.5;
    begin();
    raise("i1", {"a"});
    bench.advance(20min);
    auto const found = times("a");
    ASSERT_GE(found.size(), 12u);
    std::vector<rt::Duration> pauses;
    for (std::size_t i = 1; i < 12; ++i) pauses.push_back(found[i] - found[i - 1]);
    EXPECT_THAT(pauses, ElementsAre(500ms, 1s, 2s, 4s, 8s, 16s, 32s, 64s, 128s, 150s, 150s));
    EXPECT_EQ(status("a").last_failure, "answered 503");
}

TEST_F(CourierTest, OpensItsBreakerAndTriesOneAtATime) {
    add("a");
    answers("a", answer(503));
    for (int i = 0; i < 6; ++i) raise("i" + std::to_string(i), {"a"}, Weight::error);
    begin();
    EXPECT_THAT(http->asked, SizeIs(6)) << "the sixth was under way with the fifth";
    EXPECT_EQ(status("a").circuit, Circuit::open);
    EXPECT_EQ(status("a").counts.opened, 1u);
    bench.advance(9999ms);
    EXPECT_THAT(http->asked, SizeIs(6));
    http->script["a"] = [](HttpRequest const&) { return Reply{answer(503), 2s}; };
    bench.advance(1ms);
    EXPECT_THAT(http->asked, SizeIs(7));
    EXPECT_EQ(status("a").circuit, Circuit::half_open);
    bench.advance(2s);
    EXPECT_EQ(status("a").circuit, Circuit::open);
    bench.advance(19999ms);
    EXPECT_THAT(http->asked, SizeIs(7));
    answers("a", answer(200));
    bench.advance(1ms);
    EXPECT_EQ(status("a").circuit, Circuit::closed);
    bench.advance(1min);
    EXPECT_THAT(states("a"), testing::Each(Pair(testing::_, "sent")));
    EXPECT_THAT(http->asked, SizeIs(13));
}

TEST_F(CourierTest, AsksNoMoreWhereItIsNotWanted) {
    add("a");
    answers("a", answer(401));
    begin();
    for (int i = 0; i < 5; ++i) raise("i" + std::to_string(i), {"a"});
    bench.advance(1h);
    EXPECT_THAT(http->asked, SizeIs(1));
    EXPECT_EQ(status("a").disabled, "answered 401");
    EXPECT_THAT(said, testing::Contains("disabled a: answered 401"));
    EXPECT_THAT(states("a"), testing::Each(Pair(testing::_, "queued")));

    stop();
    add("a");
    begin();  // it is remembered
    bench.advance(1h);
    EXPECT_THAT(http->asked, SizeIs(1));
    EXPECT_EQ(status("a").disabled, "answered 401");

    http = std::make_shared<ScriptedHttp>(bench.deadlines);
    stop();
    add("a");
    begin();
    auto const enabled = bench.start(courier->enable("a"));
    EXPECT_TRUE((*enabled)->value());
    bench.settle();
    EXPECT_THAT(http->asked, SizeIs(5));
    EXPECT_THAT(states("a"), testing::Each(Pair(testing::_, "sent")));
    EXPECT_EQ((*bench.start(courier->enable("nobody")))->error().trouble, Trouble::unknown);
}

// The process was killed while they were sent. A disabled target leases nothing, which is where it would be found.
TEST_F(CourierTest, ADisabledTargetKeepsNothingOfWhatIsOver) {
    raise("i1", {"a"});
    raise("i2", {"a"});
    auto leave = [at = ms()](Outbox& outbox) {
        (void)outbox.lease("a", 2, at + 60'000, at);
        (void)outbox.disable("a", "answered 401", "mark", at);
        return outbox.end({.key = "i1", .outcome = "once"}, at);
    };
    in_outbox(std::move(leave));
    EXPECT_EQ(state("i1>a"), "leased");
    add("a");
    begin();
    EXPECT_EQ(status("a").disabled, "answered 401");
    EXPECT_EQ(state("i1>a"), "dropped");
    EXPECT_EQ(state("i2>a"), "queued");
    EXPECT_EQ(status("a").counts.ended, 1U);
    EXPECT_THAT(http->asked, testing::IsEmpty());
}

TEST_F(CourierTest, OtherSettingsAreANewChance) {
    add("a");
    http->script["a"] = [](HttpRequest const&) { return Reply{answer(401)}; };
    begin();
    raise("i1", {"a"});
    EXPECT_EQ(status("a").disabled, "answered 401");
    stop();
    http = std::make_shared<ScriptedHttp>(bench.deadlines);
    mark = "another";
    add("a");
    begin();
    EXPECT_EQ(status("a").disabled, "");
    EXPECT_EQ(state("i1>a"), "sent");
}

TEST_F(CourierTest, SaysItPlainlyOnceWhenItIsRejected) {
    add("a");
    http->script["a"] = [](HttpRequest const& request) {
        return Reply{answer(request.body.starts_with("plain i1") ? 200 : 400)};
    };
    begin();
    raise("i1", {"a"});
    raise("i2", {"a"});
    bench.advance(1h);
    EXPECT_THAT(bodies("a"), ElementsAre("publish i1/new", "plain i1/new", "publish i2/new", "plain i2/new"));
    EXPECT_EQ(state("i1>a"), "sent");
    EXPECT_EQ(state("i2>a"), "dead");
    EXPECT_THAT(said, ElementsAre("rejected i1>a", "sent i1>a", "rejected i2>a", "dead i2>a"));
    EXPECT_EQ(status("a").circuit, Circuit::closed);
}

TEST_F(CourierTest, ARequestThatIsNoneIsRejectedWithoutBlamingTheTarget) {
    add("a");
    http->script["a"] = [](HttpRequest const&) { return failing(HttpStep::request, false); };
    begin();
    for (int i = 0; i < 6; ++i) raise("i" + std::to_string(i), {"a"});
    EXPECT_THAT(states("a"), testing::Each(Pair(testing::_, "dead")));
    EXPECT_EQ(status("a").circuit, Circuit::closed);
}

TEST_F(CourierTest, WhatWasBrokenOffIsNeitherRejectedNorAFailureOfTheTarget) {
    rules.breaker_failures = 1;
    add("a");
    http->script["a"] = [](HttpRequest const&) {
        return failing(HttpStep::request, false, boost::asio::error::operation_aborted);
    };
    begin();
    raise("i1", {"a"});
    EXPECT_EQ(state("i1>a"), "queued");
    EXPECT_EQ(status("a").circuit, Circuit::closed);
    EXPECT_EQ(status("a").counts.failed, (std::array<std::uint64_t, 7>{}));
    answers("a", answer(200));
    bench.advance(1s);
    EXPECT_EQ(state("i1>a"), "sent");
}

TEST_F(CourierTest, AClockThatIsSetBackDelaysNothing) {
    add("a");
    answers("a", answer(503));
    begin();
    raise("i1", {"a"});
    answers("a", answer(200));
    wall_moved = -24h;
    bench.advance(rules.look_again);
    EXPECT_EQ(state("i1>a"), "sent");
    EXPECT_THAT(times("a"), SizeIs(2));
}

TEST_F(CourierTest, AClockThatIsSetAheadGivesNothingOutTwice) {
    add("a");
    http->script["a"] = [](HttpRequest const&) { return Reply{answer(503), 2s}; };
    begin();
    raise("i1", {"a"});
    wall_moved = 48h;  // its lease is over by that clock, while it is under way
    raise("i2", {"a"});
    EXPECT_THAT(times("a"), SizeIs(2));
    answers("a", answer(200));
    bench.advance(2s + rules.first_pause * 2);
    EXPECT_EQ(state("i1>a"), "sent");
    EXPECT_EQ(state("i2>a"), "sent");
    EXPECT_THAT(times("a"), SizeIs(4));
}

TEST_F(CourierTest, AClockThatIsSetAheadDropsNothingThatIsUnderWay) {
    add("a");
    http->script["a"] = [](HttpRequest const&) { return Reply{answer(200), 2s}; };
    begin();
    raise("i1", {"a"});
    wall_moved = 48h;
    resolve("i1", {"a"});  // behind it is what takes it back
    EXPECT_EQ(state("i1>a"), "leased");
    EXPECT_THAT(times("a"), SizeIs(1));
    bench.advance(2s);
    EXPECT_EQ(state("i1>a"), "sent");
    EXPECT_THAT(times("a"), SizeIs(2));
}

TEST_F(CourierTest, AClockThatIsSetBackWhileItIsAwayDelaysNothingEither) {
    add("a");
    answers("a", answer(503));
    begin();
    raise("i1", {"a"});
    stop();
    wall_moved = -24h;
    add("a");
    answers("a", answer(200));
    begin();
    bench.advance(rules.longest_pause);
    EXPECT_EQ(state("i1>a"), "sent");
}

TEST_F(CourierTest, WhatWasPutOffByTheRightClockStaysPutOffOverARestart) {
    add("a");
    answers("a", answer(503));
    begin();
    raise("i1", {"a"});
    stop();
    add("a");
    answers("a", answer(200));
    begin();
    EXPECT_EQ(state("i1>a"), "queued");
    bench.advance(rules.first_pause);
    EXPECT_EQ(state("i1>a"), "sent");
}

TEST_F(CourierTest, WhatMayHaveArrivedIsToldAgainWhenSomebodyWaits) {
    struct {
        Weight weight;
        bool replaces, maybe;
        char const* state;
    } const table[] = {
        {Weight::block, false, true, "sent"},       {Weight::error, false, true, "sent"},
        {Weight::complete, false, true, "dropped"}, {Weight::complete, false, false, "sent"},
        {Weight::complete, true, true, "sent"},
    };
    add("a");
    begin();
    int n = 0;
    for (auto const& row : table) {
        bool first = true;
        http->script["a"] = [&](HttpRequest const&) {
            return std::exchange(first, false) ? failing(row.maybe ? HttpStep::answer : HttpStep::dial, row.maybe)
                                               : Reply{answer(200)};
        };
        sinks["a"]->can.replaces = row.replaces;
        auto const key = "i" + std::to_string(++n);
        raise(key, {"a"}, row.weight);
        bench.advance(1s);
        EXPECT_EQ(state(key + ">a"), row.state) << n;
    }
    EXPECT_EQ(status("a").counts.ambiguous, 1u);
    EXPECT_EQ(status("a").counts.failed.at(static_cast<std::size_t>(HttpStep::dial)), 1u);
    EXPECT_EQ(status("a").counts.failed.at(static_cast<std::size_t>(HttpStep::answer)), 4u);
}

// ---- actions

TEST_F(CourierTest, WhatATargetCannotDoIsDropped) {
    auto& sink = add("a");
    begin();
    raise("i1", {"a"});
    further("i1", "a", Action::update, "more");  // it could only tell it twice
    EXPECT_EQ(state("i1>a:more"), "dropped");
    sink.withdraws = false;
    resolve("i1", {"a"});
    EXPECT_THAT(bodies("a"), ElementsAre("publish i1/new"));
    EXPECT_EQ(status("a").counts.unable, 2u);
    EXPECT_THAT(states("a"), SizeIs(3));
}

TEST_F(CourierTest, AnUpdateOfWhatWasNeverToldIsNews) {
    add("a");
    begin();
    raise("i1", {});
    further("i1", "a", Action::update, "more");
    EXPECT_THAT(bodies("a"), ElementsAre("publish i1/more"));
}

TEST_F(CourierTest, WhatIsGoneNeedsNoWithdrawal) {
    add("a");
    http->script["a"] = [](HttpRequest const& request) {
        return Reply{request.body.starts_with("publish") ? answer(200, "id") : answer(404)};
    };
    begin();
    raise("i1", {"a"});
    further("i1", "a", Action::remind, "again");
    EXPECT_THAT(bodies("a"), ElementsAre("publish i1/new", "clear i1/again after id", "publish i1/again after id"));
    resolve("i1", {"a"});
    EXPECT_THAT(states("a"), testing::Each(Pair(testing::_, "sent")));
}

TEST_F(CourierTest, AReminderBeginsAgainWithItsFirstRequest) {
    add("a");
    int n = 0;
    http->script["a"] = [&](HttpRequest const&) { return Reply{answer(++n == 3 ? 503 : 200, "id")}; };
    begin();
    raise("i1", {"a"});
    further("i1", "a", Action::remind, "r");
    bench.advance(1s);
    EXPECT_THAT(bodies("a"), ElementsAre("publish i1/new", "clear i1/r after id", "publish i1/r after id",
                                         "clear i1/r after id", "publish i1/r after id"));
    EXPECT_EQ(state("i1>a:r"), "sent");
}

TEST_F(CourierTest, WhatIsAnsweredWhileItWaitsIsNotTold) {
    add("a");
    answers("a", answer(503));
    begin();
    raise("i1", {"a"});
    resolve("i1", {});
    answers("a", answer(200));
    bench.advance(1h);
    EXPECT_THAT(bodies("a"), ElementsAre("publish i1/new"));
    EXPECT_EQ(state("i1>a"), "dropped");
}

TEST_F(CourierTest, WritesLinesWithoutANetwork) {
    add("log").can.line_only = true;
    begin();
    raise("i1", {"log"});
    EXPECT_THAT(lines, ElementsAre("publish i1/new"));
    EXPECT_THAT(http->asked, IsEmpty());
    EXPECT_EQ(state("i1>log"), "sent");
}

TEST_F(CourierTest, ADocumentThatCannotBeReadIsDead) {
    add("a");
    begin();
    raise("i1", {});
    further("i1", "a", Action::publish, "broken");
    EXPECT_EQ(state("i1>a:broken"), "dead");
}

}  // namespace
}  // namespace ocgate::notify
