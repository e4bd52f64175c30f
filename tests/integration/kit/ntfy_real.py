"""The real ntfy server, from Debian's package of a newer suite: fetched once with apt into a folder beside the build,
unpacked there, never installed. It listens on 127.0.0.1 and is configured so that it talks to nobody.
"""

import fcntl
import hashlib
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .opencode import REPOSITORY, Unavailable, free_port
from .process import Program

# Suites that have one, and what to expect there. Sequences (update, clear) exist from 2.16 on.
NEWER, OLDER = "sid", "trixie"
_CACHE = Path(os.environ.get("OCGATE_NTFY_CACHE", REPOSITORY / "build" / "ntfy"))
_FETCH_LIMIT = 300  # seconds
_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def _mirror():
    """Where this machine's own apt has Debian from."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)", "Created-By: Packages"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    for line in listed.stdout.splitlines():
        uri, _, whose = line.partition(" ")
        if whose == "Debian Debian":
            return uri
    raise Unavailable("apt knows no mirror of Debian here")


class _Apt:
    """apt with lists and a cache of its own: what this machine has installed, and would install, stays as it is."""

    def __init__(self, folder, suite):
        self.folder = folder
        for name in ("lists/partial", "cache/archives/partial", "parts"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        signed = f"[signed-by={_KEYS}] " if _KEYS.exists() else ""  # else: whatever apt trusts
        (folder / "sources.list").write_text(f"deb {signed}{_mirror()} {suite} main\n", encoding="utf-8")
        self.options = [
            f"Dir::Etc::SourceList={folder}/sources.list", f"Dir::Etc::SourceParts={folder}/parts",
            f"Dir::Etc::Preferences={folder}/none", f"Dir::Etc::PreferencesParts={folder}/parts",
            f"Dir::State::Lists={folder}/lists", f"Dir::State::Status={folder}/status", f"Dir::Cache={folder}/cache",
            "APT::Update::Error-Mode=any", "APT::Sandbox::User=root",
            "Acquire::Languages=none", "Acquire::Retries=1", "Acquire::http::Timeout=30",
        ]  # fmt: skip

    def __call__(self, program, *arguments):
        options = [word for option in self.options for word in ("-o", option)]
        done = subprocess.run(
            [program, "-q", *options, *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=_FETCH_LIMIT, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise Unavailable(f"{program} {arguments[0]}: {said[-1] if said else done.returncode}")
        return done.stdout


def fetch(suite, package, member, into):
    """A file of a package, checked against the index, which apt checked against the suite's signature."""
    for program in ("apt-get", "apt-cache", "dpkg-deb"):
        if not shutil.which(program):
            raise Unavailable(f"no {package}: {program} is missing (not Debian?)")
    with tempfile.TemporaryDirectory(prefix="apt.", dir=into.parent) as folder:
        apt = _Apt(Path(folder), suite)
        apt("apt-get", "update")
        index = apt("apt-cache", "show", "--no-all-versions", package)
        wanted = re.search(r"^SHA256: ([0-9a-f]{64})$", index, re.MULTILINE)
        if not wanted:
            raise Unavailable(f"no {package}: {suite} has no such package")
        apt("apt-get", "download", package)
        archive = next(Path(folder).glob(f"{package}_*.deb"))
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != wanted[1]:
            raise AssertionError(f"{archive.name} is not what the index of {suite} says: {found}")
        unpacked = Path(folder) / "unpacked"
        subprocess.run(["dpkg-deb", "-x", archive, unpacked], check=True, timeout=60)
        shutil.move(unpacked / member, into)


def binary(suite=NEWER):
    """Path of the server's program. Raises Unavailable with the reason; that is remembered for an hour, so that a
    machine without a network tries once and not for each test."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    made = _CACHE / f"ntfy-{suite}"
    failed = _CACHE / f"ntfy-{suite}.failed"
    if made.exists():
        return made
    with open(_CACHE / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests start side by side
        if made.exists():
            return made
        if failed.exists() and time.time() - failed.stat().st_mtime < 3600:
            raise Unavailable(failed.read_text(encoding="utf-8"))
        try:
            fetch(suite, "ntfy", "usr/bin/ntfy", made)
        except (Unavailable, subprocess.TimeoutExpired, OSError) as why:
            failed.write_text(str(why), encoding="utf-8")
            raise Unavailable(str(why)) from None
        failed.unlink(missing_ok=True)
    return made


@dataclass
class Answered:
    status: int
    body: bytes

    def json(self):
        return json.loads(self.body)


class NtfyServer:
    """One server with a user `gw` who may do everything in topics `oc-*`, and a token of theirs (`token`); nobody else
    may do anything. `settings` are lines of its configuration.

    The gateway's requests come from one address and ours each from another (`X-Forwarded-For`), so looking costs
    nothing of anybody's quota.
    """

    def __init__(self, suite=NEWER, **settings):
        self.program = None
        self.asked = 0
        self.binary = binary(suite)
        self.root = Path(tempfile.mkdtemp(prefix="ocgate-test-"))
        self.password = "a-password-for-a-test"
        try:
            self._start(settings)
            self._command("user", "add", "gw")
            self._command("access", "gw", "oc-*", "rw")
            said = self._command("token", "add", "gw")
            self.token = re.search(r"tk_\w+", said)[0]
        except BaseException:
            self.close()
            raise

    def _start(self, settings):
        for attempt in range(5):
            self.port = free_port()
            lines = {
                "base-url": f"http://127.0.0.1:{self.port}",
                "listen-http": f"127.0.0.1:{self.port}",
                "cache-file": f"{self.root}/cache.db",
                "auth-file": f"{self.root}/auth.db",
                "auth-default-access": "deny-all",
                "behind-proxy": True,
                "web-root": "disable",
                "log-level": "info",
                **{name.replace("_", "-"): value for name, value in settings.items()},
            }
            self.config = self.root / "server.yml"
            # JSON is YAML.
            text = "".join(f"{name}: {json.dumps(value)}\n" for name, value in lines.items())
            self.config.write_text(text, encoding="utf-8")
            self.program = Program("ntfy", [self.binary, "serve", "--config", self.config], env=self._environment())
            deadline = time.monotonic() + 30
            while self.program.running() and time.monotonic() < deadline:
                try:
                    if self.ask("GET", "/v1/health").json()["healthy"]:
                        return
                except OSError:
                    time.sleep(0.05)
            logs = self.program.logs()
            running = self.program.running()
            self.program.kill()
            if "GLIBC" in logs or "cannot execute" in logs:
                raise Unavailable(f"no ntfy server: it does not run here: {logs.strip().splitlines()[-1]}")
            # Somebody may have taken the port between our looking and its binding.
            if running or attempt == 4:
                raise AssertionError(f"the ntfy server did not start\n{logs}")

    def _environment(self):
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.root), "NTFY_PASSWORD": self.password}

    def _command(self, *words):
        done = subprocess.run(
            [self.binary, words[0], "--config", self.config, *words[1:]], env=self._environment(),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"ntfy {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def url(self):
        return f"http://{self.address}"

    def ask(self, method, target, body=None):
        self.asked += 1
        headers = {"X-Forwarded-For": f"198.18.{self.asked // 250 % 250}.{self.asked % 250}"}
        if hasattr(self, "token"):
            headers["Authorization"] = f"Bearer {self.token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            return Answered(response.status, response.read())
        finally:
            connection.close()

    def history(self, topic):
        """Everything ever said about a topic: what the poll API gives, as JSON, in order."""
        answered = self.ask("GET", f"/{topic}/json?poll=1&since=all")
        assert answered.status == 200, answered
        return [json.loads(line) for line in answered.body.splitlines()]

    def shown(self, topic):
        """What a phone shows: the last message of each sequence that was not taken away after it."""
        shown = {}
        for message in self.history(topic):
            sequence = message.get("sequence_id", message["id"])
            shown.pop(sequence, None)
            if message["event"] == "message":
                shown[sequence] = message
        return list(shown.values())

    def wait_for(self, wanted, timeout=20):
        """Until `wanted()` gives something true, asked again and again; that is returned."""
        deadline = time.monotonic() + timeout
        while not (found := wanted()):
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout} s\n{self.program.logs(20)}")
            time.sleep(0.05)
        return found

    def close(self):
        if self.program:
            self.program.kill()
        shutil.rmtree(self.root, ignore_errors=True)
