// The file on a real disk: its rights, its version, and what becomes of it when it is not ours or not whole.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "outbox_kit.hpp"
#include "outbox_schema.hpp"
#include "sqlite.hpp"

namespace ocgate::notify {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

// As it was when it was released. Never changed, whatever the program's own becomes: such files are out there.
constexpr char const* version_1 = R"sql(
CREATE TABLE incidents (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, subject TEXT NOT NULL,
    weight INTEGER NOT NULL CHECK (weight BETWEEN 0 AND 2), state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),
    outcome TEXT NOT NULL DEFAULT '', ended_by TEXT NOT NULL DEFAULT '', raised INTEGER NOT NULL,
    opened INTEGER NOT NULL DEFAULT 0, ended INTEGER NOT NULL DEFAULT 0, facts TEXT NOT NULL) STRICT;
CREATE INDEX incidents_unended ON incidents (id) WHERE state < 2;
CREATE INDEX incidents_ended ON incidents (ended) WHERE state >= 2;
CREATE TABLE deliveries (id INTEGER PRIMARY KEY, incident INTEGER NOT NULL REFERENCES incidents ON DELETE CASCADE,
    target TEXT NOT NULL, action INTEGER NOT NULL CHECK (action BETWEEN 0 AND 3), dedupe TEXT NOT NULL UNIQUE,
    state INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 4),
    weight INTEGER NOT NULL CHECK (weight BETWEEN 0 AND 2), attempt INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL, lease_until INTEGER NOT NULL DEFAULT 0, remote_id TEXT NOT NULL DEFAULT '',
    last_error TEXT NOT NULL DEFAULT '', created INTEGER NOT NULL, updated INTEGER NOT NULL, payload TEXT NOT NULL)
    STRICT;
CREATE INDEX deliveries_lane ON deliveries (incident, target, id);
CREATE INDEX deliveries_live ON deliveries (target, weight DESC, id) WHERE state < 2;
CREATE INDEX deliveries_count ON deliveries (target, state, created);
CREATE TABLE disabled (target TEXT PRIMARY KEY, why TEXT NOT NULL, mark TEXT NOT NULL, at INTEGER NOT NULL)
    STRICT, WITHOUT ROWID;
PRAGMA user_version = 1)sql";

class OutboxFile : public testing::Test {
protected:
    OutboxOptions options() { return {.folder = folder.path()}; }
    Kept<Outbox::Opened> open(std::int64_t now = 1000) { return Outbox::open(options(), now); }
    void sql(char const* text) {
        sqlite3* database = nullptr;
        ASSERT_EQ(sqlite3_open(folder.file().c_str(), &database), SQLITE_OK);
        EXPECT_EQ(sqlite3_exec(database, text, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
        sqlite3_close(database);
    }
    static void fill(Outbox&& outbox, int incidents) { fill(outbox, incidents); }
    static void fill(Outbox& outbox, int incidents) {
        for (int n = 0; n < incidents; ++n) {
            auto incident = an_incident("a" + std::to_string(n));
            incident.facts = std::string(2000, 'x');
            kept(outbox.raise(incident, 1));
            std::vector const deliveries{a_delivery("d" + std::to_string(n), "ntfy")};
            kept(outbox.open(incident.key, deliveries, 2));
        }
    }
    static unsigned mode(fs::path const& path) {
        struct stat found {};
        EXPECT_EQ(::stat(path.c_str(), &found), 0) << path;
        return found.st_mode & 07777;
    }

    Folder folder;
};

TEST_F(OutboxFile, BelongsToItsOwnerOnly) {
    auto const deeper = folder.path() / "state" / "deep";
    auto opened = kept(Outbox::open({.folder = deeper}, 1));
    EXPECT_TRUE(opened.created);
    fill(opened.outbox, 1);
    EXPECT_EQ(mode(deeper), 0700U);
    EXPECT_EQ(mode(deeper / "outbox.db"), 0600U);
    EXPECT_EQ(mode(deeper / "outbox.db-wal"), 0600U);
    EXPECT_EQ(mode(deeper / "outbox.lock"), 0600U);
}

TEST_F(OutboxFile, OthersLoseTheRightToReadIt) {
    { fill(kept(open()).outbox, 1); }
    ASSERT_EQ(::chmod(folder.file().c_str(), 0644), 0);
    kept(open());
    EXPECT_EQ(mode(folder.file()), 0600U);
}

TEST_F(OutboxFile, IsThereAfterARestart) {
    std::string before;
    {
        auto opened = kept(open());
        fill(opened.outbox, 3);
        before = contents(opened.outbox);
    }
    auto opened = kept(open());
    EXPECT_FALSE(opened.created);
    EXPECT_EQ(opened.migrated_from, 0);
    EXPECT_EQ(contents(opened.outbox), before);
    EXPECT_EQ(kept(opened.outbox.unended()).size(), 3U);
    EXPECT_EQ(kept(opened.outbox.lease("ntfy", 10, 99, 50)).due.size(), 3U);
}

TEST_F(OutboxFile, HasALogThatIsWrittenAheadAndNoMemoryThatIsShared) {
    {
        auto opened = kept(open());
        fill(opened.outbox, 1);
        EXPECT_GT(fs::file_size(folder.file().string() + "-wal"), 0U);
        EXPECT_FALSE(fs::exists(folder.file().string() + "-shm")) << "a network file system would not have it";
    }
    sqlite::Database other;
    other.open(folder.file().string(), nullptr, std::chrono::milliseconds(0));
    sqlite::Statement asking(other, "PRAGMA journal_mode");
    auto answer = asking.rows();
    ASSERT_TRUE(answer.next());
    EXPECT_EQ(answer.text(0), "wal");
    // That each commit is synced, the disk tests show: after a power cut nothing that was accepted is missing.
}

TEST_F(OutboxFile, AFileOfTheFirstVersionIsTakenOver) {
    sql(version_1);
    sql("INSERT INTO incidents VALUES (1, 'a', 'permission', 's', 2, 1, '', '', 10, 20, 0, '{}');"
        "INSERT INTO deliveries VALUES (1, 1, 'ntfy', 0, 'd', 1, 2, 3, 0, 500, '', '503', 20, 30, '{\"p\":1}');"
        "INSERT INTO disabled VALUES ('discord', '404', 'm', 40)");
    auto opened = kept(open());
    EXPECT_EQ(opened.moved_aside, "");
    EXPECT_EQ(opened.migrated_from, 1);
    auto const due = kept(opened.outbox.lease("ntfy", 1, 700, 600)).due;
    ASSERT_EQ(due.size(), 1U);
    EXPECT_EQ(due[0].ticket.attempt, 4);
    EXPECT_EQ(due[0].payload, "{\"p\":1}");
    EXPECT_EQ(due[0].incident.kind, "permission");
    EXPECT_EQ(kept(opened.outbox.disabled()).at(0).target, "discord");
    EXPECT_TRUE(kept(opened.outbox.enable("discord", 700)));
    EXPECT_TRUE(opened.outbox.remember("mutes", "[]"));
}

TEST_F(OutboxFile, StepsFromAnOlderVersionKeepWhatIsThere) {
    { std::ofstream(folder.file()) << ""; }
    sqlite::Database database;
    database.open(folder.file().string(), nullptr, std::chrono::milliseconds(0));
    char const* const first = "CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('kept')";
    char const* const second = "ALTER TABLE t ADD COLUMN b TEXT NOT NULL DEFAULT 'new'";
    char const* const broken = "INSERT INTO t VALUES ('half', 'done'); INSERT INTO nowhere VALUES (1)";
    take_steps(database, std::vector{first});
    EXPECT_EQ(schema_version(database), 1);
    take_steps(database, std::vector{first, second});
    EXPECT_EQ(schema_version(database), 2);
    ASSERT_TRUE(database.good());

    // A step that fails leaves the version before it.
    take_steps(database, std::vector{first, second, broken});
    ASSERT_TRUE(database.take_failure());
    EXPECT_EQ(schema_version(database), 2);
    sqlite::Statement all(database, "SELECT a, b FROM t");
    auto rows = all.rows();
    ASSERT_TRUE(rows.next());
    EXPECT_EQ(rows.text(0), "kept");
    EXPECT_EQ(rows.text(1), "new");
    EXPECT_FALSE(rows.next());
}

TEST_F(OutboxFile, ALaterVersionIsRefusedAndLeftAlone) {
    { fill(kept(open()).outbox, 1); }
    sql("PRAGMA user_version = 99");
    auto const refused = open();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().trouble, Trouble::newer);
    EXPECT_THAT(refused.error().text, HasSubstr("has version 99, this program knows up to 2"));
    EXPECT_THAT(refused.error().text, HasSubstr(folder.file().string()));
    sql("PRAGMA user_version = 2");
    EXPECT_EQ(kept(kept(open()).outbox.unended()).size(), 1U);
}

TEST_F(OutboxFile, WhatIsNoDatabaseIsMovedAside) {
    { std::ofstream(folder.file()) << std::string(10'000, 'x'); }
    auto opened = kept(open(1234));
    EXPECT_EQ(opened.moved_aside, folder.file().string() + ".corrupt-1234");
    EXPECT_THAT(opened.corruption, HasSubstr("not a database"));
    EXPECT_TRUE(opened.created);
    EXPECT_EQ(fs::file_size(opened.moved_aside), 10'000U);
    fill(opened.outbox, 1);
    EXPECT_EQ(mode(folder.file()), 0600U);
}

TEST_F(OutboxFile, ADamagedPageIsFoundAtTheStart) {
    { fill(kept(open()).outbox, 50); }
    {
        std::fstream file(folder.file(), std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(5 * 4096);
        file << std::string(4096, '\x7f');
    }
    auto opened = kept(open(1234));
    EXPECT_NE(opened.moved_aside, "");
    EXPECT_THAT(opened.corruption, HasSubstr("checking"));
    EXPECT_EQ(kept(opened.outbox.unended()).size(), 0U);
}

TEST_F(OutboxFile, AFileThatEndsEarlyIsMovedAside) {
    { fill(kept(open()).outbox, 50); }
    fs::resize_file(folder.file(), fs::file_size(folder.file()) / 2);
    EXPECT_NE(kept(open()).moved_aside, "");
}

TEST_F(OutboxFile, AnIndexThatLostARowIsFound) {
    { fill(kept(open()).outbox, 5); }
    sql("PRAGMA writable_schema = ON;"
        "UPDATE sqlite_schema SET sql = replace(sql, '(incident, target, id)', '(target, incident, id)')"
        " WHERE name = 'deliveries_lane'");
    EXPECT_NE(kept(open()).moved_aside, "");
}

TEST_F(OutboxFile, SomebodyElsesDatabaseIsMovedAside) {
    sql("CREATE TABLE incidents (theirs TEXT)");
    EXPECT_NE(kept(open(1)).moved_aside, "");
    fs::remove(folder.file());
    sql("CREATE TABLE theirs (a); PRAGMA user_version = 1");
    EXPECT_NE(kept(open(2)).moved_aside, "");
    fs::remove(folder.file());
    sql("CREATE TABLE theirs (a); PRAGMA user_version = 2");
    EXPECT_NE(kept(open(3)).moved_aside, "");
}

TEST_F(OutboxFile, TheLogGoesAsideWithItsFile) {
    { fill(kept(open()).outbox, 1); }
    { std::ofstream(folder.file()) << std::string(10'000, 'x'); }
    { std::ofstream(folder.file().string() + "-wal") << "a log"; }
    auto opened = kept(open(7));
    EXPECT_EQ(fs::file_size(opened.moved_aside + "-wal"), 5U);
    fill(opened.outbox, 1);
}

TEST_F(OutboxFile, AFolderThatCannotBeMadeIsSaid) {
    { std::ofstream(folder.path() / "taken") << "a file"; }
    auto const refused = Outbox::open({.folder = folder.path() / "taken" / "state"}, 1);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().trouble, Trouble::io);
    EXPECT_THAT(refused.error().text, HasSubstr("taken"));
    fs::create_directory(folder.file());
    EXPECT_EQ(open().error().trouble, Trouble::invalid);
}

TEST_F(OutboxFile, OnlyTheNewestThatWereMovedAsideAreKept) {
    auto const aside = [&](std::int64_t now) { return folder.file().string() + ".corrupt-" + std::to_string(now); };
    // Not ours to remove.
    { std::ofstream(aside(3) + ".gz") << "packed by somebody"; }
    { std::ofstream(folder.path() / "notes.txt") << "theirs"; }
    for (std::int64_t const now : {8, 9, 10, 11, 12, 13, 14}) {
        { std::ofstream(folder.file()) << std::string(5000, 'x'); }
        { std::ofstream(folder.file().string() + "-wal") << "a log"; }
        EXPECT_EQ(kept(open(now)).moved_aside, aside(now));
    }
    for (std::int64_t const gone : {8, 9}) {
        EXPECT_FALSE(fs::exists(aside(gone))) << gone;
        EXPECT_FALSE(fs::exists(aside(gone) + "-wal")) << gone;
    }
    for (std::int64_t const there : {10, 11, 12, 13, 14}) {
        EXPECT_TRUE(fs::exists(aside(there))) << there;
        EXPECT_TRUE(fs::exists(aside(there) + "-wal")) << there;
    }
    EXPECT_TRUE(fs::exists(aside(3) + ".gz"));
    EXPECT_TRUE(fs::exists(folder.path() / "notes.txt"));
    // A clock that was set back: the one that was just moved stays.
    { std::ofstream(folder.file()) << std::string(5000, 'x'); }
    EXPECT_EQ(kept(open(1)).moved_aside, aside(1));
    EXPECT_TRUE(fs::exists(aside(1)));
    EXPECT_FALSE(fs::exists(aside(10)));
}

TEST_F(OutboxFile, AProgramThatLooksIntoItWhileItIsOpenedIsInTheWayAndThenIsNot) {
    { fill(kept(open()).outbox, 1); }
    OutboxOptions const impatient{.folder = folder.path(), .busy_wait = std::chrono::milliseconds(0)};
    sqlite::Database other;
    other.open(folder.file().string(), nullptr, std::chrono::milliseconds(0));
    {
        sqlite::Transaction holding(other);
        ASSERT_TRUE(other.good());
        auto const refused = Outbox::open(impatient, 1);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().trouble, Trouble::busy) << refused.error().text;
    }
    other = {};
    auto opened = kept(Outbox::open(impatient, 1));
    EXPECT_EQ(opened.moved_aside, "");
    EXPECT_EQ(kept(opened.outbox.unended()).size(), 1U);
}

TEST_F(OutboxFile, NobodyElseLooksIntoItWhileItIsOpen) {
    auto opened = kept(open());
    sqlite::Database other;
    other.open(folder.file().string(), nullptr, std::chrono::milliseconds(0));
    sqlite::Statement looking(other, "SELECT count(*) FROM incidents");
    auto const failure = other.take_failure();
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code & 0xff, SQLITE_BUSY);
    EXPECT_TRUE(kept(opened.outbox.raise(an_incident("a"), 1)).changed);
}

TEST_F(OutboxFile, ASecondOutboxInTheSameProcessIsRefusedByWhateverName) {
    auto first = std::make_unique<Outbox::Opened>(kept(open()));
    fill(first->outbox, 1);
    auto const link = folder.path() / "link";
    fs::create_directory_symlink(folder.path(), link);
    for (auto const& name : {folder.path(), link}) {
        auto const refused = Outbox::open({.folder = name}, 2);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().trouble, Trouble::busy);
        EXPECT_THAT(refused.error().text, HasSubstr("outbox.db: another process uses it"));
    }
    EXPECT_EQ(kept(first->outbox.unended()).size(), 1U);
    // It goes with the outbox, wherever that was moved.
    auto moved = std::make_unique<Outbox>(std::move(first->outbox));
    first.reset();
    EXPECT_EQ(open().error().trouble, Trouble::busy);
    moved.reset();
    EXPECT_EQ(kept(kept(open()).outbox.unended()).size(), 1U);
    fs::remove(link);
}

}  // namespace
}  // namespace ocgate::notify
