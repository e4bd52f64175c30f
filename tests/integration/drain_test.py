#!/usr/bin/env python3
"""Stopping: what is open is ended properly, what is held is awaited, and the exit code tells how it went."""

import itertools
import signal
import threading

from kit import case, gateway
from kit.model import Say
from kit.wire import Client, Connection, Truncated


class Drain(case.WithOpencode):
    """Each test stops a gateway of its own."""

    def setUp(self):
        self.own = self.start_gateway()
        self.client = self.own.client()

    def open_stream_and_terminal(self):
        events = self.subscribe()
        terminal = self.connect_pty(self.new_pty())
        terminal.send("echo $((40 + 2))\r")
        terminal.output_until(b"42\r\n")
        return events, terminal

    def assert_ended_properly(self, events, terminal):
        # After a whole event, but without the last chunk: opencode's SDK takes a clean end for the end of all events
        # and a cut for a reason to reconnect, which is what a restart is.
        with self.assertRaises((Truncated, ConnectionResetError)):
            while events.next() is not None:
                pass
        self.assertTrue(events.between_events)
        self.assertEqual(terminal.closing_code(), 1001)
        self.assertTrue(terminal.connection.at_end())

    def held_prompt(self):
        """(finish, session): a prompt the model holds; finish() gives the response or the exception."""
        self.model.script(Say("held", hold=True))
        session = self.new_session()
        outcome = []

        def post():
            try:
                outcome.append(self.client.post(f"/session/{session['id']}/message", self.prompt_body("go")))
            except Exception as error:  # a cut connection is an outcome here
                outcome.append(error)

        thread = threading.Thread(target=post, daemon=True)
        events = self.subscribe(client=self.direct)
        thread.start()
        events.until_type("message.part.delta", sessionID=session["id"])
        events.close()

        def finish():
            thread.join(60)
            return outcome[0]

        return finish, session

    def assert_told(self, response):
        """A request that was under way when its time was over: its client hears so, and that is what is logged."""
        self.assert_gateway_error(response, 504, "draining")
        self.assertEqual(response.header("connection"), "close")
        logged = self.own.wait_event("request", request_id=response.header("x-request-id"))
        self.assertEqual((logged["status"], logged["response_bytes"]), (504, len(response.body)))

    def test_sigterm_ends_streams_between_events_and_terminals_with_1001(self):
        events, terminal = self.open_stream_and_terminal()
        self.own.program.signal(signal.SIGTERM)
        self.assert_ended_properly(events, terminal)
        self.assertEqual(self.own.program.wait(30), 0)

    def test_an_idle_gateway_stops_at_once(self):
        with self.client.connect() as idle:
            self.assertEqual(self.client.get("/global/health", connection=idle).status, 200)
            self.own.program.signal(signal.SIGTERM)
            self.assertTrue(idle.at_end())
        self.assertEqual(self.own.program.wait(5), 0)

    def test_who_signals_to_the_very_end_does_not_change_how_it_ended(self):
        """A second signal may come when all is over and the handlers are about to go."""
        process = self.own.program
        for number in itertools.cycle((signal.SIGTERM, signal.SIGINT, signal.SIGHUP)):
            if not process.running():
                break
            process.signal(number)
        self.assertEqual(process.wait(10), 0)

    def test_a_held_prompt_is_awaited_while_nothing_new_comes_in(self):
        finish, _ = self.held_prompt()
        self.own.program.signal(signal.SIGTERM)
        self.own.wait_event("draining")
        ready = self.own.admin().get("/readyz")
        self.assertEqual(ready.status, 503)
        self.assertIn("draining", ready.body.decode())
        with self.assertRaises(OSError):
            self.client.get("/global/health")
        self.model.release()
        response = finish()
        self.assertEqual(response.json()["info"]["finish"], "stop")
        self.assertEqual(response.header("connection"), "close")
        self.assertEqual(self.own.program.wait(30), 0)

    def test_the_second_signal_forces(self):
        finish, session = self.held_prompt()
        self.own.program.signal(signal.SIGTERM)
        self.own.wait_event("draining")
        self.own.program.signal(signal.SIGTERM)
        self.assertEqual(self.own.program.wait(30), 2)
        self.assert_told(finish())
        self.direct.post(f"/session/{session['id']}/abort")

    def test_the_second_signal_does_not_wait_for_passwords_to_be_hashed(self):
        # 40 logins that cost about a second each: the one under way is awaited, the others are not. From ten
        # addresses, because only eight of each may wait.
        slow = gateway.run("hash-password", "--cost", "14", input="a password\n").stdout.strip()
        htpasswd = self.own.root / "htpasswd"
        htpasswd.write_text("".join(f"user{i}:{slow}\n" for i in range(40)))
        own = self.start_gateway(config={"htpasswd_file": str(htpasswd)})
        for i in range(40):
            stranger = Client(own.address, f"user{i}", "a guess")
            connection = Connection(own.address, source=f"127.0.0.{1 + i % 10}")
            self.addCleanup(connection.close)
            connection.send_request("GET", "/session", stranger.headers())
        while own.metric("ocgate_http_requests_in_flight") < 40:
            self.assertTrue(own.program.running())
        own.program.signal(signal.SIGTERM)
        own.wait_event("draining")
        own.program.signal(signal.SIGTERM)
        self.assertEqual(own.program.wait(30), 2)

    def test_sigint_drains_like_sigterm(self):
        events, terminal = self.open_stream_and_terminal()
        self.own.program.signal(signal.SIGINT)
        self.assert_ended_properly(events, terminal)
        self.assertEqual(self.own.program.wait(30), 0)

    def test_drain_wait_returns_when_it_is_over(self):
        events, terminal = self.open_stream_and_terminal()
        ended = threading.Thread(target=self.assert_ended_properly, args=(events, terminal), daemon=True)
        ended.start()
        done = gateway.run("drain", "--wait", "20s", "--control-socket", self.own.control_socket)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        ended.join(30)
        self.assertFalse(ended.is_alive())
        # What a container's preStop hook does: drain first, then comes the SIGTERM.
        if self.own.program.running():
            self.own.program.signal(signal.SIGTERM)
        self.assertEqual(self.own.program.wait(30), 0)

    def test_without_time_to_drain_nothing_is_forced_where_nothing_is_cut(self):
        for idle_connections in (0, 1):
            with self.subTest(idle_connections=idle_connections):
                own = self.start_gateway(config={"timeouts": {"drain": "0"}})
                for _ in range(idle_connections):
                    idle = own.client().connect()
                    self.addCleanup(idle.close)
                    self.assertEqual(own.client().get("/global/health", connection=idle).status, 200)
                own.program.signal(signal.SIGTERM)
                self.assertEqual(own.program.wait(30), 0)
                self.assertEqual([entry for entry in own.log_entries() if entry["event"] == "forced"], [])
        done = gateway.run("drain", "--wait", "0s", "--control-socket", self.own.control_socket)
        self.assertEqual((done.returncode, done.stdout), (0, "drained\n"), done.stderr)
        self.own.program.signal(signal.SIGTERM)
        self.assertEqual(self.own.program.wait(30), 0)

    def test_without_time_to_drain_what_is_under_way_is_cut_and_the_exit_code_says_so(self):
        finish, session = self.held_prompt()
        done = gateway.run("drain", "--wait", "0s", "--control-socket", self.own.control_socket)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertIn("had to be cut", done.stderr)
        self.assert_told(finish())
        self.own.program.signal(signal.SIGTERM)
        self.assertEqual(self.own.program.wait(30), 2)
        forced = [entry["connections"] for entry in self.own.log_entries() if entry["event"] == "forced"]
        self.assertEqual(forced, [1])
        self.direct.post(f"/session/{session['id']}/abort")

    def test_a_broken_file_drains_no_other_gateway(self):
        # `own` stands where a gateway stands that nobody gave a control socket.
        runtime = self.own.root / "runtime"
        runtime.mkdir(mode=0o700)
        (runtime / "ocgate.sock").symlink_to(self.own.control_socket)
        broken = self.own.root / "broken.json"
        broken.write_text("{ not json")
        env = gateway.environment(XDG_RUNTIME_DIR=str(runtime))
        done = gateway.run("drain", "--config", broken, env=env)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("--control-socket", done.stderr)
        self.assertEqual(self.own.admin().get("/readyz").status, 200)
        done = gateway.run("drain", env=env)
        self.assertEqual(done.returncode, 0, "it could have been drained: " + done.stderr)

    def test_drain_without_a_gateway_says_so(self):
        done = gateway.run("drain", "--wait", "1s", "--control-socket", self.own.root / "nobody.sock")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("nobody.sock", done.stderr)


if __name__ == "__main__":
    case.main()
