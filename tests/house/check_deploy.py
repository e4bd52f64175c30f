#!/usr/bin/env python3
"""Holds deploy/ against the gateway it deploys, and against itself.

    check_deploy.py [PART] [ROOT]    prints one line per breach; exit status 0 none, 1 some, 77 cannot run here

    manifests   (default) ports, probes, files, secrets, the order of stopping, security, versions, names of claims:
                read from the manifests and from the sources; that what stands in two places is the same; and that
                the RUNBOOK's commands and settings are such (deploy_runbook.py)
    config      the gateway's own words: `ocgate check-config` in the environment of each pod ($OCGATE_BINARY)
    lint        yamllint and shellcheck
    schemas     a validator with the schemas of Kubernetes and app-template, where one stands beside the checkout
"""

import dataclasses
import importlib.machinery
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import yaml

    import deploy_pods
    import deploy_runbook
except ModuleNotFoundError as missing:  # said by main: Debian's python3-yaml
    yaml, NO_YAML = None, missing

SKIPPED = 77
SANDBOXED = ("auto", "on")
FOLDERS = ("deploy/flux/opencode/app", "deploy/kubernetes")
VALIDATOR = Path("../shared/schemas/validate.py")
YAMLLINT = """{extends: default, rules: {line-length: {max: 130, ignore: "*_test.yaml"}, braces: {max-spaces-inside: 1},
  document-start: disable, comments: {min-spaces-from-content: 1}, comments-indentation: disable,
  truthy: {check-keys: false}}}"""


def seconds(text):
    match = re.fullmatch(r"(\d+)(ms|s|m|h)?", str(text))
    return int(match[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, None: 1}[match[2]]


class Facts:
    """What the sources say."""

    def __init__(self, root):
        def read(name):
            return (root / name).read_text(encoding="utf-8")

        def default(pointer):
            found = re.search(r'\{"%s", "[A-Z]*",\s*"([^"]*)"' % pointer, settings)
            assert found, f"config_settings.cpp has no {pointer} any more: mend check_deploy.py"
            return found[1]

        settings = read("src/app/config_settings.cpp")
        self.traffic = int(default("/listen").rpartition(":")[2])
        self.admin = int(default("/admin_listen").rpartition(":")[2])
        self.upstream = default("/upstream/url").removeprefix("http://")
        self.drain = default("/timeouts/drain")
        self.keep_alive = default("/timeouts/keep_alive")
        self.admin_paths = set(re.findall(r'path == "(/\w+)"', read("src/ops/admin.cpp")))
        self.commands = set(re.findall(r'Command::Kind::\w+, "([\w-]+)"', re.sub(r"\s+", " ", read("src/app/cli.cpp"))))
        files = [*(root / "src/app").glob("*.cpp"), *(root / "src/base").glob("*.cpp")]
        self.sources = "\n".join(path.read_text(encoding="utf-8") for path in files)
        milliseconds = re.search(r"insist_time\{([\d']+)\}", read("src/app/gateway_inside.hpp"))[1]
        self.insist = int(milliseconds.replace("'", "")) / 1000
        self.version = re.search(r"project\(\S+ VERSION ([\d.]+)", read("CMakeLists.txt"))[1]
        self.opencode = re.search(r"^version=(\S+)", read("deploy/local/opencode"), re.MULTILINE)[1]
        self.entrypoint = self.image_sandbox = None
        dockerfile = root / "docker/Dockerfile"
        if dockerfile.is_file():
            text = dockerfile.read_text(encoding="utf-8")
            found = re.search(r'^ENTRYPOINT \["([^"]+)"', text, re.MULTILINE)
            self.entrypoint = found and found[1]
            variables = dict(re.findall(r"^ENV (\w+)=(.*)$", text, re.MULTILINE))
            self.image_sandbox = variables.get("OCGATE_SANDBOX", "unset")


def config_of(deployment):
    """The gateway's configuration, with the container's settings of the same keys (ports and the like)."""
    path = deployment.config_maps["opencode-gateway-config"]["ocgate.jsonc"]
    return deploy_pods.jsonc(path.read_text(encoding="utf-8"))


def file_references(value):
    """Every {"file": path} in a configuration."""
    if isinstance(value, dict):
        if set(value) == {"file"}:
            yield value["file"]
        for one in value.values():
            yield from file_references(one)
    elif isinstance(value, list):
        for one in value:
            yield from file_references(one)


def mounted(container, path):
    """(mount, what is left of the path) of the volume that holds a path of the container, or (None, path)."""
    for at in sorted(container.mounts, key=len, reverse=True):
        if path == at or path.startswith(at + "/"):
            return container.mounts[at], path[len(at) :].lstrip("/")
    return None, path


def writable(pod, container, path):
    mount, _ = mounted(container, path)
    return mount and not mount.read_only and pod.volumes[mount.volume][0] in ("emptyDir", "claim", "nfs")


def the_two(pod):
    """The gateway's container and opencode's."""
    gateways = [one for one in pod.containers.values() if any(name.startswith("OCGATE_") for name in one.env)]
    assert len(gateways) == 1, f"{pod.where}: {len(gateways)} containers with OCGATE_ variables"
    return gateways[0], pod.containers["app"]


# --- manifests --------------------------------------------------------------------------------------------------------


def check_ports(deployment, facts):
    pod = deployment.pod
    gateway, opencode = the_two(pod)
    config = config_of(deployment)
    traffic, admin = (
        int(str(config.get(key, default)).rpartition(":")[2])
        for key, default in (("listen", facts.traffic), ("admin_listen", facts.admin))
    )
    if set(gateway.ports.values()) != {traffic, admin}:
        yield f"the gateway listens on {traffic} and {admin}, its container declares {sorted(gateway.ports.values())}"
    if pod.service_ports != {traffic, admin}:
        yield f"the Service has the ports {sorted(pod.service_ports)}, the gateway {traffic} and {admin}"
    if set(pod.allowed) != {traffic, admin}:
        yield f"the NetworkPolicy lets in {sorted(set(pod.allowed))}, the gateway listens on {traffic} and {admin}"
    if not pod.traffic or not pod.metrics:
        yield "there is no route, or no monitor"
    for what, port in pod.traffic:
        if port != traffic:
            yield f"{what} sends traffic to port {port}, the gateway takes it on {traffic}"
    for what, port, path in pod.metrics:
        if port != admin or path not in facts.admin_paths:
            yield f"{what} asks {port} for {path}; metrics are on {admin}, which knows {sorted(facts.admin_paths)}"
    for kind, wanted in (("startup", "/livez"), ("liveness", "/livez"), ("readiness", "/readyz")):
        asked = gateway.probes.get(kind, {}).get("httpGet", {})
        port = gateway.ports.get(asked.get("port"), asked.get("port"))
        if asked.get("path") != wanted or port != admin or wanted not in facts.admin_paths:
            yield f"the gateway's {kind} probe asks {port} for {asked.get('path')}, not {admin} for {wanted}"

    if opencode.command:
        yield "opencode replaces its image's entrypoint: as process 1, without tini, it would be deaf to SIGTERM"
    command = opencode.args
    said = {name: command[n + 1] for n, name in enumerate(command[:-1]) if name in ("--hostname", "--port")}
    upstream = str(config.get("upstream", facts.upstream)).removeprefix("http://")
    if f"{said.get('--hostname')}:{said.get('--port')}" != upstream:
        yield f"opencode is told {said}, the gateway looks for it at {upstream}"
    if not str(said.get("--hostname")).startswith("127."):
        yield "opencode does not listen on loopback: others reach it without the gateway"
    if opencode.ports:
        yield f"opencode's container declares ports: {opencode.ports}"
    for kind in ("startup", "liveness"):
        words = " ".join(opencode.probes.get(kind, {}).get("exec", {}).get("command", []))
        if f"http://{upstream}/global/health" not in words or "$OPENCODE_SERVER_PASSWORD" not in words:
            yield f"opencode's {kind} probe does not ask {upstream}/global/health with its password"


def check_files(deployment, facts):
    pod = deployment.pod
    gateway, opencode = the_two(pod)
    path = gateway.env.get("OCGATE_CONFIG", "")
    mount, key = mounted(gateway, path)
    kind, name = pod.volumes[mount.volume] if mount else (None, None)
    if kind != "configMap" or key not in deployment.config_maps.get(name, {}):
        yield f"OCGATE_CONFIG={path} is no file of a mounted ConfigMap"
    config = opencode.env.get("OPENCODE_CONFIG", "")
    mount, key = mounted(opencode, config)
    if not mount or key not in deployment.config_maps.get(pod.volumes[mount.volume][1], {}):
        yield f"OPENCODE_CONFIG={config} is no file of a mounted ConfigMap"
    for container in (gateway, opencode):
        for at, mount in container.mounts.items():
            fixed = mount.sub_path or not mount.read_only
            if fixed and pod.volumes[mount.volume][0] in ("configMap", "secret", "items"):
                yield f"{container.name}: {at} is mounted by subPath or writable: a change would never arrive"

    state = gateway.env.get("OCGATE_STATE_DIR", "")
    mount, _ = mounted(gateway, state)
    if not writable(pod, gateway, state) or pod.volumes[mount.volume][0] != "claim":
        yield f"OCGATE_STATE_DIR={state} is on no claim: what is still to be told would go with the pod"
    for at, other in opencode.mounts.items():
        if mount and other.volume == mount.volume and (not other.sub_path or other.sub_path == mount.sub_path):
            yield f"opencode sees the gateway's state at {at}"
    socket = gateway.env.get("OCGATE_CONTROL_SOCKET", "/tmp/ocgate-1000/control.sock")
    if not writable(pod, gateway, str(Path(socket).parent)):
        yield f"the control socket {socket} is in no writable volume: there would be no drain"
    for name in ("HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        if not writable(pod, opencode, opencode.env.get(name, "/nowhere")):
            yield f"opencode's {name} is in no writable volume"
    if not writable(pod, opencode, "/tmp") or not writable(pod, opencode, "/workspaces"):
        yield "opencode has no writable /tmp or /workspaces"
    data, _ = mounted(opencode, opencode.env.get("XDG_DATA_HOME", ""))
    if data and pod.volumes[data.volume][0] != "claim":
        yield "opencode's store is on no claim"

    names = [name for name in gateway.env if not name.startswith("OCGATE_")]
    for name in names:
        if f'"{name.removesuffix("_FILE")}"' not in facts.sources:
            yield f"{name} is no variable of the gateway's"


def check_secrets(deployment, _):
    pod = deployment.pod
    gateway, opencode = the_two(pod)
    volume = next((mount.volume for mount in gateway.mounts.values() if pod.volumes[mount.volume][0] == "secret"), None)
    own = pod.volumes[volume][1] if volume else None
    keys = deployment.secrets.get(own, {})
    used = set()
    references = [(name, value) for name, value in gateway.env.items() if name.endswith("_FILE")]
    references += [("ocgate.jsonc", path) for path in file_references(config_of(deployment))]
    for what, path in references:
        mount, key = mounted(gateway, path)
        used.add(key)
        if not mount or mount.volume != volume or key not in keys:
            yield f"{what} names {path}, which is no key of the Secret {own}"
    for key in sorted(set(keys) - used):
        yield f"nobody reads the key {key} of the Secret {own}"

    theirs = {key: of for name in opencode.env_from for key, of in deployment.secrets.get(name, {}).items()}
    text = deployment.config_maps["opencode-config"]["opencode.json"].read_text(encoding="utf-8")
    wanted = set(re.findall(r"\{env:(\w+)\}", text))
    for key in sorted(wanted - set(theirs) - set(opencode.env)):
        yield f"opencode.json wants {key}, which no Secret of its container has"
    for key in sorted(set(theirs) - wanted - {"OPENCODE_SERVER_PASSWORD"}):
        yield f"opencode is given {key} and does not use it"
    if "OPENCODE_SERVER_PASSWORD" not in theirs:
        yield "opencode has no password: whoever gets into the pod needs none"
    seen = {pod.volumes[mount.volume] for mount in opencode.mounts.values()}
    if own in opencode.env_from or {("secret", own), ("items", own)} & seen:
        yield f"the agent can read the gateway's Secret {own}"
    inner = theirs.get("OPENCODE_SERVER_PASSWORD")
    if inner and (inner == keys.get("OPENCODE_SERVER_PASSWORD") or inner != keys.get("OPENCODE_UPSTREAM_PASSWORD")):
        yield f"opencode's password is {inner}: not the one the gateway sends, or the one people log in with"
    reload = pod.annotations
    if "reloader.stakater.com/auto" in reload:
        for kind, name in (("configmaps", "opencode-gateway-config"), ("secrets", own)):
            if name not in reload.get(f"{kind}.exclude.reloader.stakater.com/reload", ""):
                yield f"the reloader would restart the pod for {name}, which the gateway reads again by itself"


def check_stopping(deployment, facts):
    pod = deployment.pod
    gateway, opencode = the_two(pod)
    if not gateway.sidecar:
        yield "the gateway is no native sidecar: it would be stopped together with opencode"
    command = gateway.pre_stop.get("exec", {}).get("command", [])
    if command[1:3] != ["drain", "--wait"] or not {"drain"} <= facts.commands or len(command) != 4:
        yield f"the gateway's preStop is {command}, not ocgate drain --wait TIME"
        return
    if facts.entrypoint and command[0] != facts.entrypoint:
        yield f"preStop runs {command[0]}, the image has {facts.entrypoint}"
    wait = seconds(command[3])
    sleep = opencode.pre_stop.get("sleep", {}).get("seconds", 0)
    drain = seconds(config_of(deployment).get("timeouts", {}).get("drain", facts.drain))
    if wait + facts.insist > sleep:
        yield f"opencode goes after {sleep} s, the gateway may drain for {wait:g} s and {facts.insist:g} s more"
    if sleep + 10 > pod.grace:
        yield f"of {pod.grace} s of grace opencode sleeps {sleep}: too little is left for it to end"
    if sleep + drain + facts.insist > pod.grace:
        yield f"SIGTERM alone, after {sleep} s, drains for {drain:g} s: more than {pod.grace} s of grace"
    if drain != wait:
        yield f"preStop drains for {wait:g} s, SIGTERM (timeouts.drain) for {drain:g} s"


def check_confinement(pod):
    options = pod.options
    user = options.get("securityContext", {})
    if options.get("automountServiceAccountToken") is not False:
        yield "the pod is given a token for the cluster (automountServiceAccountToken)"
    if options.get("enableServiceLinks") is not False:
        yield "enableServiceLinks sets variables that opencode and ntfy would read as theirs"
    if options.get("shareProcessNamespace"):
        yield "with shareProcessNamespace the agent reads the gateway's files through /proc"
    if not user.get("runAsNonRoot") or user.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "the pod lacks runAsNonRoot or seccompProfile RuntimeDefault"
    if not user.get("fsGroup"):
        yield "without fsGroup nobody but root can write to new volumes"
    if pod.management != "Parallel":
        yield "without podManagementPolicy Parallel a pod that never gets ready keeps the mended one from being made"
    for one in pod.containers.values():
        security = one.security
        if (
            security.get("allowPrivilegeEscalation") is not False
            or security.get("readOnlyRootFilesystem") is not True
            or security.get("capabilities", {}).get("drop") != ["ALL"]
        ):
            yield f"{one.name}: may gain privileges, write to its root, or keeps capabilities"
        if not one.resources.get("requests") or not one.resources.get("limits", {}).get("memory"):
            yield f"{one.name}: no requests, or no limit of memory"
        if one.tag in ("", "latest"):
            yield f"{one.name}: {one.image} is not pinned"
    for name, timeouts in pod.routes:
        if timeouts.get("request") != "0s":
            yield f"the route {name} has no timeouts.request 0s: streams would end after 15 s"


def check_sandbox(deployment, facts):
    """Said where the gateway is deployed, and never `off`: what stands there has to be seen by whoever changes it."""
    gateway, _ = the_two(deployment.pod)
    said = {"the gateway's": gateway.env.get("OCGATE_SANDBOX", "unset"), "the image's": facts.image_sandbox}
    for whose, value in said.items():
        if value not in (None, *SANDBOXED):
            yield f"{whose} OCGATE_SANDBOX is {value}, not {' or '.join(SANDBOXED)}"


def check_versions(deployment, facts):
    gateway, opencode = the_two(deployment.pod)
    if gateway.tag != facts.version:
        yield f"{gateway.image}:{gateway.tag} is not this version, {facts.version}"
    if opencode.tag != facts.opencode:
        yield f"{opencode.image}:{opencode.tag} is not the version this was tested with, {facts.opencode}"


def check_policy(deployment, facts):
    pod = deployment.pod
    routes = {name for name, _ in pod.routes}
    named = {target["name"] for spec in pod.policies for target in spec.get("targetRefs", [])}
    if len(pod.policies) != 1 or named != routes:
        yield f"BackendTrafficPolicy: {len(pod.policies)} of them, for the routes {named}, not {routes}"
    keep_alive = config_of(deployment).get("timeouts", {}).get("keep_alive", facts.keep_alive)
    for spec in pod.policies:
        http = spec.get("timeout", {}).get("http", {})
        if "retry" in spec or "compressor" in spec or http.get("requestTimeout") != "0s":
            yield "BackendTrafficPolicy: it repeats prompts, holds events back, or ends long answers"
        if seconds(http.get("connectionIdleTimeout", "1h")) >= seconds(keep_alive):
            yield f"BackendTrafficPolicy: Envoy would use connections that the gateway closes after {keep_alive}"


def check_variants(deployment, facts, root):
    """What the comments of the values offer instead: sessions and backups have to be found as before."""
    (release,) = (one for _, one in deployment.documents if one["kind"] == "HelmRelease")
    name = release["metadata"]["name"]

    def shape(values):
        return {
            claim: {key: item.get(key) for key in ("accessMode", "storageClass", "retain", "labels")}
            for claim, item in deploy_pods.claims_of_values(values, name).items()
        }

    shipped = shape(release["spec"]["values"])
    for what, values in deploy_pods.variants_of_values(root / "deploy/helm/values.yaml"):
        pod = deploy_pods.pod_of_values(values, deployment.where, name)
        for claim, item in shape(values).items():
            if shipped.get(claim) != item:
                yield f"{what}: the claim {claim} is another than {sorted(shipped)}: what is stored would seem lost"
        for breach in check_files(dataclasses.replace(deployment, pod=pod), facts):
            yield f"{what}: {breach}"


def check_jobs(deployment, root, claims):
    """Backup and restore by jobs of their own: as the pod, on its claims."""
    pod = deployment.pod
    app = pod.containers["app"]
    runbook = (root / deploy_runbook.RUNBOOK).read_text(encoding="utf-8")
    for _, one in deploy_pods.documents_in(root / "deploy/workspaces", root):
        name = f"{one['kind']} {one['metadata']['name']}"
        spec = one["spec"].get("jobTemplate", one)["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        if spec["securityContext"] != pod.options["securityContext"]:
            yield f"{name}: it runs as {spec['securityContext']}, opencode does not"
        if container["image"] != f"{app.image}:{app.tag}":
            yield f"{name}: its image is {container['image']}, opencode's {app.image}:{app.tag}"
        named = {
            volume["name"]: volume["persistentVolumeClaim"]["claimName"]
            for volume in spec["volumes"]
            if "persistentVolumeClaim" in volume
        }
        for volume, claim in named.items():
            if claim not in {*claims, "opencode-backups"}:
                yield f"{name}: the chart makes no claim {claim}, but {sorted(claims)}"
            if claim in claims and f"{claim} }}/{volume}-{pod.name}-0 }}/" not in runbook:
                yield f"{name}: the RUNBOOK does not make {volume}-{pod.name}-0 (deploy/kubernetes) of {claim}"
        for mount in container["volumeMounts"]:
            there = app.mounts.get(mount["mountPath"])
            if mount["name"] in ("data", "workspaces"):
                if not there or (there.volume, there.sub_path) != (mount["name"], mount.get("subPath", "")):
                    yield f"{name}: it has another {mount['mountPath']} than opencode"


# What brings the kinds, as ks.yaml names it.
BRINGS = {
    "ServiceMonitor": "kube-prometheus-stack",
    "PrometheusRule": "kube-prometheus-stack",
    "HTTPRoute": "envoy-gateway",
    "ExternalSecret": "onepassword",
}


def check_ks(root, app):
    """A kind that is not there yet stops all that is applied with it."""
    folder = root / "deploy/flux" / app
    documents = [one for _, one in deploy_pods.documents_in(folder / "app", root)]
    kinds = {one["kind"] for one in documents}
    for one in documents:
        values = one["spec"]["values"] if one["kind"] == "HelmRelease" else {}
        kinds |= {kind for key, kind in (("serviceMonitor", "ServiceMonitor"), ("route", "HTTPRoute")) if key in values}
    with (folder / "ks.yaml").open(encoding="utf-8") as text:
        first = next(iter(yaml.safe_load_all(text)))
    awaited = {one["name"] for one in first["spec"]["dependsOn"]}
    for missing in sorted({BRINGS[kind] for kind in kinds & set(BRINGS)} - awaited):
        yield f"ks.yaml: {app} does not wait for {missing}"


def check_one_machine(root):
    """Docker and a server: the same sandbox, and an agent that has to ask."""
    with (root / "docker/compose.yaml").open(encoding="utf-8") as text:
        services = yaml.safe_load(text)["services"]
    said = str(services["gateway"]["environment"].get("OCGATE_SANDBOX", "unset"))
    if re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", said) not in SANDBOXED:
        yield f"docker/compose.yaml: the gateway's OCGATE_SANDBOX is {said}, not {' or '.join(SANDBOXED)}"
    unit = deploy_pods.jsonc((root / "deploy/systemd/ocgate.jsonc").read_text(encoding="utf-8"))
    if unit.get("sandbox") != "on":  # Debian 12 has all of it
        yield f"deploy/systemd/ocgate.jsonc: sandbox is {unit.get('sandbox')}, not on"

    source = "deploy/opencode/opencode.host.json"
    path = services["opencode"]["environment"].get("OPENCODE_CONFIG")
    mounts = [re.sub(r"^\$\{\w+:-([^}]*)\}", r"\1", one) for one in services["opencode"]["volumes"]]
    if f"../{source}:{path}:ro" not in mounts:
        yield f"docker/compose.yaml: opencode's OPENCODE_CONFIG is {path}, {source} is not mounted there, read-only"
    service = (root / "deploy/systemd/opencode.service").read_text(encoding="utf-8")
    path = next(iter(re.findall(r"^Environment=OPENCODE_CONFIG=(\S+)$", service, re.MULTILINE)), None)
    install = (root / "deploy/install").read_text(encoding="utf-8")
    if not path or not re.search(r'install -m 0644 "\$root/%s" %s$' % (source, path), install, re.MULTILINE):
        yield f"deploy/install does not put {source} where opencode.service looks for it ({path})"


def check_flux(deployment, root):
    """What only stands beside the HelmRelease."""
    flux = root / "deploy/flux/opencode"
    by_kind = {}
    for folder in (flux, flux / "longhorn", flux / "volsync", flux / "volsync/restore"):
        for _, one in deploy_pods.documents_in(folder, root) if folder.is_dir() else ():
            by_kind.setdefault(one["kind"], []).append(one)
    for _, one in deployment.documents:
        by_kind.setdefault(one["kind"], []).append(one)
    (release,) = by_kind["HelmRelease"]
    made = deploy_pods.claims_of_values(release["spec"]["values"], release["metadata"]["name"])
    claims = {name: item.get("labels", {}) for name, item in made.items()}
    yield from check_jobs(deployment, root, claims)
    refreshed = {}
    for one in by_kind["ExternalSecret"]:
        for entry in one["spec"].get("data", []):
            refreshed.setdefault(entry["remoteRef"]["property"], set()).add(one["spec"]["refreshInterval"])
    for field, intervals in refreshed.items():
        if len(intervals) > 1:
            yield f"the Secrets that hold {field} are refreshed at {sorted(intervals)}: they would differ for so long"
    for kind in ("ReplicationSource", "ReplicationDestination"):
        for one in by_kind.get(kind, []):
            claim = one["spec"].get("sourcePVC") or one["spec"]["restic"]["destinationPVC"]
            if claim not in claims:
                yield f"{kind} {one['metadata']['name']}: the chart makes no claim {claim}, but {sorted(claims)}"
    for job in by_kind.get("RecurringJob", []):
        for group in job["spec"]["groups"]:
            for claim, labels in claims.items():
                if labels.get(f"recurring-job-group.longhorn.io/{group}") != "enabled" or "enabled" != labels.get(
                    "recurring-job.longhorn.io/source"
                ):
                    yield f"RecurringJob {job['metadata']['name']}: {claim} is not labelled for its group {group}"
    for one in by_kind["Kustomization"]:
        if one["apiVersion"].startswith("kustomize.toolkit"):
            folder = one["spec"]["path"].rpartition("/")[2]
            if not (flux / folder / "kustomization.yaml").is_file():
                yield f"ks.yaml: {one['metadata']['name']} wants {one['spec']['path']}, there is no {folder}"


def check_copies(root, deployments):
    loader = importlib.machinery.SourceFileLoader("generate", str(root / "deploy/generate"))
    spec = importlib.util.spec_from_loader("generate", loader)
    generate = importlib.util.module_from_spec(spec)
    loader.exec_module(generate)
    for name in generate.differing(root / "deploy"):
        yield f"deploy/{name} differs from its source: run deploy/generate"

    with (root / "deploy/prometheus/alerts.yaml").open(encoding="utf-8") as text:
        groups = yaml.safe_load(text)["groups"]
    dashboards = {path.name for path in (root / "deploy/grafana").glob("*.json")}
    for deployment in deployments:
        rules = [one for _, one in deployment.documents if one.get("kind") == "PrometheusRule"]
        if [one["spec"]["groups"] for one in rules] != [groups]:
            yield f"{deployment.where}: the PrometheusRule has other groups than deploy/prometheus/alerts.yaml"
        listed = {key for name, files in deployment.config_maps.items() if "dashboard" in name for key in files}
        if listed != dashboards:
            yield f"{deployment.where}: the kustomization lists the dashboards {sorted(listed)} of {sorted(dashboards)}"

    flux, plain = (deployment.pod for deployment in deployments)
    for name in sorted({*flux.containers, *plain.containers}):
        one, other = flux.containers.get(name), plain.containers.get(name)
        for what in vars(one) if one and other else ("containers",):
            if not one or not other or getattr(one, what) != getattr(other, what):
                yield f"container {name}: {what} differs between {flux.where} and {plain.where}"
    if flux.grace != plain.grace or flux.options["securityContext"] != plain.options["securityContext"]:
        yield f"grace or securityContext differs between {flux.where} and {plain.where}"


def check_manifests(root):
    facts = Facts(root)
    deployments = [deploy_pods.read(root / folder, root) for folder in FOLDERS]
    for deployment in deployments:
        for check in (
            check_ports, check_files, check_secrets, check_stopping, check_sandbox, check_policy, check_versions,
        ):  # fmt: skip
            for breach in check(deployment, facts):
                yield f"{deployment.where}: {breach}"
    pods = [deployment.pod for deployment in deployments]
    ntfy = root / "deploy/flux/ntfy/app"
    if ntfy.is_dir():
        pods.append(deploy_pods.read(ntfy, root).pod)
    for pod in pods:
        for breach in check_confinement(pod):
            yield f"{pod.where}: {breach}"
    for breach in check_flux(deployments[0], root):
        yield f"deploy/flux/opencode: {breach}"
    for breach in check_variants(deployments[0], facts, root):
        yield f"deploy/helm/values.yaml: {breach}"
    yield from check_ks(root, "opencode")
    config = config_of(deployments[0])
    if ntfy.is_dir():
        yield from check_ks(root, "ntfy")
        with (ntfy / "resources/server.yml").open(encoding="utf-8") as text:
            hosts = yaml.safe_load(text).get("proxy-trusted-hosts")
        if hosts != ",".join(config["trusted_proxies"]):
            yield f"ntfy's proxy-trusted-hosts are {hosts}, the gateway's trusted_proxies {config['trusted_proxies']}"
    yield from check_one_machine(root)
    yield from check_copies(root, deployments)
    with (root / "docker/compose.yaml").open(encoding="utf-8") as text:
        services = yaml.safe_load(text)["services"]
    yield from deploy_runbook.breaches(root, deployments[1], facts, config_of(deployments[1]), services)


# --- config -----------------------------------------------------------------------------------------------------------

MADE_UP = {
    "NTFY_TOPIC": "https://ntfy.example.org/opencode",
    "DISCORD_WEBHOOK_URL": "https://discord.com/api/webhooks/1/not-a-real-one",
}


def lay_out(deployment, folder, secrets):
    """The gateway's mounts as folders below `folder`, with what would be in them; returns its environment there.
    `secrets` gives what stands under a key."""
    gateway, _ = the_two(deployment.pod)
    moved = {at: f"{folder}{at}" for at in sorted(gateway.mounts, key=len, reverse=True)}

    def move(text):
        for at, to in moved.items():
            text = text.replace(at, to)
        return text.replace(deploy_pods.FLUX_DOMAIN, deploy_pods.DOMAIN)

    for at, mount in gateway.mounts.items():
        Path(moved[at]).mkdir(parents=True)
        kind, name = deployment.pod.volumes[mount.volume]
        if kind == "configMap":
            for key, path in deployment.config_maps[name].items():
                Path(moved[at], key).write_text(move(path.read_text(encoding="utf-8")), encoding="utf-8")
        if kind == "secret":
            for key in deployment.secrets[name]:
                Path(moved[at], key).write_text(secrets(key), encoding="utf-8")
    return {name: move(value) for name, value in gateway.env.items()}


def ask_about(deployment, binary, secrets):
    """`ocgate check-config` in the gateway's environment."""
    with tempfile.TemporaryDirectory() as folder:
        env = lay_out(deployment, folder, secrets)
        return subprocess.run(
            [binary, "check-config"], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip


def made_up(key):
    return MADE_UP.get(key, f"made-up-{key}")


def check_config(root, binary):
    for place in FOLDERS:
        deployment = deploy_pods.read(root / place, root)
        said = ask_about(deployment, binary, made_up)
        if said.returncode != 0 or said.stderr:
            yield f"{place}: check-config says {said.returncode}: {said.stderr.strip()}"
        for wanted in (r"users +opencode \(OPENCODE_SERVER_PASSWORD\)", r"phone: ntfy at https://ntfy\.", "drain 20s"):
            if not re.search(wanted, said.stdout):
                yield f"{place}: check-config does not say {wanted!r}:\n{said.stdout}"
        said = ask_about(deployment, binary, lambda key: "")
        if said.returncode != 1 or "the file is empty" not in said.stderr:
            yield f"{place}: with empty passwords check-config says {said.returncode}, not 1: {said.stderr.strip()}"


# --- lint and schemas -------------------------------------------------------------------------------------------------


def tracked(root):
    from check_house import repository_files  # pylint: disable=import-outside-toplevel

    return [path for path in repository_files(root) if path.parts[0] in ("deploy", "docker", "tests", ".ci", "bench")]


def is_shell(path):
    with path.open("rb") as file:
        return re.match(rb"#!.*\b(ba|da)?sh\b", file.readline(80)) is not None


def run(command, root):
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return [] if done.returncode == 0 else [done.stdout.strip() or f"{command[0]} ended with {done.returncode}"]


def check_lint(root, skipped):
    files = tracked(root)
    ours = [path for path in files if path.parts[0] in ("deploy", "docker")]
    documents = [str(path) for path in ours if path.suffix in (".yaml", ".yml")]
    scripts = [str(path) for path in files if not path.suffix or path.suffix == ".sh" if is_shell(root / path)]
    for tool, arguments, what in (
        ("yamllint", ["--strict", "--format", "parsable", "--config-data", YAMLLINT], documents),
        ("shellcheck", ["--severity", "style"], scripts),
    ):
        if not shutil.which(tool):
            skipped.append(f"{tool} is not installed: {len(what)} files were not looked at")
        elif what:
            print(f"{tool}: {len(what)} files")
            yield from run([tool, *arguments, *what], root)


def check_schemas(root, skipped):
    validator = (root / VALIDATOR).resolve()
    if not validator.is_file():
        return skipped.append("no validator with schemas stands beside this checkout")
    for python in (sys.executable, "/usr/bin/python3"):
        if not run([python, "-c", "import yaml, jsonschema"], root):
            break
    else:
        return skipped.append("no python3 with yaml and jsonschema (Debian: python3-yaml python3-jsonschema)")
    outside = ["Secret/opencode-secret", "Secret/opencode-gateway-secret", "ConfigMap/opencode-config"]
    outside += ["ConfigMap/opencode-gateway-config"]
    externals = [word for name in outside for word in ("--external", name)]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        variants = []
        for number, (_, values) in enumerate(deploy_pods.variants_of_values(root / "deploy/helm/values.yaml")):
            path = Path(folder, f"variant-{number}.yaml")
            path.write_text(yaml.safe_dump(values), encoding="utf-8")
            variants.append([*externals, "--values", str(path)])
        for arguments in (
            ["--flux-var", "SECRET_DOMAIN", "--external", "Secret/cluster-secrets", "deploy/flux"],
            [*externals, "--values", "deploy/helm/values.yaml"],
            *variants,
            *([name] for name in ("deploy/kubernetes", "deploy/workspaces", "docker") if (root / name).is_dir()),
        ):
            done = subprocess.run([python, str(validator), "--strict", *arguments], cwd=root, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, check=False)  # fmt: skip
            said = done.stdout.strip()
            print(f"{arguments[-1]}: {said.splitlines()[-1] if said else done.returncode}")
            if done.returncode != 0:
                found.append(said)
    return found


def main():
    arguments = sys.argv[1:]
    part = arguments.pop(0) if arguments and arguments[0] in ("manifests", "config", "lint", "schemas") else "manifests"
    root = Path(arguments[0] if arguments else Path(__file__).parents[2]).resolve()
    if yaml is None:
        print(f"SKIPPED: {NO_YAML} (Debian: python3-yaml)")
        return SKIPPED
    if not (root / "deploy").is_dir():
        print(f"{root}: no deploy/ here")
        return 1
    skipped, found = [], []
    if part == "manifests":
        found = list(check_manifests(root))
    elif part == "config":
        binary = os.environ.get("OCGATE_BINARY")
        if binary:
            found = list(check_config(root, str(Path(binary).resolve())))
        else:
            skipped.append("OCGATE_BINARY names no gateway to ask")
    elif part == "lint":
        found = list(check_lint(root, skipped))
    else:
        found = check_schemas(root, skipped) or []
    print("\n".join([*found, *(f"SKIPPED: {reason}" for reason in skipped)]) or f"{part}: nothing to complain of")
    return 1 if found else SKIPPED if skipped else 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main())
