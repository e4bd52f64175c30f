#!/usr/bin/env python3
"""The dashboard is drawn from a real Prometheus, also where there is hardly anything to draw yet."""

import struct
import subprocess

from kit import case, prometheus
from kit.notifying import WithFakeOpencode
from kit.opencode import REPOSITORY, Unavailable

DRAW = REPOSITORY / "deploy/grafana/draw"


class Dashboard(WithFakeOpencode):
    def setUp(self):
        try:
            prometheus.binary()
        except Unavailable as reason:
            self.skipTest(str(reason))
        said = subprocess.run(["/usr/bin/python3", "-c", "import matplotlib"], capture_output=True, check=False)
        if said.returncode != 0:
            self.skipTest("/usr/bin/python3 has no matplotlib (Debian's package python3-matplotlib)")
        super().setUp()
        self.gateway = self.start_gateway()
        self.prometheus = prometheus.Prometheus({"ocgate": [self.gateway.admin_address]}, every="200ms")
        self.addCleanup(self.prometheus.close)

    def draw(self, *more):
        """The size of the picture, and what was said about it."""
        picture = self.prometheus.root / "picture.png"
        url = f"http://{self.prometheus.client.address}"
        words = [DRAW, "--prometheus", url, "--last", "30s", "--step", "1s", *more, picture]
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        content = picture.read_bytes()
        self.assertEqual(content[:8], b"\x89PNG\r\n\x1a\n")
        return struct.unpack(">II", content[16:24])

    def test_a_gateway_that_has_done_nothing(self):
        self.prometheus.wait_scraped()
        width, height = self.draw("--scale", "1")
        self.assertEqual(width, 1206)
        self.assertGreater(height, 1000)

    def test_all_panels_of_one_that_has(self):
        session = self.turn("A session")
        asked = self.opencode.ask_permission(session, "ls")
        for _ in range(20):
            self.gateway.client().get("/session")
        self.opencode.answer(asked, "once")
        self.opencode.complete(session)
        self.prometheus.wait_scraped()
        _, height = self.draw("--all", "--scale", "1")
        self.assertGreater(height, 3000)


if __name__ == "__main__":
    case.main()
