#!/usr/bin/env python3
"""Who is told of what: the real opencode with a scripted model, and stand-ins for ntfy and Discord."""

import json
import re
import secrets
import time

from kit import case
from kit.fake_discord import FakeDiscord
from kit.fake_ntfy import FakeNtfy
from kit.model import Call, Fail, Say
from kit.notifying import TOKEN, TOPIC, discord_target, field, ntfy_target, posts, route, sequence_of, told
from kit.wire import Client

SOON = 2.0  # seconds after the hold; the promise
QUESTION = {
    "question": "Which colour?", "header": "Colour",
    "options": [{"label": "Red", "description": "a red one"}, {"label": "Blue", "description": "a blue one"}],
}  # fmt: skip


def plain(text):
    """What a person reads in a text that Discord reads as Markdown."""
    return re.sub(r"\\(.)", r"\1", text)


def bash(command):
    return Call("bash", {"command": command, "description": "Does something"})


def task(prompt):
    return Call("task", {"description": "A subtask", "prompt": prompt, "subagent_type": "general"})


def question():
    return Call("question", {"questions": [QUESTION]})


class Notifying(case.WithOpencode):
    """The two targets, from their variables alone."""

    @classmethod
    def setUpClass(cls):
        cls.ntfy = FakeNtfy(tokens=[TOKEN], everyone="none", burst=10000)
        cls.addClassCleanup(cls.ntfy.close)
        cls.discord = FakeDiscord(limit=10000)
        cls.addClassCleanup(cls.discord.close)
        super().setUpClass()

    @classmethod
    def start_gateway(cls, env=None, **kw):
        own = {
            "NTFY_TOPIC": f"{cls.ntfy.url}/{TOPIC}", "NTFY_TOKEN": TOKEN,
            "DISCORD_WEBHOOK_URL": cls.discord.webhook_url,
        }  # fmt: skip
        return super().start_gateway(env={**own, **(env or {})}, **kw)

    def setUp(self):
        words = self._testMethodName.removeprefix("test_").replace("_", " ")[:60]
        self.title = f"{words} {secrets.token_hex(3)}"
        self.session = self.new_session(self.title)
        self.addCleanup(self.abort)  # what a failed test leaves running takes the next one's script
        self.events = self.subscribe()

    def abort(self):
        return self.direct.post(f"/session/{self.session['id']}/abort")

    def prompt(self, *steps, session=None, client=None):
        self.model.script(*steps)
        target = f"/session/{(session or self.session)['id']}/prompt_async"
        self.assertEqual((client or self.client).post(target, self.prompt_body("go on")).status, 204)

    def until(self, kind, **properties):
        return self.events.until_type(kind, **{"sessionID": self.session["id"], **properties})

    def reply(self, asked, reply="once", client=None):
        target = self.in_project(f"/permission/{asked['id']}/reply")
        self.assertIs((client or self.client).post_json(target, {"reply": reply}), True)

    def wait_told(self, text=None, count=1, timeout=20):
        text = text or self.title
        self.ntfy.wait_for(lambda: len(told(self.ntfy, text)) >= count, timeout)
        return told(self.ntfy, text)

    def wait_posted(self, text, timeout=20):
        self.discord.wait_for(lambda: posts(self.discord, text), timeout)
        return posts(self.discord, text)

    def shown(self):
        return [m for m in self.ntfy.shown(TOPIC) if self.title in m["message"]]

    def incident(self, key, gateway=None):
        page = (gateway or self.gateway).client().get_json("/_ocgate/notifications")
        return next((one for one in page["incidents"] if one["key"] == key), None)

    def wait_incident(self, key, state, gateway=None, timeout=20):
        """Nothing announces it to us, so it is asked for."""
        deadline = time.monotonic() + timeout
        while True:
            found = self.incident(key, gateway)
            if found and found["state"] == state:
                return found
            self.assertLess(time.monotonic(), deadline, f"{key}: {found}")
            time.sleep(0.05)


class TwoVariables(Notifying):
    """Nothing else is configured: the defaults are what they are."""

    hold = 1.0  # seconds, of a permission

    def test_a_permission_is_told_soon_and_taken_back_with_who_answered(self):
        self.prompt(bash("echo it-ran"), Say("All done"))
        asked = self.until("permission.asked")
        asked_at = time.monotonic()
        (message,) = self.wait_told()
        heard = next(r for r in self.ntfy.requests if self.title.encode() in r.body)
        took = heard.at - asked_at
        print(f"from permission.asked to ntfy: {took:.2f} s, of which {self.hold:.0f} s hold")
        self.assertGreater(took, self.hold - 0.5)  # the event may have reached us late
        self.assertLess(took, self.hold + SOON)
        self.assertEqual(message["sequence_id"], sequence_of("permission", asked["id"]))
        self.assertEqual(message["title"], "project needs permission: bash")
        self.assertEqual(message["message"], f"“{self.title}” asks to use bash:\necho it-ran")
        self.assertEqual((message["priority"], message["tags"]), (4, ["lock"]))

        (post,) = self.wait_posted(asked["id"])
        self.check_payload(asked)
        self.assertEqual(field(post, "Command"), "```\necho it-ran\n```")

        self.reply(asked)
        self.ntfy.wait_for(lambda: not self.shown())
        self.discord.wait_for(lambda: posts(self.discord, asked["id"])[0]["edited_timestamp"])
        (post,) = posts(self.discord, asked["id"])
        self.assertEqual(post["embeds"][0]["description"], "Session `project`: allowed once by alice")
        ended = self.wait_incident(f"permission/{asked['id']}", "resolved")
        self.assertEqual((ended["outcome"], ended["by"]), ("once", "alice"))
        self.until("session.idle")
        self.assertEqual(self.discord.wrong, [])

    def check_payload(self, asked):
        """The plan's own example, letter by letter, and what we add to it."""
        sent = next(
            r.json() for r in self.discord.requests if r.method == "POST" and asked["id"].encode() in r.body
        )
        self.assertEqual(set(sent), {"content", "embeds", "allowed_mentions"})
        self.assertEqual(sent["content"], "🔔 **OpenCode Alert**")
        self.assertEqual(sent["allowed_mentions"], {"parse": []})
        (embed,) = sent["embeds"]
        self.assertEqual(embed["title"], "Interaction Required")
        self.assertEqual(embed["description"], "Session `project` needs your input")
        self.assertEqual(embed["color"], 15844367)
        event, session = embed["fields"][:2]
        self.assertEqual(event, {"name": "Event", "value": "permission", "inline": True})
        self.assertEqual({**session, "value": plain(session["value"])},
                         {"name": "Session", "value": self.session["id"], "inline": True})
        self.assertEqual([f["name"] for f in embed["fields"][2:]], ["Title", "Command"])
        self.assertIn(asked["id"], embed["footer"]["text"])
        self.assertRegex(embed["timestamp"], r"^\d{4}-\d\d-\d\dT")

    def test_a_short_turn_is_no_news(self):
        """Whoever asked for it was there. A question after it shows that nothing was only late."""
        self.prompt(Say("All done"))
        self.until("session.idle")
        over_at = time.monotonic()
        while time.monotonic() < over_at + 3.0:  # the hold of `complete`
            self.events.next()  # heartbeats come
        self.prompt(question(), Say("Good"))
        asked = self.until("question.asked")
        self.wait_told()
        self.assertEqual([m["tags"] for m in told(self.ntfy, self.title)], [["question"]])
        self.client.post_json(self.in_project(f"/question/{asked['id']}/reply"), {"answers": [["Red"]]})
        self.until("session.idle")


class Configured(Notifying):
    """The same targets, named in the file, without the pace that real ones need."""

    routes = ()

    @classmethod
    def start_gateway(cls, **kw):
        targets = {"ntfy": ntfy_target(cls.ntfy, token={"env": "A_TOKEN"}), "discord": discord_target(cls.discord)}
        cls.gateway_config = {"notifications": {"targets": targets, "routes": list(cls.routes)}}
        env = {name: None for name in ("NTFY_TOPIC", "NTFY_TOKEN", "DISCORD_WEBHOOK_URL")}
        return super().start_gateway(env={**env, "A_TOKEN": TOKEN, "A_WEBHOOK_URL": cls.discord.webhook_url}, **kw)


class Rules(Configured):
    """Short holds, and every turn counts."""

    routes = (
        route("ntfy", "discord", events=["permission"], hold="1s"),
        route("ntfy", "discord", hold="300ms", min_duration="0s"),
    )

    def finish_a_turn(self, words=None):
        """A turn whose completion is told: what was to be told before it has been told by then."""
        words = words or f"The end of {secrets.token_hex(3)}"
        self.prompt(Say(words))
        self.until("session.idle")
        self.wait_told(words)

    def until_failed(self):
        """opencode 1.18.33 says twice that a failed or aborted turn is idle, and never runs a prompt that comes between
        the two."""
        self.until("session.error")
        self.until("session.idle")
        self.until("session.idle")

    def tags(self):
        return sorted(tag for m in told(self.ntfy, self.title) for tag in m["tags"])

    def test_a_question_is_told_and_its_answer_withdraws_it(self):
        self.prompt(question(), Say("Blue it is"))
        asked = self.until("question.asked")
        (message,) = self.wait_told()
        self.assertEqual((message["title"], message["tags"]), ("project asks: Colour", ["question"]))
        self.assertIn("Which colour?\n• Red\n• Blue", message["message"])
        (post,) = self.wait_posted("Which colour?")
        self.assertEqual(post["embeds"][0]["color"], 3447003)
        answer = {"answers": [["Blue"]]}
        self.client.post_json(self.in_project(f"/question/{asked['id']}/reply"), answer)
        self.until("session.idle")
        self.ntfy.wait_for(lambda: "question" not in [tag for m in self.shown() for tag in m["tags"]])
        self.discord.wait_for(lambda: "answered by alice" in json.dumps(posts(self.discord, "Which colour?")))

    def test_a_turn_of_a_root_is_complete_once(self):
        self.finish_a_turn("First words")
        self.finish_a_turn("Second words")
        self.assertEqual(self.tags(), ["white_check_mark"] * 2)
        (first,), (second,) = self.wait_posted("First words"), self.wait_posted("Second words")
        self.assertEqual(second["embeds"][0]["title"], "Session Complete")
        self.assertEqual(first["embeds"][0]["description"], "Session `project`: it went on")

    def test_forty_subagents_give_one_complete(self):
        forty = [step for n in range(40) for step in (task(f"Work {n}"), Say(f"Part {n}"))]
        self.prompt(*forty, Say("All of it is done"))
        children = set()

        def over(kind, properties):
            info = properties.get("info", {})
            if kind == "session.created" and info.get("parentID") == self.session["id"]:
                children.add(info["id"])
            return kind == "session.idle" and properties["sessionID"] == self.session["id"]

        self.events.until(over, timeout=180)
        self.assertEqual(len(children), 40)
        self.wait_told("All of it is done")
        self.finish_a_turn()
        self.assertEqual(self.tags(), ["white_check_mark"] * 2)
        for child in children:
            self.assertEqual(posts(self.discord, child), [])

    def test_a_subagents_permission_names_the_root(self):
        self.prompt(task("Work"), bash("echo from-child"), Say("Child done"), Say("Parent done"))
        found = {}

        def asked(kind, properties):
            if kind == "permission.asked":
                found.update(properties)
            return kind == "permission.asked"

        self.events.until(asked)
        self.assertNotEqual(found["sessionID"], self.session["id"])
        (message,) = self.wait_told()
        self.assertIn("echo from-child", message["message"])
        (post,) = self.wait_posted(found["id"])
        self.assertEqual(plain(field(post, "Session")), self.session["id"])
        (waiting,) = [one for one in self.client.get_json("/_ocgate/pending")["pending"] if one["id"] == found["id"]]
        self.assertEqual((waiting["session"]["id"], waiting["asked_by"]), (self.session["id"], found["sessionID"]))
        self.reply(found)
        self.until("session.idle")
        self.wait_told("Parent done")

    def test_an_abort_is_neither_an_error_nor_a_completion(self):
        self.prompt(Say("This will never", hold=True))
        self.until("message.part.delta", field="text")
        self.assertIs(self.client.post_json(f"/session/{self.session['id']}/abort"), True)
        self.until_failed()
        self.model.wait_hang_up(30)
        self.finish_a_turn()
        self.assertEqual(self.tags(), ["white_check_mark"])

    def test_an_abort_while_a_permission_waits_takes_it_back(self):
        """opencode says nothing about it, and lists it for ever."""
        self.prompt(bash("echo never"), Say("unreachable"))
        asked = self.until("permission.asked")
        self.wait_told()
        self.client.post_json(f"/session/{self.session['id']}/abort")
        self.ntfy.wait_for(lambda: not self.shown())
        self.assertEqual(self.wait_incident(f"permission/{asked['id']}", "resolved")["outcome"], "gone")

    def test_a_providers_error_is_told_once_however_often_it_comes(self):
        self.prompt(Fail(401, "that key is no good"))
        self.until_failed()
        (message,) = self.wait_told("that key is no good")
        self.assertEqual(message["tags"], ["warning"])
        self.prompt(Fail(401, "that key is no good"))
        self.until_failed()
        self.finish_a_turn()
        self.assertEqual(self.tags(), ["warning", "white_check_mark"])

    def test_what_is_answered_within_the_hold_is_told_to_nobody(self):
        self.prompt(bash("echo quick"), question(), Say("The end"))
        permission = self.until("permission.asked")
        self.reply(permission)
        self.until("question.asked")
        self.wait_told()
        ended = self.wait_incident(f"permission/{permission['id']}", "resolved")
        self.assertNotIn("opened", ended)
        asked_at = time.monotonic()
        while time.monotonic() < asked_at + 1.2:  # the hold is over, whatever was forgotten would come now
            self.events.next()
        self.assertEqual(self.tags(), ["question"])
        self.assertEqual(posts(self.discord, permission["id"]), [])
        self.client.post_json(f"/session/{self.session['id']}/abort")

    def test_rejecting_one_rejects_all_of_its_session_and_takes_all_back(self):
        self.prompt(bash("echo no"), Say("unreachable"))
        asked = self.until("permission.asked")
        self.wait_told()
        self.reply(asked, "reject")
        self.ntfy.wait_for(lambda: not self.shown())
        ended = self.wait_incident(f"permission/{asked['id']}", "resolved")
        self.assertEqual((ended["outcome"], ended["by"]), ("reject", "alice"))

    def test_an_answer_that_did_not_come_through_the_gateway_names_nobody(self):
        self.prompt(bash("echo elsewhere"), Say("The end"))
        asked = self.until("permission.asked")
        self.wait_told()
        self.reply(asked, client=self.direct)
        self.ntfy.wait_for(lambda: "lock" not in [tag for m in self.shown() for tag in m["tags"]])
        ended = self.wait_incident(f"permission/{asked['id']}", "resolved")
        self.assertEqual((ended["outcome"], ended.get("by")), ("once", None))

    def test_opencode_restarted(self):
        """What waited with it is gone; what is asked of the new one is told. The gateway finds it without a client."""
        self.prompt(bash("echo first"), Say("unreachable"))
        asked = self.until("permission.asked")
        self.wait_told("echo first")
        self.opencode.kill()
        self.ntfy.wait_for(lambda: not self.shown())
        self.assertEqual(self.wait_incident(f"permission/{asked['id']}", "resolved")["outcome"], "gone")
        self.opencode.start()
        self.events = self.subscribe()
        self.prompt(bash("echo second"), Say("The end"))
        again = self.until("permission.asked")
        self.wait_told("echo second", timeout=40)
        self.reply(again)
        self.until("session.idle")


class Pages(Configured):
    """What an operator asks with curl."""

    routes = (route("ntfy", "discord", min_duration="0s"),)

    @classmethod
    def start_gateway(cls, **kw):
        return super().start_gateway(threads=2, **kw)  # the pages are asked for on two threads, and made on a third

    def text(self, target):
        answer = self.client.get(target, headers=[("Accept", "text/plain")])
        self.assertEqual(answer.status, 200, str(answer))
        self.assertTrue(answer.header("content-type").startswith("text/plain"), str(answer))
        return answer.body.decode()

    def wait_pending(self, request, waits=True, timeout=20):
        """The gateway hears of it by a stream of its own, sooner or later than we do."""
        deadline = time.monotonic() + timeout
        while True:
            page = self.client.get_json("/_ocgate/pending")
            found = next((one for one in page["pending"] if one["id"] == request), None)
            if bool(found) == waits:
                return page, found
            self.assertLess(time.monotonic(), deadline, page)
            time.sleep(0.05)

    def test_pending_and_sessions(self):
        self.prompt(bash("echo paged"), Say("The end"))
        asked = self.until("permission.asked")
        page, one = self.wait_pending(asked["id"])
        self.assertIs(page["connected"], True)
        self.assertEqual((one["kind"], one["command"], one["permission"]), ("permission", "echo paged", "bash"))
        self.assertEqual(one["directory"], str(self.opencode.project))
        self.assertEqual(one["session"]["title"], self.title)
        header, *rows = self.text("/_ocgate/pending").splitlines()
        self.assertRegex(header, r"^ID +\| Kind +\| Session")
        self.assertTrue(any(asked["id"] in row and "echo paged" in row for row in rows), rows)

        sessions = self.client.get_json("/_ocgate/sessions")["sessions"]
        (ours,) = [s for s in sessions if s["id"] == self.session["id"]]
        self.assertEqual((ours["status"], ours["pending"], ours["title"]), ("busy", 1, self.title))
        header, *rows = self.text("/_ocgate/sessions").splitlines()
        self.assertRegex(header, r"^ID +\| Directory +\| Status +\| Last Active")
        (row,) = [row for row in rows if self.session["id"] in row]
        self.assertIn("busy", row)

        self.reply(asked)
        self.until("session.idle")
        self.wait_pending(asked["id"], waits=False)

    def test_notifications(self):
        self.prompt(bash("echo listed"), Say("The end"))
        asked = self.until("permission.asked")
        self.wait_told()
        self.wait_posted(asked["id"])
        page = self.client.get_json("/_ocgate/notifications")
        self.assertIs(page["store"]["durable"], True)
        targets = {target["name"]: target for target in page["targets"]}
        self.assertEqual({name: t["type"] for name, t in targets.items()}, {"ntfy": "ntfy", "discord": "discord"})
        for target in targets.values():
            self.assertEqual((target["breaker"], target["disabled"]), ("closed", None))
        key = f"permission/{asked['id']}"
        self.assertEqual(self.wait_incident(key, "open")["subject"], self.session["id"])
        made = [d for d in page["deliveries"] if d["incident"] == key]
        self.assertEqual({d["target"] for d in made}, {"ntfy", "discord"})
        text = self.text("/_ocgate/notifications")
        for word in ("ntfy", "discord", "closed", key):
            self.assertIn(word, text)
        self.assertNotIn(TOKEN, text + json.dumps(page))
        self.assertNotIn(self.discord.token, text + json.dumps(page))
        self.reply(asked)
        self.until("session.idle")

    def test_a_test_message_reaches_each_target(self):
        before = len(told(self.ntfy, "Test from ocgate"))
        results = self.client.post_json("/_ocgate/notifications/test")["targets"]
        self.assertEqual({one["name"]: one["result"] for one in results}, {"ntfy": "sent", "discord": "sent"})
        self.assertEqual(len(told(self.ntfy, "Test from ocgate")), before + 1)
        results = self.client.post_json("/_ocgate/notifications/test", {"target": "ntfy"})["targets"]
        self.assertEqual(results, [{"name": "ntfy", "result": "sent"}])
        self.assert_gateway_error(self.client.post("/_ocgate/notifications/test", {"target": "nobody"}), 404)

    def test_a_mute_holds_back_and_its_end_lets_go(self):
        muted = self.client.post_json("/_ocgate/notifications/mute", {"for": "2h", "session": self.session["id"]})
        self.assertEqual([one["session"] for one in muted["mutes"]], [self.session["id"]])
        self.prompt(bash("echo muted"), Say("The end"))
        asked = self.until("permission.asked")
        other = self.new_session("not muted")
        self.model.script(Say("Something else"))
        self.client.post(f"/session/{other['id']}/prompt_async", self.prompt_body("go on"))
        self.wait_told("not muted")
        self.assertEqual(told(self.ntfy, self.title), [])
        ended = self.client.post_json("/_ocgate/notifications/mute", {"for": "0", "session": self.session["id"]})
        self.assertEqual(ended["mutes"], [])
        self.wait_told("echo muted")
        self.reply(asked)
        self.until("session.idle")

    def test_a_403_that_passes_is_asked_again(self):
        self.ntfy.answer_with(403, {"code": 40301, "http": 403, "error": "forbidden"})
        self.prompt(bash("echo asked twice"))
        asked = self.until("permission.asked")
        self.wait_told("echo asked twice")
        self.reply(asked)
        self.until("session.idle")

    def test_a_disabled_target_is_enabled_by_hand(self):
        self.ntfy.answer_with(401, {"code": 40101, "http": 401, "error": "unauthorized"})
        self.client.post("/_ocgate/notifications/test", {"target": "ntfy"})

        def target():
            targets = self.client.get_json("/_ocgate/notifications")["targets"]
            return next(t for t in targets if t["name"] == "ntfy")

        self.assertIn("401", target()["disabled"])
        asked = len(self.ntfy.requests)
        (result,) = self.client.post_json("/_ocgate/notifications/test", {"target": "ntfy"})["targets"]
        self.assertEqual(result["result"], "failed")
        self.assertEqual(len(self.ntfy.requests), asked, "nothing is sent to a disabled target")
        enabled = self.client.post_json("/_ocgate/notifications/targets/ntfy/enable")
        self.assertEqual(enabled, {"target": "ntfy", "was_disabled": True})
        self.assertIsNone(target()["disabled"])
        (result,) = self.client.post_json("/_ocgate/notifications/test", {"target": "ntfy"})["targets"]
        self.assertEqual(result["result"], "sent")

    def test_what_is_not_there_and_what_is_not_allowed(self):
        self.assert_gateway_error(self.client.get("/_ocgate/nothing"), 404)
        wrong = self.client.post("/_ocgate/pending", {})
        self.assert_gateway_error(wrong, 405)
        self.assertEqual(wrong.header("allow"), "GET, HEAD")
        self.assertEqual(self.client.get("/_ocgate/notifications/test").header("allow"), "POST")
        self.assert_gateway_error(self.client.post("/_ocgate/notifications/mute", {"for": "a while"}), 400)
        text = [("Content-Type", "text/plain")]
        self.assert_gateway_error(self.client.post("/_ocgate/notifications/mute", body=b"2h", headers=text), 415)
        self.assert_gateway_error(self.client.post("/_ocgate/notifications/targets/nobody/enable"), 404)

    def test_nobody_is_told_without_a_password(self):
        for client in (Client(self.gateway.address, "alice", "wrong"), Client(self.gateway.address)):
            for method, target in (
                ("GET", "/_ocgate/pending"), ("GET", "/_ocgate/sessions"), ("GET", "/_ocgate/notifications"),
                ("POST", "/_ocgate/notifications/test"), ("POST", "/_ocgate/notifications/mute"),
            ):  # fmt: skip
                with self.subTest(target=target, user=client.username):
                    self.assert_gateway_error(client.request(method, target), 401)

    def test_another_sites_page_cannot_mute(self):
        foreign = [("Origin", "https://evil.example")]
        answer = self.client.post("/_ocgate/notifications/mute", {"for": "2h"}, headers=foreign)
        self.assert_gateway_error(answer, 403)

    def test_subcommands_say_the_same(self):
        self.prompt(bash("echo commanded"), Say("The end"))
        asked = self.until("permission.asked")
        self.wait_pending(asked["id"])
        done = self.gateway.command_line("pending", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(asked["id"], [one["id"] for one in json.loads(done.stdout)["pending"]])
        done = self.gateway.command_line("sessions")
        self.assertIn(self.session["id"], done.stdout, done.stderr)
        done = self.gateway.command_line("notify-test", "--target", "ntfy")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.reply(asked)
        self.until("session.idle")


if __name__ == "__main__":
    case.main()
