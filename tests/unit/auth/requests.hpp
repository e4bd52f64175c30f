// Requests as the gateway's own parser reads them, from a line and some fields.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "ocgate/wire/head.hpp"

namespace ocgate::test {

inline constexpr std::string_view websocket =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/// Owns the bytes that its head looks into.
class Request {
public:
    /// `line` as `GET /path`; `fields` as `Name: value`. Host is `code.example` unless a field says otherwise.
    explicit Request(std::string_view line, std::initializer_list<std::string_view> fields = {}) {
        text_->append(line).append(" HTTP/1.1\r\n");
        bool host = false;
        for (auto const field : fields) host = host || field.starts_with("Host:");
        if (!host) text_->append("Host: code.example\r\n");
        for (auto const field : fields) text_->append(field).append("\r\n");
        text_->append("\r\n");
        std::size_t seen = 0;
        auto const parsed = wire::parse_request_head(*text_, {.head_bytes = 64 * 1024}, seen, *head_);
        EXPECT_TRUE(parsed && *parsed == wire::Progress::complete) << *text_;
    }

    [[nodiscard]] wire::RequestHead const& head() const { return *head_; }

private:
    std::unique_ptr<std::string> text_ = std::make_unique<std::string>();
    std::unique_ptr<wire::RequestHead> head_ = std::make_unique<wire::RequestHead>();
};

}  // namespace ocgate::test
