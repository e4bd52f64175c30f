// The table of settings: one row gives the key in the file, the flag, the variable, what is accepted and the default.
// The command line, the loader and the tests all read this table.
#pragma once

#include <array>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "ocgate/app/config.hpp"

namespace ocgate::app {

/// A value as it was given: text from a flag or variable, or JSON from the file.
struct Given {
    std::variant<std::string_view, nlohmann::json const*> value;
    std::string_view folder = {};  ///< of the file, for relative paths in it; empty otherwise

    [[nodiscard]] bool is_text() const noexcept { return value.index() == 0; }
    [[nodiscard]] std::string_view text() const { return std::get<0>(value); }
    [[nodiscard]] nlohmann::json const& json() const { return *std::get<1>(value); }
    /// For messages: scalars as they are (cut), of lists and objects only what they are.
    [[nodiscard]] std::string description() const;
};

/// One mistake in a value: `at` is appended to the place (an index in a list), or empty.
struct Mistake {
    std::string at;
    std::string message;
};
using Mistakes = std::vector<Mistake>;

struct Setting {
    std::string_view pointer;     ///< `/limits/head_bytes`
    std::string_view value_name;  ///< `SIZE`; empty for a switch
    std::string_view fallback;    ///< the default as text; empty when it is computed, or nothing
    std::string_view help;        ///< one line, with the range
    std::function<Mistakes(Given const&, Config&)> apply;

    [[nodiscard]] std::string name() const;      ///< `limits_head_bytes`
    [[nodiscard]] std::string flag() const;      ///< `--limits-head-bytes`
    [[nodiscard]] std::string variable() const;  ///< `OCGATE_LIMITS_HEAD_BYTES`
    [[nodiscard]] bool is_switch() const noexcept { return value_name.empty(); }
};

/// All of them in the order of the documentation. Not here: users, secrets, and the path of the file itself.
[[nodiscard]] std::span<Setting const> settings();

/// Keys of the file that are no settings of the table.
inline constexpr std::string_view users_pointer = "/users";
inline constexpr std::string_view upstream_password_pointer = "/upstream/password";
inline constexpr std::string_view targets_pointer = "/notifications/targets";
inline constexpr std::string_view routes_pointer = "/notifications/routes";
inline constexpr std::string_view quiet_hours_pointer = "/notifications/quiet_hours";
inline constexpr std::string_view presence_pointer = "/notifications/presence";
inline constexpr std::string_view budgets_pointer = "/budgets";
inline constexpr std::string_view schema_pointer = "/$schema";  ///< for editors; not looked at
inline constexpr std::array other_pointers{
    users_pointer,       upstream_password_pointer, targets_pointer, routes_pointer,
    quiet_hours_pointer, presence_pointer,          budgets_pointer, schema_pointer};

/// notify::Privacy in words, in its order.
inline constexpr std::array<std::string_view, 3> privacy_words{"minimal", "summary", "full"};

inline constexpr std::size_t max_list_entries = 256;

/// What the schema and the documentation say of the range of `limits.head_bytes`: the proxy parses a head in its
/// window, which has room for the first of what follows as well (proxy::ShardParts::window_bytes).
inline constexpr std::size_t max_head_bytes = 16 * 1024;

/// `path` of a file that a setting names: relative to `folder` unless that is empty or the path is absolute.
[[nodiscard]] std::string resolve_path(std::string_view path, std::string_view folder);

/// How far two words are apart, for "did you mean": the number of letters to insert, remove, replace or swap.
[[nodiscard]] std::size_t distance(std::string_view a, std::string_view b);

/// The nearest of `candidates`, when it is near enough to be meant; otherwise empty.
[[nodiscard]] std::string_view nearest(std::string_view word, std::span<std::string_view const> candidates);

}  // namespace ocgate::app
