#!/usr/bin/env python3
"""What is measured, in one piece: code, README, dashboard, alerts and runbook name the same metrics and labels.

- every metric in `src` has HELP, follows Prometheus' conventions and stands in README's table, with its type;
- every metric of the table is in the code, and its labels are named in the file that writes it (what the labels of a
  series really are, tests/integration/prometheus_test.py compares with the table, on a live scrape);
- every query of the dashboard, of the alerts and of the runbook names metrics and labels of that table;
- every alert has a severity, a summary, a description, a section in the runbook, and test cases; every panel a unit, a
  description, and the variables in each selector.

    check_metrics.py [ROOT]     prints one line per breach, `path:line: what is wrong`; exit status 1 when there is any
"""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import promql

README = Path("README.md")
ALERTS = Path("deploy/prometheus/alerts.yaml")
ALERT_TESTS = Path("deploy/prometheus/alerts_test.yaml")
RUNBOOK = Path("deploy/RUNBOOK.md")
DASHBOARD = Path("deploy/grafana/ocgate.json")

#: What Prometheus itself writes about each target, and what it and Kubernetes' discovery put on every series.
SCRAPE_METRICS = {"up": set(), "scrape_duration_seconds": set(), "scrape_samples_scraped": set()}
TARGET_LABELS = {"job", "instance", "namespace", "pod", "container", "service", "endpoint", "node"}

#: A name that ends so has this in its HELP.
UNITS = (("_timestamp_seconds", r"unix time"), ("_seconds", r"\bseconds?\b"), ("_bytes", r"\bbytes?\b"),
         ("_usd", r"\busd\b|\bdollars?\b"), ("_celsius", r"\bcelsius\b"))  # fmt: skip
NOT_BASE_UNITS = re.compile(r"_(milliseconds|millis|ms|micros|minutes|hours|kilobytes|kb|mb|mib|cents|percent)(_|$)")
RESERVED = re.compile(r"_(count|sum|bucket)$|(^|_)(counter|gauge|histogram)(_|$)")

_LITERAL = r'"(?:[^"\\]|\\.)*"'
_NAME = re.compile(r'"((?:ocgate|process)_[a-z0-9_]+)"')
_BEGUN = re.compile(
    rf'(?:\b(counter|gauge|histogram)\(\s*)?"((?:ocgate|process)_[a-z0-9_]+)"\s*,\s*((?:{_LITERAL}\s*)+)'
)
_ROW = re.compile(r"^\| `([a-z_][a-z0-9_]*)(?:\{([a-z_,]+)\})?` \| (counter|gauge|histogram) \| .*\|$")
_MENTION = re.compile(r"\b((?:ocgate|process)_[a-z0-9_]+)")


@dataclass
class Metric:
    name: str
    kind: str = ""
    help: str = ""
    labels: frozenset = frozenset()
    path: Path = None
    line: int = 0


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def without_comments(text):
    """C++ without `//` comments, every line where it was."""
    return re.sub(rf'({_LITERAL})|//[^\n]*', lambda match: match.group(1) or "", text)


# ---- the code


def metrics_of_code(root):
    """({name: Metric}, breaches). A name and its HELP stand side by side, whatever writes them."""
    found, breaches, mentioned = {}, [], {}
    for path in sorted((root / "src").rglob("*.[ch]pp")):
        text = without_comments(path.read_text(encoding="utf-8"))
        where = path.relative_to(root)
        for match in _BEGUN.finditer(text):
            kind, name, literals = match.groups()
            said = "".join(json.loads(one) for one in re.findall(_LITERAL, literals))
            kind = kind or ("counter" if name.endswith("_total") else "gauge")
            line = line_of(text, match.start(2))
            if name in found:
                breaches.append(f"{where}:{line}: {name} is begun twice")
            found[name] = Metric(name, kind, said, path=where, line=line)
        for match in _NAME.finditer(text):
            mentioned.setdefault(match.group(1), (where, line_of(text, match.start())))
    for name, (where, line) in mentioned.items():
        if name not in found:
            breaches.append(f"{where}:{line}: {name} has no HELP beside it")
    return found, breaches


def check_conventions(metric):
    name, kind = metric.name, metric.kind
    if (kind == "counter") != name.endswith("_total"):
        yield f"{name}: exactly counters end in _total, and this is a {kind}"
    if NOT_BASE_UNITS.search(name):
        yield f"{name}: Prometheus counts in base units (seconds, bytes)"
    if RESERVED.search(name):
        yield f"{name}: a name must not say what kind of metric it is"
    measured = name[: -len("_total")] if name.endswith("_total") else name
    if kind == "histogram" and not measured.endswith(tuple(suffix for suffix, _ in UNITS)):
        yield f"{name}: a histogram's name ends in its unit"
    for suffix, word in UNITS:
        if measured.endswith(suffix):
            if not re.search(word, metric.help, re.IGNORECASE):
                yield f"{name}: its HELP names no unit ({suffix.lstrip('_')}): {metric.help!r}"
            break
    if not metric.help.endswith((".", ")", "!", "?")):
        yield f"{name}: its HELP is no sentence: {metric.help!r}"


# ---- README


def metrics_of_readme(text):
    """({name: Metric}, breaches) of the tables in `## Metrics`."""
    found, breaches, inside = {}, [], False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("## "):
            inside = line.strip() == "## Metrics"
        elif inside and line.startswith("| `"):
            match = _ROW.match(line)
            if not match:
                breaches.append(f"{README}:{number}: no row of a metric: | `name{{label,label}}` | type | what |")
                continue
            name, labels, kind = match.groups()
            if name in found:
                breaches.append(f"{README}:{number}: {name} stands here twice")
            labels = frozenset(labels.split(",")) if labels else frozenset()
            found[name] = Metric(name, kind, labels=labels, path=README, line=number)
    return found, breaches


def compare(code, readme, root):
    for name, metric in code.items():
        if name not in readme:
            yield f"{metric.path}:{metric.line}: {name} does not stand in README's table"
    texts = {}
    for name, row in readme.items():
        metric = code.get(name)
        if not metric:
            yield f"{README}:{row.line}: {name} is not in the code"
            continue
        if metric.kind != row.kind:
            yield f"{README}:{row.line}: {name} is a {metric.kind}"
        if metric.path not in texts:
            texts[metric.path] = (root / metric.path).read_text(encoding="utf-8")
        for label in sorted(row.labels):
            if f'"{label}"' not in texts[metric.path]:
                yield f"{README}:{row.line}: {metric.path} never names the label {label} of {name}"


# ---- queries


def known_series(readme):
    """{name of a series: (labels, kind of metric)}, the parts of histograms included."""
    series = {name: (labels, "gauge") for name, labels in SCRAPE_METRICS.items()}
    for name, metric in readme.items():
        if metric.kind == "histogram":
            series[name + "_bucket"] = (metric.labels | {"le"}, "counter")
            series[name + "_sum"] = series[name + "_count"] = (metric.labels, "counter")
        else:
            series[name] = (metric.labels, metric.kind)
    return series


def check_query(text, series, recorded):
    """What is wrong with one expression. `recorded`: {name of a recording rule: labels}."""
    try:
        query = promql.read(text)
    except promql.Unreadable as why:
        yield str(why)
        return
    everywhere = set(TARGET_LABELS)
    for selector in query.selectors:
        labels, kind = series.get(selector.name, (recorded.get(selector.name), "gauge"))
        if labels is None:
            yield f"no metric is called {selector.name}"
            continue
        everywhere |= labels
        for label, _, _ in selector.matchers:
            if label not in labels | TARGET_LABELS:
                yield f"{selector.name} has no label {label}"
        if selector.under in promql.OF_COUNTERS and kind != "counter":
            yield f"{selector.under}() of {selector.name}, which is a {kind}"
    for _, label in query.listed:
        if label not in everywhere | query.made:
            yield f"no metric in it has the label {label}: {text.strip()}"


def labels_after(text, series, recorded):
    """The labels that what a query gives may have; none of one that cannot be read."""
    try:
        query = promql.read(text)
    except promql.Unreadable:
        return set()
    labels = set(TARGET_LABELS) | query.made
    for selector in query.selectors:
        labels |= series.get(selector.name, (recorded.get(selector.name) or set(), ""))[0]
    dropped = {label for how, label in query.listed if how == "without"}
    kept = {label for how, label in query.listed if how == "by"}
    if query.bare and not kept:
        return query.made
    return ((labels & kept) if kept else labels) - dropped - {"le"}


# ---- alerts: as much YAML as that file needs, and no more

_RULE = re.compile(r"^      - (alert|record): (\S+)$")
_KEY = re.compile(r"^        (expr|for|labels|annotations):(?: (.*))?$")
_SUB_KEY = re.compile(r"^          (\w+): (.*)$")


def scalar(text):
    if text.startswith('"'):
        return json.loads(text)
    if ": " in text or " #" in text or text[:1] in "'{[&*!|>%@`":
        raise ValueError(f"quote this: {text}")
    return text


def rules_of(text):
    """[{"alert" or "record", "expr", "for", "labels", "annotations", "line"}]. Raises ValueError, with the line, at
    whatever it does not know."""
    rules, lines, at = [], text.splitlines(), 0

    def block(indent):
        nonlocal at
        taken = []
        while at < len(lines) and (lines[at].startswith(" " * indent) or not lines[at].strip()):
            taken.append(lines[at].strip())
            at += 1
        return taken

    section = None
    while at < len(lines):
        line, number = lines[at], at + 1
        at += 1
        try:
            if not line.strip() or line.lstrip().startswith("#") or line == "groups:" or line == "    rules:":
                continue
            if re.fullmatch(r"  - name: [\w.]+", line):
                continue
            if match := _RULE.match(line):
                rules.append({match.group(1): match.group(2), "labels": {}, "annotations": {}, "line": number})
                section = None
            elif match := _KEY.match(line):
                key, value = match.groups()
                if key in ("labels", "annotations"):
                    section = key
                else:
                    rules[-1][key] = "\n".join(block(10)) if value == "|" else scalar(value)
            elif section and (match := _SUB_KEY.match(line)):
                key, value = match.groups()
                rules[-1][section][key] = " ".join(block(12)) if value == ">-" else scalar(value)
            else:
                raise ValueError(f"not understood: {line.strip()}")
        except (ValueError, TypeError, IndexError) as why:
            raise ValueError(f"{ALERTS}:{number}: {why}") from None
    return rules


def anchor_of(alert):
    """OcgateUpstreamDown → ocgate-upstream-down"""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", alert).lower()


def sections_of(text):
    """{anchor as GitHub makes it: (heading's line, text up to the next heading)}."""
    found, anchor = {}, None
    for number, line in enumerate(text.splitlines(), 1):
        if heading := re.match(r"#+ (.*)", line):
            anchor = re.sub(r"[^\w\- ]", "", heading.group(1).strip().lower()).replace(" ", "-")
            found[anchor] = (number, "")
        elif anchor:
            found[anchor] = (found[anchor][0], found[anchor][1] + line + "\n")
    return found


def check_alerts(root, series, recorded, rules):
    sections = sections_of((root / RUNBOOK).read_text(encoding="utf-8"))
    tests = (root / ALERT_TESTS).read_text(encoding="utf-8")
    names = set()
    for rule in rules:
        name = rule.get("alert") or rule.get("record")
        where = f"{ALERTS}:{rule['line']}: {name}"
        for wrong in check_query(rule.get("expr", ""), series, recorded):
            yield f"{where}: {wrong}"
        if "record" in rule:
            continue
        if name in names:
            yield f"{where}: stands here twice"
        names.add(name)
        severity, notes = rule["labels"].get("severity"), rule["annotations"]
        if severity not in ("critical", "warning", "info"):
            yield f"{where}: its severity is {severity}"
        for key in ("summary", "description"):
            if not notes.get(key):
                yield f"{where}: it has no {key}"
        allowed = labels_after(rule.get("expr", ""), series, recorded)
        for label in re.findall(r"\$labels\.(\w+)", " ".join(notes.values())):
            if label not in allowed:
                yield f"{where}: what it says uses the label {label}, which its expression does not give"
        anchor = anchor_of(name)
        if notes.get("runbook_url") != f"{RUNBOOK}#{anchor}":
            yield f"{where}: its runbook_url is not {RUNBOOK}#{anchor}"
        _, section = sections.get(anchor, (0, ""))
        if f"`{name}`, {severity}." not in section:
            yield f"{where}: {RUNBOOK} has no section {anchor} that begins with `{name}`, {severity}."
        if not re.search(rf"alertname: {name}\n\s+exp_alerts:\n", tests):
            yield f"{where}: {ALERT_TESTS} never sees it fire"
        if not re.search(rf"alertname: {name}\n(?!\s+exp_alerts:\n)", tests):
            yield f"{where}: {ALERT_TESTS} never sees it not fire"
    anchors = {anchor_of(name) for name in names}
    for anchor, (line, _) in sections.items():
        if anchor.startswith("ocgate-") and anchor not in anchors:
            yield f"{RUNBOOK}:{line}: there is no such alert any more"


# ---- the runbook

_PROMQL_BEGINS = re.compile(r"^(?:(?:%s)\b|(?:ocgate|process)_\w+(?:\{|$))"
                            % "|".join(sorted(promql.AGGREGATIONS | promql.FUNCTIONS)))  # fmt: skip


def check_runbook(root, series, recorded):
    text = (root / RUNBOOK).read_text(encoding="utf-8")
    names = set(series) | {name[: -len("_bucket")] for name in series if name.endswith("_bucket")}
    for match in _MENTION.finditer(text):
        if match.group(1) not in names:
            yield f"{RUNBOOK}:{line_of(text, match.start())}: no metric is called {match.group(1)}"
    for match in re.finditer(r"`([^`\n]+)`", text):
        span = match.group(1)
        if _PROMQL_BEGINS.match(span) and ("ocgate_" in span or "process_" in span) and "(" in span:
            for wrong in check_query(span.replace(" -", ""), series, recorded):
                yield f"{RUNBOOK}:{line_of(text, match.start())}: {wrong}"


# ---- the dashboard


def panels_of(board):
    """All panels but rows, those inside folded rows included."""
    for panel in board.get("panels", []):
        if panel.get("type") == "row":
            yield from panel.get("panels", [])
        else:
            yield panel


def check_panel(panel, series, recorded, variables):
    if not panel.get("description"):
        yield "has no description"
    if panel.get("type") in ("text",):
        return
    if not panel.get("fieldConfig", {}).get("defaults", {}).get("unit"):
        yield "has no unit"
    if panel.get("datasource", {}).get("uid") != "$datasource":
        yield "does not ask $datasource"
    if not panel.get("targets"):
        yield "asks nothing"
    for target in panel.get("targets", []):
        text = target.get("expr", "")
        wrongs = list(check_query(text, series, recorded))
        yield from wrongs
        if wrongs:
            continue
        for selector in promql.read(text).selectors:
            chosen = {label for label, operator, value in selector.matchers
                      if operator == "=~" and value == f"${label}"}  # fmt: skip
            if not {"job", "instance"} <= chosen:
                yield f'{selector.name} lacks job=~"$job",instance=~"$instance"'
        for name in re.findall(r"\$\{?(\w+)\}?", text):
            if not name.startswith("__") and name not in variables:
                yield f"the variable {name} is not declared"
        shown = labels_after(text, series, recorded) | {"le"}
        for label in re.findall(r"\{\{\s*(\w+)\s*\}\}", target.get("legendFormat", "")):
            if label not in shown:
                yield f"its legend uses the label {label}, which the query does not give"


def check_places(panels):
    """Panels do not lie on one another."""
    taken = {}
    for panel in panels:
        place = panel.get("gridPos") or {}
        if not all(key in place for key in "xywh") or place["x"] + place["w"] > 24:
            yield f"{panel.get('title')!r} has no place among 24 columns"
            continue
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                other = taken.setdefault((x, y), panel.get("id"))
                if other != panel.get("id"):
                    yield f"{panel.get('title')!r} lies on panel {other}"
                    return


def check_dashboard(root, series, recorded):
    text = (root / DASHBOARD).read_text(encoding="utf-8")
    board = json.loads(text)
    variables = {one["name"] for one in board.get("templating", {}).get("list", [])}
    for wanted in ("datasource", "job", "instance"):
        if wanted not in variables:
            yield f"{DASHBOARD}:1: has no variable {wanted}"
    if "__inputs" in board or board.get("id") is not None or len(board.get("uid") or "x" * 41) > 40:
        yield f"{DASHBOARD}:1: has __inputs or an id, or no uid of at most 40 characters"
    if board.get("schemaVersion", 0) < 38:
        yield f"{DASHBOARD}:1: its schemaVersion is below 38"
    if "${" in text:
        yield f"{DASHBOARD}:{line_of(text, text.index('${'))}: write $name: tools that fill in ${{…}} would empty it"
    anchors = set(sections_of((root / RUNBOOK).read_text(encoding="utf-8")))
    for match in re.finditer(r'"url": "[^"]*#([\w-]+)"', text):
        if match.group(1) not in anchors:
            yield f"{DASHBOARD}:{line_of(text, match.start())}: the runbook has no section {match.group(1)}"
    for one in board.get("templating", {}).get("list", []):
        asked = one.get("query", {}).get("query", "") if isinstance(one.get("query"), dict) else ""
        if match := re.fullmatch(r"label_values\((.+), (\w+)\)", asked):
            for wrong in check_query(match.group(1), series, recorded):
                yield f"{DASHBOARD}:1: variable {one['name']}: {wrong}"
    for one in board.get("annotations", {}).get("list", []):
        for wrong in check_query(one.get("expr", "time()"), series, recorded):
            yield f"{DASHBOARD}:1: annotation {one['name']}: {wrong}"
    ids = set()
    panels = list(panels_of(board))
    for panel in [*board.get("panels", []), *(p for p in panels if p not in board.get("panels", []))]:
        if panel.get("id") in ids:
            yield f"{DASHBOARD}:1: the panel id {panel.get('id')} is used twice"
        ids.add(panel.get("id"))
    for panel in panels:
        for wrong in check_panel(panel, series, recorded, variables):
            yield f"{DASHBOARD}:1: {panel.get('title')!r}: {wrong}"
    for wrong in check_places(board.get("panels", [])):
        yield f"{DASHBOARD}:1: {wrong}"


# ---- all of it


def breaches(root):
    code, found = metrics_of_code(root)
    for metric in code.values():
        found += [f"{metric.path}:{metric.line}: {wrong}" for wrong in check_conventions(metric)]
    readme, wrong_rows = metrics_of_readme((root / README).read_text(encoding="utf-8"))
    found += wrong_rows
    found += compare(code, readme, root)
    series = known_series(readme)
    try:
        rules = rules_of((root / ALERTS).read_text(encoding="utf-8"))
    except ValueError as why:
        return [*found, str(why)]
    recorded = {}
    for rule in rules:
        if "record" in rule:
            recorded[rule["record"]] = labels_after(rule["expr"], series, recorded)
    found += check_alerts(root, series, recorded, rules)
    found += check_runbook(root, series, recorded)
    found += check_dashboard(root, series, recorded)
    return found


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()
    if not (root / "src").is_dir():
        print(f"{root}: no repository here")
        return 2
    found = breaches(root)
    print("\n".join(found) if found else "code, README, dashboard, alerts and runbook agree")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
