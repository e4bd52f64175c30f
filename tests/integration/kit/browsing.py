"""Chromium in front of the gateway, and pages that are not ours."""

import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import case
from .chromium import Chromium
from .opencode import Unavailable
from .relay import Relay


class WithBrowser(case.WithOpencode):
    """One browser for the whole class; a relay between gateway and opencode remembers what was sent."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.browser = Chromium()
        except Unavailable as reason:
            cls.doClassCleanups()
            raise unittest.SkipTest(str(reason)) from None
        cls.addClassCleanup(cls.browser.close)
        cls.relay = Relay(cls.opencode.address)
        cls.addClassCleanup(cls.relay.close)
        cls.gateway = cls.start_gateway(upstream=cls.relay.address)
        cls.client = cls.gateway.client()
        cls.url = f"http://{cls.gateway.address}"

    def logged_in(self):
        page = self.browser.page(self.gateway.username, self.gateway.password)
        page.open(self.url + "/")
        page.wait_until("document.body && document.body.innerText.includes('Projects')")
        return page


class Page(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        body = b"<!doctype html><title>elsewhere</title><body>elsewhere</body>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Elsewhere:
    """A page of some other site. `addresses` are two: another port of the same host is another origin on the same
    site; another name is another site."""

    def __init__(self):
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        port = self._server.server_address[1]
        self.addresses = [f"http://127.0.0.1:{port}/", f"http://localhost:{port}/"]

    def close(self):
        self._server.shutdown()
        self._server.server_close()
