#!/usr/bin/env python3
"""Ten thousand connections that ask for nothing, and a thousand event streams beside them: all are taken in, whoever
asks for something is served meanwhile, each costs what is known of it, and nothing of them is left.

The program is the release build: memory is what this is about.
"""

import resource
import unittest

from kit import case, gateway
from kit.crowd import EVENT, HEALTH, PATIENCE, Crowd, WithCrowds, open_descriptors
from kit.wire import basic

IDLE, STREAMS = 10_000, 1_000
AT_ONCE = 200  # connections that ask at the same time: fewer than one client may have
OTHERS = 16  # connections beside the crowd
OWN_DESCRIPTORS = 256  # that the gateway keeps for itself; of its clients each has room for two
IDLE_KB, STREAM_KB = 4, 8  # resident memory of one, at most


class Idle(WithCrowds):
    def setUp(self):
        gateway.demand_release("its memory says nothing")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        room = IDLE + STREAMS + OTHERS
        if hard != resource.RLIM_INFINITY:
            room = min(room, (hard - OWN_DESCRIPTORS) // 2)
        self.idle = (room - STREAMS - OTHERS) // AT_ONCE * AT_ONCE
        if self.idle < IDLE // 2:
            raise unittest.SkipTest(f"{hard} open files (ulimit -Hn) are too few for {IDLE // 2} idle connections")
        super().setUp()

    def test_ten_thousand_that_ask_for_nothing(self):
        started = self.start({"connections": self.idle + STREAMS + OTHERS})
        self.assertEqual([line for line in started.log_entries() if line["event"] == "few_descriptors"], [])
        pid = started.program.pid
        login = basic(started.username, started.password).encode()
        asked = b"GET %s HTTP/1.1\r\nHost: a\r\nAuthorization: " + login + b"\r\n\r\n"
        opened, resident = [open_descriptors(pid)], [started.program.status_kb("VmRSS")]
        crowds = []

        def look():
            opened.append(open_descriptors(pid))
            resident.append(started.program.status_kb("VmRSS"))

        def come(count, target, wanted):
            """So many more, by clients of their own, until each has what it asked for."""
            for _ in range(count // AT_ONCE):
                crowd = Crowd(started.address, AT_ONCE, source=f"127.0.1.{len(crowds) + 1}")
                self.addCleanup(crowd.close)
                crowds.append(crowd)
                crowd.say(asked % target)
                crowd.hear(PATIENCE, lambda c: all(wanted in heard for heard in c.heard))
                self.assertEqual(crowd.statuses(), {200: AT_ONCE})
            look()

        def stay():
            come(self.idle, HEALTH.encode(), b'"healthy": true')
            come(STREAMS, b"/event", EVENT)
            self.assertEqual(started.metric("ocgate_streams_open"), STREAMS)
            self.assertGreaterEqual(started.metric("ocgate_open_connections", side="client"), self.idle + STREAMS)
            # Nobody had to make room for another, and they are as good as new.
            for crowd in (crowds[0], crowds[self.idle // AT_ONCE - 1]):
                crowd.heard = [bytearray() for _ in crowd.members]
                crowd.say(asked % HEALTH.encode())
                crowd.hear(PATIENCE, lambda c: all(b'"healthy": true' in heard for heard in c.heard))
                self.assertEqual(crowd.statuses(), {200: AT_ONCE})
            for crowd in crowds:
                crowd.hear(0)
                self.assertEqual(sum(crowd.ended), 0)

        self.ask_while(started, stay)
        grown = [after - before for before, after in zip(resident, resident[1:])]
        print(
            f"  {self.idle} idle connections: {grown[0] / self.idle:.2f} kB resident each; {STREAMS} event streams: "
            f"{grown[1] / STREAMS:.2f} kB each; {resident[0]} kB before them, descriptors {opened}"
        )
        self.assertLess(grown[0], self.idle * IDLE_KB)
        self.assertLess(grown[1], STREAMS * STREAM_KB)
        for crowd in crowds:
            crowd.close()
        self.wait_for("nothing is left of them", lambda: open_descriptors(pid) <= opened[0] + 32)  # kept for opencode
        self.wait_for("opencode sees nobody", lambda: self.upstream.streams == 1)  # but the gateway's own
        self.assertEqual(started.metric("ocgate_streams_open"), 0)
        print(f"  afterwards: descriptors {open_descriptors(pid)}, resident {started.program.status_kb('VmRSS')} kB")


if __name__ == "__main__":
    case.main()
