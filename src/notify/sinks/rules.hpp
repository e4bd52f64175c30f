// What the targets' rules share: places in URLs, headers of answers, keys and signatures.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "ocgate/notify/sink.hpp"
#include "ocgate/notify/sinks.hpp"

namespace ocgate::notify {

/// `scheme://authority`, path and query of an absolute URL; parse_url (http.hpp) says whether it is one.
struct Place {
    std::string origin;
    std::string host;  ///< lower case, without port
    std::string path;  ///< empty, or begins with a slash
    std::string query;
};
[[nodiscard]] Setting<Place> place_of(std::string_view url, bool may_hold_user);

/// `name=value` is among the parameters.
[[nodiscard]] bool has_parameter(std::string_view query, std::string_view name);

/// The query without parameters of that name.
[[nodiscard]] std::string without_parameter(std::string_view query, std::string_view name);

/// A link that leads where it says, from letters that need no care anywhere: else empty.
[[nodiscard]] std::string safe_link(std::string_view url, std::size_t most);

/// [A-Za-z0-9_-], 1 to 64.
[[nodiscard]] bool is_plain_id(std::string_view text) noexcept;
/// The text itself where it is one, else one made of it, always the same.
[[nodiscard]] std::string plain_id(std::string_view text);

[[nodiscard]] std::string base64(std::string_view bytes);
[[nodiscard]] std::string hmac_sha256(std::string_view key, std::string_view bytes);

/// The first field of that name (lower case); nothing without one.
[[nodiscard]] std::optional<std::string_view> header(HttpResponse const& response, std::string_view name);

/// Null when the content is no JSON.
[[nodiscard]] nlohmann::json json_of(HttpResponse const& response);
/// A string or whole number of an object; otherwise empty or 0.
[[nodiscard]] std::string string_in(nlohmann::json const& object, char const* name);
[[nodiscard]] std::int64_t number_in(nlohmann::json const& object, char const* name);

/// Seconds with or without decimals, rounded up, at most a day; nothing for anything else.
[[nodiscard]] std::optional<std::chrono::milliseconds> seconds_in(std::string_view text);
[[nodiscard]] std::chrono::milliseconds at_most_a_day(double seconds);
/// Retry-After: seconds or a date (RFC 9110 §10.2.3).
[[nodiscard]] std::optional<std::chrono::milliseconds> retry_after(HttpResponse const& response, WallClock const& wall);

[[nodiscard]] std::int64_t unix_ms(WallClock const& wall);

/// JSON text; bytes that are no UTF-8 become U+FFFD.
[[nodiscard]] std::string dumped(nlohmann::json const& value);

/// What `let_out` let out, or an empty object.
[[nodiscard]] nlohmann::json data_of(Message const& message);

/// An operator's own words for the message's event, or nullptr.
[[nodiscard]] Words const* words_for(WordsByEvent const& words, Message const& message);

/// Answers that mean the same to every target that speaks HTTP: a redirect, too many requests, trouble of the server.
/// Nothing for the others.
[[nodiscard]] std::optional<Verdict> usual_verdict(HttpResponse const& response, WallClock const& wall);

/// A refusal that is not in the target's own words: of a proxy, of a page to sign in at, of a server in maintenance. It
/// says nothing about the target, which is left alone for a while, but not for good.
[[nodiscard]] Verdict not_its_own(std::string const& told, std::string_view target);

/// Why an accepted message is tried again.
inline constexpr char cut_before_the_id[] = "its answer was cut off before the message's id";

}  // namespace ocgate::notify
