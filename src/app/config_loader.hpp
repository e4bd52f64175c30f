// One reading of the whole configuration: what is collected on the way, and in which order.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "config_settings.hpp"
#include "ocgate/app/config.hpp"

namespace ocgate::app {

inline constexpr std::size_t max_users = 1000;  ///< in the file; an htpasswd file may hold more

class Loader {
public:
    Loader(Flags const& flags, Sources const& sources) : flags_(flags), sources_(sources) {}
    Loaded load();

    // What readers of a part need.

    /// `{"env": …}` or `{"file": …}`; nothing, with the error told, when it is neither or gives no text.
    std::optional<Secret> secret_of(nlohmann::json const& form, std::string const& place);
    /// The variable `name`, or the file that `name`_FILE names; nothing when neither is set or there is an error.
    std::optional<Secret> secret_variable(std::string const& name);
    void complain(std::string place, std::string message, std::string setting = {});
    void warn(std::string message) { loaded_.config.warnings.push_back(std::move(message)); }
    [[nodiscard]] std::size_t error_count() const { return loaded_.errors.size() + untold_; }
    [[nodiscard]] std::string const& folder() const { return folder_; }  ///< of the file
    [[nodiscard]] Config& config() { return loaded_.config; }

private:
    // config.cpp: the table's settings, and how they fit each other
    void read_config_file();
    void walk(nlohmann::json const& object, std::string const& pointer);
    void unknown_key(std::string const& pointer, std::string_view key, std::string const& place);
    void read_variables();
    void read_flags();
    void apply(Setting const& setting, Given const& given, std::string const& place);
    void fill_in_defaults();
    std::string usual_state_dir();
    void check_addresses();
    void check_limits();
    void note_doubts();
    void note_unknown_variables();

    // config_users.cpp: who may log in here, and how we log in to the upstream
    void read_accounts();
    void read_server_pair();
    void read_user(nlohmann::json const& user, std::string const& place);
    void read_htpasswd();
    void read_upstream_credential();

    void read_notifications();  // config_notify.cpp
    void read_spending();       // config_budgets.cpp, after who is told

    std::optional<Secret> secret_file(std::string const& path, std::string const& place, std::string_view folder);

    Sources::File read(std::string const& path);
    std::optional<std::string> variable(std::string const& name);  ///< empty counts as unset
    /// What the file says at one of `other_pointers`; nullptr: nothing.
    [[nodiscard]] nlohmann::json const* other(std::string_view pointer) const {
        auto const found = others_.find(pointer);
        return found == others_.end() ? nullptr : found->second;
    }
    /// Where the setting's value came from; its pointer when that was the default.
    [[nodiscard]] std::string place_of(std::string const& name) const;
    [[nodiscard]] bool given(std::string const& name) const { return places_.contains(name); }

    Flags const& flags_;
    Sources const& sources_;
    Loaded loaded_;
    std::size_t untold_ = 0;  ///< errors beyond `max_config_errors`

    nlohmann::json file_;       ///< null without one
    bool file_broken_ = false;  ///< it exists, but what it says is not known: no complaints about what is missing
    std::string folder_;        ///< of the file
    std::map<std::string, nlohmann::json const*, std::less<>> others_;  ///< by pointer, as far as they are there
    std::map<std::string, std::string> places_;  ///< of the settings that were given, by name: the winner's
    std::set<std::string> known_variables_;      ///< asked for

    struct Pair {
        std::string name;
        Secret password;
    };
    std::optional<Pair> server_pair_;  ///< OPENCODE_SERVER_USERNAME and _PASSWORD
    bool server_pair_failed_ = false;
    bool user_wanted_ = false;  ///< somebody tried to name a user, well or badly
};

}  // namespace ocgate::app
