#!/usr/bin/env python3
"""A whole turn through the gateway, watched on both event streams: permission, question, error, abort."""

import json
import threading

from kit import case
from kit.model import Call, Fail, Say


class Turn:
    """POST /session/{id}/message on a thread: opencode sends not even a head until the turn is over."""

    def __init__(self, test, session, text):
        self.response = None
        self._error = None
        body = test.prompt_body(text)

        def post():
            try:
                self.response = test.client.post(f"/session/{session['id']}/message", body, timeout=120)
            except Exception as error:  # handed to the test in finish()
                self._error = error

        self._thread = threading.Thread(target=post, daemon=True)
        self._thread.start()

    def finished(self):
        return not self._thread.is_alive()

    def finish(self):
        self._thread.join(120)
        if self._error:
            raise self._error
        assert self.response is not None, "the held response never came"
        assert self.response.status == 200, str(self.response)
        return self.response.json()


class PromptCycle(case.WithOpencode):
    def setUp(self):
        self.session = self.new_session()
        self.events = self.subscribe()

    def until(self, kind, **properties):
        return self.events.until_type(kind, sessionID=self.session["id"], **properties)

    def texts(self, message):
        return [part["text"].strip() for part in message["parts"] if part["type"] == "text"]

    def test_a_permission_is_asked_then_granted_and_the_turn_completes(self):
        self.model.script(Call("bash", {"command": "echo it-ran", "description": "Say it"}), Say("All done"))
        turn = Turn(self, self.session, "run it")
        asked = self.until("permission.asked")
        self.assertEqual(asked["permission"], "bash")
        self.assertEqual(asked["metadata"]["command"], "echo it-ran")
        self.assertFalse(turn.finished(), "the turn must wait for the answer")
        pending = self.client.get_json(self.in_project("/permission"))
        self.assertEqual([entry["id"] for entry in pending], [asked["id"]])
        reply = self.client.post_json(self.in_project(f"/permission/{asked['id']}/reply"), {"reply": "once"})
        self.assertIs(reply, True)
        self.until("permission.replied", requestID=asked["id"], reply="once")
        self.until("session.idle")
        message = turn.finish()
        self.assertEqual(message["info"]["finish"], "stop")
        self.assertEqual(self.texts(message), ["All done"])
        ran = [
            part["state"]["output"]
            for entry in self.client.get_json(f"/session/{self.session['id']}/message")
            for part in entry["parts"]
            if part["type"] == "tool"
        ]
        self.assertIn("it-ran", ran[0])

    def test_a_rejected_permission_ends_the_turn(self):
        self.model.script(Call("bash", {"command": "echo no", "description": "Say no"}), Say("unreachable"))
        turn = Turn(self, self.session, "run it")
        asked = self.until("permission.asked")
        answer = self.client.post_json(
            f"/session/{self.session['id']}/permissions/{asked['id']}", {"response": "reject"}
        )
        self.assertIs(answer, True)
        self.until("permission.replied", requestID=asked["id"], reply="reject")
        self.until("session.idle")
        self.assertEqual(turn.finish()["info"]["finish"], "tool-calls")

    def test_a_question_is_asked_and_answered(self):
        option = [{"label": "Red", "description": "a red one"}, {"label": "Blue", "description": "a blue one"}]
        self.model.script(
            Call("question", {"questions": [{"question": "Which colour?", "header": "Colour", "options": option}]}),
            Say("Blue it is"),
        )
        turn = Turn(self, self.session, "ask me")
        asked = self.until("question.asked")
        self.assertEqual(asked["questions"][0]["question"], "Which colour?")
        answer = {"answers": [["Blue"]]}
        self.assertIs(self.client.post_json(self.in_project(f"/question/{asked['id']}/reply"), answer), True)
        replied = self.until("question.replied", requestID=asked["id"])
        self.assertEqual(replied["answers"], [["Blue"]])
        self.until("session.idle")
        self.assertEqual(self.texts(turn.finish()), ["Blue it is"])

    def test_a_provider_error_is_an_event_and_a_200(self):
        self.model.script(Fail(401, "bad key"))
        turn = Turn(self, self.session, "fail")
        failed = self.until("session.error")["error"]
        self.assertEqual((failed["name"], failed["data"]["statusCode"]), ("APIError", 401))
        self.until("session.idle")
        self.assertEqual(turn.finish()["info"]["error"]["name"], "APIError")

    def test_a_failing_provider_is_retried_until_aborted(self):
        self.model.script(Fail(500, "try later"), Fail(500, "try later"), Fail(500, "try later"))
        turn = Turn(self, self.session, "fail")
        status = {}
        while status.get("type") != "retry":
            status = self.until("session.status")["status"]
        self.assertGreaterEqual(status["attempt"], 1)
        self.assertIs(self.client.post_json(f"/session/{self.session['id']}/abort"), True)
        self.until("session.idle")
        turn.finish()

    def test_an_abort_stops_a_running_turn(self):
        self.model.script(Say("This will never", hold=True))
        turn = Turn(self, self.session, "long")
        delta = self.until("message.part.delta", field="text")
        self.assertTrue(delta["delta"])
        self.assertFalse(turn.finished())
        self.assertIs(self.client.post_json(f"/session/{self.session['id']}/abort"), True)
        self.assertEqual(self.until("session.error")["error"]["name"], "MessageAbortedError")
        self.until("session.idle")
        self.model.wait_hang_up(30)
        self.assertEqual(turn.finish()["info"]["error"]["name"], "MessageAbortedError")

    def test_prompt_async_answers_204_at_once_and_the_turn_runs_on(self):
        self.model.script(Say("Later", hold=True))
        response = self.client.post(f"/session/{self.session['id']}/prompt_async", self.prompt_body("go"))
        self.assertEqual((response.status, response.body), (204, b""))
        self.until("message.part.delta", field="text")
        status = self.client.get_json(self.in_project("/session/status"))
        self.assertEqual(status[self.session["id"]]["type"], "busy")
        self.model.release()
        self.until("session.idle")

    def test_a_client_leaving_a_held_prompt_does_not_stop_the_turn(self):
        self.model.script(Say("Unseen", hold=True))
        body = self.prompt_body("go")
        with self.client.connect() as leaving:
            data = json.dumps(body).encode()
            fields = self.client.headers([("Content-Type", "application/json")])
            leaving.send_request("POST", f"/session/{self.session['id']}/message", fields, data)
            self.until("message.part.delta", field="text")
        self.model.release()
        self.until("session.idle")
        last = self.client.get_json(f"/session/{self.session['id']}/message")[-1]
        self.assertEqual(last["info"]["finish"], "stop")
        self.assertEqual(self.texts(last), ["Unseen"])


if __name__ == "__main__":
    case.main()
