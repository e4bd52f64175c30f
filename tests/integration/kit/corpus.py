"""The framing corpus (tests/framing/README.md) and a strict reader of what the gateway writes, for playing it over TCP."""

import re
from dataclasses import dataclass, field
from pathlib import Path

CASES = Path(__file__).resolve().parents[2] / "framing" / "cases"
ENDINGS = {"open", "waits", "close", "reset", "tunnel"}
NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
LENGTH = re.compile(rb"0|[1-9][0-9]{0,18}")
LINES = {
    "client:", "upstream:", "client, with the next:", "upstream, with the next:",
    "client ends", "client resets", "upstream ends", "upstream resets",
}  # fmt: skip


class Wrong(Exception):
    """Bytes that the gateway must not write."""


@dataclass
class Step:
    kind: str  # "client", "upstream ends", "wait", …
    data: bytes = b""


@dataclass
class Wanted:
    """Of one message, what the case says about its fields."""

    has: list = field(default_factory=list)  # (name in lower case, value)
    lacks: list = field(default_factory=list)

    def faults(self, message):
        found = [f"{name.decode()} is not {value!r}" for name, value in self.has if value not in message.values(name)]
        return found + [f"{name.decode()} is there" for name in self.lacks if message.values(name)]


@dataclass
class Sees(Wanted):
    """A request that has to arrive upstream, or, with `part`, whose beginning may."""

    method: bytes = b""
    target: bytes = b""
    content: bytes = b""
    part: bool = False
    anew: bool = False  # on a connection that carried nothing before


@dataclass
class Case:
    name: str
    rfc: str = ""
    steps: list = field(default_factory=list)
    answers: list = field(default_factory=list)
    cut: bool = False  # the last answer is not whole, and the client can tell
    ending: str = ""
    sees_all: list = field(default_factory=list)
    answer: Wanted = field(default_factory=Wanted)  # the last one
    got: bytes | None = None
    to_upstream: bytes | None = None
    to_client: bytes | None = None

    @property
    def scripted(self):
        return any(step.kind.startswith("upstream") for step in self.steps)

    @property
    def sees(self):
        """What has to arrive."""
        return [sees for sees in self.sees_all if not sees.part]

    @property
    def parts(self):
        """(method, target) of what may arrive in part."""
        return {(sees.method, sees.target) for sees in self.sees_all if sees.part}


def unescape(text):
    """Bytes of a text with escapes."""
    out = bytearray()
    at = 0
    simple = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}
    while at < len(text):
        if text[at] != "\\":
            out += text[at].encode("utf-8")
            at += 1
            continue
        mark = text[at + 1]
        if mark in simple:
            out += simple[mark]
            at += 2
        elif mark == "x":
            out.append(int(text[at + 2 : at + 4], 16))
            at += 4
        elif mark == "{":
            end = text.index("}", at)
            times, piece = text[at + 2 : end].split("*", 1)
            out += unescape(piece) * int(times)
            at = end + 1
        else:
            raise ValueError(f"unknown escape in {text!r}")
    return bytes(out)


def _wire_line(text, credential):
    text = text.removeprefix(" ")
    slashes = len(text) - len(text.rstrip("\\"))
    bare = slashes % 2 == 1
    data = unescape(text[:-1] if bare else text)
    data = data.replace(b"@auth", b"Authorization: " + credential)
    return data if bare else data + b"\r\n"


def _sees(text, part):
    head, _, content = text.partition(" = ")
    method, _, target = head.partition(" ")
    return Sees(method=unescape(method), target=unescape(target), content=unescape(content), part=part)


def _field(text):
    name, _, value = text.partition(":")
    return unescape(name).lower(), unescape(value.strip(" "))


def _answers(case, words):
    *told, case.ending = words
    case.answers = [int(word) for word in told if word.isdigit()]
    case.cut = "cut" in told
    strange = [word for word in told if not word.isdigit() and word not in ("cut", "none")]
    if strange or case.ending not in ENDINGS:
        raise ValueError(f"answers: {words}")


def _make(block, cells, credential):
    case = Case(block[0][4:] + ("/" + cells[0] if cells else ""))
    for line in block[1:]:
        for number, cell in enumerate(cells[1:], 1):
            line = line if re.match("(rfc|answers): ", cell) else line.replace(f"@{number}", cell)
        if line.startswith("|"):
            case.steps[-1].data += _wire_line(line[1:], credential)
        else:
            _word(case, line)
    for cell in cells:
        if re.match("(rfc|answers): ", cell):
            _word(case, cell)
    for step in case.steps:
        if step.kind == "client":
            line = b"Host: a\r\n"
            step.data = step.data.replace(line, line + b"Authorization: " + credential + b"\r\n")
    return case


def _word(case, line):
    key, _, value = line.partition(": ")
    last = case.sees_all[-1] if case.sees_all else None
    if line in LINES:
        case.steps.append(Step(line.rstrip(":").split(",")[0]))
    elif key == "wait":
        case.steps.append(Step("wait"))
    elif key == "answers":
        _answers(case, value.split())
    elif key in ("sees", "sees part"):
        case.sees_all.append(_sees(value, key == "sees part"))
    elif key == "sees has" and last and not last.part:
        last.has.append(_field(value))
    elif key == "sees lacks" and last and not last.part:
        last.lacks.append(value.lower().encode())
    elif line == "sees it on a new connection" and last and not last.part:
        last.anew = True
    elif key == "got has":
        case.answer.has.append(_field(value))
    elif key == "got lacks":
        case.answer.lacks.append(value.lower().encode())
    elif key == "got":
        case.got = unescape(value)
    elif key == "to upstream":
        case.to_upstream = unescape(value)
    elif key == "to client":
        case.to_client = unescape(value)
    elif key == "rfc":
        case.rfc = value
    elif key != "why" and line != "sees nothing":
        raise ValueError(f"{case.name}: not understood: {line}")


def read_cases(credential):
    """Every case, families spelled out; `credential` is what its requests log in with."""
    for path in sorted(CASES.glob("*.cases")):
        block, rows = [], []
        for line in [*path.read_text(encoding="utf-8").splitlines(), "=== "]:
            if line.startswith("=== "):
                for cells in rows or ([[]] if block else []):
                    yield _make(block, cells, credential)
                block, rows = [line], []
            elif line.startswith("each: "):
                rows.append([cell.strip(" ") for cell in line[6:].split(" | ")])
            elif line and not line.startswith("#"):
                block.append(line)


@dataclass
class Message:
    first: bytes  # the first line
    fields: list
    content: bytes = b""
    whole: bool = False
    first_there: bool = False  # on its connection

    def values(self, name):
        return [value for key, value in self.fields if key.lower() == name]

    @property
    def status(self):
        return int(self.first[9:12])

    @property
    def method(self):
        return self.first.split(b" ")[0]

    @property
    def target(self):
        return (self.first.split(b" ") + [b""])[1]


def _read_fields(lines):
    fields = []
    for line in lines:
        name, colon, value = line.partition(b": ")
        padded = value != value.strip(b" \t")
        if not colon or not NAME.fullmatch(name) or padded or re.search(rb"[\0-\x08\x0a-\x1f\x7f]", value):
            raise Wrong(f"a field line: {line!r}")
        fields.append((name, value))
    return fields


def _read_chunks(data):
    content = bytearray()
    at = 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return bytes(content), None
        if not re.fullmatch(rb"0|[1-9a-f][0-9a-f]{0,7}", data[at:end]):
            raise Wrong(f"a chunk's size: {data[at:end][:40]!r}")
        size = int(data[at:end], 16)
        content += data[end + 2 : end + 2 + size]
        at = end + 2 + size + 2
        if len(data) < at:
            return bytes(content), None
        if data[at - 2 : at] != b"\r\n":
            raise Wrong("chunk data that does not end")
        if size == 0:
            return bytes(content), at


def read_messages(data, answers=False, methods=(), ended=False):
    """(messages, rest): what stands in `data`; the last may not be whole. The rest is a WebSocket's."""
    messages = []
    finals = 0
    while data:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            messages.append(Message(data.split(b"\r\n")[0], []))
            return messages, b""
        first, *lines = data[:end].split(b"\r\n")
        shape = rb"HTTP/1\.1 [1-5]\d\d [^\0-\x1f\x7f]*" if answers else NAME.pattern + rb" /[^\0-\x20\x7f#]* HTTP/1\.1"
        if not re.fullmatch(shape, first):
            raise Wrong(f"a first line: {first[:200]!r}")
        message = Message(first, _read_fields(lines))
        messages.append(message)
        data = data[end + 4 :]
        codings, lengths = message.values(b"transfer-encoding"), message.values(b"content-length")
        if len(codings) + len(lengths) > 1:
            raise Wrong(f"two lengths: {message.fields}")
        if codings not in ([], [b"chunked"]) or not all(LENGTH.fullmatch(length) for length in lengths):
            raise Wrong(f"a length that is none: {message.fields}")
        bodiless = b"websocket" in message.values(b"upgrade")
        if answers:
            method = methods[finals] if finals < len(methods) else b"GET"
            bodiless = message.status < 200 or message.status in (204, 304) or method == b"HEAD"
            finals += message.status >= 200
        if codings and not bodiless:
            message.content, used = _read_chunks(data)
            message.whole = used is not None
            data = data[used:] if message.whole else b""
        elif lengths and not bodiless:
            length = int(lengths[0])
            message.content, data = data[:length], data[length:]
            message.whole = len(message.content) == length
        elif answers and not bodiless:
            message.content, data, message.whole = data, b"", ended
        else:
            message.whole = True
        if message.whole and (message.status == 101 if answers else message.values(b"upgrade")):
            return messages, data
        if not message.whole:
            return messages, b""
    return messages, b""
