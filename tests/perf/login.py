#!/usr/bin/env python3
"""Logins that fail cost the same, whatever is wrong with them: counted in instructions by callgrind, no clock is asked.

  login.py               a name that nobody has, a wrong password, one that is right but for its last letter, somebody
                         else's: within 1 % of each other, with passwords in clear, with hashes, and with both; with
                         hashes the right one, too, when it is seen for the first time
  login.py --times       the clock's word on it, for a person: ROUNDS logins of each kind in turn, and statistics

OCGATE_LOGIN names the program (tests/perf/login.cpp), built as what ships is. Status 77: cannot run here, and why.
"""

import pathlib
import sys
import tempfile

import counting

TOLERANCE = 0.01
CASES = {
    "plain": ("unknown", "wrong", "near", "other"),
    "hashed": ("unknown", "wrong", "near", "other", "right"),
    "mixed": ("unknown", "wrong", "near", "clear", "right"),
}
# How many logins are counted. What a thread costs to wake differs from run to run, which is little beside a hash.
LOGINS = {"plain": 1000, "hashed": 10, "mixed": 10}
ROUNDS = {"plain": 50000, "hashed": 150, "mixed": 150}


def login():
    return counting.program("OCGATE_LOGIN")


def instructions(what, kind, case, folder):
    words = [login(), what, kind, case, str(LOGINS[kind])]
    # Of all threads together: a login may be judged on another one.
    return counting.callgrind(words, folder / f"{what}-{kind}-{case}")


def compare():
    failed = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for kind, logins in LOGINS.items():
            without = instructions("idle", kind, "unknown", folder)
            cost = {case: (instructions("count", kind, case, folder) - without) / logins for case in CASES[kind]}
            usual = cost["unknown"]
            print(f"{kind}: " + ", ".join(f"{case} {c:.0f} ({c / usual - 1:+.2%})" for case, c in cost.items()))
            failed += [f"{kind} {case}" for case, c in cost.items() if abs(c / usual - 1) > TOLERANCE]
    return failed


def times():
    for kind, rounds in ROUNDS.items():
        print(counting.run([login(), "time", kind, str(rounds)]), end="")
    return []


def main():
    def measure():
        failed = times() if sys.argv[1:] == ["--times"] else compare()
        if failed:
            print(f"told apart from a name that nobody has: {', '.join(failed)}")
        return failed

    counting.end(measure)


if __name__ == "__main__":
    main()
