#!/usr/bin/env python3
"""slowhttptest (Debian's package of that name) against the gateway, in all its modes; a report of what was seen.

  slowhttp.py [--seconds S] [--connections N] [--report FILE]

-H slow heads, -B slow bodies, -R overlapping ranges, -X slow readers: each for S seconds (default 20) with N
connections (default 800), against a stand-in for opencode. Meanwhile a client of its own asks for a page every 20 ms; it
has to be answered, whatever the others do. 0: it always was, and the others did what they were to do: the gateway met
half of them at least, and where they hold connections, as many were held at once; and afterwards the gateway has no more
descriptors open than before. 77: the tool is not there.
"""

import argparse
import csv
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from kit import gateway
from kit.crowd import PlainUpstream, cpu_seconds, open_descriptors
from kit.wire import basic

HEALTH = "/global/health"
ENDINGS = ("Hit test time limit", "No open connections left")  # of an attack that took place


def modes(address, login):
    """(what, arguments, whether it can hold connections, what the gateway counts of it). Cookies are put into the head
    as they are, so that they can bring the login along. Who is refused by the head alone holds nothing: who is not
    logged in, and 3,000 ranges, which are more than a head may have."""
    known = f"c=1\r\nAuthorization: {login}"
    page, large = f"http://{address}/session", f"http://{address}/large"
    return [
        ("slow heads (-H)", ["-H", "-i", "2", "-x", "24", "-u", page],
         True, ("ocgate_errors_total", {"step": "request_head", "reason": "timed_out"})),
        ("slow bodies (-B), not logged in", ["-B", "-i", "2", "-s", "8192", "-x", "10", "-u", page],
         False, ("ocgate_auth_requests_total", {"result": "missing"})),
        ("slow bodies (-B), logged in", ["-B", "-i", "2", "-s", "8192", "-x", "10", "-j", known, "-u", page],
         True, ("ocgate_errors_total", {"step": "request_body", "reason": "timed_out"})),
        ("ranges (-R), logged in", ["-R", "-a", "1", "-b", "3000", "-t", "GET", "-j", known, "-u", page],
         False, ("ocgate_errors_total", {"step": "request_head", "reason": "head_too_large"})),
        ("slow readers (-X), logged in",
         ["-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "3", "-j", known, "-u", large],
         True, ("ocgate_errors_total", {"step": "response_body"})),
    ]  # fmt: skip


class Asker:
    """Somebody who means no harm."""

    def __init__(self, started):
        self.client = started.client(timeout=20)
        self.took, self.failed = [], []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self):
        while not self._over.is_set():
            began = time.monotonic()
            try:
                answer = self.client.get(HEALTH)
                if answer.status != 200:
                    self.failed.append(str(answer.status))
            except Exception as error:
                self.failed.append(repr(error))
            self.took.append((time.monotonic() - began) * 1000)
            self._over.wait(0.02)

    def end(self):
        self._over.set()
        self._thread.join()


def run_mode(what, arguments, holds, counted, options, folder, started):
    base = folder / "report"
    words = ["slowhttptest", "-c", options.connections, "-r", 400, "-l", options.seconds, "-p", 5, "-g", "-o", base]
    pid = started.program.pid
    started.program.reset_peak()
    before = started.program.status_kb("VmRSS")
    opened = open_descriptors(pid)
    name, labels = counted
    met = started.metric(name, **labels)
    used, began = cpu_seconds(pid), time.monotonic()
    asker = Asker(started)
    done = subprocess.run(
        [str(word) for word in words + arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", timeout=options.seconds + 60, check=False,
    )  # fmt: skip
    asker.end()
    took = time.monotonic() - began
    said = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", done.stdout)
    ending = re.findall(r"Exit status:\s*(.*)", said)
    rows = list(csv.DictReader(base.with_suffix(".csv").open())) if base.with_suffix(".csv").exists() else []
    deadline = time.monotonic() + 30
    while open_descriptors(pid) > opened + 8 and time.monotonic() < deadline:  # some stay idle to opencode
        time.sleep(0.2)
    number = lambda key: max((int(row[key]) for row in rows if (row.get(key) or "").strip().isdigit()), default=0)
    return {
        "what": what,
        "ending": ending[-1].strip() if ending else f"exit {done.returncode}",
        "seconds": took,
        "connected": number("Connected"),
        "holds": holds,
        "closed": number("Closed"),
        "met": int(started.metric(name, **labels) - met),
        "gets": len(asker.took),
        "failed": asker.failed,
        "p50": statistics.median(asker.took),
        "max": max(asker.took),
        "cpu": (cpu_seconds(pid) - used) / took,
        "before": before,
        "peak": started.program.status_kb("VmHWM"),
        "left": open_descriptors(pid) - opened,
    }


def doubts(seen, connections):
    """Why this was no attack."""
    found = []
    if seen["ending"] not in ENDINGS:
        found.append(f"it ended with: {seen['ending']}")
    for what in ("connected", "met") if seen["holds"] else ("met",):
        if seen[what] < connections / 2:
            found.append(f"{seen[what]} of {connections} connections were {what}")
    return [f"{seen['what']}: {one}" for one in found]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--connections", type=int, default=800)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    if not shutil.which("slowhttptest"):
        print("SKIPPED: slowhttptest is not installed")
        return 77
    upstream = PlainUpstream()
    env = {"UPSTREAM_PASSWORD": upstream.password}
    config = {
        "upstream": {"username": upstream.username, "password": {"env": "UPSTREAM_PASSWORD"}},
        "access_log": False,
        "timeouts": {"idle_body": "10s"},
    }
    started = gateway.Gateway(upstream.address, username="alice", config=config, env=env)
    lines = [
        f"# slowhttptest: {options.connections} connections for {options.seconds} s each",
        "",
        "| mode | ended | most connected at once | closed | counted | others: GETs, failed | p50, max ms "
        "| processor | resident before, peak MB | descriptors left |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    failed, doubtful = [], []
    try:
        login = basic(started.username, started.password)
        for what, *how in modes(started.address, login):
            with tempfile.TemporaryDirectory() as folder:
                seen = run_mode(what, *how, options, Path(folder), started)
            failed += seen["failed"]
            if seen["left"] > 8:
                failed.append(f"{what}: {seen['left']} descriptors are left of it")
            doubtful += doubts(seen, options.connections)
            lines.append(
                f"| {what} | {seen['ending']} | {seen['connected']} | {seen['closed']} | {seen['met']} "
                f"| {seen['gets']}, {len(seen['failed'])} | {seen['p50']:.1f}, {seen['max']:.0f} | {seen['cpu'] * 100:.0f} % | "
                f"{seen['before'] / 1024:.1f}, {seen['peak'] / 1024:.1f} | {seen['left']} |"
            )
            print(lines[-1], flush=True)
        errors = [
            line for line in started.admin().get("/metrics").body.decode().splitlines()
            if line.startswith("ocgate_errors_total") and not line.endswith(" 0")
        ]  # fmt: skip
        lines += ["", "What the gateway counted:", "", "```", *errors, "```"]
    finally:
        started.close()
        upstream.close()
    print("\n".join(lines))
    if options.report:
        options.report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for what in failed[:10]:
        print(f"an honest client was not served, or something stays: {what}", file=sys.stderr)
    for what in doubtful:
        print(f"no attack: {what}", file=sys.stderr)
    return 1 if failed or doubtful else 0


if __name__ == "__main__":
    sys.exit(main())
