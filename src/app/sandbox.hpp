// What of the machine a gateway with this configuration needs; the rest it takes away from itself (ops/sandbox.hpp).
#pragma once

#include <string>
#include <vector>

#include "ocgate/app/gateway.hpp"

namespace ocgate::app {

// AddressSanitizer's search for leaks traces its own process, and all of them map what they like: such a build confines
// nothing.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool with_sanitizers = true;
#else
inline constexpr bool with_sanitizers = false;
#endif

/// Files of reloads, state, audit and sockets, and what glibc, OpenSSL and cctz read on the way. A file stands for its
/// folder: it changes by another one's taking its name.
[[nodiscard]] std::vector<ops::Place> places_of(Config const& config, Sources const& sources);

/// TCP ports that are bound at the start; none: it is not known which.
[[nodiscard]] std::vector<std::uint16_t> ports_of(Config const& config);

/// Before the first thread: what is missing of folders for state and sockets is made, then files and capabilities go.
[[nodiscard]] Confinement confine_files(Config const& config, Sources const& sources);

/// For the log and the status page: whether files and system calls are confined, or why not.
[[nodiscard]] std::string files_text(Confinement const& confinement);
[[nodiscard]] std::string calls_text(Confinement const& confinement);

/// What does not hold of what was asked for with `on`, and the remedy; empty: nothing. `calls` are judged once they
/// were tried.
[[nodiscard]] std::string lacking(Confinement const& confinement);

}  // namespace ocgate::app
