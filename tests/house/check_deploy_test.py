#!/usr/bin/env python3
"""The check of deploy/ can fail: each rule is broken once in a copy of what it reads."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import check_deploy
import selftest

ROOT = Path(__file__).resolve().parents[2]
CHECK = Path(__file__).with_name("check_deploy.py")
READ = (
    "deploy", "docker/Dockerfile", "docker/compose.yaml", "docker/opencode.Dockerfile", "docker/up", "src/app",
    "src/base/failure.cpp", "src/ops/admin.cpp", "config/ocgate.schema.json", "CMakeLists.txt",
)  # fmt: skip
VALUES = "deploy/helm/values.yaml"
PLAIN = "deploy/kubernetes/statefulset.yaml"
CONFIG = "deploy/opencode/ocgate.jsonc"
SECRETS = "deploy/flux/opencode/app/externalsecret.yaml"
POLICY = "deploy/kubernetes/backendtrafficpolicy.yaml"
COMPOSE = "docker/compose.yaml"
JOB = "deploy/workspaces/backup-cronjob.yaml"
RUNBOOK = "deploy/RUNBOOK.md"

# What is changed (file, text, its replacement), and what is said of it.
BREACHES = {
    "another port of the gateway's": (
        "src/app/config_settings.cpp", "0.0.0.0:8080", "0.0.0.0:8081", "the gateway listens on 8081 and 9090",
    ),
    "a port in the configuration": (
        CONFIG, "{\n  // Envoy", '{\n  "admin_listen": ":9091",\n  // Envoy', "not 9091 for /livez",
    ),
    "a Service of another port": (
        VALUES, "metrics: { port: 9090 }", "metrics: { port: 9091 }", "the Service has the ports [8080, 9091]",
    ),
    "a target port of another number": (
        "deploy/kubernetes/service.yaml", "targetPort: 8080", "targetPort: 8088", "http sends traffic to port -1",
    ),
    "a policy that shuts Prometheus out": (
        VALUES, "ports: [{ port: 9090, protocol: TCP }]", "ports: [{ port: 9091, protocol: TCP }]",
        "the NetworkPolicy lets in [8080, 9091]",
    ),
    "a route to the admin port": (
        "deploy/kubernetes/httproute.yaml", "port: 8080", "port: 9090", "sends traffic to port 9090",
    ),
    "a monitor of a path there is not": (VALUES, "path: /metrics", "path: /metric", "asks 9090 for /metric;"),
    "a probe of a path there is not": (
        VALUES, "path: /readyz", "path: /ready", "readiness probe asks 9090 for /ready,",
    ),
    "a probe on the traffic port": (
        VALUES, "{ path: /livez, port: admin }, timeoutSeconds", "{ path: /livez, port: http }, timeoutSeconds",
        "liveness probe asks 8080",
    ),
    "liveness by readiness": (
        PLAIN, "livenessProbe:\n            httpGet: { path: /livez",
        "livenessProbe:\n            httpGet: { path: /readyz", "liveness probe asks 9090 for /readyz",
    ),
    "the gateway renames a path": ("src/ops/admin.cpp", 'path == "/livez"', 'path == "/alive"', "startup probe asks"),
    "opencode on all interfaces": (
        VALUES, '"--hostname", "127.0.0.1"', '"--hostname", "0.0.0.0"', "does not listen on loopback",
    ),
    "opencode on another port": (
        VALUES, '"--port", "4096"', '"--port", "4097"', "the gateway looks for it at 127.0.0.1:4096",
    ),
    "opencode as process 1": (
        PLAIN, 'args: ["opencode", "serve"', 'command: ["opencode", "serve"', "deaf to SIGTERM",
    ),
    "a probe without the password": (
        VALUES, "$OPENCODE_SERVER_PASSWORD", "$OPENCODE_PASSWORD", "startup probe does not ask",
    ),
    "a configuration that is not mounted": (
        VALUES, "OCGATE_CONFIG: /etc/ocgate/ocgate.jsonc", "OCGATE_CONFIG: /etc/ocgate/gateway.toml",
        "is no file of a mounted ConfigMap",
    ),
    "opencode's configuration by subPath": (
        VALUES, "[{ path: /etc/opencode, readOnly: true }]",
        "[{ path: /etc/opencode, subPath: opencode.json, readOnly: true }]", "a change would never arrive",
    ),
    "state that goes with the pod": (
        VALUES, "OCGATE_STATE_DIR: /var/lib/ocgate", "OCGATE_STATE_DIR: /run/ocgate", "is on no claim",
    ),
    "the gateway's state before the agent": (
        VALUES, "app: [{ path: /data, subPath: opencode }]", "app: [{ path: /data }]",
        "opencode sees the gateway's state at /data",
    ),
    "a control socket on a read-only root": (
        VALUES, "OCGATE_CONTROL_SOCKET: /run/ocgate", "OCGATE_CONTROL_SOCKET: /run", "there would be no drain",
    ),
    "no writable home": (
        VALUES, "HOME: /home/opencode", "HOME: /home/nobody", "opencode's HOME is in no writable volume",
    ),
    "a variable nobody knows": (
        VALUES, "OPENCODE_SERVER_PASSWORD_FILE:", "OPENCODE_PASSWORD_FILE:", "OPENCODE_PASSWORD_FILE is no variable",
    ),
    "a secret's file that is not there": (
        CONFIG, "ocgate/NTFY_TOKEN", "ocgate/NTFY_TOKN", "names /run/secrets/ocgate/NTFY_TOKN",
    ),
    "a key nobody reads": (
        CONFIG, '"token": { "file": "/run/secrets/ocgate/NTFY_TOKEN" },', "", "nobody reads the key NTFY_TOKEN",
    ),
    "a provider without a key": (
        "deploy/opencode/opencode.json", "{env:OPENAI_API_KEY}", "{env:OPENAI_KEY}", "opencode.json wants OPENAI_KEY",
    ),
    "a key opencode does not use": (
        "deploy/kubernetes/secrets/opencode.yaml", 'OPENAI_API_KEY: ""', 'OPENAI_API_KEY: ""\n  XAI_API_KEY: ""',
        "is given XAI_API_KEY",
    ),
    "the login in the agent's environment": (
        SECRETS, "property: OPENCODE_UPSTREAM_PASSWORD }\n---", "property: OPENCODE_SERVER_PASSWORD }\n---",
        "opencode's password is OPENCODE_SERVER_PASSWORD",
    ),
    "the gateway's Secret for the agent": (
        VALUES, "- secretRef: { name: opencode-secret }",
        "- secretRef: { name: opencode-secret }\n          - secretRef: { name: opencode-gateway-secret }",
        "the agent can read the gateway's Secret",
    ),
    "a restart for what is read again": (
        VALUES, "secrets.exclude.reloader.stakater.com/reload: opencode-gateway-secret",
        "secrets.exclude.reloader.stakater.com/reload: other",
        "the reloader would restart the pod for opencode-gateway-secret",
    ),
    "no sidecar": (VALUES, "restartPolicy: Always # a native", "# a native", "the gateway is no native sidecar"),
    "no drain": (PLAIN, '"drain", "--wait"', '"drein", "--wait"', "not ocgate drain"),
    "another program in the image": (
        "docker/Dockerfile", 'ENTRYPOINT ["/usr/bin/ocgate"]', 'ENTRYPOINT ["/bin/ocgate"]',
        "the image has /bin/ocgate",
    ),
    "opencode goes while the gateway drains": (
        VALUES, "sleep: { seconds: 25 }", "sleep: { seconds: 15 }",
        "opencode goes after 15 s, the gateway may drain for 20 s",
    ),
    "less grace than it takes": (
        PLAIN, "terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: 30",
        "of 30 s of grace opencode sleeps 25",
    ),
    "SIGTERM with another time": (CONFIG, '"drain": "20s"', '"drain": "40s"', "more than 60 s of grace"),
    "a token for the cluster": (
        VALUES, "automountServiceAccountToken: false", "automountServiceAccountToken: true",
        "a token for the cluster",
    ),
    "service links": (PLAIN, "enableServiceLinks: false", "enableServiceLinks: true", "enableServiceLinks"),
    "one process namespace": (
        PLAIN, "enableServiceLinks: false", "enableServiceLinks: false\n      shareProcessNamespace: true",
        "reads the gateway's files",
    ),
    "a writable root": (VALUES, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "write to its root"),
    "no sandbox": (
        VALUES, "OCGATE_SANDBOX: auto", 'OCGATE_SANDBOX: "off"', "app: the gateway's OCGATE_SANDBOX is off, not auto",
    ),
    "a sandbox nobody speaks of": (
        PLAIN, "- { name: OCGATE_SANDBOX, value: auto }", "", "kubernetes: the gateway's OCGATE_SANDBOX is unset",
    ),
    "an image without a sandbox": (
        "docker/Dockerfile", "ENV OCGATE_SANDBOX=auto", "ENV OCGATE_SANDBOX=off", "the image's OCGATE_SANDBOX is off",
    ),
    "an image that says nothing of it": (
        "docker/Dockerfile", "ENV OCGATE_SANDBOX=auto", "", "the image's OCGATE_SANDBOX is unset",
    ),
    "an image that moves": (
        "deploy/flux/ntfy/app/helmrelease.yaml", "tag: v2.27.0 }", "tag: latest }", "is not pinned",
    ),
    "a route that ends streams": (
        VALUES, "timeouts: { request: 0s }", "timeouts: { request: 60s }", "streams would end",
    ),
    "a version of another day": ("CMakeLists.txt", "VERSION 0.1.0", "VERSION 0.2.0", "is not this version, 0.2.0"),
    "another opencode": (
        "deploy/local/opencode", "version=1.18.33", "version=1.19.0", "the version this was tested with, 1.19.0",
    ),
    "retries": (
        POLICY, "  timeout:\n", "  retry: { numRetries: 2 }\n  timeout:\n", "kubernetes: BackendTrafficPolicy: it re",
    ),
    "a policy without its own spec": (VALUES, "      spec:\n        targetRefs", "      x:\n        targetRefs", "for the routes set()"),
    "retries by the chart": (
        VALUES, "        timeout:\n          tcp", "        retry: { numRetries: 2 }\n        timeout:\n          tcp",
        "app: BackendTrafficPolicy: it repeats prompts",
    ),
    "a policy for another route": (
        POLICY, "kind: HTTPRoute, name: opencode", "kind: HTTPRoute, name: opencode-app",
        "for the routes {'opencode-app'}, not {'opencode'}",
    ),
    "no policy": (VALUES, "kind: BackendTrafficPolicy", "kind: ClientTrafficPolicy", "BackendTrafficPolicy: 0 of them"),
    "connections that the gateway closes first": (
        VALUES, "          connectionIdleTimeout: 60s", "          connectionIdleTimeout: 75s", "closes after 75s",
    ),
    "connections for as long as Envoy likes": (POLICY, "      connectionIdleTimeout: 60s", "", "closes after 75s"),
    "a pod that waits for the broken one": (
        VALUES, "      podManagementPolicy: Parallel", "      podManagementPolicy: OrderedReady",
        "app: without podManagementPolicy Parallel",
    ),
    "a plain one that waits for the broken one": (
        PLAIN, "  podManagementPolicy: Parallel", "", "kubernetes: without podManagementPolicy Parallel",
    ),
    "a claim named after the number of claims": (
        VALUES, "suffix: data", "# suffix", "one volume: the claim opencode is another than ['opencode-data'",
    ),
    "a store on the NAS": (
        VALUES, "  # workspaces:\n  #   type: nfs", "  # data:\n  #   type: nfs",
        "workspaces on a NAS: opencode's XDG_DATA_HOME is in no writable volume",
    ),
    "one volume without workspaces": (
        VALUES, "app: [{ path: /data, subPath: opencode }, { path: /workspaces, subPath: workspaces }]",
        "app: [{ path: /data, subPath: opencode }]", "one volume: opencode has no writable /tmp or /workspaces",
    ),
    "a job on another claim": (
        JOB, "claimName: opencode-data }", "claimName: data }", "opencode-backup: the chart makes no claim data,",
    ),
    "a job in another folder": (
        JOB, "mountPath: /data, subPath: opencode", "mountPath: /data", "it has another /data than opencode",
    ),
    "a job as another user": (JOB, "runAsUser: 1000", "runAsUser: 1001", "CronJob opencode-backup: it runs as"),
    "a job of another version": (JOB, "OWNER/opencode:1.18.33", "OWNER/opencode:1.18.32", "its image is ghcr.io/OWNER"),
    "an operator that comes later": (
        "deploy/flux/opencode/ks.yaml", "{ name: kube-prometheus-stack", "{ name: other",
        "opencode does not wait for kube-prometheus-stack",
    ),
    "ntfy before its Gateway": (
        "deploy/flux/ntfy/ks.yaml", "{ name: envoy-gateway", "{ name: other", "ntfy does not wait for envoy-",
    ),
    "two Secrets at two times": (
        SECRETS, "refreshInterval: 5m # as below", "refreshInterval: 1h # as below",
        "hold OPENCODE_UPSTREAM_PASSWORD are refreshed at ['1h', '5m']",
    ),
    "one visitor for ntfy": (
        "deploy/flux/ntfy/app/resources/server.yml", 'proxy-trusted-hosts: "10.42', '# "10.42',
        "ntfy's proxy-trusted-hosts are None",
    ),
    "no sandbox with Docker": (
        COMPOSE, "OCGATE_SANDBOX:-auto", "OCGATE_SANDBOX:-off", "compose.yaml: the gateway's OCGATE_SANDBOX is",
    ),
    "a sandbox that may be none on a server": (
        "deploy/systemd/ocgate.jsonc", '"sandbox": "on"', '"sandbox": "auto"', "sandbox is auto, not on",
    ),
    "an agent that asks nobody with Docker": (
        COMPOSE, "opencode.host.json}:/etc/opencode", "opencode.host.json}:/etc/other",
        "is not mounted there, read-only",
    ),
    "an agent that asks nobody on a server": (
        "deploy/systemd/opencode.service", "OPENCODE_CONFIG=/etc/opencode", "OPENCODE_CONFIG=/etc/other",
        "deploy/install does not put deploy/opencode/opencode.host.json",
    ),
    "a container there is not": (RUNBOOK, "opencode-0 -c app |", "opencode-0 -c opencode |", "no container opencode"),
    "a pod there is not": (RUNBOOK, "describe pod opencode-0", "describe pod opencode", "the pod is opencode-0"),
    "any container": (RUNBOOK, "logs opencode-0 -c app |", "logs opencode-0 |", "logs without a container"),
    "a program that the image lacks": (
        RUNBOOK, "-c gateway -- ocgate notify-test", "-c gateway -- curl", "the gateway's image has no curl",
    ),
    "a host that gets 421": (
        RUNBOOK, "http://localhost:8080/_ocgate/notifications/targets",
        "http://gateway:8080/_ocgate/notifications/targets", "the gateway answers 421 to gateway",
    ),
    "a compose that finds nothing": (
        RUNBOOK, "docker compose -f docker/compose.yaml stop opencode", "docker compose stop opencode",
        "docker compose finds no file without -f",
    ),
    "a service there is not": (
        RUNBOOK, "docker/compose.yaml stop opencode", "docker/compose.yaml stop agent", "compose stop: no service",
    ),
    "a subcommand there is not": (RUNBOOK, "`ocgate pending` shows", "`ocgate waiting` shows", "no subcommand waiting"),
    "an option there is not": (
        RUNBOOK, "`ocgate notify-test --target NAME`", "`ocgate notify-test --to NAME`", "notify-test has no --to",
    ),
    "a file there is not": (
        RUNBOOK, "-f deploy/kubernetes/prometheusrule.yaml", "-f deploy/kubernetes/rules.yaml",
        "there is no deploy/kubernetes/rules.yaml",
    ),
    "a setting there is not": (RUNBOOK, "`timeouts.stall`", "`limits.stall`", "there is no setting limits.stall"),
    "a setting of another name": (RUNBOOK, "`log_sample`", "`log_samples`", "log_samples is no setting"),
    "a setting there is not, in an alert": (
        "deploy/prometheus/alerts.yaml", "`timeouts.stall`", "`limits.stall`",
        "alerts.yaml:188: there is no setting limits.stall",
    ),
    "a backup of no claim": (
        "deploy/flux/opencode/volsync/replicationsource.yaml", "sourcePVC: opencode-data", "sourcePVC: opencode",
        "the chart makes no claim opencode,",
    ),
    "a claim in no group": (
        VALUES, "recurring-job-group.longhorn.io/opencode: enabled",
        "recurring-job-group.longhorn.io/default: enabled", "is not labelled for its group opencode",
    ),
    "a ks.yaml that leads nowhere": (
        "deploy/flux/opencode/ks.yaml", "opencode/longhorn", "opencode/backup", "there is no backup",
    ),
    "a forgotten copy": (
        "deploy/flux/opencode/app/resources/opencode.json", '"autoupdate": false', '"autoupdate": true',
        "differs from its source",
    ),
    "rules that were edited in place": (
        "deploy/kubernetes/prometheusrule.yaml", "severity: critical", "severity: info", "other groups than",
    ),
    "a dashboard nobody lists": (
        "deploy/kubernetes/kustomization.yaml", "files: [config/dashboards/ocgate.json]", "files: []",
        "lists the dashboards []",
    ),
    "one of two changed": (
        PLAIN, "limits: { memory: 256Mi }", "limits: { memory: 512Mi }", "container gateway: resources differs",
    ),
}  # fmt: skip


class Deploy(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name) / "repository"
        for name in READ:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, self.root / name, ignore=shutil.ignore_patterns("*.png", "__pycache__"))
            else:
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.root / name)
        # Whether the copies are up to date is what the check itself tells; here it is about everything else.
        subprocess.run([self.root / "deploy/generate"], stdout=subprocess.DEVNULL, check=True)

    def check(self, part="manifests", **environment):
        env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment}
        command = [sys.executable, CHECK, part, self.root]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def change(self, name, old, new, everywhere=False):
        text = (self.root / name).read_text(encoding="utf-8")
        self.assertIn(old, text, f"{name} no longer says this")
        (self.root / name).write_text(text.replace(old, new, -1 if everywhere else 1), encoding="utf-8")

    def test_as_it_stands(self):
        self.assertEqual(self.check(), (0, "manifests: nothing to complain of\n"))

    def test_each_breach_is_told(self):
        pristine = self.root.with_name("pristine")
        shutil.copytree(self.root, pristine)
        for what, (name, old, new, said) in BREACHES.items():
            with self.subTest(what):
                self.change(name, old, new, everywhere=name.startswith("src/"))
                changed = [name]
                if name.startswith(("deploy/helm", "deploy/opencode")):
                    generate = [self.root / "deploy/generate"]
                    said_so = subprocess.run(generate, stdout=subprocess.PIPE, text=True, check=True).stdout
                    changed += re.findall(r"^(\S+): written$", said_so, re.MULTILINE)
                told = "\n".join(check_deploy.check_manifests(self.root))
                self.assertIn(said, told)
            for one in changed:
                shutil.copy(pristine / one, self.root / one)
        self.assertEqual(list(check_deploy.check_manifests(self.root)), [], "not everything was put back")

    def test_the_generator_tells_and_mends(self):
        generate = [self.root / "deploy/generate"]
        self.change("deploy/grafana/ocgate.json", "{", "{ ")
        self.change(VALUES, "replicas: 1", "replicas: 2")
        told = subprocess.run([*generate, "--check"], stdout=subprocess.PIPE, text=True, check=False)
        self.assertEqual(told.returncode, 1)
        for name in ("flux/opencode/app/helmrelease.yaml", "kubernetes/config/dashboards/ocgate.json"):
            self.assertIn(f"deploy/{name}: differs from its source\n", told.stdout)
        subprocess.run(generate, stdout=subprocess.DEVNULL, check=True)
        self.assertEqual(subprocess.run([*generate, "--check"], check=False).returncode, 0)

    def test_what_cannot_run_here_is_skipped_with_the_reason(self):
        code, told = self.check("config", OCGATE_BINARY="")
        self.assertEqual((code, told), (77, "SKIPPED: OCGATE_BINARY names no gateway to ask\n"))
        code, told = self.check("schemas")
        self.assertEqual((code, told), (77, "SKIPPED: no validator with schemas stands beside this checkout\n"))
        with tempfile.TemporaryDirectory() as bare:
            (Path(bare) / "git").symlink_to(shutil.which("git"))
            code, told = self.check("lint", PATH=bare)
        self.assertEqual(code, 77)
        self.assertIn("SKIPPED: yamllint is not installed", told)
        self.assertIn("SKIPPED: shellcheck is not installed", told)


class Configuration(Deploy):
    """The gateway's own check, when there is a gateway."""

    def setUp(self):
        super().setUp()
        if not os.environ.get("OCGATE_BINARY"):
            self.skipTest("OCGATE_BINARY names no gateway to ask")

    test_each_breach_is_told = test_the_generator_tells_and_mends = None
    test_what_cannot_run_here_is_skipped_with_the_reason = None

    def test_as_it_stands(self):
        self.assertEqual(self.check("config"), (0, "config: nothing to complain of\n"))

    def test_a_mistake_is_told(self):
        for name, old, new, said in (
            (CONFIG, '"timeouts"', '"timeout"', "unknown key"),
            (CONFIG, '"targets": ["phone", "discord"]', '"targets": ["phone", "dicord"]', "no target has this name"),
            (VALUES, "OCGATE_STATE_DIR", "OCGATE_STATEDIR", "is no setting"),
        ):
            with self.subTest(said):
                self.change(name, old, new)
                subprocess.run([self.root / "deploy/generate"], stdout=subprocess.DEVNULL, check=True)
                code, told = self.check("config")
                self.assertEqual(code, 1, told)
                self.assertIn(said, told)
                self.change(name, new, old)


if __name__ == "__main__":
    if check_deploy.yaml is None:
        print(f"SKIPPED: {check_deploy.NO_YAML} (Debian: python3-yaml)")
        sys.exit(check_deploy.SKIPPED)
    selftest.main()
