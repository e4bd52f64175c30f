// Hiding secrets a second time finds nothing more, leaves well-formed text well-formed, and lets nothing through that
// stands behind the plainest of all signs.
#include "ocgate/notify/redact.hpp"

#include "property.hpp"

using namespace ocgate;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto const bytes = fuzz::exactly({reinterpret_cast<char const*>(data), size});
    auto const once = notify::redact(fuzz::view(bytes));
    MUST(notify::redact(once) == once);
    std::string const key = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
    // Within a word of the input it would be none.
    if (fuzz::view(bytes).find(key) != std::string_view::npos) return 0;
    auto const with = notify::redact(std::string(fuzz::view(bytes)) + "\n" + key);
    MUST(with.find(key) == std::string::npos);
    return 0;
}
