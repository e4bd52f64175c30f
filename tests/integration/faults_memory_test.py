#!/usr/bin/env python3
"""Little memory: a control group of 64 MiB, with many readers that take nothing.

The program is the release build: a sanitizer's own books weigh more than what is kept in them.
"""

import sys

from kit import case, gateway
from kit.faulting import Flow, WithFaultyOpencode
from kit.little_memory import GatewayWithin
from kit.opencode import Unavailable
from kit.sse import EventStream
from kit.waiting import until
from kit.websocket import WebSocket
from kit.wire import Connection


LIMIT = 64 << 20  # bytes


class LittleMemory(WithFaultyOpencode):
    timeouts = {"stall": "5m", "idle_body": "5m"}

    def setUp(self):
        gateway.demand_release("a sanitizer needs more than 64 MiB for itself")
        super().setUp()

    def test_slow_readers_in_64_mib(self):
        try:
            self.gateway = self.start_gateway(GatewayWithin, LIMIT)
        except Unavailable as reason:
            self.skipTest(str(reason))
        self.client = client = self.gateway.client()
        slow = []
        for n in range(40):
            for open_one in (
                lambda connection: connection.send_request("GET", "/flood", client.headers()),
                lambda connection: EventStream(client, "/events?every=0.001", connection=connection),
                lambda connection: WebSocket(client, "/pty/flood", connection=connection),
            ):
                connection = Connection(client.address, receive_buffer_bytes=8192 << (n % 6))
                self.addCleanup(connection.close)
                open_one(connection)
                slow.append(connection)
        flows = [Flow(client, target="/quick") for _ in range(4)]
        content = b"u" * (20 << 20)
        self.assertEqual(client.post("/quick", body=content, timeout=60).status, 200)
        until(lambda: all(flow.count(200) > 50 for flow in flows))
        for flow in flows:
            flow.stop()
        peak, rss = self.gateway.group.peak_bytes(), self.gateway.program.status_kb("VmHWM")
        print(
            f"{len(slow)} slow readers beside {sum(flow.count() for flow in flows)} requests in {LIMIT >> 20} MiB: "
            f"peak {peak / (1 << 20):.1f} MiB of the group, {rss / 1024:.1f} MiB resident",
            file=sys.stderr,
        )  # fmt: skip
        self.assertEqual(self.gateway.group.killed(), 0)
        self.assertEqual([set(flow.answers) for flow in flows], [{(200, None)}] * 4)
        self.assertEqual([flow.broken for flow in flows], [[]] * 4)
        self.assertEqual(self.gateway.metric("ocgate_streams_open"), 80)


if __name__ == "__main__":
    case.main()
