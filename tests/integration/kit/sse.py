"""A reader of server-sent events (WHATWG HTML, "Parsing an event stream") over wire.Connection."""

import json
import threading
import time

from .wire import DEADLINE, Truncated


class EventStream:
    """GET on an event route. `head` is the response head; use as a context manager.

    With wait_for_head=False nothing is read yet: some of opencode's streams send their head with the first event.
    """

    def __init__(self, client, target, headers=(), wait_for_head=True, timeout=None, connection=None):
        self.connection = connection or client.connect(timeout)
        self.connection.send_request("GET", target, client.headers([("Accept", "text/event-stream"), *headers]))
        self.comments = []
        self.chunk_sizes = []
        self.events_seen = []  # types, for failure messages
        self.ended_cleanly = False
        self._text = bytearray()
        self.head = None
        if wait_for_head:
            self.read_head()

    def read_head(self):
        self.head = self.connection.read_head()
        if self.head.status != 200:
            self.head.body = self.connection.read_body(self.head)
            raise AssertionError(f"event stream refused: {self.head}")
        return self.head

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.connection.close()

    @property
    def between_events(self):
        """Whether everything received so far ends with a whole event."""
        return not self._text

    def next_block(self):
        """The bytes of the next event or comment without the blank line that ends it; None at a clean end."""
        if self.head is None:
            self.read_head()
        searched = 0
        while True:
            at = self._text.find(b"\n\n", searched)
            if at >= 0:
                block = bytes(self._text[:at])
                del self._text[: at + 2]
                return block
            searched = max(0, len(self._text) - 1)
            chunk = self.connection.read_chunk()
            if not chunk:
                if self._text:
                    raise Truncated(f"clean end inside an event: {bytes(self._text[-200:])!r}")
                self.ended_cleanly = True
                return None
            self.chunk_sizes.append(len(chunk))
            self._text += chunk

    def next_raw(self):
        """The data bytes of the next event, comments skipped and kept in `comments`; None at a clean end."""
        while True:
            block = self.next_block()
            if block is None:
                return None
            lines = [line for line in block.split(b"\n") if line]
            self.comments += [line for line in lines if line.startswith(b":")]
            data = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
            if data:
                return b"\n".join(data)

    def next(self):
        raw = self.next_raw()
        return None if raw is None else json.loads(raw)

    def until(self, wanted, timeout=DEADLINE):
        """The first event for which wanted(type, properties) holds. `sync` copies are skipped."""
        deadline = time.monotonic() + timeout  # heartbeats keep every single read short
        while True:
            event = self.next()
            if event is None:
                raise AssertionError(f"stream ended; seen {self.events_seen[-40:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout} s; seen {self.events_seen[-40:]}")
            kind, properties = unwrap(event)
            if kind == "sync":
                continue
            self.events_seen.append(kind)
            if wanted(kind, properties):
                return properties

    def until_provoked(self, provoke, wanted, every=0.25):
        """Like until(), repeating what causes the event until the event is seen.

        opencode 1.18.33 sends server.connected some 10 to 100 ms before it listens to its own events; what happens in
        between is told to nobody. So a first event cannot be waited for after causing it once.
        """
        seen = threading.Event()
        trouble = []

        def repeat():
            try:
                provoke()
                while not seen.wait(every):
                    provoke()
            except Exception as error:  # raised below, in the test's own thread
                trouble.append(error)

        thread = threading.Thread(target=repeat, daemon=True)
        thread.start()
        try:
            return self.until(wanted)
        finally:
            seen.set()
            thread.join()
            if trouble:
                raise trouble[0]

    def until_type(self, kind, **properties):
        return self.until(lambda k, p: k == kind and all(p.get(name) == v for name, v in properties.items()))


def unwrap(event):
    """(type, properties) of a /event, /global/event or /api/event envelope."""
    inner = event.get("payload", event)
    return inner.get("type"), inner.get("properties", inner.get("data", {}))
