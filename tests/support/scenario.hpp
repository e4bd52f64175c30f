// The request path in one process: a shard over pipes in memory, a clock moved by hand, an upstream that follows the
// test's script. When a scenario ends it asserts that no connection, window, deadline or task is left.
#pragma once

#include <boost/asio/error.hpp>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "ocgate/proxy/shard.hpp"
#include "support/fake_clock.hpp"
#include "support/pipe.hpp"

namespace ocgate::test {

/// What one exchange came to, copied from its record.
struct Finished {
    std::string method, path, user, request_id;
    unsigned status = 0;
    std::uint64_t request_bytes = 0, response_bytes = 0;
    bool reused = false, stream = false, failed = false;
    Failure failure{Side::gateway, Step::accept, {}};
    std::string client_address;
};

/// A request that never became an exchange.
struct Refused {
    std::string method, request_id;
    unsigned status = 0;
    std::uint64_t response_bytes = 0;
    Failure failure{Side::gateway, Step::accept, {}};
};

/// Keeps what the proxy tells, and hands it on where somebody else wants to know.
class Notebook final : public proxy::Recorder {
public:
    explicit Notebook(proxy::Recorder* next = nullptr) : next_(next) {}

    std::uint16_t route_of(std::string_view method, std::string_view target) noexcept override {
        return next_ ? next_->route_of(method, target) : std::uint16_t{0};
    }
    proxy::Live& live() noexcept override { return next_ ? next_->live() : live_; }
    void connection_opened(Side side) noexcept override {
        ++open[index(side)];
        if (side == Side::client) ++opened;
        if (next_) next_->connection_opened(side);
    }
    void connection_closed(Side side) noexcept override {
        --open[index(side)];
        if (next_) next_->connection_closed(side);
    }
    void request_started() noexcept override {
        ++started;
        if (next_) next_->request_started();
    }
    void stream_opened(proxy::StreamKind kind) noexcept override {
        ++streams_open;
        if (next_) next_->stream_opened(kind);
    }
    void stream_closed(proxy::StreamKind kind, Reason reason, rt::Duration lasted) noexcept override {
        --streams_open;
        closed_reasons.push_back(reason);
        if (next_) next_->stream_closed(kind, reason, lasted);
    }
    void failed(Failure const& failure, std::string_view peer) noexcept override {
        failures.push_back(failure);
        if (next_) next_->failed(failure, peer);
    }
    void refused(proxy::RefusedHead const& head) noexcept override {
        refusals.push_back(
            {std::string(head.method), std::string(head.request_id), head.status, head.response_bytes, head.failure});
        if (next_) next_->refused(head);
    }
    void upstream_dialed(bool reused, bool ok) noexcept override {
        if (!reused) ++(ok ? dials : failed_dials);
        if (next_) next_->upstream_dialed(reused, ok);
    }
    void finished(proxy::ExchangeRecord const& record) noexcept override;

    static std::size_t index(Side side) { return static_cast<std::size_t>(side); }
    int open[3] = {};
    int opened = 0;  ///< client connections, ever
    int started = 0, streams_open = 0, dials = 0, failed_dials = 0;
    std::vector<Reason> closed_reasons;
    std::vector<Failure> failures;
    std::vector<Refused> refusals;
    std::vector<Finished> exchanges;

private:
    proxy::Recorder* next_;
    proxy::Live live_;
};

/// Lets everyone in unless told otherwise.
class Door final : public proxy::Gatekeeper {
public:
    bool trusts(std::string_view) override { return trusts_peer; }
    proxy::Decision consider(proxy::Visit const& visit) override;
    rt::Task<proxy::Decision> verify(proxy::Visit const& visit) override;
    bool watches(proxy::Visit const& visit) override { return visit.head.target == watched; }
    void saw_answer(std::string_view target, unsigned status, std::string_view body, std::string_view) override {
        seen.push_back({std::string(target), status, std::string(body)});
    }

    std::optional<proxy::Refusal> refuses;
    bool hashes_first = false;  ///< the answer takes a turn of the event loop
    bool trusts_peer = false;
    bool vouches = true;
    bool exempts = false;
    std::string watched = "-";
    struct Seen {
        std::string target;
        unsigned status;
        std::string body;
    };
    std::vector<Seen> seen;
};

class Scenario;

/// The upstream's side of one connection, or the client's.
class End {
public:
    End(Scenario& scenario, PipeEnd pipe) : scenario_(scenario), pipe_(std::move(pipe)) {}
    void sends(std::string_view bytes);
    /// Sends and lets nothing happen yet: what follows arrives in the same turn.
    void puts(std::string_view bytes) { pipe_.send(bytes); }
    void ends();
    void resets();
    /// Has closed: what was sent can still be read, what is written now fails.
    void breaks_for_writing();
    /// Everything received so far, taken at once from the wire; grows.
    std::string const& received();
    /// The same, starting over.
    std::string take();
    /// From now on nothing is taken from the wire unless by `sip`.
    void stops_reading() { reading_ = false; }
    std::string sip(std::size_t bytes);
    void reads_again();
    [[nodiscard]] std::size_t in_flight() const { return pipe_.waiting().size(); }
    [[nodiscard]] bool saw_end() const { return pipe_.saw_end(); }
    [[nodiscard]] bool saw_reset() const { return pipe_.saw_reset(); }
    [[nodiscard]] bool closed() const { return pipe_.closed(); }
    [[nodiscard]] std::size_t writes() const { return pipe_.writes(); }
    [[nodiscard]] bool reading() const { return reading_; }
    void collect();

private:
    Scenario& scenario_;
    PipeEnd pipe_;
    std::string received_;
    bool reading_ = true;
};

class Scenario {
public:
    struct Options {
        proxy::Limits limits;
        std::size_t capacity = 64 * 1024;
        std::size_t piece = ~std::size_t{0};
        std::shared_ptr<Faults> faults;
        std::shared_ptr<proxy::Gatekeeper> gatekeeper;  ///< instead of `door`
        std::string authorization = "Basic dXA6c3RyZWFt";
        std::shared_ptr<proxy::Pages> pages;      ///< none: `/_ocgate` is the upstream's
        std::shared_ptr<proxy::Witness> witness;  ///< none: nobody hears
        proxy::Recorder* recorder = nullptr;      ///< what the notebook keeps is told to it, too; outlives the scenario
    };

    Scenario() : Scenario(Options{}) {}
    explicit Scenario(Options options);
    ~Scenario();
    Scenario(Scenario const&) = delete;
    Scenario& operator=(Scenario const&) = delete;

    /// A new client; the first is also `client`.
    End& connects(std::string address = "192.0.2.7");
    End& client() { return clients_.empty() ? connects() : clients_.front(); }

    /// The k-th connection the gateway has made to the upstream, from 0. Fails the test when there is none.
    End& upstream(std::size_t k = 0);
    [[nodiscard]] std::size_t upstreams() const { return upstreams_.size(); }
    void upstream_refuses() { dialing_ = Dialing::refuse; }
    void upstream_hangs() { dialing_ = Dialing::hang; }
    void upstream_accepts() { dialing_ = Dialing::accept; }
    void dialing_fails(error_code why) {
        dialing_ = Dialing::refuse;
        refusal_ = why;
    }

    /// Moves the clock, alarm by alarm, and lets everything that follows happen.
    void advance(rt::Duration time);
    /// Runs until nothing more happens at this moment.
    void settle();
    void configure(proxy::Limits const& limits);
    /// A reload that names another upstream.
    void redials();

    proxy::Shard& shard() { return *shard_; }
    Notebook& notebook() { return notebook_; }
    Door& door() { return *door_; }
    FakeClock& clock() { return clock_; }
    /// What the calendar says when the clock says 0; a day later it is when a scenario begins.
    std::chrono::system_clock::time_point& calendar() { return calendar_; }
    boost::asio::io_context& io() { return io_; }

    /// Ends everything and checks that nothing is left. Called by the destructor if not before.
    void finish();
    proxy::Clients& clients_open() { return clients_open_; }
    /// The exceptions that have left tasks, which `finish` takes for failures otherwise.
    std::vector<std::string> take_escaped() { return std::exchange(escaped_, {}); }

private:
    class Dials;
    friend class Dials;
    enum class Dialing { accept, refuse, hang };
    error_code refusal_ = boost::asio::error::connection_refused;
    std::shared_ptr<proxy::Snapshot> snapshot(proxy::Limits const& limits) const;

    Options options_;
    boost::asio::io_context io_{1};
    FakeClock clock_;
    std::chrono::system_clock::time_point calendar_ = std::chrono::sys_days{std::chrono::year(2026) / 11 / 23};
    Notebook notebook_{options_.recorder};
    std::shared_ptr<Door> door_ = std::make_shared<Door>();
    std::shared_ptr<rt::Dialer> dialer_;
    std::atomic<std::size_t> connections_{0};
    proxy::Clients clients_open_;
    std::deque<End> clients_, upstreams_;
    Dialing dialing_ = Dialing::accept;
    bool finished_ = false;
    std::vector<std::string> escaped_;
    std::unique_ptr<proxy::Shard> shard_;
};

}  // namespace ocgate::test
