// Ids of what is over, or will be told of again. Private to opencode.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace ocgate::opencode {

/// The last `max` ids of something, and what is to be known of each: mostly why it is remembered.
template <class What>
class Remembered {
public:
    explicit Remembered(std::size_t max) : max_(max) {}

    /// What was forgotten to make room, if anything was.
    std::optional<std::string> add(std::string const& id, What what) {
        auto const [entry, fresh] = known_.insert_or_assign(id, std::move(what));
        if (!fresh) return {};
        order_.push_back(id);
        if (order_.size() <= max_) return {};
        // Ids that were forgotten may stand in the order still, or stand there twice; that only makes it end earlier.
        auto forgotten = std::move(order_.front());
        order_.pop_front();
        known_.erase(forgotten);
        return forgotten;
    }
    void forget(std::string const& id) { known_.erase(id); }
    [[nodiscard]] What const* find(std::string_view id) const {
        auto const found = known_.find(id);
        return found == known_.end() ? nullptr : &found->second;
    }

private:
    std::size_t max_;
    std::map<std::string, What, std::less<>> known_;
    std::deque<std::string> order_;
};

}  // namespace ocgate::opencode
