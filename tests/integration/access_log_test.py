#!/usr/bin/env python3
"""The access log as an operator has it: turned up and down by reload, sampled, and without anything that opens a door."""

import json
import signal
import time

from kit import case
from kit.notifying import WithFakeOpencode
from kit.waiting import until
from kit.wire import Client, Connection, basic

HEALTH = "/global/health"


def hold(started, **settings):
    """Another configuration, and the time until it holds. The log need not say so: it may be off."""
    before = started.metric("ocgate_config_reloads_total", result="success")
    config = json.loads(started.config_path.read_text(encoding="utf-8"))
    started.write_config({**config, **settings})
    started.program.signal(signal.SIGHUP)
    until(lambda: started.metric("ocgate_config_reloads_total", result="success") > before, what=started.logs)


def requests_in(started):
    """The access lines so far: of a second's silence more than a hundred times what gathers them (10 ms)."""
    count = -1
    while True:
        lines = [entry for entry in started.log_entries() if entry["kind"] == "access"]
        if len(lines) == count:
            return lines
        count = len(lines)
        time.sleep(1)


class AccessLog(WithFakeOpencode):
    def ask(self, started, times=1, target=HEALTH):
        client = started.client()
        for _ in range(times):
            self.assertIn(client.get(target).status, (200, 404))

    def test_level_sample_and_switch_change_by_reload(self):
        started = self.start_gateway(config={"log_level": "info"})
        self.ask(started)
        started.wait_event("request", path=HEALTH, status=200)

        hold(started, log_level="warn")
        self.ask(started, 5)
        hold(started, log_level="info")
        self.assertEqual(len(requests_in(started)), 1, "ordinary requests are below `warn`")
        self.assertEqual(started.metric("ocgate_log_lines_sampled_out_total"), 0, "and are not sampled out there")

        hold(started, log_sample=0)
        self.ask(started, 20)
        self.ask(started, target="/no/such/page/anywhere")
        lines = requests_in(started)
        missing = [entry for entry in lines[1:] if entry["status"] == 404]
        self.assertEqual((len(lines), len(missing)), (2, 1), lines)
        self.assertEqual(started.metric("ocgate_log_lines_sampled_out_total"), 20)

        hold(started, log_sample=0.5)
        self.ask(started, 200)
        written = len(requests_in(started)) - 2
        self.assertEqual(started.metric("ocgate_log_lines_sampled_out_total"), 220 - written)
        self.assertTrue(70 <= written <= 130, written)  # four times the deviation

        hold(started, log_sample=1, access_log=False)
        before = len(requests_in(started))
        self.ask(started, 5)
        self.assertEqual(len(requests_in(started)), before)
        hold(started, access_log=True)
        self.ask(started)
        self.assertEqual(len(requests_in(started)), before + 1)
        self.assertFalse([entry for entry in started.log_entries() if entry["event"] == "restart_needed"])

    def test_a_request_can_be_followed_from_its_tunnel_to_its_trace(self):
        started = self.start_gateway()
        trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        client = started.client()
        connection = client.connect()  # one thread of the gateway's serves both requests
        self.addCleanup(connection.close)
        headers = [("traceparent", trace), ("CF-Ray", "8a1-FRA")]
        answer = client.get(HEALTH, headers=headers, connection=connection)
        entry = started.wait_event("request", path=HEALTH)
        self.assertEqual(entry["request_id"], answer.header("x-request-id"))
        self.assertEqual((entry["traceparent"], entry["cf_ray"], entry["user"]), (trace, "8a1-FRA", "alice"))
        self.assertEqual((entry["route"], entry["status"], entry["client"]), (HEALTH, 200, "127.0.0.1"))
        self.assertGreater(entry["dial_ms"], 0, "the first request has to connect")
        self.assertFalse(entry["upstream_reused"])
        self.assertLessEqual(entry["dial_ms"], entry["first_byte_ms"])
        self.assertLessEqual(entry["first_byte_ms"], entry["duration_ms"])
        self.assertEqual(client.get(HEALTH, connection=connection).status, 200)
        entry = started.wait_event("request", path=HEALTH)
        self.assertTrue(entry["upstream_reused"])
        self.assertNotIn("dial_ms", entry)

    def test_hashing_a_password_is_a_step_of_its_own(self):
        # of ocgate hash-password's default cost: "example"
        hashed = "$2y$12$KBCwKxOzLha2MUDgW0PjXeaiUMRf3gBAlCfKCycObJ8Y7s7kaQ2dW"
        started = self.start_gateway(config={"users": [{"name": "carol", "password_hash": hashed}]})
        client = Client(started.address, "carol", "example")
        connection = client.connect()  # each thread of the gateway's has to learn it
        self.addCleanup(connection.close)
        for admission in (True, False):
            self.assertEqual(client.get(HEALTH, connection=connection).status, 200)
            entry = started.wait_event("request", path=HEALTH, user="carol")
            self.assertEqual("admission_ms" in entry, admission, entry)
            if admission:
                self.assertGreater(entry["admission_ms"], 20)
                self.assertLess(entry["admission_ms"], entry["duration_ms"])

    def test_no_line_holds_what_opens_a_door(self):
        started = self.start_gateway(config={"log_level": "debug"})
        secret = "s3cret"
        good = basic(started.username, started.password)
        fields = [
            ("Cookie", f"session={secret}"), ("Proxy-Authorization", f"Bearer {secret}"),
            ("Referer", f"http://a/?auth_token={secret}"), ("X-Api-Key", secret), ("X-Request-Id", secret),
        ]  # fmt: skip
        query = f"?auth_token={secret}&ticket={secret}"
        with self.subTest("let in, and not"):
            for authorization in (good, basic("alice", secret), basic(secret, secret), f"Bearer {secret}", None):
                for target in (HEALTH, "/global/event", "/pty/pty_1/connect", "/_ocgate/pending", "/session"):
                    headers = [*fields, *([("Authorization", authorization)] if authorization else [])]
                    if target == "/global/event" and authorization == good:
                        continue  # a stream, below
                    self.assertTrue(Client(started.address).get(target + query, headers=headers).status)
        body = {"parts": [{"type": "text", "text": secret}]}
        started.client().post(f"/session/ses_1/prompt_async{query}", body, headers=fields)
        with Connection(started.address) as connection:  # a stream, left in the middle
            connection.send_request("GET", f"/global/event{query}", [("Host", "a"), ("Authorization", good), *fields])
            connection.read_head()
        with Connection(started.address) as connection:  # a head that is none
            connection.send(f"GET /{query} HTTP/1.1\r\nHost: a\r\nHost: b\r\nCookie: {secret}\r\n\r\n".encode())
            self.assertIn(b" 400 ", connection.read_until(b"\r\n"))
        started.wait_event("request", stream="event_stream")
        lines = requests_in(started)
        self.assertGreater(len(lines), 20)
        pairs = (
            ("alice", started.password), ("alice", secret), (secret, secret),
            (self.opencode.username, self.opencode.password),
        )  # fmt: skip
        words = [secret, started.password, self.opencode.password, *(basic(*pair).split()[1] for pair in pairs)]
        for line in started.program.lines():
            for word in (*words, "auth_token", "ticket=", "?"):
                self.assertNotIn(word, line)
        exposition = started.admin().get("/metrics").body.decode()
        for word in words:
            self.assertNotIn(word, exposition)


if __name__ == "__main__":
    case.main()
