// HMAC-SHA-256 under a key that lives as long as the process: what stands in memory in place of credentials and
// tickets, so that tables hold no secret and a comparison's timing tells nothing. Knows nothing of what it hashes.
#pragma once

#include <openssl/sha.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string_view>

namespace ocgate::auth {

/// 32 random bytes, drawn once per process by whoever wires the house.
using Key = std::array<std::uint8_t, 32>;

using Digest = std::array<std::uint8_t, 32>;

/// For unordered tables: a keyed digest is uniform already.
struct DigestHash {
    std::size_t operator()(Digest const& digest) const noexcept {
        std::size_t value = 0;
        std::memcpy(&value, digest.data(), sizeof value);
        return value;
    }
};

/// Equal in time that does not depend on where they differ.
[[nodiscard]] bool same_digest(Digest const& a, Digest const& b) noexcept;

/// Computed with every request, so it allocates nothing.
class KeyedHash {
public:
    explicit KeyedHash(Key const& key) noexcept;
    ~KeyedHash();
    KeyedHash(KeyedHash const&) = default;
    KeyedHash& operator=(KeyedHash const&) = default;

    /// The digest of the parts, each with its length, so that ("ab","c") and ("a","bc") differ.
    [[nodiscard]] Digest operator()(std::initializer_list<std::string_view> parts) const noexcept;

private:
    SHA256_CTX inner_;  ///< after the key's first block (RFC 2104 §2)
    SHA256_CTX outer_;
};

}  // namespace ocgate::auth
