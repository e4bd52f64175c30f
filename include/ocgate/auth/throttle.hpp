// Slows down guessing: failed logins are counted, and past a limit answered without being judged. Shared by all
// shards; does its own locking. Time is handed in. Holds keyed hashes only, no names and no passwords.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "ocgate/auth/keyed_hash.hpp"
#include "ocgate/auth/settings.hpp"
#include "ocgate/rt/types.hpp"

namespace ocgate::auth {

/// Counts, in a sliding window, per (client address, user) and per client address over all users: the second stops a
/// guesser who changes the name with every guess. The same wrong password again is no further guess: `opencode attach`
/// asks ten times at once before it gives up, and a program with an old password goes on asking. IPv6 addresses are
/// taken by their /64, what one subscriber holds. Loopback and `unix` are never counted nor throttled, unless they
/// relay for others: whoever is there needs no guessing, and every local program shares the address. Who has logged in
/// from an address before is let through to be judged whatever others there do.
///
/// Memory: three tables of at most `entries`; the least recently used entry is forgotten when one is full. An entry
/// takes at most 24 bytes per failure of a pair's limit, 8 of an address's, and about 150 bytes besides: no more than
/// 7 MB with the defaults.
class Throttle {
public:
    Throttle(ThrottleSettings const& settings, Key const& key);
    ~Throttle();

    /// Takes new limits; counts stand.
    void adopt(ThrottleSettings const& settings);

    /// Where an attempt comes from; a view, for the call.
    struct Source {
        template <class Text>
        requires std::convertible_to<Text const&, std::string_view>
        // NOLINTNEXTLINE(google-explicit-constructor): an address is a source
        Source(Text const& text, bool relays = false) : address(text), relayed(relays) {}

        std::string_view address;
        bool relayed;  ///< the address is a forwarder's, which speaks for anybody: loopback and `unix` are counted too
    };

    /// How long until another attempt will be judged, rounded up to seconds; 0: now. Counts nothing.
    [[nodiscard]] std::chrono::seconds blocked(Source source, std::string_view user, std::string_view password,
                                               rt::Instant now);

    struct Attempt {
        std::chrono::seconds wait{0};  ///< 0: judge it
        bool counted = false;          ///< as failed, until `passed` or `withdrawn`
        bool repeated = false;         ///< this password is counted already
        bool wrong = false;            ///< and was judged by the accounts that hold
        rt::Instant when{};
    };

    /// The same, and when nothing blocks it the attempt counts as failed from now on, so that guesses under way at the
    /// same time cannot outrun the count. One that is let through past a limit is not counted: nobody guesses what has
    /// been right before. `accounts`: a number of the accounts it will be judged by, not 0.
    [[nodiscard]] Attempt attempt(Source source, std::string_view user, std::string_view password, rt::Instant now,
                                  std::uint64_t accounts = 1);

    /// The attempt was right: it is taken back, and this login is remembered for this address.
    void passed(Source source, std::string_view user, std::string_view password, Attempt const& attempt);

    /// The attempt was judged wrong, which took a hash: the same again need not be judged while these accounts hold. A
    /// password that was right once is let through no more.
    void wrong(Source source, std::string_view user, std::string_view password, Attempt const& attempt,
               std::uint64_t accounts);

    /// The attempt was never judged (the hashing queue was full): it is taken back.
    void withdrawn(Source source, std::string_view user, Attempt const& attempt);

    /// How many pairs and addresses are throttled now, of those that were seen last: `most_looked_at` of each kind. For
    /// a gauge; others wait meanwhile, for some 0.1 ms with full tables.
    [[nodiscard]] std::size_t locked(rt::Instant now) const;
    static constexpr std::size_t most_looked_at = 4096;

    /// Entries in use, for tests: pairs, addresses, logins remembered.
    struct Sizes {
        std::size_t pairs, addresses, passes;
    };
    [[nodiscard]] Sizes sizes() const;

private:
    struct Tables;
    std::unique_ptr<Tables> tables_;
};

}  // namespace ocgate::auth
