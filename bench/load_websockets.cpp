// Terminals: a flood to us, an upload from us, and single keystrokes that come back.
#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "load_crowd.hpp"
#include "load_measure.hpp"
#include "loads.hpp"
#include "shared_answers.hpp"

namespace bench {

std::string upgrade(Plan const& plan, std::string const& query) {
    return plan.head("GET", plan.arguments.text("--path", "/pty/pty_1/connect") + query,
                     "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
                         std::string(websocket_key) + "\r\n");
}

void flood(Plan const& plan) {
    auto const frames = plan.arguments.number("--frames", 1000), frame = plan.arguments.number("--frame", 4096);
    auto const one = flood_frame(static_cast<std::size_t>(frame));
    auto const each = static_cast<std::size_t>(frames) * one.size();
    Expected const expected("", block_of(one), each);
    Crowd crowd(plan, upgrade(plan, "?flood=" + std::to_string(frames) + "&frame=" + std::to_string(frame)), 101,
                plan.connections);
    Meter meter(plan.arguments);
    Latencies none;
    std::size_t done = 0;
    auto const check = [&](Crowd::Member& member, std::string_view bytes) {
        expected.check(member.checked, bytes);
        if (member.checked == each) ++done;
    };
    meter.begin();
    crowd.open(check);
    while (done < plan.connections) crowd.pump(100'000'000, check);
    meter.end();
    auto const units = static_cast<double>(frames) * static_cast<double>(plan.connections);
    report("frame", units, units, meter, none);
}

void upload(Plan const& plan) {
    auto const frames = plan.arguments.number("--frames", 1000), frame = plan.arguments.number("--frame", 4096);
    auto const one = upload_frame(static_cast<std::size_t>(frame));
    auto const block = block_of(one);
    auto const each = frames * static_cast<std::int64_t>(one.size());
    auto const query = "?sink=" + std::to_string(each) + "&frame=" + std::to_string(frame);
    Crowd crowd(plan, upgrade(plan, query), 101, plan.connections);
    Expected const expected("", frame_head(sink_thanks.size(), false) + std::string(sink_thanks),
                            sink_thanks.size() + 2);
    Meter meter(plan.arguments);
    Latencies none;
    std::size_t done = 0;
    auto const on_bytes = [&](Crowd::Member& member, std::string_view bytes) {
        if (member.unsent > 0) throw std::runtime_error("thanks for an upload that is not over");
        expected.check(member.checked, bytes);
        if (member.checked == sink_thanks.size() + 2) ++done;
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
    report("frame", units, units, meter, none);
}

namespace {

/// What comes back to each terminal: what was typed there, in that order. Our upstream sends a frame for a frame, which
/// is checked byte by byte; the real opencode frames as it likes, so that there only what was typed is looked for.
class Echoes {
public:
    Echoes(std::size_t terminals, bool frames_too) : terminals_(terminals), frames_too_(frames_too) {}

    void typed(std::size_t terminal, std::string_view frame, std::int64_t due) {
        if (frames_too_) terminals_[terminal].bytes += frame;
        terminals_[terminal].dues.push_back(due);
    }

    template <class OnEcho>
    void feed(std::size_t terminal, std::string_view bytes, OnEcho&& on_echo) {
        Terminal& at = terminals_[terminal];
        if (frames_too_) {
            if (!at.bytes.starts_with(bytes)) throw std::runtime_error("an echo that is not what was typed");
            at.bytes.erase(0, bytes.size());
        }
        at.stamps.feed(bytes, [&](std::int64_t due) {
            if (at.dues.empty() || at.dues.front() != due) throw std::runtime_error("an echo out of order");
            at.dues.pop_front();
            on_echo(due);
        });
    }

private:
    struct Terminal {
        std::string bytes;
        std::deque<std::int64_t> dues;
        StampReader stamps;
    };

    std::vector<Terminal> terminals_;
    bool frames_too_;
};

}  // namespace

void echo(Plan const& plan) {
    Crowd crowd(plan, upgrade(plan, ""), 101, plan.connections);
    Echoes echoes(plan.connections, !plan.arguments.has("--unchecked"));
    Meter meter(plan.arguments);
    Latencies latencies;
    auto const rate = std::max<std::int64_t>(1, plan.arguments.number("--rate", 1000));
    auto const period = 1'000'000'000 / rate;
    auto const total = plan.milliseconds("--milliseconds") / period;
    auto const warm_up = total / 5;
    std::int64_t sent = 0, returned = 0;
    auto const on_bytes = [&](Crowd::Member& member, std::string_view bytes) {
        echoes.feed(member.index, bytes, [&](std::int64_t due) {
            if (++returned > warm_up) latencies.add(now_ns() - due);
            if (returned == warm_up) meter.begin();
        });
    };
    crowd.open(on_bytes);
    auto const started = now_ns();
    while (returned < total) {
        for (; sent < total && started + sent * period <= now_ns(); ++sent) {
            auto const due = stamp(started + sent * period);
            std::string const typed(due.data(), due.size());
            auto const terminal = static_cast<std::size_t>(sent) % plan.connections;
            std::string const frame = frame_head(typed.size(), true) + typed;
            if (write_some(crowd.members()[terminal]->fd.get(), frame).bytes < frame.size())
                throw std::runtime_error("echo is stuck");
            echoes.typed(terminal, frame_head(typed.size(), false) + typed, started + sent * period);
        }
        auto const next = sent < total ? started + sent * period - now_ns() : 100'000'000;
        crowd.pump(std::max<std::int64_t>(0, next), on_bytes);
    }
    meter.end();
    report("echo", static_cast<double>(total - warm_up), static_cast<double>(total - warm_up), meter, latencies);
}

}  // namespace bench
