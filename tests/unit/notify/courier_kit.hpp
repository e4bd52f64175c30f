// A courier on a clock moved by hand, with targets and a network that do what the test says.
#pragma once

#include <gmock/gmock.h>

#include <list>
#include <map>

#include "ocgate/notify/courier.hpp"
#include "support/bench.hpp"

namespace ocgate::notify {

/// Says plainly what it was asked for, and takes an answer's status for what it means.
class PlainSink final : public Sink {
public:
    PlainSink(std::string name, std::string kind) : name_(std::move(name)), kind_(std::move(kind)) {}
    Capabilities can{};
    bool withdraws = true;

    [[nodiscard]] std::string_view type() const noexcept override { return kind_; }
    [[nodiscard]] Capabilities capabilities() const noexcept override { return can; }
    [[nodiscard]] HttpRequest publish(Message const& m, Delivery const& d) const override {
        return request("publish", m, d);
    }
    [[nodiscard]] HttpRequest plain(Message const& m, Delivery const& d) const override {
        return request("plain", m, d);
    }
    [[nodiscard]] std::optional<HttpRequest> resolve(Message const& m, Resolution const& r,
                                                     Delivery const& d) const override {
        if (!withdraws) return std::nullopt;
        return request("resolve-" + r.outcome, m, d);
    }
    [[nodiscard]] std::vector<HttpRequest> remind(Message const& m, Delivery const& d) const override {
        return {request("clear", m, d), request("publish", m, d)};
    }
    [[nodiscard]] Verdict judge(HttpRequest const&, HttpResponse const& response) override {
        Verdict verdict;
        verdict.why = "answered " + std::to_string(response.status);
        verdict.wait = std::chrono::milliseconds(0);
        for (auto const& [name, value] : response.fields) {
            if (name == "wait") verdict.wait = std::chrono::seconds(std::stoi(value));
            if (name == "pause") verdict.pause = value == "type" ? Verdict::Pause::type : Verdict::Pause::target;
        }
        using Kind = Verdict::Kind;
        switch (response.status) {
            case 200:
                verdict.kind = Kind::delivered;
                verdict.remote_id = response.body;
                break;
            case 400:
                verdict.kind = Kind::rejected;
                break;
            case 401:
                verdict.kind = Kind::disable;
                break;
            case 404:
                verdict.kind = Kind::gone;
                break;
            default:
                verdict.kind = Kind::retry;
        }
        return verdict;
    }

private:
    HttpRequest request(std::string const& what, Message const& m, Delivery const& d) const {
        HttpRequest made;
        made.method = "POST";
        made.url = name_;
        made.body = what + " " + m.title + (d.remote_id.empty() ? "" : " after " + d.remote_id);
        made.fields = {{"id", d.id}, {"sequence", d.sequence}};
        return made;
    }
    std::string name_, kind_;
};

inline HttpResponse answer(unsigned status, std::string body = {},
                           std::vector<std::pair<std::string, std::string>> fields = {}) {
    return {status, std::move(fields), std::move(body)};
}

struct Reply {
    HttpResult result;
    rt::Duration after{0};
};

inline Reply failing(HttpStep step, bool maybe_received, error_code why = Reason::cut_short) {
    return {HttpFailure{step, why, maybe_received, {}}};
}
/// Nobody answers: until the request's own time is over.
inline Reply silence() { return {answer(200), std::chrono::hours(1)}; }

class ScriptedHttp final : public HttpClient {
public:
    struct Asked {
        rt::Instant at;
        std::string target, body;
        std::map<std::string, std::string> fields;
    };
    explicit ScriptedHttp(rt::Deadlines& deadlines) : deadlines_(deadlines) {}

    std::map<std::string, std::function<Reply(HttpRequest const&)>> script;  ///< by target; without: 200
    std::vector<Asked> asked;
    std::map<std::string, int> under_way, most_under_way;

    rt::Task<HttpResult> send(HttpRequest request, rt::Instant until) override {
        auto const target = request.url;
        Asked one{deadlines_.now(), target, request.body, {request.fields.begin(), request.fields.end()}};
        asked.push_back(std::move(one));
        auto const found = script.find(target);
        auto reply = found == script.end() ? Reply{answer(200)} : found->second(request);
        auto& count = under_way[target];
        auto& most = most_under_way[target];
        most = std::max(most, ++count);
        if (reply.after > rt::Duration::zero() && !stopped_) {
            Wait wait(deadlines_);
            waits_.push_back(&wait);
            auto const back = deadlines_.now() + reply.after;
            wait.deadline.set(std::min(back, until));
            co_await wait.over.wait();
            waits_.remove(&wait);
            if (back > until) reply.result = HttpFailure{HttpStep::answer, Reason::timed_out, true, {}};
        }
        if (stopped_) reply.result = HttpFailure{HttpStep::answer, boost::asio::error::operation_aborted, true, {}};
        --count;
        co_return reply.result;
    }
    void stop() override {
        stopped_ = true;
        for (auto* const wait : std::list(waits_)) wait->over.notify();
    }

private:
    struct Wait {
        explicit Wait(rt::Deadlines& deadlines)
            : deadline(
                  deadlines, [](void* self) { static_cast<Wait*>(self)->over.notify(); }, this) {}
        rt::Signal over;
        rt::Deadline deadline;
    };
    rt::Deadlines& deadlines_;
    std::list<Wait*> waits_;
    bool stopped_ = false;
};

class CourierTest : public testing::Test {
protected:
    CourierTest() : store(std::make_unique<Store>(std::move(*Outbox::in_memory()))) {}
    ~CourierTest() override {
        if (courier) stop();
        courier.reset();
        EXPECT_TRUE(bench.nothing_left()) << "a task or deadline is left";
    }

    /// A target, before `begin`.
    PlainSink& add(std::string const& name, std::vector<std::string> fallback = {}, std::string kind = "plain") {
        auto sink = std::make_unique<PlainSink>(name, std::move(kind));
        sinks[name] = sink.get();
        CourierTarget target;
        target.name = name;
        target.sink = std::move(sink);
        target.http = http;
        target.fallback = std::move(fallback);
        target.mark = mark;
        targets.push_back(std::move(target));
        return *sinks[name];
    }
    void begin() {
        CourierNeeds needs{bench.io.get_executor(), bench.deadlines, *store, {}, {}, {}};
        needs.wall = [this] { return std::chrono::system_clock::time_point(wall()); };
        needs.random = [this] { return random; };
        needs.compose = [](Due const& due) -> std::optional<Letter> {
            if (due.payload == "broken") return std::nullopt;
            Letter letter;
            letter.message.title = due.incident.key + "/" + due.payload;
            letter.resolution.outcome = due.incident.outcome;
            return letter;
        };
        needs.told = [this](Told const& told) {
            said.push_back(std::string(to_string(told.what)) + " " + told.due.ticket.dedupe);
        };
        needs.write_line = [this](std::string const&, std::string const& line) { lines.push_back(line); };
        needs.disabled = [this](std::string const& target, std::string const& why) {
            said.push_back("disabled " + target + ": " + why);
        };
        needs.trouble = [this](OutboxError const&) { ++troubles; };
        needs.escaped = [](std::exception_ptr const& error) { std::rethrow_exception(error); };
        courier = std::make_unique<Courier>(std::move(needs), rules, std::move(targets));
        targets.clear();
        courier->start();
        bench.settle();
    }
    void stop(rt::Duration grace = {}) {
        auto const stopped = bench.start(courier->stop(bench.clock.now() + grace));
        bench.advance(grace + std::chrono::milliseconds(1));
        EXPECT_TRUE(*stopped);
    }

    [[nodiscard]] std::chrono::milliseconds wall() const {
        return std::chrono::hours(480'000) + wall_moved +
               std::chrono::duration_cast<std::chrono::milliseconds>(bench.clock.now().time_since_epoch());
    }
    [[nodiscard]] std::int64_t ms() const { return wall().count(); }

    template <class Job>
    auto in_outbox(Job job) {
        auto const result = bench.start(store->run(std::move(job)));
        EXPECT_TRUE(bench.wait_until([&] { return result->has_value(); }));
        EXPECT_TRUE((*result)->has_value());
        return std::move(***result);
    }
    /// A new incident, told to `to`; the dedupe of each is `key>target`.
    void raise(std::string const& key, std::vector<std::string> const& to, Weight weight = Weight::block) {
        auto job = [=, at = ms()](Outbox& outbox) {
            (void)outbox.raise({.key = key, .kind = "kind", .subject = "s", .weight = weight}, at);
            std::vector<NewDelivery> deliveries;
            for (auto const& target : to) {
                deliveries.push_back({.dedupe = key + ">" + target, .target = target, .payload = "new"});
            }
            return outbox.open(key, deliveries, at);
        };
        in_outbox(std::move(job));
        if (courier) courier->wake_all();
        bench.settle();
    }
    void further(std::string const& key, std::string const& target, Action action, std::string const& payload) {
        auto job = [=, at = ms()](Outbox& outbox) {
            std::vector<NewDelivery> const one{
                {.dedupe = key + ">" + target + ":" + payload, .target = target, .action = action, .payload = payload}};
            return outbox.enqueue(key, one, std::nullopt, at);
        };
        in_outbox(std::move(job));
        if (courier) courier->wake(target);
        bench.settle();
    }
    void resolve(std::string const& key, std::vector<std::string> const& able) {
        auto job = [=, at = ms()](Outbox& outbox) {
            Ending ending;
            ending.key = key;
            ending.outcome = "once";
            ending.able = able;
            return outbox.end(ending, at);
        };
        in_outbox(std::move(job));
        courier->wake_all();
        bench.settle();
    }
    /// The same with deliveries named as the center names them: `key/publish/target`.
    void publish(std::string const& key, std::vector<std::string> const& to) {
        auto job = [=, at = ms()](Outbox& outbox) {
            (void)outbox.raise({.key = key, .kind = "kind", .subject = "s"}, at);
            std::vector<NewDelivery> deliveries;
            for (auto const& target : to) {
                deliveries.push_back({.dedupe = key + "/publish/" + target, .target = target, .payload = "new"});
            }
            return outbox.open(key, deliveries, at);
        };
        in_outbox(std::move(job));
        courier->wake_all();
        bench.settle();
    }
    /// `state` of each delivery to `target`, by its dedupe.
    std::map<std::string, std::string> states(std::string const& target) {
        auto job = [](Outbox& outbox) { return outbox.list_deliveries(1000); };
        std::map<std::string, std::string> found;
        for (auto const& row : in_outbox(job)) {
            if (row.target == target) found[row.dedupe] = to_string(row.state);
        }
        return found;
    }
    std::string state(std::string const& dedupe) {
        auto job = [](Outbox& outbox) { return outbox.list_deliveries(1000); };
        for (auto const& row : in_outbox(job)) {
            if (row.dedupe == dedupe) return std::string(to_string(row.state));
        }
        return "none";
    }
    /// What `target` was asked, in order.
    std::vector<std::string> bodies(std::string const& target) {
        std::vector<std::string> found;
        for (auto const& one : http->asked) {
            if (one.target == target) found.push_back(one.body);
        }
        return found;
    }
    /// When, since the test began.
    std::vector<rt::Duration> times(std::string const& target) {
        std::vector<rt::Duration> found;
        for (auto const& one : http->asked) {
            if (one.target == target) found.push_back(one.at - began);
        }
        return found;
    }
    TargetStatus status(std::string const& name) {
        for (auto const& one : courier->status()) {
            if (one.name == name) return one;
        }
        ADD_FAILURE() << name;
        return {};
    }
    void answers(std::string const& target, HttpResponse const& response) {
        http->script[target] = [response](HttpRequest const&) { return Reply{response}; };
    }

    test::Bench bench;
    rt::Instant const began = bench.clock.now();
    std::unique_ptr<Store> store;
    std::shared_ptr<ScriptedHttp> http = std::make_shared<ScriptedHttp>(bench.deadlines);
    std::map<std::string, PlainSink*> sinks;
    std::vector<CourierTarget> targets;
    CourierRules rules;
    std::string mark = "mark";
    double random = 0.5;
    std::chrono::milliseconds wall_moved{0};
    std::vector<std::string> said, lines;
    int troubles = 0;
    std::unique_ptr<Courier> courier;
};

}  // namespace ocgate::notify
