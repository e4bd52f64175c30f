#include "calendar.hpp"

#include <cctz/civil_time.h>
#include <cctz/time_zone.h>

namespace ocgate::bridge {
namespace {
using Time = Purse::Time;

cctz::time_zone zone_of(std::string const& name) {
    cctz::time_zone zone;
    if (!cctz::load_time_zone(name, &zone)) return cctz::utc_time_zone();
    return zone;
}

Time beginning(cctz::time_zone const& zone, cctz::civil_day day) {
    auto const found = zone.lookup(cctz::civil_second(day));
    return found.kind == cctz::time_zone::civil_lookup::SKIPPED ? found.trans : found.pre;
}

}  // namespace

Term term_at(Period period, std::string const& name, Time when) {
    auto const zone = zone_of(name);
    auto const day = cctz::civil_day(cctz::convert(when, zone));
    if (period == Period::day)
        return {cctz::format("%Y-%m-%d", when, zone), beginning(zone, day), beginning(zone, day + 1)};
    auto const month = cctz::civil_month(day);
    return {cctz::format("%Y-%m", when, zone), beginning(zone, cctz::civil_day(month)),
            beginning(zone, cctz::civil_day(month + 1))};
}

std::string local_time(std::string const& name, Time when) {
    return cctz::format("%Y-%m-%d %H:%M ", when, zone_of(name)) + name;
}

}  // namespace ocgate::bridge
