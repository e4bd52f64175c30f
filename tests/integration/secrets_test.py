#!/usr/bin/env python3
"""Where secrets do not turn up: a whole run with secrets that can be told apart, and then a look at every log, page,
metric, error and file, and at what the kernel shows of the process.
"""

import base64
import json
import secrets
import shutil
import signal
import tempfile
from pathlib import Path
from urllib.parse import quote

from kit import case, gateway
from kit.fake_discord import FakeDiscord
from kit.fake_ntfy import FakeNtfy
from kit.fake_target import Answer, FakeTarget
from kit.notifying import WithFakeOpencode, discord_target, ntfy_target, posts, route, told
from kit.websocket import UpgradeRefused, WebSocket
from kit.wire import Client, Connection, basic


class Hook(FakeTarget):
    def answer(self, request):
        return Answer(204)


class Secrets(WithFakeOpencode):
    """A whole run with secrets that can be told apart, and then a look at everything that is written or shown."""

    def setUp(self):
        super().setUp()
        self.secrets = {}
        self.folder = Path(tempfile.mkdtemp(prefix="ocgate-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.ntfy = FakeNtfy([self.secret("ntfy's token", "tk_")], everyone="none", burst=10000)
        self.ntfy.passwords["ocgate"] = self.secret("ntfy's password")
        self.discord = FakeDiscord(limit=10000)
        self.hook = Hook()
        for target in (self.ntfy, self.discord, self.hook):
            self.addCleanup(target.close)
        self.secrets["Discord's URL"] = self.discord.webhook_url.rsplit("/", 1)[-1]
        self.signing = "whsec_" + base64.b64encode(self.secret("the webhook's key").encode()).decode()
        self.carol = gateway.run("hash-password", input=self.secret("Carol's password") + "\n").stdout.strip()
        self.secrets["Carol's hash"] = self.carol

    def secret(self, name, prefix=""):
        """One more; an older one of that name is still one."""
        if name in self.secrets:
            self.secrets[f"{name} ({len(self.secrets)})"] = self.secrets[name]
        self.secrets[name] = prefix + secrets.token_hex(16)[: 32 - len(prefix)]
        return self.secrets[name]

    def variables(self):
        wall = self.secret("a proxy's password")
        return {
            "UPSTREAM_PASSWORD": self.opencode.password,
            "NTFYS": self.secrets["ntfy's token"],
            "WALLS": self.secrets["ntfy's password"],
            "TEAMS": self.discord.webhook_url,
            "HOOKS": f"{self.hook.url}/{self.secret('the path of the webhook')}",
            "KEYS": self.signing,
            "APIS": self.secret("a field of the webhook"),
            "DORAS": self.secret("Dora's password"),
            "HTTP_PROXY": f"http://user:{wall}@127.0.0.1:9",
            "NO_PROXY": "127.0.0.1",
        }

    def config(self, **more):
        bob = self.folder / "bob"
        if not bob.exists():
            bob.write_text(self.secret("Bob's password") + "\n", encoding="utf-8")
        return {
            "audit": str(self.folder / "audit.jsonl"),
            "users": [
                {"name": "bob", "password": {"file": str(bob)}},
                {"name": "carol", "password_hash": self.carol},
                {"name": "dora", "password": {"env": "DORAS"}},
            ],
            "notifications": {
                "targets": {
                    "phone": ntfy_target(self.ntfy, token={"env": "NTFYS"}),
                    "wall": ntfy_target(self.ntfy, topic="wall", username="ocgate", password={"env": "WALLS"}),
                    "team": {**discord_target(self.discord), "url": {"env": "TEAMS"}},
                    "hook": {
                        "type": "webhook", "url": {"env": "HOOKS"}, "keys": [{"env": "KEYS"}],
                        "headers": {"X-Api-Key": {"env": "APIS"}},
                    },
                    "lines": {"type": "log"},
                },
                "routes": [route("phone", "wall", "team", "hook", "lines")],
            },
            **more,
        }  # fmt: skip

    def traffic(self, started):
        """Everything a client may send that is nobody's business, over every kind of connection."""
        good = started.client()
        secret = self.secret
        token = base64.b64encode(f"alice:{secret('a token in a query')}".encode()).decode()
        for name in ("bob", "carol", "dora"):
            account = Client(started.address, name, self.secrets[f"{name.capitalize()}'s password"])
            self.assertEqual(account.get("/global/health").status, 200, name)
        for client in (
            Client(started.address, "alice", secret("a wrong password")),
            Client(started.address, secret("a password in the place of a name"), "x"),
            Client(started.address, extra=[("Authorization", "Bearer " + secret("a bearer's token"))]),
            Client(started.address, extra=[("Authorization", "Basic " + secret("no login at all"))]),
            Client(started.address, extra=[("Authorization", secret("two of them")), ("Authorization", "x")]),
        ):
            self.assertIn(client.get(f"/global/health?auth_token={token}&key={secret('a query')}").status, (400, 401))
        fields = [
            ("Cookie", "session=" + secret("a cookie")), ("Proxy-Authorization", "Basic " + secret("a proxy's login")),
            ("X-Api-Key", secret("a key in a field")), ("Referer", "http://x/?" + secret("a referer's query")),
            ("Sec-WebSocket-Protocol", secret("a subprotocol")), ("Origin", f"http://{started.address}"),
        ]  # fmt: skip
        body = json.dumps({"type": "api", "key": secret("a provider's key")}).encode()
        for method, target in (
            ("GET", f"/session?token={secret('a query that is let in')}"), ("POST", "/session/ses_x/message"),
            ("PUT", "/auth/anthropic"), ("GET", "/no/such/page"), ("DELETE", "/session/ses_none"),
            ("POST", f"/permission/per_x/reply?ticket={secret('a ticket')}"), ("PATCH", "/config"),
        ):  # fmt: skip
            content = {} if method == "GET" else {"body": body}
            good.request(method, target, headers=fields, **content)
        with self.assertRaises(UpgradeRefused):
            WebSocket(good, f"/pty/pty_1/connect?ticket={secret('a ticket with an upgrade')}", fields)
        events = good.connect()
        self.addCleanup(events.close)
        events.send_request("GET", f"/global/event?x={secret('a query of a stream')}", good.headers(fields))
        self.assertEqual(events.read_head().status, 200)
        for broken in (
            f"GET /?{secret('a query of a broken head')} HTTP/1.1\r\nHost: a\r\nX : {secret('a broken field')}\r\n\r\n",
            f"GET /?{secret('a query of another version')} HTTP/3.1\r\n\r\n",
            f"{secret('no request')}\r\n\r\n",
            f"GET http://user:{secret('a login in a target')}@h/ HTTP/1.1\r\nHost: h\r\n\r\n",
            f"POST / HTTP/1.1\r\nHost: a\r\nAuthorization: {basic('alice', started.password)}\r\n"
            f"Transfer-Encoding: chunked\r\n\r\n{secret('no chunk')}\r\n",
            f"GET /{'x' * 9000}{secret('a target too long')} HTTP/1.1\r\n\r\n",
        ):  # fmt: skip
            with Connection(started.address) as connection:
                connection.send(broken.encode())
                connection.set_timeout(5)
                self.shown.append(connection.read_response().body.decode())

    def happen(self, started):
        """What the gateway tells people, with secrets in what agents run; they may know what is asked, not those."""
        one = self.turn(f"titled {self.known}")
        command = f"curl -H 'Authorization: Bearer sk-ant-api03-{self.secret('a key in a command')}' https://x.example"
        asked = self.opencode.ask_permission(one, command)
        self.ntfy.wait_for(lambda: len(told(self.ntfy, self.known)) >= 2)
        self.discord.wait_for(lambda: posts(self.discord, asked))
        self.hook.wait_for(lambda: self.hook.requests)
        self.assertIs(started.client().post_json(f"/permission/{asked}/reply", {"reply": "once"}), True)
        self.opencode.fail(one, f"401 for key sk-ant-api03-{self.secret('a key in an error')}")
        self.ntfy.wait_for(lambda: len(told(self.ntfy, self.known)) >= 4)

    def reload(self, started, config):
        """A right one, one with secrets where names belong, and one that is no JSON."""
        started.write_config(config)
        started.program.signal(signal.SIGHUP)
        started.wait_event("reloaded")
        wrong = self.config(
            users=[
                {"name": "eve", "password": self.secret("a password in clear")},
                {"name": "eve", "password": {"env": self.secret("a password for a variable's name")}},
                {"name": "eve", "password": {"file": self.secret("a password for a file's name")}},
                {"name": "eve", "password_hash": self.secret("no hash")},
                {"name": "eve:" + self.secret("a password behind a name"), "password": {"env": "DORAS"}},
            ],
            upstream={"url": f"http://u:{self.secret('a login in a URL')}@127.0.0.1:1"},
        )
        wrong["notifications"]["targets"]["phone"]["token"] = self.secret("a token in clear")
        wrong["notifications"]["targets"]["team"]["url"] = "https://discord.com/api/webhooks/1/" + self.secret("a URL")
        wrong["notifications"]["targets"]["hook"]["keys"] = ["whsec_" + self.secret("a key in clear")]
        for broken in (wrong, '{"users": [{"name": "x", "password": "' + self.secret("what is no JSON")):
            started.write_config(broken)
            started.program.signal(signal.SIGHUP)
            started.wait_event("reload_failed")
            for subcommand in ("check-config", "status"):
                done = gateway.run(subcommand, "--config", started.config_path, env=started.environment)
                self.shown += [done.stdout, done.stderr]
        started.write_config(config)
        started.program.signal(signal.SIGHUP)
        started.wait_event("reloaded")
        done = gateway.run("check-config", "--config", started.config_path, env=started.environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.shown += [done.stdout, done.stderr]

    def look(self, started):
        """{where: all that can be read there}."""
        good = started.client()
        pages = {
            f"{target} as {accept}": str(good.get(target, headers=[("Accept", accept)]))
            for target in ("/_ocgate/status", "/_ocgate/sessions", "/_ocgate/pending", "/_ocgate/notifications",
                           "/_ocgate/nothing", f"/_ocgate/status?key={self.secret('a query of an own page')}")
            for accept in ("application/json", "text/plain")
        }  # fmt: skip
        pages |= {target: str(started.admin().get(target)) for target in ("/metrics", "/healthz", "/readyz?upstream=1")}
        for command in (["status"], ["status", "--json"], ["pending"], ["sessions"], ["notify-test"]):
            done = started.command_line(*command)
            pages[" ".join(command)] = done.stdout + done.stderr
        pages["what was shown before"] = "\n".join(self.shown)
        process = Path(f"/proc/{started.program.pid}")
        for name in ("cmdline", "comm", "environ", "status", "maps"):
            pages[f"/proc/PID/{name}"] = (process / name).read_bytes().decode("latin-1")
        children = [one.read_text() for one in process.glob("task/*/children")]
        self.assertEqual("".join(children).strip(), "", "it starts no programs")
        for file in [*self.folder.rglob("*"), *started.state_dir.rglob("*")]:
            if file.is_file() and file.name != "bob":
                pages[str(file)] = file.read_bytes().decode("latin-1")
                self.assertEqual(file.stat().st_mode & 0o077, 0, f"{file} is for its owner")
        self.assertEqual(started.stop(), 0)
        lines = started.program.lines()
        self.assertLess(len(lines), started.program.kept_lines, "what came before them was not kept")
        pages["its output"] = "\n".join(lines)
        return pages

    def test_no_secret_is_in_any_log_page_metric_error_file_or_in_what_the_kernel_shows(self):
        self.known, self.shown = "shown-" + secrets.token_hex(8), []
        config = self.config()
        # OPENCODE_SERVER_PASSWORD comes by its variable, too.
        started = self.start_gateway(config=config, env=self.variables(), arguments=["--log-level", "debug"])
        config = json.loads(started.config_path.read_text(encoding="utf-8"))
        self.secrets["the server's password"] = started.password
        self.secrets["the upstream's password"] = self.opencode.password
        self.happen(started)
        self.traffic(started)
        self.reload(started, config)
        self.traffic(started)
        pages = self.look(started)

        for where in ("its output", "/_ocgate/sessions as application/json", "sessions"):
            self.assertIn(self.known, pages[where], "what may be seen is seen")
        self.assertTrue(any("outbox" in name or name.endswith(".db") for name in pages), sorted(pages))
        forms = {}
        for name, value in self.secrets.items():
            for user in ("alice", "bob", "carol", "dora", "ocgate", "opencode"):
                forms[base64.b64encode(f"{user}:{value}".encode()).decode().rstrip("=")[8:]] = name
            forms |= {value: name, value[:20]: name, value[-20:]: name, quote(value, safe=""): name}
            forms |= {base64.b64encode(value[i:].encode()).decode()[:-4]: name for i in range(3)}
        # What an agent was about to run is kept as it is until it has been told: for the owner's eyes, as is opencode's
        # own store.
        agents = ("a key in a command", "a key in an error")
        found = sorted({
            f"{name} is in {where}: …{text[max(0, text.find(form) - 80) : text.find(form) + 60]!r}"
            for where, text in pages.items() for form, name in forms.items()
            if form in text and not (name in agents and where.startswith(str(started.state_dir)))
        })  # fmt: skip
        self.assertEqual(found, [], "\n".join(found))
        print(f"{len(self.secrets)} secrets, {len(pages)} places, {sum(map(len, pages.values()))} bytes read")


if __name__ == "__main__":
    case.main()
