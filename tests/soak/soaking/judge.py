"""What the soak came to: which of the clients' troubles were caused, and which were the gateway's; whether memory and
descriptors stay; the report."""

import json
import statistics
from collections import Counter

from .faults import Window


# Seconds for which bytes of before a fault may still be on their way through the gateway, and its end not yet heard.
GRACE = 1.0


def explained_by(trouble, windows):
    """The fault that lies in the time of a trouble and can cause it, or None."""
    if not trouble["soft"]:
        return None
    long_lived = trouble["trouble"].startswith(("stream", "slow stream", "stalled stream", "terminal"))
    for window in windows:
        can = window.kind in Window.KILLS or (window.kind in Window.CUTS and long_lived and trouble["how"] == "cut")
        if can and window.since <= trouble["until"] and trouble["since"] <= window.until + GRACE:
            return window.kind
    return None


def relative(trouble, began):
    return trouble | {key: round(trouble[key] - began, 3) for key in ("since", "until")}


def sort_troubles(troubles, windows):
    """(how many were explained by what, those that were not)."""
    explained, unexpected = Counter(), []
    windows = sorted(windows, key=lambda window: window.since)
    for one in troubles:
        kind = explained_by(one, windows)
        if kind:
            explained[kind] += 1
        else:
            unexpected.append(one)
    return explained, unexpected


def quarters(samples, key):
    """Medians of four equal parts."""
    if len(samples) < 8:
        return []
    size = len(samples) / 4
    parts = [samples[int(n * size) : int((n + 1) * size)] for n in range(4)]
    return [statistics.median(one[key] for one in part) for part in parts]


def per_minute(samples, key, began):
    minutes = {}
    for one in samples:
        minutes.setdefault(int((one["at"] - began) // 60), []).append(one[key])
    return [round(statistics.median(values), 1) for _, values in sorted(minutes.items())]


def flat(values, share, more):
    """Whether the last quarter is not above the second by more than `share` of it and `more`: the first still warms
    up."""
    return len(values) == 4 and values[3] <= values[1] * (1 + share) + more


def markdown(report):
    def table(title, rows):
        return [f"## {title}", "", "| | |", "|---|---:|", *(f"| {key} | {value} |" for key, value in rows.items()), ""]

    lines = [
        "# Soak", "",
        f"{report['minutes']:.1f} minutes, seed {report['seed']}, {report['gateway']}: "
        + ("**good**" if report["good"] else "**not good**: " + "; ".join(report["wrong"])), "",
        *table("Held", report["held"]),
        *table("Done", report["done"]),
        *table("Faults", report["faults"]),
        *table("Troubles of clients that a fault explains", report["explained"]),
        *table("Notifications", report["notifications"]),
        *table("At the end", report["end"]),
    ]  # fmt: skip
    lines += [f"## Unexpected: {len(report['unexpected'])}", ""]
    lines += [f"- {json.dumps(one)}" for one in report["unexpected"][:50]] or ["None."]
    lines += ["", "## Minute by minute (medians)", "", "| minute | RSS MiB | descriptors | streams | terminals | CPU % |",
              "|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    columns = report["per_minute"]
    for n, row in enumerate(zip(*columns.values())):
        lines.append("| " + " | ".join(str(value) for value in (n, *row)) + " |")
    return "\n".join(lines) + "\n"
