// The limit: moves bytes between a client and a fresh upstream connection, and knows nothing about them. A proxy that
// parses, authenticates and counts cannot be cheaper per byte than this; it can per connection, by keeping upstream's.
//
//   relay --upstream PORT        prints the port it listens on
//         [--spoil-up BYTES] [--spoil-down BYTES]    changes one bit of each connection, so many bytes from its
//                                                    beginning, on the way to the upstream or back: so that bench/run
//                                                    can show that the load notices
#include <memory>
#include <unordered_map>

#include "net.hpp"

namespace {

using namespace bench;

/// One way of a pair. Bytes the writer would not take wait here, and nothing more is read until it does: at most one
/// buffer per direction.
struct Way {
    std::string waiting;
    bool ended = false;
    std::int64_t until_spoilt = -1;  // bytes until the one to change; below zero: none, or it is over
};

struct Pair {
    Fd client, upstream;
    Way up, down;
};

class Relay {
public:
    Relay(Epoll& epoll, Arguments const& arguments)
        : epoll_(epoll),
          upstream_port_(static_cast<std::uint16_t>(arguments.number("--upstream"))),
          spoil_up_(arguments.number("--spoil-up", -1)),
          spoil_down_(arguments.number("--spoil-down", -1)) {}

    void open(Fd client) {
        auto pair = std::make_shared<Pair>();
        pair->client = std::move(client);
        pair->upstream = connect_to_loopback(upstream_port_);
        pair->up.until_spoilt = spoil_up_;
        pair->down.until_spoilt = spoil_down_;
        for (int const fd : {pair->client.get(), pair->upstream.get()}) {
            epoll_.add(fd, EPOLLIN);
            pairs_[fd] = pair;
        }
    }

    void handle(int fd, std::uint32_t events) {
        auto const found = pairs_.find(fd);
        if (found == pairs_.end()) return;
        auto const pair = found->second;
        bool const from_client = fd == pair->client.get();
        int const other = from_client ? pair->upstream.get() : pair->client.get();
        Way& outward = from_client ? pair->up : pair->down;
        Way& inward = from_client ? pair->down : pair->up;
        bool healthy = (events & EPOLLERR) == 0;  // a reset is reported without end, whatever one is interested in
        if (healthy && !inward.waiting.empty() && (events & EPOLLOUT) != 0) healthy = drain(fd, other, inward, outward);
        if (healthy && outward.waiting.empty() && !outward.ended) healthy = move(fd, other, outward, inward);
        if (!healthy || (pair->up.ended && pair->down.ended && pair->up.waiting.empty() && pair->down.waiting.empty()))
            close(*pair);
    }

private:
    // `way` leads from `fd` to `other`, `back` the other way round.
    bool move(int fd, int other, Way& way, Way const& back) {
        Moved const got = read_some(fd, buffer_);
        if (got.ended) {
            way.ended = true;
            ::shutdown(other, SHUT_WR);
            watch(fd, way, back);
            return true;
        }
        if (got.bytes == 0) return true;
        if (way.until_spoilt >= 0) spoil(way, got.bytes);
        Moved const put = write_some(other, {buffer_.data(), got.bytes});
        if (put.ended) return false;
        if (put.bytes == got.bytes) return true;
        way.waiting.assign(buffer_.data() + put.bytes, got.bytes - put.bytes);
        watch(fd, way, back);
        watch(other, back, way);
        return true;
    }

    void spoil(Way& way, std::size_t bytes) {
        auto const at = static_cast<std::size_t>(way.until_spoilt);
        if (at < bytes) buffer_[at] = static_cast<char>(buffer_[at] ^ 1);
        way.until_spoilt = at < bytes ? -1 : way.until_spoilt - static_cast<std::int64_t>(bytes);
    }

    bool drain(int fd, int other, Way& to_fd, Way const& from_fd) {
        Moved const put = write_some(fd, to_fd.waiting);
        to_fd.waiting.erase(0, put.bytes);
        if (put.ended) return false;
        if (!to_fd.waiting.empty()) return true;
        watch(fd, from_fd, to_fd);
        watch(other, to_fd, from_fd);
        return true;
    }

    void watch(int fd, Way const& from_fd, Way const& to_fd) {
        bool const reads = from_fd.waiting.empty() && !from_fd.ended;
        bool const writes = !to_fd.waiting.empty();
        epoll_.change(fd, (reads ? std::uint32_t{EPOLLIN} : 0) | (writes ? std::uint32_t{EPOLLOUT} : 0));
    }

    void close(Pair& pair) {
        pairs_.erase(pair.client.get());
        pairs_.erase(pair.upstream.get());
        pair.client.close();
        pair.upstream.close();
    }

    Epoll& epoll_;
    std::uint16_t upstream_port_;
    std::int64_t spoil_up_, spoil_down_;
    std::unordered_map<int, std::shared_ptr<Pair>> pairs_;
    // Large: what a byte costs is mostly the number of reads and writes, and with 64 KiB nginx is at times cheaper.
    std::array<char, 262144> buffer_{};
};

}  // namespace

int main(int argc, char** argv) try {
    start_as_tool();
    Arguments const arguments({argv + 1, static_cast<std::size_t>(argc - 1)}, " --upstream --spoil-up --spoil-down ");
    Epoll epoll;
    auto const relay = std::make_unique<Relay>(epoll, arguments);
    std::uint16_t port = 0;
    Fd const listener = listen_on_loopback(port);
    epoll.add(listener.get(), EPOLLIN);
    say_port(port);
    for (;;) {
        epoll.wait(-1, [&](int fd, std::uint32_t events) {
            if (fd != listener.get()) return relay->handle(fd, events);
            for (Fd client = accept_from(listener); client.open(); client = accept_from(listener))
                relay->open(std::move(client));
        });
    }
} catch (std::exception const& e) {
    std::fprintf(stderr, "relay: %s\n", e.what());
    return 1;
}
