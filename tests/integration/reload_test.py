#!/usr/bin/env python3
"""Reload is a transaction: on SIGHUP and on changed files the new settings hold whole, or the old ones stay whole."""

import json
import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path

from kit import case
from kit.crowd import MIB
from kit.wire import Client

HEALTH = "/global/health"


class Reload(case.WithOpencode):
    model_wanted = False

    def setUp(self):
        self.folder = self.opencode.root / self.id().rsplit(".", 1)[-1]
        self.folder.mkdir()

    def replace(self, name, text):
        """As a mounted secret changes: written beside, renamed into place."""
        staged = self.folder / (name + ".new")
        staged.write_text(text, encoding="utf-8")
        staged.replace(self.folder / name)
        return self.folder / name

    def htpasswd(self, **users):
        lines = []
        for username, password in users.items():
            done = subprocess.run(
                ["htpasswd", "-n", "-i", "-B", "-C", "5", username],
                input=password,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            lines.append(done.stdout.strip())
        return self.replace("htpasswd", "\n".join(lines) + "\n")

    def status(self, started, username, password):
        return Client(started.address, username, password).get(HEALTH).status

    def test_a_changed_htpasswd_file_holds_after_sighup(self):
        path = self.htpasswd(bob="old")
        started = self.start_gateway(config={"htpasswd_file": str(path)})
        self.assertEqual(self.status(started, "bob", "old"), 200)
        with self.subscribe(client=started.client()) as events:
            self.htpasswd(bob="new", carol="hers")
            started.program.signal(signal.SIGHUP)
            started.wait_event("reloaded")
            self.assertEqual(self.status(started, "bob", "old"), 401, "not from the cache either")
            self.assertEqual(self.status(started, "bob", "new"), 200)
            self.assertEqual(self.status(started, "carol", "hers"), 200)
            session = self.new_session(client=self.direct)
            events.until_type("session.created", sessionID=session["id"])  # the stream lived on

    def test_a_changed_password_file_is_noticed_without_a_signal(self):
        path = self.replace("password", "first\n")
        env = {"OPENCODE_SERVER_PASSWORD": None, "OPENCODE_SERVER_PASSWORD_FILE": str(path)}
        started = self.start_gateway(env=env)
        self.assertEqual(self.status(started, "alice", "first"), 200)
        self.replace("password", "second\n")
        started.wait_event("reloaded", 60)
        self.assertEqual(self.status(started, "alice", "first"), 401)
        self.assertEqual(self.status(started, "alice", "second"), 200)

    def test_a_broken_file_leaves_everything_as_it_was_and_says_why(self):
        path = self.htpasswd(bob="old")
        started = self.start_gateway(config={"htpasswd_file": str(path), "allowed_origins": ["https://one.example"]})
        good = started.config_path.read_text(encoding="utf-8")
        for broken, place in (
            ("{ not json", "not JSON"),
            (good.replace('"https://one.example"', "17"), "/allowed_origins/0"),
            (good.replace('"allowed_origins"', '"alowed_origins"'), "/alowed_origins"),
        ):
            with self.subTest(place):
                started.write_config(broken)
                started.program.signal(signal.SIGHUP)
                # the watch may have found the file before the signal and said the same once already
                started.wait_event("reload_failed", such_that=lambda entry, place=place: place in entry["errors"])
                self.assertEqual(self.status(started, "bob", "old"), 200)
                allowed = [("Origin", "https://one.example")]
                self.assertEqual(started.client().post("/session", {}, headers=allowed).status, 200)
        started.write_config(good.replace("one.example", "two.example"))
        started.program.signal(signal.SIGHUP)
        started.wait_event("reloaded")
        refused = started.client().post("/session", {}, headers=[("Origin", "https://one.example")])
        self.assert_gateway_error(refused, 403)
        allowed = [("Origin", "https://two.example")]
        self.assertEqual(started.client().post("/session", {}, headers=allowed).status, 200)

    def eventfds(self, pid):
        folder = f"/proc/{pid}/fd"
        return sum(os.readlink(f"{folder}/{number}") == "anon_inode:[eventfd]" for number in os.listdir(folder))

    def test_a_reload_without_memory_is_tried_again_until_it_is_whole(self):
        """A rotated password must not stay half applied because a thread could not be had at that moment."""
        path = self.htpasswd(bob="old")
        started = self.start_gateway(config={"htpasswd_file": str(path), "sandbox": "off"})
        pid = started.program.pid
        self.assertEqual(self.status(started, "bob", "old"), 200)
        started.wait_event("events_heard")
        wakers = self.eventfds(pid)
        settings = json.loads(started.config_path.read_text(encoding="utf-8"))
        folder = self.opencode.root / "audit"
        folder.mkdir()
        settings["audit"] = str(folder / "audit.jsonl")  # a file and a thread that the sandbox knew nothing of
        stack, _ = resource.getrlimit(resource.RLIMIT_STACK)
        left = (2 * MIB if stack == resource.RLIM_INFINITY else stack) * 3 // 4  # for all but a thread's stack
        before = resource.prlimit(pid, resource.RLIMIT_AS)
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0])
        resource.prlimit(pid, resource.RLIMIT_AS, (pages * resource.getpagesize() + left, before[1]))
        self.htpasswd(bob="new")
        started.write_config(json.dumps(settings))
        failed = started.wait_event("reload_failed", such_that=lambda entry: "unavailable" in entry["errors"])
        self.assertIn("tried again", failed["message"])
        self.assertEqual(self.eventfds(pid), wakers, "what was made for the thread is gone")
        shutil.rmtree(folder)
        started.program.signal(signal.SIGHUP)  # one that is refused does not end the trying
        started.wait_event("reload_failed", such_that=lambda entry: "No such file" in entry["errors"])
        self.assertEqual(started.client().get(HEALTH).status, 200)
        folder.mkdir()
        resource.prlimit(pid, resource.RLIMIT_AS, before)
        started.wait_event("reloaded")
        self.assertEqual(self.status(started, "bob", "old"), 401)
        self.assertEqual(self.status(started, "bob", "new"), 200)


if __name__ == "__main__":
    case.main()
