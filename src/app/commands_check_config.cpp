#include <map>
#include <ostream>

#include "commands.hpp"
#include "config_settings.hpp"
#include "config_summary.hpp"
#include "durations.hpp"
#include "targets.hpp"

namespace ocgate::app {
namespace {

std::string_view word(ops::LogLevel level) {
    static constexpr std::string_view words[] = {"debug", "info", "warn", "error", "off"};
    return words[static_cast<std::size_t>(level)];
}

std::string accounts(Config const& config) {
    // An htpasswd file may hold thousands: names are told of the other sources only.
    std::string text;
    std::size_t from_htpasswd = 0;
    for (auto const& account : config.auth.accounts) {
        if (account.source.starts_with("htpasswd")) {
            ++from_htpasswd;
        } else {
            text += (text.empty() ? "" : ", ") + account.name + " (" + account.source + ")";
        }
    }
    if (from_htpasswd > 0)
        text += (text.empty() ? "" : ", ") + std::to_string(from_htpasswd) + " from " + config.htpasswd_file;
    return text;
}

}  // namespace

int check_config(Flags const& flags, Sources const& sources, std::ostream& out, std::ostream& err) {
    auto const loaded = load_config(flags, sources);
    for (auto const& warning : loaded.config.warnings) err << "warning: " << warning << '\n';
    if (!loaded.errors.empty()) {
        print_errors(loaded, err);
        err << "the configuration has " << loaded.errors.size() << (loaded.errors.size() == 1 ? " error" : " errors")
            << '\n';
        return 1;
    }
    auto const& config = loaded.config;
    std::vector<std::string> problems;
    (void)TargetMaker::read(config.notify, sources.variable, problems);
    for (auto const& problem : problems) err << "/notifications: " << problem << '\n';
    if (!problems.empty()) return 1;
    auto const none_or = [](std::string const& text) { return text.empty() ? std::string("none") : text; };
    auto const unbounded = [](milliseconds time) {
        return time == milliseconds(0) ? std::string("none") : duration_text(time);
    };
    auto const unless_none = [](std::size_t bound) { return bound == 0 ? "unbounded" : std::to_string(bound); };
    std::string files;
    for (auto const& file : config.files) files += (files.empty() ? "" : ", ") + file;
    auto const& limits = config.limits;
    out << "configuration is valid\n"
        << "  listen          " << config.listen.text() << '\n'
        << "  admin_listen    " << config.admin_listen.text() << '\n'
        << "  upstream        " << config.upstream.text()
        << (config.upstream_authorization.empty() ? ", without credential" : ", as " + config.upstream_user) << '\n'
        << "  users           " << accounts(config) << '\n'
        << "  threads         " << config.threads << '\n'
        << "  control_socket  " << none_or(config.control_socket) << '\n'
        << "  log             " << (config.log.format == ops::LogFormat::json ? "json" : "text") << ", "
        << word(config.log.level) << ", access " << (config.log.access ? "on" : "off") << '\n'
        << "  audit           "
        << (config.audit.kind == ops::AuditPlace::Kind::file  ? config.audit.path
            : config.audit.kind == ops::AuditPlace::Kind::log ? "in the log"
                                                              : "none")
        << '\n'
        << "  limits          head " << size_text(limits.request.head_bytes) << ", target "
        << size_text(limits.request.target_bytes) << ", body "
        << (limits.body_bytes == 0 ? "unbounded" : size_text(limits.body_bytes)) << ", " << limits.connections
        << " connections\n"
        << "  limits, each    " << unless_none(limits.connections_per_client) << " connections, "
        << unless_none(limits.streams_per_client) << " streams of a client\n"
        << "  timeouts        request_head " << duration_text(limits.request_head) << ", first_byte "
        << unbounded(limits.first_byte) << ", idle_body " << duration_text(limits.idle_body) << ", stall "
        << duration_text(limits.stall_timeout) << ", drain " << duration_text(config.drain_timeout) << '\n';
    summarize_notifications(config, out);
    out << "  files           " << none_or(files) << '\n';
    return 0;
}

}  // namespace ocgate::app
