"""Waiting for what nobody announces: it is asked for again and again."""

import time


def until(wanted, timeout=30.0, every=0.01, what="it"):
    """`wanted()`'s first truthy result. AssertionError when there is none in time, with `what`: a text, or what gives
    one then."""
    deadline = time.monotonic() + timeout
    while not (found := wanted()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what() if callable(what) else what}")
        time.sleep(every)
    return found
