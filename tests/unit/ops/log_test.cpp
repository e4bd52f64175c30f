#include "ocgate/ops/log.hpp"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>
#include <thread>

#include "pipe_reader.hpp"

namespace ocgate::ops {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;
using testing::HasSubstr;

/// Waits for what another thread brings about; ten seconds are a failure.
template <class Condition>
bool eventually(Condition condition) {
    auto const until = std::chrono::steady_clock::now() + 10s;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > until) return false;
        std::this_thread::yield();
    }
    return true;
}

TEST(Log, LinesCanBeReadWhileItLives) {
    PipeReader pipe;
    Log log({}, pipe.writer());
    for (int i = 0; i < 3; ++i) {
        log.app(LogLevel::info, "listening", "on", {{"port", std::int64_t{i}}});
        auto const entry = json::parse(pipe.line());
        EXPECT_EQ(entry["event"], "listening");
        EXPECT_EQ(entry["message"], "on");
        EXPECT_EQ(entry["port"], i);
        EXPECT_THAT(entry["time"].get<std::string>(), testing::MatchesRegex("[0-9-]{10}T[0-9:]{8}\\.[0-9]{3}Z"));
    }
    EXPECT_EQ(log.dropped(), 0u);
}

TEST(Log, ClosedTakesNoMoreLinesAndSaysSo) {
    PipeReader pipe;
    Log log({}, pipe.writer());
    log.app(LogLevel::info, "last", "");
    log.close();
    log.app(LogLevel::info, "late", "");
    EXPECT_EQ(json::parse(pipe.line())["event"], "last");
    EXPECT_EQ(log.dropped(), 1u);
}

TEST(Log, WritesWhatItsLevelAllows) {
    PipeReader pipe;
    std::optional<Log> log;
    log.emplace(LogOptions{.level = LogLevel::warn}, pipe.writer());
    EXPECT_FALSE(log->wants(LogLevel::info));
    log->app(LogLevel::info, "one", {});
    log->app(LogLevel::warn, "two", {});
    log->adopt({.level = LogLevel::debug});
    EXPECT_TRUE(log->wants(LogLevel::debug));
    log->app(LogLevel::debug, "three", {});
    log->adopt({.level = LogLevel::off});
    EXPECT_FALSE(log->wants(LogLevel::error));
    EXPECT_FALSE(log->wants(LogLevel::off));
    log->app(LogLevel::error, "four", {});
    log->app(LogLevel::off, "five", {});
    log.reset();
    pipe.close_writer();
    auto const lines = pipe.rest();
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(json::parse(lines[0])["event"], "two");
    EXPECT_EQ(json::parse(lines[0])["level"], "warn");
    EXPECT_EQ(json::parse(lines[1])["event"], "three");
}

TEST(Log, WhatProgramsWaitForComesAtEveryLevelButOff) {
    PipeReader pipe;
    std::optional<Log> log;
    log.emplace(LogOptions{}, pipe.writer());
    for (auto const level : {LogLevel::off, LogLevel::error, LogLevel::warn, LogLevel::info, LogLevel::debug}) {
        log->adopt({.level = level});
        log->announce("listening", {{"at", static_cast<std::int64_t>(level)}});
    }
    log.reset();
    pipe.close_writer();
    auto const lines = pipe.rest();
    ASSERT_EQ(lines.size(), 4u);
    EXPECT_EQ(json::parse(lines[0])["at"], static_cast<int>(LogLevel::error));
    EXPECT_EQ(json::parse(lines[0])["level"], "info") << "what it is, not what was asked for";
    EXPECT_EQ(json::parse(lines[0])["event"], "listening");
}

TEST(Log, TakesAnotherFormatForTheLinesThatFollow) {
    PipeReader pipe;
    Log log({}, pipe.writer());
    log.app(LogLevel::info, "one", {});
    log.adopt({.format = LogFormat::text, .access = false});
    EXPECT_FALSE(log.wants_access());
    log.app(LogLevel::info, "two", {});
    log.adopt({});
    EXPECT_TRUE(log.wants_access());
    log.app(LogLevel::info, "three", {});
    EXPECT_EQ(json::parse(pipe.line())["event"], "one");
    EXPECT_THAT(pipe.line(), testing::EndsWith(" INFO  app two"));
    EXPECT_EQ(json::parse(pipe.line())["event"], "three");
}

/// Ids as a proxy would count them up, and as they are here.
std::vector<std::string> many_ids(std::size_t count) {
    std::mt19937_64 dice(1);
    std::vector<std::string> ids;
    for (std::size_t i = 0; i < count; ++i) {
        char id[17];
        std::snprintf(id, sizeof id, "%016llx", static_cast<unsigned long long>(dice()));
        ids.push_back(i % 2 == 0 ? "req-" + std::to_string(i) : id);
    }
    return ids;
}

TEST(Log, SamplesTheShareThatIsAskedFor) {
    auto const ids = many_ids(20'000);
    PipeReader pipe;
    Log log({}, pipe.writer());
    for (double const share : {1.0, 0.9, 0.5, 0.1, 0.001, 0.0}) {
        log.adopt({.sample = share});
        auto const is_in = [&](std::string const& id) { return log.samples(id); };
        auto const in = static_cast<double>(std::count_if(ids.begin(), ids.end(), is_in));
        auto const n = static_cast<double>(ids.size());
        EXPECT_NEAR(in, n * share, 4 * std::sqrt(n * share * (1 - share))) << share;  // four times the deviation
    }
}

TEST(Log, ARequestIsInASampleOrNotWhereverItIsSeen) {
    PipeReader pipe;
    Log first({.sample = 0.5}, pipe.writer());
    Log second({.sample = 0.5}, pipe.writer());
    Log larger({.sample = 0.6}, pipe.writer());
    for (auto const& id : many_ids(1000)) {
        EXPECT_EQ(first.samples(id), second.samples(id)) << id;
        EXPECT_LE(first.samples(id), larger.samples(id)) << id;
    }
}

TEST(Log, WritesWhatIsQueuedBeforeItEnds) {
    PipeReader pipe;
    std::vector<std::string> lines;
    std::thread reader([&] { lines = pipe.rest(); });
    {
        Log log({}, pipe.writer());
        for (std::uint64_t i = 0; i < 5000; ++i) log.app(LogLevel::info, "counted", {}, {{"i", i}});
        EXPECT_EQ(log.dropped(), 0u);
    }
    pipe.close_writer();
    reader.join();
    ASSERT_EQ(lines.size(), 5000u);
    for (std::size_t i = 0; i < lines.size(); ++i) ASSERT_EQ(json::parse(lines[i])["i"], i);
}

TEST(Log, AReaderThatDoesNotReadCostsOlderLinesAndNoTime) {
    std::string const ballast(1000, 'b');
    constexpr std::uint64_t written = 12'000;
    PipeReader pipe;
    pipe.shrink();
    std::optional<Log> log;
    log.emplace(LogOptions{}, pipe.writer());
    for (std::uint64_t i = 0; i < written; ++i) log->app(LogLevel::info, "flood", {}, {{"i", i}, {"b", ballast}});
    // Between half of it and all of it waits, and at most as much again is with the one who writes.
    auto const dropped = log->dropped();
    EXPECT_GE(dropped, written - 2 * Log::max_queued_bytes / 1000);
    EXPECT_LT(dropped, written - Log::max_queued_bytes / 2 / 1100);

    // It takes up reading again: each line was either dropped or is there whole, the newest among them.
    std::vector<std::string> lines;
    std::thread reader([&] { lines = pipe.rest(); });
    ASSERT_TRUE(eventually([&] { return log->dropped() >= dropped; }));
    log.reset();
    pipe.close_writer();
    reader.join();
    EXPECT_EQ(lines.size() + dropped, written);
    std::set<std::uint64_t> seen;
    for (auto const& line : lines) seen.insert(json::parse(line)["i"].get<std::uint64_t>());
    EXPECT_EQ(seen.size(), lines.size());
    EXPECT_TRUE(seen.contains(written - 1));
}

TEST(Log, EndsWithinASecondAlthoughNobodyReads) {
    PipeReader pipe;
    pipe.shrink();
    std::optional<Log> log;
    log.emplace(LogOptions{}, pipe.writer());
    for (int i = 0; i < 1000; ++i) log->app(LogLevel::info, "stuck", {});
    auto const before = std::chrono::steady_clock::now();
    log.reset();
    EXPECT_LT(std::chrono::steady_clock::now() - before, 8s);
}

TEST(Log, AClosedStandardOutputIsSurvivedAndCounted) {
    PipeReader pipe;
    pipe.close_reader();
    Log log({}, pipe.writer());
    log.app(LogLevel::info, "lost", {});
    EXPECT_TRUE(eventually([&] { return log.dropped() == 1; }));
    log.app(LogLevel::info, "lost", {});
    EXPECT_TRUE(eventually([&] { return log.dropped() == 2; }));
}

TEST(Log, AFullDiskLosesLinesAndSaysSo) {
    int const full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (full < 0) GTEST_SKIP() << "this system has no /dev/full";
    {
        Log log({}, full);
        log.app(LogLevel::info, "lost", {});
        EXPECT_TRUE(eventually([&] { return log.dropped() == 1; }));
    }
    ::close(full);
}

TEST(Log, WaitsForASocketThatTakesLittleAtATime) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    int const size = 4096;
    ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    std::string const value(3000, 'x');
    std::string read;
    std::thread reader([&] {
        char piece[512];
        pollfd wait{ends[1], POLLIN, 0};
        while (::poll(&wait, 1, 10'000) > 0) {
            auto const n = ::read(ends[1], piece, sizeof piece);
            if (n <= 0) break;
            read.append(piece, static_cast<std::size_t>(n));
        }
    });
    {
        Log log({}, ends[0]);
        for (int i = 0; i < 200; ++i) log.app(LogLevel::info, "large", {}, {{"v", value}});
        ASSERT_TRUE(eventually([&] { return log.dropped() == 0; }));
    }
    ::close(ends[0]);
    reader.join();
    ::close(ends[1]);
    EXPECT_EQ(std::count(read.begin(), read.end(), '\n'), 200);
}

TEST(Log, ManyThreadsWriteWholeLines) {
    PipeReader pipe;
    std::vector<std::string> lines;
    std::thread reader([&] { lines = pipe.rest(); });
    {
        Log log({}, pipe.writer());
        std::vector<std::jthread> writers;
        for (std::int64_t t = 0; t < 4; ++t) {
            writers.emplace_back([&log, t] {
                for (int i = 0; i < 1000; ++i) log.app(LogLevel::info, "threads", {}, {{"thread", t}});
            });
        }
    }
    pipe.close_writer();
    reader.join();
    EXPECT_EQ(lines.size(), 4000u);
    for (auto const& line : lines) ASSERT_TRUE(json::accept(line)) << line;
}

TEST(Log, TextIsPlainInAPipeAndColouredOnATerminal) {
    PipeReader pipe;
    {
        Log log({.format = LogFormat::text}, pipe.writer());
        log.app(LogLevel::error, "failed", "why", {{"side", "client"}});
    }
    auto const plain = pipe.line();
    EXPECT_THAT(plain, testing::EndsWith(" ERROR app failed: why side=client"));

    int const terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0 || ::grantpt(terminal) != 0 || ::unlockpt(terminal) != 0) GTEST_SKIP() << "no pseudo-terminals";
    char name[128];
    ASSERT_EQ(::ptsname_r(terminal, name, sizeof name), 0);
    int const inner = ::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    ASSERT_GE(inner, 0);
    ::unsetenv("NO_COLOR");
    std::string seen;
    {
        Log log({.format = LogFormat::text}, inner);
        log.app(LogLevel::error, "failed", {});
        pollfd wait{terminal, POLLIN, 0};
        while (seen.find('\n') == std::string::npos && ::poll(&wait, 1, 10'000) > 0) {
            char piece[256];
            auto const n = ::read(terminal, piece, sizeof piece);
            if (n <= 0) break;
            seen.append(piece, static_cast<std::size_t>(n));
        }
    }
    ::close(inner);
    ::close(terminal);
    EXPECT_THAT(seen, HasSubstr("\x1b[31mERROR\x1b[0m app failed"));
}

}  // namespace
}  // namespace ocgate::ops
