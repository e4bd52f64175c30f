"""The real opencode, at the version deploy/local/opencode pins, in a home of its own."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from .process import Program
from .wire import Client

REPOSITORY = Path(__file__).resolve().parents[3]
FETCHER = REPOSITORY / "deploy" / "local" / "opencode"
_EX_UNAVAILABLE = 69


class Unavailable(Exception):
    """A program or package cannot be had on this machine; the reason is the message. Tests skip on it."""


def binary():
    """Path of the opencode binary, fetched with npm the first time."""
    done = subprocess.run([FETCHER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode == _EX_UNAVAILABLE:
        raise Unavailable(f"no opencode binary: {done.stderr.strip()}")
    if done.returncode != 0:
        raise AssertionError(f"{FETCHER} failed with {done.returncode}: {done.stderr}")
    return done.stdout.strip()


def free_port():
    """A loopback port that was free a moment ago. opencode takes 0 for "4096 if free", so it needs a number."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def private_environment(home, **more):
    """An environment that knows nothing of the user's: own HOME and XDG folders, no update checks, no downloads."""
    home = Path(home)
    return {
        "PATH": os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "SHELL": "/bin/sh",
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_STATE_HOME": str(home / ".local/state"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
        **more,
    }


def make_project(path):
    """A git repository with one commit: opencode names a project after its first commit."""
    path = Path(path)
    path.mkdir(parents=True)
    (path / "README.md").write_text("# A project\n", encoding="utf-8")
    git = ["git", "-C", str(path), "-c", "user.name=Test", "-c", "user.email=test@example.invalid"]
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "Start"]):
        subprocess.run(git + command, check=True, env=env)
    return path


class Opencode:
    """`opencode serve` on a free loopback port. close() ends it and removes everything it wrote."""

    def __init__(self, model=None, username="opencode", password=None, prices=None):
        """`prices`: what a million tokens of a model cost, in dollars, by the model's name; the first is "fake-1"."""
        self.executable = binary()
        self.root = Path(tempfile.mkdtemp(prefix="ocgate-test-"))
        self.username = username
        self.password = password or secrets.token_urlsafe(18)
        self.program = None
        self.port = None
        try:
            self.project = make_project(self.root / "project")
            self.home = self.root / "home"
            config = self.home / ".config" / "opencode"
            config.mkdir(parents=True)
            (config / "opencode.json").write_text(json.dumps(self._configuration(model, prices)), encoding="utf-8")
            self.environment = private_environment(
                self.home, OPENCODE_SERVER_USERNAME=self.username, OPENCODE_SERVER_PASSWORD=self.password
            )
            self.start()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _configuration(model, prices=None):
        configuration = {
            "$schema": "https://opencode.ai/config.json",
            "autoupdate": False,
            "share": "disabled",
            "permission": {"bash": "ask", "edit": "ask"},
        }
        if model:
            configuration["model"] = configuration["small_model"] = "fake/fake-1"
            configuration["enabled_providers"] = ["fake"]
            configuration["provider"] = {
                "fake": {
                    "npm": "@ai-sdk/openai-compatible",
                    "name": "Fake",
                    "options": {"baseURL": model.base_url, "apiKey": "sk-fake"},
                    "models": {
                        name: {
                            "name": name,
                            "tool_call": True,
                            "attachment": True,
                            "limit": {"context": 200000000, "output": 8192},
                            **({"cost": cost} if cost else {}),
                        }
                        for name, cost in (prices or {"fake-1": None}).items()
                    },
                }
            }
        return configuration

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        """Starts it, on the port it had before if there was one."""
        for attempt in range(5):
            port = self.port or free_port()
            program = Program(
                "opencode",
                [self.executable, "serve", "--hostname", "127.0.0.1", "--port", str(port)],
                env=self.environment,
                cwd=self.project,
            )
            try:
                program.wait_line(lambda line: "listening on" in line, 60)
            except AssertionError:
                program.kill()
                if attempt == 4:
                    raise
                if self.port:
                    time.sleep(0.2)  # the old socket may still hold the port
                continue
            self.program, self.port = program, port
            return

    def kill(self):
        """SIGKILL, as a crash would look from outside."""
        self.program.kill()

    def client(self, **kw):
        return Client(self.address, self.username, self.password, **kw)

    def logs(self):
        lines = [self.program.logs(30)] if self.program else []
        log = self.root / "home/.local/share/opencode/log/opencode.log"
        if log.exists():
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-40:]
            lines += ["--- opencode.log", *("  " + line[:400] for line in tail)]
        return "\n".join(lines)

    def close(self):
        if self.program:
            self.program.kill()
        shutil.rmtree(self.root, ignore_errors=True)
