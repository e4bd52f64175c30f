"""What the tests of faults share: load, and a gateway in front of an upstream that does what it should not."""

import sys
import threading
import time
import unittest

from . import gateway
from .faulty_opencode import FaultyOpencode
from .wire import Truncated

BROKEN_OFF = (Truncated, ConnectionResetError, BrokenPipeError)


class Flow:
    """Somebody who asks again and again, on one connection for as long as it is kept, and counts the answers."""

    def __init__(self, client, method="GET", target="/global/health", data=None, pause=0.0):
        self.client, self.method, self.target, self.data, self.pause = client, method, target, data, pause
        self.answers = {}  # (status, X-Ocgate-Error) -> count
        self.broken = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        connection = None
        while not self._stop.wait(self.pause):
            try:
                connection = connection or self.client.connect(30)
                data = self.data() if self.data else None
                answer = self.client.request(self.method, self.target, data=data, connection=connection)
            except Exception as error:
                self.broken.append(f"{error.__class__.__name__}: {error}"[:200])
                connection = connection and connection.close()
                time.sleep(0.01)
                continue
            key = (answer.status, answer.header("x-ocgate-error"))
            self.answers[key] = self.answers.get(key, 0) + 1
            if (answer.header("connection") or "").lower() == "close":
                connection = connection.close()
        if connection:
            connection.close()

    def count(self, status=None):
        return sum(n for (said, _), n in list(self.answers.items()) if status in (None, said))

    def stop(self):
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self


class WithFaultyOpencode(unittest.TestCase):
    maxDiff = None
    timeouts = {}

    def setUp(self):
        self.opencode = FaultyOpencode()
        self.addCleanup(self.opencode.close)
        self.gateway = self.start_gateway(gateway.Gateway)
        self.client = self.gateway.client()

    def start_gateway(self, make, *arguments, **named):
        started = make(
            *arguments, self.opencode.address, username="alice",
            config={
                "upstream": {"username": "opencode", "password": {"env": "UPSTREAM_PASSWORD"}},
                "timeouts": {"probe_interval": "200ms", "probe": "500ms", **self.timeouts},
            },
            env={"UPSTREAM_PASSWORD": "between the two"}, **named,
        )  # fmt: skip
        self.addCleanup(started.close)
        return started

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) if result else 0
        super().run(result)
        if result and len(result.failures) + len(result.errors) > before:
            print(self.gateway.logs(), file=sys.stderr)

    def keep(self, stream):
        self.addCleanup(stream.connection.close)
        return stream

    def outcome(self, ask):
        """Of a request: what its client was told."""
        try:
            answer = ask()
        except BROKEN_OFF:
            return "cut"
        return answer.header("x-ocgate-error") or str(answer.status)
