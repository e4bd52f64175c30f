// The local control socket: one line asked, one line answered. Who may connect is decided by the file's mode (0600).
//   drain MILLISECONDS   →  `drained`, or `forced` when connections had to be cut after that time
//   reload               →  `reloaded`, or `failed` (the log says why)
#pragma once

#include <chrono>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>

#include "ocgate/rt/deadline.hpp"

namespace ocgate::app {

struct ControlActions {
    std::function<void(std::chrono::milliseconds within, std::function<void(bool clean)> done)> drain;
    std::function<void(std::function<void(bool ok)> done)> reload;
};

/// At most `max_connections` at once (further ones wait in the backlog); a line has 10 s and 64 bytes.
class ControlServer {
public:
    static constexpr std::size_t max_connections = 8;
    /// Takes the listening socket over; non-blocking.
    ControlServer(rt::Executor executor, rt::Deadlines& deadlines, int listener, ControlActions actions);
    ~ControlServer();
    ControlServer(ControlServer const&) = delete;
    ControlServer& operator=(ControlServer const&) = delete;
    void stop();

private:
    struct Inside;
    std::shared_ptr<Inside> inside_;
};

/// Sends one line to the gateway at `path` and waits for its answer, at most `patience`. Blocking: for subcommands.
/// Nothing, with the reason in `problem`, when there is no gateway or no answer.
[[nodiscard]] std::string ask_gateway(std::string const& path, std::string const& line,
                                      std::chrono::milliseconds patience, std::string& problem);

}  // namespace ocgate::app
