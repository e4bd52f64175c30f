"""What the gateway is to reach, and whether it did. `ratio`: its cost over the better of nginx and HAProxy, all with
everything on. The limits are the project's; a miss is shown, never a failed run."""
import dataclasses

from .figures import median
from .targets import NO_LOG

OURS = "ocgate"
WINDOW_BYTES = 32 * 1024
MB = 1e6


@dataclasses.dataclass
class Verdict:
    what: str
    goal: str
    values: list  # one for each round, or one
    limit: float
    show: object  # value -> text
    note: str = ""

    @property
    def value(self):
        return median(self.values)

    @property
    def met(self):
        return self.value <= self.limit

    @property
    def spread(self):
        kept = [v for v in self.values if v is not None]
        return f"{self.show(min(kept))} … {self.show(max(kept))}" if len(kept) > 1 else ""

    @property
    def outcome(self):
        if self.met:
            return "met"
        return f"missed by {self.value / self.limit - 1:.0%}" if self.limit > 0 else "missed"


def as_ratio(value):
    return f"{value:.2f}"


def as_bytes(value):
    return f"{value:,.0f} B"


def as_us(value):
    return f"{value:+,.0f} µs"


RATIOS = [("small", 0.80), ("20k", 0.60), ("chunked", 0.60), ("fresh", 0.90), ("401", 0.80), ("down", 0.70),
          ("up", 0.70), ("events", 0.80), ("events-stalled", 0.80), ("events-many", 0.80), ("events-spread", 0.80),
          ("flood", 0.80), ("upload", 0.80)]
NOT_ABOVE = [("rate", "added p99"), ("events", "added p99"), ("events-stalled", "added p99"),
             ("events-many", "added p99"), ("events-spread", "added p99"), ("echo", "p99")]
PER_STREAM = [("idle-events", 3 * 1024), ("idle-websocket", 3 * 1024), ("slow-", WINDOW_BYTES)]
OF_PROCESS = [("start to first answered request", "start_to_first_answer_ms", 50, "< 50 ms", lambda v: f"{v:.0f} ms"),
              ("resident when idle", "resident_idle_bytes", 12 * MB, "< 12 MB", lambda v: f"{v / MB:.1f} MB"),
              ("binary, stripped", "binary_stripped_bytes", 6 * MB, "< 6 MB", lambda v: f"{v / MB:.1f} MB")]
LIMIT_OF = dict(RATIOS)
LOG_COST = 1.10
SHARDS_SPEEDUP = 1.8


def verdicts(figures, plan, facts, shards):
    by_name = {w.name: w for w in plan}
    found = []
    for name, limit in RATIOS:
        if name in by_name:
            w = by_name[name]
            kind = "CPU per GB" if w.cost_unit == "ms/GB" else "CPU"
            found.append(Verdict(f"{w.title}: {kind}", f"≤ {limit:.2f} × the better peer", figures.ratios(w, OURS),
                                 limit, as_ratio))
    for name, what in NOT_ABOVE:
        if name in by_name:
            w = by_name[name]
            found.append(Verdict(f"{w.title}: {what}", "not above the better peer's",
                                 figures.added_beyond(w, OURS, "p99_us"), 0, as_us))
    for w in plan:
        for start, limit in PER_STREAM:
            if w.memory and w.name.startswith(start):
                found.append(Verdict(f"{w.title}: memory of each", f"≤ {limit / 1024:.0f} KiB",
                                     figures.costs(w, OURS), limit, as_bytes))
    for title, key, limit, goal, show in OF_PROCESS:
        if key in facts:
            found.append(Verdict(title, goal, [facts[key]], limit, show))
    if "small" in by_name:
        found.append(Verdict("access log: what it adds to a small GET", f"≤ {LOG_COST:.2f} × without",
                             figures.ratios(by_name["small"], OURS, [OURS + NO_LOG]), LOG_COST, as_ratio,
                             "metrics cannot be turned off, so this is the log alone"))
    if shards and "throughput_ratio" in shards:
        found.append(Verdict("2 shards: one shard's throughput over theirs", f"≤ {1 / SHARDS_SPEEDUP:.2f}",
                             [1 / r for r in shards["throughput_ratio"]], 1 / SHARDS_SPEEDUP, as_ratio))
    return [v for v in found if v.value is not None]
