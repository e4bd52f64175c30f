#include <ostream>

#include "commands.hpp"
#include "control.hpp"

namespace ocgate::app {
namespace {

/// The gateway cuts what is left when the time is over, then answers: a little later than asked.
constexpr milliseconds grace{10'000};

}  // namespace

int drain(Flags const& flags, Sources const& sources, std::optional<milliseconds> wait, std::ostream& out,
          std::ostream& err) {
    auto const loaded = load_config(flags, sources);
    if (!tells_where(loaded, flags, sources, "control_socket", err)) return 1;
    auto const& path = loaded.config.control_socket;
    if (path.empty()) {
        err << "ocgate drain: no control socket is configured; send SIGTERM instead\n";
        return 1;
    }
    auto const within = wait.value_or(loaded.config.drain_timeout);
    std::string problem;
    auto const answer = ask_gateway(path, "drain " + std::to_string(within.count()), within + grace, problem);
    if (answer == "drained") {
        out << "drained\n";
        return 0;
    }
    if (answer == "forced") {
        err << "ocgate drain: connections had to be cut: the time was over, or a signal came before\n";
        return 2;
    }
    err << "ocgate drain: " << (problem.empty() ? path + ": it answered \"" + answer + "\"" : problem) << "\n";
    return 1;
}

}  // namespace ocgate::app
