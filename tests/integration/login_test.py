#!/usr/bin/env python3
"""Who gets in, what a refusal looks like, and that no credential of a client's travels on to opencode."""

import base64
import json
import subprocess
import unittest

from kit import case, gateway
from kit.relay import Relay
from kit.websocket import UpgradeRefused, WebSocket
from kit.wire import Client, basic

HEALTH = "/global/health"
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"


class Login(case.WithOpencode):
    model_wanted = False

    def as_user(self, username, password, gateway=None):
        return Client((gateway or self.gateway).address, username, password)

    def assert_login_wanted(self, response):
        self.assert_gateway_error(response, 401)
        self.assertRegex(response.header("www-authenticate"), r'^Basic realm="[^"]+"')
        self.assertEqual(response.header("cache-control"), "no-store")

    def test_the_right_pair_gets_in(self):
        response = self.client.get(HEALTH)
        self.assertEqual(response.status, 200, str(response))
        self.assertEqual(response.json(), {"healthy": True, "version": response.json()["version"]})
        self.assertTrue(response.header("x-request-id"))

    def test_the_scheme_is_case_insensitive_and_the_password_may_hold_colons(self):
        authorization = basic(self.gateway.username, self.gateway.password).replace("Basic", "bAsIc")
        response = Client(self.gateway.address).get(HEALTH, headers=[("Authorization", authorization)])
        self.assertEqual(response.status, 200, str(response))
        other = self.start_gateway(password="a:b:c ü")
        self.assertEqual(other.client().get(HEALTH).status, 200)
        self.assertEqual(self.as_user("alice", "a", other).get(HEALTH).status, 401)

    def test_wrong_or_missing_credentials_are_401_wherever_they_knock(self):
        for username, password in ((None, None), ("alice", "wrong"), ("nobody", self.gateway.password), ("", "")):
            for target in (HEALTH, "/", "/event", "/pty", "/metrics", "/_ocgate/anything", "/doc"):
                with self.subTest(username=username, target=target):
                    self.assert_login_wanted(self.as_user(username, password).get(target))

    def test_credentials_that_are_no_credentials_are_401(self):
        good = base64.b64encode(f"alice:{self.gateway.password}".encode()).decode()
        no_colon = base64.b64encode(b"alice").decode()
        for value in ("Basic", "Basic ", "Basic !!!", f"Bearer {good}", good, f"Basic {no_colon}"):
            with self.subTest(value=value):
                response = Client(self.gateway.address).get(HEALTH, headers=[("Authorization", value)])
                self.assertIn(response.status, (400, 401), str(response))

    def test_upstreams_own_pair_is_of_no_use_at_the_gateway(self):
        pair = self.as_user(self.opencode.username, self.opencode.password)
        self.assert_login_wanted(pair.get(HEALTH))

    def test_auth_token_in_the_query_neither_helps_nor_harms(self):
        token = base64.b64encode(f"alice:{self.gateway.password}".encode()).decode()
        self.assert_login_wanted(Client(self.gateway.address).get(f"{HEALTH}?auth_token={token}"))
        self.assertEqual(self.client.get(f"{HEALTH}?auth_token=nonsense").status, 200)

    def test_credentials_end_at_the_gateway(self):
        relay = Relay(self.opencode.address)
        self.addCleanup(relay.close)
        behind = self.start_gateway(upstream=relay.address)
        token = base64.b64encode(b"alice:guess").decode()
        response = behind.client().get(f"/path?auth_token={token}&directory={self.opencode.project}")
        self.assertEqual(response.status, 200, str(response))
        relay.wait_leg("/path")
        sent = relay.everything_sent()
        self.assertNotIn(basic("alice", behind.password)[6:].encode(), sent)
        self.assertNotIn(b"auth_token", sent)
        self.assertNotIn(token.encode(), sent)
        self.assertIn(basic(self.opencode.username, self.opencode.password).encode(), sent)

    def test_secrets_are_not_in_the_log(self):
        self.client.get(HEALTH)
        self.as_user("alice", "a-wrong-secret").get(f"{HEALTH}?auth_token=c2VjcmV0LXRva2Vu")
        log = "\n".join(self.gateway.program.lines())
        for secret in (self.gateway.password, self.opencode.password, "a-wrong-secret", "c2VjcmV0LXRva2Vu"):
            self.assertNotIn(secret, log)
            self.assertNotIn(base64.b64encode(f"alice:{secret}".encode()).decode(), log)

    def test_a_refused_upgrade_is_403_for_a_browser(self):
        pty = self.new_pty()
        origin = ("Origin", f"http://{self.gateway.address}")
        for name, headers in (
            ("without credentials", [origin, ("User-Agent", USER_AGENT)]),
            ("wrong password", [origin, ("User-Agent", USER_AGENT), ("Authorization", basic("alice", "no"))]),
        ):
            with self.subTest(name), self.assertRaises(UpgradeRefused) as refused:
                WebSocket(Client(self.gateway.address), f"/pty/{pty['id']}/connect", headers)
            self.assert_gateway_error(refused.exception.response, 403)
            self.assertIsNone(refused.exception.response.header("www-authenticate"))

    def test_a_refused_upgrade_is_401_or_403_for_a_program(self):
        with self.assertRaises(UpgradeRefused) as refused:
            WebSocket(Client(self.gateway.address), "/pty/pty_x/connect")
        self.assertIn(refused.exception.response.status, (401, 403))

    def test_guessing_is_throttled_for_the_guesser_and_nobody_else(self):
        config = {"trusted_proxies": ["127.0.0.0/8"]}
        throttled = self.start_gateway(config=config)
        self.assertEqual(throttled.client().get(HEALTH, headers=[("X-Forwarded-For", "203.0.113.7")]).status, 200)
        guesser = [("X-Forwarded-For", "203.0.113.7")]

        def guess(n):
            return self.as_user("alice", f"guess {n}", throttled).get(HEALTH, headers=guesser)

        # A program that goes on with an old password guesses nothing.
        self.assertEqual([guess(0).status for _ in range(30)], [401] * 30)
        self.assertEqual([guess(n).status for n in range(14)], [401] * 10 + [429] * 4)
        refused = guess(0)
        self.assert_gateway_error(refused, 429)
        self.assertGreater(int(refused.header("retry-after")), 0)
        elsewhere = [("X-Forwarded-For", "198.51.100.9")]
        self.assertEqual(throttled.client().get(HEALTH, headers=elsewhere).status, 200)
        self.assertEqual(throttled.client().get(HEALTH).status, 200)
        told = [entry for entry in throttled.log_entries() if entry["event"] == "forwarder_not_trusted"]
        self.assertEqual(told, [])

    def test_a_trusted_forwarder_may_add_ports_and_is_counted_itself_when_it_cannot_be_read(self):
        for forwarded, counted_as in (("9.9.9.8:1234", "9.9.9.8"), ("[2001:db8::9]:1234", "2001:db8::9"),
                                      ("unknown", "127.0.0.1")):
            with self.subTest(forwarded):
                own = self.start_gateway(config={"trusted_proxies": ["127.0.0.0/8"]})
                field = [("X-Forwarded-For", forwarded)]
                statuses = [
                    self.as_user("alice", f"guess {n}", own).get(HEALTH, headers=field).status for n in range(14)
                ]  # fmt: skip
                self.assertEqual(statuses, [401] * 10 + [429] * 4)
                self.assertEqual(own.wait_event("refused")["client"], counted_as)
                told = [entry for entry in own.log_entries() if entry["event"] == "forwarder_not_readable"]
                self.assertEqual(len(told), int(forwarded == "unknown"))

    def test_a_forwarder_nobody_named_is_told_once(self):
        own = self.start_gateway()
        for guess in ("one", "two"):
            self.as_user("alice", guess, own).get(HEALTH, headers=[("X-Forwarded-For", "203.0.113.7")])
        self.assertEqual(own.wait_event("forwarder_not_trusted")["peer"], "127.0.0.1")
        told = [entry for entry in own.log_entries() if entry["event"] == "forwarder_not_trusted"]
        self.assertEqual(len(told), 1)


class Htpasswd(case.WithOpencode):
    """Entries written by Apache's own htpasswd, openssl and our hash-password."""

    model_wanted = False

    def entry(self, username, password, *options):
        done = subprocess.run(
            ["htpasswd", "-n", "-i", *options, username], input=password, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout.strip()

    def crypt(self, username, password, scheme):
        done = subprocess.run(
            ["openssl", "passwd", f"-{scheme}", "-stdin"], input=password, stdout=subprocess.PIPE, text=True, check=True
        )
        return f"{username}:{done.stdout.strip()}"

    def test_every_hash_that_htpasswd_files_hold(self):
        ours = gateway.run("hash-password", input="own-secret\n")
        self.assertEqual(ours.returncode, 0, ours.stderr)
        entries = {
            "bcrypt": self.entry("bcrypt", "bcrypt-secret", "-B", "-C", "6"),
            "apr1": self.entry("apr1", "apr1-secret", "-m"),
            "sha": self.entry("sha", "sha-secret", "-s"),
            "six": self.crypt("six", "six-secret", "6"),
            "five": self.crypt("five", "five-secret", "5"),
            "own": "own:" + ours.stdout.strip().rsplit(":", 1)[-1],
        }
        path = self.opencode.root / "htpasswd"
        path.write_text("# users\n\n" + "\n".join(entries.values()) + "\n", encoding="utf-8")
        started = self.start_gateway(config={"htpasswd_file": str(path)})
        for name in entries:
            with self.subTest(name):
                client = Client(started.address, name, f"{name}-secret")
                self.assertEqual(client.get(HEALTH).status, 200)
                self.assertEqual(client.get(HEALTH).status, 200, "and again, from the cache")
                self.assertEqual(Client(started.address, name, f"{name}-secre").get(HEALTH).status, 401)
        self.assertEqual(started.client().get(HEALTH).status, 200, "the pair of the environment still works")


class WithoutUsers(unittest.TestCase):
    def test_no_user_at_all_refuses_to_start(self):
        done = gateway.run("serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("OPENCODE_SERVER_PASSWORD", done.stderr)

    def test_a_second_gateway_does_not_share_the_first_ones_address(self):
        for threads in ("1", "2"):
            with self.subTest(threads=threads):
                first = gateway.Gateway("127.0.0.1:9", threads=threads)
                self.addCleanup(first.close)
                second = gateway.run(
                    "serve", "--listen", first.address, "--admin-listen", "127.0.0.1:0", "--threads", threads,
                    "--control-socket", "none", env=gateway.environment(OPENCODE_SERVER_PASSWORD="x"),
                )  # fmt: skip
                self.assertEqual(second.returncode, 1, second.stdout + second.stderr)
                self.assertIn("listen_failed", second.stdout)
                self.assertIn("is another gateway running?", second.stdout)

    def test_why_it_does_not_start_is_told_as_it_is(self):
        def start(*arguments):
            done = gateway.run("serve", *arguments, env=gateway.environment(OPENCODE_SERVER_PASSWORD="x"))
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            return [json.loads(line) for line in done.stdout.splitlines()]

        # TEST-NET-1: nobody's address.
        told = start("--listen", "192.0.2.1:0", "--admin-listen", "127.0.0.1:0", "--control-socket", "none")
        self.assertEqual([entry["event"] for entry in told], ["listen_failed"])
        self.assertIn("no network interface", told[0]["message"])
        told = start("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--control-socket", "/no/such/x.sock")
        self.assertEqual([entry["event"] for entry in told], ["no_control_socket"])
        self.assertNotIn("signals", told[0]["message"])

    def test_where_it_listens_is_told_at_every_level_but_off(self):
        for level in ("debug", "warn", "error"):
            with self.subTest(level):
                started = gateway.Gateway("127.0.0.1:9", arguments=("--log-level", level))
                self.addCleanup(started.close)
                self.assertEqual(started.admin().get("/livez").status, 200)

    def test_a_password_can_come_from_a_file_but_never_from_argv(self):
        done = gateway.run("serve", "--help")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("--password", done.stdout)


if __name__ == "__main__":
    case.main()
