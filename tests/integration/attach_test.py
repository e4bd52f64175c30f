#!/usr/bin/env python3
"""opencode's own terminal client, `opencode attach`, in tmux through the gateway."""

from kit import case
from kit.model import Call, Say
from kit.opencode import Unavailable, private_environment
from kit.tmux import Terminal


class Attach(case.WithOpencode):
    def attach(self, *arguments, **environment):
        folder = self.opencode.root / self.id().rsplit(".", 1)[-1]
        home = folder / "home"
        home.mkdir(parents=True)
        env = private_environment(home, **environment)
        argv = [self.opencode.executable, "attach", f"http://{self.gateway.address}", *arguments]
        try:
            terminal = Terminal(folder, argv, env, self.opencode.project)
        except Unavailable as reason:
            self.skipTest(str(reason))
        self.addCleanup(terminal.close)
        return terminal

    def attach_logged_in(self):
        # By environment: an argument would show the password to every user of the machine.
        return self.attach(
            OPENCODE_SERVER_USERNAME=self.gateway.username, OPENCODE_SERVER_PASSWORD=self.gateway.password
        )

    def test_a_prompt_typed_in_is_answered_on_the_screen(self):
        self.model.script(Say("The answer is forty-two."))
        terminal = self.attach_logged_in()
        terminal.wait_screen("Ask anything")
        terminal.type("what is the answer")
        terminal.wait_screen("what is the answer")
        terminal.key("Enter")
        screen = terminal.wait_screen("The answer is forty-two.")
        self.assertIn("what is the answer", screen)

    def test_a_permission_is_asked_on_the_screen_and_given_there(self):
        count = Call("bash", {"command": "echo granted-$((40+2))", "description": "Count"})
        self.model.script(count, Say("So it ran."))
        terminal = self.attach_logged_in()
        terminal.wait_screen("Ask anything")
        terminal.type("run it")
        terminal.wait_screen("run it")
        terminal.key("Enter")
        terminal.wait_screen("Allow once")
        terminal.key("Enter")
        self.assertIn("granted-42", terminal.wait_screen("So it ran."))

    def test_a_wrong_password_ends_it_with_1(self):
        terminal = self.attach("-u", self.gateway.username, "-p", "wrong")
        self.assertEqual(terminal.wait_exit(), 1)
        self.assertIn("401", terminal.screen(history=True))


if __name__ == "__main__":
    case.main()
