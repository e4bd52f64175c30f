"""The test case the integration programs build on, and their exit status: 0 passed, 1 failed, 77 skipped."""

import itertools
import json
import os
import sys
import unittest
from urllib.parse import quote

from . import gateway as gateways
from .model import FakeModel
from .opencode import Opencode, Unavailable
from .sse import EventStream
from .websocket import WebSocket
from .wire import Connection

SKIPPED = 77


class WithOpencode(unittest.TestCase):
    """One opencode and one scripted model for the whole class, behind one gateway.

    With OCGATE_TEST_DIRECT=1 the "gateway" is opencode itself: what opencode does without one, to settle whose
    behaviour a failing test shows. Tests of the gateway's own behaviour fail then, as they should.
    """

    model_wanted = True
    model_class = FakeModel
    prices = None  # of its models, see Opencode
    gateway_wanted = True  # or each test starts its own
    gateway_config = None
    gateway_arguments = ()
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        try:
            cls.model = cls.model_class() if cls.model_wanted else None
            if cls.model:
                cls.addClassCleanup(cls.model.close)
            cls.opencode = Opencode(cls.model, prices=cls.prices)
            cls.addClassCleanup(cls.opencode.close)
            cls.direct = cls.opencode.client()
            cls.started_gateways = []
            if cls.gateway_wanted:
                cls.gateway = cls.start_gateway()
                cls.client = cls.gateway.client()
        except Unavailable as reason:
            raise unittest.SkipTest(str(reason)) from None

    @classmethod
    def start_gateway(cls, upstream=None, config=None, **kw):
        """A gateway of its own credentials in front of this class's opencode (or of `upstream`, say a relay to it)."""
        if os.environ.get("OCGATE_TEST_DIRECT"):
            return cls.opencode
        merged = {
            "upstream": {"username": cls.opencode.username, "password": {"env": "UPSTREAM_PASSWORD"}},
            **(cls.gateway_config or {}),
            **(config or {}),
        }
        env = {"UPSTREAM_PASSWORD": cls.opencode.password, **kw.pop("env", {})}
        arguments = [*cls.gateway_arguments, *kw.pop("arguments", ())]
        started = gateways.Gateway(
            upstream or cls.opencode.address, username="alice", config=merged, env=env, arguments=arguments, **kw
        )
        cls.started_gateways.append(started)
        cls.addClassCleanup(started.close)
        return started

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) if result else 0
        super().run(result)
        if result and len(result.failures) + len(result.errors) > before:
            for started in self.started_gateways:
                print(started.logs(), file=sys.stderr)
            print(self.opencode.logs(), file=sys.stderr)

    # What most tests do first.

    def new_session(self, title="a session", client=None):
        return (client or self.client).post_json("/session", {"title": title})

    def new_pty(self, command="/bin/sh", args=(), client=None):
        """A PTY, DELETEd at the end of the test."""
        pty = (client or self.client).post_json("/pty", {"command": command, "args": list(args)})
        self.addCleanup(self._delete_pty, pty)
        return pty

    def _delete_pty(self, pty):
        try:
            self.direct.request("DELETE", f"/pty/{pty['id']}")
        except ConnectionError:
            pass  # opencode is down, and its terminals with it

    def connect_pty(self, pty, query="", client=None, receive_buffer_bytes=None):
        client = client or self.client
        connection = Connection(client.address, receive_buffer_bytes=receive_buffer_bytes)
        socket = WebSocket(client, f"/pty/{pty['id']}/connect{query}", connection=connection)
        self.addCleanup(socket.connection.close)
        return socket

    def subscribe(self, target="/global/event", client=None):
        """An event stream that demonstrably delivers (EventStream.until_provoked says why that takes a canary)."""
        events = EventStream(client or self.client, target)
        self.addCleanup(events.close)
        events.until_type("server.connected")
        canary = self.new_session("canary", self.direct)["id"]
        titles = itertools.count()
        events.until_provoked(
            lambda: self.direct.request("PATCH", f"/session/{canary}", data={"title": f"canary {next(titles)}"}),
            lambda kind, properties: kind == "session.updated" and properties["sessionID"] == canary,
        )
        self.direct.request("DELETE", f"/session/{canary}")
        return events

    def prompt_body(self, text, **more):
        return {"model": {"providerID": "fake", "modelID": "fake-1"}, "parts": [{"type": "text", "text": text}], **more}

    def in_project(self, target):
        joiner = "&" if "?" in target else "?"
        return f"{target}{joiner}directory={quote(str(self.opencode.project), safe='')}"

    def assert_gateway_error(self, response, status, code=None):
        """An error of the gateway's own: JSON with code, message and the request id that the header carries."""
        self.assertEqual(response.status, status, str(response))
        self.assertTrue(response.header("content-type").startswith("application/json"), str(response))
        error = json.loads(response.body)["error"]
        self.assertTrue(error["message"])
        self.assertEqual(error["request_id"], response.header("x-request-id"))
        if code is not None:
            self.assertEqual(error["code"], code)
        return error


def main():
    """unittest.main() with ctest's third answer. Any skip makes the program "skipped": never a silent pass."""
    outcome = unittest.main(module="__main__", exit=False, verbosity=2).result
    for test, reason in outcome.skipped:
        print(f"SKIPPED {test}: {reason}", file=sys.stderr)
    if not outcome.wasSuccessful():
        sys.exit(1)
    if outcome.skipped:
        sys.exit(SKIPPED)
    sys.exit(0 if outcome.testsRun else 1)
