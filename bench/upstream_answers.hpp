// The stand-in's answers and events, as bytes. Most are made once; an event is made for each moment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bench {

constexpr std::string_view event_stream_head =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";

/// JSON of exactly that size, which must be at least that of its first fields.
std::string json_of(std::size_t bytes);
std::string answer(std::string_view body, std::string_view type = "application/json");
std::string chunk_of(std::string_view bytes);
std::string chunked_answer();
/// One event of an event stream, with the time it was due inside.
std::string event_of(std::int64_t at_ns);

}  // namespace bench
