#!/usr/bin/env python3
"""docker/ and deploy/systemd against the gateway's binary, and against each other. Nothing is built or started here;
tests/images does that.
"""

import os
import re
import shutil
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

from kit import case, gateway, opencode
from kit.opencode import REPOSITORY

DOCKER = REPOSITORY / "docker"
UNITS = REPOSITORY / "deploy" / "systemd"
DRAIN = 25  # seconds, timeouts.drain


def read(path):
    return (REPOSITORY / path).read_text(encoding="utf-8")


def check_config(*arguments, **env):
    return gateway.run("check-config", *arguments, env=gateway.environment(**env))


class InFolder(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.root = Path(tempfile.mkdtemp(prefix="ocgate-test-"))
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)

    def secrets(self):
        """What docker/up makes, from a copy of docker/."""
        copy = self.root / "docker"
        if not copy.exists():
            shutil.copytree(DOCKER, copy, ignore=shutil.ignore_patterns("secrets"))
        done = subprocess.run([copy / "up", "--secrets"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return copy / "secrets"


class Compose(InFolder):
    def setUp(self):
        super().setUp()
        try:
            import yaml  # Debian's python3-yaml
        except ModuleNotFoundError as missing:
            self.skipTest(str(missing))
        self.compose = yaml.safe_load(read("docker/compose.yaml"))
        self.services = self.compose["services"]

    def test_the_gateway_takes_its_environment(self):
        folder = self.secrets()
        env = {
            name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)).replace("/run/secrets", str(folder))
            for name, value in self.services["gateway"]["environment"].items()
        }
        done = check_config(**env)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("http://ntfy:8080", done.stdout + done.stderr)
        unknown = check_config(**env, OCGATE_LISTN="x")
        self.assertIn("OCGATE_LISTN", unknown.stdout + unknown.stderr, "it would not notice a wrong name")
        self.assertNotIn("OCGATE_", done.stderr)

    def test_secrets_are_files_made_once_and_for_us_alone(self):
        folder = self.secrets()
        declared = {name: Path(entry["file"]).name for name, entry in self.compose["secrets"].items()}
        made = {path.name: path.read_text() for path in folder.iterdir()}
        self.assertEqual(set(declared.values()) | {"providers.env"}, set(made))
        self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)
        for name in ("password", "upstream-password", "ntfy-topic", "grafana-password"):
            self.assertRegex(made[name], r"^[A-Za-z0-9_-]{32}$")
            self.assertEqual(stat.S_IMODE((folder / name).stat().st_mode), 0o444)  # containers have users of their own
        self.assertEqual(len(set(made.values()) - {""}), 4)
        self.secrets()
        self.assertEqual({path.name: path.read_text() for path in folder.iterdir()}, made)
        for service in self.services.values():
            for secret in service.get("secrets", ()):
                self.assertIn(secret, declared)

    def test_only_loopback_is_published_and_opencode_not_at_all(self):
        published = [port for service in self.services.values() for port in service.get("ports", ())]
        self.assertEqual(len(published), 4)
        for port in published:
            self.assertTrue(port.startswith("127.0.0.1:"), port)
        for name in ("opencode", "gateway"):
            self.assertEqual(self.services[name]["network_mode"], "service:pod")
        self.assertIn("--hostname 127.0.0.1 --port 4096", self.services["opencode"]["command"][-1])
        self.assertIn(":8080", self.services["pod"]["ports"][0].rpartition("}")[2])

    def test_everything_is_confined_and_stops_in_order(self):
        for name, service in self.services.items():
            self.assertEqual((service["read_only"], service["cap_drop"]), (True, ["ALL"]), name)
        # compose stops whoever depends on others first: the gateway drains while opencode still works.
        self.assertIn("opencode", self.services["gateway"]["depends_on"])
        self.assertNotIn("gateway", self.services["opencode"]["depends_on"])
        self.assertGreater(int(self.services["gateway"]["stop_grace_period"][:-1]), DRAIN + 5)

    def test_what_is_mounted_is_there(self):
        for service in self.services.values():
            for volume in service.get("volumes", ()):
                source = volume.split(":")[0]
                if source.startswith("."):
                    self.assertTrue((DOCKER / source).exists(), source)
                else:
                    self.assertIn(source, self.compose["volumes"])
        rules = re.findall(r"/etc/prometheus/rules/(\S+)", read("docker/prometheus/prometheus.yaml"))
        self.assertTrue(all((REPOSITORY / "deploy/prometheus" / rule).exists() for rule in rules) and rules)
        home = self.services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
        self.assertTrue((REPOSITORY / "deploy/grafana" / Path(home).name).exists(), home)


class Versions(unittest.TestCase):
    def test_one_opencode_everywhere(self):
        version = subprocess.run([opencode.FETCHER, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        for path in ("docker/opencode.Dockerfile", "docker/compose.yaml", "deploy/workspaces/backup-cronjob.yaml",
                     "deploy/workspaces/restore-job.yaml"):
            named = set(re.findall(r"opencode(?:-workspace)?:(\d[\w.]*)", read(path)))
            self.assertEqual(named, {version}, path)

    def test_one_gateway_everywhere(self):
        version = re.search(r"project\(opencode-gateway VERSION (\S+)", read("CMakeLists.txt"))[1]
        self.assertEqual(re.findall(r"^ARG VERSION=(.*)$", read("docker/Dockerfile"), re.MULTILINE), [version])
        self.assertEqual(re.findall(r"image: opencode-gateway:(.*)", read("docker/compose.yaml")), [version])

    def test_what_the_dockerfiles_copy_is_in_their_context(self):
        allowed = [line[1:] for line in read(".dockerignore").splitlines() if line.startswith("!")]

        def sent(path):
            return any(path == one or path.startswith(one + "/") for one in allowed)

        for dockerfile in ("docker/Dockerfile", "docker/opencode.Dockerfile"):
            for line in re.findall(r"^COPY (?!--from)(.*)$", read(dockerfile), re.MULTILINE):
                for source in line.split()[:-1]:
                    self.assertTrue(source == "." or sent(source), source)
            for source in re.findall(r"(?:RUN|&&) (docker/\S+)", read(dockerfile)):
                self.assertTrue(sent(source), source)
        for source in re.findall(r"\b((?:deploy|config)/[\w./-]+)", read("deploy/package/package.cmake")):
            if source != "deploy/RUNBOOK.md":  # OPTIONAL
                self.assertTrue(sent(source) and (REPOSITORY / source).exists(), source)


class Units(InFolder):
    def test_the_packages_configuration_holds(self):
        (self.root / "password").write_text("x")
        env = {
            f"{name}_FILE": str(self.root / "password")
            for name in ("OPENCODE_SERVER_PASSWORD", "OCGATE_UPSTREAM_PASSWORD")
        }
        unit = read("deploy/systemd/ocgate.service")
        self.assertEqual(set(re.findall(r"^Environment=(\w+)=", unit, re.MULTILINE)), set(env))
        done = check_config("--config", UNITS / "ocgate.jsonc", **env)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(check_config("--config", UNITS / "ocgate.jsonc").returncode, 1)

    def test_credentials_are_loaded_before_they_are_named(self):
        for name in ("ocgate.service", "opencode.service", "notifications.conf"):
            text = read(f"deploy/systemd/{name}").replace("\n# ", "\n")
            loaded = set(re.findall(r"^LoadCredential=([\w-]+):/etc/ocgate/credentials/\1$", text, re.MULTILINE))
            used = set(re.findall(r"%d/([\w-]+)|CREDENTIALS_DIRECTORY/([\w-]+)", text))
            self.assertEqual({a or b for a, b in used}, loaded, name)
            self.assertTrue(loaded)
        stop = re.search(r"^TimeoutStopSec=(\d+)s$", read("deploy/systemd/ocgate.service"), re.MULTILINE)
        self.assertGreater(int(stop[1]), DRAIN + 5)

    def test_systemd_understands_them(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is missing (Debian's package systemd)")
        units = []
        for name in ("ocgate.service", "opencode.service"):
            unit = self.root / name
            # The programs are not installed here, and verify asks for them.
            unit.write_text(re.sub(r"/usr/(local/)?bin/(ocgate|opencode)", "/bin/true", read(f"deploy/systemd/{name}")))
            units.append(unit)
        done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for unit, most in zip(units, (2.0, 6.0)):
            done = subprocess.run(
                ["systemd-analyze", "security", "--offline=yes", "--no-pager", unit],
                capture_output=True, text=True, check=False, env={**os.environ, "LANG": "C.UTF-8"},
            )  # fmt: skip
            found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
            if not found:
                self.skipTest(f"systemd-analyze security works otherwise here: {done.stderr.strip()[:200]}")
            self.assertLessEqual(float(found[1]), most, unit.name)


class Entrypoint(InFolder):
    def run_it(self, **env):
        """The environment of what it starts."""
        done = subprocess.run(
            [DOCKER / "opencode-entrypoint", "env"], capture_output=True, text=True, check=False,
            env={"PATH": os.environ["PATH"], **env},
        )  # fmt: skip
        found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        return done.returncode, {name: value for name, value in found.items() if name not in ("PATH", "PWD", "_")}

    def test_secrets_come_from_files(self):
        (self.root / "secret").write_text("from a file\n")
        path = str(self.root / "secret")
        self.assertEqual(
            self.run_it(OPENCODE_SERVER_PASSWORD_FILE=path, ANTHROPIC_API_KEY_FILE=path, GIT_TOKEN_FILE=path),
            (
                0,
                {
                    "OPENCODE_SERVER_PASSWORD": "from a file",
                    "ANTHROPIC_API_KEY": "from a file",
                    "GIT_TOKEN_FILE": path,  # git's business
                },
            ),
        )
        given = {"OPENAI_API_KEY": "given $(id)", "OPENAI_API_KEY_FILE": path}
        self.assertEqual(self.run_it(**given), (0, {"OPENAI_API_KEY": "given $(id)"}))
        self.assertEqual(self.run_it(OPENCODE_SERVER_PASSWORD_FILE=str(self.root / "none"))[0], 1)


if __name__ == "__main__":
    case.main()
