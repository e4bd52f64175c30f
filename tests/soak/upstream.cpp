// What stands in for `opencode serve` in the soak: cheap, exact, and as bad as it is told to be.
//
//   upstream --port P --rest Q --ledger FILE --credentials BASE64     prints its port when it listens
//
//   GET  /soak/bytes?n=N&at=A[&chunk=C]    N bytes of the pattern from A on; in chunks of C
//   POST /soak/take?id=I&at=A              reads content, which must be the pattern from A on; says how much it was
//   GET  /soak/slow?ms=M&n=N&at=A          the same as /soak/bytes, after M ms
//   GET  /soak/reset?n=N&at=A&after=K      says N bytes, sends K, and breaks off; K = 0: nothing at all is said
//   GET  /soak/garbage?kind=K              an answer that is none, of seven kinds
//   GET  /event?rate=R[&fat=1]             event stream: each event to all its subscribers
//   GET  /event?flood=1                    as fast as they are taken, without end
//   GET  /pty/…/connect                    WebSocket; sends back what it gets
//        ?n=N&at=A&frame=F[&rate=R]        sends N bytes in frames of F, R a second, then Close
//        [&unsent=U]                       and has its system hold no more than about U that nobody has taken
//        ?sink=N&at=A                      takes N bytes of content, and says whether they were right
//   anything else                          is relayed to port Q
//
// FILE is a table of one byte for each id: how often a POST with it has come. On standard input: `cut N` breaks off N
// streams and terminals, and is answered when it is done.
#include "upstream.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <iostream>

namespace soak {
namespace {

using bench::now_ns;

unsigned char* open_ledger(std::string const& path) {
    Fd const fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd.open() || ::ftruncate(fd.get(), ledger_bytes) != 0) bench::give_up(path);
    void* const at = ::mmap(nullptr, ledger_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (at == MAP_FAILED) bench::give_up("mmap");
    return static_cast<unsigned char*>(at);
}

}  // namespace

Upstream::Upstream(bench::Arguments const& given, bench::Epoll& epoll)
    : epoll_(epoll),
      rest_(static_cast<std::uint16_t>(given.number("--rest"))),
      ledger_(open_ledger(given.text("--ledger"))),
      credentials_("Basic " + given.text("--credentials")) {}

void Upstream::open(Fd fd, Doing doing) {
    auto const index = static_cast<std::size_t>(fd.get());
    if (clients_.size() <= index) clients_.resize(index + 1);
    epoll_.add(fd.get(), EPOLLIN);
    clients_[index] = std::make_unique<Client>();
    clients_[index]->fd = std::move(fd);
    clients_[index]->doing = doing;
}

void Upstream::handle(int fd, std::uint32_t events) {
    if (Client* const client = find(fd); client && (events & EPOLLOUT) != 0) flush(*client);
    if (Client* const client = find(fd); client && (events & ~std::uint32_t{EPOLLOUT}) != 0) read(*client);
}

std::int64_t Upstream::until_next(std::int64_t now) const {
    std::int64_t first = now + second;
    for (auto const& [key, group] : groups_)
        if (!group.subscribers.empty()) first = std::min(first, group.next_ns);
    if (!due_.empty()) first = std::min(first, due_.begin()->first);
    return std::max<std::int64_t>(0, first - now);
}

void Upstream::do_what_is_due(std::int64_t now) {
    for (auto& [key, group] : groups_) {
        // After a stop: what was due in the last second, not more.
        group.next_ns = std::max(group.next_ns, now - second);
        for (; group.next_ns <= now && !group.subscribers.empty(); group.next_ns += group.period_ns) {
            std::string const event = chunk_of(event_of(group.next++, group.fat));
            auto const to = group.subscribers;  // a failed write unsubscribes
            for (int const fd : to)
                if (Client* const client = find(fd)) send(*client, event);
        }
    }
    while (!due_.empty() && due_.begin()->first <= now) {
        auto const [at, fd] = *due_.begin();
        due_.erase(due_.begin());
        Client* const client = find(fd);
        if (!client || client->due != at) continue;
        client->due = 0;
        if (client->doing == Doing::waiting) client->doing = Doing::requests;
        client->out += client->source.next();
        bool const more = client->source.left > 0;
        if (client->source.period_ns > 0 && more) wait_until(*client, at + client->source.period_ns);
        flush(*client);
    }
}

/// Breaks off so many streams and terminals: by a reset, or in good order.
void Upstream::cut(std::size_t count) {
    for (auto& one : clients_) {
        if (count == 0) break;
        if (!one || (one->doing != Doing::stream && one->doing != Doing::echo)) continue;
        if ((skipped_ = (skipped_ + 1) % 3) != 0) continue;
        if (--count % 2 == 0) will_reset(one->fd.get());
        close(*one);
    }
}

Client* Upstream::find(int fd) {
    auto const index = static_cast<std::size_t>(fd);
    return fd >= 0 && index < clients_.size() ? clients_[index].get() : nullptr;
}

void Upstream::close(Client& client) {
    int const fd = client.fd.get();
    int const partner = client.partner;
    bool const was_backend = client.doing == Doing::backend;
    for (auto& [key, group] : groups_) group.subscribers.erase(fd);
    clients_[static_cast<std::size_t>(fd)].reset();
    Client* const other = find(partner);
    if (!other) return;
    other->partner = -1;
    if (!was_backend || other->relays_stream) {
        close(*other);
    } else {  // the answer is complete, and the next request may have come already
        other->doing = Doing::requests;
        std::string const in = std::exchange(other->in, {});
        take_all(*other, in);
    }
}

void Upstream::wait_until(Client& client, std::int64_t when) {
    client.due = when;
    due_.emplace(when, client.fd.get());
}

namespace {

Fd listen_at(std::uint16_t port) {
    Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    int const on = 1;
    setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    auto const address = bench::loopback(port);
    if (::bind(listener.get(), reinterpret_cast<sockaddr const*>(&address), sizeof address) != 0)
        bench::give_up("bind");
    if (::listen(listener.get(), 4096) != 0) bench::give_up("listen");
    return listener;
}

int run(bench::Arguments const& given) {
    bench::Epoll epoll;
    auto const upstream = std::make_unique<Upstream>(given, epoll);
    auto port = static_cast<std::uint16_t>(given.number("--port"));
    Fd const listener = listen_at(port);
    epoll.add(listener.get(), EPOLLIN);
    epoll.add(STDIN_FILENO, EPOLLIN);
    bench::say_port(port);
    std::string told;
    for (bool goes_on = true; goes_on;) {
        upstream->do_what_is_due(now_ns());
        epoll.wait(upstream->until_next(now_ns()), [&](int fd, std::uint32_t events) {
            if (fd == listener.get()) {
                for (Fd client = bench::accept_from(listener); client.open(); client = bench::accept_from(listener))
                    upstream->open(std::move(client));
            } else if (fd == STDIN_FILENO) {
                std::array<char, 256> bytes{};
                auto const n = ::read(STDIN_FILENO, bytes.data(), bytes.size());
                if (n <= 0) return goes_on = false, void();
                told.append(bytes.data(), static_cast<std::size_t>(n));
                for (auto end = told.find('\n'); end != std::string::npos; end = told.find('\n')) {
                    std::string const line = told.substr(0, end);
                    told.erase(0, end + 1);
                    if (line.starts_with("cut ")) upstream->cut(std::stoul(line.substr(4)));
                    std::cout << line << std::endl;
                }
            } else {
                upstream->handle(fd, events);
            }
        });
    }
    return 0;
}

}  // namespace
}  // namespace soak

int main(int argc, char** argv) try {
    bench::start_as_tool();
    return soak::run(
        bench::Arguments({argv + 1, static_cast<std::size_t>(argc - 1)}, " --port --rest --ledger --credentials "));
} catch (std::exception const& e) {
    std::cerr << "upstream: " << e.what() << '\n';
    return 1;
}
