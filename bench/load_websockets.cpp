// Terminals: a flood to us, an upload from us, and single keystrokes that come back.
#include <algorithm>

#include "load_crowd.hpp"
#include "load_measure.hpp"
#include "loads.hpp"

namespace bench {

std::string upgrade(Plan const& plan, std::string const& query) {
    // The key of the example in RFC 6455 §1.3.
    return plan.head("GET", "/pty/pty_1/connect" + query,
                     "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
}

void flood(Plan const& plan) {
    auto const frames = plan.arguments.number("--frames", 1000), frame = plan.arguments.number("--frame", 4096);
    auto const frame_bytes =
        frame + static_cast<std::int64_t>(frame_head(static_cast<std::size_t>(frame), false).size());
    auto const all = frames * frame_bytes * static_cast<std::int64_t>(plan.connections);
    Crowd crowd(plan, upgrade(plan, "?flood=" + std::to_string(frames) + "&frame=" + std::to_string(frame)), 101);
    Meter meter(plan.arguments);
    Latencies none;
    std::int64_t received = 0;
    auto const count = [&](Crowd::Member&, std::string_view bytes) {
        received += static_cast<std::int64_t>(bytes.size());
    };
    meter.begin();
    crowd.open(count);
    while (received < all) crowd.pump(100'000'000, count);
    meter.end();
    if (received > all) throw std::runtime_error("more bytes than were sent");
    auto const units = static_cast<double>(frames) * static_cast<double>(plan.connections);
    report("frame", units, units, meter, none, 0);
}

void upload(Plan const& plan) {
    auto const frames = plan.arguments.number("--frames", 1000), frame = plan.arguments.number("--frame", 4096);
    auto const payload = static_cast<std::size_t>(frame);
    std::string const one = frame_head(payload, true) + std::string(payload, 'u');
    std::string block;
    while (block.size() < 65536) block += one;
    auto const each = frames * static_cast<std::int64_t>(one.size());
    Crowd crowd(plan, upgrade(plan, "?sink=" + std::to_string(each)), 101);
    Meter meter(plan.arguments);
    Latencies none;
    std::size_t done = 0;
    auto const on_bytes = [&](Crowd::Member& member, std::string_view bytes) {
        if (member.bytes == static_cast<std::int64_t>(bytes.size())) ++done;  // the first ones
    };
    auto const on_writable = [&](Crowd::Member& member) {
        auto const left = static_cast<std::size_t>(member.unsent);
        auto const part = std::string_view(block).substr(member.block_at, left);
        Moved const put = write_some(member.fd.get(), part);
        if (put.ended) throw std::runtime_error("an upload broke off");
        member.block_at = (member.block_at + put.bytes) % block.size();
        member.unsent -= static_cast<std::int64_t>(put.bytes);
        if (member.unsent == 0) crowd.epoll().change(member.fd.get(), EPOLLIN);
    };
    crowd.open(on_bytes);
    meter.begin();
    for (auto const& member : crowd.members()) {
        member->unsent = each;
        crowd.epoll().change(member->fd.get(), EPOLLIN | EPOLLOUT);
    }
    while (done < plan.connections) crowd.pump(100'000'000, on_bytes, on_writable);
    meter.end();
    auto const units = static_cast<double>(frames) * static_cast<double>(plan.connections);
    report("frame", units, units, meter, none, 0);
}

void echo(Plan const& plan) {
    Crowd crowd(plan, upgrade(plan, ""), 101);
    Meter meter(plan.arguments);
    Latencies latencies;
    auto const rate = std::max<std::int64_t>(1, plan.arguments.number("--rate", 1000));
    auto const period = 1'000'000'000 / rate;
    auto const total = plan.milliseconds("--milliseconds") / period;
    auto const warm_up = total / 5;
    std::int64_t sent = 0, returned = 0;
    auto const on_bytes = [&](Crowd::Member& member, std::string_view bytes) {
        member.stamps.feed(bytes, [&](std::int64_t due) {
            if (++returned > warm_up) latencies.add(now_ns() - due);
            if (returned == warm_up) meter.begin();
        });
    };
    crowd.open(on_bytes);
    auto const started = now_ns();
    while (returned < total) {
        for (; sent < total && started + sent * period <= now_ns(); ++sent) {
            auto const due = stamp(started + sent * period);
            std::string const frame = frame_head(due.size(), true) + std::string(due.data(), due.size());
            auto const& member = crowd.members()[static_cast<std::size_t>(sent) % plan.connections];
            if (write_some(member->fd.get(), frame).bytes < frame.size()) throw std::runtime_error("echo is stuck");
        }
        auto const next = sent < total ? started + sent * period - now_ns() : 100'000'000;
        crowd.pump(std::max<std::int64_t>(0, next), on_bytes);
    }
    meter.end();
    report("echo", static_cast<double>(total - warm_up), static_cast<double>(total - warm_up), meter, latencies, 0);
}

}  // namespace bench
