// The command line: which subcommand, with which settings. Reads no environment and no file.
#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <variant>

#include "ocgate/app/config.hpp"

namespace ocgate::app {

struct Command {
    enum class Kind : std::uint8_t {
        serve,
        check_config,
        healthcheck,
        drain,
        pending,
        sessions,
        status,
        top,
        notify_test,
        hash_password
    };
    Kind kind = Kind::serve;
    Flags flags;  ///< only those that concern the subcommand

    bool with_upstream = false;            ///< healthcheck: ask whether the upstream answers, too
    milliseconds timeout{3'000};           ///< healthcheck: for all of it
    std::optional<milliseconds> wait;      ///< drain: without, the configured time to drain
    bool as_json = false;                  ///< pending, sessions, status: not the table
    milliseconds every{2'000};             ///< top
    std::optional<unsigned> times;         ///< top: without, until it is ended
    std::optional<std::string> target;     ///< notify-test: without, every target
    std::optional<std::string> user_name;  ///< hash-password: print `name:hash`
    unsigned cost = 0;                     ///< hash-password: bcrypt's; filled with auth's default
};

inline constexpr int exit_usage = 1;

/// `serve` when the first argument is no subcommand. What is printed (help, version, mistakes) is printed already when
/// the result is an exit code. No secret is taken from the command line: other users of the machine can read it.
[[nodiscard]] std::variant<Command, int> parse_command_line(int argc, char const* const* argv, std::ostream& out,
                                                            std::ostream& err);

}  // namespace ocgate::app
