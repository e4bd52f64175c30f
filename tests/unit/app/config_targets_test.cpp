// Whom notifications can reach. Every secret here holds `hunter2`, and World looks for it in all that is told.
#include "config_targets.hpp"

#include <gmock/gmock.h>

#include "config_kit.hpp"

namespace ocgate::app {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr auto key = "whsec_hunter2AAAAAAAAAAAAAAAAAAAAAAAAA";

/// With secrets in the environment that targets of these tests name.
World world(std::string const& targets, std::string const& more = {}) {
    World made("{\"notifications\": {\"targets\": " + targets + more + "}}");
    made.variable("TOKEN", "tk_hunter2").variable("URL", "https://discord.com/api/webhooks/1/hunter2");
    made.variable("HOOK", "https://me:hunter2@hooks.example/x?k=hunter2").variable("KEY", key);
    made.variable("TOPIC", "hunter2-topic").variable("HEADER", "hunter2").variable("BAD", "hunter2\n");
    made.files["/etc/password"] = "hunter2\n";
    return made;
}

template <class T>
T const& settings(TargetConfig const& target) {
    return std::get<T>(target.what);
}

std::string ntfy(std::string const& fields) { return R"({"t": {"type": "ntfy", "topic": "x", )" + fields + "}}"; }
std::string discord(std::string const& fields) {
    return R"({"t": {"type": "discord", "url": {"env": "URL"}, )" + fields + "}}";
}
std::string webhook(std::string const& fields) {
    return R"({"t": {"type": "webhook", "url": "https://hooks.example/x", )" + fields + "}}";
}

TEST(ConfigTargets, ThereAreNoneUnlessTheyAreNamed) {
    auto const config = World().valid();
    EXPECT_THAT(config.notify.targets, IsEmpty());
    EXPECT_THAT(config.notify.rules.rules, IsEmpty());
    EXPECT_THAT(World(R"({"notifications": {}})").valid().notify.targets, IsEmpty());
    EXPECT_THAT(world("{}").valid().notify.targets, IsEmpty());
}

TEST(ConfigTargets, EveryTypeIsReadWhole) {
    auto const config = world(R"({
        "phone": {"type": "ntfy", "topic": "https://ntfy.example/base/agents", "token": {"env": "TOKEN"},
                  "message_bytes": "2KiB", "fallback": ["team", "hook"], "ca_file": "own.pem",
                  "pace": {"burst": 5, "every": "10s"},
                  "words": {"permission": {"title": "{{project}}"}, "complete": {"body": "done"}}},
        "basic": {"type": "ntfy", "topic": {"env": "TOPIC"}, "server": "https://ntfy.example", "username": "me",
                  "password": {"file": "password"}},
        "team": {"type": "discord", "url": {"env": "URL"}, "mentions": ["1234"]},
        "hook": {"type": "webhook", "url": {"env": "HOOK"}, "keys": [{"env": "KEY"}],
                 "headers": {"X-Api-Key": {"env": "HEADER"}, "X-From": "ocgate"}, "body": {"text": "{{data.title}}"}},
        "lines": {"type": "log"}})")
                            .valid();
    EXPECT_THAT(config.warnings, IsEmpty());
    EXPECT_THAT(config.files, ElementsAre("/etc/ocgate.json", "/etc/password", "/etc/own.pem"))
        << "a secret's file is watched, and a certificate's";
    EXPECT_EQ(config.file_marks.size(), config.files.size());
    auto const& all = config.notify.targets;
    ASSERT_THAT(all, SizeIs(5));
    EXPECT_EQ(all[0].name + all[1].name + all[2].name + all[3].name + all[4].name, "basichooklinesphoneteam");

    auto const& basic = settings<notify::NtfySettings>(all[0]);
    EXPECT_EQ(basic.topic, "hunter2-topic");
    EXPECT_EQ(basic.server, "https://ntfy.example");
    EXPECT_EQ(basic.user, "me");
    EXPECT_EQ(basic.password.reveal(), "hunter2");
    EXPECT_EQ(basic.message_bytes, 4000U);

    auto const& hook = settings<notify::WebhookSettings>(all[1]);
    EXPECT_EQ(hook.url.reveal(), "https://me:hunter2@hooks.example/x?k=hunter2");
    ASSERT_THAT(hook.keys, SizeIs(1));
    EXPECT_EQ(hook.keys[0].reveal().size(), 24U);
    ASSERT_THAT(hook.headers, SizeIs(2));
    EXPECT_EQ(hook.headers[0].first, "X-Api-Key");
    EXPECT_EQ(hook.headers[0].second.reveal(), "hunter2");
    EXPECT_EQ(hook.headers[1].second.reveal(), "ocgate");
    ASSERT_TRUE(hook.body);
    EXPECT_EQ(hook.body->render(nlohmann::json::parse(R"({"data":{"title":"a"}})")).dump(), R"({"text":"a"})");

    EXPECT_TRUE(std::holds_alternative<LogTarget>(all[2].what));

    auto const& phone = settings<notify::NtfySettings>(all[3]);
    EXPECT_EQ(phone.server, "https://ntfy.example/base");
    EXPECT_EQ(phone.topic, "agents");
    EXPECT_EQ(phone.token.reveal(), "tk_hunter2");
    EXPECT_EQ(phone.message_bytes, 2048U);
    EXPECT_THAT(all[3].fallback, ElementsAre("team", "hook"));
    EXPECT_EQ(all[3].ca_file, "/etc/own.pem");
    EXPECT_EQ(all[3].burst, 5U);
    EXPECT_EQ(all[3].every, 10s);
    ASSERT_THAT(phone.words, SizeIs(2));
    EXPECT_TRUE(phone.words.at("permission").title && !phone.words.at("permission").body);
    EXPECT_TRUE(!phone.words.at("complete").title && phone.words.at("complete").body);

    auto const& team = settings<notify::DiscordSettings>(all[4]);
    EXPECT_EQ(team.url.reveal(), "https://discord.com/api/v10/webhooks/1/hunter2");
    EXPECT_THAT(team.mentions, ElementsAre("1234"));
}

TEST(ConfigTargets, AShortMessageWhereAPushServiceHandsItOn) {
    auto const all = world(R"({"a": {"type": "ntfy", "topic": "x"},
                               "b": {"type": "ntfy", "topic": "x", "message_bytes": 3000}})")
                         .valid()
                         .notify.targets;
    EXPECT_EQ(settings<notify::NtfySettings>(all[0]).message_bytes, 1000U);
    EXPECT_EQ(settings<notify::NtfySettings>(all[1]).message_bytes, 3000U);
}

struct Wrong {
    std::string targets;
    std::string place;    ///< below /notifications/targets
    std::string message;  ///< a part of it
};

TEST(ConfigTargets, EveryMistakeIsToldWithItsPlace) {
    Wrong const all[] = {
        {"[]", "", "expected an object, got an array"},
        {R"({"a b": {"type": "log"}})", "/a b", "expected a name of 1 to 64"},
        {R"({"": {"type": "log"}})", "/", "expected a name of 1 to 64"},
        {R"({"..": {"type": "log"}})", "/..", "not of dots only"},
        {R"({"a/b": {"type": "log"}})", "/a~1b", "expected a name"},
        {R"({"t": "https://discord.com/api/webhooks/1/hunter2"})", "/t", "expected an object, got a string"},
        {R"({"t": {}})", "/t", "a type is missing: ntfy, discord, webhook or log"},
        {R"({"t": {"type": "nfty"}})", "/t/type", "expected one of ntfy, discord, webhook, log, got \"nfty\""},
        {R"({"t": {"type": "log", "url": "https://x.example"}})", "/t/url", "no key of a target of type log"},
        {R"({"t": {"type": "webhook", "url": "https://x.example", "words": {}}})", "/t/words", "of type webhook"},
        {R"({"t": {"type": "ntfy", "topc": "x", "topic": "x"}})", "/t/topc", "did you mean \"topic\"?"},
        // ntfy
        {R"({"t": {"type": "ntfy"}})", "/t", "a topic is missing"},
        {R"({"t": {"type": "ntfy", "topic": 5}})", "/t/topic", "got a number"},
        {R"({"t": {"type": "ntfy", "topic": ""}})", "/t/topic", "got \"\""},
        {R"({"t": {"type": "ntfy", "topic": "a b hunter2"}})", "/t/topic", "letters, digits, - and _"},
        {R"({"t": {"type": "ntfy", "topic": "ntfy.sh/hunter2"}})", "/t/topic", "begins with https://"},
        {R"({"t": {"type": "ntfy", "topic": "https://ntfy.sh"}})", "/t/topic", "names no topic"},
        {R"({"t": {"type": "ntfy", "topic": "docs"}})", "/t/topic", "a page of ntfy's own"},
        {R"({"t": {"type": "ntfy", "topic": "https://u:hunter2@ntfy.sh/x"}})", "/t/topic", "user and password"},
        {ntfy(R"("server": "ntfy.example")"), "/t/server", "expected https://ntfy.example"},
        {ntfy(R"("server": "https://u:hunter2@x.example")"), "/t/server", "user and password"},
        {ntfy(R"("token": "tk_hunter2")"), "/t/token", "expected {\"env\": \"NAME\"} or {\"file\""},
        {ntfy(R"("token": {"env": "tk_hunter2"})"), "/t/token/env", "is not set"},
        {ntfy(R"("token": {"file": "none"})"), "/t/token/file", "cannot be read"},
        {ntfy(R"("token": {"env": "BAD"})"), "/t/token", "printable ASCII"},
        {ntfy(R"("password": "hunter2", "username": "me")"), "/t/password", "expected {\"env\""},
        {ntfy(R"("password": {"file": "password"})"), "/t/password", "given without /notifications/targets/t/username"},
        {ntfy(R"("username": "me")"), "/t/username", "given without /notifications/targets/t/password"},
        {ntfy(R"("username": "me:hunter2", "password": {"file": "password"})"), "/t/username", "without colon"},
        {ntfy(R"("username": "me", "password": {"env": "BAD"})"), "/t/password", "control characters"},
        {ntfy(R"("username": "me", "password": {"file": "password"}, "token": {"env": "TOKEN"})"), "/t/token",
         "keep the token, or the name and the password"},
        {ntfy(R"("message_bytes": 99)"), "/t/message_bytes", "expected a size from 100B"},
        // Discord
        {R"({"t": {"type": "discord"}})", "/t", "a url is missing"},
        {R"({"t": {"type": "discord", "url": "https://discord.com/api/webhooks/1/hunter2"}})", "/t/url",
         "expected {\"env\": \"NAME\"} or {\"file\": \"/path\"}, got a string"},
        {R"({"t": {"type": "discord", "url": {"env": "HEADER"}}})", "/t/url", "does not begin with https://"},
        {R"({"t": {"type": "discord", "url": {"env": "HOOK"}}})", "/t/url", "user and password"},
        {discord(R"("mentions": [1234])"), "/t/mentions/0", "expected a text, got a number"},
        {discord(R"("mentions": ["1", "@me"])"), "/t/mentions/1", "up to 20 digits in quotes"},
        {discord(R"("mentions": "1234")"), "/t/mentions", "expected an array of at most 50 ids of users"},
        // webhooks
        {R"({"t": {"type": "webhook"}})", "/t", "a url is missing"},
        {R"({"t": {"type": "webhook", "url": "hooks.example/hunter2"}})", "/t/url", "expected an absolute URL"},
        {R"({"t": {"type": "webhook", "url": "https://me:hunter2@hooks.example/"}})", "/t/url", "stand in clear"},
        {R"({"t": {"type": "webhook", "url": {"env": "HEADER"}}})", "/t/url", "expected an absolute URL"},
        {webhook(R"("keys": {"env": "KEY"})"), "/t/keys", "expected an array of at most 8 keys, got an object"},
        {webhook(R"("keys": ["whsec_hunter2"])"), "/t/keys/0", "expected {\"env\""},
        {webhook(R"("keys": [{"env": "KEY"}, {"env": "HEADER"}])"), "/t/keys/1", "expected whsec_"},
        {webhook(R"("headers": [])"), "/t/headers", "expected an object"},
        {webhook(R"("headers": {"X-Api-Key": "hunter2"})"), "/t/headers/X-Api-Key", "expected {\"env\""},
        {webhook(R"("headers": {"Authorization": "Bearer hunter2"})"), "/t/headers/Authorization", "in clear"},
        {webhook(R"("headers": {"Host": "x"})"), "/t/headers/Host", "not for you to set"},
        {webhook(R"("headers": {"Webhook-Id": "x"})"), "/t/headers/Webhook-Id", "not for you to set"},
        {webhook(R"("headers": {"a b": "x"})"), "/t/headers/a b", "expected the name of a header"},
        {webhook(R"("headers": {"X-A": "a\r\nX-B: hunter2"})"), "/t/headers/X-A", "control characters"},
        {webhook(R"("headers": {"X-A": "a", "x-a": "b"})"), "/t/headers/x-a", "given twice"},
        {webhook(R"("headers": {"X-A": {"env": "BAD"}})"), "/t/headers/X-A", "control characters"},
        {webhook(R"("body": "{{title}} hunter2")"), "/t/body", "expected an object or an array"},
        {webhook(R"("body": {"a": ["x", "{{hunter2|nope}}"]})"), "/t/body/a/1", "no such filter"},
        {webhook(R"("body": {"a": "hunter2 {{x"})"), "/t/body/a", "(at byte 11 of the template)"},
        // words
        {ntfy(R"("words": [])"), "/t/words", "expected an object"},
        {ntfy(R"("words": {"permision": {"title": "x"}})"), "/t/words/permision", "did you mean \"permission\"?"},
        {ntfy(R"("words": {"permission": "hunter2"})"), "/t/words/permission", "expected an object, got a string"},
        {ntfy(R"("words": {"permission": {}})"), "/t/words/permission", "expected a title, a body or both"},
        {ntfy(R"("words": {"permission": {"text": "x", "body": "x"}})"), "/t/words/permission/text", "unknown key"},
        {ntfy(R"("words": {"permission": {"title": 5}})"), "/t/words/permission/title", "expected a template"},
        {discord(R"("words": {"error": {"body": "a {{b|cut}}"}})"), "/t/words/error/body", "wants a colon"},
        // all of them
        {ntfy(R"("fallback": ["t"])"), "/t/fallback/0", "expected another target, got this one itself"},
        {R"({"phone": {"type": "log"}, "t": {"type": "ntfy", "topic": "x", "fallback": ["phne", "phone"]}})",
         "/t/fallback/0", "no target has this name; did you mean \"phone\"?"},
        {ntfy(R"("fallback": ["https://discord.com/api/webhooks/1/hunter2"])"), "/t/fallback/0",
         "no target has this name"},
        {R"({"phone": {"type": "log"}, "t": {"type": "ntfy", "topic": "x", "fallback": ["phone", "phone"]}})",
         "/t/fallback/1", "named twice"},
        {ntfy(R"("fallback": "phone")"), "/t/fallback", "expected an array"},
        {ntfy(R"("fallback": [""])"), "/t/fallback/0", "expected a text"},
        {ntfy(R"("ca_file": "")"), "/t/ca_file", "expected a path"},
        {ntfy(R"("pace": {"burst": 5})"), "/t/pace", "every is missing"},
        {ntfy(R"("pace": {"burst": 0, "every": "1s"})"), "/t/pace/burst", "expected an integer from 1"},
        {ntfy(R"("pace": {"burst": 1, "every": "1"})"), "/t/pace/every", "expected a duration from 10ms to 1h"},
        {ntfy(R"("pace": {"burst": 1, "every": "1s", "evry": 1})"), "/t/pace/evry", "did you mean \"every\"?"},
    };
    for (auto const& [targets, place, message] : all) {
        SCOPED_TRACE(targets);
        EXPECT_THAT(world(targets).errors(),
                    ElementsAre(AllOf(StartsWith("/notifications/targets" + place + ": "), HasSubstr(message))));
    }
}

TEST(ConfigTargets, AllMistakesAtOnce) {
    EXPECT_THAT(
        world(R"({
        "a": {"type": "ntfy", "topic": "a b", "token": "tk_hunter2", "fallback": ["x"], "words": {"test": {}}},
        "b": {"type": "webhook", "url": "x", "keys": [{"env": "NOPE"}], "body": {"t": "{{}}"}, "nope": 1},
        "c": 7})",
              R"(, "routes": [{"events": ["complet"], "targets": ["d"]}], "privat": 1)")
            .variable("NTFY_TOPIC", "a b")
            .variable("DISCORD_WEBHOOK_URL", "hunter2")
            .errors(),
        ::testing::UnorderedElementsAre(
            StartsWith("NTFY_TOPIC: "), StartsWith("DISCORD_WEBHOOK_URL: "),
            StartsWith("/notifications/targets/a/topic: "), StartsWith("/notifications/targets/a/token: "),
            StartsWith("/notifications/targets/a/fallback/0: "), StartsWith("/notifications/targets/a/words/test: "),
            StartsWith("/notifications/targets/b/url: "), StartsWith("/notifications/targets/b/keys/0/env: "),
            StartsWith("/notifications/targets/b/body/t: "), StartsWith("/notifications/targets/b/nope: "),
            StartsWith("/notifications/targets/c: "), StartsWith("/notifications/routes/0/events/0: "),
            StartsWith("/notifications/routes/0/targets/0: "),
            "/notifications/privat: unknown key; did you mean \"privacy\"?"));
}

TEST(ConfigTargets, ThereIsABoundToTheirNumber) {
    std::string most;
    for (std::size_t i = 1; i < max_targets; ++i) most += "\"t" + std::to_string(i) + "\": {\"type\": \"log\"}, ";
    EXPECT_THAT(world("{" + most + R"("t0": {"type": "log"}})").valid().notify.targets, SizeIs(max_targets));
    EXPECT_THAT(world("{" + most + R"("t0": {"type": "log"}, "t00": {"type": "log"}})").errors(),
                ElementsAre("/notifications/targets: expected at most 32 targets, got 33"));
    EXPECT_THAT(world("{" + most + R"("t0": {"type": "log"}})", R"(, "routes": [{"targets": ["t0"]}])")
                    .variable("NTFY_TOPIC", "x")
                    .errors(),
                ElementsAre("/notifications/targets: expected at most 32 targets, got 33"))
        << "that a route names one of them is no further mistake";
}

TEST(ConfigTargets, VariablesAloneMakeTargets) {
    World world;
    world.variable("NTFY_TOPIC", "hunter2-topic").variable("NTFY_TOKEN", "tk_hunter2");
    world.variable("DISCORD_WEBHOOK_URL", "https://discordapp.com/api/webhooks/1/hunter2");
    auto const config = world.valid();
    EXPECT_THAT(config.warnings, IsEmpty());
    auto const& all = config.notify.targets;
    ASSERT_THAT(all, SizeIs(2));
    EXPECT_EQ(all[0].name, "discord");
    EXPECT_EQ(settings<notify::DiscordSettings>(all[0]).url.reveal(), "https://discord.com/api/v10/webhooks/1/hunter2");
    EXPECT_EQ(all[1].name, "ntfy");
    EXPECT_EQ(settings<notify::NtfySettings>(all[1]).server, "https://ntfy.sh");
    EXPECT_EQ(settings<notify::NtfySettings>(all[1]).topic, "hunter2-topic");
    EXPECT_EQ(settings<notify::NtfySettings>(all[1]).token.reveal(), "tk_hunter2");
    // Everything to everybody.
    ASSERT_THAT(config.notify.rules.rules, SizeIs(1));
    EXPECT_THAT(config.notify.rules.rules[0].targets, ElementsAre("discord", "ntfy"));
    EXPECT_EQ(config.notify.rules.rules[0].min_duration, 20s);
    EXPECT_THAT(config.notify.rules.rules[0].events, IsEmpty());
}

TEST(ConfigTargets, EachVariableAlsoNamesAFile) {
    World world;
    world.files = {{"/s/topic", "https://ntfy.example/hunter2\n"},
                   {"/s/user", "me\n"},
                   {"/s/password", "hunter2\n"},
                   {"/s/url", "https://discord.com/api/webhooks/1/hunter2\n"}};
    world.variable("NTFY_TOPIC_FILE", "/s/topic").variable("NTFY_USER_FILE", "/s/user");
    world.variable("NTFY_PASSWORD_FILE", "/s/password").variable("DISCORD_WEBHOOK_URL_FILE", "/s/url");
    auto const config = world.valid();
    EXPECT_THAT(config.files, ElementsAre("/s/topic", "/s/user", "/s/password", "/s/url")) << "they are watched";
    ASSERT_THAT(config.notify.targets, SizeIs(2));
    auto const& ntfy = settings<notify::NtfySettings>(config.notify.targets[1]);
    EXPECT_EQ(ntfy.server + " " + ntfy.topic, "https://ntfy.example hunter2");
    EXPECT_EQ(ntfy.user, "me");
    EXPECT_EQ(ntfy.password.reveal(), "hunter2");

    world.variable("NTFY_TOPIC", "x").variable("DISCORD_WEBHOOK_URL_FILE", "/s/none");
    EXPECT_THAT(world.errors(), ElementsAre("NTFY_TOPIC_FILE: set together with NTFY_TOPIC; keep one of them",
                                            AllOf(StartsWith("DISCORD_WEBHOOK_URL_FILE: \"/s/none\" cannot be read"))));
}

TEST(ConfigTargets, MistakesOfVariablesNameThem) {
    auto const with = [](std::string const& name, std::string const& value) {
        return World().variable("NTFY_TOPIC", "x").variable(name, value).errors();
    };
    EXPECT_THAT(with("NTFY_TOPIC", "ntfy.sh/hunter2"), ElementsAre(StartsWith("NTFY_TOPIC: a topic is 1 to 64")));
    EXPECT_THAT(with("NTFY_SERVER", "hunter2"), ElementsAre(StartsWith("NTFY_SERVER: the server's address is none")));
    EXPECT_THAT(with("NTFY_TOKEN", "hunter2 x"), ElementsAre(StartsWith("NTFY_TOKEN: expected a token")));
    EXPECT_THAT(with("NTFY_USER", "hunter2"), ElementsAre(StartsWith("NTFY_USER: given without NTFY_PASSWORD")));
    EXPECT_THAT(with("NTFY_PASSWORD", "hunter2"), ElementsAre(StartsWith("NTFY_PASSWORD: given without NTFY_USER")));
    EXPECT_THAT(with("NTFY_USER", "me:hunter2"), Contains(AllOf(StartsWith("NTFY_USER: "), HasSubstr("colon"))));
    EXPECT_THAT(with("DISCORD_WEBHOOK_URL", "https://discord.com/channels/hunter2"),
                ElementsAre(AllOf(StartsWith("DISCORD_WEBHOOK_URL: "), HasSubstr("<number>/<token>"))));
}

TEST(ConfigTargets, VariablesAndTheFileAddUp) {
    auto const config = world(R"({"hook": {"type": "log"}})").variable("NTFY_TOPIC", "x").valid();
    EXPECT_THAT(config.notify.rules.rules.at(0).targets, ElementsAre("hook", "ntfy"));
    EXPECT_THAT(world(R"({"ntfy": {"type": "log"}, "discord": {"type": "log"}})").variable("NTFY_TOPIC", "x").errors(),
                ElementsAre("/notifications/targets/ntfy: NTFY_TOPIC makes a target of this name; rename this one, or "
                            "unset NTFY_TOPIC"));
    // A target of the file may count on one of the environment, and a route as well.
    EXPECT_THAT(world(R"({"t": {"type": "ntfy", "topic": "x", "fallback": ["discord"]}})",
                      R"(, "routes": [{"targets": ["discord", "t"]}])")
                    .variable("DISCORD_WEBHOOK_URL", "https://discord.com/api/webhooks/1/hunter2")
                    .errors(),
                IsEmpty());
}

TEST(ConfigTargets, WhatHasNoEffectIsTold) {
    EXPECT_THAT(
        World().variable("NTFY_TOKEN", "tk_hunter2").variable("NTFY_SERVER", "https://x.example").valid().warnings,
        ElementsAre("NTFY_SERVER has no effect without NTFY_TOPIC", "NTFY_TOKEN has no effect without NTFY_TOPIC"));
    EXPECT_THAT(World()
                    .variable("NTFY_TOPIC", "https://x.example/hunter2")
                    .variable("NTFY_SERVER", "https://y.example")
                    .valid()
                    .warnings,
                ElementsAre("NTFY_SERVER has no effect: NTFY_TOPIC is a whole URL"));
}

TEST(ConfigTargets, ASecretThatTravelsInClearIsDoubted) {
    auto const of = [](std::string const& targets) { return world(targets).valid().warnings; };
    EXPECT_THAT(
        World().variable("NTFY_TOPIC", "http://ntfy.example/x").variable("NTFY_TOKEN", "tk_hunter2").valid().warnings,
        ElementsAre(AllOf(StartsWith("NTFY_TOKEN: the token goes to ntfy.example without encryption"))));
    EXPECT_THAT(World().variable("NTFY_TOPIC", "http://ntfy.example/x").valid().warnings, IsEmpty());
    for (auto const* host : {"127.0.0.1:8080", "localhost", "[::1]:80"}) {
        EXPECT_THAT(of(ntfy(R"("token": {"env": "TOKEN"}, "server": "http://)" + std::string(host) + "\"")), IsEmpty())
            << host;
    }
    EXPECT_THAT(of(ntfy(R"("username": "me", "password": {"file": "password"}, "server": "http://10.0.0.1")")),
                ElementsAre(HasSubstr("/t/password: the password goes to 10.0.0.1 without encryption")));
    EXPECT_THAT(world(R"({"t": {"type": "discord", "url": {"env": "URL"}}})")
                    .variable("URL", "http://chat.example/hunter2")
                    .valid()
                    .warnings,
                ElementsAre(HasSubstr("goes to chat.example without encryption")));
    EXPECT_THAT(world(R"({"t": {"type": "webhook", "url": {"env": "HOOK"}, "headers": {"X-Key": {"env": "HEADER"}}}})")
                    .variable("HOOK", "http://x.example/hunter2")
                    .valid()
                    .warnings,
                ElementsAre(HasSubstr("/t/url: "), HasSubstr("/t/headers/X-Key: ")));
    EXPECT_THAT(of(R"({"t": {"type": "webhook", "url": "http://x.example/"}})"), IsEmpty());
}

TEST(ConfigTargets, CertificatesOfAllAreTheDefaultOfEach) {
    auto const config = world(R"({"a": {"type": "ntfy", "topic": "x"}, "b": {"type": "ntfy", "topic": "x",
                                   "ca_file": "/b.pem"}, "c": {"type": "log"}})",
                              R"(, "ca_file": "own.pem")")
                            .variable("NTFY_TOPIC", "x")
                            .valid();
    auto const& all = config.notify.targets;
    ASSERT_THAT(all, SizeIs(4));
    EXPECT_EQ(all[0].ca_file + all[1].ca_file + all[2].ca_file + all[3].ca_file, "/etc/own.pem/b.pem/etc/own.pem");
    EXPECT_THAT(config.files, ElementsAre("/etc/ocgate.json", "/etc/own.pem", "/b.pem")) << "each is watched once";
}

std::string mark(std::string const& targets, std::string const& token = "tk_hunter2") {
    return world(targets).variable("TOKEN", token).load().config.notify.targets.at(0).mark;
}

TEST(ConfigTargets, AMarkChangesWithAnythingThatMakesTheTarget) {
    auto const plain = ntfy(R"("token": {"env": "TOKEN"})");
    EXPECT_THAT(mark(plain), MatchesRegex("[0-9a-f]{16}"));
    EXPECT_EQ(mark(plain), mark(plain));
    std::set<std::string> marks;
    std::string const variations[] = {
        plain,
        ntfy(R"("token": {"env": "TOKEN"}, "server": "https://y.example")"),
        ntfy(R"("token": {"env": "TOKEN"}, "message_bytes": 999)"),
        ntfy(R"("token": {"env": "TOKEN"}, "ca_file": "/x")"),
        ntfy(R"("token": {"env": "TOKEN"}, "fallback": ["u"])"),
        ntfy(R"("token": {"env": "TOKEN"}, "pace": {"burst": 1, "every": "1s"})"),
        ntfy(R"("token": {"env": "TOKEN"}, "words": {"error": {"title": "x"}})"),
        ntfy(R"("token": {"env": "TOKEN"}, "words": {"error": {"title": "y"}})"),
        ntfy(R"("username": "me", "password": {"file": "password"})"),
        R"({"u": {"type": "ntfy", "topic": "x", "token": {"env": "TOKEN"}}})",
        R"({"t": {"type": "ntfy", "topic": "y", "token": {"env": "TOKEN"}}})",
        R"({"t": {"type": "log"}})",
        R"({"t": {"type": "discord", "url": {"env": "URL"}}})",
        discord(R"("mentions": ["1"])"),
        discord(R"("mentions": ["1", "2"])"),
        discord(R"("mentions": ["12"])"),
        R"({"t": {"type": "webhook", "url": "https://hooks.example/x"}})",
        webhook(R"("keys": [{"env": "KEY"}])"),
        webhook(R"("headers": {"X-A": "a"})"),
        webhook(R"("headers": {"X-A": "b"})"),
        webhook(R"("body": {"a": 1})"),
    };
    for (auto const& targets : variations) EXPECT_TRUE(marks.insert(mark(targets)).second) << targets;
    EXPECT_TRUE(marks.insert(mark(plain, "tk_hunter2-new")).second) << "a new token is another target";
    // The same secret from another place is the same target.
    auto same = world(ntfy(R"("token": {"file": "token"})"));
    same.files["/etc/token"] = "tk_hunter2\n";
    EXPECT_EQ(same.valid().notify.targets.at(0).mark, mark(plain));
}

}  // namespace
}  // namespace ocgate::app
