// The messages that the scenarios exchange, and how their parts are told apart.
#pragma once

#include <gmock/gmock.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "support/scenario.hpp"

namespace ocgate::test {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

inline std::string get(std::string_view target, std::string_view fields = {}) {
    return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}

inline std::string post(std::string_view target, std::string_view content, std::string_view fields = {}) {
    return "POST " + std::string(target) + " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(content.size()) +
           "\r\n" + std::string(fields) + "\r\n" + std::string(content);
}

inline std::string ok(std::string_view content, std::string_view fields = {}) {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(content.size()) + "\r\n" + std::string(fields) +
           "\r\n" + std::string(content);
}

inline std::string chunk(std::string_view content) {
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", content.size());
    return size + std::string(content) + "\r\n";
}
inline constexpr std::string_view last_chunk = "0\r\n\r\n";

inline constexpr std::string_view chunked_head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
inline constexpr std::string_view stream_head =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The value of the first field of that name, or "".
inline std::string field(std::string_view message, std::string_view name) {
    auto const line = "\r\n" + std::string(name) + ": ";
    auto const at = message.find(line);
    if (at == std::string_view::npos) return {};
    auto const from = at + line.size();
    return std::string(message.substr(from, message.find("\r\n", from) - from));
}

/// What follows the head.
inline std::string body(std::string_view message) {
    auto const at = message.find("\r\n\r\n");
    return at == std::string_view::npos ? "" : std::string(message.substr(at + 4));
}

/// The content of chunks; `whole` says whether the last chunk was there.
inline std::string unchunked(std::string_view chunks, bool* whole = nullptr) {
    std::string content;
    if (whole) *whole = false;
    for (;;) {
        auto const line = chunks.find("\r\n");
        if (line == std::string_view::npos) return content;
        auto const size = std::stoull(std::string(chunks.substr(0, line)), nullptr, 16);
        chunks.remove_prefix(line + 2);
        if (size == 0) {
            if (whole) *whole = chunks == "\r\n";
            return content;
        }
        content += chunks.substr(0, size);
        if (chunks.size() < size + 2) return content;
        EXPECT_EQ(chunks.substr(size, 2), "\r\n");
        chunks.remove_prefix(size + 2);
    }
}

/// Content that shows when a piece is missing, twice there or out of place.
inline std::string pattern(std::size_t bytes) {
    std::string text;
    text.reserve(bytes + 16);
    for (std::size_t i = 0; text.size() < bytes; ++i) text += std::to_string(i) + ' ';
    text.resize(bytes);
    return text;
}

}  // namespace ocgate::test
