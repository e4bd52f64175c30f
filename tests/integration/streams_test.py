#!/usr/bin/env python3
"""Every long-lived or held route of opencode 1.18.33: bytes as they come, and gone upstream when the client is gone."""

import json
import time

from kit import case
from kit.model import Say
from kit.relay import Relay
from kit.sse import EventStream, unwrap
from kit.websocket import WebSocket

LEAVING_TAKES_AT_MOST = 1.0  # seconds between the client's close and the gateway's close upstream


class Streams(case.WithOpencode):
    def assert_event_stream(self, head):
        self.assertEqual(head.header("content-type"), "text/event-stream")
        self.assertEqual(head.header("transfer-encoding"), "chunked")
        self.assertIsNone(head.header("content-length"))
        self.assertIsNone(head.header("content-encoding"))

    def test_event(self):
        with self.subscribe(self.in_project("/event")) as events:
            self.assert_event_stream(events.head)
            self.assertEqual(events.head.header("cache-control"), "no-cache, no-transform")
            self.assertEqual(events.head.header("x-accel-buffering"), "no")
            session = self.new_session("seen live")
            created = events.until_type("session.created", sessionID=session["id"])
            self.assertEqual(created["info"]["title"], "seen live")

    def test_event_beats_and_ends_cleanly_with_its_instance(self):
        with self.subscribe(self.in_project("/event")) as events:
            events.until_type("server.heartbeat")  # every 10 s: nothing may have ended the stream meanwhile
            self.client.post(self.in_project("/instance/dispose"))
            events.until_type("server.instance.disposed")
            while events.next() is not None:
                pass
            self.assertTrue(events.ended_cleanly)

    def test_global_event(self):
        with self.subscribe() as events:
            self.assert_event_stream(events.head)
            self.assertEqual(events.events_seen[0], "server.connected")
            session = self.new_session()
            events.until_type("session.created", sessionID=session["id"])
            self.client.post(self.in_project("/instance/dispose"))
            events.until(lambda kind, _: kind == "server.instance.disposed")
            session = self.new_session("after the disposal")
            events.until_type("session.created", sessionID=session["id"])

    def test_api_event(self):
        with self.subscribe("/api/event") as events:
            self.assert_event_stream(events.head)
            self.assertEqual(events.events_seen[0], "server.connected")
            session = self.new_session()
            events.until_type("session.created", sessionID=session["id"])
            self.assertIn(b": heartbeat", events.comments)

    def test_api_session_event(self):
        # opencode sends this one's head with the first event only: the gateway must neither wait for it with a
        # deadline nor invent it.
        session = self.client.post_json("/api/session", {})["data"]
        target = f"/api/session/{session['id']}/event"
        with EventStream(self.client, target, wait_for_head=False) as events:
            self.model.script(Say("word by word"))
            admitted = self.client.post_json(f"/api/session/{session['id']}/prompt", {"prompt": {"text": "hi"}})
            first = events.next()
            self.assert_event_stream(events.head)
            self.assertEqual(first["type"], "session.next.prompt.admitted")
            self.assertEqual(first["data"]["messageID"], admitted["data"]["id"])
            events.until(lambda kind, _: kind == "session.next.step.ended")
        with EventStream(self.client, f"{target}?after=1") as replay:
            self.assertEqual(replay.next()["type"], "session.next.prompted")
            # opencode says nothing on this route while nothing happens; the gateway keeps the way open, 15 s at a time.
            while not (block := replay.next_block()).startswith(b":"):
                self.assertIsNotNone(block)

    def test_an_event_leaves_in_the_turn_it_arrives(self):
        self.model.script(Say("never finished", hold=True))
        session = self.new_session()
        with self.subscribe() as events:
            self.client.post(f"/session/{session['id']}/prompt_async", self.prompt_body("go"))
            # The model is silent after these words, so nothing later can push them out of a buffer.
            seen = ""
            while seen != "never finished ":
                delta = events.until_type("message.part.delta", sessionID=session["id"])
                seen += delta["delta"]
            self.model.release()
            events.until_type("session.idle", sessionID=session["id"])

    def test_twenty_readers_get_the_same_events(self):
        streams = [self.subscribe() for _ in range(20)]
        first, *others, last = [self.new_session(f"number {n}")["id"] for n in range(12)]
        told = [self.told_between(events, first, last) for events in streams]
        created = [properties["sessionID"] for kind, properties in map(unwrap, told[0]) if kind == "session.created"]
        self.assertEqual(created, [*others, last])
        for number, events in enumerate(told):
            self.assertEqual(events, told[0], f"reader {number}")

    def told_between(self, events, first, last):
        """What comes behind the one session's creation, up to the other's. Each stream has a heartbeat of its own."""
        events.until_type("session.created", sessionID=first)
        told = []
        while True:
            event = events.next()
            self.assertIsNotNone(event)
            kind, properties = unwrap(event)
            if kind != "server.heartbeat":
                told.append(event)
            if kind == "session.created" and properties["sessionID"] == last:
                return told


class Leaving(case.WithOpencode):
    """When the client goes, the gateway's connection to opencode goes too; opencode queues for nobody."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.relay = Relay(cls.opencode.address)
        cls.addClassCleanup(cls.relay.close)
        cls.gateway = cls.start_gateway(upstream=cls.relay.address)
        cls.client = cls.gateway.client()

    def assert_closed_soon(self, leg, left_at):
        self.assertLess(self.relay.wait_closed(leg) - left_at, LEAVING_TAKES_AT_MOST)

    def test_event_streams(self):
        for target in ("/event", "/global/event", "/api/event"):
            with self.subTest(target):
                events = EventStream(self.client, f"{target}?leaving=1")
                events.next()
                leg = self.relay.wait_leg(f"GET {target}?leaving=1")
                self.assertIsNone(leg.closed_at)
                events.close()
                self.assert_closed_soon(leg, time.monotonic())

    def test_an_event_stream_that_never_began(self):
        session = self.client.post_json("/api/session", {})["data"]
        target = f"/api/session/{session['id']}/event"
        events = EventStream(self.client, target, wait_for_head=False)
        leg = self.relay.wait_leg(f"GET {target}")
        events.close()
        self.assert_closed_soon(leg, time.monotonic())

    def test_a_long_poll(self):
        with self.client.connect() as polling:
            polling.send_request("GET", "/tui/control/next", self.client.headers())
            leg = self.relay.wait_leg("GET /tui/control/next")
        self.assert_closed_soon(leg, time.monotonic())

    def test_a_held_prompt(self):
        self.model.script(Say("slow", hold=True))
        session = self.new_session()
        with self.subscribe() as events:
            target = f"/session/{session['id']}/message"
            with self.client.connect() as leaving:
                data = json.dumps(self.prompt_body("go")).encode()
                leaving.send_request("POST", target, self.client.headers([("Content-Type", "application/json")]), data)
                leg = self.relay.wait_leg(f"POST {target}")
                events.until_type("message.part.delta", sessionID=session["id"])
            self.assert_closed_soon(leg, time.monotonic())
            self.model.release()
            events.until_type("session.idle", sessionID=session["id"])

    def test_a_terminal(self):
        pty = self.new_pty()
        terminal = self.connect_pty(pty)
        terminal.ping()
        leg = self.relay.wait_leg(f"GET /pty/{pty['id']}/connect")
        terminal.connection.close()
        self.assert_closed_soon(leg, time.monotonic())

    def test_a_terminal_whose_client_only_half_closes_is_over_too(self):
        # A FIN means gone to opencode; the gateway never sends it half a goodbye.
        pty = self.new_pty()
        with WebSocket(self.client, f"/pty/{pty['id']}/connect") as terminal:
            terminal.ping()
            leg = self.relay.wait_leg(f"GET /pty/{pty['id']}/connect")
            terminal.connection.socket.shutdown(1)
            left_at = time.monotonic()
            self.assert_closed_soon(leg, left_at)


if __name__ == "__main__":
    case.main()
