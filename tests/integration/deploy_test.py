#!/usr/bin/env python3
"""What deploy/ says, as a pod would run it: the real opencode with deploy/opencode/opencode.json, the kubelet's probes,
and the gateway in its container's environment, only that the mounts are folders of the test's.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from kit import case, gateway, ntfy_real
from kit.opencode import REPOSITORY, Opencode, Unavailable, free_port
from kit.process import Program
from kit.sse import EventStream
from kit.wire import Client

sys.path.insert(0, str(REPOSITORY / "tests" / "house"))
try:
    import check_deploy
    import deploy_pods

    MISSING = None if check_deploy.yaml else "python3-yaml is not installed"
except ModuleNotFoundError as why:
    MISSING = str(why)

KEYS = {"ANTHROPIC_API_KEY": "sk-made-up-1", "OPENAI_API_KEY": "sk-made-up-2", "GITHUB_TOKEN": "made-up"}


def with_variables(text):
    for name, value in KEYS.items():
        text = text.replace("{env:%s}" % name, value)
    return text


def mount_secret(folder):
    """Files in a folder as the kubelet lays them out: links by way of `..data`, which is replaced in one step."""
    (folder / "..1").mkdir()
    for path in [path for path in folder.iterdir() if path.is_file()]:
        path.rename(folder / "..1" / path.name)
        path.symlink_to(Path("..data") / path.name)
    (folder / "..data").symlink_to("..1")


def renew_secret(folder, **changed):
    shutil.copytree(folder / "..1", folder / "..2")
    for name, value in changed.items():
        (folder / "..2" / name).write_text(value, encoding="utf-8")
    (folder / "..data_tmp").symlink_to("..2")
    (folder / "..data_tmp").rename(folder / "..data")
    shutil.rmtree(folder / "..1")


class AsInThePod(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if MISSING:
            raise unittest.SkipTest(MISSING)
        cls.deployment = deploy_pods.read(REPOSITORY / check_deploy.FOLDERS[0], REPOSITORY)
        try:
            cls.opencode = Opencode()
        except Unavailable as reason:
            raise unittest.SkipTest(str(reason)) from None
        cls.addClassCleanup(cls.opencode.close)
        (cls.opencode.home / ".config/opencode/opencode.json").unlink()
        cls.opencode.environment.update(KEYS)

    def configured(self, configuration):
        """What opencode makes of a configuration: GET /config."""
        path = self.opencode.root / "opencode.json"
        path.write_text(json.dumps(configuration), encoding="utf-8")
        self.opencode.kill()
        self.opencode.environment["OPENCODE_CONFIG"] = str(path)
        self.opencode.start()
        return self.opencode.client().get_json("/config")

    def assert_kept(self, wanted, found, at=""):
        if isinstance(wanted, dict):
            self.assertIsInstance(found, dict, at)
            for key, value in wanted.items():
                self.assertIn(key, found, f"opencode does not know {at}/{key}")
                self.assert_kept(value, found[key], f"{at}/{key}")
        else:
            self.assertEqual(wanted, found, at)

    def test_opencode_takes_every_key(self):
        text = (REPOSITORY / "deploy/opencode/opencode.json").read_text(encoding="utf-8")
        wanted = json.loads(with_variables(text))
        found = self.configured(json.loads(text))
        self.assert_kept(wanted, found)
        with self.assertRaises(AssertionError):  # an unknown key is dropped without a word, so this can fail
            self.assert_kept({"providers": {}}, self.configured({**wanted, "providers": {}}))

    def test_opencode_takes_the_mcp_examples(self):
        text = (REPOSITORY / "deploy/opencode/mcp.jsonc").read_text(encoding="utf-8")
        examples = deploy_pods.jsonc(text)
        for server in examples["mcp"].values():
            server["enabled"] = False  # or it would be asked
        self.assert_kept(json.loads(with_variables(json.dumps(examples))), self.configured(examples))

    def test_the_kubelets_probes_of_opencode(self):
        shells = [["/bin/sh", "-c"]]
        if shutil.which("busybox"):  # the shell of the official image
            shells.append([shutil.which("busybox"), "sh", "-c"])
        opencode = self.deployment.pod.containers["app"]
        for kind, probe in opencode.probes.items():
            command = probe["exec"]["command"]
            self.assertEqual(command[:2], ["/bin/sh", "-c"])
            script = command[2].replace("127.0.0.1:4096", self.opencode.address)
            self.assertIn(self.opencode.address, script)
            for shell in shells:
                for password, well in ((self.opencode.password, True), ("wrong", False)):
                    with self.subTest(kind, shell=shell[0], password=password == self.opencode.password):
                        env = {"PATH": os.environ["PATH"], "OPENCODE_SERVER_PASSWORD": password}
                        done = subprocess.run([*shell, script], env=env, timeout=60, capture_output=True, check=False)
                        self.assertEqual(done.returncode == 0, well, done)
        self.assertEqual(set(opencode.probes), {"startup", "liveness"})

    def start_gateway(self):
        """(program, environment, traffic and admin address): the gateway in its container's environment."""
        folder = tempfile.TemporaryDirectory(prefix="ocgate-test-")
        self.addCleanup(folder.cleanup)
        known = {
            "OPENCODE_SERVER_PASSWORD": "what-people-type",
            "OPENCODE_UPSTREAM_PASSWORD": self.opencode.password,
            "NTFY_TOPIC": "http://127.0.0.1:1/opencode",
            "DISCORD_WEBHOOK_URL": check_deploy.MADE_UP["DISCORD_WEBHOOK_URL"],
        }
        pod = check_deploy.lay_out(self.deployment, folder.name, lambda key: known.get(key, "made-up"))
        mount_secret(Path(pod["OPENCODE_SERVER_PASSWORD_FILE"]).parent)
        env = gateway.environment(
            **{**pod, "OCGATE_SANDBOX": "auto"}, OCGATE_LISTEN="127.0.0.1:0", OCGATE_ADMIN_LISTEN="127.0.0.1:0",
            OCGATE_UPSTREAM=f"http://{self.opencode.address}",
        )  # fmt: skip
        program = Program("ocgate", [gateway.binary()], env=env)
        self.addCleanup(program.kill)
        event = program.wait_line(lambda line: json.loads(line) if '"listening"' in line else None, 60)
        program.wait_line(lambda line: '"event":"upstream_up"' in line, 60)  # so it has the upstream's password
        return program, env, event["traffic"], event["admin"]

    def client(self, traffic, password, host="opencode.example.org"):
        return Client(traffic, "opencode", password, extra=[("Host", host)])

    def health(self, *arguments, **names):
        return self.client(*arguments, **names).get("/global/health").status

    def test_the_gateway_starts_serves_and_drains(self):
        program, env, traffic, admin_address = self.start_gateway()
        admin = Client(admin_address)
        container = self.deployment.pod.containers["gateway"]
        for probe in container.probes.values():
            self.assertEqual(admin.get(probe["httpGet"]["path"]).status, 200)
        self.assertEqual(admin.get("/readyz?upstream=1").status, 200)
        self.assertEqual(self.health(traffic, "what-people-type"), 200)
        self.assertEqual(self.health(traffic, self.opencode.password), 401)
        self.assertEqual(self.health(traffic, "what-people-type", host="rebound.example"), 421)
        self.assertTrue((Path(env["OCGATE_STATE_DIR"]) / "outbox.db").is_file())

        hook = container.pre_stop["exec"]["command"]
        done = gateway.run(*hook[1:], env=env)
        self.assertEqual((done.returncode, done.stdout), (0, "drained\n"), done.stderr)
        self.assertEqual(admin.get("/readyz").status, 503)
        self.assertEqual(admin.get("/livez").status, 200, "it is not restarted while it waits for SIGTERM")
        program.signal(signal.SIGTERM)
        self.assertEqual(program.wait(30), 0)

    def test_a_new_password_cuts_nobody_off(self):
        program, env, traffic, _ = self.start_gateway()
        events = EventStream(self.client(traffic, "what-people-type"), "/global/event")
        self.addCleanup(events.close)
        events.until_type("server.connected")
        renew_secret(Path(env["OPENCODE_SERVER_PASSWORD_FILE"]).parent, OPENCODE_SERVER_PASSWORD="another-one")
        program.wait_line(lambda line: '"event":"reloaded"' in line, 30)
        self.assertEqual(self.health(traffic, "what-people-type"), 401)
        self.assertEqual(self.health(traffic, "another-one"), 200)
        events.until_type("server.heartbeat")  # sent every 10 s: one that came before the change is not looked at
        events.until_type("server.heartbeat")


class OwnNtfy(unittest.TestCase):
    """deploy/flux/ntfy on the real server: the gateway may tell, the phone may hear, nobody else may do anything."""

    def setUp(self):
        if MISSING:
            self.skipTest(MISSING)
        try:
            self.binary = ntfy_real.binary()
        except Unavailable as reason:
            self.skipTest(str(reason))
        folder = tempfile.TemporaryDirectory(prefix="ocgate-test-")
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.manifests = REPOSITORY / "deploy/flux/ntfy/app"

    def said(self, *arguments, typed=""):
        env = {"PATH": os.environ["PATH"], "HOME": str(self.root)}
        done = subprocess.run(
            [self.binary, *arguments], env=env, input=typed, text=True, capture_output=True, timeout=60, check=True
        )
        return done.stdout.strip()

    def start(self):
        """As the Secret's template and server.yml say, with two passwords and a token of our own."""
        token = self.said("token", "generate")
        passwords = ("of the gateway", "of the phone")
        hashes = [self.said("user", "hash", typed=f"{password}\n{password}\n") for password in passwords]
        fields = dict(zip(("NTFY_TOKEN", "NTFY_OCGATE_HASH", "NTFY_PHONE_HASH"), (token, *hashes)))
        (secret,) = (
            one for _, one in deploy_pods.documents_in(self.manifests, REPOSITORY) if one["kind"] == "ExternalSecret"
        )
        env = {"PATH": os.environ["PATH"], "HOME": str(self.root)}
        for name, template in secret["spec"]["target"]["template"]["data"].items():
            for field, value in fields.items():
                template = template.replace("{{ .%s }}" % field, value)
            self.assertNotIn("{{", template)
            env[name] = template
        port, metrics = free_port(), free_port()
        text = (self.manifests / "resources/server.yml").read_text(encoding="utf-8")
        for old, new in (
            ('":8080"', f'"127.0.0.1:{port}"'), ('":9090"', f'"127.0.0.1:{metrics}"'),
            ("/var/lib/ntfy", str(self.root)), ("${SECRET_DOMAIN}", "example.org"),
        ):  # fmt: skip
            self.assertIn(old, text)
            text = text.replace(old, new)
        config = self.root / "server.yml"
        config.write_text(text, encoding="utf-8")
        self.text = text
        program = Program("ntfy", [self.binary, "serve", "--config", config], env=env)
        self.addCleanup(program.kill)
        deadline = time.monotonic() + 30
        while True:  # "Listening on" comes before it does
            try:
                self.assertEqual(Client(f"127.0.0.1:{port}").get("/v1/health").status, 200, "what the probes ask")
                return f"127.0.0.1:{port}", token
            except ConnectionError:
                self.assertTrue(program.running() and time.monotonic() < deadline, program.logs())
                time.sleep(0.05)

    def test_who_may_do_what(self):
        address, token = self.start()
        anybody = Client(address)
        tells = Client(address, extra=[("Authorization", f"Bearer {token}")])
        hears = Client(address, "phone", "of the phone")

        def publish(client, topic="opencode"):
            return client.request("PUT", f"/{topic}", body=b"hello").status

        def read(client, topic="opencode"):
            return client.get(f"/{topic}/json?poll=1").status

        self.assertEqual([publish(tells), publish(tells, "opencode-team")], [200, 200])
        self.assertEqual([read(hears), read(hears, "opencode-team")], [200, 200])
        self.assertEqual([publish(hears), read(tells), publish(anybody), read(anybody)], [403] * 4)
        self.assertEqual([publish(tells, "other"), read(hears, "other")], [403] * 2)
        # What the gateway does when something was answered.
        self.assertEqual(tells.request("PUT", "/opencode/seq-1", body=b"asked").status, 200)
        self.assertEqual(tells.request("PUT", "/opencode/seq-1/clear").status, 200)

    def test_a_strangers_guesses_lock_nobody_else_out(self):
        """All come from Envoy, and those from outside through the tunnel's pod, which Envoy adds behind their address."""
        address, _ = self.start()
        (pods,) = re.findall(r'^proxy-trusted-hosts: "([\d.]+)\.0\.0/16"', self.text, re.MULTILINE)

        def read(user, password, source):
            extra = [("X-Forwarded-For", f"{source}, {pods}.3.4")]
            return Client(address, user, password, extra=extra).get("/opencode/json?poll=1").status

        guesses = [read("phone", f"guess {n}", "198.51.100.66") for n in range(40)]
        self.assertEqual((guesses[0], guesses[-1]), (401, 429))
        self.assertEqual(read("phone", "of the phone", "203.0.113.7"), 200)


if __name__ == "__main__":
    case.main()
