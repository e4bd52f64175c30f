"""A model provider that says what the test tells it to: streaming /v1/chat/completions as OpenAI describes it.

Steps are taken in order, one for each model request that offers tools. Requests without tools (opencode asks for a
session title that way) are answered with a fixed title and take no step. Out of steps: a plain "done".
"""

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Say:
    """Streams the words; with `hold` set, then sends nothing more until release() or until opencode hangs up."""

    text: str
    hold: bool = False


@dataclass
class Call:
    """One tool call."""

    tool: str
    arguments: dict


@dataclass
class Fail:
    """An HTTP error with OpenAI's error body."""

    status: int
    message: str


@dataclass
class FakeModel:
    """Listens on a free loopback port until close(). `requests` holds the parsed bodies, in order of arrival."""

    requests: list = field(default_factory=list)

    def __post_init__(self):
        self._steps = deque()
        self._changed = threading.Condition()
        self._released = False
        self.hang_ups = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.model = self
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def script(self, *steps):
        """Replaces what is left of the script."""
        with self._changed:
            self._steps = deque(steps)
            self._released = False

    def release(self):
        """Lets held answers finish."""
        with self._changed:
            self._released = True
            self._changed.notify_all()

    def wait_hang_up(self, timeout):
        """Until opencode closed the connection of a held answer (an abort does that)."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.hang_ups > 0, timeout):
                raise AssertionError(f"no model request was given up within {timeout} s")
            self.hang_ups = 0

    def close(self):
        self.release()
        self._server.shutdown()
        self._server.server_close()

    def _take(self, body):
        with self._changed:
            self.requests.append(body)
            if not body.get("tools"):
                return Say("A title")
            return self._steps.popleft() if self._steps else Say("done")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # opencode hanging up on an aborted turn is the test's business, not an error


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        step = self.server.model._take(body)
        if isinstance(step, Fail):
            payload = json.dumps({"error": {"message": step.message, "type": "invalid_request_error"}}).encode()
            self.send_response(step.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if isinstance(step, Call):
            call = {
                "index": 0,
                "id": f"call_{len(self.server.model.requests)}",
                "type": "function",
                "function": {"name": step.tool, "arguments": json.dumps(step.arguments)},
            }
            self._delta({"role": "assistant", "tool_calls": [call]})
            self._finish("tool_calls")
            return
        for word in step.text.split(" "):
            self._delta({"role": "assistant", "content": word + " "})
        if not step.hold or self._released_before_hang_up():
            self._finish("stop")

    def _released_before_hang_up(self):
        model = self.server.model
        gone = threading.Event()

        def watch():
            try:
                self.connection.recv(1)
            except OSError:
                pass
            gone.set()
            with model._changed:
                model._changed.notify_all()

        threading.Thread(target=watch, daemon=True).start()
        with model._changed:
            model._changed.wait_for(lambda: model._released or gone.is_set())
            if not gone.is_set():
                return True
            model.hang_ups += 1
            model._changed.notify_all()
            return False

    def _event(self, choice, **more):
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "fake-1", **more}
        chunk["choices"] = [choice] if choice else []
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.flush()

    def _delta(self, delta):
        self._event({"index": 0, "delta": delta, "finish_reason": None})

    def _finish(self, reason):
        self._event({"index": 0, "delta": {}, "finish_reason": reason})
        self._event(None, usage={"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050})
        self.wfile.write(b"data: [DONE]\n\n")
