// A configuration with an environment and files of its own. Every load also looks for secrets in what is told.
#pragma once

#include <gmock/gmock.h>

#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "commands.hpp"
#include "ocgate/app/config.hpp"

namespace ocgate::app {

/// Stands in every secret of these tests, so that one search finds any of them.
inline constexpr std::string_view secret_mark = "hunter2";

class World {
public:
    std::map<std::string, std::string> variables{{"OPENCODE_SERVER_PASSWORD", "hunter2-server"}};
    std::map<std::string, std::string> files;
    Flags flags;

    World() = default;
    explicit World(std::string config) { file(std::move(config)); }

    World& file(std::string config) {
        files["/etc/ocgate.json"] = std::move(config);
        return flag("config", "/etc/ocgate.json");
    }
    World& variable(std::string const& name, std::string value) {
        variables[name] = std::move(value);
        return *this;
    }
    World& without(std::string const& name) {
        variables.erase(name);
        return *this;
    }
    World& flag(std::string name, std::string value) {
        flags.values.emplace_back(std::move(name), std::move(value));
        return *this;
    }

    [[nodiscard]] Sources sources() const {
        Sources sources;
        sources.variable = [this](std::string const& name) -> std::optional<std::string> {
            auto const found = variables.find(name);
            return found == variables.end() ? std::nullopt : std::optional(found->second);
        };
        sources.variables = [this] {
            std::vector<std::string> names;
            for (auto const& [name, value] : variables) names.push_back(name);
            return names;
        };
        sources.file = [this](std::string const& path) -> Sources::File {
            auto const found = files.find(path);
            if (found == files.end()) return {{}, "No such file or directory", {}};
            return {found->second, {}, {}};
        };
        return sources;
    }

    [[nodiscard]] Loaded load() const {
        auto loaded = load_config(flags, sources());
        std::ostringstream out, err;
        check_config(flags, sources(), out, err);
        for (auto const& error : loaded.errors) out << error.text() << error.setting << '\n';
        for (auto const& path : loaded.config.files) out << path << '\n';
        EXPECT_THAT(out.str() + err.str(), ::testing::Not(::testing::HasSubstr(std::string(secret_mark))));
        return loaded;
    }

    [[nodiscard]] Config valid() const {
        auto loaded = load();
        EXPECT_THAT(texts(loaded), ::testing::IsEmpty());
        return std::move(loaded.config);
    }

    /// The mistakes as they are printed.
    [[nodiscard]] std::vector<std::string> errors() const { return texts(load()); }

    static std::vector<std::string> texts(Loaded const& loaded) {
        std::vector<std::string> all;
        for (auto const& error : loaded.errors) all.push_back(error.text());
        return all;
    }
};

}  // namespace ocgate::app
