"""Programs the tests start: their output kept, their end certain, and only ever addressed by pid."""

import ctypes
import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def die_with_parent():
    """For a child, before its program: however we end, it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prepare_child(ignored_signals):
    die_with_parent()
    for number in ignored_signals:
        signal.signal(number, signal.SIG_IGN)


class Program:
    """A child in its own session. Its last lines of output are kept for failure messages."""

    kept_lines = 4000

    def __init__(self, name, argv, env=None, cwd=None, ignored_signals=()):
        self.name = name
        self.argv = [str(a) for a in argv]
        self._lines = deque(maxlen=self.kept_lines)
        self._queue = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            self.argv,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=lambda: _prepare_child(ignored_signals),
        )
        self._readers = [
            threading.Thread(target=self._read, args=(label, pipe), daemon=True)
            for label, pipe in (("out", self._process.stdout), ("err", self._process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self):
        return self._process.pid

    def _read(self, label, pipe):
        with pipe:
            for raw in pipe:
                line = raw.decode("utf-8", "replace").rstrip("\n")
                with self._lock:
                    self._lines.append((label, line))
                self._queue.put(line)
        self._queue.put(None)

    def wait_line(self, wanted, timeout):
        """wanted(line)'s first truthy result over lines not yet seen by an earlier wait."""
        deadline = time.monotonic() + timeout
        ends = 0
        while True:
            try:
                line = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{self.name} did not say it within {timeout} s\n{self.logs()}") from None
            if line is None:
                ends += 1
                if ends == 2:
                    self._queue.put(None), self._queue.put(None)
                    raise AssertionError(f"{self.name} ended ({self.wait(10)})\n{self.logs()}")
                continue
            found = wanted(line)
            if found:
                return found

    def lines(self, label=None):
        with self._lock:
            return [line for where, line in self._lines if label in (None, where)]

    def logs(self, last=80):
        with self._lock:
            tail = list(self._lines)[-last:]
        title = f"--- {self.name} (pid {self.pid}), last {len(tail)} lines"
        return "\n".join([title, *(f"  {label} {line}" for label, line in tail)])

    def signal(self, number):
        self._process.send_signal(number)

    def wait(self, timeout):
        """The exit code (negative: the signal); subprocess.TimeoutExpired when it does not end. Output is complete."""
        code = self._process.wait(timeout)
        for reader in self._readers:
            reader.join(5)
        return code

    def running(self):
        return self._process.poll() is None

    def kill(self):
        """SIGKILL to the child and whatever is left in its session's process group. Idempotent."""
        if self._process.poll() is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return self.wait(10)

    def status_kb(self, key):
        """A `kB` row of /proc/PID/status: VmRSS now, VmHWM the peak since the last reset_peak()."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith(key + ":"):
                    return int(line.split()[1])
        raise KeyError(key)

    def reset_peak(self):
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as clear:
            clear.write("5")
