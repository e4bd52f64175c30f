"""What the raw measurements say. Everything is worked out within a round, where all saw the same machine, and only then
the median is taken; None stands for what was not measured."""
import statistics

from .targets import NO_LOG, PEER_NAMES


def median(values):
    kept = [v for v in values if v is not None]
    return statistics.median(kept) if kept else None


class Figures:
    def __init__(self, results):
        self.results = results

    def measured(self, name):
        return any(any(by_target.get(name, [])) for by_target in self.results.values())

    def names_in(self, workloads, among):
        """Those of the targets that any of the workloads was measured with."""
        return [n for n in among if any(any(self.results.get(w.name, {}).get(n, [])) for w in workloads)]

    def each_round(self, workload, name, value):
        return [value(m) if m else None for m in self.results.get(workload.name, {}).get(name, [])]

    def costs(self, workload, name):
        """CPU per unit of work, or bytes per stream, as the table shows it."""
        if workload.memory:
            return self.each_round(workload, name, lambda m: (m["resident_with"] - m["resident_before"]) / m["units"])
        if name == "direct":
            return []
        return self.each_round(workload, name,
                               lambda m: m["cpu_ns"] / m["units"] * workload.scale if m["units"] else None)

    def rates(self, workload, name):
        return self.each_round(workload, name, lambda m: m["units"] / m["seconds"])

    def latencies(self, workload, name, key):
        return self.each_round(workload, name, lambda m: m[key])

    def added(self, workload, name, key):
        """Latency less that without a proxy in the same round."""
        return [a - b if a is not None and b is not None else None
                for a, b in zip(self.latencies(workload, name, key), self.latencies(workload, "direct", key))]

    @staticmethod
    def against(ours, theirs, combine):
        """`combine(ours, the best of theirs)`, round by round; None where anyone is missing."""
        out = []
        for at, own in enumerate(ours):
            others = [t[at] for t in theirs if at < len(t) and t[at] is not None]
            out.append(combine(own, min(others)) if own is not None and others and len(others) == len(theirs) else None)
        return out

    def peers(self, workload, name):
        """Those with the same duty as `name`, which the targets of the project are about."""
        suffix = NO_LOG if name.endswith(NO_LOG) else ""
        return self.names_in([workload], [p + suffix for p in PEER_NAMES])

    def ratios(self, workload, name, over=None):
        """Cost over that of the better of `over` (default: nginx and HAProxy with the same duty)."""
        theirs = [self.costs(workload, p) for p in over or self.peers(workload, name)]
        return self.against(self.costs(workload, name), theirs, lambda a, b: a / b if b > 0 else None)

    def added_beyond(self, workload, name, key):
        """How much more latency than the better peer adds."""
        theirs = [self.latencies(workload, p, key) for p in self.peers(workload, name)]
        return self.against(self.latencies(workload, name, key), theirs, lambda a, b: a - b)
