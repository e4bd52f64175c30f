// What a configuration needs of the machine.
#include "sandbox.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

namespace ocgate::app {
namespace {

namespace fs = std::filesystem;
using ops::Place;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

Sources without_variables() {
    Sources sources;
    sources.variable = [](std::string const&) { return std::optional<std::string>(); };
    return sources;
}

std::vector<std::string> with(Place::Use use, std::vector<Place> const& places) {
    std::vector<std::string> paths;
    for (auto const& place : places)
        if (place.use == use) paths.push_back(place.path);
    return paths;
}

TEST(SandboxPlaces, AreFoldersOfWhatTheConfigurationNames) {
    Config config;
    config.files = {"/etc/ocgate/ocgate.json", "/run/secrets/password", "relative.json", "/at-the-top.json"};
    config.notify.ca_file = "/etc/ca/one.pem";
    config.notify.targets.emplace_back().ca_file = "/etc/ca-of-one/two.pem";
    config.state_dir = "/var/lib/ocgate";
    config.control_socket = "/run/ocgate/control.sock";
    config.listen = {{}, 0, "/run/traffic/socket"};
    config.audit = {ops::AuditPlace::Kind::file, "/var/log/ocgate/audit.jsonl"};
    auto const places = places_of(config, without_variables());
    for (auto const* folder : {"/etc/ocgate", "/run/secrets", ".", "/etc/ca", "/etc/ca-of-one", "/etc/resolv.conf",
                               "/usr/share/zoneinfo", "/etc/ssl", "/at-the-top.json"})
        EXPECT_THAT(with(Place::Use::read, places), Contains(folder));
    EXPECT_THAT(with(Place::Use::write, places), UnorderedElementsAre("/var/lib/ocgate"));
    EXPECT_THAT(with(Place::Use::append, places), UnorderedElementsAre("/var/log/ocgate"));
    EXPECT_THAT(with(Place::Use::listen, places), UnorderedElementsAre("/run/ocgate", "/run/traffic"));
    for (auto const& place : places) EXPECT_NE(place.path, "/") << "everything";
}

TEST(SandboxPlaces, AreNoneThatAreNotThere) {
    Config config;
    auto const places = places_of(config, without_variables());
    for (auto const use : {Place::Use::write, Place::Use::append, Place::Use::listen})
        EXPECT_THAT(with(use, places), IsEmpty());
    EXPECT_THAT(with(Place::Use::read, places), Not(Contains("")));
}

TEST(SandboxPlaces, FollowALinkToItsFile) {
    std::string name = ::testing::TempDir() + "ocgate-places-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    auto const root = fs::canonical(name);
    fs::create_directory(root / "here");
    fs::create_directory(root / "there");
    std::ofstream(root / "there/file") << "x";
    fs::create_symlink(root / "there/file", root / "here/link");
    Config config;
    config.files = {root / "here/link"};
    auto const read = with(Place::Use::read, places_of(config, without_variables()));
    EXPECT_THAT(read, Contains((root / "here").string()));
    EXPECT_THAT(read, Contains((root / "there").string()));
    fs::remove_all(root);
}

TEST(SandboxPlaces, TakeWhereCertificatesAreFromTheEnvironment) {
    auto sources = without_variables();
    sources.variable = [](std::string const& name) -> std::optional<std::string> {
        if (name == "SSL_CERT_DIR") return "/certificates:/more";
        return std::nullopt;
    };
    auto const read = with(Place::Use::read, places_of({}, sources));
    EXPECT_THAT(read, Contains("/certificates"));
    EXPECT_THAT(read, Contains("/more"));
}

TEST(SandboxPorts, AreThoseThatAreBound) {
    Config config;
    config.listen.port = 80;
    EXPECT_THAT(ports_of(config), UnorderedElementsAre(80, 9090));
    config.admin_listen = {{}, 0, "/run/admin"};
    config.listen.port = 0;
    EXPECT_THAT(ports_of(config), UnorderedElementsAre(0));
    config.threads = 2;
    EXPECT_THAT(ports_of(config), IsEmpty()) << "the kernel chooses, and then it is bound again";
}

TEST(SandboxWords, SayWhatHoldsAndWhatDoesNot) {
    Confinement confinement{.asked = Sandbox::on, .files = {7, {}}, .calls = {1, {}}};
    EXPECT_EQ(files_text(confinement) + ", " + calls_text(confinement), "landlock 7, seccomp");
    EXPECT_EQ(lacking(confinement), "");
    confinement.files = {0, "this kernel has no Landlock"};
    EXPECT_EQ(files_text(confinement), "no: this kernel has no Landlock");
    EXPECT_THAT(lacking(confinement), HasSubstr("this kernel has no Landlock. --sandbox auto"));
    confinement.asked = Sandbox::automatic;
    EXPECT_EQ(lacking(confinement), "");
}

}  // namespace
}  // namespace ocgate::app
