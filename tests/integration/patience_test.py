#!/usr/bin/env python3
"""Clients that take nothing for more than a minute: a terminal survives it, an event stream lasts as long as `stall`.

A minute is where things go wrong that no test with a clock moved by hand can see: the kernel's own limits for a window
that stays closed, keep-alive probes, opencode's timeouts. Both wait at the same time, because waiting is all they do.
"""

import os
import select
import time

from kit import case
from kit.sse import EventStream
from kit.websocket import TEXT
from kit.wire import Connection

TERMINAL_WAITS = 66  # seconds
STALL = 63  # seconds
LATE = 20  # seconds a busy machine may be late by
# A window is 32 KiB, the shard's bulk buffer 256; the gateway's own subscription reads the same events of 400 kB, up to
# 1 MiB at a time; the kernel hands out pages and the sanitizer keeps books. Some 20 MB are on their way.
GROWTH_KB = 8 * 1024


class Patience(case.WithOpencode):
    model_wanted = False
    gateway_config = {"timeouts": {"stall": f"{STALL}s"}}
    lines = 220_000
    line_digits = 99  # and CR LF: 22 MB, more than all buffers on the way together

    def wait_fifo(self, path, timeout):
        """Until the other side has written and closed."""
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            poll = select.poll()
            poll.register(reader, select.POLLIN)
            self.assertTrue(poll.poll(timeout * 1000), "the flood was not written in time")
        finally:
            os.close(reader)

    def flooded_terminal(self):
        """A terminal that has been asked for 22 MB, all of which opencode has read from the program."""
        fifo = self.opencode.root / "written"
        os.mkfifo(fifo)
        # The program waits for a word at the start and stays at the end: opencode 1.18.33 can lose what is said while
        # the socket connects, and what the client has not taken when the program ends.
        flood = f"seq -f '%0{self.line_digits}.0f' 1 {self.lines}"
        pty = self.new_pty(
            args=["-c", f"stty -echo; read hello; echo ready; read go; {flood}; echo written > {fifo}; read stay"]
        )
        terminal = self.connect_pty(pty, receive_buffer_bytes=16384)
        terminal.send("hello\r")
        terminal.output_until(b"ready\r\n")
        # First use of everything, before memory is looked at.
        self.subscribe().close()
        for _ in range(50):
            self.client.get("/global/health")
        self.gateway.program.reset_peak()
        before_kb = self.gateway.program.status_kb("VmRSS")
        terminal.send("go\r")
        self.wait_fifo(fifo, 120)
        return terminal, before_kb

    def flooded_events(self):
        """An event stream with some 20 MB on their way, and the times between which its client began to stall."""
        connection = Connection(self.gateway.address, receive_buffer_bytes=16384)
        events = EventStream(self.client, "/global/event", connection=connection)
        self.addCleanup(events.close)
        events.until_type("server.connected")
        session = self.new_session("flooding", self.direct)["id"]
        began = time.monotonic()
        for n in range(30):
            title = f"{n} " + "x" * 400_000  # each is told twice, as an event and as its `sync` copy
            self.assertEqual(self.direct.request("PATCH", f"/session/{session}", data={"title": title}).status, 200)
        return events, began, time.monotonic()

    def test_a_terminal_outlasts_a_minute_and_an_event_stream_its_limit(self):
        terminal, before_kb = self.flooded_terminal()
        terminal_since = time.monotonic()
        events, earliest, latest = self.flooded_events()
        cut_at = self.wait_without_reading(terminal, events, terminal_since + TERMINAL_WAITS, latest + STALL + LATE)
        waited = time.monotonic() - terminal_since
        peak_kb = self.gateway.program.status_kb("VmHWM")

        # The gateway's word, too: a kernel that gives up on a closed window tells the client nothing.
        self.assertEqual(self.gateway.metric("ocgate_streams_open", kind="websocket"), 1, "the terminal was cut")
        self.assertIsNotNone(cut_at, "the event stream was not cut")
        print(f"the event stream was cut {cut_at - latest:.1f} to {cut_at - earliest:.1f} s after its client stalled")
        self.assertGreaterEqual(cut_at, earliest + STALL)
        self.assertEqual(self.gateway.metric("ocgate_stream_closed_total", kind="event_stream", reason="stalled"), 1)
        print(f"the terminal took nothing for {waited:.1f} s; resident memory {before_kb} kB, peak {peak_kb} kB")
        self.assertLess(peak_kb - before_kb, GROWTH_KB)
        self.assert_all_arrives(terminal)

    def wait_without_reading(self, terminal, events, terminal_until, events_deadline):
        """Watches both for errors and hang-ups only. Gives the time the event stream was cut, if it was."""
        stays, goes = terminal.connection.socket.fileno(), events.connection.socket.fileno()
        poll = select.poll()
        poll.register(stays, 0)
        poll.register(goes, 0)
        cut_at = None
        while (now := time.monotonic()) < (terminal_until if cut_at else max(terminal_until, events_deadline)):
            until = terminal_until if now < terminal_until else events_deadline
            for descriptor, _ in poll.poll(1000 * max(0.0, until - now) + 1):
                self.assertEqual(descriptor, goes, f"the terminal was cut {terminal_until - now:.0f} s too early")
                cut_at = time.monotonic()
                poll.unregister(goes)
        return cut_at

    def assert_all_arrives(self, terminal):
        """Every line of the flood comes, and the terminal goes on afterwards.

        opencode 1.18.33 itself repeats some 4 KiB now and then when its client was slow: a line may come twice, or in
        pieces where a repetition begins, but none may be missing.
        """
        last = b"%0*d\r\n" % (self.line_digits, self.lines)
        output = bytearray()
        while not output.endswith(last):
            opcode, payload = terminal.receive()
            if opcode == TEXT:
                output += payload
        came = set(bytes(output).split(b"\r\n"))
        missing = [n for n in range(1, self.lines + 1) if b"%0*d" % (self.line_digits, n) not in came]
        self.assertEqual(missing[:5], [], f"{len(missing)} of {self.lines} lines never came")
        terminal.send("stay\r")
        self.assertEqual(terminal.closing_code(), 1000)


if __name__ == "__main__":
    case.main()
