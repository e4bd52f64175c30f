// A table of keyed digests with a bound: the least recently used entry makes room. Not locked.
#pragma once

#include <cstddef>
#include <list>
#include <unordered_map>
#include <utility>

#include "ocgate/auth/keyed_hash.hpp"

namespace ocgate::auth {

template <class Value>
class BoundedTable {
public:
    explicit BoundedTable(std::size_t capacity) : capacity_(capacity) {}

    /// The value, which counts as used now; nullptr when there is none. Valid until the next `put`.
    [[nodiscard]] Value* find(Digest const& key) {
        auto const found = index_.find(key);
        if (found == index_.end()) return nullptr;
        entries_.splice(entries_.begin(), entries_, found->second);
        return &found->second->second;
    }

    /// Adds or replaces. A capacity of 0 keeps one entry all the same.
    Value& put(Digest const& key, Value value) {
        if (Value* known = find(key)) return *known = std::move(value);
        while (!entries_.empty() && entries_.size() >= capacity_) {
            index_.erase(entries_.back().first);
            entries_.pop_back();
        }
        entries_.emplace_front(key, std::move(value));
        index_.emplace(key, entries_.begin());
        return entries_.front().second;
    }

    /// How many of the `most` that were used last are so. Does not count as a use.
    template <class Predicate>
    [[nodiscard]] std::size_t count_recent(std::size_t most, Predicate is_so) const {
        std::size_t n = 0;
        for (auto it = entries_.begin(); it != entries_.end() && most > 0; ++it, --most) n += is_so(it->second) ? 1 : 0;
        return n;
    }

    void erase(Digest const& key) {
        auto const found = index_.find(key);
        if (found == index_.end()) return;
        entries_.erase(found->second);
        index_.erase(found);
    }

    /// A smaller one takes effect with the next `put`.
    void set_capacity(std::size_t capacity) noexcept { capacity_ = capacity; }

    void clear() noexcept {
        index_.clear();
        entries_.clear();
    }

    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

private:
    std::size_t capacity_;
    std::list<std::pair<Digest, Value>> entries_;  ///< most recently used first
    std::unordered_map<Digest, typename std::list<std::pair<Digest, Value>>::iterator, DigestHash> index_;
};

}  // namespace ocgate::auth
