#!/usr/bin/env python3
"""A burst of events on the gateway's own subscription: its memory stays bounded, and whoever uses the gateway meanwhile
is served. How fast, `bench/flood` shows."""

import threading
import time

from kit import case, gateway
from kit.fake_ntfy import FakeNtfy
from kit.notifying import WithFakeOpencode, ntfy_target, route, sequence_of

EVENTS = 50_000
AT_ONCE = 500


class Flood(WithFakeOpencode):
    def test_fifty_thousand_events_at_once(self):
        ntfy = FakeNtfy(burst=10**6)
        self.addCleanup(ntfy.close)
        started = self.start_gateway({"targets": {"phone": ntfy_target(ntfy)}, "routes": [route("phone")]})
        client = started.client()
        for _ in range(50):
            client.get("/session")
        started.program.reset_peak()
        before, streams = started.program.status_kb("VmRSS"), self.opencode.streams_opened
        over = threading.Event()
        wrong, served = [], []

        def use_it():
            with client.connect() as connection:
                while not over.is_set():
                    try:
                        answer = client.get("/session", connection=connection)
                        (served if answer.status == 200 else wrong).append(answer.status)
                    except Exception as error:  # told below
                        wrong.append(error)
                        return
                    over.wait(0.005)

        user = threading.Thread(target=use_it)
        user.start()
        session = self.turn("Release 1")
        # As long as a word of a model, mostly; now and then a page of it. Each event in a chunk of its own.
        block = b"".join(self.opencode.told_event("x" * (4000 if n % 50 == 0 else 20)) for n in range(AT_ONCE))
        began = time.monotonic()
        for _ in range(EVENTS // AT_ONCE):
            self.opencode.pour(block)
        request = self.opencode.ask_permission(session, "make one")  # behind all of it
        sequence = sequence_of("permission", request)
        ntfy.wait_for(lambda: [m for m in ntfy.published() if m["sequence_id"] == sequence], 120)
        took = time.monotonic() - began
        over.set()
        user.join(60)
        peak = started.program.status_kb("VmHWM")
        read = started.metric("ocgate_tap_events_total")
        print(f"{EVENTS} events in {took:.1f} s ({EVENTS / took:,.0f}/s), the 0.2 s hold included; {len(served)} GETs")
        print(f"resident memory {before} kB, peak {peak} kB (+{peak - before} kB)")
        self.assertEqual(wrong, [])
        self.assertGreater(len(served), 10)
        self.assertGreaterEqual(read, EVENTS)
        self.assertEqual(self.opencode.streams_opened, streams, "the tap was cut")
        self.assertLess(peak - before, (24 if gateway.sanitized() else 8) * 1024)


if __name__ == "__main__":
    case.main()
