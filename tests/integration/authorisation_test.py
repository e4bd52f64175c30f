#!/usr/bin/env python3
"""Nobody gets around the login and the rules behind it: every way to write a path against every exemption and every
rule, tickets stolen and tried again, and prompts that would cost what is spent.
"""

import itertools
import json
import os
import subprocess
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from kit import case, gateway
from kit.model import Say
from kit.spellings import HANDSHAKE, PLEAS, spellings
from kit.wire import Connection, Truncated, basic
from kit.witness import Witness

ASSETS = (b"/site.webmanifest", b"/web-app-manifest-192x192.png", b"/web-app-manifest-512x512.png")
UPSTREAM_PASSWORD = "of opencode alone"
FOREIGN = [("Origin", "https://elsewhere.example"), ("Sec-Fetch-Site", "cross-site")]


def origin_form(target):
    """Without what an absolute-form (RFC 9112 §3.2.2) has in front of the path."""
    absolute = target.lower().startswith((b"http://", b"https://"))
    return b"/" + target.split(b"/", 3)[3] if absolute else target


class Asker:
    """Requests on one connection as long as it lasts, each as a case of its own."""

    def __init__(self, address):
        self.address = address
        self.connection = None
        self.numbers = itertools.count(1)

    def ask(self, method, target, fields=(), body=b"", host=None):
        """(case, response)."""
        number = f"case-{next(self.numbers)}"
        target = target.encode() if isinstance(target, str) else target
        lines = [f"Host: {host or self.address}", f"X-Case: {number}", *(f"{name}: {value}" for name, value in fields)]
        if body or method not in ("GET", "HEAD", "OPTIONS"):
            lines.append(f"Content-Length: {len(body)}")
        head = method.encode() + b" " + target + b" HTTP/1.1\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n"
        for attempt in (1, 2):
            fresh = self.connection is None
            try:
                self.connection = self.connection or Connection(self.address)
                self.connection.send(head + body)
                response = self.connection.read_response(method)
                break
            except (OSError, Truncated) as problem:  # closed after the last answer
                self.close()
                if fresh or attempt == 2:
                    raise AssertionError(f"{head!r}: {problem!r}") from problem
        if response.status == 101 or (response.header("connection") or "").lower() == "close":
            self.close()
        return number, response

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None


class BeforeTheLogin(unittest.TestCase):
    """In front of an upstream that writes down whatever reaches it."""

    @classmethod
    def setUpClass(cls):
        cls.witness = Witness()
        cls.addClassCleanup(cls.witness.close)
        cls.gateway = gateway.Gateway(
            cls.witness.address, username="alice", threads="2",
            config={
                "upstream": {"username": "opencode", "password": {"env": "UPSTREAM_PASSWORD"}},
                "trusted_proxies": ["192.0.2.0/24"], "log_level": "error", "access_log": False,
            },
            env={"UPSTREAM_PASSWORD": UPSTREAM_PASSWORD},
        )  # fmt: skip
        cls.addClassCleanup(cls.gateway.close)
        cls.asker = Asker(cls.gateway.address)
        cls.addClassCleanup(cls.asker.close)
        cls.login = ("Authorization", basic("alice", cls.gateway.password))
        cls.own = [("Origin", f"http://{cls.gateway.address}"), ("Sec-Fetch-Site", "same-origin")]

    PATHS = (
        "/global/health", "/api/health", "/health", "/healthz", "/livez", "/readyz", "/metrics", "/", "/doc", "/config",
        "/event", "/session", "/session/ses_1/message", "/pty", "/pty/pty_1/connect", "/api/pty/pty_1/connect",
        "/pty/pty_1/connect-token", "/_ocgate/status", "/_ocgate/notifications/test", "/site.webmanifest",
        "/web-app-manifest-192x192.png", "/assets/index.js", "/favicon.ico", "/robots.txt", "/.well-known/x",
    )  # fmt: skip

    def may_pass(self, method, target, fields):
        """What README says is reachable without credentials, said once more."""
        if method == "GET":
            return target in ASSETS and not any(name == "Connection" and "pgrade" in value for name, value in fields)
        asks = dict(fields)
        asks_first = "Origin" in asks and "Access-Control-Request-Method" in asks
        return method == "OPTIONS" and asks_first and not target.startswith(b"/_ocgate")

    def check(self, asked):
        """`asked`: {case: (method, target, fields, response)}, all of them without credentials."""
        seen = self.witness.seen()
        passed = 0
        for number, (method, target, fields, response) in asked.items():
            target = origin_form(target)
            what = f"{method} {target!r} {fields} -> {response}"
            if self.may_pass(method, target, fields):
                self.assertTrue(number in seen, what)
                self.assertEqual(seen[number].values("authorization"), [], "nobody vouches for it")
                self.assertEqual((seen[number].method, seen[number].target), (method, target))
                passed += 1
                continue
            self.assertFalse(number in seen, what)
            self.assertIn(response.status, (400, 401, 403, 405), what)
            self.assertTrue(response.header("x-request-id"), what)
        return passed

    def test_nothing_but_what_is_stated_reaches_the_upstream(self):
        pleas = itertools.cycle(PLEAS.items())
        asked = {}
        for path in self.PATHS:
            for target in [*spellings(path, self.gateway.address).values(), path.encode() + b"?auth_token=YWxpY2U6"]:
                for method in ("GET", "POST"):
                    _, fields = next(pleas)
                    number, response = self.asker.ask(method, target, fields)
                    asked[number] = (method, target, fields, response)
            for method in ("HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "get", "QUERY", "CONNECT", "TRACE", "PRI"):
                for fields in ([], [*self.own, ("Access-Control-Request-Method", "POST")]):
                    number, response = self.asker.ask(method, path, fields)
                    asked[number] = (method, path.encode(), fields, response)
            for fields in PLEAS.values():
                number, response = self.asker.ask("GET", path, fields)
                asked[number] = ("GET", path.encode(), fields, response)
        self.assertGreater(self.check(asked), 20, "the exemptions themselves were tried")
        self.assertGreater(len(asked), 4000)
        print(f"{len(asked)} requests without credentials")

    def test_the_recorder_would_have_seen_them(self):
        for path in self.PATHS:
            if not path.startswith("/_ocgate"):
                number, _ = self.asker.ask("GET", path, [self.login])
                self.assertIn(number, self.witness.seen(), path)
                sent_on = self.witness.seen()[number].values("authorization")
                own = [] if path.encode() in ASSETS else [basic("opencode", UPSTREAM_PASSWORD)]
                self.assertEqual(sent_on, own, "the gateway's own, for opencode")

    def test_a_preflight_acts_nowhere(self):
        asks = [*self.own, ("Access-Control-Request-Method", "POST")]
        for path in ("/_ocgate/notifications/test", "/_ocgate/status", "/_ocgate"):
            number, response = self.asker.ask("OPTIONS", path, asks)
            self.assertEqual(response.status, 401, path)
            self.assertNotIn(number, self.witness.seen())
        for fields in (
            [("Access-Control-Request-Method", "POST")],
            [*FOREIGN, ("Access-Control-Request-Method", "POST")],
            [*asks, ("Access-Control-Request-Method", "POST")],
            [*asks, ("Origin", "https://elsewhere.example")],
        ):
            number, response = self.asker.ask("OPTIONS", "/session", fields)
            self.assertIn(response.status, (401, 403), str(fields))
            self.assertNotIn(number, self.witness.seen())
        number, response = self.asker.ask("OPTIONS", "/session", asks, b"content")
        self.assertEqual(response.status, 401)
        self.assertNotIn(number, self.witness.seen())

    def test_own_pages_have_one_spelling_and_no_exemption(self):
        own, opencodes = 0, 0
        for path in ("/_ocgate/status", "/_ocgate/pending", "/_ocgate/notifications/mute"):
            for name, target in spellings(path, self.gateway.address).items():
                number, response = self.asker.ask("GET", target, [self.login])
                if number in self.witness.seen():  # whatever opencode makes of it
                    self.assertFalse(origin_form(target).startswith(b"/_ocgate/"), name)
                    opencodes += 1
                elif response.status != 400:
                    self.assertTrue(origin_form(target).startswith(b"/_ocgate/"), name)
                    own += 1
                    for fields in ([*FOREIGN], [("Sec-Fetch-Site", "same-site")], [("Origin", "null")]):
                        _, response = self.asker.ask("POST", target, [self.login, *fields], b"{}")
                        self.assertEqual(response.status, 403, f"{name} {fields}")
        self.assertGreater(min(own, opencodes), 20)

    # Terminals.

    def issued(self, ticket, pty="pty_1"):
        self.witness.ticket = ticket
        _, response = self.asker.ask("POST", f"/pty/{pty}/connect-token", [self.login, *self.own])
        self.assertEqual(json.loads(response.body)["ticket"], ticket)

    def connect(self, target, fields=(), method="GET"):
        number, response = self.asker.ask(method, target, [*HANDSHAKE, *fields])
        self.assertEqual(number in self.witness.seen(), response.status == 101, str(response))
        return response

    def test_a_terminal_opens_for_a_ticket_that_was_issued_here_and_for_no_other(self):
        for query in ("", "?ticket", "?ticket=", "?ticket=&ticket=x", "?ticket=x", "?ticket[]=x", "?Ticket=x",
                      ";ticket=x", "?ticket=%00", "?%74icket=x", "?ticket=x&ticket=x", "?ticket=null"):  # fmt: skip
            for path in ("/pty/pty_1/connect", "/api/pty/pty_1/connect"):
                response = self.connect(path + query)
                self.assertEqual(response.status, 401, f"{path}{query} {response}")
                self.assertEqual(self.connect(path + query, self.own).status, 403)
        guesses = [f"00000000-0000-4000-8000-{n:012x}" for n in range(100)]
        self.issued("6f1cc4b2-9f5c-4c0e-8f39-000000000001")
        for guess in guesses:
            self.assertEqual(self.connect(f"/pty/pty_1/connect?ticket={guess}").status, 401)

    def test_a_ticket_is_good_for_one_terminal_one_time_and_no_foreign_page(self):
        ticket = "6f1cc4b2-9f5c-4c0e-8f39-000000000002"
        self.issued(ticket)
        good = f"/pty/pty_1/connect?ticket={ticket}"
        for target, fields, method in (
            (f"/pty/pty_2/connect?ticket={ticket}", [], "GET"),
            (f"/pty/pty_1/connect?ticket={ticket.upper()}", [], "GET"),
            (f"/pty/PTY_1/connect?ticket={ticket}", [], "GET"),
            (f"/pty/pty_1/connect?ticket={ticket}&ticket={ticket}", [], "GET"),
            (f"/pty/pty_1/connect?ticket=&ticket={ticket}", [], "GET"),
            (f"/pty/pty_1/connect;?ticket={ticket}", [], "GET"),
            (f"/pty/pty_1/connect;ticket=?ticket={ticket}", [], "GET"),
            (f"/pty/pty_1;x/connect?ticket={ticket}", [], "GET"),
            (f"/pty/pty_1/connect/x?ticket={ticket}", [], "GET"),
            (f"/pty/pty_1/connect-token?ticket={ticket}", [], "GET"),
            (f"/pty?ticket={ticket}", [], "GET"),
            (f"/x/../pty/pty_1/connect?ticket={ticket}", [], "GET"),
            (good, [], "POST"),
            (good, [], "HEAD"),
            (good, FOREIGN, "GET"),
            (good, [("Origin", "null")], "GET"),
            (good, [("Sec-Fetch-Site", "same-site")], "GET"),
        ):
            self.assertIn(self.connect(target, fields, method).status, (401, 403), f"{method} {target} {fields}")
        number, response = self.asker.ask("GET", good)
        self.assertEqual((response.status, number in self.witness.seen()), (401, False), "no upgrade, no entry")
        self.assertEqual(self.connect(good, self.own).status, 101, "none of that used it up")
        self.assertEqual(self.connect(good, self.own).status, 403, "it has been used")

    def test_many_at_once_with_one_ticket_are_one(self):
        for turn in range(10):
            ticket = f"6f1cc4b2-9f5c-4c0e-8f39-1000000000{turn:02}"
            self.issued(ticket)
            askers = [Asker(self.gateway.address) for _ in range(16)]
            for i, asker in enumerate(askers):
                asker.numbers = itertools.count(10**6 * (i + 1) + turn * 100)
                self.addCleanup(asker.close)
            with ThreadPoolExecutor(len(askers)) as pool:
                target = f"/pty/pty_1/connect?ticket={ticket}"
                answers = [pool.submit(asker.ask, "GET", target, HANDSHAKE) for asker in askers]
            statuses = sorted(answer.result()[1].status for answer in answers)
            self.assertEqual(statuses, [101] + [401] * 15)

    # Rules behind the login.

    def test_no_spelling_lets_a_foreign_page_act(self):
        pages = (
            FOREIGN,
            [("Origin", "https://elsewhere.example")],
            [("Origin", "null")],
            [("Sec-Fetch-Site", "same-site")],
            [("Origin", f"http://{self.gateway.address}.evil.example")],
            [("Origin", f"http://{self.gateway.address}"), ("Origin", "https://elsewhere.example")],
            [("Origin", "https://elsewhere.example"), ("X-Forwarded-Host", "elsewhere.example")],
            [("Origin", "https://elsewhere.example"), ("Referer", f"http://{self.gateway.address}/")],
            [("Origin", "https://elsewhere.example"), ("X-Requested-With", "XMLHttpRequest")],
            [("Origin", "https://elsewhere.example"), ("X-HTTP-Method-Override", "GET")],
        )  # fmt: skip
        turns = itertools.cycle(pages)
        for path in ("/pty", "/session/ses_1/message", "/_ocgate/notifications/mute", "/site.webmanifest"):
            for name, target in spellings(path, self.gateway.address).items():
                for method in ("POST", "DELETE"):
                    fields = next(turns)
                    number, response = self.asker.ask(method, target, [self.login, *fields], b"{}")
                    self.assertIn(response.status, (400, 403), f"{name} {method} {target!r} {fields}")
                    self.assertNotIn(number, self.witness.seen())
                number, response = self.asker.ask("GET", target, [self.login, *FOREIGN, *HANDSHAKE])
                self.assertIn(response.status, (400, 403), f"{name} {target!r}")
                self.assertNotIn(number, self.witness.seen())

    def test_no_foreign_page_makes_a_browser_read(self):
        far = [self.login, ("Sec-Fetch-Site", "cross-site")]
        window = [*far, ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]
        frame = [*far, ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")]
        image = [*far, ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")]
        for path in ("/path", "/event", "/config", "/session/ses_1/message"):
            means_it = ("nothing", "upper case", "two slashes in front", "a slash behind", "a letter coded",
                        "all letters coded", "a parameter", "a query", "absolute")  # fmt: skip
            ways = spellings(path, self.gateway.address)
            for name in means_it:
                for fields in (window, frame, image):
                    number, response = self.asker.ask("GET", ways[name], fields)
                    self.assertEqual(response.status, 403, f"{name} {ways[name]!r}")
                    self.assertNotIn(number, self.witness.seen())
        for path in ("/", "/L3dvcms/session/ses_1", "/?a", "//elsewhere.example/x"):
            for fields, passes in ((window, path == "/"), (frame, False), (image, False)):
                number, response = self.asker.ask("GET", path, fields)
                self.assertEqual(response.status, 200 if passes else 403, path)
                self.assertEqual(number in self.witness.seen(), passes)
                link = f'href="{path}"'.encode() in response.body
                self.assertEqual(link, fields is window and path in ("/L3dvcms/session/ses_1", "/?a"), path)

    # The other ways in.

    def test_the_admin_port_has_four_pages_to_read_and_no_spelling_of_more(self):
        admin = Asker(self.gateway.admin_address)
        self.addCleanup(admin.close)
        pages = ("/livez", "/readyz", "/healthz", "/metrics")
        for path in (*pages, "/_ocgate/status", "/session", "/config", "/debug/pprof", "/"):
            for name, target in spellings(path, self.gateway.admin_address).items():
                _, response = admin.ask("GET", target)
                known = target.split(b"?")[0].decode() in pages
                self.assertIn(response.status, (200, 503) if known else (400, 404), f"{name} {target!r}")
            for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get"):
                _, response = admin.ask(method, path, FOREIGN)
                self.assertIn(response.status, (400, 404, 405), f"{method} {path}")
                self.assertEqual(response.headers("access-control-allow-origin"), [], "no page may read it")
        for path in pages:
            _, response = admin.ask("GET", path, [self.login])
            for secret in (self.gateway.password, "alice", self.login[1]):
                self.assertNotIn(secret.encode(), response.raw_head + response.body)

    @unittest.skipUnless(os.geteuid() == 0, "takes root to become somebody else")
    def test_the_control_socket_is_its_owners(self):
        mode = self.gateway.control_socket.stat().st_mode
        self.assertEqual(mode & 0o077, 0, oct(mode))
        self.gateway.root.chmod(0o755)  # a folder that others may pass
        self.addCleanup(self.gateway.root.chmod, 0o700)
        knock = (
            "import os, socket, sys; os.setgid(65534); os.setuid(65534); "
            "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print('let in')"
        )
        arguments = [sys.executable, "-I", "-S", "-c", knock, self.gateway.control_socket]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False)
        self.assertIn("PermissionError", done.stderr)
        self.assertEqual(done.stdout, "")


class TheServerItself(case.WithOpencode):
    """What the real opencode takes for a prompt is one for the gateway, too."""

    gateway_config = {"budgets": [{"period": "month", "usd": 1.0, "block": True}]}
    prices = {"fake-1": {"input": 1000, "output": 1000}}  # an answer costs more than a dollar

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gateway.wait_event("events_heard")
        cls.session = cls.direct.post_json("/session", {"title": "a dear one"})["id"]
        cls.model.script(Say("That was dear"))
        prompt = {"model": {"providerID": "fake", "modelID": "fake-1"}, "parts": [{"type": "text", "text": "go"}]}
        cls.client.post_json(f"/session/{cls.session}/message", prompt)
        deadline = time.monotonic() + 40
        while cls.gateway.metric("ocgate_budget_blocked") != 1:
            assert time.monotonic() < deadline, "the budget is spent"
            time.sleep(0.05)

    def messages(self):
        return len(self.direct.get_json(f"/session/{self.session}/message"))

    def asker(self, client):
        asker = Asker(client.address)
        self.addCleanup(asker.close)
        login = [("Authorization", basic(client.username, client.password)), ("Content-Type", "application/json")]
        return lambda method, target, fields=(), body=b"": asker.ask(method, target, [*login, *fields], body)[1]

    def test_no_spelling_takes_a_prompt_past_a_spent_budget(self):
        noted = json.dumps(self.prompt_body("noted", noReply=True)).encode()  # asks no model
        ways = spellings(f"/session/{self.session}/message", self.opencode.address)
        ways["names in capitals"] = f"/SESSION/{self.session}/MESSAGE".encode()
        direct, through = self.asker(self.direct), self.asker(self.client)
        hits = []
        for name, target in ways.items():
            taken = direct("POST", target, body=noted)
            if taken.status == 200 and b'"role":"user"' in taken.body:
                hits.append(name)
        before = self.messages()
        self.assertGreater(before, len(hits))
        print(f"the server takes {len(hits)} of {len(ways)} spellings: {', '.join(hits)}")
        for name in ("names in capitals", "slashes all over", "a letter coded", "a semicolon", "a parameter"):
            self.assertIn(name, hits, "the server matches as it did")
        override = [("X-HTTP-Method-Override", "POST"), ("X-HTTP-Method", "POST")]
        asks = [("POST", []), ("PUT", []), ("post", []), ("GET", override), ("PATCH", override), ("OPTIONS", override)]
        for name, target in ways.items():
            for method, fields in asks:
                response = through(method, target, fields, noted if method != "OPTIONS" else b"")
                if name in hits and method == "POST":
                    self.assertIn(response.status, (400, 429), f"{name}: {target!r}")
        for name, fields in {
            "another path": [("X-Original-URL", f"/session/{self.session}/message"), ("X-Rewrite-URL", "/session")],
            "a method in a field": [("X-HTTP-Method-Override", "POST")],
        }.items():
            for target in ("/", "/session", f"/session/{self.session}/todo", "/log?_method=POST"):
                for method in ("GET", "POST"):
                    through(method, target, fields, noted)
                    direct(method, target, fields, noted)
        self.assertEqual(self.messages(), before, "not one more")

    def test_no_other_route_asks_a_model(self):
        """Each of these is one the server has, and asks a model when it is let through."""
        model = {"providerID": "fake", "modelID": "fake-1"}
        prompt = self.prompt_body("write a poem")
        asked = len(self.model.requests)
        for target, content in {
            f"/session/{self.session}/message": prompt,
            f"/session/{self.session}/prompt_async": prompt,
            f"/session/{self.session}/command": {"command": "init", "arguments": ""},
            f"/session/{self.session}/summarize": model,
            f"/session/{self.session}/init": {**model, "messageID": "msg_x"},
            f"/api/session/{self.session}/prompt": {"prompt": {"text": "write a poem"}},
            f"/api/session/{self.session}/compact": {},
            "/experimental/project/global/copy/generate-name": {"context": "write a poem"},
        }.items():
            for spelled in (target, target + ";x", target.replace("/", "//")):
                self.assert_gateway_error(self.client.post(spelled, content), 429, "over_budget")
        self.assertEqual(len(self.model.requests), asked)
        self.model.script(Say("named"))
        named = self.direct.post_json("/experimental/project/global/copy/generate-name", {"context": "write a poem"})
        self.assertTrue(named["name"])
        self.assertGreater(len(self.model.requests), asked, "the one that is easily overlooked")


if __name__ == "__main__":
    case.main()
