#!/usr/bin/env python3
"""What a unit of work costs, counted and compared with tests/perf/costs.json: no clock is asked.

  guard.py allocations     none per unit by the shard's thread once it has warmed up
  guard.py instructions    by callgrind; at most 5 % above the committed figure
  guard.py calls           system calls of the gateway per request with 32 connections at once, by strace
  guard.py watching        what metrics and access log cost per unit, in instructions and in CPU time; only told. (What
                           is counted in place, bytes and the like, is in all of them: a few instructions each)
  guard.py --write         measures all and writes costs.json

OCGATE_STEADY names the program (tests/perf/steady.cpp), built as what ships is. Everything is run with two counts of
units and the difference taken, so that starting and stopping cancel out. Status 77: cannot run here, and why.
"""
import json
import pathlib
import resource
import sys
import tempfile

import counting
from counting import CannotRun, run, tool

COSTS = pathlib.Path(__file__).with_name("costs.json")
KINDS = ("rest", "refused", "event", "frame")
TOLERANCE = 1.05
MOST_READS_AND_WRITES = 4.0  # two of each: the floor of a proxy
MOST_CALLS = 4.3  # with the share of every epoll_wait
# The clients' and the upstream's own in steady.cpp.
NOT_THE_GATEWAYS = {"read", "write"}
READS_AND_WRITES = {"recvfrom", "recvmsg", "sendto", "sendmsg", "readv", "writev"}


# What of the watching is left, as the program is told: all, without the lines of ordinary requests, without any lines,
# and neither lines nor metrics.
WATCHING = ("full", "sampled", "silent", "blind")
TIMED_UNITS, TIMED_ROUNDS = 20000, 7


def steady():
    return counting.program("OCGATE_STEADY")


def allocations():
    failed = []
    for kind in KINDS:
        counted = json.loads(run([steady(), kind, "2000"]))
        print(f"{kind}: {counted['allocations']} allocations in {counted['units']} units")
        # What gathers the log's lines may still grow, a handful of times, when the thread that empties it comes late.
        if counted["allocations"] * 100 > counted["units"]:
            failed.append(kind)
    return failed


def instructions_of(kind, units, folder, watching="full"):
    # Of the shard's thread alone, the first: the log's does its work when it comes to it.
    words = [steady(), kind, str(units), "1", watching]
    return counting.callgrind(words, folder / f"{kind}-{units}-{watching}", thread=1)


def instructions(watching="full"):
    units = 1000
    measured = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for kind in KINDS:
            few, many = (instructions_of(kind, n, folder, watching) for n in (units // 2, units + units // 2))
            measured[kind] = round((many - few) / units)
    return measured


def cpu_seconds(kind, watching):
    """User and system time of the whole program, the log's thread included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run([steady(), kind, str(TIMED_UNITS), "1", watching])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def watching():
    counted = {how: instructions(how) for how in WATCHING}
    # Interleaved, and the least of each: what else the machine does only ever adds.
    timed = {}
    for _ in range(TIMED_ROUNDS):
        for kind in KINDS:
            for how in WATCHING:
                took = cpu_seconds(kind, how) / TIMED_UNITS * 1e6
                timed[kind, how] = min(took, timed.get((kind, how), took))
    for kind in KINDS:
        bare = counted["blind"][kind]
        print(f"{kind}: {bare} instructions without metrics and access log")
        for how, what in (("silent", "metrics"), ("sampled", "metrics, no line of ordinary requests"),
                          ("full", "metrics and access log")):  # fmt: skip
            more = counted[how][kind] - bare
            print(f"  {what}: {more:+} instructions ({more / bare:+.1%}), "
                  f"{timed[kind, how] - timed[kind, 'blind']:+.2f} us of CPU")  # fmt: skip
    return []


def calls():
    """(reads and writes, all system calls) of the gateway per request."""
    counts = []
    for rounds in (20, 120):
        with tempfile.NamedTemporaryFile("r", suffix=".strace") as out:
            run([tool("strace"), "-f", "-c", "-o", out.name, steady(), "rest", str(rounds), "32"])
            counts.append(parse_strace(out.read()))
    few, many = counts
    difference = {name: many.get(name, 0) - few.get(name, 0) for name in many if name not in NOT_THE_GATEWAYS}
    # The log's own thread writes in batches, as it comes to it.
    for name in ("futex", "clock_nanosleep"):
        difference.pop(name, None)
    requests = 100 * 32
    moved = sum(n for name, n in difference.items() if name in READS_AND_WRITES)
    return moved / requests, sum(difference.values()) / requests


def parse_strace(text):
    counts = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 5 and words[0][0].isdigit() and words[-1] != "total":
            counts[words[-1]] = int(words[3])
    return counts


def compare_instructions():
    # glibc and OpenSSL choose their loops by what the processor can.
    if " avx2 " not in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"):
        raise CannotRun("the committed figures are those of an x86-64 processor with AVX2")
    committed = json.loads(COSTS.read_text(encoding="utf-8"))["instructions"]
    failed = []
    for kind, now in instructions().items():
        before = committed[kind]
        print(f"{kind}: {now} instructions, committed {before} ({now / before - 1:+.1%})")
        if now > before * TOLERANCE:
            failed.append(kind)
    return failed


def compare_calls():
    moved, every = calls()
    print(f"per request: {moved:.2f} reads and writes, {every:.2f} system calls in all")
    return ["calls"] if moved > MOST_READS_AND_WRITES + 0.01 or every > MOST_CALLS else []


def write():
    moved, every = calls()
    costs = {
        "what": "instructions per unit (callgrind; g++ 12.2, -O3, x86-64, Debian 12); system calls per request",
        "instructions": instructions(),
        "reads_and_writes": round(moved, 2),
        "calls": round(every, 2),
    }
    COSTS.write_text(json.dumps(costs, indent=2) + "\n", encoding="utf-8")
    print(COSTS.read_text(encoding="utf-8"))
    return []


def main():
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    parts = {"allocations": allocations, "instructions": compare_instructions, "calls": compare_calls,
             "watching": watching, "--write": write}  # fmt: skip
    if what not in parts:
        sys.exit(__doc__)

    def measure():
        failed = parts[what]()
        if failed:
            print(f"dearer than committed: {', '.join(failed)}. If that is worth it: tests/perf/guard.py --write")
        return failed

    counting.end(measure)


if __name__ == "__main__":
    main()
