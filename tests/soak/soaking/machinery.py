"""The programs of a soak: the gateway, the upstream that can be killed and hung, and the load."""

import base64
import json
import os
import signal
import socket
import subprocess
import threading
from collections import Counter, deque
from pathlib import Path

from kit.process import Program, die_with_parent

ROOT = Path(__file__).resolve().parents[3]


def credentials(user, password):
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def build_tools(into):
    """The load and the upstream, where CMake has not built them; nothing is done when they are newer than their
    sources."""
    here, bench = ROOT / "tests" / "soak", ROOT / "bench"
    into.mkdir(parents=True, exist_ok=True)
    newest = max(path.stat().st_mtime for folder in (here, bench) for path in folder.glob("*.[ch]pp"))
    for tool in ("load", "upstream"):
        made = into / f"soak_{tool}"
        if made.exists() and made.stat().st_mtime > newest:
            continue
        sources = sorted([here / f"{tool}.cpp", *here.glob(f"{tool}_*.cpp"), bench / "upstream_requests.cpp"])
        command = ["g++", "-std=c++20", "-O2", f"-I{bench}", *map(str, sources), "-o", str(made)]
        subprocess.run(command, check=True)
    return into


def release_gateway():
    """What ships, built when it is not there."""
    made = ROOT / "build" / "release" / "ocgate"
    if not made.exists():
        for command in (["cmake", "--preset", "release"],
                        ["cmake", "--build", "--preset", "release", "--target", "ocgate", "-j2"]):  # fmt: skip
            subprocess.run(command, cwd=ROOT, check=True)
    return made


class SoakProgram(Program):
    """The gateway, whose lines are so many that only the few somebody waits for are kept for a wait."""

    WAITED_FOR = ("listening", "reloaded", "reload_failed")

    journal = None  # a file for all lines but those of who did what, which nobody reads here

    def __init__(self, *arguments, **kw):
        self.errors, self.levels, self.said = deque(maxlen=200), Counter(), Counter()
        super().__init__(*arguments, **kw)

    def _read(self, label, pipe):
        with pipe:
            for raw in pipe:
                line = raw.decode("utf-8", "replace").rstrip("\n")
                keep = label == "err"
                if line.startswith("{") and not keep:
                    entry = json.loads(line)
                    level = entry.get("level")
                    self.levels[f"{level} {entry.get('kind')}"] += 1
                    if level == "error":
                        self.errors.append(entry)
                    keep = level != "info" or "failure" in entry
                    if entry.get("event") in self.WAITED_FOR:
                        keep = True
                        self.said[entry["event"]] += 1
                        self._queue.put(line)
                if self.journal and '"kind":"au' not in line:  # audit, auth
                    self.journal.write(line + "\n")
                if keep:
                    with self._lock:
                        self._lines.append((label, line))
        self._queue.put(None)


class Tool:
    """One of the two programs, which speaks lines."""

    def __init__(self, *argv):
        self._process = subprocess.Popen(
            [str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            preexec_fn=die_with_parent,
        )  # fmt: skip

    @property
    def pid(self):
        return self._process.pid

    def tell(self, line):
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self):
        return self._process.stdout.readline()

    def signal(self, number):
        self._process.send_signal(number)

    def running(self):
        return self._process.poll() is None

    def kill(self):
        if self.running():
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
        self._process.wait(20)
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                pipe.close()
            except OSError:
                pass

    def wait(self, timeout):
        return self._process.wait(timeout)


class Upstream:
    """At the same port in each of its lives."""

    def __init__(self, tools, rest_port, ledger, user, password):
        self._tools, self._rest_port, self._ledger, self._user = tools, rest_port, ledger, user
        self.password = password
        # Bound and not listening: while the upstream is away, nobody's outgoing connection gets its port.
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind(("127.0.0.1", 0))
        self.port = self._place.getsockname()[1]
        self._tool = None
        self.lives = 0
        self.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self._tool.pid

    def start(self):
        self._tool = Tool(
            self._tools / "soak_upstream", "--port", self.port, "--rest", self._rest_port, "--ledger", self._ledger,
            "--credentials", credentials(self._user, self.password),
        )  # fmt: skip
        if not self._tool.hear():
            raise AssertionError("the upstream did not start")
        self.lives += 1

    def kill(self):
        self._tool.kill()

    def alive(self):
        return self._tool.running()

    def hang(self):
        self._tool.signal(signal.SIGSTOP)

    def go_on(self):
        self._tool.signal(signal.SIGCONT)

    def cut(self, count):
        self._tool.tell(f"cut {count}")
        self._tool.hear()


class Load:
    def __init__(self, tools, **options):
        arguments = [word for name, value in options.items() for word in ("--" + name.replace("_", "-"), value)]
        self._tool = Tool(tools / "soak_load", *arguments)
        self.troubles, self.progress, self.obeyed, self.strange = [], [], [], []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self):
        return self._tool.pid

    def _read(self):
        while line := self._tool.hear():
            try:
                said = json.loads(line)
            except ValueError:
                self.strange.append(line)
                continue
            kinds = {"trouble": self.troubles, "progress": self.progress, "obeyed": self.obeyed}
            kinds[next(iter(said))].append(said)

    def tell(self, line):
        self._tool.tell(line)

    def running(self):
        return self._tool.running()

    def quit(self):
        """Everybody leaves. The exit code; all it said has been read."""
        if self.running():
            self._tool.tell("quit")
        code = self._tool.wait(60)
        self._reader.join(20)
        return code

    def kill(self):
        self._tool.kill()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def open_descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def open_sockets(pid):
    """TCP connections of a process, its listeners not counted, as (local port, remote port, state)."""
    own = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:["):
            own.add(target[8:-1])
    found = []
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}", encoding="ascii") as rows:
            for row in list(rows)[1:]:
                fields = row.split()
                if fields[9] in own and fields[3] != "0A":
                    ports = (int(fields[at].rsplit(":", 1)[1], 16) for at in (1, 2))
                    found.append((*ports, fields[3]))
    return found
