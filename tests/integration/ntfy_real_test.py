#!/usr/bin/env python3
"""The gateway and the real ntfy server: what a phone would show, and what the server's refusals do."""

import base64
import signal
import tempfile
import time
import unittest
from pathlib import Path

from kit import case
from kit.fake_ntfy import FakeNtfy
from kit.model import Call, Say
from kit.notifying import WithFakeOpencode, ntfy_target, route, sequence_of, told
from kit.ntfy_real import NEWER, OLDER, NtfyServer
from kit.opencode import Unavailable
from kit.relay import Relay

TOPIC = "oc-alerts"


def start_server(test, suite=NEWER, **settings):
    try:
        server = NtfyServer(suite, **settings)
    except Unavailable as reason:
        raise unittest.SkipTest(str(reason)) from None
    test.addCleanup(server.close)
    return server


class RealNtfy(WithFakeOpencode):
    def start(self, *routes, suite=NEWER, settings=None, target=None, **more):
        """A server, and a gateway that tells it everything."""
        self.ntfy = start_server(self, suite, **(settings or {}))
        phone = {"type": "ntfy", "topic": f"{self.ntfy.url}/{TOPIC}", "token": {"env": "A_TOKEN"}, **(target or {})}
        targets = {"phone": phone, **more.pop("targets", {})}
        notifications = {"targets": targets, "routes": list(routes) or [route("phone")], **more}
        return self.start_gateway(notifications, env={"A_TOKEN": self.ntfy.token})

    def events_of(self, sequence):
        return [m["event"] for m in self.ntfy.history(TOPIC) if m.get("sequence_id") == sequence]

    def wait_shown(self, count, timeout=20):
        return self.ntfy.wait_for(lambda: len(shown := self.ntfy.shown(TOPIC)) == count and (shown or True), timeout)

    def test_two_variables_are_enough(self):
        self.ntfy = start_server(self)
        env = {"NTFY_TOPIC": f"{self.ntfy.url}/{TOPIC}", "NTFY_TOKEN": self.ntfy.token}
        gateway = self.start_gateway(env=env)
        session = self.turn("Release 7")
        request = self.opencode.ask_permission(session, "git push origin main")
        (message,) = self.wait_shown(1)
        self.assertEqual(message["title"], "project needs permission: bash")
        self.assertEqual(message["message"], "“Release 7” asks to use bash:\ngit push origin main")
        self.assertEqual((message["priority"], message["tags"]), (4, ["lock"]))
        self.assertEqual(message["sequence_id"], sequence_of("permission", request))
        self.assertIs(gateway.client().post_json(f"/permission/{request}/reply", {"reply": "once"}), True)
        self.wait_shown(0)
        self.assertEqual(self.events_of(message["sequence_id"]), ["message", "message_clear"])

    def test_user_and_password_do_as_well(self):
        self.ntfy = start_server(self)
        env = {
            "NTFY_TOPIC": TOPIC, "NTFY_SERVER": self.ntfy.url, "NTFY_USER": "gw", "NTFY_PASSWORD": self.ntfy.password,
        }  # fmt: skip
        self.start_gateway(env=env)
        self.opencode.ask_question(self.turn("Release 7"), "Which branch?", ["main", "next"])
        (message,) = self.wait_shown(1)
        self.assertEqual(message["title"], "project asks: Choice")
        self.assertIn("Which branch?", message["message"])
        self.assertIn("next", message["message"])

    def test_what_waits_together_is_one_message_that_changes(self):
        self.start()
        session = self.turn("Release 7")
        first = self.opencode.ask_permission(session, "make one")
        self.wait_shown(1)
        second = self.opencode.ask_permission(session, "make two")
        sequence = sequence_of("permission", first)
        self.ntfy.wait_for(lambda: len(self.events_of(sequence)) == 2)
        (message,) = self.wait_shown(1)
        self.assertEqual((message["title"], message["sequence_id"]), ("project: 2 waiting", sequence))
        # The first is answered: the second speaks for itself.
        self.opencode.answer(first)
        self.opencode.keep_running(session)
        self.ntfy.wait_for(
            lambda: [m["sequence_id"] for m in self.ntfy.shown(TOPIC)] == [sequence_of("permission", second)]
        )
        (message,) = self.wait_shown(1)
        self.assertIn("make two", message["message"])

    def test_a_reminder_takes_the_old_one_away_first_so_that_it_rings(self):
        self.start(route("phone", reminders=["1s"]))
        request = self.opencode.ask_permission(self.turn("Release 7"), "make")
        sequence = sequence_of("permission", request)
        self.ntfy.wait_for(lambda: len(self.events_of(sequence)) == 3)
        self.assertEqual(self.events_of(sequence), ["message", "message_clear", "message"])
        self.wait_shown(1)

    def test_encoded_words_stay_words(self):
        self.start()
        word = "=?UTF-8?B?" + base64.b64encode(b"gotcha").decode() + "?="
        self.opencode.ask_permission(self.turn(word), "make", kind=word)
        (message,) = self.wait_shown(1)
        self.assertNotIn("gotcha", message["title"] + message["message"])
        self.assertIn("UTF-8", message["title"])

    def test_a_wrong_token_ends_it_at_once_and_a_right_one_begins_anew(self):
        self.ntfy = start_server(self)
        relay = Relay(self.ntfy.address)
        self.addCleanup(relay.close)
        folder = tempfile.TemporaryDirectory(prefix="ocgate-test-")
        self.addCleanup(folder.cleanup)
        token = Path(folder.name) / "token"
        phone = {"type": "ntfy", "topic": f"http://{relay.address}/{TOPIC}", "token": {"file": str(token)}}
        token.write_text("tk_wrong0123456789abcdefghijklmno\n", encoding="utf-8")
        gateway = self.start_gateway({"targets": {"phone": phone}, "routes": [route("phone")]})
        request = self.opencode.ask_permission(self.turn("Release 7"), "make")
        self.ntfy.wait_for(lambda: b"POST / " in relay.everything_sent())
        self.ntfy.wait_for(lambda: self.target(gateway, "phone").get("disabled"))
        self.assertIn("401", self.target(gateway, "phone")["disabled"])
        self.opencode.ask_permission(self.turn("Release 8"), "make more")
        gateway.client().get("/_ocgate/notifications")
        time.sleep(1.0)  # for what must not come
        self.assertEqual(relay.everything_sent().count(b"POST / "), 1, "a request after a 401")
        token.write_text(self.ntfy.token + "\n", encoding="utf-8")
        gateway.program.signal(signal.SIGHUP)
        shown = self.wait_shown(2)
        self.assertIn(sequence_of("permission", request), [m["sequence_id"] for m in shown])

    @staticmethod
    def target(gateway, name):
        targets = gateway.client().get_json("/_ocgate/notifications")["targets"]
        return next(target for target in targets if target["name"] == name)

    def test_too_many_requests_are_waited_out(self):
        """42901: the server wants to be left alone for 5 s, and then one request in 5 s."""
        burst = 4
        gateway = self.start(settings={"visitor_request_limit_burst": burst, "visitor_request_limit_replenish": "2s"})
        for n in range(burst + 1):
            self.opencode.ask_permission(self.turn(f"Release {n}"), f"make {n}")
        self.wait_shown(burst + 1, timeout=60)
        self.assertFalse(self.target(gateway, "phone").get("disabled"))
        self.assertGreaterEqual(gateway.metric("ocgate_notify_retried_total", target="phone"), 1)
        times = sorted(m["time"] for m in self.ntfy.history(TOPIC))
        self.assertGreaterEqual(times[-1] - times[-2], 4, "asked again too soon (the server's times are seconds)")

    def test_when_the_days_messages_are_used_up_blocks_go_to_the_fallback(self):
        """42908: until midnight UTC."""
        other = FakeNtfy()
        self.addCleanup(other.close)
        gateway = self.start(
            settings={"visitor_message_daily_limit": 2},
            target={"fallback": ["other"]},
            targets={"other": ntfy_target(other)},
        )
        for n in range(4):
            self.opencode.ask_permission(self.turn(f"Release {n}"), f"make {n}")
        other.wait_for(lambda: len(other.published()) == 2)
        self.wait_shown(2)
        shown = {m["sequence_id"] for m in self.ntfy.shown(TOPIC)} | {m["sequence_id"] for m in other.published()}
        self.assertEqual(len(shown), 4, "each is told, in one place")
        self.assertFalse(self.target(gateway, "phone").get("disabled"))
        self.assertEqual(told(other, "message_clear"), [])

    def test_a_server_without_sequences_is_noticed(self):
        """ntfy before 2.16 can take nothing back: it is told once, and not asked for more."""
        gateway = self.start(suite=OLDER)
        request = self.opencode.ask_permission(self.turn("Release 7"), "make")
        (message,) = self.wait_shown(1)
        self.assertNotIn("sequence_id", message)
        self.assertIs(gateway.client().post_json(f"/permission/{request}/reply", {"reply": "once"}), True)
        self.opencode.ask_permission(self.turn("Release 8"), "make")
        shown = self.wait_shown(2)
        self.assertEqual([m["event"] for m in self.ntfy.history(TOPIC)], ["message", "message"])
        self.assertEqual(len(shown), 2)
        self.assertFalse(self.target(gateway, "phone").get("disabled"))


class EverythingReal(case.WithOpencode):
    """The real opencode, the gateway, the real ntfy."""

    hold = 1.0  # seconds; a permission's default
    soon = 2.0  # after the hold

    @classmethod
    def setUpClass(cls):
        try:
            cls.ntfy = NtfyServer()
        except Unavailable as reason:
            raise unittest.SkipTest(str(reason)) from None
        cls.addClassCleanup(cls.ntfy.close)
        super().setUpClass()

    @classmethod
    def start_gateway(cls, **kw):
        env = {"NTFY_TOPIC": f"{cls.ntfy.url}/{TOPIC}", "NTFY_TOKEN": cls.ntfy.token}
        return super().start_gateway(env=env, **kw)

    def test_asked_told_answered_withdrawn(self):
        session = self.new_session("Release 7")
        events = self.subscribe()
        self.model.script(Call("bash", {"command": "echo it-ran", "description": "Say it"}), Say("All done"))
        self.client.post(f"/session/{session['id']}/prompt_async", self.prompt_body("run it"))
        asked = events.until_type("permission.asked", sessionID=session["id"])
        asked_at = time.monotonic()
        self.ntfy.wait_for(lambda: self.ntfy.shown(TOPIC))
        took = time.monotonic() - asked_at
        print(f"from permission.asked to the poll API of ntfy: {took:.2f} s, of which {self.hold:.0f} s hold")
        self.assertLess(took, self.hold + self.soon)
        (message,) = self.ntfy.shown(TOPIC)
        self.assertIn("echo it-ran", message["message"])
        self.client.post_json(self.in_project(f"/permission/{asked['id']}/reply"), {"reply": "once"})
        self.ntfy.wait_for(lambda: not self.ntfy.shown(TOPIC))
        events.until_type("session.idle", sessionID=session["id"])


if __name__ == "__main__":
    case.main()
