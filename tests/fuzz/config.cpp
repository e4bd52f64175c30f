// The whole configuration: reading it never throws; every mistake is told with its place, and one more mistake is one
// more line and hides none; nothing that is printed has a secret of the environment or of a file in it, nor a text of
// the file that stands where a secret belongs; and what was accepted can be shown. Parts: the file, then any number of
// `NAME=value` (a variable), `--name=value` (a flag) and `@path=content` (a file).
#include "ocgate/app/config.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "commands.hpp"
#include "config_summary.hpp"
#include "property.hpp"

using namespace ocgate;
using nlohmann::json;

namespace {

constexpr std::string_view secret_mark = "hunter2";
constexpr std::string_view file_name = "/etc/ocgate.json";

struct World {
    std::map<std::string, std::string, std::less<>> variables{{"OPENCODE_SERVER_PASSWORD", "hunter2-server"},
                                                              {"SECRET", "hunter2-env"},
                                                              {"SECRET_URL", "https://hunter2.example/hunter2"},
                                                              {"HOME", "/home/me"}};
    std::map<std::string, std::string, std::less<>> files{{"/run/secret", "hunter2-file\n"},
                                                          {"/run/key", "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIy"}};
    app::Flags flags;

    void take(std::string_view part) {
        auto const equals = part.find('=');
        if (equals == part.npos || equals == 0) return;
        std::string name(part.substr(0, equals));
        std::string value(part.substr(equals + 1));
        if (name.starts_with('@')) {
            files[name.substr(1)] = std::move(value);
        } else if (name.starts_with("--")) {
            // Others than these cannot be given, and another file is none of ours.
            auto const fits = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
            if (name == "--config" || !std::all_of(name.begin() + 2, name.end(), fits)) return;
            flags.values.emplace_back(name.substr(2), std::move(value));
        } else if (name.find('\0') == name.npos && value.find('\0') == value.npos) {
            variables[name] = std::move(value);
        }
    }

    [[nodiscard]] app::Sources sources() const {
        app::Sources sources;
        sources.variable = [this](std::string const& name) -> std::optional<std::string> {
            auto const found = variables.find(name);
            return found == variables.end() ? std::nullopt : std::optional(found->second);
        };
        sources.variables = [this] {
            std::vector<std::string> names;
            for (auto const& [name, value] : variables) names.push_back(name);
            return names;
        };
        sources.file = [this](std::string const& path) -> app::Sources::File {
            auto const found = files.find(path);
            if (found == files.end()) return {{}, "No such file or directory", {}};
            return {found->second, {}, {}};
        };
        return sources;
    }
};

std::vector<std::string> texts(app::Loaded const& loaded) {
    std::vector<std::string> all;
    for (auto const& error : loaded.errors) all.push_back(error.text());
    return all;
}

/// The texts that stand where a secret belongs: of users and targets, whatever their place there.
void secrets_of(json const& value, std::string_view key, std::vector<std::string>& found) {
    static constexpr std::string_view secret_keys[] = {"password", "password_hash", "token", "url", "keys"};
    if (value.is_string()) {
        bool const secret = std::find(std::begin(secret_keys), std::end(secret_keys), key) != std::end(secret_keys);
        if (secret) found.push_back(value.get<std::string>());
    } else if (value.is_object()) {
        for (auto const& [name, inner] : value.items()) secrets_of(inner, name, found);
    } else if (value.is_array()) {
        for (auto const& inner : value) secrets_of(inner, key, found);
    }
}

std::size_t times(std::string_view text, std::string_view what) {
    std::size_t count = 0;
    for (auto at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++count;
    return count;
}

/// What of the file must not be said: as long as a secret, and written there once, so that no other place says it.
std::vector<std::string> secrets_in(json const& file, std::string_view whole_input) {
    std::vector<std::string> found;
    for (auto const* place : {"/users", "/notifications/targets", "/upstream/password"}) {
        json::json_pointer const pointer(place);
        if (file.is_object() && file.contains(pointer)) secrets_of(file[pointer], "password", found);
    }
    std::erase_if(found, [&](std::string const& text) {
        bool const place = text.starts_with("http") && text.find('/', 8) == text.npos;  // which may be shown
        return text.size() < 8 || place || times(whole_input, text) != 1;
    });
    return found;
}

struct Said {
    std::vector<std::string> errors;
    bool full = false;  ///< more errors than are listed
    std::string text;
};

Said load(World const& world, bool planted) {
    auto const sources = world.sources();
    auto const loaded = app::load_config(world.flags, sources);
    std::ostringstream said;
    auto const& targets = loaded.config.notify.targets;
    bool const only_log = std::all_of(targets.begin(), targets.end(), [](app::TargetConfig const& target) {
        return std::holds_alternative<app::LogTarget>(target.what);
    });
    if (!loaded.errors.empty() || only_log) {
        auto const code = app::check_config(world.flags, sources, said, said);
        MUST((code == 0) == loaded.errors.empty());
    } else {  // without reading this machine's certificates
        app::summarize_notifications(loaded.config, said);
    }
    for (auto const& error : loaded.errors) {
        MUST(!error.message.empty());
        said << error.text() << '\n' << error.setting << '\n';
    }
    for (auto const& warning : loaded.config.warnings) said << warning << '\n';
    MUST(loaded.errors.size() <= app::max_config_errors + 1);
    MUST(loaded.config.files.size() == loaded.config.file_marks.size());
    auto const text = said.str();
    if (!planted) MUST(text.find(secret_mark) == text.npos);
    for (char const c : text) MUST((static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) || c == '\n');
    if (loaded.errors.empty()) {
        auto const& config = loaded.config;
        MUST(config.threads >= 1 && config.threads <= 64 && !config.auth.accounts.empty());
        MUST(config.limits.request.target_bytes <= config.limits.request.head_bytes);
        MUST(config.notify.targets.size() <= app::max_targets && config.notify.rules.rules.size() <= app::max_routes);
        for (auto const& target : config.notify.targets) MUST(target.mark.size() == 16 && !target.name.empty());
    }
    return {texts(loaded), loaded.errors.size() > app::max_config_errors, text};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto const input = fuzz::as_text(data, size);
    auto const part = fuzz::parts(input, 1, 40);
    World world;
    world.flags.values.emplace_back("config", file_name);
    for (std::size_t i = 1; i < part.size(); ++i) world.take(part[i]);
    world.files[std::string(file_name)] = part[0];
    bool const planted = input.find(secret_mark) != input.npos;
    auto const file = json::parse(part[0], nullptr, false, true);
    auto const said = load(world, planted);
    for (auto const& secret : secrets_in(file, input)) {
        if (said.text.find(secret) == said.text.npos) continue;
        // Unless they are words of ours, it has been told.
        auto other = world;
        auto& text = other.files[std::string(file_name)];
        if (times(text, secret) != 1) continue;
        text.replace(text.find(secret), secret.size(), std::string(secret.size(), 'q'));
        MUST(load(other, planted).text.find(secret) != std::string::npos);
    }

    // One more mistake, in front of everything else.
    auto const brace = part[0].find_first_not_of(" \t\r\n");
    if (!file.is_object() || brace == part[0].npos || part[0][brace] != '{') return 0;
    if (part[0].find('\0') != part[0].npos || part[0].starts_with("\xef\xbb\xbf")) return 0;
    world.files[std::string(file_name)] = std::string(part[0].substr(0, brace + 1)) +
                                          (file.empty() ? "\"zzzzzz\":0" : "\"zzzzzz\":0,") +
                                          std::string(part[0].substr(brace + 1));
    if (file.contains("zzzzzz")) return 0;
    auto const more = load(world, planted);
    if (said.full || more.full || more.errors.size() >= app::max_config_errors) return 0;
    MUST(std::count(more.errors.begin(), more.errors.end(), "/zzzzzz: unknown key") == 1);
    // Reading a file that is broken tells where by line and column, which may have moved.
    for (auto const& error : said.errors) {
        bool const moved = error.starts_with(file_name) || error.starts_with("OPENCODE_SERVER_PASSWORD");
        MUST(moved || std::count(more.errors.begin(), more.errors.end(), error) ==
                          std::count(said.errors.begin(), said.errors.end(), error));
    }
    return 0;
}
