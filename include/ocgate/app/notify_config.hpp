// Who is told of what, as an operator configured it. Plain values; config_notify.cpp reads them, Gateway makes targets
// and rules of them.
#pragma once

#include <chrono>
#include <string>
#include <variant>
#include <vector>

#include "ocgate/notify/router.hpp"
#include "ocgate/notify/sinks.hpp"

namespace ocgate::app {

using std::chrono::milliseconds;

struct LogTarget {};

struct TargetConfig {
    std::string name;  ///< 1 to 64 of [A-Za-z0-9_.-]; also a metric label
    std::variant<LogTarget, notify::NtfySettings, notify::DiscordSettings, notify::WebhookSettings> what;
    std::vector<std::string> fallback{};  ///< other targets, told of blocks while this one is down
    std::string ca_file{};                ///< PEM, instead of the system's; empty: the system's
    unsigned burst = 0;                   ///< a pace of the operator's; 0: the target's own
    milliseconds every{0};                ///< with `burst`
    /// A fingerprint of all that makes it (16 hexadecimal digits, of a SHA-256): changes when the target does, tells
    /// no secret.
    std::string mark{};
};

inline constexpr std::size_t max_targets = 32;
inline constexpr std::size_t max_routes = 100;

struct NotifyConfig {
    std::vector<TargetConfig> targets{};  ///< none: nobody is told; the pages and the metrics are there all the same
    notify::RouterRules rules{};
    milliseconds same_error{600'000};  ///< the same error is told once in this time
    unsigned retries = 3;              ///< attempts that failed before `retry` is told
    /// Where people reach this gateway, for links in messages: `https://code.example`, without a slash at the end;
    /// empty: messages have no link.
    std::string public_url{};
    std::string ca_file{};  ///< of the targets that name none; stands in them already
};

}  // namespace ocgate::app
