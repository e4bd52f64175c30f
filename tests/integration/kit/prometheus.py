"""A real Prometheus of its own, on a free loopback port, and its promtool; both from Debian's package `prometheus`."""

import json
import math
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from .opencode import Unavailable, free_port
from .process import Program
from .wire import Client

_PACKAGE = "Debian's package prometheus has it"


def binary(name="prometheus"):
    found = shutil.which(name, path="/usr/bin:/usr/local/bin:/opt/prometheus")
    if not found:
        raise Unavailable(f"{name} is not installed ({_PACKAGE})")
    return found


def promtool(*arguments, text=None, cwd=None):
    """A CompletedProcess; `text` is its standard input."""
    return subprocess.run(
        [binary("promtool"), *map(str, arguments)],
        **({"stdin": subprocess.DEVNULL} if text is None else {"input": text}),
        capture_output=True, text=True, timeout=120, check=False, cwd=cwd,
    )  # fmt: skip


class QueryFailed(AssertionError):
    pass


class Prometheus:
    """Scrapes `targets`, {job: [host:port, …]}, and evaluates the rule files. close() ends it and removes its data."""

    def __init__(self, targets, rules=(), every="500ms"):
        self.root = Path(tempfile.mkdtemp(prefix="ocgate-test-"))
        self.program = None
        configuration = {
            "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "rule_files": [str(Path(rule).resolve()) for rule in rules],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": addresses}]} for job, addresses in targets.items()
            ],
        }  # fmt: skip
        self._config = self.root / "prometheus.yml"
        self._config.write_text(json.dumps(configuration), encoding="utf-8")  # JSON is YAML
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        for attempt in range(5):
            port = free_port()  # it cannot say which port it got, so it is told one
            program = Program("prometheus", [
                binary(), f"--config.file={self._config}", f"--storage.tsdb.path={self.root / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}", "--log.format=logfmt",
            ], cwd=self.root, env={"PATH": "/usr/bin:/bin"})  # fmt: skip
            try:
                program.wait_line(lambda line: "Server is ready to receive web requests" in line, 30)
            except AssertionError:
                program.kill()
                if attempt == 4:
                    raise
                continue
            self.program, self.client = program, Client(f"127.0.0.1:{port}")
            return

    def close(self):
        if self.program:
            self.program.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    # What is asked.

    def get(self, path, **arguments):
        """`data` of an answer of the API."""
        body = "&".join(f"{name}={_quoted(value)}" for name, value in arguments.items()).encode()
        fields = [("Content-Type", "application/x-www-form-urlencoded")]
        method, target = ("POST", f"/api/v1/{path}") if body else ("GET", f"/api/v1/{path}")
        response = self.client.request(method, target, headers=fields, body=body or None)
        answer = json.loads(response.body)
        if answer.get("status") != "success":
            raise QueryFailed(f"{arguments}: {answer.get('error')}")
        return answer["data"]

    def query(self, expression, at=None):
        """[(labels, value)] of an instant query."""
        data = self.get("query", query=expression, **({} if at is None else {"time": at}))
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(series["metric"], float(series["value"][1])) for series in data["result"]]

    def query_range(self, expression, start, end, step):
        """[(labels, [(time, value)])]"""
        data = self.get("query_range", query=expression, start=start, end=end, step=step)
        return [(one["metric"], [(at, float(value)) for at, value in one["values"]]) for one in data["result"]]

    def value(self, expression):
        """The only sample of an instant query; NaN without any."""
        found = self.query(expression)
        if len(found) > 1:
            raise AssertionError(f"{expression} has {len(found)} samples: {found[:5]}")
        return found[0][1] if found else math.nan

    def wait(self, expression, wanted, timeout=30):
        """The value of an expression as soon as wanted(value) holds."""
        deadline = time.monotonic() + timeout
        while True:
            value = self.value(expression)
            if wanted(value):
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"{expression} is {value} after {timeout} s\n{self.program.logs(20)}")
            time.sleep(0.1)

    def wait_scraped(self, metric="ocgate_build_info", timeout=30):
        """Until every target has been scraped after now, so that what was done before is in what it says."""
        since = time.time()
        self.wait(f"min(timestamp({metric}))", lambda at: at > since, timeout)


def _quoted(value):
    return "".join(c if c.isalnum() or c in "-_.~" else "".join(f"%{b:02X}" for b in c.encode()) for c in str(value))


# ---- Prometheus' text format, as far as the gateway uses it


def families_of(text):
    """{name: {"kind", "help", "samples": [(series, {label: value}, value)]}}, in their order."""
    families, current = {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, _, said = line[7:].partition(" ")
            current = families.setdefault(name, {"kind": "", "help": "", "samples": []})
            current["help"] = said
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            current = families.setdefault(name, {"kind": "", "help": "", "samples": []})
            current["kind"] = kind
        elif line:
            series, value = line.rsplit(" ", 1)
            current["samples"].append((series, _labels_of(series), float(value)))
    return families


def _labels_of(series):
    if "{" not in series:
        return {}
    inside = series[series.index("{") + 1 : series.rindex("}")]
    labels, at = {}, 0
    while at < len(inside):
        name, _, rest = inside[at:].partition('="')
        end, value = 0, []
        while rest[end] != '"':
            if rest[end] == "\\":
                end += 1
            value.append(rest[end])
            end += 1
        labels[name.strip(", ")] = "".join(value)
        at += len(name) + 2 + end + 1
        if at < len(inside) and inside[at] == ",":
            at += 1
    return labels
