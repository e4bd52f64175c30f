// A dialer for one request of ours that can be given up. Private to opencode.
#pragma once

#include <algorithm>
#include <boost/asio/error.hpp>
#include <memory>

#include "ocgate/rt/dialer.hpp"

namespace ocgate::opencode {

inline constexpr rt::Duration dial_limit = std::chrono::seconds(2);

/// Lends another's dialer with a shorter limit, and keeps hold of the connection so that the fetch can be broken off.
class Holding final : public rt::Dialer {
public:
    explicit Holding(std::shared_ptr<rt::Dialer> dialer) : dialer_(std::move(dialer)) {}

    rt::Task<boost::system::result<rt::PeerPtr, error_code>> dial(rt::PeerResources const& resources, rt::Instant until,
                                                                  rt::DialBreaker& breaker) override {
        auto const soon = std::min(until, resources.deadlines.now() + dial_limit);
        auto dialed = co_await dialer_->dial(resources, soon, breaker);
        if (dialed && given_up_) {
            (*dialed)->close();
            co_return boost::asio::error::operation_aborted;
        }
        if (dialed) peer_ = *dialed;
        co_return dialed;
    }
    void give_up() {
        given_up_ = true;
        auto const peer = peer_;  // the fetch ends inside `interrupt`, and this object with it
        if (peer) peer->interrupt(boost::asio::error::operation_aborted);
    }

private:
    std::shared_ptr<rt::Dialer> const dialer_;
    rt::PeerPtr peer_;
    bool given_up_ = false;
};

}  // namespace ocgate::opencode
