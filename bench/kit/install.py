"""Puts missing programs there from Debian's packages."""
import os
import pathlib
import shutil
import subprocess
import sys

from .machine import say

SYSTEM_PYTHON = "/usr/bin/python3"
PLOTTING = "python3-matplotlib"
PEERS = ("nginx", "haproxy", "caddy")


def plotting_python():
    """A Python that can draw: ours, or Debian's, which is the one that Debian's package is for. None without."""
    for python in dict.fromkeys((sys.executable, SYSTEM_PYTHON)):
        if not os.access(python, os.X_OK):
            continue
        done = subprocess.run([python, "-c", "import matplotlib"], capture_output=True, check=False)
        if done.returncode == 0:
            return python
    return None


def is_there(name):
    if name == PLOTTING:
        return plotting_python() is not None
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin") is not None


class Installation:
    """None of the peers' services runs meanwhile, afterwards or at boot.

    The bench needs the programs, not the services: those would take ports 80 and 443 of somebody's machine. Under
    systemd the units are masked while they are installed; the mask lives in /run, so that not even a bench that was
    killed leaves one behind for the next boot. System V's invoke-rc.d starts nothing in runlevel 1. Last, what runs
    all the same is stopped: the peer was not there before, so whatever runs now is this installation's doing.
    """

    def __init__(self, names):
        self.missing = [n for n in names if not is_there(n)]
        self.services = [n for n in self.missing if n in PEERS]
        self.as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        self.systemd = pathlib.Path("/run/systemd/system").is_dir()  # sd_booted(3)
        self.units = [f"{p}.service" for p in self.services]

    def obstacle(self):
        """Why nothing can be installed here, None when it can."""
        if not shutil.which("apt-get"):
            return "no apt-get here"
        if self.as_root:
            able = shutil.which("sudo") and subprocess.run(self.as_root + ["true"], capture_output=True,
                                                           check=False).returncode == 0
            return None if able else "needs root, or sudo without a password"
        return None

    def before(self):
        return [["systemctl", "mask", "--runtime", *self.units]] if self.systemd and self.units else []

    def refresh(self):
        return ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=60", "update"]

    def install(self, name):
        return ["env", "DEBIAN_FRONTEND=noninteractive", "PREVLEVEL=N", "RUNLEVEL=1", "apt-get", "-q", "-o",
                "DPkg::Lock::Timeout=60", "install", "-y", "--no-install-recommends", name]

    def after(self):
        unmask = [["systemctl", "unmask", "--runtime", *self.units]] if self.systemd and self.units else []
        if shutil.which("systemctl"):  # works on the files, whether or not systemd runs, and tells System V as well
            return unmask + [["systemctl", "disable", u] for u in self.units]
        return unmask + [["update-rc.d", p, "disable"] for p in self.services]

    def stop(self, peer):
        return ["systemctl", "stop", f"{peer}.service"] if self.systemd else ["service", peer, "stop"]

    @staticmethod
    def running(peer):
        for comm in pathlib.Path("/proc").glob("[0-9]*/comm"):
            try:
                if comm.read_text().strip() == peer:
                    return True
            except OSError:
                pass  # it ended meanwhile
        return False

    def execute(self, words):
        return subprocess.run(self.as_root + words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", check=False)

    def run(self):
        if not self.missing:
            return
        if why := self.obstacle():
            say(f"cannot install {', '.join(self.missing)}: {why}")
            return
        say(f"installing {', '.join(self.missing)} (no service is started)")
        ran_before = {p for p in self.services if self.running(p)}  # of another root file system: not ours to stop
        try:
            for words in self.before():
                self.execute(words)
            self.execute(self.refresh())
            for name in self.missing:  # one by one: a package that is not there must not take the others along
                done = self.execute(self.install(name))
                if done.returncode != 0:
                    say(f"apt-get could not install {name}: {' / '.join(done.stdout.strip().splitlines()[-2:])}")
        finally:
            for words in self.after():
                self.execute(words)
            for peer in self.services:
                if peer not in ran_before and self.running(peer):
                    self.execute(self.stop(peer))

    def print_plan(self):
        print("missing:", ", ".join(self.missing) or "nothing")
        if not self.missing:
            return
        if why := self.obstacle():
            print("cannot install:", why)
        steps = [*self.before(), self.refresh(), *map(self.install, self.missing), *self.after()]
        for words in steps:
            print(" ", *self.as_root, *words)
        for peer in self.services:
            print(f"  should {peer} run then:", *self.as_root, *self.stop(peer))
