// One unit of work after another through a whole shard: admission, proxy, metrics and access log, over real sockets, in
// one thread, in lockstep, so that what a unit costs can be counted instead of timed.
//
//   ocgate_steady rest|refused|event|frame UNITS [CONNECTIONS [full|sampled|silent|blind]]
//
// The last word takes away what watches: the lines of ordinary requests (log_sample 0), the access log altogether, or
// everything that is written down. The difference is what watching costs.
//
// Prints one line of JSON: the units done in the measured part and the allocations of this thread in it. The gateway
// calls recv, send and sendmsg; the clients and the upstream here call read and write: strace tells them apart.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "ocgate/auth/gatekeeper.hpp"
#include "ocgate/auth/throttle.hpp"
#include "ocgate/opencode/routes.hpp"
#include "ocgate/ops/metrics.hpp"
#include "ocgate/proxy/shard.hpp"

extern "C" {
void* __libc_malloc(std::size_t size);            // NOLINT: glibc's own names
void* __libc_memalign(std::size_t, std::size_t);  // NOLINT
}

namespace {
thread_local std::uint64_t allocations = 0;
}

// In the place of glibc's: every way to memory on this path ends in one of these two.
extern "C" void* malloc(std::size_t size) {
    ++allocations;
    return __libc_malloc(size);
}
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size) {
    ++allocations;
    return __libc_memalign(alignment, size);
}

namespace ocgate {
namespace {

constexpr std::string_view credentials = "Authorization: Basic b3BlbmNvZGU6cGFzc3dvcmQ=\r\n";

void insist(bool condition, char const* what) {
    if (!condition) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

class NoKnowledge final : public auth::UpstreamKnowledge {
public:
    [[nodiscard]] bool is_public_asset(std::string_view method, std::string_view target) const override {
        return opencode::is_public_asset(method, target);
    }
    [[nodiscard]] std::optional<std::string> ticket_issued_by(std::string_view method,
                                                              std::string_view target) const override {
        return opencode::ticket_issued_by(method, target);
    }
    [[nodiscard]] std::optional<auth::TicketUse> ticket_used_by(std::string_view) const override { return {}; }
    [[nodiscard]] std::optional<std::string> read_ticket(std::string_view) const override { return {}; }
};

class CountingJournal final : public auth::AuthObserver {
public:
    explicit CountingJournal(ops::Metrics& metrics) : metrics_(metrics) {}
    void decided(auth::AuthResult result, std::string_view, std::string_view, std::string_view) noexcept override {
        metrics_.auth_decided(static_cast<std::size_t>(result));
    }
    void hidden_by_forwarder(std::string_view, bool) noexcept override {}

private:
    ops::Metrics& metrics_;
};

enum class Watching : std::uint8_t { full, sampled, silent, blind };

ops::LogOptions log_options(Watching watching) {
    ops::LogOptions options;
    options.access = watching != Watching::silent;
    options.sample = watching == Watching::sampled ? 0 : 1;
    return options;
}

/// Writes nothing down.
class BlindRecorder final : public proxy::Recorder {
public:
    std::uint16_t route_of(std::string_view, std::string_view) noexcept override { return 0; }
    proxy::Live& live() noexcept override { return live_; }
    void connection_opened(ocgate::Side) noexcept override {}
    void connection_closed(ocgate::Side) noexcept override {}
    void request_started() noexcept override {}
    void stream_opened(proxy::StreamKind) noexcept override {}
    void stream_closed(proxy::StreamKind, Reason, rt::Duration) noexcept override {}
    void failed(Failure const&, std::string_view) noexcept override {}
    void refused(proxy::RefusedHead const&) noexcept override {}
    void upstream_dialed(bool, bool) noexcept override {}
    void finished(proxy::ExchangeRecord const&) noexcept override {}

private:
    proxy::Live live_;
};

int listening_socket(std::uint16_t& port) {
    rt::Address bound;
    auto const fd = proxy::open_listener({.host = "127.0.0.1", .port = 0, .unix_path = {}}, false, bound);
    if (!fd) throw std::runtime_error("cannot listen: " + fd.error().message());
    port = bound.port;
    return *fd;
}

/// A peer of the gateway: writes whole messages, reads whole messages.
class Side {
public:
    explicit Side(int fd) : fd_(fd) { insist(fd >= 0, "socket"); }
    void says(std::string_view bytes) const {
        insist(::write(fd_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()), "write");
    }
    /// What has arrived, into a buffer shared by all: no allocation.
    [[nodiscard]] std::string_view hears() const {
        static char buffer[64 * 1024];
        auto const n = ::read(fd_, buffer, sizeof buffer);
        insist(n > 0, "nothing has arrived");
        return {buffer, static_cast<std::size_t>(n)};
    }

private:
    int fd_;
};

class House {
public:
    explicit House(Watching watching) : log_(log_options(watching), ::open("/dev/null", O_WRONLY | O_CLOEXEC)) {
        listener_ = listening_socket(port_);
        upstream_listener_ = listening_socket(upstream_port_);
        auto settings = std::make_shared<auth::Settings>();
        settings->accounts.resize(1);
        settings->accounts[0].name = "opencode";
        settings->accounts[0].password = Secret("password");
        proxy::Snapshot snapshot;
        snapshot.gatekeeper = std::make_shared<auth::Gatekeeper>(
            settings, auth::Gatekeeper::Parts{.throttle = std::make_shared<auth::Throttle>(settings->throttle, key_),
                                              .tickets = std::make_shared<auth::Tickets>(key_),
                                              .worker = worker_,
                                              .clock = clock_,
                                              .knowledge = knowledge_,
                                              .observer = journal_,
                                              .key = key_});
        snapshot.dialer = std::make_shared<rt::SystemDialer>(
            rt::Address{.host = "127.0.0.1", .port = upstream_port_, .unix_path = {}});
        snapshot.authorization = Secret("Basic dXA6c3RyZWFt");
        snapshot.hidden_parameter = "auth_token";
        shard_.emplace(proxy::ShardParts{.executor = io_.get_executor(),
                                         .clock = clock_,
                                         .recorder = watching == Watching::blind ? blind_ : metrics_.recorder(0, log_),
                                         .connections = connections_,
                                         .seed = 42,
                                         .escaped = [](std::exception_ptr const&) { std::abort(); }},
                       std::make_shared<proxy::Snapshot const>(snapshot));
        shard_->accept_from(listener_);
    }
    ~House() {
        shard_->stop_accepting();
        shard_->drain();
        shard_->insist();
        for (int i = 0; i < 100 && shard_->load().connections > 0; ++i) turn();
        turn();
        worker_.stop();
    }
    House(House const&) = delete;
    House& operator=(House const&) = delete;

    /// Lets the gateway do what can be done now. Loopback delivers within the call that sends.
    void turn() {
        io_.restart();
        io_.poll();
    }
    Side client() {
        int const fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        insist(fd >= 0, "socket");
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_port = htons(port_);
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        insist(::connect(fd, reinterpret_cast<sockaddr const*>(&at), sizeof at) == 0, "connect");
        insist(::fcntl(fd, F_SETFL, O_NONBLOCK) == 0, "fcntl");
        turn();
        return Side(fd);
    }
    /// The connection the gateway has just made.
    Side upstream() {
        turn();
        return Side(::accept4(upstream_listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    }

private:
    auth::Key const key_{7};
    rt::SystemClock clock_;
    ops::Log log_;
    BlindRecorder blind_;
    ops::Metrics metrics_{{.version = "steady",
                           .shards = 1,
                           .routes = {&opencode::route_of, opencode::route_names()},
                           .auth_results = std::vector<std::string>(auth::all_auth_results.size(), "x"),
                           .clock = nullptr}};
    NoKnowledge knowledge_;
    CountingJournal journal_{metrics_};
    rt::Worker worker_{8};
    std::atomic<std::size_t> connections_{0};
    boost::asio::io_context io_{1};
    int listener_ = -1, upstream_listener_ = -1;
    std::uint16_t port_ = 0, upstream_port_ = 0;
    std::optional<proxy::Shard> shard_;
};

std::string request(std::string_view target, std::string_view more) {
    return "GET " + std::string(target) +
           " HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: opencode/1.18.33\r\nAccept: */*\r\n"
           "Accept-Encoding: gzip, deflate\r\n" +
           std::string(more) + "\r\n";
}

/// Does its unit `units` times; what is needed before is done in the constructor.
struct Work {
    virtual ~Work() = default;
    virtual void unit() = 0;
};

struct Rest final : Work {
    Rest(House& h, std::size_t connections) : house(h) {
        for (std::size_t i = 0; i < connections; ++i) clients.push_back(house.client());
        for (auto const& client : clients) {
            client.says(asked);
            upstreams.push_back(house.upstream());
        }
        answer_all();
    }
    void unit() override {
        for (auto const& client : clients) client.says(asked);
        house.turn();
        answer_all();
    }
    void answer_all() {
        for (auto const& upstream : upstreams) {
            insist(upstream.hears().ends_with("\r\n\r\n"), "half a request");
            upstream.says(answer);
        }
        house.turn();
        for (auto const& client : clients) insist(client.hears().ends_with(content), "another answer");
    }
    House& house;
    std::vector<Side> clients, upstreams;
    std::string const asked = request("/session", credentials);
    std::string const content = std::string(300, 'x');
    std::string const answer =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nVary: Origin\r\nDate: Wed, 25 Nov 2026 "
        "12:00:00 GMT\r\nContent-Length: 300\r\n\r\n" +
        content;
};

struct Refused final : Work {
    explicit Refused(House& h) : house(h), client(house.client()) {}
    void unit() override {
        client.says(asked);
        house.turn();
        insist(client.hears().starts_with("HTTP/1.1 401 "), "let in");
    }
    House& house;
    Side client;
    std::string const asked = request("/session", "");
};

/// A stream that has begun: bytes of the upstream's arrive at the client as they are, or in chunks of ours.
struct Stream final : Work {
    Stream(House& h, std::string_view target, std::string_view fields, std::string_view answer, std::string unit_bytes)
        : house(h), client(house.client()), said(std::move(unit_bytes)) {
        client.says(request(target, std::string(credentials) + std::string(fields)));
        upstream.emplace(house.upstream());
        (void)upstream->hears();
        upstream->says(answer);
        house.turn();
        (void)client.hears();
    }
    void unit() override {
        upstream->says(said);
        house.turn();
        insist(client.hears().size() == said.size(), "not the same bytes");
    }
    House& house;
    Side client;
    std::optional<Side> upstream;
    std::string const said;
};

std::unique_ptr<Work> work_for(std::string_view kind, House& house, std::size_t connections) {
    if (kind == "rest") return std::make_unique<Rest>(house, connections);
    if (kind == "refused") return std::make_unique<Refused>(house);
    if (kind == "event") {
        std::string const event = "data: " + std::string(200, 'e') + "\n\n";
        char size[16];
        std::snprintf(size, sizeof size, "%zx\r\n", event.size());
        return std::make_unique<Stream>(house, "/event", "",
                                        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                        "Transfer-Encoding: chunked\r\n\r\n",
                                        size + event + "\r\n");
    }
    if (kind == "frame") {
        return std::make_unique<Stream>(
            house, "/pty/pty_1/connect",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            "\x81\x40" + std::string(64, 'f'));
    }
    throw std::invalid_argument("which kind? rest, refused, event or frame");
}

std::size_t number(std::string_view text) {
    std::size_t value = 0;
    auto const [end, why] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (why != std::errc() || end != text.data() + text.size() || value == 0) throw std::invalid_argument("a count");
    return value;
}

Watching watching_named(std::string_view word) {
    constexpr std::array<std::string_view, 4> words{"full", "sampled", "silent", "blind"};
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (word == words[i]) return static_cast<Watching>(i);
    }
    throw std::invalid_argument("watched how? full, sampled, silent or blind");
}

int run(std::string_view kind, std::size_t units, std::size_t connections, Watching watching) {
    House house(watching);
    auto const work = work_for(kind, house, connections);
    for (int i = 0; i < 50; ++i) work->unit();  // pools, routes and tables are filled
    auto const before = allocations;
    for (std::size_t i = 0; i < units; ++i) work->unit();
    auto const made = allocations - before;
    std::printf("{\"kind\":\"%.*s\",\"units\":%zu,\"allocations\":%llu}\n", static_cast<int>(kind.size()), kind.data(),
                units * connections, static_cast<unsigned long long>(made));
    return 0;
}

}  // namespace
}  // namespace ocgate

int main(int argc, char** argv) try {
    if (argc < 3) {
        throw std::invalid_argument(
            "ocgate_steady rest|refused|event|frame UNITS [CONNECTIONS [full|sampled|silent|blind]]");
    }
    return ocgate::run(argv[1], ocgate::number(argv[2]), argc > 3 ? ocgate::number(argv[3]) : 1,
                       ocgate::watching_named(argc > 4 ? argv[4] : "full"));
} catch (std::exception const& e) {
    std::fprintf(stderr, "ocgate_steady: %s\n", e.what());
    return 2;
}
