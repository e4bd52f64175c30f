#include "ocgate/app/config.hpp"

#include <unistd.h>

#include <algorithm>

#include "config_address.hpp"
#include "config_json.hpp"
#include "config_loader.hpp"
#include "durations.hpp"

namespace ocgate::app {

Loaded load_config(Flags const& flags, Sources const& sources) { return Loader(flags, sources).load(); }

Loaded Loader::load() {
    read_config_file();
    if (file_.is_object()) walk(file_, "");
    read_variables();
    read_flags();
    fill_in_defaults();
    read_accounts();
    read_upstream_credential();
    read_notifications();
    read_spending();
    check_addresses();
    check_limits();
    note_doubts();
    note_unknown_variables();
    if (untold_ > 0)
        loaded_.errors.push_back({"", "and " + std::to_string(untold_) + " more errors that are not listed", ""});
    return std::move(loaded_);
}

void Loader::read_config_file() {
    std::optional<std::string> path;
    std::string place = "OCGATE_CONFIG";
    if (auto const named = variable(place)) path = *named;
    for (auto const& [name, value] : flags_.values) {
        if (name != "config") continue;
        path = value;
        place = "--config";
    }
    if (!path) return;
    auto const slash = path->rfind('/');
    folder_ = slash == std::string::npos ? "." : path->substr(0, slash + 1);
    auto content = read(*path);
    file_broken_ = true;
    if (!content.problem.empty())
        return complain(place, in_quotes(*path) + " cannot be read: " + content.problem, "config");
    auto parsed = read_json(content.content, *path);
    for (auto& error : parsed.errors) complain(std::move(error.place), std::move(error.message), "config");
    file_ = std::move(parsed.value);
    file_broken_ = !file_.is_object();
}

void Loader::walk(nlohmann::json const& object, std::string const& pointer) {
    for (auto const& [key, value] : object.items()) {
        auto const place = pointer_to(pointer, key);
        // No key of ours holds a slash: {"upstream/url": …} must not pass for {"upstream": {"url": …}}.
        if (key.find('/') != std::string::npos) {
            unknown_key(pointer, key, place);
            continue;
        }
        auto const wanted = pointer + "/" + key;
        auto const all = settings();
        // `"upstream": "http://…"` is short for an object with `url`.
        auto const wanted_setting = wanted == "/upstream" && !value.is_object() ? "/upstream/url" : wanted;
        auto const setting =
            std::find_if(all.begin(), all.end(), [&](Setting const& s) { return s.pointer == wanted_setting; });
        bool const section =
            std::any_of(all.begin(), all.end(), [&](Setting const& s) { return s.pointer.starts_with(wanted + "/"); });
        if (setting != all.end()) {
            apply(*setting, Given{&value, folder_}, place);
        } else if (section && value.is_object()) {
            walk(value, wanted);
        } else if (section) {
            complain(place, "expected an object, got " + Given{&value}.description());
        } else if (std::find(other_pointers.begin(), other_pointers.end(), wanted) != other_pointers.end()) {
            others_[wanted] = &value;
        } else {
            unknown_key(pointer, key, place);
        }
    }
}

void Loader::unknown_key(std::string const& pointer, std::string_view key, std::string const& place) {
    // The keys beside it, and every key of the same name elsewhere.
    std::vector<std::string_view> beside;
    std::string elsewhere;
    auto const consider = [&](std::string_view known) {
        auto const last = known.rfind('/');
        if (known.substr(last + 1) == key) elsewhere = known;
        if (!known.starts_with(pointer + "/")) return;
        auto const rest = known.substr(pointer.size() + 1);
        beside.push_back(rest.substr(0, rest.find('/')));
    };
    for (auto const& setting : settings()) consider(setting.pointer);
    for (auto const pointer_of_other : other_pointers) consider(pointer_of_other);
    auto const beside_it = nearest(key, beside);
    std::string meant, hint;
    if (!elsewhere.empty()) {
        meant = elsewhere;
        hint = "; did you mean " + elsewhere + "?";
    } else if (!beside_it.empty()) {
        meant = pointer + "/" + std::string(beside_it);
        hint = "; did you mean " + in_quotes(beside_it) + "?";
    }
    // Whoever wants to know that setting's value must not take the default for it.
    std::string setting;
    for (auto const& one : settings())
        if (one.pointer == meant) setting = one.name();
    complain(place, "unknown key" + hint, std::move(setting));
}

void Loader::read_variables() {
    for (auto const& setting : settings()) {
        auto const name = setting.variable();
        if (auto const text = variable(name)) apply(setting, Given{std::string_view(*text)}, name);
    }
}

void Loader::read_flags() {
    for (auto const& [name, value] : flags_.values) {
        if (name == "config") continue;
        auto const all = settings();
        auto const setting =
            std::find_if(all.begin(), all.end(), [&name = name](Setting const& s) { return s.name() == name; });
        if (setting == all.end()) {
            complain("--" + name, "no such setting");
        } else {
            apply(*setting, Given{std::string_view(value)}, setting->flag());
        }
    }
}

void Loader::apply(Setting const& setting, Given const& given, std::string const& place) {
    auto const name = setting.name();
    for (auto& mistake : setting.apply(given, loaded_.config))
        complain(place + mistake.at, std::move(mistake.message), name);
    places_[name] = place;
}

void Loader::fill_in_defaults() {
    auto& config = loaded_.config;
    if (!config.control_socket_given) {
        auto const runtime = variable("XDG_RUNTIME_DIR");
        config.control_socket = runtime && runtime->starts_with('/')
                                    ? *runtime + "/ocgate.sock"
                                    : "/tmp/ocgate-" + std::to_string(::geteuid()) + "/control.sock";
        if (config.control_socket.size() > max_socket_path_bytes) {
            warn("control_socket: the path in XDG_RUNTIME_DIR is too long for a socket; there is none");
            config.control_socket.clear();
        }
    }
    if (!config.state_dir_given) config.state_dir = usual_state_dir();
    // A smaller head alone is no mistake: the target's default follows.
    auto& request = config.limits.request;
    if (!given("limits_target_bytes")) request.target_bytes = std::min(request.target_bytes, request.head_bytes);
}

std::string Loader::usual_state_dir() {
    // systemd names several with colons between them; what is not absolute is to be ignored (XDG base directories).
    if (auto const given = variable("STATE_DIRECTORY"); given && given->starts_with('/'))
        return given->substr(0, given->find(':'));
    if (auto const given = variable("XDG_STATE_HOME"); given && given->starts_with('/')) return *given + "/ocgate";
    if (auto const home = variable("HOME"); home && home->starts_with('/')) return *home + "/.local/state/ocgate";
    return {};
}

void Loader::check_addresses() {
    auto const& config = loaded_.config;
    if (file_broken_) return;  // half of them may stand in it
    if (!is_loopback(config.upstream) && !config.allow_remote_upstream)
        complain(place_of("upstream"),
                 "expected a loopback address or a Unix socket, got " + in_quotes(config.upstream.text()) +
                     "; the connection is not encrypted: --allow-remote-upstream (OCGATE_ALLOW_REMOTE_UPSTREAM=true) "
                     "permits it",
                 "upstream");
    if (covers(config.listen, config.admin_listen))
        complain(place_of("admin_listen"),
                 "expected another port than listen has, got " + in_quotes(config.admin_listen.text()), "admin_listen");
    for (auto const& [name, address] : {std::pair("listen", &config.listen), {"admin_listen", &config.admin_listen}})
        if (covers(*address, config.upstream))
            complain(place_of("upstream"),
                     "expected opencode's address, got " + in_quotes(config.upstream.text()) +
                         ", which is the gateway's own (" + name + ")",
                     "upstream");
    for (auto const& [name, address] :
         {std::pair("listen", &config.listen), {"admin_listen", &config.admin_listen}, {"upstream", &config.upstream}})
        if (!config.control_socket.empty() && address->unix_path == config.control_socket)
            complain(place_of("control_socket"),
                     "expected a path of its own, got " + in_quotes(config.control_socket) + ", which is " + name +
                         "'s socket",
                     "control_socket");
}

void Loader::check_limits() {
    auto const& request = loaded_.config.limits.request;
    if (request.target_bytes > request.head_bytes)
        complain(place_of("limits_target_bytes"),
                 "expected at most limits/head_bytes, which is " + size_text(request.head_bytes) + ", got " +
                     size_text(request.target_bytes),
                 "limits_target_bytes");
}

void Loader::note_doubts() {
    auto const& config = loaded_.config;
    if (!is_loopback(config.upstream) && config.allow_remote_upstream)
        warn(place_of("upstream") + ": what is sent to " + config.upstream.text() +
             ", the credential included, is not encrypted");
    if (config.limits.first_byte != milliseconds(0) && config.limits.first_byte < std::chrono::minutes(10))
        warn(place_of("timeouts_first_byte") + ": POST /session/{id}/message is silent while the agent works; after " +
             duration_text(config.limits.first_byte) + " it ends with 504");
    if (config.auth.throttle.failures == 0)
        warn(place_of("throttle_failures") + ": passwords can be guessed at any speed");
    for (auto const& network : config.auth.trusted_proxies) {
        // Two addresses that differ in the first bit: only a network of everything holds both.
        if (network.contains("1.0.0.1") && network.contains("198.51.100.1"))
            warn(place_of("trusted_proxies") + ": 0.0.0.0/0 lets every client name its own address");
        if (network.contains("2001:db8::1") && network.contains("fd00::1"))
            warn(place_of("trusted_proxies") + ": ::/0 lets every client name its own address");
    }
}

void Loader::note_unknown_variables() {
    if (!sources_.variables) return;
    auto names = sources_.variables();
    std::sort(names.begin(), names.end());
    std::vector<std::string_view> const known(known_variables_.begin(), known_variables_.end());
    for (auto const& name : names) {
        // Kubernetes sets OCGATE_SERVICE_HOST, OCGATE_PORT_8080_TCP and the like for a service named ocgate.
        if (!name.starts_with("OCGATE_") || known_variables_.contains(name) || name.starts_with("OCGATE_SERVICE_") ||
            name.starts_with("OCGATE_PORT"))
            continue;
        if (loaded_.config.warnings.size() >= max_config_errors) return;
        auto const meant = nearest(name, known);
        warn("the variable " + in_quotes(name) + " is no setting" +
             (meant.empty() ? std::string() : "; did you mean " + std::string(meant) + "?"));
    }
}

Sources::File Loader::read(std::string const& path) {
    auto file = sources_.file(path);
    auto& files = loaded_.config.files;
    if (std::find(files.begin(), files.end(), path) == files.end()) {
        files.push_back(path);
        loaded_.config.file_marks.push_back(file.mark);
    }
    if (file.problem.empty() && file.content.size() > max_config_bytes) {
        file.content.clear();
        file.problem = "larger than " + size_text(max_config_bytes);
    }
    return file;
}

std::optional<std::string> Loader::variable(std::string const& name) {
    known_variables_.insert(name);
    auto value = sources_.variable(name);
    if (value && value->empty()) value.reset();
    return value;
}

void Loader::complain(std::string place, std::string message, std::string setting) {
    if (loaded_.errors.size() == max_config_errors) {
        ++untold_;
    } else {
        loaded_.errors.push_back({std::move(place), std::move(message), std::move(setting)});
    }
}

std::string Loader::place_of(std::string const& name) const {
    if (auto const found = places_.find(name); found != places_.end()) return found->second;
    for (auto const& setting : settings())
        if (setting.name() == name) return name == "upstream" ? "/upstream" : std::string(setting.pointer);
    return name;
}

}  // namespace ocgate::app
