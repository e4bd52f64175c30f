"""People who are asked something, and told of it on a phone: each once, whatever happens to the phone's server.

When the upstream is killed, nobody listens there any more, and what waits is withdrawn. opencode itself lives on behind
it: what waits in it still is told anew when it is there again."""

import itertools
import json
import re
import time
from collections import Counter
from dataclasses import dataclass

from kit.fake_target import Answer, Fault
from kit.notifying import TOPIC
from kit.wire import Truncated

_WORD = re.compile(r"soak[a-z]{4}")


def _words():
    """Names without digits, of letters that nobody has to escape."""
    for name in itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=4):
        yield "soak" + "".join(name)


@dataclass
class Incident:
    word: str
    kind: str
    session: str
    request: str
    began: float
    told: float = 0.0
    answered: float = 0.0


class Weather:
    """What is in the way of the phone's server: nothing, but in an outage, and then everything."""

    def __init__(self):
        self.kind = None
        self.met = Counter()

    def __call__(self, request):
        if self.kind is None:
            return None
        self.met[self.kind] += 1
        if self.kind == "503":
            return Fault(answer=Answer(503, b"", {"Content-Type": "text/plain"}))
        if self.kind == "html":
            return Fault(answer=Answer(502, b"<html>no</html>", {"Content-Type": "text/html", "Retry-After": "1"}))
        return Fault(cut=True, applied=self.kind == "cut after it was done")


WEATHERS = ("503", "html", "cut", "cut after it was done")


class Incidents:
    """`steps` is where what comes later is put; `upstream_is_well()` says whether a person can answer through the
    gateway now."""

    def __init__(self, opencode, ntfy, dice, after, upstream_is_well):
        self.opencode, self.ntfy, self.dice, self.after = opencode, ntfy, dice, after
        self.upstream_is_well = upstream_is_well
        self.weather = ntfy.weather = Weather()
        self.all = []
        self.client = None  # as whom people answer
        self.through_the_gateway = 0
        self._words = _words()
        self._seen = 0
        self._messages = {}  # word -> messages published with it
        self._sequences = {}  # word -> the sequence ids of these
        self._withdrawn = set()  # sequence ids
        self._told_twice = set()  # words that stood on the phone as two
        self._waiting = {}  # those that nobody was told of yet

    def begin(self):
        word = next(self._words)
        session = self.opencode.open_session("a session", f"/workspaces/project-{self.dice.choice('abc')}")
        self.opencode.begin_turn(session)
        kind = self.dice.choice(("permission", "permission", "question"))
        ask = self.opencode.ask_permission if kind == "permission" else self.opencode.ask_question
        one = Incident(word, kind, session, ask(session, f"make {word}"), time.monotonic())
        self.all.append(one)
        self._waiting[word] = one

    def look(self):
        for message in self.ntfy.cache[self._seen :]:
            self._seen += 1
            sequence = message.get("sequence_id", message["id"])
            if message["event"] != "message":
                self._withdrawn.add(sequence)
                continue
            self._withdrawn.discard(sequence)
            for word in set(_WORD.findall(json.dumps(message))):
                self._messages.setdefault(word, []).append(message)
                known = self._sequences.setdefault(word, set())
                if known - self._withdrawn - {sequence}:
                    self._told_twice.add(word)
                known.add(sequence)
                one = self._waiting.pop(word, None)
                if one:
                    one.told = time.monotonic()
                    # Some are slow: then an upstream that is killed meanwhile is there again before they answer.
                    patience = self.dice.choice((1, 1, 8))
                    self.after(self.dice.uniform(0, patience), lambda one=one: self.answer(one))

    def answer(self, one):
        reply = "once" if one.kind == "permission" else [["Yes"]]
        done = False
        if self.upstream_is_well() and self.dice.random() < 0.5:
            body = {"reply": reply} if one.kind == "permission" else {"answers": reply}
            try:
                done = self.client().post(f"/{one.kind}/{one.request}/reply", body).status == 200
                self.through_the_gateway += done
            except (OSError, Truncated):
                pass  # cut by a fault: somebody else answers
        if not done:
            self.opencode.answer(one.request, reply)
        one.answered = time.monotonic()
        self.after(0.2, lambda: self.opencode.is_running(one.session) and self.opencode.complete(one.session))

    def shown(self):
        return {word for message in self.ntfy.shown(TOPIC) for word in _WORD.findall(json.dumps(message))}

    def settled(self):
        self.look()
        return not self._waiting and all(one.answered for one in self.all) and not self.shown()

    def faults(self):
        """What may not be: untold, told as two, sent again without a reason, shown after it was answered."""
        self.look()
        doubtful = Counter()  # requests that were done and not answered: they are sent again, in place
        for request in self.ntfy.requests:
            if request.fault and request.fault.applied:
                doubtful.update(set(_WORD.findall(request.body.decode("utf-8", "replace"))))
        again = {word: len(sent) - len(self._sequences[word]) for word, sent in self._messages.items()}
        return {
            "never told": [one.word for one in self.all if not one.told],
            "told twice": sorted(self._told_twice),
            "sent again without a reason": [word for word, n in again.items() if n > doubtful[word]],
            "answered, but still shown": sorted(self.shown()),
        }  # fmt: skip

    def stories(self, began):
        """Of those that are not over."""
        shown = self.shown()
        return [
            {"word": one.word, "kind": one.kind, "request": one.request, "session": one.session,
             "asked": round(one.began - began, 3), "told": round(one.told - began, 3) if one.told else None,
             "answered": round(one.answered - began, 3) if one.answered else None}
            for one in self.all if not one.answered or one.word in shown
        ]  # fmt: skip

    def figures(self):
        delays = sorted(one.told - one.began for one in self.all if one.told)
        return {
            "asked": len(self.all),
            "told": len(delays),
            "told anew after a killed upstream": sum(len(known) - 1 for known in self._sequences.values()),
            "answered through the gateway": self.through_the_gateway,
            "sent again in place": sum(
                len(sent) - len(self._sequences[word]) for word, sent in self._messages.items()
            ),
            "requests to ntfy": len(self.ntfy.requests),
            "of these met by an outage": dict(self.weather.met),
            "told within, median s": round(delays[len(delays) // 2], 2) if delays else None,
            "told within, longest s": round(delays[-1], 2) if delays else None,
        }  # fmt: skip
