#!/usr/bin/env python3
"""What the machine and its neighbours do: an upstream that is wedged, breaks off or talks nonsense, clients that break
off, a disk that fails, a clock that is set, a gateway that is killed, secrets and files that change.

What is said here is said of everything at once: requests, streams, terminals, notifications, money. Single faults of
the notifications are in notify_outage_test.py, hosts that vanish without a word in faults_network_test.py, little memory
in faults_memory_test.py.
"""

import contextlib
import errno
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

from kit import case
from kit.bad_machine import BadMachine
from kit.faulting import BROKEN_OFF, Flow, WithFaultyOpencode
from kit.faulty_opencode import CLOSE, RESET, reset
from kit.notifying import WithPhone, route
from kit.opencode import Unavailable
from kit.sse import EventStream
from kit.waiting import until
from kit.websocket import WebSocket
from kit.wire import Client, Truncated

SOON = 5.0  # seconds that nothing here should take, and a busy machine may


class UpstreamFails(WithFaultyOpencode):
    timeouts = {"first_byte": "1500ms", "heartbeat": "300ms"}

    def test_wedged_with_open_connections(self):
        """As under SIGSTOP, or in a loop: it accepts, takes what fits, and says nothing more."""
        events = self.keep(EventStream(self.client, "/events?every=0.1"))
        terminal = self.keep(WebSocket(self.client, "/pty/a?every=0.1"))
        events.next(), terminal.receive()
        self.gateway.wait_event("upstream_up")
        self.opencode.wedge()
        wedged = time.monotonic()
        self.assertEqual(self.outcome(lambda: self.client.get("/quick")), "upstream response_head timed_out")
        self.assertEqual(self.outcome(lambda: self.client.post("/quick", {})), "upstream response_head timed_out")
        self.gateway.wait_event("upstream_down")
        print(f"wedged: known after {time.monotonic() - wedged:.1f} s", file=sys.stderr)
        self.assertEqual(self.gateway.admin().get("/readyz").status, 200)
        # Nobody is cut: what is open is kept open.
        while not events.next_block().startswith(b":"):
            pass
        terminal.send("typed meanwhile")
        self.opencode.unwedge()
        back = time.monotonic()
        until(lambda: self.client.get("/quick").status == 200)
        print(f"unwedged: answered after {time.monotonic() - back:.2f} s", file=sys.stderr)
        self.gateway.wait_event("upstream_up")
        events.next(), terminal.receive()
        self.assertIsNone(self.opencode.asked("/pty/a?every=0.1")[0].ended_at)

    def test_answers_that_are_no_answers(self):
        ok = b"HTTP/1.1 200 OK\r\n"
        nonsense = {
            "TLS": b"\x15\x03\x01\x00\x02\x02\x46",
            "SSH": b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
            "HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64\x00\x04\x00\x10\x00\x00\x00\x06",
            "HTTP/0.9": b"<html>welcome</html>\n",
            "noise": random.Random(7).randbytes(3000),
            "zeros": bytes(20000),
            "no end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000,
            "two lengths": ok + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            "length and chunks": ok + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "no status": b"HTTP/1.1 OK\r\n\r\n",
            "nothing": b"",
            "half a head": ok + b"Content-Ty",
            "101 unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        }
        for name, answer in nonsense.items():
            for ending in (CLOSE, RESET):
                with self.subTest(name, ending=ending):
                    self.opencode.script(answer, ending)
                    response = self.client.get("/script")
                    self.assertEqual(response.status, 502, str(response))
                    self.assertRegex(response.header("x-ocgate-error"), "^upstream response_head ")
                    self.assertEqual(self.client.get("/quick").status, 200)
        # A POST is asked once, whatever comes back.
        asked = len(self.opencode.asked("/script"))
        self.opencode.script(b"", RESET)
        self.assertEqual(self.client.post("/script", {}).status, 502)
        self.assertEqual(len(self.opencode.asked("/script")), asked + 1)

    def test_broken_off_in_the_middle_of_an_answer(self):
        ok = b"HTTP/1.1 200 OK\r\n"
        events = ok + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        halves = {
            "a length": ok + b"Content-Length: 100000\r\n\r\n" + b"h" * 50000,
            "chunks": ok + b"Transfer-Encoding: chunked\r\n\r\n8\r\nhalf of \r\n",
            "a chunk": ok + b"Transfer-Encoding: chunked\r\n\r\nff\r\nhalf of ",
            "chunk nonsense": ok + b"Transfer-Encoding: chunked\r\n\r\n4\r\nfour\r\nzz\r\n",
            "events": events + b"10\r\ndata: whole one\n\n\r\n",
            "an event": events + b"9\r\ndata: hal\r\n",
        }
        for name, answer in halves.items():
            for ending in (CLOSE, RESET):
                with self.subTest(name, ending=ending):
                    self.opencode.script(answer, ending)
                    self.assertEqual(self.outcome(lambda: self.client.get("/script")), "cut")
                    self.assertEqual(self.client.get("/quick").status, 200)
        for ending in (CLOSE, RESET):
            # Without a length, only RST tells that the end is none.
            self.opencode.script(ok + b"\r\nall there is", ending)
            self.assertEqual(self.outcome(lambda: self.client.get("/script")), {CLOSE: "200", RESET: "cut"}[ending])

    def test_killed_and_restarted_again_and_again_under_load(self):
        numbers = iter(range(10**9))
        flows = [Flow(self.client) for _ in range(2)]
        flows += [Flow(self.client, "POST", "/quick", lambda: {"n": next(numbers)}) for _ in range(2)]
        recoveries = []

        def each_has_more(status, count):
            before = [flow.count(status) for flow in flows]
            until(lambda: all(flow.count(status) >= n + count for flow, n in zip(flows, before)))

        for _ in range(4):
            each_has_more(200, 20)
            events = self.keep(EventStream(self.client, "/events?every=0.05"))
            terminal = self.keep(WebSocket(self.client, "/pty/a?every=0.05"))
            events.next(), terminal.receive()
            self.opencode.down()
            with self.assertRaises(BROKEN_OFF):
                while events.next() is not None:
                    pass
            self.assertFalse(events.ended_cleanly)
            self.assertEqual(terminal.closing_code(), 1006)
            each_has_more(503, 1)
            self.opencode.up()
            back = time.monotonic()
            until(lambda: self.client.get("/quick").status == 200)
            recoveries.append(time.monotonic() - back)
        for flow in flows:
            flow.stop()
        answers = {}
        for flow in flows:
            for key, count in flow.answers.items():
                answers[key] = answers.get(key, 0) + count
        print(f"back: answered after at most {max(recoveries) * 1000:.0f} ms; {answers}", file=sys.stderr)
        allowed = {
            (200, None), (503, "upstream dial refused"), (502, "upstream response_head cut_short"),
            (502, "upstream request_body cut_short"),
        }  # fmt: skip
        self.assertLessEqual(set(answers), allowed)
        self.assertEqual([line for flow in flows for line in flow.broken if "Truncated" not in line], [])
        bodies = [request.body for request in self.opencode.requests if request.method == "POST"]
        self.assertEqual(len(bodies), len(set(bodies)), "a change was asked for twice")


class ClientsBreakOff(WithFaultyOpencode):
    def test_an_rst_is_noticed_at_once_and_passed_on(self):
        """As FIN is (streams_test.py): a phone's system that ends a program sends one or the other."""
        headers = self.client.headers()
        opened = {}

        def request(target, method="GET", more=(), body=None):
            connection = self.client.connect()
            connection.send_request(method, target, [*headers, *more], body)
            opened[target] = connection

        opened["/events?a=1"] = EventStream(self.client, "/events?a=1").connection
        opened["/pty/a"] = WebSocket(self.client, "/pty/a").connection
        request("/held?a=1")
        request("/held?a=2", "POST", body=b"{}")
        request("/flood?a=1")
        opened["/flood?a=1"].read_exactly(1_000_000)
        request("/upload?a=1", "POST", [("Content-Length", "100000000")])
        opened["/upload?a=1"].send(b"u" * 1_000_000)
        for target, connection in opened.items():
            with self.subTest(target):
                asked = self.opencode.wait_asked(target)
                reset(connection.socket)
                left = time.monotonic()
                ended = self.opencode.wait_ended(asked, 30)
                self.assertIsNotNone(ended, "opencode still works for nobody")
                self.assertLess(ended - left, SOON)
        until(lambda: self.gateway.metric("ocgate_streams_open") == 0)
        self.assertEqual(self.client.get("/quick").status, 200)


class EverythingOpenWhenTheGatewayIsKilled(WithFaultyOpencode):
    def test_is_cut_visibly_on_both_sides(self):
        dice = random.Random()
        for n in range(2):
            client = self.gateway.client()
            events = self.keep(EventStream(client, f"/events?every=0.01&n={n}"))
            terminal = self.keep(WebSocket(client, f"/pty/a?every=0.01&n={n}"))
            raw = {}
            for method, target, more in (
                ("GET", f"/held?n={n}", ()), ("GET", f"/flood?n={n}", ()),
                ("POST", f"/upload?n={n}", [("Content-Length", "90000000")]),
            ):  # fmt: skip
                raw[target] = client.connect()
                self.addCleanup(raw[target].close)
                raw[target].send_request(method, target, client.headers(more))
            targets = (f"/events?every=0.01&n={n}", f"/pty/a?every=0.01&n={n}", *raw)
            asked = [self.opencode.wait_asked(target) for target in targets]
            time.sleep(dice.uniform(0, 0.2))
            self.gateway.kill()
            killed = time.monotonic()
            with self.assertRaises(BROKEN_OFF):
                while events.next() is not None:
                    pass
            self.assertEqual(terminal.closing_code(), 1006)
            for connection in raw.values():
                with self.assertRaises(BROKEN_OFF):
                    connection.read_response()
            for request in asked:
                ended = self.opencode.wait_ended(request, 30)
                self.assertIsNotNone(ended, f"{request.target}: opencode still works for nobody")
                self.assertLess(ended - killed, SOON)
            self.gateway.start()
            self.assertEqual(self.gateway.client().get("/quick").status, 200)
            print(f"killed: served again after {time.monotonic() - killed:.2f} s", file=sys.stderr)


class Notified(WithPhone):
    """The phone is told who waits."""

    def start(self, config=None, **kw):
        return super().start(route("phone", events=["permission"]), config=config, **kw)

    def machine(self):
        try:
            return BadMachine(self)
        except Unavailable as reason:
            self.skipTest(str(reason))

    def spent(self, started, period):
        return round(started.metric("ocgate_spent_usd", period=period), 9)

    def wait_spent(self, started, period, steps):
        """Each of the model's steps costs a cent."""
        until(lambda: self.spent(started, period) == round(0.01 * steps, 9), 20,
              what=lambda: f"{self.spent(started, period)} of the {period}, after {steps} steps")

    def in_outbox(self, started, question):
        """Asked of a copy: the file is the gateway's alone."""
        with tempfile.TemporaryDirectory(prefix="ocgate-test-") as folder:
            for name in ("outbox.db", "outbox.db-wal"):
                if (started.state_dir / name).exists():
                    shutil.copy(started.state_dir / name, folder)
            with contextlib.closing(sqlite3.connect(Path(folder) / "outbox.db")) as database:
                return database.execute(question).fetchall()

    def wait_noted(self, started):
        """The first note of what was spent: a gateway that never wrote one looks back at nothing."""
        until(lambda: self.in_outbox(started, "SELECT count(*) FROM notes WHERE name = 'purse'") == [(1,)])


class DiskFails(Notified):
    def test_whatever_writing_comes_to_everybody_is_served_and_told(self):
        for error in (errno.EIO, errno.EROFS):
            with self.subTest(errno.errorcode[error]):
                machine = self.machine()
                audit = machine.disk / "audit.jsonl"
                started = self.start(
                    {"audit": str(audit)}, state_dir=machine.disk / "state", env=machine.environment
                )  # fmt: skip
                events = EventStream(started.client(), "/global/event")
                self.addCleanup(events.close)
                before = self.ask("Release 1")
                self.wait_shown(before)
                machine.fail_disk(error)
                failed = time.monotonic()
                during = self.ask("Release 2")
                self.wait_shown(before, during)
                print(f"{errno.errorcode[error]}: told after {time.monotonic() - failed:.2f} s", file=sys.stderr)
                self.assertIs(started.client().post_json(f"/permission/{during}/reply", {"reply": "once"}), True)
                self.wait_shown(before)
                self.assertGreater(machine.failures, 0)
                until(lambda: started.metric("ocgate_notify_store_durable") == 0.0)
                started.wait_event("outbox_in_memory", level="error")
                self.healthy(started)
                self.assertEqual(started.admin().get("/readyz").status, 200)
                events.until_type("permission.replied")
                # And all is well: the audit at once, the notifications within half a minute (notify_outage_test.py).
                lines = audit.read_text(encoding="utf-8").count("\n")
                machine.fail_disk(0)
                started.client().post(f"/permission/{before}/reply", {"reply": "once"})
                self.wait_shown()
                until(lambda: audit.read_text(encoding="utf-8").count("\n") > lines)
                started.close()

    def test_an_audit_on_a_full_disk_says_what_it_lost(self):
        machine = self.machine()
        started = self.start({"audit": str(machine.disk / "audit.jsonl")}, env=machine.environment)
        machine.fail_disk(errno.ENOSPC)
        for n in range(3):  # what is lost is known at the next line
            self.assertIs(started.client().post_json(f"/permission/{self.ask(f'{n}')}/reply", {"reply": "once"}), True)
            until(lambda n=n: machine.failures > n)
        started.wait_event("audit_lost", level="error")


class ClockIsSet(Notified):
    DAYS = 2 * 86400

    def setUp(self):
        super().setUp()
        self.bad = self.machine()
        # It is noon in the middle of a month: in two days it is another day and the same month, for any test.
        noon = datetime.now(timezone.utc).replace(day=15, hour=12, minute=0, second=0)
        self.noon = noon.timestamp() - time.time()
        self.set_clock(0)

    def set_clock(self, seconds):
        """To so many seconds from noon, and for opencode as well: it runs on the same machine."""
        self.bad.set_clock(self.noon + seconds)
        self.opencode.clock_ahead = self.noon + seconds

    def wait_set(self, started):
        """Until the gateway's log has the machine's time: where it is never set, all the rest holds as well."""

        def is_now(entry):
            told = datetime.strptime(entry["time"], "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
            return abs(told - time.time() - self.opencode.clock_ahead) < 3600

        self.assertEqual(Client(started.address, "alice", "wrong").get("/global/health").status, 401)
        started.wait_event("request", status=401, such_that=is_now)

    def work(self, started, steps_of_day):
        """One step more, and what all of them have cost."""
        self.opencode.complete(self.turn("Work"))
        self.wait_spent(started, "day", steps_of_day)
        self.wait_spent(started, "month", self.opencode.ended_steps())

    def test_two_days_back_and_forth_delay_nothing_and_cut_nobody(self):
        """And what was spent stays what its own day cost."""
        started = self.start({"budgets": [{"period": "day", "usd": 1000}]}, env=self.bad.environment)
        client = started.client()
        events = EventStream(client, "/global/event")
        self.addCleanup(events.close)
        steps = {0: 1}
        self.work(started, 1)
        with client.connect() as connection:
            self.assertEqual(client.get("/global/health", connection=connection).status, 200)
            waiting = [self.ask("Release 0")]
            self.wait_shown(*waiting)
            for n, seconds in enumerate((self.DAYS, 0, -self.DAYS, 0), 1):
                with self.subTest(seconds):
                    # One fails and is to be tried again at a time of day that is about to be another.
                    self.ntfy.answer_with(503, b"", times=2)
                    requests = len(self.ntfy.requests)
                    waiting.append(self.ask(f"Release {n}"))
                    self.ntfy.wait_for(lambda requests=requests: len(self.ntfy.requests) > requests)
                    self.set_clock(seconds)
                    set_at = time.monotonic()
                    self.wait_shown(*waiting, timeout=60)
                    print(f"{seconds / 86400:+.0f} days: told after {time.monotonic() - set_at:.1f} s", file=sys.stderr)
                    self.assertEqual(client.get("/global/health", connection=connection).status, 200)
                    self.assertEqual(started.client().get("/global/health").status, 200)
                    self.wait_set(started)
                    steps[seconds] = steps.get(seconds, 0) + 1
                    self.work(started, steps[seconds])
        for request in waiting:
            self.opencode.answer(request)  # which ends a step
        self.wait_shown()
        self.wait_spent(started, "day", steps[0] + len(waiting))
        self.wait_spent(started, "month", self.opencode.ended_steps())
        events.until_type("permission.replied")

    def test_set_back_while_the_gateway_is_away(self):
        """What an earlier run put off by a clock that was days ahead is not put off for days, nor counted twice."""
        self.set_clock(self.DAYS)
        started = self.start(env=self.bad.environment)
        self.turn("something that works all the time")
        self.wait_noted(started)
        self.work(started, 1)
        self.ntfy.answer_with(503, b"", times=-1)
        waiting = [self.ask(f"Release {n}") for n in range(3)]
        self.ntfy.wait_for(lambda: len(self.ntfy.requests) >= 3)
        self.wait_set(started)
        started.kill()
        self.set_clock(0)
        self.ntfy.clear_faults()
        started.start()
        self.wait_heard(started)
        self.wait_shown(*waiting, timeout=40)
        self.wait_set(started)
        self.work(started, 1)


class GatewayDies(Notified):
    def test_killed_at_random_points_of_everything(self):
        """Requests, changes, streams, notifications and money at the same time."""
        seed = random.randrange(10**6)
        dice = random.Random(seed)
        print(f"seed {seed}", file=sys.stderr)
        started = self.start({"budgets": [{"period": "month", "usd": 1000}]})
        self.turn("something that works all the time")
        self.wait_noted(started)
        waiting, answered, ended_steps, outages = [], [], 0, []
        for n in range(6):
            client = started.client()
            flows = [Flow(client) for _ in range(3)]
            streams = [EventStream(client, "/global/event") for _ in range(3)]
            for events in streams:
                self.addCleanup(events.close)
            asked = [self.ask(f"Release {n}{name}") for name in "abc"]
            session = self.turn(f"Work {n}")
            until(lambda flows=flows: all(flow.count(200) for flow in flows))
            replies = []

            def answer(requests=asked[:2], client=client, replies=replies):
                for request in requests:
                    try:
                        replies.append((request, client.post(f"/permission/{request}/reply", {"reply": "once"}).status))
                    except (OSError, Truncated):
                        replies.append((request, None))

            answering = threading.Thread(target=answer, daemon=True)
            moment = dice.uniform(0, 0.35)
            answering.start()
            self.opencode.complete(session)
            ended_steps += 1
            time.sleep(moment)
            started.kill()
            killed_at = time.monotonic()
            answering.join(30)
            for flow in flows:
                flow.stop()
                self.assertEqual({status for status, _ in flow.answers}, {200})
            for events in streams:
                with self.assertRaises(BROKEN_OFF):
                    while events.next() is not None:
                        pass
                self.assertFalse(events.ended_cleanly, "a cut stream must not look like the end of all events")
            for request, status in replies:
                self.assertIn(status, (200, None))
                if status == 200:
                    self.assertNotIn(request, self.opencode.waiting(), "told that it was done, and it was not")
            started.start()
            self.healthy(started)
            outages.append(time.monotonic() - killed_at)
            self.wait_heard(started)
            answered += asked[:2]
            waiting.append(asked[2])
        for request in answered:
            self.opencode.answer(request)
        print(f"served again {max(outages):.2f} s after the kill at the latest", file=sys.stderr)
        self.wait_shown(*waiting)  # each of them, once
        steps = self.opencode.ended_steps()
        self.assertGreaterEqual(steps, ended_steps)
        self.wait_spent(started, "month", steps)
        started.kill()
        self.assertEqual(self.in_outbox(started, "PRAGMA integrity_check"), [("ok",)])


class Reloads(Notified):
    """Files change while everything is in use."""

    def write(self, path, text):
        staged = path.with_suffix(".new")
        staged.write_text(text, encoding="utf-8")
        staged.replace(path)

    def start_with_bob(self):
        folder = tempfile.TemporaryDirectory(prefix="ocgate-test-")
        self.addCleanup(folder.cleanup)
        self.secret = Path(folder.name) / "bob"
        self.write(self.secret, "secret 0\n")
        return self.start({"users": [{"name": "bob", "password": {"file": str(self.secret)}}]})

    def bob(self, started, number):
        return Client(started.address, "bob", f"secret {number}").get("/global/health").status

    def test_a_secret_changes_under_load(self):
        started = self.start_with_bob()
        alice = [Flow(started.client()) for _ in range(2)]
        events = EventStream(started.client(), "/global/event")
        self.addCleanup(events.close)
        waits = []
        for number in range(1, 6):
            bob = Flow(Client(started.address, "bob", f"secret {number - 1}"))
            until(lambda bob=bob: bob.count(200) > 5)
            self.write(self.secret, f"secret {number}\n")
            changed = time.monotonic()
            until(lambda number=number: self.bob(started, number) == 200)
            waits.append(time.monotonic() - changed)
            until(lambda bob=bob: bob.count(401) + bob.count(429))
            bob.stop()
            self.assertEqual(bob.broken, [])
            self.assertLessEqual(
                set(bob.answers), {(200, None), (401, "client admission unauthorized")}, "the old one ends, no more"
            )
            self.assertEqual(self.bob(started, number - 1), 401)
        print(f"a new secret held after at most {max(waits):.2f} s", file=sys.stderr)
        for flow in alice:
            flow.stop()
            self.assertEqual((set(flow.answers), flow.broken), ({(200, None)}, []))
        request = self.ask("still heard")
        events.until_type("permission.asked")
        self.wait_shown(request)

    def test_broken_files_under_load_change_nothing(self):
        started = self.start_with_bob()
        flows = [Flow(started.client()), Flow(Client(started.address, "bob", "secret 0"))]
        events = EventStream(started.client(), "/global/event")
        self.addCleanup(events.close)
        good = started.config_path.read_text(encoding="utf-8")
        waiting = [self.ask("before")]
        self.wait_shown(*waiting)
        config = json.loads(good)
        broken = [
            "", "{", "null", "[]", "\x00" * 4096, good[: len(good) // 2], good.replace('"bob"', "17"),
            json.dumps({**config, "no_such_key": 1}), json.dumps({**config, "upstream": "ftp://x"}),
            json.dumps({**config, "htpasswd_file": str(started.root)}),
            json.dumps({**config, "users": [{"name": "bob", "password": {"file": "/nowhere/at/all"}}]}),
            json.dumps({**config, "notifications": {**config["notifications"], "routes": [{"targets": ["nobody"]}]}}),
        ]  # fmt: skip
        for text in broken:
            with self.subTest(text[:60]):
                started.write_config(text)
                started.wait_event("reload_failed")
        started.write_config(good)
        started.wait_event("reloaded")
        # The secret's own file: empty, gone, and a folder in its place.
        for spoil in (lambda: self.write(self.secret, ""), self.secret.unlink, self.secret.mkdir):
            spoil()
            started.wait_event("reload_failed")
            self.assertEqual(self.bob(started, 0), 200)
        self.secret.rmdir()
        self.write(self.secret, "secret 1\n")
        for flow in flows:
            flow.stop()
            self.assertEqual((set(flow.answers), flow.broken), ({(200, None)}, []))
        until(lambda: self.bob(started, 1) == 200)
        waiting.append(self.ask("after"))
        events.until_type("permission.asked")
        self.wait_shown(*waiting)


if __name__ == "__main__":
    case.main()
