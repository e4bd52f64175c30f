#include "ocgate/opencode/probe.hpp"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <nlohmann/json.hpp>

#include "holding.hpp"

namespace ocgate::opencode {
namespace {
using namespace std::chrono_literals;

constexpr rt::Duration shortest_pause = 1s;
constexpr std::size_t max_answer_bytes = 16 * 1024;  // a real one has about 300, head and all
constexpr std::size_t max_error_bytes = 256;
constexpr std::size_t max_version_bytes = 64;

/// What a version is made of (semver.org §2, §9, §10): it becomes a log field and a metric label.
std::string sane_version(std::string const& text) {
    std::string version;
    for (char const c : text) {
        bool const sane = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
                          c == '-' || c == '+' || c == '_';
        if (sane) version += c;
        if (version.size() == max_version_bytes) break;
    }
    return version;
}

std::string words_for(Failure const& failure) {
    auto const reason = reason_of(failure);
    if (failure.step == Step::dial && reason == Reason::refused) return "the dial was refused";
    // `internal` is what every error of the system without a word of ours becomes.
    auto const words = reason == Reason::internal ? failure.why.message() : std::string(to_string(reason));
    return std::string(to_string(failure.step)) + ": " + words;
}

std::string words_for(std::exception_ptr const& why) {
    try {
        std::rethrow_exception(why);
    } catch (std::exception const& e) {
        return "internal: " + std::string(e.what()).substr(0, max_error_bytes);
    } catch (...) {
        return "internal";
    }
}

void read_answer(rt::Fetched const& answer, ProbeResult& result) {
    if (answer.status == 401) {
        result.reason = "401: the upstream's credentials are wrong";
        return;
    }
    if (answer.status != 200) {
        result.reason = "answered " + std::to_string(answer.status);
        return;
    }
    auto const json = nlohmann::json::parse(answer.body, nullptr, false);
    if (!json.is_object()) {
        bool const page = answer.content_type.find("html") != std::string::npos;
        result.reason = page ? "answered with a web page: is this opencode?" : "the answer is not a JSON object";
        return;
    }
    if (auto const version = json.find("version"); version != json.end() && version->is_string()) {
        result.version = sane_version(version->get_ref<std::string const&>());
    }
    auto const healthy = json.find("healthy");
    result.up = healthy != json.end() && healthy->is_boolean() && healthy->get<bool>();
    if (!result.up) result.reason = "it does not say that it is healthy";
}

}  // namespace

/// Lives as long as the Probe or its task, whichever is later.
struct Probe::Inside : std::enable_shared_from_this<Inside> {
    Inside(rt::PeerResources const& r, ProbeSettings s, std::function<void(ProbeResult const&)> t)
        : resources(r),
          settings(std::move(s)),
          told(std::move(t)),
          alarm(
              r.deadlines, [](void* self) { static_cast<Inside*>(self)->wake(); }, this) {}

    void wake() {
        if (resting) {
            start();
        } else {
            look.notify();
        }
    }

    rt::Task<ProbeResult> ask() {
        rt::FetchRequest request{.target = "/global/health",
                                 .host = settings.host,
                                 .fields = "Accept: application/json\r\n",
                                 .body = {},
                                 .max_answer_bytes = max_answer_bytes};
        if (!settings.authorization.empty()) {
            request.fields += "Authorization: ";
            request.fields += settings.authorization.reveal();
            request.fields += "\r\n";
        }
        auto const began = resources.deadlines.now();
        Holding dialer(settings.dialer);
        asking = &dialer;  // taken back by `run`'s end when the fetch throws
        auto const answer = co_await rt::fetch(resources, dialer, std::move(request), began + settings.timeout);
        asking = nullptr;
        ProbeResult result;
        if (answer) {
            read_answer(*answer, result);
        } else {
            auto const& failure = answer.error();
            result.reason = words_for(failure);
            result.silent = failure.step != Step::dial && reason_of(failure) == Reason::timed_out;
        }
        result.took = resources.deadlines.now() - began;
        co_return result;
    }

    static rt::Task<void> run(std::shared_ptr<Inside> self) {
        rt::Duration patience = shortest_pause;
        while (!self->stopping) {
            auto const asked = self->generation;
            auto const result = co_await self->ask();
            if (self->stopping) break;
            if (asked == self->generation) self->told(result);  // may stop or configure
            if (self->stopping) break;
            if (asked != self->generation) {
                patience = shortest_pause;
                continue;
            }
            auto const interval = std::max(self->settings.interval, shortest_pause);
            auto const pause = result.up ? interval : std::min(patience, interval);
            patience = result.up ? shortest_pause : std::min(2 * patience, interval);
            self->look.forget();
            self->alarm.set(self->resources.deadlines.now() + pause);
            co_await self->look.wait();
            self->alarm.set(rt::never);
            if (asked != self->generation) patience = shortest_pause;
        }
    }

    /// Ends what is waited for, if it can be ended; `run` looks around then.
    void disturb() {
        if (asking) asking->give_up();
        if (look.waiting()) look.notify();
    }

    void start() {
        if (running) return;
        stop_resting();
        stopping = false;
        try {
            auto task = run(shared_from_this());
            running = true;
            rt::spawn(resources.executor, std::move(task),
                      [self = shared_from_this()](std::exception_ptr const& e) { self->ended(e); });
        } catch (...) {
            running = false;
            rest();
            throw;
        }
    }

    /// An exception is no end: it is told as a failure, and the probe starts over.
    void ended(std::exception_ptr const& why) {
        running = false;
        asking = nullptr;
        auto const all = std::exchange(stopped, {});
        for (auto const& call : all) call();
        if (!why || stopping || running) return;
        rest();  // first: whatever `told` does, there is a next time
        told(ProbeResult{.up = false, .version = {}, .reason = words_for(why), .took = {}});
    }

    void rest() {
        resting = true;
        alarm.set(resources.deadlines.now() + shortest_pause);
    }
    void stop_resting() {
        if (std::exchange(resting, false)) alarm.set(rt::never);
    }

    rt::PeerResources const resources;
    ProbeSettings settings;
    std::function<void(ProbeResult const&)> told;
    rt::Signal look;
    rt::Deadline alarm;
    Holding* asking = nullptr;
    std::uint64_t generation = 0;
    bool running = false;
    bool stopping = false;
    bool resting = false;                        ///< after an exception: nothing runs, the alarm starts it
    std::vector<std::function<void()>> stopped;  ///< one per call of `stop`
};

Probe::Probe(rt::PeerResources const& resources, ProbeSettings settings, std::function<void(ProbeResult const&)> told)
    : inside_(std::make_shared<Inside>(resources, std::move(settings), std::move(told))) {}

Probe::~Probe() {
    inside_->stopping = true;
    inside_->stop_resting();
    inside_->disturb();
}

void Probe::start() { inside_->start(); }

void Probe::configure(ProbeSettings settings) {
    inside_->settings = std::move(settings);
    ++inside_->generation;
    if (inside_->resting) {
        inside_->start();
    } else {
        inside_->disturb();
    }
}

void Probe::stop(std::function<void()> stopped) {
    if (!inside_->running) {
        inside_->stop_resting();
        if (stopped) stopped();
        return;
    }
    if (stopped) inside_->stopped.push_back(std::move(stopped));
    inside_->stopping = true;
    inside_->disturb();
}

}  // namespace ocgate::opencode
