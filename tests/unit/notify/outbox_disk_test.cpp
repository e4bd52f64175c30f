// The disk fails, is full, or the power goes, at each operation in turn of one scripted life. After that the outbox
// holds what the calls that returned well have done: all of it, each delivery once, and of the call that did not return
// either all or nothing.
#include <gmock/gmock.h>

#include <functional>
#include <set>

#include "memory_disk.hpp"
#include "outbox_kit.hpp"

namespace ocgate::notify {
namespace {

using testing::AnyOf;
using testing::Eq;

constexpr OutboxLimits limits{.live_per_target = 3, .keep_ended_ms = 100};

/// What the courier remembers between two steps.
struct Hands {
    std::vector<Due> ntfy, discord;
};

using Step = std::function<std::optional<OutboxError>(Outbox&, Hands&)>;

template <class T>
std::optional<OutboxError> error_in(Kept<T> const& answer) {
    if (answer) return std::nullopt;
    return answer.error();
}

Step raise(std::string key, Weight weight, std::size_t facts = 10) {
    return [=](Outbox& outbox, Hands&) {
        auto incident = an_incident(key, weight);
        incident.facts = std::string(facts, 'f');
        return error_in(outbox.raise(incident, 100));
    };
}

Step open(std::string key, std::vector<std::string> targets) {
    return [=](Outbox& outbox, Hands&) {
        std::vector<NewDelivery> deliveries;
        for (auto const& target : targets) deliveries.push_back(a_delivery(key + '@' + target, target));
        return error_in(outbox.open(key, deliveries, 110));
    };
}

Step end(std::string key, IncidentState state) {
    return [=](Outbox& outbox, Hands&) {
        return error_in(outbox.end({.key = key, .state = state, .outcome = "once", .able = {"ntfy", "discord"}}, 150));
    };
}

Step lease(std::string target, std::vector<Due> Hands::*into, std::int64_t now) {
    return [=](Outbox& outbox, Hands& hands) {
        auto leased = outbox.lease(target, 2, now + 60, now);
        if (leased) hands.*into = std::move(leased->due);
        return error_in(leased);
    };
}

/// `at` is what was leased first, second …
Step sent(std::vector<Due> Hands::*from, std::size_t at, std::string remote_id) {
    return [=](Outbox& outbox, Hands& hands) {
        return error_in(outbox.sent((hands.*from).at(at).ticket, remote_id, 130));
    };
}

std::vector<Step> life() {
    return {
        raise("a", Weight::block),
        raise("b", Weight::complete, 30'000),
        open("a", {"ntfy", "discord"}),
        open("b", {"ntfy"}),
        lease("ntfy", &Hands::ntfy, 120),
        sent(&Hands::ntfy, 0, "r1"),
        [](Outbox& outbox, Hands& hands) { return error_in(outbox.retry(hands.ntfy.at(1).ticket, 200, "503", 131)); },
        lease("discord", &Hands::discord, 120),
        end("a", IncidentState::resolved),
        sent(&Hands::discord, 0, "m1"),
        lease("ntfy", &Hands::ntfy, 160),
        sent(&Hands::ntfy, 0, ""),
        [](Outbox& outbox, Hands&) { return error_in(outbox.disable("discord", "404", "mark", 160)); },
        raise("c", Weight::error),
        open("c", {"ntfy", "discord"}),
        raise("d", Weight::block),
        open("d", {"ntfy", "discord"}),
        // No room for four: b's goes.
        [](Outbox& outbox, Hands&) {
            std::vector const deliveries{a_delivery("d-2", "ntfy"), a_delivery("d-3", "ntfy", Action::remind, 400)};
            return error_in(outbox.enqueue("d", deliveries, std::string(5000, 'g'), 170));
        },
        [](Outbox& outbox, Hands&) { return error_in(outbox.enable("discord", 180)); },
        end("b", IncidentState::expired),
        lease("discord", &Hands::discord, 190),
        [](Outbox& outbox, Hands& hands) { return error_in(outbox.dead(hands.discord.at(0).ticket, "400", 191)); },
        [](Outbox& outbox, Hands& hands) { return error_in(outbox.drop(hands.discord.at(1).ticket, "cut", 191)); },
        [](Outbox& outbox, Hands&) { return error_in(outbox.prune(260)); },
        lease("ntfy", &Hands::ntfy, 300),
        [](Outbox& outbox, Hands&) { return error_in(outbox.abandon("discord", "gone", 310)); },
    };
}

/// What an outbox holds after none, one, two … of the steps.
std::vector<std::string> holdings(std::vector<Step> const& steps) {
    auto outbox = kept(Outbox::in_memory(limits));
    Hands hands;
    std::vector<std::string> after{contents(outbox)};
    for (auto const& step : steps) {
        auto const error = step(outbox, hands);
        EXPECT_FALSE(error) << after.size() << ": " << error->text;
        after.push_back(contents(outbox));
    }
    return after;
}

class OutboxOnADisk : public testing::Test {
protected:
    OutboxOptions options(MemoryDisk const& disk) {
        return {.folder = folder.path(), .limits = limits, .vfs = disk.name()};
    }
    /// Runs until something fails: how many steps were done.
    std::size_t live(MemoryDisk& disk) {
        auto opened = Outbox::open(options(disk), 1);
        if (!opened) return 0;
        Hands hands;
        std::size_t done = 0;
        for (auto const& step : steps) {
            if (step(opened->outbox, hands)) break;
            ++done;
        }
        return done;
    }
    /// Every delivery that waits is made once, and then none is left.
    void make_all(Outbox& outbox) {
        std::multiset<std::string> waiting;
        for (auto const& row : kept(outbox.list_deliveries(1000))) {
            if (row.state <= DeliveryState::leased) waiting.insert(row.dedupe);
        }
        kept(outbox.release_leases());
        std::multiset<std::string> made;
        for (std::string const target : {"ntfy", "discord"}) {
            kept(outbox.enable(target, 1000));
            for (;;) {
                auto leased = kept(outbox.lease(target, 2, 2000, 1000));
                for (auto const& dropped : leased.dropped) made.insert(dropped.dedupe);
                for (auto const& due : leased.due) {
                    made.insert(due.ticket.dedupe);
                    EXPECT_EQ(kept(outbox.sent(due.ticket, "", 1001)), DeliveryState::sent);
                }
                if (leased.due.empty()) break;
            }
        }
        EXPECT_EQ(made, waiting);
        for (auto const& count : kept(outbox.counts())) EXPECT_EQ(count.queued + count.leased, 0U) << count.target;
    }

    std::vector<Step> const steps = life();
    std::vector<std::string> const after = holdings(steps);
    Folder folder;
};

TEST_F(OutboxOnADisk, TheScriptDoesWhatItIsMeantTo) {
    MemoryDisk disk;
    EXPECT_EQ(live(disk), steps.size());
    auto opened = kept(Outbox::open(options(disk), 1));
    EXPECT_EQ(contents(opened.outbox), after.back());
    EXPECT_NE(after.back().find("limit"), std::string::npos);
    std::set<std::string> const different(after.begin(), after.end());
    EXPECT_EQ(different.size(), after.size()) << "a step that changes nothing proves nothing";
}

class OutboxCutOff : public OutboxOnADisk, public testing::WithParamInterface<MemoryDisk::Survives> {};

TEST_P(OutboxCutOff, AtEachOperationNothingAcceptedIsLost) {
    MemoryDisk whole;
    live(whole);
    auto const operations = whole.operations();
    int had_happened = 0;
    for (std::uint64_t n = 1; n <= operations; ++n) {
        SCOPED_TRACE("operation " + std::to_string(n));
        MemoryDisk disk;
        disk.cut_off_at(n);
        auto const done = live(disk);
        ASSERT_TRUE(disk.cut_off());
        disk.restart(GetParam(), n);
        auto opened = Outbox::open(options(disk), 1);
        ASSERT_TRUE(opened) << opened.error().text;
        ASSERT_EQ(opened->moved_aside, "") << opened->corruption;
        auto const found = contents(opened->outbox);
        if (done < steps.size()) {
            ASSERT_THAT(found, AnyOf(Eq(after[done]), Eq(after[done + 1]))) << done << " steps were done";
            if (found == after[done + 1]) ++had_happened;
        } else {
            ASSERT_EQ(found, after[done]);
        }
        make_all(opened->outbox);
        if (HasFailure()) return;
    }
    RecordProperty("cuts", static_cast<int>(operations));
    RecordProperty("cuts_whose_last_call_had_happened", had_happened);
    EXPECT_GT(operations, 200U);
}

INSTANTIATE_TEST_SUITE_P(Survives, OutboxCutOff,
                         testing::Values(MemoryDisk::Survives::everything, MemoryDisk::Survives::nothing,
                                         MemoryDisk::Survives::some),
                         [](auto const& it) {
                             if (it.param == MemoryDisk::Survives::everything) return "AllWritten";
                             return it.param == MemoryDisk::Survives::nothing ? "OnlySynced" : "SomeSectors";
                         });

/// Each step until it works.
void insist(Outbox& outbox, std::vector<Step> const& steps, int& errors) {
    Hands hands;
    for (std::size_t n = 0; n < steps.size(); ++n) {
        int tries = 0;
        while (auto const error = steps[n](outbox, hands)) {
            ++errors;
            ASSERT_LT(++tries, 20) << "step " << n << ": " << error->text;
        }
    }
}

struct Fault {
    char const* name;
    std::uint64_t count;
    bool full;
};

/// GoogleTest finds it by its name.
void PrintTo(Fault const& fault, std::ostream* out) { *out << fault.name; }

class OutboxFault : public OutboxOnADisk, public testing::WithParamInterface<Fault> {};

TEST_P(OutboxFault, AtEachOperationChangesNothingAndItGoesOn) {
    MemoryDisk whole;
    live(whole);
    int errors = 0;
    for (std::uint64_t n = 1; n <= whole.operations(); ++n) {
        SCOPED_TRACE("operation " + std::to_string(n));
        MemoryDisk disk;
        disk.fail(n, GetParam().count, GetParam().full);
        {
            auto opened = Outbox::open(options(disk), 1);
            for (int tries = 0; !opened && tries < 20; ++tries) {
                ++errors;
                ASSERT_THAT(opened.error().trouble, AnyOf(Eq(Trouble::io), Eq(Trouble::disk_full)))
                    << opened.error().text;
                opened = Outbox::open(options(disk), 1);
            }
            ASSERT_TRUE(opened);
            ASSERT_EQ(opened->moved_aside, "") << opened->corruption;
            insist(opened->outbox, steps, errors);
            ASSERT_EQ(contents(opened->outbox), after.back());
        }
        // A sync that failed has lost what it was to keep; it must have been written again.
        disk.restart(MemoryDisk::Survives::nothing, n);
        auto opened = Outbox::open(options(disk), 1);
        ASSERT_TRUE(opened) << opened.error().text;
        ASSERT_EQ(contents(opened->outbox), after.back());
        if (HasFailure()) return;
    }
    RecordProperty("operations", static_cast<int>(whole.operations()));
    RecordProperty("errors_returned", errors);
    EXPECT_GT(errors, 50);
}

INSTANTIATE_TEST_SUITE_P(Faults, OutboxFault,
                         testing::Values(Fault{"OnceBroken", 1, false}, Fault{"OnceFull", 1, true},
                                         Fault{"NineTimesBroken", 9, false}, Fault{"NineTimesFull", 9, true}),
                         [](auto const& it) { return it.param.name; });

TEST_F(OutboxOnADisk, AFullDiskIsSaidAndLaterItGoesOn) {
    MemoryDisk disk;
    auto opened = kept(Outbox::open(options(disk), 1));
    auto& outbox = opened.outbox;
    kept(outbox.raise(an_incident("a"), 1));
    disk.size = 200'000;
    std::size_t raised = 1;
    for (; raised < 100; ++raised) {
        auto incident = an_incident(std::to_string(raised));
        incident.facts = std::string(60'000, 'x');
        auto const answer = outbox.raise(incident, 1);
        if (answer) continue;
        EXPECT_EQ(answer.error().trouble, Trouble::disk_full) << answer.error().text;
        break;
    }
    ASSERT_LT(raised, 10U);
    EXPECT_EQ(kept(outbox.unended()).size(), raised);
    auto more = an_incident("more");
    more.facts = std::string(60'000, 'x');
    EXPECT_EQ(outbox.raise(more, 1).error().trouble, Trouble::disk_full);
    disk.size = std::numeric_limits<std::uint64_t>::max();
    EXPECT_TRUE(kept(outbox.raise(more, 1)).changed);
    EXPECT_EQ(kept(outbox.unended()).size(), raised + 1);
}

TEST_F(OutboxOnADisk, ADiskThatTakesNoWritesIsSaidAndLaterItGoesOn) {
    MemoryDisk disk;
    auto opened = kept(Outbox::open(options(disk), 1));
    kept(opened.outbox.raise(an_incident("a"), 1));
    disk.read_only = true;
    EXPECT_EQ(opened.outbox.raise(an_incident("b"), 1).error().trouble, Trouble::read_only);
    EXPECT_EQ(kept(opened.outbox.unended()).size(), 1U);
    disk.read_only = false;
    EXPECT_TRUE(kept(opened.outbox.raise(an_incident("b"), 1)).changed);
}

TEST_F(OutboxOnADisk, OneThatTakesNoWritesFromTheStartIsNotMovedAside) {
    MemoryDisk disk;
    { kept(kept(Outbox::open(options(disk), 1)).outbox.raise(an_incident("a"), 1)); }
    disk.read_only = true;
    auto const refused = Outbox::open(options(disk), 1);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().trouble, Trouble::read_only) << refused.error().text;
    disk.read_only = false;
    EXPECT_EQ(kept(kept(Outbox::open(options(disk), 1)).outbox.unended()).size(), 1U);
}

/// Opens `disk` once for each operation of opening it, which fails, and as many after it as are said.
void open_with_errors(MemoryDisk& disk, OutboxOptions const& options, std::uint64_t count) {
    int errors = 0;
    for (std::uint64_t n = 1;; ++n) {
        SCOPED_TRACE("operation " + std::to_string(n) + " and " + std::to_string(count) + " in all");
        auto const before = disk.operations();
        disk.fail(before + n, count);
        {
            auto const opened = Outbox::open(options, 1);
            if (opened) {
                ASSERT_EQ(opened->moved_aside, "") << opened->corruption;
            } else {
                ++errors;
                ASSERT_EQ(opened.error().trouble, Trouble::io) << opened.error().text;
            }
        }
        disk.fail(0, 0);
        if (disk.operations() - before < n) break;
    }
    EXPECT_GT(errors, 3);
}

TEST_F(OutboxOnADisk, AnErrorAtTheStartIsNotTakenForDamage) {
    for (std::uint64_t const count : {1, 2, 9}) {
        MemoryDisk disk;
        live(disk);
        open_with_errors(disk, options(disk), count);
        auto opened = kept(Outbox::open(options(disk), 1));
        EXPECT_EQ(contents(opened.outbox), after.back());
    }
}

TEST_F(OutboxOnADisk, NorWhenTheLogIsStillThere) {
    for (std::uint64_t const count : {1, 2, 9}) {
        MemoryDisk disk;
        {
            auto opened = kept(Outbox::open(options(disk), 1));
            Hands hands;
            for (auto const& step : steps) EXPECT_FALSE(step(opened.outbox, hands));
            disk.cut_off_at(disk.operations() + 1);
        }
        disk.restart(MemoryDisk::Survives::nothing, 1);
        open_with_errors(disk, options(disk), count);
        auto opened = kept(Outbox::open(options(disk), 1));
        EXPECT_EQ(contents(opened.outbox), after.back());
    }
}

/// A log that is copied back into the file again and again: each few operations of it.
TEST_F(OutboxOnADisk, CutOffWhileTheLogIsCopiedBack) {
    auto const fill = [&](MemoryDisk& disk) {
        std::size_t raised = 0;
        auto opened = Outbox::open(options(disk), 1);
        for (; opened && raised < 80; ++raised) {
            auto incident = an_incident(std::to_string(raised));
            incident.facts = std::string(60'000, 'x');
            if (!opened->outbox.raise(incident, 1)) break;
        }
        return raised;
    };
    MemoryDisk whole;
    ASSERT_EQ(fill(whole), 80U);
    auto const operations = whole.operations();
    for (auto const survives : {MemoryDisk::Survives::nothing, MemoryDisk::Survives::some}) {
        // Most of these operations are the log's own, and alike: the later half has the copying.
        for (std::uint64_t n = operations / 2; n <= operations; n += 37) {
            SCOPED_TRACE("operation " + std::to_string(n) + " of " + std::to_string(operations));
            MemoryDisk disk;
            disk.cut_off_at(n);
            auto const raised = fill(disk);
            disk.restart(survives, n);
            auto opened = Outbox::open(options(disk), 1);
            ASSERT_TRUE(opened) << opened.error().text;
            ASSERT_EQ(opened->moved_aside, "") << opened->corruption;
            ASSERT_THAT(kept(opened->outbox.unended()).size(), AnyOf(Eq(raised), Eq(raised + 1)));
        }
    }
}

}  // namespace
}  // namespace ocgate::notify
