#!/usr/bin/env python3
"""Reads the repository and says where it breaks the rules of the house:

- arrows between modules point down only (see `ALLOWED`), in `include/ocgate` and in `src`;
- a module's private headers are its own;
- nothing depends on a folder beside the repository;
- no C++ file is longer than 450 lines;
- the top level holds what it is meant to hold.

    check_house.py [ROOT]     prints one line per breach, `path:line: what is wrong`; exit status 1 when there is any
"""

import re
import subprocess
import sys
from pathlib import Path

# What each module may include of the others' promises. Its own are always allowed.
ALLOWED = {
    "base": set(),
    "wire": {"base"},
    "rt": {"base", "wire"},
    "proxy": {"base", "wire", "rt"},
    "auth": {"base", "wire", "rt", "proxy"},
    "ops": {"base", "wire", "rt", "proxy"},
    "opencode": {"base", "wire", "rt"},
    "notify": {"base", "wire", "rt"},
    "bridge": {"base", "wire", "rt", "opencode", "notify"},
    "app": {"base", "wire", "rt", "proxy", "auth", "ops", "opencode", "notify", "bridge"},
}

# Libraries that only some modules may know; the others' stories are told without them.
LIBRARIES = {
    "nlohmann/": {"opencode", "notify", "bridge", "ops", "app"},
    "prometheus/": {"ops", "app"},
    "cctz/": {"notify", "bridge"},
    "CLI/": {"app"},
    "boost/asio": {"rt", "proxy", "auth", "ops", "opencode", "notify", "bridge", "app"},
    "boost/beast": {"ops", "notify"},
    "sqlite3.h": {"notify"},
}
# Names of errors are no I/O.
EVERYBODYS = {"boost/asio/error.hpp"}

TOP_LEVEL = {
    "CMakeLists.txt", "CMakePresets.json", "src", "include", "config", "deploy", "docker", "tests", "bench",
    "README.md", "LICENSE", "CHANGELOG.md",
}

MAX_LINES = 450
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
OUTSIDE = re.compile(r"\.\./shared\b")


def modules_of(path):
    """The module a file of `include/ocgate` or `src` belongs to, or None."""
    parts = path.parts
    if parts[:2] == ("include", "ocgate") and len(parts) > 3:
        return parts[2]
    if parts[:1] == ("src",) and len(parts) > 2:
        return parts[1]
    return None


def check_includes(root, path, text):
    module = modules_of(path)
    if module is None:
        return
    if module not in ALLOWED:
        yield 1, f"unknown module {module!r}: say in check_house.py what it may use"
        return
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        bracket, name = match.groups()
        for library, users in LIBRARIES.items():
            if name.startswith(library) and module not in users and name not in EVERYBODYS:
                yield number, f"{module} must not know {library.rstrip('/')}"
        if name.startswith("ocgate/"):
            parts = name.split("/")
            other = parts[1] if len(parts) > 2 else None
            if other not in ALLOWED:
                yield number, f"<{name}> belongs to no module"
            elif other != module and other not in ALLOWED[module]:
                yield number, f"{module} must not include {other}: arrows point down"
            elif not (root / "include" / name).is_file():
                yield number, f"{name} does not exist"
        elif bracket == '"':
            # A private header: beside the file, in the same module, and never reached from a promise.
            if path.parts[0] == "include":
                yield number, f"a promise includes the private {name}"
            elif ".." in name.split("/"):
                yield number, f"{name} reaches out of the module"
            elif not any((root / place / name).is_file() for place in (path.parent, Path("src") / module)):
                yield number, f"{name} is no private header of {module}"


def check_outside(path, text):
    if path.parts[:2] == ("tests", "house"):
        return
    for number, line in enumerate(text.splitlines(), 1):
        if OUTSIDE.search(line):
            yield number, "the repository does not need a folder beside it"


def check_length(path, text):
    if path.suffix in (".cpp", ".hpp"):
        lines = text.count("\n")
        if lines > MAX_LINES:
            yield lines, f"{lines} lines: more than {MAX_LINES}, so it tells two stories"


def check_top_level(files):
    for name in sorted({path.parts[0] for path in files}):
        if name not in TOP_LEVEL and not name.startswith("."):
            yield f"{name}: not one of the agreed entries of the top level"


def repository_files(root):
    """What git knows or would add; without git, everything but build folders."""
    git = subprocess.run(["git", "-C", str(root), "ls-files", "-z", "-co", "--exclude-standard"],
                         capture_output=True, check=False)
    if git.returncode == 0:
        names = [Path(name) for name in git.stdout.decode().split("\0") if name]
    else:
        names = [path.relative_to(root) for path in root.rglob("*")]
    skipped = {"build", ".git", "__pycache__"}
    return sorted(p for p in set(names) if (root / p).is_file() and not skipped & set(p.parts))


def breaches(root):
    files = repository_files(root)
    found = list(check_top_level(files))
    for path in files:
        try:
            text = (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for check in (check_includes(root, path, text), check_outside(path, text), check_length(path, text)):
            found += [f"{path}:{number}: {what}" for number, what in check]
    return found


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()
    if not (root / "src").is_dir():
        print(f"{root}: no repository here")
        return 2
    found = breaches(root)
    print("\n".join(found) if found else "the house stands")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
