// Heads as tests want them: parsed from text that is given whole or in pieces.
#pragma once

#include <gmock/gmock.h>

#include <string>
#include <string_view>

#include "told.hpp"

namespace ocgate::wire {

/// A request head and the text its views point into.
struct OwnRequest {
    explicit OwnRequest(std::string_view bytes, HeadLimits const& limits = {}) : text(bytes) {
        std::size_t seen = 0;
        result = word(parse_request_head(text, limits, seen, head));
    }
    OwnRequest(OwnRequest const&) = delete;
    OwnRequest& operator=(OwnRequest const&) = delete;

    std::string text;
    RequestHead head;
    std::string result;
};

struct OwnResponse {
    explicit OwnResponse(std::string_view bytes, std::string_view method = "GET", HeadLimits const& limits = {})
        : text(bytes) {
        std::size_t seen = 0;
        result = word(parse_response_head(text, limits, seen, method, head));
    }
    OwnResponse(OwnResponse const&) = delete;
    OwnResponse& operator=(OwnResponse const&) = delete;

    std::string text;
    ResponseHead head;
    std::string result;
};

/// A request with these field lines after a good Host.
inline std::string get_with(std::string_view fields) {
    return "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}
inline std::string ok_with(std::string_view fields) { return "HTTP/1.1 200 OK\r\n" + std::string(fields) + "\r\n"; }

}  // namespace ocgate::wire
