#include "ocgate/opencode/tap.hpp"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <cerrno>

#include "ocgate/wire/chunked.hpp"
#include "ocgate/wire/head.hpp"

namespace ocgate::opencode {
namespace error = boost::asio::error;

namespace {

constexpr rt::Duration lasting = std::chrono::seconds(1);

/// Of a failed dial; the file of a Unix socket goes with the process that made it, or before the next one is there.
bool says_nobody_listens(error_code why) noexcept {
    return why == error::connection_refused || why == error_code(ENOENT, boost::system::system_category());
}

/// A closed word where it says what happened, and the system's where it does not: not all that keeps a dial from
/// succeeding is a refusal.
std::string words_for(Step step, error_code why) {
    auto const reason = reason_of(Failure{Side::upstream, step, why});
    bool const is_vague = reason == Reason::internal || (reason == Reason::refused && why != error::connection_refused);
    auto const words = is_vague ? why.message() : std::string(to_string(reason));
    return std::string(to_string(step)) + ": " + words;
}

}  // namespace

/// Lives as long as the Tap or its task, whichever is later.
struct Tap::Inside : std::enable_shared_from_this<Inside> {
    Inside(rt::PeerResources const& r, TapSettings s, TapListener l, std::function<double()> chance)
        : resources(r),
          settings(std::move(s)),
          listener(std::move(l)),
          random(std::move(chance)),
          pause(
              r.deadlines, [](void* self) { static_cast<Inside*>(self)->pause_over(); }, this),
          cutter([this](EventCutter::Cut const& cut) { tell(cut); }) {}

    // ---- one connection, top to bottom. What it came to, in words.

    rt::Task<std::string> subscribe() {
        auto const dialer = settings.dialer;
        auto const until = resources.deadlines.now() + settings.first_event;
        rt::DialBreaker breaker;
        dialing = &breaker;
        auto dialed = co_await dialer->dial(resources, until, breaker);
        dialing = nullptr;
        nobody_listens = !dialed && says_nobody_listens(dialed.error());
        if (!dialed) co_return words_for(Step::dial, dialed.error());
        peer = std::move(*dialed);
        if (interrupted()) co_return std::string();

        auto const head = request_head();
        rt::Gather bytes{head};
        auto why = co_await peer->write(bytes, rt::Duration::max(), resources.deadlines.now() + settings.first_event);
        if (why) co_return words_for(Step::request_head, why);

        peer->read_by(resources.deadlines.now() + settings.first_event);
        std::size_t seen = 0;
        wire::ResponseHead answer;
        for (;;) {
            auto const parsed = wire::parse_response_head(peer->text(), {}, seen, "GET", answer);
            if (!parsed) co_return words_for(Step::response_head, parsed.error());
            if (*parsed == wire::Progress::complete && answer.status >= 200) break;
            if (*parsed == wire::Progress::complete) {
                peer->consume(answer.bytes);  // an interim answer (RFC 9110 §15.2)
                seen = 0;
                continue;
            }
            why = co_await peer->fill();
            if (why) co_return words_for(Step::response_head, why);
        }
        if (answer.status == 401) co_return "401: the upstream's credentials are wrong";
        if (answer.status != 200) co_return "answered " + std::to_string(answer.status);
        if (!answer.event_stream) co_return "answered with something that is no event stream: is this opencode?";
        bool const chunked = answer.body.kind == wire::Framing::Kind::chunked;
        peer->consume(answer.bytes);

        wire::ChunkedDecoder decoder;
        cutter.reset();
        for (;;) {
            auto content = peer->text();
            auto consumed = content.size();
            bool complete = false;
            if (chunked) {
                auto const decoded = decoder.decode(peer->buffered());
                if (!decoded) co_return words_for(Step::event_stream, decoded.error());
                content = decoded->content;
                consumed = decoded->consumed;
                complete = decoded->complete;
            }
            if (!content.empty()) hear(content);
            if (interrupted()) co_return std::string();
            peer->consume(consumed);
            if (complete) co_return "the stream ended";
            // The first event has its own time, which began with the request.
            if (state.connected) peer->read_by(resources.deadlines.now() + settings.silence);
            why = co_await peer->fill();
            if (why == Reason::timed_out) {
                ++state.silences;
                co_return state.connected ? "nothing was heard, not even a heartbeat" : "no event came";
            }
            if (why == error::eof && !chunked) co_return "the stream ended";
            if (why == error::eof) why = Reason::cut_short;
            if (why) co_return words_for(Step::event_stream, why);
        }
    }

    std::string request_head() const {
        std::string head = "GET /global/event HTTP/1.1\r\nHost: " + settings.host +
                           "\r\nAccept: text/event-stream\r\nCache-Control: no-store\r\nUser-Agent: ocgate-tap\r\n";
        if (!settings.authorization.empty()) {
            head += "Authorization: ";
            head += settings.authorization.reveal();
            head += "\r\n";
        }
        return head + "\r\n";
    }

    void hear(std::string_view content) {
        state.heard = resources.deadlines.now();
        state.bytes += content.size();
        cutter.feed(content);
    }

    void tell(EventCutter::Cut const& cut) {
        if (interrupted()) return;
        if (!state.connected) {
            state.connected = true;
            since = resources.deadlines.now();
            ++state.connections;
            if (listener.connected) listener.connected();
        }
        if (listener.event && !interrupted()) listener.event(cut);
    }

    // ---- again and again

    static rt::Task<void> run(std::shared_ptr<Inside> self) {
        while (!self->stopping) {
            self->renewed = false;
            auto const why = co_await self->subscribe();
            self->reward();
            self->let_go();
            if (self->stopping) break;
            if (self->renewed) continue;
            ++self->state.failures;
            if (self->listener.lost) self->listener.lost(why, self->nobody_listens);
            if (self->stopping || self->renewed) continue;
            auto const wait = self->next_wait();
            self->look.forget();
            self->pause.set(self->resources.deadlines.now() + wait);
            co_await self->look.wait();
            self->pause.set(rt::never);
        }
    }

    /// What lasted begins anew with short waits. Who takes us in and throws us out at once does not: after each time
    /// everything that waits is asked for.
    void reward() noexcept {
        if (state.connected && resources.deadlines.now() - since >= lasting) retry = settings.first_retry;
    }

    /// Doubling, and never all at once with others who lost the same server.
    rt::Duration next_wait() {
        auto const most = retry;
        retry = std::min(2 * retry, settings.last_retry);
        auto const spread = std::chrono::duration_cast<rt::Duration>(most / 2 * std::clamp(random(), 0.0, 1.0));
        return most - spread;
    }

    void let_go() {
        state.connected = false;
        dialing = nullptr;
        if (peer) peer->close();
        peer = nullptr;
    }

    [[nodiscard]] bool interrupted() const noexcept { return stopping || renewed; }

    /// Ends what is waited for; the task looks around then.
    void disturb() {
        if (dialing) dialing->trip();
        auto const ours = peer;  // the task ends inside `interrupt`, and lets go of it
        if (ours) ours->interrupt(error::operation_aborted);
        if (look.waiting()) look.notify();
    }

    void start() {
        if (running) return;
        stopping = false;
        retry = settings.first_retry;
        auto task = run(shared_from_this());
        running = true;
        rt::spawn(resources.executor, std::move(task),
                  [self = shared_from_this()](std::exception_ptr const& why) { self->ended(why); });
    }

    /// An exception is no end: it is told as a failure, and the next attempt comes after the longest wait.
    void ended(std::exception_ptr const& why) {
        running = false;
        let_go();
        for (auto const& call : std::exchange(stopped, {})) call();
        if (!why || stopping || running) return;
        ++state.failures;
        pause.set(resources.deadlines.now() +
                  settings.last_retry);  // first: whatever `lost` does, there is a next time
        if (listener.lost) listener.lost("internal", false);
    }

    void pause_over() {
        if (running) {
            look.notify();
        } else if (!stopping) {
            start();
        }
    }

    rt::PeerResources const resources;
    TapSettings settings;
    TapListener listener;
    std::function<double()> random;
    rt::Signal look;
    rt::Deadline pause;
    EventCutter cutter;
    TapState state;
    rt::PeerPtr peer;
    rt::DialBreaker* dialing = nullptr;
    rt::Duration retry{};
    rt::Instant since{};  ///< with `state.connected`
    bool running = false;
    bool stopping = false;
    bool renewed = false;                        ///< other settings: the connection under way is of no use
    bool nobody_listens = false;                 ///< the last dial said so
    std::vector<std::function<void()>> stopped;  ///< one per call of `stop`
};

Tap::Tap(rt::PeerResources const& resources, TapSettings settings, TapListener listener, std::function<double()> random)
    : inside_(std::make_shared<Inside>(resources, std::move(settings), std::move(listener), std::move(random))) {}

Tap::~Tap() {
    inside_->stopping = true;
    if (!inside_->running) inside_->pause.set(rt::never);
    inside_->listener = {};
    inside_->disturb();
}

void Tap::start() { inside_->start(); }

void Tap::configure(TapSettings settings) {
    inside_->settings = std::move(settings);
    inside_->renewed = true;
    inside_->retry = inside_->settings.first_retry;
    inside_->disturb();
}

void Tap::stop(std::function<void()> stopped) {
    inside_->stopping = true;
    if (!inside_->running) {
        inside_->pause.set(rt::never);
        if (stopped) stopped();
        return;
    }
    if (stopped) inside_->stopped.push_back(std::move(stopped));
    inside_->disturb();
}

TapState const& Tap::state() const noexcept { return inside_->state; }

}  // namespace ocgate::opencode
