#!/usr/bin/env python3
"""Hosts that vanish without a word: no FIN, no RST, nothing answers any more. Clients, and opencode's machine. They
come back.

All of it happens at the same moment and is waited for together, because half a minute is what it takes.
"""

import sys
import threading
import time
import unittest

from kit import case, gateway
from kit.faulty_opencode import FaultyOpencode
from kit.namespaces import Network, own_user_namespace
from kit.opencode import Unavailable
from kit.sse import EventStream
from kit.websocket import WebSocket
from kit.wire import Truncated

FOUND_WITHIN = 30.0  # seconds; what is promised
LONGER = 10.0  # and how much longer it is looked at, to say by how much it was broken
# Seconds. The gateway's kernel tries every 5; before Linux 6.15 after about as long as the phone was away.
TOLD_WITHIN = 60.0
ANSWERED_IN_THE_GAP = "/held?by=phone&answered=later"


class GatewayThere(gateway.Gateway):
    """On all interfaces."""

    def start(self):
        self.command[self.command.index("--listen") + 1] = "0.0.0.0:0"
        super().start()


class Place:
    """A client at a place of the network, and the gateway that it asks."""

    def __init__(self, network, place, started, address):
        self.client = network.client(place, address, "alice", started.password)

    def send(self, method, target, body=None, headers=()):
        """A request whose answer nobody waits for yet."""
        connection = self.client.connect()
        connection.send_request(method, target, self.client.headers(headers), body)
        return connection


class Vanished(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        try:
            # The bridge; the gateways; people who vanish; people who stay but do not read; a machine with opencode.
            self.network = Network("node", "pod", "phone", "idler", "far")
        except Unavailable as reason:
            self.skipTest(str(reason))
        self.addCleanup(self.network.close)
        self.pod = self.network.address("pod")
        with self.network.inside("pod"):
            self.near = FaultyOpencode()
        self.addCleanup(self.near.close)
        with self.network.inside("far"):
            self.far = FaultyOpencode(self.network.address("far"))
        self.addCleanup(self.far.close)
        self.gateway, self.address = self.start_gateway(self.near.address)
        self.to_far, self.address_to_far = self.start_gateway(self.far.address)

    def start_gateway(self, upstream):
        with self.network.inside("pod"):
            started = GatewayThere(
                upstream, username="alice",
                config={
                    "allow_remote_upstream": True,
                    "upstream": {"username": "opencode", "password": {"env": "UPSTREAM_PASSWORD"}},
                    "timeouts": {"stall": "90s", "idle_body": "90s", "probe_interval": "500ms", "probe": "500ms"},
                },
                env={"UPSTREAM_PASSWORD": "between the two"},
            )  # fmt: skip
        self.addCleanup(started.close)
        return started, f"{self.pod}:{started.address.rsplit(':', 1)[1]}"

    def keep(self, stream):
        self.addCleanup(stream.connection.close)
        return stream

    # ---- what people have open

    def open_everything(self, place):
        """{what: the request as it arrived at opencode}, and {what: how it ends}. All of it lasts."""
        client, found = place.client, {}

        def arrived(what, target):
            found[what] = self.near.wait_asked(target)

        quiet = self.keep(EventStream(client, "/events?quiet=1"))
        arrived("an event stream without events", "/events?quiet=1")
        lively = self.keep(EventStream(client, "/events?every=0.3"))
        lively.next()
        arrived("an event stream with events", "/events?every=0.3")
        silent = self.keep(WebSocket(client, "/pty/quiet"))
        silent.receive()
        arrived("a silent terminal", "/pty/quiet")
        busy = self.keep(WebSocket(client, "/pty/busy?every=0.3"))
        busy.receive()
        arrived("a terminal with output", "/pty/busy?every=0.3")
        held = place.send("GET", "/held?by=phone")
        self.addCleanup(held.close)
        arrived("a prompt that waits", "/held?by=phone")
        answered = place.send("GET", ANSWERED_IN_THE_GAP)
        self.addCleanup(answered.close)
        self.near.wait_asked(ANSWERED_IN_THE_GAP)
        download = place.send("GET", "/flood?by=phone")
        self.addCleanup(download.close)
        download.read_exactly(100_000)
        arrived("a download", "/flood?by=phone")
        upload = place.send("POST", "/upload?by=phone", headers=[("Content-Length", "1000000")])
        self.addCleanup(upload.close)
        upload.send(b"u" * 100_000)
        arrived("an upload", "/upload?by=phone")
        unread = self.keep(WebSocket(client, "/pty/flood?by=phone"))
        arrived("a terminal that does not read", "/pty/flood?by=phone")
        self.not_read = [download, unread.connection]
        # The phone only listens to all of these: it says nothing that could fail.
        return found, {
            "an event stream without events": lambda: self.end_of_events(quiet),
            "an event stream with events": lambda: self.end_of_events(lively),
            "a silent terminal": silent.closing_code,
            "a terminal with output": busy.closing_code,
            "a prompt that waits": lambda: status(held.read_response()),
            "a prompt that was answered meanwhile": lambda: status(answered.read_response()),
            "an upload": lambda: status(upload.read_response()),
        }

    def ends_of(self, found, since, deadline):
        """{what: seconds until opencode was let go of, or None}"""
        ends = {}
        for what, request in found.items():
            ended = self.near.wait_ended(request, max(0.0, deadline - time.monotonic()))
            ends[what] = ended and ended - since
        return ends

    # ---- what is asked of the far opencode

    def ask_far(self):
        """{what: thread with .outcome}: what waits for a machine that will vanish."""
        place = Place(self.network, "pod", self.to_far, self.address_to_far)
        client = place.client
        events = self.keep(EventStream(client, "/events?every=0.3"))
        events.next()
        silent_events = self.keep(EventStream(client, "/events"))
        silent_events.next()
        terminal = self.keep(WebSocket(client, "/pty/typed"))
        terminal.receive()
        silent = self.keep(WebSocket(client, "/pty/silent"))
        silent.receive()
        held = place.send("GET", "/held?far=1")
        self.addCleanup(held.close)
        posted = place.send("POST", "/held?far=2", body=b"{}")
        self.addCleanup(posted.close)
        for target in ("/events?every=0.3", "/pty/typed", "/held?far=1", "/held?far=2"):
            self.far.wait_asked(target)
        return {
            "its event stream": lambda: self.end_of_events(events),
            "its event stream without events": lambda: self.end_of_events(silent_events),
            "its terminal, typed into": lambda: self.end_of_terminal(terminal, "are you there?"),
            "its silent terminal": lambda: self.end_of_terminal(silent),
            "a prompt it works on": lambda: status(held.read_response()),
            "a change it works on": lambda: status(posted.read_response()),
        }, client

    def end_of_events(self, events):
        try:
            while events.next() is not None:
                pass
        except (Truncated, ConnectionResetError):
            return "cut"
        return "clean"

    def end_of_terminal(self, terminal, typed=None):
        if typed:
            terminal.send(typed)
        return terminal.closing_code()

    def start_all(self, asked):
        """Each in a thread of its own; {what: (outcome, seconds)} fills up."""
        outcomes, began = {}, time.monotonic()

        def run(what, ask):
            try:
                outcome = ask()
            except Exception as error:  # an outcome, too
                outcome = f"{error.__class__.__name__}: {error}"
            outcomes[what] = (outcome, time.monotonic() - began)

        threads = [threading.Thread(target=run, args=one, daemon=True) for one in asked.items()]
        for thread in threads:
            thread.start()
        return threads, outcomes

    # ---- the moment

    def test_whoever_vanishes_is_found_within_half_a_minute_and_nobody_else_is_cut(self):
        found, listening = self.open_everything(Place(self.network, "phone", self.gateway, self.address))
        idler = Place(self.network, "idler", self.gateway, self.address).client
        staying = self.keep(WebSocket(idler, "/pty/flood?by=idler"))
        self.near.wait_asked("/pty/flood?by=idler")
        staying_events = self.keep(EventStream(idler, "/events?by=idler"))
        asked, far_client = self.ask_far()
        # A connection that waits in the pool of the gateway, and that nobody will have told that it leads nowhere.
        self.assertEqual(far_client.get("/quick").status, 200)
        asked["a GET on a kept connection"] = lambda: status(far_client.get("/quick"))
        asked["a change on a new connection"] = lambda: status(far_client.post("/quick", {}))

        # The phone's cable is cut. The far machine still hears, but nothing that it says arrives.
        self.network.unplug("phone")
        self.near.release(ANSWERED_IN_THE_GAP)
        self.network.ip("far", "route", "add", "blackhole", self.pod)
        since = time.monotonic()
        threads, outcomes = self.start_all(asked)
        # Most of it is found sooner; the last is what is slowest.
        ends = self.ends_of(found, since, since + FOUND_WITHIN + LONGER)
        for thread in threads:
            thread.join(max(0.0, since + FOUND_WITHIN + LONGER - time.monotonic()))
        for what, ended in ends.items():
            print(f"phone vanished: {what}: {'never' if ended is None else f'{ended:.1f} s'}", file=sys.stderr)
        for what in asked:
            outcome, after = outcomes.get(what, ("nothing", float("nan")))
            print(f"opencode's machine vanished: {what}: {outcome} after {after:.1f} s", file=sys.stderr)

        self.assertEqual(set(outcomes), set(asked))
        took = {**ends, **{what: after for what, (_, after) in outcomes.items()}}
        late = {what: after for what, after in took.items() if after is None or after > FOUND_WITHIN}
        self.assertEqual(late, {}, "seconds, or None: never")
        said = {what: outcome for what, (outcome, _) in outcomes.items()}
        for what in ("its event stream", "its event stream without events"):
            self.assertEqual(said[what], "cut", what)
        for what in ("its terminal, typed into", "its silent terminal"):
            self.assertEqual(said[what], 1006, what)
        for what in ("a prompt it works on", "a change it works on"):
            self.assertIn(said[what], ("502 cut_short", "504 timed_out"), what)
        for what in ("a GET on a kept connection", "a change on a new connection"):
            self.assertIn(said[what], ("503 timed_out", "502 cut_short", "504 timed_out", "503 refused"), what)
        # Who takes nothing but is there keeps what it has.
        self.assertIsNone(self.near.asked("/pty/flood?by=idler")[-1].ended_at, "a slow terminal was cut")
        self.assertIsNone(self.near.asked("/events?by=idler")[-1].ended_at)
        staying.receive()
        staying_events.next()

        self.to_far.wait_event("upstream_down", 30)

        # It comes back.
        self.network.ip("far", "route", "del", "blackhole", self.pod)
        back = time.monotonic()
        while (answer := far_client.get("/quick")).status != 200:
            self.assertLess(time.monotonic() - back, 30, str(answer))
        print(f"back: answered after {time.monotonic() - back:.2f} s", file=sys.stderr)
        self.to_far.wait_event("upstream_up", 30)
        print(f"back: known to be well after {time.monotonic() - back:.2f} s", file=sys.stderr)
        self.phone_comes_back(listening)

    def phone_comes_back(self, listening):
        """It hears that all it had open is over, and that it was no proper end."""
        self.network.plug_in("phone")
        since = time.monotonic()
        threads, outcomes = self.start_all(listening)
        for thread in threads:
            thread.join(max(0.0, since + TOLD_WITHIN - time.monotonic()))
        for what in listening:
            outcome, after = outcomes.get(what, ("nothing", float("nan")))
            print(f"phone back: {what}: {outcome} after {after:.1f} s", file=sys.stderr)
        self.assertEqual(set(outcomes), set(listening), "it waits for ever")
        said = {what: outcome for what, (outcome, _) in outcomes.items()}
        for what in ("an event stream without events", "an event stream with events"):
            self.assertEqual(said[what], "cut", what)
        for what in ("a silent terminal", "a terminal with output"):
            self.assertEqual(said[what], 1006, what)
        self.assertEqual(said["a prompt that was answered meanwhile"], "200")
        for what in ("a prompt that waits", "an upload"):
            self.assertRegex(said[what], "^(Truncated|ConnectionResetError)", what)
        # Nothing is kept for longer than that took. What a client does not read, perhaps little enough to be kept, and the
        # end behind it, it can only drop.
        for connection in self.not_read:
            connection.close()
        while self.network.held_sockets("pod", "phone"):
            self.assertLess(time.monotonic() - since, TOLD_WITHIN + LONGER, "sockets of a client that knows")
            time.sleep(0.2)


def status(response):
    return f"{response.status} {(response.header('x-ocgate-error') or '').rsplit(' ', 1)[-1]}".rstrip()


if __name__ == "__main__":
    own_user_namespace()
    case.main()
