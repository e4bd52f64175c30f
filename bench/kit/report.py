"""What came out: JSON for programs, Markdown for people."""
import datetime
import statistics

from . import goals, real, shards
from .figures import Figures, median
from .targets import NO_LOG, PEER_NAMES

PERCENTILES = (("p50_us", "p50"), ("p99_us", "p99"), ("p999_us", "p99.9"))
OURS = goals.OURS


def short(value):
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


class Report:
    def __init__(self, bench, plan, rounds, shard_figures):
        self.bench, self.plan, self.rounds, self.shards = bench, plan, rounds, shard_figures
        self.real_plan = [w for w in real.workloads(bench.options.quick) if w.name in bench.results]
        self.figures = Figures(bench.results)
        self.facts = {}
        for target in bench.targets:
            if target.starts:
                target.facts["start_to_first_answer_ms"] = round(statistics.median(target.starts), 1)
            self.facts[target.name] = target.facts
        self.all_names = [t.name for t in bench.targets]
        self.with_log = [n for n in self.all_names if not n.endswith(NO_LOG)]
        self.without_log = [n for n in self.all_names if n.endswith(NO_LOG)]
        self.verdicts = goals.verdicts(self.figures, plan, self.facts.get(OURS, {}), shard_figures)

    # --- for programs

    def as_json(self):
        bench = self.bench
        return {
            "made": datetime.date.today().isoformat(),
            "mode": "quick" if bench.options.quick else "full",
            "rounds": self.rounds,
            "machine": {**bench.machine.facts(), "in_words": bench.machine.words()},
            "targets": {t.name: {**t.facts, **({"skipped": t.skipped} if t.skipped else {})} for t in bench.targets},
            "goals": [{"what": v.what, "goal": v.goal, "limit": v.limit, "value": v.value, "rounds": v.values,
                       "met": v.met} for v in self.verdicts],
            "workloads": {w.name: self.workload_json(w) for w in self.plan + self.real_plan},
            "shards": self.shards,
            "skipped": bench.skipped,
            "failures": bench.failures,
            "remarks": bench.remarks,
        }

    def workload_json(self, w):
        figures = self.figures
        entry = {"title": w.title, "cost_unit": w.cost_unit + (" per stream" if w.memory else ""),
                 "limit": goals.LIMIT_OF.get(w.name), "targets": {}}
        for name in figures.names_in([w], self.all_names):
            one = {"cost": median(figures.costs(w, name)), "rounds": self.bench.results[w.name][name]}
            if not w.memory:
                one["units_per_second"] = median(figures.rates(w, name))
            if w.latency:
                for key, _ in PERCENTILES:
                    one[key] = median(figures.latencies(w, name, key))
                    one["added_" + key] = median(figures.added(w, name, key))
            if name != "direct" and (peers := figures.peers(w, name)):
                one["ratio_to_better"] = median(figures.ratios(w, name))
                one["ratio_to"] = {p: median(figures.ratios(w, name, [p])) for p in peers}
            entry["targets"][name] = one
        return entry

    # --- for people

    def as_markdown(self, picture=None):
        bench = self.bench
        load = [w for w in self.plan if not w.memory]
        parts = [self.preface(), *(f"**{r}**\n" for r in bench.remarks)]
        if picture:
            parts.append(f"![CPU and memory over the better of nginx and HAProxy]({picture})\n")
        parts += self.goals_part()
        parts += self.cost_parts(load)
        parts += self.throughput_part([w for w in load if not w.latency])
        parts += self.latency_parts([w for w in load if w.latency])
        parts += self.memory_part([w for w in self.plan if w.memory])
        parts += self.process_part()
        parts += self.shards_part()
        parts += self.real_part()
        parts += [f"Skipped: {t.name}: {t.skipped}\n" for t in bench.targets if t.skipped]
        parts += [f"Skipped: {part}: {why}\n" for part, why in bench.skipped.items()]
        parts += [f"Failed: {f}\n" for f in bench.failures]
        return "\n".join(parts)

    def preface(self):
        bench = self.bench
        versions = [t.facts["version"] for t in bench.targets if "version" in t.facts]
        command = "bench/run --quick" if bench.options.quick else "bench/run"
        return (f"Measured on {datetime.date.today().isoformat()} by `{command}` on {bench.machine.words()}. "
                f"Interleaved rounds: {self.rounds}; figures are medians. {'; '.join(dict.fromkeys(versions))}.\n")

    def goals_part(self):
        if not self.verdicts:
            return []
        rows = [[v.what + (f" ({v.note})" if v.note else ""), v.goal, v.show(v.value), v.spread, v.outcome]
                for v in self.verdicts]
        missed = sum(not v.met for v in self.verdicts)
        return ["### Targets\n", f"The gateway with everything on: {len(rows) - missed} of {len(rows)} met. A ratio is "
                "its cost over that of the better of nginx and HAProxy with the same duty, access logs included, taken "
                "within each round.\n", table(["", "target", "measured", "over the rounds", ""], rows)]

    def cost_parts(self, load):
        if not load:
            return []
        parts = ["### CPU\n", "CPU of the proxy's processes per unit of work, lower is better; access log on.\n",
                 self.cost_table(load, self.with_log)]
        off = [w for w in load if w.log_off]
        if off and self.without_log:
            parts += ["The same without an access log anywhere.\n", self.cost_table(off, self.without_log)]
        return parts

    def cost_table(self, plan, among, with_unit=True):
        names = [n for n in self.figures.names_in(plan, among) if n != "direct"]
        ours = next((n for n in names if n.startswith(OURS)), None)
        peers = [p for p in names if p.removesuffix(NO_LOG) in PEER_NAMES] if ours else []
        head = ["workload", *names, *(f"ocgate ÷ {p.removesuffix(NO_LOG)}" for p in peers)]
        head += ["ocgate ÷ better"] if peers else []
        rows = []
        for w in plan:
            row = [f"{w.title}, {w.cost_unit}" if with_unit else w.title]
            row += [short(median(self.figures.costs(w, n))) for n in names]
            row += [short(median(self.figures.ratios(w, ours, [p]))) for p in peers]
            row += [short(median(self.figures.ratios(w, ours)))] if peers else []
            rows.append(row)
        return table(head, rows)

    def throughput_part(self, plan):
        names = self.figures.names_in(plan, self.with_log)
        rows = [[w.title, *(short(median(self.figures.rates(w, n))) for n in names)] for w in plan]
        return ["### Throughput\n", "Units of work per second. Often load and upstream are the limit, not the proxy: "
                "“direct” is what they do without one.\n", table(["workload", *names], rows)] if rows else []

    def latency_parts(self, plan):
        if not plan:
            return []
        return ["### Latency\n", "Added to that without a proxy (“direct”) in the same round, µs, from the moment the "
                "work was due; access log on.\n", self.latency_table(plan)]

    def latency_table(self, plan, percentiles=PERCENTILES):
        figures = self.figures
        names = [n for n in figures.names_in(plan, self.with_log) if n != "direct"]
        rows = []
        for w in plan:
            for key, label in percentiles:
                row = [f"{w.title}, {label}", short(median(figures.latencies(w, "direct", key)))]
                rows.append(row + [short(median(figures.added(w, n, key))) for n in names])
        return table(["workload", "direct", *(f"{n} adds" for n in names)], rows)

    def memory_part(self, plan):
        if not plan:
            return []
        return ["### Memory\n", "Resident memory of the proxy's processes per stream, bytes; the kernel's socket "
                "buffers are not in it.\n", self.cost_table(plan, self.with_log, with_unit=False)]

    def process_part(self):
        facts = [("start to first answer (authenticated), ms", "start_to_first_answer_ms", 1),
                 ("resident when idle, MB", "resident_idle_bytes", 1e-6), ("binary, MB", "binary_bytes", 1e-6),
                 ("binary stripped, MB", "binary_stripped_bytes", 1e-6)]
        names = [n for n in self.with_log if self.facts[n]]
        rows = [[title, *(short(self.facts[n][key] * scale) if key in self.facts[n] else "–" for n in names)]
                for title, key, scale in facts if any(key in self.facts[n] for n in names)]
        return ["### Processes\n", table(["", *names], rows)] if rows else []

    def shards_part(self):
        found = self.shards
        if not found:
            return []
        lines = [f"- CPU per request of 2 shards at work at once, over that of 1 alone: "
                 f"{short(median(found['cpu_ratio']))} ({found['title']})."]
        if "throughput_ratio" in found:
            busy = median(found["busy"])
            lines.append(f"- Throughput of 2 shards over that of 1: {short(median(found['throughput_ratio']))}"
                         + (f"; but they were busy only {busy:.0%} of the time: load and upstream were the limit."
                            if busy < shards.BUSY else "."))
        else:
            lines.append(f"- Throughput of 2 shards: not measurable on {self.bench.machine.cores} cores, where they "
                         "share theirs with load and upstream; it takes 4.")
        lines += [f"- Of {b['streams']:,} event streams that stay, the fuller shard has {b['fuller_share']:.1%}."
                  for b in found["balance"]]
        return ["### Two shards\n", "\n".join(lines) + "\n"]

    def real_part(self):
        if not self.real_plan:
            return []
        return ["### In front of the real opencode\n", "Latency added to that of opencode itself (“direct”), µs.\n",
                self.latency_table(self.real_plan, PERCENTILES[:2])]
