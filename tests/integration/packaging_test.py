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
            # Containers have users of their own; the runbook changes passwords in place, without being root.
            self.assertEqual(stat.S_IMODE((folder / name).stat().st_mode), 0o644)
        self.assertEqual(len(set(made.values()) - {""}), 4)
        (folder / "password").chmod(0o444)  # as earlier versions made them
        self.secrets()
        self.assertEqual(stat.S_IMODE((folder / "password").stat().st_mode), 0o644)
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
                source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")[0]
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


class Package(InFolder):
    """What dpkg runs and asks; tests/images/deb installs the whole."""

    def postinst(self, *words):
        """It, in a system below self.root, with its programs that need root noting what they are told."""
        tools = self.root / "tools"
        tools.mkdir(exist_ok=True)
        for name in ("chown", "systemctl", "systemd-sysusers"):
            (tools / name).write_text(f'#!/bin/sh\nfor last; do :; done\necho "{name} $*"\n'
                                      f'[ {name} != chown ] || [ -e "$last" ]\n')  # fmt: skip
            (tools / name).chmod(0o755)
        return subprocess.run(
            ["sh", REPOSITORY / "deploy/package/postinst", *words], capture_output=True, text=True, check=False,
            env={"PATH": f"{tools}:{os.environ['PATH']}", "DPKG_ROOT": str(self.root)},
        )  # fmt: skip

    def test_a_configuration_that_was_removed_is_no_failure(self):
        etc = self.root / "etc/ocgate"
        (etc / "credentials").mkdir(parents=True)
        config = etc / "ocgate.jsonc"
        config.write_text("{}")
        done = self.postinst("configure", "")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"chown root:ocgate {config}", done.stdout)
        self.assertIn("put passwords into", done.stdout)
        for path, mode in ((etc, 0o750), (config, 0o640), (etc / "credentials", 0o700)):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), mode, path)
        config.unlink()
        done = self.postinst("configure", "0.1.0")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertFalse(config.exists())

    def test_an_edited_configuration_stays_and_nobody_is_asked(self):
        if os.geteuid() != 0 or not shutil.which("dpkg-deb"):
            self.skipTest("needs root and dpkg")
        options = re.findall(r"Dpkg::Options::=(--\S+)", read("deploy/install"))
        admin = self.root / "system/var/lib/dpkg"
        for name in ("info", "updates", "triggers"):
            (admin / name).mkdir(parents=True)
        for name in ("status", "available"):
            (admin / name).touch()
        for version in ("1", "2"):
            tree = self.root / f"tree{version}"
            (tree / "DEBIAN").mkdir(parents=True)
            (tree / "etc").mkdir()
            (tree / "etc/conf").write_text(f"of version {version}\n")
            (tree / "DEBIAN/conffiles").write_text("/etc/conf\n")
            (tree / "DEBIAN/control").write_text(
                f"Package: x\nVersion: {version}\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n"
            )
            subprocess.run(["dpkg-deb", "-b", tree, self.root / f"{version}.deb"], check=True, capture_output=True)

        def install(version, *words):
            return subprocess.run(
                ["dpkg", f"--root={self.root}/system", f"--log={self.root}/log", *words, "-i",
                 self.root / f"{version}.deb"],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            )  # fmt: skip

        self.assertEqual(install("1").returncode, 0)
        conf = self.root / "system/etc/conf"
        conf.write_text("mine\n")
        self.assertEqual(install("2").returncode, 1, "dpkg asks no more: this test shows nothing")
        done = install("2", *options)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(conf.read_text(), "mine\n")
        self.assertEqual(conf.with_name("conf.dpkg-dist").read_text(), "of version 2\n")


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
