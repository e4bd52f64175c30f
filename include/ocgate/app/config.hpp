// What an operator wants, from flags, environment, one JSON file and the secrets these point to: read whole, checked
// whole, every mistake told at once. Starts nothing and listens to nothing.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ocgate/app/notify_config.hpp"
#include "ocgate/auth/settings.hpp"
#include "ocgate/bridge/purse.hpp"
#include "ocgate/ops/audit.hpp"
#include "ocgate/ops/log.hpp"
#include "ocgate/proxy/limits.hpp"
#include "ocgate/rt/dialer.hpp"

namespace ocgate::app {

using std::chrono::milliseconds;

/// Which file it was, and as it was when: another one differs in one of these.
struct FileMark {
    std::uint64_t device = 0, inode = 0, size = 0;
    std::int64_t modified_ns = -1;  ///< -1: there is no such file
    bool operator==(FileMark const&) const = default;
};

/// Whether the process takes away from itself what it does not need: as far as the kernel can, or not without all of
/// it.
enum class Sandbox : std::uint8_t { automatic, on, off };

struct Config {
    // Fixed for the life of the process: a reload that changes one of these keeps the old value and warns.
    rt::Address listen{"0.0.0.0", 8080, {}};
    rt::Address admin_listen{"0.0.0.0", 9090, {}};
    /// Path of the local control socket; empty: none. By default `$XDG_RUNTIME_DIR/ocgate.sock`, without that variable
    /// `/tmp/ocgate-<uid>/control.sock`.
    std::string control_socket;
    bool control_socket_given = false;  ///< asked for: not to have it is an error then, otherwise a warning
    unsigned threads = 1;
    /// Folder of what must survive a crash; empty: memory only. By default the first of `$STATE_DIRECTORY` (systemd),
    /// `$XDG_STATE_HOME/ocgate` and `$HOME/.local/state/ocgate` whose variable is set.
    std::string state_dir;
    bool state_dir_given = false;
    Sandbox sandbox = Sandbox::automatic;

    // Replaced whole by a reload.
    ops::LogOptions log;
    ops::AuditPlace audit;
    rt::Address upstream{"127.0.0.1", 4096, {}};
    Secret upstream_authorization;  ///< value of the Authorization field for the upstream; empty: none is sent
    std::string upstream_user;      ///< the name in it, for people
    bool allow_remote_upstream = false;
    proxy::Limits limits;
    auth::Settings auth;
    std::string htpasswd_file;  ///< where some of the accounts came from; empty: none
    milliseconds probe_interval{10'000};
    milliseconds probe_timeout{10'000};  ///< opencode is one thread: a large attachment delays it by seconds
    milliseconds drain_timeout{25'000};  ///< after it, drain insists. Kubernetes grants 30 s by default
    NotifyConfig notify;
    bridge::PurseRules spending;

    /// The file, the secrets and the htpasswd file, in the order of reading, each once; also those that could not be
    /// read: what a reload watches.
    std::vector<std::string> files;
    std::vector<FileMark> file_marks;   ///< of `files`, taken before they were read
    std::vector<std::string> warnings;  ///< accepted but likely not meant; for the log
};

struct ConfigError {
    std::string place;    ///< JSON pointer, flag, variable, or file with line
    std::string message;  ///< what was expected, what was found, the remedy; never a secret
    /// The setting by its name as a flag (`admin_listen`), so that a subcommand can tell what concerns it; `config`
    /// for the file as a whole; empty for everything else.
    std::string setting;

    [[nodiscard]] std::string text() const { return place.empty() ? message : place + ": " + message; }
};

/// Reading stops to list errors after so many; the last one says how many more there are.
inline constexpr std::size_t max_config_errors = 100;
inline constexpr std::size_t max_config_bytes = 1024 * 1024;  ///< of the file, and of every other file read

/// What configuration is read from. Handed in, so that tests have their own.
struct Sources {
    std::function<std::optional<std::string>(std::string const& name)> variable;
    std::function<std::vector<std::string>()> variables;  ///< the names of all, to find misspelt ones; may be empty
    struct File {
        std::string content;
        std::string problem;  ///< why it cannot be read; empty when it could
        FileMark mark;        ///< taken before the content
    };
    std::function<File(std::string const& path)> file;
};

/// The settings given as flags, by their name in the configuration file (`admin_listen`, `limits_head_bytes` for
/// `/limits/head_bytes`). A flag wins over `OCGATE_*` (an empty variable counts as unset), that over the file, that
/// over the default; what is overruled is checked all the same. `config` is the path of the file; it may be absent.
struct Flags {
    std::vector<std::pair<std::string, std::string>> values;
};

struct Loaded {
    Config config;                    ///< of use only without errors
    std::vector<ConfigError> errors;  ///< all of them
};

[[nodiscard]] Loaded load_config(Flags const& flags, Sources const& sources);

/// The process's own environment and files. A file that is not regular or larger than `max_config_bytes` is a problem.
[[nodiscard]] Sources system_sources();

/// As the file at `path` is now, links followed.
[[nodiscard]] FileMark mark_of(std::string const& path) noexcept;

}  // namespace ocgate::app
