#include "status_page.hpp"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "durations.hpp"
#include "ocgate/app/version.hpp"
#include "page_text.hpp"
#include "status_text.hpp"

namespace ocgate::app {
namespace {
using nlohmann::json;
using proxy::First;
using proxy::ShardView;

/// With milliseconds.
double seconds_of(rt::Duration time) noexcept {
    return std::round(std::chrono::duration<double>(time).count() * 1000) / 1000;
}

struct Wanted {
    std::size_t most = StatusPage::most_exchanges;
    First first = First::oldest;
};

/// Nothing where the query is none of ours.
std::optional<Wanted> wanted_by(std::string_view target) {
    Wanted wanted;
    auto const mark = target.find('?');
    auto query = mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
    while (!query.empty()) {
        auto const part = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(part.size() + 1, query.size()));
        if (part == "first=newest") {
            wanted.first = First::newest;
        } else if (part.starts_with("most=")) {
            auto const most = parse_integer(part.substr(5));
            if (!most || *most > StatusPage::most_exchanges) return std::nullopt;
            wanted.most = *most;
        } else if (part != "first=oldest" && !part.empty()) {
            return std::nullopt;
        }
    }
    return wanted;
}

json exchange_json(proxy::ExchangeView const& one, std::size_t shard, std::string route) {
    return {{"request_id", one.request_id},
            {"shard", shard},
            {"stage", to_string(one.stage)},
            {"waits_for", one.awaited ? json(to_string(*one.awaited)) : json(nullptr)},
            {"method", one.method},
            {"route", std::move(route)},
            {"path", one.path},
            {"user", one.user},
            {"client", one.client_address},
            {"age_seconds", seconds_of(one.age)},
            {"request_bytes", one.request_bytes},
            {"response_bytes", one.response_bytes},
            {"stalled_seconds", one.stalled ? json(seconds_of(*one.stalled)) : json(nullptr)}};
}

}  // namespace

/// Shared by the page and the shards it has asked. Those hold it weakly and look at it on the page's thread only, so it
/// ends there, whoever is late.
struct StatusPage::Asking {
    Asking(rt::Deadlines& deadlines, std::size_t shards)
        : views(shards),
          left(shards),
          enough(
              deadlines, [](void* self) { static_cast<Asking*>(self)->give_up(); }, this) {}

    void give_up() {
        over = true;
        changed.notify();
    }

    std::vector<std::optional<ShardView>> views;
    std::size_t left;
    bool over = false;
    rt::Signal changed;
    rt::Deadline enough;
};

void StatusPage::stop() {
    for (auto const& one : std::exchange(under_way_, {})) {
        if (auto const asking = one.lock()) asking->give_up();
    }
}

rt::Task<std::vector<std::optional<ShardView>>> StatusPage::ask(std::size_t most, First first) {
    auto const asking = std::make_shared<Asking>(needs_.deadlines, needs_.shards);
    std::erase_if(under_way_, [](auto const& one) { return one.expired(); });
    under_way_.push_back(asking);
    for (std::size_t i = 0; i < needs_.shards; ++i) {
        auto const told = [executor = needs_.executor, weak = std::weak_ptr(asking), i](ShardView view) {
            boost::asio::post(executor, [weak, i, view = std::move(view)]() mutable {
                auto const still = weak.lock();
                if (!still || still->views[i]) return;
                still->views[i] = std::move(view);
                if (--still->left == 0) still->changed.notify();
            });
        };
        needs_.look(i, most, first, told);
    }
    asking->enough.set(needs_.deadlines.now() + patience);
    while (asking->left > 0 && !asking->over) co_await asking->changed.wait();
    asking->enough.set(rt::never);
    co_return std::move(asking->views);
}

rt::Task<proxy::PageAnswer> StatusPage::answer(proxy::PageRequest const& request) {
    auto const wanted = wanted_by(request.target);
    if (!wanted) {
        co_return proxy::page_error(400, "malformed", "There are ?most=N, at most 1000, and ?first=oldest or newest.",
                                    request.request_id);
    }
    auto const shards = co_await ask(wanted->most, wanted->first);
    auto const page = document(shards, wanted->most, wanted->first);
    auto const text = request.accept.find("text/plain");
    if (text != std::string::npos && text < request.accept.find("json")) {
        co_return proxy::PageAnswer{
            .status = 200, .content_type = "text/plain; charset=utf-8", .body = status_text(page)};
    }
    co_return proxy::PageAnswer{.status = 200, .body = page.dump(2, ' ', true, json::error_handler_t::replace) + "\n"};
}

json StatusPage::document(std::vector<std::optional<ShardView>> const& shards, std::size_t most, First first) const {
    using namespace std::chrono;
    auto const now = needs_.deadlines.now();
    auto const wall = needs_.wall();
    auto const ms_of = [](auto time) { return duration_cast<milliseconds>(time.time_since_epoch()).count(); };
    auto const upstream = needs_.health.upstream();
    auto const& tap = needs_.follower.tap();
    auto const counts = needs_.follower.model().counts();

    json page{{"version", version()},
              {"pid", ::getpid()},
              {"phase", to_string(needs_.health.phase())},
              {"time_ms", ms_of(wall)},
              {"started", utc_text(ms_of(needs_.started))},
              {"uptime_seconds", duration_cast<seconds>(wall - needs_.started).count()}};
    auto& told =
        page["upstream"] = {{"address", needs_.upstream()}, {"up", upstream.known ? json(upstream.up) : json(nullptr)}};
    if (!upstream.version.empty()) told["version"] = upstream.version;
    if (!upstream.reason.empty()) told["reason"] = upstream.reason;
    if (upstream.known) told["probe_seconds"] = seconds_of(upstream.took);
    page["events"] = {
        {"connected", tap.connected},
        {"heard_seconds_ago", tap.heard == rt::Instant::min() ? json(nullptr) : json(seconds_of(now - tap.heard))},
        {"connections", tap.connections},
        {"failures", tap.failures},
        {"silences", tap.silences},
        {"bytes", tap.bytes}};
    page["sessions"] = {{"idle", counts.idle}, {"busy", counts.busy}, {"retry", counts.retry}};
    auto const oldest = std::min(counts.oldest_permission.value_or(now), counts.oldest_question.value_or(now));
    page["pending"] = {{"permissions", counts.permissions},
                       {"questions", counts.questions},
                       {"oldest_seconds", seconds_of(now - oldest)}};
    auto& targets = page["targets"] = json::array();
    for (auto const& target : needs_.herald.targets()) {
        targets.push_back({{"name", target.name},
                           {"type", target.type},
                           {"breaker", to_string(target.circuit)},
                           {"disabled", target.disabled.empty() ? json(nullptr) : json(target.disabled)},
                           {"last_failure", target.last_failure.empty() ? json(nullptr) : json(target.last_failure)}});
    }
    auto const& kept = needs_.herald.kept();
    page["outbox"] = {{"durable", kept.durable}, {"wanted", kept.wanted}};
    auto const place = needs_.audit.place();
    page["audit"] = {{"place", place.kind == ops::AuditPlace::Kind::file  ? place.path
                               : place.kind == ops::AuditPlace::Kind::log ? "log"
                                                                          : "none"},
                     {"lines", needs_.audit.lines()},
                     {"dropped", needs_.audit.dropped()}};
    page["log"] = {{"dropped", needs_.log.dropped()}};

    auto& each = page["shards"] = json::array();
    auto& silent = page["silent_shards"] = json::array();
    std::array<std::size_t, proxy::stages> at{};
    std::size_t connections = 0, idle = 0, in_use = 0, pooled = 0, exchanges = 0;
    std::uint64_t requests = 0, request_bytes = 0, response_bytes = 0;
    std::vector<std::pair<proxy::ExchangeView const*, std::size_t>> listed;
    for (std::size_t i = 0; i < shards.size(); ++i) {
        if (!shards[i]) {
            silent.push_back(i);
            continue;
        }
        auto const& view = *shards[i];
        std::size_t here = 0;
        for (std::size_t stage = 0; stage < proxy::stages; ++stage) {
            at[stage] += view.at[stage];
            here += view.at[stage];
        }
        each.push_back({{"shard", i},
                        {"connections", view.connections},
                        {"idle", view.idle},
                        {"exchanges", here},
                        {"upstreams_in_use", view.upstreams_in_use},
                        {"upstreams_idle", view.upstreams_idle}});
        connections += view.connections;
        idle += view.idle;
        in_use += view.upstreams_in_use;
        pooled += view.upstreams_idle;
        exchanges += here;
        requests += view.requests;
        request_bytes += view.request_bytes;
        response_bytes += view.response_bytes;
        for (auto const& one : view.exchanges) listed.emplace_back(&one, i);
    }
    json stages = json::object();
    for (std::size_t stage = 0; stage < proxy::stages; ++stage)
        stages[std::string(to_string(static_cast<proxy::Stage>(stage)))] = at[stage];
    page["totals"] = {{"connections", connections},
                      {"idle", idle},
                      {"exchanges", exchanges},
                      {"stages", std::move(stages)},
                      {"upstreams_in_use", in_use},
                      {"upstreams_idle", pooled},
                      {"requests", requests},
                      {"request_bytes", request_bytes},
                      {"response_bytes", response_bytes}};
    std::stable_sort(listed.begin(), listed.end(), [first](auto const& a, auto const& b) {
        return first == First::oldest ? a.first->age > b.first->age : a.first->age < b.first->age;
    });
    if (listed.size() > most) listed.resize(most);
    auto& list = page["exchanges"] = json::array();
    for (auto const& [one, shard] : listed) list.push_back(exchange_json(*one, shard, needs_.route_name(one->route)));
    if (needs_.more) needs_.more(page);
    return page;
}

}  // namespace ocgate::app
