// Reads what a gateway sent, with rules of its own: nothing of the parsers under test is used, and nothing is forgiven.
// What ends too early is no mistake: a connection may be cut anywhere.
#pragma once

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "property.hpp"

namespace ocgate::fuzz {

inline std::string in_lower(std::string_view text) {
    std::string made(text);
    for (char& c : made) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    return made;
}

struct Message {
    std::string first;                                        ///< the first line
    std::vector<std::pair<std::string, std::string>> fields;  ///< names in lower case
    std::string content;
    bool complete = false;  ///< all of the content is there

    [[nodiscard]] std::size_t count(std::string_view name) const {
        return static_cast<std::size_t>(
            std::count_if(fields.begin(), fields.end(), [&](auto const& field) { return field.first == name; }));
    }
    [[nodiscard]] std::string find(std::string_view name) const {
        for (auto const& [key, value] : fields)
            if (key == name) return value;
        return {};
    }
};

/// A head taken off the front of `bytes`; nothing: it is not all there.
inline std::optional<Message> take_head(std::string_view& bytes) {
    auto const end = bytes.find("\r\n\r\n");
    if (end == bytes.npos) return std::nullopt;
    auto head = bytes.substr(0, end + 2);
    bytes.remove_prefix(end + 4);
    Message message;
    while (!head.empty()) {
        auto const line = head.substr(0, head.find("\r\n"));
        head.remove_prefix(line.size() + 2);
        for (char const c : line) MUST((static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) || c == '\t');
        if (message.first.empty()) {
            MUST(!line.empty());
            message.first = line;
            continue;
        }
        auto const colon = line.find(':');
        MUST(colon != line.npos && colon > 0);
        for (char const c : line.substr(0, colon)) {
            bool const token = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                               std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
            MUST(token);
        }
        auto value = line.substr(colon + 1);
        MUST(value.empty() || value.front() == ' ');
        if (!value.empty()) value.remove_prefix(1);
        MUST(value.empty() || (value.front() != ' ' && value.back() != ' '));
        message.fields.emplace_back(in_lower(line.substr(0, colon)), value);
    }
    return message;
}

/// Chunks, as a strict sender makes them: no extensions, no trailers. `exactly`: or not, as a client may.
inline void take_chunks(std::string_view& bytes, Message& message, bool plain = true) {
    for (;;) {
        auto const line = bytes.substr(0, bytes.find("\r\n"));
        if (line.size() == bytes.size()) return;
        std::uint64_t size = 0;
        auto const [end, why] = std::from_chars(line.data(), line.data() + line.size(), size, 16);
        bool const good = why == std::errc() && end != line.data();
        if (plain) MUST(good && end == line.data() + line.size() && line.front() != '-');
        if (!good) return;
        bytes.remove_prefix(line.size() + 2);
        if (size == 0) break;
        auto const piece = bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), size)));
        message.content += piece;
        bytes.remove_prefix(piece.size());
        if (piece.size() < size || bytes.size() < 2) return;
        if (plain) MUST(bytes.starts_with("\r\n"));
        if (!bytes.starts_with("\r\n")) return;
        bytes.remove_prefix(2);
    }
    for (;;) {  // trailers, up to the empty line
        auto const line = bytes.substr(0, bytes.find("\r\n"));
        if (line.size() == bytes.size()) return;
        if (plain) MUST(line.empty());
        bytes.remove_prefix(line.size() + 2);
        if (line.empty()) break;
    }
    message.complete = true;
}

inline void take_length(std::string_view& bytes, Message& message, std::uint64_t length) {
    auto const piece = bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), length)));
    message.content = piece;
    bytes.remove_prefix(piece.size());
    message.complete = piece.size() == length;
}

/// The content that the head's fields announce; `to_the_end`: all that follows, where they announce none.
inline void take_content(std::string_view& bytes, Message& message, bool to_the_end) {
    auto const lengths = message.count("content-length");
    auto const codings = message.count("transfer-encoding");
    MUST(lengths + codings <= 1);
    if (codings == 1) {
        MUST(message.find("transfer-encoding") == "chunked");
        take_chunks(bytes, message);
    } else if (lengths == 1) {
        auto const text = message.find("content-length");
        std::uint64_t length = 0;
        auto const [end, why] = std::from_chars(text.data(), text.data() + text.size(), length);
        MUST(why == std::errc() && end == text.data() + text.size() && !text.empty());
        take_length(bytes, message, length);
    } else if (to_the_end) {
        message.content = bytes;
        bytes = {};
    } else {
        message.complete = true;
    }
}

}  // namespace ocgate::fuzz
