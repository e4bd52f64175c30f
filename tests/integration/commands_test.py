#!/usr/bin/env python3
"""The subcommands as people type them. `hash-password` asks twice, shows nothing and leaves the terminal as it was;
`pending`, `sessions` and `notify-test` need no password and say what the traffic port says."""

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import termios
import time
import unittest

from kit import case, gateway
from kit.fake_ntfy import FakeNtfy
from kit.fake_opencode import FakeOpencode
from kit.process import die_with_parent
from kit.wire import DEADLINE, Client

CONTROL_C, CONTROL_D = b"\x03", b"\x04"


class Person:
    """A program that has a terminal of its own on standard input and error; its standard output is a pipe."""

    def __init__(self, *arguments):
        self._terminal, self._end = pty.openpty()
        self.echoed_before = self.echoes()

        def take_terminal():
            die_with_parent()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C becomes a signal

        self._program = subprocess.Popen(
            [gateway.binary(), *arguments],
            env=gateway.environment(),
            stdin=self._end,
            stdout=subprocess.PIPE,
            stderr=self._end,
            start_new_session=True,
            preexec_fn=take_terminal,
        )
        self.screen = b""

    def close(self):
        if self._program.poll() is None:
            self._program.kill()
        self._program.wait(10)
        self._program.stdout.close()
        os.close(self._terminal)
        os.close(self._end)

    def echoes(self):
        return bool(termios.tcgetattr(self._end)[3] & termios.ECHO)

    def signal(self, number):
        self._program.send_signal(number)

    def type(self, keys):
        os.write(self._terminal, keys)

    def wait_for(self, text):
        """Until `text` stands on the screen after what was waited for before. Gives everything that came."""
        deadline = time.monotonic() + DEADLINE
        came = b""
        while text not in came:
            if not select.select([self._terminal], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"{text!r} did not appear within {DEADLINE} s but {came!r}")
            came += os.read(self._terminal, 4096)
        self.screen += came
        return came

    def end(self):
        """(exit code, standard output); the screen is complete then."""
        out = self._program.communicate(timeout=DEADLINE)[0].decode()
        while select.select([self._terminal], [], [], 0)[0]:
            self.screen += os.read(self._terminal, 4096)
        return self._program.returncode, out


class HashPassword(unittest.TestCase):
    def asked(self, *arguments):
        # The lowest cost: how long a real hash takes is no matter here.
        person = Person("hash-password", "--cost", "4", *arguments)
        self.addCleanup(person.close)
        self.assertTrue(person.echoed_before)
        person.wait_for(b"Password: ")
        self.assertFalse(person.echoes(), "what is typed would be shown")
        return person

    def test_it_asks_twice_shows_nothing_and_the_hash_lets_in(self):
        person = self.asked("--user", "ann")
        person.type("pässword".encode() + b"\r")
        person.wait_for(b"Once more: ")
        self.assertFalse(person.echoes())
        person.type("pässword".encode() + b"\r")
        code, out = person.end()
        self.assertEqual(code, 0, person.screen)
        self.assertEqual(person.screen, b"Password: \r\nOnce more: \r\n")
        self.assertTrue(person.echoes())
        self.assertRegex(out, r"\Aann:\$2[aby]\$04\$[./A-Za-z0-9]{53}\n\Z")
        self.assert_lets_in(out.strip().removeprefix("ann:"), "pässword")

    def assert_lets_in(self, password_hash, password):
        users = [{"name": "ann", "password_hash": password_hash}]
        # Nothing listens on port 1: whoever is let in hears that opencode is away.
        started = gateway.Gateway("127.0.0.1:1", config={"users": users}, threads=1)
        self.addCleanup(started.close)
        for typed, status in ((password, 503), (password + "x", 401), ("", 401)):
            self.assertEqual(Client(started.address, "ann", typed).get("/session").status, status)

    def test_two_that_differ_are_refused(self):
        for first, second in ((b"one", b"two"), (b"one", b"one "), (b"one", b""), (b"", b"one")):
            with self.subTest(first=first, second=second):
                person = self.asked()
                person.type(first + b"\r")
                person.wait_for(b"Once more: ")
                person.type(second + b"\r")
                self.assertEqual(person.end(), (1, ""))
                self.assertIn(b"not the same", person.screen)
                self.assertTrue(person.echoes())

    def test_an_end_instead_of_a_password_is_refused(self):
        person = self.asked()
        person.type(CONTROL_D)
        code, out = person.end()
        self.assertEqual((code, out), (1, ""), person.screen)
        self.assertTrue(person.echoes())

    def test_an_interrupted_one_leaves_the_terminal_as_it_was(self):
        for name, typed, prompt in (("at once", b"", None), ("at the second question", b"secret\r", b"Once more: ")):
            with self.subTest(name):
                person = self.asked()
                person.type(typed)
                if prompt:
                    person.wait_for(prompt)
                person.type(b"secr" + CONTROL_C)
                # By the signal itself, so that a script around it stops, too.
                self.assertEqual(person.end(), (-signal.SIGINT, ""))
                self.assertNotIn(b"secr", person.screen)
                self.assertTrue(person.echoes(), "the next command would be typed blind")

    def test_ended_by_another_signal_it_leaves_the_terminal_as_it_was(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number):
                person = self.asked()
                person.signal(number)
                self.assertEqual(person.end(), (-number, ""))
                self.assertTrue(person.echoes())


class Asked(unittest.TestCase):
    """A gateway between stand-ins, asked on its own machine."""

    def setUp(self):
        self.opencode = FakeOpencode()
        self.addCleanup(self.opencode.close)

    def start(self, **env):
        upstream = {"username": self.opencode.username, "password": {"env": "UPSTREAM_PASSWORD"}}
        started = gateway.Gateway(
            self.opencode.address,
            config={"upstream": upstream},
            env={"UPSTREAM_PASSWORD": self.opencode.password, **env},
            threads=1,
        )
        self.addCleanup(started.close)
        self.opencode.wait_subscribed()
        return started

    def start_with_ntfy(self):
        ntfy = FakeNtfy()
        self.addCleanup(ntfy.close)
        return ntfy, self.start(NTFY_TOPIC=f"{ntfy.url}/agents")

    def page(self, own, name, accept):
        answer = own.client().get(f"/_ocgate/{name}", headers=[("Accept", accept)])
        self.assertEqual(answer.status, 200, answer)
        return answer.body.decode()

    def wait_for_page(self, own, name, wanted):
        deadline = time.monotonic() + DEADLINE
        while not wanted(json.loads(self.page(own, name, "application/json"))[name]):
            self.assertLess(time.monotonic(), deadline, f"/_ocgate/{name} did not come to say it")

    def asked(self, own, *arguments):
        """Without any password: what it takes is to be the gateway's user."""
        return gateway.run(*arguments, "--control-socket", own.control_socket)

    def assert_ran(self, ran, code, out="", err=""):
        self.assertEqual((ran.returncode, ran.stdout, ran.stderr), (code, out, err))

    def test_pending_says_what_waits(self):
        own = self.start()
        self.assert_ran(self.asked(own, "pending"), 0, self.page(own, "pending", "text/plain"))
        session = self.opencode.open_session("Repair the gate")
        self.opencode.begin_turn(session)
        waiting = self.opencode.ask_permission(session, "rm -r build")
        self.wait_for_page(own, "pending", bool)

        table = self.asked(own, "pending")
        self.assertEqual((table.returncode, table.stderr), (0, ""))
        for word in (waiting, "Repair the gate", "rm -r build", "/workspaces/project"):
            self.assertIn(word, table.stdout)
        listed = self.asked(own, "pending", "--json")
        self.assertEqual((listed.returncode, listed.stderr), (0, ""))
        self.assertEqual([one["id"] for one in json.loads(listed.stdout)["pending"]], [waiting])

        self.opencode.answer(waiting)
        self.wait_for_page(own, "pending", lambda pending: not pending)
        self.assertEqual(json.loads(self.asked(own, "pending", "--json").stdout)["pending"], [])

    def test_sessions_says_what_runs(self):
        own = self.start()
        session = self.opencode.open_session("Repair the gate")
        self.opencode.begin_turn(session)
        self.wait_for_page(own, "sessions", lambda all: [one["status"] for one in all] == ["busy"])
        table = self.asked(own, "sessions")
        self.assertEqual((table.returncode, table.stderr), (0, ""))
        heading, rule, row = table.stdout.splitlines()
        self.assertRegex(heading, r"^ID +\| Directory +\| Status +\| Last Active")
        self.assertRegex(rule, r"^[-+]+$")
        self.assertRegex(row, rf"^{session} +\| /workspaces/project +\| busy +\| 20")
        listed = json.loads(self.asked(own, "sessions", "--json").stdout)
        self.assertEqual([one["id"] for one in listed["sessions"]], [session])

    def test_a_test_reaches_the_phone(self):
        ntfy, own = self.start_with_ntfy()
        self.assert_ran(self.asked(own, "notify-test"), 0, "ntfy: sent\n")
        self.assertEqual(len(ntfy.published("agents")), 1)
        self.assert_ran(self.asked(own, "notify-test", "--target", "ntfy"), 0, "ntfy: sent\n")
        self.assertEqual(len(ntfy.published("agents")), 2)
        other = self.asked(own, "notify-test", "--target", "nfty")
        self.assertEqual((other.returncode, other.stdout), (1, ""))
        self.assertRegex(other.stderr, r"\Aocgate notify-test: No target of that name.*\n\Z")
        self.assertEqual(len(ntfy.published()), 2)

    def test_a_test_that_is_refused_says_why(self):
        ntfy, own = self.start_with_ntfy()
        ntfy.answer_with(403, {"code": 40301, "http": 403, "error": "forbidden"}, times=-1)
        ran = self.asked(own, "notify-test")
        self.assertEqual((ran.returncode, ran.stderr), (1, ""))
        self.assertRegex(ran.stdout, r"\Antfy: failed: .*403.*\n\Z")

    def test_without_a_target_a_test_says_how_to_have_one(self):
        ran = self.asked(self.start(), "notify-test")
        self.assertEqual((ran.returncode, ran.stdout), (1, ""))
        self.assertRegex(ran.stderr, r"\Aocgate notify-test: .*NTFY_TOPIC.*DISCORD_WEBHOOK_URL.*\n\Z")

    def test_a_test_that_takes_long_holds_up_neither_others_nor_the_end(self):
        ntfy, own = self.start_with_ntfy()
        ntfy.stall(times=-1)
        waiting = subprocess.Popen(
            [gateway.binary(), "notify-test", "--control-socket", own.control_socket],
            env=gateway.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(waiting.wait, DEADLINE)
        self.addCleanup(waiting.kill)
        ntfy.wait_for(lambda: ntfy.requests)
        self.assertEqual(self.asked(own, "sessions").returncode, 0)
        self.assertEqual(self.asked(own, "drain", "--wait", "10s").stdout, "drained\n")
        own.program.signal(signal.SIGTERM)
        self.assertEqual(own.program.wait(30), 0)
        out, err = waiting.communicate(timeout=DEADLINE)
        self.assertEqual(waiting.returncode, 1, out)
        self.assertTrue(out.startswith("ntfy: failed") or "ended before it answered" in err, (out, err))

    def test_without_a_gateway_they_say_so(self):
        for command in ("pending", "sessions", "notify-test"):
            ran = gateway.run(command, "--control-socket", "/nonexistent/control.sock")
            self.assertEqual((ran.returncode, ran.stdout), (1, ""))
            self.assertEqual(
                ran.stderr,
                f"ocgate {command}: /nonexistent/control.sock: no gateway answers there: No such file or directory\n",
            )


if __name__ == "__main__":
    case.main()
