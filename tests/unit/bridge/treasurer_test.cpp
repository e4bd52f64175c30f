// The purse over restarts and kills, on a clock moved by hand. A kill is that nothing more is done.
#include "ocgate/bridge/treasurer.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <random>

#include "support/bench.hpp"

namespace ocgate::bridge {
namespace {
using namespace std::chrono_literals;
using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Time = Purse::Time;

class TreasurerTest : public testing::Test {
protected:
    ~TreasurerTest() override {
        kill();
        EXPECT_TRUE(bench.nothing_left()) << "a task or deadline is left";
    }

    void begin(bool on_disk = true) {
        treasurer = std::make_unique<Treasurer>(
            TreasurerNeeds{.executor = bench.io.get_executor(),
                           .deadlines = bench.deadlines,
                           .store = store,
                           .wall = [this] { return wall(); },
                           .on_disk = on_disk,
                           .heard_until = [this] { return heard_until; },
                           .ready = [this](Purse::Left const& what) { left.push_back(what); },
                           .crossed = [this](Crossed const& what) { told.push_back(what.key); },
                           .blocked = [this](auto const& what) { blocks.push_back(what); },
                           .escaped = [](std::exception_ptr const& error) { std::rethrow_exception(error); }},
            rules);
        treasurer->start();
        bench.settle();
    }
    void found_disk() {
        treasurer->kept({.durable = true, .wanted = true});
        bench.settle();
    }
    void kill() { treasurer.reset(); }
    void restart() {
        kill();
        begin();
        found_disk();
    }
    void stop() {
        auto const stopped = bench.start(treasurer->stop());
        EXPECT_TRUE(*stopped);
        kill();
    }

    [[nodiscard]] Time wall() const {
        return std::chrono::sys_days(2026y / 11 / 25) + 12h + wall_moved +
               std::chrono::duration_cast<Time::duration>(bench.clock.now().time_since_epoch());
    }
    static opencode::StepInfo step(std::string id, double cost, Time ended) {
        opencode::StepInfo made;
        made.message = std::move(id);
        made.completed = true;
        made.usage.cost = cost;
        made.completed_ms = std::chrono::duration_cast<std::chrono::milliseconds>(ended.time_since_epoch()).count();
        return made;
    }
    /// A step that ends now and is heard at once.
    void spend(std::string const& id, double cost) {
        heard_until = wall();
        treasurer->spent(step(id, cost, wall()));
        treasurer->heard();
        bench.settle();
    }
    /// Of the day, as it is in the note; nothing: there is none.
    std::optional<double> noted() {
        auto const kept = bench.start(store.run([](notify::Outbox& outbox) { return outbox.recall("purse"); }));
        auto const note = (*kept)->value();
        if (!note) return std::nullopt;
        Purse purse({});
        EXPECT_TRUE(purse.restore(*note, wall()));
        return purse.spent(Period::day, wall());
    }
    [[nodiscard]] double spent() const { return treasurer->purse().spent(Period::day, wall()); }

    test::Bench bench;
    notify::Store store{std::move(*notify::Outbox::in_memory())};
    PurseRules rules;
    std::optional<Time> heard_until;
    std::chrono::hours wall_moved{0};
    std::vector<Purse::Left> left;
    std::vector<std::string> told;
    std::vector<std::optional<Purse::Blocked>> blocks;
    std::unique_ptr<Treasurer> treasurer;
};

TEST_F(TreasurerTest, WithoutADiskItIsReadyAtOnceAndWritesNothing) {
    begin(false);
    ASSERT_THAT(left, SizeIs(1));
    EXPECT_FALSE(left[0].heard_until);
    spend("msg_1", 1);
    bench.advance(10min);
    EXPECT_EQ(noted(), std::nullopt);
    EXPECT_EQ(spent(), 1);
    stop();
}

TEST_F(TreasurerTest, WaitsForTheDiskAndForWhatIsOnIt) {
    begin();
    EXPECT_THAT(left, IsEmpty());
    found_disk();
    ASSERT_THAT(left, SizeIs(1));
    EXPECT_FALSE(left[0].heard_until);
    spend("msg_1", 1.25);
    bench.advance(1s);
    auto const heard = heard_until;
    kill();
    begin();
    EXPECT_THAT(left, SizeIs(1));
    found_disk();
    ASSERT_THAT(left, SizeIs(2));
    EXPECT_THAT(left[1].steps, ElementsAre("msg_1"));
    EXPECT_EQ(left[1].heard_until, std::chrono::floor<std::chrono::milliseconds>(*heard));
    EXPECT_EQ(spent(), 1.25);
    spend("msg_1", 1.25);
    EXPECT_EQ(spent(), 1.25) << "it was counted in the last life";
}

TEST_F(TreasurerTest, WritesOnceASecondAtMost) {
    begin();
    found_disk();
    spend("msg_1", 1);
    spend("msg_2", 1);
    bench.advance(999ms);
    EXPECT_EQ(noted(), std::nullopt);
    bench.advance(1ms);
    EXPECT_EQ(noted(), 2);
    bench.advance(100ms);
    spend("msg_3", 1);
    bench.advance(999ms);
    EXPECT_EQ(noted(), 2);
    bench.advance(1ms);
    EXPECT_EQ(noted(), 3);
    spend("msg_4", 1);
    stop();
    EXPECT_EQ(noted(), 4) << "an orderly end writes at once";
}

TEST_F(TreasurerTest, HowFarItHasHeardIsNotedEveryMinute) {
    begin();
    found_disk();
    spend("msg_1", 1);
    bench.advance(1s);
    auto const note_says = [&] {
        auto const kept = bench.start(store.run([](notify::Outbox& outbox) { return outbox.recall("purse"); }));
        return Purse({}).restore((*kept)->value().value(), wall())->heard_until;
    };
    auto const first = note_says();
    for (int i = 0; i < 5; ++i) {
        bench.advance(10s);
        heard_until = wall();
        treasurer->heard();
    }
    EXPECT_EQ(note_says(), first);
    for (int i = 0; i < 3; ++i) {
        bench.advance(10s);
        heard_until = wall();
        treasurer->heard();
    }
    EXPECT_GT(note_says(), first);
}

TEST_F(TreasurerTest, NothingIsWrittenWhileAGapIsAskedFor) {
    begin();
    found_disk();
    spend("msg_0", 1);
    bench.advance(2s);
    auto const gap = heard_until;
    // Many more ended unheard than a note knows by their ids. What was asked for is killed in the middle.
    auto const ended = wall() + 1s;
    bench.advance(1min);
    for (int i = 0; i < 400; ++i) treasurer->spent(step("gap_" + std::to_string(i), 0.01, ended));
    bench.advance(30s);
    EXPECT_EQ(spent(), 5);
    EXPECT_EQ(noted(), 1);
    restart();
    EXPECT_EQ(left.back().heard_until, std::chrono::floor<std::chrono::milliseconds>(*gap));
    for (int i = 0; i < 500; ++i) treasurer->spent(step("gap_" + std::to_string(i), 0.01, ended));
    EXPECT_EQ(spent(), 6);
    heard_until = wall();
    bench.advance(1s);
    EXPECT_EQ(noted(), 6);
    // Nobody can say when it is over: after a while it is written all the same.
    treasurer->spent(step("late", 1, wall()));
    bench.advance(Treasurer::patience - 1s);
    EXPECT_EQ(noted(), 6);
    bench.advance(2s);
    EXPECT_EQ(noted(), 7);
}

/// opencode, which ends steps, and a gateway that hears them, loses the connection, is killed and asks for what it
/// missed, whenever.
TEST_F(TreasurerTest, KilledAtAnyMomentItCountsEachStepOnce) {
    for (unsigned seed = 1; seed <= 40; ++seed) {
        std::mt19937 dice(seed);
        auto const chance = [&](int percent) { return static_cast<int>(dice() % 100) < percent; };
        auto const nap = [&] { bench.advance(std::chrono::milliseconds(dice() % 1800)); };
        std::vector<opencode::StepInfo> all;
        std::optional<Time> last_heard;
        bool connected = false;
        auto const prefix = "seed" + std::to_string(seed) + "_";
        restart();
        auto const before = treasurer->purse().spent(Period::month, wall());
        // As the follower has it: it stays at the beginning of a gap until all of that has been asked for.
        auto const hear = [&] {
            last_heard = heard_until = wall();
            treasurer->heard();
        };
        auto const connect = [&] {
            auto const since = last_heard ? last_heard : left.back().heard_until;
            heard_until = since;
            connected = true;
            if (!since) return true;
            for (auto const& one : all) {
                if (Time(std::chrono::milliseconds(one.completed_ms)) < *since - 30s) continue;
                treasurer->spent(one);
                if (chance(2)) nap();
                if (chance(1)) return false;  // killed on the way
            }
            hear();
            return true;
        };
        auto const die = [&] {
            connected = false;
            last_heard.reset();
            if (chance(20)) stop();
            nap();
            restart();
            heard_until = left.back().heard_until;
        };
        connect();
        hear();
        bench.advance(2s);  // from here on there is a note
        for (int i = 0; i < 120; ++i) {
            if (chance(60)) {
                all.push_back(step(prefix + std::to_string(i), 0.25, wall()));
                if (connected) {
                    treasurer->spent(all.back());
                    hear();
                }
            }
            nap();
            if (connected && chance(8)) connected = false;
            if (chance(6)) die();
            while (!connected && chance(50)) {
                if (!connect()) die();
            }
        }
        while (!connected) {
            if (!connect()) die();
        }
        auto const spent = treasurer->purse().spent(Period::month, wall()) - before;
        EXPECT_DOUBLE_EQ(spent, 0.25 * static_cast<double>(all.size())) << "seed " << seed;
        bench.advance(2s);
        stop();
    }
}

TEST_F(TreasurerTest, AClockThatIsSetBackDelaysNoNote) {
    begin();
    found_disk();
    spend("msg_1", 1);
    bench.advance(2s);
    EXPECT_EQ(noted(), 1);
    wall_moved = -48h;
    spend("msg_2", 2);
    bench.advance(2s);
    EXPECT_EQ(noted(), 2) << "of the day that it is now";
    stop();
}

TEST_F(TreasurerTest, AClockThatIsSetBackWhileNobodyRunsHidesNothingThatIsSpentMeanwhile) {
    begin();
    found_disk();
    spend("msg_1", 1);
    bench.advance(2s);
    wall_moved = -48h;
    restart();
    ASSERT_TRUE(left.back().heard_until);
    EXPECT_LT(*left.back().heard_until, wall());
    stop();
}

TEST_F(TreasurerTest, ADiskThatComesLateBringsWhatWasSpentBefore) {
    begin();
    found_disk();
    spend("msg_1", 1);
    bench.advance(1s);
    kill();
    begin();
    treasurer->kept({.durable = false, .wanted = true, .why = "no space"});
    bench.settle();
    ASSERT_THAT(left, SizeIs(2)) << "nobody waits for a disk that is away";
    EXPECT_FALSE(left[1].heard_until);
    spend("msg_2", 2);
    bench.advance(1min);
    EXPECT_EQ(noted(), 1) << "what is on the disk is not overwritten";
    found_disk();
    EXPECT_EQ(spent(), 3);
    EXPECT_THAT(left, SizeIs(2));
    bench.advance(1s);
    EXPECT_EQ(noted(), 3);
}

TEST_F(TreasurerTest, TellsEachPartOnceInAllItsLives) {
    rules.budgets = {{Period::day, 10, {0.5, 1.0}, false}};
    begin();
    found_disk();
    spend("msg_1", 6);
    EXPECT_THAT(told, ElementsAre("budget/day/2026-11-26/0.5/10"));
    bench.advance(1s);
    restart();
    spend("msg_2", 1);
    EXPECT_THAT(told, SizeIs(1));
    rules.budgets[0].usd = 7;
    treasurer->configure(rules);
    EXPECT_THAT(told, ElementsAre("budget/day/2026-11-26/0.5/10", "budget/day/2026-11-26/1/7"));
    EXPECT_THAT(blocks, IsEmpty());
}

TEST_F(TreasurerTest, SaysWhenNewWorkIsRefusedAndWhenNoMore) {
    rules.budgets = {{Period::day, 10, {}, true}};
    begin();
    found_disk();
    spend("msg_1", 10);
    auto const midnight = std::chrono::sys_days(2026y / 11 / 27);
    ASSERT_THAT(blocks, SizeIs(1));
    EXPECT_EQ(blocks[0], (Purse::Blocked{Period::day, midnight}));
    spend("msg_2", 1);
    EXPECT_THAT(blocks, SizeIs(1));
    bench.advance(1s);
    restart();
    ASSERT_THAT(blocks, SizeIs(2)) << "a restart lets nobody in";
    EXPECT_EQ(blocks[1], blocks[0]);
    rules.budgets[0].usd = 20;
    treasurer->configure(rules);
    ASSERT_THAT(blocks, SizeIs(3));
    EXPECT_FALSE(blocks[2]);
    rules.budgets[0].usd = 10;
    treasurer->configure(rules);
    ASSERT_THAT(blocks, SizeIs(4));
    bench.advance(std::chrono::duration_cast<rt::Duration>(midnight - wall()) - 1ms);
    EXPECT_THAT(blocks, SizeIs(4));
    bench.advance(2ms);
    ASSERT_THAT(blocks, SizeIs(5));
    EXPECT_FALSE(blocks[4]);
}

}  // namespace
}  // namespace ocgate::bridge
