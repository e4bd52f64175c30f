// What both ends of the soak know without telling each other: text of which every part differs from every other within
// 64 KiB, and the events made of it. A piece that is lost, doubled, moved or changed does not match.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace soak {

/// Prime, so that no size of chunk or frame divides it: a lost one shows in the very next byte.
constexpr std::size_t pattern_period = 65521;
constexpr std::size_t most_at_once = 65536;

/// At most `most_at_once` bytes of the endless text, from `at` on.
inline std::string_view pattern(std::uint64_t at, std::size_t bytes) {
    static std::string const text = [] {
        constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        std::string made;
        std::uint64_t state = 7;
        while (made.size() < pattern_period) {
            state = state * 6364136223846793005U + 1442695040888963407U;
            made += alphabet[state >> 58];
        }
        return made + made + made.substr(0, 64);
    }();
    return std::string_view(text).substr(at % pattern_period, bytes);
}

/// Whether `bytes` are what stands at `at`, which moves on.
inline bool matches(std::uint64_t& at, std::string_view bytes) {
    while (!bytes.empty()) {
        auto const part = pattern(at, std::min(bytes.size(), most_at_once));
        if (!bytes.starts_with(part)) return false;
        at += part.size();
        bytes.remove_prefix(part.size());
    }
    return true;
}

/// How every event stream begins: the number of the event that comes next.
inline std::string greeting(std::uint64_t next) { return "data: {\"next\":" + std::to_string(next) + "}\n\n"; }

/// Small ones, and now and then one that takes several reads; or all of them fat.
inline std::string event_of(std::uint64_t number, bool fat) {
    std::size_t const fill = fat ? 60000 : number % 16 == 0 ? 20000 : 120;
    std::string text = "data: {\"number\":" + std::to_string(number) + ",\"fill\":\"";
    text += pattern(number * 997, fill);
    return text += "\"}\n\n";
}

}  // namespace soak
