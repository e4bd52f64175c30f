#include "support/scenario.hpp"

#include <gtest/gtest.h>

#include <boost/asio/error.hpp>

namespace ocgate::test {

void Notebook::finished(proxy::ExchangeRecord const& r) noexcept {
    exchanges.push_back({std::string(r.method), std::string(r.path), std::string(r.user), std::string(r.request_id),
                         r.status, r.request_bytes, r.response_bytes, r.upstream_reused, r.stream, r.failed, r.failure,
                         std::string(r.client_address)});
    if (next_) next_->finished(r);
}

proxy::Decision Door::consider(proxy::Visit const& visit) {
    proxy::Decision decision;
    if (hashes_first) return decision;
    decision.client_address = visit.peer;
    decision.peer_trusted = trusts_peer;
    decision.vouched = vouches;
    decision.exempt = exempts;
    decision.kind = proxy::Decision::Kind::admitted;
    if (refuses) {
        decision.kind = proxy::Decision::Kind::refused;
        decision.refusal = *refuses;
    }
    return decision;
}

rt::Task<proxy::Decision> Door::verify(proxy::Visit const& visit) {
    co_await rt::pause();
    hashes_first = false;
    auto decision = consider(visit);
    hashes_first = true;
    co_return decision;
}

void End::sends(std::string_view bytes) {
    pipe_.send(bytes);
    scenario_.settle();
}

void End::ends() {
    pipe_.end();
    scenario_.settle();
}

void End::resets() {
    pipe_.reset();
    scenario_.settle();
}

void End::breaks_for_writing() {
    pipe_.break_for_writing();
    scenario_.settle();
}

void End::collect() {
    if (reading_) received_ += pipe_.take();
}

std::string const& End::received() {
    scenario_.settle();
    return received_;
}

std::string End::take() {
    scenario_.settle();
    return std::exchange(received_, {});
}

std::string End::sip(std::size_t bytes) {
    auto taken = pipe_.take(bytes);
    scenario_.settle();
    return taken;
}

void End::reads_again() {
    reading_ = true;
    scenario_.settle();
}

class Scenario::Dials final : public rt::Dialer {
public:
    explicit Dials(Scenario& scenario) : scenario_(scenario) {}

    rt::Task<boost::system::result<rt::PeerPtr, error_code>> dial(rt::PeerResources const& resources, rt::Instant until,
                                                                  rt::DialBreaker& breaker) override {
        auto const& faults = scenario_.options_.faults;
        if (scenario_.dialing_ == Dialing::hang) {
            rt::Signal late;
            auto const notify = [](void* signal) { static_cast<rt::Signal*>(signal)->notify(); };
            rt::Deadline deadline(resources.deadlines, notify, &late);
            deadline.set(until);
            rt::DialBreaker::Watch const watch(breaker, notify, &late);
            co_await late.wait();
            if (breaker.tripped()) co_return boost::asio::error::operation_aborted;
            co_return Reason::timed_out;
        }
        if (scenario_.dialing_ == Dialing::refuse || (faults && faults->strikes())) {
            co_return scenario_.refusal_;
        }
        auto [wire, end] =
            make_pipe(resources.executor, {scenario_.options_.capacity, scenario_.options_.piece, faults});
        scenario_.upstreams_.emplace_back(scenario_, std::move(end));
        co_return rt::PeerPtr(new rt::Peer(resources, std::move(wire)));
    }

private:
    Scenario& scenario_;
};

Scenario::Scenario(Options options) : options_(std::move(options)), dialer_(std::make_shared<Dials>(*this)) {
    proxy::ShardParts parts{
        .executor = io_.get_executor(),
        .clock = clock_,
        .recorder = notebook_,
        .connections = connections_,
        .seed = 42,
        .escaped =
            [this](std::exception_ptr error) {
                try {
                    std::rethrow_exception(error);
                } catch (std::exception const& e) {
                    escaped_.push_back(e.what());
                } catch (...) {
                    escaped_.push_back("?");
                }
            },
        .clients = &clients_open_,
        .calendar = [this] { return calendar_ + (clock_.now() - rt::Instant()); },
    };
    shard_ = std::make_unique<proxy::Shard>(std::move(parts), snapshot(options_.limits));
}

std::shared_ptr<proxy::Snapshot> Scenario::snapshot(proxy::Limits const& limits) const {
    auto made = std::make_shared<proxy::Snapshot>();
    made->limits = limits;
    made->gatekeeper = options_.gatekeeper ? options_.gatekeeper : door_;
    made->dialer = dialer_;
    made->authorization = Secret(options_.authorization);
    made->upstream_host = "127.0.0.1:4096";
    made->hidden_parameter = "auth_token";
    made->pages = options_.pages;
    made->witness = options_.witness;
    return made;
}

void Scenario::configure(proxy::Limits const& limits) { shard_->configure(snapshot(limits)); }

void Scenario::redials() {
    dialer_ = std::make_shared<Dials>(*this);
    configure(options_.limits);
}

Scenario::~Scenario() {
    if (!finished_) finish();
}

End& Scenario::connects(std::string address) {
    auto [wire, end] = make_pipe(io_.get_executor(), {options_.capacity, options_.piece, options_.faults});
    clients_.emplace_back(*this, std::move(end));
    auto& made = clients_.back();
    shard_->adopt(rt::PeerPtr(new rt::Peer(shard_->resources(), std::move(wire))), std::move(address));
    settle();
    return made;
}

End& Scenario::upstream(std::size_t k) {
    settle();
    if (k < upstreams_.size()) return upstreams_[k];
    ADD_FAILURE() << "the gateway has made only " << upstreams_.size() << " connections to the upstream";
    static std::deque<End> none;
    auto [wire, end] = make_pipe(io_.get_executor());
    return none.emplace_back(*this, std::move(end));
}

void Scenario::settle() {
    for (;;) {
        io_.restart();
        auto ran = io_.poll();
        for (auto* side : {&clients_, &upstreams_}) {
            for (auto& end : *side) end.collect();
        }
        io_.restart();
        ran += io_.poll();
        if (ran == 0) return;
    }
}

void Scenario::advance(rt::Duration time) {
    auto const target = clock_.now() + time;
    settle();
    while (clock_.next() <= target) {
        clock_.move_to(clock_.next());
        settle();
    }
    clock_.move_to(target);
    settle();
}

void Scenario::finish() {
    finished_ = true;
    for (auto& client : clients_) client.resets();
    settle();
    bool drained = false;
    shard_->stop_accepting();
    shard_->drain();
    shard_->insist();
    shard_->when_drained([&] { drained = true; });
    settle();
    if (!drained) advance(std::chrono::seconds(5));  // a dial or a goodbye still under way
    auto const load = shard_->load();
    EXPECT_EQ(load.connections, 0u) << "a connection is left";
    EXPECT_EQ(load.idle_upstreams, 0u);
    EXPECT_EQ(load.windows_lent, 0u) << "a window was not given back";
    EXPECT_EQ(load.blocks_lent, 0u) << "a block was not given back";
    EXPECT_EQ(load.desks_lent, 0u) << "a desk was not given back";
    EXPECT_EQ(load.deadlines, 0u) << "a deadline is left";
    EXPECT_EQ(connections_.load(), 0u);
    EXPECT_EQ(clients_open_.connections.clients(), 0u) << "a connection of a client was not counted out";
    EXPECT_EQ(clients_open_.streams.clients(), 0u) << "a stream of a client was not counted out";
    EXPECT_EQ(notebook_.open[Notebook::index(Side::client)], 0);
    EXPECT_EQ(notebook_.open[Notebook::index(Side::upstream)], 0) << "an upstream connection was not counted out";
    EXPECT_EQ(notebook_.streams_open, 0);
    EXPECT_EQ(static_cast<std::size_t>(notebook_.started), notebook_.exchanges.size())
        << "an exchange began and was not recorded";
    for (auto const& what : escaped_) ADD_FAILURE() << "an exception left a task: " << what;
    io_.restart();
    io_.poll();
    EXPECT_TRUE(io_.stopped()) << "a task is left waiting";
    shard_.reset();
    io_.restart();
    io_.poll();
}

}  // namespace ocgate::test
