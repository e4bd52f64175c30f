// Texts that many share: each is held once, and all together take a bounded number of bytes. Private to opencode.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace ocgate::opencode {

/// `About`: what is known of a text, beside it.
template <class About>
class Pool {
    struct Entry {
        std::size_t users = 0;
        About about{};
    };
    using Map = std::map<std::string, Entry, std::less<>>;

public:
    /// Holds a text, or none; not for longer than the pool lives.
    class Text {
    public:
        Text() = default;
        Text(Text const& other) noexcept : Text(other.pool_, other.entry_) {}
        Text(Text&& other) noexcept
            : pool_(std::exchange(other.pool_, nullptr)), entry_(std::exchange(other.entry_, nullptr)) {}
        Text& operator=(Text other) noexcept {
            std::swap(pool_, other.pool_);
            std::swap(entry_, other.entry_);
            return *this;
        }
        ~Text() {
            if (entry_ && --entry_->second.users == 0) pool_->drop(*entry_);
        }
        [[nodiscard]] std::string const& text() const noexcept {
            static std::string const none;
            return entry_ ? entry_->first : none;
        }
        [[nodiscard]] bool empty() const noexcept { return !entry_; }
        [[nodiscard]] About* about() const noexcept { return entry_ ? &entry_->second.about : nullptr; }

    private:
        friend Pool;
        Text(Pool* pool, typename Map::value_type* entry) noexcept : pool_(pool), entry_(entry) {
            if (entry_) ++entry_->second.users;
        }
        Pool* pool_ = nullptr;
        typename Map::value_type* entry_ = nullptr;
    };

    explicit Pool(std::size_t max_bytes) : max_bytes_(max_bytes) {}
    Pool(Pool const&) = delete;
    Pool& operator=(Pool const&) = delete;

    /// None when there is no room for it.
    Text keep(std::string_view text) {
        if (text.empty()) return {};
        auto found = map_.find(text);
        if (found == map_.end()) {
            if (size_of(text) > max_bytes_ - bytes_) return {};
            found = map_.try_emplace(std::string(text)).first;
            bytes_ += size_of(text);
        }
        return Text(this, &*found);
    }
    [[nodiscard]] About* find(std::string_view text) {
        auto const found = map_.find(text);
        return found == map_.end() ? nullptr : &found->second.about;
    }
    /// In the order of the texts.
    template <class Visit>
    void each(Visit const& visit) const {
        for (auto const& [text, entry] : map_) visit(text, entry.about);
    }

private:
    static std::size_t size_of(std::string_view text) noexcept {
        constexpr std::size_t links = 32;  // of a node in the map
        return sizeof(typename Map::value_type) + links + text.size() + 1;
    }
    void drop(typename Map::value_type const& entry) noexcept {
        bytes_ -= size_of(entry.first);
        map_.erase(map_.find(entry.first));
    }

    std::size_t const max_bytes_;
    std::size_t bytes_ = 0;
    Map map_;
};

}  // namespace ocgate::opencode
