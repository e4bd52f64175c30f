#!/usr/bin/env python3
"""A browser sends cached Basic credentials with requests that a foreign page makes. Those must not reach opencode,
which would start a program for them (POST /pty with a body of no content type).
"""

import json

from kit import case
from kit.relay import Relay
from kit.websocket import UpgradeRefused, WebSocket

FOREIGN = (
    ("foreign origin", [("Origin", "https://evil.example")]),
    ("opaque origin", [("Origin", "null")]),
    ("same host, other port", [("Origin", "http://127.0.0.1:1")]),
    ("fetch metadata alone", [("Sec-Fetch-Site", "cross-site")]),
    ("both", [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")]),
)


class CrossSite(case.WithOpencode):
    model_wanted = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.relay = Relay(cls.opencode.address)
        cls.addClassCleanup(cls.relay.close)
        cls.gateway = cls.start_gateway(
            upstream=cls.relay.address, config={"allowed_origins": ["https://code.example"]}
        )
        cls.client = cls.gateway.client()
        cls.pid_file = cls.opencode.root / "was-here"

    def command(self):
        return json.dumps({"command": "/bin/sh", "args": ["-c", f"touch {self.pid_file}; sleep 60"]}).encode()

    def test_a_foreign_page_starts_no_program(self):
        for name, headers in FOREIGN:
            for method in ("POST", "PUT", "DELETE", "PATCH"):
                with self.subTest(name, method=method):
                    response = self.client.request(method, "/pty", headers=headers, body=self.command())
                    self.assert_gateway_error(response, 403)
        self.assertNotIn(b"/pty ", self.relay.everything_sent())
        self.assertEqual(self.direct.get_json("/pty"), [])
        self.assertFalse(self.pid_file.exists())

    def test_nor_does_it_reach_a_terminal(self):
        pty = self.new_pty(client=self.direct)
        for name, headers in FOREIGN:
            for route in ("/pty", "/api/pty"):
                with self.subTest(name, route=route):
                    with self.assertRaises(UpgradeRefused) as refused:
                        WebSocket(self.client, f"{route}/{pty['id']}/connect", headers)
                    self.assert_gateway_error(refused.exception.response, 403)
        self.assertNotIn(f"{pty['id']}/connect".encode(), self.relay.everything_sent())

    def test_a_ticket_asked_for_by_a_foreign_page_is_refused(self):
        pty = self.new_pty(client=self.direct)
        headers = [("Origin", "https://evil.example"), ("x-opencode-ticket", "1")]
        self.assert_gateway_error(self.client.post(f"/pty/{pty['id']}/connect-token", headers=headers), 403)

    def test_our_own_page_an_allowed_one_and_a_program_pass(self):
        for name, headers in (
            ("own page", [("Origin", f"http://{self.gateway.address}"), ("Sec-Fetch-Site", "same-origin")]),
            ("allowed", [("Origin", "https://code.example"), ("Sec-Fetch-Site", "cross-site")]),
            ("a program", []),
        ):
            with self.subTest(name):
                response = self.client.post("/session", {"title": name}, headers=headers)
                self.assertEqual(response.status, 200, str(response))
                pty = self.client.post_json("/pty", {"command": "/bin/sh"}, headers=headers)
                with WebSocket(self.client, f"/pty/{pty['id']}/connect", headers) as terminal:
                    terminal.ping()
                self.direct.request("DELETE", f"/pty/{pty['id']}")

    def test_reading_stays_possible_for_a_navigation_from_elsewhere(self):
        # A link followed from another site: a safe GET, and the browser shows the answer to nobody but its user.
        headers = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]
        self.assertEqual(self.client.get("/", headers=headers).status, 200)


if __name__ == "__main__":
    case.main()
