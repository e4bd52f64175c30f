// One thread's share of the traffic: its listener, its client connections, its upstream pool. Shares with other shards
// nothing but counts. How one request is carried is told in src/proxy/exchange.cpp.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ocgate/base/secret.hpp"
#include "ocgate/proxy/clients.hpp"
#include "ocgate/proxy/doors.hpp"
#include "ocgate/proxy/limits.hpp"
#include "ocgate/rt/dialer.hpp"

namespace ocgate::proxy {

/// The configuration as one shard sees it: immutable. A reload hands in a new one; an exchange keeps the one it began
/// with.
struct Snapshot {
    Limits limits;
    std::shared_ptr<Gatekeeper> gatekeeper;
    std::shared_ptr<rt::Dialer> dialer;
    Secret authorization;  ///< the Authorization value for the upstream; empty: none is sent
    std::string realm = "opencode";
    std::string upstream_host;           ///< Host for the HTTP/1.0 client that sends none
    std::string hidden_parameter;        ///< a query parameter that never travels upstream
    std::shared_ptr<Pages> pages{};      ///< none: `/_ocgate` is the upstream's
    std::shared_ptr<Witness> witness{};  ///< none: nobody hears
};

struct ShardParts {
    rt::Executor executor;
    rt::Clock& clock;
    Recorder& recorder;
    std::atomic<std::size_t>& connections;            ///< client connections of all shards, against Limits::connections
    std::uint64_t seed;                               ///< random; request ids follow from it
    std::function<void(std::exception_ptr)> escaped;  ///< an exception left a task: our bug, to be logged
    Clients* clients = nullptr;                       ///< of all shards; outlives them. nullptr: none is counted
    std::size_t window_bytes = 32 * 1024;             ///< a head of 16 KiB and the first of what follows it
    /// The calendar's time, for the Date of our own answers. Unlike the clock's it may jump.
    std::function<std::chrono::system_clock::time_point()> calendar = &std::chrono::system_clock::now;
};

/// What is alive, for drain, readiness and the tests' "nothing is left".
struct ShardLoad {
    std::size_t connections = 0;
    std::size_t idle_upstreams = 0;
    std::size_t windows_lent = 0;
    std::size_t blocks_lent = 0;
    std::size_t desks_lent = 0;
    std::size_t deadlines = 0;
    std::size_t departed = 0;  ///< sockets kept for clients that have vanished
};

/// What an exchange is doing now. A closed set.
enum class Stage : std::uint8_t {
    admission,     ///< a password is being hashed
    page,          ///< one of the gateway's own
    dial,          ///< no connection to the upstream yet
    request_body,  ///< the rest of the content is on its way
    waiting,       ///< for the answer's head
    response,
    event_stream,
    tunnel,
};
inline constexpr std::size_t stages = static_cast<std::size_t>(Stage::tunnel) + 1;
[[nodiscard]] std::string_view to_string(Stage stage) noexcept;

struct ExchangeView {
    std::string request_id, method;
    std::string path;  ///< without query
    std::string user, client_address;
    std::uint16_t route = 0;  ///< what Recorder::route_of said
    Stage stage = Stage::admission;
    std::optional<Side> awaited;  ///< who has to do something next; nothing: either of the two ends
    rt::Duration age{};
    std::uint64_t request_bytes = 0, response_bytes = 0;  ///< content that has passed
    std::optional<rt::Duration> stalled;                  ///< for how long `awaited` has taken nothing
};

/// Which of too many are listed: those that began first, or last.
enum class First : std::uint8_t { oldest, newest };

struct ShardView {
    std::vector<ExchangeView> exchanges;
    std::array<std::size_t, stages> at{};  ///< how many there are, also of those that are not listed
    std::size_t connections = 0;           ///< of clients
    std::size_t idle = 0;                  ///< of these: waiting for a request
    std::size_t upstreams_in_use = 0, upstreams_idle = 0;
    std::uint64_t requests = 0;                           ///< ever, those under way included
    std::uint64_t request_bytes = 0, response_bytes = 0;  ///< the same: content
};

/// So many sockets a shard keeps at most for clients that have vanished (src/proxy/departed.hpp).
inline constexpr std::size_t most_departed = 64;

/// All calls from the shard's own thread.
class Shard {
public:
    Shard(ShardParts parts, std::shared_ptr<Snapshot const> snapshot);
    ~Shard();
    Shard(Shard const&) = delete;
    Shard& operator=(Shard const&) = delete;

    void configure(std::shared_ptr<Snapshot const> snapshot);

    /// Serves one client. `address` is the peer's, without port; "unix" for a local socket.
    void adopt(rt::PeerPtr client, std::string address);

    /// Accepts from a listening socket (taken over; non-blocking) until `stop_accepting`.
    void accept_from(int listener);
    void stop_accepting();

    /// Idle connections close, answers say `Connection: close`, event streams end after an event, WebSockets get Close
    /// 1001 between two frames. Requests under way are awaited. Idempotent.
    void drain();
    /// Ends at once what `drain` has not ended. `drained` is called when nothing is left.
    void insist();
    void when_drained(std::function<void()> drained);

    /// Ends the connections whose other end has vanished without a word. To be called every `rt::lost_look`. Looks at
    /// some hundred at a time, so that others have their turn. A client's socket is kept a while, `most_departed` of
    /// them, so that it hears of the end when it is back.
    void end_lost();

    [[nodiscard]] ShardLoad load() const;
    /// What is going on; at most `most` exchanges are listed. Looks at every connection.
    [[nodiscard]] ShardView look(std::size_t most, First first = First::oldest) const;
    [[nodiscard]] rt::PeerResources const& resources() const noexcept;

private:
    class Inside;
    void adopt(rt::PeerPtr client, std::string address, ClientCount::Taken counted);
    std::unique_ptr<Inside> inside_;
};

/// A listening socket, non-blocking, with the options accepted sockets inherit. The port may be 0; `bound` says which
/// it became. `shared` lets further shards listen at the same address (SO_REUSEPORT); without it a second process at
/// the address is an error, as it should be. A stale Unix socket file is replaced; a live one is not.
[[nodiscard]] boost::system::result<int, error_code> open_listener(rt::Address const& address, bool shared,
                                                                   rt::Address& bound);

}  // namespace ocgate::proxy
