// What a process can still do in the sandbox, and what not: each in a child of its own, since nothing of it can be
// taken back.
#include "ocgate/ops/sandbox.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/capability.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

namespace ocgate::ops {
namespace {

namespace fs = std::filesystem;
using Use = Place::Use;

/// What `work` says in a process of its own; "killed by N" when it ended by a signal.
std::string in_child(std::function<std::string()> const& work) {
    int pipe[2];
    if (::pipe(pipe) != 0) return "no pipe";
    auto const child = ::fork();
    if (child < 0) return "no child";
    if (child == 0) {
        auto const said = work();
        auto const wrote = ::write(pipe[1], said.data(), said.size());
        ::_exit(wrote == static_cast<ssize_t>(said.size()) ? 0 : 1);  // no destructors, no search for leaks
    }
    ::close(pipe[1]);
    std::string said;
    char piece[512];
    for (ssize_t n = 0; (n = ::read(pipe[0], piece, sizeof piece)) > 0;)
        said.append(piece, static_cast<std::size_t>(n));
    ::close(pipe[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) return "killed by " + std::to_string(WTERMSIG(status));
    return said;
}

/// Collects what went otherwise than it should.
class Report {
public:
    void expect(bool is_so, std::string const& what) {
        if (!is_so) text_ += what + " (" + std::strerror(errno) + "); ";
    }
    void refused(long result, int with, std::string const& what) {
        if (result != -1 || errno != with)
            text_ += what + ": " + (result == -1 ? std::strerror(errno) : "possible") + "; ";
    }
    [[nodiscard]] std::string text() const { return text_; }

private:
    std::string text_;
};

bool opens(fs::path const& file, int flags = O_RDONLY) {
    int const fd = ::open(file.c_str(), flags | O_CLOEXEC, 0600);
    if (fd >= 0) ::close(fd);
    return fd >= 0;
}

std::string line_of_status(std::string const& key) {
    std::ifstream in("/proc/self/status");
    for (std::string line; std::getline(in, line);)
        if (line.starts_with(key + ":")) return line.substr(line.find_first_not_of(" \t", key.size() + 1));
    return "none";
}

TEST(Sandbox, MemoryIsNobodysBusiness) {
    EXPECT_EQ(in_child([] {
                  Report report;
                  keep_memory_private();
                  rlimit core{1, 1};
                  report.expect(::getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0, "cores");
                  report.expect(::prctl(PR_GET_DUMPABLE) == 0, "dumpable");
                  report.expect(line_of_status("NoNewPrivs") == "1", "privileges");
                  report.expect(opens("/proc/self/stat") && opens("/proc/self/fd"), "its own figures");
                  return report.text();
              }),
              "");
}

class SandboxedFiles : public ::testing::Test {
protected:
    void SetUp() override {
        if (::syscall(444, nullptr, 0, 1) < 0) GTEST_SKIP() << "no Landlock here: " << std::strerror(errno);
        std::string name = ::testing::TempDir() + "ocgate-sandbox-XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        root = name;
        for (auto const* folder : {"config", "state", "audit", "run", "other"}) fs::create_directory(root / folder);
        write("config/file", "1");
        write("other/file", "2");
        places = {{root / "config", Use::read}, {root / "state", Use::write}, {root / "audit", Use::append},
                  {root / "run", Use::listen},  {"/proc", Use::read},         {root / "missing", Use::write}};
    }
    void TearDown() override {
        if (!root.empty()) fs::remove_all(root);
    }
    void write(fs::path const& name, std::string const& text) const { std::ofstream(root / name) << text; }

    fs::path root;
    std::vector<Place> places;
};

TEST_F(SandboxedFiles, OnlyThePlacesNamedAreOpened) {
    EXPECT_EQ(in_child([this] {
                  Report report;
                  auto const confined = confine_files(places, {});
                  report.expect(confined.holds(), confined.problem);
                  report.expect(opens(root / "config/file"), "reading the configuration");
                  report.expect(opens("/proc/self/status"), "reading /proc");
                  report.expect(!opens(root / "config/file", O_WRONLY), "writing the configuration");
                  report.expect(!opens(root / "config/new", O_WRONLY | O_CREAT), "a file beside the configuration");
                  report.expect(opens(root / "state/new", O_RDWR | O_CREAT), "a file in the state");
                  report.expect(::rename((root / "state/new").c_str(), (root / "state/old").c_str()) == 0, "rename");
                  report.expect(::unlink((root / "state/old").c_str()) == 0, "removing a file of the state");
                  report.expect(opens(root / "audit/lines", O_WRONLY | O_APPEND | O_CREAT), "adding to the audit");
                  report.expect(!opens(root / "audit/lines"), "reading the audit");
                  report.refused(::unlink((root / "audit/lines").c_str()), EACCES, "removing the audit");
                  report.expect(!opens(root / "other/file"), "reading elsewhere");
                  report.expect(!opens("/etc/passwd") && !opens("/etc/shadow"), "reading /etc");
                  report.refused(::execl("/bin/true", "true", nullptr), EACCES, "starting a program");
                  return report.text();
              }),
              "");
}

/// As a mounted secret changes: `file` → `..data/file`, `..data` → a folder that is another one each time.
TEST_F(SandboxedFiles, FilesThatReplaceOthersAreOpenedToo) {
    auto const turn = [this](std::string const& name, std::string const& text) {
        fs::create_directory(root / "config" / name);
        write("config/" + name + "/secret", text);
        fs::create_directory_symlink(name, root / "config/..next");
        fs::rename(root / "config/..next", root / "config/..data");
    };
    turn("..1", "first");
    fs::create_symlink("..data/secret", root / "config/secret");
    int go[2], ready[2];
    ASSERT_EQ(::pipe(go) + ::pipe(ready), 0);
    std::thread outside([&] {
        char byte = 0;
        if (::read(ready[0], &byte, 1) == 1) turn("..2", "second");
        EXPECT_EQ(::write(go[1], &byte, 1), 1);
    });
    EXPECT_EQ(in_child([&] {
                  auto const content = [this] {
                      std::ifstream in(root / "config/secret");
                      return std::string(std::istreambuf_iterator<char>(in), {});
                  };
                  auto const confined = confine_files(places, {});
                  auto said = confined.problem + content();
                  char byte = 'x';
                  if (::write(ready[1], &byte, 1) != 1 || ::read(go[0], &byte, 1) != 1) return std::string("no pipe");
                  return said + " " + content();
              }),
              "first second");
    outside.join();
    for (int const fd : {go[0], go[1], ready[0], ready[1]}) ::close(fd);
}

TEST_F(SandboxedFiles, SocketsAreMadeWhereTheyBelong) {
    auto const bound = [](std::string const& path) {
        sockaddr_storage name{};
        name.ss_family = AF_UNIX;
        std::memcpy(reinterpret_cast<char*>(&name) + sizeof name.ss_family, path.c_str(), path.size() + 1);
        int const fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        auto const size = static_cast<socklen_t>(sizeof name.ss_family + path.size() + 1);
        return ::bind(fd, reinterpret_cast<sockaddr*>(&name), size);
    };
    EXPECT_EQ(in_child([&] {
                  Report report;
                  auto const confined = confine_files(places, {});
                  report.expect(bound(root / "run/socket") == 0, "a socket in its folder");
                  report.expect(::unlink((root / "run/socket").c_str()) == 0, "removing it");
                  report.refused(bound(root / "state/socket"), EACCES, "a socket elsewhere");
                  return report.text();
              }),
              "");
}

TEST_F(SandboxedFiles, OnlyThePortsNamedAreBound) {
    auto const bind_to = [](std::uint16_t port) {
        sockaddr_in name{};
        name.sin_family = AF_INET;
        name.sin_port = htons(port);
        name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return ::bind(::socket(AF_INET, SOCK_STREAM, 0), reinterpret_cast<sockaddr*>(&name), sizeof name);
    };
    std::uint16_t const any[] = {0};
    auto const said = in_child([&] {
        Report report;
        auto const confined = confine_files(places, any);
        report.expect(bind_to(0) == 0, "a port of the kernel's choosing");
        if (confined.level < 4) return std::string("too old");
        report.refused(bind_to(1), EACCES, "another port");
        return report.text();
    });
    EXPECT_EQ(in_child([&] {
                  Report report;
                  auto const confined = confine_files(places, {});
                  report.expect(bind_to(0) == 0, "any port, where none is named");
                  return report.text();
              }),
              "");
    if (said == "too old") GTEST_SKIP() << "this kernel's Landlock knows no ports";
    EXPECT_EQ(said, "");
}

TEST(Sandbox, CapabilitiesAreDropped) {
    EXPECT_EQ(in_child([] {
                  Report report;
                  int const kept[] = {CAP_DAC_OVERRIDE};
                  report.expect(drop_capabilities(kept), "dropping them");
                  auto const left = line_of_status("CapEff");
                  report.expect(left == (::geteuid() == 0 ? "0000000000000002" : "0000000000000000"), left);
                  return report.text();
              }),
              "");
}

TEST(SandboxedCalls, AreThoseOfAGateway) {
    EXPECT_EQ(in_child([] {
                  Report report;
                  std::atomic<int> forked{0};
                  std::atomic<bool> go{false};
                  std::thread before([&] {
                      while (!go) std::this_thread::yield();
                      forked = static_cast<int>(::syscall(SYS_getpgid, 0)) == -1 ? errno : 0;
                  });
                  auto const confined = confine_calls();
                  report.expect(confined.holds(), confined.problem);
                  report.expect(line_of_status("Seccomp") == "2", "the filter");
                  go = true;
                  before.join();
                  report.expect(forked == EPERM, "a thread that was there before");
                  std::atomic<bool> ran{false};
                  std::thread([&] { ran = true; }).join();
                  report.expect(ran, "a new thread");
                  addrinfo* found = nullptr;
                  report.expect(::getaddrinfo("localhost", nullptr, nullptr, &found) == 0, "a name of a host");
                  if (found != nullptr) ::freeaddrinfo(found);
                  report.refused(::syscall(SYS_fork), EPERM, "another process");
                  report.refused(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr), EPERM, "clone");
                  report.refused(::socket(AF_PACKET, SOCK_RAW, 0), EPERM, "raw packets");
                  report.refused(::socket(AF_NETLINK, SOCK_RAW, 9), EPERM, "the kernel's audit");
                  report.refused(::listen(0, 1), EPERM, "another listener");
                  report.refused(::kill(::getppid(), 0), EPERM, "signals to others");
                  report.refused(::prctl(PR_SET_DUMPABLE, 1), EPERM, "dumpable again");
                  rlimit const core{1, 1};
                  report.refused(::setrlimit(RLIMIT_CORE, &core), EPERM, "cores again");
                  constexpr int both = PROT_READ | PROT_WRITE | PROT_EXEC;
                  auto* const page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                  report.expect(page != MAP_FAILED, "memory");
                  report.refused(::mprotect(page, 4096, PROT_READ | PROT_EXEC), EPERM, "running what was written");
                  report.expect(::mmap(nullptr, 4096, both, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED,
                                "memory to write and to run");
                  return report.text();
              }),
              "");
}

TEST(SandboxedCalls, OfAnIntruderAreTheEnd) {
    auto const after = [](std::function<long()> const& call) {
        return in_child([&call] {
            auto const confined = confine_calls();
            return confined.problem + " came back with " + std::to_string(call());
        });
    };
    auto const killed = "killed by " + std::to_string(SIGSYS);
    EXPECT_EQ(after([] { return ::execl("/bin/true", "true", nullptr); }), killed);
    EXPECT_EQ(after([] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }), killed);
    EXPECT_EQ(after([] { return ::setuid(0); }), killed);
    EXPECT_EQ(after([] { return ::syscall(SYS_bpf, 0, nullptr, 0); }), killed);
    EXPECT_EQ(after([] { return ::syscall(SYS_io_uring_setup, 1, nullptr); }), killed);
    EXPECT_EQ(after([] { return ::syscall(SYS_memfd_create, "x", 0); }), killed);
}

}  // namespace
}  // namespace ocgate::ops
