#include <gmock/gmock.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <cstdio>
#include <set>
#include <string>

#include "connection.hpp"
#include "exchange.hpp"
#include "listener.hpp"
#include "shard_state.hpp"
#include "support/bench.hpp"
#include "support/scenario.hpp"

namespace ocgate::proxy {
namespace {

struct State {
    explicit State(std::uint64_t seed) : shard(parts(seed), std::make_shared<Snapshot>()) {}
    ShardParts parts(std::uint64_t seed) {
        return {.executor = bench.io.get_executor(),
                .clock = bench.clock,
                .recorder = notebook,
                .connections = connections,
                .seed = seed,
                .escaped = {}};
    }
    test::Bench bench;
    test::Notebook notebook;
    std::atomic<std::size_t> connections{0};
    ShardState shard;
};

TEST(RequestId, IsSixteenDigitsAndNeverTheSame) {
    State one(1);
    State two(2);
    std::set<std::string> seen;
    for (int i = 0; i < 20'000; ++i) {
        for (auto* state : {&one, &two}) {
            auto const id = state->shard.new_request_id();
            std::string const text(id.data(), id.size());
            EXPECT_EQ(text.find_first_not_of("0123456789abcdef"), std::string::npos);
            EXPECT_TRUE(seen.insert(text).second) << text;
        }
    }
}

TEST(RequestId, FollowsFromItsSeed) {
    State one(7);
    State again(7);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(one.shard.new_request_id(), again.shard.new_request_id());
}

TEST(Desk, IsLentAgainAndFewAreKept) {
    State state(1);
    std::vector<ShardState::DeskPtr> lent;
    for (std::size_t i = 0; i < ShardState::kept_desks + 8; ++i) lent.push_back(state.shard.lend_desk());
    auto const* last = lent.back().get();
    EXPECT_EQ(state.shard.desks.size(), 0u);
    while (!lent.empty()) lent.pop_back();
    EXPECT_EQ(state.shard.desks.size(), ShardState::kept_desks);
    EXPECT_TRUE(std::any_of(state.shard.desks.begin(), state.shard.desks.end(),
                            [&](auto const& desk) { return desk.get() == last; }));
}

TEST(Listening, DoesNotTakeAClosedWindowForADeadPeer) {
    rt::Address address;
    address.host = "127.0.0.1";
    rt::Address bound;
    auto const fd = open_listener(address, false, bound);
    ASSERT_TRUE(fd);
    int value = -1;
    socklen_t size = sizeof value;
    EXPECT_EQ(::getsockopt(*fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &size), 0);
    EXPECT_EQ(value, 0);
    EXPECT_EQ(::getsockopt(*fd, SOL_SOCKET, SO_KEEPALIVE, &value, &size), 0);
    EXPECT_NE(value, 0);
    ::close(*fd);
}

TEST(Listening, FindsAClientThatVanishedWhileAllWasSilentWithinHalfAMinute) {
    rt::Address address;
    address.host = "127.0.0.1";
    rt::Address bound;
    auto const fd = open_listener(address, false, bound);
    ASSERT_TRUE(fd);
    auto const option = [&](int name) {
        int value = -1;
        socklen_t size = sizeof value;
        EXPECT_EQ(::getsockopt(*fd, IPPROTO_TCP, name, &value, &size), 0);
        return value;
    };
    // By our own looks, the last of three in a row, and so long before the kernel's that there is still a socket to
    // keep.
    auto const look = static_cast<int>(rt::lost_look.count());
    auto const silence = static_cast<int>(rt::lost_silence.count()) + look;
    EXPECT_LE(option(TCP_KEEPINTVL), look) << "each look finds another probe unanswered";
    EXPECT_LE(std::max(option(TCP_KEEPIDLE) + 2 * look, silence) + look, 30);
    EXPECT_GE(option(TCP_KEEPIDLE) + option(TCP_KEEPINTVL) * option(TCP_KEEPCNT), 45);
    ::close(*fd);
}

TEST(Listening, GoesOnAfterAConnectionThatCouldNotBeTakenIn) {
    State state(1);
    rt::Address address;
    address.host = "127.0.0.1";
    rt::Address bound;
    auto const fd = open_listener(address, false, bound);
    ASSERT_TRUE(fd);
    int adopted = 0;
    auto adopt = [&](rt::PeerPtr peer, std::string, ClientCount::Taken) {
        if (++adopted == 1) throw std::bad_alloc();
        peer->close();
    };
    Listener listener(state.shard, *fd, adopt);
    state.shard.tasks.spawn(listener.run());
    namespace ip = boost::asio::ip;
    ip::tcp::endpoint const there(ip::make_address("127.0.0.1"), bound.port);
    ip::tcp::socket first(state.bench.io);
    first.connect(there);
    while (state.notebook.failures.empty()) state.bench.io.run_one();
    EXPECT_EQ(reason_of(state.notebook.failures.front()), Reason::too_many);
    char byte;
    error_code why;
    (void)first.read_some(boost::asio::buffer(&byte, 1), why);
    EXPECT_TRUE(why) << "its descriptor is closed";
    ip::tcp::socket second(state.bench.io);
    second.connect(there);
    state.bench.advance(std::chrono::milliseconds(100));
    while (adopted < 2) state.bench.io.run_one();
    listener.stop();
    state.bench.settle();
    EXPECT_EQ(state.shard.tasks.running(), 0u);
}

TEST(Listening, TellsSomeOfOneClientsSurplusAndClosesTheRest) {
    State state(1);
    Clients clients;
    state.shard.parts.clients = &clients;
    auto snapshot = std::make_shared<Snapshot>();
    snapshot->limits.connections_per_client = 2;
    snapshot->gatekeeper = std::make_shared<test::Door>();
    state.shard.snapshot = snapshot;
    rt::Address address;
    address.host = "127.0.0.1";
    rt::Address bound;
    auto const fd = open_listener(address, false, bound);
    ASSERT_TRUE(fd);
    std::vector<std::pair<rt::PeerPtr, ClientCount::Taken>> adopted;
    auto adopt = [&](rt::PeerPtr peer, std::string, ClientCount::Taken counted) {
        adopted.emplace_back(std::move(peer), std::move(counted));
    };
    Listener listener(state.shard, *fd, adopt);
    state.shard.tasks.spawn(listener.run());
    namespace ip = boost::asio::ip;
    ip::tcp::endpoint const there(ip::make_address("127.0.0.1"), bound.port);
    std::vector<ip::tcp::socket> sockets;
    for (int i = 0; i < 12; ++i) sockets.emplace_back(state.bench.io).connect(there);
    while (state.notebook.failures.size() < 2) state.bench.io.run_one();
    EXPECT_EQ(adopted.size(), 10u) << "two that are served and eight that are told why not";
    EXPECT_EQ(adopted.back().second.count, 10u);
    EXPECT_EQ(state.notebook.failures.front().side, Side::client);
    EXPECT_EQ(state.notebook.failures.front().step, Step::accept);
    EXPECT_EQ(reason_of(state.notebook.failures.front()), Reason::too_many);
    char byte;
    error_code why;
    (void)sockets.back().read_some(boost::asio::buffer(&byte, 1), why);
    EXPECT_TRUE(why) << "closed at once";
    for (auto& [peer, counted] : adopted) peer->close();
    adopted.clear();
    EXPECT_EQ(clients.connections.clients(), 0u);
    sockets.emplace_back(state.bench.io).connect(there);
    while (adopted.empty()) state.bench.io.run_one();
    adopted.front().first->close();
    adopted.clear();
    listener.stop();
    state.bench.settle();
    EXPECT_EQ(state.shard.tasks.running(), 0u);
}

// What an idle event stream costs besides its two sockets: these, and the frames of its coroutines.
TEST(Memory, OfAnIdleStreamIsBounded) {
    RecordProperty("peer", static_cast<int>(sizeof(rt::Peer)));
    RecordProperty("exchange", static_cast<int>(sizeof(Exchange)));
    RecordProperty("connection", static_cast<int>(sizeof(Connection)));
    RecordProperty("desk", static_cast<int>(sizeof(Desk)));
    std::printf("sizeof: peer %zu, exchange %zu, connection %zu, desk %zu\n", sizeof(rt::Peer), sizeof(Exchange),
                sizeof(Connection), sizeof(Desk));
    EXPECT_LE(2 * sizeof(rt::Peer) + sizeof(Exchange) + sizeof(Connection), 5u * 1024);
}

}  // namespace
}  // namespace ocgate::proxy
