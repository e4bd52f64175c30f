// The gateway's own subscription to opencode's events (GET /global/event): one stream for all directories, held for as
// long as the gateway lives. Beside the proxy path: with no client connected it works, and it can slow nobody.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "ocgate/base/secret.hpp"
#include "ocgate/opencode/event_cutter.hpp"
#include "ocgate/rt/dialer.hpp"

namespace ocgate::opencode {

struct TapSettings {
    std::shared_ptr<rt::Dialer> dialer;
    std::string host;      ///< the Host field
    Secret authorization;  ///< value of the Authorization field; empty: none
    /// For the dial, and again until the first event is there: opencode says `server.connected` at once, but it is one
    /// thread and a large attachment delays it by seconds.
    rt::Duration first_event = std::chrono::seconds(15);
    /// Silence that ends a connection: opencode sends a heartbeat every 10 s (1.18.33), three may be missed.
    rt::Duration silence = std::chrono::seconds(35);
    rt::Duration first_retry = std::chrono::milliseconds(250);  ///< at most; jitter takes up to half of it off
    /// The wait doubles up to this, until a connection has lasted for a second after its first event.
    rt::Duration last_retry = std::chrono::seconds(10);
};

/// What a tap tells, always from the executor's thread and never from inside a call of ours.
struct TapListener {
    /// The first event of a connection has come. Events from before are lost and never repeated: ask for what is true.
    std::function<void()> connected;
    std::function<void(EventCutter::Cut const&)> event;
    /// A connection has ended or could not be had, in words; no more events until `connected`. `nobody_listens`: the
    /// server's own machine says that nobody takes connections there. Nothing else says so: not a name that is not
    /// found, no way to the machine, no port left to connect from, not a proxy that hangs up.
    std::function<void(std::string const& why, bool nobody_listens)> lost;
};

struct TapState {
    bool connected = false;
    rt::Instant heard = rt::Instant::min();  ///< the last byte; `min`: never any
    std::uint64_t connections = 0;           ///< that brought an event
    std::uint64_t failures = 0;              ///< attempts and connections that ended
    std::uint64_t silences = 0;              ///< of these: nothing came for too long
    std::uint64_t bytes = 0;
};

/// Connects at once, and again whenever a connection ends, until `stop`. Memory: what EventCutter holds.
class Tap {
public:
    /// `random`: 0 … 1, for the jitter.
    Tap(rt::PeerResources const& resources, TapSettings settings, TapListener listener, std::function<double()> random);
    /// Stops without waiting: the listener is not called any more.
    ~Tap();
    Tap(Tap const&) = delete;
    Tap& operator=(Tap const&) = delete;

    void start();
    /// Another upstream or credential: the connection is made anew.
    void configure(TapSettings settings);
    /// `stopped` is called when nothing of it runs any more, within a turn of the event loop.
    void stop(std::function<void()> stopped);
    [[nodiscard]] TapState const& state() const noexcept;

private:
    struct Inside;
    std::shared_ptr<Inside> inside_;
};

}  // namespace ocgate::opencode
