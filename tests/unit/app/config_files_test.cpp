// What config/ shows to people is what the loader knows; and files as the system gives them.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "config_json.hpp"
#include "config_kit.hpp"
#include "config_settings.hpp"

namespace ocgate::app {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;

std::string shipped(std::string const& name) {
    std::ifstream file(std::string(PROJECT_SOURCE_DIR) + "/config/" + name);
    EXPECT_TRUE(file) << name;
    return {std::istreambuf_iterator<char>(file), {}};
}

std::set<std::string> known_keys() {
    std::set<std::string> known{std::string(users_pointer), std::string(upstream_password_pointer),
                                std::string(schema_pointer)};
    for (auto const& setting : settings()) known.emplace(setting.pointer);
    return known;
}

/// The leaves of the schema's objects as pointers into the configuration; each with its schema.
void collect(nlohmann::json const& properties, std::string const& at, std::map<std::string, nlohmann::json>& into) {
    for (auto const& [key, schema] : properties.items()) {
        auto const* inner = &schema;
        if (schema.contains("anyOf"))
            for (auto const& one : schema["anyOf"])
                if (one.contains("properties")) inner = &one;
        if (inner->contains("properties")) {
            EXPECT_EQ((*inner)["additionalProperties"], false) << at << "/" << key;
            collect((*inner)["properties"], at + "/" + key, into);
        } else {
            into[at + "/" + key] = schema;
        }
    }
}

TEST(ConfigFiles, TheSchemaKnowsWhatTheLoaderKnows) {
    auto const schema = nlohmann::json::parse(shipped("ocgate.schema.json"));
    EXPECT_EQ(schema["additionalProperties"], false);
    std::map<std::string, nlohmann::json> leaves;
    collect(schema["properties"], "", leaves);
    std::set<std::string> keys;
    for (auto const& [key, leaf] : leaves) {
        keys.insert(key);
        EXPECT_TRUE(leaf.contains("description") || key == "/upstream/url") << key;
    }
    EXPECT_EQ(keys, known_keys());
    // Defaults and ranges of the schema are those of the table.
    for (auto const& setting : settings()) {
        auto const& leaf = leaves[std::string(setting.pointer)];
        if (setting.fallback.empty()) continue;
        ASSERT_TRUE(leaf.contains("default")) << setting.pointer;
        auto const& value = leaf["default"];
        EXPECT_EQ(value.is_string() ? value.get<std::string>() : value.dump(), setting.fallback) << setting.pointer;
        if (!leaf.contains("minimum")) continue;
        auto const takes = [&](std::int64_t number) {
            Config config;
            nlohmann::json const json = nlohmann::json::parse(std::to_string(number));
            return setting.apply(Given{&json}, config).empty();
        };
        auto const low = leaf["minimum"].get<std::int64_t>();
        auto const high = leaf["maximum"].get<std::int64_t>();
        EXPECT_TRUE(takes(low) && takes(high) && !takes(low - 1) && !takes(high + 1)) << setting.pointer;
    }
}

TEST(ConfigFiles, TheExampleIsValidAndShowsEveryKey) {
    auto const text = shipped("ocgate.example.jsonc");
    World world(text);
    world.variable("UPSTREAM_PASSWORD", "hunter2").variable("ALICE_PASSWORD", "hunter2");
    world.files["/run/secrets/bob"] = "hunter2\n";
    world.files["/etc/ocgate/htpasswd"] = "erin:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=\n";
    auto const config = world.valid();
    EXPECT_THAT(config.warnings, IsEmpty());
    EXPECT_EQ(config.auth.accounts.size(), 5U);

    auto const example = read_json(text, "example").value;
    for (auto const& key : known_keys()) EXPECT_TRUE(example.contains(nlohmann::json::json_pointer(key))) << key;
    // What it shows as a default is one.
    for (auto const& setting : settings()) {
        auto const& value = example[nlohmann::json::json_pointer(std::string(setting.pointer))];
        if (!setting.fallback.empty()) {
            EXPECT_EQ(value.is_string() ? value.get<std::string>() : value.dump(), setting.fallback) << setting.pointer;
        }
    }
}

class Folder : public ::testing::Test {
protected:
    Folder() {
        char name[] = "/tmp/ocgate-config-test-XXXXXX";
        EXPECT_NE(::mkdtemp(name), nullptr);
        path = name;
    }
    ~Folder() override { std::filesystem::remove_all(path); }
    std::string write(std::string const& name, std::string const& content) {
        std::ofstream(path / name) << content;
        return (path / name).string();
    }
    std::filesystem::path path;
};

TEST_F(Folder, SystemSourcesReadRegularFilesUpToABound) {
    auto const sources = system_sources();
    EXPECT_EQ(sources.file(write("small", "text\n")).content, "text\n");
    auto const full = sources.file(write("full", std::string(max_config_bytes, 'x')));
    EXPECT_EQ(full.problem, "");
    EXPECT_EQ(full.content.size(), max_config_bytes);
    auto const more = sources.file(write("more", std::string(max_config_bytes + 1, 'x')));
    EXPECT_EQ(more.problem, "larger than 1MiB");
    EXPECT_EQ(more.content, "");
    EXPECT_EQ(sources.file((path / "none").string()).problem, "No such file or directory");
    EXPECT_THAT(sources.file(path.string()).problem, HasSubstr("directory"));
    ASSERT_EQ(::mkfifo((path / "pipe").c_str(), 0600), 0);
    EXPECT_THAT(sources.file((path / "pipe").string()).problem, HasSubstr("regular"));
    EXPECT_THAT(sources.file("/dev/zero").problem, HasSubstr("regular"));
}

TEST_F(Folder, SystemSourcesKnowTheEnvironment) {
    ASSERT_EQ(::setenv("OCGATE_TEST_OF_SOURCES", "a=b", 1), 0);
    auto const sources = system_sources();
    EXPECT_EQ(sources.variable("OCGATE_TEST_OF_SOURCES"), "a=b");
    EXPECT_EQ(sources.variable("OCGATE_TEST_OF_NOTHING"), std::nullopt);
    EXPECT_THAT(sources.variables(), ::testing::Contains("OCGATE_TEST_OF_SOURCES"));
    ::unsetenv("OCGATE_TEST_OF_SOURCES");
}

}  // namespace
}  // namespace ocgate::app
