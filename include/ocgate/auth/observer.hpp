// How admission tells what it decided: metrics and the auth log are somebody else's.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace ocgate::auth {

/// A closed set: also a metric label. An unknown user and a wrong password are one value on purpose: whoever reads
/// the metrics should not learn which names exist.
enum class AuthResult : std::uint8_t {
    admitted,     ///< credentials, remembered or judged
    ticket,       ///< a one-time ticket seen issued
    exempt,       ///< a public asset or a CORS preflight
    missing,      ///< no Authorization
    malformed,    ///< Authorization twice, of another scheme or not readable as Basic
    wrong,        ///< no account of that name has that password
    throttled,    ///< not judged: too many failures from there
    queue_full,   ///< not judged: too many passwords wait to be hashed
    cross_site,   ///< a foreign page's request
    misdirected,  ///< a Host that is not ours
};

inline constexpr std::array all_auth_results{
    AuthResult::admitted,   AuthResult::ticket,      AuthResult::exempt,    AuthResult::missing,
    AuthResult::malformed,  AuthResult::wrong,       AuthResult::throttled, AuthResult::queue_full,
    AuthResult::cross_site, AuthResult::misdirected,
};

[[nodiscard]] std::string_view to_string(AuthResult result) noexcept;

/// Called once per decision, on the thread of the shard that took it: one object for several shards locks by itself.
class AuthObserver {
public:
    virtual ~AuthObserver() = default;

    /// `user` is the name of an existing account, or empty: an unknown name may be a password typed into the wrong
    /// field and is never handed on. Views live for the call.
    virtual void decided(AuthResult result, std::string_view client_address, std::string_view user,
                         std::string_view request_id) noexcept = 0;

    /// A password is about to be judged for a peer that says it forwards for others, and for whom is not known: it is
    /// no trusted proxy, or it is `trusted` and no address can be read from what it says. All who come through it count
    /// as one. Called for each of them; anybody can claim to forward.
    virtual void hidden_by_forwarder(std::string_view peer, bool trusted) noexcept = 0;
};

}  // namespace ocgate::auth
