// Memory per stream.
#include <algorithm>

#include "load_crowd.hpp"
#include "load_measure.hpp"
#include "loads.hpp"

namespace bench {

/// Memory of the proxy without and with streams that rest; `stalled`: with readers that stopped taking a flood.
void idle(Plan const& plan) {
    auto const kind = plan.arguments.text("--kind", "events");
    Meter const meter(plan.arguments);
    auto const before = meter.resident_bytes();
    std::string request = plan.head("GET", "/event?rate=0", "Accept: text/event-stream\r\n");
    bool const stalled = kind == "stalled";
    if (kind == "websocket") request = upgrade(plan, "");
    if (stalled) request = upgrade(plan, "?flood=16384&frame=4096");
    if (kind == "keepalive") request = plan.head("GET", "/session");
    Crowd crowd(plan, request, kind == "websocket" || stalled ? 101 : 200, stalled ? 65536 : 0);
    auto const ignore = [](Crowd::Member&, std::string_view) {};
    crowd.open(ignore);
    std::int64_t with = 0;
    for (auto const until = now_ns() + plan.milliseconds("--milliseconds"); now_ns() < until;) {
        if (stalled) {
            timespec const pause{.tv_sec = 0, .tv_nsec = 20'000'000};
            ::nanosleep(&pause, nullptr);
        } else {
            crowd.pump(20'000'000, ignore);
        }
        auto const resident = meter.resident_bytes();
        with = stalled ? std::max(with, resident) : resident;
    }
    std::printf(R"({"unit":"stream","units":%zu,"resident_before":%lld,"resident_with":%lld})"
                "\n",
                plan.connections, static_cast<long long>(before), static_cast<long long>(with));
}

}  // namespace bench
