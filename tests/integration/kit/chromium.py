"""Headless Chromium, driven over its remote debugging pipe (Chrome DevTools Protocol, NUL-separated JSON)."""

import base64
import fcntl
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time

from .opencode import Unavailable
from .process import die_with_parent


class Chromium:
    """One browser with a profile of its own, which close() removes again."""

    def __init__(self):
        binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if not binary:
            raise Unavailable("chromium is not installed")
        self.profile = tempfile.mkdtemp(prefix="ocgate-test-chromium-")
        # Where third-party cookies are blocked, Basic credentials are not sent cross-site either. Here they are
        # allowed, as in Chrome's own defaults: the tests need the dangerous browser.
        preferences = os.path.join(self.profile, "Default")
        os.mkdir(preferences)
        with open(os.path.join(preferences, "Preferences"), "w", encoding="utf-8") as file:
            json.dump({"profile": {"cookie_controls_mode": 0, "block_third_party_cookies": False}}, file)
        # The browser reads commands on descriptor 3 and answers on 4; a shell puts them there. Out of the way first:
        # a pipe end that happens to be 3 or 4 already would be overwritten.
        command_out, self._commands = os.pipe()
        self._answers, answer_in = os.pipe()
        child_ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (command_out, answer_in)]
        self._process = subprocess.Popen(
            ["bash", "-c", 'exec 3<&"$1" 4>&"$2"; shift 2; exec "$@"', "sh", *map(str, child_ends), binary,
             "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--disable-extensions", "--no-proxy-server", "--window-size=1280,900", "--remote-debugging-pipe",
             f"--user-data-dir={self.profile}", "about:blank"],
            pass_fds=child_ends, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_parent,
            env={"PATH": os.environ["PATH"], "HOME": self.profile, "LANG": "C.UTF-8"},
        )  # fmt: skip
        for end in (command_out, answer_in, *child_ends):
            os.close(end)
        self._next_id = 0
        self._lock = threading.Lock()
        self._waiting = {}
        self.events = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        rest = b""
        try:
            while data := os.read(self._answers, 1 << 20):
                rest += data
                *messages, rest = rest.split(b"\0")
                for message in map(json.loads, messages):
                    if "id" in message:
                        with self._lock:
                            self._waiting.pop(message["id"]).put(message)
                    else:
                        self.events.put(message)
        except OSError:
            pass
        with self._lock:
            for waiting in self._waiting.values():
                waiting.put({"error": "chromium ended"})

    def send(self, method, session=None, **parameters):
        """A command without waiting for its answer, which arrives in the returned queue."""
        answer = queue.SimpleQueue()
        with self._lock:
            self._next_id += 1
            message = {"id": self._next_id, "method": method, "params": parameters}
            if session:
                message["sessionId"] = session
            self._waiting[self._next_id] = answer
            data = json.dumps(message).encode() + b"\0"
            while data:
                data = data[os.write(self._commands, data) :]
        return answer

    def call(self, method, session=None, timeout=60, **parameters):
        answer = self.send(method, session, **parameters).get(timeout=timeout)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def page(self, username=None, password=None):
        return Page(self, username, password)

    def close(self):
        try:
            self.call("Browser.close", timeout=20)
            self._process.wait(20)
        except Exception:  # it may already be gone; the kill below settles it
            pass
        if self._process.poll() is None:
            os.killpg(self._process.pid, 9)
            self._process.wait(10)
        os.close(self._commands)
        shutil.rmtree(self.profile, ignore_errors=True)


class Page:
    """One tab. Basic credentials are given when the server asks, as a person would in the dialog."""

    def __init__(self, browser, username, password):
        self._browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._credentials = (username, password)
        self.login_dialogs = 0
        self.log = []  # (method, params) of events seen while waiting
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        if username is not None:
            self.call("Fetch.enable", handleAuthRequests=True, patterns=[{"urlPattern": "*"}])

    def call(self, method, **parameters):
        """A command's result. Paused requests are let go meanwhile, or the answer might never come."""
        answer = self._browser.send(method, self._session, **parameters)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                result = answer.get(timeout=0.01)
            except queue.Empty:
                self._take_event(0.01)
                continue
            if "error" in result:
                raise AssertionError(f"{method}: {result['error']}")
            return result["result"]
        raise AssertionError(f"{method} was not answered")

    def _take_event(self, timeout):
        try:
            event = self._browser.events.get(timeout=timeout)
        except queue.Empty:
            return None
        if event.get("sessionId") != self._session:
            return None
        method, params = event["method"], event["params"]
        if method == "Fetch.requestPaused":
            self._browser.send("Fetch.continueRequest", self._session, requestId=params["requestId"])
        elif method == "Fetch.authRequired":
            self.login_dialogs += 1
            username, password = self._credentials
            reply = {"response": "ProvideCredentials", "username": username, "password": password}
            if self.login_dialogs > 3:
                reply = {"response": "CancelAuth"}
            self._browser.send(
                "Fetch.continueWithAuth", self._session, requestId=params["requestId"], authChallengeResponse=reply
            )
        else:
            self.log.append((method, params))
        return method, params

    def wait_event(self, wanted, timeout=60):
        """params of the first event from now on for which wanted(method, params) holds."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            event = self._take_event(left)
            if event and wanted(*event):
                return event[1]
        raise AssertionError(f"the page did not do it; last events: {[m for m, _ in self.log[-30:]]}")

    def open(self, url):
        """Goes there and waits for the load event. From the first page on, the browser knows the credentials itself."""
        self.call("Page.navigate", url=url)
        self.wait_event(lambda method, _: method == "Page.loadEventFired")
        self.call("Fetch.disable")

    def evaluate(self, expression, timeout_ms=60000):
        """The value of a JavaScript expression; a promise is awaited."""
        result = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, timeout=timeout_ms
        )
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait_until(self, expression, timeout=60):
        """Until the JavaScript expression is truthy, tried at every animation frame inside the page. Its value."""
        script = f"""new Promise((done, fail) => {{
            const end = Date.now() + {int(timeout * 1000)};
            const look = () => {{
                const value = (() => {{ return {expression}; }})();
                if (value) return done(value);
                if (Date.now() > end) return fail(new Error("not within {timeout} s"));
                setTimeout(look, 50);
            }};
            look();
        }})"""
        return self.evaluate(script)

    def type(self, text):
        for character in text:
            self.key(character, text=character)

    def key(self, key, code=None, number=0, modifiers=0, text=None):
        for kind in ("keyDown", "keyUp"):
            fields = {"type": kind, "key": key, "windowsVirtualKeyCode": number, "modifiers": modifiers}
            if code:
                fields["code"] = code
            if text and kind == "keyDown":
                fields["text"] = text
            self.call("Input.dispatchKeyEvent", **fields)

    def click(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
