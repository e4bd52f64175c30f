#!/usr/bin/env python3
"""Runs ctest and says what was skipped, and why, before ctest's summary, which stays the end of the output.

    skips.py [--strict] -- CTEST [ARGUMENT…]

The exit status is ctest's; with --strict it is 1, too, when a test was skipped that tests/may_skip does not foresee.
Names come from ctest's results, reasons from what the tests printed; a test that gave none is listed all the same.
"""

import argparse
import fnmatch
import re
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

MAY_SKIP = Path(__file__).resolve().parents[1] / "may_skip"
SUMMARY = re.compile(rb"\d+% tests passed, ")
# "SKIPPED: why" and "SKIPPED test (class): why" are our programs'; Google Test's is below "file:line: Skipped".
REASON = re.compile(r"^SKIPPED(?: [^:\n]*)?: *(.+)$|^.+:\d+: Skipped\n(.+)$", re.MULTILINE)
LONGEST = 300


def read_rules(text):
    """[(pattern of names, why)] of the file tests/may_skip."""
    rules = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            pattern, _, why = line.partition(" ")
            if not why.strip():
                raise ValueError(f"tests/may_skip:{number}: no reason is given for {pattern}")
            rules.append((pattern, why.strip()))
    return rules


def foreseen(name, rules):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern, _ in rules)


def reasons_in(output):
    found = dict.fromkeys((ours or googles).strip() for ours, googles in REASON.findall(output))
    text = "; ".join(found) or "no reason was given"
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def skipped_in(results):
    """[(name, reason)] of ctest's results (JUnit). What could not be started ctest counts as failed."""
    found = []
    for case in xml.parse(results).getroot().iter("testcase"):
        mark = case.find("skipped")
        if mark is not None and mark.get("message", "").startswith(("SKIP_", "Disabled")):
            found.append((case.get("name"), reasons_in(case.findtext("system-out") or "")))
    return sorted(found)


def told(skipped, rules, strict):
    """(text, whether that is a failure)"""
    surprises = [one for one in skipped if not foreseen(one[0], rules)] if strict else []
    lines = []
    if skipped:
        lines += [f"Skipped, {len(skipped)} in all:", *(f"  {name}: {reason}" for name, reason in skipped), ""]
    if surprises:
        lines += ["Not foreseen in tests/may_skip, so this run has failed, whatever the summary says:"]
        lines += [*(f"  {name}" for name, _ in surprises), ""]
    return "".join(f"{line}\n" for line in lines), bool(surprises)


def pass_on(stream, write):
    """Passes ctest's lines on as they come, up to its summary; returns that."""
    kept = b""
    for line in iter(stream.readline, b""):
        if kept or SUMMARY.match(line):
            kept += line
        else:
            write(line)
    return kept


def run(command, rules, strict):
    def write(data):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    signal.signal(signal.SIGINT, lambda *_: None)  # ctest hears of it, too, and ends; what it says then is passed on
    with tempfile.TemporaryDirectory(prefix="ocgate-test-") as folder:
        results = Path(folder, "results.xml")
        command = [*command, "--output-junit", results]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as ctest:
            summary = pass_on(ctest.stdout, write)
        status = ctest.returncode if ctest.returncode >= 0 else 128 - ctest.returncode
        failed = False
        try:
            text, failed = told(skipped_in(results), rules, strict)
            write(text.encode())
        except (OSError, xml.ParseError) as why:
            # As after `-N`, which runs nothing. A whole run has a summary, and then it has to be known what it skipped.
            failed = strict and bool(summary)
            if summary:
                write(f"ctest left no results to read, so what was skipped is not known: {why}\n\n".encode())
        write(summary)
    return status or (1 if failed else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("command", nargs="+", metavar="CTEST")
    options = parser.parse_args()
    return run(options.command, read_rules(MAY_SKIP.read_text(encoding="utf-8")), options.strict)


if __name__ == "__main__":
    sys.exit(main())
