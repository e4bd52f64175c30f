#!/usr/bin/env python3
"""Says what pyflakes finds in the Python programs and tests: names that hide others, that are unknown, or unused.

    check_python.py [ROOT]     prints pyflakes' complaints; exit status 0 none, 1 some, 77 cannot run here
"""

import shutil
import subprocess
import sys
from pathlib import Path

from check_house import repository_files

SKIPPED = 77
FIRST_LINE = (b"#!/usr/bin/env python3", b"#!/usr/bin/python3")


def is_python(path):
    if path.suffix:
        return path.suffix == ".py"
    with path.open("rb") as file:
        return file.readline(64).startswith(FIRST_LINE)


def python_files(root):
    return [str(path) for path in repository_files(root) if (root / path).is_file() and is_python(root / path)]


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()
    pyflakes = shutil.which("pyflakes3")
    if pyflakes is None:
        print("SKIPPED: pyflakes3 is not installed")
        return SKIPPED
    files = python_files(root)
    if not files:
        print(f"{root}: no Python files here")
        return 1
    done = subprocess.run([pyflakes, *files], cwd=root, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout.strip() or f"pyflakes has nothing to say of {len(files)} files")
    return 1 if done.returncode != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
