#!/usr/bin/env python3
"""Logins that fail cost the same, whatever is wrong with them: counted in instructions by callgrind, no clock is asked.

  login.py               a name that nobody has, a wrong password, somebody else's password: within 1 % of each other,
                         with passwords in clear, with hashes, and with both
  login.py --times       the clock's word on it, for a person: ROUNDS logins of each kind in turn, and statistics

OCGATE_LOGIN names the program (tests/perf/login.cpp), built as what ships is. Status 77: cannot run here, and why.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

TOLERANCE = 0.01
CASES = {
    "plain": ("unknown", "wrong", "other"),
    "hashed": ("unknown", "wrong", "other"),
    "mixed": ("unknown", "wrong", "clear"),
}
# How many logins are counted. What a thread costs to wake differs from run to run, which is little beside a hash.
LOGINS = {"plain": 1000, "hashed": 10, "mixed": 10}
ROUNDS = {"plain": 50000, "hashed": 150, "mixed": 150}
SKIPPED = 77


class CannotRun(Exception):
    pass


def program():
    path = os.environ.get("OCGATE_LOGIN", "")
    if not path or not pathlib.Path(path).exists():
        raise CannotRun(f"no {path or 'OCGATE_LOGIN'}: cmake --preset release && cmake --build --preset release")
    return path


def run(words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def instructions(kind, case, logins, folder):
    """Of all threads together: a login may be judged on another one."""
    if not shutil.which("valgrind"):
        raise CannotRun("valgrind is not installed")
    out = folder / f"{kind}-{case}-{logins}"
    run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", program(), "count", kind, case, str(logins)])
    return int(re.search(r"^(?:summary|totals): (\d+)", out.read_text(encoding="utf-8"), re.M).group(1))


def compare():
    failed = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for kind, logins in LOGINS.items():
            without = instructions(kind, "unknown", 0, folder)
            cost = {case: (instructions(kind, case, logins, folder) - without) / logins for case in CASES[kind]}
            usual = cost["unknown"]
            print(f"{kind}: " + ", ".join(f"{case} {c:.0f} ({c / usual - 1:+.2%})" for case, c in cost.items()))
            failed += [f"{kind} {case}" for case, c in cost.items() if abs(c / usual - 1) > TOLERANCE]
    return failed


def times():
    for kind, rounds in ROUNDS.items():
        print(run([program(), "time", kind, str(rounds)]), end="")
    return []


def main():
    try:
        failed = times() if sys.argv[1:] == ["--times"] else compare()
    except CannotRun as why:
        print(f"SKIPPED: {why}")
        sys.exit(SKIPPED)
    if failed:
        print(f"told apart from a name that nobody has: {', '.join(failed)}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
