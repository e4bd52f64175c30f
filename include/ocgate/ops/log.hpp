// One line per thing worth knowing, as JSON or for a terminal. Lines leave by a thread of their own through a bounded
// queue: a slow reader of the log slows nobody, and what is dropped for it is counted. Lines of requests are written
// within 10 ms, several together; others at once.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace ocgate::ops {

enum class LogFormat : std::uint8_t { json, text };
enum class LogLevel : std::uint8_t { debug, info, warn, error, off };
enum class LogKind : std::uint8_t { app, access, auth, notify, audit };

struct LogOptions {
    LogFormat format = LogFormat::json;
    LogLevel level = LogLevel::info;
    bool access = true;  ///< one line per request
    double sample = 1;   ///< share of the requests that are ordinary which have one, 0 to 1
};

/// Views live for the call.
struct LogField {
    std::string_view name;
    std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool> value;
};

/// Any thread. Never blocks and never throws. Secrets have no way in: nothing that holds one converts to a LogField.
class Log {
public:
    /// Lines that wait for the reader; when there is no more room, the older half is dropped. As much again may be on
    /// its way out.
    static constexpr std::size_t max_queued_bytes = 4 * 1024 * 1024;

    /// Writes to standard output, or to `descriptor` (not closed).
    explicit Log(LogOptions const& options, int descriptor = 1);
    ~Log();
    Log(Log const&) = delete;
    Log& operator=(Log const&) = delete;

    /// Writes what is queued, bounded by a second; what the reader has not taken by then is lost, and so are later
    /// lines: other threads may still write some. Once; the destructor does it where nobody has.
    void close();

    [[nodiscard]] bool wants(LogLevel level) const noexcept;
    [[nodiscard]] bool wants_access() const noexcept;
    /// Whether an ordinary request is among those that have a line. It follows from the id alone, so wherever else the
    /// id is known, the same requests are.
    [[nodiscard]] bool samples(std::string_view request_id) const noexcept;
    /// Holds for the lines that follow.
    void adopt(LogOptions const& options) noexcept;

    /// JSON: `{"time":"2026-11-24T09:12:33.123Z","level":"info","kind":"app","event":"listening","message":…,fields…}`.
    /// Control characters are escaped, invalid UTF-8 becomes U+FFFD. A line is at most 8 KiB: a value longer than 4 KiB
    /// is cut with "…", fields that find no room are left out and `"truncated":true` says so. An empty message is left
    /// out. Names and events are literals of ours and are not escaped.
    void write(LogLevel level, LogKind kind, std::string_view event, std::string_view message,
               std::span<LogField const> fields) noexcept;
    void app(LogLevel level, std::string_view event, std::string_view message,
             std::initializer_list<LogField> fields = {}) noexcept {
        write(level, LogKind::app, event, message, {fields.begin(), fields.size()});
    }

    /// At every level but `off`: for a line that programs wait for, such as where we listen. Its level is `info`.
    void announce(std::string_view event, std::initializer_list<LogField> fields) noexcept;

    /// The same, of kind `audit`. False: nothing is written, the level is `off`.
    bool audit(std::string_view event, std::span<LogField const> fields) noexcept;

    /// Lines that found the queue full or could not be written.
    [[nodiscard]] std::uint64_t dropped() const noexcept;

private:
    void put(LogLevel level, LogKind kind, std::string_view event, std::string_view message,
             std::span<LogField const> fields) noexcept;

    struct Inside;
    std::unique_ptr<Inside> inside_;
};

}  // namespace ocgate::ops
