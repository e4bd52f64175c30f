// The local control socket: one line asked, one answer. Who may connect is decided by the file's mode (0600).
//   drain MILLISECONDS   →  `drained`, or `forced` when connections had to be cut after that time
//   reload               →  `reloaded`, or `failed` (the log says why)
//   page JSON            →  a page of the gateway's own, without a password: {"method", "target", "accept",
//                           "content_type", "body"} is answered by the line {"status", "content_type", "bytes"} and
//                           that many bytes
// Anything else is answered `unknown command`.
#pragma once

#include <chrono>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>

#include "ocgate/proxy/doors.hpp"
#include "ocgate/rt/deadline.hpp"

namespace ocgate::app {

/// What is asked for. The answer may come at once or later, on the same event loop. When it comes after the asker has
/// left, or the socket was stopped, nothing happens; a callback destroyed without being called ends the visit.
struct ControlActions {
    std::function<void(std::chrono::milliseconds within, std::function<void(bool clean)> done)> drain;
    std::function<void(std::function<void(bool ok)> done)> reload;
    /// Without it, `page` is an unknown command.
    std::function<void(proxy::PageRequest, std::function<void(proxy::PageAnswer)> done)> page{};
};

inline constexpr std::size_t max_control_line_bytes = 8 * 1024;          ///< with its end
inline constexpr std::size_t max_control_page_bytes = 16 * 1024 * 1024;  ///< a larger page is answered by an error

/// At most `max_connections` at once (further ones wait in the backlog); a line has 10 s, and so has an answer to
/// leave. For the answer itself the asker may wait without end, and whoever leaves meanwhile makes room for the next.
class ControlServer {
public:
    static constexpr std::size_t max_connections = 8;
    /// Askers of pages among them; one more hears 503. A page may take its time (a test of the targets does), and
    /// `drain` must not stand in line behind it.
    static constexpr std::size_t max_pages = 4;
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

/// Asks for a page in the same way; the gateway fills in who asks. An error page is an answer, too.
[[nodiscard]] std::optional<proxy::PageAnswer> ask_page(std::string const& path, proxy::PageRequest const& request,
                                                        std::chrono::milliseconds patience, std::string& problem);

}  // namespace ocgate::app
