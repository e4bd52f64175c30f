#include "departed.hpp"

#include "ocgate/rt/peer.hpp"

namespace ocgate::proxy {

void Departed::keep(rt::Descriptor socket, rt::Instant now) noexcept {
    if (!socket) return;
    rt::send_end(socket.get(), longest);
    if (kept_.size() == most) give_up_one();
    kept_.push_back({std::move(socket), now + longest});
}

void Departed::look(rt::Instant now) noexcept {
    std::erase_if(kept_, [now](Kept const& one) {
        if (now < one.until) return rt::end_arrived(one.socket.get());
        rt::reset_when_closed(one.socket.get());
        return true;
    });
}

bool Departed::give_up_one() noexcept {
    if (kept_.empty()) return false;
    rt::reset_when_closed(kept_.front().socket.get());
    kept_.erase(kept_.begin());
    return true;
}

}  // namespace ocgate::proxy
