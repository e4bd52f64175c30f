#!/usr/bin/env python3
"""What the gateway is doing, as its page and `ocgate status` and `top` say it; and the audit: who changed what."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

from kit import case, gateway
from kit.model import Call, Say
from kit.process import die_with_parent
from kit.waiting import until
from kit.websocket import WebSocket
from kit.wire import DEADLINE, Client

PAGE = "/_ocgate/status"


class Status(case.WithOpencode):
    def page(self, query=""):
        return self.client.get_json(PAGE + query)

    def exchange(self, stage, path=None):
        def listed():
            return next(
                (
                    one
                    for one in self.page()["exchanges"]
                    if one["stage"] == stage and path in (None, one["path"]) and one["user"] == "alice"
                ),
                None,
            )

        return until(listed, DEADLINE, what=f"an exchange in {stage}")

    def test_what_is_under_way_is_listed_where_it_stands(self):
        session = self.new_session("held")
        self.subscribe("/global/event")
        terminal = self.connect_pty(self.new_pty(), "?cursor=0")
        terminal.send("echo $((6 * 7))-text\r")
        terminal.output_until(b"42-text\r\n")
        self.model.script(Say("Later", hold=True))
        prompting = self.client.connect()
        self.addCleanup(prompting.close)
        fields = self.client.headers([("Content-Type", "application/json")])
        target = f"/session/{session['id']}/message?directory=/tmp"
        prompting.send_request("POST", target, fields, json.dumps(self.prompt_body("go")).encode())
        uploading = self.client.connect()
        self.addCleanup(uploading.close)
        uploading.send_request(
            "POST", "/session?secret=hidden", [*fields, ("Content-Length", "200000")], b" " * 1000
        )

        stream = self.exchange("event_stream", "/global/event")
        self.assertEqual((stream["method"], stream["route"]), ("GET", "/global/event"))
        self.assertEqual(stream["client"], "127.0.0.1")
        self.assertGreater(stream["response_bytes"], 100)
        tunnel = self.exchange("tunnel")
        self.assertEqual(tunnel["route"], "/pty/{ptyID}/connect")
        self.assertIsNone(tunnel["waits_for"])
        self.assertGreater(tunnel["request_bytes"], 10)
        self.assertGreater(tunnel["response_bytes"], 10)
        held = self.exchange("waiting", f"/session/{session['id']}/message")
        self.assertEqual(held["waits_for"], "upstream")
        upload = self.exchange("request_body", "/session")
        self.assertEqual((upload["waits_for"], upload["request_bytes"]), ("client", 1000))
        asked = self.exchange("page", PAGE)
        self.assertEqual(asked["waits_for"], "gateway")

        page = self.page()
        self.assertEqual(page["phase"], "ready")
        self.assertIs(page["upstream"]["up"], True)
        self.assertRegex(page["upstream"]["version"], r"^\d+\.\d+")
        self.assertIs(page["events"]["connected"], True)
        self.assertEqual(page["silent_shards"], [])
        totals = page["totals"]
        self.assertEqual(totals["exchanges"], len(page["exchanges"]))
        self.assertEqual(totals["stages"]["tunnel"], 1)
        self.assertGreaterEqual(totals["upstreams_in_use"], 4)
        self.assertGreaterEqual(totals["connections"], totals["exchanges"])
        ages = [one["age_seconds"] for one in page["exchanges"]]
        self.assertEqual(ages, sorted(ages, reverse=True), "the oldest first")
        self.assertEqual(self.page("?most=1&first=newest")["exchanges"][0]["path"], PAGE)
        text = json.dumps(page)
        for hidden in ("hidden", "directory=", "cursor", self.gateway.password, self.opencode.password):
            self.assertNotIn(hidden, text)

        told = self.gateway.command_line("status")
        self.assertEqual((told.returncode, told.stderr), (0, ""))
        for word in ("ocgate ", "event_stream", "tunnel", "request_body", "GET /global/event", "alice"):
            self.assertIn(word, told.stdout)
        as_json = self.gateway.command_line("status", "--json")
        self.assertEqual(json.loads(as_json.stdout)["totals"]["stages"]["tunnel"], 1)
        self.model.release()
        self.assertEqual(prompting.read_response().status, 200)

    def test_it_takes_a_login(self):
        self.assert_gateway_error(Client(self.gateway.address).get(PAGE), 401, "unauthorized")
        self.assert_gateway_error(self.client.get(PAGE + "?most=9999"), 400, "malformed")

    def test_a_client_that_takes_nothing_is_seen_to_stall(self):
        # More than the kernel holds for a reader, and no more: opencode itself stands still in an endless flood.
        flood = self.new_pty("/bin/sh", ["-c", "yes a line that nobody reads | head -c 8000000; sleep 60"])
        self.connect_pty(flood, receive_buffer_bytes=4096)

        def stalls():
            found = [one for one in self.page()["exchanges"] if one["stage"] == "tunnel" and one["stalled_seconds"]]
            return found and found[0]["stalled_seconds"] > 1 and found[0]

        found = until(stalls, DEADLINE, what="a stalled terminal")
        self.assertEqual(found["waits_for"], "client")
        self.assertIn("/connect", found["path"])


class Watcher:
    """`ocgate top` with a terminal of its own."""

    def __init__(self, *arguments):
        self._terminal, self._end = pty.openpty()
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self.before = termios.tcgetattr(self._end)

        def take_terminal():
            die_with_parent()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C becomes a signal

        self.program = subprocess.Popen(
            [gateway.binary(), "top", *map(str, arguments)],
            env=gateway.environment(), stdin=self._end, stdout=self._end, stderr=self._end,
            start_new_session=True, preexec_fn=take_terminal,
        )  # fmt: skip
        self.screen = b""

    def wait_for(self, text):
        deadline = time.monotonic() + DEADLINE
        while text not in self.screen:
            if not select.select([self._terminal], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"{text!r} did not appear but {self.screen!r}")
            self.screen += os.read(self._terminal, 65536)

    def type(self, keys):
        os.write(self._terminal, keys)

    def end(self):
        """The exit code. The screen is read meanwhile: a program whose terminal is full does not end."""
        deadline = time.monotonic() + DEADLINE
        while self.program.poll() is None and time.monotonic() < deadline:
            if select.select([self._terminal], [], [], 0.05)[0]:
                self.screen += os.read(self._terminal, 65536)
        code = self.program.wait(1)
        while select.select([self._terminal], [], [], 0)[0]:
            self.screen += os.read(self._terminal, 65536)
        return code

    def unchanged(self):
        return termios.tcgetattr(self._end) == self.before

    def close(self):
        if self.program.poll() is None:
            self.program.kill()
        self.program.wait(10)
        os.close(self._terminal)
        os.close(self._end)


class Top(case.WithOpencode):
    model_wanted = False

    def watch(self, *arguments):
        watcher = Watcher(*arguments, "--control-socket", self.gateway.control_socket)
        self.addCleanup(watcher.close)
        return watcher

    def test_it_is_redrawn_until_q_or_control_c_and_leaves_the_terminal_as_it_was(self):
        self.subscribe()
        for keys in (b"q", b"\x03"):
            with self.subTest(keys):
                watcher = self.watch("--every", "200ms")
                watcher.wait_for(b"requests/s")  # the second look
                self.assertFalse(watcher.unchanged(), "keys would be shown")
                self.assertIn(b"event_stream", watcher.screen)
                watcher.type(keys)
                self.assertEqual(watcher.end(), 0)
                self.assertTrue(watcher.unchanged())
                self.assertTrue(watcher.screen.rstrip().endswith(b"\x1b[?25h\x1b[?1049l"), watcher.screen[-60:])
                for frame in re.split(rb"\x1b\[H", watcher.screen)[1:]:
                    lines = frame.split(b"\x1b[J")[0].decode().replace("\x1b[K", "").split("\r\n")
                    self.assertLessEqual(len(lines), 24)
                    self.assertLessEqual(max(map(len, lines)), 100)

    def test_a_gateway_that_goes_is_asked_again(self):
        own = self.start_gateway()
        watcher = Watcher("--every", "200ms", "--control-socket", own.control_socket)
        self.addCleanup(watcher.close)
        watcher.wait_for(b"ocgate ")
        own.kill()
        watcher.wait_for(b"no gateway answers there")
        watcher.type(b"q")
        self.assertEqual(watcher.end(), 0)

    def test_elsewhere_it_prints_one_after_the_other(self):
        ran = self.gateway.command_line("top", "--every", "100ms", "--times", "3")
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.assertEqual(len(re.findall(r"^ocgate \d", ran.stdout, re.M)), 3, ran.stdout)
        self.assertEqual(ran.stdout.count("requests/s"), 2)
        self.assertNotIn("\x1b", ran.stdout)
        nobody = gateway.run("top", "--control-socket", "/nonexistent/nobody.sock")
        self.assertEqual((nobody.returncode, nobody.stdout), (1, ""))
        self.assertIn("no gateway answers there", nobody.stderr)


class Audit(case.WithOpencode):
    """In a file, in front of the real opencode."""

    @classmethod
    def start_gateway(cls, config=None, **kw):
        cls.folder = cls.opencode.root / "audit"
        cls.folder.mkdir(exist_ok=True)
        cls.path = cls.folder / "audit.jsonl"
        return super().start_gateway(config={"audit": str(cls.path), **(config or {})}, **kw)

    def lines(self, path=None):
        path = path or self.path
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def line(self, event, path=None, **fields):
        def found():
            for entry in self.lines(path):
                if entry["event"] == event and all(entry.get(k) == v for k, v in fields.items()):
                    return entry
            return None

        return until(found, DEADLINE, what=f"{event} {fields}")

    def allow_once(self, asked):
        """As people do it in a shell, where there is curl."""
        target = self.in_project(f"/permission/{asked['id']}/reply")
        if not shutil.which("curl"):
            return self.client.post_json(target, {"reply": "once"})
        return subprocess.run(
            ["curl", "-fsS", "-u", f"alice:{self.gateway.password}", "-H", "Content-Type: application/json",
             "-d", '{"reply":"once"}', f"http://{self.gateway.address}{target}"],
            check=True, capture_output=True, timeout=DEADLINE,
        )  # fmt: skip

    def test_who_did_what_is_written_and_nothing_that_is_secret(self):
        session = self.new_session("audited")
        id_ = session["id"]
        created = self.line("session_created", user="alice")
        self.assertEqual((created["method"], created["path"], created["status"]), ("POST", "/session", 200))
        self.assertEqual((created["client"], created["route"]), ("127.0.0.1", "/session"))
        events = self.subscribe()
        self.model.script(
            Call("bash", {"command": "echo api_key=sk-ant-api03-ABCDEFGHIJKLMNOPQRST", "description": "Says it"}),
            Say("All done"),
        )
        answer = self.client.post(self.in_project(f"/session/{id_}/prompt_async"), self.prompt_body("go on"))
        self.assertEqual(answer.status, 204)
        asked = events.until_type("permission.asked", sessionID=id_)
        self.allow_once(asked)
        events.until_type("session.idle", sessionID=id_)
        reply = self.line("permission_reply", request=asked["id"])
        self.assertEqual((reply["outcome"], reply["user"]), ("done", "alice"))
        given = self.line("permission_answered", request=asked["id"])
        self.assertEqual((given["reply"], given["by"], given["permission"]), ("once", "alice", "bash"))
        self.assertEqual((given["session"], given["request_id"]), (id_, reply["request_id"]))
        self.assertIn("echo api_key=***", given["command"])
        self.line("prompt", session=id_, outcome="begun")
        self.assertEqual(self.line("prompt", session=id_, outcome="done")["status"], 204)

        shell = {"agent": "build", "command": "echo word-of-mine"}
        self.assertEqual(self.client.post(self.in_project(f"/session/{id_}/shell"), shell).status, 200)
        self.line("shell", session=id_, outcome="done")
        opened = self.new_pty()
        self.line("terminal_opened")
        ticket = self.client.post_json(
            f"/pty/{opened['id']}/connect-token", headers=[("X-OpenCode-Ticket", "1")]
        )["ticket"]
        self.line("terminal_ticket", terminal=opened["id"])
        with WebSocket(Client(self.gateway.address), f"/pty/{opened['id']}/connect?ticket={ticket}"):
            begun = self.line("terminal_connected", terminal=opened["id"], outcome="begun")
            self.assertEqual(begun["path"], f"/pty/{opened['id']}/connect")
        self.assertEqual(self.line("terminal_connected", terminal=opened["id"], outcome="done")["status"], 101)

        self.gateway.command_line("notify-test")
        self.line("notification_test", user="control socket", client="unix")
        mute = self.client.post("/_ocgate/notifications/mute", {"for": "1h", "session": id_})
        self.assertEqual(mute.status, 200)
        self.assertEqual(self.line("notification_mute", user="alice")["for"], "1h")

        text = self.path.read_text(encoding="utf-8")
        for secret in (
            self.gateway.password, self.opencode.password, ticket, "ABCDEFGHIJKLMNOPQRST", "directory=",
            "word-of-mine", "Basic ",
        ):  # fmt: skip
            self.assertNotIn(secret, text)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        for entry in self.lines():
            self.assertEqual(entry["kind"], "audit")
        until(lambda: self.gateway.metric("ocgate_audit_lines_total") == len(self.lines()), what="the same number")
        self.assertEqual(self.gateway.metric("ocgate_audit_lines_dropped_total"), 0)
        self.assertFalse([e for e in self.gateway.log_entries() if e["kind"] == "audit"], "not in both")

    def test_an_answer_that_came_another_way_is_nobodys(self):
        session = self.new_session("elsewhere")
        events = self.subscribe()
        self.model.script(Call("bash", {"command": "echo no", "description": "Says no"}), Say("unreachable"))
        self.client.post(self.in_project(f"/session/{session['id']}/prompt_async"), self.prompt_body("go on"))
        asked = events.until_type("permission.asked", sessionID=session["id"])
        self.direct.post_json(self.in_project(f"/permission/{asked['id']}/reply"), {"reply": "reject"})
        given = self.line("permission_answered", request=asked["id"])
        self.assertEqual((given["reply"], given["by"]), ("reject", ""))
        self.assertNotIn("request_id", given)

    def test_a_file_that_was_moved_away_is_begun_anew_at_a_reload(self):
        own = self.start_gateway(config={"audit": str(self.folder / "rotated.jsonl")})
        path = self.folder / "rotated.jsonl"
        old = self.folder / "rotated.jsonl.1"
        self.line("gateway_started", path, pid=own.program.pid)
        path.rename(old)
        own.client().post_json("/session", {"title": "before"})
        self.line("session_created", old)
        own.program.signal(signal.SIGHUP)
        self.line("config_reloaded", path, outcome="done", why="SIGHUP")
        own.client().post_json("/session", {"title": "after"})
        self.line("session_created", path)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        # Also when nothing else of the reload holds.
        good = own.config_path.read_text(encoding="utf-8")
        path.rename(old)
        own.write_config("{ not json")
        own.program.signal(signal.SIGHUP)
        self.line("config_reloaded", path, outcome="failed")
        # And to another place altogether, or to one that cannot be had.
        own.write_config(good.replace("rotated.jsonl", "no/such/folder"))
        own.program.signal(signal.SIGHUP)
        own.wait_event("reload_failed", such_that=lambda entry: "/audit" in entry["errors"])
        own.write_config(good.replace("rotated.jsonl", "other.jsonl"))
        own.program.signal(signal.SIGHUP)
        self.line("config_reloaded", self.folder / "other.jsonl", outcome="done")
        before = len(self.lines(path))
        drained = own.command_line("drain", "--wait", "1s")
        self.assertEqual(drained.returncode, 0, drained.stderr)
        self.line("drain", self.folder / "other.jsonl", why="the control socket asked for it")
        self.assertEqual(own.stop(), 0)
        self.line("gateway_stopped", self.folder / "other.jsonl", exit=0)
        self.assertEqual(len(self.lines(path)), before)


class AuditElsewhere(case.WithOpencode):
    model_wanted = False

    def test_it_is_in_the_log_where_nobody_says_otherwise(self):
        own = self.start_gateway(config={"log_level": "error"})
        session = own.client().post_json("/session", {"title": "told"})
        found = own.wait_event("session_created", kind="audit", user="alice")
        self.assertEqual(found["path"], "/session")
        own.client().request("DELETE", f"/session/{session['id']}")
        own.wait_event("session_deleted", kind="audit", session=session["id"])

    def test_or_nowhere(self):
        own = self.start_gateway(config={"audit": "none"})
        own.client().post_json("/session", {"title": "not told"})
        own.wait_event("request", path="/session")
        self.assertFalse([e for e in own.log_entries() if e["kind"] == "audit"])

    def test_a_place_that_cannot_be_had_is_a_reason_not_to_start(self):
        ran = gateway.run(
            "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--control-socket", "none",
            "--audit", "/no/such/folder/audit.jsonl",
            env=gateway.environment(OPENCODE_SERVER_PASSWORD="x", OCGATE_STATE_DIR="none"),
        )  # fmt: skip
        self.assertEqual(ran.returncode, 1)
        entry = next(json.loads(line) for line in ran.stdout.splitlines() if '"no_audit"' in line)
        self.assertEqual((entry["level"], entry["path"]), ("error", "/no/such/folder/audit.jsonl"))
        checked = gateway.run(
            "check-config", "--audit", "/no/such/folder/audit.jsonl",
            env=gateway.environment(OPENCODE_SERVER_PASSWORD="x"),
        )  # fmt: skip
        self.assertIn("audit           /no/such/folder/audit.jsonl", checked.stdout)


if __name__ == "__main__":
    case.main()
