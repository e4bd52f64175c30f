// What must come back. A proxy that is fast because it loses, mixes or changes bytes fails the run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>

namespace bench {

/// Bytes known in advance: `first`, then `block` again and again, `total` in all.
class Expected {
public:
    static constexpr std::size_t endless = std::numeric_limits<std::size_t>::max();

    Expected(std::string first, std::string block, std::size_t total);
    /// The body of the answer to that request to the bench's upstream; throws when there is none it knows of.
    static Expected answer_to(std::string_view method, std::string_view path, std::size_t body_bytes);

    /// Throws unless `bytes` are what comes at `at`, which moves on.
    void check(std::size_t& at, std::string_view bytes) const;
    /// Throws unless `at` is the end.
    void check_end(std::size_t at) const;

private:
    std::string first_, block_;
    std::size_t total_;
};

/// Reads one subscriber's event stream: every event must be whole, and the next one after the last.
class EventCheck {
public:
    /// Calls `on_event(due)` for each event after the first, whatever way the bytes were cut.
    void feed(std::string_view bytes, std::function<void(std::int64_t)> const& on_event);

private:
    bool greeted_ = false;
    std::size_t at_ = 0;  // in the first event, then in the present one
    std::uint64_t number_ = 0, last_number_ = 0;
    bool has_last_ = false;
    std::int64_t due_ = 0;
};

}  // namespace bench
