#!/usr/bin/env python3
"""Many incidents while everything goes wrong: the gateway is killed (SIGKILL) at random moments, its event stream is
cut, and the targets refuse, stall, and hang up before and after they have done what was asked.

    notify_soak.py [--incidents N] [--seed S] [--smoke]

Needs OCGATE_BINARY. Prints what was missed, what was told twice, and how long an event took to be accepted (by the
gateway's own histogram). Exit status: 0 nothing missed, nothing told twice without a reason, nothing left standing; 1
otherwise.

What has to be told: each permission and question that waits until somebody answers; each completed or failed turn that
a living gateway could hear of. What was answered at once need not be told, and must not be left standing.
"""

import argparse
import heapq
import itertools
import json
import random
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass

from kit import gateway as gateways
from kit.fake_discord import FakeDiscord
from kit.fake_ntfy import FakeNtfy
from kit.fake_opencode import FakeOpencode
from kit.fake_target import Answer, Fault
from kit.notifying import TOPIC, discord_target, ntfy_target, route

HOLD = 0.3
ACCEPTED = "ocgate_notify_accepted_seconds"
_WORD = re.compile(r"soak[a-z]{4}")
# Seconds in which a gateway that dies may not yet have written down what it has sent.
_WRITTEN_DOWN = 1.0
_TAIL = 90  # seconds, for what is left when the last incident has begun


def words():
    """Names without digits (errors that differ in nothing else are the same error), of letters that no target has to
    escape."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    for name in itertools.product(letters, repeat=4):
        yield "soak" + "".join(name)


@dataclass
class Incident:
    word: str
    kind: str  # permission, question, complete, error
    plan: str  # told: answered when it was told; early: answered soon; open: left to the end; turn: nobody answers
    session: str = ""
    request: str = ""
    began: float = 0.0  # asked, or the turn's beginning
    ended: float = 0.0  # answered, or the turn's end
    answering: bool = False

    @property
    def blocks(self):
        return self.kind in ("permission", "question")


class Weather:
    """What gets in the way of a share of all requests."""

    def __init__(self, dice, share, with_long_ones):
        self.dice, self.share = dice, share
        self.outage_until = 0.0
        self.met = Counter()
        busy = lambda: Fault(answer=Answer(503, b"", {"Content-Type": "text/plain"}))
        page = lambda: Fault(answer=Answer(502, b"<html>no</html>", {"Content-Type": "text/html", "Retry-After": "1"}))
        self._kinds = {
            "503": (busy, 30),
            "502 html": (page, 8),
            "cut, done": (lambda: Fault(cut=True, applied=True), 20),
            "cut, not done": (lambda: Fault(cut=True), 20),
            **({"stall": (lambda: Fault(stall=True), 2), "stall, done": (lambda: Fault(stall=True, applied=True), 1)}
               if with_long_ones else {}),
        }  # fmt: skip

    def with_kind(self, name, make, weight):
        self._kinds[name] = (make, weight)
        return self

    def __call__(self, request):
        if time.monotonic() < self.outage_until:
            self.met["outage"] += 1
            return self._kinds["503"][0]()
        if self.dice.random() >= self.share:
            return None
        (name,) = self.dice.choices(list(self._kinds), [weight for _, weight in self._kinds.values()])
        self.met[name] += 1
        return self._kinds[name][0]()


def too_many_for_ntfy():
    return Fault(answer=Answer.of(429, {"code": 42901, "http": 429, "error": "limit reached: too many requests"}))


def too_many_for_discord():
    body = {"message": "You are being rate limited.", "retry_after": 0.3, "global": False}
    return Fault(answer=Answer.of(429, body, {"Retry-After": "1", "X-RateLimit-Scope": "user"}))


class Soak:
    def __init__(self, options):
        self.options = options
        self.dice = random.Random(options.seed)
        self.words = words()
        self.incidents = []
        self.steps, self.step_numbers = [], itertools.count()
        self.down_since = None
        self.disturbed = []  # (from, until) of each kill, and of each cut of the event stream
        self.kills, self.cuts = [], 0
        self.histogram = Counter()
        self.told_ntfy, self.told_discord = {}, {}  # word -> sequences, requests
        self.seen_ntfy = self.seen_discord = 0
        self.opencode = FakeOpencode()
        self.ntfy = FakeNtfy(burst=10**9)
        self.discord = FakeDiscord(limit=10**9)
        self.gateway = None

    def run(self):
        long_ones = not self.options.smoke
        self.ntfy.weather = Weather(self.dice, self.options.share, long_ones)
        self.discord.weather = Weather(self.dice, self.options.share, long_ones).with_kind(
            "429", too_many_for_discord, 15
        )
        if long_ones:
            self.ntfy.weather.with_kind("429", too_many_for_ntfy, 1)  # each costs five seconds
        self.start_gateway()
        began = time.monotonic()
        self.plan_everything()
        while self.steps:
            at, _, step = heapq.heappop(self.steps)
            while (left := at - time.monotonic()) > 0:
                self.look()
                time.sleep(min(left, 0.05))
            step()
        self.let_it_end()
        return self.report(time.monotonic() - began)

    def start_gateway(self):
        hold = f"{HOLD * 1000:.0f}ms"
        blocks = {"events": ["permission", "question"], "hold": hold}
        turns = {"events": ["complete", "error"], "hold": hold, "projects": ["turns*"], "min_duration": "0s"}
        config = {
            "upstream": {"username": self.opencode.username, "password": {"env": "UPSTREAM_PASSWORD"}},
            "log_level": "warn", "access_log": False,
            "notifications": {
                "targets": {"phone": ntfy_target(self.ntfy), "team": discord_target(self.discord)},
                "routes": [route("phone", "team", **blocks), route("phone", "team", **turns)],
            },
        }  # fmt: skip
        env = {"UPSTREAM_PASSWORD": self.opencode.password, "A_WEBHOOK_URL": self.discord.webhook_url}
        self.gateway = gateways.Gateway(self.opencode.address, username="alice", config=config, env=env)
        time.sleep(1)  # it has looked around

    # What happens when.

    def at(self, when, step):
        heapq.heappush(self.steps, (when, next(self.step_numbers), step))

    def after(self, seconds, step):
        self.at(time.monotonic() + seconds, step)

    def plan_everything(self):
        now, count, pace = time.monotonic(), self.options.incidents, self.options.pace
        for n in range(count):
            self.at(now + n * pace + self.dice.uniform(0, pace), self.begin)
        length = count * pace
        for n in range(self.options.kills):
            self.at(now + length * (n + self.dice.uniform(0.2, 0.95)) / self.options.kills, self.kill)
        for n in range(self.options.cuts):
            self.at(now + length * (n + self.dice.random()) / self.options.cuts, self.cut)
        if not self.options.smoke:
            self.at(now + length * 0.3, lambda: self.outage(self.ntfy.weather))
            self.at(now + length * 0.6, lambda: self.outage(self.discord.weather))

    @staticmethod
    def outage(weather):
        weather.outage_until = time.monotonic() + 15

    def kill(self):
        if self.down_since is not None:
            return
        self.histogram.update(self.gateway.buckets(ACCEPTED))
        time.sleep(self.dice.uniform(0, 0.02))
        self.gateway.kill()
        self.down_since = time.monotonic()
        self.kills.append(self.down_since)
        self.after(self.dice.choice((0, 0, 0.3, 1, 2.5)), self.revive)

    def revive(self):
        opened = self.opencode.streams_opened
        self.gateway.start()
        self.disturbed.append([self.down_since, float("inf")])
        self.down_since = None
        self.wait_for_ears(opened)

    def cut(self):
        if self.down_since is None:
            self.cuts += 1
            self.disturbed.append([time.monotonic(), float("inf")])
            opened = self.opencode.streams_opened
            self.opencode.cut()
            self.wait_for_ears(opened)

    def wait_for_ears(self, opened):
        """A disturbance is over when events are heard again, and a second look has been taken."""
        if self.opencode.streams_opened == opened and self.down_since is None:
            return self.after(0.05, lambda: self.wait_for_ears(opened))
        for one in self.disturbed:
            one[1] = min(one[1], time.monotonic() + 1.5)

    def begin(self):
        kind = self.dice.choices(("permission", "question", "complete", "error"), (6, 2, 2, 1))[0]
        plan = self.dice.choices(("told", "early", "open"), (10, 4, 1))[0]
        incident = Incident(next(self.words), kind, plan if kind in ("permission", "question") else "turn")
        self.incidents.append(incident)
        where = f"/workspaces/{'project' if incident.blocks else 'turns'}-{self.dice.choice('abc')}"
        title = "a session" if incident.blocks else incident.word
        incident.session = root = self.opencode.open_session(title, where)
        self.opencode.begin_turn(root)
        incident.began = time.monotonic()
        if not incident.blocks:
            length = self.dice.uniform(0.8, 2)
            for n in range(int(length / 0.2)):
                self.after(n * 0.2, lambda: self.opencode.keep_running(root))
            return self.after(length, lambda: self.end_turn(incident))
        if self.dice.random() < 0.15:  # a subagent asks
            incident.session = self.opencode.open_session("a subtask", where, parent=root)
            self.opencode.begin_turn(incident.session)
        self.ask(incident)
        if plan == "told" and self.dice.random() < 0.1:  # and another one soon after it
            more = Incident(next(self.words), "permission", "told", session=root)
            self.incidents.append(more)
            self.after(self.dice.uniform(0.1, 2), lambda: self.ask(more))

    def ask(self, incident):
        if not self.opencode.is_running(incident.session):  # its session was through before
            return self.incidents.remove(incident)
        ask = self.opencode.ask_permission if incident.kind == "permission" else self.opencode.ask_question
        incident.request = ask(incident.session, f"make {incident.word}")
        incident.began = time.monotonic()
        if incident.plan == "early":
            self.after(self.dice.uniform(0, 2 * HOLD), lambda: self.answer(incident))

    def end_turn(self, incident):
        if incident.kind == "complete":
            self.opencode.complete(incident.session)
        else:
            self.opencode.fail(incident.session, f"no {incident.word} here")
        incident.ended = time.monotonic()

    def answer(self, incident):
        """Through the gateway, or elsewhere."""
        reply = "once" if incident.kind == "permission" else [["Yes"]]
        elsewhere = self.down_since is not None or self.dice.random() < 0.5
        if elsewhere:
            self.opencode.answer(incident.request, reply)
        else:
            body = {"reply": reply} if incident.kind == "permission" else {"answers": reply}
            self.gateway.client().post(f"/{incident.kind}/{incident.request}/reply", body)
        incident.ended = time.monotonic()
        self.after(self.dice.uniform(0.2, 1.5), lambda: self.end_quietly(incident.session))

    def end_quietly(self, session):
        """A turn nobody is told of, when nothing waits in it any more."""
        while session and self.opencode.is_running(session) and not self.opencode.waiting(session):
            self.opencode.complete(session)
            session = self.opencode.parent_of(session)

    # What is seen.

    def look(self):
        for message in self.ntfy.cache[self.seen_ntfy :]:
            self.seen_ntfy += 1
            if message["event"] == "message":
                for word in set(_WORD.findall(json.dumps(message))):
                    self.told_ntfy.setdefault(word, []).append(message["sequence_id"])
        for request in self.discord.requests[self.seen_discord :]:
            self.seen_discord += 1
            done = request.fault is None or request.fault.applied
            if request.method == "POST" and done:
                for word in set(_WORD.findall(request.body.decode())):
                    self.told_discord.setdefault(word, []).append(request)
        for incident in self.incidents:
            waits = incident.plan == "told" and incident.request and not incident.answering
            if waits and incident.word in self.told_ntfy and incident.word in self.told_discord:
                incident.answering = True
                self.after(self.dice.uniform(0, 1), lambda one=incident: self.answer(one))

    def let_it_end(self):
        """Fair weather from now on."""
        for target in (self.ntfy, self.discord):
            target.weather.share = target.weather.outage_until = 0
        deadline = time.monotonic() + _TAIL
        while time.monotonic() < deadline and not self.settled(lambda one: one.plan != "open"):
            self.pass_time()
        self.still_open = [one for one in self.incidents if one.plan == "open"]
        self.open_but_not_shown = self.words_of(self.still_open) - self.words_shown()
        for incident in self.still_open:
            self.answer(incident)
        deadline = time.monotonic() + _TAIL
        while time.monotonic() < deadline and not self.settled(lambda one: True):
            self.pass_time()
        self.histogram.update(self.gateway.buckets(ACCEPTED))

    def pass_time(self):
        self.look()
        time.sleep(0.1)
        while self.steps and self.steps[0][0] <= time.monotonic():
            heapq.heappop(self.steps)[2]()

    def settled(self, which):
        if self.steps or self.missed(self.told_ntfy) or self.missed(self.told_discord):
            return False
        over = [one for one in self.incidents if one.blocks and which(one)]
        return all(one.ended for one in over) and not (self.words_of(over) & self.words_shown()) and (
            not self.unedited(over)
        )

    @staticmethod
    def words_of(incidents):
        return {one.word for one in incidents}

    def words_shown(self):
        shown = self.ntfy.shown(TOPIC)
        return {word for message in shown for word in _WORD.findall(json.dumps(message))}

    def unedited(self, incidents):
        """Messages of Discord's that still ask for what nobody waits for. One of which no answer came back has no name
        that the gateway could edit it by."""
        wanted = {word for word in self.words_of(incidents) if not self.doubtful(self.told_discord.get(word, [])[-1:])}
        last = {}
        for made, body in list(self.discord.first_said.items()):
            for word in set(_WORD.findall(json.dumps(body))):
                last[word] = self.discord.messages[made]
        return {word for word, message in last.items() if word in wanted and not message["edited_timestamp"]}

    def missed(self, told):
        return sorted(one.word for one in self.incidents if self.has_to_be_told(one, told) and one.word not in told)

    def has_to_be_told(self, one, told):
        if one.blocks:
            return one.plan in ("told", "open")
        if not one.ended or any(one.began - 2 < killed < one.ended + HOLD + 1 for killed in self.kills):
            return False  # whoever is dead hears nothing, and knows nothing afterwards
        # "Done" is not worth a second time: where it may have arrived, it is not sent again.
        doubtful = told is self.told_discord and self.met_a_fault(one.word)
        return not doubtful

    def met_a_fault(self, word):
        faults = [r.fault for r in self.discord.requests if r.fault and word.encode() in r.body]
        return any(fault.cut or fault.stall for fault in faults)

    def undisturbed(self, one):
        return not any(since - 1 < one.ended and one.began < until for since, until in self.disturbed)

    def doubtful(self, requests):
        """Whether each of them had an outcome that the gateway may not have known."""

        def is_one(request):
            cut = request.fault and (request.fault.cut or request.fault.stall)
            return cut or any(request.at <= killed <= request.at + _WRITTEN_DOWN for killed in self.kills)

        return all(is_one(request) for request in requests) if requests else False

    # What it came to.

    def quantile(self, share):
        total = self.histogram.get(float("inf"), 0)
        bounds = sorted(self.histogram)
        return next((bound for bound in bounds if self.histogram[bound] >= share * total), None), int(total)

    def report(self, took):
        kinds = Counter(one.kind for one in self.incidents)
        print(f"{len(self.incidents)} incidents ({dict(kinds)}) in {took:.0f} s, seed {self.options.seed}")
        print(f"{len(self.kills)} kills, {self.cuts} cuts of the event stream")
        for name, target in (("ntfy", self.ntfy), ("Discord", self.discord)):
            print(f"{name}: {len(target.requests)} requests; in the way: {dict(target.weather.met)}")
        twice = {word: seqs for word, seqs in self.told_ntfy.items() if len(set(seqs)) > 1}
        again = sum(len(seqs) - len(set(seqs)) for seqs in self.told_ntfy.values())
        doubles = {word: posts for word, posts in self.told_discord.items() if len(posts) > 1}
        unexplained = [word for word, posts in doubles.items() if not self.doubtful(posts[:-1])]
        early = [one for one in self.incidents if one.plan == "early" and 0 < one.ended - one.began < HOLD / 2]
        told_early = [one.word for one in early if one.word in self.told_ntfy or one.word in self.told_discord]
        too_early = [one.word for one in early if one.word in told_early and self.undisturbed(one)]
        over = [one for one in self.incidents if one.blocks]
        left = sorted(self.words_of(over) & self.words_shown())
        faults = {
            "missed at ntfy": self.missed(self.told_ntfy),
            "missed at Discord": self.missed(self.told_discord),
            "shown twice at ntfy": sorted(twice),
            "posted twice at Discord without a reason": unexplained,
            "waiting, but not shown": sorted(self.open_but_not_shown),
            "answered, but still shown at ntfy": left,
            "answered, but Discord's message still asks": sorted(self.unedited(over)),
            "told though answered within the hold": too_early,
        }
        for what, found in faults.items():
            print(f"{what}: {len(found)} {found[:10] if found else ''}")
        print(f"ntfy, sent again in place: {again}")
        doubts = len(doubles) - len(unexplained)
        print(f"Discord, posted twice because nobody knew whether the first had arrived: {doubts}")
        print(f"answered within the hold: {len(early)}, of which told, as something was down then: {len(told_early)}")
        for share in (0.5, 0.95, 0.99):
            bound, total = self.quantile(share)
            print(f"event to accepted, p{share * 100:.0f}: at most {bound} s (of {total})")
        for word in sorted({word for found in faults.values() for word in found})[:10]:
            self.tell_story(word)
        return not any(faults.values())

    def tell_story(self, word):
        """Everything that is known of one, in seconds from its beginning."""
        (one,) = [one for one in self.incidents if one.word == word]
        story = [(one.began, f"{one.kind} ({one.plan}) in {one.session}")]
        if one.ended:
            story.append((one.ended, "ended"))
        story += [(killed, "the gateway was killed") for killed in self.kills]
        story += [(since, "cut or dead") for since, _ in self.disturbed]
        for name, target in (("ntfy", self.ntfy), ("Discord", self.discord)):
            for request in target.requests:
                if word.encode() in request.body:
                    story.append((request.at, f"{name}: {request.method}, fault: {request.fault}"))
        print(f"--- {word}")
        for at, what in sorted(story):
            if -5 < at - one.began < 60:
                print(f"  {at - one.began:7.3f} {what}")
        page = self.gateway.client().get_json("/_ocgate/notifications")
        key = f"{one.kind}/{one.request or one.session}"
        for row in page["incidents"] + page["deliveries"]:
            if (row.get("key") or row.get("incident")).startswith(key):
                print("  " + json.dumps(row))

    def close(self):
        if self.gateway:
            self.gateway.close()
        for one in (self.opencode, self.ntfy, self.discord):
            one.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--incidents", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--smoke", action="store_true", help="40 incidents and two kills, in less than half a minute")
    options = parser.parse_args()
    options.pace, options.share = 0.12, 0.08  # seconds between two incidents; of requests that meet a fault
    if options.smoke:
        options.incidents, options.share = 40, 0.15
    length = options.incidents * options.pace
    options.kills, options.cuts = max(2, int(length / 6)), max(2, int(length / 5))
    soak = Soak(options)
    try:
        good = soak.run()
        if not good:
            print(soak.gateway.logs(), file=sys.stderr)
    finally:
        soak.close()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
