"""A stand-in for Discord's webhooks that is as strict as the real ones: version, User-Agent, every limit of an embed in
UTF-16 units, buckets, the kinds of 429, and what repeated use of a deleted webhook would be held against us.
"""

import itertools
import math
import re
import time

from .fake_target import Answer, FakeTarget

_PATH = re.compile(r"^/api(?:/v(\d+))?/webhooks/(\d+)/([\w-]+)(?:/messages/([^/]+))?$")
_AGENT = re.compile(r"^DiscordBot \(https?://[^ ,]+, [^ )]+\)")
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
_SHOWN = ("content", "embeds", "components", "flags", "allowed_mentions", "username", "avatar_url", "tts")


def units(text):
    """What Discord counts, after it has trimmed the text."""
    return len(text.strip().encode("utf-16-le")) // 2


class Wrong(Exception):
    """An Invalid Form Body: where, and which rule."""

    def __init__(self, where, code, message):
        super().__init__(f"{where}: {message}")
        tree = {"_errors": [{"code": code, "message": message}]}
        for step in reversed(where.split(".")):
            tree = {step: tree}
        self.answer = Answer.of(400, {"message": "Invalid Form Body", "code": 50035, "errors": tree})


def _text(where, value, most, least=0):
    if not isinstance(value, str):
        raise Wrong(where, "STRING_TYPE_CONVERT", "Could not interpret as string.")
    if units(value) < least:
        raise Wrong(where, "BASE_TYPE_REQUIRED", "This field is required")
    if units(value) > most:
        raise Wrong(where, "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")
    return units(value)


def _link(where, value, most=2048):
    _text(where, value, most, 1)
    if not re.match(r"^https?://[^/\s]", value):
        raise Wrong(where, "URL_TYPE_INVALID_SCHEME", "Scheme must be one of ('http', 'https').")


def _list(where, value, most):
    if not isinstance(value, list):
        raise Wrong(where, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
    if len(value) > most:
        raise Wrong(where, "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")
    return value


def _embed(where, embed):
    total = 0
    if not isinstance(embed, dict):
        raise Wrong(where, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
    if "title" in embed:
        total += _text(f"{where}.title", embed["title"], 256)
    if "description" in embed:
        total += _text(f"{where}.description", embed["description"], 4096)
    for i, field in enumerate(_list(f"{where}.fields", embed.get("fields", []), 25)):
        total += _text(f"{where}.fields.{i}.name", field.get("name", ""), 256, 1)
        total += _text(f"{where}.fields.{i}.value", field.get("value", ""), 1024, 1)
        if not isinstance(field.get("inline", False), bool):
            raise Wrong(f"{where}.fields.{i}.inline", "BOOLEAN_TYPE_CONVERT", "Must be either true or false.")
    if "footer" in embed:
        total += _text(f"{where}.footer.text", embed["footer"].get("text", ""), 2048)
    if "author" in embed:
        total += _text(f"{where}.author.name", embed["author"].get("name", ""), 256)
    if "url" in embed:
        _link(f"{where}.url", embed["url"])
    colour = embed.get("color", 0)
    if not isinstance(colour, int) or not 0 <= colour <= 0xFFFFFF:
        raise Wrong(f"{where}.color", "NUMBER_TYPE_MAX", "int value should be less than or equal to 16777215.")
    if "timestamp" in embed and not _TIME.match(embed["timestamp"]):
        raise Wrong(f"{where}.timestamp", "DATE_TIME_TYPE_PARSE", "Could not parse.")
    return total


def _components(components):
    for i, row in enumerate(_list("components", components, 5)):
        if row.get("type") != 1:
            raise Wrong(f"components.{i}.type", "BASE_TYPE_CHOICES", "Value must be one of {1}.")
        for j, button in enumerate(_list(f"components.{i}.components", row.get("components", []), 5)):
            where = f"components.{i}.components.{j}"
            if button.get("type") != 2 or button.get("style") != 5:
                raise Wrong(where, "COMPONENT_TYPE_INVALID", "A webhook of no application sends link buttons only")
            _text(f"{where}.label", button.get("label", ""), 80)
            _link(f"{where}.url", button.get("url", ""), 512)


def _mentions(mentions):
    parse = mentions.get("parse", [])
    for kind in parse:
        if kind not in ("users", "roles", "everyone"):
            raise Wrong("allowed_mentions.parse.0", "BASE_TYPE_CHOICES", "Value must be one of {...}.")
    for kind in ("users", "roles"):
        if mentions.get(kind) and kind in parse:
            code = "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE"
            raise Wrong("allowed_mentions", code, f"parse:[{kind!r}] and {kind}: []")
        for one in mentions.get(kind, []):
            if not re.match(r"^\d+$", str(one)):
                raise Wrong(f"allowed_mentions.{kind}.0", "NUMBER_TYPE_COERCE", "Value is not snowflake.")


def check(body):
    """Raises Wrong for what Discord refuses."""
    if "content" in body and body["content"] is not None:
        _text("content", body["content"], 2000)
    if "username" in body:
        _text("username", body["username"], 80, 1)
        if re.search("discord|clyde", body["username"], re.IGNORECASE):
            raise Wrong("username", "USERNAME_INVALID_CONTAINS", 'Username cannot contain "discord"')
    total = sum(_embed(f"embeds.{i}", e) for i, e in enumerate(_list("embeds", body.get("embeds", []), 10)))
    if total > 6000:
        raise Wrong("embeds", "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000")
    _components(body.get("components", []))
    _mentions(body.get("allowed_mentions") or {})


class FakeDiscord(FakeTarget):
    """One webhook. `limit` requests per `window` seconds and method."""

    id = "1234567890123456789"
    token = "fake-token_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV"

    def __init__(self, limit=5, window=2.0):
        self.limit, self.window = limit, window
        self.messages = {}  # by id, as they stand
        self.first_said = {}  # by id, the same as they were posted
        self.posted = 0
        self.wrong = []  # why requests were refused as malformed
        self.deleted = False
        self.after_deletion = 0  # requests after the first that was told so
        self._told_of_deletion = False
        self._buckets = {}
        self._ids = itertools.count(1100000000000000000)
        super().__init__()

    @property
    def webhook_url(self):
        return f"{self.url}/api/v10/webhooks/{self.id}/{self.token}"

    # What a test does.

    def delete_webhook(self):
        self.deleted = True

    def rate_limited(self, seconds=0.25, scope="user", times=1):
        """`user`, `global` or `shared`."""
        headers = {"Retry-After": str(math.ceil(seconds)), "X-RateLimit-Scope": scope}
        if scope == "global":
            headers["X-RateLimit-Global"] = "true"
        body = {"message": "You are being rate limited.", "retry_after": seconds, "global": scope == "global"}
        self.answer_with(429, body, headers, times)

    def cloudflare(self, seconds=None, times=1):
        self.html(429, {"Retry-After": str(seconds)} if seconds is not None else {}, times)

    # The server.

    def answer(self, request):
        if not _AGENT.match(request.headers.get("user-agent", "")):
            self.wrong.append(f"User-Agent {request.headers.get('user-agent')!r}")
            return Answer.of(403, {"message": "internal network error", "code": 40333})
        match = _PATH.match(request.path)
        if not match:
            return Answer.of(404, {"message": "404: Not Found", "code": 0})
        version, webhook, token, message = match.groups()
        if version != "10":
            self.wrong.append(f"version {version}")
            return Answer.of(400, {"message": "Invalid API version", "code": 50041})
        if self._told_of_deletion:
            self.after_deletion += 1
        if webhook != self.id or self.deleted:
            self._told_of_deletion = self.deleted
            return Answer.of(404, {"message": "Unknown Webhook", "code": 10015})
        if token != self.token:
            return Answer.of(401, {"message": "Invalid Webhook Token", "code": 50027})
        headers, limited = self._bucket(request.method)
        answer = limited or self._do(request, message)
        answer.headers.update(headers)
        return answer

    def _bucket(self, method):
        now = time.monotonic()
        left, ends = self._buckets.get(method, (self.limit, 0))
        if now >= ends:
            left, ends = self.limit, now + self.window
        after = ends - now
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, left - 1)),
            "X-RateLimit-Reset": f"{time.time() + after:.3f}",
            "X-RateLimit-Reset-After": f"{after:.3f}",
            "X-RateLimit-Bucket": f"fake-{method.lower()}",
        }
        limited = None
        if left <= 0:
            headers.update({"Retry-After": str(math.ceil(after)), "X-RateLimit-Scope": "user"})
            body = {"message": "You are being rate limited.", "retry_after": round(after, 3), "global": False}
            limited = Answer.of(429, body)
        self._buckets[method] = (left - 1, ends)
        return headers, limited

    def _do(self, request, message):
        if request.method == "POST" and message is None:
            return self._post(request)
        if message is None or request.method not in ("PATCH", "DELETE", "GET"):
            return Answer.of(405, {"message": "405: Method Not Allowed", "code": 0})
        if message not in self.messages:
            return Answer.of(404, {"message": "Unknown Message", "code": 10008})
        if request.method == "DELETE":
            del self.messages[message]
            return Answer(204)
        if request.method == "GET":
            return Answer.of(200, self.messages[message])
        body, refused = self._body(request)
        if refused:
            return refused
        self.messages[message].update(self._kept(request, body), edited_timestamp=_now())
        return Answer.of(200, self.messages[message])

    def _post(self, request):
        body, refused = self._body(request)
        if refused:
            return refused
        kept = self._kept(request, body)
        if not ((kept.get("content") or "").strip() or kept.get("embeds") or kept.get("components")):
            self.wrong.append("empty")
            return Answer.of(400, {"message": "Cannot send an empty message", "code": 50006})
        made = str(next(self._ids))
        self.posted += 1
        self.first_said[made] = body
        self.messages[made] = {
            "id": made, "channel_id": "1099999999999999999", "type": 0, "webhook_id": self.id, "timestamp": _now(),
            "edited_timestamp": None, "content": "", "embeds": [], "components": [], **kept,
        }  # fmt: skip
        return Answer.of(200, self.messages[made]) if request.query.get("wait") == "true" else Answer(204)

    def _body(self, request):
        try:
            if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
                raise Wrong("_", "CONTENT_TYPE_INVALID", "Expected application/json")
            body = request.json()
            check(body)
            return body, None
        except ValueError:
            self.wrong.append("no JSON")
            return None, Answer.of(400, {"message": "The request body contains invalid JSON.", "code": 50109})
        except Wrong as wrong:
            self.wrong.append(str(wrong))
            return None, wrong.answer

    def _kept(self, request, body):
        kept = {name: body[name] for name in _SHOWN if name in body}
        if request.query.get("with_components") != "true":
            kept.pop("components", None)  # without a word
        allowed = kept.pop("allowed_mentions", None)
        if isinstance(kept.get("content"), str):
            kept["mentions"] = _pinged(kept["content"], allowed)
        return kept


def _pinged(content, allowed):
    """Who hears a sound: ids, and @everyone. Without `allowed_mentions` a webhook reads everything."""
    users = re.findall(r"<@!?(\d+)>", content)
    everyone = ["@everyone"] if "@everyone" in content or "@here" in content else []
    if allowed is None:
        return users + everyone
    parse = allowed.get("parse", [])
    named = [str(one) for one in allowed.get("users", [])]
    found = [one for one in users if "users" in parse or one in named]
    return found + (everyone if "everyone" in parse else [])


def _now():
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000+00:00", time.gmtime())
