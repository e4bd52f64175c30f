#include "cli.hpp"

#include <gmock/gmock.h>

#include <set>
#include <sstream>

#include "config_settings.hpp"
#include "ocgate/auth/htpasswd.hpp"

namespace ocgate::app {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::Pair;
using Kind = Command::Kind;

struct Parsed {
    std::variant<Command, int> result;
    std::string out, err;

    [[nodiscard]] Command const& command() const { return std::get<Command>(result); }
    [[nodiscard]] int code() const { return result.index() == 1 ? std::get<int>(result) : -1; }
};

Parsed parse(std::vector<char const*> arguments) {
    arguments.insert(arguments.begin(), "ocgate");
    std::ostringstream out, err;
    auto result = parse_command_line(static_cast<int>(arguments.size()), arguments.data(), out, err);
    return {std::move(result), out.str(), err.str()};
}

TEST(CommandLine, ServesUnlessToldOtherwise) {
    for (auto const& arguments : std::vector<std::vector<char const*>>{{}, {"serve"}}) {
        auto const parsed = parse(arguments);
        ASSERT_EQ(parsed.code(), -1) << parsed.err;
        EXPECT_EQ(parsed.command().kind, Kind::serve);
        EXPECT_THAT(parsed.command().flags.values, IsEmpty());
    }
    auto const direct = parse({"--listen", "127.0.0.1:0", "--threads=2"});
    ASSERT_EQ(direct.code(), -1) << direct.err;
    EXPECT_EQ(direct.command().kind, Kind::serve);
    EXPECT_THAT(direct.command().flags.values,
                ::testing::UnorderedElementsAre(Pair("listen", "127.0.0.1:0"), Pair("threads", "2")));
    std::ostringstream out, err;
    EXPECT_EQ(std::get<Command>(parse_command_line(0, nullptr, out, err)).kind, Kind::serve);
}

TEST(CommandLine, EverySettingIsAFlagOfServeAndOfCheckConfig) {
    for (auto const* subcommand : {"serve", "check-config"}) {
        for (auto const& setting : settings()) {
            auto const flag = setting.flag() + "=some text";
            auto const parsed = parse({subcommand, flag.c_str()});
            ASSERT_EQ(parsed.code(), -1) << flag << parsed.err;
            EXPECT_THAT(parsed.command().flags.values, ElementsAre(Pair(setting.name(), "some text")));
        }
        EXPECT_THAT(parse({subcommand, "--config", "/c"}).command().flags.values, ElementsAre(Pair("config", "/c")));
    }
}

TEST(CommandLine, SwitchesStandAlone) {
    EXPECT_THAT(parse({"serve", "--allow-remote-upstream", "--upstream", "http://a:1"}).command().flags.values,
                ::testing::UnorderedElementsAre(Pair("allow_remote_upstream", "true"), Pair("upstream", "http://a:1")));
    EXPECT_THAT(parse({"--ticket-upgrades=false"}).command().flags.values,
                ElementsAre(Pair("ticket_upgrades", "false")));
}

TEST(CommandLine, EmptyAndOddValuesAreLeftToTheLoader) {
    EXPECT_THAT(parse({"serve", "--listen", ""}).command().flags.values, ElementsAre(Pair("listen", "")));
    EXPECT_THAT(parse({"serve", "--realm=--x"}).command().flags.values, ElementsAre(Pair("realm", "--x")));
    EXPECT_THAT(parse({"serve", "--allowed-hosts", "a, b"}).command().flags.values,
                ElementsAre(Pair("allowed_hosts", "a, b")));
}

TEST(CommandLine, TheSmallSubcommands) {
    auto const health = parse({"healthcheck", "--admin-listen", ":1", "--upstream", "--timeout", "500ms"});
    ASSERT_EQ(health.code(), -1) << health.err;
    EXPECT_EQ(health.command().kind, Kind::healthcheck);
    EXPECT_TRUE(health.command().with_upstream);
    EXPECT_EQ(health.command().timeout, 500ms);
    EXPECT_THAT(health.command().flags.values, ElementsAre(Pair("admin_listen", ":1")));
    EXPECT_EQ(parse({"healthcheck"}).command().timeout, 3s);

    auto const drain = parse({"drain", "--wait", "20s", "--control-socket", "/c"});
    ASSERT_EQ(drain.code(), -1) << drain.err;
    EXPECT_EQ(drain.command().kind, Kind::drain);
    EXPECT_EQ(drain.command().wait, 20s);
    EXPECT_THAT(drain.command().flags.values, ElementsAre(Pair("control_socket", "/c")));
    EXPECT_EQ(parse({"drain"}).command().wait, std::nullopt);

    auto const pending = parse({"pending", "--json", "--control-socket", "/c"});
    ASSERT_EQ(pending.code(), -1) << pending.err;
    EXPECT_EQ(pending.command().kind, Kind::pending);
    EXPECT_TRUE(pending.command().as_json);
    EXPECT_THAT(pending.command().flags.values, ElementsAre(Pair("control_socket", "/c")));
    EXPECT_FALSE(parse({"pending"}).command().as_json);

    auto const sessions = parse({"sessions", "--config", "/f", "--json"});
    ASSERT_EQ(sessions.code(), -1) << sessions.err;
    EXPECT_EQ(sessions.command().kind, Kind::sessions);
    EXPECT_TRUE(sessions.command().as_json);
    EXPECT_THAT(sessions.command().flags.values, ElementsAre(Pair("config", "/f")));
    EXPECT_FALSE(parse({"sessions"}).command().as_json);

    auto const status = parse({"status", "--json", "--control-socket", "/c"});
    ASSERT_EQ(status.code(), -1) << status.err;
    EXPECT_EQ(status.command().kind, Kind::status);
    EXPECT_TRUE(status.command().as_json);
    EXPECT_THAT(status.command().flags.values, ElementsAre(Pair("control_socket", "/c")));

    auto const top = parse({"top", "--every", "500ms", "--times", "3"});
    ASSERT_EQ(top.code(), -1) << top.err;
    EXPECT_EQ(top.command().kind, Kind::top);
    EXPECT_EQ(top.command().every, 500ms);
    EXPECT_EQ(top.command().times, 3u);
    EXPECT_EQ(parse({"top"}).command().every, 2s);
    EXPECT_EQ(parse({"top"}).command().times, std::nullopt);
    EXPECT_EQ(parse({"top", "--every", "1ms"}).command().every, 100ms) << "no busy loop";

    auto const test = parse({"notify-test", "--target", "phone", "--control-socket", "/c", "--config", "/f"});
    ASSERT_EQ(test.code(), -1) << test.err;
    EXPECT_EQ(test.command().kind, Kind::notify_test);
    EXPECT_EQ(test.command().target, "phone");
    EXPECT_THAT(test.command().flags.values,
                ::testing::UnorderedElementsAre(Pair("control_socket", "/c"), Pair("config", "/f")));
    EXPECT_EQ(parse({"notify-test"}).command().target, std::nullopt);

    auto const hash = parse({"hash-password", "--user", "alice", "--cost", "5"});
    ASSERT_EQ(hash.code(), -1) << hash.err;
    EXPECT_EQ(hash.command().kind, Kind::hash_password);
    EXPECT_EQ(hash.command().user_name, "alice");
    EXPECT_EQ(hash.command().cost, 5U);
    EXPECT_EQ(parse({"hash-password"}).command().cost, auth::default_bcrypt_cost);
    EXPECT_EQ(parse({"check-config"}).command().kind, Kind::check_config);
}

TEST(CommandLine, MistakesEndWithOneAndNothingOnStandardOutput) {
    std::vector<std::vector<char const*>> const wrong = {
        {"sevre"},
        {"serve", "extra"},
        {"serve", "--no-such"},
        {"serve", "--listen"},
        {"serve", "--listen", "a", "--listen", "b"},
        {"--no-such"},
        {"drain", "--wait", "soon"},
        {"drain", "--wait"},
        {"drain", "--listen", ":1"},
        {"healthcheck", "--timeout", "5"},
        {"pending", "api"},
        {"pending", "--listen", ":1"},
        {"sessions", "--target", "phone"},
        {"status", "api"},
        {"top", "--every", "2"},
        {"top", "--times", "0"},
        {"top", "--json"},
        {"notify-test", "phone"},
        {"notify-test", "--target"},
        {"notify-test", "--target", ""},
        {"notify-test", "--json"},
        {"hash-password", "--cost", "3"},
        {"hash-password", "--cost", "16"},
        {"hash-password", "--user", "a:b"},
        {"hash-password", "--user", ""},
        {"serve", "drain"},
    };
    for (auto const& arguments : wrong) {
        auto const parsed = parse(arguments);
        EXPECT_EQ(parsed.code(), 1) << arguments.back();
        EXPECT_EQ(parsed.out, "");
        EXPECT_THAT(parsed.err, AllOf(::testing::StartsWith("ocgate: "), HasSubstr("--help`"))) << arguments.back();
    }
    EXPECT_THAT(parse({"sevre"}).err, HasSubstr("did you mean serve?"));
    EXPECT_THAT(parse({"serve", "--lisen", ":1"}).err, HasSubstr("--lisen is no option; did you mean --listen?"));
    EXPECT_THAT(parse({"serve", "--access-log", "false"}).err, HasSubstr("equals sign: --access-log=false\n"));
    EXPECT_THAT(parse({"--ticket-upgrades", "off"}).err, HasSubstr("equals sign: --access-log=off\n"));
    EXPECT_THAT(parse({"serve", "extra"}).err, Not(HasSubstr("equals")));
}

TEST(CommandLine, TakesNoSecretsAndRepeatsNone) {
    for (auto const& arguments : std::vector<std::vector<char const*>>{{"serve", "--password", "hunter2"},
                                                                       {"serve", "--password=hunter2"},
                                                                       {"--upstream-password=hunter2"},
                                                                       {"serve", "hunter2"},
                                                                       {"hash-password", "hunter2"},
                                                                       {"hunter2"}}) {
        auto const parsed = parse(arguments);
        EXPECT_EQ(parsed.code(), 1);
        EXPECT_THAT(parsed.err + parsed.out, Not(HasSubstr("hunter2")));
    }
    EXPECT_THAT(parse({"serve", "--password=x"}).err, HasSubstr("OPENCODE_SERVER_PASSWORD_FILE"));
}

TEST(CommandLine, HelpAndVersion) {
    EXPECT_THAT(parse({"--version"}).out, MatchesRegex("ocgate [0-9]+\\.[0-9]+\\.[0-9]+\n"));
    EXPECT_EQ(parse({"--version"}).code(), 0);
    auto const help = parse({"--help"});
    EXPECT_EQ(help.code(), 0);
    for (auto const* name : {"serve", "check-config", "healthcheck", "drain", "pending", "sessions", "status", "top",
                             "notify-test", "hash-password"}) {
        EXPECT_THAT(help.out, HasSubstr(std::string("\n  ") + name + " "));
        auto const own = parse({name, "--help"});
        EXPECT_EQ(own.code(), 0) << name;
        EXPECT_EQ(own.err, "") << name;
    }
    for (auto const* name : {"drain", "pending", "sessions", "status", "top", "notify-test"})
        EXPECT_THAT(parse({name, "--help"}).out, AllOf(HasSubstr("--control-socket"), HasSubstr("--config")));
    EXPECT_THAT(parse({"notify-test", "--help"}).out, HasSubstr("--target NAME"));
    EXPECT_THAT(parse({"pendign"}).err, HasSubstr("did you mean pending?"));
    auto const serve = parse({"serve", "--help"});
    EXPECT_EQ(serve.code(), 0);
    for (auto const& setting : settings()) EXPECT_THAT(serve.out, HasSubstr("  " + setting.flag()));
    EXPECT_THAT(serve.out, AllOf(HasSubstr("OPENCODE_SERVER_PASSWORD_FILE"), HasSubstr("(0.0.0.0:8080)")));
    EXPECT_THAT(serve.out, Not(HasSubstr("--password")));
    EXPECT_EQ(serve.err, "");
}

}  // namespace
}  // namespace ocgate::app
