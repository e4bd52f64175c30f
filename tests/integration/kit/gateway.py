"""The gateway's binary (OCGATE_BINARY), on ports of the kernel's choosing."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from .process import Program
from .wire import Client

_SANITIZER_WORDS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")


def binary():
    path = os.environ.get("OCGATE_BINARY")
    if not path:
        raise AssertionError("OCGATE_BINARY names no gateway binary; run these tests with ctest, or set it")
    return path


def sanitized(path=None):
    """Whether the binary was built with AddressSanitizer: memory bounds are looser then."""
    return b"__asan_init" in Path(path or binary()).read_bytes()


def demand_release(why):
    """Skips the test where the program is not the build that ships, and says why it takes that one."""
    if not Path(binary()).is_file():
        raise unittest.SkipTest(f"no {binary()}: cmake --build --preset release")
    if sanitized():
        raise unittest.SkipTest(f"this gateway was built with sanitizers: {why}")


def environment(**more):
    """A clean environment for the gateway's own commands."""
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8"}
    # No quarantine: freed windows must go back, or resident memory says nothing. Aborting keeps the exit codes apart.
    env["ASAN_OPTIONS"] = "quarantine_size_mb=0:thread_local_quarantine_size_kb=0:abort_on_error=1"
    env["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
    # OCGATE_SANDBOX=on runs any test in the sandbox (a build without sanitizers).
    env.update({name: os.environ[name] for name in ("OCGATE_SANDBOX", "TSAN_OPTIONS") if name in os.environ})
    env.update(more)
    return env


def run(*arguments, env=None, timeout=60, **kw):
    """One of the short subcommands; a CompletedProcess with text output."""
    return subprocess.run(
        [binary(), *map(str, arguments)],
        env=env or environment(),
        **({} if "input" in kw else {"stdin": subprocess.DEVNULL}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=timeout,
        check=False,
        **kw,
    )


class Gateway:
    """`ocgate serve` in front of `upstream` (host:port).

    Clients log in as username/password. The upstream's own pair is passed in the configuration file only when it
    differs, which is how the tests show that credentials end at the gateway.

    What it has to remember lies in a folder of its own (`state_dir`, or one that goes with it). After `kill` or `stop`
    it can be brought back with `start`: the same configuration and state, other ports.
    """

    def __init__(
        self, upstream, username="opencode", password=None, config=None, arguments=(), env=None, threads=None,
        state_dir=None, ignored_signals=(),
    ):  # fmt: skip
        self.username = username
        self.password = password or secrets.token_urlsafe(18)
        self.root = Path(tempfile.mkdtemp(prefix="ocgate-test-"))
        self.control_socket = self.root / "control.sock"
        self.state_dir = Path(state_dir) if state_dir else self.root / "state"
        self.ignored_signals = ignored_signals
        self.former = []  # programs of earlier starts
        threads = threads or os.environ.get("OCGATE_TEST_THREADS")
        command = [
            binary(),
            "serve",
            "--listen", "127.0.0.1:0",
            "--admin-listen", "127.0.0.1:0",
            "--upstream", f"http://{upstream}",
            "--control-socket", self.control_socket,
            "--log-format", "json",
            *(["--threads", threads] if threads else []),
        ]  # fmt: skip
        self.config_path = None
        if config is not None:
            self.config_path = self.root / "ocgate.json"
            self.write_config(config)
            command += ["--config", self.config_path]
        own = {
            "OPENCODE_SERVER_USERNAME": self.username,
            "OPENCODE_SERVER_PASSWORD": self.password,
            "OCGATE_STATE_DIR": str(self.state_dir),
        }
        self.environment = environment(**{**own, **(env or {})})
        for name in [name for name, value in self.environment.items() if value is None]:
            del self.environment[name]
        self.command = [*command, *arguments]
        self.program = None
        try:
            self.start()
        except BaseException:
            shutil.rmtree(self.root, ignore_errors=True)
            raise

    def start(self):
        """Starts it, again if need be. Call it from a thread that outlives the test: the kernel ends the child of one
        that has ended (PR_SET_PDEATHSIG)."""
        if self.program:
            self.former.append(self.program)
        self.killed_by_test = False
        self.program = Program(
            "ocgate", self.command, env=self.environment, cwd=self.root, ignored_signals=self.ignored_signals
        )
        try:
            listening = self.wait_event("listening", 60)
        except BaseException:
            self.program.kill()
            raise
        self.address = listening["traffic"]
        self.admin_address = listening["admin"]
        assert listening["pid"] == self.program.pid, listening

    def kill(self):
        """SIGKILL, as a crash would look from outside."""
        self.killed_by_test = True
        self.program.kill()

    def restart(self):
        """An orderly stop, and a new start."""
        code = self.stop()
        assert code in (0, 2), f"ocgate exited {code}\n{self.logs()}"
        self.start()

    def command_line(self, *arguments, timeout=60):
        """One of its subcommands, which finds it by the control socket; a CompletedProcess."""
        return run(*arguments, "--control-socket", self.control_socket, env=self.environment, timeout=timeout)

    def write_config(self, config):
        """Replaces the configuration file in one step, as an editor or a mounted secret does."""
        text = config if isinstance(config, str) else json.dumps(config, indent=2)
        staged = self.root / "ocgate.json.new"
        staged.write_text(text, encoding="utf-8")
        staged.replace(self.config_path)

    def wait_event(self, event, timeout=30, such_that=lambda entry: True, **fields):
        """The next JSON log line with this `event`, with these fields, for which such_that(line) holds."""

        def wanted(line):
            if not line.startswith("{"):
                return None
            entry = json.loads(line)
            matches = entry.get("event") == event and all(entry.get(k) == v for k, v in fields.items())
            return entry if matches and such_that(entry) else None

        return self.program.wait_line(wanted, timeout)

    def log_entries(self):
        return [json.loads(line) for line in self.program.lines("out") if line.startswith("{")]

    def client(self, **kw):
        return Client(self.address, self.username, self.password, **kw)

    def admin(self):
        return Client(self.admin_address)

    def metric(self, name, **labels):
        """The sum of a metric's samples that carry these labels; 0.0 without any."""
        total = 0.0
        for line in self.admin().get("/metrics").body.decode().splitlines():
            if line.startswith("#") or not line:
                continue
            series, value = line.rsplit(" ", 1)
            if series.split("{")[0] == name and all(f'{k}="{v}"' in series for k, v in labels.items()):
                total += float(value)
        return total

    def buckets(self, name):
        """A histogram as {upper bound: observations at most as large}, the label sets added up."""
        found = {}
        for line in self.admin().get("/metrics").body.decode().splitlines():
            if line.startswith(name + "_bucket{"):
                series, value = line.rsplit(" ", 1)
                bound = float(series.split('le="')[1].split('"')[0])
                found[bound] = found.get(bound, 0.0) + float(value)
        return found

    def logs(self):
        return "\n".join(program.logs() for program in [*self.former[-2:], self.program] if program)

    def stop(self, timeout=40):
        """SIGTERM and, if connections are still open after a moment, the second one that forces. The exit code."""
        if self.program.running():
            self.program.signal(signal.SIGTERM)
            try:
                return self.program.wait(2)
            except subprocess.TimeoutExpired:
                self.program.signal(signal.SIGTERM)
        return self.program.wait(timeout)

    def close(self):
        """Ends it; AssertionError when it did not end by itself, ended badly, or a sanitizer spoke."""
        try:
            code = self.stop()
        except subprocess.TimeoutExpired:
            code = None
        finally:
            self.program.kill()
            shutil.rmtree(self.root, ignore_errors=True)
        for program in [*self.former, self.program]:
            if any(word in line for line in program.lines("err") for word in _SANITIZER_WORDS):
                raise AssertionError(f"a sanitizer report\n{program.logs(400)}")
        if code is None:
            raise AssertionError(f"ocgate did not end on two SIGTERM\n{self.logs()}")
        if code not in (0, 2) and not self.killed_by_test:
            raise AssertionError(f"ocgate exited {code}\n{self.logs()}")

    killed_by_test = False
