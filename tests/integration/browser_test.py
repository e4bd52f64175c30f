#!/usr/bin/env python3
"""The web UI in Chromium through the gateway, its terminal included; and what a foreign page can do with the login."""

import base64
import os
from pathlib import Path

from kit import case
from kit.browsing import Elsewhere, WithBrowser
from kit.model import Say

CONTROL = 2


def sends_login(method, params):
    return method == "Network.requestWillBeSentExtraInfo" and "authorization" in map(str.lower, params["headers"])


class Browser(WithBrowser):
    def picture(self, page, name):
        """Kept where OCGATE_TEST_PICTURES says, for a person to look at."""
        if os.environ.get("OCGATE_TEST_PICTURES"):
            page.screenshot(Path(os.environ["OCGATE_TEST_PICTURES"]) / f"{name}.png")

    def session_url(self, session):
        slug = base64.urlsafe_b64encode(str(self.opencode.project).encode()).decode().rstrip("=")
        return f"{self.url}/{slug}/session/{session['id']}"

    def test_the_ui_renders_after_one_login(self):
        page = self.logged_in()
        self.picture(page, "home")
        self.assertEqual(page.evaluate("document.title"), "OpenCode")
        page.open(self.session_url(self.new_session("named in a test")))
        page.wait_until("document.body.innerText.includes('named in a test')")
        self.picture(page, "session")
        answers = [p["response"] for method, p in page.log if method == "Network.responseReceived"]
        bad = [(answer["url"], answer["status"]) for answer in answers if answer["status"] >= 400]
        self.assertEqual([entry for entry in bad if not entry[0].endswith("favicon.ico")], [])
        broken = [p for method, p in page.log if method == "Runtime.exceptionThrown"]
        self.assertEqual(broken, [])
        self.assertLessEqual(page.login_dialogs, 1)

    def test_a_turn_appears_in_the_ui_as_it_happens(self):
        session = self.new_session("watched")
        page = self.logged_in()
        page.open(self.session_url(session))
        page.wait_until("document.body.innerText.includes('Ask anything')")
        self.model.script(Say("Streamed to the browser."))
        self.client.post_json(f"/session/{session['id']}/message", self.prompt_body("say it"))
        page.wait_until("document.body.innerText.includes('Streamed to the browser.')")
        self.picture(page, "turn")

    def test_its_terminal_runs_a_command(self):
        session = self.new_session("terminal")
        page = self.logged_in()
        page.open(self.session_url(session))
        page.wait_until("document.body.innerText.includes('Ask anything')")
        page.key("`", code="Backquote", number=192, modifiers=CONTROL)

        def frame(text):
            # Shown on a canvas, so the frames are what a program can read; the picture is for a person.
            return lambda method, p: method == "Network.webSocketFrameReceived" and text in p["response"]["payloadData"]

        handshake = "Network.webSocketHandshakeResponseReceived"
        page.wait_event(lambda method, p: method == handshake and p["response"]["status"] == 101)
        page.wait_until("document.querySelector('canvas') !== null")
        left, top = page.evaluate("(({x, y}) => [x, y])(document.querySelector('canvas').getBoundingClientRect())")
        page.click(left + 80, top + 40)
        page.type("echo in-the-browser-$((40 + 2))")
        page.key("Enter", code="Enter", number=13, text="\r")
        page.wait_event(frame("in-the-browser-42"))
        self.picture(page, "terminal")

    def test_a_foreign_page_can_neither_start_a_program_nor_open_a_terminal(self):
        page = self.logged_in()
        pty = self.new_pty(client=self.direct)
        before = [entry["id"] for entry in self.direct.get_json("/pty")]
        elsewhere = Elsewhere()
        self.addCleanup(elsewhere.close)
        for origin in elsewhere.addresses:
            with self.subTest(origin):
                page.open(origin)
                mark = len(page.log)
                outcome = page.evaluate(
                    f"""fetch("{self.url}/pty", {{method: "POST", mode: "no-cors", credentials: "include",
                        body: new Blob(['{{"command":"/bin/sleep","args":["600"]}}'])}})
                        .then(r => r.type, e => String(e))"""
                )
                self.assertEqual(outcome, "opaque", "the request was made; its answer is hidden from the page")
                opened = page.evaluate(
                    f"""new Promise(done => {{
                        const socket = new WebSocket("ws://{self.gateway.address}/pty/{pty['id']}/connect");
                        socket.onopen = () => done(true);
                        socket.onerror = () => done(false);
                    }})"""
                )
                self.assertIs(opened, False)
                # The browser must have sent the login along, or this shows nothing. It tells that in its own time.
                if not any(sends_login(*entry) for entry in page.log[mark:]):
                    page.wait_event(sends_login, 20)
        self.assertEqual([entry["id"] for entry in self.direct.get_json("/pty")], before)
        self.assertNotIn(b"POST /pty ", self.relay.everything_sent())
        self.assertNotIn(f"{pty['id']}/connect".encode(), self.relay.everything_sent())
        # And the person's own page still works: nobody was logged out by it.
        page.open(self.url + "/")
        page.wait_until("document.body.innerText.includes('Projects')")


if __name__ == "__main__":
    case.main()
