#!/usr/bin/env python3
"""A program using @opencode-ai/sdk, from npm at opencode's own version, through the gateway."""

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path

from kit import case
from kit.model import Say
from kit.opencode import FETCHER, Unavailable


def sdk_folder():
    """A folder whose node_modules holds the SDK, fetched the first time. Unavailable without node, npm or registry."""
    for program in ("node", "npm"):
        if not shutil.which(program):
            raise Unavailable(f"{program} is not installed")
    version = subprocess.run([FETCHER, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "opencode-gateway"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"opencode-sdk-{version}"
    with open(cache / ".sdk-lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            staging = cache / f".staging-sdk-{os.getpid()}"
            package = f"@opencode-ai/sdk@{version}"
            options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries", "2"]
            done = subprocess.run(
                ["npm", "install", "--prefix", staging, *options, package],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                shutil.rmtree(staging, ignore_errors=True)
                raise Unavailable(f"npm could not fetch {package}: {done.stdout.strip()[-600:]}")
            staging.rename(folder)
    return folder


class Sdk(case.WithOpencode):
    def test_session_events_and_prompt(self):
        try:
            folder = sdk_folder()
        except Unavailable as reason:
            self.skipTest(str(reason))
        self.model.script(Say("Hello, program."))
        program = Path(__file__).with_name("sdk_client.mjs")
        done = subprocess.run(
            ["node", program, folder, f"http://{self.gateway.address}", self.opencode.project],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.opencode.home),
                "OPENCODE_SERVER_USERNAME": self.gateway.username,
                "OPENCODE_SERVER_PASSWORD": self.gateway.password,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        seen = json.loads(done.stdout)
        self.assertEqual(seen["refused"], 401)
        self.assertIn("error", seen["refusal"], "the refusal reached the program as JSON")
        self.assertEqual(seen["text"], "Hello, program.")
        self.assertTrue(seen["listed"])
        for kind in ("server.connected", "message.updated", "message.part.delta", "session.idle"):
            self.assertIn(kind, seen["types"])


if __name__ == "__main__":
    case.main()
