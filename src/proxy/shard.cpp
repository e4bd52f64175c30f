#include "ocgate/proxy/shard.hpp"

#include "answer.hpp"
#include "connection.hpp"
#include "listener.hpp"

namespace ocgate::proxy {
namespace {

/// Owns the connection for as long as its story takes.
rt::Task<void> serve(std::unique_ptr<Connection> connection) { co_await connection->run(); }

rt::Task<void> listen(std::shared_ptr<Listener> listener) { co_await listener->run(); }

/// SplitMix64: every output differs, neighbours look unrelated.
std::uint64_t mixed(std::uint64_t x) noexcept {
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9ull;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

}  // namespace

ShardState::ShardState(ShardParts p, std::shared_ptr<Snapshot const> s)
    : parts(std::move(p)),
      live(parts.recorder.live()),
      snapshot(std::move(s)),
      deadlines(parts.executor, parts.clock),
      windows(parts.window_bytes),
      poller(parts.executor),
      resources{parts.executor, deadlines, windows, poller},
      upstreams(resources, parts.recorder),
      last_id(parts.seed),
      tasks(parts.executor, parts.escaped) {
    desks.reserve(kept_desks);  // so that giving one back needs no memory
}

ShardState::~ShardState() = default;

ShardState::DeskPtr ShardState::lend_desk() {
    if (desks.empty()) return {new Desk, DeskReturn{this}};
    auto desk = std::move(desks.back());
    desks.pop_back();
    return {desk.release(), DeskReturn{this}};
}

void ShardState::DeskReturn::operator()(Desk* desk) const noexcept {
    std::unique_ptr<Desk> owned(desk);
    if (home->desks.size() < kept_desks) home->desks.push_back(std::move(owned));
}

std::array<char, 16> ShardState::new_request_id() noexcept {
    last_id += 0x9e3779b97f4a7c15ull;
    auto bits = mixed(last_id);
    std::array<char, 16> id;
    for (auto& digit : id) {
        digit = "0123456789abcdef"[bits & 15];
        bits >>= 4;
    }
    return id;
}

std::string_view ShardState::date() {
    auto const second = std::chrono::floor<std::chrono::seconds>(parts.calendar());
    if (second != dated) {
        dated = second;
        date_text = http_date(second);
    }
    return {date_text.data(), date_text.size()};
}

void ShardState::connection_ended() {
    if (draining && connections.empty() && drained) {
        auto const call = std::move(drained);
        drained = nullptr;
        call();
    }
}

class Shard::Inside : public ShardState {
public:
    using ShardState::ShardState;
    std::vector<std::shared_ptr<Listener>> listeners;
};

Shard::Shard(ShardParts parts, std::shared_ptr<Snapshot const> snapshot)
    : inside_(std::make_unique<Inside>(std::move(parts), std::move(snapshot))) {}

Shard::~Shard() = default;

void Shard::configure(std::shared_ptr<Snapshot const> snapshot) {
    if (snapshot->dialer != inside_->snapshot->dialer) inside_->upstreams.clear();
    inside_->snapshot = std::move(snapshot);
}

void Shard::adopt(rt::PeerPtr client, std::string address) {
    auto connection = std::make_unique<Connection>(*inside_, std::move(client), std::move(address));
    inside_->tasks.spawn(serve(std::move(connection)));
}

void Shard::accept_from(int listener) {
    auto adopt_one = [this](rt::PeerPtr client, std::string address) { adopt(std::move(client), std::move(address)); };
    auto listening = std::make_shared<Listener>(*inside_, listener, std::move(adopt_one));
    inside_->listeners.push_back(listening);
    inside_->tasks.spawn(listen(std::move(listening)));
}

void Shard::stop_accepting() {
    for (auto& listener : inside_->listeners) listener->stop();
    inside_->listeners.clear();
}

void Shard::drain() {
    if (std::exchange(inside_->draining, true)) return;
    inside_->upstreams.clear();
    // A connection may end inside the call and leave the list.
    auto& connections = inside_->connections;
    for (auto it = connections.begin(); it != connections.end();) (it++)->drain();
}

void Shard::insist() {
    auto& connections = inside_->connections;
    for (auto it = connections.begin(); it != connections.end();) (it++)->insist();
}

void Shard::when_drained(std::function<void()> drained) {
    inside_->drained = std::move(drained);
    inside_->connection_ended();
}

ShardLoad Shard::load() const {
    return {inside_->connections.size(), inside_->upstreams.idle(), inside_->windows.lent(),
            inside_->windows.blocks.lent(), inside_->deadlines.active()};
}

ShardView Shard::look(std::size_t most, First first) const { return look_at(*inside_, most, first); }

rt::PeerResources const& Shard::resources() const noexcept { return inside_->resources; }

}  // namespace ocgate::proxy
