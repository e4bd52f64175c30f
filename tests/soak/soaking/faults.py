"""What is done to the gateway and its neighbours, one thing every few seconds, and when exactly."""

import secrets
import subprocess
import time
from collections import Counter
from dataclasses import dataclass

from kit.wire import Client, Truncated

from . import machinery
from .incidents import WEATHERS

# How often each comes up in a deck; a new one is shuffled when it is used up.
DECK = {
    "upstream killed": 2, "upstream killed, back with another password": 1, "upstream hung": 2,
    "streams and terminals cut by the upstream": 2, "clients gone by reset": 2, "phone's server down": 2,
    "events cut": 1, "reload": 1, "reload of a broken file": 1, "password changed": 2, "htpasswd file changed": 1,
}  # fmt: skip
_PATIENCE = 60  # seconds, for what the gateway has to do


@dataclass
class Window:
    """In which a client may meet what was done, and by which kind of it."""

    kind: str
    since: float
    until: float = float("inf")

    # What it can explain. A hung upstream, a reload, a storm, an outage of the phone's server explain nothing: everybody
    # else has to be served, late at worst.
    KILLS = ("upstream killed", "upstream killed, back with another password")
    CUTS = ("streams and terminals cut by the upstream",)


class Faults:
    def __init__(self, soak):
        self.soak = soak
        self.dice = soak.dice
        self.met = Counter()
        self.windows = []
        self.problems = []  # what did not come to pass as it has to
        self.busy = False
        self.stopping = False
        self.htpasswd_users = 0
        self.longest_hang = 0.0
        self._deck = []

    def next(self):
        """Does one, and sees to the next."""
        if self.stopping:
            return
        if not self._deck:
            self._deck = [kind for kind, times in DECK.items() for _ in range(times if not self.soak.smoke else 1)]
            self.dice.shuffle(self._deck)
        kind = self._deck.pop()
        self.met[kind] += 1
        self.busy = True
        window = Window(kind, time.monotonic())
        self.windows.append(window)
        what = {
            "upstream killed": self._kill, "upstream killed, back with another password": self._kill_and_rotate,
            "upstream hung": self._hang, "streams and terminals cut by the upstream": self._cut,
            "clients gone by reset": self._storm, "phone's server down": self._outage, "events cut": self._cut_events,
            "reload": self._reload, "reload of a broken file": self._broken_reload,
            "password changed": self._change_password, "htpasswd file changed": self._change_htpasswd,
        }[kind]  # fmt: skip
        what(window)

    def upstream_is_well(self):
        return not (self.busy and self.windows[-1].kind in (*Window.KILLS, "upstream hung"))

    def _over(self, window):
        window.until = time.monotonic()
        self.busy = False
        low, high = (1.0, 2.5) if self.soak.smoke else (2.0, 6.0)
        self.soak.after(self.dice.uniform(low, high), self.next)

    def _poll(self, window, done, what, then=None):
        """Until `done()`; then `then()`, and it is over."""
        deadline = time.monotonic() + _PATIENCE

        def look():
            if done():
                if then:
                    then()
                return self._over(window)
            if time.monotonic() > deadline:
                self.problems.append(f"{window.kind}: {what} within {_PATIENCE} s")
                return self._over(window)
            return self.soak.after(0.05, look)

        look()

    # The upstream.

    def _kill(self, window):
        self.soak.upstream.kill()

        def back():
            self.soak.upstream.start()
            self._over(window)

        self.soak.after(self.dice.choice((0, 0.1, 0.5, 1, 2, 3)), back)

    def _kill_and_rotate(self, window):
        upstream, opencode = self.soak.upstream, self.soak.opencode
        upstream.kill()
        upstream.password = opencode.password = secrets.token_urlsafe(12)
        self.soak.replace("upstream", upstream.password + "\n")
        upstream.start()
        self._poll(window, lambda: self._status(self.soak.alice) == 200, "the new password is not used")

    def _hang(self, window):
        self.soak.upstream.hang()
        length = self.dice.uniform(0.5, 3 if self.soak.smoke else 8)
        self.longest_hang = max(self.longest_hang, length)

        def on():
            self.soak.upstream.go_on()
            self._over(window)

        self.soak.after(length, on)

    def _cut(self, window):
        self.soak.upstream.cut(self.dice.randint(5, 30))
        self._over(window)

    def _cut_events(self, window):
        self.soak.opencode.cut()
        self._over(window)

    # The clients and the phone.

    def _storm(self, window):
        self.soak.load.tell(f"storm {self.dice.randint(5, 30 if self.soak.smoke else 200)}")
        self._over(window)

    def _outage(self, window):
        weather = self.soak.incidents.weather
        weather.kind = self.dice.choice(WEATHERS)

        def over():
            weather.kind = None
            self._over(window)

        self.soak.after(self.dice.uniform(1, 4 if self.soak.smoke else 8), over)

    # The gateway's files.

    def _reload(self, window):
        self.soak.realm = f"soak {self.met[window.kind]}"
        self.soak.write_config()
        self._poll(window, lambda: self._realm() == self.soak.realm, "the new file does not hold")

    def _broken_reload(self, window):
        gateway = self.soak.gateway
        failed = gateway.program.said["reload_failed"]
        good = gateway.config_path.read_text(encoding="utf-8")
        gateway.write_config(self.dice.choice(("{ not json", good.replace('"limits"', '"limitz"'))))

        def mended():
            gateway.write_config(good)
            if self._realm() != self.soak.realm or self._status(self.soak.alice) != 200:
                self.problems.append("a broken file changed something")

        self._poll(window, lambda: gateway.program.said["reload_failed"] > failed, "a broken file is not told", mended)

    def _change_password(self, window):
        soak = self.soak
        before, soak.carol = soak.carol, secrets.token_urlsafe(12)
        soak.load.tell("changing " + machinery.credentials("carol", soak.carol))
        # The load has to know before the gateway does.
        heard = len(soak.load.obeyed)

        def written():
            if len(soak.load.obeyed) == heard:
                return soak.after(0.01, written)
            reloads = soak.gateway.program.said["reloaded"]
            soak.replace("carol", soak.carol + "\n")
            new, old = (Client(soak.gateway.address, "carol", password, timeout=30) for password in (soak.carol, before))

            def holds():
                reloaded = soak.gateway.program.said["reloaded"] > reloads  # all threads, not only who was asked
                return reloaded and self._status(new) == 200 and self._status(old) == 401

            return self._poll(window, holds, "the new password does not hold", lambda: soak.load.tell("changed"))

        written()

    def _change_htpasswd(self, window):
        self.htpasswd_users += 1
        name = f"guest{self.htpasswd_users}"
        line = subprocess.run(
            ["htpasswd", "-n", "-i", "-B", "-C", "5", name], input="secret", stdout=subprocess.PIPE, text=True, check=True
        ).stdout.strip()
        self.soak.replace("htpasswd", self.soak.bob_line + "\n" + line + "\n")
        guest = Client(self.soak.gateway.address, name, "secret", timeout=30)
        self._poll(window, lambda: self._status(guest) == 200, "a new user is not let in")

    def _status(self, client):
        try:
            return client.get("/soak/bytes?n=10&at=0").status
        except (OSError, Truncated):
            return None

    def _realm(self):
        try:
            asked = Client(self.soak.gateway.address).get("/soak/bytes?n=10&at=0").header("www-authenticate") or ""
        except (OSError, Truncated):
            return None
        return asked.partition('realm="')[2].partition('"')[0]
