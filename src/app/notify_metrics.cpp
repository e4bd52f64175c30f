#include "notify_metrics.hpp"

#include <algorithm>

namespace ocgate::app {
namespace {

using ops::Exposition;

constexpr std::string_view other = "other";

bool is_plain_name(std::string_view type) noexcept {
    auto const plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
               c == '-';
    };
    return !type.empty() && type.size() <= EventTally::max_type_bytes && std::all_of(type.begin(), type.end(), plain);
}

constexpr std::array<std::string_view, 3> taken_words{"read", "skipped", "unknown"};
constexpr std::array actions{notify::Action::publish, notify::Action::update, notify::Action::remind,
                             notify::Action::clear};
constexpr std::array circuits{notify::Circuit::closed, notify::Circuit::open, notify::Circuit::half_open};
constexpr auto http_steps = std::tuple_size_v<decltype(notify::CourierCounts::failed)>;
static_assert(actions.size() == std::tuple_size_v<decltype(notify::CourierCounts::sent)>);

double seconds_of(rt::Duration time) { return std::chrono::duration<double>(time).count(); }
double yes(bool is_so) { return is_so ? 1.0 : 0.0; }

void write_tap(Exposition& out, NotifyFigures const& figures) {
    auto const& tap = figures.tap;
    out.gauge("ocgate_tap_connected", "1 while the gateway's own subscription to opencode's events brings events.")
        .value(yes(tap.connected));
    out.counter("ocgate_tap_connections_total", "Subscriptions to opencode's events that brought one.")
        .value(tap.connections);
    out.counter("ocgate_tap_failures_total", "Subscriptions that ended or could not be had; each is tried again.")
        .value(tap.failures);
    out.counter("ocgate_tap_silences_total", "Of these: given up because opencode said nothing for too long.")
        .value(tap.silences);
    out.counter("ocgate_tap_received_bytes_total", "Bytes of opencode's events.").value(tap.bytes);
    out.gauge("ocgate_tap_last_event_timestamp_seconds",
              "When opencode was last heard, heartbeats included, in Unix time; 0: never.");
    bool const ever = tap.heard != rt::Instant::min();
    std::chrono::duration<double> const wall = figures.wall.time_since_epoch();
    out.value(ever ? wall.count() - seconds_of(figures.now - tap.heard) : 0.0);

    out.counter("ocgate_tap_events_total",
                "Events of opencode, by type and by how they were taken: read, skipped (too long to hold, only its "
                "type was read) or unknown (a type this version does not know).");
    for (auto const& [type, counts] : figures.events.types()) {
        for (std::size_t i = 0; i < counts.size(); ++i) {
            if (counts[i] > 0) out.value(counts[i], {{"type", type}, {"taken", taken_words[i]}});
        }
    }
}

void write_sessions(Exposition& out, NotifyFigures const& figures) {
    auto const& counts = figures.sessions;
    auto const of = [](std::size_t n) { return static_cast<std::uint64_t>(n); };
    out.gauge("ocgate_sessions", "Sessions of opencode that were heard of, by state.")
        .value(of(counts.idle), {{"state", "idle"}})
        .value(of(counts.busy), {{"state", "busy"}})
        .value(of(counts.retry), {{"state", "retry"}});
    out.gauge("ocgate_pending", "Requests of agents that wait for a person's answer.")
        .value(of(counts.permissions), {{"kind", "permission"}})
        .value(of(counts.questions), {{"kind", "question"}});
    auto const age = [&](std::optional<rt::Instant> since) { return since ? seconds_of(figures.now - *since) : 0.0; };
    out.gauge("ocgate_pending_oldest_seconds", "How long the oldest of them has waited, in seconds; 0: none waits.")
        .value(age(counts.oldest_permission), {{"kind", "permission"}})
        .value(age(counts.oldest_question), {{"kind", "question"}});
}

void write_incidents(Exposition& out, NotifyFigures const& figures) {
    auto const& counts = figures.center;
    out.counter("ocgate_notify_incidents_total",
                "What happened that people may have to hear, by what became of it: raised, known (raised before), "
                "opened (to be told), joined (told together with another), never_told (over before it was to be "
                "told), resolved, expired, refused (too many at once).")
        .value(counts.raised, {{"what", "raised"}})
        .value(counts.known, {{"what", "known"}})
        .value(counts.opened, {{"what", "opened"}})
        .value(counts.joined, {{"what", "joined"}})
        .value(counts.never_told, {{"what", "never_told"}})
        .value(counts.resolved, {{"what", "resolved"}})
        .value(counts.expired, {{"what", "expired"}})
        .value(counts.refused, {{"what", "refused"}});
    out.counter("ocgate_notify_suppressed_total", "Incidents of which nobody was told, by reason.");
    for (auto const& [reason, count] : counts.suppressed) out.value(count, {{"reason", reason}});
    out.counter("ocgate_notify_reminders_total", "Times an incident was told again because nobody had answered.")
        .value(counts.reminders);
    out.counter("ocgate_notify_escalations_total", "Incidents told to further targets because nobody had answered.")
        .value(counts.escalations);
    out.histogram(
        "ocgate_notify_accepted_seconds",
        "Seconds from an event of opencode until what it brings is in the outbox, without the time it is held "
        "on purpose.");
    out.buckets(figures.accepted.counts(), AcceptedTimes::bounds, figures.accepted.seconds());
}

using Target = notify::TargetStatus;

/// One counter with a sample for each target.
template <class Get>
void each(Exposition& out, std::vector<Target> const& targets, char const* name, char const* help, Get get) {
    out.counter(name, help);
    for (auto const& target : targets) out.value(get(target.counts), {{"target", target.name}});
}

void write_deliveries(Exposition& out, NotifyFigures const& figures) {
    using Counts = notify::CourierCounts;
    auto const& targets = figures.targets;
    out.counter(
        "ocgate_notify_enqueued_total",
        "Deliveries that were accepted: they are in the outbox, and will be made or counted as dropped or dead.");
    for (auto const& target : targets) {
        auto const count = figures.enqueued.find(target.name);
        out.value(count == figures.enqueued.end() ? std::uint64_t{0} : count->second, {{"target", target.name}});
    }
    out.counter("ocgate_notify_sent_total", "Deliveries that a target took, by what they did.");
    for (auto const& target : targets) {
        for (std::size_t i = 0; i < actions.size(); ++i) {
            out.value(target.counts.sent[i], {{"target", target.name}, {"action", to_string(actions[i])}});
        }
    }
    each(out, targets, "ocgate_notify_requests_total", "Requests made to a target.",
         [](Counts const& counts) { return counts.requests; });
    out.counter("ocgate_notify_request_failures_total",
                "Requests that brought no answer, by what was being done when they failed.");
    for (auto const& target : targets) {
        for (std::size_t i = 0; i < http_steps; ++i) {
            if (target.counts.failed[i] == 0) continue;
            auto const step = to_string(static_cast<notify::HttpStep>(i));
            out.value(target.counts.failed[i], {{"target", target.name}, {"step", step}});
        }
    }
    each(out, targets, "ocgate_notify_retried_total", "Attempts that failed and are made again.",
         [](Counts const& counts) { return counts.retried; });
    each(out, targets, "ocgate_notify_rejected_total",
         "Messages that a target refused as they were; a plain one follows.",
         [](Counts const& counts) { return counts.rejected; });
    each(out, targets, "ocgate_notify_dead_total", "Deliveries that failed for good.",
         [](Counts const& counts) { return counts.dead; });
    out.counter("ocgate_notify_dropped_total",
                "Deliveries that were not made: ambiguous (may have arrived, not worth a second time), unable (the "
                "target cannot do it), ended (no need any more), limit (too many waited).");
    for (auto const& target : targets) {
        auto const& counts = target.counts;
        auto const no_room = figures.no_room.find(target.name);
        out.value(counts.ambiguous, {{"target", target.name}, {"reason", "ambiguous"}})
            .value(counts.unable, {{"target", target.name}, {"reason", "unable"}})
            .value(counts.ended, {{"target", target.name}, {"reason", "ended"}})
            .value(no_room == figures.no_room.end() ? std::uint64_t{0} : no_room->second,
                   {{"target", target.name}, {"reason", "limit"}});
    }
    each(out, targets, "ocgate_notify_diverted_total", "Deliveries that were enqueued for a fallback instead.",
         [](Counts const& counts) { return counts.diverted; });
    each(out, targets, "ocgate_notify_breaker_opened_total", "Times a target was left alone because it kept failing.",
         [](Counts const& counts) { return counts.opened; });
}

void write_targets(Exposition& out, NotifyFigures const& figures) {
    auto const queue_of = [&](std::string_view target) {
        auto const found = std::find_if(figures.queues.begin(), figures.queues.end(),
                                        [&](auto const& q) { return q.target == target; });
        return found == figures.queues.end() ? notify::TargetCount{} : *found;
    };
    out.gauge("ocgate_notify_queued", "Deliveries that are to be made, those under way included.");
    for (auto const& target : figures.targets) {
        auto const queue = queue_of(target.name);
        out.value(queue.queued + queue.leased, {{"target", target.name}});
    }
    out.gauge("ocgate_notify_oldest_queued_seconds",
              "How long the oldest of them has waited, in seconds; 0: none waits.");
    auto const now = std::chrono::duration<double>(figures.wall.time_since_epoch()).count();
    for (auto const& target : figures.targets) {
        auto const oldest = static_cast<double>(queue_of(target.name).oldest_live_ms) / 1000.0;
        out.value(oldest == 0 ? 0.0 : std::max(0.0, now - oldest), {{"target", target.name}});
    }
    out.gauge("ocgate_notify_breaker", "1 for the state a target's breaker is in: open and it is left alone.");
    for (auto const& target : figures.targets) {
        for (auto const circuit : circuits) {
            out.value(yes(target.circuit == circuit), {{"target", target.name}, {"state", to_string(circuit)}});
        }
    }
    out.gauge("ocgate_notify_target_disabled", "1 while a target is not asked any more until a person enables it.");
    for (auto const& target : figures.targets) out.value(yes(!target.disabled.empty()), {{"target", target.name}});
}

void write_store(Exposition& out, NotifyFigures const& figures) {
    auto const& store = figures.store;
    out.gauge("ocgate_notify_store_durable", "1 while what is accepted survives a crash; 0: it is in memory only.")
        .value(yes(store.durable));
    out.counter("ocgate_notify_store_failures_total",
                "Failures of the outbox's disk, each attempt to come back to it included.")
        .value(store.failures);
    out.counter("ocgate_notify_store_moved_aside_total", "Corrupt files of the outbox that had to make room.")
        .value(store.moved_aside);
}

}  // namespace

void EventTally::count(std::string_view type, opencode::Taken taken) {
    auto const at = static_cast<std::size_t>(taken);
    if (auto const found = types_.find(type); found != types_.end()) {
        ++found->second[at];
        return;
    }
    auto const named = types_.size() - types_.count(other);
    bool const fits = named < max_types && is_plain_name(type);
    ++types_[std::string(fits ? type : other)][at];
}

void AcceptedTimes::observe(rt::Duration took) noexcept {
    auto const seconds = std::max(0.0, seconds_of(took));
    auto const bucket = std::lower_bound(bounds.begin(), bounds.end(), seconds) - bounds.begin();
    ++counts_[static_cast<std::size_t>(bucket)];
    seconds_ += seconds;
}

void write_notify(Exposition& out, NotifyFigures const& figures) {
    write_tap(out, figures);
    write_sessions(out, figures);
    write_incidents(out, figures);
    write_deliveries(out, figures);
    write_targets(out, figures);
    write_store(out, figures);
}

}  // namespace ocgate::app
