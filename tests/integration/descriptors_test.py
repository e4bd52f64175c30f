#!/usr/bin/env python3
"""A gateway that has no file descriptors left: it waits without spinning, what is open goes on, whoever asks for
nothing makes room, and when there are some again all is as before.

Not with sanitizers: UBSan opens a pipe to find out whether memory can be read, and takes its failing for a bad object.
"""

import json
import resource
import signal
import socket
import statistics
import tempfile
import time

from kit import case, gateway
from kit.crowd import (
    HEALTH, PATIENCE, Crowd, WithCrowds, cpu_seconds, descriptor_limit, descriptor_numbers, open_descriptors,
)  # fmt: skip
from kit.sse import EventStream
from kit.websocket import WebSocket
from kit.wire import Connection


class Descriptors(WithCrowds):
    def setUp(self):
        gateway.demand_release("UBSan needs descriptors of its own")
        super().setUp()

    def shrink_descriptors(self, started, free):
        """So many more than are open now; the gateway raised its limit when it began."""
        pid = started.program.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptor_limit(pid, free), before[1]))
        self.addCleanup(resource.prlimit, pid, resource.RLIMIT_NOFILE, before)

    def fill_holes(self, started):
        """The limit bounds numbers, and a new descriptor takes the lowest: while one below the highest is free, closing
        a higher one would not help. Connections that ask for nothing take them; they are to be closed by the caller."""
        fillers = []

        def whole():
            taken = descriptor_numbers(started.program.pid)
            for _ in range(max(taken) + 1 - len(taken)):
                fillers.append(Connection(started.address))
                self.addCleanup(fillers[-1].close)
            return max(taken) + 1 == len(taken)

        self.wait_for("no number is free between those that are taken", whole)
        return fillers

    def test_without_descriptors_it_pauses_and_recovers(self):
        started = self.start()
        pid = started.program.pid
        stream = WebSocket(started.client(), "/pty/p/connect")
        self.addCleanup(stream.connection.close)
        self.shrink_descriptors(started, free=20)
        held = []  # streams are at work, so none of them makes room
        # The last one is told so, or not even taken in.
        with self.assertRaisesRegex((AssertionError, TimeoutError), "gateway dial too_many|timed out"):
            while True:
                held.append(EventStream(started.client(), "/event", timeout=1))
        with Crowd(started.address, 60) as crowd, Crowd(started.admin_address, 3):
            self.wait_for("there are none left", lambda: self.accept_failures(started) > 0)
            asker = socket.socket(socket.AF_UNIX)
            self.addCleanup(asker.close)
            asker.connect(str(started.control_socket))
            asker.sendall(b"hello\n")
            used, began = cpu_seconds(pid), time.monotonic()
            echoes = []
            while time.monotonic() < began + 2:
                at = time.monotonic()
                stream.send("still here")
                self.assertEqual(stream.receive()[1], b"still here")
                echoes.append(time.monotonic() - at)
                time.sleep(0.05)
            used = cpu_seconds(pid) - used
            print(
                f"  without descriptors for 2 s: {used * 1000:.0f} ms of processor, echo p50 "
                f"{statistics.median(echoes) * 1000:.1f} ms, max {max(echoes) * 1000:.1f} ms"
            )
            self.assertLess(used, 0.15, "it waits, it does not spin")
            crowd.say(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            for one in held:
                one.close()
            # Each that ends makes room for the next, which has waited in the kernel's queue.
            self.assertTrue(crowd.hear(PATIENCE, Crowd.all_ended))
            told = crowd.statuses()
            self.assertEqual(set(told) - {0}, {401}, told)
            self.assertGreater(told[401], 40, "a few have lent their descriptor to the next, after half a second")
        asker.settimeout(PATIENCE)
        self.assertEqual(asker.recv(100), b"unknown command\n")
        self.assertEqual(started.client().get(HEALTH).status, 200)
        self.assertGreater(self.errors(started, side="gateway", step="accept"), 0)

    @staticmethod
    def outcome(line):
        entry = json.loads(line) if line.startswith("{") else {}
        return entry if entry.get("event") in ("reloaded", "reload_failed") else None

    def test_files_that_cannot_be_read_for_want_of_one_are_read_later(self):
        started = self.start()

        def refused():
            """Connections that are still closing lend theirs to the reading."""
            self.shrink_descriptors(started, free=0)
            started.program.signal(signal.SIGHUP)
            told.append(started.program.wait_line(self.outcome, 30))
            return told[-1]["event"] == "reload_failed"

        told = []
        self.wait_for("the configuration cannot be read", refused)
        self.assertIn("Too many open files", told[-1]["errors"])
        self.assertEqual(told[-1]["message"], "nothing was changed")
        self.shrink_descriptors(started, free=20)
        started.wait_event("reloaded")  # nobody asked, and no file has changed

    def test_a_reload_that_finds_none_says_so_and_the_next_is_heard(self):
        folder = tempfile.TemporaryDirectory(prefix="ocgate-test-")
        self.addCleanup(folder.cleanup)
        audit = f"{folder.name}/audit.jsonl"
        started = self.start(config={"audit": audit})

        def reload(place):
            config = json.loads(started.config_path.read_text(encoding="utf-8"))
            started.write_config({**config, "audit": place})
            started.program.signal(signal.SIGHUP)

        def failed():
            """One descriptor is for the file, what writes it needs another; connections that are still closing lend it
            theirs."""
            reload("log")
            started.wait_event("reloaded")
            self.shrink_descriptors(started, free=1)
            reload(audit)
            told.append(started.program.wait_line(self.outcome, 30))
            return told[-1]["event"] == "reload_failed"

        told = []
        self.wait_for("a reload finds none", failed)
        self.assertIn("Too many open files", told[-1]["errors"])
        self.assertEqual(started.metric("ocgate_config_last_reload_successful"), 0)
        self.shrink_descriptors(started, free=20)
        started.program.signal(signal.SIGHUP)
        started.wait_event("reloaded")  # and SIGTERM, which ends it now

    def accept_failures(self, started):
        # The admin port may be without descriptors, too: the log says it as well.
        return sum(entry.get("step") == "accept" for entry in started.log_entries())

    def test_without_descriptors_for_the_upstream_it_says_so(self):
        started = self.start(timeouts={"idle_upstream": "100ms", "probe_interval": "1h"})
        client = started.client()
        low, one, idle = (Connection(started.address) for _ in range(3))
        self.addCleanup(one.close)
        self.addCleanup(idle.close)
        for connection in (idle, one):
            self.assertEqual(client.get(HEALTH, connection=connection).status, 200)
        self.addCleanup(EventStream(client, "/event").close)
        self.wait_for("idle connections to opencode are gone", lambda: self.upstream.open <= 2)
        low.close()  # leaves a hole below the others
        time.sleep(0.6)  # who has just been answered is let be for half a second
        fillers = self.fill_holes(started)
        self.shrink_descriptors(started, free=0)
        self.assertEqual(client.get(HEALTH, connection=one).status, 200)
        self.assertTrue(idle.at_end(), "who asked for nothing has lent its descriptor")
        self.wait_for("and that is free again", lambda: self.upstream.open <= 2)
        most = open_descriptors(started.program.pid) - len(fillers)
        for filler in fillers:  # they would lend theirs, too
            filler.close()
        self.wait_for("the others are gone", lambda: open_descriptors(started.program.pid) <= most)
        self.shrink_descriptors(started, free=0)
        answer = client.get(HEALTH, connection=one)
        self.assertEqual((answer.status, answer.header("x-ocgate-error")), (503, "gateway dial too_many"))
        self.assertEqual(answer.header("retry-after"), "1")
        self.shrink_descriptors(started, free=1)
        self.assertEqual(client.get(HEALTH, connection=one).status, 200)


if __name__ == "__main__":
    case.main()
