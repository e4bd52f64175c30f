// The accounts of one snapshot, arranged for asking. Immutable once built: the worker's thread reads it too.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ocgate/auth/keyed_hash.hpp"
#include "ocgate/auth/settings.hpp"

namespace ocgate::auth {

class Directory {
public:
    /// All ways to log in under one name.
    struct Entry {
        std::vector<Digest> passwords;         ///< keyed digests of clear-text passwords
        std::vector<std::string_view> hashes;  ///< views into the snapshot
    };

    Directory(std::shared_ptr<Settings const> settings, KeyedHash const& hash);

    /// The entry under its name as configured, or nothing. Both live as long as the directory.
    [[nodiscard]] std::pair<std::string_view const, Entry> const* find(std::string_view name) const;

    /// Whether `password` has to be hashed before it may be called wrong: true for every name as soon as one account
    /// is kept as a hash, so that time does not tell which names exist.
    [[nodiscard]] bool hashes() const noexcept { return !usual_hash_.empty(); }

    /// Hashes (slow). A name without hashes costs one of the usual kind and is false.
    [[nodiscard]] bool hash_matches(std::string_view name, std::string_view password) const;

    /// A hash of the kind and cost that most accounts have; empty when none has one.
    [[nodiscard]] std::string_view usual_hash() const noexcept { return usual_hash_; }

private:
    std::shared_ptr<Settings const> settings_;
    std::unordered_map<std::string_view, Entry> entries_;
    std::string_view usual_hash_;
};

/// The digest by which clear-text passwords are compared.
[[nodiscard]] Digest password_digest(KeyedHash const& hash, std::string_view password);

}  // namespace ocgate::auth
