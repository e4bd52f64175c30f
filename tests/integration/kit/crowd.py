"""Many connections at once, and a stand-in for opencode that bears as many: for tests of what a hostile network does.

The stand-in is one thread. It answers what the gateway's own eyes ask for, holds event streams, echoes terminals, takes
uploads to their end and has one large download. `Crowd` holds the clients' side: bare sockets that do as they are told.
"""

import asyncio
import json
import os
import selectors
import socket
import statistics
import sys
import threading
import time
import unittest

from . import gateway
from .waiting import until
from .websocket import accept_of
from .wire import basic

HEALTH = "/global/health"
PATIENCE = 60.0  # seconds, to end a hang
MIB = 1024 * 1024

EVENT = b'data: {"payload":{"type":"server.connected","properties":{}}}\n\n'
LARGE = 64 * 1024 * 1024


class PlainUpstream:
    """Counts what is open and what was asked. What it says is in order, and beyond first events it is only answers."""

    def __init__(self, username="opencode", password="upstream-password"):
        self.username, self.password = username, password
        self.requests = 0
        self.open = 0
        self.streams = 0
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20, backlog=4096)
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def close(self):
        async def end():
            self._server.close()
            mine = asyncio.current_task()
            for task in [task for task in asyncio.all_tasks() if task is not mine]:
                task.cancel()
            await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self, reader, writer):
        self.open += 1
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _one(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, target, _ = head.split(" ", 2)
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
        self.requests += 1
        path = target.split("?")[0]
        if fields.get("Authorization") != basic(self.username, self.password):
            return await self._say(writer, 401, None)
        size = await self._content(reader, fields)
        if path.endswith("/event"):
            return await self._stream(reader, writer)
        if fields.get("Upgrade") == "websocket":
            return await self._echo(reader, writer, fields["Sec-WebSocket-Key"])
        if path == "/large":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
            piece = b"x" * 65536
            for _ in range(LARGE // len(piece)):
                writer.write(piece)
                await writer.drain()
            return True
        if path == "/global/health":
            return await self._say(writer, 200, {"healthy": True, "version": "1.18.33"})
        lists = path in ("/permission", "/question", "/session", "/experimental/session")
        return await self._say(writer, 200, {"bytes": size} if size else [] if lists else {})

    @staticmethod
    async def _content(reader, fields):
        if fields.get("Transfer-Encoding") == "chunked":
            total = 0
            while True:
                size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
                await reader.readexactly(size + 2)
                total += size
                if size == 0:
                    return total
        total = left = int(fields.get("Content-Length", 0))
        while left > 0:
            piece = await reader.read(min(left, 1 << 16))
            if not piece:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(piece)
        return total

    @staticmethod
    async def _say(writer, status, what):
        body = json.dumps(what).encode()
        head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        writer.write(head + body)
        await writer.drain()
        return True

    async def _stream(self, reader, writer):
        self.streams += 1
        try:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            writer.write(b"%x\r\n%s\r\n" % (len(EVENT), EVENT))
            await writer.drain()
            await reader.read(1)  # its end
        finally:
            self.streams -= 1
        return False

    async def _echo(self, reader, writer, key):
        self.streams += 1
        try:
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept_of(key).encode() + b"\r\n\r\n"
            )
            await writer.drain()
            while True:
                first, second = await reader.readexactly(2)
                mask = await reader.readexactly(4)
                payload = bytes(b ^ mask[i % 4] for i, b in enumerate(await reader.readexactly(second & 0x7F)))
                writer.write(bytes([first, len(payload)]) + payload)
                await writer.drain()
                if first & 0x0F == 8:
                    return False
        finally:
            self.streams -= 1


class Crowd:
    """So many connections, each of which says and hears by itself. Addresses of 127.0.0.0/8 tell clients apart."""

    def __init__(self, address, count, source=None, receive_buffer_bytes=None):
        host, port = address.rsplit(":", 1)
        self.members = []
        for _ in range(count):
            one = socket.socket()
            if receive_buffer_bytes:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
            if source:
                one.bind((source, 0))
            one.settimeout(30)
            one.connect((host, int(port)))
            one.setblocking(False)
            self.members.append(one)
        self.unsaid = [b""] * count
        self.heard = [bytearray() for _ in self.members]
        self.ended = [False] * count

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for one in self.members:
            one.close()

    def say(self, what):
        """The same to all; what one does not take (it is full, or gone) is left out."""
        for one in self.members:
            try:
                one.send(what)
            except OSError:
                pass

    def go_on_saying(self, what):
        """The same to all, over and over: what one did not take the last time it is told first, so that nothing is
        left out of the middle."""
        for index, one in enumerate(self.members):
            rest = self.unsaid[index] or what
            try:
                self.unsaid[index] = rest[one.send(rest) :]
            except OSError:
                self.unsaid[index] = rest

    def hear(self, seconds, until=lambda crowd: False):
        """Takes in what comes, for so long or until that holds; whether it did."""
        selector = selectors.DefaultSelector()
        for index, one in enumerate(self.members):
            if not self.ended[index]:
                selector.register(one, selectors.EVENT_READ, index)
        deadline = time.monotonic() + seconds
        try:
            while not until(self):
                left = deadline - time.monotonic()
                if left <= 0 or not selector.get_map():
                    return until(self)
                for key, _ in selector.select(left):
                    self._take(key.data, selector)
            return True
        finally:
            selector.close()

    def _take(self, index, selector):
        try:
            piece = self.members[index].recv(65536)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        self.heard[index] += piece
        if not piece:
            self.ended[index] = True
            selector.unregister(self.members[index])
            self.members[index].close()

    def sip(self, most):
        """So many bytes of what has come to each, which are forgotten."""
        for one in self.members:
            try:
                one.recv(most)
            except OSError:
                pass

    def all_ended(self):
        return all(self.ended)

    def statuses(self):
        """How many heard which status first; 0: nothing."""
        counts = {}
        for heard in self.heard:
            status = int(heard[9:12]) if heard.startswith(b"HTTP/1.1 ") else 0
            counts[status] = counts.get(status, 0) + 1
        return counts


def open_descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def descriptor_numbers(pid):
    return {int(number) for number in os.listdir(f"/proc/{pid}/fd")}


def descriptor_limit(pid, free):
    """The limit (RLIMIT_NOFILE, which bounds their numbers) that leaves room for so many more than there are."""
    taken = descriptor_numbers(pid)
    number = 0
    while number in taken or free > 0:
        free -= number not in taken
        number += 1
    return number


def cpu_seconds(pid):
    """User and system time of all threads."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        words = stat.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class WithCrowds(unittest.TestCase):
    """A stand-in that bears crowds, gateways in front of it, and somebody who means no harm."""

    def setUp(self):
        self.upstream = PlainUpstream()
        self.addCleanup(self.upstream.close)
        self.gateways = []

    def run(self, result=None):
        before, began = len(result.failures) + len(result.errors) if result else 0, time.monotonic()
        super().run(result)
        print(f"  {self._testMethodName}: {time.monotonic() - began:.1f} s")
        if result and len(result.failures) + len(result.errors) > before:
            for one in self.gateways:
                print(one.logs(), file=sys.stderr)

    def start(self, limits=None, timeouts=None, **kw):
        config = {
            "upstream": {"username": self.upstream.username, "password": {"env": "UPSTREAM_PASSWORD"}},
            "access_log": False,
            "limits": limits or {},
            "timeouts": timeouts or {},
            **kw.pop("config", {}),
        }
        env = {"UPSTREAM_PASSWORD": self.upstream.password}
        started = gateway.Gateway(self.upstream.address, username="alice", config=config, env=env, **kw)
        self.gateways.append(started)
        self.addCleanup(started.close)
        started.wait_event("events_heard")
        self.assertEqual(started.client().get(HEALTH).status, 200)
        return started

    # What others see meanwhile.

    def ask_while(self, started, busy):
        """GETs one after another from an address of its own until `busy` ends; prints how long they took."""
        took, over = [], threading.Event()

        def ask():
            with Crowd(started.address, 1, source="127.0.0.9") as crowd:
                wanted = b"GET " + HEALTH.encode() + b" HTTP/1.1\r\nHost: a\r\nAuthorization: "
                wanted += basic(started.username, started.password).encode() + b"\r\n\r\n"
                while not over.is_set():
                    crowd.heard[0].clear()
                    began = time.monotonic()
                    crowd.say(wanted)
                    crowd.hear(PATIENCE, lambda c: c.ended[0] or b'"healthy": true' in c.heard[0])
                    took.append((time.monotonic() - began, crowd.statuses()))
                    if crowd.ended[0]:
                        break
                    over.wait(0.02)

        asker = threading.Thread(target=ask)
        asker.start()
        try:
            busy()
        finally:
            over.set()
            asker.join(PATIENCE)
        self.assertFalse(asker.is_alive())
        self.assertEqual({str(statuses) for _, statuses in took}, {"{200: 1}"}, "others are served")
        times = sorted(seconds * 1000 for seconds, _ in took)
        print(f"  others meanwhile: {len(times)} GETs, p50 {statistics.median(times):.1f} ms, max {times[-1]:.1f} ms")

    def wait_for(self, what, holds, patience=PATIENCE):
        until(holds, patience, every=0.02, what=what)

    def status(self, started):
        return started.client().get_json("/_ocgate/status")["totals"]

    def errors(self, started, **labels):
        return started.metric("ocgate_errors_total", **labels)
