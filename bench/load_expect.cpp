#include "load_expect.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "net.hpp"
#include "shared_answers.hpp"

namespace bench {
namespace {

/// Where in an event the digits stand that differ from event to event.
struct EventLayout {
    std::string text = event_of(0, 0);
    std::size_t number = text.find(event_number_field) + event_number_field.size();
    std::size_t stamp = text.find(stamp_mark) + 1;
};

EventLayout const& layout() {
    static EventLayout const known;
    return known;
}

}  // namespace

Expected::Expected(std::string first, std::string block, std::size_t total)
    : first_(std::move(first)), block_(std::move(block)), total_(total) {}

Expected Expected::answer_to(std::string_view method, std::string_view path, std::size_t body_bytes) {
    auto const once = [](std::string text) {
        auto const bytes = text.size();
        return Expected("", std::move(text), bytes);
    };
    if (method == "POST") return once(received_json(static_cast<std::int64_t>(body_bytes)));
    if (path == "/session") return once(json_of(small_bytes));
    if (path == "/20k") return once(json_of(large_bytes));
    if (path == "/chunked") return once(json_of(chunked_bytes));
    if (path == "/10m") return {"", block_of("x"), huge_bytes};
    throw std::invalid_argument("what is the answer to " + std::string(path) + "? (--unchecked 1: whatever comes)");
}

void Expected::check(std::size_t& at, std::string_view bytes) const {
    if (bytes.size() > total_ - at) throw std::runtime_error("more bytes than were sent");
    while (!bytes.empty()) {
        bool const begins = at < first_.size();
        std::string_view const source = begins ? std::string_view(first_).substr(at)
                                               : std::string_view(block_).substr((at - first_.size()) % block_.size());
        std::size_t const n = std::min(source.size(), bytes.size());
        if (source.substr(0, n) != bytes.substr(0, n))
            throw std::runtime_error("wrong bytes, from " + std::to_string(at) + " on");
        bytes.remove_prefix(n);
        at += n;
    }
}

void Expected::check_end(std::size_t at) const {
    if (at != total_)
        throw std::runtime_error("expected " + std::to_string(total_) + " bytes, got " + std::to_string(at));
}

void EventCheck::feed(std::string_view bytes, std::function<void(std::int64_t)> const& on_event) {
    EventLayout const& event = layout();
    while (!bytes.empty()) {
        std::string_view const text = greeted_ ? std::string_view(event.text) : first_event;
        bool const in_number = greeted_ && at_ >= event.number && at_ < event.number + event_number_digits;
        bool const in_stamp = greeted_ && at_ >= event.stamp && at_ < event.stamp + stamp_digits;
        if (in_number || in_stamp) {
            char const c = bytes.front();
            if (c < '0' || c > '9') throw std::runtime_error("an event with a broken number");
            if (in_number) number_ = number_ * 10 + static_cast<std::uint64_t>(c - '0');
            if (in_stamp) due_ = due_ * 10 + (c - '0');
            bytes.remove_prefix(1);
            ++at_;
            continue;
        }
        std::size_t const until = !greeted_ || at_ >= event.stamp ? text.size()
                                  : at_ >= event.number           ? event.stamp
                                                                  : event.number;
        std::size_t const n = std::min(until - at_, bytes.size());
        if (text.substr(at_, n) != bytes.substr(0, n)) throw std::runtime_error("an event that was not sent so");
        bytes.remove_prefix(n);
        at_ += n;
        if (at_ < text.size()) continue;
        at_ = 0;
        if (std::exchange(greeted_, true)) {
            if (std::exchange(has_last_, true) && number_ != last_number_ + 1)
                throw std::runtime_error("event " + std::to_string(number_) + " after " + std::to_string(last_number_));
            last_number_ = number_;
            on_event(due_);
        }
        number_ = 0;
        due_ = 0;
    }
}

}  // namespace bench
