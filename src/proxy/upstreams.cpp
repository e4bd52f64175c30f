#include "upstreams.hpp"

#include <algorithm>

namespace ocgate::proxy {

Upstreams::Upstreams(rt::PeerResources const& resources, Recorder& recorder)
    : resources_(resources),
      recorder_(recorder),
      level_(recorder.live().idle_upstreams),
      next_(
          resources.deadlines, [](void* self) { static_cast<Upstreams*>(self)->drop_expired(); }, this) {}

rt::PeerPtr Upstreams::take() {
    while (!idle_.empty()) {
        auto& newest = *idle_.back().peer;
        // Bytes nobody asked for would be taken for the next answer.
        if (!newest.quiet()) {
            drop(&newest);
            continue;
        }
        auto peer = std::move(idle_.back().peer);
        idle_.pop_back();
        count();
        if (idle_.empty()) next_.set(rt::never);
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
    while (idle_.size() >= max_idle) drop(idle_.front().peer.get());
    auto const until = resources_.deadlines.now() + keep;
    auto& peer = *upstream;
    idle_.push_back({std::move(upstream), until});
    count();
    if (until < next_.when()) next_.set(until);
    peer.listen([this, raw = &peer] { drop(raw); });  // may drop it at once
}

void Upstreams::drop(rt::Peer const* peer) {
    auto const found = std::find_if(idle_.begin(), idle_.end(), [&](auto const& idle) { return idle.peer == peer; });
    if (found == idle_.end()) return;
    auto const dropped = std::move(found->peer);
    idle_.erase(found);
    count();
    if (idle_.empty()) next_.set(rt::never);
    dropped->close();
    recorder_.connection_closed(Side::upstream);
}

void Upstreams::drop_expired() {
    auto const now = resources_.deadlines.now();
    auto first = rt::never;
    for (std::size_t i = idle_.size(); i-- > 0;) {
        if (idle_[i].until <= now) {
            drop(idle_[i].peer.get());
        } else {
            first = std::min(first, idle_[i].until);
        }
    }
    next_.set(first);
}

void Upstreams::clear() {
    while (!idle_.empty()) drop(idle_.back().peer.get());
}

}  // namespace ocgate::proxy
