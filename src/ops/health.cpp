#include "ocgate/ops/health.hpp"

#include <nlohmann/json.hpp>

namespace ocgate::ops {
namespace {

using nlohmann::json;

json describe(UpstreamHealth const& upstream) {
    json told = {{"status", !upstream.known ? "unknown" : upstream.up ? "up" : "down"}};
    if (!upstream.version.empty()) told["version"] = upstream.version;
    if (!upstream.up && !upstream.reason.empty()) told["reason"] = upstream.reason;
    if (upstream.known) told["probe_ms"] = std::chrono::duration<double, std::milli>(upstream.took).count();
    return told;
}

json describe(EventsHealth const& events) {
    json told = {{"status", events.heard ? "heard" : "not_heard"}};
    if (!events.heard && !events.reason.empty()) told["reason"] = events.reason;
    return told;
}

// The version and the reason come from outside: bytes that are no UTF-8 are replaced, never thrown at.
std::string print(json const& told) { return told.dump(-1, ' ', false, json::error_handler_t::replace); }

}  // namespace

std::string_view to_string(Phase phase) noexcept {
    switch (phase) {
        case Phase::starting:
            return "starting";
        case Phase::ready:
            return "ready";
        case Phase::draining:
            return "draining";
        case Phase::stopped:
            return "stopped";
    }
    return "stopped";
}

void Health::enter(Phase phase) {
    std::scoped_lock const lock(mutex_);
    if (phase > phase_) phase_ = phase;
}

Phase Health::phase() const {
    std::scoped_lock const lock(mutex_);
    return phase_;
}

void Health::set_upstream(UpstreamHealth upstream) {
    std::scoped_lock const lock(mutex_);
    upstream_ = std::move(upstream);
}

UpstreamHealth Health::upstream() const {
    std::scoped_lock const lock(mutex_);
    return upstream_;
}

void Health::set_events(EventsHealth events) {
    std::scoped_lock const lock(mutex_);
    events_ = std::move(events);
}

Health::Report Health::readiness(bool with_upstream) const {
    std::unique_lock lock(mutex_);
    auto const phase = phase_;
    auto const upstream = upstream_;
    auto const events = events_;
    lock.unlock();

    auto reasons = json::array();
    if (phase != Phase::ready) reasons.push_back("the gateway is " + std::string(to_string(phase)));
    if (with_upstream && !(upstream.known && upstream.up)) {
        reasons.push_back(!upstream.known           ? std::string("the upstream was not probed yet")
                          : upstream.reason.empty() ? std::string("the upstream is down")
                                                    : "the upstream is down: " + upstream.reason);
    }
    if (with_upstream && events.known && !events.heard) {
        reasons.push_back("the upstream's events are not heard" + (events.reason.empty() ? "" : ": " + events.reason));
    }
    Report report;
    report.ready = reasons.empty();
    json told = {{"status", report.ready ? "ready" : "not_ready"},
                 {"phase", std::string(to_string(phase))},
                 {"reasons", std::move(reasons)}};
    if (with_upstream) told["upstream"] = describe(upstream);
    report.body = print(told);
    return report;
}

std::string Health::overview() const {
    std::unique_lock lock(mutex_);
    auto const phase = phase_;
    auto const upstream = upstream_;
    auto const events = events_;
    lock.unlock();
    json told = {{"status", "ok"}, {"phase", std::string(to_string(phase))}, {"upstream", describe(upstream)}};
    if (events.known) told["events"] = describe(events);
    return print(told);
}

}  // namespace ocgate::ops
