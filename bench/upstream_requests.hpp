// What the stand-in needs to know of a request: a field, a parameter, and the proof that a WebSocket was meant.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bench {

bool same_but_case(std::string_view a, std::string_view b);
/// The value of a field in a whole head, "" when it is not there.
std::string_view field(std::string_view head, std::string_view name);
/// The number a query gives to that name, 0 when it gives none.
std::int64_t parameter(std::string_view target, std::string_view name);
/// Sec-WebSocket-Accept for that Sec-WebSocket-Key (RFC 6455 §4.2.2).
std::string accept_of(std::string const& key);

}  // namespace bench
