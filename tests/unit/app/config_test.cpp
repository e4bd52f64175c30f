#include "ocgate/app/config.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <set>

#include "config_kit.hpp"
#include "config_settings.hpp"
#include "durations.hpp"

namespace ocgate::app {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

/// All that the table of settings can change, as text.
std::string fingerprint(Config const& c) {
    std::ostringstream out;
    auto const& l = c.limits;
    out << c.listen.text() << ' ' << c.admin_listen.text() << ' ' << c.upstream.text() << ' ' << c.upstream_user << ' '
        << c.allow_remote_upstream << ' ' << c.threads << ' ' << c.control_socket << ' ' << int(c.log.format) << ' '
        << int(c.log.level) << ' ' << c.log.access << ' ' << c.log.sample << ' ' << int(c.audit.kind) << c.audit.path
        << ' ' << c.htpasswd_file << ' ' << c.auth.realm << ' ';
    for (auto const& origin : c.auth.allowed_origins) out << origin << ',';
    for (auto const& host : c.auth.allowed_hosts) out << host << ';';
    out << c.auth.trusted_proxies.size() << ' ' << c.auth.ticket_upgrades << ' ' << c.auth.throttle.failures << ' '
        << c.auth.throttle.failures_per_address << ' ' << c.auth.throttle.window.count() << ' '
        << c.auth.throttle.entries << ' ' << l.request.head_bytes << ' ' << l.request.target_bytes << ' '
        << l.body_bytes << ' ' << l.connections << ' ' << l.connections_per_client << ' ' << l.streams_per_client << ' '
        << l.idle_upstreams;
    for (auto const time :
         {l.request_head, l.keep_alive, l.dial, l.first_byte, l.idle_body, l.tunnel_idle, l.stall_timeout, l.heartbeat,
          l.idle_upstream, c.drain_timeout, c.probe_interval, c.probe_timeout, c.notify.same_error})
        out << ' ' << time.count();
    out << ' ' << int(c.sandbox) << ' ' << c.state_dir << ' ' << c.state_dir_given << ' ' << int(c.notify.rules.privacy)
        << ' ' << c.notify.public_url << ' ' << c.notify.ca_file << ' ' << c.notify.retries << ' '
        << c.spending.time_zone;
    return out.str();
}

struct Row {
    std::string_view name;  ///< of the setting
    /// As JSON, all different from the default. Text of them is good for flag and variable, too.
    std::vector<std::string> good;
    std::vector<std::string> bad;
};

std::vector<Row> const& rows() {
    static std::vector<Row> const all = {
        {"listen",
         {R"("127.0.0.1:0")", R"("unix:/run/x")", R"("[::]:1")"},
         {R"("x")", "8080", "null", "{}", R"("a:1")"}},
        {"admin_listen", {R"("127.0.0.1:0")", R"(":1")"}, {R"("9090")", "[]", "true"}},
        {"upstream", {R"("http://localhost:1")", R"("unix:/run/x")"}, {R"("https://localhost:1")", "1", "null", "[]"}},
        {"upstream_username", {R"("bob")"}, {R"("")", R"("a:b")", "1", R"("a\nb")"}},
        {"allow_remote_upstream", {"true"}, {"1", R"("true")", "null"}},
        {"threads", {"2", "64"}, {"0", "65", "-1", "1.0", R"("2")", "1e3", "18446744073709551616", "true", "null"}},
        {"control_socket", {R"("/run/c.sock")", R"("none")", R"("unix:/run/c.sock")"}, {R"("")", "1", "null"}},
        {"sandbox", {R"("on")", R"("off")"}, {R"("yes")", "true", "1", R"("")", "null"}},
        {"log_format", {R"("text")"}, {R"("JSON")", R"("xml")", "1", "null"}},
        {"log_level", {R"("debug")", R"("warn")", R"("error")", R"("off")"}, {R"("warning")", R"("")", "1"}},
        {"access_log", {"false"}, {R"("off")", "0"}},
        {"log_sample", {"0", "0.25", "0.001"}, {"1.01", "-0.1", R"("0.5")", R"("10%")", "null"}},
        {"audit",
         {R"("none")", R"("/var/log/audit.jsonl")", R"("/log")"},
         {R"("")", "1", "null", R"("a\u0000b")", "{}"}},
        {"htpasswd_file", {R"("/etc/htpasswd")"}, {R"("")", "1", "[]", R"("a\u0000b")"}},
        {"realm", {R"("my code")"}, {R"("")", R"("a\"b")", R"("a\\b")", R"("é")", R"("a\nb")", "1"}},
        {"allowed_origins",
         {R"(["https://a.example"])", R"(["https://a.example","https://*.b.example"])"},
         {R"(["null"])", R"(["https://a.example/"])", R"(["*"])", R"("https://a.example")", "[17]", "[[]]", R"([""])"}},
        {"allowed_hosts",
         {R"(["a.example"])", R"(["a.example:1","*.b"])"},
         {R"(["a/b"])", R"(["http://a"])", "[1]", "{}"}},
        {"trusted_proxies", {R"(["10.0.0.0/8"])", R"(["::1","unix"])"}, {R"(["10.0.0.0/33"])", R"(["a"])", "[null]"}},
        {"ticket_upgrades", {"false"}, {R"("no")"}},
        {"throttle_failures", {"0", "1000000"}, {"1000001", "-1", R"("10")"}},
        {"throttle_failures_per_address", {"0", "50"}, {"-1", "0.5"}},
        {"throttle_window", {R"("1s")", R"("1d")"}, {R"("999ms")", R"("1500ms")", R"("25h")", "300", "0", R"("0")"}},
        {"throttle_entries", {"16", "1048576"}, {"15", "1048577"}},
        {"limits_head_bytes", {R"("8KiB")", "1024"}, {R"("17KiB")", "16385", "1023", "-1", R"("")", "0", "1e300"}},
        {"limits_target_bytes", {R"("4KiB")", "128"}, {"127", "16385", R"("1MB")"}},
        {"limits_body_bytes",
         {"0", R"("1GiB")", "4611686018427387904"},
         {"4611686018427387905", "-1", R"("16777216TiB")", "1.5", "null"}},
        {"limits_connections", {"1", "1000000"}, {"0", "1000001", R"("1")"}},
        {"limits_connections_per_client", {"0", "1000000"}, {"1000001", "-1", R"("1")"}},
        {"limits_streams_per_client", {"0", "1000000"}, {"1000001", "-1", R"("1")"}},
        {"limits_idle_upstreams", {"0", "1024"}, {"1025"}},
        {"timeouts_request_head",
         {R"("100ms")", R"("10m")"},
         {R"("99ms")", R"("11m")", "10", R"("0")", R"("10")", "null"}},
        {"timeouts_keep_alive", {R"("1s")"}, {R"("0")", R"("25h")"}},
        {"timeouts_dial", {R"("10ms")", R"("5m")"}, {R"("9ms")", R"("6m")"}},
        {"timeouts_first_byte", {R"("1h")", R"("30d")"}, {R"("99ms")", R"("31d")", "1", "-0.0"}},
        {"timeouts_idle_body", {R"("1s")"}, {R"("0")", "0"}},
        {"timeouts_tunnel_idle", {R"("1h")"}, {R"("1")", "true"}},
        {"timeouts_stall", {R"("1s")"}, {R"("0")", R"("2h")"}},
        {"timeouts_heartbeat", {"0", R"("0")", R"("1s")"}, {R"("2h")"}},
        {"timeouts_idle_upstream", {R"("1s")"}, {R"("0")"}},
        {"timeouts_drain", {"0", R"("0")", R"("1h")"}, {R"("61m")", "-1"}},
        {"timeouts_probe_interval", {R"("1s")"}, {R"("0")"}},
        {"timeouts_probe", {R"("1s")"}, {R"("6m")"}},
        {"state_dir", {R"("/var/lib/x")", R"("none")"}, {R"("")", "1", "null", R"("a\u0000b")"}},
        {"budget_time_zone",
         {R"("Europe/Berlin")"},
         {R"("")", R"("Mars/Olympus")", R"("/etc/localtime")", "1", "null"}},
        {"notifications_privacy", {R"("minimal")", R"("summary")"}, {R"("Full")", R"("none")", "1", "null"}},
        {"notifications_public_url",
         {R"("https://code.example")", R"("http://10.0.0.1:8080/")", R"("https://[::1]:1")"},
         {R"("code.example")", R"("https://code.example/x")", R"("https://me@code.example")", R"("https://a?b")",
          R"("https://a#b")", R"("ftp://a")", R"("https://")", R"("")", "1", "null"}},
        {"notifications_ca_file", {R"("/etc/own.pem")"}, {R"("")", "1", "[]"}},
        {"notifications_same_error", {R"("1m")", R"("0")", "0", R"("30d")"}, {R"("31d")", "10", "null"}},
        {"notifications_retries", {"1", "1000"}, {"0", "1001", R"("3")"}},
    };
    return all;
}

Setting const& setting_named(std::string_view name) {
    for (auto const& setting : settings())
        if (setting.name() == name) return setting;
    throw std::logic_error("no setting " + std::string(name));
}

std::string as_file(Setting const& setting, std::string const& json) {
    auto const pointer = setting.pointer.substr(1);
    auto const slash = pointer.find('/');
    if (slash == std::string_view::npos) return "{\"" + std::string(pointer) + "\":" + json + "}";
    return "{\"" + std::string(pointer.substr(0, slash)) + "\":{\"" + std::string(pointer.substr(slash + 1)) +
           "\":" + json + "}}";
}

/// The JSON value as one writes it in a variable.
std::string as_text(std::string const& json) {
    auto const value = nlohmann::json::parse(json);
    if (value.is_string()) return value.get<std::string>();
    if (!value.is_array()) return json;
    std::string text;
    for (auto const& entry : value)
        text += (text.empty() ? "" : ", ") + (entry.is_string() ? entry.get<std::string>() : entry.dump());
    return text;
}

World with_htpasswd() {
    World world;
    world.files["/etc/htpasswd"] = "";
    return world;
}

TEST(Config, EverySettingHasARowHere) {
    std::set<std::string> tested, known;
    for (auto const& row : rows()) tested.emplace(row.name);
    for (auto const& setting : settings()) known.insert(setting.name());
    EXPECT_EQ(tested, known);
}

TEST(Config, EverySettingIsTakenFromFileVariableAndFlag) {
    auto const untouched = fingerprint(World().valid());
    for (auto const& row : rows()) {
        auto const& setting = setting_named(row.name);
        for (auto const& json : row.good) {
            SCOPED_TRACE(std::string(row.name) + " " + json);
            auto const from_file = fingerprint(with_htpasswd().file(as_file(setting, json)).valid());
            EXPECT_NE(from_file, untouched);
            EXPECT_EQ(fingerprint(with_htpasswd().variable(setting.variable(), as_text(json)).valid()), from_file);
            EXPECT_EQ(fingerprint(with_htpasswd().flag(setting.name(), as_text(json)).valid()), from_file);
        }
    }
}

TEST(Config, EverySettingRefusesWhatItCannotBeAndSaysWhere) {
    for (auto const& row : rows()) {
        auto const& setting = setting_named(row.name);
        for (auto const& json : row.bad) {
            SCOPED_TRACE(std::string(row.name) + " " + json);
            // What stands for the object with the url is told at its own place.
            auto const loaded = World(as_file(setting, json)).load();
            ASSERT_THAT(World::texts(loaded), Not(IsEmpty()));
            EXPECT_THAT(World::texts(loaded),
                        Each(AllOf(StartsWith(std::string(setting.pointer)), HasSubstr("expected "))));
            EXPECT_EQ(loaded.errors.front().setting, row.name);
        }
    }
}

TEST(Config, WhatIsNoTextIsNoVariable) {
    struct Bad {
        std::string_view name, text;
    };
    Bad const bad[] = {{"threads", "two"},        {"threads", "1 "},           {"threads", "0x1"},
                       {"access_log", "maybe"},   {"limits_body_bytes", "1k"}, {"timeouts_dial", "2"},
                       {"allowed_hosts", "a,,b"}, {"log_level", "WARN"},       {"timeouts_heartbeat", "15"},
                       {"log_sample", "10%"},     {"log_sample", "nan"},       {"log_sample", "inf"}};
    for (auto const& [name, text] : bad) {
        auto const& setting = setting_named(name);
        EXPECT_THAT(World().variable(setting.variable(), std::string(text)).errors(),
                    ElementsAre(StartsWith(setting.variable() + ": expected ")))
            << name;
        EXPECT_THAT(World().flag(setting.name(), std::string(text)).errors(),
                    ElementsAre(StartsWith(setting.flag() + ": expected ")))
            << name;
    }
}

TEST(Config, EveryDefaultIsWhatTheTableSays) {
    auto const untouched = fingerprint(World().valid());
    for (auto const& setting : settings()) {
        if (setting.fallback.empty()) continue;
        EXPECT_EQ(fingerprint(World().flag(setting.name(), std::string(setting.fallback)).valid()), untouched)
            << setting.name();
    }
}

TEST(Config, AFlagWinsOverTheVariableThatOverTheFile) {
    auto const file = R"({"threads": 2, "upstream": {"url": "http://127.0.0.1:2", "username": "two"}})";
    EXPECT_EQ(World(file).valid().threads, 2U);
    EXPECT_EQ(World(file).variable("OCGATE_THREADS", "3").valid().threads, 3U);
    EXPECT_EQ(World(file).variable("OCGATE_THREADS", "3").flag("threads", "4").valid().threads, 4U);
    EXPECT_EQ(World(file).variable("OCGATE_THREADS", "").valid().threads, 2U);
    EXPECT_EQ(World(file).variable("OCGATE_UPSTREAM", "http://127.0.0.1:3").valid().upstream.port, 3);
    EXPECT_EQ(World(file).variable("OCGATE_UPSTREAM_USERNAME", "three").valid().upstream_user, "three");
    // A list is replaced, not added to.
    EXPECT_THAT(
        World(R"({"allowed_hosts": ["a", "b"]})").variable("OCGATE_ALLOWED_HOSTS", "c").valid().auth.allowed_hosts,
        ElementsAre("c"));
    // What is overruled is checked all the same.
    EXPECT_THAT(World(R"({"threads": 0})").flag("threads", "4").errors(), ElementsAre(StartsWith("/threads: ")));
}

TEST(Config, ThePathOfTheFileComesFromFlagOrVariable) {
    World world;
    world.files = {{"/a.json", R"({"threads": 2})"}, {"/b.json", R"({"threads": 3})"}};
    world.variable("OCGATE_CONFIG", "/a.json");
    EXPECT_EQ(world.valid().threads, 2U);
    world.flag("config", "/b.json");
    EXPECT_EQ(world.valid().threads, 3U);
    EXPECT_THAT(world.valid().files, ElementsAre("/b.json"));
    world.flag("config", "/c.json");
    auto const loaded = world.load();
    EXPECT_THAT(World::texts(loaded),
                ElementsAre(AllOf(StartsWith("--config: \"/c.json\""), HasSubstr("No such file"))));
    EXPECT_EQ(loaded.errors.front().setting, "config");
    EXPECT_THAT(loaded.config.files, ElementsAre("/c.json"));
}

TEST(Config, TellsAllErrorsAtOnce) {
    World world(R"({
        "threads": "many", "thread": 1, "limits": {"head_bytes": "17KiB", "bodybytes": 1, "request_head": "1s"},
        "timeouts": 5, "users": [{"name": "a:b", "password": "hunter2"}, 7],
        "allowed_origins": ["https://ok.example", 17],
        "upstream": {"url": "https://127.0.0.1:1", "pass": "hunter2"}, "htpasswd_file": "/none"
    })");
    world.variable("OCGATE_LOG_LEVEL", "loud").flag("listen", "8080").flag("no_such", "1");
    EXPECT_THAT(world.errors(),
                ::testing::UnorderedElementsAre(
                    "/threads: expected an integer from 1 to 64, got \"many\"",
                    "/thread: unknown key; did you mean \"threads\"?",
                    AllOf(StartsWith("/limits/head_bytes: expected a size from 1KiB to 16KiB"), HasSubstr("32KiB"),
                          HasSubstr("got \"17KiB\"")),
                    "/limits/bodybytes: unknown key; did you mean \"body_bytes\"?",
                    "/limits/request_head: unknown key; did you mean /timeouts/request_head?",
                    "/timeouts: expected an object, got 5", StartsWith("/users/0/name: expected a name"),
                    StartsWith("/users/0/password: expected {"), StartsWith("/users/1: expected an object"),
                    AllOf(StartsWith("/allowed_origins/1: expected an origin"), HasSubstr("got 17")),
                    StartsWith("/upstream/url: expected http://host:port"), StartsWith("/upstream/pass: unknown key"),
                    "/htpasswd_file: \"/none\" cannot be read: No such file or directory",
                    StartsWith("OCGATE_LOG_LEVEL: expected one of debug"), StartsWith("--listen: expected host:port"),
                    "--no_such: no such setting"));
}

TEST(Config, ErrorsHaveABound) {
    std::string file = "{";
    for (int i = 0; i < 1000; ++i) file += "\"wrong" + std::to_string(i) + "\":1,";
    auto const errors = World(file + "\"x\":1}").errors();
    ASSERT_THAT(errors, SizeIs(max_config_errors + 1));
    EXPECT_EQ(errors.back(), "and 901 more errors that are not listed");
    std::string hosts = "{\"allowed_hosts\":[\"a\"";
    for (std::size_t i = 0; i < max_list_entries; ++i) hosts += ",\"a\"";
    EXPECT_THAT(World(hosts + "]}").errors(),
                ElementsAre(StartsWith("/allowed_hosts: expected a list of at most 256")));
    EXPECT_THAT(World().variable("OCGATE_ALLOWED_HOSTS", std::string(300, ',')).errors(),
                ElementsAre(StartsWith("OCGATE_ALLOWED_HOSTS: expected a list of at most 256")));
}

TEST(Config, ABrokenFileDoesNotHideOtherMistakesAndClaimsNothingMissing) {
    EXPECT_THAT(World("{\"users\": [}").without("OPENCODE_SERVER_PASSWORD").flag("threads", "0").errors(),
                ElementsAre(StartsWith("/etc/ocgate.json:1:12: not JSON"), StartsWith("--threads: ")));
}

TEST(Config, UnknownKeysSayWhatWasMeant) {
    EXPECT_THAT(World(R"({"alowed_origins": []})").errors(),
                ElementsAre("/alowed_origins: unknown key; did you mean \"allowed_origins\"?"));
    EXPECT_THAT(World(R"({"user": []})").errors(), ElementsAre(HasSubstr("\"users\"")));
    EXPECT_THAT(World(R"({"no_such_key": 1})").errors(), ElementsAre("/no_such_key: unknown key"));
    EXPECT_THAT(World(R"({"timeouts": {"stal": "1s"}})").errors(), ElementsAre(HasSubstr("\"stall\"")));
    EXPECT_THAT(World(R"({"upstream/url": "http://127.0.0.1:1"})").errors(),
                ElementsAre(StartsWith("/upstream~1url: ")));
    EXPECT_THAT(World(R"({"": 1})").errors(), ElementsAre("/: unknown key"));
    EXPECT_THAT(World(R"({"targets": {}})").errors(),
                ElementsAre("/targets: unknown key; did you mean /notifications/targets?"));
    EXPECT_THAT(World(R"({"notifications": {"quiet_hour": {}}})").errors(),
                ElementsAre("/notifications/quiet_hour: unknown key; did you mean \"quiet_hours\"?"));
    EXPECT_THAT(World(R"({"notifications": []})").errors(),
                ElementsAre("/notifications: expected an object, got an array of 0"));
    EXPECT_THAT(World(R"({"$schema": "./ocgate.schema.json"})").errors(), IsEmpty());
}

TEST(Config, TheUpstreamStaysOnThisMachineUnlessItIsPermitted) {
    World world;
    world.flag("upstream", "http://opencode.example:4096");
    EXPECT_THAT(world.errors(), ElementsAre(AllOf(StartsWith("--upstream: expected a loopback"),
                                                  HasSubstr("--allow-remote-upstream"))));
    world.flag("allow_remote_upstream", "true");
    auto const config = world.valid();
    EXPECT_EQ(config.upstream.host, "opencode.example");
    EXPECT_THAT(config.warnings, ElementsAre(HasSubstr("not encrypted")));
    EXPECT_THAT(World(R"({"upstream": "http://10.0.0.1:1"})").errors(), ElementsAre(StartsWith("/upstream: ")));
    EXPECT_THAT(World(R"({"upstream": {"url": "http://10.0.0.1:1"}})").errors(),
                ElementsAre(StartsWith("/upstream/url: ")));
}

TEST(Config, ListenersAndUpstreamDoNotMeet) {
    EXPECT_THAT(World().flag("admin_listen", "127.0.0.1:8080").errors(), ElementsAre(StartsWith("--admin-listen: ")));
    EXPECT_THAT(World().flag("listen", ":9090").errors(), ElementsAre(StartsWith("/admin_listen: ")));
    EXPECT_THAT(World().flag("upstream", "http://127.0.0.1:8080").errors(),
                ElementsAre(HasSubstr("gateway's own (listen)")));
    EXPECT_THAT(World().flag("listen", "127.0.0.1:0").flag("admin_listen", "127.0.0.1:0").errors(), IsEmpty());
}

TEST(Config, TheTargetFitsTheHead) {
    EXPECT_THAT(World(R"({"limits": {"head_bytes": "4KiB", "target_bytes": "5KiB"}})").errors(),
                ElementsAre(StartsWith("/limits/target_bytes: expected at most limits/head_bytes, which is 4KiB")));
    EXPECT_EQ(World(R"({"limits": {"head_bytes": "4KiB"}})").valid().limits.request.target_bytes, 4096U);
}

TEST(Config, TheControlSocketHasAPlaceOfItsOwn) {
    auto const plain = World().valid();
    EXPECT_EQ(plain.control_socket, "/tmp/ocgate-" + std::to_string(::geteuid()) + "/control.sock");
    EXPECT_FALSE(plain.control_socket_given);
    EXPECT_EQ(World().variable("XDG_RUNTIME_DIR", "/run/user/7").valid().control_socket, "/run/user/7/ocgate.sock");
    EXPECT_EQ(World().variable("XDG_RUNTIME_DIR", "relative").valid().control_socket, plain.control_socket);
    auto const none = World().flag("control_socket", "none").valid();
    EXPECT_EQ(none.control_socket, "");
    EXPECT_TRUE(none.control_socket_given);
    EXPECT_THAT(World().flag("control_socket", "/" + std::string(107, 'a')).errors(), SizeIs(1));
    for (std::string const name : {"listen", "admin_listen", "upstream"}) {
        EXPECT_THAT(World().flag(name, "unix:///run/a.sock").flag("control_socket", "/run/a.sock").errors(),
                    ElementsAre("--control-socket: expected a path of its own, got \"/run/a.sock\", which is " + name +
                                "'s socket"));
        EXPECT_THAT(World().flag(name, "unix:/run/a.sock").flag("control_socket", "/run/b.sock").errors(), IsEmpty());
    }
    EXPECT_THAT(
        World().flag("upstream", "unix:/run/user/7/ocgate.sock").variable("XDG_RUNTIME_DIR", "/run/user/7").errors(),
        ElementsAre(StartsWith("/control_socket: expected a path of its own")));
    auto const far = World().variable("XDG_RUNTIME_DIR", "/" + std::string(100, 'a')).load();
    EXPECT_THAT(far.errors, IsEmpty());
    EXPECT_THAT(far.config.warnings, ElementsAre(HasSubstr("too long")));
}

TEST(Config, WhatSurvivesACrashHasAFolder) {
    auto const of = [](World const& world) { return world.valid().state_dir; };
    auto const home = World().variable("HOME", "/home/me");
    EXPECT_EQ(of(World()), "") << "memory only";
    EXPECT_EQ(of(home), "/home/me/.local/state/ocgate");
    EXPECT_FALSE(home.valid().state_dir_given);
    auto world = home;
    EXPECT_EQ(of(world.variable("XDG_STATE_HOME", "relative")), "/home/me/.local/state/ocgate");
    EXPECT_EQ(of(world.variable("XDG_STATE_HOME", "/state")), "/state/ocgate");
    EXPECT_EQ(of(world.variable("STATE_DIRECTORY", "/var/lib/ocgate:/var/lib/more")), "/var/lib/ocgate");
    EXPECT_EQ(of(world.variable("OCGATE_STATE_DIR", "none")), "");
    EXPECT_TRUE(world.valid().state_dir_given);
    EXPECT_EQ(of(world.flag("state_dir", "/here")), "/here");
}

TEST(Config, AnAddressForLinksIsWrittenOneWay) {
    auto const of = [](std::string url) {
        return World().flag("notifications_public_url", std::move(url)).valid().notify.public_url;
    };
    EXPECT_EQ(of("HTTPS://Code.Example:443/"), "https://code.example");
    EXPECT_EQ(of("http://code.example:8080"), "http://code.example:8080");
    EXPECT_THAT(
        World().flag("notifications_public_url", "https://me:hunter2@code.example").errors(),
        ElementsAre(AllOf(StartsWith("--notifications-public-url: expected https://host"), HasSubstr("credentials"))));
}

TEST(Config, PathsInTheFileBeginAtItsFolder) {
    World world(R"({"htpasswd_file": "users", "control_socket": "c.sock", "state_dir": "state",
                    "notifications": {"ca_file": "own.pem"}})");
    world.files["/etc/users"] = "a:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=\n";
    auto const config = world.valid();
    EXPECT_EQ(config.control_socket, "/etc/c.sock");
    EXPECT_EQ(config.state_dir, "/etc/state");
    EXPECT_EQ(config.notify.ca_file, "/etc/own.pem");
    EXPECT_THAT(config.files, ElementsAre("/etc/ocgate.json", "/etc/users"));
    EXPECT_EQ(World().flag("control_socket", "c.sock").valid().control_socket, "c.sock");
}

TEST(Config, WarnsOfWhatIsLikelyNotMeant) {
    EXPECT_THAT(World().valid().warnings, IsEmpty());
    EXPECT_THAT(World().variable("OCGATE_TREADS", "2").valid().warnings,
                ElementsAre("the variable \"OCGATE_TREADS\" is no setting; did you mean OCGATE_THREADS?"));
    EXPECT_THAT(World().variable("OCGATE_PORT_8080_TCP", "x").variable("OCGATE_SERVICE_HOST", "x").valid().warnings,
                IsEmpty());
    EXPECT_THAT(World().flag("timeouts_first_byte", "1m").valid().warnings, ElementsAre(HasSubstr("504")));
    EXPECT_THAT(World().flag("throttle_failures", "0").valid().warnings, ElementsAre(HasSubstr("guessed")));
    EXPECT_THAT(World().flag("trusted_proxies", "0.0.0.0/0").valid().warnings, ElementsAre(HasSubstr("0.0.0.0/0")));
    EXPECT_THAT(World().flag("trusted_proxies", "::/0").valid().warnings, ElementsAre(HasSubstr("::/0")));
    EXPECT_THAT(World().flag("trusted_proxies", "0.0.0.0/1,128.0.0.0/1").valid().warnings, IsEmpty());
}

TEST(Config, TheNearestWordIsNearEnough) {
    EXPECT_EQ(distance("", "abc"), 3U);
    EXPECT_EQ(distance("abc", "abc"), 0U);
    EXPECT_EQ(distance("abc", "acb"), 1U);
    EXPECT_EQ(distance("kitten", "sitting"), 3U);
    static constexpr std::string_view words[] = {"listen", "users", "realm"};
    EXPECT_EQ(nearest("lsiten", words), "listen");
    EXPECT_EQ(nearest("realms", words), "realm");
    EXPECT_EQ(nearest("threads", words), "");
    EXPECT_EQ(nearest(std::string(100'000, 'x'), words), "");
}

}  // namespace
}  // namespace ocgate::app
