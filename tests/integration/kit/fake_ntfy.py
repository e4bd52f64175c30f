"""A stand-in for an ntfy server that is as strict as the real one (2.27; `old=True`: 2.11): fields, patterns, sizes,
credentials, request bucket, daily quota, decoding of RFC 2047 words, sequences. Nothing is ever taken out of its cache.
"""

import base64
import binascii
import itertools
import json
import quopri
import re
import time
from dataclasses import dataclass

from .fake_target import Answer, FakeTarget

_NAME = re.compile(r"^[-_A-Za-z0-9]{1,64}$")
_NOT_TOPICS = {"docs", "static", "file", "app", "metrics", "account", "settings", "signup", "login", "v1"}
_WORD = re.compile(r"=\?([A-Za-z0-9_-]+)\?([QqBb])\?([^?]*)\?=")
_TYPES = {
    "topic": str, "message": str, "title": str, "priority": int, "tags": list, "click": str, "icon": str, "attach": str,
    "filename": str, "actions": list, "markdown": bool, "delay": str, "sequence_id": str, "cache": str, "firebase": str,
    "email": str, "call": str,
}  # fmt: skip
_MESSAGE_LIMIT = 4096
_LOGIN_FAILURES = 30


@dataclass
class Refused(Exception):
    status: int
    code: int
    error: str

    def answer(self):
        link = "https://ntfy.sh/docs/publish"
        return Answer.of(self.status, {"code": self.code, "http": self.status, "error": self.error, "link": link})


def decoded(text):
    """RFC 2047 words replaced by what they stand for, as Go's mime.WordDecoder does it."""

    def word(match):
        charset, coding, inside = match.groups()
        try:
            if coding in "Bb":
                raw = base64.b64decode(inside, validate=True)
            else:
                raw = quopri.decodestring(inside.replace("_", " ").encode())
            return raw.decode(charset)
        except (binascii.Error, LookupError, UnicodeDecodeError):
            return match.group(0)

    return _WORD.sub(word, text)


class FakeNtfy(FakeTarget):
    """`tokens` and `passwords` may do everything. `everyone`: what others may: "rw", "ro", "wo" or "none"."""

    max_body_bytes = 1 << 16

    def __init__(self, tokens=(), passwords=None, everyone="rw", burst=60, replenish=5.0, daily=None, old=False):
        self.tokens = set(tokens)
        self.passwords = dict(passwords or {})
        self.everyone = everyone
        self.old = old
        self.cache = []  # everything that was ever published, cleared or deleted
        self.daily_left = daily
        self._replenish = replenish
        self._burst = burst
        self._bucket = (float(burst), time.monotonic())
        self._login_failures = 0
        self._ids = itertools.count(1)
        super().__init__()

    # What a test looks at.

    def published(self, topic=None):
        return [m for m in self.cache if m["event"] == "message" and topic in (None, m["topic"])]

    def shown(self, topic):
        """What a phone shows: the last message of each sequence that was not taken away after it."""
        shown = {}
        for message in self.cache:
            if message["topic"] != topic:
                continue
            sequence = message.get("sequence_id", message["id"])
            shown.pop(sequence, None)
            if message["event"] == "message":
                shown[sequence] = message
        return list(shown.values())

    # The server.

    def answer(self, request):
        try:
            return self._answer(request)
        except Refused as refused:
            return refused.answer()

    def _answer(self, request):
        if request.path == "/v1/health" and request.method == "GET":
            return Answer.of(200, {"healthy": True})
        known = self._authenticate(request)
        parts = [part for part in request.path.split("/") if part]
        if not parts and request.method in ("POST", "PUT"):
            fields = self._fields_of_json(request)
            return self._publish(fields["topic"], fields, known)
        if not parts or not _NAME.match(parts[0]) or parts[0] in _NOT_TOPICS:
            raise Refused(404, 40401, "page not found")
        topic, rest = parts[0], parts[1:]
        if request.method in ("POST", "PUT") and not rest:
            return self._publish(topic, self._fields_of_headers(request), known)
        if request.method == "GET" and rest == ["json"]:
            return self._poll(topic, request.query, known)
        if not self.old and rest and _NAME.match(rest[0]):
            if rest[1:] in (["clear"], ["read"]) and request.method in ("PUT", "GET"):
                return self._mark(topic, rest[0], "message_clear", known)
            if (rest[1:], request.method) in (([], "DELETE"), (["delete"], "GET")):
                return self._mark(topic, rest[0], "message_delete", known)
            if not rest[1:] and request.method in ("POST", "PUT"):
                fields = self._fields_of_headers(request)
                return self._publish(topic, {**fields, "sequence_id": rest[0]}, known)
        raise Refused(404, 40401, "page not found")

    def _authenticate(self, request):
        """True for credentials that are right, False for none."""
        given = request.headers.get("authorization", "")
        if not given and "auth" in request.query:
            coded = request.query["auth"]
            given = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
        if not given:
            return False
        if self._login_failures >= _LOGIN_FAILURES:
            raise Refused(429, 42909, "limit reached: too many auth failures")
        scheme, _, value = given.partition(" ")
        right = False
        if scheme.lower() == "bearer":
            right = value.strip() in self.tokens
        elif scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
                right = password in self.tokens if not user else self.passwords.get(user) == password
            except (binascii.Error, UnicodeDecodeError):
                right = False
        if not right:
            self._login_failures += 1
            raise Refused(401, 40101, "unauthorized")
        return True

    def _take_request(self):
        left, at = self._bucket
        now = time.monotonic()
        left = min(self._burst, left + (now - at) / self._replenish)
        if left < 1:
            self._bucket = (left, now)
            raise Refused(429, 42901, "limit reached: too many requests")
        self._bucket = (left - 1, now)

    def _admit(self, known, letter):
        self._take_request()
        if not known and letter not in self.everyone:
            raise Refused(403, 40301, "forbidden")

    def _take_message(self):
        if self.daily_left is not None:
            if self.daily_left <= 0:
                raise Refused(429, 42908, "limit reached: daily message quota reached")
            self.daily_left -= 1

    def _fields_of_json(self, request):
        if len(request.body) > 2 * _MESSAGE_LIMIT:
            raise Refused(413, 41303, "JSON body too large")
        try:
            fields = request.json()
        except ValueError:
            fields = None
        known = _TYPES.keys() & fields.keys() if isinstance(fields, dict) else ()
        if not isinstance(fields, dict) or any(not self._is(fields[name], _TYPES[name]) for name in known):
            raise Refused(400, 40024, "invalid request: request body must be valid JSON")
        if not _NAME.match(fields.get("topic", "")):
            raise Refused(400, 40009, "invalid request: topic invalid")
        if fields["topic"] in _NOT_TOPICS:
            raise Refused(400, 40010, "invalid request: topic name is not allowed")
        # The server makes headers of the fields and reads those; all but the message are decoded there.
        for name in ("title", "click", "icon", "attach", "filename", "delay", "sequence_id"):
            if name in fields:
                fields[name] = decoded(fields[name])
        if "tags" in fields:
            joined = decoded(",".join(fields["tags"]))
            fields["tags"] = [tag.strip() for tag in joined.split(",") if tag.strip()]
        if "actions" in fields:
            try:
                fields["actions"] = json.loads(decoded(json.dumps(fields["actions"], ensure_ascii=False)))
            except ValueError:
                raise Refused(400, 40018, "invalid request: actions invalid; not JSON") from None
        return fields

    @staticmethod
    def _is(value, kind):
        if kind is list:
            return isinstance(value, list)
        return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))

    @staticmethod
    def _fields_of_headers(request):
        fields = {"message": request.body.decode("utf-8", "replace")}
        for name in ("title", "click", "icon", "attach", "filename", "delay"):
            if value := request.headers.get(name) or request.headers.get("x-" + name):
                fields[name] = decoded(value)
        if priority := request.headers.get("priority") or request.headers.get("x-priority"):
            fields["priority"] = int(priority) if priority.isdigit() else 0
        if tags := request.headers.get("tags") or request.headers.get("x-tags"):
            fields["tags"] = [tag.strip() for tag in decoded(tags).split(",")]
        return fields

    def _publish(self, topic, fields, known):
        self._admit(known, "w")
        if not 0 <= fields.get("priority", 3) <= 5:
            raise Refused(400, 40007, "invalid request: priority invalid")
        for name, code in (("icon", 40021), ("attach", 40013)):
            if fields.get(name) and not re.match(r"^https?://", fields[name]):
                raise Refused(400, code, f"invalid request: {name} URL is invalid")
        if not self.old:
            if len(fields.get("title", "").encode()) > 1024:
                raise Refused(400, 40057, "invalid request: title too long")
            if len(",".join(fields.get("tags", [])).encode()) > 512:
                raise Refused(400, 40058, "invalid request: tags too long")
            if "sequence_id" in fields and not _NAME.match(fields["sequence_id"]):
                raise Refused(400, 40049, "invalid request: sequence ID invalid")
        self._check_delay(fields.get("delay"))
        for action in self._checked_actions(fields.get("actions", [])):
            action.setdefault("clear", False)
        text = fields.get("message", "").replace("\0", "").strip()
        if len(text.encode()) >= _MESSAGE_LIMIT:
            raise Refused(400, 40014, "invalid request: attachments not allowed")
        self._take_message()
        sequence = None if self.old else fields.get("sequence_id")
        shown = ("title", "priority", "tags", "click", "icon", "actions")
        kept = {name: fields[name] for name in shown if fields.get(name)}
        return self._add(topic, "message", sequence, message=text or "triggered", **kept)

    def _mark(self, topic, sequence, event, known):
        self._admit(known, "w")
        self._take_message()
        return self._add(topic, event, sequence)

    def _add(self, topic, event, sequence, **more):
        now = int(time.time())
        made = f"fake{next(self._ids):08d}"
        message = {"id": made, "time": now, "expires": now + 43200, "event": event, "topic": topic}
        if sequence and sequence != message["id"]:
            message["sequence_id"] = sequence
        message.update(more)
        self.cache.append(message)
        return Answer.of(200, message)

    @staticmethod
    def _check_delay(delay):
        if not delay:
            return
        units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
        match = re.match(r"^(\d+)([smhd]?)$", delay)
        if not match:
            raise Refused(400, 40004, "invalid request: delay invalid")
        seconds = int(match[1]) * units[match[2]] if match[2] else int(match[1]) - time.time()
        if seconds < 10:
            raise Refused(400, 40005, "invalid request: delay too small")
        if seconds > 3 * 86400:
            raise Refused(400, 40006, "invalid request: delay too large")

    def _checked_actions(self, actions):
        def wrong(why):
            return Refused(400, 40018, f"invalid request: actions invalid; {why}")

        if len(actions) > 3:
            raise wrong("only 3 actions allowed")
        kinds = {"view", "broadcast", "http"} | (set() if self.old else {"copy"})
        for action in actions:
            if not isinstance(action, dict) or action.get("action") not in kinds:
                raise wrong("action must be one of " + ", ".join(sorted(kinds)))
            if not action.get("label"):
                raise wrong("parameter 'label' is required")
            if action["action"] in ("view", "http") and not action.get("url"):
                raise wrong("parameter 'url' is required")
            if action["action"] == "http":
                action["method"] = str(action.get("method") or "POST").upper()
                if action.get("body") and action["method"] in ("GET", "HEAD"):
                    raise wrong(f"method {action['method']} cannot have a body")
        return actions

    def _poll(self, topic, query, known):
        self._admit(known, "r")
        if query.get("poll") != "1":
            raise Refused(404, 40401, "this stand-in can only be polled")
        found = [m for m in self.cache if m["topic"] == topic]
        since = query.get("since", "all")
        ids = [m["id"] for m in found]
        if since in ids:
            found = found[ids.index(since) + 1 :]
        lines = "".join(json.dumps(message) + "\n" for message in found)
        return Answer(200, lines.encode(), {"Content-Type": "application/x-ndjson"})
