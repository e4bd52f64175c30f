// A password file is read whole or refused with lines that exist, within its bounds, and no error repeats its content.
#include "ocgate/auth/htpasswd.hpp"

#include <algorithm>

#include "property.hpp"

using namespace ocgate;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto const bytes = fuzz::exactly({reinterpret_cast<char const*>(data), size});
    auto const read = auth::parse_htpasswd(fuzz::view(bytes));
    auto const lines = static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), '\n')) + 1;
    MUST(read.accounts.size() <= std::min(lines, auth::max_htpasswd_entries));
    MUST(read.errors.size() <= auth::max_htpasswd_errors + 1);
    for (auto const& error : read.errors) MUST(error.line <= lines && !error.message.empty());
    (void)auth::hash_problem(fuzz::view(bytes));
    (void)auth::looks_like_hash(fuzz::view(bytes));
    return 0;
}
