"""What the programs that count have in common: the program they count, the tools they need, and why they cannot run."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

SKIPPED = 77


class CannotRun(Exception):
    pass


def program(variable):
    """The path that the environment names."""
    path = os.environ.get(variable, "")
    if not path or not pathlib.Path(path).exists():
        raise CannotRun(f"no {path or variable}: cmake --preset release && cmake --build --preset release")
    return path


def tool(name):
    if not shutil.which(name):
        raise CannotRun(f"{name} is not installed")
    return name


def run(words):
    """What it printed."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def callgrind(words, out, thread=None):
    """Instructions of the program `words`: of all its threads together, or of one, counted from 1."""
    separate = ["--separate-threads=yes"] if thread else []
    run([tool("valgrind"), "--tool=callgrind", *separate, f"--callgrind-out-file={out}", *words])
    told = pathlib.Path(f"{out}-{thread:02}" if thread else out).read_text(encoding="utf-8")
    return int(re.search(r"^(?:summary|totals): (\d+)", told, re.M).group(1))


def end(measure):
    """Runs `measure`, which gives what failed, and ends the program with the status of that."""
    try:
        sys.exit(1 if measure() else 0)
    except CannotRun as why:
        print(f"SKIPPED: {why}")
        sys.exit(SKIPPED)
