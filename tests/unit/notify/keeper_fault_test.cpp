// The disk fails at each operation in turn: while the keeper goes to it, while it is used, and while the keeper comes
// back. Whoever uses the store insists, as the courier and the center do. In the end everything was told once, and the
// disk holds it.
#include <map>

#include "keeper_kit.hpp"

namespace ocgate::notify {
namespace {

using namespace std::chrono_literals;
using testing::Each;
using testing::Pair;

/// What happens and is told in a minute. Messages are under way for twenty seconds each, so that every
/// change of outboxes finds some.
class Life {
public:
    explicit Life(KeeperKit& kit) : kit_(kit) {}
    static constexpr int rounds = 6;

    void live() {
        kit_.tell("early", {"ntfy"});
        take("ntfy");
        kit_.start();
        for (int n = 0; n < rounds; ++n) {
            auto const key = std::to_string(n);
            kit_.tell(key, {"ntfy", "discord"}, std::string(n == 3 ? 9000 : 20, 'f'));
            take("ntfy");
            take("discord");
            if (under_way_.size() > 4) settle(under_way_.size() - 4);
            if (n >= 3) end(std::to_string(n - 3));
            remember(key);
            kit_.bench.advance(10s);
        }
    }
    /// All that is left, whenever it is due.
    void finish() {
        for (;;) {
            settle(under_way_.size());
            kit_.bench.advance(10s);
            for (std::string const target : {"ntfy", "discord"}) take(target);
            if (under_way_.empty()) return;
        }
    }
    void check(Outbox& outbox) const {
        EXPECT_THAT(told_, Each(Pair(testing::_, 1)));
        EXPECT_EQ(kept(outbox.recall("mutes")), std::to_string(rounds - 1));
        EXPECT_EQ(kept(outbox.find("early"))->state, IncidentState::open);
        for (int n = 0; n < rounds; ++n) {
            auto const found = kept(outbox.find(std::to_string(n)));
            ASSERT_TRUE(found) << n;
            EXPECT_EQ(found->state, n + 3 < rounds ? IncidentState::resolved : IncidentState::open) << n;
        }
        // Of each one that was told or may have been, ntfy withdraws: what it tells is in `told_` once as well.
        for (auto const& row : kept(outbox.list_deliveries(1000))) {
            EXPECT_GT(row.state, DeliveryState::leased) << row.dedupe;
            EXPECT_NE(row.state, DeliveryState::dead) << row.dedupe;
            EXPECT_EQ(told_.count(row.dedupe), row.state == DeliveryState::sent ? 1U : 0U) << row.dedupe;
        }
        EXPECT_GT(told_.size(), 2U * rounds);
    }

private:
    void take(std::string const& target) {
        for (auto& due : kit_.lease(target, 2)) {
            // One in three fails the first time.
            if (due.ticket.attempt == 1 && ++taken_ % 3 == 0) {
                failing_.push_back(std::move(due));
                continue;
            }
            ++told_[due.ticket.dedupe];
            under_way_.push_back(std::move(due));
        }
        for (auto const& due : std::exchange(failing_, {})) {
            kit_.insist([=, at = kit_.ms()](Outbox& outbox) { return outbox.retry(due.ticket, at + 5000, "503", at); });
        }
    }
    void settle(std::size_t count) {
        for (; count > 0; --count) {
            EXPECT_EQ(kit_.sent(under_way_.front().ticket), DeliveryState::sent);
            under_way_.erase(under_way_.begin());
        }
    }
    void end(std::string const& key) {
        Ending const ending{.key = key, .outcome = "once", .able = {"ntfy"}};
        kit_.insist([=, at = kit_.ms()](Outbox& outbox) { return outbox.end(ending, at); });
    }
    void remember(std::string const& value) {
        kit_.insist([=](Outbox& outbox) -> Kept<bool> {
            auto const done = outbox.remember("mutes", value);
            if (!done) return done.error();
            return true;
        });
    }

    KeeperKit& kit_;
    std::map<std::string, int> told_;
    std::vector<Due> under_way_, failing_;
    int taken_ = 0;
};

struct KeeperFault {
    char const* name;
    std::uint64_t count;
    bool full;
};

/// GoogleTest finds it by its name.
void PrintTo(KeeperFault const& fault, std::ostream* out) { *out << fault.name; }

class KeeperFaults : public testing::TestWithParam<KeeperFault> {
protected:
    /// The whole life with a disk that fails as `spoil` says; how often the keeper had to leave or could not come.
    template <class Spoil>
    std::uint64_t live(MemoryDisk& disk, Spoil spoil) {
        Folder folder;
        OutboxOptions const options{.folder = folder.path(), .vfs = disk.name()};
        std::uint64_t failures = 0;
        std::string before;
        std::optional<Life> life;
        {
            KeeperKit kit(options);
            life.emplace(kit);
            spoil(kit);
            life->live();
            operations = disk.operations();
            disk.fail(0, 0);
            kit.bench.advance(31s);
            EXPECT_TRUE(kit.state().durable) << kit.state().why;
            EXPECT_EQ(kit.moved.size(), 0U);
            life->finish();
            failures = kit.state().failures;
            before = kit.all();
        }
        disk.restart(MemoryDisk::Survives::nothing, 1);
        auto opened = kept(Outbox::open(options, 1));
        EXPECT_EQ(opened.moved_aside, "") << opened.corruption;
        EXPECT_EQ(contents(opened.outbox), before);
        life->check(opened.outbox);
        return failures;
    }

    std::uint64_t operations = 0;  ///< of the life, without what follows
};

TEST_F(KeeperFaults, TheLifeDoesWhatItIsMeantTo) {
    MemoryDisk disk;
    EXPECT_EQ(live(disk, [](KeeperKit&) {}), 0U);
    RecordProperty("operations", static_cast<int>(operations));
    EXPECT_GT(operations, 200U);
}

TEST_P(KeeperFaults, AtEachOperationNothingIsLostOrToldTwice) {
    MemoryDisk whole;
    live(whole, [](KeeperKit&) {});
    auto const all = operations;
    std::uint64_t failures = 0;
    for (std::uint64_t n = 1; n <= all && !HasFailure(); ++n) {
        SCOPED_TRACE("operation " + std::to_string(n));
        MemoryDisk disk;
        failures += live(disk, [&](KeeperKit&) { disk.fail(n, GetParam().count, GetParam().full); });
    }
    RecordProperty("lives", static_cast<int>(all));
    RecordProperty("failures", static_cast<int>(failures));
    EXPECT_GT(failures, all / 4);
}

INSTANTIATE_TEST_SUITE_P(Faults, KeeperFaults,
                         testing::Values(KeeperFault{"OnceBroken", 1, false}, KeeperFault{"OnceFull", 1, true},
                                         KeeperFault{"NineTimesBroken", 9, false},
                                         KeeperFault{"FortyTimesFull", 40, true}),
                         [](auto const& it) { return it.param.name; });

/// It fails while it is used, and again at each operation of coming back to it.
TEST(KeeperComingBack, AtEachOperationNothingIsLostOrToldTwice) {
    for (std::uint64_t const count : {1, 9}) {
        int failed = 0;
        for (std::uint64_t n = 1;; ++n) {
            SCOPED_TRACE("operation " + std::to_string(n) + " and " + std::to_string(count) + " in all");
            Folder folder;
            MemoryDisk disk;
            KeeperKit kit({{.folder = folder.path(), .vfs = disk.name()}});
            kit.start();
            kit.tell("before", {"ntfy", "discord"});
            auto const before = kit.lease("ntfy");
            disk.fail(disk.operations() + 1, 1'000'000'000, true);
            kit.tell("meanwhile", {"ntfy", "discord"});
            ASSERT_FALSE(kit.state().durable);
            auto const meanwhile = kit.lease("ntfy");
            ASSERT_EQ(dedupes(meanwhile), std::vector<std::string>{"meanwhile@ntfy"});
            auto const due = kit.lease("discord", 1);
            ASSERT_EQ(dedupes(due), std::vector<std::string>{"before@discord"});
            ASSERT_EQ(kit.sent(due.at(0).ticket), DeliveryState::sent);
            auto const memory = kit.all();

            auto const from = disk.operations();
            disk.fail(from + n, count);
            kit.bench.advance(30s);
            bool const came = kit.state().durable;
            auto const used = disk.operations() - from;
            disk.fail(0, 0);
            failed += came ? 0 : 1;
            EXPECT_EQ(kit.all(), memory);
            kit.bench.advance(31s);
            ASSERT_TRUE(kit.state().durable) << kit.state().why;
            EXPECT_EQ(kit.all(), memory);
            EXPECT_EQ(kit.lease("ntfy").size(), 0U) << "they are under way";
            EXPECT_EQ(dedupes(kit.lease("discord")), std::vector<std::string>{"meanwhile@discord"});
            EXPECT_EQ(kit.sent(before.at(0).ticket), DeliveryState::sent);
            EXPECT_EQ(kit.sent(meanwhile.at(0).ticket), DeliveryState::sent);
            if (HasFailure() || used < n) break;
        }
        RecordProperty("failed_with_" + std::to_string(count), failed);
        EXPECT_GT(failed, 10);
    }
}

}  // namespace
}  // namespace ocgate::notify
