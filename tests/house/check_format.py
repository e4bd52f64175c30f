#!/usr/bin/env python3
"""Says which C++ files clang-format would write differently (.clang-format in the repository's root).

    check_format.py [ROOT]     prints clang-format's complaints; exit status 0 none, 1 some, 77 cannot run here

Only one version counts, the one of Debian 12: each newer one lays out some line another way. To mend a file:
`clang-format -i FILE`.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from check_house import repository_files

SKIPPED = 77
VERSION = "14"
FOLDERS = {"src", "include", "tests", "bench"}


def find_formatter(names=(f"clang-format-{VERSION}", "clang-format")):
    """(path, None) of a clang-format of the right version, or (None, why not)."""
    why = "clang-format is not installed"
    for path in filter(None, map(shutil.which, names)):
        said = subprocess.run([path, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
        version = re.search(r"version (\d+)", said)
        if version and version.group(1) == VERSION:
            return path, None
        why = f"{path} is not version {VERSION}: {said.strip()}"
    return None, why


def cpp_files(root):
    return [path for path in repository_files(root) if path.suffix in (".cpp", ".hpp") and path.parts[0] in FOLDERS]


def unformatted(root, formatter):
    """clang-format's own words about every file it would change."""
    command = [formatter, "--dry-run", "-Werror", "--style=file"]
    files = [str(path) for path in cpp_files(root)]
    said = []
    for at in range(0, len(files), 50):
        done = subprocess.run(command + files[at : at + 50], cwd=root, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            said.append(done.stderr.strip() or f"{formatter} ended with {done.returncode}")
    return said


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()
    formatter, why_not = find_formatter()
    if formatter is None:
        print(f"SKIPPED: {why_not}")
        return SKIPPED
    if not cpp_files(root):
        print(f"{root}: no C++ files here")
        return 1
    said = unformatted(root, formatter)
    print("\n".join(said) if said else "every file is as clang-format would write it")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
