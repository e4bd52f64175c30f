#!/usr/bin/env python3
"""The check of the metrics can fail: each thing it looks for is wrong once in a small repository of its own."""

import json
import tempfile
import unittest
from pathlib import Path

import check_metrics
import promql

CODE = """
// out.gauge("ocgate_commented_out", "No metric.");
void write(Exposition& out) {
    out.counter("ocgate_requests_total", "Requests that ended, "
                "by route.").value(1, {{"route", name}});
    out.histogram("ocgate_duration_seconds",
                  "How long they took, in seconds.");
    out.gauge("ocgate_up", "1 while it is there.").value(1.0);
    each(out, "ocgate_sent_total", "Messages a target took.", {{"target", name}});
}
"""
README = """
## Before
| `no_metric` | |

## Metrics

| metric | type | |
|---|---|---|
| `ocgate_requests_total{route}` | counter | requests |
| `ocgate_duration_seconds` | histogram | how long |
| `ocgate_up` | gauge | |
| `ocgate_sent_total{target}` | counter | messages |

## After
| `no_metric` | |
"""
ALERTS = """# A comment.
groups:
  - name: ocgate.some
    rules:
      - record: instance:ocgate_requests:rate5m
        expr: sum without (route) (rate(ocgate_requests_total[5m]))
      - alert: OcgateIsDown
        expr: |
          ocgate_up == 0
            and instance:ocgate_requests:rate5m > 0
        for: 2m
        labels:
          severity: critical
        annotations:
          summary: "{{ $labels.instance }}: down"
          description: >-
            It does
            not answer.
          runbook_url: deploy/RUNBOOK.md#ocgate-is-down
"""
TESTS = """tests:
        alertname: OcgateIsDown
        exp_alerts: []
        alertname: OcgateIsDown
        exp_alerts:
          - exp_labels:
"""
RUNBOOK = """# Runbook
## Alerts
### Ocgate is down

`OcgateIsDown`, critical. Look at `rate(ocgate_requests_total[5m])` and ocgate_duration_seconds.
"""
SELECTOR = '{job=~"$job",instance=~"$instance"}'


def panel(expr=f"sum by (route) (rate(ocgate_requests_total{SELECTOR}[$__rate_interval]))", **more):
    return {
        "id": 2, "type": "timeseries", "title": "Requests", "description": "Requests.",
        "datasource": {"type": "prometheus", "uid": "$datasource"}, "gridPos": {"x": 0, "y": 1, "w": 12, "h": 8},
        "fieldConfig": {"defaults": {"unit": "reqps"}},
        "targets": [{"expr": expr, "legendFormat": "{{route}}", "refId": "A"}], **more,
    }  # fmt: skip


def board(*panels, **more):
    row = {"id": 1, "type": "row", "title": "All", "gridPos": {"x": 0, "y": 0, "w": 24, "h": 1}, "panels": []}
    variables = [{"name": name} for name in ("datasource", "job", "instance")]
    made = {"title": "x", "uid": "ocgate", "id": None, "schemaVersion": 38, "templating": {"list": variables},
            "panels": [row, *(panels or [panel()])], **more}  # fmt: skip
    return json.dumps(made, indent=2)


SOUND = {
    "src/ops/metrics.cpp": CODE,
    "README.md": README,
    "deploy/prometheus/alerts.yaml": ALERTS,
    "deploy/prometheus/alerts_test.yaml": TESTS,
    "deploy/RUNBOOK.md": RUNBOOK,
    "deploy/grafana/ocgate.json": board(),
}


class Metrics(unittest.TestCase):
    def breaches(self, name=None, text=""):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for path, content in {**SOUND, **({name: text} if name else {})}.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(content, encoding="utf-8")
            return check_metrics.breaches(root)

    def broken(self, name, before, after, what, times=1):
        """With `before` replaced in a file there are that many breaches, and the first says `what`."""
        self.assertIn(before, SOUND[name])
        found = self.breaches(name, SOUND[name].replace(before, after, 1))
        self.assertEqual(len(found), times, found)
        self.assertIn(what, found[0])

    def broken_panel(self, what, *args, **more):
        found = self.breaches("deploy/grafana/ocgate.json", board(panel(*args, **more)))
        self.assertEqual(len(found), 1, found)
        self.assertIn(what, found[0])

    def test_what_agrees_passes(self):
        self.assertEqual(self.breaches(), [])

    def test_code_and_readme_name_the_same(self):
        row = "| `ocgate_up` | gauge | |\n"
        self.broken("README.md", row, row + row.replace("up", "gone"),
                    "README.md:12: ocgate_gone is not in the code")
        self.broken("src/ops/metrics.cpp", "    out.gauge(", 'out.gauge("ocgate_new", "It is.").value(1.0); out.gauge(',
                    "metrics.cpp:8: ocgate_new does not stand in README's table")
        self.broken("README.md", "`ocgate_up` | gauge", "`ocgate_up` | counter", "ocgate_up is a gauge")
        self.broken("README.md", "`ocgate_up`", "`ocgate_up{side}`", "never names the label side of ocgate_up")

    def test_each_row_is_one_metric(self):
        row = "| `ocgate_up` | gauge | |\n"
        self.broken("README.md", row, row + "| `_down` and others | gauge | |\n", "README.md:12: no row of a metric")
        self.broken("README.md", row, row * 2, "stands here twice")

    def test_help_stands_beside_the_name_and_says_the_unit(self):
        self.broken("src/ops/metrics.cpp", ', in seconds."', '."', "its HELP names no unit (seconds)")
        self.broken("src/ops/metrics.cpp", '"1 while it is there."', '"1 while it is there"', "is no sentence")
        found = self.breaches("src/ops/metrics.cpp", CODE + 'auto const name = "ocgate_else";\n')
        self.assertEqual(len(found), 1, found)
        self.assertIn("metrics.cpp:11: ocgate_else has no HELP beside it", found[0])

    def test_names_follow_the_conventions(self):
        def wrong_of(name, kind, text="It is so."):
            return " ".join(check_metrics.check_conventions(check_metrics.Metric(name, kind, text)))

        self.assertIn("end in _total", wrong_of("ocgate_requests", "counter"))
        self.assertIn("end in _total", wrong_of("ocgate_open_total", "gauge"))
        self.assertIn("base units", wrong_of("ocgate_age_minutes", "gauge"))
        self.assertIn("what kind of metric", wrong_of("ocgate_open_count", "gauge"))
        self.assertIn("ends in its unit", wrong_of("ocgate_duration", "histogram"))
        self.assertIn("names no unit", wrong_of("ocgate_sent_bytes_total", "counter"))
        self.assertIn("names no unit", wrong_of("ocgate_start_timestamp_seconds", "gauge", "In seconds."))
        self.assertEqual("", wrong_of("ocgate_start_timestamp_seconds", "gauge", "In Unix time."))
        self.assertEqual("", wrong_of("ocgate_spent_usd", "gauge", "In USD."))

    def test_alerts_use_what_there_is(self):
        alerts = "deploy/prometheus/alerts.yaml"
        self.broken(alerts, "ocgate_up ==", "ocgate_upp ==", "OcgateIsDown: no metric is called ocgate_upp")
        self.broken(alerts, "ocgate_up ==", 'ocgate_up{side="a"} ==', "ocgate_up has no label side")
        self.broken(alerts, "without (route)", "without (code)", "has the label code")
        self.broken(alerts, "$labels.instance", "$labels.route", "uses the label route")
        self.broken(alerts, "ocgate_up ==", "rate(ocgate_up[5m]) ==", "rate() of ocgate_up, which is a gauge")
        self.broken(alerts, "(rate(ocgate", "(ratee(ocgate", "no function is called")

    def test_alerts_are_complete(self):
        alerts = "deploy/prometheus/alerts.yaml"
        self.broken(alerts, "severity: critical", "severity: page", "its severity is page", times=2)
        self.broken(alerts, '          summary: "{{ $labels.instance }}: down"\n', "", "has no summary")
        self.broken(alerts, "#ocgate-is-down", "#ocgate-down", "its runbook_url is not")
        self.broken("deploy/RUNBOOK.md", "`OcgateIsDown`, critical.", "It is", "has no section ocgate-is-down")
        self.broken("deploy/RUNBOOK.md", "### Ocgate", "### Ocgate was up\n### Ocgate", "no such alert any more")
        self.broken("deploy/prometheus/alerts_test.yaml", "exp_alerts: []", "exp_alerts:", "never sees it not fire")
        self.broken("deploy/prometheus/alerts_test.yaml", "exp_alerts:\n", "exp_alerts: []\n", "never sees it fire")

    def test_what_is_not_understood_is_said(self):
        self.broken("deploy/prometheus/alerts.yaml", "        for: 2m", "        keep: 2m",
                    "alerts.yaml:11: not understood: keep: 2m")

    def test_severity_agrees_with_the_runbook(self):
        found = self.breaches("deploy/RUNBOOK.md", RUNBOOK.replace("critical.", "warning."))
        self.assertEqual(len(found), 1, found)

    def test_the_runbook_names_what_there_is(self):
        self.broken("deploy/RUNBOOK.md", "and ocgate_duration_seconds", "and ocgate_duration", "called ocgate_duration")
        self.broken("deploy/RUNBOOK.md", "`rate(ocgate_requests_total[5m])`",
                    '`rate(ocgate_requests_total{target="a"}[5m])`', "has no label target")

    def test_panels_use_what_there_is(self):
        self.broken_panel("no metric is called ocgate_u", f"ocgate_u{SELECTOR}")
        self.broken_panel("has no label side", f'ocgate_up{SELECTOR[:-1]},side="a"}}')
        self.broken_panel("has the label target", f"sum by (route, target) (rate(ocgate_requests_total{SELECTOR}[5m]))")
        self.broken_panel("its legend uses the label route", f"sum(rate(ocgate_requests_total{SELECTOR}[5m]))")
        self.broken_panel("rate() of ocgate_up", f"rate(ocgate_up{SELECTOR}[5m])")
        self.broken_panel("lacks job=~", 'sum by (route) (rate(ocgate_requests_total{job=~"$job"}[5m]))')
        self.broken_panel("the variable side is not declared",
                          f'rate(ocgate_requests_total{SELECTOR[:-1]},route="$side"}}[5m])')

    def test_panels_are_complete(self):
        self.broken_panel("has no description", description="")
        self.broken_panel("has no unit", fieldConfig={"defaults": {}})
        self.broken_panel("does not ask $datasource", datasource={"uid": "prometheus"})
        self.broken_panel("asks nothing", targets=[])

    def test_the_dashboard_as_a_whole(self):
        def found(*panels, **more):
            return " ".join(self.breaches("deploy/grafana/ocgate.json", board(*panels, **more)))

        self.assertIn("id 2 is used twice", found(panel(), panel(gridPos={"x": 12, "y": 1, "w": 12, "h": 8})))
        self.assertIn("lies on panel 2", found(panel(), panel(id=3)))
        self.assertIn("no place among 24", found(panel(gridPos={"x": 13, "y": 1, "w": 12, "h": 8})))
        self.assertIn("__inputs", found(__inputs=[]))
        self.assertIn("schemaVersion", found(schemaVersion=30))
        self.assertIn("no section somewhere", found(links=[{"url": "$runbook#somewhere"}]))
        self.assertIn("write $name", found(links=[{"url": "${runbook}"}]))
        self.assertIn("no variable job", found(templating={"list": [{"name": "datasource"}, {"name": "instance"}]}))
        self.assertIn("annotation Starts: no metric", found(annotations={"list": [{"name": "Starts", "expr": "nope"}]}))


class Promql(unittest.TestCase):
    def selected(self, text):
        return [(s.name, s.under, s.ranged) for s in promql.read(text).selectors]

    def test_selectors_and_what_is_around_them(self):
        self.assertEqual(self.selected('sum by (a) (rate(x{b="c,d}"}[5m])) / (y > 0)'),
                         [("x", "rate", True), ("y", "", False)])
        self.assertEqual(self.selected("max by (job) (p and on (job) i)[1h:1m]"), [("p", "", False), ("i", "", False)])
        self.assertEqual(self.selected("histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))"),
                         [("x_bucket", "rate", True)])
        self.assertEqual(self.selected("time() - max(x) # said ) so"), [("x", "", False)])
        self.assertEqual(self.selected("a offset 1h unless ignoring (b) group_left (c) d"),
                         [("a", "", False), ("d", "", False)])
        self.assertEqual(self.selected("topk(5, 1e-3 * x) or vector(0)"), [("x", "", False)])

    def test_labels(self):
        query = promql.read('sum by (a, b) (x{c!~"d|e"}) * on (f) label_replace(y, "g", "$1", "h", "(.*)")')
        self.assertEqual([label for _, label in query.listed], ["a", "b", "f"])
        self.assertEqual(query.selectors[0].matchers, [("c", "!~", "d|e")])
        self.assertEqual(query.made, {"g"})
        self.assertEqual(query.selectors[0].text, 'x{c!~"d|e"}')

    def test_what_it_cannot_read_it_says(self):
        for text in ('x{a="b"', "sum(x", "x)", '{a="b"}', "nosuch(x)", "x{a}", "sum by (1) (x)", "x ? y"):
            with self.subTest(text), self.assertRaises(promql.Unreadable):
                promql.read(text)


if __name__ == "__main__":
    unittest.main()
