#include "cli.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <deque>
#include <ostream>

#include "config_settings.hpp"
#include "durations.hpp"
#include "ocgate/auth/htpasswd.hpp"

namespace ocgate::app {
namespace {

constexpr std::string_view exit_codes =
    "Exit codes: 0 done, 1 did not start (usage or configuration), 2 stopped by "
    "force, 3 failed while stopping.";

/// Options whose text goes into `Flags` as it is: what it means is the loader's business.
class SettingOptions {
public:
    void add(CLI::App& app, Setting const& setting) {
        auto& text = texts_.emplace_back();
        auto help = std::string(setting.help);
        if (!setting.fallback.empty()) help += " (" + std::string(setting.fallback) + ")";
        // A switch stands alone or as --switch=false.
        auto* const option =
            setting.is_switch()
                ? app.add_flag(setting.flag(), text, help)
                : app.add_option(setting.flag(), text, help)->type_name(std::string(setting.value_name));
        auto const section = setting.pointer.substr(1, setting.pointer.rfind('/') - 1);
        option->group(setting.pointer.rfind('/') == 0 || section == "upstream" ? "Settings" : std::string(section));
        added_.push_back({setting.name(), option, &text});
    }

    void add_config_path(CLI::App& app) {
        auto& text = texts_.emplace_back();
        auto* const option = app.add_option("--config", text, "configuration file, JSON with comments (OCGATE_CONFIG)");
        option->type_name("PATH")->group("Settings");
        added_.push_back({"config", option, &text});
    }

    void add_named(CLI::App& app, std::string_view name) {
        for (auto const& setting : settings())
            if (setting.name() == name) add(app, setting);
    }

    void add_all(CLI::App& app) {
        for (auto const& setting : settings()) add(app, setting);
    }

    [[nodiscard]] Flags given() const {
        Flags flags;
        for (auto const& one : added_)
            if (one.option->count() > 0) flags.values.emplace_back(one.name, *one.text);
        return flags;
    }

private:
    struct Added {
        std::string name;
        CLI::Option* option;
        std::string const* text;
    };
    std::deque<std::string> texts_;  ///< a deque: CLI11 keeps their addresses
    std::vector<Added> added_;
};

CLI::Option* add_duration(CLI::App& app, std::string const& name, std::string const& help, std::string& text) {
    auto const is_duration = [](std::string const& given) {
        return parse_duration(given) ? std::string() : "expected a duration with its unit (250ms, 30s, 5m)";
    };
    return app.add_option(name, text, help)->type_name("DURATION")->check(is_duration);
}

/// A message for people that repeats no value: CLI11's own would print a password given where none is taken.
std::string usage_message(CLI::App const& app, CLI::Error const& error) {
    if (dynamic_cast<CLI::ExtrasError const*>(&error) == nullptr) return error.what();
    auto const rest = app.remaining(true);
    if (rest.empty() || !rest.front().starts_with("-")) {
        static constexpr std::string_view answers[] = {"true", "false", "yes", "no", "on", "off", "1", "0"};
        bool const of_switch =
            !rest.empty() && std::find(std::begin(answers), std::end(answers), rest.front()) != std::end(answers);
        return std::string("an argument that was not expected") +
               (of_switch ? "; a switch takes its value behind an equals sign: --access-log=" + rest.front() : "");
    }
    auto const flag = rest.front().substr(0, rest.front().find('='));
    std::vector<std::string> flags;
    for (auto const* sub : app.get_subcommands())
        for (auto const* option : sub->get_options()) flags.push_back("--" + option->get_single_name());
    std::vector<std::string_view> const known(flags.begin(), flags.end());
    auto const meant = nearest(flag, known);
    if (flag.find("password") != std::string::npos)
        return flag +
               " is no option: secrets come from variables and files, OPENCODE_SERVER_PASSWORD or "
               "OPENCODE_SERVER_PASSWORD_FILE";
    return flag + " is no option" + (meant.empty() ? std::string() : "; did you mean " + std::string(meant) + "?");
}

class CommandLine {
public:
    CommandLine() {
        app_.set_version_flag("--version", "ocgate " OCGATE_VERSION, "the version");
        app_.set_help_flag("-h,--help", "this text");
        app_.require_subcommand(1);
        app_.footer(
            "`ocgate --listen ...` is short for `ocgate serve --listen ...`; `ocgate serve --help` lists the "
            "settings.\n" +
            std::string(exit_codes));

        auto& serve = add(Command::Kind::serve, "serve", "runs the gateway (the default)");
        serve.footer(
            "A setting is also a variable, --limits-head-bytes as OCGATE_LIMITS_HEAD_BYTES, and a key of the\n"
            "configuration file, {\"limits\": {\"head_bytes\": ...}}. A flag wins over the variable, that over the\n"
            "file, that over the default (in parentheses). Lists are separated by commas; a switch that is on by\n"
            "default is turned off by --access-log=false (not: --access-log false).\n\n"
            "Users: OPENCODE_SERVER_USERNAME (opencode) and OPENCODE_SERVER_PASSWORD or "
            "OPENCODE_SERVER_PASSWORD_FILE;\n"
            "users in the configuration file; an htpasswd file. For the upstream the same pair, unless\n"
            "OCGATE_UPSTREAM_USERNAME and OCGATE_UPSTREAM_PASSWORD (or OCGATE_UPSTREAM_PASSWORD_FILE) are set.\n\n"
            "Notifications: NTFY_TOPIC (a name or a URL, with NTFY_SERVER, NTFY_TOKEN) and DISCORD_WEBHOOK_URL, or\n"
            "targets and routes in the configuration file.\n\n"
            "SIGHUP and changed files reload; SIGTERM and SIGINT drain, the second one insists.\n" +
            std::string(exit_codes));
        serve_options_.add_config_path(serve);
        serve_options_.add_all(serve);

        auto& check = add(Command::Kind::check_config, "check-config",
                          "reads the configuration as serve would, tells every mistake, starts nothing");
        check_options_.add_config_path(check);
        check_options_.add_all(check);

        auto& health = add(Command::Kind::healthcheck, "healthcheck",
                           "asks the running gateway whether it is ready: 0 yes, 1 no (for Docker's HEALTHCHECK)");
        health_options_.add_config_path(health);
        health_options_.add_named(health, "admin_listen");
        health.add_flag("--upstream", command_.with_upstream, "ask for the upstream's health, too");
        add_duration(health, "--timeout", "for all of it (3s)", timeout_);

        auto& drain = add(Command::Kind::drain, "drain",
                          "asks the running gateway to take no more work and waits until it has ended");
        add_socket(drain);
        add_duration(drain, "--wait", "what is left after it is cut (the configured time to drain)", wait_);

        auto& pending =
            add(Command::Kind::pending, "pending", "prints what waits for an answer in the running gateway's opencode");
        add_socket(pending);
        pending.add_flag("--json", command_.as_json, "JSON instead of a table");

        auto& sessions =
            add(Command::Kind::sessions, "sessions", "prints the sessions that the running gateway knows of");
        add_socket(sessions);
        sessions.add_flag("--json", command_.as_json, "JSON instead of a table");

        auto& status = add(Command::Kind::status, "status",
                           "prints what the running gateway is doing: its exchanges, opencode, what is wrong");
        add_socket(status);
        status.add_flag("--json", command_.as_json, "JSON instead of a table");

        auto& top = add(Command::Kind::top, "top", "the same with rates, again and again, until q or Ctrl-C");
        add_socket(top);
        add_duration(top, "--every", "time between two looks (2s), at least 100ms", every_);
        top.add_option("--times", times_, "ends after so many")->type_name("N")->check(CLI::Range(1U, 1'000'000U));

        auto& test = add(Command::Kind::notify_test, "notify-test",
                         "has the running gateway send a test notification and tells what became of it: 0 sent, 1 not");
        add_socket(test);
        test.add_option("--target", target_, "only to this one (all of them)")
            ->type_name("NAME")
            ->check([](std::string const& name) { return name.empty() ? "expected the name of a target" : ""; });

        auto& hash = add(Command::Kind::hash_password, "hash-password",
                         "reads a password from standard input, prints its bcrypt hash");
        hash.add_option("--user", user_name_, "print NAME:hash, a line for an htpasswd file")
            ->type_name("NAME")
            ->check([](std::string const& name) {
                return auth::is_user_name(name) ? std::string() : "expected 1 to 255 bytes of UTF-8 without a colon";
            });
        command_.cost = auth::default_bcrypt_cost;
        hash.add_option("--cost", command_.cost, "bcrypt's work factor (12); each step doubles the time of a login")
            ->type_name("N")
            ->check(CLI::Range(4U, auth::max_bcrypt_cost));
    }

    std::variant<Command, int> parse(std::vector<std::string> arguments, std::ostream& out, std::ostream& err) {
        static constexpr std::string_view own[] = {"-h", "--help", "--version"};
        if (arguments.empty() || (arguments.front().starts_with('-') &&
                                  std::find(std::begin(own), std::end(own), arguments.front()) == std::end(own)))
            arguments.insert(arguments.begin(), "serve");
        auto const sub = std::find_if(commands_.begin(), commands_.end(),
                                      [&](auto const& one) { return one.app->get_name() == arguments.front(); });
        if (sub == commands_.end() && !arguments.front().starts_with('-')) {
            std::vector<std::string_view> names;
            for (auto const& one : commands_) names.push_back(one.name);
            auto const meant = nearest(arguments.front(), names);
            err << "ocgate: no such subcommand"
                << (meant.empty() ? std::string() : "; did you mean " + std::string(meant) + "?")
                << "\nTry `ocgate --help`.\n";
            return exit_usage;
        }
        try {
            std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
            app_.parse(std::move(arguments));
        } catch (CLI::Success const& asked) {  // help or version
            return app_.exit(asked, out, err);
        } catch (CLI::ParseError const& mistake) {
            err << "ocgate: " << usage_message(app_, mistake) << "\nTry `ocgate"
                << (sub == commands_.end() ? "" : " " + std::string(sub->name)) << " --help`.\n";
            return exit_usage;
        }
        command_.kind = sub->kind;
        for (auto const* options : {&serve_options_, &check_options_, &health_options_, &socket_options_}) {
            auto flags = options->given();
            std::move(flags.values.begin(), flags.values.end(), std::back_inserter(command_.flags.values));
        }
        if (!timeout_.empty()) command_.timeout = *parse_duration(timeout_);
        if (!wait_.empty()) command_.wait = parse_duration(wait_);
        if (!every_.empty()) command_.every = std::max(*parse_duration(every_), milliseconds(100));
        if (times_ > 0) command_.times = times_;
        if (!target_.empty()) command_.target = target_;
        if (!user_name_.empty()) command_.user_name = user_name_;
        return std::move(command_);
    }

private:
    CLI::App& add(Command::Kind kind, std::string_view name, std::string const& help) {
        auto* const app = app_.add_subcommand(std::string(name), help);
        commands_.push_back({kind, name, app});
        return *app;
    }

    /// Where the running gateway is asked.
    void add_socket(CLI::App& app) {
        socket_options_.add_config_path(app);
        socket_options_.add_named(app, "control_socket");
    }

    struct Subcommand {
        Command::Kind kind;
        std::string_view name;
        CLI::App* app;
    };

    CLI::App app_{"An HTTP gateway in front of `opencode serve`", "ocgate"};
    std::vector<Subcommand> commands_;
    Command command_;
    SettingOptions serve_options_, check_options_, health_options_;
    SettingOptions socket_options_;  ///< of all that ask through the control socket; one of them is given
    std::string timeout_, wait_, every_, target_, user_name_;
    unsigned times_ = 0;
};

}  // namespace

std::variant<Command, int> parse_command_line(int argc, char const* const* argv, std::ostream& out, std::ostream& err) {
    return CommandLine().parse({argv + std::min(argc, 1), argv + argc}, out, err);
}

}  // namespace ocgate::app
