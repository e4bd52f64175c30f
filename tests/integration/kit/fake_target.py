"""What the stand-ins for notification targets share: a server on a port of the kernel's choosing that writes down every
request, and faults that a test puts in its way. Answers are made one at a time, so a stand-in needs no locks of its
own.
"""

import collections
import json
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Request:
    method: str
    target: str
    headers: dict  # names in lower case
    body: bytes
    at: float = field(default_factory=time.monotonic)
    fault: object = None  # what was in its way

    @property
    def path(self):
        return urlsplit(self.target).path

    @property
    def query(self):
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    def json(self):
        """The content as JSON; ValueError when it is none."""
        return json.loads(self.body.decode("utf-8"))


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict = field(default_factory=dict)

    @classmethod
    def of(cls, status, value, headers=None):
        body = json.dumps(value, ensure_ascii=False).encode()
        return cls(status, body, {"Content-Type": "application/json", **(headers or {})})


@dataclass
class Fault:
    """Put in the way of the next `times` requests (-1: all) that `when` takes."""

    answer: Answer = None  # instead of the target's own; the target does not see the request
    stall: bool = False  # not answered before it is let go, and otherwise never
    let_go: bool = False
    cut: bool = False  # the connection is closed in place of an answer
    applied: bool = False  # the target has done what was asked before it stalls or cuts
    times: int = 1
    when: object = staticmethod(lambda request: True)


class FakeTarget:
    max_body_bytes = 1 << 20

    def __init__(self):
        self.requests = []
        self.weather = None  # called with each request that meets no other fault; gives a Fault, or None
        self._faults = collections.deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._open = set()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                fake._open.add(self.connection)

            def finish(self):
                fake._open.discard(self.connection)
                super().finish()

            def log_message(self, *_):
                pass

            def __getattr__(self, name):
                if name.startswith("do_"):
                    return self._serve
                raise AttributeError(name)

            def _serve(self):
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, self.path, headers, self._body())
                answer = fake._take(request)
                if answer is None:
                    self.close_connection = True
                    try:
                        self.connection.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.status != 204:
                    self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                if self.command != "HEAD" and answer.status != 204:
                    self.wfile.write(answer.body)

            def _body(self):
                if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                    body = b""
                    while size := int(self.rfile.readline().split(b";")[0], 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                    return body
                return self.rfile.read(min(int(self.headers.get("Content-Length") or 0), fake.max_body_bytes))

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

            def handle_error(self, request, client_address):
                pass  # a client that went away is what many tests are about

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self):
        with self._changed:
            self._closing.set()
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # What a test does.

    def put_in_the_way(self, fault):
        with self._changed:
            self._faults.append(fault)

    def answer_with(self, status, body=b"", headers=None, times=1, when=None):
        """Bytes as they are, anything else as JSON."""
        answer = Answer(status, body, headers or {}) if isinstance(body, bytes) else Answer.of(status, body, headers)
        self.put_in_the_way(Fault(answer=answer, times=times, **({"when": when} if when else {})))

    def html(self, status=502, headers=None, times=1):
        page = b"<html><head><title>Bad gateway</title></head><body>cloud</body></html>"
        self.answer_with(status, page, {"Content-Type": "text/html", **(headers or {})}, times)

    def stall(self, times=1, applied=False):
        self.put_in_the_way(Fault(stall=True, times=times, applied=applied))

    def let_go(self):
        """What stalls is answered, and stalls no more."""
        with self._changed:
            for request in self.requests:
                if request.fault and request.fault.stall:
                    request.fault.let_go = True
            self._faults = collections.deque(fault for fault in self._faults if not fault.stall)
            self._changed.notify_all()

    def cut(self, times=1, applied=True):
        """The request is read, and done (`applied`) or not; the connection ends without an answer."""
        self.put_in_the_way(Fault(cut=True, times=times, applied=applied))

    def clear_faults(self):
        with self._changed:
            self._faults.clear()

    def wait_for(self, wanted, timeout=20):
        """Until `wanted()` gives something true, looked at after each request; that is returned."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not (found := wanted()):
                left = deadline - time.monotonic()
                if left <= 0:
                    asked = "\n".join(f"  {r.method} {r.path}" for r in self.requests[-20:])
                    seen = f"{len(self.requests)} requests, the last ones:\n{asked}"
                    raise AssertionError(f"not within {timeout} s; {seen}")
                self._changed.wait(left)
            return found

    # What happens to a request.

    def _take(self, request):
        with self._changed:
            self.requests.append(request)
            fault = request.fault = self._next_fault(request)
            answer = fault.answer if fault else None
            if not fault or fault.applied:
                answer = self.answer(request)
            self._changed.notify_all()
            if fault and fault.stall:
                self._changed.wait_for(lambda: fault.let_go or self._closing.is_set())
                if not fault.let_go:
                    return None
                if not fault.applied:
                    answer = self.answer(request)
                self._changed.notify_all()
                return answer
        return None if fault and fault.cut else answer

    def _next_fault(self, request):
        for fault in self._faults:
            if fault.when(request):
                fault.times -= 1
                if fault.times == 0:
                    self._faults.remove(fault)
                return fault
        return self.weather(request) if self.weather else None

    def answer(self, request):
        raise NotImplementedError
