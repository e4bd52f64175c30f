#!/usr/bin/env python3
"""A rehearsal of the pod: gateway and opencode share one network; kubelet, client and Prometheus have their own."""

import math
import signal
import sys
import threading
import time
import unittest
from pathlib import Path

from kit import case, gateway, opencode
from kit.model import FakeModel, Say
from kit.namespaces import Network, own_user_namespace
from kit.opencode import Unavailable
from kit.prometheus import Prometheus
from kit.sse import EventStream
from kit.websocket import WebSocket
from kit.wire import Truncated

TRAFFIC, ADMIN, OPENCODE = 8080, 9090, 4096


class PodGateway(gateway.Gateway):
    """With the ports of the manifests, on all interfaces, as the image has it by default."""

    def start(self):
        for flag, port in (("--listen", TRAFFIC), ("--admin-listen", ADMIN)):
            self.command[self.command.index(flag) + 1] = f"0.0.0.0:{port}"
        super().start()


class PodOpencode(opencode.Opencode):
    def start(self):
        self.port = OPENCODE
        super().start()


class Flow:
    """Somebody who asks again and again, on a new connection each time, and notes what became of each request."""

    def __init__(self, client, stop):
        self.answered = self.told = self.elsewhere = 0
        self.lost = []
        self._thread = threading.Thread(target=self._run, args=(client, stop), daemon=True)
        self._thread.start()

    def _run(self, client, stop):
        while not stop.is_set() and self.elsewhere < 3:
            try:
                connection = client.connect(10)
            except OSError:
                self.elsewhere += 1  # nobody listens any more: a Service sends it to another pod, or says so
                continue
            with connection:
                try:
                    response = client.request("GET", "/session/status", connection=connection)
                except (OSError, Truncated, ValueError) as error:
                    self.lost.append(f"{error.__class__.__name__}: {error}")
                    continue
            if response.status == 200:
                self.answered += 1
            elif response.status == 503 and response.header("x-ocgate-error"):
                self.told += 1
            else:
                self.lost.append(str(response))

    def join(self):
        self._thread.join(30)
        return not self._thread.is_alive()


class Pod(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        try:
            # The node's bridge; the pod; who uses it; who watches it.
            cls.network = Network("node", "pod", "client", "prometheus")
            cls.addClassCleanup(cls.network.close)
            opencode.binary()
        except Unavailable as reason:
            raise unittest.SkipTest(str(reason)) from None
        cls.pod = cls.network.address("pod")

    def setUp(self):
        self.opencode = self.gateway = None
        with self.network.inside("pod"):
            self.model = FakeModel()
        self.addCleanup(self.model.close)
        self.upstream_password = "between the two"

    def start_gateway(self):
        """As the kubelet starts a sidecar: the process, then its startup probe, to the pod's address."""
        began = time.monotonic()
        with self.network.inside("pod"):
            self.gateway = PodGateway(
                f"127.0.0.1:{OPENCODE}",
                username="alice",
                config={
                    "upstream": {"username": "opencode", "password": {"env": "UPSTREAM_PASSWORD"}},
                    "timeouts": {"probe_interval": "500ms"},
                },
                env={"UPSTREAM_PASSWORD": self.upstream_password},
            )
        self.addCleanup(self.gateway.close)
        while self.probe("/livez") != 200:
            self.assertLess(time.monotonic() - began, 30)
        return time.monotonic() - began

    def start_opencode(self):
        with self.network.inside("pod"):
            self.opencode = PodOpencode(self.model, password=self.upstream_password)
        self.addCleanup(self.opencode.close)

    def start_both(self):
        self.start_gateway()
        self.start_opencode()

    def probe(self, path):
        """An httpGet probe of the kubelet's; None when nobody answers."""
        try:
            return self.network.client("node", f"{self.pod}:{ADMIN}").get(path).status
        except OSError:
            return None

    def client(self, place="client"):
        return self.network.client(place, f"{self.pod}:{TRAFFIC}", "alice", self.gateway.password)

    def metric(self, name):
        answer = self.network.client("prometheus", f"{self.pod}:{ADMIN}").get("/metrics").body.decode()
        return next(float(line.split()[1]) for line in answer.splitlines() if line.split(" ")[0] == name)

    def start_prometheus(self):
        """The real one, where it is installed."""
        try:
            with self.network.inside("prometheus"):
                prometheus = Prometheus({"ocgate": [f"{self.pod}:{ADMIN}"]}, every="200ms")
        except Unavailable as reason:
            print(f"Prometheus is a plain client here: {reason}", file=sys.stderr)
            return None
        self.addCleanup(prometheus.close)
        prometheus.client = self.network.client("prometheus", prometheus.client.address)
        return prometheus

    def listeners(self):
        """Addresses that listen in the pod, as the kernel has them."""
        found = set()
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{self.gateway.program.pid}/net/{table}").read_text().splitlines()[1:]:
                _, local, _, state = line.split()[:4]
                if state == "0A":
                    address, port = local.split(":")
                    found.add((address, int(port, 16)))
        return found

    # ---- starting

    def test_the_sidecar_is_up_before_opencode_is(self):
        took = self.start_gateway()
        self.assertEqual(self.probe("/readyz"), 200)
        self.assertEqual(self.probe("/readyz?upstream=1"), 503)
        early = self.client().get("/session")
        self.assertEqual((early.status, early.header("x-ocgate-error")), (503, "upstream dial refused"))
        self.assertTrue(early.header("retry-after"))
        began = time.monotonic()
        self.start_opencode()
        # opencode's own probe, which runs inside the pod.
        own = self.network.client("pod", f"127.0.0.1:{OPENCODE}", "opencode", self.upstream_password)
        self.assertEqual(own.get("/global/health").status, 200)
        self.assertEqual(self.client().get("/global/health").status, 200)
        while self.probe("/readyz?upstream=1") != 200:
            self.assertLess(time.monotonic() - began, 60)
        print(
            f"startup probe of the gateway after {took * 1000:.0f} ms, opencode well after "
            f"{time.monotonic() - began:.1f} s",
            file=sys.stderr,
        )

    def test_opencode_is_reached_through_the_gateway_only(self):
        self.start_both()
        for place in ("client", "prometheus", "node"):
            with self.subTest(place), self.assertRaises(ConnectionRefusedError):
                self.network.client(place, f"{self.pod}:{OPENCODE}").connect(5)
        nobody = self.network.client("client", f"{self.pod}:{TRAFFIC}")
        self.assertEqual(nobody.get("/session").status, 401)
        # Not even with opencode's own password: the gateway's logins are others.
        wrong = self.network.client("client", f"{self.pod}:{TRAFFIC}", "opencode", self.upstream_password)
        self.assertEqual(wrong.get("/session").status, 401)
        self.assertEqual(self.client().get("/session").status, 200)
        loopback = {"0100007F", "00000000000000000000000001000000"}
        open_ports = {port for address, port in self.listeners() if address not in loopback}
        self.assertEqual(open_ports, {TRAFFIC, ADMIN})

    def test_prometheus_scrapes_from_its_own_network(self):
        self.start_both()
        prometheus = self.start_prometheus()
        if prometheus is None:
            self.assertEqual(self.metric("ocgate_draining"), 0)
            return
        prometheus.wait('up{job="ocgate"}', lambda value: value == 1)
        prometheus.wait("ocgate_upstream_up", lambda value: value == 1)
        self.assertTrue(math.isnan(prometheus.value('up{job="opencode"}')))

    # ---- stopping

    def busy(self):
        """What people have open: (events, terminal, session, outcome of a prompt that the model holds, its thread)."""
        client = self.client()
        events = EventStream(client, "/global/event")
        self.addCleanup(events.close)
        events.until_type("server.connected")
        pty = client.post_json("/pty", {"command": "/bin/sh"})
        terminal = WebSocket(client, f"/pty/{pty['id']}/connect")
        self.addCleanup(terminal.connection.close)
        terminal.send("echo $((40 + 2))\r")
        terminal.output_until(b"42\r\n")
        self.model.script(Say("a long answer", hold=True))
        session = client.post_json("/session", {"title": "held"})
        outcome = []

        def prompt():
            body = {"model": {"providerID": "fake", "modelID": "fake-1"}, "parts": [{"type": "text", "text": "go"}]}
            try:
                outcome.append(client.post(f"/session/{session['id']}/message", body))
            except Exception as error:  # an outcome, too
                outcome.append(error)

        thread = threading.Thread(target=prompt, daemon=True)
        thread.start()
        events.until_type("message.part.delta", sessionID=session["id"])
        return events, terminal, session, outcome, thread

    def end_of(self, events):
        """How the stream ended: "cut" (between two events), "torn" (in one) or "clean"."""
        try:
            while events.next() is not None:
                pass
        except (Truncated, ConnectionResetError):
            return "cut" if events.between_events else "torn"
        return "clean"

    def test_stopped_in_the_kubelets_order_nothing_is_lost(self):
        self.start_both()
        prometheus = self.start_prometheus()
        if prometheus:
            prometheus.wait("ocgate_draining", lambda value: value == 0)
        events, terminal, session, outcome, prompt = self.busy()
        stop = threading.Event()
        self.addCleanup(stop.set)
        flows = [Flow(self.client(), stop) for _ in range(4)]
        while min(flow.answered for flow in flows) < 20:
            self.assertFalse([flow.lost for flow in flows if flow.lost])
            time.sleep(0.01)

        # The preStop hooks of both containers start together: the gateway drains, opencode sleeps.
        began = time.monotonic()
        drained = []

        def hook():
            drained.append(gateway.run("drain", "--wait", "20s", "--control-socket", self.gateway.control_socket))
            drained.append(time.monotonic() - began)

        draining = threading.Thread(target=hook, daemon=True)
        draining.start()
        sleep_ends = began + 6.0  # 25 s in the manifests, where the drain may take 20

        self.assertEqual(self.end_of(events), "cut")
        self.assertEqual(terminal.closing_code(), 1001)
        self.assertEqual((self.probe("/livez"), self.probe("/readyz")), (200, 503))
        with self.assertRaises(OSError):
            self.client().connect(5)
        self.assertEqual(outcome, [])
        if prometheus:
            prometheus.wait("ocgate_draining", lambda value: value == 1)
        else:
            self.assertEqual(self.metric("ocgate_draining"), 1)
        self.model.release()
        prompt.join(30)
        self.assertEqual(outcome[0].json()["info"]["finish"], "stop", outcome)
        draining.join(30)
        self.assertEqual(drained[0].returncode, 0, drained[0].stdout + drained[0].stderr)
        self.assertTrue(all(flow.join() for flow in flows))
        self.assertLess(time.monotonic(), sleep_ends)
        time.sleep(max(0.0, sleep_ends - time.monotonic()))

        # Then SIGTERM to opencode, and to the sidecar when opencode is gone.
        self.opencode.program.signal(signal.SIGTERM)
        self.opencode.program.wait(10)
        self.assertTrue(self.gateway.program.running())
        self.gateway.program.signal(signal.SIGTERM)
        self.assertEqual(self.gateway.program.wait(10), 0, self.gateway.logs())

        answered, told = sum(flow.answered for flow in flows), sum(flow.told for flow in flows)
        print(
            f"drained in {drained[1]:.2f} s; of the flow {answered} answered, {told} told to come later, "
            f"{sum(len(flow.lost) for flow in flows)} lost; all gone after {time.monotonic() - began:.2f} s",
            file=sys.stderr,
        )
        self.assertEqual([lost for flow in flows for lost in flow.lost], [])

    def test_the_hooks_may_run_twice(self):
        self.start_both()
        for _ in range(2):
            done = gateway.run("drain", "--wait", "5s", "--control-socket", self.gateway.control_socket)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.probe("/livez"), 200)
        self.gateway.program.signal(signal.SIGTERM)
        self.assertEqual(self.gateway.program.wait(10), 0)

    def test_without_the_hooks_the_same_prompt_is_lost(self):
        """Why opencode has to sleep first; and proof that the test above would notice."""
        self.start_both()
        events, _, session, outcome, prompt = self.busy()
        self.opencode.program.signal(signal.SIGTERM)
        prompt.join(30)
        self.assertEqual((outcome[0].status, outcome[0].header("x-ocgate-error")[:8]), (502, "upstream"), outcome)
        self.assertIn(self.end_of(events), ("cut", "torn"))
        self.gateway.program.signal(signal.SIGTERM)
        self.assertEqual(self.gateway.program.wait(30), 0)


if __name__ == "__main__":
    own_user_namespace()
    case.main()
