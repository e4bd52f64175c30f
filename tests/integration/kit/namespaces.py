"""Networks of one's own, as the parts of a cluster have them: Linux network namespaces on a bridge.

They have no names, so that nothing is left behind: they go with this process. Needs root, or a user namespace
(`own_user_namespace`).
"""

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import sys
import threading

from . import opencode
from .opencode import Unavailable
from .wire import Client

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def own_user_namespace():
    """Starts this program again as root of a user namespace, unless it is root. Returns where that is not possible."""
    if os.geteuid() == 0 or not shutil.which("unshare"):
        return
    unshare = ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
        return
    try:
        os.environ["OPENCODE_BINARY"] = opencode.binary()  # there is no network to fetch it by in there
    except Unavailable:
        return
    os.execvp("unshare", [*unshare, sys.executable, *sys.argv])


def _call(function, *arguments):
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function.__name__}: {os.strerror(number)}")


def _new_namespace():
    """A descriptor that keeps it alive."""
    made = []

    def make():  # in a thread, since only that thread changes over
        try:
            _call(_libc.unshare, _CLONE_NEWNET)
            made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise Unavailable(f"no network namespaces here: {made[0]}")
    return made[0]


class Network:
    """Places, each a host of its own at `address(place)`, with their own loopback, on the bridge of the first one."""

    def __init__(self, *places):
        if not shutil.which("ip"):
            raise Unavailable("no network namespaces here: `ip` is missing (Debian's package iproute2)")
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._places = {}
        try:
            for place in places:
                self._places[place] = _new_namespace()
            self._connect(places)
        except BaseException:
            self.close()
            raise

    def _connect(self, places):
        first = places[0]
        self.ip(first, "link", "add", "bridge", "type", "bridge")
        self.ip(first, "addr", "add", f"{self.address(first)}/24", "dev", "bridge")
        self.ip(first, "link", "set", "bridge", "up")
        for place in places:
            self.ip(place, "link", "set", "lo", "up")
            if place == first:
                continue
            there = f"/proc/{os.getpid()}/fd/{self._places[place]}"
            port = f"to{list(places).index(place)}"
            self.ip(first, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", there)
            self.ip(first, "link", "set", port, "master", "bridge", "up")
            self.ip(place, "addr", "add", f"{self.address(place)}/24", "dev", "eth0")
            self.ip(place, "link", "set", "eth0", "up")

    def ip(self, place, *words):
        with self.inside(place):
            done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Unavailable(f"no network namespaces here: ip {' '.join(words)}: {done.stderr.strip()}")

    def unplug(self, place):
        """Cuts its cable to the bridge: nothing arrives any more, either way, and nobody is told."""
        self._set_cable(place, "down")

    def plug_in(self, place):
        self._set_cable(place, "up")

    def _set_cable(self, place, state):
        first, port = next(iter(self._places)), f"to{list(self._places).index(place)}"
        self.ip(first, "link", "set", port, state)

    def held_sockets(self, place, peer):
        """How many TCP connections of `place` lead to `peer` (IPv4) and belong to a program (proc(5), net/tcp)."""
        with self.inside(place), open("/proc/thread-self/net/tcp", encoding="ascii") as table:
            rows = [line.split() for line in table.readlines()[1:]]
        peer = f"{int.from_bytes(socket.inet_aton(self.address(peer)), sys.byteorder):08X}"
        return sum(row[2].startswith(peer) and row[9] != "0" for row in rows)

    def address(self, place):
        return f"10.87.0.{list(self._places).index(place) + 1}"

    @contextlib.contextmanager
    def inside(self, place):
        """This thread's new sockets, and the programs it starts, are there. A socket stays where it was made."""
        _call(_libc.setns, self._places[place], _CLONE_NEWNET)
        try:
            yield
        finally:
            _call(_libc.setns, self._home, _CLONE_NEWNET)

    def client(self, place, address, username=None, password=None):
        """A client of `address` that connects from `place`."""
        return _ClientThere(address, username, password, network=self, place=place)

    def close(self):
        for descriptor in [*self._places.values(), self._home]:
            os.close(descriptor)


class _ClientThere(Client):
    def __init__(self, *arguments, network, place):
        super().__init__(*arguments)
        self._network, self._place = network, place

    def connect(self, timeout=None):
        with self._network.inside(self._place):
            return super().connect(timeout)
