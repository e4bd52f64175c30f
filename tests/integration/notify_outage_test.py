#!/usr/bin/env python3
"""Whoever has to be told is told, whatever dies: the gateway, opencode, a target, the disk."""

import json
import random
import resource
import signal
import statistics
import time

from kit import case
from kit.fake_discord import FakeDiscord
from kit.fake_ntfy import FakeNtfy
from kit.notifying import (
    TOPIC, SmallDisk, WithPhone, discord_target, field, ntfy_target, posts, route, sequence_of, told,
)  # fmt: skip
from kit.opencode import Unavailable
from kit.waiting import until


class Outage(WithPhone):
    def page(self, started):
        return started.client().get_json("/_ocgate/notifications")

    def wait_page(self, started, wanted, timeout=30):
        return until(lambda: wanted(self.page(started)), timeout, 0.05, lambda: json.dumps(self.page(started))[:3000])

    def known(self, started):
        return {s["id"]: s["status"] for s in started.client().get_json("/_ocgate/sessions")["sessions"]}

    def wait_known_as(self, started, session, status):
        until(lambda: self.known(started).get(session) == status, 20, 0.02, lambda: self.known(started))


class GatewayDies(Outage):
    def test_killed_at_any_moment_each_is_told_and_shown_once(self):
        """From before the event was read until after the message was delivered."""
        seed = random.randrange(10**6)
        dice = random.Random(seed)
        print(f"seed {seed}")
        started = self.start()
        self.turn("something that waits all the time", "/workspaces/project")
        waiting = []
        for n in range(12):
            session = self.turn(f"Release {n}")
            waiting.append(self.opencode.ask_permission(session, f"make {n}"))
            time.sleep(dice.uniform(0, 0.5))
            started.kill()
            self.revive(started)
        self.wait_shown(*waiting)
        for n in range(12):
            sequences = {m["sequence_id"] for m in told(self.ntfy, f"“Release {n}”")}
            self.assertEqual(len(sequences), 1, f"make {n}")
        for request in waiting:
            self.opencode.answer(request)
            time.sleep(dice.uniform(0, 0.05))
        started.kill()
        self.revive(started)
        self.wait_shown()

    def test_asked_while_it_was_down_where_something_waited_already(self):
        started = self.start()
        known = self.opencode.ask_permission(self.turn("Release 1"), "make one")
        self.wait_shown(known)
        started.kill()
        asked = self.opencode.ask_permission(self.turn("Release 2"), "make two")
        self.revive(started)
        self.wait_shown(known, asked)

    def test_asked_while_it_was_down_where_nothing_waited(self):
        """Nothing in the outbox names that directory, and a waiting opencode says no more about it."""
        started = self.start()
        session = self.turn("Release 1", "/workspaces/quiet")
        self.opencode.complete(session)
        started.kill()
        asked = self.opencode.ask_permission(self.turn("Release 2", "/workspaces/quiet"), "make two")
        self.revive(started)
        self.wait_shown(asked)

    def test_asked_before_it_ever_ran(self):
        asked = self.opencode.ask_permission(self.turn("Release 1"), "make one")
        self.start()
        self.wait_shown(asked)

    def test_answered_while_it_was_down_is_taken_back(self):
        started = self.start()
        one = self.opencode.ask_permission(self.turn("Release 1"), "make one")
        two = self.opencode.ask_permission(self.turn("Release 2"), "make two")
        self.wait_shown(one, two)
        started.kill()
        self.opencode.answer(one)
        self.revive(started)
        self.wait_shown(two)

    def test_an_orderly_restart_says_nothing_anew(self):
        started = self.start()
        request = self.opencode.ask_permission(self.turn("Release 1"), "make one")
        self.wait_shown(request)
        before = len(self.ntfy.requests)
        started.restart()
        self.wait_heard(started)
        other = self.opencode.ask_permission(self.turn("Release 2"), "make two")
        self.wait_shown(request, other)
        self.assertEqual(len(self.ntfy.requests), before + 1)
        self.assertIs(started.client().post_json(f"/permission/{request}/reply", {"reply": "once"}), True)
        self.wait_shown(other)
        key = f"permission/{request}"
        ended = self.wait_page(started, lambda page: [i for i in page["incidents"] if i["key"] == key and "ended" in i])
        self.assertEqual(ended[0]["by"], "alice")

    def test_told_to_end_it_awaits_what_is_under_way(self):
        started = self.start()
        waiting = []
        for attempt in range(3):  # the machine may be too busy for two seconds
            known = len(self.ntfy.requests)
            self.ntfy.stall()
            waiting.append(self.opencode.ask_permission(self.turn(f"Release {attempt}"), "make"))
            self.ntfy.wait_for(lambda known=known: len(self.ntfy.requests) > known)
            began = time.monotonic()
            started.program.signal(signal.SIGTERM)
            started.wait_event("draining")
            self.ntfy.let_go()
            self.assertEqual(started.program.wait(30), 0)
            in_time = time.monotonic() - began < 1.5
            self.revive(started)
            waiting.append(self.opencode.ask_permission(self.turn(f"Next {attempt}"), "make"))
            self.wait_shown(*waiting)
            if in_time:
                self.assertEqual(len(self.ntfy.requests), known + 2, "nothing was sent again")
                return
        self.fail("it was never awaited, or never over within two seconds")

    def test_told_to_end_it_keeps_what_is_not_answered_in_two_seconds(self):
        started = self.start()
        self.ntfy.stall(times=-1)
        asked = self.opencode.ask_permission(self.turn("Release 1"), "make one")
        self.ntfy.wait_for(lambda: self.ntfy.requests)
        began = time.monotonic()
        started.program.signal(signal.SIGTERM)
        self.assertEqual(started.program.wait(30), 0)
        took = time.monotonic() - began
        self.assertGreater(took, 1.5, "the phone's server had its two seconds to answer")
        self.assertLess(took, 10, "and not the fifteen that a request may take")
        self.ntfy.clear_faults()
        self.revive(started)
        self.wait_shown(asked)

    def test_without_a_folder_it_says_so_and_tells_all_the_same(self):
        started = self.start(env={"OCGATE_STATE_DIR": "none"})
        request = self.opencode.ask_permission(self.turn("Release 1"), "make one")
        self.wait_shown(request)
        self.assertIs(self.page(started)["store"]["durable"], False)


class OpencodeDies(Outage):
    def test_what_waited_with_it_is_taken_back_and_its_absence_is_told(self):
        started = self.start(
            route("phone", events=["upstream_down"], hold="500ms"), route("phone"),
            config={"timeouts": {"probe_interval": "200ms", "probe": "1s"}},
        )  # fmt: skip
        request = self.opencode.ask_permission(self.turn("Release 1"), "make one")
        self.wait_shown(request)
        self.opencode.down()
        self.ntfy.wait_for(lambda: [m["title"] for m in self.ntfy.shown(TOPIC)] == ["opencode does not answer"], 40)
        self.opencode.up()
        self.ntfy.wait_for(lambda: not self.shown(), 40)
        self.opencode.wait_subscribed()
        again = self.opencode.ask_permission(self.turn("Release 2"), "make two")
        self.wait_shown(again)
        self.healthy(started)

    def test_what_happened_while_the_events_were_cut_is_found_by_asking(self):
        started = self.start(route("phone", min_duration="0s"))
        answered = self.opencode.ask_permission(self.turn("Release 1"), "make one")
        self.wait_shown(answered)
        running = self.turn("Release 2")
        self.wait_known_as(started, running, "busy")
        self.opencode.deaf = 0.3
        self.opencode.cut()
        # Nobody hears any of this.
        self.opencode.answer(answered)
        asked = self.opencode.ask_permission(self.turn("Release 3"), "make three")
        self.opencode.complete(running)
        self.opencode.wait_subscribed()
        self.ntfy.wait_for(lambda: sequence_of("permission", asked) in self.shown())
        self.ntfy.wait_for(lambda: sequence_of("permission", answered) not in self.shown())
        self.ntfy.wait_for(lambda: told(self.ntfy, "“Release 2” has finished"))
        self.assertEqual(len(told(self.ntfy, "“Release 2” has finished")), 1)


class TargetDies(Outage):
    def test_a_target_that_swallows_everything_delays_no_other(self):
        """The same work twice in one run: with a target that answers, and when it stalls for ever."""
        hole = FakeNtfy(burst=10**6)
        self.addCleanup(hole.close)
        self.start(route("phone", "hole", hold="0s"), targets={"hole": ntfy_target(hole)})

        def delays(name):
            taken = []
            for n in range(30):
                session = self.turn(f"{name} {n}")
                began = time.monotonic()
                self.opencode.ask_permission(session, "make")
                self.ntfy.wait_for(lambda text=f"“{name} {n}”": told(self.ntfy, text))
                taken.append(time.monotonic() - began)
            return taken

        delays("warm")
        before = delays("Well")
        hole.stall(times=-1)
        during = delays("Stalled")
        self.assertGreater(len([r for r in hole.requests if r.fault]), 0, "nothing was swallowed")
        for name, figure in (("median", statistics.median), ("longest", max)):
            print(f"{name}: {figure(before) * 1000:.1f} ms before, {figure(during) * 1000:.1f} ms beside it")
        # A request to the hole takes 15 s to be given up; any waiting for it would show.
        self.assertLess(statistics.median(during), 3 * statistics.median(before) + 0.25)

    def test_a_target_that_comes_back_is_told_everything_it_missed(self):
        self.start()
        self.ntfy.answer_with(503, b"", times=-1)
        waiting = [self.opencode.ask_permission(self.turn(f"Release {n}"), "make") for n in range(8)]
        self.ntfy.wait_for(lambda: len(self.ntfy.requests) >= 5)
        self.opencode.answer(waiting.pop())
        self.ntfy.clear_faults()
        self.wait_shown(*waiting, timeout=60)

    def test_when_the_days_messages_are_used_up_every_block_goes_to_the_fallback(self):
        """Also those that were on their way to the lane when it was closed."""
        other = FakeNtfy(burst=10**6)
        self.addCleanup(other.close)
        self.ntfy.daily_left = 3
        targets = {"phone": ntfy_target(self.ntfy, fallback=["other"]), "other": ntfy_target(other)}
        self.start(route("phone", hold="500ms"), targets=targets)
        waiting = [self.opencode.ask_permission(self.turn(f"Release {n}"), "make") for n in range(30)]
        other.wait_for(lambda: len(other.published()) >= len(waiting) - 3)
        sequences = {m["sequence_id"] for m in self.ntfy.published() + other.published()}
        self.assertEqual(sequences, {sequence_of("permission", request) for request in waiting})

    def test_cut_after_the_request_was_read_a_block_is_told_again_in_place(self):
        discord = FakeDiscord(limit=10**6)
        self.addCleanup(discord.close)
        self.start(targets={"team": discord_target(discord)}, env={"A_WEBHOOK_URL": discord.webhook_url})
        self.ntfy.cut(applied=True)
        discord.cut(applied=True)
        request = self.opencode.ask_permission(self.turn("Release 1"), "make one")
        self.ntfy.wait_for(lambda: len(told(self.ntfy, "make one")) == 2)
        self.wait_shown(request)
        # Discord has no such thing: a block is told twice rather than never.
        discord.wait_for(lambda: len(posts(discord, request)) == 2)
        self.assertEqual(field(posts(discord, request)[0], "Event"), "permission")

    def test_a_deleted_webhook_is_left_alone_at_once(self):
        discord = FakeDiscord(limit=10**6)
        self.addCleanup(discord.close)
        started = self.start(targets={"team": discord_target(discord)}, env={"A_WEBHOOK_URL": discord.webhook_url})
        discord.delete_webhook()
        for n in range(3):
            self.opencode.ask_permission(self.turn(f"Release {n}"), "make")
        self.ntfy.wait_for(lambda: len(told(self.ntfy, "make")) == 3)
        self.wait_page(started, lambda page: [t for t in page["targets"] if t["name"] == "team" and t["disabled"]])
        self.opencode.ask_permission(self.turn("Release 4"), "make")
        self.ntfy.wait_for(lambda: len(told(self.ntfy, "make")) == 4)
        self.assertLessEqual(discord.after_deletion, 1, "only what was in flight at the same time")
        started.kill()
        self.revive(started)
        self.wait_page(started, lambda page: [t for t in page["targets"] if t["name"] == "team" and t["disabled"]])
        self.assertLessEqual(discord.after_deletion, 1, "a restart is no reason to try again")


class DiskDies(Outage):
    def loud(self, started):
        return [e for e in started.log_entries() if e.get("event") == "outbox_in_memory" and e.get("level") == "error"]

    def degraded(self, started):
        return not self.page(started)["store"]["durable"]

    def test_a_full_disk_costs_the_memory_of_a_crash_and_nothing_else(self):
        try:
            disk = SmallDisk(self, kilobytes=1024)
        except Unavailable as reason:
            self.skipTest(str(reason))
        started = self.start(state_dir=disk.path / "state")
        before = self.opencode.ask_permission(self.turn("Release 0"), "make zero")
        self.wait_shown(before)
        disk.fill()
        waiting = [before]
        for n in range(20):
            waiting.append(self.opencode.ask_permission(self.turn(f"Release {n + 1}"), "make " + "more " * 200))
            self.healthy(started)
        self.wait_shown(*waiting)
        self.assertTrue(self.degraded(started))
        self.assertTrue(self.loud(started), started.logs())
        self.assertEqual(started.metric("ocgate_notify_store_durable"), 0.0)
        self.assertEqual(started.admin().get("/readyz").status, 200)
        # There is room again: within half a minute it goes back, and a crash loses nothing any more.
        disk.clear()
        self.wait_page(started, lambda page: page["store"]["durable"], timeout=60)
        self.assertEqual(started.metric("ocgate_notify_store_durable"), 1.0)
        started.kill()
        for request in waiting[1:]:
            self.opencode.answer(request)
        self.revive(started)
        self.wait_shown(before)

    def test_files_that_may_not_grow_are_a_full_disk(self):
        """Without root: the kernel's bound on a file's size. SQLite hears EFBIG."""
        started = self.start(ignored_signals=[signal.SIGXFSZ])
        first = self.opencode.ask_permission(self.turn("Release 0"), "make zero")
        self.wait_shown(first)
        resource.prlimit(started.program.pid, resource.RLIMIT_FSIZE, (4096, 4096))
        second = self.opencode.ask_permission(self.turn("Release 1"), "make one")
        self.wait_shown(first, second)
        self.healthy(started)
        self.assertTrue(self.degraded(started))
        self.assertTrue(self.loud(started), started.logs())

    def test_a_folder_that_cannot_be_had_is_told_at_the_start(self):
        started = self.start(state_dir="/proc/nowhere/at/all")
        self.assertTrue(self.degraded(started))
        request = self.opencode.ask_permission(self.turn("Release 1"), "make one")
        self.wait_shown(request)
        self.assertTrue(self.loud(started), started.logs())
        self.healthy(started)

    def test_a_damaged_file_makes_room_and_is_kept(self):
        started = self.start()
        request = self.opencode.ask_permission(self.turn("Release 1"), "make one")
        self.wait_shown(request)
        started.kill()
        file = started.state_dir / "outbox.db"
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        for rest in ("outbox.db-wal", "outbox.db-shm"):
            (started.state_dir / rest).unlink(missing_ok=True)
        damaged = b"this is no database, not at all; " * 1000
        file.write_bytes(damaged)
        self.revive(started)
        self.wait_page(started, lambda page: page["store"]["durable"])
        kept = list(started.state_dir.glob("outbox.db.corrupt-*"))
        self.assertEqual([one.read_bytes() for one in kept], [damaged], kept)
        corrupt = [e for e in started.log_entries() if e.get("event") == "outbox_corrupt" and e["level"] == "error"]
        self.assertEqual(len(corrupt), 1, started.logs())
        other = self.opencode.ask_permission(self.turn("Release 2"), "make two")
        self.ntfy.wait_for(lambda: sequence_of("permission", other) in self.shown())
        # What it knew is gone, so the first is told again: in place, by its name.
        self.opencode.answer(other)
        self.wait_shown(request)


if __name__ == "__main__":
    case.main()
