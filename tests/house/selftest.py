"""The exit status of the checks' own tests: 0 passed, 1 failed, 77 something was skipped, which says why."""

import sys
import unittest

SKIPPED = 77


def main():
    outcome = unittest.main(module="__main__", exit=False).result
    for test, reason in outcome.skipped:
        print(f"SKIPPED {test}: {reason}")
    sys.exit(1 if not outcome.wasSuccessful() or not outcome.testsRun else SKIPPED if outcome.skipped else 0)
