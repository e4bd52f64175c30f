#!/usr/bin/env python3
"""README's first command, with the gateway that was built for the tests."""

import os
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from kit import case, gateway, opencode
from kit.process import Program

UP = Path(__file__).resolve().parents[2] / "deploy" / "local" / "up"


class Up(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            opencode.binary()  # fetches the pinned one, or says why it cannot
        except opencode.Unavailable as reason:
            raise unittest.SkipTest(str(reason)) from None

    def environment(self, **more):
        return {**os.environ, **gateway.environment(OCGATE_BINARY=gateway.binary(), **more)}

    def check(self, **more):
        done = subprocess.run(
            [UP, "--check"], env=self.environment(**more), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=180, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("all checks passed", done.stdout)
        self.assertNotIn("FAIL", done.stdout)

    def test_check_finds_everything_in_order(self):
        self.check()

    def test_settings_of_the_users_do_not_get_in_its_way(self):
        self.check(
            OCGATE_LOG_LEVEL="warn",
            OCGATE_LOG_FORMAT="text",
            OCGATE_ACCESS_LOG="false",
            OCGATE_UPSTREAM="http://127.0.0.1:1",
            OCGATE_UPSTREAM_USERNAME="somebody",
            OCGATE_UPSTREAM_PASSWORD_FILE="/no/such/file",
            OCGATE_LISTEN="[::1]:0",
            OCGATE_TIMEOUTS_DRAIN="0",
            OPENCODE_SERVER_USERNAME="ann",
        )

    def test_nor_does_a_file_that_wants_no_log_or_a_socket_instead_of_a_port(self):
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder) / "ocgate.json"
            config.write_text('{"log_level": "off", "threads": 2}', encoding="utf-8")
            self.check(
                OCGATE_CONFIG=str(config),
                OCGATE_LISTEN=f"unix:{folder}/traffic.sock",
                OCGATE_ADMIN_LISTEN=f"unix:{folder}/admin.sock",
            )

    def test_an_interrupted_check_has_not_found_everything_in_order(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                up = Program("up", [UP, "--check"], env=self.environment())
                self.addCleanup(up.kill)
                up.wait_line(lambda line: line.startswith("ok "), 120)
                up.signal(number)
                self.assertEqual(up.wait(120), 1, up.logs())
                self.assertNotIn("all checks passed", up.logs())


if __name__ == "__main__":
    case.main()
