// How much each client has open, over all shards: one that goes wrong, or means harm, leaves room for the others.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>

namespace ocgate::proxy {

/// Who counts as one: an IPv4 address, or an IPv6 /64, what one subscriber holds.
using ClientKey = std::array<std::uint8_t, 16>;
/// Nothing for what is no address, such as "unix": many may stand behind it.
[[nodiscard]] std::optional<ClientKey> client_key(std::string_view address) noexcept;

/// Counts one kind of thing by client. Shared by all shards; does its own locking, which is asked for when something
/// begins and when it ends, never in between. A client has an entry for as long as something of its is open: there are
/// never more entries than open connections, and nobody's is pushed out. A tree, so that nobody can choose addresses
/// that make it slow.
class ClientCount {
    using Table = std::map<ClientKey, std::size_t>;

public:
    /// Counts for as long as it lives. The count outlives it.
    class Place {
    public:
        Place() = default;
        Place(Place&& other) noexcept;
        Place& operator=(Place&& other) noexcept;
        Place(Place const&) = delete;
        Place& operator=(Place const&) = delete;
        ~Place() { leave(); }

        [[nodiscard]] bool taken() const noexcept { return home_ != nullptr; }
        void leave() noexcept;

    private:
        friend class ClientCount;
        ClientCount* home_ = nullptr;
        Table::iterator at_{};
    };
    struct Taken {
        Place place;
        std::size_t count = 0;  ///< of this client, with this one; 0: it is not counted
    };

    ClientCount() = default;
    ClientCount(ClientCount const&) = delete;
    ClientCount& operator=(ClientCount const&) = delete;

    /// One more. Whether that is too many is the caller's business, and so is giving the place back then.
    [[nodiscard]] Taken take(std::string_view address);
    /// Entries in use, for tests.
    [[nodiscard]] std::size_t clients() const;

private:
    mutable std::mutex mutex_;
    Table table_;
};

/// Against Limits::connections_per_client and Limits::streams_per_client.
struct Clients {
    ClientCount connections;  ///< by the address of the TCP peer
    ClientCount streams;      ///< event streams and WebSockets, by the client's address behind trusted proxies
};

}  // namespace ocgate::proxy
