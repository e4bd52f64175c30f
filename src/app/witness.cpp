#include "witness.hpp"

#include <boost/asio/post.hpp>

namespace ocgate::app {

// What cannot be told for want of memory is not told: it delays a message at worst.

void ActWitness::began(proxy::Deed const& deed) noexcept {
    auditor_.began(deed);
    try {
        auto act = opencode::act_of(deed.method, deed.target);
        if (!act) return;
        Who who{std::string(deed.user), std::string(deed.client_address), std::string(deed.request_id)};
        boost::asio::post(executor_, [listener = listener_, act = std::move(*act), who = std::move(who)] {
            listener->acted(act, who);
        });
    } catch (std::bad_alloc const&) {
    }
}

void ActWitness::ended(proxy::Deed const& deed, unsigned status, rt::Duration took) noexcept {
    auditor_.ended(deed, status, took);
    bool const done = status >= 200 && status <= 299;
    try {
        auto act = opencode::act_of(deed.method, deed.target);
        if (!act) return;
        using Kind = opencode::Act::Kind;
        if (done && act->kind == Kind::abort) {
            auto session = std::move(act->session);
            boost::asio::post(executor_,
                              [listener = listener_, session = std::move(session)] { listener->aborted(session); });
        } else if (!done && !act->request.empty() && listener_->not_taken) {
            // 0: the client left. opencode may have taken the answer all the same.
            if (status == 0) return;
            boost::asio::post(executor_,
                              [listener = listener_, id = std::string(deed.request_id)] { listener->not_taken(id); });
        }
    } catch (std::bad_alloc const&) {
    }
}

}  // namespace ocgate::app
