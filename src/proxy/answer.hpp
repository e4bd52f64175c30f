// The answers this gateway gives itself, never cached. JSON and not HTML, which opencode's SDK takes for a wrong
// server; but for what a browser's window shows to a person (Refusal::offers_link).
#pragma once

#include <array>
#include <chrono>
#include <span>
#include <string_view>

#include "ocgate/proxy/doors.hpp"

namespace ocgate::proxy {

struct Answer {
    Refusal refusal;
    std::string_view request_id;
    std::string_view realm;
    std::string_view target;  ///< of the request; read for Refusal::offers_link alone
    std::string_view date;    ///< for Date, as `http_date` writes it; empty: none
    bool head_only = false;   ///< HEAD: the fields of the answer, without its content
    bool close = true;
    bool keep_alive_1_0 = false;
};

struct Written {
    std::size_t bytes = 0;    ///< of the whole answer
    std::size_t content = 0;  ///< of these; 0 for HEAD
};

/// Writes the whole answer into `out`, which holds at least `answer_bytes`; no link is offered where it holds less than
/// `offer_bytes`.
inline constexpr std::size_t answer_bytes = 2048;
inline constexpr std::size_t offer_bytes = 8192;
Written write_answer(std::span<char> out, Answer const& answer) noexcept;

/// What the head of an own page's answer says besides what the page does.
struct PageFrame {
    std::string_view request_id;
    std::string_view date;  ///< as above
    bool close = true;
    bool keep_alive_1_0 = false;
};

/// Writes the head for `page`, whose fields together leave `answer_bytes` some room. Its content follows unless it is
/// the answer to a HEAD or has none (`has_content`).
std::size_t write_page_head(std::span<char> out, PageAnswer const& page, PageFrame const& frame) noexcept;
/// Not with 204 and 304 (RFC 9110 §6.4.1).
bool has_content(PageAnswer const& page) noexcept;

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
std::array<char, 29> http_date(std::chrono::sys_seconds when) noexcept;

/// What a person should know about this failure; a literal.
std::string_view message_for(Failure const& failure) noexcept;

}  // namespace ocgate::proxy
