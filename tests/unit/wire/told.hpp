// What parsing came to, as text: to compare one way of feeding a parser with another.
#pragma once

#include <string>
#include <string_view>

#include "ocgate/wire/head.hpp"

namespace ocgate::wire {

/// What parsing came to, in one word: `complete`, `need_more` or the reason against it.
inline std::string word(Parsed<> const& parsed) {
    if (!parsed) return std::string(to_string(parsed.error()));
    return *parsed == Progress::complete ? "complete" : "need_more";
}

/// Everything a head says, to compare one with another. Says nothing about where its bytes are.
inline std::string told(RequestHead const& head) {
    std::string text;
    for (auto const part : {head.method, head.target, head.host, head.websocket_key}) (text += part) += '|';
    for (auto const& field : head.fields) ((text += field.name) += '=') += std::string(field.value) + '|';
    for (auto const n : {std::uint64_t{head.minor}, std::uint64_t(head.body.kind), head.body.length,
                         std::uint64_t{head.keep_alive}, std::uint64_t{head.expects_continue},
                         std::uint64_t{head.upgrade}, std::uint64_t{head.websocket}, std::uint64_t{head.bytes}})
        text += std::to_string(n) + '|';
    return text;
}

inline std::string told(ResponseHead const& head) {
    std::string text(head.reason);
    (text += '|') += head.websocket_accept;
    for (auto const& field : head.fields) ((text += field.name) += '=') += std::string(field.value) + '|';
    for (auto const n : {std::uint64_t{head.status}, std::uint64_t{head.minor}, std::uint64_t(head.body.kind),
                         head.body.length, std::uint64_t{head.keep_alive}, std::uint64_t{head.event_stream},
                         std::uint64_t{head.websocket}, std::uint64_t{head.bytes}})
        text += std::to_string(n) + '|';
    return text;
}

}  // namespace ocgate::wire
