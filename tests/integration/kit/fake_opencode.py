"""A stand-in for opencode as the gateway's tap sees it: GET /global/event, and lists that always agree with what the
events said. No model, no work: a test says what happens, and when the server is cut off, deaf or away.

What it says is what opencode 1.18.33 says (tests/recordings): every durable event a second time as `sync`, one event in
one chunk, idle twice after an error, entries of aborted turns that stay listed, nothing told for a moment after
`server.connected`.
"""

import itertools
import json
import queue
import secrets
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from .wire import Client, basic

HEARTBEAT = 10.0
_DURABLE = ("session.created", "session.updated", "session.deleted", "message.updated", "message.part.updated")


class _Session:
    def __init__(self, info):
        self.info = info
        self.status = {"type": "idle"}
        self.messages = []  # of the assistant, as `message.updated` has them

    @property
    def busy(self):
        return self.status["type"] != "idle"


class FakeOpencode:
    """`deaf` seconds after `server.connected` nothing is told to that stream, as in 1.18.33."""

    def __init__(self, username="opencode", password=None, deaf=0.05):
        self.username = username
        self.password = password or secrets.token_urlsafe(18)
        self.deaf = deaf
        self.clock_ahead = 0  # seconds
        self.streams_opened = 0
        self.requests = 0
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._sessions = {}
        self._pending = {}  # request id -> (kind, directory, the properties of its event)
        self._subscribers = []
        self._open = set()
        self._server = None
        self.port = 0
        self.up()

    # The server itself.

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def client(self, **kw):
        return Client(self.address, self.username, self.password, **kw)

    def up(self):
        """Listens, at the port it had before if there was one."""
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.fake = self
        self.port = self._server.server_address[1]
        arguments = {"poll_interval": 0.05}
        threading.Thread(target=self._server.serve_forever, kwargs=arguments, daemon=True).start()

    def down(self):
        """As after a crash: nothing listens, every connection is gone, nothing runs or waits any more."""
        server, self._server = self._server, None
        server.shutdown()
        server.server_close()
        self.forget()
        self.cut(everything=True)

    def forget(self):
        """What ran or waited in the process that has died."""
        with self._lock:
            self._pending.clear()
            for session in self._sessions.values():
                session.status = {"type": "idle"}

    def close(self):
        if self._server:
            self.down()

    def cut(self, everything=False):
        """Ends the event streams in the middle (`everything`: all other connections, too)."""
        with self._lock:
            ended = list(self._open) if everything else [s.connection for s in self._subscribers]
            for subscriber in self._subscribers:
                subscriber.events.put(None)
            self._subscribers.clear()
        for connection in ended:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def wait_subscribed(self, count=1, timeout=30):
        """Until so many streams hear what is told, those not counted whose other end is gone."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with self._lock:
                if sum(_is_open(subscriber.connection) for subscriber in self._subscribers) >= count:
                    return
            time.sleep(0.01)
        raise AssertionError(f"fewer than {count} subscribers within {timeout} s")

    # What happens. Each tells its events.

    def open_session(self, title, directory="/workspaces/project", parent=None):
        with self._lock:
            made = f"ses_{next(self._numbers):026d}"
            at = self._now_ms()
            info = {
                "id": made, "slug": "a-slug", "projectID": "project", "directory": directory, "path": "",
                "title": title, "agent": "build", "version": "1.18.33", "cost": 0,
                "time": {"created": at, "updated": at},
                **({"parentID": parent} if parent else {}),
            }  # fmt: skip
            self._sessions[made] = _Session(info)
            self._tell("session.created", {"sessionID": made, "info": info}, directory)
            return made

    def begin_turn(self, session):
        """Busy, with a step of the model under way."""
        with self._lock:
            self._set_status(session, {"type": "busy"})
            self._add_step(session)

    def keep_running(self, session):
        """What a running turn says again and again."""
        with self._lock:
            one = self._sessions[session]
            if one.busy and one.messages:
                self._tell_delta(one)
                self._set_status(session, one.status)

    def ask_permission(self, session, command, kind="bash"):
        with self._lock:
            one = self._sessions[session]
            asked = {
                "id": f"per_{next(self._numbers):026d}", "sessionID": session, "permission": kind,
                "patterns": [command], "metadata": {"command": command}, "always": [command.split(" ")[0] + " *"],
                "tool": {"messageID": one.messages[-1]["id"], "callID": "call_1"},
            }  # fmt: skip
            return self._ask("permission", one, asked)

    def ask_question(self, session, text, options=("Yes", "No")):
        with self._lock:
            one = self._sessions[session]
            question = {
                "question": text, "header": "Choice",
                "options": [{"label": label, "description": label.lower()} for label in options],
            }  # fmt: skip
            asked = {
                "id": f"que_{next(self._numbers):026d}", "sessionID": session, "questions": [question],
                "tool": {"messageID": one.messages[-1]["id"], "callID": "call_1"},
            }  # fmt: skip
            return self._ask("question", one, asked)

    def answer(self, request, reply=None):
        """As by POST: `reply` of a permission is once, always or reject; of a question the answers, None: rejected.
        False when nobody waits for it."""
        with self._lock:
            waiting = self._pending.pop(request, None)
            if not waiting:
                return False
            kind, directory, asked = waiting
            session = asked["sessionID"]
            told = {"sessionID": session, "requestID": request}
            if kind == "permission":
                self._tell("permission.replied", {**told, "reply": reply or "once"}, directory)
            elif reply is None:
                self._tell("question.rejected", told, directory)
            else:
                self._tell("question.replied", {**told, "answers": reply}, directory)
            one = self._sessions[session]
            if one.busy and not self.waiting(session):  # the step that waited is over, and the model goes on
                self._end_step(one, finish="tool-calls")
                self._add_step(session)
            return True

    def complete(self, session):
        with self._lock:
            one = self._sessions[session]
            self._end_step(one, finish="stop")
            self._go_idle(session)

    def fail(self, session, text, name="APIError", status=500):
        with self._lock:
            one = self._sessions[session]
            error = {"name": name, "data": {"message": text, "statusCode": status, "isRetryable": False}}
            self._tell("session.error", {"sessionID": session, "error": error}, one.info["directory"])
            self._end_step(one, error=error)
            self._go_idle(session)
            self._tell_idle(session)

    def abort(self, session):
        """What was asked stays listed, and is never said to be over."""
        with self._lock:
            one = self._sessions[session]
            if one.busy:
                error = {"name": "MessageAbortedError", "data": {"message": "Aborted"}}
                self._tell("session.error", {"sessionID": session, "error": error}, one.info["directory"])
                self._end_step(one, error=error)
            self._go_idle(session)
            self._tell_idle(session)

    def waiting(self, session=None):
        """Requests that wait for an answer; those of one session and its subagents."""
        with self._lock:
            asked = {request: asked["sessionID"] for request, (_, _, asked) in self._pending.items()}
            return [
                request for request, by in asked.items()
                if self._runs(by) and session in (None, by, self.parent_of(by))
            ]  # fmt: skip

    def parent_of(self, session):
        with self._lock:
            return self._sessions[session].info.get("parentID")

    def is_running(self, session):
        with self._lock:
            return self._runs(session)

    def ended_steps(self):
        """How many of the model's steps are over: each has cost a cent."""
        with self._lock:
            steps = [step for session in self._sessions.values() for step in session.messages]
            return sum("completed" in step["time"] for step in steps)

    def told_event(self, text="word ", session="ses_flood", directory="/workspaces/flood"):
        """The bytes of one more event of the most frequent kind, framed: for floods."""
        properties = {
            "sessionID": session, "messageID": "msg_flood", "partID": "prt_flood", "field": "text", "delta": text,
        }  # fmt: skip
        return _framed(self._envelope("message.part.delta", properties, directory))

    def pour(self, framed):
        """Bytes made by `told_event`, as they are, to every stream."""
        with self._lock:
            for subscriber in self._subscribers:
                subscriber.events.put(framed)

    # What is said. Under the lock.

    def _now_ms(self):
        return int((time.time() + self.clock_ahead) * 1000)

    def _runs(self, session):
        one = self._sessions.get(session)
        return bool(one) and one.busy

    def _envelope(self, kind, properties, directory):
        payload = {"id": f"evt_{next(self._numbers):022d}", "type": kind, "properties": properties}
        return {"directory": directory, "project": "project", "payload": payload}

    def _tell(self, kind, properties, directory):
        events = [self._envelope(kind, properties, directory)]
        if kind in _DURABLE:
            payload = events[0]["payload"]
            copy = {"id": payload["id"], "type": kind + ".1", "seq": 1, "aggregateID": "x", "data": properties}
            sync = {"type": "sync", "syncEvent": copy, "id": payload["id"]}
            events.append({"directory": directory, "project": "project", "payload": sync})
        for event in events:
            self.pour(_framed(event))

    def _set_status(self, session, status):
        one = self._sessions[session]
        one.status = status
        self._tell("session.status", {"sessionID": session, "status": status}, one.info["directory"])

    def _go_idle(self, session):
        self._set_status(session, {"type": "idle"})
        self._tell_idle(session)

    def _tell_idle(self, session):
        self._tell("session.idle", {"sessionID": session}, self._sessions[session].info["directory"])

    def _ask(self, kind, one, asked):
        self._pending[asked["id"]] = (kind, one.info["directory"], asked)
        self._tell(f"{kind}.asked", asked, one.info["directory"])
        return asked["id"]

    def _add_step(self, session):
        one = self._sessions[session]
        one.messages.append({
            "id": f"msg_{next(self._numbers):026d}", "sessionID": session, "role": "assistant", "mode": "build",
            "agent": "build", "cost": 0.01, "modelID": "fake-1", "providerID": "fake",
            "tokens": {"input": 10, "output": 5, "reasoning": 0, "cache": {"read": 0, "write": 0}},
            "time": {"created": self._now_ms()},
        })  # fmt: skip
        self._tell_step(one)

    def _end_step(self, one, finish=None, error=None):
        if not one.messages:
            return
        step = one.messages[-1]
        step["time"]["completed"] = self._now_ms()
        step.update({"finish": finish} if finish else {"error": error})
        self._tell_step(one)

    def _tell_step(self, one):
        step = one.messages[-1]
        self._tell("message.updated", {"sessionID": step["sessionID"], "info": step}, one.info["directory"])

    def _tell_delta(self, one):
        step = one.messages[-1]
        properties = {
            "sessionID": step["sessionID"], "messageID": step["id"], "partID": "prt_1", "field": "text", "delta": "so ",
        }  # fmt: skip
        self._tell("message.part.delta", properties, one.info["directory"])

    # What is asked.

    def _answer(self, method, target):
        """(status, what to say as JSON)."""
        parts = urlsplit(target)
        path = [unquote(part) for part in parts.path.split("/") if part]
        directory = parse_qs(parts.query).get("directory", ["/workspaces/project"])[0]
        with self._lock:
            self.requests += 1
            if path == ["global", "health"]:
                return 200, {"healthy": True, "version": "1.18.33"}
            if path in (["permission"], ["question"]):
                waiting = self._pending.values()
                return 200, [asked for kind, where, asked in waiting if kind == path[0] and where == directory]
            if path == ["session", "status"]:
                running = [s for s in self._sessions.values() if s.busy and s.info["directory"] == directory]
                return 200, {s.info["id"]: s.status for s in running}
            if path == ["session"]:
                return 200, [s.info for s in self._sessions.values()][-20:]
            if path == ["experimental", "session"]:
                return 200, self._recent(parse_qs(parts.query))
            if path[:1] == ["session"] and path[1:2] and path[1] in self._sessions:
                return self._answer_of_session(method, self._sessions[path[1]], path[2:])
        return 404, {"name": "NotFoundError", "data": {"message": "not found"}}

    def _recent(self, query):
        """Of all projects, newest first."""
        since, limit = (int(query.get(name, [otherwise])[0]) for name, otherwise in (("start", 0), ("limit", 100)))
        found = [s.info for s in self._sessions.values() if s.info["time"]["updated"] >= since]
        return sorted(found, key=lambda info: -info["time"]["updated"])[:limit]

    @staticmethod
    def _answer_of_session(method, one, rest):
        if not rest and method == "GET":
            return 200, one.info
        if rest == ["message"] and method == "GET":
            return 200, [{"info": message, "parts": []} for message in one.messages[-2:]]
        return 404, {"name": "NotFoundError", "data": {"message": "not found"}}

    def _post(self, target, body):
        path = [unquote(part) for part in urlsplit(target).path.split("/") if part]
        try:
            given = json.loads(body or b"{}")
        except ValueError:
            return 400, {"name": "BadRequest", "data": {"message": "no JSON"}}
        done = None
        if path[:1] == ["permission"] and path[2:] == ["reply"]:
            done = self.answer(path[1], given.get("reply"))
        elif path[:1] == ["session"] and path[2:3] == ["permissions"] and len(path) == 4:
            done = self.answer(path[3], given.get("response"))
        elif path[:1] == ["question"] and path[2:] == ["reply"]:
            done = self.answer(path[1], given.get("answers", []))
        elif path[:1] == ["question"] and path[2:] == ["reject"]:
            done = self.answer(path[1])
        elif path[:1] == ["session"] and path[2:] == ["abort"] and path[1] in self._sessions:
            self.abort(path[1])
            done = True
        return (200, True) if done else (404, {"name": "NotFoundError", "data": {"message": "not found"}})


def _is_open(connection):
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _framed(event):
    data = b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


class _Subscriber:
    def __init__(self, connection):
        self.connection = connection
        self.events = queue.SimpleQueue()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # connections that end in the middle are what this is about


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.server.fake._open.add(self.connection)

    def finish(self):
        self.server.fake._open.discard(self.connection)
        super().finish()

    def log_message(self, *_):
        pass

    def _admitted(self):
        fake = self.server.fake
        if self.headers.get("Authorization") == basic(fake.username, fake.password):
            return True
        self._say(401, None)
        return False

    def _say(self, status, value):
        content = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        if not self._admitted():
            return
        if urlsplit(self.path).path == "/global/event":
            self._stream()
        else:
            self._say(*self.server.fake._answer("GET", self.path))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self._admitted():
            self._say(*self.server.fake._post(self.path, body))

    def _stream(self):
        fake = self.server.fake
        self.close_connection = True
        subscriber = _Subscriber(self.connection)
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache, no-transform\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
        )
        connected = {"payload": {"id": "evt_0", "type": "server.connected", "properties": {}}}
        self.connection.sendall(head.encode() + _framed(connected))
        time.sleep(fake.deaf)
        with fake._lock:
            fake.streams_opened += 1
            fake._subscribers.append(subscriber)
        heartbeat = _framed({"payload": {"id": "evt_0", "type": "server.heartbeat", "properties": {}}})
        try:
            while True:
                try:
                    framed = subscriber.events.get(timeout=HEARTBEAT)
                except queue.Empty:
                    framed = heartbeat
                if framed is None:
                    return
                self.connection.sendall(framed)
        except OSError:
            pass
        finally:
            with fake._lock:
                if subscriber in fake._subscribers:
                    fake._subscribers.remove(subscriber)
