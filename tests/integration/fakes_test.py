#!/usr/bin/env python3
"""The stand-ins are as strict as what they stand for, ntfy and Discord: each rule, asked for by hand. And the one for
opencode says what the real one says, and nothing that it would not.
"""

import base64
import http.client
import json
import threading
import unittest
from pathlib import Path
from urllib.parse import urlsplit

from kit.case import main
from kit.corpus import Wrong, read_messages
from kit.fake_discord import FakeDiscord
from kit.fake_ntfy import FakeNtfy
from kit.fake_opencode import FakeOpencode
from kit.sse import EventStream, unwrap
from kit.wire import Client, Truncated

AGENT = "DiscordBot (https://example.org, 1.0)"


class Answered:
    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


def ask(method, url, body=None, headers=None, timeout=20):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        target = parts.path + ("?" + parts.query if parts.query else "")
        connection.request(method, target or "/", body, headers or {})
        return Answered(connection.getresponse())
    finally:
        connection.close()


def embed_of(**more):
    return {"title": "t", "description": "d", **more}


class Faults(unittest.TestCase):
    def setUp(self):
        self.ntfy = FakeNtfy()
        self.addCleanup(self.ntfy.close)

    def publish(self, timeout=20):
        return ask("POST", self.ntfy.url + "/", json.dumps({"topic": "t", "message": "m"}), timeout=timeout)

    def test_a_canned_answer_hides_the_request_from_the_target(self):
        self.ntfy.answer_with(503, {"error": "busy"}, {"Retry-After": "7"}, times=2)
        for _ in range(2):
            answered = self.publish()
            self.assertEqual((answered.status, answered.headers["retry-after"]), (503, "7"))
        self.assertEqual(self.publish().status, 200)
        self.assertEqual((len(self.ntfy.requests), len(self.ntfy.cache)), (3, 1))

    def test_html_is_html(self):
        self.ntfy.html(502)
        answered = self.publish()
        self.assertEqual((answered.status, answered.headers["content-type"]), (502, "text/html"))
        with self.assertRaises(ValueError):
            answered.json()

    def test_a_cut_comes_after_the_request_was_read_and_done_or_not(self):
        for applied, kept in ((True, 1), (False, 1)):
            self.ntfy.cut(applied=applied)
            with self.assertRaises((http.client.RemoteDisconnected, ConnectionResetError)):
                self.publish()
            self.assertEqual(len(self.ntfy.cache), kept)
            self.assertTrue(self.ntfy.requests[-1].body)

    def test_a_stall_gives_no_byte_until_the_end(self):
        self.ntfy.stall()
        with self.assertRaises(TimeoutError):
            self.publish(timeout=0.2)
        self.assertEqual(self.publish().status, 200)  # the others are answered meanwhile
        self.assertEqual(len(self.ntfy.cache), 1)

    def test_only_what_the_test_asks_for_is_disturbed(self):
        self.ntfy.answer_with(500, b"", when=lambda request: request.method == "PUT")
        self.assertEqual(self.publish().status, 200)
        self.assertEqual(ask("PUT", self.ntfy.url + "/t/s/clear").status, 500)

    def test_waiting_ends_with_what_was_waited_for(self):
        threading.Timer(0.05, self.publish).start()
        self.assertEqual(self.ntfy.wait_for(lambda: self.ntfy.published("t"))[0]["message"], "m")
        with self.assertRaises(AssertionError):
            self.ntfy.wait_for(lambda: False, timeout=0.01)


class Ntfy(unittest.TestCase):
    def start(self, **how):
        fake = FakeNtfy(**how)
        self.addCleanup(fake.close)
        return fake

    def publish(self, fake, headers=None, **fields):
        body = json.dumps({"topic": "t", "message": "m", **fields}, ensure_ascii=False).encode()
        return ask("POST", fake.url + "/", body, headers)

    def refused(self, answered, status, code):
        self.assertEqual((answered.status, answered.json().get("code")), (status, code), answered.body)
        self.assertEqual(answered.json()["http"], status)
        self.assertNotIn("retry-after", answered.headers)

    def test_fields_have_types_patterns_and_bounds(self):
        fake = self.start(burst=1000)
        rows = [
            ({"topic": ""}, 40009), ({"topic": "a b"}, 40009), ({"topic": "x" * 65}, 40009), ({"topic": "docs"}, 40010),
            ({"priority": "5"}, 40024), ({"priority": True}, 40024), ({"priority": 6}, 40007),
            ({"priority": -1}, 40007),
            ({"tags": "a,b"}, 40024), ({"cache": False}, 40024), ({"title": 5}, 40024),
            ({"icon": "ftp://a"}, 40021), ({"attach": "a.png"}, 40013), ({"sequence_id": "a:b"}, 40049),
            ({"sequence_id": "x" * 65}, 40049), ({"title": "x" * 1025}, 40057), ({"tags": ["x" * 513]}, 40058),
            ({"delay": "9s"}, 40005), ({"delay": "4d"}, 40006), ({"delay": "soon"}, 40004),
            ({"message": "x" * 4096}, 40014), ({"message": "ä" * 2048}, 40014),
        ]  # fmt: skip
        for fields, code in rows:
            with self.subTest(fields=str(fields)[:60]):
                self.refused(self.publish(fake, **fields), 400, code)
        self.refused(ask("POST", fake.url + "/", "no json"), 400, 40024)
        self.refused(self.publish(fake, message="x" * 4000, title="y" * 4200), 413, 41303)
        for fields in ({"message": "x" * 4095}, {"priority": 5}, {"delay": "10s"}, {"unknown": [1]}, {"click": "any"}):
            self.assertEqual(self.publish(fake, **fields).status, 200, fields)

    def test_actions_have_five_rules(self):
        fake = self.start(burst=1000)
        view = {"action": "view", "label": "l", "url": "https://a"}
        for actions in (
            [view] * 4,
            [{**view, "label": ""}],
            [{"action": "view", "label": "l"}],
            [{"action": "http", "label": "l"}],
            [{**view, "action": "dance"}],
            [{**view, "action": "http", "method": "get", "body": "x"}],
        ):
            self.refused(self.publish(fake, actions=actions), 400, 40018)
        copy = {"action": "copy", "label": "c", "value": "v"}
        kept = self.publish(fake, actions=[{**view, "action": "http"}, copy]).json()
        self.assertEqual(kept["actions"][0]["method"], "POST")

    def test_words_are_decoded_everywhere_but_in_the_message(self):
        fake = self.start()
        word = "=?UTF-8?B?" + base64.b64encode("gotcha, you".encode()).decode() + "?="
        kept = self.publish(fake, title=word, tags=[word], click=word, message=word).json()
        self.assertEqual((kept["title"], kept["click"], kept["message"]), ("gotcha, you", "gotcha, you", word))
        self.assertEqual(kept["tags"], ["gotcha", "you"])
        quoted = base64.b64encode(b'x","url":"https://evil.example/","x":"').decode()
        # Of two keys of one name the last counts, and the label comes last here.
        action = {"action": "http", "url": "https://good.example/", "label": f"=?UTF-8?B?{quoted}?="}
        self.assertEqual(self.publish(fake, actions=[action]).json()["actions"][0]["url"], "https://evil.example/")

    def test_an_empty_message_is_triggered_and_nul_goes(self):
        fake = self.start()
        self.assertEqual(self.publish(fake, message="  ").json()["message"], "triggered")
        self.assertEqual(self.publish(fake, message="a\0b").json()["message"], "ab")

    def test_sequences_replace_clear_and_delete(self):
        fake = self.start()
        first = self.publish(fake, sequence_id="s").json()
        self.assertEqual(first["sequence_id"], "s")
        self.assertNotIn("sequence_id", self.publish(fake).json())
        self.publish(fake, sequence_id="s", message="again")
        self.assertEqual([m["message"] for m in fake.shown("t")], ["m", "again"])
        answered = ask("PUT", fake.url + "/t/s/clear")
        self.assertEqual((answered.status, answered.json()["event"]), (200, "message_clear"))
        self.assertEqual([m["message"] for m in fake.shown("t")], ["m"])
        self.publish(fake, sequence_id="s", message="back")
        self.assertEqual(len(fake.shown("t")), 2)
        self.assertEqual(ask("DELETE", fake.url + "/t/s").json()["event"], "message_delete")
        self.assertEqual(ask("GET", fake.url + "/t/never/read").status, 200)
        self.assertEqual(len(fake.shown("t")), 1)
        self.assertEqual(len(fake.cache), 7)  # nothing is ever taken out

    def test_an_old_server_ignores_sequences_and_knows_no_clear(self):
        fake = self.start(old=True)
        for _ in range(2):
            self.assertNotIn("sequence_id", self.publish(fake, sequence_id="s").json())
        self.assertEqual(len(fake.shown("t")), 2)
        self.refused(ask("PUT", fake.url + "/t/s/clear"), 404, 40401)
        self.refused(ask("DELETE", fake.url + "/t/s"), 404, 40401)
        self.refused(self.publish(fake, actions=[{"action": "copy", "label": "c", "value": "v"}]), 400, 40018)

    def test_credentials(self):
        fake = self.start(tokens=["tk_right"], passwords={"u": "p"}, everyone="wo", burst=1000)
        basic = lambda pair: {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        for right in ({"Authorization": "Bearer tk_right"}, basic("u:p"), basic(":tk_right"), {}):
            self.assertEqual(self.publish(fake, right).status, 200)
        self.refused(ask("GET", fake.url + "/t/json?poll=1"), 403, 40301)
        self.assertEqual(ask("GET", fake.url + "/t/json?poll=1", headers=basic("u:p")).body.count(b"\n"), 4)
        self.refused(self.publish(self.start(everyone="none")), 403, 40301)
        wrong = {"Authorization": "Bearer tk_wrong"}
        for _ in range(30):
            self.refused(self.publish(fake, wrong), 401, 40101)
        self.refused(self.publish(fake, {"Authorization": "Bearer tk_right"}), 429, 42909)
        self.assertEqual(self.publish(fake).status, 200)  # without any, as before

    def test_bucket_and_quota(self):
        fake = self.start(burst=3, replenish=1000)
        self.assertEqual([self.publish(fake).status for _ in range(3)], [200] * 3)
        self.refused(self.publish(fake), 429, 42901)
        fake = self.start(daily=2)
        self.publish(fake)
        self.assertEqual(ask("PUT", fake.url + "/t/s/clear").status, 200)  # counts, too
        self.refused(self.publish(fake), 429, 42908)

    def test_what_is_nowhere(self):
        fake = self.start()
        self.refused(ask("POST", fake.url + "/t/a/b/c"), 404, 40401)
        self.assertEqual(ask("GET", fake.url + "/v1/health").json(), {"healthy": True})


class Discord(unittest.TestCase):
    def setUp(self):
        self.fake = FakeDiscord(limit=1000)
        self.addCleanup(self.fake.close)

    def send(self, body, method="POST", below="", query="?wait=true", url=None, headers=None):
        given = {"Content-Type": "application/json", "User-Agent": AGENT, **(headers or {})}
        content = body if isinstance(body, (bytes, type(None))) else json.dumps(body)
        return ask(method, (url or self.fake.webhook_url) + below + query, content, given)

    def refused(self, answered, status, code, where=None):
        self.assertEqual((answered.status, answered.json()["code"]), (status, code), answered.body)
        if where:
            at = answered.json()["errors"]
            for step in where.split("."):
                at = at[step]
            self.assertTrue(at["_errors"][0]["code"])

    def test_answers(self):
        answered = self.send({"content": "c"})
        self.assertEqual(answered.status, 200)
        self.assertRegex(answered.json()["id"], r"^\d{17,20}$")
        self.assertEqual(self.send({"content": "c"}, query="").status, 204)
        self.assertEqual(answered.headers["x-ratelimit-limit"], "1000")
        self.assertEqual(self.fake.wrong, [])

    def test_who_asks_and_how(self):
        self.refused(self.send({"content": "c"}, headers={"User-Agent": "curl/8"}), 403, 40333)
        self.refused(self.send({"content": "c"}, headers={"Content-Type": "text/plain"}), 400, 50035)
        self.refused(self.send(b"{"), 400, 50109)
        old = self.fake.webhook_url.replace("/v10", "")
        self.refused(self.send({"content": "c"}, url=old), 400, 50041)
        self.refused(self.send({"content": "c"}, url=self.fake.webhook_url + "x"), 401, 50027)
        self.assertEqual(len(self.fake.wrong), 4)

    def test_limits_count_utf16_units(self):
        field = {"name": "n", "value": "v"}
        good = [
            {"content": "x" * 2000}, {"content": "🔔" * 1000}, {"content": " " * 50 + "x" * 2000},
            {"embeds": [embed_of(title="x" * 256)]}, {"embeds": [embed_of(fields=[field] * 25)]},
            {"embeds": [embed_of(description="x" * 4096, fields=[{"name": "n", "value": "x" * 1024}])]},
            {"embeds": [{"description": "x" * 3000}, {"description": "x" * 3000}]},
        ]  # fmt: skip
        for body in good:
            self.assertEqual(self.send(body).status, 200, str(body)[:60])
        long = {"name": "n", "value": "x" * 1000}
        bad = [
            ({"content": "x" * 2001}, "content"), ({"content": "🔔" * 1000 + "x"}, "content"),
            ({"embeds": [embed_of()] * 11}, "embeds"), ({"embeds": [embed_of(title="x" * 257)]}, "embeds.0.title"),
            ({"embeds": [embed_of(description="x" * 4097)]}, "embeds.0.description"),
            ({"embeds": [embed_of(fields=[field] * 26)]}, "embeds.0.fields"),
            ({"embeds": [embed_of(fields=[{"name": "", "value": "v"}])]}, "embeds.0.fields.0.name"),
            ({"embeds": [embed_of(fields=[{"name": "n", "value": " "}])]}, "embeds.0.fields.0.value"),
            ({"embeds": [embed_of(fields=[{"name": "n", "value": "x" * 1025}])]}, "embeds.0.fields.0.value"),
            ({"embeds": [embed_of(footer={"text": "x" * 2049})]}, "embeds.0.footer.text"),
            ({"embeds": [embed_of(fields=[long] * 6)]}, "embeds"),
            ({"embeds": [{"description": "x" * 3000}, {"description": "x" * 3001}]}, "embeds"),
            ({"embeds": [embed_of(color=0x1000000)]}, "embeds.0.color"),
            ({"embeds": [embed_of(url="javascript:1")]}, "embeds.0.url"),
            ({"embeds": [embed_of(timestamp="yesterday")]}, "embeds.0.timestamp"),
            ({"content": "c", "username": "My Discord"}, "username"),
            ({"content": "c", "allowed_mentions": {"parse": ["users"], "users": ["1"]}}, "allowed_mentions"),
        ]  # fmt: skip
        for body, where in bad:
            with self.subTest(where=where):
                self.refused(self.send(body), 400, 50035, where)
        self.refused(self.send({"content": " "}), 400, 50006)

    def test_buttons(self):
        def row(**more):
            button = {"type": 2, "style": 5, "label": "Open", "url": "https://a.example/", **more}
            return {"content": "c", "components": [{"type": 1, "components": [button]}]}

        self.assertEqual(self.send(row()).json()["components"], [])  # dropped without a word
        query = "?wait=true&with_components=true"
        self.assertEqual(len(self.send(row(), query=query).json()["components"]), 1)
        for more in ({"style": 1}, {"url": "https://a/" + "x" * 503}, {"label": "x" * 81}, {"url": "tel:1"}):
            self.refused(self.send(row(**more), query=query), 400, 50035)

    def test_edit_and_delete(self):
        made = self.send({"content": "c", "embeds": [embed_of()]}).json()["id"]
        edited = self.send({"content": "d"}, "PATCH", f"/messages/{made}", "").json()
        self.assertEqual((edited["content"], len(edited["embeds"])), ("d", 1))
        self.refused(self.send({"content": "x" * 2001}, "PATCH", f"/messages/{made}", ""), 400, 50035, "content")
        self.assertEqual(self.send(None, "DELETE", f"/messages/{made}", "").status, 204)
        for method in ("PATCH", "DELETE"):
            self.refused(self.send({"content": "d"}, method, f"/messages/{made}", ""), 404, 10008)

    def test_mentions_sound_only_where_they_are_allowed(self):
        content = "<@42> @everyone"
        self.assertEqual(self.send({"content": content}).json()["mentions"], ["42", "@everyone"])
        allowed = {"parse": []}
        self.assertEqual(self.send({"content": content, "allowed_mentions": allowed}).json()["mentions"], [])
        allowed = {"parse": [], "users": ["42"]}
        self.assertEqual(self.send({"content": content, "allowed_mentions": allowed}).json()["mentions"], ["42"])

    def test_buckets(self):
        fake = FakeDiscord(limit=2, window=60)
        self.addCleanup(fake.close)
        first, second, third = (self.send({"content": "c"}, url=fake.webhook_url) for _ in range(3))
        self.assertEqual(first.headers["x-ratelimit-remaining"], "1")
        self.assertEqual(second.headers["x-ratelimit-remaining"], "0")
        self.assertGreater(float(second.headers["x-ratelimit-reset-after"]), 50)
        self.assertEqual((third.status, third.headers["x-ratelimit-scope"]), (429, "user"))
        self.assertIsInstance(third.json()["retry_after"], float)
        self.assertEqual((fake.posted, self.send(None, "DELETE", "/messages/1", "", fake.webhook_url).status), (2, 404))

    def test_kinds_of_429(self):
        for scope in ("user", "global", "shared"):
            self.fake.rate_limited(0.25, scope)
            answered = self.send({"content": "c"})
            self.assertEqual((answered.status, answered.json()["retry_after"]), (429, 0.25))
            self.assertEqual(answered.headers["x-ratelimit-scope"], scope)
            self.assertEqual(answered.json()["global"], scope == "global")
        self.fake.cloudflare(1200)
        answered = self.send({"content": "c"})
        self.assertEqual((answered.status, answered.headers["retry-after"]), (429, "1200"))
        self.assertTrue(answered.body.startswith(b"<html>"))

    def test_a_deleted_webhook_counts_who_does_not_stop(self):
        self.fake.delete_webhook()
        self.refused(self.send({"content": "c"}), 404, 10015)
        self.assertEqual(self.fake.after_deletion, 0)
        self.refused(self.send({"content": "c"}), 404, 10015)
        self.assertEqual(self.fake.after_deletion, 1)


class Opencode(unittest.TestCase):
    recordings = Path(__file__).resolve().parents[1] / "recordings"

    def setUp(self):
        self.fake = FakeOpencode()
        self.addCleanup(self.fake.close)
        self.client = self.fake.client()

    def subscribe(self):
        events = EventStream(self.client, "/global/event")
        self.addCleanup(events.close)
        events.until_type("server.connected")
        self.fake.wait_subscribed()
        return events

    def taken(self, events, until):
        """(type, properties) until one of this type, `sync` copies by their own name."""
        found = []
        while True:
            kind, properties = unwrap(events.next())
            found.append((kind, properties))
            if kind == until:
                return found

    def test_a_turn_reads_like_a_recorded_one(self):
        recorded = {}
        for line in (self.recordings / "permission_once.global.sse").read_text(encoding="utf-8").splitlines():
            if line.startswith("data: "):
                kind, properties = unwrap(json.loads(line[6:]))
                recorded.setdefault(kind, set()).update(properties)
        events = self.subscribe()
        session = self.fake.open_session("a session")
        self.fake.begin_turn(session)
        request = self.fake.ask_permission(session, "make")
        self.assertTrue(self.fake.answer(request, "once"))
        self.fake.keep_running(session)
        self.fake.complete(session)
        found = self.taken(events, "session.idle")
        kinds = [kind for kind, _ in found if kind != "sync"]
        self.assertEqual(kinds, [
            "session.created", "session.status", "message.updated", "permission.asked", "permission.replied",
            "message.updated", "message.updated", "message.part.delta", "session.status", "message.updated",
            "session.status", "session.idle",
        ])  # fmt: skip
        self.assertEqual([kind for kind, _ in found].count("sync"), 5)
        for kind, properties in found:
            if kind != "sync" and kind != "session.created":  # recorded before the stream was
                self.assertLessEqual(set(properties), recorded[kind], kind)

    def test_the_lists_agree_with_the_events(self):
        session = self.fake.open_session("a session", "/workspaces/a")
        self.fake.begin_turn(session)
        permission = self.fake.ask_permission(session, "make")
        question = self.fake.ask_question(session, "Which?")
        get = self.client.get_json
        self.assertEqual(get("/session/status?directory=/workspaces/a"), {session: {"type": "busy"}})
        self.assertEqual(get("/session/status?directory=/workspaces/b"), {})
        self.assertEqual([one["id"] for one in get("/permission?directory=%2Fworkspaces%2Fa")], [permission])
        self.assertEqual([one["id"] for one in get("/question?directory=/workspaces/a")], [question])
        self.assertEqual(get("/permission?directory=/workspaces/b"), [])
        self.assertIs(self.client.post_json(f"/permission/{permission}/reply", {"reply": "once"}), True)
        self.assertEqual(self.client.post(f"/permission/{permission}/reply", {"reply": "once"}).status, 404)
        self.assertEqual(get("/permission?directory=/workspaces/a"), [])
        self.fake.abort(session)
        stale = [one["id"] for one in get("/question?directory=/workspaces/a")]
        self.assertEqual(stale, [question])
        self.assertEqual(self.fake.waiting(), [])
        self.assertEqual(get(f"/session/{session}")["title"], "a session")
        self.assertEqual(get(f"/session/{session}/message?limit=2")[-1]["info"]["error"]["name"], "MessageAbortedError")

    def test_after_a_crash_nothing_waits_at_the_same_address(self):
        events = self.subscribe()
        session = self.fake.open_session("a session")
        self.fake.begin_turn(session)
        self.fake.ask_permission(session, "make")
        address = self.fake.address
        self.fake.down()
        with self.assertRaises((Truncated, ConnectionResetError)):
            while events.next() is not None:
                pass
        with self.assertRaises(ConnectionRefusedError):
            self.client.get("/session")
        self.fake.up()
        self.assertEqual(self.fake.address, address)
        self.assertEqual(self.client.get_json("/permission?directory=/workspaces/project"), [])
        self.assertEqual(self.client.get_json("/session/status?directory=/workspaces/project"), {})

    def test_nobody_is_let_in_without_the_password(self):
        self.assertEqual(Client(self.fake.address).get("/global/event").status, 401)
        self.assertEqual(Client(self.fake.address, "opencode", "wrong").get("/session").status, 401)


class FramingsReader(unittest.TestCase):
    """What judges the corpus over TCP complains of what a gateway at fault would write (tests/framing/README.md)."""

    LINES = (
        b"A: b\nC: d\r\n", b"A: b\rc\r\n", b"A: b\0c\r\n", b"A: b\r\n c\r\n", b"A: b\r\n C: d\r\n", b"A\r\n",
        b": a\r\n", b"Content-Length : 0\r\n", b"A:b\r\n", b"A B: c\r\n", b"A:  b\r\n", b"A: b\t\r\n",
        b"Content-Length: 0\r\nContent-Length: 0\r\n", b"Content-Length: 0, 0\r\n", b"Content-Length: +0\r\n",
        b"Content-Length: 00\r\n", b"Content-Length: 0x0\r\n", b"Content-Length: 99999999999999999999\r\n",
        b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n",
    )  # fmt: skip
    CHUNKS = (
        b"A\r\n0123456789\r\n0\r\n\r\n", b"01\r\na\r\n0\r\n\r\n", b"1;a=b\r\na\r\n0\r\n\r\n", b"1 \r\na\r\n0\r\n\r\n",
        b"1\na\r\n0\r\n\r\n", b"\r\na\r\n0\r\n\r\n", b"1\r\nab\r\n0\r\n\r\n", b"1\r\na\n0\r\n\r\n",
        b"1\r\na\r\n0\r\nA: b\r\n\r\n", b"1\r\naXX0\r\n\r\n", b"fffffffff\r\na",
    )  # fmt: skip
    REQUESTS = (
        b"GET /x HTTP/1.0", b"GET /x HTTP/1.1 ", b"GET /x http/1.1", b"GET  /x HTTP/1.1", b"GET /x y HTTP/1.1",
        b"GET\t/x HTTP/1.1", b" GET /x HTTP/1.1", b"GET http://a/x HTTP/1.1", b"GET * HTTP/1.1", b"GET /x",
        b"GET /x#y HTTP/1.1", b"GET /\x7f HTTP/1.1", b"GET /\0 HTTP/1.1", b"GET /\r HTTP/1.1", b"G@T /x HTTP/1.1", b"",
        b"GET /x HTTP/1.1\nA: b",
    )  # fmt: skip
    ANSWERS = (
        b"HTTP/1.0 200 OK", b"HTTP/1.1  200 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 099 OK", b"HTTP/1.1 2000 OK", b"",
        b"HTTP/1.1 200OK", b"HTTP/1.1 200", b"HTTP/1.1 200 O\0K", b"HTTP/1.1 200 O\rK", b"HTTP/2 200 OK",
        b"HTTP/1.1 200 OK\nA: b",
    )  # fmt: skip

    def refused(self, data, answers):
        with self.subTest(data), self.assertRaises(Wrong):
            read_messages(data, answers=answers, ended=True)

    def test_what_a_gateway_may_write_is_read(self):
        first = b"POST /x HTTP/1.1\r\n"
        one, other = b"Content-Length: 2\r\n\r\nhi", b"Transfer-Encoding: chunked\r\n\r\n2\r\nho\r\n0\r\n\r\n"
        messages, rest = read_messages(first + one + first + other)
        self.assertEqual([(one.content, one.whole) for one in messages], [(b"hi", True), (b"ho", True)])
        self.assertEqual(rest, b"")
        ((answer,), _) = read_messages(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nto the end", answers=True, ended=True)
        self.assertEqual((answer.content, answer.whole), (b"to the end", True))

    def test_first_lines_that_are_none(self):
        for answers, lines in ((False, self.REQUESTS), (True, self.ANSWERS)):
            for line in lines:
                self.refused(line + b"\r\nA: b\r\n\r\n", answers)

    def test_fields_and_chunks_in_both_directions(self):
        for answers, first in ((False, b"POST /x HTTP/1.1\r\n"), (True, b"HTTP/1.1 200 OK\r\n")):
            for lines in self.LINES:
                self.refused(first + lines + b"\r\n", answers)
            for chunks in self.CHUNKS:
                self.refused(first + b"Transfer-Encoding: chunked\r\n\r\n" + chunks, answers)

    def test_what_comes_behind_a_whole_message(self):
        for answers, head in (
            (False, b"POST /x HTTP/1.1\r\nContent-Length: 1\r\n\r\na"), (False, b"GET /x HTTP/1.1\r\nA: b\r\n\r\n"),
            (True, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"), (True, b"HTTP/1.1 204 None\r\nA: b\r\n\r\n"),
            (True, b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n"), (True, b"HTTP/1.1 100 Go\r\nA: b\r\n\r\n"),
        ):  # fmt: skip
            self.refused(head + b"hello\r\n\r\n", answers)
            messages, _ = read_messages(head + b"hello", answers=answers)
            self.assertEqual([one.whole for one in messages], [True, False], "bytes of nobody's")

    def test_what_is_not_whole(self):
        for data in (b"GET /x HT", b"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nab",
                     b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"):  # fmt: skip
            ((message,), _) = read_messages(data)
            self.assertFalse(message.whole, data)


if __name__ == "__main__":
    main()
