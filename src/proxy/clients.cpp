#include "ocgate/proxy/clients.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace ocgate::proxy {
namespace {

constexpr std::array<std::uint8_t, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
constexpr std::size_t subscriber_bytes = 8;  ///< of an IPv6 address

}  // namespace

std::optional<ClientKey> client_key(std::string_view address) noexcept {
    bool const v6 = address.find(':') != std::string_view::npos;
    if (v6) address = address.substr(0, address.find('%'));  // a zone
    char text[INET6_ADDRSTRLEN];
    if (address.size() >= sizeof text) return std::nullopt;
    std::memcpy(text, address.data(), address.size());
    text[address.size()] = '\0';
    ClientKey key{};
    if (!v6) {
        std::copy(mapped_prefix.begin(), mapped_prefix.end(), key.begin());
        if (::inet_pton(AF_INET, text, key.data() + mapped_prefix.size()) != 1) return std::nullopt;
        return key;
    }
    if (::inet_pton(AF_INET6, text, key.data()) != 1) return std::nullopt;
    if (!std::equal(mapped_prefix.begin(), mapped_prefix.end(), key.begin()))
        std::fill(key.begin() + subscriber_bytes, key.end(), std::uint8_t{0});
    return key;
}

ClientCount::Place::Place(Place&& other) noexcept : home_(std::exchange(other.home_, nullptr)), at_(other.at_) {}

ClientCount::Place& ClientCount::Place::operator=(Place&& other) noexcept {
    if (this == &other) return *this;
    leave();
    home_ = std::exchange(other.home_, nullptr);
    at_ = other.at_;
    return *this;
}

void ClientCount::Place::leave() noexcept {
    if (!home_) return;
    auto& home = *std::exchange(home_, nullptr);
    std::lock_guard const lock(home.mutex_);
    if (--at_->second == 0) home.table_.erase(at_);
}

ClientCount::Taken ClientCount::take(std::string_view address) {
    Taken taken;
    auto const key = client_key(address);
    if (!key) return taken;
    std::lock_guard const lock(mutex_);
    auto const at = table_.try_emplace(*key, 0).first;
    taken.count = ++at->second;
    taken.place.home_ = this;
    taken.place.at_ = at;
    return taken;
}

std::size_t ClientCount::clients() const {
    std::lock_guard const lock(mutex_);
    return table_.size();
}

}  // namespace ocgate::proxy
