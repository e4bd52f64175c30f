"""The machine: which core is whose, how many streams fit, and how to say it all in words."""
import os
import pathlib
import platform
import resource
import sys

HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "bench"


def say(text):
    print(text, file=sys.stderr, flush=True)


class CannotStart(Exception):
    """The bench as a whole is impossible here."""


class Unavailable(Exception):
    """One target or part is impossible here: it is skipped, and this is the reason."""


class Machine:
    def __init__(self):
        cores = sorted(os.sched_getaffinity(0))
        self.cores = len(cores)
        self.shared = len(cores) < 2
        self.proxy_core, self.load_core = cores[0], cores[-1]
        self.upstream_core = cores[-2] if len(cores) > 2 else cores[-1]
        # For two shards: cores of their own when two are left for load and upstream, else whatever there is.
        self.has_cores_for_shards = len(cores) >= 4
        self.shard_cores = cores[:2]
        self.load_before = os.getloadavg()[0]
        self.busy = self.load_before > 0.5
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 65536 if hard == resource.RLIM_INFINITY else hard
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        # A stream takes two descriptors of a proxy; some stay for everything else.
        self.most_streams = (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 256) // 2

    def facts(self):
        def first(path, key):
            for line in pathlib.Path(path).read_text().splitlines():
                if line.startswith(key):
                    return line.split(":", 1)[1].strip()
            return "unknown"

        memory = int(first("/proc/meminfo", "MemTotal").split()[0]) / 1024 / 1024
        return {
            "cores": self.cores,
            "processor": first("/proc/cpuinfo", "model name"),
            "memory_gib": round(memory, 1),
            "kernel": "Linux " + platform.release().split("-")[0],
            "system": platform.freedesktop_os_release().get("PRETTY_NAME", "Linux"),
            "load_average_before": round(self.load_before, 2),
            "most_streams": self.most_streams,
            "proxy_shares_core_with_load": self.shared,
        }

    def words(self):
        facts = self.facts()
        where = ("proxy, load and upstream share the only core" if self.shared else
                 "proxy, load and upstream have a core each" if self.upstream_core != self.load_core else
                 "the proxy has one core, load and upstream share the other")
        return (f"{facts['cores']} core{'s' if facts['cores'] != 1 else ''} of {facts['processor']}, "
                f"{facts['memory_gib']} GiB, {facts['kernel']}, {facts['system']}, load average before: "
                f"{facts['load_average_before']}; {where}")
