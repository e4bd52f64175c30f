// One connection to the soak's upstream: what it is doing, and what still has to be sent to it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "message.hpp"
#include "net.hpp"
#include "pattern.hpp"

namespace soak {

/// What is still to be sent, made as it is taken.
struct Source {
    enum class Wrap { plain, chunks, frames, events };

    std::string next() {
        if (wrap == Wrap::events) return chunk_of(event_of(at++, true));
        auto const n = std::min<std::uint64_t>(left, wrap == Wrap::plain ? most_at_once : piece);
        std::string_view const part = pattern(at, n);
        at += n;
        left -= n;
        std::string text;
        if (wrap == Wrap::frames) text = bench::frame_head(n, false).append(part);
        if (wrap == Wrap::chunks) text = chunk_of(part);
        if (wrap == Wrap::plain) text = part;
        if (left == 0 && wrap == Wrap::chunks) text += "0\r\n\r\n";
        if (left == 0 && wrap == Wrap::frames) text.append("\x88\x00", 2);  // Close, without a reason
        return text;
    }

    Wrap wrap = Wrap::plain;
    std::uint64_t at = 0, left = 0;  // of the pattern; of events: the next one's number
    std::size_t piece = 0;
    std::int64_t period_ns = 0;  // one piece in each; 0: as fast as they are taken
};

inline std::string answer(std::string_view status, std::string_view body) {
    return std::string("HTTP/1.1 ").append(status) +
           "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           std::string(body);
}

struct Client {
    enum class Doing { requests, taking, waiting, stream, echo, sink, relayed, backend };

    bench::Fd fd;
    Doing doing = Doing::requests;
    std::string in;   // what came and could not be used yet
    std::string out;  // what the socket would not take
    Source source;
    bool watches_writable = false;
    bool close_when_written = false, reset_when_written = false;
    Content content;
    std::uint64_t expected = 0, taken = 0, wanted = 0;  // of an upload
    bool right = true;
    std::int64_t due = 0;  // of what waits for a time
    int partner = -1;      // the other end of what is relayed
    std::size_t relay_left = 0;
    bool relays_stream = false;
};

}  // namespace soak
