// What the fuzz targets share: a check that ends the run with its words, and pieces of the input in buffers of their
// very own size, so that a sanitizer sees the first byte read beyond them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#define MUST(condition)                                                                     \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            std::fprintf(stderr, "%s:%d: must hold: %s\n", __FILE__, __LINE__, #condition); \
            std::abort();                                                                   \
        }                                                                                   \
    } while (false)

namespace ocgate::fuzz {

/// The input: a few bytes that decide how, and the text itself.
struct Input {
    Input(std::uint8_t const* data, std::size_t size) {
        if (size > 0) how = data[0];
        if (size > 1) where = data[1];
        if (size > 2) text.assign(reinterpret_cast<char const*>(data) + 2, size - 2);
    }
    /// Some place in the text; another for another `n`.
    [[nodiscard]] std::size_t place(unsigned n = 0) const {
        return (where * 131U + how * 31U + n * 7919U) % (text.size() + 1);
    }

    unsigned how = 0;
    unsigned where = 0;
    std::string text;
};

/// Between the parts of an input that has several: ASCII's record separator, which nothing here has a use for.
inline constexpr char part_mark = '\x1e';

/// At least so many parts, the missing ones empty; more than `most` are left out.
inline std::vector<std::string_view> parts(std::string_view text, std::size_t least, std::size_t most) {
    std::vector<std::string_view> all;
    while (all.size() < most) {
        auto const end = text.find(part_mark);
        all.push_back(text.substr(0, end));
        if (end == std::string_view::npos) break;
        text.remove_prefix(end + 1);
    }
    if (all.size() < least) all.resize(least);
    return all;
}

inline std::string_view as_text(std::uint8_t const* data, std::size_t size) {
    return {reinterpret_cast<char const*>(data), size};
}

inline std::vector<char> exactly(std::string_view text) { return {text.begin(), text.end()}; }

inline std::string_view view(std::vector<char> const& bytes) { return {bytes.data(), bytes.size()}; }

}  // namespace ocgate::fuzz
