// Subscribers of event streams: how late each event arrives, and what it costs the proxy.
#include <algorithm>

#include "load_crowd.hpp"
#include "load_measure.hpp"
#include "loads.hpp"

namespace bench {

void events(Plan const& plan) {
    auto const path = plan.arguments.text("--path", "/event?rate=10");
    Crowd crowd(plan, plan.head("GET", path, "Accept: text/event-stream\r\n"), 200);
    Meter meter(plan.arguments);
    Latencies latencies;
    auto const ignore = [](Crowd::Member&, std::string_view) {};
    crowd.open(ignore);
    for (auto const until = now_ns() + 300'000'000; now_ns() < until;) crowd.pump(50'000'000, ignore);
    meter.begin();
    auto const until = meter.began() + plan.milliseconds("--milliseconds");
    while (now_ns() < until)
        crowd.pump(std::max<std::int64_t>(0, until - now_ns()), [&](Crowd::Member& member, std::string_view bytes) {
            member.stamps.feed(bytes, [&](std::int64_t at) { latencies.add(now_ns() - at); });
        });
    meter.end();
    auto const count = static_cast<double>(latencies.count());
    auto const rate =
        Arguments::to_number(path.substr(path.find("rate=") + 5, path.find('&') - path.find("rate=") - 5));
    double const expected =
        static_cast<double>(plan.connections) * static_cast<double>(rate) * static_cast<double>(meter.took_ns()) / 1e9;
    report("event", count, expected, meter, latencies, 0);
}

}  // namespace bench
