"""What a second shard does: throughput where there are cores for it, CPU per request anywhere, and who gets what.

Two shards need two cores of their own, and load and upstream two more. With fewer, their throughput says only what the
load left over, and is not given. CPU per request is: two shards at work at once, each pinned to a core, against one on
the first of these cores. It should be the same; what shards share (counters, the log's queue, the kernel's tables)
shows there.
"""
import os
import pathlib
import threading
import time

from . import targets
from .machine import say
from .workloads import Workload, requests

NAME = "shards"  # of this part, for --only
BUSY = 0.95  # of its cores: below, something else was the limit
BALANCE_STREAMS = (1000, 16)
THREAD_NAME = "ocgate-shard"


class Shards(targets.Ocgate):
    """Each shard's thread on a core of its own; what else the process has to do (the log), wherever there is room."""

    def __init__(self, bench, at):
        super().__init__(bench)
        self.threads = len(at)
        self.at = at
        self.cores = set(bench.machine.shard_cores)

    @property
    def name(self):
        where = " and ".join(map(str, self.at))
        return f"{self.threads} shard{'s' if self.threads > 1 else ''}, core {where}"

    def start(self):
        super().start()
        at = iter(self.at)
        for task in sorted(pathlib.Path(f"/proc/{self.process.pid}/task").iterdir(), key=lambda t: int(t.name)):
            if (task / "comm").read_text().strip() == THREAD_NAME:
                os.sched_setaffinity(int(task.name), {next(at)})


def workload(quick):
    return Workload("shards", "GET 300 B, 64 connections", requests(12000 if quick else 40000, connections=64))


def sockets_of_loops(pid):
    """How many sockets each event loop of the process watches: the kernel lists them for each epoll descriptor."""
    found = {}
    for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            if link.readlink().name == "anon_inode:[eventpoll]":
                found[link.name] = pathlib.Path(f"/proc/{pid}/fdinfo/{link.name}").read_text().count("tfd:")
        except OSError:
            pass  # closed meanwhile
    return found


def at_rest(pid):
    """The same, when what went before is over."""
    before = None
    for _ in range(50):
        now = sockets_of_loops(pid)
        if now == before:
            break
        before = now
        time.sleep(0.1)
    return now


def balance(bench, target, streams):
    """The fuller shard's share of that many event streams that stay."""
    pid = target.process.pid
    words = ["idle", "--kind", "events", "--connections", streams, "--milliseconds", 1500]
    result = []
    target.wake()
    loading = threading.Thread(target=lambda: result.append(bench.load(words, target)))
    idle = at_rest(pid)
    loading.start()
    most = {}
    while loading.is_alive():
        now = {loop: count - idle.get(loop, 0) for loop, count in sockets_of_loops(pid).items()}
        if sum(now.values()) > sum(most.values()):
            most = now
        time.sleep(0.1)
    loading.join()
    target.rest()
    if isinstance(result[0], str):
        bench.failures.append(f"{target.name}, {streams} event streams: {result[0]}")
        return None
    # A stream is two sockets of its shard: the client's and opencode's, and one of these may have been there before.
    shards = sorted(most.values(), reverse=True)[:target.threads]
    if len(shards) < target.threads or sum(shards) < streams:
        return None  # not seen while all were open: the machine was too busy
    return {"streams": streams, "sockets": shards, "fuller_share": round(max(shards) / sum(shards), 3)}


def cpu_of(measured):
    return measured["cpu_ns"] / measured["units"]


def rate_of(measured):
    return measured["units"] / measured["seconds"]


def measure(bench):
    """What report.py shows of it, or None when there is no gateway."""
    say("measuring one shard and two")
    cores = bench.machine.shard_cores
    one, two = Shards(bench, cores[:1]), Shards(bench, cores)
    among = [one, two]
    started = [t for t in among if bench.start_target(t)]
    try:
        if started != among or len(cores) < 2:
            return None
        work = workload(bench.options.quick)
        for number in range(bench.options.shard_rounds):
            bench.one_round([work], among, number)
        streams = [min(s, bench.machine.most_streams) for s in BALANCE_STREAMS]
        balances = [b for b in (balance(bench, two, s) for s in streams) if b]
    finally:
        for target in started:
            target.stop()
    found = bench.results[work.name]
    rounds = [r for r in zip(*(found.get(t.name, []) for t in among)) if all(r)]
    if not rounds:
        return None
    out = {"title": work.title, "rounds": found, "balance": balances,
           "cpu_ratio": [cpu_of(b) / cpu_of(a) for a, b in rounds]}
    if bench.machine.has_cores_for_shards:
        out["throughput_ratio"] = [rate_of(b) / rate_of(a) for a, b in rounds]
        # Of two cores; the log's thread counts too, and only makes them look busier.
        out["busy"] = [min(1.0, b["cpu_ns"] / 1e9 / b["seconds"] / 2) for _, b in rounds]
    return out
