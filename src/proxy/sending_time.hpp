// How long a client may take to send content. Private to proxy.
#pragma once

#include <algorithm>

#include "ocgate/rt/types.hpp"

namespace ocgate::proxy {

/// Each 16 KiB that have come give it the whole time anew, as with an answer's reader (Peer::write): one byte a minute
/// is no progress. Only what is spent on waiting for the client counts.
class SendingTime {
public:
    explicit SendingTime(rt::Duration whole) noexcept : whole_(whole), left_(whole) {}

    /// Until when to wait now, when `received` bytes have come from it so far.
    [[nodiscard]] rt::Instant wait(rt::Instant now, std::uint64_t received) noexcept {
        if (received - mark_ >= least_bytes) {
            left_ = whole_;
            mark_ = received;
        }
        began_ = now;
        return now + left_;
    }
    void waited(rt::Instant now) noexcept { left_ = std::max(left_ - (now - began_), rt::Duration::zero()); }
    /// It had a reason to wait.
    void anew() noexcept { left_ = whole_; }

private:
    static constexpr std::uint64_t least_bytes = 16 * 1024;
    rt::Duration const whole_;
    rt::Duration left_;
    rt::Instant began_{};
    std::uint64_t mark_ = 0;  ///< received when the time began anew
};

}  // namespace ocgate::proxy
