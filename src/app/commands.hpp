// The subcommands that start no gateway. Each returns the exit code.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>

#include "ocgate/app/config.hpp"

namespace ocgate::app {

/// Prints what is valid, without secrets, to `out`; every mistake and every doubt to `err`. 0 valid, 1 not.
int check_config(Flags const& flags, Sources const& sources, std::ostream& out, std::ostream& err);

/// `<place>: <message>` per line, for everybody who reports errors of the configuration.
void print_errors(Loaded const& loaded, std::ostream& err);

/// Whether `loaded` says where the running gateway is, by the setting of that name; otherwise the reason is told. Other
/// mistakes do not matter: what runs well must not be killed because its file was broken after the start. But a file
/// that cannot be read would leave the default, which is another gateway's place: then a flag or the variable has to
/// say it.
[[nodiscard]] bool tells_where(Loaded const& loaded, Flags const& flags, Sources const& sources, std::string_view name,
                               std::ostream& err);

/// Reads one line from `in` (on a terminal twice, without echo) and prints its bcrypt hash, `user_name:hash` with a
/// name. 0 printed, 1 not.
int hash_password(std::optional<std::string> const& user_name, unsigned cost, std::istream& in, std::ostream& out,
                  std::ostream& err);

/// GET /readyz of the admin listener that the same settings name, `?upstream=1` with `with_upstream`. 0 ready, 1 not,
/// with the reason on `err`.
int healthcheck(Flags const& flags, Sources const& sources, bool with_upstream, milliseconds timeout, std::ostream& out,
                std::ostream& err);

/// Asks the gateway behind the control socket to drain and waits for the end: at most `wait` (the configured time to
/// drain without), after which the gateway cuts what is left. 0 everything ended by itself, 2 connections were cut, 1
/// no gateway, or no answer.
int drain(Flags const& flags, Sources const& sources, std::optional<milliseconds> wait, std::ostream& out,
          std::ostream& err);

// Through the same socket, the pages that the traffic port has under /_ocgate; no password is needed. 1, with the
// reason on `err`, when there is no gateway, no answer or an error page.

/// What waits for a person's answer: a table, or the page's JSON.
int pending(Flags const& flags, Sources const& sources, bool as_json, std::ostream& out, std::ostream& err);

/// The sessions that the gateway knows of, in the same way.
int sessions(Flags const& flags, Sources const& sources, bool as_json, std::ostream& out, std::ostream& err);

/// What the gateway is doing, in the same way.
int status(Flags const& flags, Sources const& sources, bool as_json, std::ostream& out, std::ostream& err);

/// The same every so often, with rates: on a terminal (standard input and output) redrawn until `q` or Ctrl-C,
/// elsewhere one after the other. 0 ended by a person or after `times`, 1 when the first look gives nothing.
int top(Flags const& flags, Sources const& sources, milliseconds every, std::optional<unsigned> times,
        std::ostream& out, std::ostream& err);

/// Sends a test message to every target, or to one, and prints a line for each. 0 all were sent, 1 not, or there is
/// none.
int notify_test(Flags const& flags, Sources const& sources, std::optional<std::string> const& target, std::ostream& out,
                std::ostream& err);

}  // namespace ocgate::app
