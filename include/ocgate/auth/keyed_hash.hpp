// HMAC-SHA-256 under a key that lives as long as the process: what stands in memory in place of credentials and
// tickets, so that tables hold no secret and a comparison's timing tells nothing. Knows nothing of what it hashes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string_view>

struct evp_mac_ctx_st;

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

/// Not for two threads at once: each shard has its own, shared tables use theirs under their lock.
class KeyedHash {
public:
    /// Throws std::bad_alloc when OpenSSL cannot give a context.
    explicit KeyedHash(Key const& key);
    ~KeyedHash();
    KeyedHash(KeyedHash&&) noexcept;
    KeyedHash& operator=(KeyedHash&&) noexcept;

    /// The digest of the parts, each with its length, so that ("ab","c") and ("a","bc") differ. Throws std::bad_alloc.
    [[nodiscard]] Digest operator()(std::initializer_list<std::string_view> parts) const;

private:
    struct Free {
        void operator()(evp_mac_ctx_st* context) const noexcept;
    };
    std::unique_ptr<evp_mac_ctx_st, Free> context_;
};

}  // namespace ocgate::auth
