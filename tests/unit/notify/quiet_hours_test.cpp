// Needs the machine's tzdata. All times are fixed; what is written down beside them is the wall's clock there.
#include <gtest/gtest.h>

#include "ocgate/notify/router.hpp"

namespace ocgate::notify {
namespace {
using namespace std::chrono;
using namespace std::chrono_literals;
using Time = system_clock::time_point;

constexpr unsigned monday = 1, tuesday = 2, friday = 16, saturday = 32, sunday = 64, every_day = 127;

/// UTC.
Time utc(int y, unsigned m, unsigned d, int hour, int minute = 0, int second = 0) {
    return sys_days(year(y) / month(m) / day(d)) + hours(hour) + minutes(minute) + seconds(second);
}
QuietHours::Span span(minutes from, minutes to, unsigned days = every_day) { return {from, to, days}; }

struct Row {
    Time now;
    std::optional<Time> until;
};

std::string shown(std::optional<Time> const& time) {
    if (!time) return "not quiet";
    auto const at = floor<days>(*time);
    year_month_day const date(at);
    hh_mm_ss const clock(floor<seconds>(*time - at));
    return std::to_string(static_cast<int>(date.year())) + "-" + std::to_string(static_cast<unsigned>(date.month())) +
           "-" + std::to_string(static_cast<unsigned>(date.day())) + " " + std::to_string(clock.hours().count()) + ":" +
           std::to_string(clock.minutes().count()) + ":" + std::to_string(clock.seconds().count());
}

void expect(QuietHours const& hours, std::initializer_list<Row> rows) {
    for (auto const& row : rows) {
        EXPECT_EQ(shown(quiet_until(hours, row.now)), shown(row.until)) << "at " << shown(row.now);
    }
}

TEST(QuietHours, OverMidnight) {
    QuietHours const hours{"Europe/Berlin", {span(22h, 7h)}};
    auto const end = utc(2026, 1, 6, 6);  // Tuesday 07:00
    expect(hours, {
                      {utc(2026, 1, 5, 20, 59, 59), {}},
                      {utc(2026, 1, 5, 21), end},  // 22:00
                      {utc(2026, 1, 5, 23), end},  // midnight
                      {utc(2026, 1, 6, 5, 59, 59), end},
                      {utc(2026, 1, 6, 6), {}},
                      {utc(2026, 1, 6, 12), {}},
                  });
    EXPECT_EQ(quiet_until(hours, end - 1ns), end);
}

TEST(QuietHours, WithinADay) {
    QuietHours const hours{"UTC", {span(12h + 30min, 13h)}};
    expect(hours, {
                      {utc(2026, 1, 5, 12, 29, 59), {}},
                      {utc(2026, 1, 5, 12, 30), utc(2026, 1, 5, 13)},
                      {utc(2026, 1, 5, 13), {}},
                  });
}

TEST(QuietHours, ANightBelongsToTheDayItBeginsOn) {
    // 2026-01-05 is a Monday.
    QuietHours const hours{"Europe/Berlin", {span(22h, 7h, monday | sunday)}};
    expect(hours, {
                      {utc(2026, 1, 5, 2), utc(2026, 1, 5, 6)},    // early on Monday: Sunday's night
                      {utc(2026, 1, 5, 22), utc(2026, 1, 6, 6)},   // Monday's
                      {utc(2026, 1, 6, 5), utc(2026, 1, 6, 6)},    // still Monday's
                      {utc(2026, 1, 6, 22), {}},                   // Tuesday's is not quiet
                      {utc(2026, 1, 10, 23), {}},                  // nor is Saturday's
                      {utc(2026, 1, 11, 22), utc(2026, 1, 12, 6)}  // Sunday's
                  });
}

TEST(QuietHours, TheDayIsTheOneOfThePlace) {
    QuietHours const hours{"Asia/Kolkata", {span(0h, 1h, tuesday)}};
    expect(hours, {
                      {utc(2026, 1, 5, 18, 29, 59), {}},
                      {utc(2026, 1, 5, 18, 30), utc(2026, 1, 5, 19, 30)},  // Tuesday 00:00 there, Monday in UTC
                      {utc(2026, 1, 6, 0, 30), {}},
                      {utc(2026, 1, 6, 18, 30), {}},
                  });
}

TEST(QuietHours, SpansThatTouchOrOverlapAreOne) {
    QuietHours const weekend{"UTC", {span(20h, 24h, friday), span(0h, 24h, saturday | sunday), span(0h, 6h, monday)}};
    auto const monday_morning = utc(2026, 1, 12, 6);
    expect(weekend, {
                        {utc(2026, 1, 9, 19, 59), {}},
                        {utc(2026, 1, 9, 20), monday_morning},
                        {utc(2026, 1, 11, 0), monday_morning},
                        {utc(2026, 1, 12, 5, 59), monday_morning},
                        {monday_morning, {}},
                    });
    QuietHours const overlapping{"UTC", {span(1h, 3h), span(2h, 5h), span(5h, 5h + 1min), span(6h, 7h)}};
    expect(overlapping, {{utc(2026, 1, 5, 1), utc(2026, 1, 5, 5, 1)}, {utc(2026, 1, 5, 5, 1), {}}});
}

TEST(QuietHours, OneMinuteInAWeekIsFound) {
    QuietHours const hours{"UTC",
                           {span(0h, 24h, every_day & ~monday), span(0h, 12h, monday), span(12h + 1min, 24h, monday)}};
    expect(hours, {
                      {utc(2026, 1, 5, 12, 0), {}},
                      {utc(2026, 1, 5, 12, 1), utc(2026, 1, 12, 12)},  // almost a week
                      {utc(2026, 1, 10, 0), utc(2026, 1, 12, 12)},
                  });
}

TEST(QuietHours, AWeekWithoutEndIsAskedAgainEveryDay) {
    QuietHours const days{"Europe/Berlin", {span(0h, 24h)}};
    expect(days, {
                     {utc(2026, 1, 5, 12), utc(2026, 1, 5, 23)},
                     {utc(2026, 1, 5, 23), utc(2026, 1, 6, 23)},
                     {utc(2026, 3, 28, 23), utc(2026, 3, 29, 22)},  // a day of 23 hours
                 });
    QuietHours const halves{"UTC", {span(8h, 20h), span(20h, 8h)}};
    expect(halves, {{utc(2026, 1, 5, 12), utc(2026, 1, 5, 20)}, {utc(2026, 1, 5, 20), utc(2026, 1, 6, 8)}});
}

// Berlin: on 2026-03-29 01:00 UTC the clocks go from 02:00 to 03:00.
TEST(QuietHours, ATimeThatIsSkippedInBerlin) {
    expect({"Europe/Berlin", {span(22h, 7h)}}, {
                                                   {utc(2026, 3, 28, 21), utc(2026, 3, 29, 5)},
                                                   {utc(2026, 3, 29, 4, 59), utc(2026, 3, 29, 5)},
                                                   {utc(2026, 3, 29, 5), {}},
                                               });
    expect({"Europe/Berlin", {span(1h, 2h + 30min)}}, {
                                                          {utc(2026, 3, 29, 0), utc(2026, 3, 29, 1)},
                                                          {utc(2026, 3, 29, 1), {}},
                                                          {utc(2026, 3, 30, 0, 29), utc(2026, 3, 30, 0, 30)},
                                                      });
    expect({"Europe/Berlin", {span(2h + 30min, 4h)}}, {
                                                          {utc(2026, 3, 29, 0, 59), {}},
                                                          {utc(2026, 3, 29, 1), utc(2026, 3, 29, 2)},
                                                      });
    // Nothing is left of it; and the hour after is not touched.
    expect({"Europe/Berlin", {span(2h + 15min, 2h + 45min)}}, {
                                                                  {utc(2026, 3, 29, 0, 59, 59), {}},
                                                                  {utc(2026, 3, 29, 1), {}},
                                                                  {utc(2026, 3, 29, 1, 30), {}},
                                                              });
}

// Berlin: on 2026-10-25 01:00 UTC the clocks go from 03:00 back to 02:00.
TEST(QuietHours, ATimeThatComesTwiceInBerlin) {
    expect({"Europe/Berlin", {span(22h, 7h)}}, {
                                                   {utc(2026, 10, 24, 20), utc(2026, 10, 25, 6)},
                                                   {utc(2026, 10, 25, 5, 59), utc(2026, 10, 25, 6)},
                                               });
    expect({"Europe/Berlin", {span(1h, 2h + 30min)}}, {
                                                          {utc(2026, 10, 24, 23), utc(2026, 10, 25, 1, 30)},
                                                          {utc(2026, 10, 25, 0, 45), utc(2026, 10, 25, 1, 30)},
                                                          {utc(2026, 10, 25, 1, 30), {}},
                                                      });
    expect({"Europe/Berlin", {span(2h + 30min, 4h)}}, {
                                                          {utc(2026, 10, 25, 0, 29), {}},
                                                          {utc(2026, 10, 25, 0, 30), utc(2026, 10, 25, 3)},
                                                          {utc(2026, 10, 25, 1, 10), utc(2026, 10, 25, 3)},
                                                      });
}

// New York: 2026-03-08 07:00 UTC, from 02:00 to 03:00; 2026-11-01 06:00 UTC, from 02:00 back to 01:00.
TEST(QuietHours, NewYork) {
    expect({"America/New_York", {span(23h, 2h + 30min)}}, {
                                                              {utc(2026, 3, 8, 3, 59), {}},
                                                              {utc(2026, 3, 8, 4), utc(2026, 3, 8, 7)},
                                                              {utc(2026, 3, 8, 7), {}},
                                                              {utc(2026, 3, 9, 3), utc(2026, 3, 9, 6, 30)},
                                                          });
    expect({"America/New_York", {span(22h, 1h + 30min)}}, {
                                                              {utc(2026, 11, 1, 2), utc(2026, 11, 1, 6, 30)},
                                                              {utc(2026, 11, 1, 5, 45), utc(2026, 11, 1, 6, 30)},
                                                              {utc(2026, 11, 1, 6, 30), {}},
                                                              {utc(2026, 11, 2, 3), utc(2026, 11, 2, 6, 30)},
                                                          });
}

TEST(QuietHours, KolkataHasHalfHoursAndNoSummerTime) {
    QuietHours const hours{"Asia/Kolkata", {span(22h, 7h)}};
    for (auto const date : {utc(2026, 3, 28, 0), utc(2026, 10, 24, 0), utc(2026, 7, 1, 0)}) {
        auto const evening = date + 16h + 30min;
        expect(hours, {{evening - 1s, {}}, {evening, evening + 9h}, {evening + 9h, {}}});
    }
}

// Samoa had no 30th of December 2011: at 10:00 UTC the 29th was over and the 31st began.
TEST(QuietHours, ADayThatNeverWas) {
    auto const morning = utc(2011, 12, 30, 17);  // of the 31st
    expect({"Pacific/Apia", {span(22h, 7h)}}, {
                                                  {utc(2011, 12, 30, 7, 59), {}},
                                                  {utc(2011, 12, 30, 8), morning},
                                                  {utc(2011, 12, 30, 10), morning},
                                                  {morning, {}},
                                                  {utc(2011, 12, 31, 8), utc(2011, 12, 31, 17)},
                                              });
}

TEST(QuietHours, NothingIsNeverQuiet) {
    auto const now = utc(2026, 1, 5, 12);
    EXPECT_EQ(quiet_until({"UTC", {}}, now), std::nullopt);
    EXPECT_EQ(quiet_until({"UTC", {span(0h, 24h, 0)}}, now), std::nullopt);
    EXPECT_EQ(quiet_until({"UTC", {span(12h, 12h)}}, now), std::nullopt);
    // Not even where that time comes twice.
    EXPECT_EQ(quiet_until({"Europe/Berlin", {span(2h + 30min, 2h + 30min)}}, utc(2026, 10, 25, 1)), std::nullopt);
}

TEST(QuietHours, AnUnknownZoneIsNeverQuiet) {
    auto const now = utc(2026, 1, 5, 12);
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(quiet_until({"Europe/Nowhere", {span(0h, 24h)}}, now), std::nullopt);
        EXPECT_EQ(quiet_until({"", {span(0h, 24h)}}, now), std::nullopt);
    }
}

TEST(QuietHours, NamesOfZones) {
    for (char const* const name : {"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Etc/GMT+5",
                                   "America/Argentina/Buenos_Aires", "America/Port-au-Prince"}) {
        EXPECT_TRUE(is_time_zone(name)) << name;
    }
    for (char const* const name :
         {"", "Europe", "Europe/", "Europe/Nowhere", "Berlin", "/usr/share/zoneinfo/Europe/Berlin", "../zoneinfo/UTC",
          "Europe/../UTC", "file:Europe/Berlin", "libc:localtime", "localtime", ":Europe/Berlin", "Europe/Berlin ",
          "Fixed/UTC+01:00:00", "right/Europe/Berlin", "zone.tab", "tzdata.zi"}) {
        EXPECT_FALSE(is_time_zone(name)) << name;
    }
    EXPECT_FALSE(is_time_zone(std::string("UTC\0", 4)));
    EXPECT_FALSE(is_time_zone(std::string(100'000, 'A')));
}

}  // namespace
}  // namespace ocgate::notify
