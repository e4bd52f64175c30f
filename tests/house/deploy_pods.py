"""What the manifests in deploy/ describe, in one form: a pod, whether it stands in values of app-template or in a
StatefulSet, and the ConfigMaps and Secrets beside it. Only what check_deploy.py asks about.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

DOMAIN = "example.org"
FLUX_DOMAIN = "${SECRET_DOMAIN}"  # what Flux puts in its place


@dataclass
class Mount:
    volume: str
    sub_path: str = ""
    read_only: bool = False


@dataclass
class Container:
    name: str
    image: str
    tag: str
    command: list  # instead of the image's entrypoint
    args: list
    sidecar: bool
    env: dict
    env_from: list  # names of Secrets
    ports: dict  # name to number
    probes: dict  # "startup", "liveness", "readiness" to what Kubernetes calls the probe
    pre_stop: dict
    mounts: dict  # path to Mount
    security: dict
    resources: dict


@dataclass
class Pod:
    where: str
    name: str
    grace: int
    options: dict  # the pod's own securityContext, automountServiceAccountToken, enableServiceLinks …
    containers: dict
    volumes: dict  # name to (kind, name of the ConfigMap or Secret, or None)
    # (volumes that show some keys only, under other names, are "items" instead of "secret")
    annotations: dict = field(default_factory=dict)
    traffic: list = field(default_factory=list)  # (what, port): who is sent to the pod from outside
    metrics: list = field(default_factory=list)  # (what, port, path)
    service_ports: set = field(default_factory=set)
    allowed: list = field(default_factory=list)  # ports that the NetworkPolicy lets in
    routes: list = field(default_factory=list)  # (name, timeouts)
    policies: list = field(default_factory=list)  # specs of BackendTrafficPolicies
    management: str = "OrderedReady"  # podManagementPolicy


@dataclass
class Deployment:
    """A folder that is applied as one."""

    where: str
    documents: list  # (path, document)
    config_maps: dict  # name to {key: path of the file}
    secrets: dict  # name to {key: where its value comes from, or None}
    pod: Pod


def documents_in(folder, root):
    """(path below root, object) of all YAML in this folder, its subfolders excepted when they are applied alone."""
    found = []
    for path in sorted(folder.rglob("*.y*ml")):
        inside = path.relative_to(folder).parts[:-1]
        if any((folder / Path(*inside[: n + 1]) / "kustomization.yaml").is_file() for n in range(len(inside))):
            continue
        with path.open(encoding="utf-8") as text:
            found += [(path.relative_to(root), one) for one in yaml.safe_load_all(text) if one and "kind" in one]
    return found


def jsonc(text):
    """What JSON with comments says."""
    token = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
    return json.loads(token.sub(lambda match: match[0] if match[0].startswith('"') else "", text))


def _listed(mapping):
    return {name: one for name, one in (mapping or {}).items() if one.get("enabled", True)}


def _env_of_values(env):
    texts = {name: value.get("value") if isinstance(value, dict) else str(value) for name, value in (env or {}).items()}
    return {name: text and text.replace(FLUX_DOMAIN, DOMAIN) for name, text in texts.items()}


def _image(reference):
    name, _, tag = reference.partition("@")[0].rpartition(":")
    return (name, tag) if name and "/" not in tag else (reference, "")


def _volume(volume):
    """(kind, name of the ConfigMap or Secret) of what Kubernetes calls a volume."""
    kind = next(key for key in volume if key != "name")
    of = volume[kind]
    return "items" if "items" in of else kind, of.get("secretName") or of.get("name")


def claims_of_values(values, release):
    """{name of the claim: its item}, as the chart names them: by its release alone where there is but one."""
    items = {
        name: item
        for name, item in _listed(values.get("persistence")).items()
        if item["type"] == "persistentVolumeClaim" and "existingClaim" not in item
    }
    claims = {}
    for identifier, item in items.items():
        name = release
        if len(items) > 1 and not name.endswith(f"-{identifier}") and name != identifier:
            name += f"-{identifier}"
        suffix = item.get("suffix")
        if suffix and not name.endswith(f"-{suffix}"):
            name += f"-{suffix}"
        claims[item.get("forceRename", name).lower()] = item
    return claims


def variants_of_values(path):
    """[(what, values)]: the values with what their comments offer instead, uncommented."""
    text = path.read_text(encoding="utf-8")

    def uncommented(heading, indent):
        assert heading in text, f"{path}: there is no variant {heading!r} any more: mend deploy_pods.py"
        lines = text.partition(heading)[2].splitlines()[1:]
        until = next(n for n, line in enumerate(lines) if not re.match(rf"{indent}(?![A-Z])", line))
        return yaml.safe_load("\n".join(line[len(indent) :] for line in lines[:until]))

    nas = yaml.safe_load(text)
    nas["persistence"].update(uncommented("# Workspaces on a NAS instead", "  # "))
    one = yaml.safe_load(text)
    del one["persistence"]["workspaces"]
    one["persistence"]["data"].update(uncommented("# One volume for everything instead", "  #   "))
    return [("workspaces on a NAS", nas), ("one volume", one)]


def pod_of_values(values, where, release):
    """Of app-template's values with one controller."""
    (controller_name, controller), *more = _listed(values["controllers"]).items()
    assert not more, f"{where}: more than one controller"
    options = {**values.get("defaultPodOptions", {}), **controller.get("pod", {})}
    volumes, mounts = {}, {}
    for name, item in _listed(values.get("persistence")).items():
        kind = {"persistentVolumeClaim": "claim"}.get(item["type"], item["type"])
        if "items" in item:
            kind = "items"
        volumes[name] = _volume(item["volumeSpec"]) if kind == "custom" else (kind, item.get("name"))
        for container, entries in item.get("advancedMounts", {}).get(controller_name, {}).items():
            for one in entries:
                mounts.setdefault(container, {})[one["path"]] = Mount(
                    name, one.get("subPath", ""), one.get("readOnly", False)
                )
    containers = {}
    for group in ("initContainers", "containers"):
        for name, one in _listed(controller.get(group)).items():
            image = one["image"]
            containers[name] = Container(
                name, image["repository"], str(image.get("tag", "")), one.get("command", []), one.get("args", []),
                group == "initContainers" and one.get("restartPolicy") == "Always", _env_of_values(one.get("env")),
                [source["secretRef"]["name"] for source in one.get("envFrom", []) if "secretRef" in source],
                {port["name"]: port["containerPort"] for port in one.get("ports", [])},
                {kind: probe["spec"] for kind, probe in one.get("probes", {}).items() if probe.get("enabled")},
                one.get("lifecycle", {}).get("preStop", {}), mounts.get(name, {}), one.get("securityContext", {}),
                one.get("resources", {}),
            )  # fmt: skip
    pod = Pod(
        where, release, options.get("terminationGracePeriodSeconds", 30), options, containers, volumes,
        controller.get("annotations", {}),
    )  # fmt: skip
    pod.management = controller.get("statefulset", {}).get("podManagementPolicy", pod.management)
    raw = _listed(values.get("rawResources")).values()
    pod.policies = [one["spec"].get("spec", {}) for one in raw if one["kind"] == "BackendTrafficPolicy"]
    services = _listed(values.get("service"))
    for name, monitor in _listed(values.get("serviceMonitor")).items():
        for endpoint in monitor["endpoints"]:
            port = services[monitor["service"]["identifier"]]["ports"][endpoint["port"]]["port"]
            pod.metrics.append((f"serviceMonitor.{name}", port, endpoint.get("path", "/metrics")))
    for name, route in _listed(values.get("route")).items():
        for rule in route["rules"]:
            pod.routes.append((release, rule.get("timeouts", {})))
            pod.traffic += [(f"route.{name}", backend["port"]) for backend in rule["backendRefs"]]
    for service in services.values():
        pod.service_ports = {port["port"] for port in service["ports"].values()}
    for policy in _listed(values.get("networkpolicies")).values():
        pod.allowed += [port["port"] for rule in policy["rules"]["ingress"] for port in rule.get("ports", [])]
    return pod


def _probes_of(container):
    kinds = ("startup", "liveness", "readiness")
    return {kind: container[f"{kind}Probe"] for kind in kinds if f"{kind}Probe" in container}


def pod_of_stateful_set(document, where, images):
    """`images` are a kustomization's: what it puts in the place of a name."""
    spec = document["spec"]["template"]["spec"]
    volumes = {one["metadata"]["name"]: ("claim", None) for one in document["spec"].get("volumeClaimTemplates", [])}
    for volume in spec.get("volumes", []):
        volumes[volume["name"]] = _volume(volume)
    containers = {}
    for group in ("initContainers", "containers"):
        for one in spec.get(group, []):
            name, tag = _image(one["image"])
            for image in images:
                if image["name"] == name:
                    name, tag = image.get("newName", name), str(image.get("newTag", tag))
            containers[one["name"]] = Container(
                one["name"], name, tag, one.get("command", []), one.get("args", []),
                group == "initContainers" and one.get("restartPolicy") == "Always",
                {variable["name"]: variable.get("value") for variable in one.get("env", [])},
                [source["secretRef"]["name"] for source in one.get("envFrom", []) if "secretRef" in source],
                {port["name"]: port["containerPort"] for port in one.get("ports", [])}, _probes_of(one),
                one.get("lifecycle", {}).get("preStop", {}),
                {
                    mount["mountPath"]: Mount(mount["name"], mount.get("subPath", ""), mount.get("readOnly", False))
                    for mount in one.get("volumeMounts", [])
                },
                one.get("securityContext", {}), one.get("resources", {}),
            )  # fmt: skip
    pod = Pod(
        where, document["metadata"]["name"], spec.get("terminationGracePeriodSeconds", 30), spec, containers, volumes
    )
    pod.management = document["spec"].get("podManagementPolicy", pod.management)
    return pod


def _around_stateful_set(pod, documents):
    """Services, routes, monitors and policies of plain manifests."""
    named = {name: port for one in pod.containers.values() for name, port in one.ports.items()}
    for where, one in documents:
        kind, spec = one.get("kind"), one.get("spec", {})
        if kind == "Service":
            pod.service_ports = {port["port"] for port in spec["ports"]}
            for port in spec["ports"]:
                target = port.get("targetPort", port["port"])
                if named.get(target, target) != port["port"]:
                    pod.traffic.append((f"{where}: {port['name']}", -1))
        elif kind == "HTTPRoute":
            for rule in spec["rules"]:
                pod.routes.append((one["metadata"]["name"], rule.get("timeouts", {})))
                pod.traffic += [(str(where), backend["port"]) for backend in rule["backendRefs"]]
        elif kind == "BackendTrafficPolicy":
            pod.policies.append(spec)
        elif kind == "PodMonitor":
            for end in spec["podMetricsEndpoints"]:
                pod.metrics.append((str(where), named.get(end["port"]), end.get("path", "/metrics")))
        elif kind == "NetworkPolicy":
            pod.allowed += [port["port"] for rule in spec["ingress"] for port in rule.get("ports", [])]


def _secrets_in(documents):
    secrets = {}
    for _, one in documents:
        if one.get("kind") == "Secret":
            secrets[one["metadata"]["name"]] = dict.fromkeys({**one.get("stringData", {}), **one.get("data", {})})
        if one.get("kind") == "ExternalSecret":
            spec = one["spec"]
            keys = {entry["secretKey"]: entry["remoteRef"].get("property") for entry in spec.get("data", [])}
            keys.update(dict.fromkeys(spec["target"].get("template", {}).get("data", {})))
            secrets[spec["target"].get("name", one["metadata"]["name"])] = keys
    return secrets


def read(folder, root):
    """The deployment in a folder with a kustomization.yaml."""
    documents = documents_in(folder, root)
    where = str(folder.relative_to(root))
    kustomization = next(one for path, one in documents if path.name == "kustomization.yaml")
    config_maps = {}
    for generator in kustomization.get("configMapGenerator", []):
        files = {}
        for entry in generator.get("files", []):
            key, _, source = entry.rpartition("=")
            files[key or Path(source).name] = folder / source
        config_maps[generator["name"]] = files
    release = next((one for _, one in documents if one.get("kind") == "HelmRelease"), None)
    if release:
        pod = pod_of_values(release["spec"]["values"], where, release["metadata"]["name"])
    else:
        workload = next(one for _, one in documents if one.get("kind") == "StatefulSet")
        pod = pod_of_stateful_set(workload, where, kustomization.get("images", []))
        _around_stateful_set(pod, documents)
    return Deployment(where, documents, config_maps, _secrets_in(documents), pod)
