#include "http_lookup.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <cerrno>
#include <thread>

namespace ocgate::notify {
namespace {

constexpr std::size_t most_addresses = 8;

error_code error_of(int result) {
    namespace error = boost::asio::error;
    switch (result) {
        case EAI_AGAIN:
            return error::host_not_found_try_again;
        case EAI_SYSTEM:
            return {errno, boost::system::system_category()};
        case EAI_MEMORY:
            return error::no_memory;
        default:
            return error::host_not_found;
    }
}

}  // namespace

std::vector<std::string> look_up(std::string const& name, error_code& why) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* answer = nullptr;
    std::vector<std::string> found;
    if (int const result = ::getaddrinfo(name.c_str(), nullptr, &hints, &answer); result != 0) {
        why = error_of(result);
        return found;
    }
    for (auto const* one = answer; one && found.size() < most_addresses; one = one->ai_next) {
        char text[INET6_ADDRSTRLEN + 16];
        if (::getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0) {
            found.emplace_back(text);
        }
    }
    ::freeaddrinfo(answer);
    return found;
}

Lookups::Lookups(rt::Executor executor, Resolve resolve, std::size_t most)
    : executor_(std::move(executor)),
      resolve_(std::make_shared<Resolve const>(resolve ? std::move(resolve) : look_up)),
      most_(most),
      home_(std::make_shared<Home>()) {
    home_->lookups = this;
}

Lookups::~Lookups() {
    std::lock_guard const lock(home_->mutex);
    home_->lookups = nullptr;
}

error_code Lookups::ask(std::string const& name, std::shared_ptr<Waiter> const& waiter) {
    if (auto const pending = pending_.find(name); pending != pending_.end()) {
        std::erase_if(pending->second, [](auto const& one) { return one.expired(); });
        pending->second.push_back(waiter);
        return {};
    }
    if (pending_.size() >= most_) return Reason::too_many;
    auto work = [home = home_, resolve = resolve_, name] {
        error_code why;
        std::vector<std::string> found;
        try {
            found = (*resolve)(name, why);
        } catch (...) {
            why = boost::asio::error::no_memory;
        }
        std::lock_guard const lock(home->mutex);
        if (!home->lookups) return;  // and the event loop may be gone as well
        try {
            rt::asio::post(home->lookups->executor_, [home, name, why, found = std::move(found)] {
                Lookups* lookups = nullptr;
                {
                    std::lock_guard const inner(home->mutex);
                    lookups = home->lookups;
                }
                if (lookups) lookups->answered(name, why, found);  // gone only on this thread
            });
        } catch (...) {
            return;  // no memory: who waits has a deadline; the name stays pending, which the bound allows for
        }
    };
    auto const pending = pending_.emplace(name, Waiters{waiter}).first;
    try {
        std::thread(std::move(work)).detach();
    } catch (std::system_error const& e) {  // no thread to be had
        pending_.erase(pending);
        return {e.code().value(), boost::system::system_category()};
    }
    return {};
}

void Lookups::answered(std::string const& name, error_code why, std::vector<std::string> const& found) {
    auto const pending = pending_.find(name);
    if (pending == pending_.end()) return;
    auto const waiters = std::move(pending->second);
    pending_.erase(pending);
    for (auto const& one : waiters) {  // `this` may be gone after the first
        auto const waiter = one.lock();
        if (!waiter) continue;
        waiter->answered = true;
        waiter->why = why;
        waiter->found = found;
        if (waiter->over.waiting()) waiter->over.notify();
    }
}

}  // namespace ocgate::notify
