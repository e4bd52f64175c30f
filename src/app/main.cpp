// The process: its arguments, its exit code. Everything else is a function of the modules.
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>

#include "cli.hpp"
#include "commands.hpp"
#include "environment.hpp"
#include "ocgate/app/gateway.hpp"
#include "sandbox.hpp"

namespace {

using namespace ocgate;

/// The gateway takes its handlers with it. Who insists at that moment finds a process that has ended all there was: its
/// exit code says so, and not the signal. The threads that are left, the log's, take none.
void block_signals() {
    sigset_t ending;
    sigemptyset(&ending);
    for (int const number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&ending, number);
    pthread_sigmask(SIG_BLOCK, &ending, nullptr);
}

int serve(app::Flags const& flags, app::Sources const& sources) {
    // Asked to reload while it starts, it is not to end (systemd takes that end for a clean one, too). The watcher
    // finds what has changed since it was read.
    std::signal(SIGHUP, SIG_IGN);
    if (!app::with_sanitizers) ops::keep_memory_private();  // before there is a secret in it
    auto loaded = app::load_config(flags, sources);
    if (!loaded.errors.empty()) {
        app::print_errors(loaded, std::cerr);
        return static_cast<int>(app::Exit::not_started);
    }
    auto confinement = app::confine_files(loaded.config, sources);  // before the first thread
    if (auto const missing = app::lacking(confinement); !missing.empty()) {
        std::cerr << "ocgate: " << missing << '\n';
        return static_cast<int>(app::Exit::not_started);
    }
    auto log = std::make_unique<ops::Log>(loaded.config.log);
    auto gateway =
        std::make_unique<app::Gateway>(std::move(loaded.config), flags, sources, *log, std::move(confinement));
    auto const exit = gateway->run();
    block_signals();
    if (exit == app::Exit::failed) {
        log->close();  // the last lines leave; neither is destroyed, because connections are left that use them
        std::_Exit(static_cast<int>(exit));
    }
    return static_cast<int>(exit);
}

int run(app::Command const& command) {
    using Kind = app::Command::Kind;
    auto const sources = app::system_sources();
    auto const& flags = command.flags;
    switch (command.kind) {
        case Kind::serve:
            return serve(flags, sources);
        case Kind::check_config:
            return app::check_config(flags, sources, std::cout, std::cerr);
        case Kind::healthcheck:
            return app::healthcheck(flags, sources, command.with_upstream, command.timeout, std::cout, std::cerr);
        case Kind::drain:
            return app::drain(flags, sources, command.wait, std::cout, std::cerr);
        case Kind::pending:
            return app::pending(flags, sources, command.as_json, std::cout, std::cerr);
        case Kind::sessions:
            return app::sessions(flags, sources, command.as_json, std::cout, std::cerr);
        case Kind::status:
            return app::status(flags, sources, command.as_json, std::cout, std::cerr);
        case Kind::top:
            return app::top(flags, sources, command.every, command.times, std::cout, std::cerr);
        case Kind::notify_test:
            return app::notify_test(flags, sources, command.target, std::cout, std::cerr);
        case Kind::hash_password:
            return app::hash_password(command.user_name, command.cost, std::cin, std::cout, std::cerr);
    }
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        app::hide_environment();
        auto const parsed = app::parse_command_line(argc, argv, std::cout, std::cerr);
        if (auto const* code = std::get_if<int>(&parsed)) return *code;
        return run(std::get<app::Command>(parsed));
    } catch (std::exception const& e) {
        std::cerr << "ocgate: " << e.what() << '\n';
        return 1;
    }
}
