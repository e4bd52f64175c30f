// What is told together in the morning.
#include <nlohmann/json.hpp>

#include "center_inside.hpp"
#include "center_kit.hpp"
#include "memory_disk.hpp"
#include "outbox_kit.hpp"

namespace ocgate::notify {
namespace {
using nlohmann::json;

class CenterDigest : public CenterTest {
protected:
    CenterDigest() {
        handling.targets = {"a"};
        handling.privacy = Privacy::full;
        of_kind["digest"] = handling;
        of_kind["digest"].hold = 0s;
    }
    /// Everything else is held until then.
    void quiet_until(rt::Instant end) { night_ends = end; }
    void happens_at_night(std::string const& key, std::string const& title = "Fix it",
                          Weight weight = Weight::complete) {
        auto& h = handling;
        h.digest = true;
        h.hold = night_ends - bench.clock.now();
        json const facts{{"project", "shop"},
                         {"session", {{"id", "ses_1"}, {"title", title}}},
                         {"error", {{"name", "APIError"}}},
                         {"at_ms", ms()}};
        center->raise({.key = key,
                       .kind = weight == Weight::error ? "error" : "complete",
                       .subject = "ses_1",
                       .weight = weight,
                       .facts = facts.dump()});
        bench.settle();
    }
    json digest() {
        auto const keys = keys_of("digest");
        EXPECT_THAT(keys, SizeIs(1));
        return keys.empty() ? json() : json::parse(incident_of(keys[0]).facts);
    }
    void morning() { bench.advance(night_ends - bench.clock.now()); }

    rt::Instant night_ends = bench.clock.now() + 8h;
};

TEST_F(CenterDigest, IsOneForAllOfTheNight) {
    begin_all();
    happens_at_night("complete/1");
    bench.advance(3h);
    happens_at_night("error/2", "Break it", Weight::error);
    bench.advance(night_ends - bench.clock.now() - 1ms);
    EXPECT_THAT(bodies("a"), IsEmpty());
    bench.advance(1ms);
    auto const keys = keys_of("digest");
    ASSERT_THAT(keys, SizeIs(1));
    EXPECT_THAT(said_to("a"), ElementsAre("publish " + keys[0]));
    // 1970-01-01 is a Thursday; the test's clock says which hour of it.
    EXPECT_THAT(digest()["items"][0].get<std::string>(), StartsWith("shop is done: “Fix it”, "));
    EXPECT_THAT(digest()["items"][1].get<std::string>(), StartsWith("shop failed: APIError: “Break it”, "));
    EXPECT_THAT(digest()["items"][1].get<std::string>(), testing::EndsWith(" UTC"));
    for (auto const* key : {"complete/1", "error/2"}) {
        EXPECT_EQ(incident(key), IncidentState::suppressed);
        EXPECT_EQ(incident_of(key).outcome, "digest");
    }
    EXPECT_EQ(center->counts().suppressed.at("digest"), 2u);
    EXPECT_EQ(center->counts().never_told, 0u);
    EXPECT_THAT(never_told, IsEmpty()) << "people do hear of it";
    bench.advance(24h);
    EXPECT_THAT(bodies("a"), SizeIs(1));
}

TEST_F(CenterDigest, ItsKeyIsTheMinuteOfTheEnd) {
    begin_all();
    happens_at_night("complete/1");
    auto const end = ms() + std::chrono::duration_cast<std::chrono::milliseconds>(8h).count();
    morning();
    EXPECT_THAT(keys_of("digest"), ElementsAre("digest/" + std::to_string((end + 30'000) / 60'000 * 60)));
}

TEST_F(CenterDigest, OfOneIsADigestStill) {
    begin_all();
    happens_at_night("complete/1");
    morning();
    EXPECT_THAT(digest()["items"], SizeIs(1));
    EXPECT_THAT(bodies("a"), SizeIs(1));
}

TEST_F(CenterDigest, HasNothingThatIsOverByThen) {
    begin_all();
    happens_at_night("complete/1");
    happens_at_night("complete/2");
    answered("complete/1", "continued");
    EXPECT_THAT(never_told, ElementsAre("complete/1"));
    morning();
    EXPECT_THAT(digest()["items"], SizeIs(1));
    EXPECT_EQ(incident("complete/1"), IncidentState::resolved);
    happens_at_night("late");
    answered("late", "continued");
    bench.advance(1h);
    EXPECT_THAT(bodies("a"), SizeIs(1)) << "nor is there an empty one";
}

TEST_F(CenterDigest, TakesTheHoldsThatEndWithinAMinute) {
    begin_all();
    auto const end = night_ends;
    happens_at_night("complete/1");
    quiet_until(end + 59s);
    happens_at_night("complete/2");
    quiet_until(end + 60s);
    happens_at_night("complete/3");
    quiet_until(end);
    morning();
    EXPECT_THAT(digest()["items"], SizeIs(2));
    bench.advance(1min);
    EXPECT_THAT(keys_of("digest"), SizeIs(2));
    EXPECT_EQ(incident("complete/3"), IncidentState::suppressed);
    EXPECT_THAT(bodies("a"), SizeIs(2));
}

TEST_F(CenterDigest, ASecondOneOfTheSameMinuteHasAnotherKey) {
    begin_all();
    happens_at_night("complete/1");
    morning();
    night_ends = bench.clock.now() + 1s;
    happens_at_night("complete/2");
    morning();
    auto const keys = keys_of("digest");
    ASSERT_THAT(keys, SizeIs(2));
    EXPECT_EQ(keys[0], keys[1] + "/2") << "the newest first";
    EXPECT_THAT(bodies("a"), SizeIs(2));
}

TEST_F(CenterDigest, NamesFiftyAndCountsTheRest) {
    begin_all();
    for (int i = 0; i < 60; ++i) happens_at_night("complete/" + std::to_string(i), std::string(5000, '"'));
    morning();
    EXPECT_THAT(digest()["items"], SizeIs(50));
    EXPECT_EQ(digest()["waiting"], 60);
    EXPECT_THAT(center->list(100), SizeIs(1));
    EXPECT_EQ(center->counts().suppressed.at("digest"), 60u);
    auto facts = digest();
    facts["event"] = "digest";
    auto const message = compose(facts, Privacy::full);
    EXPECT_EQ(message.title, "60 while it was quiet");
    EXPECT_THAT(message.body, testing::EndsWith("\nand 10 more"));
    EXPECT_EQ(compose(facts, Privacy::summary).body, "60 while it was quiet");
}

TEST_F(CenterDigest, OfThousandsIsADocumentStill) {
    begin_all();
    for (int i = 0; i < 3000; ++i) {
        center->raise({.key = "complete/" + std::string(200, 'x') + std::to_string(i),
                       .kind = "complete",
                       .subject = "s",
                       .weight = Weight::complete});
        handling.digest = true;
        handling.hold = 8h;
    }
    bench.settle();
    bench.advance(8h);
    EXPECT_THAT(center_troubles, IsEmpty());
    EXPECT_EQ(digest()["waiting"], 2999) << "the first was not held";
    EXPECT_THAT(center->list(10), SizeIs(2));
}

TEST_F(CenterDigest, TellsNoMoreThanEachRouteLetsOut) {
    handling.privacy = Privacy::minimal;
    begin_all();
    happens_at_night("complete/1", "a secret plan");
    morning();
    EXPECT_THAT(digest()["items"][0].get<std::string>(), StartsWith("shop is done, "));
}

TEST_F(CenterDigest, IsRoutedLikeAnythingElse) {
    add("a");
    add("b");
    of_kind["digest"].targets = {"b"};
    of_kind["digest"].hold = 30min;
    of_kind["digest"].digest = true;  // a digest is put into none
    begin_all();
    happens_at_night("complete/1");
    morning();
    EXPECT_THAT(bodies("b"), IsEmpty()) << "held, by a mute";
    bench.advance(30min);
    EXPECT_THAT(bodies("b"), SizeIs(1));
    EXPECT_THAT(bodies("a"), IsEmpty());
    of_kind["digest"].suppressed = "route";
    night_ends = bench.clock.now() + 1h;
    happens_at_night("complete/2");
    morning();
    EXPECT_EQ(incident("complete/2"), IncidentState::suppressed);
    EXPECT_EQ(center->counts().suppressed.at("route"), 1u);
    EXPECT_THAT(bodies("b"), SizeIs(1));
}

TEST_F(CenterDigest, ABlockIsNeverHeldForOne) {
    begin_all();
    handling.digest = true;
    happens("per_1");
    bench.advance(1s);
    EXPECT_THAT(said_to("a"), ElementsAre("publish per_1"));
}

TEST_F(CenterDigest, ComesAtOnceWhenItIsQuietNoMore) {
    begin_all();
    happens_at_night("complete/1");
    happens_at_night("complete/2");
    bench.advance(1h);
    handling.digest = false;
    handling.hold = 3s;
    center->route_again();
    bench.settle();
    bench.advance(1ms);
    EXPECT_THAT(keys_of("digest"), SizeIs(1));
    EXPECT_THAT(bodies("a"), SizeIs(1)) << "one voice still";
}

TEST_F(CenterDigest, WhatIsHeldForTheHoldBecomesPartOfIt) {
    begin_all();
    handling.hold = 3s;
    happens("complete/1", "ses_1", Weight::complete);
    handling.hold = 8h;
    handling.digest = true;
    center->route_again();
    bench.advance(8h);
    EXPECT_THAT(keys_of("digest"), SizeIs(1));
    EXPECT_EQ(incident("complete/1"), IncidentState::suppressed);
}

// ---- crashes

TEST_F(CenterDigest, ARestartAtNightKeepsHolding) {
    begin_all();
    happens_at_night("complete/1");
    bench.advance(1h);
    handling.hold = night_ends - bench.clock.now();
    crash();
    bench.advance(night_ends - bench.clock.now() - 1ms);
    EXPECT_THAT(bodies("a"), IsEmpty());
    bench.advance(1ms);
    EXPECT_THAT(keys_of("digest"), SizeIs(1));
}

TEST_F(CenterDigest, ARestartInTheMorningTellsOneDigest) {
    begin_all();
    happens_at_night("complete/1");
    happens_at_night("error/2", "Break it", Weight::error);
    end_center();
    bench.advance(10h);
    handling.digest = false;  // it is day
    handling.hold = 3s;
    begin_center();
    bench.advance(1min);
    EXPECT_THAT(keys_of("digest"), SizeIs(1));
    EXPECT_THAT(bodies("a"), SizeIs(1));
    EXPECT_THAT(digest()["items"], SizeIs(2));
}

TEST_F(CenterDigest, WhatIsHeldForAMomentIsToldByItselfAfterARestart) {
    begin_all();
    handling.hold = 3s;
    happens("complete/1", "ses_1", Weight::complete);
    end_center();
    bench.advance(10h);
    begin_center();
    bench.advance(3s);
    EXPECT_THAT(said_to("a"), ElementsAre("publish complete/1"));
}

TEST_F(CenterDigest, ACrashBetweenTheDigestAndTheEndsTellsEachOnce) {
    begin_all();
    happens_at_night("complete/1");
    happens_at_night("complete/2");
    end_center();
    // What was written before the crash: the digest, and one of the two ends.
    auto const at = ms();
    json const facts{{"items", {"one", "two"}}, {"waiting", 2}, {"keys", {"complete/1", "complete/2"}}};
    in_outbox([at, facts](Outbox& outbox) {
        return outbox.raise({.key = "digest/1",
                             .kind = "digest",
                             .subject = "digest",
                             .weight = Weight::complete,
                             .facts = facts.dump()},
                            at);
    });
    in_outbox([at](Outbox& outbox) {
        return outbox.end({.key = "complete/1", .state = IncidentState::suppressed, .outcome = "digest"}, at);
    });
    handling.digest = false;
    handling.hold = 3s;
    begin_center();
    EXPECT_EQ(incident("complete/2"), IncidentState::suppressed) << "it is in the digest";
    EXPECT_THAT(taken, ElementsAre("digest/1"));
    bench.advance(24h);
    EXPECT_THAT(said_to("a"), ElementsAre("publish digest/1"));
}

/// The power goes at each operation of the disk in turn, from the end of the night until all is said.
TEST_F(CenterDigest, ACrashAtAnyWriteLosesNothingAndSaysNothingTwice) {
    unsigned cuts = 0;
    for (bool cut = true; cut; ++cuts) {
        SCOPED_TRACE(cuts);
        MemoryDisk disk;
        Folder folder;
        auto const from_disk = [&] {
            auto opened = kept(Outbox::open({.folder = folder.path(), .vfs = disk.name()}, 1));
            return std::make_unique<Store>(std::move(opened.outbox));
        };
        auto const end_all = [&] {
            end_center();
            if (courier) stop();
            courier.reset();
            store.reset();
        };
        store = from_disk();
        http->asked.clear();
        add("a");
        begin_all();
        night_ends = bench.clock.now() + 8h;
        for (auto const* key : {"complete/1", "complete/2", "complete/3"}) happens_at_night(key);
        disk.cut_off_at(disk.operations() + cuts);
        morning();
        cut = disk.cut_off();
        end_all();
        disk.restart(MemoryDisk::Survives::some, cuts);

        store = from_disk();
        handling.digest = false;
        handling.hold = 3s;
        add("a");
        begin_all();
        bench.advance(1min);
        std::vector<std::string> told;
        for (auto const& digest : keys_of("digest")) {
            for (auto& key : told_in_digest(incident_of(digest).facts)) told.push_back(std::move(key));
            EXPECT_THAT(said_to("a"), testing::Contains("publish " + digest));
        }
        EXPECT_THAT(told, testing::UnorderedElementsAre("complete/1", "complete/2", "complete/3"));
        for (auto const* key : {"complete/1", "complete/2", "complete/3"}) {
            EXPECT_EQ(incident(key), IncidentState::suppressed) << key;
        }
        EXPECT_THAT(center->list(10), SizeIs(1)) << "the digest";
        end_all();
        if (HasFailure()) break;
    }
    store = std::make_unique<Store>(std::move(*Outbox::in_memory()));
    EXPECT_GT(cuts, 20u);
}

TEST_F(CenterDigest, WhenTheOutboxTakesNoneEachSpeaksForItself) {
    OutboxLimits limits;
    limits.unended = 2;
    store = std::make_unique<Store>(std::move(*Outbox::in_memory(limits)));
    begin_all();
    happens_at_night("complete/1");
    happens_at_night("complete/2");
    morning();
    EXPECT_THAT(center_troubles, ElementsAre(Trouble::full));
    EXPECT_THAT(said_to("a"), ElementsAre("publish complete/1", "publish complete/2"));
    EXPECT_THAT(keys_of("digest"), IsEmpty());
}

}  // namespace
}  // namespace ocgate::notify
