// Credentials are read from a canonical spelling only: what is read can be spelt again, and is then read the same.
#include "ocgate/auth/basic.hpp"

#include <openssl/evp.h>

#include "property.hpp"

using namespace ocgate;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto const bytes = fuzz::exactly({reinterpret_cast<char const*>(data), size});
    auto const read = auth::parse_basic(fuzz::view(bytes));
    if (!read) return 0;
    MUST(read->user.find(':') == std::string::npos);
    auto const pair = read->user + ":" + std::string(read->password.reveal());
    for (char const c : pair) MUST(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);

    std::string base64(4 * ((pair.size() + 2) / 3) + 1, '\0');
    auto const n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(base64.data()),
                                   reinterpret_cast<unsigned char const*>(pair.data()), static_cast<int>(pair.size()));
    base64.resize(static_cast<std::size_t>(n));
    // Padding may have been left out in what was read, which one character of it can make too long now.
    if (base64.size() + 6 > auth::max_authorization_bytes) return 0;
    auto const again = auth::parse_basic("Basic " + base64);
    MUST(again.has_value() && again->user == read->user && again->password.reveal() == read->password.reveal());
    return 0;
}
