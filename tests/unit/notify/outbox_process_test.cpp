// Two processes on one file: one that is killed in the middle, again and again, and two of which one gets it. They are
// synchronised by pipes alone.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <random>
#include <set>

#include "ocgate/rt/descriptor.hpp"
#include "outbox_kit.hpp"

namespace ocgate::notify {
namespace {

/// A child that tells what it has done, one word in a line. No outbox may be open here when it begins: SQLite's locks
/// do not go through fork.
class Child {
public:
    explicit Child(std::function<void(Child&)> work) {
        std::array<int, 2> said{};
        std::array<int, 2> told{};
        if (::pipe(said.data()) != 0 || ::pipe(told.data()) != 0) ::abort();
        process_ = ::fork();
        if (process_ == 0) {
            from_ = rt::Descriptor(told[0]);
            to_ = rt::Descriptor(said[1]);
            ::close(said[0]);
            ::close(told[1]);
            work(*this);
            ::_exit(0);
        }
        from_ = rt::Descriptor(said[0]);
        to_ = rt::Descriptor(told[1]);
        ::close(said[1]);
        ::close(told[0]);
    }
    ~Child() { kill(); }
    Child(Child const&) = delete;
    Child& operator=(Child const&) = delete;

    /// In either process, to the other.
    void say(std::string word) {
        word += '\n';
        if (::write(to_.get(), word.data(), word.size()) != static_cast<ssize_t>(word.size())) ::_exit(3);
    }
    /// Empty at the end.
    std::string hear() {
        std::string word;
        for (char byte = 0; ::read(from_.get(), &byte, 1) == 1;) {
            if (byte == '\n') return word;
            word += byte;
        }
        return {};
    }
    void kill() {
        if (process_ <= 0) return;
        ::kill(process_, SIGKILL);
        wait();
    }
    int wait() {
        int status = 0;
        ::waitpid(std::exchange(process_, -1), &status, 0);
        return status;
    }

private:
    pid_t process_ = -1;
    rt::Descriptor from_;
    rt::Descriptor to_;
};

/// Raises, tells, leases, sends and ends, without end; says each thing after it was accepted, and waits to be heard.
void work_until_killed(std::filesystem::path const& folder, int round, Child& child) {
    auto opened = Outbox::open({.folder = folder}, 1);
    if (!opened) ::_exit(4);
    auto& outbox = opened->outbox;
    auto const tell = [&](std::string const& word) {
        child.say(word);
        child.hear();
    };
    if (!outbox.release_leases()) ::_exit(5);
    for (int n = 0;; ++n) {
        auto const key = std::to_string(round) + '-' + std::to_string(n);
        if (!outbox.raise(an_incident(key), 1)) ::_exit(6);
        tell("raised " + key);
        std::vector const deliveries{a_delivery(key + "@ntfy", "ntfy"), a_delivery(key + "@discord", "discord")};
        if (!outbox.open(key, deliveries, 2)) ::_exit(7);
        tell("enqueued " + key + "@ntfy");
        tell("enqueued " + key + "@discord");
        auto const leased = outbox.lease("ntfy", 2, 60, 3);
        if (!leased) ::_exit(8);
        for (auto const& due : leased->due) {
            if (!outbox.sent(due.ticket, "r", 4)) ::_exit(9);
            tell("sent " + due.ticket.dedupe);
        }
        if (n % 3 != 2) continue;
        if (!outbox.end({.key = key, .able = {"ntfy"}}, 5)) ::_exit(10);
        tell("ended " + key);
    }
}

TEST(OutboxProcess, KilledInTheMiddleNothingAcceptedIsLost) {
    Folder folder;
    std::mt19937 chance(41);
    std::map<std::string, std::set<std::string>> accepted;
    int words = 0;
    for (int round = 0; round < 30; ++round) {
        Child child([&](Child& self) { work_until_killed(folder.path(), round, self); });
        auto const take = [&](std::string const& word) {
            auto const space = word.find(' ');
            accepted[word.substr(0, space)].insert(word.substr(space + 1));
            ++words;
        };
        for (auto left = 1 + chance() % 40; left > 0; --left) {
            auto const word = child.hear();
            ASSERT_NE(word, "") << "the child ended by itself: " << child.wait();
            take(word);
            child.say("on");
        }
        // Into the middle of what it does next, somewhere.
        for (auto turns = chance() % 300'000; turns > 0; --turns) std::atomic_signal_fence(std::memory_order_seq_cst);
        child.kill();
        // What it had still said before it was killed.
        for (auto word = child.hear(); !word.empty(); word = child.hear()) take(word);

        auto opened = kept(Outbox::open({.folder = folder.path()}, 1));
        ASSERT_EQ(opened.moved_aside, "") << opened.corruption;
        for (auto const& key : accepted["raised"]) ASSERT_TRUE(kept(opened.outbox.find(key))) << key;
        for (auto const& key : accepted["ended"]) {
            ASSERT_EQ(kept(opened.outbox.find(key))->state, IncidentState::resolved) << key;
        }
        std::multiset<std::string> there;
        std::set<std::string> sent;
        auto const rows = kept(opened.outbox.list_deliveries(1000));
        ASSERT_LT(rows.size(), 1000U);
        for (auto const& row : rows) {
            there.insert(row.dedupe);
            if (row.state == DeliveryState::sent) sent.insert(row.dedupe);
        }
        for (auto const& dedupe : accepted["enqueued"]) ASSERT_EQ(there.count(dedupe), 1U) << dedupe;
        for (auto const& dedupe : accepted["sent"]) ASSERT_TRUE(sent.contains(dedupe)) << dedupe;
    }
    // What is left is made, each once.
    auto opened = kept(Outbox::open({.folder = folder.path()}, 1));
    kept(opened.outbox.release_leases());
    std::multiset<std::string> made;
    for (std::string const target : {"ntfy", "discord"}) {
        for (;;) {
            auto const due = kept(opened.outbox.lease(target, 10, 200, 100)).due;
            if (due.empty()) break;
            for (auto const& one : due) {
                made.insert(one.ticket.dedupe);
                kept(opened.outbox.sent(one.ticket, "", 101));
            }
        }
    }
    for (auto const& dedupe : made) EXPECT_EQ(made.count(dedupe), 1U) << dedupe;
    for (auto const& count : kept(opened.outbox.counts())) EXPECT_EQ(count.queued + count.leased, 0U);
    RecordProperty("accepted_calls", words);
    EXPECT_GT(words, 300);
}

TEST(OutboxProcess, TheSecondIsBusyUntilTheFirstIsGone) {
    Folder folder;
    { kept(kept(Outbox::open({.folder = folder.path()}, 1)).outbox.raise(an_incident("a"), 1)); }
    Child first([&](Child& self) {
        auto opened = Outbox::open({.folder = folder.path()}, 1);
        if (!opened || !opened->outbox.raise(an_incident("b"), 1)) ::_exit(4);
        self.say("open");
        self.hear();
    });
    ASSERT_EQ(first.hear(), "open");
    // Nor does it wait: a start must not hang for another's sake.
    for (int n = 0; n < 2; ++n) {
        auto const refused = Outbox::open({.folder = folder.path(), .busy_wait = std::chrono::hours(1)}, 1);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().trouble, Trouble::busy) << refused.error().text;
    }
    first.kill();
    auto opened = kept(Outbox::open({.folder = folder.path()}, 1));
    EXPECT_EQ(opened.moved_aside, "");
    EXPECT_EQ(kept(opened.outbox.unended()).size(), 2U);
}

/// Which of two gets a new file is chance; that it is one of them is not.
TEST(OutboxProcess, OfTwoThatMakeItAtTheSameTimeOneGetsIt) {
    for (int round = 0; round < 20; ++round) {
        Folder folder;
        auto const open = [&](Child& self) {
            self.hear();
            auto opened = Outbox::open({.folder = folder.path()}, 1);
            self.say(opened ? "open" : std::string(to_string(opened.error().trouble)));
            self.hear();  // keeps it
        };
        Child one(open);
        Child two(open);
        one.say("go");
        two.say("go");
        std::multiset<std::string> const said{one.hear(), two.hear()};
        ASSERT_THAT(said, testing::UnorderedElementsAre("busy", "open")) << round;
    }
}

}  // namespace
}  // namespace ocgate::notify
