#!/usr/bin/env python3
"""Money: what the real opencode's steps cost is added up, survives kill -9 exactly, is told and held to its limit."""

import time

from kit import case
from kit.fake_ntfy import FakeNtfy
from kit.model import Say
from kit.notifying import TOPIC, ntfy_target, route

STEP = 1.05
LIMIT = 3.0


class Budgets(case.WithOpencode):
    # The scripted model says that each answer took 1,000 tokens in and 50 out: a dollar and five cents.
    prices = {"fake-1": {"input": 1000, "output": 1000}}
    gateway_wanted = False

    def setUp(self):
        self.ntfy = FakeNtfy(burst=10000)
        self.addCleanup(self.ntfy.close)
        self.gateway = self.start_gateway(config=self.config(LIMIT))
        self.gateway.wait_event("events_heard")
        self.client = self.gateway.client()
        self.session = self.new_session("a dear one", self.direct)["id"]

    def config(self, limit):
        """By the month, so that the test may run over midnight."""
        return {
            "upstream": {"username": self.opencode.username, "password": {"env": "UPSTREAM_PASSWORD"}},
            "budgets": [{"period": "month", "usd": limit, "notify_at": [0.5, 1.0], "block": True}],
            "notifications": {
                "targets": {"phone": ntfy_target(self.ntfy)},
                "routes": [route("phone", events=["budget"], hold="0")],
            },
        }

    def prompt(self, client=None, text="go on"):
        target = f"/session/{self.session}/message"
        return (client or self.client).post(target, self.prompt_body(text), timeout=120)

    def until(self, what, told, timeout=40):
        """Waits for what `told` says to hold; it is the last word on a failure."""
        deadline = time.monotonic() + timeout
        while True:
            found = told()
            if found == what:
                return
            if time.monotonic() > deadline:
                self.assertEqual(found, what)
            time.sleep(0.1)

    def spent(self):
        """To a billionth of a dollar, which is what the gateway counts in."""
        return round(self.gateway.metric("ocgate_spent_usd", period="month"), 9)

    def by_opencode(self):
        """What opencode itself says that the session's answers cost."""
        messages = self.direct.get_json(f"/session/{self.session}/message")
        return round(sum(m["info"].get("cost", 0) for m in messages if m["info"]["role"] == "assistant"), 9)

    def titles(self):
        return [message["title"] for message in self.ntfy.published(TOPIC)]

    def rise(self):
        """Starts it again, and waits until it hears."""
        self.gateway.start()
        self.gateway.wait_event("events_heard")
        self.client = self.gateway.client()

    def test_every_step_is_counted_once_whatever_kills_the_gateway(self):
        self.assertEqual(self.spent(), 0)
        self.model.script(Say("One"))
        self.assertEqual(self.prompt().status, 200)
        self.until(STEP, self.spent)
        self.assertEqual(self.by_opencode(), STEP)
        labels = {"provider": "fake", "model": "fake-1", "agent": "build"}
        self.assertEqual(self.gateway.metric("ocgate_agent_cost_usd_total", **labels), STEP)
        self.assertEqual(self.gateway.metric("ocgate_agent_steps_total", **labels), 1)
        self.assertEqual(self.gateway.metric("ocgate_agent_tokens_total", kind="input", **labels), 1000)
        self.assertEqual(self.gateway.metric("ocgate_agent_tokens_total", kind="output", **labels), 50)
        self.assertEqual(self.gateway.metric("ocgate_budget_usd", period="month"), LIMIT)
        self.assertEqual(self.gateway.metric("ocgate_budget_blocked"), 0)
        self.assertEqual(self.titles(), [])

        time.sleep(1.5)  # the first note of all is there: a gateway that never wrote one looks back at nothing
        # Killed as soon as the second has been counted, before it can have been written.
        self.model.script(Say("Two"))
        self.assertEqual(self.prompt().status, 200)
        self.until(2 * STEP, self.spent)
        self.gateway.kill()
        self.rise()
        self.until(2 * STEP, self.spent)
        self.until(["50 % of the month's budget is spent"], self.titles)

        # A third while nobody listens; and killed again and again, while it is asked for and once it is written.
        self.gateway.kill()
        self.model.script(Say("Three"))
        self.assertEqual(self.prompt(self.direct).status, 200)
        for pause in (0, 0.05, 0.2, 0.5, 1.5, 3):
            self.gateway.start()
            time.sleep(pause)
            self.gateway.kill()
        self.rise()
        self.until(round(3 * STEP, 9), self.spent)
        time.sleep(3)  # what is asked for a second time is not counted a second time
        self.assertEqual(self.spent(), round(3 * STEP, 9))
        self.assertEqual(self.by_opencode(), round(3 * STEP, 9))
        self.until(["50 % of the month's budget is spent", "The month's budget is spent"], self.titles)
        said = self.ntfy.published(TOPIC)[-1]["message"]
        self.assertIn("$3.15 of $3.00 (105 %)", said)
        self.assertRegex(said, r"New prompts are refused until \d{4}-\d\d-01 00:00 UTC\.")

        # An orderly end and a new start change nothing either.
        self.gateway.restart()
        self.gateway.wait_event("events_heard")
        self.until(round(3 * STEP, 9), self.spent)
        time.sleep(2)
        self.assertEqual(self.spent(), round(3 * STEP, 9))
        self.assertEqual(len(self.titles()), 2)

    def test_once_it_is_spent_prompts_get_429_and_nothing_else_does(self):
        self.model.script(*[Say("So it goes")] * 3)
        for _ in range(3):
            self.assertEqual(self.prompt().status, 200)
        self.until(1, lambda: self.gateway.metric("ocgate_budget_blocked"))
        asked = len(self.model.requests)
        refused = self.prompt()
        error = self.assert_gateway_error(refused, 429, "over_budget")
        self.assertIn("The month's budget is spent.", error["message"])
        self.assertEqual(refused.header("x-ocgate-error"), "client admission over_budget")
        self.assertTrue(0 < int(refused.header("retry-after")) <= 31 * 86400, str(refused))

        # As the server itself takes it: it answers each of these with a message, and none gets past the gateway.
        session = self.session
        spellings = (
            f"/session/{session}/message", f"/SESSION/{session}/Message", f"//session///{session}//message",
            f"/session/{session}/message/", f"/session/{session}/%6dessage", f"/%73ession/{session}/messag%65",
            f"/session/{session}/message?directory=%2F",
        )  # fmt: skip
        quiet = self.prompt_body("noted", noReply=True)  # asks no model
        for target in spellings:
            taken = self.direct.post(target, quiet)
            self.assertEqual((taken.status, taken.json()["info"]["role"]), (200, "user"), target)
            self.assertEqual(self.client.post(target, quiet).status, 429, target)
        others = ("prompt_async", "command", "summarize", "init")
        targets = [f"/session/{session}/{name}" for name in others] + [f"/api/session/{session}/prompt"]
        for target in targets:
            self.assertEqual(self.client.post(target, quiet).status, 429, target)
        count = len(spellings) + len(targets) + 1
        self.assertEqual(self.gateway.metric("ocgate_budget_refused_total"), count)
        self.assertEqual(len(self.model.requests), asked, "no refused prompt reached the model")

        # Neither of these is a path to a prompt; the server says so with its web page.
        close = (f"/session/{session}\\message", f"/session/{session}%2fmessage", f"/x/../session/{session}/message")
        for target in close:
            self.assertIn("text/html", self.direct.post(target, quiet).header("content-type") or "", target)

        # What ends, answers and looks goes on.
        self.assertEqual(self.client.get(f"/session/{session}/message").status, 200)
        self.assertEqual(self.client.post(f"/session/{session}/abort").status, 200)
        self.assertEqual(self.client.post("/session", {"title": "another"}).status, 200)
        refusals = [e for e in self.gateway.log_entries() if e.get("status") == 429]
        self.assertEqual(len(refusals), count)

        # More money, without a restart.
        self.gateway.write_config(self.config(LIMIT * 10))
        self.until(0, lambda: self.gateway.metric("ocgate_budget_blocked"))
        self.model.script(Say("Gladly"))
        self.assertEqual(self.prompt().status, 200)
        self.until(round(4 * STEP, 9), self.spent)


if __name__ == "__main__":
    case.main()
