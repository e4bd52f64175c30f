#!/usr/bin/env python3
"""Plain requests through the gateway: the same answers as opencode's own, and its own where opencode has none."""

import gzip
import hashlib
import json
import re
import secrets
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from kit import case, gateway
from kit.relay import Relay
from kit.wire import Client

# What opencode says about itself does not depend on who asks; these do.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "date", "via", "x-request-id", "content-length"}


class Rest(case.WithOpencode):
    model_wanted = False

    def test_answers_are_those_of_opencode(self):
        self.new_session("one of them")
        for target in ("/global/health", "/path", "/config", "/agent", "/session", "/project", "/doc", "/api/health"):
            with self.subTest(target):
                ours, theirs = self.client.get(self.in_project(target)), self.direct.get(self.in_project(target))
                self.assertEqual(ours.status, theirs.status)
                self.assertEqual(ours.json(), theirs.json())

    def test_the_web_ui_comes_byte_for_byte_with_its_policy(self):
        ours, theirs = self.client.get("/"), self.direct.get("/")
        self.assertEqual((ours.status, ours.body), (200, theirs.body))
        self.assertIn("text/html", ours.header("content-type"))
        kept = [f for f in theirs.fields if f[0].lower() not in HOP_BY_HOP]
        for name, value in kept:
            self.assertEqual(ours.headers(name), [value], name)
        bundle = next(p for p in ours.body.decode().split('"') if p.startswith("/assets/") and p.endswith(".js"))
        ours, theirs = self.client.get(bundle), self.direct.get(bundle)
        self.assertGreater(len(ours.body), 1_000_000)
        self.assertEqual(hashlib.sha256(ours.body).digest(), hashlib.sha256(theirs.body).digest())

    def test_a_session_lives_its_life(self):
        session = self.new_session("first name")
        path = f"/session/{session['id']}"
        self.assertEqual(self.client.get_json(path)["title"], "first name")
        changed = self.client.request("PATCH", path, data={"title": "second name"})
        self.assertEqual(changed.json()["title"], "second name")
        self.assertIn(session["id"], [entry["id"] for entry in self.client.get_json("/session")])
        self.assertIs(self.client.request("DELETE", path).json(), True)
        self.assertEqual(self.client.get(path).status, 404)

    def test_errors_of_opencode_are_passed_on_as_they_are(self):
        ours = self.client.post("/session", body=b"{nonsense", headers=[("Content-Type", "application/json")])
        theirs = self.direct.post("/session", body=b"{nonsense", headers=[("Content-Type", "application/json")])
        self.assertEqual((ours.status, ours.header("content-type")), (theirs.status, theirs.header("content-type")))
        self.assertIsNone(ours.header("x-ocgate-error"))

    def test_head_has_no_body_and_the_connection_goes_on(self):
        with self.client.connect() as connection:
            for _ in range(3):
                head = self.client.request("HEAD", "/global/health", connection=connection)
                self.assertEqual((head.status, head.body), (200, b""))
                full = self.client.get("/global/health", connection=connection)
                self.assertEqual(full.json()["healthy"], True)

    def test_compression_is_opencodes(self):
        asked = self.client.get("/doc", headers=[("Accept-Encoding", "gzip")])
        self.assertEqual(asked.header("content-encoding"), "gzip")
        self.assertEqual(json.loads(gzip.decompress(asked.body)), self.client.get("/doc").json())

    def test_pipelined_requests_are_answered_in_order_though_opencode_cannot(self):
        with self.client.connect() as connection:
            for target in ("/global/health", "/path", "/doc", "/global/health"):
                connection.send_request("GET", target, self.client.headers())
            bodies = [connection.read_response().json() for _ in range(4)]
        self.assertEqual([sorted(body)[0] for body in bodies], ["healthy", "config", "components", "healthy"])

    def test_chunked_and_expect_continue_uploads_arrive_whole(self):
        text = secrets.token_hex(200_000)
        body = json.dumps({"title": text}).encode()
        fields = self.client.headers([("Content-Type", "application/json")])
        with self.client.connect() as connection:
            connection.send_request("POST", "/session", fields + [("Transfer-Encoding", "chunked")])
            for at in range(0, len(body), 70_001):
                piece = body[at : at + 70_001]
                connection.send(b"%x;name=value\r\n%s\r\n" % (len(piece), piece))
            connection.send(b"0\r\nX-Trailer: dropped\r\n\r\n")
            self.assertEqual(connection.read_response().json()["title"], text)
            expecting = [("Expect", "100-continue"), ("Content-Length", str(len(body)))]
            connection.send_request("POST", "/session", fields + expecting)
            self.assertTrue(connection.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 "))
            connection.send(body)
            self.assertEqual(connection.read_response().json()["title"], text)

    def test_an_upload_of_20_mib_is_seen_by_opencode_byte_for_byte(self):
        text = hashlib.sha256(b"seed").hexdigest() * (20 * 1024 * 1024 // 64)
        session = self.client.post_json("/session", {"title": text}, timeout=120)
        self.assertEqual(hashlib.sha256(session["title"].encode()).digest(), hashlib.sha256(text.encode()).digest())
        self.client.request("DELETE", f"/session/{session['id']}")

    def test_what_opencode_sees_of_the_client(self):
        relay = Relay(self.opencode.address)
        self.addCleanup(relay.close)
        client = self.start_gateway(upstream=relay.address).client()
        client.get(
            "/path",
            headers=[
                ("Host", "code.example:8443"),
                ("Connection", "close, X-Private"),
                ("X-Private", "for the next hop only"),
                ("X-Forwarded-For", "6.6.6.6"),
                ("Keep-Alive", "timeout=5"),
                ("TE", "trailers"),
                ("X-Kept", "kept"),
            ],
        )
        sent = relay.wait_leg("GET /path").sent.decode("latin-1")
        request = sent[sent.index("GET /path") :]
        fields = [line.split(": ", 1) for line in request.split("\r\n\r\n")[0].split("\r\n")[1:]]
        names = [name.lower() for name, _ in fields]
        values = {name.lower(): value for name, value in fields}
        self.assertEqual(values["host"], "code.example:8443")
        self.assertEqual(values["x-kept"], "kept")
        self.assertEqual(values["x-forwarded-for"], "127.0.0.1", "an untrusted client's own claim is dropped")
        self.assertEqual(values["x-forwarded-proto"], "http")
        self.assertEqual(values["x-forwarded-host"], "code.example:8443")
        self.assertIn("via", names)
        self.assertIn("x-request-id", names)
        for gone in ("x-private", "keep-alive", "te"):
            self.assertNotIn(gone, names)
        self.assertEqual(len(names), len(set(names)), names)


class Refusals(case.WithOpencode):
    """Requests that must not reach opencode at all."""

    model_wanted = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.relay = Relay(cls.opencode.address)
        cls.addClassCleanup(cls.relay.close)
        cls.gateway = cls.start_gateway(upstream=cls.relay.address)
        cls.client = cls.gateway.client()

    def refused(self, raw, status):
        marker = secrets.token_hex(8)
        with self.client.connect() as connection:
            authorization = dict(self.client.headers())["Authorization"]
            connection.send(raw.replace(b"MARK", marker.encode()).replace(b"AUTH", authorization.encode()))
            response = connection.read_response()
            self.assert_gateway_error(response, status)
            self.assertTrue(connection.at_end(), "the connection ends where framing is in doubt")
        logged = self.gateway.wait_event("connection_failed", request_id=response.header("x-request-id"))
        self.assertEqual(logged["status"], status)
        sent_at = parsedate_to_datetime(response.header("date"))
        self.assertLess(abs((datetime.now(timezone.utc) - sent_at).total_seconds()), 60)
        self.assertNotIn(marker.encode(), self.relay.everything_sent())

    def test_framing_in_doubt_is_refused_and_the_connection_closed(self):
        head = b"POST /session?MARK HTTP/1.1\r\nHost: a\r\nAuthorization: AUTH\r\n"
        for name, raw in (
            ("two lengths", head + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
            ("length list", head + b"Content-Length: 2, 2\r\n\r\n{}"),
            ("length and chunked", head + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("unknown coding", head + b"Transfer-Encoding: gzip\r\n\r\n"),
            ("chunked not last", head + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
            ("folded field", head + b"X-A: b\r\n c\r\n\r\n"),
            ("space before colon", head + b"X-A : b\r\n\r\n"),
            ("no host", b"GET /session?MARK HTTP/1.1\r\nAuthorization: AUTH\r\n\r\n"),
            ("two hosts", b"GET /session?MARK HTTP/1.1\r\nHost: a\r\nHost: b\r\nAuthorization: AUTH\r\n\r\n"),
            ("nul in a value", head + b"X-A: b\0c\r\n\r\n"),
            ("not http", b"HELO MARK\r\n\r\n"),
        ):
            with self.subTest(name):
                self.refused(raw, 400)

    def test_heads_and_targets_have_bounds(self):
        authorization = b"Host: a\r\nAuthorization: AUTH\r\n"
        self.refused(b"GET /" + b"a" * 9000 + b"?MARK HTTP/1.1\r\n" + authorization + b"\r\n", 414)
        self.refused(b"GET /?MARK HTTP/1.1\r\n" + authorization + b"X-A: " + b"a" * 17000 + b"\r\n\r\n", 431)

    def test_heads_that_are_refused_are_counted(self):
        before = self.gateway.metric("ocgate_http_requests_total", route="other", code="414")
        self.refused(b"GET /" + b"a" * 9000 + b"?MARK HTTP/1.1\r\nHost: a\r\n\r\n", 414)
        after = self.gateway.metric("ocgate_http_requests_total", route="other", code="414")
        self.assertEqual(after - before, 1.0)

    def test_a_declared_body_over_the_bound_is_413_before_it_is_read(self):
        length = str(256 * 1024 * 1024 + 1)
        with self.client.connect() as connection:
            connection.send_request("POST", "/session", self.client.headers([("Content-Length", length)]))
            self.assert_gateway_error(connection.read_response(), 413)

    def test_methods_that_a_gateway_does_not_carry(self):
        for raw in (
            b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\nAuthorization: AUTH\r\n\r\n",
            b"TRACE /session?MARK HTTP/1.1\r\nHost: a\r\nAuthorization: AUTH\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: a\r\nAuthorization: AUTH\r\n\r\n",
        ):
            with self.subTest(raw[:12]), self.client.connect() as connection:
                authorization = dict(self.client.headers())["Authorization"]
                connection.send(raw.replace(b"AUTH", authorization.encode()))
                response = connection.read_response()
                self.assertIn(response.status, (400, 405, 501), str(response))
                self.assert_gateway_error(response, response.status)
        self.assertNotIn(b"TRACE", self.relay.everything_sent())
        self.assertNotIn(b"CONNECT", self.relay.everything_sent())


class Admin(case.WithOpencode):
    model_wanted = False

    def test_the_admin_listener_answers_without_credentials_and_without_secrets(self):
        admin = self.gateway.admin()
        self.assertEqual(admin.get("/livez").status, 200)
        self.assertEqual(admin.get("/healthz").status, 200)
        ready = admin.get("/readyz")
        self.assertEqual(ready.status, 200, str(ready))
        self.assertTrue(ready.header("content-type").startswith("application/json"))
        self.assertEqual(admin.get("/readyz?upstream=1").status, 200)
        self.assertNotEqual(admin.get("/session").status, 200)
        everything = ready.body + admin.get("/metrics").body
        for secret in (self.gateway.password, self.opencode.password):
            self.assertNotIn(secret.encode(), everything)

    def test_metrics_count_by_route_template_and_never_by_session(self):
        session = self.new_session()
        for _ in range(3):
            self.client.get(f"/session/{session['id']}")
        Client(self.gateway.address, "alice", "wrong").get("/session")
        text = self.gateway.admin().get("/metrics").body.decode()
        self.assertNotIn(session["id"], text)
        self.assertNotIn("alice", text)
        self.assertGreaterEqual(self.gateway.metric("ocgate_http_requests_total", method="GET"), 4.0, text[:3000])
        self.assertGreaterEqual(self.gateway.metric("ocgate_build_info"), 1.0)

    def test_every_route_that_opencode_documents_is_counted_under_its_own_template(self):
        documented = self.client.get_json("/doc")["paths"]
        self.assertGreater(len(documented), 100)
        counted = {}
        for template in documented:
            target = re.sub(r"\{[^}]*\}", "made-up", template).replace("*", "made/up")
            # opencode has no HEAD but the web UI's, whatever the path, so nothing is asked of the route itself.
            answer = self.client.request("HEAD", target)
            self.assertEqual((answer.status, answer.header("content-type")), (200, "text/html"), target)
            request = self.gateway.wait_event("request", request_id=answer.header("x-request-id"))
            counted[template] = request["route"]
        self.assertEqual({template: route for template, route in counted.items() if route != template}, {})

    def test_healthcheck_agrees(self):
        env = gateway.environment(OCGATE_ADMIN_LISTEN=self.gateway.admin_address)
        done = gateway.run("healthcheck", env=env)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        nobody = gateway.environment(OCGATE_ADMIN_LISTEN="127.0.0.1:1")
        self.assertNotEqual(gateway.run("healthcheck", env=nobody).returncode, 0)

    def test_a_version_is_told(self):
        done = gateway.run("--version")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"\d+\.\d+\.\d+")

    def test_check_config_tells_every_error_with_its_place(self):
        path = self.opencode.root / "bad.json"
        path.write_text('{\n  // two mistakes\n  "threads": "many",\n  "no_such_key": 1\n}\n', encoding="utf-8")
        done = gateway.run("check-config", "--config", path, env=gateway.environment(OPENCODE_SERVER_PASSWORD="x"))
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("/threads", done.stderr)
        self.assertIn("/no_such_key", done.stderr)


if __name__ == "__main__":
    case.main()
