#include "upstreams.hpp"

#include <algorithm>

namespace ocgate::proxy {

Upstreams::Idle::Idle(Upstreams& pool, rt::PeerPtr p)
    : peer(std::move(p)),
      home(pool),
      deadline(
          pool.resources_.deadlines,
          [](void* self) {
              auto& idle = *static_cast<Idle*>(self);
              idle.home.drop(idle.peer.get());
          },
          this) {}

rt::PeerPtr Upstreams::take() {
    while (!idle_.empty()) {
        auto& newest = *idle_.back()->peer;
        // Bytes nobody asked for would be taken for the next answer.
        if (!newest.quiet()) {
            drop(&newest);
            continue;
        }
        auto peer = std::move(idle_.back()->peer);
        idle_.pop_back();
        peer->stop_listening();
        return peer;
    }
    return nullptr;
}

void Upstreams::give(rt::PeerPtr upstream, std::size_t max_idle, rt::Duration keep) {
    if (max_idle == 0) {
        upstream->close();
        recorder_.connection_closed(Side::upstream);
        return;
    }
    while (idle_.size() >= max_idle) drop(idle_.front()->peer.get());
    auto const* raw = upstream.get();
    auto idle = std::make_unique<Idle>(*this, std::move(upstream));
    idle->deadline.set(resources_.deadlines.now() + keep);
    auto& peer = *idle->peer;
    idle_.push_back(std::move(idle));
    peer.listen([this, raw] { drop(raw); });  // may drop it at once
}

void Upstreams::drop(rt::Peer const* peer) {
    auto const found = std::find_if(idle_.begin(), idle_.end(), [&](auto const& idle) { return idle->peer == peer; });
    if (found == idle_.end()) return;
    auto idle = std::move(*found);
    idle_.erase(found);
    idle->peer->close();
    recorder_.connection_closed(Side::upstream);
}

void Upstreams::clear() {
    while (!idle_.empty()) drop(idle_.back()->peer.get());
}

}  // namespace ocgate::proxy
