// What requests and responses have in common: how a head grows to its end, the field lines, and what the fields that
// decide about framing and the connection said. Private to wire.
#pragma once

#include "ocgate/wire/head.hpp"

namespace ocgate::wire {

inline constexpr std::size_t max_method_bytes = 32;
inline constexpr unsigned max_connection_options = 32;

/// A field of which there may be one.
struct Once {
    std::string_view value;
    unsigned count = 0;

    void note(std::string_view v) noexcept {
        if (count++ == 0) value = v;
    }
};

/// Gathered while the fields pass; judged when all of them are there.
struct Facts {
    Once host;
    Once content_length;
    Once transfer_encoding;
    Once content_type;
    Once expect;
    Once websocket_key;
    Once websocket_version;
    Once websocket_accept;
    unsigned connection_options = 0;
    bool connection_malformed = false;
    bool close = false;
    bool keep_alive = false;
    bool connection_upgrade = false;
    bool upgrade = false;
    bool upgrade_websocket = false;

    void note(Field const& field) noexcept;
    void note_connection(std::string_view value) noexcept;
    [[nodiscard]] bool stays_open(unsigned minor) const noexcept { return !close && (minor == 1 || keep_alive); }
    [[nodiscard]] bool connection_in_order() const noexcept {
        return !connection_malformed && connection_options <= max_connection_options;
    }
};

/// Where the reading of a head stands; `end` is the end of what is there.
struct Reading {
    char const* at;
    char const* end;
    bool first_line_read = false;
};

/// Reads field lines and the empty line behind them.
Parsed<> read_fields(Reading& reading, FieldList& fields, Facts& facts) noexcept;

/// Matches `HTTP/d.d`; `at` moves behind it when all of it is there.
Parsed<> read_version(Reading& reading, unsigned& major, unsigned& minor) noexcept;

/// Content-Length and Transfer-Encoding of either kind of message (RFC 9112 §6); Kind::none if there is neither.
Parsed<Framing> judge_framing(Facts const& facts, unsigned minor) noexcept;

/// `host [":" port]` (RFC 9110 §7.2), with a host.
bool is_authority(std::string_view text) noexcept;

/// The memory between calls. A head is parsed when it first shows up, when its first line has come, and when its end,
/// a bare LF or the limit has: three times at most, so the work is linear however it trickles in.
class Growth {
public:
    /// `first_line_bytes`: a first line without an end after that many bytes is one to complain about.
    Growth(std::string_view bytes, std::size_t head_bytes, std::size_t first_line_bytes, std::size_t& seen) noexcept;

    [[nodiscard]] bool worth_parsing() const noexcept;
    [[nodiscard]] Reading reading() const noexcept { return {text_.data(), text_.data() + text_.size()}; }
    /// What to answer when the parser has run out of bytes.
    Parsed<> more(bool first_line_read) noexcept;

private:
    static constexpr std::size_t first_line_known = ~(~std::size_t{0} >> 1U);

    std::string_view text_;
    std::size_t first_line_bytes_;
    std::size_t& seen_;
    bool full_;
};

}  // namespace ocgate::wire
