// The targets there are, and what an operator says of each. Secrets stay in `Secret` until a request is made of them.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ocgate/base/secret.hpp"
#include "ocgate/notify/sink.hpp"
#include "ocgate/notify/template.hpp"

namespace ocgate::notify {

/// Why a setting cannot be: for the operator, without the value where that is a secret.
struct SettingError {
    std::string why;
};

[[noreturn]] void throw_exception_from_error(SettingError const& error, boost::source_location const& where);

template <class T>
using Setting = boost::system::result<T, SettingError>;

/// An operator's own words for one event; a missing one is the default.
struct Words {
    std::shared_ptr<Template const> title;
    std::shared_ptr<Template const> body;
};
using WordsByEvent = std::map<std::string, Words, std::less<>>;

struct NtfySettings {
    std::string server;  ///< http(s)://host[:port][/base], no slash at the end
    std::string topic;
    Secret token;  ///< `tk_…`; or
    std::string user;
    Secret password;
    std::size_t message_bytes = 4000;  ///< 1000 where the server hands on to Google or Apple
    WordsByEvent words{};
    std::string version = "0";  ///< ours, for User-Agent
};

/// `topic` as people write it: a name, which is at `server`, or the topic's whole URL. Nothing but place and topic is
/// set.
[[nodiscard]] Setting<NtfySettings> ntfy_at(std::string_view topic, std::string_view server = "https://ntfy.sh");

[[nodiscard]] std::unique_ptr<Sink> make_ntfy(NtfySettings settings, WallClock wall);

struct DiscordSettings {
    Secret url;                         ///< as `discord_at` wrote it
    std::vector<std::string> mentions;  ///< ids of users that an escalation names
    WordsByEvent words{};
    std::string version = "0";
    std::string project = "https://opencode.ai";  ///< Discord wants to know who asks: a page about the program
};

/// A webhook's URL: Discord's own are rewritten to version 10 of its interface, any other is used as it stands.
[[nodiscard]] Setting<DiscordSettings> discord_at(std::string_view url);

[[nodiscard]] std::unique_ptr<Sink> make_discord(DiscordSettings settings, WallClock wall);

struct WebhookSettings {
    Secret url;
    std::vector<Secret> keys;  ///< of signatures, decoded; several while one replaces another; none: not signed
    std::vector<std::pair<std::string, Secret>> headers;
    std::shared_ptr<JsonTemplate const> body;  ///< instead of the envelope; sees what the envelope would hold
    std::string version = "0";
};

[[nodiscard]] Setting<WebhookSettings> webhook_at(std::string_view url);

/// `whsec_` and base64 of 24 to 64 bytes, as the bytes.
[[nodiscard]] Setting<Secret> signing_key(std::string_view text);

[[nodiscard]] std::unique_ptr<Sink> make_webhook(WebhookSettings settings, WallClock wall);

[[nodiscard]] std::unique_ptr<Sink> make_log();

}  // namespace ocgate::notify
