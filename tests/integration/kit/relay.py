"""A TCP relay between gateway and opencode that writes down what passed: the only honest witness of "nothing reached
opencode" and "the upstream connection was closed".
"""

import socket
import threading
import time
from dataclasses import dataclass, field


@dataclass
class Leg:
    """One connection the gateway opened. `sent` is what it sent (the first 64 KiB)."""

    sent: bytearray = field(default_factory=bytearray)
    closed_at: float = None  # time.monotonic() of the gateway's FIN or RST

    def mentions(self, text):
        return text.encode() in self.sent


class Relay:
    kept_bytes = 65536

    def __init__(self, upstream):
        self._upstream = upstream
        self._changed = threading.Condition()
        self.legs = []
        self._open = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                gateway, _ = self._listener.accept()
            except OSError:
                return
            leg = Leg()
            with self._changed:
                self.legs.append(leg)
                self._changed.notify_all()
            threading.Thread(target=self._carry, args=(leg, gateway), daemon=True).start()

    def _carry(self, leg, gateway):
        host, port = self._upstream.rsplit(":", 1)
        try:
            upstream = socket.create_connection((host, int(port)), timeout=30)
            upstream.settimeout(None)
        except OSError:
            gateway.close()
            return
        with self._changed:
            self._open |= {gateway, upstream}
        back = threading.Thread(target=self._pump, args=(upstream, gateway, None), daemon=True)
        back.start()
        self._pump(gateway, upstream, leg)
        back.join()
        with self._changed:
            self._open -= {gateway, upstream}
        gateway.close()
        upstream.close()

    def _pump(self, source, target, leg):
        try:
            while data := source.recv(65536):
                if leg is not None and len(leg.sent) < self.kept_bytes:
                    with self._changed:
                        leg.sent += data[: self.kept_bytes - len(leg.sent)]
                        self._changed.notify_all()
                target.sendall(data)
        except OSError:
            pass
        if leg is not None:
            with self._changed:
                leg.closed_at = time.monotonic()
                self._changed.notify_all()
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def wait_leg(self, text, timeout=30):
        """The newest leg on which the gateway sent `text`."""

        def found():
            return next((leg for leg in reversed(self.legs) if leg.mentions(text)), None)

        with self._changed:
            if not self._changed.wait_for(found, timeout):
                raise AssertionError(f"{text!r} did not reach the upstream within {timeout} s")
            return found()

    def wait_closed(self, leg, timeout=30):
        """When the gateway closed this leg (time.monotonic())."""
        with self._changed:
            if not self._changed.wait_for(lambda: leg.closed_at is not None, timeout):
                raise AssertionError(f"the gateway kept its upstream connection for {timeout} s")
            return leg.closed_at

    def everything_sent(self):
        with self._changed:
            return b"".join(bytes(leg.sent) for leg in self.legs)

    def close(self):
        # shutdown first: close() alone does not wake a thread blocked in accept()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        with self._changed:
            for end in self._open:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
