"""An HTTP/1.1 client on a bare socket, for tests that care about exact bytes (RFC 9112).

It never repairs: a cut body raises Truncated, a malformed chunk raises ValueError. Every read blocks with the
connection's timeout, so a test waits for the event itself and never for a guess.
"""

import base64
import json
import socket
import zlib
from dataclasses import dataclass, field

DEADLINE = 60.0  # seconds; generous, because a sanitizer build on a shared core is slow and a failure is not


class Truncated(Exception):
    """The peer ended the message early."""


def basic(username, password):
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


@dataclass
class Response:
    status: int
    reason: str
    fields: list  # [(name, value)] in the order received
    raw_head: bytes
    body: bytes = b""

    def header(self, name):
        """The only value of a field, None when absent; two of them is a test failure, not a choice."""
        values = self.headers(name)
        if len(values) > 1:
            raise AssertionError(f"{len(values)} {name} fields: {values}")
        return values[0] if values else None

    def headers(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def json(self):
        body = self.body
        if self.header("content-encoding") == "gzip":
            body = zlib.decompress(body, wbits=31)
        return json.loads(body)

    def __str__(self):
        return f"{self.raw_head.decode('latin-1')}{self.body[:600]!r}"


class Connection:
    """One connection to host:port, [v6]:port or unix:/path. Owns the socket; close() is idempotent."""

    def __init__(self, address, timeout=DEADLINE, receive_buffer_bytes=None, source=None):
        """`source`: the address it comes from, of several that are ours, as all of 127.0.0.0/8 are."""
        local = address.startswith("unix:")
        self.host = "localhost" if local else address  # as the Host field has it
        where, port = address.rsplit(":", 1)
        family = socket.AF_UNIX if local else socket.AF_INET6 if where.startswith("[") else socket.AF_INET
        self.socket = socket.socket(family)
        if receive_buffer_bytes is not None:  # must be set before connect, or the window is already large
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(timeout)
        try:
            if source is not None:
                self.socket.bind((source, 0))
            self.socket.connect(port if local else (where.strip("[]"), int(port)))
        except BaseException:
            self.socket.close()
            raise
        if not local:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.ended = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def set_timeout(self, seconds):
        self.socket.settimeout(seconds)

    def send(self, data):
        self.socket.sendall(data)

    def _fill(self):
        """Reads once; False at the end of the stream."""
        data = self.socket.recv(262144)
        if not data:
            self.ended = True
            return False
        self.buffer += data
        return True

    def read_until(self, marker, limit=1 << 20):
        start = 0
        while True:
            at = self.buffer.find(marker, start)
            if at >= 0:
                taken = bytes(self.buffer[: at + len(marker)])
                del self.buffer[: at + len(marker)]
                return taken
            if len(self.buffer) > limit:
                raise ValueError(f"no {marker!r} within {limit} bytes")
            start = max(0, len(self.buffer) - len(marker))
            if not self._fill():
                raise Truncated(f"ended before {marker!r}, after {bytes(self.buffer[:300])!r}")

    def read_exactly(self, count):
        while len(self.buffer) < count:
            if not self._fill():
                raise Truncated(f"{len(self.buffer)} of {count} bytes")
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def read_some(self):
        """Whatever is there, at least one byte; b"" at the end."""
        if not self.buffer and not self._fill():
            return b""
        taken = bytes(self.buffer)
        self.buffer.clear()
        return taken

    def read_to_end(self):
        while self._fill():
            pass
        return self.read_some() if self.buffer else b""

    def at_end(self):
        """Blocks until the peer ends the stream (True) or sends something (False)."""
        if self.buffer:
            return False
        try:
            return not self._fill()
        except ConnectionResetError:
            return True

    def send_request(self, method, target, headers=(), body=None):
        names = {name.lower() for name, _ in headers}
        lines = [f"{method} {target} HTTP/1.1"]
        if "host" not in names:
            lines.append(f"Host: {self.host}")
        lines += [f"{name}: {value}" for name, value in headers]
        if body is not None and not names & {"content-length", "transfer-encoding"}:
            lines.append(f"Content-Length: {len(body)}")
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b""))

    def read_head(self):
        """The next final response head; 1xx other than 101 are skipped."""
        while True:
            raw = self.read_until(b"\r\n\r\n")
            status_line, *lines = raw[:-4].decode("latin-1").split("\r\n")
            version, status, reason = (status_line.split(" ", 2) + [""])[:3]
            if not version.startswith("HTTP/1."):
                raise ValueError(f"not a status line: {status_line!r}")
            fields = []
            for line in lines:
                name, colon, value = line.partition(":")
                if not colon:
                    raise ValueError(f"not a header field: {line!r}")
                fields.append((name, value.strip()))
            head = Response(int(status), reason, fields, raw)
            if head.status >= 200 or head.status == 101:
                return head

    def read_chunk(self):
        """One chunk's bytes; b"" for the last one, whose trailers are read too."""
        size = int(self.read_until(b"\r\n", 4096)[:-2].split(b";")[0], 16)
        if size == 0:
            while self.read_until(b"\r\n", 65536) != b"\r\n":
                pass
            return b""
        data = self.read_exactly(size)
        if self.read_exactly(2) != b"\r\n":
            raise ValueError("chunk data not followed by CRLF")
        return data

    def read_body(self, head, method="GET"):
        if method == "HEAD" or head.status in (204, 304) or head.status < 200:
            return b""
        if (head.header("transfer-encoding") or "").lower() == "chunked":
            parts = []
            while True:
                part = self.read_chunk()
                if not part:
                    return b"".join(parts)
                parts.append(part)
        length = head.header("content-length")
        return self.read_to_end() if length is None else self.read_exactly(int(length))

    def read_response(self, method="GET"):
        head = self.read_head()
        head.body = self.read_body(head, method)
        return head


@dataclass
class Client:
    """Requests with one set of credentials, each on its own connection unless told otherwise."""

    address: str
    username: str = None
    password: str = None
    extra: list = field(default_factory=list)
    timeout: float = DEADLINE

    def headers(self, more=()):
        fields = list(self.extra) + list(more)
        if self.username is not None and not any(name.lower() == "authorization" for name, _ in fields):
            fields.append(("Authorization", basic(self.username, self.password)))
        return fields

    def connect(self, timeout=None):
        return Connection(self.address, timeout or self.timeout)

    def request(self, method, target, headers=(), body=None, data=None, connection=None, timeout=None):
        """`data` is sent as JSON; `body` as it is."""
        more = list(headers)
        if data is not None:
            body = json.dumps(data).encode()
            more.append(("Content-Type", "application/json"))
        elif body is None and method in ("POST", "PUT", "PATCH"):
            body = b""
        if connection is not None:
            connection.send_request(method, target, self.headers(more), body)
            return connection.read_response(method)
        with self.connect(timeout) as own:
            own.send_request(method, target, self.headers(more + [("Connection", "close")]), body)
            return own.read_response(method)

    def get(self, target, **kw):
        return self.request("GET", target, **kw)

    def post(self, target, data=None, **kw):
        return self.request("POST", target, data=data, **kw)

    def get_json(self, target, **kw):
        return self._json("GET", target, **kw)

    def post_json(self, target, data=None, **kw):
        return self._json("POST", target, data=data, **kw)

    def _json(self, method, target, **kw):
        response = self.request(method, target, **kw)
        if response.status // 100 != 2:
            raise AssertionError(f"{method} {target} answered {response}")
        return response.json()
