// The soak's upstream: upstream.cpp says what it answers.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "net.hpp"
#include "upstream_client.hpp"

namespace soak {

using bench::Fd;
using Doing = Client::Doing;

constexpr std::size_t ledger_bytes = 64 << 20;
constexpr std::int64_t second = 1'000'000'000;

/// Subscribers that get the same events at the same moments.
struct Group {
    bool fat = false;
    std::int64_t period_ns = second, next_ns = 0;
    std::uint64_t next = 0;
    std::set<int> subscribers;
};

class Upstream {
public:
    Upstream(bench::Arguments const& given, bench::Epoll& epoll);

    void open(Fd fd, Doing doing = Doing::requests);
    void handle(int fd, std::uint32_t events);
    /// How long until something has to be sent.
    std::int64_t until_next(std::int64_t now) const;
    void do_what_is_due(std::int64_t now);
    /// Breaks off so many streams and terminals: by a reset, or in good order.
    void cut(std::size_t count);

private:
    Client* find(int fd);
    void close(Client& client);
    void wait_until(Client& client, std::int64_t when);

    // False: the client is gone.
    bool send(Client& client, std::string_view bytes);
    bool flush(Client& client);
    bool settle(Client& client);
    void read(Client& client);
    void take_all(Client& client, std::string_view bytes);
    /// Takes what it can from the front of `bytes`; false when there is no use for more.
    bool take(Client& client, std::string_view& bytes);
    static void compare(Client& client, std::string_view bytes);
    bool taken(Client& client);
    bool frames(Client& client);

    bool serve(Client& client, std::string const& head);
    bool send_bytes(Client& client);
    bool begin_upload(Client& client, std::string const& head, std::uint64_t id, std::uint64_t at);
    bool subscribe(Client& client, std::string_view target);
    bool upgrade(Client& client, std::string_view head, std::string_view target);
    bool relay(Client& client, std::string const& head, bool stream);

    bench::Epoll& epoll_;
    std::uint16_t rest_;
    unsigned char* ledger_;
    std::string credentials_;
    std::vector<std::unique_ptr<Client>> clients_;  // by descriptor
    std::map<std::pair<std::int64_t, std::int64_t>, Group> groups_;
    std::multimap<std::int64_t, int> due_;
    std::size_t skipped_ = 0;
    std::array<char, 65536> buffer_{};
};

}  // namespace soak
