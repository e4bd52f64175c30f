#!/usr/bin/env python3
"""`ocgate hash-password` typed by a person: asked twice, nothing shown, and the terminal is left as it was."""

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time
import unittest

from kit import case, gateway
from kit.process import _die_with_parent
from kit.wire import DEADLINE, Client

CONTROL_C, CONTROL_D = b"\x03", b"\x04"


class Person:
    """A program that has a terminal of its own on standard input and error; its standard output is a pipe."""

    def __init__(self, *arguments):
        self._terminal, self._end = pty.openpty()

        def take_terminal():
            _die_with_parent()
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
        self.assertTrue(person.echoes())
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


if __name__ == "__main__":
    case.main()
