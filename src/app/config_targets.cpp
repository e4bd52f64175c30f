#include "config_targets.hpp"

#include <algorithm>

#include "config_address.hpp"
#include "config_json.hpp"
#include "config_mark.hpp"
#include "ocgate/notify/http.hpp"
#include "ocgate/notify/router.hpp"

namespace ocgate::app {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr std::array<std::string_view, 4> types{"ntfy", "discord", "webhook", "log"};
constexpr std::string_view ntfy_keys[] = {"type",          "topic", "server",   "token",   "username", "password",
                                          "message_bytes", "words", "fallback", "ca_file", "pace"};
constexpr std::string_view discord_keys[] = {"type", "url", "mentions", "words", "fallback", "ca_file", "pace"};
constexpr std::string_view webhook_keys[] = {"type", "url", "keys", "headers", "body", "fallback", "ca_file", "pace"};
constexpr std::string_view log_keys[] = {"type"};
constexpr std::string_view all_keys[] = {"type",    "topic", "server",   "token",        "username", "password",
                                         "url",     "words", "mentions", "keys",         "headers",  "body",
                                         "ca_file", "pace",  "fallback", "message_bytes"};

bool is_printable(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; });
}

bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7F; });
}

bool is_url(std::string_view text) { return text.find("://") != std::string_view::npos; }

}  // namespace

Fields::Words keys_of_target(std::string_view type) {
    if (type == "ntfy") return ntfy_keys;
    if (type == "discord") return discord_keys;
    if (type == "webhook") return webhook_keys;
    if (type == "log") return log_keys;
    return {};
}

bool is_target_name(std::string_view text) {
    auto const fits = [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
               c == '.';
    };
    return text.size() <= 64 && std::all_of(text.begin(), text.end(), fits) &&
           text.find_first_not_of('.') != std::string_view::npos;
}

void TargetNames::check(Fields& fields, std::string_view key, std::vector<std::string> const& names) const {
    std::vector<std::string_view> const known(names_.begin(), names_.end());
    std::set<std::string> seen;
    for (std::size_t i = 0; i < names.size(); ++i) {
        auto const& name = names[i];
        if (name.empty()) continue;  // told already
        auto const place = below(fields.place(key), i);
        // What is told is a name there is, never what was written: it may be an address that nobody is to know.
        if (!seen.insert(name).second) {
            fields.complain(place, "named twice");
        } else if (complete_ && !contains(name)) {
            auto const meant = nearest(name, known);
            fields.complain(place, "no target has this name" +
                                       (meant.empty() ? std::string() : "; did you mean " + in_quotes(meant) + "?"));
        }
    }
}

TargetReader::Part TargetReader::variable(std::string name) {
    auto const errors = loader_.error_count();
    Part part{std::move(name)};
    part.value = loader_.secret_variable(part.place);
    part.given = part.value || errors != loader_.error_count();
    return part;
}

TargetReader::Part TargetReader::field(Fields& fields, std::string_view key, bool secret) {
    return {fields.place(key), secret ? fields.secret(key) : fields.text_or_secret(key), fields.find(key) != nullptr};
}

void TargetReader::read_variables() {
    NtfyParts const parts{variable("NTFY_TOPIC"), variable("NTFY_SERVER"), variable("NTFY_TOKEN"),
                          variable("NTFY_USER"), variable("NTFY_PASSWORD")};
    if (parts.topic.given) {
        variables_["ntfy"] = parts.topic.place;
        add({"ntfy", ntfy(parts)});
    } else {
        for (auto const* part : {&parts.server, &parts.token, &parts.user, &parts.password})
            if (part->given) loader_.warn(part->place + " has no effect without NTFY_TOPIC");
    }
    if (auto const url = variable("DISCORD_WEBHOOK_URL"); url.given) {
        variables_["discord"] = url.place;
        add({"discord", discord(url)});
    }
}

void TargetReader::read_file(json const& targets) {
    std::string const at(targets_pointer);
    Fields all(loader_, targets, at);
    if (!targets.is_object()) return names_.give_up();
    if (targets.size() + targets_.size() > max_targets) {
        names_.give_up();
        return all.complain(at, "expected at most " + std::to_string(max_targets) + " targets, got " +
                                    std::to_string(targets.size() + targets_.size()));
    }
    // Each may name any other.
    for (auto const& [name, target] : targets.items()) names_.add(name);
    for (auto const& [name, target] : targets.items()) read_target(name, target);
}

void TargetReader::read_target(std::string const& name, json const& target) {
    Fields fields(loader_, target, pointer_to(std::string(targets_pointer), name));
    if (!is_target_name(name))
        fields.complain(fields.place(), "expected a name of 1 to 64 letters, digits, -, _ and dots, not of dots only");
    if (auto const made = variables_.find(name); made != variables_.end())
        fields.complain(fields.place(),
                        made->second + " makes a target of this name; rename this one, or unset " + made->second);
    if (!target.is_object()) return;
    auto const type = fields.word("type", types);
    if (!fields.find("type")) fields.complain(fields.place(), "a type is missing: ntfy, discord, webhook or log");
    if (!type) return fields.only(all_keys);
    auto const word = types[*type];
    fields.only(keys_of_target(word), all_keys, "no key of a target of type " + std::string(word));

    TargetConfig config;
    config.name = name;
    if (word == "ntfy") {
        if (!fields.find("topic")) fields.complain(fields.place(), "a topic is missing: its name or whole URL");
        auto settings =
            ntfy({field(fields, "topic", false), field(fields, "server", false), field(fields, "token", true),
                  field(fields, "username", false), field(fields, "password", true)});
        if (auto const bytes = fields.size("message_bytes", 100, 8000)) settings.message_bytes = *bytes;
        settings.words = words(fields);
        config.what = std::move(settings);
    } else if (word == "discord") {
        if (!fields.find("url")) fields.complain(fields.place(), "a url is missing: {\"env\": …} or {\"file\": …}");
        auto settings = discord(field(fields, "url", true));
        read_mentions(fields, settings);
        settings.words = words(fields);
        config.what = std::move(settings);
    } else if (word == "webhook") {
        config.what = webhook(fields);
    }
    read_common(fields, config);
    add(std::move(config), fields.find("words"), fields.find("body"));
}

void TargetReader::read_common(Fields& fields, TargetConfig& target) {
    if (auto fallback = fields.texts("fallback", "names of targets", max_targets)) {
        names_.check(fields, "fallback", *fallback);
        for (std::size_t i = 0; i < fallback->size(); ++i)
            if ((*fallback)[i] == target.name)
                fields.complain(below(fields.place("fallback"), i), "expected another target, got this one itself");
        target.fallback = std::move(*fallback);
    }
    if (auto path = fields.path("ca_file")) target.ca_file = std::move(*path);
    auto const* const given = fields.find("pace");
    if (!given) return;
    Fields pace(loader_, *given, fields.place("pace"));
    static constexpr std::string_view keys[] = {"burst", "every"};
    pace.only(keys);
    target.burst = static_cast<unsigned>(pace.integer("burst", 1, 1000).value_or(0));
    target.every = pace.duration("every", 10ms, 1h).value_or(0ms);
    for (auto const key : keys)
        if (given->is_object() && !pace.find(key)) pace.complain(pace.place(), std::string(key) + " is missing");
}

void TargetReader::add(TargetConfig target, json const* words, json const* body) {
    if (target.ca_file.empty() && !std::holds_alternative<LogTarget>(target.what))
        target.ca_file = loader_.config().notify.ca_file;
    target.mark = mark_of_target(target, words ? words->dump() : std::string(), body ? body->dump() : std::string());
    names_.add(target.name);
    targets_.insert_or_assign(target.name, std::move(target));
}

std::vector<TargetConfig> TargetReader::take() {
    std::vector<TargetConfig> all;
    for (auto& [name, target] : targets_) all.push_back(std::move(target));
    targets_.clear();
    return all;
}

void TargetReader::check_ntfy_login(NtfyParts const& parts) {
    auto const& [topic, server, token, user, password] = parts;
    if (token.given && (user.given || password.given))
        loader_.complain(token.place, "given together with " + (user.given ? user : password).place +
                                          "; keep the token, or the name and the password");
    if (user.given != password.given)
        loader_.complain((user.given ? user : password).place,
                         "given without " + (user.given ? password : user).place + "; a login takes both");
    if (!is_printable(token.text()))
        loader_.complain(token.place, "expected a token, printable ASCII without spaces, as ntfy shows it: tk_…");
    if (has_control(user.text()) || user.text().find(':') != std::string_view::npos)
        loader_.complain(user.place, "expected a name without colon and control characters; the password goes into " +
                                         password.place);
    if (has_control(password.text())) loader_.complain(password.place, "expected text without control characters");
}

notify::NtfySettings TargetReader::ntfy(NtfyParts const& parts) {
    auto const& [topic, server, token, user, password] = parts;
    check_ntfy_login(parts);
    std::string_view usual = "https://ntfy.sh";
    auto base = server.value ? server.text() : usual;
    // With a topic that is surely good, what is wrong is the server.
    if (auto const place = notify::ntfy_at("topic", base); !place) {
        loader_.complain(server.place, place.error().why + "; expected https://ntfy.example");
        base = usual;
    }
    notify::NtfySettings settings;
    if (topic.value) {
        auto place = notify::ntfy_at(topic.text(), base);
        if (place) {
            settings = std::move(*place);
        } else {
            bool const bare = !is_url(topic.text()) && topic.text().find('/') != std::string_view::npos;
            loader_.complain(topic.place, place.error().why + (bare ? "; a whole URL begins with https://" : ""));
        }
        if (is_url(topic.text()) && server.given)
            loader_.warn(server.place + " has no effect: " + topic.place + " is a whole URL");
    }
    if (token.given) doubt_plain(settings.server, token.place, "the token");
    if (password.given) doubt_plain(settings.server, password.place, "the password");
    if (token.value) settings.token = *token.value;
    if (password.value) settings.password = *password.value;
    settings.user = user.text();
    return settings;
}

notify::DiscordSettings TargetReader::discord(Part const& url) {
    notify::DiscordSettings settings;
    if (!url.value) return settings;
    auto made = notify::discord_at(url.text());
    if (made) {
        settings = std::move(*made);
        doubt_plain(settings.url.reveal(), url.place, "the webhook's URL, which is all it takes to write there,");
    } else {
        loader_.complain(url.place, "expected the URL of a webhook of Discord's: " + made.error().why);
    }
    return settings;
}

void TargetReader::doubt_plain(std::string_view url, std::string const& place, std::string_view what) {
    std::string problem;
    auto const parsed = notify::parse_url(url, problem);
    if (!parsed || parsed->tls || is_loopback({parsed->host, parsed->port, {}})) return;
    loader_.warn(place + ": " + std::string(what) + " goes to " + parsed->host + " without encryption; use https://");
}

}  // namespace ocgate::app
