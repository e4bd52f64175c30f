// Cuts an event stream into events. Knows the framing only (WHATWG HTML, "Parsing an event stream"), not what is said.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace ocgate::opencode {

/// Calls `on_event` from inside `feed` for each event that has data, whatever the split of the bytes. `event`, `id` and
/// `retry` fields and comments are passed over: opencode sends none. Holds at most `max_event_bytes` of content; of a
/// longer event (one of 22 MB was seen) it keeps the first `kept_of_long` and counts the rest. An event that is whole
/// in one piece of the input is not copied.
class EventCutter {
public:
    struct Cut {
        std::string_view data;    ///< good during the call only
        std::uint64_t bytes = 0;  ///< of the whole data, kept or not
        bool whole = true;        ///< false: `data` is only its beginning
    };
    using OnEvent = std::function<void(Cut const&)>;

    static constexpr std::size_t usual_max_event_bytes = std::size_t{1} << 20;
    static constexpr std::size_t usual_kept_of_long = 4096;

    explicit EventCutter(OnEvent on_event, std::size_t max_event_bytes = usual_max_event_bytes,
                         std::size_t kept_of_long = usual_kept_of_long);

    /// Not from inside `on_event`. What `on_event` throws comes out; the event it was told is over nevertheless, and
    /// the rest of `bytes` is lost: `reset` and start a new stream.
    void feed(std::string_view bytes);
    /// A new stream begins; what was begun is forgotten.
    void reset() noexcept;

private:
    enum class In : std::uint8_t { name, value_start, value, other };

    std::size_t take_start(std::string_view bytes) noexcept;
    std::size_t take_name(char c);
    std::size_t take_value(std::string_view bytes);
    void end_line(char end);
    void begin_data_line();
    void append(std::string_view bytes);
    void end_event();

    OnEvent on_event_;
    std::size_t max_bytes_;
    std::size_t kept_;
    std::string held_;         ///< data of the event so far
    std::uint64_t bytes_ = 0;  ///< of that data, held or not
    std::uint64_t lines_ = 0;  ///< `data` lines of the event so far
    In in_ = In::name;
    std::uint8_t name_bytes_ = 0;  ///< of "data", as far as this line has matched it
    std::uint8_t bom_bytes_ = 0;   ///< of a byte order mark in front of the stream
    bool at_stream_start_ = true;
    bool after_cr_ = false;  ///< an LF now belongs to the CR before it
    bool long_ = false;
};

}  // namespace ocgate::opencode
