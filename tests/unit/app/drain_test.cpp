// `ocgate drain`: which gateway it talks to, and what it makes of the answer.
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <thread>

#include "config_kit.hpp"

namespace ocgate::app {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// Answers one line on a Unix socket of its own, as a gateway would, and remembers what was asked.
class OtherGateway {
public:
    explicit OtherGateway(std::string answer) : answer_(std::move(answer)) {
        folder = testing::TempDir() + "ocgate-drain-XXXXXX";
        EXPECT_NE(::mkdtemp(folder.data()), nullptr);
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        std::strncpy(name.sun_path, path().c_str(), sizeof name.sun_path - 1);
        listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr const*>(&name), sizeof name), 0);
        EXPECT_EQ(::listen(listener_, 1), 0);
        thread_ = std::thread([this] { serve(); });
    }
    ~OtherGateway() {
        join();
        ::close(listener_);
        std::filesystem::remove_all(folder);
    }
    /// Empty when nobody came.
    std::string asked() {
        join();
        return asked_;
    }
    [[nodiscard]] std::string path() const { return folder + "/ocgate.sock"; }  // the default's name
    std::string folder;

private:
    void serve() {
        int const visitor = ::accept(listener_, nullptr, nullptr);
        if (visitor < 0) return;
        char piece[64];
        while (!asked_.ends_with('\n')) {
            auto const n = ::recv(visitor, piece, sizeof piece, 0);
            if (n <= 0) break;
            asked_.append(piece, static_cast<std::size_t>(n));
        }
        ::send(visitor, answer_.data(), answer_.size(), MSG_NOSIGNAL);
        ::close(visitor);
    }
    void join() {
        if (!thread_.joinable()) return;
        ::shutdown(listener_, SHUT_RDWR);  // nobody may have come
        thread_.join();
    }

    std::string answer_, asked_;
    int listener_;
    std::thread thread_;
};

struct Ran {
    int code;
    std::string out, err;
};

Ran drained(World const& world, std::optional<milliseconds> wait = {}) {
    std::ostringstream out, err;
    auto const code = drain(world.flags, world.sources(), wait, out, err);
    return {code, out.str(), err.str()};
}

TEST(DrainCommand, AsksTheGatewayThatTheSettingsName) {
    OtherGateway gateway("drained\n");
    // That nobody could log in is of no interest here.
    auto const ran = drained(World(R"({"timeouts": {"drain": "7s"}, "control_socket": ")" + gateway.path() + "\"}")
                                 .without("OPENCODE_SERVER_PASSWORD"));
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.out, "drained\n");
    EXPECT_EQ(ran.err, "");
    EXPECT_EQ(gateway.asked(), "drain 7000\n");
}

TEST(DrainCommand, SaysThatSomethingWasCutAndNotWhen) {
    OtherGateway gateway("forced\n");
    // A signal may have ended it long before the time that was asked for.
    auto const ran = drained(World().flag("control_socket", gateway.path()), 20s);
    EXPECT_EQ(gateway.asked(), "drain 20000\n");
    EXPECT_EQ(ran.code, 2);
    EXPECT_THAT(ran.err, AllOf(HasSubstr("had to be cut"), Not(HasSubstr("20"))));
}

TEST(DrainCommand, AFileThatTellsNothingIsNoReasonToDrainAnotherGateway) {
    std::pair<std::string, std::string> const broken[] = {
        {"{ not json", "not JSON"},
        {"", "the file is empty"},
        {R"({"control_socket": "/a", "control_socket": "/b"})", "given twice"},
        {R"({"control_sockett": "/a"})", "did you mean \"control_socket\""},
        {R"({"timeouts": {"control_socket": "/a"}})", "did you mean /control_socket"},
        {R"({"control_socket": 7})", "/control_socket"},
    };
    for (auto const& [text, why] : broken) {
        OtherGateway other("drained\n");
        auto const ran = drained(World(text).variable("XDG_RUNTIME_DIR", other.folder));
        EXPECT_EQ(ran.code, 1) << text;
        EXPECT_THAT(ran.err, HasSubstr(why)) << text;
        EXPECT_EQ(other.asked(), "") << text;
    }
    OtherGateway other("drained\n");
    auto const ran = drained(World().flag("config", "/no/such").variable("XDG_RUNTIME_DIR", other.folder));
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.err, AllOf(HasSubstr("cannot be read"), HasSubstr("--control-socket or OCGATE_CONTROL_SOCKET")));
    EXPECT_EQ(other.asked(), "");
}

TEST(DrainCommand, AGatewayThatIsNamedIsDrainedWhateverTheFileIs) {
    for (auto const* text : {"{ not json", R"({"control_socket": 7})", R"({"control_sockett": "/a"})"}) {
        OtherGateway by_flag("drained\n");
        EXPECT_EQ(drained(World(text).flag("control_socket", by_flag.path())).code, 0) << text;
        EXPECT_NE(by_flag.asked(), "");
        OtherGateway by_variable("drained\n");
        EXPECT_EQ(drained(World(text).variable("OCGATE_CONTROL_SOCKET", by_variable.path())).code, 0) << text;
        EXPECT_NE(by_variable.asked(), "");
    }
    EXPECT_EQ(drained(World("{ not json").flag("control_socket", "")).code, 1) << "not if it is named badly";
}

}  // namespace
}  // namespace ocgate::app
