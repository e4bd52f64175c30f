#include "text.hpp"

#include "ocgate/base/utf8.hpp"

namespace ocgate::auth {

bool is_clean_utf8(std::string_view text) noexcept {
    while (!text.empty()) {
        auto const lead = static_cast<unsigned char>(text.front());
        auto const length = utf8_length(text);
        if (length == 0 || lead < 0x20 || lead == 0x7F) return false;
        text.remove_prefix(length);
    }
    return true;
}

}  // namespace ocgate::auth
