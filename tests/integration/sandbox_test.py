#!/usr/bin/env python3
"""The gateway in its sandbox, as it ships: it does all that it does, and the kernel holds it to that.

The program is the release build: what is built with sanitizers confines nothing. tests/unit/ops/sandbox_test.cpp shows
what a process can no longer do in there.
"""

import ctypes
import json
import os
import signal
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kit import case
from kit import gateway as gateways
from kit.waiting import until
from kit.wire import Client

HEALTH = "/global/health"
LIBC = ctypes.CDLL(None)


class TlsTarget:
    """A webhook behind TLS, with a certificate for localhost that nobody else knows."""

    def __init__(self, folder):
        self.certificate, key = folder / "ca.pem", folder / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out",
             self.certificate],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        self.bodies = []
        self.heard = threading.Condition()
        target = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with target.heard:
                    target.bodies.append(body.decode())
                    target.heard.notify_all()
                self.send_response(204)
                self.end_headers()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count, timeout=30):
        with self.heard:
            assert self.heard.wait_for(lambda: len(self.bodies) >= count, timeout), self.bodies

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Sandbox(case.WithOpencode):
    model_wanted = False

    @classmethod
    def setUpClass(cls):
        gateways.demand_release("it confines nothing")
        os.environ["OCGATE_SANDBOX"] = "on"
        super().setUpClass()

    def setUp(self):
        self.folder = self.opencode.root / self.id().rsplit(".", 1)[-1]
        self.folder.mkdir()

    def turn(self, number, **secrets):
        """As Kubernetes changes a mounted secret: links through `..data`, which points to another folder each time."""
        data = self.folder / "secrets" / f"..{number}"
        data.mkdir(parents=True)
        for name, text in secrets.items():
            (data / name).write_text(text, encoding="utf-8")
            if not (self.folder / "secrets" / name).is_symlink():
                (self.folder / "secrets" / name).symlink_to(f"..data/{name}")
        staged = self.folder / "secrets" / "..next"
        staged.symlink_to(data.name)
        staged.replace(self.folder / "secrets" / "..data")

    def status_of(self, started, key):
        rows = set()
        for thread in os.listdir(f"/proc/{started.program.pid}/task"):
            with open(f"/proc/{started.program.pid}/task/{thread}/status", encoding="ascii") as status:
                rows |= {line.split()[1] for line in status if line.startswith(key + ":")}
        return rows

    def readable_by_its_like(self, pid):
        """Whose environment a process of the same user may read that has no right over others: that of a program of
        its own, which lets it look, and whose else."""
        look = 'cat "/proc/$1/environ" >/dev/null && echo "$2"'
        script = f'look() {{ {look}; }}; sleep 60 & look $! "a program"; kill $!; look "$0" "the gateway"'

        def renounce():
            for right in (19, 21, 38):  # CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON
                LIBC.prctl(24, right, 0, 0, 0)  # PR_CAPBSET_DROP: gone with the next program

        done = subprocess.run(
            ["sh", "-c", script, str(pid)], preexec_fn=renounce, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.stdout

    def test_everything_works_in_it_and_the_kernel_holds_it(self):
        target = TlsTarget(self.folder)
        self.addCleanup(target.close)
        self.turn(1, password="first\n")
        audit = self.folder / "audit" / "lines"
        audit.parent.mkdir()
        started = self.start_gateway(
            config={
                "audit": str(audit),
                "notifications": {
                    "targets": {"hook": {"type": "webhook", "url": target.url, "ca_file": str(target.certificate)}},
                    "routes": [{"targets": ["hook"]}],
                },
                "budget_time_zone": "Europe/Berlin",
            },
            env={
                "OPENCODE_SERVER_PASSWORD": None,
                "OPENCODE_SERVER_PASSWORD_FILE": str(self.folder / "secrets" / "password"),
            },
        )
        held = next(entry for entry in started.log_entries() if entry["event"] == "sandbox")
        self.assertRegex(held["files"], r"^landlock \d+$")
        self.assertEqual(held["calls"], "seccomp")
        for key, wanted in (("Seccomp", "2"), ("NoNewPrivs", "1")):
            self.assertEqual(self.status_of(started, key), {wanted}, f"{key}, of all threads")
        kept = {f"{1 << 1 | 1 << 2:016x}", "0" * 16}  # as root: the right to open others' files, where any are open to it
        self.assertLessEqual(self.status_of(started, "CapEff"), kept)
        with open(f"/proc/{started.program.pid}/limits", encoding="ascii") as limits:
            core = next(line.split() for line in limits if line.startswith("Max core file size"))
        self.assertEqual(core[4:6], ["0", "0"])
        self.assertEqual(self.readable_by_its_like(started.program.pid), "a program\n", "nobody looks into its memory")

        # REST, events, a terminal.
        client = Client(started.address, "alice", "first")
        with self.subscribe(client=client) as events:
            session = self.new_session(client=client)
            events.until_type("session.created", sessionID=session["id"])
        terminal = self.connect_pty(self.new_pty(client=client), client=client)
        terminal.send("echo $((6*7))x\n")
        terminal.output_until(b"42x")

        # Names of hosts, TLS, and a certificate out of a file.
        tested = started.command_line("notify-test")
        self.assertEqual(tested.returncode, 0, tested.stdout + tested.stderr)
        target.wait(1)

        # A secret changes as Kubernetes changes it; the terminal stays.
        self.turn(2, password="second\n")
        started.wait_event("reloaded", 60)
        self.assertEqual(client.get(HEALTH).status, 401)
        client = Client(started.address, "alice", "second")
        self.assertEqual(client.get(HEALTH).status, 200)
        terminal.send("echo $((6*7))y\n")
        terminal.output_until(b"42y")

        # logrotate's turn: the audit's file is opened anew.
        moved = audit.rename(audit.with_name("lines.1"))
        started.program.signal(signal.SIGHUP)
        started.wait_event("reloaded", 60)
        self.new_session(client=client)
        until(lambda: audit.exists() and "session" in audit.read_text(encoding="utf-8"), what="a line in the new file")
        self.assertIn("config_reloaded", moved.read_text(encoding="utf-8"))

        # What it says of itself, by file descriptor and /proc, and its state on the disk.
        status = json.loads(started.command_line("status", "--json").stdout)
        self.assertEqual(status["sandbox"], {"files": held["files"], "calls": "seccomp"})
        for name in ("process_open_fds", "process_resident_memory_bytes", "process_start_time_seconds"):
            self.assertGreater(started.metric(name), 0, name)
        self.assertTrue((started.state_dir / "outbox.db").is_file())
        self.assertEqual(started.metric("ocgate_log_lines_dropped_total"), 0)
        terminal.connection.close()
        self.assertEqual(started.stop(), 0)

    def test_a_file_elsewhere_takes_a_restart_and_the_log_says_so(self):
        started = self.start_gateway(config={})
        (self.folder / "password").write_text("x\n", encoding="utf-8")
        config = json.loads(started.config_path.read_text(encoding="utf-8"))
        started.write_config({**config, "users": [{"name": "bob", "password": {"file": str(self.folder / "password")}}]})
        failed = started.wait_event("reload_failed", 60)
        self.assertIn("Permission denied", failed["errors"])
        self.assertIn("others take a restart", failed["errors"])
        self.assertEqual(started.client().get(HEALTH).status, 200)
        started.restart()
        self.assertEqual(Client(started.address, "bob", "x").get(HEALTH).status, 200)

    def test_off_confines_nothing_but_keeps_memory_private(self):
        started = self.start_gateway(env={"OCGATE_SANDBOX": "off"})
        self.assertEqual(self.status_of(started, "Seccomp"), {"0"})
        self.assertEqual(self.status_of(started, "NoNewPrivs"), {"1"})
        held = next(entry for entry in started.log_entries() if entry["event"] == "sandbox")
        self.assertEqual((held["files"], held["calls"]), ("no: turned off", "no: turned off"))

    def test_it_does_not_start_without_what_was_insisted_on(self):
        # A filter of our own takes Landlock away, as an old container runtime does.
        script = (
            "import ctypes, os, struct, sys\n"
            "libc = ctypes.CDLL(None, use_errno=True)\n"
            "rules = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7fff0000)]\n"
            "code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *rule) for rule in rules))\n"
            "program = ctypes.create_string_buffer(struct.pack('HxxxxxxP', len(rules), ctypes.addressof(code)))\n"
            "assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()\n"
            "os.execv(sys.argv[1], sys.argv[1:])\n"
        )
        for mode, code in (("on", 1), ("auto", 0)):
            command = ["python3", "-c", script, gateways.binary(), "serve", "--sandbox", mode, "--listen", "127.0.0.1:0",
                       "--admin-listen", "127.0.0.1:0", "--control-socket", "none", "--state-dir", "none"]  # fmt: skip
            with subprocess.Popen(
                command, env=gateways.environment(OPENCODE_SERVER_PASSWORD="x", OCGATE_LOG_FORMAT="json"),
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            ) as running:  # fmt: skip
                lines = []
                for line in running.stdout:
                    lines.append(json.loads(line))
                    if lines[-1]["event"] == "listening":
                        running.terminate()
                said = running.stderr.read()
            self.assertEqual(running.returncode, code, said)
            if mode == "on":
                self.assertIn("no Landlock", said)
                self.assertIn("--sandbox auto", said)
            else:
                held = next(entry for entry in lines if entry["event"] == "sandbox")
                self.assertEqual(held["calls"], "seccomp")
                self.assertTrue(held["files"].startswith("no: "), held)


if __name__ == "__main__":
    case.main()
