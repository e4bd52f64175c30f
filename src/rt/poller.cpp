#include "ocgate/rt/poller.hpp"

#include <boost/asio/detail/epoll_reactor.hpp>
#include <boost/asio/detail/reactor_op.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <system_error>

namespace ocgate::rt {
namespace {

using Reactor = asio::detail::epoll_reactor;

std::uint32_t events_for(Poller::Interest interest) noexcept {
    std::uint32_t events = EPOLLET | EPOLLRDHUP;
    if (interest != Poller::Interest::writing) events |= EPOLLIN;
    if (interest != Poller::Interest::reading) events |= EPOLLOUT;
    return events;
}

}  // namespace

/// Asio's reactor (Boost 1.81) calls `perform` each time the epoll set becomes readable and keeps an operation that
/// says `not_done`. That is how its own signal_set listens; the public async_wait would re-arm with a system call each
/// time and count as work.
struct Poller::Wake final : asio::detail::reactor_op {
    Wake(Poller& owner, Executor executor)
        : reactor_op(boost::system::error_code(), &Wake::perform_turn, &Wake::never_complete),
          poller(owner),
          reactor(asio::use_service<Reactor>(executor.context())) {}

    static status perform_turn(reactor_op* base) {
        static_cast<Wake*>(base)->poller.turn();
        return not_done;
    }
    static void never_complete(void*, asio::detail::operation*, boost::system::error_code const&, std::size_t) {}

    Poller& poller;
    Reactor& reactor;
    Reactor::per_descriptor_data data{};
};

Poller::Poller(Executor executor) : executor_(executor), set_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (!set_) throw std::system_error(errno, std::generic_category(), "epoll_create1");
    wake_ = std::make_unique<Wake>(*this, executor);
    wake_->reactor.init_task();
    auto const failed =
        wake_->reactor.register_internal_descriptor(Reactor::read_op, set_.get(), wake_->data, wake_.get());
    if (failed != 0) throw std::system_error(failed, std::generic_category(), "epoll_ctl");
}

Poller::~Poller() {
    wake_->reactor.deregister_internal_descriptor(set_.get(), wake_->data);
    wake_->reactor.cleanup_descriptor_data(wake_->data);
}

error_code Poller::add(int descriptor, Pollable& who, Interest interest) noexcept {
    epoll_event event{.events = events_for(interest), .data = {.ptr = &who}};
    if (::epoll_ctl(set_.get(), EPOLL_CTL_ADD, descriptor, &event) == 0) return {};
    return {errno, boost::system::system_category()};
}

error_code Poller::change(int descriptor, Pollable& who, Interest interest) noexcept {
    epoll_event event{.events = events_for(interest), .data = {.ptr = &who}};
    if (::epoll_ctl(set_.get(), EPOLL_CTL_MOD, descriptor, &event) == 0) return {};
    return {errno, boost::system::system_category()};
}

void Poller::remove(int descriptor, Pollable const& who) noexcept {
    ::epoll_ctl(set_.get(), EPOLL_CTL_DEL, descriptor, nullptr);
    forget(who);
}

// The set forgets a socket by itself when its last descriptor is closed (epoll(7)).
void Poller::forget(Pollable const& who) noexcept {
    for (int i = next_; i < found_; ++i) {
        auto& event = events_[static_cast<std::size_t>(i)];
        if (event.data.ptr == &who) event.data.ptr = nullptr;
    }
}

// The set is watched for edges: it has to be emptied before the next one comes.
void Poller::turn() {
    for (int i = 0; i < rounds; ++i) {
        auto const found = ::epoll_wait(set_.get(), events_.data(), static_cast<int>(batch), 0);
        if (found <= 0) return;
        round(found);
        if (found < static_cast<int>(batch)) return;
    }
    asio::post(executor_, [this] { turn(); });
}

void Poller::round(int found) {
    std::exception_ptr escaped;
    found_ = found;
    for (next_ = 0; next_ < found_;) {
        auto const& event = events_[static_cast<std::size_t>(next_++)];
        auto* who = static_cast<Pollable*>(event.data.ptr);
        if (!who) continue;
        bool const over = (event.events & (EPOLLHUP | EPOLLERR)) != 0;
        bool const ended = over || (event.events & EPOLLRDHUP) != 0;
        Readiness const now{.readable = ended || (event.events & EPOLLIN) != 0,
                            .writable = over || (event.events & EPOLLOUT) != 0,
                            .ended = ended,
                            .broken = (event.events & EPOLLERR) != 0};
        try {
            who->ready(now);
        } catch (...) {
            // The others are told all the same: there is no second edge.
            if (!escaped) escaped = std::current_exception();
        }
    }
    found_ = 0;
    if (escaped) std::rethrow_exception(escaped);
}

}  // namespace ocgate::rt
