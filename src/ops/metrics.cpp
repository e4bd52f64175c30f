// The counters of all shards, merged at scrape. prometheus-cpp's registry is not used: its counters are locked and
// shared, ours are neither.
#include "ocgate/ops/metrics.hpp"

#include <boost/version.hpp>
#include <map>

#include "counters.hpp"
#include "ocgate/rt/clock.hpp"
#include "process.hpp"
#include "recorder.hpp"

namespace ocgate::ops {
namespace {

/// The sum of one histogram over the shards. Its count is that of its buckets, so the two always agree.
template <std::size_t N>
struct Merged {
    std::array<std::uint64_t, N + 1> buckets{};
    double seconds = 0;

    void add(Histogram<N> const& part) {
        for (std::size_t i = 0; i <= N; ++i) buckets[i] += part.bucket(i);
        seconds += part.seconds();
    }
    [[nodiscard]] bool empty() const {
        for (auto const n : buckets) {
            if (n > 0) return false;
        }
        return true;
    }
    void write(Exposition& out, Bounds<N> const& bounds, Exposition::Labels labels = {}) const {
        std::array<double, N> seconds_bounds{};
        for (std::size_t i = 0; i < N; ++i) seconds_bounds[i] = static_cast<double>(bounds[i]) / 1000.0;
        out.buckets(buckets, seconds_bounds, seconds, labels);
    }
};

}  // namespace

struct Metrics::Inside {
    explicit Inside(MetricsOptions given)
        : options(std::move(given)),
          clock(options.clock ? *options.clock : system_clock),
          auth(std::make_unique<std::atomic<std::uint64_t>[]>(options.auth_results.size())) {
        auto const route_count = std::max<std::size_t>(options.routes.names.size(), 1);
        for (unsigned i = 0; i < options.shards; ++i) shards.push_back(std::make_unique<ShardCounters>(route_count));
        recorders.resize(options.shards);
    }

    void write_requests(Exposition& out) const;
    void write_connections(Exposition& out) const;
    void write_streams(Exposition& out) const;
    void write_errors(Exposition& out) const;
    void write_upstream(Exposition& out, Health const& health) const;
    void write_gateway(Exposition& out, Health const& health, Log const& log) const;
    static void write_process(Exposition& out);

    template <class Get>
    [[nodiscard]] double sum(Get get) const {
        double total = 0;
        for (auto const& shard : shards) total += static_cast<double>(get(*shard).value());
        return total;
    }

    MetricsOptions const options;
    rt::SystemClock const system_clock;
    rt::Clock const& clock;
    std::vector<std::unique_ptr<ShardCounters>> shards;
    std::vector<std::unique_ptr<ShardRecorder>> recorders;
    // Shared by threads, off the hot path or cheap beside a login.
    std::unique_ptr<std::atomic<std::uint64_t>[]> auth;
    std::array<std::atomic<std::uint64_t>, 2> reloads{};
    std::array<std::atomic<std::uint64_t>, 2> probes{};
    std::atomic<std::int64_t> probe_ns{0};
    std::atomic<bool> reload_ok{true};
    /// Unix time of what is in force; starting counts.
    std::atomic<double> loaded_at{
        std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count()};
};

void Metrics::Inside::write_requests(Exposition& out) const {
    // Keyed by label, not by number: two routes may share a template.
    std::map<std::string_view, std::array<std::map<std::string, std::uint64_t>, method_labels.size()>> requests;
    std::map<std::string_view, Merged<request_bounds.size()>> durations;
    Merged<request_bounds.size()> first_byte;
    auto const add = [&](std::string_view name, RouteCounters const& route) {
        durations[name].add(route.duration);
        for (std::size_t m = 0; m < method_labels.size(); ++m) {
            auto const* codes = route.methods[m].load(std::memory_order_acquire);
            if (!codes) continue;
            auto& counted = requests[name][m];
            for (auto const& slot : codes->table()) {
                auto const status = slot.status.load(std::memory_order_relaxed);
                if (status == 0) break;
                if (auto const n = slot.count.value()) counted[std::to_string(status)] += n;
            }
            for (std::size_t c = 0; c < StatusCounters::classes.size(); ++c) {
                if (auto const n = codes->beyond(c)) counted[std::string(StatusCounters::classes[c])] += n;
            }
        }
    };
    for (auto const& shard : shards) {
        first_byte.add(shard->first_byte);
        add("other", shard->refused_heads);
        for (std::size_t r = 0; r < shard->route_count; ++r) {
            if (auto const* route = shard->routes[r].load(std::memory_order_acquire)) {
                add(route_label(options.routes, r), *route);
            }
        }
    }

    out.counter("ocgate_http_requests_total",
                "Requests that ended, by route template, method and status. A WebSocket or event stream counts when it "
                "ends. 499: no answer could be sent. Route other: refused for its head, or for want of room.");
    for (auto const& [name, methods] : requests) {
        for (std::size_t m = 0; m < methods.size(); ++m) {
            for (auto const& [code, n] : methods[m]) {
                out.value(n, {{"route", name}, {"method", method_labels[m]}, {"code", code}});
            }
        }
    }
    out.histogram("ocgate_http_request_duration_seconds",
                  "From a request's head to the end of its answer. Event streams and WebSockets are not in it.");
    for (auto const& [name, duration] : durations) {
        if (!duration.empty()) duration.write(out, request_bounds, {{"route", name}});
    }
    out.histogram("ocgate_http_time_to_first_byte_seconds",
                  "From a request's head to the head of the upstream's answer. Event streams and WebSockets are not in "
                  "it.");
    first_byte.write(out, request_bounds);
    out.gauge("ocgate_http_requests_in_flight", "Requests that have begun and not ended, streams included.").value(sum([
    ](auto const& shard) -> auto& { return shard.in_flight; }));
    out.counter("ocgate_http_request_bytes_total", "Content received with requests, as framed by the clients.")
        .value(sum([](auto const& shard) -> auto& { return shard.request_bytes; }));
    out.counter("ocgate_http_response_bytes_total", "Content sent in answers, as framed for the clients.").value(sum([
    ](auto const& shard) -> auto& { return shard.response_bytes; }));
}

void Metrics::Inside::write_connections(Exposition& out) const {
    constexpr std::array shown{Side::client, Side::upstream};
    auto const each = [&](auto get) {
        for (auto const side : shown) {
            auto const of_side = [&](auto const& shard) -> auto& {
                return get(shard.connections[static_cast<std::size_t>(side)]);
            };
            out.value(sum(of_side), {{"side", to_string(side)}});
        }
    };
    out.gauge("ocgate_open_connections", "Connections that are open, those in the pool included.");
    each([](auto const& connections) -> auto& { return connections.open; });
    out.counter("ocgate_connections_total", "Connections accepted from clients, and made to the upstream.");
    each([](auto const& connections) -> auto& { return connections.total; });
    out.counter("ocgate_bytes_total",
                "Bytes on connections, heads and framing included; counted when they end or pause.");
    for (auto const side : shown) {
        auto const of = static_cast<std::size_t>(side);
        out.value(sum([of](auto const& shard) -> auto& { return shard.connections[of].received; }),
                  {{"side", to_string(side)}, {"direction", "received"}});
        out.value(sum([of](auto const& shard) -> auto& { return shard.connections[of].sent; }),
                  {{"side", to_string(side)}, {"direction", "sent"}});
    }
}

void Metrics::Inside::write_streams(Exposition& out) const {
    constexpr std::array kinds{proxy::StreamKind::event_stream, proxy::StreamKind::websocket};
    out.gauge("ocgate_streams_open", "Event streams and WebSockets that are open.");
    for (auto const kind : kinds) {
        auto const k = static_cast<std::size_t>(kind);
        out.value(sum([k](auto const& shard) -> auto& { return shard.streams[k].open; }), {{"kind", kind_label(kind)}});
    }
    out.histogram("ocgate_stream_duration_seconds", "How long streams lasted that have ended.");
    for (auto const kind : kinds) {
        Merged<stream_bounds.size()> merged;
        for (auto const& shard : shards) merged.add(shard->streams[static_cast<std::size_t>(kind)].duration);
        merged.write(out, stream_bounds, {{"kind", kind_label(kind)}});
    }
    out.counter("ocgate_streams_closed_total", "Streams that have ended, by reason; none is a clean end.");
    for (auto const kind : kinds) {
        auto const k = static_cast<std::size_t>(kind);
        for (std::size_t r = 0; r < reasons; ++r) {
            auto const n = sum([ k, r ](auto const& shard) -> auto& { return shard.streams[k].closed[r]; });
            if (n > 0) out.value(n, {{"kind", kind_label(kind)}, {"reason", reason_label(r)}});
        }
    }
}

void Metrics::Inside::write_errors(Exposition& out) const {
    out.counter("ocgate_errors_total", "Failures, by whose they were, what was being done, and why.");
    for (std::size_t side = 0; side < sides; ++side) {
        for (std::size_t step = 0; step < steps; ++step) {
            for (std::size_t r = 0; r < reasons; ++r) {
                auto const n = sum([=](auto const& shard) -> auto& { return shard.errors[side][step][r]; });
                if (n == 0) continue;
                out.value(n, {{"side", to_string(static_cast<Side>(side))},
                              {"step", to_string(static_cast<Step>(step))},
                              {"reason", reason_label(r)}});
            }
        }
    }
}

void Metrics::Inside::write_upstream(Exposition& out, Health const& health) const {
    out.counter("ocgate_upstream_connections_total", "Attempts to get a connection to the upstream for a request.")
        .value(sum([](auto const& shard) -> auto& { return shard.dialed; }), {{"result", "dialed"}})
        .value(sum([](auto const& shard) -> auto& { return shard.reused; }), {{"result", "reused"}})
        .value(sum([](auto const& shard) -> auto& { return shard.dial_failed; }), {{"result", "failed"}});
    auto const upstream = health.upstream();
    out.gauge("ocgate_upstream_up", "1 when the last health probe of the upstream succeeded.")
        .value(upstream.known && upstream.up ? 1.0 : 0.0);
    out.gauge("ocgate_upstream_probe_duration_seconds", "How long the last health probe took.")
        .value(static_cast<double>(probe_ns.load(std::memory_order_relaxed)) / 1e9);
    out.counter("ocgate_upstream_probes_total", "Health probes of the upstream.")
        .value(probes[1].load(std::memory_order_relaxed), {{"result", "up"}})
        .value(probes[0].load(std::memory_order_relaxed), {{"result", "down"}});
}

void Metrics::Inside::write_gateway(Exposition& out, Health const& health, Log const& log) const {
    out.gauge("ocgate_build_info", "1; the labels say what runs.")
        .value(1.0, {{"version", options.version}, {"compiler", "gcc " __VERSION__}, {"boost", BOOST_LIB_VERSION}});
    out.counter("ocgate_auth_requests_total", "Decisions about who may come in.");
    for (std::size_t i = 0; i < options.auth_results.size(); ++i) {
        out.value(auth[i].load(std::memory_order_relaxed), {{"result", options.auth_results[i]}});
    }
    out.counter("ocgate_config_reloads_total", "Reloads of the configuration.")
        .value(reloads[1].load(std::memory_order_relaxed), {{"result", "success"}})
        .value(reloads[0].load(std::memory_order_relaxed), {{"result", "failure"}});
    out.gauge("ocgate_config_last_reload_successful",
              "0 when the last reload failed; what was in force stays in force.")
        .value(reload_ok.load(std::memory_order_relaxed) ? 1.0 : 0.0);
    out.gauge("ocgate_config_last_reload_success_timestamp_seconds", "When the configuration in force was read.")
        .value(loaded_at.load(std::memory_order_relaxed));
    out.gauge("ocgate_draining", "1 while open requests are awaited before the process ends.")
        .value(health.phase() == Phase::draining ? 1.0 : 0.0);
    out.counter("ocgate_log_lines_dropped_total", "Log lines lost because their reader was too slow or gone.")
        .value(log.dropped());
}

void Metrics::Inside::write_process(Exposition& out) {
    auto const figures = read_process_figures();
    auto const show = [&](std::optional<double> const& value) {
        if (value) out.value(*value);
    };
    out.counter("process_cpu_seconds_total", "User and system time used.");
    show(figures.cpu_seconds);
    out.gauge("process_resident_memory_bytes", "Resident memory.");
    show(figures.resident_bytes);
    out.gauge("process_virtual_memory_bytes", "Virtual memory.");
    show(figures.virtual_bytes);
    out.gauge("process_open_fds", "Open file descriptors.");
    show(figures.open_descriptors);
    out.gauge("process_max_fds", "The limit of open file descriptors.");
    show(figures.max_descriptors);
    out.gauge("process_start_time_seconds", "When the process started, in Unix time.");
    show(figures.start_time_seconds);
    out.gauge("process_threads", "Threads of the process.");
    show(figures.threads);
}

Metrics::Metrics(MetricsOptions options) : inside_(std::make_unique<Inside>(std::move(options))) {}

Metrics::~Metrics() = default;

proxy::Recorder& Metrics::recorder(unsigned shard, Log& log) {
    auto& made = inside_->recorders.at(shard);
    if (!made) {
        made = std::make_unique<ShardRecorder>(*inside_->shards[shard], inside_->options.routes, inside_->clock, log);
    }
    return *made;
}

void Metrics::auth_decided(std::size_t result) noexcept {
    if (result < inside_->options.auth_results.size()) inside_->auth[result].fetch_add(1, std::memory_order_relaxed);
}

void Metrics::reloaded(bool ok) noexcept {
    inside_->reloads[ok ? 1 : 0].fetch_add(1, std::memory_order_relaxed);
    inside_->reload_ok.store(ok, std::memory_order_relaxed);
    auto const now = std::chrono::system_clock::now().time_since_epoch();
    if (ok) inside_->loaded_at.store(std::chrono::duration<double>(now).count(), std::memory_order_relaxed);
}

void Metrics::probed(bool up, std::chrono::steady_clock::duration took) noexcept {
    inside_->probes[up ? 1 : 0].fetch_add(1, std::memory_order_relaxed);
    inside_->probe_ns.store(std::chrono::nanoseconds(took).count(), std::memory_order_relaxed);
}

std::string Metrics::exposition(Health const& health, Log const& log,
                                std::function<void(Exposition&)> const& more) const {
    Exposition out;
    inside_->write_gateway(out, health, log);
    inside_->write_requests(out);
    inside_->write_connections(out);
    inside_->write_streams(out);
    inside_->write_errors(out);
    inside_->write_upstream(out, health);
    if (more) more(out);
    Inside::write_process(out);
    return out.text();
}

}  // namespace ocgate::ops
