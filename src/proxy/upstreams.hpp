// The shard's idle connections to the upstream. Each keeps a read pending, so one the upstream has closed is gone from
// here before it could be picked.
#pragma once

#include <memory>
#include <vector>

#include "ocgate/proxy/doors.hpp"
#include "ocgate/rt/dialer.hpp"

namespace ocgate::proxy {

class Upstreams {
public:
    Upstreams(rt::PeerResources const& resources, Recorder& recorder);
    ~Upstreams() { clear(); }
    Upstreams(Upstreams const&) = delete;
    Upstreams& operator=(Upstreams const&) = delete;

    /// An idle connection, most recently used first, or nothing. One that has said something meanwhile is dropped.
    rt::PeerPtr take();
    /// Keeps at most `max_idle`, each for `keep` at most; the oldest gives way. Only with both messages complete and
    /// nothing buffered.
    void give(rt::PeerPtr upstream, std::size_t max_idle, rt::Duration keep);
    /// Closes all idle ones (another upstream was configured; drain).
    void clear();
    [[nodiscard]] std::size_t idle() const noexcept { return idle_.size(); }

private:
    struct Idle {
        rt::PeerPtr peer;
        rt::Instant until;
    };
    void drop(rt::Peer const* peer);
    void drop_expired();
    void count() noexcept { level_.set(static_cast<std::int64_t>(idle_.size())); }

    rt::PeerResources const& resources_;
    Recorder& recorder_;
    rt::Level& level_;  ///< how many there are, for the metrics
    std::vector<Idle> idle_;
    rt::Deadline next_;  ///< when the first of them has been idle for too long
};

}  // namespace ocgate::proxy
