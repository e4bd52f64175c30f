// Subscribers of event streams: how late each event arrives, and what it costs the proxy.
#include <algorithm>

#include "load_crowd.hpp"
#include "load_measure.hpp"
#include "loads.hpp"

namespace bench {
namespace {

constexpr auto accept_events = "Accept: text/event-stream\r\n";
constexpr int small_receive_buffer = 4096;

auto const ignore = [](Crowd::Member&, std::string_view) {};

}  // namespace

void events(Plan const& plan) {
    auto const path = plan.arguments.text("--path", "/event?rate=10");
    Crowd crowd(plan, plan.head("GET", path, accept_events), 200, plan.connections);
    // Readers that stop after the head, of a flood: what is on its way to them fills every buffer at once.
    auto const stalled = static_cast<std::size_t>(plan.arguments.number("--stalled"));
    Crowd dead_weight(plan, plan.head("GET", "/event?flood=1000000", accept_events), 200, stalled,
                      small_receive_buffer);
    Meter meter(plan.arguments);
    Latencies latencies;
    auto const before = [](Crowd::Member& member, std::string_view bytes) {
        member.events.feed(bytes, [](std::int64_t) {});
    };
    auto const during = [&](Crowd::Member& member, std::string_view bytes) {
        member.events.feed(bytes, [&](std::int64_t at) { latencies.add(now_ns() - at); });
    };
    dead_weight.open(ignore);
    crowd.open(before);
    for (auto const until = now_ns() + 300'000'000; now_ns() < until;) crowd.pump(50'000'000, before);
    meter.begin();
    auto const until = meter.began() + plan.milliseconds("--milliseconds");
    while (now_ns() < until) crowd.pump(std::max<std::int64_t>(0, until - now_ns()), during);
    meter.end();
    auto const count = static_cast<double>(latencies.count());
    auto const rate =
        Arguments::to_number(path.substr(path.find("rate=") + 5, path.find('&') - path.find("rate=") - 5));
    double const expected =
        static_cast<double>(plan.connections) * static_cast<double>(rate) * static_cast<double>(meter.took_ns()) / 1e9;
    report("event", count, expected, meter, latencies);
}

}  // namespace bench
