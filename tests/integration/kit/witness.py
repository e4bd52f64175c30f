"""An upstream that does nothing but write down which requests arrived, head by head, exactly as they were sent.

It takes every credential and none, so that whatever a gateway lets through is seen. A test's requests carry an `X-Case`
field: the gateway's own (probe, events) do not, and are not written down.
"""

import json
import socket
import threading
from dataclasses import dataclass, field

from .websocket import accept_of


@dataclass
class Arrival:
    case: str
    method: str
    target: bytes
    fields: list = field(default_factory=list)  # [(name in lower case, value)]

    def values(self, name):
        return [value for key, value in self.fields if key == name]


class Witness:
    def __init__(self):
        self.arrivals = []
        self.ticket = None  # what the next request for one is told
        self._lock = threading.Lock()
        self._open = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def seen(self):
        """{case: arrival} so far. A case that arrived twice is a failure of its own."""
        with self._lock:
            found = {}
            for arrival in self.arrivals:
                assert arrival.case not in found, f"{arrival.case} arrived twice: {arrival}"
                found[arrival.case] = arrival
            return found

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection, connection.makefile("rb") as stream:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while self._answer(connection, stream):
                    pass
        except (OSError, ValueError):
            pass
        finally:
            with self._lock:
                self._open.discard(connection)

    def _answer(self, connection, stream):
        """Whether the connection goes on."""
        line = stream.readline()
        if not line.endswith(b"\r\n"):
            return False
        method, target, _ = line.rstrip(b"\r\n").split(b" ", 2)
        fields = []
        while (raw := stream.readline()) not in (b"\r\n", b""):
            name, _, value = raw.decode("latin-1").partition(":")
            fields.append((name.lower(), value.strip()))
        known = dict(fields)
        if known.get("transfer-encoding") == "chunked":
            while size := int(stream.readline(), 16):
                stream.read(size + 2)
            stream.readline()
        else:
            stream.read(int(known.get("content-length", 0)))
        if "x-case" in known:
            with self._lock:
                self.arrivals.append(Arrival(known["x-case"], method.decode(), target, fields))
        if known.get("upgrade") == "websocket":
            accept = accept_of(known["sec-websocket-key"])
            switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            connection.sendall(f"{switch}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
            stream.read(1)
            return False
        says = {"healthy": True, "version": "1.18.33"}
        if self.ticket and b"connect-token" in target.lower():
            says = {"ticket": self.ticket, "expires_in": 60}
        body = b"" if method == b"HEAD" else json.dumps(says).encode()
        length = f"Content-Length: {len(body)}\r\n" if method != b"HEAD" else ""
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{length}\r\n".encode() + body)
        return True
