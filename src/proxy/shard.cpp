#include "ocgate/proxy/shard.hpp"

#include <boost/asio/post.hpp>

#include "answer.hpp"
#include "connection.hpp"
#include "listener.hpp"

namespace ocgate::proxy {
namespace {

constexpr int lost_batch = 256;  ///< a system call or two for each

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
    std::unique_ptr<Desk> desk;
    if (desks.empty()) {
        desk.reset(new Desk);  // not filled with zeros
    } else {
        desk = std::move(desks.back());
        desks.pop_back();
    }
    ++desks_lent;
    return {desk.release(), DeskReturn{this}};
}

void ShardState::DeskReturn::operator()(Desk* desk) const noexcept {
    std::unique_ptr<Desk> owned(desk);
    --home->desks_lent;
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

bool ShardState::make_room() {
    if (waiting.empty() || waiting.front().waits_since + first_request_time > now()) return false;
    waiting.front().dismiss();
    return true;
}

ClientCount::Taken ShardState::count_connection(std::string_view peer) const {
    if (!parts.clients || snapshot->gatekeeper->trusts(peer)) return {};
    return parts.clients->connections.take(peer);
}

class Shard::Inside : public ShardState {
public:
    using ShardState::ShardState;

    void end_some_lost() {
        for (int i = 0; i < lost_batch && lost_left > 0 && !connections.empty(); ++i, --lost_left) {
            auto& one = connections.front();
            connections.splice(connections.end(), connections, connections.begin());
            one.end_lost();
        }
        if (connections.empty()) lost_left = 0;
        if (lost_left > 0) boost::asio::post(parts.executor, [this] { end_some_lost(); });
    }
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
    auto counted = inside_->count_connection(address);
    adopt(std::move(client), std::move(address), std::move(counted));
}

void Shard::adopt(rt::PeerPtr client, std::string address, ClientCount::Taken counted) {
    auto const& limits = inside_->snapshot->limits;
    bool const full = inside_->parts.connections.load(std::memory_order_relaxed) >= limits.connections;
    bool const welcome = limits.connections_per_client == 0 || counted.count <= limits.connections_per_client;
    if (full && welcome) inside_->make_room();
    auto connection = std::make_unique<Connection>(*inside_, std::move(client), std::move(address), std::move(counted));
    inside_->tasks.spawn(serve(std::move(connection)));
}

void Shard::accept_from(int listener) {
    auto adopt_one = [this](rt::PeerPtr client, std::string address, ClientCount::Taken counted) {
        adopt(std::move(client), std::move(address), std::move(counted));
    };
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
    inside_->departed.clear();
    // A connection may end inside the call and leave the list.
    auto& connections = inside_->connections;
    for (auto it = connections.begin(); it != connections.end();) (it++)->drain();
}

void Shard::insist() {
    auto& connections = inside_->connections;
    for (auto it = connections.begin(); it != connections.end();) (it++)->insist();
}

void Shard::end_lost() {
    inside_->departed.look(inside_->now());
    bool const under_way = inside_->lost_left > 0;
    inside_->lost_left = inside_->connections.size();
    if (!under_way) inside_->end_some_lost();
}

void Shard::when_drained(std::function<void()> drained) {
    inside_->drained = std::move(drained);
    inside_->connection_ended();
}

ShardLoad Shard::load() const {
    return {inside_->connections.size(),    inside_->upstreams.idle(), inside_->windows.lent(),
            inside_->windows.blocks.lent(), inside_->desks_lent,       inside_->deadlines.active(),
            inside_->departed.size()};
}

ShardView Shard::look(std::size_t most, First first) const { return look_at(*inside_, most, first); }

rt::PeerResources const& Shard::resources() const noexcept { return inside_->resources; }

}  // namespace ocgate::proxy
