#include "config_settings.hpp"

#include <algorithm>
#include <limits>

#include "config_address.hpp"
#include "config_budgets.hpp"
#include "config_json.hpp"
#include "config_kinds.hpp"
#include "durations.hpp"
#include "ocgate/notify/http.hpp"

namespace ocgate::app {
namespace {

using namespace std::chrono_literals;

// In the order of their enumerations.
constexpr std::string_view log_format_words[] = {"json", "text"};
constexpr std::string_view sandbox_words[] = {"auto", "on", "off"};
constexpr std::string_view log_level_words[] = {"debug", "info", "warn", "error", "off"};

template <class T>
using Field = T& (*)(Config&);

Mistakes expected(std::string_view what, Given const& given) { return {{"", unlike(what, given)}}; }

/// Puts what was taken where it belongs.
template <class T, class Value>
Mistakes keep(Taken<Value> taken, T& field) {
    if (!taken.value) return {{"", std::move(taken.problem)}};
    field = static_cast<T>(std::move(*taken.value));
    return {};
}

template <class T>
auto integer(std::uint64_t low, std::uint64_t high, Field<T> field) {
    return [=](Given const& given, Config& config) { return keep<T>(take_integer(given, low, high), field(config)); };
}

template <class T>
auto size(std::uint64_t low, std::uint64_t high, Field<T> field, std::string_view note = {}) {
    return
        [=](Given const& given, Config& config) { return keep<T>(take_size(given, low, high, note), field(config)); };
}

enum class Zero : std::uint8_t { refused, none };

template <class T>
auto duration(milliseconds low, milliseconds high, Field<T> field, Zero zero = Zero::refused) {
    DurationRange const range{low, high, zero == Zero::none, std::is_same_v<T, std::chrono::seconds>};
    return [=](Given const& given, Config& config) -> Mistakes {
        auto taken = take_duration(given, range);
        if (!taken.value) return {{"", std::move(taken.problem)}};
        field(config) = std::chrono::duration_cast<T>(*taken.value);
        return {};
    };
}

auto boolean(Field<bool> field) {
    return [=](Given const& given, Config& config) -> Mistakes {
        if (given.is_text()) {
            auto const text = given.text();
            bool const yes = text == "true" || text == "1" || text == "yes" || text == "on";
            if (!yes && text != "false" && text != "0" && text != "no" && text != "off")
                return expected("true or false", given);
            field(config) = yes;
            return {};
        }
        if (!given.json().is_boolean()) return expected("true or false", given);
        field(config) = given.json().get<bool>();
        return {};
    };
}

auto share(Field<double> field) {
    return [=](Given const& given, Config& config) { return keep<double>(take_share(given), field(config)); };
}

/// One of `words`, which are in the order of T.
template <class T>
auto choice(std::span<std::string_view const> words, Field<T> field) {
    return [=](Given const& given, Config& config) { return keep<T>(take_word(given, words), field(config)); };
}

auto listen_address(Field<rt::Address> field) {
    return [=](Given const& given, Config& config) -> Mistakes {
        auto const text = as_string(given);
        auto parsed = parse_listen(text.value_or(""));
        if (!parsed.problem.empty()) return {{"", parsed.problem + ", got " + given.description()}};
        field(config) = std::move(parsed.address);
        return {};
    };
}

Mistakes apply_upstream(Given const& given, Config& config) {
    auto const text = as_string(given);
    auto parsed = parse_upstream(text.value_or(""));
    if (!parsed.problem.empty()) {
        // What may hold a password is not repeated.
        bool const tell = !text || text->find('@') == std::string_view::npos;
        return {{"", parsed.problem + (tell ? ", got " + given.description() : "")}};
    }
    config.upstream = std::move(parsed.address);
    return {};
}

Mistakes apply_control_socket(Given const& given, Config& config) {
    auto const text = as_string(given);
    if (!text || text->empty()) return expected("a path, or none", given);
    config.control_socket_given = true;
    if (*text == "none") return config.control_socket.clear(), Mistakes{};
    auto path = resolve_path(text->starts_with("unix:") ? text->substr(5) : *text, given.folder);
    if (path.empty() || path.size() > max_socket_path_bytes || path.find('\0') != std::string::npos)
        return expected("a path of at most " + std::to_string(max_socket_path_bytes) + " bytes, or none", given);
    config.control_socket = std::move(path);
    return {};
}

Mistakes apply_audit(Given const& given, Config& config) {
    auto const text = as_string(given);
    if (text == "log" || text == "none") {
        config.audit = {text == "log" ? ops::AuditPlace::Kind::log : ops::AuditPlace::Kind::none, {}};
        return {};
    }
    auto taken = take_path(given);
    if (!taken.value) return expected("log, none, or the path of a file", given);
    config.audit = {ops::AuditPlace::Kind::file, std::move(*taken.value)};
    return {};
}

Mistakes apply_realm(Given const& given, Config& config) {
    auto const text = as_string(given);
    auto const fits = [](char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; };
    if (!text || text->empty() || text->size() > 64 || !std::all_of(text->begin(), text->end(), fits))
        return expected("1 to 64 printable ASCII characters without \" and \\", given);
    config.auth.realm.assign(*text);
    return {};
}

Mistakes apply_state_dir(Given const& given, Config& config) {
    auto taken = take_path(given);
    if (!taken.value) return expected("a path, or none", given);
    config.state_dir_given = true;
    config.state_dir = as_string(given) == "none" ? std::string() : std::move(*taken.value);
    return {};
}

Mistakes apply_public_url(Given const& given, Config& config) {
    auto const text = as_string(given);
    std::string problem;
    auto const url = notify::parse_url(text.value_or(""), problem);
    if (!url || !url->authorization.empty() || url->target != "/" ||
        text->find_first_of("?#@") != std::string_view::npos) {
        // What may hold a password is not repeated.
        bool const tell = !text || text->find('@') == std::string_view::npos;
        return {{"",
                 "expected https://host or http://host, with its port where that is not the usual one, without "
                 "path, query and credentials" +
                     (tell ? ", got " + given.description() : "")}};
    }
    config.notify.public_url = (url->tls ? "https://" : "http://") + url->authority;
    return {};
}

auto path(Field<std::string> field) {
    return [=](Given const& given, Config& config) { return keep<std::string>(take_path(given), field(config)); };
}

std::string_view trimmed(std::string_view text) {
    auto const begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

/// A list: an array of strings in the file, commas in a flag or variable. `parse` gives nothing for what is not
/// `wanted`.
template <class T>
auto list(std::string_view of_what, std::string_view wanted, Field<std::vector<T>> field,
          std::optional<T> (*parse)(std::string_view)) {
    return [=](Given const& given, Config& config) -> Mistakes {
        std::vector<Given> entries;
        std::size_t count = 0;  // also of those that are too many to be kept
        if (given.is_text()) {
            auto rest = given.text();
            for (bool more = true; more; ++count) {
                auto const comma = rest.find(',');
                if (count < max_list_entries) entries.push_back({trimmed(rest.substr(0, comma))});
                more = comma != std::string_view::npos;
                if (more) rest.remove_prefix(comma + 1);
            }
        } else if (given.json().is_array()) {
            for (auto const& entry : given.json())
                if (count++ < max_list_entries) entries.push_back({&entry});
        }
        if (count > max_list_entries || (!given.is_text() && !given.json().is_array()))
            return expected("a list of at most " + std::to_string(max_list_entries) + " " + std::string(of_what),
                            given);
        Mistakes mistakes;
        std::vector<T> values;
        for (std::size_t i = 0; i < entries.size(); ++i) {
            auto const text = as_string(entries[i]);
            auto value = text ? parse(*text) : std::nullopt;
            if (value) {
                values.push_back(std::move(*value));
            } else {
                auto mistake = expected(wanted, entries[i]).front();
                if (!given.is_text()) mistake.at = "/" + std::to_string(i);
                mistakes.push_back(std::move(mistake));
            }
        }
        field(config) = std::move(values);
        return mistakes;
    };
}

std::optional<std::string> parse_origin_pattern(std::string_view text) {
    return auth::is_origin_pattern(text) ? std::optional<std::string>(text) : std::nullopt;
}

std::optional<std::string> parse_host_pattern(std::string_view text) {
    return auth::is_host_pattern(text) ? std::optional<std::string>(text) : std::nullopt;
}

constexpr std::uint64_t KiB = 1024;

std::vector<Setting> make_settings() {
    using std::chrono::seconds;
    auto const day = 24h;
    return {
        {"/listen", "ADDRESS", "0.0.0.0:8080", "where clients connect; port 0: one of the kernel's choosing",
         listen_address([](Config & c) -> auto& { return c.listen; })},
        {"/admin_listen", "ADDRESS", "0.0.0.0:9090", "health and metrics, without credentials",
         listen_address([](Config & c) -> auto& { return c.admin_listen; })},
        {"/upstream/url", "URL", "http://127.0.0.1:4096", "opencode: http://host:port or unix:/path", apply_upstream},
        {"/upstream/username", "NAME", "", "for opencode; default: OPENCODE_SERVER_USERNAME, or opencode",
         [](Given const& given, Config& config) -> Mistakes {
             auto const text = as_string(given);
             if (!text || !auth::is_user_name(*text))
                 return expected("a name of 1 to 255 bytes, UTF-8 without colon and control characters", given);
             config.upstream_user.assign(*text);
             return {};
         }},
        {"/allow_remote_upstream", "", "false", "permit an upstream on another machine (plain HTTP, with credentials)",
         boolean([](Config & c) -> auto& { return c.allow_remote_upstream; })},
        {"/threads", "N", "1", "threads that carry traffic, 1 to 64",
         integer<unsigned>(
             1, 64, [](Config & c) -> auto& { return c.threads; })},
        {"/control_socket", "PATH", "",
         "local socket of `ocgate drain`, `pending` and the like, or none; default: $XDG_RUNTIME_DIR/ocgate.sock, else "
         "/tmp/ocgate-<uid>/control.sock",
         apply_control_socket},
        {"/state_dir", "PATH", "",
         "folder of what survives a crash, or none; default: $STATE_DIRECTORY, $XDG_STATE_HOME/ocgate or "
         "$HOME/.local/state/ocgate",
         apply_state_dir},
        {"/sandbox", "WORD", "auto", "the process gives up what it does not need: auto (what the kernel can), on, off",
         choice<Sandbox>(
             sandbox_words, [](Config & c) -> auto& { return c.sandbox; })},
        {"/log_format", "FORMAT", "json", "json or text",
         choice<ops::LogFormat>(
             log_format_words, [](Config & c) -> auto& { return c.log.format; })},
        {"/log_level", "LEVEL", "info", "debug, info, warn, error or off",
         choice<ops::LogLevel>(
             log_level_words, [](Config & c) -> auto& { return c.log.level; })},
        {"/access_log", "", "true", "one line per request", boolean([](Config & c) -> auto& { return c.log.access; })},
        {"/log_sample", "SHARE", "1",
         "share of ordinary requests with such a line, 0 to 1; errors and streams have one",
         share([](Config & c) -> auto& { return c.log.sample; })},

        {"/audit", "PLACE", "log", "where it is written who changed what: log, none, or a file's path", apply_audit},

        {"/htpasswd_file", "PATH", "", "users in htpasswd form",
         path([](Config & c) -> auto& { return c.htpasswd_file; })},
        {"/realm", "TEXT", "opencode", "what login dialogs show", apply_realm},
        {"/allowed_origins", "LIST", "",
         "origins of web pages, besides our own, that may send changes; JSON also takes opencode's --cors",
         list<std::string>(
             "origins", "an origin such as https://code.example or https://*.example.org, without path or final slash",
             [](Config & c) -> auto& { return c.auth.allowed_origins; }, parse_origin_pattern)},
        {"/allowed_hosts", "LIST", "", "what Host may say; default: anything",
         list<std::string>(
             "hosts", "a host such as code.example, code.example:8443 or *.example.org",
             [](Config & c) -> auto& { return c.auth.allowed_hosts; }, parse_host_pattern)},
        {"/trusted_proxies", "LIST", "", "addresses of proxies whose X-Forwarded-For is believed",
         list<auth::Network>(
             "networks", "an address or a network such as 10.0.0.0/8 or fd00::/8, or unix",
             [](Config & c) -> auto& { return c.auth.trusted_proxies; }, auth::Network::parse)},
        {"/ticket_upgrades", "", "true", "a terminal's WebSocket may log in by a ticket seen issued",
         boolean([](Config & c) -> auto& { return c.auth.ticket_upgrades; })},

        {"/throttle/failures", "N", "10", "failed logins per address and user in the window, then 429; 0: no throttle",
         integer<unsigned>(
             0, 1'000'000, [](Config & c) -> auto& { return c.auth.throttle.failures; })},
        {"/throttle/failures_per_address", "N", "100", "the same over all users of an address; 0: not counted",
         integer<unsigned>(
             0, 1'000'000, [](Config & c) -> auto& { return c.auth.throttle.failures_per_address; })},
        {"/throttle/window", "DURATION", "5m", "in whole seconds, 1s to 1d",
         duration<seconds>(
             1s, day, [](Config & c) -> auto& { return c.auth.throttle.window; })},
        {"/throttle/entries", "N", "4096", "addresses remembered, 16 to 1048576; the oldest is forgotten",
         integer<std::size_t>(
             16, 1 << 20, [](Config & c) -> auto& { return c.auth.throttle.entries; })},

        {"/limits/head_bytes", "SIZE", "16KiB", "request head, 1KiB to 16KiB: it must fit the window; then 431",
         size<std::size_t>(
             KiB, max_head_bytes, [](Config & c) -> auto& { return c.limits.request.head_bytes; },
             " (the proxy's window of 32KiB has room for a head and what follows it)")},
        {"/limits/target_bytes", "SIZE", "8KiB", "request target, 128B to head_bytes; then 414",
         size<std::size_t>(
             128, max_head_bytes, [](Config & c) -> auto& { return c.limits.request.target_bytes; })},
        {"/limits/body_bytes", "SIZE", "256MiB", "request content, then 413; 0: no bound",
         size<std::uint64_t>(
             0, 1ULL << 62, [](Config & c) -> auto& { return c.limits.body_bytes; }, " (0 for no bound)")},
        {"/limits/connections", "N", "4096", "client connections, 1 to 1000000; then who waits makes room, or 503",
         integer<std::size_t>(
             1, 1'000'000, [](Config & c) -> auto& { return c.limits.connections; })},
        {"/limits/connections_per_client", "N", "1024",
         "of these, of one address (IPv6: /64), up to 1000000, then 429; 0: no bound",
         integer<std::size_t>(
             0, 1'000'000, [](Config & c) -> auto& { return c.limits.connections_per_client; })},
        {"/limits/streams_per_client", "N", "256",
         "event streams and WebSockets of one address, up to 1000000, then 429; 0: no bound",
         integer<std::size_t>(
             0, 1'000'000, [](Config & c) -> auto& { return c.limits.streams_per_client; })},
        {"/limits/idle_upstreams", "N", "32", "idle upstream connections kept per thread, 0 to 1024",
         integer<std::size_t>(
             0, 1024, [](Config & c) -> auto& { return c.limits.idle_upstreams; })},

        {"/timeouts/request_head", "DURATION", "10s", "from a head's first byte to its last, then 408; 100ms to 10m",
         duration<milliseconds>(
             100ms, 10min, [](Config & c) -> auto& { return c.limits.request_head; })},
        {"/timeouts/keep_alive", "DURATION", "75s", "an idle client connection is closed; 100ms to 1d",
         duration<milliseconds>(
             100ms, day, [](Config & c) -> auto& { return c.limits.keep_alive; })},
        {"/timeouts/dial", "DURATION", "2s", "connecting to the upstream, then 503; 10ms to 5m",
         duration<milliseconds>(
             10ms, 5min, [](Config & c) -> auto& { return c.limits.dial; })},
        {"/timeouts/first_byte", "DURATION", "0",
         "from the request's end to the answer's head, then 504; 0: none, prompts are silent for hours",
         duration<milliseconds>(
             100ms, max_duration, [](Config & c) -> auto& { return c.limits.first_byte; }, Zero::none)},
        {"/timeouts/idle_body", "DURATION", "60s", "a body without progress is cut; 100ms to 1d",
         duration<milliseconds>(
             100ms, day, [](Config & c) -> auto& { return c.limits.idle_body; })},
        {"/timeouts/tunnel_idle", "DURATION", "0", "a WebSocket without a byte either way; 0: none",
         duration<milliseconds>(
             100ms, max_duration, [](Config & c) -> auto& { return c.limits.tunnel_idle; }, Zero::none)},
        {"/timeouts/stall", "DURATION", "30s", "an event-stream client that takes no bytes is cut; 100ms to 1h",
         duration<milliseconds>(
             100ms, 1h, [](Config & c) -> auto& { return c.limits.stall_timeout; })},
        {"/timeouts/heartbeat", "DURATION", "15s", "silence in an event stream filled with a comment; 0: none",
         duration<milliseconds>(
             100ms, 1h, [](Config & c) -> auto& { return c.limits.heartbeat; }, Zero::none)},
        {"/timeouts/idle_upstream", "DURATION", "60s", "an idle upstream connection is closed; 100ms to 1h",
         duration<milliseconds>(
             100ms, 1h, [](Config & c) -> auto& { return c.limits.idle_upstream; })},
        {"/timeouts/drain", "DURATION", "25s", "what is open is given to end; 0 to 1h",
         duration<milliseconds>(
             0ms, 1h, [](Config & c) -> auto& { return c.drain_timeout; })},
        {"/timeouts/probe_interval", "DURATION", "10s", "between two looks at the upstream; 100ms to 1h",
         duration<milliseconds>(
             100ms, 1h, [](Config & c) -> auto& { return c.probe_interval; })},
        {"/timeouts/probe", "DURATION", "10s", "one look at the upstream; 100ms to 5m",
         duration<milliseconds>(
             100ms, 5min, [](Config & c) -> auto& { return c.probe_timeout; })},

        {"/budget_time_zone", "ZONE", "UTC", "whose days and months budgets are for, such as Europe/Berlin",
         apply_budget_time_zone},

        {"/notifications/privacy", "WORD", "full",
         "how much of what happened leaves for targets: minimal, summary or full; a route may say otherwise",
         choice<notify::Privacy>(
             privacy_words, [](Config & c) -> auto& { return c.notify.rules.privacy; })},
        {"/notifications/public_url", "URL", "",
         "where people reach this gateway, for links in messages: https://code.example; default: no links",
         apply_public_url},
        {"/notifications/ca_file", "PATH", "",
         "certificates (PEM) that targets' servers are checked with, instead of the system's",
         path([](Config & c) -> auto& { return c.notify.ca_file; })},
        {"/notifications/same_error", "DURATION", "10m", "the same error is told once in this time; 0 to 30d",
         duration<milliseconds>(
             0ms, max_duration, [](Config & c) -> auto& { return c.notify.same_error; })},
        {"/notifications/retries", "N", "3", "attempts of the model's that failed before it is told, 1 to 1000",
         integer<unsigned>(
             1, 1000, [](Config & c) -> auto& { return c.notify.retries; })},
    };
}

}  // namespace

std::string Given::description() const {
    if (is_text()) return in_quotes(text());
    switch (json().type()) {
        case nlohmann::json::value_t::string:
            return in_quotes(json().get_ref<std::string const&>());
        case nlohmann::json::value_t::object:
            return "an object";
        case nlohmann::json::value_t::array:
            return "an array of " + std::to_string(json().size());
        default:
            return json().dump();
    }
}

std::string Setting::name() const {
    // The upstream's address is the upstream, in every place but the object in the file.
    if (pointer == "/upstream/url") return "upstream";
    std::string name(pointer.substr(1));
    std::replace(name.begin(), name.end(), '/', '_');
    return name;
}

std::string Setting::flag() const {
    auto flag = name();
    std::replace(flag.begin(), flag.end(), '_', '-');
    return "--" + flag;
}

std::string Setting::variable() const {
    auto variable = name();
    std::transform(variable.begin(), variable.end(), variable.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
    return "OCGATE_" + variable;
}

std::span<Setting const> settings() {
    static std::vector<Setting> const all = make_settings();
    return all;
}

std::string resolve_path(std::string_view path, std::string_view folder) {
    if (path.empty() || folder.empty() || path.starts_with('/')) return std::string(path);
    return std::string(folder) + (folder.ends_with('/') ? "" : "/") + std::string(path);
}

}  // namespace ocgate::app
