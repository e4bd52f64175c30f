"""What a proxy adds in front of the real opencode: to `GET /session`, and to a key typed in a terminal.

Both at a rate far below what opencode can do, so what is measured is waiting, not queueing. Its answers are its own:
only their status, their framing and what was typed are checked.
"""
import json
import os
import pathlib
import subprocess
import time
import urllib.request

from . import targets
from .machine import ROOT, Unavailable, say
from .processes import CREDENTIALS, PASSWORD, USER
from .workloads import Workload

FETCHER = ROOT / "deploy" / "local" / "opencode"
NAME = "opencode"  # of this part, for --only
TITLE = "the real opencode"


def binary(may_fetch):
    if not may_fetch and "OPENCODE_BINARY" not in os.environ:
        version = subprocess.run([FETCHER, "--version"], capture_output=True, text=True, check=False).stdout.strip()
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "opencode-gateway"
        if not any(cache.glob(f"*-{version}/opencode")):
            raise Unavailable("it is not there, and nothing may be installed")
    done = subprocess.run([FETCHER], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable((done.stderr.strip().splitlines() or ["it cannot be had"])[-1])
    return done.stdout.strip()


class Opencode:
    """`opencode serve` in a home of its own, on the upstream's core, with a session and a terminal that echoes."""

    def __init__(self, bench):
        self.bench = bench
        self.folder = bench.folder / "opencode"
        program = binary(not bench.options.no_install)
        project = self.folder / "project"
        project.mkdir(parents=True)
        home = self.folder / "home"
        config = home / ".config" / "opencode"
        config.mkdir(parents=True)
        (config / "opencode.json").write_text('{"autoupdate": false, "share": "disabled"}\n')
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8", "SHELL": "/bin/sh",
               "HOME": str(home), "OPENCODE_SERVER_USERNAME": USER, "OPENCODE_SERVER_PASSWORD": PASSWORD,
               "OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1",
               "OPENCODE_DISABLE_LSP_DOWNLOAD": "1", "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1"}
        for _ in range(3):
            with targets.Target(bench, 1).open_listener() as listener:
                self.port = listener.getsockname()[1]  # opencode takes 0 for 4096; free a moment ago must do
            with open(self.folder / "log", "ab") as log:
                words = [program, "serve", "--hostname", "127.0.0.1", "--port", self.port]
                self.process = bench.processes.start(words, {bench.machine.upstream_core}, log, env, cwd=project)
            if self.is_up():
                break
            bench.processes.stop(self.process)
        else:
            raise Unavailable("it did not start")
        self.ask("POST", "/session", {"title": "bench"})
        # A raw terminal: what is typed comes back once, from the program, not from the line discipline.
        made = self.ask("POST", "/pty", {"command": "/bin/sh", "args": ["-c", "stty raw -echo; exec cat"]})
        self.pty = made["id"]
        self.await_cat(made["pid"])

    def ask(self, method, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method,
                                         data=json.dumps(body).encode() if body is not None else None)
        request.add_header("Authorization", "Basic " + CREDENTIALS)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    def is_up(self):
        until = time.monotonic() + 40
        while time.monotonic() < until and self.process.poll() is None:
            try:
                return bool(self.ask("GET", "/global/health").get("healthy"))
            except (OSError, ValueError):  # HTTPError and URLError are OSErrors
                time.sleep(0.1)
        return False

    @staticmethod
    def await_cat(pid):
        until = time.monotonic() + 10
        while time.monotonic() < until:
            if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "cat":
                return
            time.sleep(0.02)
        raise Unavailable("its terminal did not start")

    def stop(self):
        self.bench.processes.stop(self.process)


def workloads(quick, pty=""):
    seconds = 1 if quick else 3
    return [
        Workload("real-session", "GET /session, 40/s",
                 ["http", "--connections", 2, "--rate", 40, "--requests", 40 * seconds, "--warm-up", 8,
                  "--unchecked", 1], latency=True),
        Workload("real-echo", "a key in a terminal and back, 40/s",
                 ["echo", "--connections", 1, "--rate", 40, "--milliseconds", 1000 * seconds, "--unchecked", 1,
                  "--path", f"/pty/{pty}/connect?cursor=-1"], latency=True),
    ]


def measure(bench):
    """Fills bench.results for these workloads; what is impossible is named in bench.skipped."""
    opencode = None
    among = []
    try:
        say("starting the real opencode")
        opencode = Opencode(bench)
        direct = targets.Direct(bench, opencode.port)
        peers = [targets.Nginx(bench, True, opencode.port)] if "nginx" in bench.options.peers else []
        for target in (direct, *peers, targets.Ocgate(bench, True, opencode.port)):
            if bench.start_target(target):
                among.append(target)
        direct.process = opencode.process
        for workload in workloads(False, opencode.pty):  # its first requests are many times slower than the rest
            bench.load(workload.words, direct)
        for number in range(bench.options.real_rounds):
            bench.one_round(workloads(bench.options.quick, opencode.pty), among, number)
    except (Unavailable, OSError, KeyError) as why:
        bench.skipped[TITLE] = str(why)
        say(f"skipping {TITLE}: {why}")
    finally:
        for target in among:
            if not isinstance(target, targets.Direct):
                target.stop()
        if opencode:
            opencode.stop()
