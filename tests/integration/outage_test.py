#!/usr/bin/env python3
"""opencode crashes, is away, and comes back."""

import time

from kit import case
from kit.sse import EventStream
from kit.waiting import until
from kit.websocket import UpgradeRefused, WebSocket
from kit.wire import Truncated

AT_ONCE = 2.5  # seconds: a refused dial needs none, the dial deadline is 2


class Outage(case.WithOpencode):
    model_wanted = False

    def setUp(self):
        self.addCleanup(self.come_back)

    def come_back(self):
        if not self.opencode.program.running():
            self.opencode.start()

    def assert_unavailable_at_once(self, ask):
        asked_at = time.monotonic()
        response = ask()
        self.assertLess(time.monotonic() - asked_at, AT_ONCE)
        self.assert_gateway_error(response, 503)
        self.assertGreater(int(response.header("retry-after")), 0)
        self.assertTrue(response.header("x-ocgate-error").startswith("upstream "), str(response))

    def test_away_is_503_at_once_and_back_is_back(self):
        self.assertEqual(self.client.get("/global/health").status, 200)
        self.opencode.kill()
        self.assert_unavailable_at_once(lambda: self.client.get("/global/health"))
        self.assert_unavailable_at_once(lambda: self.client.get("/global/event"))
        self.assert_unavailable_at_once(lambda: self.client.post("/session", {"title": "x"}))
        with self.assertRaises(UpgradeRefused) as refused:
            WebSocket(self.client, "/pty/pty_x/connect")
        self.assert_gateway_error(refused.exception.response, 503)
        self.opencode.start()
        self.assertEqual(self.client.get("/global/health").status, 200)
        self.assertEqual(self.client.post("/session", {"title": "x"}).status, 200)

    def test_a_pooled_connection_gone_stale_is_not_the_clients_trouble(self):
        with self.client.connect() as connection:
            self.assertEqual(self.client.get("/global/health", connection=connection).status, 200)
            self.opencode.kill()
            self.opencode.start()
            self.assertEqual(self.client.get("/global/health", connection=connection).status, 200)

    def test_streams_cut_by_a_crash_look_cut(self):
        pty = self.new_pty()
        terminal = self.connect_pty(pty)
        terminal.ping()
        with EventStream(self.client, "/global/event") as events, self.client.connect() as polling:
            events.until_type("server.connected")
            polling.send_request("GET", "/tui/control/next", self.client.headers())
            self.opencode.kill()
            with self.assertRaises((Truncated, ConnectionResetError)):
                while events.next() is not None:
                    pass
            self.assertFalse(events.ended_cleanly)
            self.assertEqual(terminal.closing_code(), 1006)  # whatever the shell had still said
            answer = polling.read_response()
            self.assertIn(answer.status, (502, 503))
            self.assert_gateway_error(answer, answer.status)

    def wait_ready(self, admin, timeout=60):
        """The gateway's own subscription comes back a little after opencode does."""
        until(lambda: admin.get("/readyz?upstream=1").status == 200, timeout, 0.05, "ready, with opencode")

    def test_health_tells_the_gateway_from_the_upstream(self):
        started = self.start_gateway()  # one whose log holds nothing of the other tests' outages
        admin = started.admin()
        self.wait_ready(admin)
        self.opencode.kill()
        started.wait_event("upstream_down", 60)
        self.assertEqual(admin.get("/livez").status, 200)
        self.assertEqual(admin.get("/readyz").status, 200, "by default the gateway answers for itself alone")
        with_upstream = admin.get("/readyz?upstream=1")
        self.assertEqual(with_upstream.status, 503)
        self.assertIn("upstream", with_upstream.body.decode())
        self.assertEqual(started.metric("ocgate_upstream_up"), 0.0)
        self.opencode.start()
        started.wait_event("upstream_up", 60)
        self.wait_ready(admin)
        self.assertEqual(started.metric("ocgate_upstream_up"), 1.0)


if __name__ == "__main__":
    case.main()
