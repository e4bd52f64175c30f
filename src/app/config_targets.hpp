// Who is told: the targets that the file and the variables name. No message repeats a secret, nor what may be one.
#pragma once

#include <map>
#include <set>

#include "config_fields.hpp"

namespace ocgate::app {

/// The keys of a target of that type (`log`, `ntfy`, `discord`, `webhook`), for the schema's test; empty: no such type.
[[nodiscard]] Fields::Words keys_of_target(std::string_view type);

/// 1 to 64 of [A-Za-z0-9_.-], not only dots: it is a part of paths, too.
[[nodiscard]] bool is_target_name(std::string_view text);

/// Targets by name, those with mistakes included: whoever names one of these is right.
class TargetNames {
public:
    void add(std::string name) { names_.insert(std::move(name)); }
    /// The list is broken: what is missing may stand in it.
    void give_up() { complete_ = false; }
    [[nodiscard]] bool contains(std::string const& name) const { return names_.contains(name); }
    [[nodiscard]] bool empty() const { return complete_ && names_.empty(); }

    /// Complains of the names at `key` that no target has, and of those given twice.
    void check(Fields& fields, std::string_view key, std::vector<std::string> const& names) const;

private:
    std::set<std::string> names_;
    bool complete_ = true;
};

class TargetReader {
public:
    explicit TargetReader(Loader& loader) : loader_(loader) {}

    /// NTFY_* and DISCORD_WEBHOOK_URL. Before the file.
    void read_variables();
    void read_file(nlohmann::json const& targets);

    [[nodiscard]] TargetNames const& names() const noexcept { return names_; }
    /// All of them by name; they leave.
    [[nodiscard]] std::vector<TargetConfig> take();

private:
    /// A text from wherever it came.
    struct Part {
        std::string place;
        std::optional<Secret> value{};
        bool given = false;  ///< also badly

        [[nodiscard]] std::string_view text() const { return value ? value->reveal() : std::string_view(); }
    };
    struct NtfyParts {
        Part topic, server, token, user, password;
    };

    Part variable(std::string name);
    Part field(Fields& fields, std::string_view key, bool secret);
    void add(TargetConfig target, nlohmann::json const* words = nullptr, nlohmann::json const* body = nullptr);

    void read_target(std::string const& name, nlohmann::json const& target);
    void read_common(Fields& fields, TargetConfig& target);
    notify::NtfySettings ntfy(NtfyParts const& parts);
    void check_ntfy_login(NtfyParts const& parts);
    notify::DiscordSettings discord(Part const& url);
    void read_mentions(Fields& fields, notify::DiscordSettings& settings);
    notify::WebhookSettings webhook(Fields& fields);
    void read_headers(Fields& fields, notify::WebhookSettings& settings);
    notify::WordsByEvent words(Fields& fields);
    std::shared_ptr<notify::Template const> text_template(Fields& fields, std::string_view key);
    std::shared_ptr<notify::JsonTemplate const> body_template(Fields& fields);
    /// What goes to `url` as `what` says can be read on the way.
    void doubt_plain(std::string_view url, std::string const& place, std::string_view what);

    Loader& loader_;
    TargetNames names_;
    std::map<std::string, TargetConfig> targets_;
    std::map<std::string, std::string> variables_;  ///< which one made the target of that name
};

}  // namespace ocgate::app
