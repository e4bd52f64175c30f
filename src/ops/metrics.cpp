// The counters of all shards, merged at scrape. prometheus-cpp's registry is not used: its counters are locked and
// shared, ours are neither.
#include "ocgate/ops/metrics.hpp"

#include <boost/version.hpp>
#include <mutex>

#include "ocgate/rt/clock.hpp"
#include "process.hpp"
#include "recorder.hpp"
#include "traffic_metrics.hpp"

namespace ocgate::ops {

struct Metrics::Inside {
    explicit Inside(MetricsOptions given)
        : options(std::move(given)),
          clock(options.clock ? *options.clock : system_clock),
          auth(std::make_unique<std::atomic<std::uint64_t>[]>(options.auth_results.size())) {
        auto const route_count = std::max<std::size_t>(options.routes.names.size(), 1);
        for (unsigned i = 0; i < options.shards; ++i) shards.push_back(std::make_unique<ShardCounters>(route_count));
        recorders.resize(options.shards);
    }

    void write_upstream(Exposition& out, Health const& health) const;
    void write_gateway(Exposition& out, Health const& health, Log const& log) const;
    static void write_process(Exposition& out);

    MetricsOptions const options;
    rt::SystemClock const system_clock;
    rt::Clock const& clock;
    Shards shards;
    std::vector<std::unique_ptr<ShardRecorder>> recorders;
    std::mutex series_mutex;
    RequestSeries request_series;
    // Shared by threads, off the hot path or cheap beside a login.
    std::unique_ptr<std::atomic<std::uint64_t>[]> auth;
    std::array<std::atomic<std::uint64_t>, 2> reloads{};
    std::array<Counter, 2> probes{};
    Times probe_duration;
    std::atomic<bool> reload_ok{true};
    /// Unix time of what is in force; starting counts.
    std::atomic<double> loaded_at{
        std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count()};
};

void Metrics::Inside::write_upstream(Exposition& out, Health const& health) const {
    auto const upstream = health.upstream();
    out.gauge("ocgate_upstream_up", "1 when the last health probe of the upstream succeeded.")
        .value(upstream.known && upstream.up ? 1.0 : 0.0);
    out.histogram("ocgate_upstream_probe_duration_seconds", "Seconds that health probes of the upstream took.");
    Merged<request_times.bounds.size()> took;
    took.add(probe_duration);
    took.write(out, request_times);
    out.counter("ocgate_upstream_probes_total", "Health probes of the upstream since the gateway started.")
        .value(probes[1].value(), {{"result", "up"}})
        .value(probes[0].value(), {{"result", "down"}});
}

void Metrics::Inside::write_gateway(Exposition& out, Health const& health, Log const& log) const {
    out.gauge("ocgate_build_info", "1; the labels say what runs.")
        .value(1.0, {{"version", options.version}, {"compiler", "gcc " __VERSION__}, {"boost", BOOST_LIB_VERSION}});
    out.counter("ocgate_auth_requests_total", "Decisions about who may come in, since the gateway started.");
    for (std::size_t i = 0; i < options.auth_results.size(); ++i) {
        out.value(auth[i].load(std::memory_order_relaxed), {{"result", options.auth_results[i]}});
    }
    if (options.throttled) {
        out.gauge("ocgate_auth_throttled",
                  "Addresses, and users at an address, that are not judged now after too many failed logins; at most "
                  "8,192 are looked at.")
            .value(std::uint64_t{options.throttled()});
    }
    out.counter("ocgate_config_reloads_total", "Reloads of the configuration since the gateway started.")
        .value(reloads[1].load(std::memory_order_relaxed), {{"result", "success"}})
        .value(reloads[0].load(std::memory_order_relaxed), {{"result", "failure"}});
    out.gauge("ocgate_config_last_reload_successful",
              "0 when the last reload failed; what was in force stays in force.")
        .value(reload_ok.load(std::memory_order_relaxed) ? 1.0 : 0.0);
    out.gauge("ocgate_config_last_reload_success_timestamp_seconds",
              "When the configuration in force was read, in Unix time (seconds).")
        .value(loaded_at.load(std::memory_order_relaxed));
    out.gauge("ocgate_draining", "1 while open requests are awaited before the process ends.")
        .value(health.phase() == Phase::draining ? 1.0 : 0.0);
    out.counter("ocgate_log_lines_dropped_total",
                "Log lines lost since the gateway started because their reader was too slow or gone.")
        .value(log.dropped());
    std::uint64_t sampled_out = 0;
    for (auto const& shard : shards) sampled_out += shard->sampled_out.value();
    out.counter("ocgate_log_lines_sampled_out_total",
                "Lines of ordinary requests left out since the gateway started because log_sample says so.")
        .value(sampled_out);
}

void Metrics::Inside::write_process(Exposition& out) {
    auto const figures = read_process_figures();
    auto const show = [&](std::optional<double> const& value) {
        if (value) out.value(*value);
    };
    out.counter("process_cpu_seconds_total", "Seconds of user and system time used.");
    show(figures.cpu_seconds);
    out.gauge("process_resident_memory_bytes", "Bytes of resident memory.");
    show(figures.resident_bytes);
    out.gauge("process_virtual_memory_bytes", "Bytes of virtual memory.");
    show(figures.virtual_bytes);
    out.gauge("process_open_fds", "Open file descriptors.");
    show(figures.open_descriptors);
    out.gauge("process_max_fds", "The limit of open file descriptors.");
    show(figures.max_descriptors);
    out.gauge("process_start_time_seconds", "When the process started, in Unix time (seconds).");
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
    inside_->probes[up ? 1 : 0].add();
    inside_->probe_duration.observe(request_times, took);
}

std::string Metrics::exposition(Health const& health, Log const& log,
                                std::function<void(Exposition&)> const& more) const {
    Exposition out;
    inside_->write_gateway(out, health, log);
    {
        std::lock_guard const lock(inside_->series_mutex);
        write_traffic(out, inside_->shards, inside_->options.routes, inside_->request_series);
    }
    inside_->write_upstream(out, health);
    if (more) more(out);
    Inside::write_process(out);
    return out.text();
}

}  // namespace ocgate::ops
