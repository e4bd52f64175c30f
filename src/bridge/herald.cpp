#include "ocgate/bridge/herald.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "herald_inside.hpp"
#include "link.hpp"

namespace ocgate::bridge {
namespace {
using nlohmann::json;

std::string directory_of(notify::Raised const& raised) {
    auto const facts = json::parse(raised.facts, nullptr, false);
    if (!facts.is_object()) return {};
    auto const found = facts.find("directory");
    return found != facts.end() && found->is_string() ? found->get<std::string>() : std::string();
}

void add(notify::CenterCounts& sum, notify::CenterCounts const& more) {
    sum.raised += more.raised;
    sum.known += more.known;
    sum.opened += more.opened;
    sum.joined += more.joined;
    sum.never_told += more.never_told;
    sum.resolved += more.resolved;
    sum.expired += more.expired;
    sum.reminders += more.reminders;
    sum.escalations += more.escalations;
    sum.refused += more.refused;
    sum.store_trouble += more.store_trouble;
    for (auto const& [reason, count] : more.suppressed) sum.suppressed[reason] += count;
}

void add(notify::CourierCounts& sum, notify::CourierCounts const& more) {
    for (std::size_t i = 0; i < sum.sent.size(); ++i) sum.sent[i] += more.sent[i];
    for (std::size_t i = 0; i < sum.failed.size(); ++i) sum.failed[i] += more.failed[i];
    sum.requests += more.requests;
    sum.retried += more.retried;
    sum.rejected += more.rejected;
    sum.dead += more.dead;
    sum.ambiguous += more.ambiguous;
    sum.unable += more.unable;
    sum.ended += more.ended;
    sum.diverted += more.diverted;
    sum.opened += more.opened;
    sum.disabled += more.disabled;
    sum.store_trouble += more.store_trouble;
}

}  // namespace

Herald::Herald(HeraldNeeds needs, HeraldSettings settings)
    : needs_(std::move(needs)),
      settings_(std::move(settings)),
      router_(settings_.rules, needs_.wall),
      teller_(teller_needs(), settings_.teller),
      keeper_({.executor = needs_.executor,
               .deadlines = needs_.deadlines,
               .store = needs_.store,
               .wall = needs_.wall,
               .options = needs_.disk,
               .changed = [this](notify::KeeperState const& state) { kept_elsewhere(state); },
               .moved = needs_.listener.moved_aside,
               .escaped = needs_.listener.escaped}),
      tasks_(needs_.executor, needs_.listener.escaped),
      sample_alarm_(
          needs_.deadlines, [](void* self) { static_cast<Herald*>(self)->time_to_sample(); }, this),
      ask_alarm_(
          needs_.deadlines, [](void* self) { static_cast<Herald*>(self)->ask_for_left(); }, this),
      stop_alarm_(
          needs_.deadlines, [](void* self) { static_cast<Herald*>(self)->break_off(); }, this),
      exchange_alarm_(
          needs_.deadlines, [](void* self) { static_cast<Herald*>(self)->exchange_pause_.notify(); }, this) {
    build();
}

Herald::~Herald() = default;

TellerNeeds Herald::teller_needs() {
    return {.raise = [this](notify::Raised raised) { this->raise(std::move(raised)); },
            .resolve =
                [this](std::string_view key, std::string_view outcome, std::string_view by) {
                    then([this, key = std::string(key), outcome = std::string(outcome), by = std::string(by)] {
                        center_->resolve(key, outcome, by);
                    });
                },
            .resolve_where =
                [this](std::function<bool(notify::Raised const&)> matches, std::string_view outcome) {
                    then([this, matches = std::move(matches), outcome = std::string(outcome)] {
                        center_->resolve_where(matches, outcome);
                    });
                },
            .who = [this](std::string_view request) { return who_answered(request); },
            .wall = needs_.wall};
}

// ---- the parts that are exchanged when targets change

void Herald::build() {
    auto const& listener = needs_.listener;
    auto const trouble = [this](notify::OutboxError const& error) { in_trouble(error); };
    auto targets = settings_.targets();
    std::vector<std::shared_ptr<notify::HttpClient>> clients;
    for (auto const& target : targets) {
        if (target.http) clients.push_back(target.http);
    }
    auto courier = std::make_unique<notify::Courier>(
        notify::CourierNeeds{.executor = needs_.executor,
                             .deadlines = needs_.deadlines,
                             .store = needs_.store,
                             .wall = needs_.wall,
                             .random = needs_.random,
                             .compose = &notify::Center::compose,
                             .write_line =
                                 [this](std::string const& target, std::string const& line) {
                                     if (needs_.listener.line) needs_.listener.line(target, line);
                                 },
                             .told = [this](notify::Told const& what) { told(what); },
                             .disabled =
                                 [this](std::string const& target, std::string const& why) {
                                     for (auto const& [key, test] : std::map(tests_)) test->set(target, "failed", why);
                                     if (needs_.listener.disabled) needs_.listener.disabled(target, why);
                                 },
                             .trouble = trouble,
                             .escaped = listener.escaped},
        notify::CourierRules{}, std::move(targets));
    auto center = std::make_unique<notify::Center>(
        notify::CenterNeeds{.executor = needs_.executor,
                            .deadlines = needs_.deadlines,
                            .store = needs_.store,
                            .courier = *courier,
                            .wall = needs_.wall,
                            .route = [this](notify::Raised const& raised) { return route(raised); },
                            .quiet = [this] { return router_.quiet(); },
                            .taken_up = [this](notify::Raised const& raised) { taken_up(raised); },
                            .trouble = trouble,
                            .escaped = listener.escaped,
                            .accepted = listener.accepted,
                            .never_told = [this](notify::Raised const& raised) { teller_.never_told(raised); },
                            .written =
                                [this](notify::Change const& change) {
                                    for (auto const& target : change.targets) ++enqueued_[target];
                                    for (auto const& dropped : change.dropped) {
                                        if (dropped.reason == "limit") ++no_room_[dropped.target];
                                    }
                                }});
    if (center_) {
        auto earlier = earlier_;
        auto earlier_targets = earlier_targets_;
        add(earlier, center_->counts());
        for (auto const& target : courier_->status()) add(earlier_targets[target.name], target.counts);
        earlier_ = std::move(earlier);
        earlier_targets_ = std::move(earlier_targets);
    }
    // Nothing fails any more. A center goes before its courier.
    center_ = std::move(center);
    courier_ = std::move(courier);
    clients_ = std::move(clients);
}

void Herald::in_trouble(notify::OutboxError const& error) {
    keeper_.trouble(error);
    if (needs_.listener.trouble) needs_.listener.trouble(error);
}

void Herald::start() { tasks_.spawn(begin()); }

rt::Task<void> Herald::begin() {
    co_await keeper_.start();
    co_await recall_mutes();
    co_await forget_targets();
    if (stopping_) co_return;
    started_ = true;
    courier_->start();
    center_->start();
    time_to_sample();
    if (exchange_again_) tasks_.spawn(exchange());
}

/// What waits for a target that is configured no more will never be asked for again.
rt::Task<void> Herald::forget_targets() {
    auto ask = [](notify::Outbox& outbox) { return outbox.counts(); };
    auto const counts = co_await needs_.store.run(std::move(ask));
    if (!counts) co_return;
    for (auto const& one : *counts) {
        if (has_target(one.target) || one.queued + one.leased == 0) continue;
        auto abandon = [target = one.target, at = now_ms()](notify::Outbox& outbox) {
            return outbox.abandon(target, "not configured", at);
        };
        auto const dropped = co_await needs_.store.run(std::move(abandon));
        if (dropped) earlier_targets_[one.target].ended += dropped->size();
    }
}

void Herald::configure(HeraldSettings settings) {
    bool const same = settings.targets_mark == settings_.targets_mark;
    exchange_again_ |= !same;  // before anything that may fail: who asks once more brings the same
    settings_ = std::move(settings);
    router_.adopt(settings_.rules);
    teller_.adopt(settings_.teller);
    if (stopping_) return;
    if (exchange_again_ && exchanging_ && exchange_pause_.waiting()) exchange_pause_.notify();
    if (exchange_again_ && started_ && !exchanging_) tasks_.spawn(exchange());
    if (same) then([this] { center_->route_again(); });
}

rt::Task<void> Herald::exchange() {
    exchanging_ = true;
    bool ended = false;
    while (std::exchange(exchange_again_, false) && !stopping_) {
        bool failed = false;
        try {
            co_await exchange_once(ended);
        } catch (...) {
            failed = exchange_again_ = true;
            if (needs_.listener.escaped) needs_.listener.escaped(std::current_exception());
        }
        if (!failed || stopping_) continue;
        exchange_alarm_.set(needs_.deadlines.now() + exchange_retry);
        co_await exchange_pause_.wait();
        exchange_alarm_.set(rt::never);
    }
    exchanging_ = false;
    for (auto const& step : std::exchange(waiting_, {})) step();
}

/// `ended`: those that are to go have stopped, and new ones could not be made yet.
rt::Task<void> Herald::exchange_once(bool& ended) {
    if (!ended) {
        co_await center_->stop();
        co_await courier_->stop(std::min(stop_by_, needs_.deadlines.now() + exchange_patience));
        ended = true;
    }
    build();
    ended = false;
    co_await recall_mutes();
    co_await forget_targets();
    if (stopping_) co_return;
    courier_->start();
    center_->start();
}

void Herald::then(std::function<void()> step) {
    if (stopping_) return;
    if (!exchanging_) return step();
    if (waiting_.size() >= max_waiting) {
        waiting_.pop_front();
        ++earlier_.refused;
    }
    waiting_.push_back(std::move(step));
}

void Herald::kept_elsewhere(notify::KeeperState const& state) {
    if (needs_.listener.kept) needs_.listener.kept(state);
    if (!state.durable || !started_ || stopping_) return;
    // What an earlier run left may be in it: incidents, mutes, targets that are disabled. As with other targets.
    exchange_again_ = true;
    if (!exchanging_) tasks_.spawn(exchange());
}

rt::Task<void> Herald::stop(rt::Instant until) {
    stopping_ = true;
    stop_by_ = until;
    sample_alarm_.set(rt::never);
    ask_alarm_.set(rt::never);
    stop_alarm_.set(until);  // an exchange under way would wait for longer
    for (auto const& [key, test] : std::map(tests_)) test->changed.notify();
    if (exchange_pause_.waiting()) exchange_pause_.notify();
    co_await tasks_.join();
    co_await center_->stop(until);
    co_await courier_->stop(until);
    co_await keeper_.stop();
    stop_alarm_.set(rt::never);
}

/// The requests under way; who waits for them goes on.
void Herald::break_off() {
    for (auto const& client : std::vector(clients_)) client->stop();
}

// ---- what is heard

void Herald::happened(opencode::Happening const& happening) { teller_.happened(happening, needs_.deadlines.now()); }

void Herald::upstream(bool up, std::string const& why) { teller_.upstream(up, why, needs_.deadlines.now()); }

void Herald::acted(opencode::Act const& act, std::string_view user) {
    if (!act.request.empty() && !user.empty()) {
        if (answers_.size() >= max_answers) answers_.pop_front();
        answers_.emplace_back(act.request, user);
    }
    if (auto const root = needs_.root_of(act); !root.empty()) router_.seen(root, needs_.deadlines.now());
}

std::string Herald::who_answered(std::string_view request) const {
    auto const found =
        std::find_if(answers_.rbegin(), answers_.rend(), [&](auto const& answer) { return answer.first == request; });
    return found == answers_.rend() ? std::string() : found->second;
}

void Herald::raise(notify::Raised raised) {
    if (!settings_.public_url.empty()) raised.facts = with_link(raised.facts, settings_.public_url);
    then([this, raised = std::move(raised)] { center_->raise(raised); });
}

/// Left by an earlier run: whether it still waits only opencode can say.
void Herald::taken_up(notify::Raised const& raised) {
    teller_.knows(raised, needs_.deadlines.now());
    bool const waits = raised.kind == "permission" || raised.kind == "question";
    if (waits && !Teller::stands_in_a_list(raised)) return;  // it ends by itself, or expires
    if (!waits && raised.kind != "retry") return;
    auto directory = directory_of(raised);
    if (directory.empty()) return;
    if (waits) {
        left_.insert_or_assign(raised.key, Left{directory, Teller::request_of(raised)});
        if (ask_alarm_.when() == rt::never) ask_alarm_.set(needs_.deadlines.now() + asking_again);
    }
    needs_.look_at(directory);
}

/// It may not have answered, or too many directories were asked for at once.
void Herald::ask_for_left() {
    std::erase_if(left_, [this](auto const& one) { return !exchanging_ && !center_->active(one.first); });
    std::set<std::string> places;
    for (auto const& [key, left] : left_) places.insert(left.directory);
    for (auto const& directory : places) needs_.look_at(directory);
    if (!left_.empty()) ask_alarm_.set(needs_.deadlines.now() + asking_again);
}

void Herald::looked(std::string_view directory) {
    teller_.looked(directory, needs_.retries);
    for (auto at = left_.begin(); at != left_.end();) {
        auto const& [key, left] = *at;
        if (left.directory != directory) {
            ++at;
            continue;
        }
        if (!needs_.pending(left.request)) teller_.waits_no_more(key);
        at = left_.erase(at);
    }
}

notify::Handling Herald::route(notify::Raised const& raised) {
    if (raised.kind != "test") return router_.route(raised, needs_.deadlines.now());
    notify::Handling handling;
    handling.expires = std::chrono::hours(1);
    handling.privacy = notify::Privacy::full;
    if (auto const test = tests_.find(raised.key); test != tests_.end()) {
        for (auto const& one : test->second->results) handling.targets.push_back(one.target);
    }
    return handling;
}

void Herald::told(notify::Told const& what) {
    using What = notify::Told::What;
    if (auto const found = tests_.find(what.due.incident.key); found != tests_.end()) {
        auto const test = found->second;  // whoever waits for it may go on inside these calls
        switch (what.what) {
            case What::sent:
                test->set(what.target, "sent", {});
                break;
            case What::dead:
            case What::dropped:
                test->set(what.target, "failed", what.why);
                break;
            default:
                test->note(what.target, what.why);
        }
    }
    if (needs_.listener.told) needs_.listener.told(what);
}

// ---- figures

std::int64_t Herald::now_ms() const {
    using namespace std::chrono;
    return duration_cast<milliseconds>(needs_.wall().time_since_epoch()).count();
}

std::vector<notify::TargetStatus> Herald::targets() const {
    auto all = courier_->status();
    for (auto& one : all) {
        if (auto const before = earlier_targets_.find(one.name); before != earlier_targets_.end())
            add(one.counts, before->second);
    }
    return all;
}

notify::CenterCounts Herald::counts() const {
    auto sum = earlier_;
    add(sum, center_->counts());
    return sum;
}

notify::KeeperState const& Herald::kept() const noexcept { return keeper_.state(); }

bool Herald::has_target(std::string_view name) const {
    auto const all = courier_->status();
    return std::any_of(all.begin(), all.end(), [&](auto const& one) { return one.name == name; });
}

void Herald::time_to_sample() {
    if (stopping_) return;
    tasks_.spawn(sample());
}

rt::Task<void> Herald::sample() {
    auto ask = [](notify::Outbox& outbox) { return outbox.counts(); };
    auto counts = co_await needs_.store.run(std::move(ask));
    if (counts) sampled_ = std::move(*counts);
    if (!stopping_) sample_alarm_.set(needs_.deadlines.now() + sampling);
}

}  // namespace ocgate::bridge
