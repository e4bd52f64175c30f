#!/usr/bin/env python3
"""The framing corpus (tests/framing) against the binary, over TCP, in front of an upstream that writes everything down."""

import json
import os
import secrets
import selectors
import socket
import struct
import sys
import time
import unittest

from kit import case as cases
from kit import gateway as gateways
from kit.corpus import Wrong, read_cases, read_messages
from kit.wire import basic

DEADLINE = 20.0  # seconds, for what has to come
PAUSE = 0.03  # seconds in which what must not come would come, and in which bytes get out of the way of a reset


class Ear:
    """A connection, and all that came on it."""

    def __init__(self, connected):
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connected
        self.data = bytearray()
        self.whole = 0  # messages noticed
        self.half = None  # a request of which more has to come: (method, target)
        self.rest = b""  # a WebSocket's
        self.ended = self.reset = self.own = False

    def heard(self):
        return bytes(self.data)

    def begin_anew(self):
        self.data.clear()
        self.whole = 0
        self.half = None

    def take(self):
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionError:
            self.ended = self.reset = True
            return False
        self.data += data
        self.ended = not data
        return bool(data)

    def close(self, reset=False):
        if reset and self.socket.fileno() >= 0:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Stage:
    """The gateway's client and its upstream, in one thread."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.listener.setblocking(False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.upstreams = []
        self.used = []  # those of them that a case's requests came to, whether they have ended or not
        self.client = None
        self.answers_itself = True
        self.speaking = None
        self.news = 0  # how often something came upstream
        self.seen = []

    @property
    def address(self):
        return "127.0.0.1:%d" % self.listener.getsockname()[1]

    def close(self):
        for ear in self.upstreams:
            ear.close()
        self.listener.close()
        self.selector.close()

    def adopt(self, connected):
        ear = Ear(connected)
        self.selector.register(ear.socket, selectors.EVENT_READ, ear)
        return ear

    def leave(self, ear, reset=False):
        try:
            self.selector.unregister(ear.socket)
        except (KeyError, ValueError):
            pass  # it had ended
        ear.close(reset)
        self.upstreams = [one for one in self.upstreams if one is not ear]

    def pump(self, until, seconds=DEADLINE):
        """Lets things happen until something is true: whether it is."""
        deadline = time.monotonic() + seconds
        while not until():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for key, _ in self.selector.select(left):
                if key.data is None:
                    self.upstreams.append(self.adopt(self.listener.accept()[0]))
                elif not key.data.take():
                    self.selector.unregister(key.fileobj)
                    if key.data in self.upstreams:
                        self.leave(key.data)
                elif key.data in self.upstreams:
                    self.notice(key.data)
        return True

    def notice(self, ear):
        messages, ear.rest = read_messages(ear.heard())
        first, last = messages[0], messages[-1]
        if not first.fields:
            return  # half a head
        ear.own = ear.own or not first.values(b"via")
        if ear.own:  # the gateway's own questions: is it up, what goes on
            return self.send(ear, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
        self.news += 1
        self.speaking = ear
        if ear not in self.used:
            self.used.append(ear)
        ear.half = None if last.whole else (last.method, last.target)
        while ear.whole < len(messages) and messages[ear.whole].whole:
            request = messages[ear.whole]
            request.first_there = ear.whole == 0
            ear.whole += 1
            self.seen.append(request)
            if self.answers_itself:
                content = request.method + b" " + request.target
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content)
                self.send(ear, head if request.method == b"HEAD" else head + content)

    def send(self, ear, data):
        at = 0
        while at < len(data):
            try:
                at += ear.socket.send(data[at:])
            except BlockingIOError:
                self.pump(lambda: False, 0.002)
            except OSError:
                return  # whoever was to read this has gone, which the rest of the case is about


class Framing(unittest.TestCase):
    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        cls.stage = Stage()
        cls.addClassCleanup(cls.stage.close)
        cls.upstream_credential = secrets.token_urlsafe(9)
        config = {"upstream": {"username": "opencode", "password": {"env": "UPSTREAM_PASSWORD"}}, "log_level": "error"}
        cls.gateway = gateways.Gateway(
            cls.stage.address, username="alice", config=config, env={"UPSTREAM_PASSWORD": cls.upstream_credential}
        )
        cls.addClassCleanup(cls.gateway.close)
        host, port = cls.gateway.address.rsplit(":", 1)
        cls.where = (host, int(port))
        cls.credential = basic("alice", cls.gateway.password).encode()

    def connect(self):
        return self.stage.adopt(socket.create_connection(self.where))

    def play(self, case):
        stage = self.stage
        stage.client = self.connect()
        stage.answers_itself = not case.scripted
        stage.seen, stage.used = [], []
        # Each case begins without a connection that was used before, and makes its own.
        for ear in [one for one in stage.upstreams if not one.own]:
            stage.leave(ear)
        heard, spoken_to = stage.news, False
        for step in case.steps:
            if step.kind == "client":
                stage.send(stage.client, step.data)
                spoken_to = True
            elif step.kind in ("client ends", "client resets"):
                stage.pump(lambda: False, PAUSE)
                stage.leave(stage.client, reset=step.kind == "client resets")
            else:
                # Long where a request has to come first; else just time for one that might.
                due = step.kind == "upstream" and len(stage.seen) < len(case.sees)
                stage.pump(lambda: stage.news > heard, DEADLINE if spoken_to or due else PAUSE)
                self.assertIsNotNone(stage.speaking, "nothing came upstream")
                if step.kind == "upstream":
                    stage.send(stage.speaking, step.data)
                else:
                    reset = step.kind == "upstream resets"
                    stage.pump(lambda: False, PAUSE if reset else 0)
                    stage.leave(stage.speaking, reset)
                heard, spoken_to = stage.news, False

    def check_client(self, case):
        """Waits for what the case says the client gets, and says what it got."""
        stage = self.stage
        client = stage.client
        if any(step.kind in ("client ends", "client resets") for step in case.steps):
            stage.pump(lambda: False, PAUSE)
            return
        methods = [sees.method for sees in case.sees]

        def answers():
            ended = client.ended and not client.reset
            return read_messages(client.heard(), answers=True, methods=methods, ended=ended)

        def complete():
            messages, rest = answers()
            if case.ending in ("close", "reset"):
                return client.ended
            whole = [message for message in messages if message.whole]
            return len(whole) >= len(case.answers) and len(rest) >= len(case.to_client or b"")

        stage.pump(complete)
        messages, rest = answers()
        self.assertEqual([message.status for message in messages if message.fields], case.answers)
        self.assertEqual(client.ended, case.ending in ("close", "reset"), "how the client's connection stands")
        self.assertTrue(client.reset or case.ending != "reset", "the end does not look cut")
        self.assertEqual(rest, case.to_client or b"")
        if not messages:
            return
        last = messages[-1]
        self.assertEqual(case.answer.faults(last), [])
        if case.cut or not client.reset:  # a reset takes what was not read yet
            self.assertEqual(not last.whole, case.cut, "whether the last answer is whole")
        if case.got is not None and not client.reset:
            self.assertEqual(last.content, case.got)

    def check_upstream(self, case):
        stage = self.stage
        wanted = [(sees.method, sees.target, sees.content) for sees in case.sees]
        stage.pump(lambda: len(stage.seen) >= len(wanted))
        if case.to_upstream:
            self.assertTrue(stage.pump(lambda: stage.speaking.rest == case.to_upstream), stage.speaking.rest)
        self.assertEqual([(one.method, one.target, one.content) for one in stage.seen], wanted)
        for request, sees in zip(stage.seen, case.sees):
            self.assertEqual(sees.faults(request), [])
            self.assertTrue(request.first_there or not sees.anew, "on a connection that was used before")
        for ear in stage.used:
            self.assertIn(ear.half, (None, *case.parts), "half a request arrived")
            self.assertIn(ear.rest, (b"", case.to_upstream), "behind a handshake that was not answered")
        own = basic("opencode", self.upstream_credential).encode()
        for request in stage.seen:
            self.assertEqual(request.values(b"authorization"), [own])
            self.assertEqual(request.values(b"x-forwarded-for"), [b"127.0.0.1"])
            self.assertEqual(len(request.values(b"host")), 1)

    def ask(self, client, target):
        stage = self.stage
        stage.seen = []
        client.begin_anew()
        line = b"GET %s HTTP/1.1\r\nHost: a\r\nAuthorization: %s\r\n\r\n" % (target, self.credential)
        stage.send(client, line)

        def answered():
            messages, _ = read_messages(client.heard(), answers=True)
            return client.ended or (bool(messages) and messages[-1].whole)

        self.assertTrue(stage.pump(answered))
        messages, _ = read_messages(client.heard(), answers=True)
        self.assertEqual([message.content for message in messages], [b"GET " + target])
        self.assertEqual([request.target for request in stage.seen], [target])

    def one(self, case):
        try:
            self.play(case)
            self.check_client(case)
            self.check_upstream(case)
            self.stage.answers_itself = True
            for ear in self.stage.upstreams:
                ear.begin_anew()
            if case.ending == "open":
                self.ask(self.stage.client, b"/asked-again")
            anew = self.connect()
            try:
                self.ask(anew, b"/asked-anew")
            finally:
                self.stage.leave(anew)
        finally:
            self.stage.leave(self.stage.client)

    def test_every_case_over_tcp(self):
        stride = int(os.environ.get("OCGATE_FRAMING_EVERY", "1"))
        played = 0
        began = time.monotonic()
        for number, case in enumerate(read_cases(self.credential)):
            if number % stride or any(step.kind == "wait" for step in case.steps):
                continue
            with self.subTest(case=case.name, rfc=case.rfc):
                try:
                    self.one(case)
                except Wrong as wrong:
                    self.fail(f"{wrong}")
            played += 1
        print(json.dumps({"cases": played, "seconds": round(time.monotonic() - began, 1)}), file=sys.stderr)
        self.assertGreaterEqual(played * stride, 400)


if __name__ == "__main__":
    cases.main()
