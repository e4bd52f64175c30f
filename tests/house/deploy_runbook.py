"""What deploy/RUNBOOK.md and the alerts tell people to type and to set, held against what is there: containers,
services, hosts, subcommands, files, settings. Whether a command does what the text says it cannot tell.
"""

import json
import re

RUNBOOK = "deploy/RUNBOOK.md"
ALERTS = "deploy/prometheus/alerts.yaml"
COMPOSE = "docker compose -f docker/compose.yaml"
# In the gateway's image, which is made of nothing: no shell, no curl.
ONLY_PROGRAM = "ocgate"
OTHERS = ("ocgate_", "kubelet_", "process_")  # metrics: check_metrics.py asks about ours


def code_in(text):
    """(line, code) of Markdown's code: each span, and each line of a fenced block; lines that go on are joined."""
    fenced, number, held = False, 0, ""
    prose = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            prose.append("")
            continue
        prose.append("" if fenced else line)
        if fenced:
            held += line
            if held.endswith("\\"):
                held = held[:-1]
                continue
            yield number, held
            held = ""
    joined = "\n".join(prose)
    for match in re.finditer(r"`([^`]+)`", joined):
        yield joined.count("\n", 0, match.start()) + 1, " ".join(match[1].split())


def kubectl(code, pod):
    """Names of containers and of the pod; what is asked for in the gateway's has to be in there."""
    for name in re.findall(r"\s(?:-c|--container)[ =]([\w-]+)", code):
        if name not in pod.containers:
            yield f"there is no container {name}, but {', '.join(pod.containers)}"
    for verb, what in re.findall(r"\b(exec|logs|describe pod|delete pod)((?: -{1,2}\w+)* [\w/-]+)", code):
        target = what.split()[-1]
        if "/" not in target and target != f"{pod.name}-0":
            yield f"kubectl {verb} {target}: the pod is {pod.name}-0"
        elif "/" not in target and verb in ("exec", "logs") and not re.search(r"\s-c ", code):
            yield f"kubectl {verb} without a container (-c)"
    for inside in re.findall(r"-c gateway -- (\S+)", code):
        if inside != ONLY_PROGRAM:
            yield f"the gateway's image has no {inside}"


def compose(code, services):
    for rest in re.findall(r"docker compose\b([^|;&]*)", code):
        words = rest.split()
        if not f"docker compose{rest}".startswith(COMPOSE):
            yield f"docker compose finds no file without -f: {COMPOSE}"
            continue
        for word in ("exec", "run", "stop", "start", "logs", "restart"):
            if word in words and not set(words) & set(services):
                yield f"docker compose {word}: no service of docker/compose.yaml ({', '.join(services)}) is named"
        if "exec" in words and "gateway" in words[-2:-1] and words[-1] != ONLY_PROGRAM:
            yield f"the gateway's image has no {words[-1]}"


def hosts(code, allowed, port):
    for host in re.findall(r"https?://([\w.-]+):%d\b" % port, code):
        if host not in allowed:
            yield f"the gateway answers 421 to {host}: allowed_hosts are {', '.join(sorted(allowed))}"


def subcommands(code, paths, facts):
    flags = {"--help", *("--" + re.sub("[._]", "-", path) for path in paths)}
    for name, options in re.findall(r"(?<![\w./-])ocgate ([a-z][\w-]*)((?: --?[\w-]+(?:[ =][\w./-]+)?)*)", code):
        if name not in facts.commands:
            yield f"ocgate has no subcommand {name}"
        for option in re.findall(r"--[\w-]+", options):
            if f'"{option}"' not in facts.sources and option not in flags:
                yield f"ocgate {name} has no {option}"


def files(code, root):
    for name in re.findall(r"(?<![\w./-])((?:deploy|docker|config|tests)/[\w./-]*\w)", code):
        made_by_people = name == "docker/.env" or name.startswith("docker/secrets/")
        if not made_by_people and not (root / name).exists():
            yield f"there is no {name}"


def settings_of(schema):
    """(every key, wherever it stands; those that are flags as well, with a dot before the name in a section)."""

    def keys_in(node):
        for one in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from keys_in(one)
        if isinstance(node, dict) and isinstance(node.get("properties"), dict):
            yield from node["properties"]

    paths = set()
    for name, one in schema["properties"].items():
        paths |= {name, *(f"{name}.{key}" for key in one.get("properties", {}))}
    return set(keys_in(schema)), paths


def settings(code, keys, paths, facts):
    sections = {path.partition(".")[0] for path in paths if "." in path}
    for name in re.findall(r"(?<![\w./-])([a-z_]+(?:\.[a-z_]+)+)\b(?![./:(-])", code):
        if name.partition(".")[0] in sections and name not in paths:
            yield f"there is no setting {name}"
    # A word alone, or with a value: `log_sample`, `block: true`.
    alone = re.fullmatch(r"([a-z]+(?:_[a-z]+)+)(?:: \S+)?", code)
    if alone and not alone[1].startswith(OTHERS) and alone[1] not in keys and f'"{alone[1]}"' not in facts.sources:
        yield f"{alone[1]} is no setting, and nothing the gateway says"


def breaches(root, deployment, facts, config, services):
    keys, paths = settings_of(json.loads((root / "config/ocgate.schema.json").read_text(encoding="utf-8")))
    text = (root / RUNBOOK).read_text(encoding="utf-8")
    for line, code in code_in(text):
        found = [*settings(code, keys, paths, facts), *files(code, root), *subcommands(code, paths, facts)]
        found += hosts(code, set(config["allowed_hosts"]), facts.traffic)
        if "kubectl" in code:
            found += kubectl(code, deployment.pod)
        if "docker compose" in code:
            found += compose(code, services)
        for breach in found:
            yield f"{RUNBOOK}:{line}: {breach}"
    for number, line in enumerate((root / ALERTS).read_text(encoding="utf-8").splitlines(), 1):
        for code in re.findall(r"`([^`]+)`", line.partition("#")[0]):
            for breach in settings(code, keys, paths, facts):
                yield f"{ALERTS}:{number}: {breach}"
