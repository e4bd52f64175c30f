#!/usr/bin/env python3
"""What pages that are not ours can do with a browser that knows the login: pages elsewhere, and files of a workspace.

opencode loads the configuration of whatever directory it is asked about and starts the programs that it names, and it
serves a workspace's files with their own types: an image on any page, or a link to a file, would be a shell.
"""

import base64
import json
import re
from urllib.parse import quote

from kit import case
from kit.browsing import Elsewhere, WithBrowser
from kit.wire import Client

# Ways in which a page makes a browser ask for URL, each over when the browser has its answer.
LOADS = {
    "an image": "const e = new Image(); e.onload = e.onerror = done; e.src = URL;",
    "a script": "const e = document.createElement('script'); e.onload = e.onerror = done; e.src = URL; put(e);",
    "a frame": "const e = document.createElement('iframe'); e.onload = done; e.src = URL; put(e);",
    "an object": "const e = document.createElement('object'); e.onload = e.onerror = done; e.data = URL; put(e);",
    "a style sheet": "const e = document.createElement('link'); e.rel = 'stylesheet'; e.onload = e.onerror = done;"
    " e.href = URL; put(e);",
    "a sound": "const e = new Audio(); e.onerror = e.oncanplay = done; e.src = URL;",
    "a script's request": "fetch(URL, {mode: 'no-cors', credentials: 'include'}).then(done, done);",
    "a script's request that would read": "fetch(URL, {credentials: 'include'}).then(done, done);",
    "a stream": "const e = new EventSource(URL, {withCredentials: true}); e.onopen = e.onerror = () => {"
    " e.close(); done(); };",
}


class HostilePage(WithBrowser):
    """A browser that knows the login, and pages that are not ours: elsewhere, and out of the workspace."""

    model_wanted = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.elsewhere = Elsewhere()
        cls.addClassCleanup(cls.elsewhere.close)

    def follow(self, page, url):
        """A link on this page: it takes the page, and what is evaluated in it, away."""
        page.evaluate(f"setTimeout(() => location.href = {json.dumps(url)}, 300)")
        page.wait_event(lambda method, _: method == "Page.loadEventFired")

    def refused(self):
        return self.gateway.metric("ocgate_auth_requests_total", result="cross_site")

    def trap(self, name):
        """A folder, as a download or a clone may make it, whose configuration starts a program; and its trace."""
        folder, trace = self.opencode.root / f"trap-{name}", self.opencode.root / f"trace-{name}"
        folder.mkdir()
        program = {"type": "local", "command": ["/bin/sh", "-c", f"touch {trace}; sleep 60"], "enabled": True}
        (folder / "opencode.json").write_text(json.dumps({"mcp": {"trap": program}}), encoding="utf-8")
        return f"/mcp?directory={quote(str(folder), safe='')}", trace

    def test_a_page_elsewhere_makes_the_server_start_nothing_by_reading(self):
        target, trace = self.trap("open")
        self.direct.get(target)
        self.assertTrue(trace.exists(), "reading alone starts what a folder's configuration names")

        page = self.logged_in()
        for site, origin in enumerate(self.elsewhere.addresses):
            page.open(origin)
            ways = list(LOADS.items())
            for number, (name, script) in enumerate(ways if site == 0 else ways[::3]):
                with self.subTest(name, origin=origin):
                    target, trace = self.trap(f"{site}-{number}")
                    before = self.refused()
                    script = script.replace("URL", json.dumps(self.url + target))
                    page.evaluate(f"new Promise(d => {{ const done = () => d(1); setTimeout(done, 20000);"
                                  f" const put = e => document.body.append(e); {script} }})")  # fmt: skip
                    self.assertGreater(self.refused(), before, "the browser asked")
                    self.assertFalse(trace.exists())
            # The interface itself asks for the folder in its path.
            folder, trace = self.opencode.root / f"trap-{site}-folder", self.opencode.root / f"trace-{site}-folder"
            self.trap(f"{site}-folder")
            slug = base64.urlsafe_b64encode(str(folder).encode()).decode().rstrip("=")
            self.follow(page, f"{self.url}/{slug}/session")
            page.wait_until("document.querySelector('h1')?.innerText === 'A link from another site'")
            self.assertFalse(trace.exists())
            # A window of its own would show what a person did not ask for.
            page.open(origin)
            target, trace = self.trap(f"{site}-window")
            self.follow(page, self.url + target)
            page.wait_until("document.body && document.body.innerText.includes('another site')")
            self.assertFalse(trace.exists())
        self.assertEqual(re.findall(rb"[A-Z]+ [^ ]*trap-[01][^ ]*", self.relay.everything_sent()), [])

        # A link leads to the interface all the same, in a window and not in a frame.
        for origin in self.elsewhere.addresses:
            page.open(origin)
            self.follow(page, self.url + "/")
            page.wait_until("document.title === 'OpenCode'")
            page.open(origin)
            before = self.refused()
            page.evaluate(f"const frame = document.createElement('iframe'); frame.src = {json.dumps(self.url + '/')};"
                          " frame.onload = () => document.title = 'framed'; document.body.append(frame)")  # fmt: skip
            page.wait_until("document.title === 'framed'")
            self.assertGreater(self.refused(), before)

    def test_a_file_of_the_workspace_is_no_page_of_ours(self):
        script = "document.title = 'it ran'; fetch('/pty', {method: 'POST', body: new Blob(['{}'])})"
        files = {
            "trap.html": f"<title>still</title><body>a page<script>{script}</script>",
            "trap.svg": f'<svg xmlns="http://www.w3.org/2000/svg"><title>still</title><script>{script}</script></svg>',
        }
        for name, text in files.items():
            (self.opencode.project / name).write_text(text, encoding="utf-8")
            target = f"/api/fs/read/{name}"
            direct = self.browser.page(self.opencode.username, self.opencode.password)
            direct.open(f"http://{self.opencode.address}{target}")
            direct.wait_until("document.title === 'it ran'")
            self.direct.get_json("/pty")
            page = self.logged_in()
            for way in (target, target.replace("/api", "/API/"), target.replace("read", "%72ead")):
                page.open(self.url + way)
                self.assertNotEqual(page.evaluate("document.title"), "it ran", way)
                answer = self.gateway.client().get(way)
                self.assertIn(answer.status, (200, 500), str(answer))  # it stumbles over what is coded
                self.assertEqual(answer.header("content-security-policy"), "sandbox")
                self.assertEqual(answer.header("x-content-type-options"), "nosniff")
        self.assertNotIn(b"POST /pty", self.relay.everything_sent())
        self.assertIsNone(self.gateway.client().get("/session").header("content-security-policy"))

    def test_nothing_is_kept_in_cookies(self):
        for target in ("/", "/session", "/_ocgate/status", "/no/such", "/site.webmanifest"):
            for client in (self.gateway.client(), Client(self.gateway.address)):
                self.assertEqual(client.get(target).headers("set-cookie"), [])


if __name__ == "__main__":
    case.main()
