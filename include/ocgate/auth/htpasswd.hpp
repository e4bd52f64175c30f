// Passwords that are kept as hashes: reading htpasswd files, checking a password, making a hash. Hashing takes up to
// some hundred milliseconds on purpose: call `verify_hash` and `hash_password` off the shards. Opens no file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ocgate/auth/settings.hpp"

namespace ocgate::auth {

inline constexpr std::size_t max_htpasswd_bytes = 1024 * 1024;
inline constexpr std::size_t max_htpasswd_line_bytes = 4096;
inline constexpr std::size_t max_htpasswd_entries = 10'000;
/// Reading stops after so many errors.
inline constexpr std::size_t max_htpasswd_errors = 100;

/// Above these a hash is refused when it is read: one login must not hold the worker for longer than a few seconds
/// nor take hundreds of megabytes.
inline constexpr unsigned max_bcrypt_cost = 15;
inline constexpr unsigned max_sha_crypt_rounds = 1'000'000;
inline constexpr unsigned max_yescrypt_cost = 8;  ///< 128 MiB; libcrypt's default is 5

struct HtpasswdError {
    std::size_t line;     ///< from 1; 0: the file as a whole
    std::string message;  ///< what was expected and the remedy; never any of the file's content
};

struct Htpasswd {
    std::vector<Account> accounts;  ///< of use only when there is no error
    std::vector<HtpasswdError> errors;
};

/// Reads `name:hash` lines. Empty lines and those starting with `#` are skipped, a UTF-8 byte order mark and CR LF
/// are tolerated, fields after the hash are ignored as Apache and nginx do. `source` begins each account's `source`.
[[nodiscard]] Htpasswd parse_htpasswd(std::string_view text, std::string_view source = "htpasswd");

/// What is wrong with `hash`, for people and without any of it; empty when it can be used. Taken are bcrypt
/// ($2a$ $2b$ $2y$), $apr1$, {SHA}, sha256-crypt ($5$), sha512-crypt ($6$) and yescrypt ($y$).
[[nodiscard]] std::string hash_problem(std::string_view hash);

/// Whether `text` starts like one of the hashes above: a likely mistake where a clear-text password is expected.
[[nodiscard]] bool looks_like_hash(std::string_view text) noexcept;

/// Whether `hash` was made of `password`; false for a hash that `hash_problem` objects to. Compares in constant time.
/// bcrypt looks at the first 72 bytes only, as everywhere. Throws std::bad_alloc where there is no memory to tell, of
/// which yescrypt takes up to 128 MiB.
[[nodiscard]] bool verify_hash(std::string_view hash, std::string_view password);

inline constexpr unsigned default_bcrypt_cost = 12;

/// A bcrypt hash ($2y$) of `password`; `random` makes the salt. Throws std::invalid_argument, with a message for
/// people, when the password is empty, longer than the 72 bytes that bcrypt reads, not UTF-8 or holds control
/// characters (a Basic client could never send it), or when cost is not in 4..max_bcrypt_cost.
[[nodiscard]] std::string hash_password(std::string_view password, unsigned cost,
                                        std::array<std::uint8_t, 16> const& random);

}  // namespace ocgate::auth
