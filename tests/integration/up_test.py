#!/usr/bin/env python3
"""README's first command, with the gateway that was built for the tests."""

import os
import subprocess
import unittest
from pathlib import Path

from kit import case, gateway, opencode

UP = Path(__file__).resolve().parents[2] / "deploy" / "local" / "up"


class Up(unittest.TestCase):
    def test_check_finds_everything_in_order(self):
        try:
            opencode.binary()  # fetches the pinned one, or says why it cannot
        except opencode.Unavailable as reason:
            self.skipTest(str(reason))
        env = {**os.environ, **gateway.environment(OCGATE_BINARY=gateway.binary())}
        done = subprocess.run(
            [UP, "--check"], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("all checks passed", done.stdout)
        self.assertNotIn("FAIL", done.stdout)


if __name__ == "__main__":
    case.main()
