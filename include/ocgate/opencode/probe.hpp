// Asks opencode whether it is well: GET /global/health with credentials, the answer read as JSON. `/` would not do: it
// is the web UI, and unknown paths answer 200 too.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "ocgate/base/secret.hpp"
#include "ocgate/rt/fetch.hpp"

namespace ocgate::opencode {

struct ProbeSettings {
    std::shared_ptr<rt::Dialer> dialer;
    std::string host;         ///< the Host field
    Secret authorization;     ///< value of the Authorization field; empty: none
    rt::Duration interval{};  ///< between the end of one probe and the next; at least a second is kept
    rt::Duration timeout{};   ///< for the whole probe; its dial has two seconds of that at most
};

struct ProbeResult {
    bool up = false;
    std::string version;  ///< at most 64 characters, of those that versions are made of; may be empty
    std::string reason;   ///< when not up: "the dial was refused", "401: the upstream's credentials are wrong", …
    bool silent = false;  ///< it took the question and did not answer in time
    rt::Duration took{};
};

/// Probes at once and then again and again until `stop`; recovers by itself. After a failure it asks sooner, from a
/// second doubling up to the interval, so that an upstream that comes back is noticed. All calls on the executor's
/// thread, also from inside `told`. What `resources` refers to and whatever `told` uses live until it has stopped.
class Probe {
public:
    Probe(rt::PeerResources const& resources, ProbeSettings settings, std::function<void(ProbeResult const&)> told);
    /// Stops without waiting: `told` is not called any more.
    ~Probe();
    Probe(Probe const&) = delete;
    Probe& operator=(Probe const&) = delete;

    /// Does nothing when it runs already.
    void start();
    /// A probe under way is given up untold and the next one, with the new settings, starts at once (after a dial under
    /// way, two seconds at most).
    void configure(ProbeSettings settings);
    /// `stopped` is called when nothing of it runs any more: at once when nothing does, else within a turn of the event
    /// loop, or two seconds when a dial is under way.
    void stop(std::function<void()> stopped);

private:
    struct Inside;
    std::shared_ptr<Inside> inside_;
};

}  // namespace ocgate::opencode
