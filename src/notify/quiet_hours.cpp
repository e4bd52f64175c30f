// Time zones, as bridge/calendar.cpp has them: cctz reads the machine's tzdata, writes nothing and reports errors as
// values.
#include <cctz/civil_time.h>
#include <cctz/time_zone.h>

#include <algorithm>

#include "ocgate/notify/router.hpp"

namespace ocgate::notify {
namespace {
using Time = std::chrono::system_clock::time_point;
using Lookup = cctz::time_zone::civil_lookup;

/// cctz takes more than names for a name: paths, `file:` and a path, offsets;
/// and `localtime` is another zone in each container.
bool looks_like_a_name(std::string_view name) noexcept {
    constexpr std::size_t longest = 64;
    if (name.empty() || name.size() > longest || name.front() == '/' || name == "localtime") return false;
    return std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '+' ||
               c == '-' || c == '/';
    });
}

std::optional<cctz::time_zone> zone_of(std::string const& name) {
    cctz::time_zone zone;
    if (!looks_like_a_name(name) || !cctz::load_time_zone(name, &zone)) return std::nullopt;
    return zone;
}

struct Stretch {
    Time begin, end;
};

Time begin_at(cctz::time_zone const& zone, cctz::civil_minute minute) {
    auto const found = zone.lookup(cctz::civil_second(minute));
    return found.kind == Lookup::SKIPPED ? found.trans : found.pre;
}

Time end_at(cctz::time_zone const& zone, cctz::civil_minute minute) {
    auto const found = zone.lookup(cctz::civil_second(minute));
    return found.kind == Lookup::SKIPPED ? found.trans : found.post;
}

// A stretch that is longer than a week has no end: the week repeats itself.
constexpr int days_ahead = 8;

/// From yesterday, whose night may last until now, to beyond a week; by their beginnings.
std::vector<Stretch> stretches_around(cctz::civil_day today, QuietHours const& hours, cctz::time_zone const& zone) {
    std::vector<Stretch> stretches;
    for (auto day = today - 1; day <= today + days_ahead; ++day) {
        auto const weekday = static_cast<unsigned>(cctz::get_weekday(day));  // 0: Monday
        for (auto const& span : hours.spans) {
            if ((span.days >> weekday & 1U) == 0 || span.from == span.to) continue;
            auto const last_day = span.from > span.to ? day + 1 : day;
            stretches.push_back({begin_at(zone, cctz::civil_minute(day) + span.from.count()),
                                 end_at(zone, cctz::civil_minute(last_day) + span.to.count())});
        }
    }
    std::sort(stretches.begin(), stretches.end(), [](Stretch const& a, Stretch const& b) { return a.begin < b.begin; });
    return stretches;
}

}  // namespace

bool is_time_zone(std::string const& name) { return zone_of(name).has_value(); }

std::optional<Time> quiet_until(QuietHours const& hours, Time now) {
    auto const zone = zone_of(hours.time_zone);
    if (!zone) return std::nullopt;
    auto const today = cctz::civil_day(cctz::convert(now, *zone));
    auto until = now;
    auto of_those_now = now;
    for (auto const& stretch : stretches_around(today, hours, *zone)) {
        if (stretch.begin > until) break;
        until = std::max(until, stretch.end);
        if (stretch.begin <= now) of_those_now = std::max(of_those_now, stretch.end);
    }
    if (until <= now) return std::nullopt;
    bool const endless = until >= begin_at(*zone, cctz::civil_minute(today + days_ahead));
    return endless ? of_those_now : until;
}

}  // namespace ocgate::notify
