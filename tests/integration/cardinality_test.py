#!/usr/bin/env python3
"""No client and no model can make the gateway's metrics grow: ten thousand random paths, users, models, agents, tools,
errors and permissions add no series beyond the bounds."""

import json
import random
import string
import threading
import time

from kit import case
from kit.notifying import WithFakeOpencode
from kit.prometheus import families_of
from kit.wire import Truncated, basic

MANY = 10_000
SETTLED = 4_000  # by then every bound is reached


def word(least=3, most=12):
    return "".join(random.choices(string.ascii_lowercase + string.digits, k=random.randint(least, most)))


class Cardinality(WithFakeOpencode):
    def setUp(self):
        super().setUp()
        seed = random.randrange(1 << 32)
        print(f"seed {seed}")
        random.seed(seed)
        # With its outbox on the disk: ten thousand answered requests are as many writes, and it has to stop all the same.
        self.gateway = self.start_gateway()

    def series(self):
        """{metric: series}"""
        response = self.gateway.admin().get("/metrics")
        return {name: len(family["samples"]) for name, family in families_of(response.body.decode()).items()}

    def assert_settled(self, settled, after, most):
        """Nothing but a rare combination may come late."""
        grown = {name: (settled[name], after[name]) for name in after if after[name] > settled[name]}
        print(f"{sum(settled.values())} series after {SETTLED}, {sum(after.values())} after {MANY}; grown: {grown}")
        self.assertLessEqual(sum(after.values()), most)
        self.assertLess(sum(after.values()) - sum(settled.values()), 0.02 * most)

    def send_requests(self, count):
        """On four connections at once: random paths, some like opencode's own, random methods, users and statuses."""
        def paths():
            own = random.choice(["session", "file", "pty", "mcp", "api/session", "global", "config", "find", ""])
            parts = [own, *(word() for _ in range(random.randint(0, 4)))]
            query = f"?{word()}={word()}" if random.random() < 0.3 else ""
            return "/" + "/".join(part for part in parts if part) + query

        def send(share):
            connection = None
            for _ in range(share):
                connection = connection or self.gateway.client().connect()
                method = random.choice(["GET", "GET", "GET", "POST", "PUT", "DELETE", "PATCH", word(3, 8).upper()])
                user = self.gateway.client().headers() if random.random() < 0.7 else [
                    ("Authorization", basic(word(), word()))]
                try:
                    connection.send_request(method, paths(), user, b"" if method == "GET" else b"{}")
                    head = connection.read_head()
                    connection.read_body(head, method)
                    closes = (head.header("connection") or "").lower() == "close"
                except (Truncated, ConnectionError):
                    closes = True
                if closes:
                    connection.close()
                    connection = None

        threads = [threading.Thread(target=send, args=(count // 4,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def test_random_requests(self):
        self.send_requests(SETTLED)
        settled = self.series()
        self.send_requests(MANY - SETTLED)
        after = self.series()
        # Of routes: opencode's templates that a path met, in 8 methods, in at most 22 statuses each.
        self.assert_settled(settled, after, most=2_000)

    def tell(self, count, numbers):
        """Steps, tools, errors, permissions and types of events, each with a name that was never heard before."""
        session = self.session
        for _ in range(count):
            number = next(numbers)
            name = f"{word()}{number}"
            now = int(time.time() * 1000)
            message = {
                "id": f"msg_{number:026d}", "sessionID": session, "role": "assistant", "mode": name, "agent": name,
                "cost": 0.001, "modelID": name, "providerID": name, "finish": "stop", "time": {"created": now,
                "completed": now}, "tokens": {"input": 1, "output": 1, "reasoning": 0, "cache": {"read": 0, "write": 0}},
            }  # fmt: skip
            part = {
                "id": f"prt_{number:026d}", "sessionID": session, "messageID": message["id"], "type": "tool",
                "tool": name, "callID": f"call_{number}", "state": {"status": "completed", "input": {}, "output": "",
                "title": "", "metadata": {}, "time": {"start": now, "end": now}},
            }  # fmt: skip
            asked = {
                "id": f"per_{number:026d}", "sessionID": session, "permission": name, "patterns": [], "metadata": {},
                "always": [], "tool": {"messageID": message["id"], "callID": f"call_{number}"},
            }  # fmt: skip
            for kind, properties in (
                ("message.part.updated", {"sessionID": session, "part": part, "time": now}),
                ("permission.asked", asked),
                ("permission.replied", {"sessionID": session, "requestID": asked["id"], "reply": "once"}),
                ("session.error", {"sessionID": session, "error": {"name": name, "data": {"message": name}}}),
                ("message.updated", {"sessionID": session, "info": message}),
                (f"{name}.happened", {"sessionID": session}),
            ):  # fmt: skip
                self.pour(kind, properties)

    def pour(self, kind, properties):
        payload = {"id": "evt_0", "type": kind, "properties": properties}
        envelope = {"directory": "/workspaces/project", "project": "project", "payload": payload}
        data = b"data: " + json.dumps(envelope, separators=(",", ":")).encode() + b"\n\n"
        self.opencode.pour(b"%x\r\n%s\r\n" % (len(data), data))

    def wait_counted(self, steps):
        deadline = time.monotonic() + 120
        while (counted := self.gateway.metric("ocgate_agent_steps_total")) < steps:
            self.assertLess(time.monotonic(), deadline, f"of {steps} steps {counted} were counted")
            time.sleep(0.05)
        self.assertEqual(counted, steps)

    def test_random_names_in_events(self):
        self.session = self.turn("A busy session")
        self.pour("server.heartbeat", {})  # a type that is due sooner or later, when nothing else comes
        numbers = iter(range(1, MANY + 1))
        self.tell(SETTLED, numbers)
        self.wait_counted(SETTLED)
        settled = self.series()
        self.tell(MANY - SETTLED, numbers)
        self.wait_counted(MANY)
        after = self.series()
        self.assertEqual(settled, after)
        for name, most in (("ocgate_agent_steps_total", 65), ("ocgate_agent_tokens_total", 5 * 65),
                           ("ocgate_agent_tool_calls_total", 2 * 65), ("ocgate_agent_errors_total", 33),
                           ("ocgate_agent_permissions_asked_total", 33), ("ocgate_tap_events_total", 3 * 130)):  # fmt: skip
            with self.subTest(name):
                self.assertLessEqual(after[name], most)
        self.assertGreater(self.gateway.metric("ocgate_agent_steps_total", model="other"), MANY - 100)


if __name__ == "__main__":
    case.main()
