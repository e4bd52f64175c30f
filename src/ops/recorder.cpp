#include "recorder.hpp"

#include <algorithm>
#include <boost/asio/error.hpp>

namespace ocgate::ops {
namespace {

constexpr std::chrono::seconds accept_line_every{1};
/// What nginx has made customary for a client that left before its answer.
constexpr unsigned client_left = 499;

double milliseconds(rt::Duration duration) noexcept {
    return static_cast<double>(std::chrono::duration_cast<std::chrono::microseconds>(duration).count()) / 1000.0;
}

/// `client request_head malformed`: the words of X-Ocgate-Error. Longest: 8 + 13 + 19 and two spaces.
class FailureWords {
public:
    explicit FailureWords(Failure const& failure) noexcept {
        append(to_string(failure.side));
        append(" ");
        append(to_string(failure.step));
        append(" ");
        append(to_string(reason_of(failure)));
    }
    [[nodiscard]] std::string_view text() const noexcept { return {text_.data(), size_}; }

private:
    void append(std::string_view word) noexcept {
        word = word.substr(0, text_.size() - size_);
        std::copy(word.begin(), word.end(), text_.begin() + static_cast<std::ptrdiff_t>(size_));
        size_ += word.size();
    }
    std::array<char, 64> text_;
    std::size_t size_ = 0;
};

template <std::size_t N>
class Fields {
public:
    template <class Value>
    void add(std::string_view name, Value value) noexcept {
        fields_[size_++] = {name, value};
    }
    void add_if_any(std::string_view name, std::string_view value) noexcept {
        if (!value.empty()) add(name, value);
    }
    [[nodiscard]] std::span<LogField const> span() const noexcept { return {fields_.data(), size_}; }

private:
    std::array<LogField, N> fields_{};
    std::size_t size_ = 0;
};

template <std::size_t N>
void add_time(Fields<N>& fields, std::string_view name, rt::Duration time) noexcept {
    if (time > rt::Duration::zero()) fields.add(name, milliseconds(time));
}

}  // namespace

std::string_view route_label(RouteTable const& routes, std::size_t route) noexcept {
    if (routes.names.empty()) return "other";
    return routes.names[route < routes.names.size() ? route : 0];
}

std::string_view reason_label(std::size_t reason) noexcept {
    return reason == 0 ? "none" : to_string(static_cast<Reason>(reason));
}

std::string_view kind_label(proxy::StreamKind kind) noexcept {
    return kind == proxy::StreamKind::websocket ? "websocket" : "event_stream";
}

std::uint16_t ShardRecorder::route_of(std::string_view method, std::string_view target) noexcept {
    return routes_.route_of ? routes_.route_of(method, target) : std::uint16_t{0};
}

void ShardRecorder::connection_opened(Side side) noexcept {
    auto& connections = counters_.connections[static_cast<std::size_t>(side)];
    connections.open.add(1);
    connections.total.add();
}

void ShardRecorder::connection_closed(Side side) noexcept {
    counters_.connections[static_cast<std::size_t>(side)].open.add(-1);
}

void ShardRecorder::request_started() noexcept { counters_.in_flight.add(1); }

void ShardRecorder::stream_opened(proxy::StreamKind kind) noexcept {
    counters_.streams[static_cast<std::size_t>(kind)].open.add(1);
}

void ShardRecorder::stream_closed(proxy::StreamKind kind, Reason reason, rt::Duration lasted) noexcept {
    auto& stream = counters_.streams[static_cast<std::size_t>(kind)];
    stream.open.add(-1);
    stream.closed[std::min(static_cast<std::size_t>(reason), reasons - 1)].add();
    stream.duration.observe(stream_times, lasted);
}

void ShardRecorder::count_error(Failure const& failure) noexcept {
    auto const reason = std::min(static_cast<std::size_t>(reason_of(failure)), reasons - 1);
    counters_.errors[static_cast<std::size_t>(failure.side)][static_cast<std::size_t>(failure.step)][reason].add();
}

void ShardRecorder::failed(Failure const& failure, std::string_view peer) noexcept {
    count_error(failure);
    write_failure_line(failure, peer, nullptr);
}

void ShardRecorder::refused(proxy::RefusedHead const& head) noexcept {
    count_error(head.failure);
    counters_.request_size.observe(content_sizes, std::uint64_t{0});
    counters_.response_size.observe(content_sizes, head.response_bytes);
    auto& place = counters_.refused_heads.methods[method_index(head.method)];
    if (auto* codes = ShardCounters::made(place)) codes->count(head.status);
    write_failure_line(head.failure, head.peer, &head);
}

void ShardRecorder::write_failure_line(Failure const& failure, std::string_view peer,
                                       proxy::RefusedHead const* told) noexcept {
    auto const level = failure.side == Side::client ? LogLevel::info : LogLevel::warn;
    std::uint64_t untold = 0;
    // Out of descriptors or over the limit, every attempt fails: a line for each would be a flood of its own. Where
    // each request has a line anyway, those that were given an id to ask about keep theirs.
    if (failure.step == Step::accept && !(told && log_.wants_access())) {
        auto const now = clock_.now();
        if (accept_told_ != rt::Instant::min() && now - accept_told_ < accept_line_every) {
            ++accept_untold_;
            return;
        }
        accept_told_ = now;
        untold = std::exchange(accept_untold_, 0);
    }
    if (!log_.wants(level)) return;
    Fields<7> fields;
    fields.add("side", to_string(failure.side));
    fields.add("step", to_string(failure.step));
    fields.add("reason", to_string(reason_of(failure)));
    fields.add_if_any("peer", peer);
    if (told) {
        fields.add("request_id", told->request_id);
        fields.add("status", std::uint64_t{told->status});
    }
    if (untold > 0) fields.add("suppressed", untold);
    log_.write(level, LogKind::app, "connection_failed", {}, fields.span());
}

void ShardRecorder::upstream_dialed(bool reused, bool ok) noexcept {
    auto& counter = !ok ? counters_.dial_failed : reused ? counters_.reused : counters_.dialed;
    counter.add();
}

void ShardRecorder::finished(proxy::ExchangeRecord const& record) noexcept {
    auto const status = record.status == 0 ? client_left : record.status;
    counters_.in_flight.add(-1);
    if (!record.stream) {
        counters_.request_size.observe(content_sizes, record.request_bytes);
        counters_.response_size.observe(content_sizes, record.response_bytes);
    }
    if (auto* route = counters_.route(record.route < counters_.route_count ? record.route : 0)) {
        if (auto* codes = ShardCounters::made(route->methods[method_index(record.method)])) codes->count(status);
        if (!record.stream) route->duration.observe(request_times, record.duration);
    }
    if (!record.stream && record.first_byte > rt::Duration::zero()) {
        counters_.first_byte.observe(request_times, record.first_byte);
    }
    if (record.failed) count_error(record.failure);
    write_access_line(record, status);
}

void ShardRecorder::write_access_line(proxy::ExchangeRecord const& record, unsigned status) noexcept {
    auto const level = record.failed && status >= 500 ? LogLevel::warn : LogLevel::info;
    if (!log_.wants_access() || !log_.wants(level)) return;
    bool const ordinary = status < 400 && !record.failed && !record.stream;
    if (ordinary && !log_.samples(record.request_id)) return counters_.sampled_out.add();
    Fields<19> fields;
    fields.add("request_id", record.request_id);
    fields.add("method", record.method);
    fields.add("path", record.path);
    fields.add("status", std::uint64_t{status});
    fields.add_if_any("user", record.user);
    fields.add("client", record.client_address);
    fields.add("route", route_label(routes_, record.route));
    fields.add("duration_ms", milliseconds(record.duration));
    add_time(fields, "admission_ms", record.admission);
    add_time(fields, "dial_ms", record.dial);
    add_time(fields, "first_byte_ms", record.first_byte);
    fields.add("request_bytes", record.request_bytes);
    fields.add("response_bytes", record.response_bytes);
    fields.add("upstream_reused", record.upstream_reused);
    if (record.stream) fields.add("stream", kind_label(record.kind));
    FailureWords const failure(record.failure);
    if (record.failed) fields.add("failure", failure.text());
    fields.add_if_any("user_agent", record.user_agent);
    fields.add_if_any("cf_ray", record.cf_ray);
    fields.add_if_any("traceparent", record.traceparent);
    log_.write(level, LogKind::access, "request", {}, fields.span());
}

}  // namespace ocgate::ops
