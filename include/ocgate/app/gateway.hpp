// The whole gateway: wires the modules, then reloads, drains and stops them. Everything that is decided here happens on
// one thread, the one that calls `run`; the shards and the hashing worker have theirs.
#pragma once

#include <memory>

#include "ocgate/app/config.hpp"
#include "ocgate/ops/sandbox.hpp"

namespace ocgate::app {

/// How `run` ended, as the process's exit status. After `failed` connections are left that did not end although they
/// were cut: the process has to leave without destroying the gateway (std::_Exit).
enum class Exit : int {
    clean = 0,        ///< everything ended by itself
    not_started = 1,  ///< wrong configuration, or an address that is taken
    forced = 2,       ///< connections were cut: a second signal, or the time to drain was over
    failed = 3,       ///< something did not stop
};

/// What the process has taken away from itself so far (app/sandbox.hpp).
struct Confinement {
    Sandbox asked = Sandbox::off;
    ops::Confined files{}, calls{};
};

class Gateway {
public:
    /// `flags` and `sources` are read again by every reload. `log` outlives the gateway. What `confinement` leaves
    /// open, `run` closes once it listens.
    Gateway(Config config, Flags flags, Sources sources, ops::Log& log, Confinement confinement = {});
    ~Gateway();
    Gateway(Gateway const&) = delete;
    Gateway& operator=(Gateway const&) = delete;

    /// Opens the listeners and serves until a signal has ended it. SIGTERM and SIGINT drain, a second one forces;
    /// SIGHUP reloads. `Exit::not_started` when a listener cannot be opened, or a sandbox that was insisted on
    /// cannot be had: the reason is in the log.
    [[nodiscard]] Exit run();

private:
    class Inside;
    std::unique_ptr<Inside> inside_;
};

}  // namespace ocgate::app
