#!/usr/bin/env python3
"""What agents do, counted from the real opencode's events: also what a fork copies, what was missed, what is open."""

import threading
import time

from kit import case
from kit.model import Call, Say


class Counting(case.WithOpencode):
    """Each class has an opencode of its own: a run that looks for what it missed looks a little further back."""

    def setUp(self):
        self.gateway.wait_event("events_heard")
        self.session = self.new_session("a session", self.direct)["id"]

    def prompt(self, session=None):
        answer = self.direct.post(f"/session/{session or self.session}/message", self.prompt_body("go on"), timeout=120)
        self.assertEqual(answer.status, 200, str(answer))

    def counted(self, name, **labels):
        return self.gateway.metric("ocgate_agent_" + name, **labels)

    def until(self, value, name, **labels):
        deadline = time.monotonic() + 20
        while self.counted(name, **labels) != value and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(self.counted(name, **labels), value, name)


class Heard(Counting):
    def a_turn_with_a_tool(self):
        """Two steps, and a permission that is waited for."""
        self.model.script(Call("bash", {"command": "echo hi", "description": "Says hi"}), Say("Done"))
        thread = threading.Thread(target=self.prompt)
        thread.start()
        self.until(1, "permissions_asked_total", type="bash")
        (asked,) = self.direct.get_json(self.in_project("/permission"))
        self.direct.post_json(self.in_project(f"/permission/{asked['id']}/reply"), {"reply": "once"})
        thread.join()

    def test_a_turn_and_no_more_for_the_copies_in_a_fork(self):
        self.a_turn_with_a_tool()
        expected = {"steps_total": 2, "tool_calls_total": 1, "turns_total": 1, "permissions_over_total": 1}
        for name, value in expected.items():
            self.until(value, name)
        self.assertEqual(self.counted("tokens_total", kind="input"), 2000)
        self.assertEqual(self.counted("tool_calls_total", tool="bash", outcome="completed"), 1)
        self.assertEqual(self.counted("permissions_over_total", type="bash", answer="once"), 1)
        self.assertEqual(self.counted("permission_answer_seconds_count"), 1)
        # opencode tells each message and call of the copy as if it had been made now.
        copy = self.direct.post_json(f"/session/{self.session}/fork", {})["id"]
        self.model.script(Say("In the copy"))
        self.prompt(copy)
        self.until(3, "steps_total")
        self.assertEqual(self.counted("tokens_total", kind="input"), 3000)
        self.assertEqual(self.counted("tool_calls_total"), 1)
        self.direct.post_json(f"/session/{copy}/summarize", {"providerID": "fake", "modelID": "fake-1"})
        self.until(1, "compactions_total")
        self.until(1, "steps_total", agent="compaction")


class Missed(Counting):
    def test_what_ended_while_nobody_listened_is_counted_by_the_next_run(self):
        self.model.script(Say("Heard"))
        self.prompt()
        self.until(1, "steps_total")
        pty = self.new_pty(client=self.direct)["id"]
        self.until(1, "terminals_open")
        time.sleep(2.5)  # what it heard is written down
        self.gateway.kill()
        self.model.script(Call("todowrite", {"todos": []}), Say("Unheard"))
        self.prompt()
        archived = self.new_session("to be archived", self.direct)["id"]
        self.model.script(Say("Unheard as well"))
        self.prompt(archived)
        now_ms = int(time.time() * 1000)
        self.direct.request("PATCH", f"/session/{archived}", data={"time": {"archived": now_ms}})
        self.gateway.start()
        self.gateway.wait_event("events_heard")
        self.until(3, "steps_total")
        self.until(1, "tool_calls_total", tool="todowrite", outcome="completed")
        self.until(1, "terminals_open")
        time.sleep(2)
        self.assertEqual(self.counted("steps_total"), 3, "not the one that the first run had counted")
        self.direct.request("DELETE", self.in_project(f"/pty/{pty}"))
        self.until(0, "terminals_open")


if __name__ == "__main__":
    case.main()
