// How much of an answer may wait in the kernel for its client, which only a real socket tells.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>

#include "messages.hpp"

namespace ocgate::test {
namespace {

using boost::asio::ip::tcp;

class BulkSeats : public ::testing::Test {
protected:
    struct Client {
        int gateways;  ///< its end
        tcp::socket ours;
        [[nodiscard]] int unsent_bound() const {
            int bytes = -1;
            socklen_t size = sizeof bytes;
            EXPECT_EQ(::getsockopt(gateways, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, &size), 0);
            return bytes;
        }
    };
    static void bound(int descriptor, int option) {
        int const bytes = 32 * 1024;
        EXPECT_EQ(::setsockopt(descriptor, SOL_SOCKET, option, &bytes, sizeof bytes), 0);
    }
    Client& connects() {
        tcp::acceptor acceptor(s.io(), tcp::v4());
        acceptor.set_option(boost::asio::socket_base::receive_buffer_size(32 * 1024));
        acceptor.bind(tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
        acceptor.listen();
        tcp::socket dialing(s.io());
        dialing.connect(acceptor.local_endpoint());
        auto accepted = acceptor.accept();
        accepted.non_blocking(true);
        int const gateways = dialing.release();
        EXPECT_EQ(::fcntl(gateways, F_SETFL, O_NONBLOCK), 0);
        bound(gateways, SO_SNDBUF);
        EXPECT_TRUE(rt::bound_unsent(gateways, rt::usual_unsent));
        clients.push_back({gateways, std::move(accepted)});
        s.shard().adopt(rt::PeerPtr(new rt::Peer(s.shard().resources(), rt::Descriptor(gateways))), "192.0.2.7");
        return clients.back();
    }
    template <class Condition>
    void until(Condition condition) {
        auto const patience = std::chrono::steady_clock::now() + 20s;
        while (!condition() && std::chrono::steady_clock::now() < patience) s.settle();
        ASSERT_TRUE(condition());
    }
    /// Asks, and is answered with so many bytes, of which it takes none yet.
    Client& asks(std::size_t bytes) {
        auto& client = connects();
        auto const exchanges = s.notebook().started;
        auto const request = get("/big");
        EXPECT_EQ(client.ours.send(boost::asio::buffer(request)), request.size());
        until([&] { return s.notebook().started > exchanges && s.upstreams() == clients.size(); });
        s.upstream(clients.size() - 1).sends(ok(std::string(bytes, 'x')));
        return client;
    }
    void reads_on(Client& client) {
        auto const exchanges = s.notebook().exchanges.size();
        std::vector<char> some(100'000);
        until([&] {
            boost::system::error_code none_yet;
            client.ours.read_some(boost::asio::buffer(some), none_yet);
            return s.notebook().exchanges.size() > exchanges;
        });
    }
    void TearDown() override {
        for (auto& client : clients) client.ours.close();
        until([&] { return s.shard().load().connections == 0; });
    }

    static constexpr std::size_t large = 1024 * 1024 + 1;
    Scenario s;
    std::deque<Client> clients;
};

TEST_F(BulkSeats, EightLargeAnswersHaveOneAndGiveItBack) {
    for (int i = 0; i < 8; ++i) EXPECT_EQ(asks(large).unsent_bound(), rt::any_unsent) << i;
    EXPECT_EQ(asks(large).unsent_bound(), rt::usual_unsent) << "the ninth has none";
    for (std::size_t i = 0; i < 2; ++i) {
        reads_on(clients[i]);
        EXPECT_EQ(clients[i].unsent_bound(), rt::usual_unsent) << "given back with its end";
        s.upstream(i).ends();  // so that each client has its own, in order
    }
    clients[2].ours.close();
    until([&] { return s.notebook().exchanges.size() == 3; });
    for (int i = 0; i < 3; ++i) EXPECT_EQ(asks(large).unsent_bound(), rt::any_unsent) << i << ": free again";
    EXPECT_EQ(asks(large).unsent_bound(), rt::usual_unsent);
}

TEST_F(BulkSeats, AreForLargeAnswersWhoseLengthIsKnown) {
    EXPECT_EQ(asks(large - 1).unsent_bound(), rt::usual_unsent);
    auto& client = connects();
    auto const request = get("/big");
    client.ours.send(boost::asio::buffer(request));
    until([&] { return s.upstreams() == 2; });
    s.upstream(1).sends(std::string(chunked_head) + chunk(std::string(large, 'x')));
    EXPECT_EQ(client.unsent_bound(), rt::usual_unsent);
}

}  // namespace
}  // namespace ocgate::test
