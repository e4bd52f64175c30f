// What an operator decides about admission, as it stands in one configuration snapshot. Immutable once built; knows
// neither where it was read from nor how it is applied.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ocgate/base/secret.hpp"

namespace ocgate::auth {

/// One way to log in: a name with either a clear-text password or a hash in htpasswd form (then `password` is empty).
/// Several accounts may share a name when they come from different sources: any that matches lets in.
struct Account {
    std::string name;    ///< UTF-8 without control characters and colons, at most 255 bytes
    Secret password;     ///< clear text
    std::string hash;    ///< what `hash_problem` has no objection to
    std::string source;  ///< for people: `OPENCODE_SERVER_PASSWORD`, `/users/0`, `htpasswd line 3`
};

/// A block of addresses, or the word `unix` for peers on a local socket.
class Network {
public:
    /// `10.0.0.0/8`, `192.0.2.7` (one address), `fd00::/8`, `::ffff:10.0.0.0/104` (the same as 10.0.0.0/8), `unix`.
    /// Bits behind the prefix are ignored. Nothing for anything else.
    [[nodiscard]] static std::optional<Network> parse(std::string_view text);

    /// Whether this block holds `address` (IPv4, IPv6 with or without zone, IPv4-mapped taken as IPv4, or `unix`).
    /// IPv6 blocks, `::/0` included, hold no IPv4 address; anything that is no address is in no block.
    [[nodiscard]] bool contains(std::string_view address) const noexcept;

private:
    std::array<std::uint8_t, 16> prefix_{};  ///< IPv4 as ::ffff:a.b.c.d
    unsigned bits_ = 0;
    bool unix_ = false;
};

struct ThrottleSettings {
    unsigned failures = 10;               ///< per client address and user within `window`; 0: no throttle
    unsigned failures_per_address = 100;  ///< per client address over all user names; 0: not counted
    std::chrono::seconds window{300};
    std::size_t entries = 4096;  ///< of each table; the least recently used is forgotten
};

struct Settings {
    /// Of which reading of the configuration these are: the same number in all threads, another one in each reading,
    /// never 0. What a throttle that all share remembers as judged was judged by the accounts of one reading.
    std::uint64_t reading = 1;
    std::vector<Account> accounts;   ///< at least one; `app` refuses to start without
    std::string realm = "opencode";  ///< printable ASCII without `"` and `\`; at most 64 bytes
    /// Origins that count as our own: `https://code.example`, `https://*.example.org` (any depth below it),
    /// `tauri://localhost`. `null` is never allowed.
    std::vector<std::string> allowed_origins;
    /// What Host may say, `code.example` (any port), `code.example:8443` or `*.example.org`; empty: anything.
    std::vector<std::string> allowed_hosts;
    std::vector<Network> trusted_proxies;  ///< peers whose X-Forwarded-For is believed
    ThrottleSettings throttle;
    bool ticket_upgrades = true;  ///< a PTY upgrade with a ticket seen issued needs no credentials (browsers need it)
};

/// Whether `text` may stand in `allowed_origins` or `allowed_hosts`.
[[nodiscard]] bool is_origin_pattern(std::string_view text) noexcept;
[[nodiscard]] bool is_host_pattern(std::string_view text) noexcept;

/// Whether `text` may be an account's name: see Account::name.
[[nodiscard]] bool is_user_name(std::string_view text) noexcept;

}  // namespace ocgate::auth
