"""An upstream that does what a test wants it to do wrong, on bare sockets: it says exact bytes, or nothing, or breaks
off. It notes every request that reached it, and when the gateway let go of the connection.

What a path does:

    /global/health     200, well
    /global/event      an event stream with a heartbeat every 2 s, as the gateway's own ear wants it
    /quick             200 with {"n": N}; every request is in `requests`
    /held              nothing, until `release()`: then 200
    /events?every=S    an event stream; one event at once, then one every S seconds (never, by default)
    /pty/…?every=S     a WebSocket that says a frame now and then, and takes whatever it is told
    /flood             200 with a length and bytes without end; /pty/flood the same in frames
    /upload            takes the content, slowly, and never answers
    /script            the bytes that `script(…)` gave, and then what it gave for an end
"""

import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from .websocket import accept_of

_EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CLOSE, RESET, STAY = "close", "reset", "stay"


def json_answer(text, status="200 OK"):
    body = text.encode()
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        status.encode(), len(body), body,
    )  # fmt: skip


def reset(end):
    """An RST instead of a FIN."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


def _chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


@dataclass
class Request:
    method: str
    target: str
    fields: dict
    body: bytes = b""
    at: float = field(default_factory=time.monotonic)
    ended_at: float = None  # the gateway let go of the connection (time.monotonic())


class FaultyOpencode:
    def __init__(self, address="127.0.0.1"):
        self._host = address
        self.port = 0
        self.requests = []
        self._changed = threading.Condition()
        self._scripted = (b"", CLOSE)
        self._released = threading.Event()
        self._released_alone = set()
        self._flowing = threading.Event()  # clear: wedged
        self._flowing.set()
        self._open = set()
        self._listener = None
        self.up()

    @property
    def address(self):
        return f"{self._host}:{self.port}"

    # What a test does to it.

    def up(self):
        self._listener = socket.create_server((self._host, self.port), backlog=256)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def down(self):
        """As after SIGKILL: nobody listens, every connection is gone."""
        listener, self._listener = self._listener, None
        try:
            listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        listener.close()
        self.cut()

    def cut(self):
        with self._changed:
            ends = list(self._open)
        for end in ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def wedge(self):
        """As under SIGSTOP: connections stay and are made, and nothing is read or said."""
        self._flowing.clear()

    def unwedge(self):
        self._flowing.set()

    def script(self, answer, end=CLOSE):
        self._scripted = (answer, end)

    def release(self, target=None):
        """All that are held, or those of one target."""
        if target:
            self._released_alone.add(target)
        else:
            self._released.set()

    def close(self):
        self.unwedge()
        self.release()
        if self._listener:
            self.down()

    # What a test asks it.

    def asked(self, target):
        with self._changed:
            return [request for request in self.requests if request.target == target]

    def wait_asked(self, target, timeout=30):
        with self._changed:
            if not self._changed.wait_for(lambda: any(r.target == target for r in self.requests), timeout):
                raise AssertionError(f"{target} did not arrive within {timeout} s")
            return next(r for r in reversed(self.requests) if r.target == target)

    def wait_ended(self, request, timeout):
        """When the gateway let go of the connection; None if it has not."""
        with self._changed:
            self._changed.wait_for(lambda: request.ended_at is not None, timeout)
            return request.ended_at

    # How it works.

    def _accept(self, listener):
        while True:
            try:
                end, _ = listener.accept()
            except OSError:
                return
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                self._open.add(end)
            threading.Thread(target=self._serve, args=(end,), daemon=True).start()

    def _serve(self, end):
        current = []
        try:
            waiting = bytearray()
            while self._turn(end, waiting, current):
                pass
        except (OSError, ValueError):
            pass
        finally:
            with self._changed:
                self._open.discard(end)
                for request in current:
                    request.ended_at = request.ended_at or time.monotonic()
                self._changed.notify_all()
            end.close()

    def _receive(self, end):
        self._flowing.wait()
        data = end.recv(65536)
        self._flowing.wait()
        if not data:
            raise ConnectionError("the gateway has left")
        return data

    def _turn(self, end, waiting, current):
        """One request. False: the connection is over."""
        while b"\r\n\r\n" not in waiting:
            waiting += self._receive(end)
        head, _, rest = bytes(waiting).partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        request = Request(method, target, fields)
        path = urlsplit(target).path
        length = int(fields.get("content-length", 0))
        waiting[:] = rest
        if path != "/upload":
            while len(waiting) < length:
                waiting += self._receive(end)
            request.body = bytes(waiting[:length])
            del waiting[:length]
        current[:] = [request]
        with self._changed:
            self.requests.append(request)
            number = len(self.requests)
            self._changed.notify_all()
        return self._answer(end, path, request, number)

    def _answer(self, end, path, request, number):
        every = float(parse_qs(urlsplit(request.target).query).get("every", ["1e9"])[0])
        if path == "/global/health":
            end.sendall(json_answer('{"healthy":true,"version":"1.18.33"}'))
        elif path == "/global/event":
            beat = '{"payload":{"id":"evt_0","type":"server.%s","properties":{}}}'
            self._tell(end, _EVENTS, _event(beat % "connected"), _event(beat % "heartbeat"), 2.0)
            return False
        elif path == "/quick":
            end.sendall(json_answer('{"n":%d}' % number))
        elif path == "/held":
            if not self._hold(end, request.target):
                return False
            end.sendall(json_answer('{"held":true}'))
        elif path == "/events":
            self._tell(end, _EVENTS, _event('{"type":"first"}'), _event('{"type":"more"}'), every)
            return False
        elif path.startswith("/pty/"):
            switch = (
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: %s\r\n\r\n" % accept_of(request.fields["sec-websocket-key"]).encode()
            )
            if path == "/pty/flood":
                self._flood(end, switch, b"\x81\x7e\x40\x00" + b"w" * 0x4000)
            else:
                self._tell(end, switch, b"\x81\x05hello", b"\x81\x04more", every)
            return False
        elif path == "/flood":
            self._flood(end, b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"d" * 65536)
            return False
        elif path == "/upload":
            while True:
                self._receive(end)
                time.sleep(0.05)
        elif path == "/script":
            answer, ending = self._scripted
            end.sendall(answer)
            if ending == RESET:
                time.sleep(0.05)  # what was said should arrive before it is broken off
                reset(end)
                return False
            return ending == STAY
        else:
            end.sendall(json_answer('{"name":"NotFoundError","data":{}}', "404 Not Found"))
        return True

    def _hold(self, end, target):
        """Until it is released (True) or the gateway leaves."""
        while not self._released.is_set() and target not in self._released_alone:
            self._flowing.wait()
            if select.select([end], [], [], 0.02)[0] and not end.recv(1, socket.MSG_PEEK):
                return False
        return True

    def _tell(self, end, head, first, more, every):
        end.sendall(head + first)
        next_at = time.monotonic() + every
        while True:
            left = next_at - time.monotonic()
            if select.select([end], [], [], min(1.0, max(0.0, left)))[0]:
                self._receive(end)
            self._flowing.wait()
            if time.monotonic() >= next_at:
                end.sendall(more)
                next_at = time.monotonic() + every

    def _flood(self, end, head, more):
        end.sendall(head)
        rest = b""
        while True:
            readable, writable, _ = select.select([end], [end], [], 1.0)
            if readable:
                self._receive(end)
            if writable:
                end.setblocking(False)
                rest = rest or more
                rest = rest[end.send(rest):]  # fmt: skip
                end.setblocking(True)


def _event(text):
    return _chunk(b"data: %s\n\n" % text.encode())
