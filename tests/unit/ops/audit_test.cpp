#include "ocgate/ops/audit.hpp"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "pipe_reader.hpp"

namespace ocgate::ops {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Kind = AuditPlace::Kind;

class AuditTest : public testing::Test {
protected:
    AuditTest() {
        std::string pattern = testing::TempDir() + "ocgate-audit-XXXXXX";
        EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
        folder = pattern;
    }
    ~AuditTest() override { std::filesystem::remove_all(folder); }

    [[nodiscard]] AuditPlace place(std::string const& name = "audit.jsonl") const {
        return {Kind::file, folder + "/" + name};
    }
    void open(AuditPlace const& where) {
        std::string problem;
        auto file = Audit::open(where, problem);
        ASSERT_EQ(problem, "");
        audit->adopt(where, std::move(file));
    }
    [[nodiscard]] std::vector<std::string> events(std::string const& name = "audit.jsonl") const {
        std::vector<std::string> found;
        std::ifstream file(folder + "/" + name);
        for (std::string line; std::getline(file, line);) {
            auto const entry = json::parse(line, nullptr, false);
            found.push_back(entry.is_object() ? entry.value("event", "") : "broken: " + line);
        }
        return found;
    }
    /// Lines leave by another thread; ten seconds are a failure.
    template <class Condition>
    [[nodiscard]] static bool eventually(Condition condition) {
        auto const until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (!condition()) {
            if (std::chrono::steady_clock::now() > until) return false;
            std::this_thread::yield();
        }
        return true;
    }

    std::string folder;
    PipeReader pipe;
    std::optional<Log> log{std::in_place, LogOptions{.level = LogLevel::error}, pipe.writer()};
    std::optional<Audit> audit{std::in_place, *log};
};

TEST_F(AuditTest, ItsFileIsItsOwnersAloneAndOnlyGrows) {
    auto const mask = ::umask(0);
    open(place());
    ::umask(mask);
    struct stat about {};
    ASSERT_EQ(::stat(place().path.c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777, 0600u);
    audit->write("prompt", {{"user", std::string_view("al\"ice\n")}, {"status", std::uint64_t{204}}});
    audit.reset();
    auto const first = std::filesystem::file_size(place().path);
    std::ifstream file(place().path);
    std::string line;
    std::getline(file, line);
    auto const entry = json::parse(line);
    EXPECT_EQ(entry["kind"], "audit");
    EXPECT_EQ(entry["event"], "prompt");
    EXPECT_EQ(entry["user"], "al\"ice\n");
    EXPECT_EQ(entry["status"], 204);
    EXPECT_THAT(entry["time"].get<std::string>(), testing::MatchesRegex("[0-9-]{10}T[0-9:]{8}\\.[0-9]{3}Z"));

    audit.emplace(*log);
    open(place());
    audit->write("shell", {});
    EXPECT_EQ(audit->lines(), 1u);
    EXPECT_EQ(audit->dropped(), 0u);
    audit.reset();
    EXPECT_GT(std::filesystem::file_size(place().path), first);
    EXPECT_THAT(events(), ElementsAre("prompt", "shell"));
}

TEST_F(AuditTest, AFileThatWasMovedAwayIsLeftWhenItIsOpenedAnew) {
    open(place());
    audit->write("one", {});
    ASSERT_TRUE(eventually([&] { return events().size() == 1; }));
    std::filesystem::rename(place().path, folder + "/audit.jsonl.1");
    audit->write("two", {});
    ASSERT_TRUE(eventually([&] { return events("audit.jsonl.1").size() == 2; })) << "nobody has said so yet";
    std::string problem;
    EXPECT_TRUE(audit->reopen(problem)) << problem;
    audit->write("three", {});
    audit.reset();
    EXPECT_THAT(events("audit.jsonl.1"), ElementsAre("one", "two"));
    EXPECT_THAT(events(), ElementsAre("three"));
}

TEST_F(AuditTest, WhatCannotBeOpenedLeavesWhatIsOpen) {
    open(place());
    std::filesystem::rename(folder, folder + ".moved");
    std::string problem;
    EXPECT_FALSE(audit->reopen(problem));
    EXPECT_THAT(problem, HasSubstr("No such file"));
    std::filesystem::rename(folder + ".moved", folder);
    audit->write("still", {});
    audit.reset();
    EXPECT_THAT(events(), ElementsAre("still"));
}

TEST_F(AuditTest, OnlyARegularFileWillDo) {
    auto const pipe_at = folder + "/pipe";
    ASSERT_EQ(::mkfifo(pipe_at.c_str(), 0600), 0);
    for (auto const& path : {pipe_at, folder, folder + "/no/such", std::string("/dev/null")}) {
        std::string problem;
        EXPECT_FALSE(Audit::open({Kind::file, path}, problem)) << path;
        EXPECT_NE(problem, "") << path;
    }
    std::string problem;
    EXPECT_FALSE(Audit::open({Kind::log, {}}, problem)) << "there is no file";
    EXPECT_EQ(problem, "");
}

TEST_F(AuditTest, InTheLogItStandsAtEveryLevelButOff) {
    audit->adopt({Kind::log, {}}, {});
    audit->write("prompt", {{"user", std::string_view("alice")}});
    auto const entry = json::parse(pipe.line());
    EXPECT_EQ(entry["kind"], "audit");
    EXPECT_EQ(entry["user"], "alice");
    log->adopt({.level = LogLevel::off});
    audit->write("prompt", {});
    audit->adopt({Kind::none, {}}, {});
    EXPECT_FALSE(audit->wanted());
    audit->write("prompt", {});
    EXPECT_EQ(audit->lines(), 1u) << "what is not written does not count";
    audit.reset();
    log.reset();
    pipe.close_writer();
    EXPECT_THAT(pipe.rest(), IsEmpty());
}

TEST_F(AuditTest, GoesFromOnePlaceToAnotherWhileOthersWrite) {
    std::atomic<bool> done = false;
    std::atomic<std::uint64_t> written = 0;
    std::thread writer([&] {
        for (; !done; ++written) audit->write("x", {{"n", written.load()}});
    });
    for (int i = 0; i < 50; ++i) {
        open(place(i % 3 == 0 ? "a" : "b"));
        if (i % 5 == 4) audit->adopt({Kind::none, {}}, {});
    }
    open(place("a"));
    auto const seen = written.load();
    while (written.load() < seen + 10) std::this_thread::yield();
    done = true;
    writer.join();
    auto const lines = audit->lines();
    EXPECT_EQ(audit->dropped(), 0u);
    audit.reset();
    log.reset();
    pipe.close_writer();
    auto all = events("a");
    for (auto const& event : events("b")) all.push_back(event);
    // One that was begun for a file, and found none any more.
    for (auto const& line : pipe.rest()) all.push_back(json::parse(line).at("event"));
    EXPECT_EQ(all.size(), lines);
    EXPECT_THAT(all, testing::Each("x"));
}

TEST_F(AuditTest, WhatTheDiskDoesNotTakeIsCountedAndTold) {
    open(place());
    // As a full disk: no file of this process may grow beyond one byte for now (the writing thread blocks SIGXFSZ).
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    rlimit const small{1, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    audit->write("lost", {});
    bool const counted = eventually([&] { return audit->dropped() == 1; });
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_TRUE(counted);
    audit->write("kept", {});
    auto const told = json::parse(pipe.line(), nullptr, false);
    ASSERT_TRUE(told.is_object());
    EXPECT_EQ(told["event"], "audit_lost");
    EXPECT_EQ(told["lines"], 1);
    audit.reset();
    EXPECT_EQ(events().back(), "kept");
}

}  // namespace
}  // namespace ocgate::ops
