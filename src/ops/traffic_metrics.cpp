#include "traffic_metrics.hpp"

#include "recorder.hpp"

namespace ocgate::ops {
namespace {

using proxy::StreamKind;

template <class Get>
double sum(Shards const& shards, Get get) {
    double total = 0;
    for (auto const& shard : shards) total += static_cast<double>(get(*shard).value());
    return total;
}

template <std::size_t N, class Get>
void write_merged(Exposition& out, Shards const& shards, Scale<N> const& scale, Get get,
                  Exposition::Labels labels = {}) {
    Merged<N> merged;
    for (auto const& shard : shards) merged.add(get(*shard));
    merged.write(out, scale, labels);
}

bool is_unserved(std::string_view code) noexcept { return code == "502" || code == "503" || code == "504"; }

void count_requests(std::map<RequestSeries::Key, std::uint64_t>& counts, std::string_view route,
                    RouteCounters const& counters) {
    for (std::size_t m = 0; m < method_labels.size(); ++m) {
        auto const* codes = counters.methods[m].load(std::memory_order_acquire);
        if (!codes) continue;
        auto const add = [&](std::string code, std::uint64_t n) {
            if (n > 0) counts[{route, m, std::move(code)}] += n;
        };
        for (auto const& slot : codes->table()) {
            auto const status = slot.status.load(std::memory_order_relaxed);
            if (status == 0) break;
            add(std::to_string(status), slot.count.value());
        }
        for (std::size_t c = 0; c < StatusCounters::classes.size(); ++c) {
            add(std::string(StatusCounters::classes[c]), codes->beyond(c));
        }
    }
}

void write_requests(Exposition& out, Shards const& shards, RouteTable const& routes, RequestSeries& known) {
    // Keyed by label, not by number: two routes may share a template.
    std::map<RequestSeries::Key, std::uint64_t> counts;
    std::map<std::string_view, Merged<request_times.bounds.size()>> durations;
    for (auto const& shard : shards) {
        count_requests(counts, overflow_label, shard->refused_heads);
        for (std::size_t r = 0; r < shard->route_count; ++r) {
            auto const* route = shard->routes[r].load(std::memory_order_acquire);
            if (!route) continue;
            count_requests(counts, route_label(routes, r), *route);
            durations[route_label(routes, r)].add(route->duration);
        }
    }
    // Before what is beyond the bound loses its code. Nobody sees how often something failed whose first failure makes
    // a new series: an alert looks at these two.
    std::uint64_t served = 0;
    std::uint64_t unserved = 0;
    for (auto const& [key, n] : counts) (is_unserved(std::get<2>(key)) ? unserved : served) += n;
    out.counter("ocgate_http_outcomes_total",
                "Requests that ended since the gateway started: unserved are those with 502, 503 and 504, whoever's "
                "fault that was.")
        .value(served, {{"outcome", "served"}})
        .value(unserved, {{"outcome", "unserved"}});
    known.settle(counts);
    out.counter("ocgate_http_requests_total",
                "Requests that ended since the gateway started, by route template, method and status. A WebSocket or "
                "event stream counts when it ends. 499: no answer could be sent. Route other: refused for its head or "
                "for want of room, and with a class for a code what is beyond the bound of series.");
    for (auto const& [key, n] : counts) {
        auto const& [route, method, code] = key;
        out.value(n, {{"route", route}, {"method", method_labels[method]}, {"code", code}});
    }
    out.histogram(
        "ocgate_http_request_duration_seconds",
        "Seconds from a request's head to the end of its answer. Event streams and WebSockets are not in it.");
    for (auto const& [route, duration] : durations) {
        if (!duration.empty()) duration.write(out, request_times, {{"route", route}});
    }
    out.histogram("ocgate_http_time_to_first_byte_seconds",
                  "Seconds from a request's head to the head of the answer. Event streams and WebSockets are not in "
                  "it.");
    write_merged(
        out, shards, request_times, [](auto const& shard) -> auto& { return shard.first_byte; });
    out.gauge("ocgate_http_requests_in_flight", "Requests that have begun and not ended, streams included.")
        .value(sum(
            shards, [](auto const& shard) -> auto& { return shard.in_flight; }));
    out.histogram("ocgate_http_request_size_bytes",
                  "Bytes of content received with a request, as framed by the client. Event streams and WebSockets are "
                  "not in it.");
    write_merged(
        out, shards, content_sizes, [](auto const& shard) -> auto& { return shard.request_size; });
    out.histogram("ocgate_http_response_size_bytes",
                  "Bytes of content sent in an answer, as framed by the upstream. Event streams and WebSockets are not "
                  "in it.");
    write_merged(
        out, shards, content_sizes, [](auto const& shard) -> auto& { return shard.response_size; });
}

/// The ends of connections, as `side` labels.
constexpr std::array ends{Side::client, Side::upstream};

void write_connections(Exposition& out, Shards const& shards) {
    auto const each = [&](auto get) {
        for (auto const side : ends) {
            auto const of_side = [&](auto const& shard) -> auto& {
                return get(shard.connections[static_cast<std::size_t>(side)]);
            };
            out.value(sum(shards, of_side), {{"side", to_string(side)}});
        }
    };
    out.gauge("ocgate_open_connections", "Connections that are open, those in the pool included.");
    each([](auto const& connections) -> auto& { return connections.open; });
    out.counter("ocgate_connections_total",
                "Connections accepted from clients, and made to the upstream, since the gateway started.");
    each([](auto const& connections) -> auto& { return connections.total; });

    auto const traffic = [](ShardCounters const& shard, Side side) -> auto& {
        return side == Side::client ? shard.live.client : shard.live.upstream;
    };
    out.counter("ocgate_bytes_total",
                "Bytes on connections since the gateway started, heads and framing included, counted as they pass.");
    for (auto const side : ends) {
        out.value(sum(
                      shards, [&](auto const& shard) -> auto& { return traffic(shard, side).received; }),
                  {{"side", to_string(side)}, {"direction", "received"}});
        out.value(sum(
                      shards, [&](auto const& shard) -> auto& { return traffic(shard, side).sent; }),
                  {{"side", to_string(side)}, {"direction", "sent"}});
    }
    out.counter("ocgate_backpressure_seconds_total",
                "Seconds that something waited to be sent because that side took nothing, added up over connections, "
                "since the gateway started. Waits that last are counted every 5 seconds.");
    for (auto const side : ends) {
        out.value(sum(
                      shards, [&](auto const& shard) -> auto& { return traffic(shard, side).waited_ns; }) /
                      1e9,
                  {{"side", to_string(side)}});
    }
}

/// Series that an alert looks at before there is anything in them.
bool is_expected(StreamKind kind, Reason reason) {
    return reason == Reason{} || (kind == StreamKind::event_stream && reason == Reason::stalled);
}

void write_streams(Exposition& out, Shards const& shards) {
    constexpr std::array kinds{StreamKind::event_stream, StreamKind::websocket};
    out.gauge("ocgate_streams_open", "Event streams and WebSockets that are open.");
    for (auto const kind : kinds) {
        auto const k = static_cast<std::size_t>(kind);
        out.value(sum(
                      shards, [k](auto const& shard) -> auto& { return shard.streams[k].open; }),
                  {{"kind", kind_label(kind)}});
    }
    out.histogram("ocgate_stream_duration_seconds", "Seconds that streams lasted which have ended.");
    for (auto const kind : kinds) {
        auto const k = static_cast<std::size_t>(kind);
        write_merged(out, shards, stream_times, [k](auto const& shard) -> auto& { return shard.streams[k].duration; },
                     {{"kind", kind_label(kind)}});
    }
    out.counter("ocgate_stream_bytes_total",
                "Bytes of content in streams since the gateway started, counted as they pass: events without chunk "
                "framing and without our comments, WebSocket frames with theirs.")
        .value(sum(
                   shards, [](auto const& shard) -> auto& { return shard.live.event_stream.to_client; }),
               {{"kind", kind_label(StreamKind::event_stream)}, {"direction", "to_client"}})
        .value(sum(
                   shards, [](auto const& shard) -> auto& { return shard.live.websocket.to_client; }),
               {{"kind", kind_label(StreamKind::websocket)}, {"direction", "to_client"}})
        .value(sum(
                   shards, [](auto const& shard) -> auto& { return shard.live.websocket.to_upstream; }),
               {{"kind", kind_label(StreamKind::websocket)}, {"direction", "to_upstream"}});
    out.counter("ocgate_stream_closed_total",
                "Streams that have ended since the gateway started, by reason; none is a clean end, stalled a client "
                "that took nothing and was cut.");
    for (auto const kind : kinds) {
        auto const k = static_cast<std::size_t>(kind);
        for (std::size_t r = 0; r < reasons; ++r) {
            auto const n = sum(
                shards, [ k, r ](auto const& shard) -> auto& { return shard.streams[k].closed[r]; });
            if (n == 0 && !is_expected(kind, static_cast<Reason>(r))) continue;
            out.value(n, {{"kind", kind_label(kind)}, {"reason", reason_label(r)}});
        }
    }
}

bool is_expected(Side side, Step step, Reason reason) {
    switch (side) {
        case Side::client:
            return step == Step::event_stream && reason == Reason::stalled;
        case Side::upstream:
            return (step == Step::dial && (reason == Reason::refused || reason == Reason::timed_out)) ||
                   (step == Step::response_head && (reason == Reason::cut_short || reason == Reason::timed_out));
        case Side::gateway:
            return step == Step::accept && reason == Reason::too_many;
    }
    return false;
}

void write_errors(Exposition& out, Shards const& shards) {
    out.counter("ocgate_errors_total",
                "Failures since the gateway started, by whose they were, what was being done, and why.");
    for (std::size_t side = 0; side < sides; ++side) {
        for (std::size_t step = 0; step < steps; ++step) {
            for (std::size_t r = 0; r < reasons; ++r) {
                auto const n = sum(
                    shards, [=](auto const& shard) -> auto& { return shard.errors[side][step][r]; });
                auto const whose = static_cast<Side>(side);
                auto const doing = static_cast<Step>(step);
                if (n == 0 && !is_expected(whose, doing, static_cast<Reason>(r))) continue;
                out.value(n, {{"side", to_string(whose)}, {"step", to_string(doing)}, {"reason", reason_label(r)}});
            }
        }
    }
}

void write_upstream(Exposition& out, Shards const& shards) {
    out.counter("ocgate_upstream_connections_total",
                "Attempts to get a connection to the upstream for a request, since the gateway started.")
        .value(sum(
                   shards, [](auto const& shard) -> auto& { return shard.dialed; }),
               {{"result", "dialed"}})
        .value(sum(
                   shards, [](auto const& shard) -> auto& { return shard.reused; }),
               {{"result", "reused"}})
        .value(sum(
                   shards, [](auto const& shard) -> auto& { return shard.dial_failed; }),
               {{"result", "failed"}});
    out.counter("ocgate_upstream_requests_total",
                "Requests for the upstream since the gateway started: answered when the head of an answer came, failed "
                "when none did by the upstream's fault, retried when a connection of the pool turned out dead. One "
                "that its client left first is none of them.")
        .value(sum(
                   shards, [](auto const& shard) -> auto& { return shard.live.answered; }),
               {{"result", "answered"}})
        .value(sum(
                   shards, [](auto const& shard) -> auto& { return shard.live.failed; }),
               {{"result", "failed"}})
        .value(sum(
                   shards, [](auto const& shard) -> auto& { return shard.live.retried; }),
               {{"result", "retried"}});
    out.gauge("ocgate_upstream_idle_connections", "Connections to the upstream that wait in the pools for a request.")
        .value(sum(
            shards, [](auto const& shard) -> auto& { return shard.live.idle_upstreams; }));
}

}  // namespace

void RequestSeries::settle(std::map<Key, std::uint64_t>& counts) {
    static_assert(method_labels.back() == overflow_label);
    std::map<Key, std::uint64_t> overflow;
    for (auto it = counts.begin(); it != counts.end();) {
        auto const& [key, n] = *it;
        if (known_.size() < max_request_series) known_.insert(key);
        if (known_.contains(key)) {
            ++it;
            continue;
        }
        auto const& code = std::get<2>(key);
        bool const classless = code == StatusCounters::classes.back();
        overflow[{overflow_label, method_labels.size() - 1, classless ? code : code.substr(0, 1) + "xx"}] += n;
        it = counts.erase(it);
    }
    for (auto const& [key, n] : overflow) counts[key] += n;
}

void write_traffic(Exposition& out, Shards const& shards, RouteTable const& routes, RequestSeries& known) {
    write_requests(out, shards, routes, known);
    write_connections(out, shards);
    write_streams(out, shards);
    write_errors(out, shards);
    write_upstream(out, shards);
}

}  // namespace ocgate::ops
