// One log line in a buffer of fixed size: built on the caller's stack, without allocation. Knows no queue and no
// descriptor.
#pragma once

#include <array>
#include <chrono>
#include <cstring>
#include <span>
#include <string_view>

#include "ocgate/ops/log.hpp"

namespace ocgate::ops {

struct LineStyle {
    LogFormat format = LogFormat::json;
    bool colour = false;  ///< ANSI colours, in the text format only
};

class Line {
public:
    /// With the newline.
    static constexpr std::size_t max_bytes = 8 * 1024;
    /// Of one value as written; a longer one ends with "…".
    static constexpr std::size_t max_value_bytes = 4 * 1024;

    /// Fields that find no room are left out, and `"truncated":true` says so.
    std::string_view build(LineStyle style, std::chrono::system_clock::time_point now, LogLevel level, LogKind kind,
                           std::string_view event, std::string_view message, std::span<LogField const> fields) noexcept;

private:
    void put(char c) noexcept { buffer_[size_++] = c; }
    // Here, so that a literal becomes a store or two.
    void put(std::string_view text) noexcept {
        std::memcpy(buffer_.data() + size_, text.data(), text.size());
        size_ += text.size();
    }
    void put_time(std::chrono::system_clock::time_point now) noexcept;
    void put_number(LogField const& field) noexcept;
    void put_escaped(std::string_view text, bool quoted, std::size_t limit) noexcept;
    void put_quoted(std::string_view text) noexcept;
    void put_json_field(std::string_view name, std::string_view value) noexcept;
    [[nodiscard]] std::size_t room() const noexcept;

    std::size_t size_ = 0;
    bool truncated_ = false;
    std::array<char, max_bytes> buffer_;
};

[[nodiscard]] std::string_view to_string(LogLevel level) noexcept;
[[nodiscard]] std::string_view to_string(LogKind kind) noexcept;

}  // namespace ocgate::ops
