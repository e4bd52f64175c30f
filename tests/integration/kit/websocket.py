"""A WebSocket client (RFC 6455), just enough to see every frame opencode's PTYs send."""

import base64
import hashlib
import os
import struct

from .wire import Truncated

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class UpgradeRefused(Exception):
    def __init__(self, response):
        super().__init__(str(response))
        self.response = response


class Closed(Exception):
    """A Close frame arrived (code, or 1005 without one), or the connection ended without (1006)."""

    def __init__(self, code, reason=""):
        super().__init__(f"closed {code} {reason}")
        self.code = code
        self.reason = reason


def accept_of(key):
    """What a server says to a handshake's Sec-WebSocket-Key. Both are texts."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()


def mask(payload, key):
    if not payload:
        return b""
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(payload), "big")


class WebSocket:
    def __init__(self, client, target, headers=(), timeout=None, connection=None):
        self.connection = connection or client.connect(timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        try:
            self.connection.send_request(
                "GET",
                target,
                client.headers(
                    [
                        ("Upgrade", "websocket"),
                        ("Connection", "Upgrade"),
                        ("Sec-WebSocket-Key", key),
                        ("Sec-WebSocket-Version", "13"),
                        *headers,
                    ]
                ),
            )
            self.head = self.connection.read_head()
            if self.head.status != 101:
                self.head.body = self.connection.read_body(self.head)
                raise UpgradeRefused(self.head)
            if self.head.header("sec-websocket-accept") != accept_of(key):
                raise AssertionError(f"wrong Sec-WebSocket-Accept: {self.head}")
        except BaseException:
            self.connection.close()
            raise
        self.pongs = []
        self.frames = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def send_frame(self, opcode, payload=b"", fin=True):
        length = len(payload)
        if length < 126:
            size = bytes([0x80 | length])
        elif length < 65536:
            size = bytes([0x80 | 126]) + struct.pack(">H", length)
        else:
            size = bytes([0x80 | 127]) + struct.pack(">Q", length)
        key = os.urandom(4)
        self.connection.send(bytes([(0x80 if fin else 0) | opcode]) + size + key + mask(payload, key))

    def send(self, text):
        self.send_frame(TEXT, text.encode())

    def read_frame(self):
        """(opcode, payload) of the next frame as it is on the wire; Closed(1006) when the connection just ends."""
        try:
            first, second = self.connection.read_exactly(2)
            length = second & 0x7F
            if length == 126:
                length = struct.unpack(">H", self.connection.read_exactly(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", self.connection.read_exactly(8))[0]
            if first & 0x70 or second & 0x80:
                raise AssertionError(f"frame with reserved bits or a mask from the server: {first:#x} {second:#x}")
            payload = self.connection.read_exactly(length)
        except (Truncated, ConnectionResetError) as end:
            raise Closed(1006, str(end)) from None
        self.frames += 1
        return first & 0x0F, payload

    def receive(self):
        """(opcode, payload) of the next data frame. Pings are answered; Closed on a Close frame, which is echoed."""
        while True:
            opcode, payload = self.read_frame()
            if opcode == PING:
                self.send_frame(PONG, payload)
            elif opcode == PONG:
                self.pongs.append(payload)
            elif opcode == CLOSE:
                code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1005
                try:
                    self.send_frame(CLOSE, payload[:2])
                except OSError:
                    pass
                raise Closed(code, payload[2:].decode("utf-8", "replace"))
            else:
                return opcode, payload

    def output_until(self, marker):
        """Terminal output (text frames) up to and including the frame in which `marker` is complete."""
        seen = bytearray()
        while marker not in seen:
            opcode, payload = self.receive()
            if opcode == TEXT:
                seen += payload
        return bytes(seen)

    def ping(self, payload=b"probe"):
        """Sends a Ping and waits for its Pong, returning the terminal output that came in between."""
        self.send_frame(PING, payload)
        seen = bytearray()
        while True:
            opcode, data = self.read_frame()
            if opcode == PONG and data == payload:
                return bytes(seen)
            if opcode == TEXT:
                seen += data

    def closing_code(self):
        """Reads to the Close frame and gives its code."""
        try:
            while True:
                self.receive()
        except Closed as end:
            return end.code
