// What the stand-in for opencode sends, as bytes, and what the load therefore expects: one place says both. Most is
// made once; an event is made for each moment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bench {

constexpr std::size_t small_bytes = 300, large_bytes = 20480, chunked_bytes = 8192, huge_bytes = 10'000'000;

constexpr std::string_view event_stream_head =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";
/// How every event stream begins.
constexpr std::string_view first_event = "data: {\"type\":\"server.connected\",\"properties\":{}}\n\n";

/// JSON of exactly that size, which must be at least that of its first fields.
std::string json_of(std::size_t bytes);
std::string answer(std::string_view body, std::string_view type = "application/json");
/// What a POST is answered with.
std::string received_json(std::int64_t bytes);
std::string chunk_of(std::string_view bytes);
std::string chunked_answer();

/// Payload of the frame that says an upload has arrived.
constexpr std::string_view sink_thanks = "done";

constexpr std::size_t event_number_digits = 10;
constexpr std::string_view event_number_field = R"("number":")";
/// One event of an event stream: how many of its kind came before it, and the time it was due.
std::string event_of(std::int64_t at_ns, std::uint64_t number);
/// What opencode says most often on /global/event: a word of a model.
std::string tap_event();

/// What is sent again and again: bodies of uploads and of 10 MB answers, and whole frames or events to flood with.
std::string block_of(std::string_view unit);
std::string flood_frame(std::size_t payload_bytes);
std::string upload_frame(std::size_t payload_bytes);
std::string flood_event();

}  // namespace bench
