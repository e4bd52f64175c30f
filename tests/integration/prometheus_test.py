#!/usr/bin/env python3
"""What a real Prometheus says about a real run is what the run did: requests, bytes, streams, tokens, money, answers,
notifications. And every query of the dashboard and of the alerts is one that it can answer."""

import contextlib
import json
import math
import re
import socket
import sys
import threading
import time
from collections import Counter

from kit import case, prometheus
from kit.fake_ntfy import FakeNtfy
from kit.model import Call, Fail, FakeModel, Say, _Handler
from kit.notifying import TOPIC, ntfy_target, route
from kit.opencode import REPOSITORY, Unavailable, free_port
from kit.websocket import WebSocket
from kit.wire import Client, Connection, Truncated

sys.path.insert(0, str(REPOSITORY / "tests" / "house"))
import check_metrics  # noqa: E402  (the line above must come first)
import promql  # noqa: E402

ALERTS = REPOSITORY / "deploy/prometheus/alerts.yaml"
ALERT_TESTS = REPOSITORY / "deploy/prometheus/alerts_test.yaml"
DASHBOARD = REPOSITORY / "deploy/grafana/ocgate.json"

#: What a step of a scripted model uses, as its provider reports it, and as opencode reads it.
USAGE = {
    "prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050,
    "prompt_tokens_details": {"cached_tokens": 200}, "completion_tokens_details": {"reasoning_tokens": 10},
}  # fmt: skip
TOKENS = {"input": 800, "output": 40, "reasoning": 10, "cache_read": 200, "cache_write": 0}
#: USD per million tokens; reasoning costs what output costs.
PRICES = {
    "fake-1": {"input": 3.0, "output": 15.0, "cache_read": 0.3, "cache_write": 3.75},
    "fake-2": {"input": 15.0, "output": 75.0, "cache_read": 1.5, "cache_write": 18.75},
}  # fmt: skip

#: Metrics of which this run brings no series: nothing is muted in it.
NOT_EXERCISED = {"ocgate_notify_suppressed_total"}


def price_of(model):
    price = PRICES[model]
    paid = {"input": price["input"], "output": price["output"], "reasoning": price["output"],
            "cache_read": price["cache_read"], "cache_write": price["cache_write"]}  # fmt: skip
    return sum(TOKENS[kind] * paid[kind] for kind in TOKENS) / 1e6


class _Billing(_Handler):
    def _finish(self, reason):
        self._event({"index": 0, "delta": {}, "finish_reason": reason})
        self._event(None, usage=USAGE)
        self.wfile.write(b"data: [DONE]\n\n")


class BillingModel(FakeModel):
    """Says what its words cost."""

    def __post_init__(self):
        super().__post_init__()
        self._server.RequestHandlerClass = _Billing


class Ledger:
    """What went through the clients that write into it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent = self.received = 0  # bytes on their connections
        self.requests = Counter()  # (route, method, code)
        self.request_content = self.response_content = 0  # without streams

    def note(self, method, target, status, sent=0, received=0):
        with self.lock:
            self.requests[template_of(target), method, str(status)] += 1
            self.request_content += sent
            self.response_content += received


def template_of(target):
    """The route's template, of the targets that are used here."""
    path = target.split("?")[0]
    for prefix, name in (("ses", "sessionID"), ("pty", "ptyID"), ("per", "requestID"), ("que", "requestID")):
        path = re.sub(rf"/{prefix}_\w+", "/{%s}" % name, path)
    return path


class CountedConnection(Connection):
    def __init__(self, ledger, *args, **kw):
        self.ledger = ledger
        super().__init__(*args, **kw)

    def send(self, data):
        super().send(data)
        with self.ledger.lock:
            self.ledger.sent += len(data)

    def _fill(self):
        before = len(self.buffer)
        try:
            return super()._fill()
        finally:
            with self.ledger.lock:
                self.ledger.received += len(self.buffer) - before


class CountedClient(Client):
    ledger = None

    def connect(self, timeout=None, **kw):
        return CountedConnection(self.ledger, self.address, timeout or self.timeout, **kw)

    def request(self, method, target, headers=(), body=None, data=None, connection=None, timeout=None):
        response = super().request(method, target, headers, body, data, connection, timeout)
        size = len(body or b"") if data is None else len(json.dumps(data).encode())
        self.ledger.note(method, target, response.status, size, len(response.body))
        return response


class Run(case.WithOpencode):
    """One run for all tests of the class; it is over, and scraped, before the first of them begins."""

    model_class = BillingModel
    prices = PRICES
    gateway_wanted = False
    trouble = None
    performed = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ntfy = FakeNtfy(burst=10000)
        cls.addClassCleanup(cls.ntfy.close)
        cls.settings = {
            "notifications": {
                "targets": {"phone": ntfy_target(cls.ntfy), "broken": cls.broken_target()},
                "routes": [
                    route("phone", "broken", events=["error"]),
                    route("phone", hold="100ms", min_duration="0s"),
                ],
            },
            "budgets": [{"period": "day", "usd": 0.01, "notify_at": [1.0], "block": False}],
        }  # fmt: skip
        cls.gateway = cls.start_gateway(config=cls.settings)
        cls.away = cls.start_gateway(upstream=f"127.0.0.1:{free_port()}")
        cls.ledger = Ledger()
        cls.client = CountedClient(cls.gateway.address, cls.gateway.username, cls.gateway.password)
        cls.client.ledger = cls.ledger
        cls.start_prometheus()

    @staticmethod
    def broken_target():
        """Nobody listens there."""
        return {"type": "webhook", "url": f"http://127.0.0.1:{free_port()}/hook"}

    @classmethod
    def start_prometheus(cls):
        try:
            targets = {"ocgate": [cls.gateway.admin_address], "away": [cls.away.admin_address]}
            cls.prometheus = prometheus.Prometheus(targets, rules=[ALERTS])
            cls.addClassCleanup(cls.prometheus.close)
        except Unavailable as reason:
            cls.prometheus, cls.without = None, str(reason)

    def setUp(self):
        kind = type(self)
        if not kind.performed:
            kind.performed = True
            try:
                self.perform()
                if kind.prometheus:
                    kind.prometheus.wait_scraped()
            except BaseException:
                kind.trouble = "the run failed, see the first test"
                raise
        elif kind.trouble:
            self.fail(kind.trouble)

    def asked(self):
        if not self.prometheus:
            self.skipTest(self.without)
        return self.prometheus

    def value(self, expression):
        """One figure of the gateway's, by Prometheus: `name` or `name{label="value"}`."""
        name, _, matchers = expression.partition("{")
        matchers = matchers.rstrip("}")
        found = self.asked().value(f'sum({name}{{job="ocgate"{"," if matchers else ""}{matchers}}})')
        return 0.0 if math.isnan(found) else found

    # ---- the run

    def perform(self):
        kind = type(self)
        kind.sessions = []
        self.ask_the_gateway_without_an_upstream()
        self.make_requests()
        self.log_in_wrongly()
        with self.event_stream() as events:
            self.events = events
            self.work()
        self.use_terminals()
        self.reload()
        self.wait_for_notifications()

    def make_requests(self):
        for _ in range(7):
            self.client.get_json("/global/health")
        for _ in range(3):
            self.assertEqual(self.client.get("/session/ses_unknown").status, 404)
        with self.client.connect() as kept:
            for _ in range(5):
                self.client.get("/session", connection=kept)

    def log_in_wrongly(self):
        nobody = CountedClient(self.gateway.address)
        wrong = CountedClient(self.gateway.address, self.gateway.username, "not the password")
        for one, times in ((nobody, 4), (wrong, 3)):
            one.ledger = self.ledger
            for _ in range(times):
                self.assertEqual(one.get("/session").status, 401)

    @contextlib.contextmanager
    def event_stream(self):
        """A stream that is read to its very end, so that every byte of it is known."""
        events = self.subscribe()
        try:
            yield events
        finally:
            kind = type(self)
            kind.event_bytes = self.read_out(events)
            kind.event_comments = sum(len(comment) + 2 for comment in events.comments)
            self.ledger.note("GET", "/global/event", 200)
            events.close()

    @staticmethod
    def read_out(events):
        """Ends our side, which counts as leaving; how much content came in all."""
        events.connection.socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(Truncated, ConnectionResetError):
            while events.next_block() is not None:
                pass
        return sum(events.chunk_sizes)

    def begin(self, *steps, session=None, model="fake-1", **more):
        """A turn; its session."""
        self.model.script(*steps)
        session = session or self.new_session("a run")
        if session["id"] not in self.sessions:
            self.sessions.append(session["id"])
        body = self.prompt_body("go on", **more)
        body["model"]["modelID"] = model
        self.assertEqual(self.client.post(f"/session/{session['id']}/prompt_async", body).status, 204)
        return session

    def until(self, event, session, **properties):
        return self.events.until_type(event, sessionID=session["id"], **properties)

    def bash(self, command):
        return Call("bash", {"command": command, "description": "Does something"})

    def reply(self, asked, answer):
        """Answers a permission after a while; records how long it waited, at least and at most."""
        heard = time.monotonic()
        self.events.connection.set_timeout(60)
        deadline = heard + 1.2
        while time.monotonic() < deadline:  # a person takes their time: here until a scrape has seen it wait
            if self.gateway.metric("ocgate_pending_oldest_seconds", kind="permission") > 1.0:
                break
        self.assertIs(self.client.post_json(self.in_project(f"/permission/{asked['id']}/reply"), {"reply": answer}),
                      True)  # fmt: skip
        type(self).waited.append((time.monotonic() - heard))

    waited = ()

    def work(self):
        kind = type(self)
        kind.waited, kind.turns = [], Counter()
        session = self.begin(Say("All done"))
        self.until("session.idle", session)
        kind.turns["completed"] += 1
        # A permission that is granted, one that is rejected, a question.
        session = self.begin(self.bash("echo it-ran"), Say("All done"))
        self.reply(self.until("permission.asked", session), "once")
        self.until("session.idle", session)
        kind.turns["completed"] += 1
        session = self.begin(self.bash("echo no"), Say("unreachable"))
        self.reply(self.until("permission.asked", session), "reject")
        self.until("session.idle", session)
        kind.turns["rejected"] += 1
        options = [{"label": name, "description": name} for name in ("Red", "Blue")]
        question = {"question": "Which colour?", "header": "Colour", "options": options}
        session = self.begin(Call("question", {"questions": [question]}), Say("Blue it is"), model="fake-2")
        asked = self.until("question.asked", session)
        self.client.post_json(self.in_project(f"/question/{asked['id']}/reply"), {"answers": [["Blue"]]})
        self.until("session.idle", session)
        kind.turns["completed"] += 1
        # Another agent; an error; a retry; an abort.
        session = self.begin(Say("A plan"), agent="plan", model="fake-2")
        self.until("session.idle", session)
        kind.turns["completed"] += 1
        session = self.begin(Fail(401, "bad key"))
        self.assertEqual(self.until("session.error", session)["error"]["name"], "APIError")
        self.until("session.idle", session)
        kind.turns["failed"] += 1
        session = self.begin(Fail(500, "try later"), Say("At last"))
        while self.until("session.status", session)["status"]["type"] != "retry":
            pass
        self.until("session.idle", session)
        kind.turns["completed"] += 1
        session = self.begin(Say("This will never", hold=True))
        self.until("message.part.delta", session, field="text")
        self.assertIs(self.client.post_json(f"/session/{session['id']}/abort"), True)
        self.until("session.idle", session)
        kind.turns["aborted"] += 1
        self.model.script(Say("What was said"))
        body = {"providerID": "fake", "modelID": "fake-1"}
        self.client.post_json(f"/session/{self.sessions[0]}/summarize", body)

    def use_terminals(self):
        """One that is typed into, and one whose reader is slow; each read to its end."""
        kind = type(self)
        kind.terminal_bytes = kind.typed_bytes = 0
        for args, hello, slow in ((["-i"], "echo it-$((6*7)); exit\r", False),
                                  (["-c", "read go; seq 1 600000"], "go\r", True)):  # fmt: skip
            pty = self.client.post_json("/pty", {"command": "/bin/sh", "args": args})
            small = {"receive_buffer_bytes": 16384} if slow else {}
            terminal = WebSocket(self.client, f"/pty/{pty['id']}/connect", connection=self.client.connect(**small))
            before, typed = self.ledger.received - len(terminal.connection.buffer), self.ledger.sent
            terminal.send(hello)
            if slow:
                deadline = time.monotonic() + 60
                while self.gateway.metric("ocgate_backpressure_seconds_total", side="client") < 0.3:
                    self.assertLess(time.monotonic(), deadline, "nobody waited for a reader that reads nothing")
            with contextlib.suppress(ConnectionResetError):
                while terminal.connection.read_some():
                    pass
            terminal.connection.close()
            kind.terminal_bytes += self.ledger.received - before
            kind.typed_bytes += self.ledger.sent - typed
            self.ledger.note("GET", f"/pty/{pty['id']}/connect", 101)

    def reload(self):
        merged = json.loads(self.gateway.config_path.read_text())
        self.gateway.write_config("{ this is no configuration")
        self.gateway.wait_event("reload_failed")
        self.gateway.write_config(merged)
        self.gateway.wait_event("reloaded")

    def ask_the_gateway_without_an_upstream(self):
        for _ in range(3):
            self.assertEqual(self.away.client().get("/session").status, 503)

    def wait_for_notifications(self):
        """What is still to be told is told, and what cannot be has been tried."""
        deadline = time.monotonic() + 30
        while (self.gateway.metric("ocgate_notify_queued", target="phone") > 0
               or not self.gateway.metric("ocgate_notify_request_failures_total", target="broken")):  # fmt: skip
            self.assertLess(time.monotonic(), deadline, "notifications still wait")
            time.sleep(0.1)

    # ---- what Prometheus says

    def test_requests_by_route_method_and_code(self):
        for (name, method, code), count in sorted(self.ledger.requests.items()):
            with self.subTest(f"{method} {name} {code}"):
                self.assertEqual(
                    self.value(f'ocgate_http_requests_total{{route="{name}",method="{method}",code="{code}"}}'), count)
        self.assertEqual(self.value("ocgate_http_requests_total"), sum(self.ledger.requests.values()))
        streams = sum(n for (name, _, code), n in self.ledger.requests.items()
                      if code == "101" or name == "/global/event")  # fmt: skip
        self.assertEqual(self.value("ocgate_http_request_duration_seconds_count"),
                         sum(self.ledger.requests.values()) - streams)  # fmt: skip
        self.assertEqual(self.value("ocgate_http_requests_in_flight"), 0)

    def test_bytes_on_connections(self):
        self.assertEqual(self.value('ocgate_bytes_total{side="client",direction="sent"}'), self.ledger.received)
        self.assertEqual(self.value('ocgate_bytes_total{side="client",direction="received"}'), self.ledger.sent)
        self.assertEqual(self.value('ocgate_open_connections{side="client"}'), 0)
        self.assertEqual(self.value("ocgate_http_request_size_bytes_sum"), self.ledger.request_content)

    def test_streams(self):
        self.assertEqual(self.value("ocgate_streams_open"), 0)
        to_client = 'ocgate_stream_bytes_total{kind="%s",direction="to_client"}'
        self.assertEqual(self.value(to_client % "event_stream"), self.event_bytes - self.event_comments)
        self.assertEqual(self.value(to_client % "websocket"), self.terminal_bytes)
        self.assertEqual(self.value('ocgate_stream_bytes_total{kind="websocket",direction="to_upstream"}'),
                         self.typed_bytes)  # fmt: skip
        self.assertEqual(self.value('ocgate_stream_closed_total{kind="event_stream",reason="gone"}'), 1)
        self.assertEqual(self.value('ocgate_stream_closed_total{kind="websocket"}'), 2)
        self.assertEqual(self.value("ocgate_stream_duration_seconds_count"), 3)
        self.assertGreater(self.value('ocgate_backpressure_seconds_total{side="client"}'), 0.3)

    def test_who_may_come_in(self):
        self.assertEqual(self.value('ocgate_auth_requests_total{result="missing"}'), 4)
        self.assertEqual(self.value('ocgate_auth_requests_total{result="wrong"}'), 3)
        refused = sum(n for (_, _, code), n in self.ledger.requests.items() if code == "401")
        self.assertEqual(refused, 7)
        self.assertEqual(self.value('ocgate_auth_requests_total{result="admitted"}'),
                         sum(self.ledger.requests.values()) - refused)  # fmt: skip

    def steps_of_opencode(self):
        """What opencode itself remembers of all steps that ended."""
        found = []
        for session in self.sessions:
            for message in self.direct.get_json(f"/session/{session}/message"):
                info = message["info"]
                if info["role"] == "assistant" and info["time"].get("completed"):
                    found.append(info)
        return found

    def test_steps_tokens_and_cost(self):
        steps = self.steps_of_opencode()
        self.assertEqual(self.value("ocgate_agent_steps_total"), len(steps))
        self.assertEqual(self.value("ocgate_agent_step_duration_seconds_count"), len(steps))
        paid = [step for step in steps if step["tokens"]["input"]]
        self.assertGreaterEqual(len(paid), 9)
        for kind, each in TOKENS.items():
            with self.subTest(kind):
                self.assertEqual(self.value(f'ocgate_agent_tokens_total{{kind="{kind}"}}'), each * len(paid))
        for model in PRICES:
            for agent in ("build", "plan"):
                with self.subTest(f"{model} {agent}"):
                    count = sum(s["modelID"] == model and s["agent"] == agent for s in paid)
                    matchers = f'{{provider="fake",model="{model}",agent="{agent}"}}'
                    cost = self.value(f"ocgate_agent_cost_usd_total{matchers}")
                    self.assertAlmostEqual(cost, count * price_of(model), 9)
        total = sum(step["cost"] for step in steps)
        print(f"{len(steps)} steps, {total:.5f} USD")
        self.assertAlmostEqual(self.value("ocgate_agent_cost_usd_total"), total, 9)
        self.assertAlmostEqual(self.value('ocgate_spent_usd{period="day"}'), total, 9)
        self.assertEqual(self.value('ocgate_budget_usd{period="day"}'), 0.01)
        self.assertEqual(self.value("ocgate_budget_blocked"), 0)

    def test_turns_tools_and_errors(self):
        self.assertEqual(self.value("ocgate_agent_turns_total"), sum(self.turns.values()))
        self.assertEqual(self.value('ocgate_agent_turns_total{outcome="failed"}'), self.turns["failed"])
        self.assertGreaterEqual(self.value('ocgate_agent_turns_total{outcome="completed"}'), self.turns["completed"])
        self.assertGreaterEqual(self.value('ocgate_agent_turns_total{outcome="aborted"}'), self.turns["aborted"])
        self.assertEqual(self.value('ocgate_agent_tool_calls_total{tool="bash",outcome="completed"}'), 1)
        self.assertEqual(self.value('ocgate_agent_tool_calls_total{tool="question",outcome="completed"}'), 1)
        self.assertEqual(self.value('ocgate_agent_errors_total{name="APIError"}'), 1)
        self.assertGreaterEqual(self.value("ocgate_agent_provider_retries_total"), 1)
        self.assertEqual(self.value("ocgate_agent_compactions_total"), 1)
        self.assertEqual(self.value('ocgate_sessions{state=~"busy|retry"}'), 0)

    def test_permissions_and_how_long_they_waited(self):
        self.assertEqual(self.value('ocgate_agent_permissions_asked_total{type="bash"}'), 2)
        for answer in ("once", "reject"):
            self.assertEqual(self.value(f'ocgate_agent_permissions_over_total{{type="bash",answer="{answer}"}}'), 1)
        self.assertEqual(self.value("ocgate_agent_permission_answer_seconds_count"), 2)
        took = self.value("ocgate_agent_permission_answer_seconds_sum")
        print(f"permissions waited for {sum(self.waited):.2f} s here, {took:.2f} s there")
        self.assertAlmostEqual(took, sum(self.waited), delta=1.0)
        self.assertGreater(took, 2.0)
        self.assertEqual(self.value("ocgate_agent_questions_asked_total"), 1)
        self.assertEqual(self.value('ocgate_agent_questions_over_total{answer="answered"}'), 1)
        self.assertEqual(self.value("ocgate_pending"), 0)

    def test_notifications(self):
        published = len(self.ntfy.published(TOPIC))
        self.assertGreater(published, 4)
        sent = 'ocgate_notify_sent_total{target="phone",action=~"%s"}'
        self.assertEqual(self.value(sent % "publish|update|remind"), published)
        self.assertEqual(self.value(sent % "clear"), len(self.ntfy.cache) - published)
        self.assertEqual(self.value('ocgate_notify_requests_total{target="phone"}'), len(self.ntfy.requests))
        self.assertEqual(self.value('ocgate_notify_queued{target="phone"}'), 0)
        self.assertGreater(self.value('ocgate_notify_request_failures_total{target="broken"}'), 0)
        # Queues are looked at now and then, not at each scrape.
        self.asked().wait('sum(ocgate_notify_queued{target="broken"})', lambda queued: queued == 1)

    def test_reloads(self):
        self.assertEqual(self.value('ocgate_config_reloads_total{result="failure"}'), 1)
        self.assertEqual(self.value('ocgate_config_reloads_total{result="success"}'), 1)
        self.assertEqual(self.value("ocgate_config_last_reload_successful"), 1)

    def test_a_gateway_without_an_upstream(self):
        found = self.asked().value('ocgate_errors_total{job="away",side="upstream",step="dial",reason="refused"}')
        self.assertEqual(found, 3)
        self.assertEqual(self.asked().value('ocgate_upstream_up{job="away"}'), 0)

    # ---- the exposition itself

    def scrape(self):
        response = self.gateway.admin().get("/metrics")
        self.assertEqual(response.status, 200)
        return response.body.decode()

    def test_the_live_scrape_is_what_readme_says(self):
        """Each series has exactly the labels of README's table, each metric its type and HELP."""
        table, wrong = check_metrics.metrics_of_readme((REPOSITORY / "README.md").read_text(encoding="utf-8"))
        self.assertEqual(wrong, [])
        families = prometheus.families_of(self.scrape())
        self.assertEqual(set(families), set(table))
        empty = set()
        for name, family in families.items():
            with self.subTest(name):
                self.assertEqual(family["kind"], table[name].kind)
                self.assertTrue(family["help"])
                if not family["samples"]:
                    empty.add(name)
                for series, labels, value in family["samples"]:
                    self.assertEqual(set(labels) - {"le"}, table[name].labels, series)
                    self.assertFalse(math.isnan(value), series)
                duplicates = [s for s, n in Counter(series for series, _, _ in family["samples"]).items() if n > 1]
                self.assertEqual(duplicates, [])
        print(f"{sum(len(f['samples']) for f in families.values())} series; without any: {sorted(empty)}")
        self.assertLessEqual(empty, NOT_EXERCISED)

    def test_promtool_has_nothing_to_say_about_it(self):
        self.asked()
        done = prometheus.promtool("check", "metrics", text=self.scrape())
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    # ---- rules and dashboard

    def test_promtool_accepts_the_rules_and_their_tests_pass(self):
        self.asked()
        for words in (("check", "rules", "--lint=all", ALERTS), ("test", "rules", ALERT_TESTS)):
            done = prometheus.promtool(*words, cwd=ALERTS.parent)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def rules(self):
        return [rule for group in self.asked().get("rules")["groups"] for rule in group["rules"]]

    def test_every_rule_can_be_evaluated(self):
        deadline = time.monotonic() + 30
        while any(rule["health"] == "unknown" for rule in self.rules()):
            self.assertLess(time.monotonic(), deadline, "not every rule was evaluated")
        for rule in self.rules():
            with self.subTest(rule["name"]):
                self.assertEqual((rule["health"], rule.get("lastError", "")), ("ok", ""))

    def test_what_alerts_look_at_is_there(self):
        """Their expressions give nothing while all is well; each selector in them gives something."""
        own = {rule["name"] for rule in self.rules()}
        for rule in self.rules():
            for selector in promql.read(rule["query"]).selectors:
                with self.subTest(rule["name"], selector=selector.text):
                    if selector.name in own:
                        continue
                    name = re.sub(r"\{.*", "", selector.text)
                    if name == "ocgate_http_requests_total":
                        self.assertTrue(self.prometheus.query(name))  # a code is there once it was needed
                        continue
                    self.assertTrue(self.prometheus.query(selector.text), selector.text)

    def test_what_is_wrong_in_this_run_is_alerted(self):
        firing = "ALERTS{alertname='%s',alertstate='firing'}"
        self.asked().wait(f"count({firing % 'OcgateBudgetBurnt'})", lambda n: n == 1)
        pending = "ALERTS{alertname='OcgateUpstreamDown',job='away'}"
        self.asked().wait(f"count({pending})", lambda n: n == 1)
        calm = "ALERTS{alertname='OcgateUpstreamDown',job='ocgate'}"
        self.assertEqual(self.asked().query(calm), [])

    def test_every_query_of_the_dashboard_is_answered(self):
        board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
        for panel in check_metrics.panels_of(board):
            for target in panel["targets"]:
                with self.subTest(panel["title"], query=target["expr"]):
                    text = filled_in(target["expr"])
                    found = self.asked().query(text)
                    if text.endswith(" > 0"):  # only what is wrong is shown
                        found = self.asked().query(text[: -len(" > 0")])
                    names = {selector.name for selector in promql.read(text).selectors}
                    if not names & NOT_EXERCISED:
                        self.assertTrue(found, f"no data: {text}")
        for one in board["annotations"]["list"]:
            self.assertTrue(self.asked().query(filled_in(one["expr"])), one["name"])
        for one in board["templating"]["list"]:
            if one["type"] == "query":
                selector = re.fullmatch(r"label_values\((.+), \w+\)", one["query"]["query"]).group(1)
                self.assertTrue(self.asked().query(filled_in(selector)), one["name"])


def filled_in(text):
    """A dashboard's query as Grafana would send it for everything there is."""
    for name, value in (("$__rate_interval", "5m"), ("$__range", "10m"), ("$job", ".*"), ("$instance", ".*")):
        text = text.replace(name, value)
    return text


if __name__ == "__main__":
    case.main()
