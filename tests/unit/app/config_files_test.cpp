// What config/ shows to people is what the loader knows; and files as the system gives them.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "config_budgets.hpp"
#include "config_json.hpp"
#include "config_kit.hpp"
#include "config_routes.hpp"
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
    std::set<std::string> known(other_pointers.begin(), other_pointers.end());
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

/// The keys that an object of the schema takes; it takes no others.
std::set<std::string> keys(nlohmann::json const& object) {
    EXPECT_EQ(object.value("additionalProperties", true), false) << object;
    std::set<std::string> all;
    for (auto const& [key, schema] : object["properties"].items()) all.insert(key);
    return all;
}

std::set<std::string> set_of(Fields::Words words) { return {words.begin(), words.end()}; }

TEST(ConfigFiles, TheSchemaKnowsTargetsAndRoutes) {
    auto const schema = nlohmann::json::parse(shipped("ocgate.schema.json"));
    auto const& defs = schema["$defs"];
    std::set<std::string> types;
    for (auto const& one : defs["target"]["oneOf"]) {
        auto const type = one["$ref"].get<std::string>().substr(std::string("#/$defs/").size());
        types.insert(type);
        EXPECT_EQ(defs[type]["properties"]["type"]["const"], type);
        EXPECT_EQ(keys(defs[type]), set_of(keys_of_target(type))) << type;
    }
    EXPECT_EQ(types, (std::set<std::string>{"ntfy", "discord", "webhook", "log"}));
    EXPECT_EQ(keys(defs["route"]), set_of(route_keys));
    EXPECT_EQ(keys(defs["route"]["properties"]["escalate"]), set_of(escalate_keys));
    EXPECT_EQ(keys(defs["quiet_hours"]), set_of(quiet_hours_keys));
    EXPECT_EQ(keys(defs["span"]), set_of(span_keys));
    EXPECT_EQ(keys(defs["presence"]), set_of(presence_keys));
    EXPECT_EQ(keys(defs["budget"]), set_of(budget_keys));

    auto const enumeration = [](nlohmann::json const& words) {
        EXPECT_FALSE(words.empty());
        return words.get<std::set<std::string>>();
    };
    EXPECT_EQ(keys(defs["words"]), set_of(notify::all_events));
    EXPECT_EQ(enumeration(defs["route"]["properties"]["events"]["items"]["enum"]), set_of(notify::all_events));
    EXPECT_EQ(enumeration(defs["route"]["properties"]["privacy"]["enum"]), set_of(privacy_words));
    EXPECT_EQ(enumeration(defs["span"]["properties"]["days"]["items"]["enum"]), set_of(day_words));
    auto const& budget = defs["budget"]["properties"];
    EXPECT_EQ(enumeration(budget["period"]["enum"]), set_of(bridge::period_words));
    EXPECT_EQ(schema["properties"]["budgets"]["maxItems"], bridge::period_words.size());
    EXPECT_EQ(budget["usd"]["maximum"], max_usd);
    EXPECT_EQ(budget["notify_at"]["maxItems"], max_parts);
    EXPECT_EQ(budget["notify_at"]["items"]["maximum"], max_part);
    EXPECT_EQ(budget["notify_at"]["default"], bridge::Budget{}.notify_at);
    EXPECT_EQ(budget["block"]["default"], bridge::Budget{}.block);
    auto const& notifications = schema["properties"]["notifications"]["properties"];
    EXPECT_EQ(enumeration(notifications["privacy"]["enum"]), set_of(privacy_words));
    EXPECT_EQ(notifications["targets"]["maxProperties"], max_targets);
    EXPECT_EQ(notifications["routes"]["maxItems"], max_routes);
}

TEST(ConfigFiles, TheExampleIsValidAndShowsEveryKey) {
    auto const text = shipped("ocgate.example.jsonc");
    World world(text);
    for (auto const* name : {"UPSTREAM_PASSWORD", "ALICE_PASSWORD", "PHONE_TOKEN", "HOOK_API_KEY"})
        world.variable(name, "hunter2");
    world.variable("TEAM_WEBHOOK", "https://discord.com/api/webhooks/1/hunter2");
    world.files["/run/secrets/bob"] = "hunter2\n";
    world.files["/run/secrets/ntfy"] = "hunter2\n";
    world.files["/run/secrets/hook-key"] = "whsec_hunter2AAAAAAAAAAAAAAAAAAAAAAAAA\n";
    world.files["/etc/ocgate/htpasswd"] = "erin:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=\n";
    auto const config = world.valid();
    EXPECT_THAT(config.warnings, IsEmpty());
    EXPECT_EQ(config.auth.accounts.size(), 5U);
    EXPECT_EQ(config.notify.targets.size(), 5U);
    EXPECT_EQ(config.notify.rules.rules.size(), 4U);

    auto const example = read_json(text, "example").value;
    for (auto const& key : known_keys()) EXPECT_TRUE(example.contains(nlohmann::json::json_pointer(key))) << key;
    // What it shows as a default is one.
    for (auto const& setting : settings()) {
        auto const& value = example[nlohmann::json::json_pointer(std::string(setting.pointer))];
        if (!setting.fallback.empty()) {
            EXPECT_EQ(value.is_string() ? value.get<std::string>() : value.dump(), setting.fallback) << setting.pointer;
        }
    }
    // And every key of a target, a route, a span.
    auto const& notifications = example["notifications"];
    std::map<std::string, std::set<std::string>> shown;
    for (auto const& [name, target] : notifications["targets"].items())
        for (auto const& [key, value] : target.items()) shown[target["type"].get<std::string>()].insert(key);
    for (auto const* type : {"ntfy", "log"}) {
        auto wanted = set_of(keys_of_target(type));
        wanted.erase("ca_file");  // another type's
        EXPECT_EQ(shown[type], wanted) << type;
    }
    EXPECT_THAT(shown["discord"], IsSupersetOf({"url", "mentions"}));
    EXPECT_THAT(shown["webhook"], IsSupersetOf({"url", "keys", "headers", "body", "ca_file"}));
    for (auto const& route : notifications["routes"])
        for (auto const& [key, value] : route.items()) shown["route"].insert(key);
    EXPECT_EQ(shown["route"], set_of(route_keys));
    for (auto const& span : notifications["quiet_hours"]["spans"])
        for (auto const& [key, value] : span.items()) shown["span"].insert(key);
    EXPECT_EQ(shown["span"], set_of(span_keys));
    for (auto const& budget : example["budgets"])
        for (auto const& [key, value] : budget.items()) shown["budget"].insert(key);
    EXPECT_EQ(shown["budget"], set_of(budget_keys));
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
