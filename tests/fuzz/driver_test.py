#!/usr/bin/env python3
"""What breaks a target is kept, however it breaks: by a check of its own, or by a sanitizer's report.

    driver_test.py PROGRAM [SANITIZERS]     the program is broken.cpp with the driver; exit status 0 all well, 1 not
"""

import subprocess
import sys
import tempfile
from pathlib import Path


def run(program, *inputs):
    """(status, what was kept of the input, what it said) of one run."""
    with tempfile.TemporaryDirectory(prefix="ocgate-test-") as folder:
        link, corpus = Path(folder, "fuzz_broken"), Path(folder, "corpus")
        link.symlink_to(program)
        corpus.mkdir()
        for number, data in enumerate(inputs):
            (corpus / f"{number}").write_bytes(data)
        done = subprocess.run([link, corpus], capture_output=True, text=True, errors="replace", timeout=60, check=False)
        crash = Path(f"{link}.crash")
        return done.returncode, crash.read_bytes() if crash.exists() else None, done.stdout + done.stderr


def main():
    program = Path(sys.argv[1]).resolve()
    sanitizers = sys.argv[2].split(",") if len(sys.argv) > 2 else []
    failed = 0
    for how in ("abort", *(one for one in ("address", "undefined") if one in sanitizers)):
        status, kept, said = run(program, b"fine", how.encode(), b"not reached")
        good = status != 0 and kept == how.encode() and "the input is in " in said
        failed += not good
        print(f"{'ok  ' if good else 'FAIL'}  {how}: status {status}, kept {kept}{'' if good else said}")
    # No single input's fault: nothing is kept that would mislead.
    for how in ("fine", *(["leak"] if "address" in sanitizers else [])):
        status, kept, said = run(program, how.encode(), b"the last")
        good = (status == 0) == (how == "fine") and kept is None
        failed += not good
        print(f"{'ok  ' if good else 'FAIL'}  {how}: status {status}, kept {kept}{'' if good else said}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
