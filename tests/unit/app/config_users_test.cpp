#include <gmock/gmock.h>

#include "config_kit.hpp"
#include "ocgate/auth/basic.hpp"

namespace ocgate::app {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr auto sha = "{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=";

std::vector<std::string> names(Config const& config) {
    std::vector<std::string> all;
    for (auto const& account : config.auth.accounts) all.push_back(account.name + " " + account.source);
    return all;
}

/// `name password` of the upstream's credential; empty without one.
std::string upstream(Config const& config) {
    if (config.upstream_authorization.empty()) return {};
    auto const credentials = auth::parse_basic(config.upstream_authorization.reveal());
    if (!credentials) return "not a Basic credential";
    EXPECT_EQ(credentials->user, config.upstream_user);
    return credentials->user + " " + std::string(credentials->password.reveal());
}

TEST(ConfigUsers, ThePairOfTheEnvironment) {
    auto const config = World().valid();
    ASSERT_THAT(config.auth.accounts, SizeIs(1));
    EXPECT_EQ(config.auth.accounts[0].name, "opencode");
    EXPECT_EQ(config.auth.accounts[0].password.reveal(), "hunter2-server");
    EXPECT_EQ(World().variable("OPENCODE_SERVER_USERNAME", "alice").valid().auth.accounts[0].name, "alice");
    EXPECT_EQ(World().variable("OPENCODE_SERVER_USERNAME", "").valid().auth.accounts[0].name, "opencode");
}

TEST(ConfigUsers, ThePasswordFromAFileWithoutItsLastLineBreak) {
    struct Row {
        std::string_view content, password;
    };
    for (auto const& [content, password] :
         {Row{"hunter2\n", "hunter2"}, {"hunter2\r\n", "hunter2"}, {"hunter2", "hunter2"}, {"hunter2 ", "hunter2 "}}) {
        World world;
        world.without("OPENCODE_SERVER_PASSWORD").variable("OPENCODE_SERVER_PASSWORD_FILE", "/run/secrets/p");
        world.files["/run/secrets/p"] = content;
        auto const config = world.valid();
        EXPECT_EQ(config.auth.accounts.at(0).password.reveal(), password);
        EXPECT_THAT(config.files, ElementsAre("/run/secrets/p"));
    }
    for (auto const* content : {"", "\n", "hunter2\n\n", "hunter2\t", "hunter2\xFF"}) {
        World world;
        world.without("OPENCODE_SERVER_PASSWORD").variable("OPENCODE_SERVER_PASSWORD_FILE", "/run/secrets/p");
        world.files["/run/secrets/p"] = content;
        EXPECT_THAT(world.errors(), ElementsAre(StartsWith("OPENCODE_SERVER_PASSWORD"))) << content;
    }
}

TEST(ConfigUsers, ThePasswordOnce) {
    auto const loaded = World().variable("OPENCODE_SERVER_PASSWORD_FILE", "/hunter2").load();
    EXPECT_THAT(World::texts(loaded), ElementsAre(StartsWith("OPENCODE_SERVER_PASSWORD_FILE: set together with")));
}

TEST(ConfigUsers, AFileThatCannotBeReadIsWatchedAllTheSame) {
    auto const loaded =
        World().without("OPENCODE_SERVER_PASSWORD").variable("OPENCODE_SERVER_PASSWORD_FILE", "/run/p").load();
    EXPECT_THAT(World::texts(loaded), ElementsAre("OPENCODE_SERVER_PASSWORD_FILE: \"/run/p\" cannot be read: "
                                                  "No such file or directory"));
    EXPECT_THAT(loaded.config.files, ElementsAre("/run/p"));
}

TEST(ConfigUsers, NobodyAtAllIsAnErrorWithTheRemedy) {
    auto const nobody = ElementsAre(AllOf(StartsWith("OPENCODE_SERVER_PASSWORD: nobody could log in"),
                                          HasSubstr("OPENCODE_SERVER_PASSWORD_FILE"), HasSubstr("htpasswd_file")));
    EXPECT_THAT(World().without("OPENCODE_SERVER_PASSWORD").errors(), nobody);
    EXPECT_THAT(World().variable("OPENCODE_SERVER_PASSWORD", "").errors(), nobody);
    EXPECT_THAT(World(R"({"users": []})").without("OPENCODE_SERVER_PASSWORD").errors(), nobody);
    World empty_file(R"({"htpasswd_file": "/users"})");
    empty_file.files["/users"] = "# nobody\n";
    EXPECT_THAT(empty_file.without("OPENCODE_SERVER_PASSWORD").errors(), nobody);
    // An unrelated mistake does not hide it.
    EXPECT_THAT(World(R"({"threads": 0})").without("OPENCODE_SERVER_PASSWORD").errors(), SizeIs(2));
}

TEST(ConfigUsers, SourcesTogether) {
    World world(R"({"htpasswd_file": "/users", "users": [
        {"name": "alice", "password": {"env": "ALICE"}},
        {"name": "bob", "password": {"file": "secrets/bob"}},
        {"name": "carol", "password_hash": "{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc="},
        {"name": "dave", "password_hash": {"file": "/dave"}},
        {"name": "opencode", "password_hash": {"env": "HASH"}}]})");
    world.variable("ALICE", "hunter2-alice").variable("HASH", sha);
    world.files["/etc/secrets/bob"] = "hunter2-bob\n";
    world.files["/dave"] = std::string(sha) + "\n";
    world.files["/users"] = "alice:" + std::string(sha) + "\n# comment\nerin:" + sha + "\n";
    auto const config = world.valid();
    EXPECT_THAT(names(config),
                ElementsAre("opencode OPENCODE_SERVER_PASSWORD", "alice /users/0", "bob /users/1", "carol /users/2",
                            "dave /users/3", "opencode /users/4", "alice htpasswd line 1", "erin htpasswd line 3"));
    EXPECT_EQ(config.auth.accounts[1].password.reveal(), "hunter2-alice");
    EXPECT_EQ(config.auth.accounts[2].password.reveal(), "hunter2-bob");
    EXPECT_EQ(config.auth.accounts[3].hash, sha);
    EXPECT_EQ(config.auth.accounts[4].hash, sha);
    EXPECT_THAT(config.files, ElementsAre("/etc/ocgate.json", "/etc/secrets/bob", "/dave", "/users"));
    EXPECT_THAT(config.warnings, IsEmpty());
}

TEST(ConfigUsers, BadUsersAreToldByPlaceAndNeverByValue) {
    struct Row {
        std::string_view user, error;
    };
    Row const rows[] = {
        {R"("alice:hunter2")", "/users/0: expected an object"},
        {R"({"password_hash": "{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc="})", "/users/0: a name is missing"},
        {R"({"name": "a"})", "/users/0: expected either password or password_hash"},
        {R"({"name": "a", "password": {"env": "P"}, "password_hash": {"env": "H"}})", "/users/0: expected either"},
        {R"({"name": "a", "password": "hunter2"})", "/users/0/password: expected {\"env\": \"NAME\"}"},
        {R"({"name": "a", "password": 17})", "/users/0/password: expected {\"env\": \"NAME\"}"},
        {R"({"name": "a", "password": {}})", "/users/0/password: expected {\"env\": \"NAME\"}"},
        {R"({"name": "a", "password": {"env": "P", "file": "/p"}})", "/users/0/password: expected {\"env\""},
        {R"({"name": "a", "password": {"hunter2": "x"}})", "/users/0/password: expected {\"env\""},
        {R"({"name": "a", "password": {"env": ""}})", "/users/0/password/env: expected a string"},
        {R"({"name": "a", "password": {"env": 1}})", "/users/0/password/env: expected a string"},
        {R"({"name": "a", "password": {"env": "hunter2"}})", "/users/0/password/env: the environment variable named"},
        {R"({"name": "a", "password": {"env": "hunter2!"}})", "/users/0/password/env: expected the name"},
        {R"({"name": "a", "password": {"env": "TAB"}})", "/users/0/password: expected UTF-8"},
        {R"({"name": "a", "password": {"env": "LONG"}})", "/users/0/password: expected UTF-8"},
        {R"({"name": "a", "password_hash": "hunter2"})", "/users/0/password_hash: "},
        {R"({"name": "a", "password_hash": "$2y$31$hunter2"})", "/users/0/password_hash: "},
        {R"({"name": "a", "password_hash": ["hunter2"]})", "/users/0/password_hash: expected {\"env\""},
        {R"({"name": "", "password": {"env": "P"}})", "/users/0/name: expected a name"},
        {R"({"name": "a:hunter2", "password": {"env": "P"}})", "/users/0/name: expected a name"},
        {R"({"name": ["hunter2"], "password": {"env": "P"}})", "/users/0/name: expected a name"},
        {R"({"name": "a", "password": {"env": "P"}, "hash": 1})", "/users/0/hash: unknown key"},
        {R"({"name": "a", "password": {"env": "P"}, "pasword": "hunter2"})", "did you mean \"password\"?"},
    };
    for (auto const& row : rows) {
        World world("{\"users\": [" + std::string(row.user) + "]}");
        world.without("OPENCODE_SERVER_PASSWORD").variable("P", "hunter2").variable("H", sha);
        world.variable("TAB", "hunter2\t").variable("LONG", std::string(7000, 'x'));
        EXPECT_THAT(world.errors(), ElementsAre(HasSubstr(std::string(row.error)))) << row.user;
    }
    EXPECT_THAT(World(R"({"users": {"alice": "hunter2"}})").errors(),
                ElementsAre(StartsWith("/users: expected an array")));
    std::string many = "{\"users\": [0";
    for (int i = 0; i < 1000; ++i) many += ",0";
    EXPECT_THAT(World(many + "]}").errors(), ElementsAre(StartsWith("/users: expected an array of at most 1000")));
    EXPECT_THAT(World(
                    R"({"users": [{"name": "a", "password_hash": {"env": "H"}},
                          {"name": "a", "password_hash": {"env": "H"}}]})")
                    .variable("H", sha)
                    .errors(),
                ElementsAre("/users/1/name: the name of /users/0 once more"));
}

TEST(ConfigUsers, ASecretInThePlaceOfAPathIsNotRepeatedByTheMessage) {
    auto const loaded = load_config(World(R"({"users": [{"name": "a", "password": {"file": "s3cret"}}]})").flags,
                                    World(R"({"users": [{"name": "a", "password": {"file": "s3cret"}}]})").sources());
    ASSERT_THAT(loaded.errors, SizeIs(1));
    EXPECT_EQ(loaded.errors[0].text(),
              "/users/0/password/file: the file named here cannot be read: No such file or directory");
}

TEST(ConfigUsers, HtpasswdErrorsComeWithTheirLine) {
    World world(R"({"htpasswd_file": "/users"})");
    world.files["/users"] = "a:hunter2\nb\nc:" + std::string(sha) + "\n";
    EXPECT_THAT(world.without("OPENCODE_SERVER_PASSWORD").errors(),
                ElementsAre(StartsWith("/users:1: "), StartsWith("/users:2: ")));
}

TEST(ConfigUsers, WarnsOfHashesInThePlaceOfPasswords) {
    EXPECT_THAT(World().variable("OPENCODE_SERVER_PASSWORD", sha).valid().warnings,
                ElementsAre(HasSubstr("looks like a hash")));
    EXPECT_THAT(World(R"({"users": [{"name": "a", "password": {"env": "P"}}]})").variable("P", sha).valid().warnings,
                ElementsAre(StartsWith("/users/0/password looks like a hash")));
    EXPECT_THAT(World(R"({"users": [{"name": "a", "password_hash": {"env": "P"}}]})")
                    .without("OPENCODE_SERVER_PASSWORD")
                    .variable("OPENCODE_SERVER_USERNAME", "x")
                    .variable("P", sha)
                    .valid()
                    .warnings,
                ElementsAre(HasSubstr("OPENCODE_SERVER_USERNAME has no effect")));
    // A variable that the file names is no misspelt setting.
    EXPECT_THAT(World(R"({"users": [{"name": "a", "password": {"env": "OCGATE_ALICE"}}]})")
                    .variable("OCGATE_ALICE", "hunter2")
                    .valid()
                    .warnings,
                IsEmpty());
}

TEST(ConfigUsers, TheUpstreamsCredential) {
    EXPECT_EQ(upstream(World().valid()), "opencode hunter2-server");
    EXPECT_EQ(upstream(World().variable("OPENCODE_SERVER_USERNAME", "alice").valid()), "alice hunter2-server");

    World by_file(R"({"upstream": {"username": "up", "password": {"env": "UP"}}})");
    by_file.variable("UP", "hunter2-up");
    EXPECT_EQ(upstream(by_file.valid()), "up hunter2-up");
    by_file.variable("OCGATE_UPSTREAM_USERNAME", "env").variable("OCGATE_UPSTREAM_PASSWORD", "hunter2-env");
    EXPECT_EQ(upstream(by_file.valid()), "env hunter2-env");
    EXPECT_THAT(by_file.valid().warnings, IsEmpty());

    World by_secret_file;
    by_secret_file.variable("OCGATE_UPSTREAM_PASSWORD_FILE", "/run/up");
    by_secret_file.files["/run/up"] = "hunter2-file\n";
    EXPECT_EQ(upstream(by_secret_file.valid()), "opencode hunter2-file");
    EXPECT_THAT(by_secret_file.valid().files, ElementsAre("/run/up"));
    by_secret_file.variable("OCGATE_UPSTREAM_PASSWORD", "hunter2");
    EXPECT_THAT(by_secret_file.errors(), ElementsAre(StartsWith("OCGATE_UPSTREAM_PASSWORD_FILE: set together")));

    World hashes_only(R"({"users": [{"name": "a", "password_hash": {"env": "H"}}]})");
    hashes_only.without("OPENCODE_SERVER_PASSWORD").variable("H", sha);
    auto const without = hashes_only.valid();
    EXPECT_EQ(upstream(without), "");
    EXPECT_EQ(without.upstream_user, "");
    hashes_only.variable("OCGATE_UPSTREAM_USERNAME", "up");
    EXPECT_THAT(hashes_only.errors(), ElementsAre(StartsWith("OCGATE_UPSTREAM_USERNAME: a password for the upstream")));

    EXPECT_THAT(World(R"({"upstream": {"password": "hunter2"}})").errors(),
                ElementsAre(StartsWith("/upstream/password: expected {")));
    EXPECT_THAT(World().variable("OCGATE_UPSTREAM_PASSWORD", "hunter2\n").errors(),
                ElementsAre(StartsWith("OCGATE_UPSTREAM_PASSWORD: expected UTF-8")));
    EXPECT_THAT(World().variable("OCGATE_UPSTREAM", "http://u:hunter2@127.0.0.1:1").errors(),
                ElementsAre(StartsWith("OCGATE_UPSTREAM: ")));
    EXPECT_THAT(World(R"({"upstream": "http://u:hunter2@127.0.0.1:1"})").errors(),
                ElementsAre(StartsWith("/upstream: ")));
}

}  // namespace
}  // namespace ocgate::app
