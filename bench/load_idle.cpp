// Memory per stream: of streams that rest, and of readers that are too slow for what is sent to them.
#include <algorithm>

#include "load_crowd.hpp"
#include "load_measure.hpp"
#include "loads.hpp"
#include "shared_answers.hpp"

namespace bench {
namespace {

constexpr int slow_receive_buffer = 65536;
constexpr std::size_t slow_bytes = 4096;  // taken by each in a turn of 20 ms: 200 KB/s

auto const ignore = [](Crowd::Member&, std::string_view) {};

void report_memory(std::size_t streams, std::int64_t before, std::int64_t with) {
    std::printf(R"({"unit":"stream","units":%zu,"resident_before":%lld,"resident_with":%lld})"
                "\n",
                streams, static_cast<long long>(before), static_cast<long long>(with));
}

}  // namespace

/// Resident memory of the proxy without the streams, and at the end with them.
void idle(Plan const& plan) {
    auto const kind = plan.arguments.text("--kind", "events");
    Meter const meter(plan.arguments);
    auto const before = meter.resident_bytes();
    std::string request = plan.head("GET", "/event?rate=0", "Accept: text/event-stream\r\n");
    if (kind == "websocket") request = upgrade(plan, "");
    if (kind == "keepalive") request = plan.head("GET", "/session");
    Crowd crowd(plan, request, kind == "websocket" ? 101 : 200, plan.connections);
    crowd.open(ignore);
    for (auto const until = now_ns() + plan.milliseconds("--milliseconds"); now_ns() < until;)
        crowd.pump(20'000'000, ignore);
    report_memory(plan.connections, before, meter.resident_bytes());
}

/// Resident memory without the readers, and the most it was while they took a little now and then. Each must get the
/// right bytes to the end: cutting a slow reader off is no way to save memory here.
void slow(Plan const& plan) {
    auto const kind = plan.arguments.text("--kind", "download");
    Meter const meter(plan.arguments);
    auto const before = meter.resident_bytes();
    std::string request = plan.head("GET", "/10m");
    Expected expected = Expected::answer_to("GET", "/10m", 0);
    if (kind == "events") {
        request = plan.head("GET", "/event?flood=1000000", "Accept: text/event-stream\r\n");
        expected = Expected(std::string(first_event), flood_event(), Expected::endless);
    } else if (kind == "websocket") {
        request = upgrade(plan, "?flood=1000000&frame=4096");
        expected = Expected("", flood_frame(4096), Expected::endless);
    }
    Crowd crowd(plan, request, kind == "websocket" ? 101 : 200, plan.connections, slow_receive_buffer);
    auto const check = [&expected](Crowd::Member& member, std::string_view bytes) {
        expected.check(member.checked, bytes);
    };
    std::int64_t most = 0;
    auto const look = [&] { most = std::max(most, meter.resident_bytes()); };
    crowd.open(check);
    for (auto const until = now_ns() + plan.milliseconds("--milliseconds"); now_ns() < until;) {
        timespec const pause{.tv_sec = 0, .tv_nsec = 20'000'000};
        ::nanosleep(&pause, nullptr);
        for (auto const& member : crowd.members()) crowd.take(*member, slow_bytes, check);
        look();
        plan.check_time();
    }
    report_memory(plan.connections, before, most);
}

}  // namespace bench
