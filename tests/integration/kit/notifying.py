"""What the tests of notifications share: a gateway between a stand-in for opencode and stand-ins for targets."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from . import gateway as gateways
from .fake_ntfy import FakeNtfy
from .fake_opencode import FakeOpencode
from .opencode import Unavailable

TOPIC = "oc-alerts"
TOKEN = "tk_0123456789abcdefghijklmnopqrs"


def sequence_of(kind, request):
    """The ntfy sequence of what is said about a request: the same in every life of the gateway."""
    return hashlib.sha256(f"{kind}/{request}".encode()).hexdigest()[:32]


def route(*targets, **more):
    """A rule for everything, quick, and without reminders."""
    return {"targets": list(targets), "hold": "200ms", "reminders": [], **more}


def ntfy_target(fake, topic=TOPIC, **more):
    """A stand-in has no pace of its own; ours would be the public server's."""
    return {"type": "ntfy", "topic": f"{fake.url}/{topic}", "pace": {"burst": 1000, "every": "10ms"}, **more}


def discord_target(fake, **more):
    url = {"env": "A_WEBHOOK_URL"}
    return {"type": "discord", "url": url, "pace": {"burst": 1000, "every": "10ms"}, **more}


class WithFakeOpencode(unittest.TestCase):
    """A stand-in for opencode, and gateways in front of it. All of it goes at the end of the test."""

    maxDiff = None

    def setUp(self):
        self.opencode = FakeOpencode()
        self.addCleanup(self.opencode.close)
        self.started_gateways = []

    def start_gateway(self, notifications=None, upstream=None, config=None, env=None, **kw):
        merged = {
            "upstream": {"username": self.opencode.username, "password": {"env": "UPSTREAM_PASSWORD"}},
            **({"notifications": notifications} if notifications is not None else {}),
            **(config or {}),
        }
        env = {"UPSTREAM_PASSWORD": self.opencode.password, **(env or {})}
        started = gateways.Gateway(upstream or self.opencode.address, username="alice", config=merged, env=env, **kw)
        self.started_gateways.append(started)
        self.addCleanup(started.close)
        self.wait_heard(started)
        return started

    def wait_heard(self, started):
        """Until the gateway hears what happens: it may have begun anew meanwhile."""
        started.wait_event("events_heard")
        self.opencode.wait_subscribed()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) if result else 0
        super().run(result)
        if result and len(result.failures) + len(result.errors) > before:
            for started in self.started_gateways:
                print(started.logs(), file=sys.stderr)

    def turn(self, title, directory="/workspaces/project", parent=None):
        """A session at work."""
        session = self.opencode.open_session(title, directory, parent)
        self.opencode.begin_turn(session)
        return session


class WithPhone(WithFakeOpencode):
    """And somebody's phone, which is told."""

    def setUp(self):
        super().setUp()
        self.ntfy = FakeNtfy(burst=10**6)
        self.addCleanup(self.ntfy.close)

    def start(self, *routes, targets=None, **kw):
        targets = {"phone": ntfy_target(self.ntfy), **(targets or {})}
        return self.start_gateway({"targets": targets, "routes": list(routes) or [route(*targets)]}, **kw)

    def revive(self, started):
        started.start()
        self.wait_heard(started)

    def ask(self, title):
        return self.opencode.ask_permission(self.turn(title), "make")

    def shown(self):
        return sorted(m["sequence_id"] for m in self.ntfy.shown(TOPIC))

    def wait_shown(self, *requests, timeout=30):
        """Until the phone shows exactly these."""
        wanted = sorted(sequence_of("permission", request) for request in requests)
        self.ntfy.wait_for(lambda: self.shown() == wanted, timeout)

    def healthy(self, started):
        """The proxy serves, whatever happens beside it."""
        self.assertEqual(started.client().get_json("/global/health")["healthy"], True)


def told(fake, text, event="message"):
    """What a fake or real ntfy heard with this text in it."""
    return [m for m in fake.cache if m["event"] == event and text in json.dumps(m, ensure_ascii=False)]


def posts(fake, text):
    """Discord's messages, as they stand, that had this text when they were posted."""
    first = {made: json.dumps(body, ensure_ascii=False) for made, body in list(fake.first_said.items())}
    return [fake.messages[made] for made, said in first.items() if text in said and made in fake.messages]


def field(message, name):
    """A field of a Discord message's embed."""
    return next((f["value"] for f in message["embeds"][0]["fields"] if f["name"] == name), None)


class SmallDisk:
    """A file system of its own with little room: a tmpfs, which takes root."""

    def __init__(self, test, kilobytes):
        if os.geteuid() != 0:
            raise Unavailable("a disk of a few kilobytes takes root")
        self.path = Path(tempfile.mkdtemp(prefix="ocgate-test-"))
        test.addCleanup(shutil.rmtree, self.path, ignore_errors=True)
        options = f"size={kilobytes}k,mode=0700"
        command = ["mount", "-t", "tmpfs", "-o", options, "ocgate-test", self.path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode != 0:
            raise Unavailable(f"a disk of a few kilobytes cannot be had: {done.stderr.strip()}")
        test.addCleanup(subprocess.run, ["umount", "-l", self.path], timeout=30, check=False)

    def fill(self):
        """Until not one more byte fits."""
        with open(self.path / "ballast", "ab", buffering=0) as ballast:
            for size in (4096, 1):
                try:
                    while True:
                        ballast.write(b"x" * size)
                except OSError:
                    pass

    def clear(self):
        (self.path / "ballast").unlink(missing_ok=True)
