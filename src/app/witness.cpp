#include "witness.hpp"

#include <boost/asio/post.hpp>

namespace ocgate::app {

// What cannot be told for want of memory is not told: it delays a message at worst.

void ActWitness::began(std::string_view method, std::string_view target, std::string_view user) noexcept {
    try {
        auto act = opencode::act_of(method, target);
        if (!act) return;
        boost::asio::post(executor_, [listener = listener_, act = std::move(*act), user = std::string(user)] {
            listener->acted(act, user);
        });
    } catch (std::bad_alloc const&) {
    }
}

void ActWitness::ended(std::string_view method, std::string_view path, std::string_view, unsigned status) noexcept {
    if (status < 200 || status > 299) return;
    try {
        auto act = opencode::act_of(method, path);
        if (!act || act->kind != opencode::Act::Kind::abort) return;
        boost::asio::post(executor_,
                          [listener = listener_, session = std::move(act->session)] { listener->aborted(session); });
    } catch (std::bad_alloc const&) {
    }
}

}  // namespace ocgate::app
