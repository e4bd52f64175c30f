// One-time tickets that the gateway saw the upstream issue: the proof with which a browser opens a terminal's
// WebSocket without credentials. Shared by all shards; does its own locking. Time is handed in.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ocgate/auth/keyed_hash.hpp"
#include "ocgate/rt/types.hpp"

namespace ocgate::auth {

/// Holds keyed hashes of (PTY, ticket), each good once and for `lifetime`. At most `capacity`: the oldest is dropped
/// for a new one. Longer texts than `max_text_bytes` are neither stored nor found.
class Tickets {
public:
    static constexpr std::size_t capacity = 1024;
    static constexpr std::size_t max_text_bytes = 256;
    static constexpr std::chrono::seconds lifetime{60};  // opencode 1.18.33, `expires_in`

    explicit Tickets(Key const& key);
    ~Tickets();

    /// `user`: whom it was issued to.
    void issued(std::string_view pty_id, std::string_view ticket, rt::Instant now, std::string_view user = {});

    /// That user, once per ticket, within its lifetime, for the PTY it was issued for. A wrong PTY does not use it up.
    [[nodiscard]] std::optional<std::string> redeem(std::string_view pty_id, std::string_view ticket, rt::Instant now);

    [[nodiscard]] std::size_t size() const;

private:
    struct Table;
    std::unique_ptr<Table> table_;
};

/// The value of a query parameter, decoded as a form (`+` is a space, %XX once). Nothing when it is missing, empty, or
/// present twice in any spelling of its name (`ticket=&%74icket=x`): the upstream looks at the first value only and
/// waives its check when that is empty (opencode 1.18.33), so what two readers could read differently is refused.
[[nodiscard]] std::optional<std::string> sole_query_value(std::string_view target, std::string_view name);

}  // namespace ocgate::auth
