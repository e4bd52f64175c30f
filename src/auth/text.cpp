#include "text.hpp"

#include <cstddef>
#include <cstdint>

namespace ocgate::auth {
namespace {

/// The length of the well-formed sequence that starts with `lead`, and what its second byte may be (RFC 3629 §4).
struct Sequence {
    std::size_t length = 0;  ///< 0: no sequence starts so
    std::uint8_t low = 0x80, high = 0xBF;
};

Sequence sequence_of(std::uint8_t lead) noexcept {
    if (lead < 0x80) return {1};
    if (lead >= 0xC2 && lead <= 0xDF) return {2};
    if (lead == 0xE0) return {3, 0xA0, 0xBF};
    if (lead == 0xED) return {3, 0x80, 0x9F};
    if (lead >= 0xE1 && lead <= 0xEF) return {3};
    if (lead == 0xF0) return {4, 0x90, 0xBF};
    if (lead == 0xF4) return {4, 0x80, 0x8F};
    if (lead >= 0xF1 && lead <= 0xF3) return {4};
    return {};
}

}  // namespace

bool is_clean_utf8(std::string_view text) noexcept {
    for (std::size_t at = 0; at < text.size();) {
        auto const lead = static_cast<std::uint8_t>(text[at]);
        if (lead < 0x20 || lead == 0x7F) return false;
        auto const sequence = sequence_of(lead);
        if (sequence.length == 0 || text.size() - at < sequence.length) return false;
        for (std::size_t next = 1; next < sequence.length; ++next) {
            auto const byte = static_cast<std::uint8_t>(text[at + next]);
            bool const second = next == 1;
            if (byte < (second ? sequence.low : 0x80) || byte > (second ? sequence.high : 0xBF)) return false;
        }
        at += sequence.length;
    }
    return true;
}

}  // namespace ocgate::auth
