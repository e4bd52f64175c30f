// The watcher over real files and the real inotify, with time moved by hand.
#include "watcher.hpp"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>

#include "support/fake_clock.hpp"

namespace ocgate::app {
namespace {

namespace fs = std::filesystem;

class Watching : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "ocgate-watcher-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
    }
    void TearDown() override {
        watcher_.stop();
        settle();
        fs::remove_all(folder_);
    }

    [[nodiscard]] std::string path(std::string const& name) const { return folder_ / name; }
    void write(std::string const& name, std::string const& text) { std::ofstream(path(name)) << text; }
    void replace(std::string const& name, std::string const& text) {
        write(name + ".new", text);
        fs::rename(path(name + ".new"), path(name));
    }
    /// As what they are now.
    void watch(std::vector<std::string> const& files) {
        std::vector<FileMark> marks;
        for (auto const& file : files) marks.push_back(mark_of(file));
        watcher_.watch(files, marks);
    }
    void settle() {
        io_.restart();
        io_.poll();
    }
    /// Lets what inotify has said be heard and the time pass, from one look of the watcher's to the next.
    int changes_after(rt::Duration time) {
        auto const end = clock_.now() + time;
        settle();
        while (clock_.next() <= end) {
            clock_.move_to(clock_.next());
            settle();
        }
        clock_.move_to(end);
        return std::exchange(changes_, 0);
    }

    fs::path folder_;
    boost::asio::io_context io_{1};
    test::FakeClock clock_;
    rt::Deadlines deadlines_{io_.get_executor(), clock_};
    int changes_ = 0;
    Watcher watcher_{io_.get_executor(), deadlines_, [this] { ++changes_; }};
};

TEST_F(Watching, AFileRenamedIntoPlaceIsNoticedOnceTheBurstIsOver) {
    write("config", "one");
    watch({path("config")});
    replace("config", "two");
    EXPECT_EQ(changes_after(Watcher::settle - std::chrono::milliseconds(1)), 0);
    EXPECT_EQ(changes_after(std::chrono::milliseconds(1)), 1);
    EXPECT_EQ(changes_after(Watcher::patrol), 0) << "the same change twice";
}

TEST_F(Watching, WhatWasBrokenOffIsTriedAgainUntilItIsWatchedAnew) {
    write("config", "one");
    watch({path("config")});
    EXPECT_EQ(changes_after(Watcher::patrol), 0);
    for (int i = 0; i < 3; ++i) {
        watcher_.again();
        EXPECT_EQ(changes_after(Watcher::patrol - std::chrono::milliseconds(1)), 0);
        EXPECT_EQ(changes_after(std::chrono::milliseconds(1)), 1);
    }
    EXPECT_EQ(changes_after(2 * Watcher::patrol), 0) << "once each time";
    watcher_.again();
    for (int i = 1; i <= 9; ++i) {
        write("other", std::to_string(i));
        EXPECT_EQ(changes_after(Watcher::patrol / 10), 0) << "what else goes on in the folder is no reason to hurry";
    }
    EXPECT_EQ(changes_after(Watcher::patrol / 10), 1);
    watcher_.again();
    watch({path("config")});  // somebody else asked, and it worked
    EXPECT_EQ(changes_after(2 * Watcher::patrol), 0);
    watcher_.again();
    replace("config", "two");
    EXPECT_EQ(changes_after(2 * Watcher::settle), 1) << "a change makes it sooner";
    EXPECT_EQ(changes_after(2 * Watcher::patrol), 0);
}

TEST_F(Watching, AFileWrittenInPlaceIsNoticed) {
    write("config", "one");
    watch({path("config")});
    write("config", "longer than one");
    EXPECT_EQ(changes_after(Watcher::settle), 1);
}

// inotify tells of a new file before there is anything in it.
TEST_F(Watching, AFileThatIsStillBeingWrittenIsWaitedFor) {
    watch({path("password")});
    EXPECT_EQ(changes_after(Watcher::settle), 0);
    std::ofstream file(path("password"));
    for (int i = 0; i < 7; ++i) {
        file << "piece" << std::flush;
        EXPECT_EQ(changes_after(Watcher::settle - std::chrono::milliseconds(1)), 0) << i;
    }
    file.close();
    EXPECT_EQ(changes_after(Watcher::settle * 2), 1);
    EXPECT_EQ(changes_after(Watcher::patrol), 0) << "the same change twice";
}

TEST_F(Watching, AFileThatIsWrittenForEverIsToldOfAllTheSame) {
    write("password", "x");
    watch({path("password")});
    EXPECT_EQ(changes_after(Watcher::settle), 0);
    std::ofstream file(path("password"), std::ios::app);
    write("other", "x");  // nobody tells of writing in place, but whoever looks sees it
    std::vector<rt::Duration> told;
    for (rt::Duration time{}; time < 2 * Watcher::longest + 2 * Watcher::settle; time += Watcher::settle / 2) {
        file << "piece" << std::flush;
        if (changes_after(Watcher::settle / 2) > 0) told.push_back(time);
    }
    ASSERT_EQ(told.size(), 2U);
    EXPECT_LE(told[0], Watcher::longest);
    file.close();
    EXPECT_EQ(changes_after(2 * Watcher::settle), 1);
    EXPECT_EQ(changes_after(Watcher::patrol), 0);
}

// As files that are synchronised one after the other: one reload for all of them.
TEST_F(Watching, FilesThatChangeOneAfterTheOtherAreToldOfOnce) {
    watch({path("a"), path("b"), path("c")});
    EXPECT_EQ(changes_after(Watcher::settle), 0);
    for (auto const* name : {"a", "b", "c"}) {
        replace(name, "new");
        EXPECT_EQ(changes_after(Watcher::settle / 2), 0) << name;
    }
    EXPECT_EQ(changes_after(2 * Watcher::settle), 1);
    EXPECT_EQ(changes_after(Watcher::patrol), 0);
}

TEST_F(Watching, OtherFilesOfTheFolderAreNoReason) {
    write("config", "one");
    watch({path("config")});
    write("other", "x");
    fs::remove(path("other"));
    EXPECT_EQ(changes_after(Watcher::settle), 0);
}

TEST_F(Watching, AFileThatAppearsOrGoesIsNoticed) {
    watch({path("password")});
    write("password", "x");
    EXPECT_EQ(changes_after(Watcher::settle), 1);
    fs::remove(path("password"));
    EXPECT_EQ(changes_after(2 * Watcher::settle), 1) << "there was a look just before";
}

// How kubelet renews a mounted secret: `..data` is a link to a folder and is replaced by renaming another one over it.
TEST_F(Watching, AMountedSecretThatIsRenewedIsNoticed) {
    fs::create_directory(path("..1"));
    write("..1/password", "first");
    fs::create_directory_symlink("..1", path("..data"));
    fs::create_symlink("..data/password", path("password"));
    watch({path("password")});
    EXPECT_EQ(changes_after(Watcher::settle), 0);
    fs::create_directory(path("..2"));
    write("..2/password", "second");
    fs::create_directory_symlink("..2", path("..data_tmp"));
    fs::rename(path("..data_tmp"), path("..data"));
    EXPECT_EQ(changes_after(Watcher::settle), 1);
}

TEST_F(Watching, WatchingOthersForgetsTheFirst) {
    fs::create_directory(path("a"));
    fs::create_directory(path("b"));
    write("a/config", "one");
    write("b/config", "one");
    watch({path("a/config")});
    watch({path("b/config")});
    write("a/config", "changed now");
    EXPECT_EQ(changes_after(Watcher::settle), 0);
    write("b/config", "changed now");
    EXPECT_EQ(changes_after(Watcher::settle), 1);
}

// Network file systems tell inotify nothing, and a folder that is made later was never watched.
TEST_F(Watching, WhatInotifyDoesNotSeeThePatrolFinds) {
    watch({path("later/config")});
    fs::create_directory(path("later"));
    write("later/config", "x");
    EXPECT_EQ(changes_after(Watcher::patrol + Watcher::settle), 1);
}

// Between reading a file and watching it there is time enough for a secret to be renewed.
TEST_F(Watching, AChangeBetweenReadingAndWatchingIsNoticed) {
    write("password", "first");
    auto const read_as = mark_of(path("password"));
    replace("password", "second");
    watcher_.watch({path("password")}, {read_as});
    EXPECT_EQ(changes_after(Watcher::settle), 1);
}

TEST_F(Watching, AfterStopNothingIsTold) {
    write("config", "one");
    watch({path("config")});
    replace("config", "two");
    watcher_.stop();
    EXPECT_EQ(changes_after(Watcher::patrol), 0);
}

}  // namespace
}  // namespace ocgate::app
