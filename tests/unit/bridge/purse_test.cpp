#include "ocgate/bridge/purse.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "ocgate/notify/outbox.hpp"

namespace ocgate::bridge {
namespace {
using namespace std::chrono_literals;
using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Time = Purse::Time;
using Blocked = Purse::Blocked;

Time at(int year, unsigned month, unsigned day, std::chrono::minutes time = 0min) {
    return std::chrono::sys_days(std::chrono::year(year) / static_cast<int>(month) / static_cast<int>(day)) + time;
}

PurseRules rules(std::vector<Budget> budgets, std::string zone = "UTC") {
    return {std::move(budgets), std::move(zone)};
}
Budget day_of(double usd, std::vector<double> parts = {0.8, 1.0}, bool block = false) {
    return {Period::day, usd, std::move(parts), block};
}
Budget month_of(double usd, std::vector<double> parts = {0.8, 1.0}, bool block = false) {
    return {Period::month, usd, std::move(parts), block};
}

std::vector<std::string> keys(std::vector<Crossed> const& crossed) {
    std::vector<std::string> all;
    for (auto const& one : crossed) all.push_back(one.key);
    return all;
}

TEST(Purse, KnowsDaysAndMonthsOfAPlace) {
    struct Row {
        std::string zone;
        Time when;
        std::string day, month;
        Time day_ends, month_ends;
    };
    for (auto const& row : {
             Row{"UTC", at(2026, 11, 26, 12h), "2026-11-26", "2026-11", at(2026, 11, 27), at(2026, 12, 1)},
             Row{"UTC", at(2026, 12, 31, 24h - 1min), "2026-12-31", "2026-12", at(2027, 1, 1), at(2027, 1, 1)},
             Row{"UTC", at(2028, 2, 28, 12h), "2028-02-28", "2028-02", at(2028, 2, 29), at(2028, 3, 1)},
             Row{"Europe/Berlin", at(2026, 11, 26, 23h - 1min), "2026-11-26", "2026-11", at(2026, 11, 26, 23h),
                 at(2026, 11, 30, 23h)},
             Row{"Europe/Berlin", at(2026, 11, 26, 23h), "2026-11-27", "2026-11", at(2026, 11, 27, 23h),
                 at(2026, 11, 30, 23h)},
             Row{"Europe/Berlin", at(2026, 10, 31, 23h), "2026-11-01", "2026-11", at(2026, 11, 1, 23h),
                 at(2026, 11, 30, 23h)},
             // The clocks go forward, and back: days of 23 and of 25 hours, and a month that begins in the other time.
             Row{"Europe/Berlin", at(2026, 3, 28, 23h), "2026-03-29", "2026-03", at(2026, 3, 29, 22h),
                 at(2026, 3, 31, 22h)},
             Row{"Europe/Berlin", at(2026, 10, 24, 22h), "2026-10-25", "2026-10", at(2026, 10, 25, 23h),
                 at(2026, 10, 31, 23h)},
             // There they go forward at midnight: the day begins at one o'clock.
             Row{"America/Santiago", at(2026, 9, 6, 4h - 1min), "2026-09-05", "2026-09", at(2026, 9, 6, 4h),
                 at(2026, 10, 1, 3h)},
             Row{"America/Santiago", at(2026, 9, 6, 4h), "2026-09-06", "2026-09", at(2026, 9, 7, 3h),
                 at(2026, 10, 1, 3h)},
             // And there, once, half an hour before it.
             Row{"America/Toronto", at(1919, 3, 31, 4h + 15min), "1919-03-30", "1919-03", at(1919, 3, 31, 4h + 30min),
                 at(1919, 4, 1, 4h)},
             Row{"Pacific/Kiritimati", at(2026, 11, 30, 10h), "2026-12-01", "2026-12", at(2026, 12, 1, 10h),
                 at(2026, 12, 31, 10h)},
         }) {
        Purse purse(rules({day_of(1, {1}, true)}, row.zone));
        purse.count("msg_1", 1, row.when, row.when);
        auto const day = purse.crossed(row.when);
        ASSERT_THAT(day, SizeIs(1));
        EXPECT_EQ(day[0].name, row.day);
        EXPECT_EQ(purse.end_of_day(row.when), row.day_ends) << row.day;
        EXPECT_EQ(purse.blocked(row.when), (Blocked{Period::day, row.day_ends})) << row.day;
        EXPECT_EQ(purse.spent(Period::day, row.day_ends - 1s), 1) << row.day;
        EXPECT_EQ(purse.spent(Period::day, row.day_ends), 0) << row.day;
        purse.adopt(rules({month_of(1, {1}, true)}, row.zone));
        auto const month = purse.crossed(row.when);
        ASSERT_THAT(month, SizeIs(1));
        EXPECT_EQ(month[0].name, row.month);
        EXPECT_EQ(purse.blocked(row.when), (Blocked{Period::month, row.month_ends})) << row.month;
        EXPECT_EQ(purse.spent(Period::month, row.month_ends - 1s), 1) << row.month;
        EXPECT_EQ(purse.spent(Period::month, row.month_ends), 0) << row.month;
    }
}

TEST(Purse, AddsUpExactlyAndEachStepOnce) {
    Purse purse({});
    auto const now = at(2026, 11, 26, 12h);
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(purse.count("msg_" + std::to_string(i), 0.001, now, now));
    EXPECT_FALSE(purse.count("msg_999", 0.001, now, now));
    EXPECT_FALSE(purse.count("msg_999", 50, now, now));
    EXPECT_EQ(purse.spent(Period::day, now), 1.0);
    EXPECT_EQ(purse.spent(Period::month, now), 1.0);
    for (double const nothing : {0.0, -5.0, std::numeric_limits<double>::infinity(), std::nan("")})
        EXPECT_TRUE(purse.count("free_" + std::to_string(nothing), nothing, now, now));
    EXPECT_EQ(purse.spent(Period::day, now), 1.0);
    for (int i = 0; i < 30; ++i) purse.count("dear_" + std::to_string(i), 1e300, now, now);
    EXPECT_GT(purse.spent(Period::day, now), 9e9) << "it ends somewhere, and does not turn over";
}

TEST(Purse, AStepBelongsToTheDayInWhichItEnded) {
    Purse purse(rules({day_of(10, {0.5})}));
    auto const midnight = at(2026, 12, 1);
    purse.count("late", 7, midnight - 1s, midnight + 2s);
    EXPECT_EQ(purse.spent(Period::day, midnight + 2s), 0);
    EXPECT_EQ(purse.spent(Period::month, midnight + 2s), 0);
    EXPECT_EQ(purse.spent(Period::day, midnight - 1s), 7);
    EXPECT_THAT(purse.crossed(midnight + 2s), IsEmpty()) << "what yesterday came to is nobody's business any more";
    // The server's clock is ahead of ours, by a little.
    purse.count("early", 5, midnight + 24h + 1s, midnight + 24h - 1s);
    EXPECT_EQ(purse.spent(Period::day, midnight + 24h - 1s), 0);
    EXPECT_EQ(purse.spent(Period::day, midnight + 24h), 5);
    EXPECT_EQ(purse.spent(Period::month, midnight), 5);
    // No time, or one that cannot be.
    purse.count("timeless", 1, Time(), midnight + 24h);
    purse.count("far", 1, midnight + 24h * 365, midnight + 24h);
    EXPECT_EQ(purse.spent(Period::day, midnight + 24h), 7);
    // Of last week: its day is over, its month is not.
    purse.count("old", 3, midnight, midnight + 24h * 7);
    EXPECT_EQ(purse.spent(Period::day, midnight + 24h * 7), 0);
    EXPECT_EQ(purse.spent(Period::month, midnight + 24h * 7), 10);
}

TEST(Purse, EachPartIsToldOncePerPeriod) {
    Purse purse(rules({day_of(20), month_of(100, {0.2})}));
    auto now = at(2026, 11, 26, 12h);
    int step = 0;
    auto const spend = [&](double usd) {
        purse.count("msg_" + std::to_string(++step), usd, now, now);
        return keys(purse.crossed(now));
    };
    EXPECT_THAT(spend(15.99), IsEmpty());
    EXPECT_THAT(spend(0.01), ElementsAre("budget/day/2026-11-26/0.8/20")) << "reached is enough";
    EXPECT_THAT(spend(1), IsEmpty());
    EXPECT_THAT(spend(3), ElementsAre("budget/day/2026-11-26/1/20", "budget/month/2026-11/0.2/100"));
    EXPECT_THAT(spend(100), IsEmpty());
    now += 24h;
    EXPECT_THAT(spend(16), ElementsAre("budget/day/2026-11-27/0.8/20"));
    now += 24h;
    EXPECT_THAT(spend(25), ElementsAre("budget/day/2026-11-28/1/20")) << "several at once: only the largest";
    EXPECT_THAT(spend(1), IsEmpty());
    now = at(2026, 12, 1);
    EXPECT_THAT(spend(20), ElementsAre("budget/day/2026-12-01/1/20", "budget/month/2026-12/0.2/100"));
}

TEST(Purse, SaysWhatIsToldInFull) {
    Purse purse(rules({day_of(20, {0.8, 1.0}, true)}, "Europe/Berlin"));
    auto const now = at(2026, 11, 26, 12h);
    purse.count("msg_1", 16.25, now, now);
    auto const near = purse.crossed(now).at(0);
    EXPECT_EQ(near.period, Period::day);
    EXPECT_EQ(near.spent, 16.25);
    EXPECT_EQ(near.usd, 20);
    EXPECT_EQ(near.part, 0.8);
    EXPECT_TRUE(near.block);
    EXPECT_FALSE(near.refused);
    purse.count("msg_2", 3.75, now, now);
    auto const spent = purse.crossed(now).at(0);
    EXPECT_EQ(spent.part, 1);
    EXPECT_TRUE(spent.refused);
    EXPECT_EQ(spent.until, "2026-11-27 00:00 Europe/Berlin");
}

TEST(Purse, OtherLimitsHoldAtOnce) {
    Purse purse(rules({day_of(20, {0.8, 1.0}, true)}));
    auto const now = at(2026, 11, 26, 12h);
    purse.count("msg_1", 20, now, now);
    EXPECT_THAT(keys(purse.crossed(now)), ElementsAre("budget/day/2026-11-26/1/20"));
    EXPECT_TRUE(purse.blocked(now));
    purse.adopt(rules({day_of(40, {0.8, 1.0}, true)}));
    EXPECT_THAT(purse.crossed(now), IsEmpty());
    EXPECT_FALSE(purse.blocked(now));
    purse.count("msg_2", 12, now, now);
    EXPECT_THAT(keys(purse.crossed(now)), ElementsAre("budget/day/2026-11-26/0.8/40")) << "another budget, told anew";
    purse.adopt(rules({day_of(20, {0.8, 1.0}, true)}));
    EXPECT_THAT(purse.crossed(now), IsEmpty()) << "that was told";
    EXPECT_TRUE(purse.blocked(now));
    purse.adopt(rules({day_of(20, {0.5, 0.8, 1.0})}));
    EXPECT_THAT(purse.crossed(now), IsEmpty()) << "more than that was told";
    EXPECT_FALSE(purse.blocked(now));
    purse.adopt({});
    EXPECT_EQ(purse.spent(Period::day, now), 32);
}

TEST(Purse, IsBlockedUntilThePeriodThatEndsLastIsOver) {
    Purse purse(rules({day_of(10, {}, true), month_of(15, {}, true)}));
    auto const now = at(2026, 11, 29, 12h);
    EXPECT_FALSE(purse.blocked(now));
    purse.count("msg_1", 10, now, now);
    EXPECT_EQ(purse.blocked(now), (Blocked{Period::day, at(2026, 11, 30)}));
    EXPECT_FALSE(purse.blocked(at(2026, 11, 30)));
    purse.count("msg_2", 5, now, now);
    EXPECT_EQ(purse.blocked(now), (Blocked{Period::month, at(2026, 12, 1)}));
    EXPECT_FALSE(purse.blocked(at(2026, 12, 1)));
    EXPECT_THAT(purse.crossed(now), IsEmpty()) << "nobody is told";
}

// ---- over a restart

TEST(Purse, ANoteBringsEverythingBack) {
    auto const now = at(2026, 11, 26, 12h);
    Purse before(rules({day_of(20)}));
    for (int i = 0; i < 300; ++i) before.count("msg_" + std::to_string(i), 0.055, now, now);
    EXPECT_THAT(before.crossed(now), SizeIs(1));
    auto const note = before.note(now - 250ms);
    EXPECT_LT(note.size(), 64U * 1024);
    Purse after(rules({day_of(20)}));
    auto const left = after.restore(note, now);
    ASSERT_TRUE(left);
    EXPECT_EQ(left->heard_until, now - 250ms);
    EXPECT_THAT(left->steps, SizeIs(Purse::max_steps));
    EXPECT_EQ(left->steps.back(), "msg_299");
    EXPECT_EQ(after.spent(Period::day, now), before.spent(Period::day, now));
    EXPECT_EQ(after.spent(Period::month, now), 16.5);
    EXPECT_THAT(after.crossed(now), IsEmpty()) << "it was told";
    EXPECT_FALSE(after.count("msg_299", 0.055, now, now));
    EXPECT_FALSE(after.count("msg_44", 0.055, now, now));
    EXPECT_TRUE(after.count("msg_43", 0.055, now, now)) << "so many are remembered, and no more";
    EXPECT_EQ(json::parse(Purse({}).note({})).contains("heard_until_ms"), false);
}

TEST(Purse, ANoteThatComesLateIsAddedToWhatWasCounted) {
    auto const now = at(2026, 11, 26, 12h);
    Purse before({});
    before.count("msg_1", 1, now, now);
    before.count("msg_2", 2, now - 24h, now);
    Purse after({});
    after.count("msg_3", 4, now, now);
    auto const left = after.restore(before.note({}), now);
    ASSERT_TRUE(left);
    EXPECT_FALSE(left->heard_until);
    EXPECT_EQ(after.spent(Period::day, now), 5);
    EXPECT_EQ(after.spent(Period::day, now - 24h), 2);
    EXPECT_EQ(after.spent(Period::month, now), 7);
    for (auto const* step : {"msg_1", "msg_2", "msg_3"}) EXPECT_FALSE(after.count(step, 1, now, now)) << step;
}

TEST(Purse, WhatIsOverIsNotCarriedOn) {
    auto const then = at(2026, 11, 26, 12h);
    Purse before(rules({day_of(1)}));
    before.count("msg_1", 1, then, then);
    EXPECT_THAT(before.crossed(then), SizeIs(1));
    auto const later = at(2027, 3, 1);
    Purse after(rules({day_of(1)}));
    ASSERT_TRUE(after.restore(before.note({}), later));
    auto const note = json::parse(after.note({}));
    EXPECT_THAT(note["day"], IsEmpty());
    EXPECT_THAT(note["month"], IsEmpty());
    EXPECT_THAT(note["told"], IsEmpty());
}

TEST(Purse, ADayOutlivesAClockThatIsWrongForAWhile) {
    auto const now = at(2026, 11, 26, 12h);
    for (auto const wrong : {now + 14 * 24h, now - 14 * 24h}) {
        Purse purse(rules({day_of(1)}));
        purse.count("msg_1", 1, now, now);
        EXPECT_THAT(purse.crossed(now), SizeIs(1));
        purse.count("msg_2", 0.5, wrong, wrong);
        Purse after(rules({day_of(1)}));
        ASSERT_TRUE(after.restore(purse.note({}), wrong));
        after.count("msg_3", 0.25, now, now);
        EXPECT_EQ(after.spent(Period::day, now), 1.25);
        EXPECT_THAT(after.crossed(now), IsEmpty()) << "told once is told";
    }
}

// What the outbox does not take is lost with the next restart, and the day's sum with it.
TEST(Purse, ANoteFitsIntoTheOutboxWhateverTheStepsAreCalled) {
    auto const now = at(2026, 11, 26);
    for (char const odd : {'\x01', '"', '\\', '\n', '\x7F', '\xFF'}) {
        Purse purse({});
        for (std::size_t i = 0; i < Purse::max_steps; ++i) {
            auto const number = std::to_string(i);
            purse.count(number + std::string(Purse::max_id_bytes - number.size(), odd), 1, now, now);
        }
        EXPECT_LT(purse.note({}).size(), notify::TextBounds::document) << static_cast<int>(odd);
        Purse after({});
        ASSERT_TRUE(after.restore(purse.note({}), now));
        EXPECT_FALSE(after.count("7" + std::string(Purse::max_id_bytes - 1, odd), 1, now, now)) << "counted before";
        EXPECT_EQ(after.spent(Period::day, now), static_cast<double>(Purse::max_steps));
    }
    // As an earlier version wrote it.
    Purse after({});
    ASSERT_TRUE(after.restore(R"({"version":1,"steps":["msg\u0001"]})", now));
    EXPECT_FALSE(after.count("msg\x01", 1, now, now));
}

TEST(Purse, NotesOfAnyShapeAreBorne) {
    auto const now = at(2026, 11, 26);
    for (std::string const text :
         {"", "{", "[]", "null", "{}", R"({"version":2,"day":{"2026-11-26":5}})", R"({"version":"1"})"}) {
        Purse purse({});
        EXPECT_FALSE(purse.restore(text, now)) << text;
    }
    for (std::string const rest : {R"("day":5)", R"("day":{"2026-11-26":-5})", R"("day":{"2026-11-26":"x"})",
                                   R"("day":{"2026-11-26":18446744073709551615})", R"("day":{"2026-11-26":1e300})",
                                   R"("day":{"x":5})", R"("steps":[1,null,{}],"told":7)", R"("heard_until_ms":-1)",
                                   R"("heard_until_ms":1e300)", R"("heard_until_ms":9223372036854775807)"}) {
        Purse purse({});
        auto const left = purse.restore("{\"version\":1," + rest + "}", now);
        ASSERT_TRUE(left) << rest;
        EXPECT_FALSE(left->heard_until) << rest;
        EXPECT_EQ(purse.spent(Period::day, now), 0) << rest;
    }
    Purse purse({});
    std::string const odd("msg_\xFF\x01");
    purse.count(odd, 1, now, now);
    purse.count(std::string(100'000, 'x'), 1, now, now);
    EXPECT_LT(purse.note({}).size(), 1000U);
}

}  // namespace
}  // namespace ocgate::bridge
