"""What is measured: the gateway, its peers, the limit. A new peer is one class with `prepare` and `begin`.

Each is what one would write in front of opencode, with the same duty (README.md says what that is). A name alone, as
`nginx`, means: with an access log. `nginx, no log` is the same without.
"""
import copy
import json
import os
import pathlib
import resource
import shutil
import socket
import subprocess
import tempfile
import time

from .machine import HERE, Unavailable
from .processes import PASSWORD, USER, Processes, get_status, resident_bytes, rest, wake

NO_LOG = ", no log"
PEER_NAMES = ("nginx", "HAProxy")  # those the targets of the project are about


class Target:
    """One proxy in front of `upstream_port`. `begin` starts it and returns the process."""

    title = ""
    is_http = True
    logs = None  # None: knows no log

    def __init__(self, bench, upstream_port=None):
        self.bench = bench
        self.upstream_port = upstream_port or bench.upstream_port
        self.cores = {bench.machine.proxy_core}
        self.skipped = None
        self.process = None
        self.port = None
        self.pids = []
        self.facts = {}
        self.starts = []  # ms from the start of the process to its first answer

    @property
    def name(self):
        return self.title + (NO_LOG if self.logs is False else "")

    @property
    def access_log(self):
        """The file with a line for each answer."""
        return self.folder / "access.log"

    def start(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=self.bench.folder))
        self.folder.chmod(0o755)
        log_path = self.folder / "log"
        self.prepare()
        with open(log_path, "ab") as log:
            began = time.monotonic()
            self.process = self.begin(log)
        try:
            self.await_answer(began)
        except Unavailable as why:
            tail = log_path.read_text(errors="replace").strip().splitlines()[-3:]
            raise Unavailable(f"{why}: {' / '.join(tail)}" if tail else str(why)) from None
        self.starts.append((time.monotonic() - began) * 1000)
        self.pids = Processes.family(self.process.pid)
        self.facts["resident_idle_bytes"] = resident_bytes(self.pids)

    def fresh(self):
        """Another process of the same kind, whose allocator has nothing lying about yet."""
        other = copy.copy(self)
        other.process = other.port = None
        other.start()
        return other

    def stop(self):
        self.bench.processes.stop(self.process)
        if not self.bench.options.keep_logs:
            shutil.rmtree(self.folder, ignore_errors=True)

    def rest(self):
        """Until wake() it does nothing at all, so that whoever is measured has the core alone."""
        if self.pids:
            rest(self.pids)

    def wake(self):
        """And wait until it answers: what it finds overdue, it does before it is measured."""
        if self.pids:
            wake(self.pids)
            self.await_answer(time.monotonic())

    def await_answer(self, began):
        status = None
        while time.monotonic() - began < 20:
            if self.process.poll() is not None:
                raise Unavailable(f"ended at start with status {self.process.returncode}")
            self.port = self.port or self.find_port()
            if self.port:
                status = get_status(self.port)
                if status == 200:
                    return
            time.sleep(0.001)
        raise Unavailable(f"gave no answer within 20 s (last status {status})")

    def prepare(self):
        """What must be there before the clock of the start runs."""

    def begin(self, log):
        raise NotImplementedError

    def find_port(self):
        return self.port

    def run(self, words, log, env, pass_fds=(), stdout=None):
        return self.bench.processes.start(words, self.cores, log, env, pass_fds, stdout)

    def fill(self, template, **values):
        text = (HERE / template).read_text()
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        path = self.folder / template.removesuffix(".in")
        path.write_text(text)
        path.chmod(0o644)
        return path

    def open_listener(self):
        """A listening socket at a port of the kernel's choosing, for those who inherit one."""
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(4096)
        listener.setblocking(False)  # those who inherit it expect that, and would hang in accept
        self.port = listener.getsockname()[1]
        return listener

    @staticmethod
    def program(name):
        found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin")
        if not found:
            raise Unavailable(f"{name} is not installed")
        return found

    @staticmethod
    def version_of(words):
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
        return (done.stdout + done.stderr).strip().splitlines()[0]


class Direct(Target):
    """No proxy at all: what latency is to be compared with."""

    title = "direct"

    def start(self):
        self.port = self.upstream_port
        self.process = self.bench.upstream


class Relay(Target):
    title = "relay"
    is_http = False

    def begin(self, log):
        process, self.port = self.bench.start_tool("relay", log, self.cores, "--upstream", self.upstream_port)
        return process


class Logging(Target):
    """A target whose access log can be off."""

    def __init__(self, bench, logs=True, upstream_port=None):
        super().__init__(bench, upstream_port)
        self.logs = logs


class Nginx(Logging):
    title = "nginx"

    def prepare(self):
        self.binary = self.program("nginx")
        self.facts["version"] = self.version_of([self.binary, "-v"]).split(": ")[-1]
        for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
            (self.folder / name).mkdir()
        # {PLAIN} is the cheapest that nginx reads: no hash at all.
        (self.folder / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")

    def begin(self, log):
        with self.open_listener() as listener:
            # Lines gathered, as ours are: a write for each costs nginx a little more.
            access_log = f"{self.access_log} combined buffer=64k flush=1s" if self.logs else "off"
            files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            # When only a sixteenth is left, nginx closes connections that have not yet said anything to make room.
            connections = files + files // 8
            config = self.fill("nginx.conf.in", RUN=self.folder, PORT=self.port, UPSTREAM=self.upstream_port,
                               USER="user root;" if os.geteuid() == 0 else "", ACCESS_LOG=access_log, FILES=files,
                               CONNECTIONS=connections)
            # nginx takes over listening sockets it finds named here; that is how it replaces its own binary.
            env = {"PATH": "/usr/bin:/bin", "NGINX": f"{listener.fileno()};"}
            words = [self.binary, "-e", "stderr", "-p", self.folder, "-c", config, "-g", "daemon off;"]
            return self.run(words, log, env, [listener.fileno()])


class Haproxy(Logging):
    title = "HAProxy"

    def prepare(self):
        self.binary = self.program("haproxy")
        self.facts["version"] = "HAProxy " + self.version_of([self.binary, "-v"]).split()[2]

    def begin(self, log):
        with self.open_listener() as listener, open(self.access_log, "ab") as access_log:
            # Standard output is the log, a file here. HAProxy's other way, a datagram for each line, costs it more, and
            # a daemon's time besides.
            config = self.fill("haproxy.cfg.in", LISTENER=listener.fileno(), UPSTREAM=self.upstream_port,
                               CONNECTIONS=self.bench.machine.most_streams,
                               LOG="log stdout format raw local0\n    option httplog" if self.logs else "")
            return self.run([self.binary, "-db", "-f", config], log, {"PATH": "/usr/bin:/bin"}, [listener.fileno()],
                            stdout=access_log)


class Caddy(Logging):
    title = "Caddy"

    def prepare(self):
        self.binary = self.program("caddy")
        self.facts["version"] = "Caddy " + self.version_of([self.binary, "version"])
        hashed = subprocess.run([self.binary, "hash-password", "--plaintext", PASSWORD], capture_output=True, text=True,
                                timeout=60, check=True).stdout.strip()
        with self.open_listener():
            pass  # Caddy 2.6 neither inherits a socket nor says which port it got: taken again at once, or skipped
        access_log = f"log {{\n        output file {self.access_log} {{\n            roll_disabled\n        }}\n    }}"
        self.config = self.fill("Caddyfile.in", PORT=self.port, UPSTREAM=self.upstream_port, BCRYPT=hashed,
                                ACCESS_LOG=access_log if self.logs else "")

    def begin(self, log):
        words = [self.binary, "run", "--config", self.config, "--adapter", "caddyfile"]
        return self.run(words, log, {"PATH": "/usr/bin:/bin", "HOME": str(self.folder)})


class Ocgate(Logging):
    title = "ocgate"
    threads = 1

    @property
    def access_log(self):
        return self.folder / "log"  # one log for everything, on standard output

    def prepare(self):
        self.binary = self.bench.gateway()
        self.facts["version"] = self.version_of([self.binary, "--version"])
        self.facts.update(self.bench.gateway_sizes)

    def begin(self, log):
        env = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "OPENCODE_SERVER_USERNAME": USER,
               "OPENCODE_SERVER_PASSWORD": PASSWORD, "OCGATE_ACCESS_LOG": "true" if self.logs else "false"}
        words = [self.binary, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--upstream",
                 f"http://127.0.0.1:{self.upstream_port}", "--log-format", "json", "--log-level", "info",
                 "--control-socket", "none", "--limits-connections", self.bench.machine.most_streams,
                 "--limits-connections-per-client", 0, "--limits-streams-per-client", 0, "--threads", self.threads]
        return self.run(words, log, env)

    def find_port(self):
        for line in self.access_log.read_text(errors="replace").splitlines():
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if isinstance(said, dict) and said.get("event") == "listening":
                return int(said["traffic"].rsplit(":", 1)[1])
        return None


CLASSES = {"nginx": Nginx, "haproxy": Haproxy, "caddy": Caddy}


def everything(bench):
    """All targets of the main part. Caddy is no rival in cost: measured with a log only."""
    found = [Direct(bench), Relay(bench)]
    for peer in bench.options.peers:
        found += [CLASSES[peer](bench, logs) for logs in ((True,) if peer == "caddy" else (True, False))]
    return [*found, Ocgate(bench, True), Ocgate(bench, False)]
